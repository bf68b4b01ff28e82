"""`lunette top` in a terminal of 80 columns and 24 rows (tmux), at other sizes, and as text; with a sensor that comes and
goes."""
import os
import shutil
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from control_tool import HANG, LUNETTE, Tool, folder, needs_tool, tool  # noqa: E402, F401

pytestmark = needs_tool
needs_tmux = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


class Terminal:
    """`lunette top` in a tmux of its own."""

    def __init__(self, folder, path, columns=80, rows=24, locale="C.UTF-8", term=None):
        self.server = str(folder / "tmux")
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "TMUX": "", "TERM": "xterm"}
        self.folder = folder
        command = f"env LC_ALL={locale} {f'TERM={term}' if term else ''} {LUNETTE} top --socket {path}; echo ended $?; exec cat"
        self.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "top", command)

    def tmux(self, *words):
        run = subprocess.run(["tmux", "-S", self.server, *words], capture_output=True, text=True, timeout=HANG, env=self.env)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def lines(self):
        return self.tmux("capture-pane", "-p", "-t", "top").split("\n")

    def wait(self, *texts, without=()):
        """Until all of these are there; returns the lines."""
        end = time.monotonic() + HANG
        while True:
            lines = self.lines()
            screen = "\n".join(lines)
            if all(t in screen for t in texts) and not any(t in screen for t in without):
                return lines
            assert time.monotonic() < end, f"waiting for {texts}:\n{screen}"
            time.sleep(0.05)

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "top", *keys)

    def size(self, columns, rows):
        self.tmux("resize-window", "-t", "top", "-x", str(columns), "-y", str(rows))

    def end(self):
        subprocess.run(["tmux", "-S", self.server, "kill-server"], capture_output=True, timeout=HANG)


@pytest.fixture
def terminals(folder):
    opened = []

    def open_one(path, **options):
        opened.append(Terminal(folder, path, **options))
        return opened[-1]

    yield open_one
    for t in opened:
        t.end()


ALL = ("packets", "traffic", "Hosts", "Names", "Detectors", "Alerts", "q quit")


@needs_tmux
def test_a_screen_of_80_by_24(tool, terminals):
    t = terminals(tool.path)
    lines = t.wait(*ALL, "up 3 d 3 h", "192.168.1.10", "updates0.example.net", "tls_odd", "2 detectors are off", "max ")
    assert max(map(len, lines)) <= 80
    assert "lunette" in lines[0] and "live" in lines[0] and "en0" in lines[0] and "utun3 (gone)" in lines[0]
    assert "drops 0.3/s (51)" in lines[3] and "flows 1,321" in lines[3] and "memory 123.5 MB" in lines[3]
    assert len([line for line in lines if "Alert number" in line]) >= 4
    assert lines[23].strip().startswith("q quit") and "…" not in lines[23]


@needs_tmux
def test_keys(tool, terminals):
    t = terminals(tool.path)
    t.wait(*ALL)
    t.keys("2")
    t.wait("2001:db8:1234:5678:9abc:def0:1234:12", "flows", without=("Detectors", "Alert number"))
    t.keys("3")
    t.wait("attempt to index a nil value", "beacon", "idle", without=("Hosts",))
    t.keys("4")
    t.wait("192.168.1.10 → updates0.example.net", "jitter 0.4 s", r"evil\x1b[2J", without=("Hosts", "Detectors"))
    t.keys("Down", "Down", "Down")
    t.wait("3 newer above", "Alert number 3", without=("Alert number 2:",))
    t.keys("Up")
    t.wait("2 newer above", "Alert number 2:")
    t.keys(*["NPage"] * 9)
    t.wait("Alert number 39")
    t.keys("Home")
    t.wait("Alert number 0:", without=("newer above",))
    t.keys("Tab")
    t.wait(*ALL)
    t.keys("h")
    t.wait("Keys and words")
    t.keys("h")
    t.wait(*ALL, without=("Keys and words",))
    t.keys("p")
    stands = t.wait("paused")[0]
    assert t.wait("paused")[0] == stands
    t.keys("p")
    t.wait(*ALL, without=("paused",))
    t.keys("q")
    t.wait("ended 0")


@needs_tmux
def test_reload_asks_first(tool, terminals):
    t = terminals(tool.path)
    t.wait(*ALL)
    t.keys("r")
    t.wait("Reload configuration and scripts?")
    t.keys("n")
    t.wait("q quit")
    t.keys("r")
    t.wait("Reload configuration and scripts?")
    t.keys("y")
    t.wait("Reloaded: 1 changed (beacon), 8 kept")
    assert tool.word() == "reload"
    tool.tell("log")
    assert tool.word() == "logged"  # once
    t.keys("q")
    t.wait("ended 0")


@needs_tmux
def test_resizing(tool, terminals):
    t = terminals(tool.path)
    t.wait(*ALL)
    for columns, rows in ((140, 50), (50, 12), (200, 10), (20, 5), (10, 3), (1, 1), (300, 60), (80, 24)):
        t.size(columns, rows)
        if rows >= 24:
            t.wait(*ALL)
        assert max(map(len, t.lines())) <= columns
    t.keys("q")
    t.wait("ended 0")


@needs_tmux
@pytest.mark.parametrize("term, locale", [("screen", "C.UTF-8"), ("xterm", "C.UTF-8"), ("xterm-256color", "C"), ("vt100", "C"),
                                          ("linux", "C.UTF-8"), ("tmux-256color", "C.UTF-8")])
def test_terminals(tool, terminals, term, locale):
    if subprocess.run(["infocmp", term], capture_output=True).returncode != 0:
        pytest.skip(f"terminfo does not know {term}")
    t = terminals(tool.path, term=term, locale=locale)
    lines = t.wait(*ALL, "max ")
    if locale == "C":
        assert all(c < "\x7f" for line in lines for c in line)
    t.keys("q")
    t.wait("ended 0")


@needs_tmux
def test_a_sensor_that_goes_and_comes(folder, terminals):
    t = terminals(folder / "control.sock")
    t.wait("no sensor listens on", "Trying again")
    tool = Tool(folder)
    assert tool.word() == "ready"
    t.wait(*ALL, without=("no sensor",))
    assert tool.end() == 0
    t.wait("No answer: no sensor listens on", "Hosts")
    tool = Tool(folder)
    assert tool.word() == "ready"
    t.wait(*ALL, without=("No answer",))
    t.keys("C-c")
    t.wait("ended 0")
    assert tool.end() == 0


def once(path, **environment):
    return subprocess.run([LUNETTE, "top", "--once", "--socket", path], capture_output=True, timeout=HANG,
                          env={**os.environ, **environment})


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_once(tool, locale):
    run = once(tool.path, LC_ALL=locale, TERM="")
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode("ascii" if locale == "C" else "utf-8")
    assert "\x1b" not in text and "q quit" not in text
    for part in ("packets", "Hosts", "Names", "Detectors", "Alerts", "tls_odd", "Alert number 0"):
        assert part in text
    assert max(map(len, text.split("\n"))) <= 80


def test_once_without_a_sensor(folder):
    run = once(folder / "nobody")
    assert run.returncode == 1 and b"no sensor listens on" in run.stderr and not run.stdout


def test_used_wrongly(tool):
    for words in (["--nonsense"], ["now"], ["--socket"], []):
        run = subprocess.run([LUNETTE, "top", *words], capture_output=True, timeout=HANG, stdin=subprocess.DEVNULL)
        assert run.returncode == 2 and run.stderr and not run.stdout
    assert subprocess.run([LUNETTE, "top", "--help"], capture_output=True, timeout=HANG).returncode == 0
