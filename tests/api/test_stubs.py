"""The stubs for lua-language-server: the whole API is in them, with a comment on each function, and they are what is installed."""

import json
import re
import shutil
import subprocess

import pytest

from script import BINARY, ROOT, lunette, run
from stub_reader import read_stubs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("stubs") / "stubs"
    done = lunette("events", "--stubs-in", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def stubs(folder):
    return read_stubs(folder)


def test_every_public_function_has_its_comment(stubs):
    """What a script finds in the modules, by asking it."""
    rows = run("""local function list(prefix, t)
        for name, value in pairs(t) do
            if type(value) == "table" and prefix == "lunette" then list(prefix .. "." .. name, value)
            elseif type(value) == "function" then out(prefix .. "." .. name) end
        end
    end
    list("lunette", lunette)
    list("names", names) list("address", address) list("series", series) list("sketch", sketch) list("beat", require "lunette.beat")""")
    found = {row[0] for row in rows}
    assert found == {name for name in stubs.functions if ":" not in name and not name.startswith("test.")}
    for name, function in stubs.functions.items():
        assert any(not line.startswith("@") for line in function.doc), name + " has no sentence in its comment"
        assert set(function.parameters) == set(function.documented), name + ": parameters and @param differ"


def test_every_method_has_its_comment(stubs):
    """`function class:method` in the sources of series and sketch; methods that others write are fields of their classes."""
    for module in ("series", "sketch"):
        source = (ROOT / "lua-api" / (module + ".lua")).read_text()
        methods = set(re.findall(r"^function (\w+:\w+)\(", source, re.M))
        assert methods and methods <= set(stubs.functions)


def test_methods_that_the_stubs_name_are_there(stubs):
    rows = run("""local state, records = KEPT, SHAPED
    local record = records:make(1)
    local function has(class, object, ...)
        for i = 1, select("#", ...) do
            local ok, value = pcall(function(name) return object[name] end, (select(i, ...)))
            out(class, (select(i, ...)), type(value) == "function" or value ~= nil)
        end
    end
    for _, line in ipairs(lines) do
        local class, method = line:match("(%S+) (%S+)")
        local object = ({ State = state, Records = records, Record = record, Set = lunette.set.strings {} })[class]
        if object then has(class, object, method) end
    end""",
        ["%s %s" % (name.removeprefix("lunette."), field) for name, fields in stubs.classes.items() for field in fields if name in
            ("lunette.State", "lunette.Records", "lunette.Record", "lunette.Set") and field[0] != "["],
        before="KEPT = lunette.state('s', { max = 1 })\nSHAPED = lunette.records('r', { max = 1, fields = { n = 'u8' } })")
    assert len(rows) > 15 and [row for row in rows if row[2] != "true"] == []


def test_fields_of_events_are_the_schema(stubs):
    for name, event in json.loads(lunette("events", "--json").stdout).items():
        fields = {field["name"]: field["lua"] for field in event["fields"]}
        assert stubs.classes["lunette.Event" + ("" if name == "head" else "." + name)] == fields


def test_the_text_on_standard_output_is_the_main_file(folder):
    assert (folder / "lunette.lua").read_text() == lunette("events", "--stubs").stdout
    assert {path.name for path in (folder / "lunette").iterdir()} >= {"names.lua", "address.lua", "series.lua", "sketch.lua", "beat.lua"}


@pytest.mark.skipif(not shutil.which("luajit"), reason="the luajit program is not installed")
def test_the_stubs_are_lua(folder):
    for path in folder.rglob("*.lua"):
        done = subprocess.run(["luajit", "-bl", path, "/dev/null"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    done = lunette("events", "--stubs-in", tmp_path / "file" / "stubs")
    assert done.returncode == 1 and str(tmp_path / "file") in done.stderr
    assert lunette("events", "--stubs-in").returncode == 2


def test_the_repository_tells_the_editor_where_they_are():
    settings = json.loads((ROOT / ".luarc.json").read_text())
    assert settings["workspace.library"] == ["build/stubs"] and settings["runtime.version"] == "LuaJIT"


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
def test_they_are_installed_with_the_program(folder, tmp_path):
    if not (BINARY.parent / "cmake_install.cmake").exists():
        pytest.skip("the program is not in the folder that it was built in")
    done = subprocess.run(["cmake", "--install", BINARY.parent, "--prefix", tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "share" / "lunette" / "stubs"
    assert {p.relative_to(installed): p.read_text() for p in installed.rglob("*.lua")} == {p.relative_to(folder): p.read_text() for p in folder.rglob("*.lua")}
