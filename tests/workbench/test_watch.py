"""`lunette replay --watch`: a detector is edited while it runs, and each save is answered with what it did to the alerts."""
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

HANG = 60
CAPTURE = EXAMPLES / "mac-with-implant.pcapng.gz"
DETECTOR = """local lunette = require "lunette"
lunette.detector { title = "Asked", category = "Test" }
local names = lunette.set.domains(lunette.lines("names.txt"))
lunette.on("dns", { type = "query" }, function(e)
    if names:has(e.rrname or "") then
        lunette.alert { severity = "low", who = e.client_ip, where = e.rrname, why = "asked", key = e.rrname, cooldown = 1e9 }
    end
end)
"""


class Watching:
    """The program with its output read as it comes."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([LUNETTE, "replay", "--watch", "--color", "never", *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text = ""

    def until(self, pattern):
        """All that is printed up to the line that the pattern matches; later calls go on behind it."""
        deadline = time.monotonic() + HANG
        while True:
            match = re.search(pattern, self.text, re.M)
            if match and "\n" in self.text[match.end():]:
                end = self.text.index("\n", match.end()) + 1
                taken, self.text = self.text[:end], self.text[end:]
                return taken
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no line like {pattern!r} within {HANG} s; so far:\n{self.text}"
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"it ended without a line like {pattern!r}:\n{self.text}"
            self.text += piece.decode()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=HANG)
        return self.process.returncode


@pytest.fixture
def script(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names.txt").write_text("apple.com\n")
    path = tmp_path / "asked.lua"
    path.write_text(DETECTOR)
    return path


@pytest.fixture
def watching(script):
    w = Watching("-s", script, CAPTURE)
    yield w
    w.process.kill()
    w.process.communicate()


def save(path, text):
    """As editors do: another file, renamed over it."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


def alerts_of(script):
    """What replay says of the same detector: where each alert points."""
    out = subprocess.run([LUNETTE, "replay", "--no-summary", "--color", "never", "-s", script, CAPTURE],
                         capture_output=True, text=True, timeout=HANG, check=True).stdout
    return re.findall(r"^\s+who\s+\S+ \u2192 (\S+)", out, re.M)


def test_first_run_shows_what_replay_shows(watching, script):
    wanted = alerts_of(script)
    assert wanted
    first = watching.until(rf"\d alerts? in ")
    assert f" {len(wanted)} alert" in first
    for _ in wanted:
        first += watching.until(r"^    why ")
    assert re.findall(r"^    where\s+(\S+)", first, re.M) == wanted
    assert watching.end() == 0


def test_each_save_is_answered_with_the_difference(watching, script):
    watching.until(r"\d alerts? in ")
    save(script, DETECTOR.replace('"low"', '"high"'))
    said = watching.until(r"0 new, 0 gone, [1-9]\d* changed")
    said += watching.until(r"is now +high")
    assert re.search(r"severity +low", said)

    save(script, DETECTOR.replace('"low"', '"high"').replace("names:has", "not names:has"))
    watching.until(r"[1-9]\d* new, [1-9]\d* gone, 0 changed")


def test_a_table_that_the_script_reads_counts_as_well(watching, script):
    watching.until(r"\d alerts? in ")
    save(script.parent / "data" / "names.txt", "no.such.name.example\n")
    said = watching.until(r" 0 alerts in .*: 0 new, [1-9]\d* gone, 0 changed")
    assert " 0 alerts" in said


def test_a_script_that_does_not_load_leaves_the_last_result_standing(watching, script):
    watching.until(r"\d alerts? in ")
    save(script, DETECTOR + "this is not Lua (\n")
    said = watching.until(r"not run: ")
    assert re.search(r"asked\.lua:9: ", said), said
    save(script, DETECTOR)
    watching.until(r": as before")


def test_errors_are_told_though_the_alerts_are_as_before(watching, script):
    assert "raised errors" not in watching.until(r"\d alerts? in ")
    save(script, DETECTOR + 'lunette.on("dns", function() error("always") end)\n')
    watching.until(r": as before, 1 detector raised errors$")


def test_what_it_does_not_do_is_said(script):
    for extra in (["-o", "records.jsonl"], ["-w", "2"], ["--pace", "1x"]):
        ran = subprocess.run([LUNETTE, "replay", "--watch", "-s", script, *extra, CAPTURE], capture_output=True,
                             text=True, timeout=HANG)
        assert ran.returncode == 2
        assert "--watch" in ran.stderr


def test_a_capture_that_is_not_there(script):
    ran = subprocess.run([LUNETTE, "replay", "--watch", "-s", script, "nowhere.pcap"], capture_output=True, text=True,
                         timeout=HANG)
    assert ran.returncode == 2
    assert "nowhere.pcap" in ran.stderr
