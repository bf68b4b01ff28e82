"""Host logs that grow while the sensor runs: what is written to them becomes process events, over rotations, under the system
call filter. The loopback interface is enough; no packet has to come."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from records import BINARY
from rooms import wait_for
from sensor import REASON

REPO = pathlib.Path(__file__).resolve().parents[2]
LINES = (REPO / "examples" / "document.eslogger.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)

pytestmark = [pytest.mark.skipif(bool(REASON), reason=str(REASON)), pytest.mark.skipif(os.geteuid() != 0, reason="needs root to capture")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_grows_and_is_rotated(tmp_path, workers):
    log, out, said = tmp_path / "log", tmp_path / "out.jsonl", tmp_path / "said"
    log.write_text("".join(LINES[:3]))
    command = [BINARY, "live", "-i", "lo", "-w", workers, "--no-supervisor", "--control", "none", "--state", "none", "--no-scripts", "-q", "-o", out,
               "--stats-every", "1", "--record", "process,stats", "--host-log", "127.0.0.1=%s" % log]
    with open(said, "wb") as errors:
        sensor = subprocess.Popen(list(map(str, command)), stderr=errors)

    def told():
        assert sensor.poll() is None, said.read_text()
        return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    def events():
        return [(line["endpoint"]["action"], line["process"]["pid"]) for line in told() if line["event_type"] == "process"]

    def lines_read():
        return max([line["stats"]["host"]["lines"] for line in told() if line["event_type"] == "stats"], default=0)

    try:
        wait_for(lambda: lines_read() == 3, what="the lines that were there")
        assert events() == []  # they are history
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(LINES[3:6])
        wait_for(lambda: len(events()) == 3, what="lines that were added")
        log.rename(tmp_path / "log.0")
        log.write_text("".join(LINES[6:]))
        wait_for(lambda: len(events()) == 6, what="the file that took its place")
    finally:
        sensor.send_signal(signal.SIGTERM)
        sensor.wait(20)
    assert events_of(out) == [("exec", 811), ("fork", 812), ("exec", 812), ("exit", 812), ("exit", 811), ("exit", 655)]


def events_of(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["endpoint"]["action"], line["process"]["pid"]) for line in lines if line["event_type"] == "process"]


def test_a_pipe_is_for_one_worker(tmp_path):
    done = subprocess.run(list(map(str, [BINARY, "live", "-i", "lo", "-w", "2", "--no-supervisor", "--control", "none", "--no-scripts", "-q",
                                         "--host-log", "-"])), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2 and b"run one worker" in done.stderr


def test_a_log_that_is_not_there_yet_and_goes(tmp_path):
    """As tail -F: it is waited for, with a word; once it is deleted there is one more."""
    log, out, said = tmp_path / "log", tmp_path / "out.jsonl", tmp_path / "said"
    command = [BINARY, "live", "-i", "lo", "--no-supervisor", "--control", "none", "--state", "none", "--no-scripts", "-q", "-o", out,
               "--record", "process", "--host-log", log]
    with open(said, "wb") as errors:
        sensor = subprocess.Popen(list(map(str, command)), stderr=errors)
    try:
        wait_for(lambda: "is not there yet" in said.read_text(), what="the warning")
        log.write_text("".join(LINES[3:6]))
        wait_for(lambda: out.exists() and len(events_of(out)) == 3, what="the file that came")
        log.unlink()
        wait_for(lambda: "is gone" in said.read_text(), what="the second warning")
        log.write_text("".join(LINES[6:]))
        wait_for(lambda: len(events_of(out)) == 6, what="the file that took its place")
    finally:
        sensor.send_signal(signal.SIGTERM)
        sensor.wait(20)
    assert said.read_text().count("is gone") == 1 and said.read_text().count("is not there yet") == 1


def test_a_log_that_cannot_be_read(tmp_path):
    """Whose rights they are is told: the sensor has given up those of whoever started it."""
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0)
    for log, expected in ((secret, "cannot be opened by the user nobody (id "), ("/tmp", "/tmp: a directory; the file of a host log was expected")):
        done = subprocess.run(list(map(str, [BINARY, "live", "-i", "lo", "--no-supervisor", "--control", "none", "--state", "none", "--no-scripts", "-q",
                                             "--user", "nobody", "--host-log", log])), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        assert done.returncode == 2 and expected in done.stderr.decode()
