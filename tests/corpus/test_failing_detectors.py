"""A detector that fails does not take the others with it: their alerts stay the same, byte for byte, and the program says
which file failed in which line, and ends with exit code 1."""
import functools
import json
import shutil

import pytest

from captures import EXAMPLES, SCRIPTS, needs_lunette, replay

pytestmark = needs_lunette

BEGINNING = 'local lunette = require "lunette"\nlunette.detector { title = "Broken", category = "Test" }\n'
# What fails, the text of the detector, the line that stderr names, what it says. Of memory that ran out it names the
# handler: a traceback would need memory.
BROKEN = {
    "raises": (BEGINNING + 'lunette.on("flow", function(e)\n    local nothing\n    return nothing.field\nend)\n', 5, "nil"),
    "unreadable": (BEGINNING + "lunette.on(\n    then\n", 4, "then"),
    "greedy": (
        BEGINNING + 'local kept = {}\nlunette.on("flow", function(e)\n'
        "    while true do\n        kept[#kept + 1] = ('x'):rep(1000) .. #kept\n    end\nend)\n", 4, "memory"),
    "endless": (BEGINNING + 'lunette.on("flow", function(e)\n    while true do end\nend)\n', 3, "did not come to its end"),
    "tricky": (
        BEGINNING + 'lunette.on("dns", function(e)\n    return ("a"):rep(300000):find(".-.-.-b")\nend)\n', 3,
        "did not come to its end"),
}
LIMITS = ("--script-memory", 32, "--script-time", 0.5)


def alerts(*arguments):
    """(exit code, alerts of the shipped detectors as they were written, standard error)."""
    done = replay("-q", "-o", "-", "--record", "alert", *arguments, EXAMPLES / "mac-with-implant.pcapng.gz",
                  EXAMPLES / "tools.pcap")
    shipped = [line for line in done.stdout.splitlines() if json.loads(line)["lunette"]["detector"] not in BROKEN]
    return done.returncode, shipped, done.stderr.decode()


@functools.lru_cache(maxsize=None)
def undisturbed(workers=1):
    """alerts() of the shipped detectors among themselves."""
    return alerts("-s", SCRIPTS, "-w", workers)


@pytest.fixture
def beside(tmp_path):
    """A function that puts broken detectors beside copies of the shipped ones."""

    def put(*broken):
        folder = tmp_path / "scripts"
        shutil.copytree(SCRIPTS, folder)
        for name in broken:
            (folder / (name + ".lua")).write_text(BROKEN[name][0])
        return folder

    return put


def assert_named(name, stderr):
    _, line, word = BROKEN[name]
    told = [l for l in stderr.splitlines() if f"{name}.lua:{line}:" in l]
    assert told and any(word in l for l in told), stderr


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_the_others_do_not_notice(name, beside):
    fine, expected, quiet = undisturbed()
    assert fine == 0 and quiet == "" and len(expected) > 3
    code, got, stderr = alerts("-s", beside(name), *LIMITS)
    assert got == expected
    assert code == 1
    assert_named(name, stderr)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_of_them_at_once(workers, beside):
    _, expected, _ = undisturbed(workers)
    code, got, stderr = alerts("-s", beside(*BROKEN), *LIMITS, "-w", workers)
    assert sorted(got) == sorted(expected)
    assert code == 1
    for name in BROKEN:
        assert_named(name, stderr)


def test_only_the_scripts_own_lines_are_told(tmp_path):
    """Its author cannot do anything about ours."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.lua").write_text("return { cut = function(text) local part = text:sub({}) return part end }\n")
    (tmp_path / "deep.lua").write_text(
        BEGINNING + 'local helper = require "helper"\nlocal state = lunette.state("s", { max = 9 })\n'
        "local function inner(e)\n    local part = helper.cut(e.client_ip)\n    return part\nend\n"
        'lunette.on("flow", function(e)\n    local x = inner(e)\n    state:set("k", x)\nend)\n'
    )
    done = replay("-q", "-o", "-", "-s", tmp_path / "deep.lua", EXAMPLES / "tools.pcap")
    told = done.stderr.decode()
    assert "lib/helper.lua:1" in told and "deep.lua:6" in told and "deep.lua:10" in told, told
    assert not any(ours in told for ours in ("dispatch.lua", "loop over", "[C]", "boot.lua", "store.lua")), told
