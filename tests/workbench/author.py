"""What a detector author has: a folder with files, and `lunette test` and `lunette new` at the prompt."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette")).resolve()

# Says of each DNS question what was asked; of names with "twice" in them so twice.
ECHO = """
local lunette = require "lunette"
lunette.detector { title = "Asked", category = "Discovery" }
local tunables = lunette.tunables { quiet = "nothing" }
lunette.on("dns", { type = "query" }, function(e)
    if e.rrname == tunables.quiet then return end
    lunette.log("asked for " .. e.rrname)
    local labels = {}
    for label in e.rrname:gmatch("[^.]+") do labels[#labels + 1] = label end
    for _ = 1, e.rrname:find("twice") and 2 or 1 do
        lunette.alert { severity = "low", who = e.client_ip, where = e.rrname, why = "it asked", score = 2.5,
            evidence = { labels = #labels, half = #labels / 3, list = labels, type = e.rrtype } }
    end
end)
lunette.on_end(function()
    lunette.report { title = "Done", columns = { "what", ">n" }, rows = { { "first", 1 }, { "second", 2.5 } }, note = "all" }
end)
"""


class Author:
    def __init__(self, folder):
        self.folder = folder
        if not BINARY.exists():
            pytest.skip("lunette is not built")

    def write(self, **files):
        """NAME_lua="…" writes NAME.lua."""
        for name, text in files.items():
            (self.folder / (name.removesuffix("_lua") + ".lua")).write_text(text)

    def run(self, *words, cwd=None):
        return subprocess.run([str(BINARY), *map(str, words)], capture_output=True, text=True, timeout=300,
                              cwd=cwd or self.folder, env={**os.environ, "NO_COLOR": "1"})

    def case(self, body, *words, detector=ECHO):
        """Runs one case with that body; line 3 of the file is the body's first."""
        self.write(echo_lua=detector)
        (self.folder / "echo_test.lua").write_text(
            'local t = require "lunette.test"\nt.case("it", function(c)\n%s\nend)\n' % body)
        return self.run("test", "echo_test.lua", *words)

    def passes(self, body, *words, **more):
        done = self.case(body, *words, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, body, *words, **more):
        """The text of the failure, without the count; the case must fail, and be no error."""
        done = self.case(body, *words, **more)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "1 failure / 0 errors" in done.stdout, done.stdout
        return done.stdout

    def errs(self, body, *words, **more):
        done = self.case(body, *words, **more)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "0 failures / 1 error " in done.stdout, done.stdout
        return done.stdout


def squeezed(text):
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def author(tmp_path):
    return Author(tmp_path)
