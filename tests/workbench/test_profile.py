"""`lunette profile`: what it counts is what was handled, what it shares out is what there was, and what LuaJIT gave up is told at the
line where it was written. No figure of time is judged, but for their sums."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "corpus"))
from captures import EXAMPLES, LUNETTE, SCRIPTS, needs_lunette  # noqa: E402

pytestmark = needs_lunette

HANG = 300
HEAD = 'local lunette = require "lunette"\nlunette.detector { title = "T", category = "C" }\n'
CAPTURES = [str(EXAMPLES / "mac-install.pcapng.gz"), str(EXAMPLES / "mac-with-implant.pcapng.gz")]


def run(*words, status=0):
    done = subprocess.run([str(LUNETTE), *map(str, words)], capture_output=True, text=True, timeout=HANG, cwd=ROOT)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def profile(*words, status=0):
    return json.loads(run("profile", "--json", *words, *CAPTURES, status=status))


@pytest.fixture(scope="module")
def shipped():
    """The report of all detectors that come with lunette."""
    return profile()


@pytest.fixture
def script(tmp_path):
    def write(body, name="mine.lua"):
        path = tmp_path / name
        path.write_text(HEAD + body.lstrip("\n"))
        return path

    return write


def records(tmp_path, *kinds):
    """How many records of each kind a run writes."""
    path = tmp_path / "records.json"
    run("replay", "--no-scripts", "-o", path, "--record", ",".join(kinds), *CAPTURES)
    types = [json.loads(line)["event_type"] for line in path.read_text().splitlines()]
    return {kind: types.count(kind) for kind in kinds}


COUNTING = """
local n = 0
lunette.on("dns", function(e) n = n + e.client_port end)
lunette.on("tls", function(e) n = n + e.client_port end)
lunette.on("flow", { proto = "TCP" }, function(e) n = n + e.client_port end)
lunette.on("flow", { proto = "UDP" }, function(e) n = n + e.client_port end)
lunette.on("flow", { proto = "nothing" }, function(e) n = n + e.client_port end)
lunette.every(3600, function() n = n + 1 end)
lunette.on_end(function() lunette.log("n " .. n) end)
"""


@pytest.mark.parametrize("batch", [1, 256])
def test_calls_are_the_events_handled(batch, script, tmp_path):
    written = records(tmp_path, "dns", "tls")
    detector = profile("-s", script(COUNTING), "--batch", batch)["detectors"][0]
    calls = {(h["event"], int(h["at"].rsplit(":", 1)[1])): h["calls"] for h in detector["handlers"]}
    assert calls["dns", 4] == written["dns"] > 100 and calls["tls", 5] == written["tls"] > 100
    assert calls["flow", 6] > 100 and calls["flow", 7] > 100 and calls["flow", 8] == 0
    assert calls["timer", 9] > 0 and calls["on_end function", 10] == 1
    events = sum(count for (event, _), count in calls.items() if event in ("dns", "tls", "flow"))
    assert events == detector["events"]


def test_times_add_up(shipped):
    report = shipped
    assert {d["name"] for d in report["detectors"]} == {p.stem for p in SCRIPTS.glob("*.lua") if not p.stem.endswith("_test")}
    for detector in report["detectors"]:
        handlers = sum(h["seconds"] for h in detector["handlers"])
        assert handlers <= detector["seconds"] * (1 + 1e-6)
        assert (handlers > 0) == any(h["calls"] for h in detector["handlers"])  # a part that gathers may have heard nothing
        assert abs(handlers + detector["dispatch_seconds"] - detector["seconds"]) < 1e-6
        assert detector["memory"] > 100000
    scripts = sum(d["seconds"] for d in report["detectors"])
    assert abs(scripts - report["script_seconds"]) < 1e-6
    assert abs(report["engine_seconds"] + scripts + report["measuring_seconds"] - report["seconds"]) < 1e-6
    assert 0 < sum(h["share"] for d in report["detectors"] for h in d["handlers"]) <= 1 + 1e-6


def test_handlers_are_sorted_by_time(shipped):
    for detector in shipped["detectors"]:
        times = [h["seconds"] for h in detector["handlers"]]
        assert times == sorted(times, reverse=True)


def test_alike_functions_of_two_events_are_counted_apart(script, tmp_path):
    written = records(tmp_path, "dns", "tls")
    detector = profile("-s", script('local function f() end\nlunette.on("dns", f)\nlunette.on("tls", f)\n'))["detectors"][0]
    assert {h["event"]: h["calls"] for h in detector["handlers"]} == written


GARBAGE = """
local kept = {}
lunette.on("dns", function()
    local list = {}
    for i = 1, 500 do list[i] = i end
    kept[1] = list
end)
lunette.on("dns", function(e) kept[2] = e.client_port end)
"""


def test_bytes_are_those_of_the_handler(script):
    detector = profile("-s", script(GARBAGE))["detectors"][0]
    dear, cheap = sorted(detector["handlers"], key=lambda h: -h["bytes"])
    # A table of 500 elements grows by doubling: 8 bytes for each, 16 bytes at the least for their doublings.
    assert dear["bytes"] / dear["calls"] > 500 * 8
    assert cheap["bytes"] / cheap["calls"] < 500
    assert detector["collections"] > 0


UNCOMPILED = """
local kept = {}
lunette.on("dns", function(e)
    for i = 1, 300 do
        kept[i % 3] = function() return i, e end
    end
end)
"""


def test_an_abort_is_told_with_its_line_and_reason(script):
    path = script(UNCOMPILED)
    detector = profile("-s", path)["detectors"][0]
    aborts = [a for a in detector["aborts"] if a["at"].endswith("mine.lua:6")]
    assert aborts and "FNEW" in aborts[0]["reason"] and aborts[0]["times"] > 0
    assert [p for p in detector["interpreted"] if p["at"].endswith("mine.lua:5") and p["what"] == "loop"]
    text = run("profile", "-s", path, *CAPTURES)
    assert re.search(r"mine\.lua:6 +\d+ +NYI: bytecode FNEW", text)
    assert "Left to the interpreter" in text


# A parser waits in lunette's own coroutines, which LuaJIT cannot compile through.
WAITING = "lunette.stream { ports = { 443 }, client = function(r) while true do r:skip(1) r:need(50) end end }\n"


def test_lunette_s_own_code_has_no_lines_of_the_author_s(script):
    path = script(UNCOMPILED + WAITING)
    places = profile("-s", path)["detectors"][0]
    own = [a for a in places["aborts"] if a["own"]]
    assert own and not any("mine.lua" in a["at"] for a in own)
    assert all("mine.lua" in a["at"] for a in places["aborts"] + places["interpreted"] if not a["own"])
    text = run("profile", "-s", path, *CAPTURES).split("Aborted traces")[1]
    table, words = text.split("What that means for a script:\n")
    assert "(lunette's own " in table and not re.search(r"(loop over [\w.]+|stream\.lua|timers\.lua):\d", text)
    rows = [re.split(r"  +", line) for line in table.splitlines()[2:] if line]
    rows = [row for row in rows if row[1] != "..."]  # how many more there are
    assert len({(row[1], row[3]) for row in rows}) == len(rows)
    told = [re.split(r"  +", line.strip()) for line in words.split("\n\n")[0].splitlines()]
    assert {row[3] for row in rows} == {reason for reason, _ in told}
    assert "make it once" in dict(told)["NYI: bytecode FNEW"]


def test_what_compiles_is_not_accused(script):
    detector = profile("-s", script('local n = 0\nlunette.on("flow_start", function(e) n = n + e.client_port end)\n'))["detectors"][0]
    assert detector["interpreted"] == []
    assert not [a for a in detector["aborts"] if "NYI: bytecode" in a["reason"]]


def test_the_table(script):
    text = run("profile", "--top", "2", "-s", script(COUNTING), *CAPTURES)
    assert re.search(r"^detector +handler +event +calls +time +share +ns/call +bytes +bytes/call$", text, re.M)
    assert len(re.findall(r"^mine +mine\.lua:\d+ ", text.split("dispatch")[0], re.M)) == 2
    assert re.search(r"and \d more handlers", text)
    assert "the engine (capture" in text and "Measuring took about" in text


PARSED = """
lunette.stream {
    name = "hello", ports = { 443 },
    client = function(r) while true do r:need(1) r:skip(r:available()) end end,
    closed = function() end,
}
lunette.on("dns", function(e) if e.rrname then lunette.send(e.rrname, 1) end end)
lunette.gather(function() lunette.receive(function() end) end)
"""


def test_parsers_and_what_gathers_are_counted_as_well(script):
    worker, gatherer = profile("-s", script(PARSED))["detectors"]
    calls = {h["event"]: h["calls"] for h in worker["handlers"]}
    assert calls["stream hello"] > calls["stream hello, closed"] > 10
    assert gatherer["stage"] == "gather"
    assert [h["calls"] for h in gatherer["handlers"] if h["event"] == "receive"] == [calls["dns"]]


def test_failures_do_not_spoil_the_count(script, tmp_path):
    written = records(tmp_path, "dns")
    path = script('local n = 0\nlunette.on("dns", function() n = n + 1 if n % 3 == 0 then error("no") end end)')
    detector = profile("-s", path, status=1)["detectors"][0]
    assert detector["handlers"][0]["calls"] == written["dns"]
    assert detector["errors"] == written["dns"] // 3 and "no" in detector["last_error"]


def test_a_detector_that_ends_in_its_bound_is_told(script):
    path = script('local all = {}\nlunette.on("dns", function(e) for i = 1, 1e9 do all[#all + 1] = { i } end end)')
    detector = profile("-s", path, "--script-memory", 16, status=1)["detectors"][0]
    assert "not enough memory" in detector["last_error"]


def test_wrong_use():
    for words in ([], ["--top", "x", CAPTURES[0]], ["--top"], ["no.pcap"], ["-o", "x", CAPTURES[0]], ["-s", "no.lua", CAPTURES[0]]):
        run("profile", *words, status=2)
    assert "usage: lunette profile" in run("profile", "--help")
