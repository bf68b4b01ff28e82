"""A live sensor under test: started in a room, asked over its control socket, stopped, its records read.

    sensor = Sensor(rooms, "gateway", ["lan0"], "-w", 2)
    sensor.start()                              # returns when its interfaces are open and it answers
    sensor.status()["packets"]; sensor.metrics()["lunette_packets_total"]
    sensor.stop()
    sensor.records()
"""

import http.client
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import records
from records import BINARY, SCRIPTS
from rooms import Trouble, wait_for


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("lunette", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def why_not():
    """Why the program cannot be tried live, or None."""
    if not BINARY.exists():
        return "lunette is not built"
    said = subprocess.run([str(BINARY), "live", "--help"], capture_output=True, text=True)
    return None if said.returncode == 0 else "this lunette has no live command"


REASON = why_not()


class Sensor:
    number = 0

    def __init__(self, rooms, room, interfaces, *words, scripts=(SCRIPTS,), output=None, outputs=(), under=(), owner=None):
        Sensor.number += 1
        self.rooms, self.room, self.words, self.under = rooms, room, [str(w) for w in words], [str(w) for w in under]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"sensor{Sensor.number}-", dir=rooms.folder))
        self.folder.chmod(0o755)
        if owner:
            shutil.chown(self.folder, owner)
        self.output = pathlib.Path(output) if output else self.folder / "records.jsonl"
        self.socket = self.folder / "control"
        self.state = self.folder / "state"
        self.log = self.folder / "log"
        self.command = [BINARY, "live", "--log-format", "json", "--control", self.socket, "--state", self.state, "-q"]
        for interface in interfaces:
            self.command += ["-i", interface]
        for script in scripts:
            self.command += ["-s", script]
        if not scripts:
            self.command += ["--no-scripts"]
        for word in (self.output, *outputs):
            self.command += ["-o", word]
        self.process = None

    # ------------------------------------------------------------ life
    def launch(self):
        """Starts it and waits for nothing."""
        with open(self.log, "ab") as log:
            self.process = self.rooms.popen(self.room, *self.under, *self.command, *self.words, anywhere=True, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        return self

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self, other_than=None):
        """Until it answers: its interfaces are open by then. `other_than`: and is not the process of that number any more."""
        def ready():
            if self.process.poll() is not None:
                raise Trouble(f"the sensor ended with {self.process.returncode}\n{self.tail()}")
            try:
                status = self.status()
            except (OSError, http.client.HTTPException):
                return None
            return status if status["pid"] != other_than else None
        return wait_for(ready, 40, lambda: "the sensor to answer\n" + self.tail())

    def stop(self, how=signal.SIGTERM):
        """Ends it in good order; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.ended()

    def ended(self):
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            raise Trouble("the sensor did not end\n" + self.tail())

    # ------------------------------------------------------------ questions
    def ask(self, path, method="GET", timeout=30):
        """The answer's status and body; JSON is read."""
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            body = json.loads(body)
        return answer.status, body

    def status(self):
        code, body = self.ask("/status")
        assert code == 200, body
        return body

    def scripts(self):
        return {s["name"]: s for s in self.ask("/scripts")[1]["scripts"]}

    def reload(self, force=False):
        return self.ask("/reload" + ("?force=1" if force else ""), "POST")

    def metrics(self):
        code, body = self.ask("/metrics")
        assert code == 200, body
        found = {}
        for line in body.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def wait_status(self, condition, what, seconds=30):
        """The first status for which condition(status) is true. The board is renewed once a second."""
        last = {}

        def holds():
            try:
                last["status"] = self.status()
            except (OSError, http.client.HTTPException):
                return None
            return last["status"] if condition(last["status"]) else None
        return wait_for(holds, seconds, lambda: f"{what}\n{json.dumps(last.get('status'), indent=1)}\n{self.tail()}")

    # ------------------------------------------------------------ what it wrote
    def files(self):
        """The files of records, oldest first: those that were rotated have a time behind their name."""
        return sorted(self.output.parent.glob(self.output.name + "-*")) + [self.output]

    def records(self):
        return [record for path in self.files() for record in records.read(path)]

    def whole_records(self):
        """While it runs: the lines that are complete by now."""
        try:
            text = "".join(path.read_text() for path in self.files())
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self):
        return self.said()[-3000:]

    def children(self):
        """Numbers of the processes below the one that was started: the sensor itself, if it is supervised."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            try:
                below = [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                below = []
            found += below
            queue += below
        return found

    def worker_process(self):
        """The process that captures: what /status says it is."""
        return self.status()["pid"]
