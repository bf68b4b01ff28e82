"""The book (lua-api/README.md) does what it says: its detectors are put into a folder in the order in which the reader meets
them, its commands are run there, and what it shows as output is what comes.

How a block of code is marked tells what becomes of it:

    ```lua NAME.lua     written to the folder; *_test.lua are run by `lunette test` at the end as well
    ```lua              a piece of a detector: loaded and run over a capture, without an error
    ```sh               commands; each must end with exit code 0 (```sh fails: with 1)
    ```text             what the command before it prints; … stands for anything
"""
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

ROOT = pathlib.Path(__file__).resolve().parents[2]
HANG = 120
FENCE = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.M | re.S)
PAGES = {"lua-api/README.md": 20, "README.md": 1}  # and the least number of blocks that are known to be there


def blocks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield f"{page}:{line}", match[1], match[2] or "", match[3]


def run(folder, *arguments):
    return subprocess.run([LUNETTE, *arguments], cwd=folder, capture_output=True, text=True, timeout=HANG)


def said(done):
    return f"exit code {done.returncode}\n{done.stdout}{done.stderr}"


def matches(shown, printed):
    """Is what the page shows what was printed? A line that is … stands for any lines, … inside a line for any text."""
    pattern = ""
    for line in shown.splitlines():
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"\s*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else printed + "\n") is not None


class Reader:
    """Somebody who does what the page says, in a folder of her own."""

    def __init__(self, folder):
        self.folder = folder
        self.printed = None
        shutil.copy(EXAMPLES / "mac-first-boot.pcapng.gz", folder / "first-boot.pcapng.gz")

    def file(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")

    def piece(self, where, text):
        prelude = "" if 'require "lunette"\n' in text else 'local lunette = require "lunette"; '
        (self.folder / "pieces").mkdir(exist_ok=True)
        path = self.folder / "pieces" / "piece.lua"
        path.write_text(prelude + text, encoding="utf-8")
        done = run(self.folder, "replay", "-q", "-s", str(path), "first-boot.pcapng.gz")
        assert done.returncode == 0 and "failed" not in done.stderr, f"{where}: {said(done)}"

    def command(self, where, line, wanted):
        words = line.split("#")[0].split()
        assert words[0] == "lunette", f"{where}: {line}"
        done = run(self.folder, *words[1:])
        assert done.returncode == wanted, f"{where}: {line}: {said(done)}"
        self.printed = done.stdout + done.stderr


def follow(page, folder):
    reader = Reader(folder)
    for where, language, mark, text in blocks(page):
        if language == "lua" and mark.endswith(".lua"):
            reader.file(mark, text)
        elif language == "lua":
            reader.piece(where, text)
        elif language == "sh":
            for line in filter(None, map(str.strip, text.splitlines())):
                reader.command(where, line, 1 if mark == "fails" else 0)
        elif language == "text":
            assert matches(text, reader.printed), f"{where}: shown:\n{text}\nprinted:\n{reader.printed}"


def test_the_book(tmp_path):
    follow("lua-api/README.md", tmp_path)
    tests = sorted(p.name for p in tmp_path.glob("*_test.lua") if p.name != "wrong_test.lua")
    assert len(tests) >= 7
    done = run(tmp_path, "test", *tests)
    assert done.returncode == 0, said(done)


def test_the_detector_on_the_first_page(tmp_path):
    reader = Reader(tmp_path)
    pieces = [(where, text) for where, language, _, text in blocks("README.md") if language == "lua"]
    assert pieces
    for where, text in pieces:
        reader.piece(where, text)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_seen(page):
    """A fence that is written in another way would be skipped in silence."""
    text = (ROOT / page).read_text(encoding="utf-8")
    seen = len(list(blocks(page)))
    assert seen >= PAGES[page]
    if page == "lua-api/README.md":
        assert len(re.findall(r"^ *```", text, re.M)) == 2 * seen


@pytest.mark.parametrize("shown, printed, same", [
    ("a\n…\nc\n", "a\nb\nb\nc\n", True), ("a\n…\nc\n", "a\nc\n", True), ("a … c\n", "a b c\n", True),
    ("a\n", "a\nb\n", False), ("a\nb\n", "a\n", False), ("a.c\n", "abc\n", False),
])
def test_comparing_output(shown, printed, same):
    assert matches(shown, printed) is same
