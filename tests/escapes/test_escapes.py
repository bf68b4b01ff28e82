"""Escape attempts: what a hostile detector might try, each in a run of the real program, with what comes of it.

    python3 tests/escapes/test_escapes.py                 the table: attempt, what was expected, what came of it
    python3 tests/escapes/test_escapes.py loops views     of these files only
    python3 -m pytest tests/escapes                       as a test

The attempts lie in the *.lua files beside this one. To add one, write

    -- attempt: what is tried, in words
    -- expect: raises TEXT
    the code

The code is called in a handler of `dns` events, once, with the event as `e`; `lunette` is the module. `expect` is one of

    raises TEXT      it ends in an error that says TEXT
    gives TEXT       it comes to its end and returns TEXT (after tostring)
    stopped          it does not come to its end, and the watchdog gets the worker out
    memory           it takes more memory than it may, and is thrown away
    failing TEXT     it is switched off after many errors; the last says TEXT
    left out TEXT    it is not loaded, and standard error says TEXT
    refused TEXT     the program does not start (exit code 2), and says TEXT

More lines may follow `expect`:

    -- where: handler    the code is the body of the handler itself, unprotected, called for each event
    -- where: file       the code is the whole file
    -- with: --set a=b   arguments of the run

A line `-- file: other.lua` begins a second file of the folder.

`gone`, a list, may be given the names of what could be done but must not; `fails(name, f, ...)` notes the name if the call does
Whatever comes of an attempt: the program ends by itself with the right exit code, the detector beside it writes byte for byte
what it writes alone, and nothing appears in the folder of the scripts."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

try:
    import pytest
except ImportError:  # the table needs none
    pytest = None

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
CAPTURE = REPO / "examples" / "mac-first-boot.pcapng.gz"
HANG = 90
FAULTS = {"memory": "not enough memory", "stopped": "did not come to its end", "failing": "failures in a row"}

GOOD = """local lunette, n = require "lunette", 0
lunette.on("dns", function(e)
    n = n + 1
    lunette.alert { title = "seen", who = e.client_ip, where = e.rrname, evidence = { n = n } }
end)
lunette.on("flow", function(e) lunette.alert { title = "flow", who = e.client_ip, evidence = { bytes = e.client_bytes } } end)
lunette.on_end(function() lunette.alert { title = "end", evidence = { n = n } } end)
"""
WRAPPED = """local lunette = require "lunette"
local done = false
local tostring, type, concat, pcall, alert = tostring, type, table.concat, pcall, lunette.alert
local function attempt(e, gone, fails)
%s
end
lunette.on("dns", function(e)
    if done then return end
    done = true
    local gone = {}
    -- Notes the name if the call succeeds.
    local function fails(name, f, ...) if pcall(f, ...) then gone[#gone + 1] = name end end
    local ok, result = pcall(attempt, e, gone, fails)
    if ok and result == nil then result = concat(gone, ", ") end
    if not ok and type(result) ~= "string" then result = "(no string)" end
    alert { title = ok and "gives" or "raises", why = tostring(result) }
end)
"""
HANDLER = 'local lunette = require "lunette"\nlunette.on("dns", function(e)\n%s\nend)\n'


class Attempt:
    def __init__(self, file, text):
        lines = text.strip().splitlines()
        self.file, self.name = file, lines[0]
        notes = {"where": "inside", "with": ""}
        code = 1
        while code < len(lines) and (m := re.match(r"-- (expect|where|with): (.*)$", lines[code])):
            notes[m[1]] = m[2]
            code += 1
        self.code, *others = re.split(r"^-- file: (.*)\n", "\n".join(lines[code:]), flags=re.M)
        self.others = dict(zip(others[::2], others[1::2]))
        self.where, self.arguments = notes["where"], shlex.split(notes["with"])
        words = re.match(r"(raises|gives|stopped|memory|failing|left out|refused)(?: (.*))?$", notes["expect"])
        if not words:
            raise ValueError(f"{file}: {self.name}: what is '{notes['expect']}'?")
        self.outcome, self.text = words[1], words[2] or ""
        if self.where not in ("inside", "handler", "file"):
            raise ValueError(f"{file}: {self.name}: where is '{self.where}'?")

    @property
    def expected(self):
        return f"{self.outcome} {self.text}".strip()

    def script(self):
        return {"inside": WRAPPED % self.code, "handler": HANDLER % self.code, "file": self.code + "\n"}[self.where]


def attempts(*files):
    """All attempts, in the order of the files."""
    found = []
    for path in sorted(HERE.glob("*.lua")):
        if not files or path.stem in files:
            for text in re.split(r"^-- attempt: ", path.read_text(), flags=re.M)[1:]:
                found.append(Attempt(path.stem, text))
    return found


class Room:
    """A folder of scripts with what attempts may want to reach, inside and outside of it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.scripts = self.folder / "scripts"
        for name in ("data", "lib", "data/below"):
            (self.scripts / name).mkdir(parents=True)
        (self.folder / "secret.txt").write_text("secret\n")
        (self.folder / "secret.lua").write_text('return "secret"\n')
        (self.scripts / "secret.txt").write_text("secret\n")
        (self.scripts / "data" / "list.txt").write_text("one\ntwo\n")
        (self.scripts / "data" / "below" / "list.txt").write_text("three\n")
        (self.scripts / "data" / "link.txt").symlink_to(self.folder / "secret.txt")
        (self.scripts / "data" / "inner.txt").symlink_to("list.txt")
        (self.scripts / "lib" / "link.lua").symlink_to(self.folder / "secret.lua")
        os.mkfifo(self.scripts / "data" / "pipe.txt")
        (self.scripts / "lib" / "helper.lua").write_text("return { kept = {} }\n")
        # What LuaJIT's and Lua's compiled code begin with: the text loader must not take it.
        (self.scripts / "lib" / "bytecode.lua").write_bytes(b"\x1bLJ\x02\x02\x0c" + bytes(64))
        (self.scripts / "lib" / "upvalue.lua").write_text("return (function() return _G end)()\n")
        (self.scripts / "lib" / "loops.lua").write_text("while true do end\n")

    def run(self, *arguments, good=True):
        if good:
            (self.scripts / "good.lua").write_text(GOOD)
        command = [LUNETTE, "replay", "-q", "-o", "-", "--record", "alert", "-s", self.scripts, "--script-memory", "32",
                   *arguments, CAPTURE]
        return subprocess.run(list(map(str, command)), capture_output=True, timeout=HANG)


def by_detector(output, name):
    return [line for line in output.splitlines() if json.loads(line)["lunette"]["detector"] == name]


_alone = []


def alone():
    """What the good detector writes without another, and the files of the folder."""
    if not _alone:
        with tempfile.TemporaryDirectory() as folder:
            room = Room(folder)
            done = room.run()
            assert done.returncode == 0, done.stderr.decode()
            _alone.append(by_detector(done.stdout, "good"))
            assert len(_alone[0]) > 20
    return _alone[0]


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def what_came_of(attempt, done):
    """In the words of `expect`."""
    errors = done.stderr.decode("utf-8", "replace")
    if done.returncode == 2:
        return "refused " + errors
    if "left out" in errors:
        return "left out " + errors
    for outcome, words in FAULTS.items():
        if re.search(f"detector attempt is switched off.*{words}", errors):
            return f"{outcome} {errors}"
    said = [json.loads(line) for line in by_detector(done.stdout, "attempt")]
    said = [s for s in said if s["alert"]["signature"] in ("gives", "raises")]
    if not said:
        return "silent " + errors
    return f"{said[0]['alert']['signature']} {said[0]['lunette'].get('why', '')}"


def tried(attempt):
    """(what came of it, what is wrong with that or None)."""
    expected = alone()
    with tempfile.TemporaryDirectory() as folder:
        room = Room(folder)
        (room.scripts / "good.lua").write_text(GOOD)
        (room.scripts / "attempt.lua").write_text(attempt.script())
        for name, text in attempt.others.items():
            (room.scripts / name).write_text(text)
        before = tree(room.folder)
        # Whatever else ends does so long before the watchdog looks up.
        limit = 0.2 if attempt.outcome in ("stopped", "left out") else 20
        try:
            done = room.run("--script-time", limit, *attempt.arguments)
        except subprocess.TimeoutExpired:
            return "hangs", f"did not end within {HANG} s"
        came = what_came_of(attempt, done)
        short = " ".join(came.split())
        right = came.startswith(attempt.outcome) and attempt.text in came
        if attempt.outcome == "gives":
            right = came.rstrip() == attempt.expected
        if not right:
            return short, f"expected: {attempt.expected}; exit code {done.returncode}; {done.stderr.decode()[-2000:]}"
        code = {"refused": 2, "gives": 0, "raises": 0}.get(attempt.outcome, 1)
        if done.returncode != code:
            return short, f"exit code {done.returncode}, expected {code}: {done.stderr.decode()[-2000:]}"
        if code < 2 and by_detector(done.stdout, "good") != expected:
            return short, "the detector beside it wrote something else than alone"
        if tree(room.folder) != before:
            return short, f"files came or went: {set(tree(room.folder)) ^ set(before)}"
        if attempt.outcome == "stopped" and b"attempt was stopped and is off" not in done.stdout:
            return short, "no alert tells of it"
        return short, None


if pytest:
    pytestmark = pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary")

    @pytest.mark.parametrize("attempt", attempts(), ids=lambda a: f"{a.file}: {a.name}")
    def test_attempt(attempt):
        _, wrong = tried(attempt)
        assert wrong is None, wrong

    def test_names_are_told_apart():
        names = [(a.file, a.name) for a in attempts()]
        assert len(names) == len(set(names)) >= 60


def main(files):
    width = max(20, shutil.get_terminal_size((160, 24)).columns)
    failed, file = 0, None
    for attempt in attempts(*files):
        if attempt.file != file:
            file = attempt.file
            print(f"\n{file}")
        came, wrong = tried(attempt)
        failed += wrong is not None
        line = f"  {'FAIL' if wrong else ' ok '}  {attempt.name[:58]:58}  {came}"
        print(line[:width] if not wrong else f"{line}\n        {wrong}", flush=True)
    print(f"\n{len(attempts(*files))} attempts, {failed} with another result than expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
