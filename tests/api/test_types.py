"""The scripts and examples use the API as the stubs have it: checked by lua-language-server itself where it is installed, and
always by type_check.py, which knows the same annotations. Mistakes are found, each in its line."""

import json
import shutil
import subprocess

import pytest

from script import ROOT, lunette
from stub_reader import read_stubs
from type_check import WORKBENCH, check_file

SOURCES = sorted([*(ROOT / "scripts").rglob("*.lua"), *(ROOT / "examples").rglob("*.lua")])

# A line of a detector, and what must be said of it. Empty: nothing.
LINES = {
    'lunette.on("dns", function(e) lunette.log(e.rrname) end)': "",
    'lunette.on("dns", function(e) lunette.log(e.rname) end)': "lunette.Event.dns has no rname",
    'lunette.on("dns", { type = "query" }, function(e) return e.sni end)': "lunette.Event.dns has no sni",
    'lunette.on("dns", { typ = "query" }, function(e) end)': "no key typ in lunette.Filter.dns",
    'lunette.on("packet", { bpf = "icmp" }, function(e) return e.payload:u8(1) + e.ttl end)': "",
    'lunette.on("packet", { bpf = "icmp" }, function(e) return e.payload:u64(1) end)': "lunette.Slice has no u64",
    'lunette.on("tls", { sni = lunette.set.domains { "a.example" } }, function(e) end)': "",
    'lunette.on("tls", { sni = 7 }, function(e) end)': "param-type-mismatch",
    'lunette.on("dms", function(e) end)': "there is no event dms",
    'lunette.on("redis.command", { verb = "GET" }, function(e) return e.verb end)': "",
    'lunette.on("dns")': "missing-parameter",
    'lunette.alerts { title = "x" }': "undefined-field: lunette.alerts",
    'lunette.alert { title = "x", wo = "y" }': "no key wo in lunette.Alert",
    'lunette.alert { title = "x", severity = 3 }': "param-type-mismatch",
    'lunette.alert({ title = "x" }, 2)': "redundant-parameter",
    'lunette.now(1)': "redundant-parameter",
    'lunette.every("60", function(now) end)': "param-type-mismatch",
    'lunette.state("s", { ttl = 5 })': "missing-fields: max",
    'lunette.state("s", { max = 5, tll = 5 })': "no key tll",
    'local s = lunette.state("s", { max = 5 }) s:put("k", 1)': "lunette.State has no put",
    'local s = lunette.state("s", { max = 5 }) s:set()': "missing-parameter",
    'local s = lunette.state("s", { max = 5 }) s:set("k", nil) local v = s:get("k") v.any = 1': "",
    'local r = lunette.records("r", { max = 5, fields = { n = "u32" } }):make("k") r.n = r.n + 1': "",
    'local names = require "lunette.names" lunette.log(names.entropy("x"), 2)': "redundant-parameter",
    'local names = require "lunette.names" names.entrpy("x")': "undefined-field: lunette.names.entrpy",
    'local names = require "lunette.names" names.lookalike("x")': "missing-parameter",
    'require "lunette.nams"': "there is no module lunette.nams",
    'local series = require "lunette.series" local r = series.ring(5) r:add(1) r:within(5, 3)': "",
    'local series = require "lunette.series" local r = series.ring(5) r:ad(1)': "lunette.Ring has no ad",
    'local series = require "lunette.series" series.ring("5"):add(1)': "param-type-mismatch",
    'local series = require "lunette.series" local h = series.histogram { 1, 2 } h:quantile()': "missing-parameter",
    'local sketch = require "lunette.sketch" for _, top in ipairs(sketch.heavy(5):top(3)) do lunette.log(top.value) end': "",
    'local address = require "lunette.address" address.inside("10.0.0.1", 8)': "param-type-mismatch",
    'local function use(e) return e.host end lunette.on("http", function(e) use(e) end)': "",
    'local function use(e) return e.hots end lunette.on("http", function(e) use(e) end)': "lunette.Event.http has no hots",
    'lunette.stream { ports = { 6379 }, client = function(r, s) s.state.n = r:u8() + s.client_port end }': "",
    'lunette.stream { ports = { 6379 }, client = function(r, s) r:u16() end }': "lunette.Reader has no u16",
    'lunette.stream { port = { 6379 } }': "no key port in lunette.Stream",
    'local t = require "lunette.test" t.case("x", function(c) c:wait(60) end)': "",
    'local t = require "lunette.test" t.case("x", function(c) c:wiat(60) end)': "lunette.test.Case has no wiat",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("types") / "stubs"
    done = lunette("events", "--stubs-in", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def stubs(folder):
    if not shutil.which("luajit"):
        pytest.skip("the luajit program is not installed")
    return read_stubs(folder)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_and_examples_use_what_there_is(path, stubs):
    assert ["%s:%d: %s" % (path, line, text) for line, text in check_file(path, stubs)] == []


@pytest.mark.parametrize("line", LINES)
def test_a_mistake_is_found_in_its_line(line, stubs, tmp_path):
    path = tmp_path / "detector.lua"
    path.write_text('local lunette = require "lunette"\n-- the second line\n' + line + "\n")
    found = check_file(path, stubs)
    if not LINES[line]:
        assert found == []
    else:
        assert [number for number, text in found if LINES[line] in text] == [3], found


def language_server(folder, code, tmp_path):
    """lua-language-server --check over a folder of code with our stubs: its findings."""
    log = tmp_path / "log"
    settings = json.loads((ROOT / ".luarc.json").read_text())
    settings["workspace.library"] = [str(folder)]
    (tmp_path / "luarc.json").write_text(json.dumps(settings))
    done = subprocess.run(["lua-language-server", "--check", code, "--checklevel=Warning", "--configpath", tmp_path / "luarc.json", "--logpath", log],
        capture_output=True, text=True, timeout=600)
    found = log / "check.json"
    if found.exists():
        report = json.loads(found.read_text())
        return {path: findings for path, findings in report.items() if findings} if report else {}
    assert done.returncode == 0, done.stdout + done.stderr
    return {}


@pytest.mark.skipif(not shutil.which("lua-language-server"), reason="lua-language-server is not installed (neither Debian nor npm has it)")
@pytest.mark.parametrize("code", ["scripts", "examples"])
def test_the_language_server_finds_nothing(code, folder, tmp_path):
    assert language_server(folder, ROOT / code, tmp_path) == {}


@pytest.mark.skipif(not shutil.which("lua-language-server"), reason="lua-language-server is not installed (neither Debian nor npm has it)")
def test_the_language_server_finds_a_wrong_field(folder, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "detector.lua").write_text('local lunette = require "lunette"\nlunette.on("dns", function(e) lunette.log(e.rname) end)\n')
    assert "rname" in json.dumps(language_server(folder, tmp_path / "code", tmp_path))


def test_the_parser_is_that_of_lunette_check():
    assert (WORKBENCH / "check_parser.lua").exists() and (WORKBENCH / "check_lexer.lua").exists()
