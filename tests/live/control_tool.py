"""A control socket to knock at: tests/live/tool_control.c, which serves a filled-in board."""
import http.client
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile

import pytest

LUNETTE = pathlib.Path(os.environ.get("LUNETTE", "build/lunette")).resolve()
TOOLS = pathlib.Path(os.environ.get("LUNETTE_TOOLS", LUNETTE.parent / "tests")).resolve()
HANG = 60

needs_tool = pytest.mark.skipif(not (TOOLS / "tool_control").exists() or not LUNETTE.exists(),
                                reason="tool_control or lunette is not built")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Tool:
    """The running tool: its socket's path, and its words."""

    def __init__(self, folder, *options, path=None):
        self.folder = folder
        self.path = path or folder / "control.sock"
        self.errors = open(folder / "errors", "w+b")
        self.process = subprocess.Popen([TOOLS / "tool_control", str(self.path), *map(str, options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)
        self.text = b""

    def word(self):
        """The next line it says; "" if it ended."""
        while b"\n" not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [], HANG)
            assert ready, "it says nothing"
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                return ""
            self.text += piece
        line, self.text = self.text.split(b"\n", 1)
        return line.decode()

    def tell(self, word):
        self.process.stdin.write(word.encode() + b"\n")

    def said_on_stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        code = self.process.wait(HANG)
        self.process.stdout.close()
        return code

    # ── asking ──

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(HANG)
        s.connect(str(self.path))
        return s

    def ask(self, method, target, headers={}, body=None):
        """Status, headers and body, by Python's own client."""
        connection = http.client.HTTPConnection("lunette", timeout=HANG)
        connection.sock = self.connect()
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        result = answer.status, answer.headers, answer.read()
        connection.close()
        return result

    def send_raw(self, data):
        """All that comes back for these bytes."""
        with self.connect() as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has heard enough
            return read_all(s)


def read_all(s):
    data = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionError:
            return data
        if not piece:
            return data
        data += piece


@pytest.fixture
def folder():
    """Short, since a socket's path may have 103 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="lunette-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def tool(folder):
    t = Tool(folder)
    assert t.word() == "ready", t.said_on_stderr()
    yield t
    assert t.end() == 0, t.said_on_stderr()
    assert not t.path.exists()


def ctl(tool, *arguments, **environment):
    env = {**os.environ, "LUNETTE_SOCKET": str(tool.path), "TERM": "dumb", **environment}
    return subprocess.run([LUNETTE, "ctl", *arguments], capture_output=True, text=True, timeout=HANG, env=env)
