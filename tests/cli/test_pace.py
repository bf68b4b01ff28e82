"""`lunette replay --pace`: a capture goes through the live sensor. What comes out is what plain replay gives, and the sensor
can be asked, told and stopped while it plays."""
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, HANG, LUNETTE, needs_lunette, replay, run  # noqa: E402

pytestmark = needs_lunette

OF_THE_RUN = {"stats", "sensor", "report"}  # what a run says of itself, not of the packets
# The capture with the implant lasts six hours: it is played as fast as is allowed.
SAMPLES = {
    "mac-first-boot.pcapng.gz": "1000x",
    "mac-install.pcapng.gz": "1000x",
    "mac-with-implant.pcapng.gz": "100000x",
    "tools.pcap": "1000x",
}
BEGAN = 1_700_000_000
DETECTOR = """
local lunette = require "lunette"
lunette.detector { title = "Test", category = "Test" }
lunette.on("flow_start", function(e)
    lunette.alert { severity = "low", title = "a flow", who = e.client_ip, why = "port " .. e.server_port }
end)
"""


def records(path):
    """The lines that tell of packets, in the order of the file."""
    return [line for line in path.read_text().splitlines() if json.loads(line)["event_type"] not in OF_THE_RUN]


def flows(path):
    return [json.loads(line) for line in records(path) if json.loads(line)["event_type"] == "flow"]


def said(path, what):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["sensor"] for line in lines if line["event_type"] == "sensor" and line["sensor"]["what"] == what]


@pytest.fixture
def home(tmp_path):
    """No socket, state or scripts of this machine's user."""
    keep = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "TSAN_OPTIONS") if key in os.environ}
    return {**keep, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}


