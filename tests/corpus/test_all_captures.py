"""Every capture there is, many malformed on purpose, through the shipped detectors: the program ends by itself, with an
exit code that it means, and the sanitizers (in a build that has them) have nothing to say."""
import re
import subprocess

from captures import PCAPS, SCRIPTS, captures, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

SANITIZER = re.compile(rb"Sanitizer|runtime error:|SUMMARY: ")


def complaint(capture):
    """What is wrong with the run over this capture, or None."""
    name = capture.relative_to(PCAPS)
    try:
        done = replay("-s", SCRIPTS, "-q", "-o", "/dev/null", capture)
    except subprocess.TimeoutExpired as late:
        return f"{name}: did not end within {late.timeout} s"
    said = done.stderr.decode(errors="replace")
    if SANITIZER.search(done.stderr):
        return f"{name}: {said[:4000]}"
    if done.returncode < 0:
        return f"{name}: died of signal {-done.returncode}: {said[-500:]}"
    if done.returncode not in (0, 1):
        return f"{name}: exit code {done.returncode}: {said[-500:]}"
    if done.returncode == 1 and not re.fullmatch(r"(lunette: [^\n]+\n)+", said):
        return f"{name}: failed without a word on why: {said[-500:]!r}"
    return None


def test_no_capture_brings_it_down():
    complaints = [c for c in two_at_a_time(complaint, captures()) if c]
    assert not complaints, "\n\n".join(complaints)
