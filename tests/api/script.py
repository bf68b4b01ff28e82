"""Runs a piece of Lua as a detector and gives the rows that it hands out.

    rows = run('''for _, line in ipairs(lines) do out(line, #line) end''', lines=["a", "bc"])

`lunette` and the modules names, address, series, sketch are at hand; `lines` are the strings that were given, and out(...)
makes a row of strings, numbers with 17 digits. `before` runs when the script is loaded."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
REFERENCE = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps")).parent / "reference"
COLUMNS = 6

FRAME = """local lunette = require "lunette"
local names, address = require "lunette.names", require "lunette.address"
local series, sketch = require "lunette.series", require "lunette.sketch"
local rows, lines = {}, lunette.lines("lines.txt")
local function out(...)
    local row = {}
    for i = 1, %d do
        local value = select(i, ...)
        row[i] = type(value) == "number" and ("%%.17g"):format(value) or tostring(value)
    end
    rows[#rows + 1] = row
end
%s
lunette.on("flow_start", function() end)
lunette.on_end(function()
    local function main()
%s
    end
    main()
    lunette.report { title = "rows", columns = { "1", "2", "3", "4", "5", "6" }, rows = rows }
end)
"""


def lunette(*words, **options):
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    return subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=300, **options)


def run(body, lines=(), before=""):
    with tempfile.TemporaryDirectory(prefix="lunette-") as folder:
        script = pathlib.Path(folder) / "piece.lua"
        script.write_text(FRAME % (COLUMNS, before, body))
        (script.parent / "data").mkdir()
        (script.parent / "data" / "lines.txt").write_text("".join(line + "\n" for line in lines))
        done = lunette("replay", "-q", "-o", "-", "--record", "report", "-s", script, "--script-time", "60", ROOT / "examples" / "tools.pcap")
        if "script-time" in done.stderr:
            done = lunette("replay", "-q", "-o", "-", "--record", "report", "-s", script, ROOT / "examples" / "tools.pcap")
    assert done.returncode == 0 and "failed" not in done.stderr, done.stderr
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["event_type"] == "report":
            return record["report"]["rows"]
    raise AssertionError("no rows: " + done.stderr)