def udp_capture(path, seconds):
    """A datagram of a flow of its own at each of these seconds, from ports 1001, 1002, ... on."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for i, second in enumerate(seconds):
        udp = struct.pack("!HHHH", 1001 + i, 9, 8 + 4, 0) + b"beep"
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + bytes([10, 0, 0, 5, 192, 0, 2, 1])
        data = bytes(12) + b"\x08\x00" + ip + udp
        out += struct.pack("<IIII", BEGAN + second, 0, len(data), len(data)) + data
    path.write_bytes(out)
    return path


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sample", SAMPLES)
def test_gives_what_plain_replay_gives(sample, workers, tmp_path, home):
    capture = EXAMPLES / sample
    if not capture.exists():
        pytest.skip("the samples are not here")
    plain, paced = tmp_path / "plain.json", tmp_path / "paced.json"
    shared = ("-q", "-w", workers, capture)
    one = replay("-o", plain, *shared, env=home)
    two = replay("-o", paced, "--pace", SAMPLES[sample], "--control", "none", *shared, env=home)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr.decode()
    assert records(plain)
    assert records(paced) == records(plain)


@pytest.mark.parametrize("workers", [1, 2])
def test_packets_are_counted_once(workers, tmp_path, home):
    capture, out = udp_capture(tmp_path / "c.pcap", range(20)), tmp_path / "out.json"
    done = replay("-q", "-w", workers, "--no-scripts", "--pace", "10000x", "--control", "none", "-o", out, capture, env=home)
    assert done.returncode == 0
    stats = [json.loads(line)["stats"] for line in out.read_text().splitlines() if '"event_type":"stats"' in line]
    assert stats[-1]["capture"]["packets"] == 20
    assert len(flows(out)) == 20


def test_a_failing_detector_is_the_exit_code(tmp_path, home):
    capture, script = udp_capture(tmp_path / "c.pcap", range(3)), tmp_path / "broken.lua"
    script.write_text(DETECTOR.replace("lunette.alert", "local x = nil + 1 lunette.alert"))
    out = tmp_path / "out.json"
    done = replay("-q", "-s", script, "--pace", "10000x", "--control", "none", "-o", out, capture, env=home)
    assert done.returncode == 1
    assert b"broken.lua:5" in done.stderr
    assert len(flows(out)) == 3


def test_a_cut_capture_is_played_and_told_of(tmp_path, home):
    capture, out = udp_capture(tmp_path / "c.pcap", range(3)), tmp_path / "out.json"
    capture.write_bytes(capture.read_bytes()[:-10])
    shared = ("-q", "--no-scripts", "-o", out, capture)
    plain = replay(*shared, env=home)
    paced = replay("--pace", "10000x", "--control", "none", *shared, env=home)
    assert paced.returncode == plain.returncode
    told = plain.stderr.decode().splitlines()[-1]
    assert "c.pcap" in told and told in paced.stderr.decode()
    assert len(flows(out)) == 2


def test_what_is_no_capture_is_refused(tmp_path, home):
    other = tmp_path / "other"
    other.write_bytes(b"hello, world")
    out = tmp_path / "out.json"
    out.write_text("of the last run\n")
    done = replay("--pace", "10x", "--control", "none", "-o", out, other, env=home)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1 and str(other) in done.stderr.decode()
    assert out.read_text() == "of the last run\n"


class Playing:
    """A run whose capture begins with ten datagrams and has an eleventh an hour later, at the pace of life."""

    def __init__(self, folder, home, *arguments, scripts=("--no-scripts",)):
        self.folder, self.home = folder, home
        self.socket, self.out = folder / "run" / "socket", folder / "out.json"
        capture = udp_capture(folder / "c.pcap", [0] * 10 + [3600])
        self.messages = (folder / "messages").open("wb")
        command = ["replay", "--pace", "1x", "-q", "--control", self.socket, "-o", self.out, *scripts, *arguments, capture]
        self.process = subprocess.Popen(
            [LUNETTE, *map(str, command)], stdout=subprocess.DEVNULL, stderr=self.messages, env=home
        )

    def ctl(self, *arguments):
        return run("ctl", "--socket", self.socket, *arguments, env=self.home)

    def json(self, *arguments):
        answer = self.ctl("--json", *arguments)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def until(self, what):
        """Waits until what() holds; its value."""
        end = time.monotonic() + HANG
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            value = what()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError("it did not come about: " + self.said())

    def until_seen(self):
        """Until the ten datagrams have been worked on."""
        return self.until(lambda: len((self.json("flows") or {"flows": []})["flows"]) == 10)

    def end(self):
        return self.process.wait(timeout=HANG)

    def said(self):
        return (self.folder / "messages").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.messages.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_the_records_of_what_was_seen(number, workers, tmp_path, home):
    with Playing(tmp_path, home, "-w", workers) as playing:
        playing.until_seen()
        playing.process.send_signal(number)
        assert playing.end() == 0
        assert sorted(flow["src_port"] for flow in flows(playing.out)) == [*range(1001, 1011)]
        assert not playing.socket.exists()


def test_the_same_signal_twice_at_once_is_one(tmp_path, home):
    """As timeout(1) and terminals send it."""
    with Playing(tmp_path, home) as playing:
        playing.until_seen()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            playing.process.send_signal(number)
        assert playing.end() == 0
        assert len(flows(playing.out)) == 10


def test_a_second_signal_is_heard_while_a_worker_does_not_end(tmp_path, home):
    script = tmp_path / "endless.lua"
    script.write_text(DETECTOR + "lunette.on_end(function() while true do end end)\n")
    with Playing(tmp_path, home, scripts=("-s", script, "--script-time", "0")) as playing:
        playing.until_seen()
        playing.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + HANG
        while playing.process.poll() is None and time.monotonic() < end:
            playing.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert playing.end() == 1
        assert "second time" in playing.said()


def test_a_worker_that_is_stuck_is_told_of_with_its_handler(tmp_path, home):
    script = tmp_path / "endless.lua"
    script.write_text(DETECTOR.replace("lunette.alert", "while true do end lunette.alert"))
    with Playing(tmp_path, home, scripts=("-s", script, "--script-time", "0")) as playing:
        told = playing.until(lambda: playing.out.exists() and said(playing.out, "stuck"))
        assert "detector endless" in told[0]["message"] and "endless.lua:4" in told[0]["message"]


def test_a_handler_that_does_not_end_is_stopped_and_the_sensor_goes_on(tmp_path, home):
    endless, fine = tmp_path / "endless.lua", tmp_path / "fine.lua"
    endless.write_text(DETECTOR.replace("lunette.alert", "while true do end lunette.alert"))
    fine.write_text(DETECTOR)
    with Playing(tmp_path, home, scripts=("-s", endless, "-s", fine, "--script-time", "0.1")) as playing:
        playing.until_seen()
        states = playing.until(lambda: {s["name"]: s for s in playing.json("scripts")["scripts"]})
        assert states["fine"]["state"] == "on"
        playing.until(lambda: {s["name"]: s for s in playing.json("scripts")["scripts"]}["endless"]["state"] == "off")
        states = {s["name"]: s for s in playing.json("scripts")["scripts"]}
        assert "endless.lua:4: did not come to its end within 0.1 s" in states["endless"]["trouble"]
        assert "endless.lua:4: did not come to its end" in playing.ctl("scripts").stdout.decode()
        # It stays off at a reload that does not concern it, and comes back when it was changed.
        fine.write_text(DETECTOR + "-- touched\n")
        assert playing.ctl("reload").returncode == 0
        assert {s["name"]: s["state"] for s in playing.json("scripts")["scripts"]}["endless"] == "off"
        endless.write_text(DETECTOR)
        assert playing.ctl("reload").returncode == 0
        playing.until(lambda: {s["name"]: s["state"] for s in playing.json("scripts")["scripts"]}["endless"] == "on")
        playing.process.send_signal(signal.SIGTERM)
        assert playing.end() == 1  # its error is counted, over the reload too
    alerts = [json.loads(line) for line in records(playing.out) if '"event_type":"alert"' in line]
    stopped = [a for a in alerts if a["lunette"]["detector"] == "endless"]
    assert [a["alert"]["signature"] for a in stopped] == ["Detector endless was stopped and is off"]
    assert stopped[0]["lunette"]["where"].endswith("endless.lua:4")
    assert len([a for a in alerts if a["lunette"]["detector"] == "fine"]) == 10


def test_ctl_stop_ends_it_in_good_order(tmp_path, home):
    with Playing(tmp_path, home) as playing:
        playing.until_seen()
        assert playing.ctl("stop").returncode == 0
        assert playing.end() == 0
        assert len(flows(playing.out)) == 10


def test_it_is_asked_and_told_while_it_plays(tmp_path, home):
    script = tmp_path / "told.lua"
    script.write_text(DETECTOR)
    with Playing(tmp_path, home, "-w", "2", "--no-watch", scripts=("-s", script)) as playing:
        playing.until_seen()
        status = playing.until(lambda: (lambda s: s if s and s.get("packets") == 10 else None)(playing.json("status")))
        assert status["mode"] == "replay"
        assert playing.json("flows", "--host", "192.0.2.99")["flows"] == []
        assert playing.ctl("reload").stdout.decode().count("nothing has changed") == 1
        script.write_text(DETECTOR + "-- changed\n")
        assert b"told loaded anew (told.lua changed)" in playing.ctl("reload").stdout
        script.write_text(DETECTOR + "this is no Lua\n")
        refused = playing.ctl("reload")
        assert refused.returncode == 1 and b"told.lua:7" in refused.stderr
        playing.until(lambda: re.search(r"^reloads +\d+ done, 1 failed; the last at ", playing.ctl("status").stdout.decode(), re.M))
        assert playing.ctl("rotate").returncode == 0
        assert playing.ctl("stop").returncode == 0
        assert playing.end() == 0


def test_answers_can_be_read_by_people(tmp_path, home):
    """While flows are open there are no busiest hosts: that is said. And a reader may leave."""
    with Playing(tmp_path, home) as playing:
        playing.until_seen()
        for command in ("hosts", "top"):
            assert b"a flow counts when it ends" in playing.ctl(command).stdout
        assert b"a flow counts when it ends" in run("top", "--once", "--socket", playing.socket, env=home).stdout
        assert b"1 worker\n" in playing.ctl("status").stdout
        for words in (["ctl", "metrics"], ["ctl", "status"], ["ctl", "--json", "top"], ["top", "--once"]):
            reading, writing = os.pipe()
            os.close(reading)
            command = [LUNETTE, *words, "--socket", str(playing.socket)]
            done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=HANG, env=home)
            os.close(writing)
            assert (done.returncode, done.stderr) == (0, b""), words
        assert playing.ctl("stop").returncode == 0
        assert playing.end() == 0


def test_of_reloads_at_the_same_time_each_has_its_answer(tmp_path, home):
    """Done, or refused since another is under way: none waits for ever."""
    script = tmp_path / "told.lua"
    script.write_text(DETECTOR)
    with Playing(tmp_path, home, "--no-watch", scripts=("-s", script)) as playing:
        playing.until_seen()
        command = [LUNETTE, "ctl", "--socket", str(playing.socket), "reload", "--force"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        asked = [subprocess.Popen(command, env=home, **pipes) for _ in range(8)]
        answers = [one.communicate(timeout=HANG) for one in asked]
        done = [b"told loaded anew" in out for out, _ in answers]
        assert any(done)
        assert all(one.returncode == 0 if was else b"under way" in err for one, was, (_, err) in zip(asked, done, answers))
        assert playing.ctl("stop").returncode == 0
        assert playing.end() == 0


def test_a_stop_during_reloads_ends_it(tmp_path, home):
    with Playing(tmp_path, home, "-w", "2", scripts=()) as playing:
        playing.until_seen()
        command = [LUNETTE, "ctl", "--socket", str(playing.socket), "reload", "--force"]
        asked = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=home) for _ in range(4)]
        assert playing.ctl("stop").returncode == 0
        assert playing.end() == 0
        assert all(one.wait(timeout=HANG) in (0, 1) for one in asked)
        assert len(flows(playing.out)) == 10
