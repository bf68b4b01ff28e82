"""A stranger at the real sensor's control socket while packets are taken: refused, outwaited, and nothing lost for it.

What the socket answers to whom in detail is tested in test_control.py, against a sensor that is none."""

import os
import shutil
import socket
import subprocess

import pytest

from needs import needs_rooms, needs_sensor
from wire import Wire, check_counts

pytestmark = [needs_rooms, needs_sensor]

ASK = b"GET /status HTTP/1.1\r\nHost: lunette\r\n\r\n"


def test_strangers_cost_nothing():
    with Wire() as wire:
        sensor = wire.sensor().start()
        sender = wire.load(500)
        sensor.wait_status(lambda s: s["packets"] > 0, "the load to arrive")
        refused_to_others(wire, sensor)
        oversized_is_refused(sensor)
        slow = half_a_request(sensor)
        assert sensor.status()["pid"], "somebody who is slow keeps others from being answered"
        never_reads = greedy(sensor)
        assert sensor.reload(force=True)[0] == 200
        sent = wire.finish(sender)
        status = sensor.wait_status(lambda s: s["packets"] >= sent, f"{sent} packets")
        assert status["packets"] == sent and status["dropped"] == 0 and status["restarts"] == 0
        assert sensor.stop() == 0, sensor.tail()
        check_counts(sensor.records(), sent)
        for caller in (slow, *never_reads):
            caller.close()


def call(sensor):
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(20)
    caller.connect(str(sensor.socket))
    return caller


def refused_to_others(wire, sensor):
    """By the file's mode; and, should somebody open that up, by who asks."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed (Debian: curl)")

    def ask_as_nobody():
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                               "--max-time", "10", "--unix-socket", str(sensor.socket), "http://lunette/status"], capture_output=True, text=True)
    assert ask_as_nobody().stdout == "000", "another user was let in"
    os.chmod(sensor.socket, 0o666)
    answer = ask_as_nobody().stdout
    os.chmod(sensor.socket, 0o600)
    assert answer in ("000", "403"), "another user was answered once the file let him in"
    assert sensor.ask("/status")[0] == 200


def oversized_is_refused(sensor):
    with call(sensor) as caller:
        try:
            caller.sendall(b"GET /" + b"x" * 4_000_000 + b" HTTP/1.1\r\n\r\n")
            answer = caller.recv(100)
        except OSError:
            answer = b""  # hung up on: as good
    assert answer == b"" or answer.split()[1][:1] == b"4"


def half_a_request(sensor):
    caller = call(sensor)
    caller.sendall(ASK[:10])
    return caller


def greedy(sensor):
    """Asks for much and reads nothing."""
    callers = []
    for _ in range(5):
        caller = call(sensor)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        try:
            caller.sendall(ASK.replace(b"/status", b"/metrics") * 50)
        except OSError:
            pass
        callers.append(caller)
    return callers
