"""`lunette new`: what it writes works at once, and nothing that was there is touched."""

import json
import os

import pytest

from author import ROOT

KINDS = ["dns", "tls", "http", "flow", "stream", "process", "vpn"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_detector_passes_its_test_and_runs(author, kind):
    done = author.run("new", "my_first", "--kind", kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["my_first.lua", "my_first_test.lua"]
    assert 0 < done.stdout.index("lunette check my_first.lua") < done.stdout.index("lunette test my_first_test.lua")
    text = (author.folder / "my_first.lua").read_text()
    assert text.startswith("-- my_first: ") and "@" not in text
    done = author.run("test", ".")
    assert done.returncode == 0 and "0 failures / 0 errors" in done.stdout, done.stdout
    done = author.run("check", "my_first.lua")
    assert done.returncode == 0 and "0 warnings / 0 errors" in done.stdout, done.stdout
    done = author.run("replay", "-q", "-s", "my_first.lua", ROOT / "examples" / "mac-first-boot.pcapng.gz")
    assert done.returncode == 0 and done.stderr == ""



@pytest.mark.parametrize("kind", KINDS)
def test_the_test_notices_when_the_detector_is_broken(author, kind):
    author.run("new", "mine", "--kind", kind)
    path = author.folder / "mine.lua"
    path.write_text(path.read_text().replace("lunette.alert {", "local _ = {"))
    done = author.run("test", "mine_test.lua")
    assert done.returncode == 1 and "there was none at all" in done.stdout


def test_nothing_is_overwritten(author):
    (author.folder / "mine_test.lua").write_text("precious")
    done = author.run("new", "mine")
    assert done.returncode == 1 and "mine_test.lua is there already" in done.stderr
    assert not (author.folder / "mine.lua").exists()
    assert (author.folder / "mine_test.lua").read_text() == "precious"
    (author.folder / ".luarc.json").write_text("mine")
    assert author.run("new", "other").returncode == 0
    assert (author.folder / ".luarc.json").read_text() == "mine"
    (author.folder / "dangling.lua").symlink_to("nowhere")
    assert author.run("new", "dangling").returncode == 1
    assert not (author.folder / "nowhere").exists()


def test_in_a_folder_that_is_made(author):
    done = author.run("new", "mine", "--in", "detectors")
    assert done.returncode == 0 and "lunette test detectors/mine_test.lua" in done.stdout
    assert (author.folder / "detectors" / "mine.lua").exists()
    done = author.run("new", "mine", "--in", "no/such")
    assert done.returncode == 1 and "no/such: No such file or directory" in done.stderr


def test_the_editor_is_told_where_the_stubs_are(author):
    author.run("new", "mine")
    path = author.folder / ".luarc.json"
    if not path.exists():
        pytest.skip("this build has no stubs")
    settings = json.loads(path.read_text())
    assert settings["runtime.version"] == "LuaJIT"
    assert all(os.path.isdir(folder) for folder in settings["workspace.library"]) and settings["workspace.library"]


@pytest.mark.parametrize("words, told", [
    (["a-b"], "letters, digits and _"), (["../x"], "letters, digits and _"), ([""], "letters, digits and _"),
    (["mine.lua"], "the name goes without .lua: mine"), (["mine_test"], "the test of another detector"), (["x" * 49], "at most 48"),
    (["mine", "--kind", "dsn"], "there is no kind 'dsn'; did you mean 'dns'?"),
    (["mine", "--kind", "weather"], "there are dns, tls, http, flow, stream, process, vpn"), (["mine", "--in"], "without its value"),
])
def test_wrong_use(author, words, told):
    done = author.run("new", *words)
    assert done.returncode == 2 and told in done.stderr
    assert list(author.folder.iterdir()) == []


def test_help(author):
    assert author.run("new", "--help").returncode == 0
    assert author.run("new").returncode == 2
    assert author.run("new", "a", "b").returncode == 2
