"""All shipped detectors over the captures: run once, looked at by several tests (test_false_alarms.py, test_abuse.py).

Whoever asks for a capture's run gets the one that was made before, if another test of the same process asked for it.

Loading the detectors takes longer than most captures, with the sanitizers several times as long. What these look for needs no capture
to be alone, so there a run takes twenty captures, merged by time; the alerts of each capture are judged in the other build. Captures that stand next to each
other in the list are often variants with the same addresses: a group takes every nth, so that they do not become one flow."""
import json
import os
import re
import subprocess

from captures import HANG, PCAPS, SCRIPTS, captures, replay, two_at_a_time

SANITIZED = os.environ.get("LUNETTE_SANITIZE") == "1"
TOGETHER = 20
SANITIZER = re.compile(r"Sanitizer|runtime error:|SUMMARY: ")
SEVERITY = {1: "high", 2: "medium", 3: "low", 4: "info"}
LOUD = {"high", "medium"}


class Run:
    """Captures through all detectors, as an analyst would do it with one: exit code, stderr, the alerts, and what is wrong with how it
    ended, or None."""

    def __init__(self, *files):
        self.code, self.said, self.alerts, self.wrong = None, "", [], None
        try:
            done = replay("-s", SCRIPTS, "-q", "-o", "-", *files, timeout=HANG + 10 * len(files))
        except subprocess.TimeoutExpired as late:
            self.wrong = f"did not end within {late.timeout} s"
            return
        self.code, self.said = done.returncode, done.stderr.decode(errors="replace")
        if SANITIZER.search(self.said):
            self.wrong = self.said[:4000]
        elif done.returncode < 0:
            self.wrong = f"died of signal {-done.returncode}: {self.said[-500:]}"
        elif done.returncode not in (0, 1):
            self.wrong = f"exit code {done.returncode}: {self.said[-500:]}"
        elif done.returncode == 1 and not re.fullmatch(r"(lunette: [^\n]+\n)+", self.said):
            self.wrong = f"failed without a word on why: {self.said[-500:]!r}"
        else:
            alerts = map(json.loads, (line for line in done.stdout.splitlines() if b'"event_type":"alert"' in line))
            self.alerts = [record for record in alerts if record["event_type"] == "alert"]


made = {}


def name_of(path):
    return str(path.relative_to(PCAPS))


def alone(files):
    """{name: its run} of these captures, each by itself."""
    new = [path for path in files if name_of(path) not in made]
    made.update(zip(map(name_of, new), two_at_a_time(Run, new)))
    return {name_of(path): made[name_of(path)] for path in files}


def in_groups(*folders):
    """{names: their run} of all captures below these folders, some twenty at a time. Of a group in which something is wrong, the captures that are
    wrong alone stand by themselves too."""
    files = captures(*folders)
    count = -(-len(files) // TOGETHER)
    groups = [files[first::count] for first in range(count)]
    runs = two_at_a_time(lambda group: Run(*group), groups)
    found = {" ".join(map(name_of, group)): run for group, run in zip(groups, runs)}
    for group, run in zip(groups, runs):
        if run.wrong:
            found |= {name: single for name, single in alone(group).items() if single.wrong}
    return found
