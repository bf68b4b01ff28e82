"""What goes wrong in months, staged: each test says what happened, what the sensor told of it, and what was lost.

Load is numbered (load.py), so "nothing lost" means that each query came to the detector once and in order."""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

import load
from needs import needs_rooms, needs_sensor
from records import BINARY, kind
from rooms import HERE, wait_for
from wire import Wire, check_counts, counted, expected_alerts, of_counting

pytestmark = [needs_rooms, needs_sensor]

SANITIZED = os.environ.get("LUNETTE_SANITIZE") == "1"


@pytest.fixture
def wire():
    with Wire() as w:
        yield w


def told(records, what):
    """Messages of the sensor's own records of this kind."""
    return [r["sensor"] for r in kind(records, "sensor") if r["sensor"]["what"] == what]


def packets(sensor, count):
    return sensor.wait_status(lambda s: s["packets"] >= count, f"{count} packets")


def ends_well(sensor, sent):
    """Stops it; its records hold all that was sent, and nothing was dropped."""
    status = packets(sensor, sent)
    assert status["packets"] == sent and status["dropped"] == status["interface_dropped"] == 0
    assert sensor.stop() == 0, sensor.tail()
    records = sensor.records()
    check_counts(records, sent)
    return records


# ---------------------------------------------------------------------- interfaces


def test_interface_down_and_up(wire):
    """Lost: nothing but what the wire did not carry."""
    sensor = wire.sensor().start()
    wire.send(500)
    packets(sensor, 500)
    wire.run("tap", "ip", "link", "set", "tap0", "down")
    sensor.wait_status(lambda s: not s["interfaces"][0]["open"], "the interface to be let go of")
    wire.run("tap", "ip", "link", "set", "tap0", "up")
    sensor.wait_status(lambda s: s["interfaces"][0]["open"] and s["interfaces"][0]["times_opened"] == 2, "the interface to be picked up")
    wire.send(500)
    records = ends_well(sensor, 1000)
    assert [r["open"] for r in told(records, "interface")] == [False, True]


def test_interface_deleted_and_made_anew(wire):
    """As utun interfaces come and go. Lost: nothing that was sent while it was there."""
    sensor = wire.sensor().start()
    wire.send(500)
    packets(sensor, 500)
    wire.run("tap", "ip", "link", "del", "tap0")
    sensor.wait_status(lambda s: not s["interfaces"][0]["open"], "the interface to be let go of")
    assert sensor.process.poll() is None
    wire.sender.close()
    wire.plug()
    sensor.wait_status(lambda s: s["interfaces"][0]["open"], "the new interface to be picked up")
    wire.send(500)
    records = ends_well(sensor, 1000)
    assert [r["open"] for r in told(records, "interface")] == [False, True]


def test_a_sensor_that_is_late_says_what_it_lost(wire):
    """The process is stopped while more comes than the ring holds. Lost: what found no room, counted to the packet, and told by an
    alert."""
    sensor = wire.sensor("--ring", 4).start()
    pid = sensor.status()["pid"]
    os.kill(pid, signal.SIGSTOP)
    wire.send(60000)
    os.kill(pid, signal.SIGCONT)
    status = sensor.wait_status(lambda s: s["packets"] + s["dropped"] >= 60000, "all packets to be taken or counted", 60)
    assert status["dropped"] > 0 and status["packets"] + status["dropped"] == 60000
    sensor.wait_status(lambda s: s["alerts"]["medium"] > 0, "the alert")
    assert sensor.stop() == 0, sensor.tail()
    records = sensor.records()
    assert sum(r["dropped"] for r in told(records, "drops")) == status["dropped"]
    assert [r["lunette"]["detector"] for r in kind(records, "alert") if r["alert"]["signature"] == "drops"] == ["lunette"]


def test_told_to_stop_it_works_on_what_has_come(wire):
    """Packets that the kernel still holds when the signal comes belong to the records. Lost: nothing."""
    sensor = wire.sensor().start()
    wire.send(5000)
    assert sensor.stop() == 0, sensor.tail()  # at once: most are still in the ring
    check_counts(sensor.records(), 5000)


def test_a_name_that_is_gone_is_waited_for_after_a_crash(wire):
    """The worker process dies while the interface is away. Lost: what was sent before it was back."""
    sensor = wire.sensor().start()
    wire.send(500)
    pid = packets(sensor, 500)["pid"]
    wire.run("tap", "ip", "link", "del", "tap0")
    sensor.wait_status(lambda s: not s["interfaces"][0]["open"], "the interface to be let go of")
    os.kill(pid, signal.SIGKILL)
    sensor.wait_ready(other_than=pid)
    wire.sender.close()
    wire.plug()
    sensor.wait_status(lambda s: any(i["open"] for i in s["interfaces"]), "the interface to be picked up")
    wire.send(500)
    packets(sensor, 500)
    assert sensor.stop() == 0, sensor.tail()
    assert [r["restarts"] for r in told(sensor.records(), "restart")] == [1]


# ---------------------------------------------------------------------- receivers


LINE = 300       # bytes of a record of a query, about
QUEUE = 8 << 20  # bytes of an output's lines that wait in memory: engine/output/receiver.h


def test_full_disk(wire):
    """Lost: at first nothing, as lines wait in memory; then what finds no room there either, each line counted. Capture and
    detectors go on, and records are written again as soon as there is room."""
    small = wire.folder / "small"
    small.mkdir()
    wire.run(None, "mount", "-t", "tmpfs", "-o", "size=1m", "none", small)
    inside = wire.inside(str(small))
    ballast = inside / "ballast"
    ballast.write_bytes(bytes(512 << 10))
    sensor = wire.sensor(output=small / "records.jsonl").start()
    wire.send(3000)
    full = sensor.wait_status(lambda s: s["outputs"] and not s["outputs"][0]["healthy"], "the disk to be full")
    assert "space" in full["outputs"][0]["trouble"].lower() and full["outputs"][0]["lost"] == 0
    wire.send(2 * QUEUE // LINE)
    lost = sensor.wait_status(lambda s: s["packets"] == wire.sent and s["outputs"][0]["lost"] > 0, "lines to be lost")["outputs"][0]["lost"]
    wire.run(None, "mount", "-o", "remount,size=64m", small)
    sensor.wait_status(lambda s: s["outputs"][0]["healthy"] and s["outputs"][0]["spooled"] == 0, "the output to recover")
    before = wire.sent
    wire.send(200)
    status = packets(sensor, wire.sent)
    assert status["dropped"] == 0
    assert sensor.stop() in (0, 1), sensor.tail()
    records = [json.loads(line) for line in (inside / "records.jsonl").read_text().splitlines()]  # no line is torn
    names = queries(records)
    assert len(names) == len(set(names))
    assert {load.name_of(*pair) for pair in load.numbered(before, 200)} <= set(names), "what came when there was room again is there"
    missing = wire.sent - len(names) + len(expected_alerts(wire.sent)) - len(of_counting(records))
    assert missing == lost, "what was lost was not what was counted"


class Receiver:
    """A receiver of JSON lines over TCP in the sensor's room. It takes nothing until told to."""

    def __init__(self, wire, port=0):
        def listen(_):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            return listener
        self.listener = wire.with_network("tap", listen)
        self.port = self.listener.getsockname()[1]
        self.data = bytearray()
        self.thread = None

    def accept(self):
        self.listener.settimeout(30)
        self.connection, _ = self.listener.accept()

    def take(self):
        """From now on takes all there is, in a thread."""
        def work():
            while True:
                got = self.connection.recv(1 << 16)
                if not got:
                    return
                self.data += got
        self.connection.settimeout(60)
        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def lines(self):
        return [json.loads(line) for line in bytes(self.data).splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self):
        if self.thread:
            self.thread.join(30)
        self.listener.close()


def queries(records):
    return [r["dns"]["rrname"] for r in kind(records, "dns")]


def test_dead_receiver(wire):
    """Nobody listens, then somebody does. Lost: nothing."""
    receiver = Receiver(wire)
    port = receiver.port
    receiver.listener.close()
    sensor = wire.sensor("--spool", wire.folder / "spool", outputs=(f"tcp:127.0.0.1:{port}",)).start()
    wire.send(2000)
    status = packets(sensor, 2000)
    status = sensor.wait_status(lambda s: s["outputs"][1]["spooled"] > 0, "the spool to fill")
    assert not status["outputs"][1]["healthy"]
    receiver = Receiver(wire, port)
    sensor.ask("/rotate", "POST")  # try again now
    receiver.accept()
    receiver.take()
    wait_for(lambda: len(queries(receiver.lines())) >= 2000, 40, lambda: f"the spool to arrive, {len(receiver.data)} bytes so far\n{sensor.tail()}")
    records = ends_well(sensor, 2000)
    receiver.close()
    assert queries(receiver.lines()) == queries(records)
    assert status["outputs"][1]["lost"] == 0


def test_slow_receiver(wire):
    """Connected, but takes nothing, while more than the sockets' buffers hold is sent. Capture does not wait. Lost: nothing."""
    receiver = Receiver(wire)
    sensor = wire.sensor("--spool", wire.folder / "spool", outputs=(f"tcp:127.0.0.1:{receiver.port}",)).start()
    receiver.accept()
    count = 30000
    wire.send(count)
    status = packets(sensor, count)
    status = sensor.wait_status(lambda s: s["outputs"][1]["spooled"] > 1 << 20, "the spool to fill")
    assert status["outputs"][0]["spooled"] < 1 << 20 and status["dropped"] == 0
    receiver.take()
    wait_for(lambda: receiver.data.count(b'"rrname"') >= count, 60, "the receiver to have all")
    status = sensor.wait_status(lambda s: s["outputs"][1]["spooled"] == 0, "the spool to be empty")
    assert status["outputs"][1]["lost"] == 0 and status["outputs"][1]["healthy"]
    records = ends_well(sensor, count)
    receiver.close()
    assert queries(receiver.lines()) == queries(records)


# ---------------------------------------------------------------------- processes


def test_worker_process_killed(wire):
    """kill -9 of the process that captures. Lost: what it had not saved and what came while nobody watched: both none here."""
    sensor = wire.sensor("--state-every", 1).start()
    wire.send(600)
    packets(sensor, 600)
    wait_for(lambda: len(queries(sensor.whole_records())) == 600, what="the records to be written")
    first = sensor.status()
    saved = sensor.wait_status(lambda s: s["state_saved"] and s["state_saved"] > first["now"], "the state to be saved")
    os.kill(saved["pid"], signal.SIGKILL)
    status = sensor.wait_ready(other_than=saved["pid"])
    assert status["restarts"] == 1 and status["last_exit"].startswith("was killed by signal 9")
    wire.send(400)
    status = packets(sensor, 400)
    assert sensor.stop() == 0, sensor.tail()
    records = sensor.records()
    check_counts(records, 1000)  # the counts went on where they were
    assert [r for r in told(records, "restart") if "the one before was killed by signal 9" in r["message"] and r["restarts"] == 1]


def test_supervisor_killed(wire):
    """kill -9 of the parent: the sensor sees it, ends in good order and says why. Lost: nothing that had come."""
    sensor = wire.sensor().start()
    wire.send(500)
    pid = packets(sensor, 500)["pid"]
    assert pid in sensor.children()
    os.kill(sensor.process.pid, signal.SIGKILL)
    sensor.process.wait()
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists() or "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1][:3], 20,
             "the sensor to end")
    records = sensor.records()
    check_counts(records, 500)
    assert told(records, "supervisor")
    assert list(sensor.state.glob("counting*")), "its state was not saved"
    again = wire.sensor()
    again.state = sensor.state
    again.command[again.command.index("--state") + 1] = sensor.state
    again.start()
    wire.send(300)
    packets(again, 300)
    assert again.stop() == 0, again.tail()
    assert sorted(counted(records) + counted(again.records())) == sorted(expected_alerts(800))


CAP_NET_RAW = 1 << 13


def test_without_privileges(wire):
    """As nobody, with cap_net_raw and nothing else: an interface that comes back is still opened, a sensor that was killed is
    still started again, state and records are still written. Lost: nothing."""
    sensor = wire.sensor("--user", "nobody", "--state-every", 1, owner="nobody").start()
    wire.send(300)
    pid = packets(sensor, 300)["pid"]
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert set(status["Uid"].split()) == {"65534"} and set(status["Gid"].split()) == {"65534"}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == CAP_NET_RAW and int(status["NoNewPrivs"]) == 1
    assert SANITIZED or int(status["Seccomp"]) == 2
    wire.run("tap", "ip", "link", "set", "tap0", "down")
    sensor.wait_status(lambda s: not s["interfaces"][0]["open"], "the interface to be let go of")
    wire.run("tap", "ip", "link", "set", "tap0", "up")
    then = sensor.wait_status(lambda s: s["interfaces"][0]["open"], "the interface to be picked up")["now"]
    sensor.wait_status(lambda s: s["state_saved"] and s["state_saved"] > then, "the state to be saved")
    wait_for(lambda: len(queries(sensor.whole_records())) == 300, what="the records to be written")
    os.kill(pid, signal.SIGKILL)
    sensor.wait_ready(other_than=pid)
    wire.send(300)
    packets(sensor, 300)
    assert sensor.stop() == 0, sensor.tail()
    check_counts(sensor.records(), 600)


# ---------------------------------------------------------------------- the clock


@pytest.fixture
def steppable(wire):
    """The preloaded library and the file with the step, or a skip."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler to build clock_step.c with")
    library, step = wire.folder / "clock_step.so", wire.folder / "step"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", library, HERE / "clock_step.c", "-ldl"], check=True)
    step.write_bytes(struct.pack("d", 0))
    under = ["env", f"LD_PRELOAD={library}", f"CLOCK_STEP_FILE={step}"]
    if SANITIZED:
        under.append("ASAN_OPTIONS=verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""))
    def set_step(seconds):
        with open(step, "r+b") as file:
            file.write(struct.pack("d", seconds))
    return under, set_step


def test_clock_set_forward(wire, steppable):
    """By an hour: told, and nothing else changes. Lost: nothing."""
    under, set_step = steppable
    sensor = wire.sensor(under=under).start()
    wire.send(400)
    packets(sensor, 400)
    set_step(3600)
    wait_for(lambda: told(sensor.whole_records(), "clock"), what=lambda: "the step to be told\n" + sensor.tail())
    wire.send(400)
    records = ends_well(sensor, 800)
    assert 3599 < told(records, "clock")[0]["step_seconds"] < 3601


def test_clock_set_back(wire, steppable):
    """By an hour: told, and begun anew with the state that was kept. Lost: nothing, as nothing came meanwhile."""
    under, set_step = steppable
    sensor = wire.sensor("--state-every", 1, under=under).start()
    wire.send(400)
    pid = packets(sensor, 400)["pid"]
    set_step(-3600)
    status = sensor.wait_ready(other_than=pid)
    wire.send(400)
    packets(sensor, 400)
    assert sensor.stop() == 0, sensor.tail()
    records = sensor.records()
    check_counts(records, 800)
    assert -3601 < told(records, "clock")[0]["step_seconds"] < -3599
    assert status["restarts"] >= 1


def test_clock_steps_in_the_packets(wire):
    """Times that jump forward and back within a capture, played on the live path's clock. Lost: nothing."""
    path = wire.folder / "steps.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i, (host, number) in enumerate(load.numbered(0, 1200)):
            at = 1_750_000_000 + i * 0.001 + (3600 if 400 <= i < 800 else 0)
            frame = load.query(host, number)
            out.write(struct.pack("<4I", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame)
    done = subprocess.run([str(w) for w in (BINARY, "replay", "--pace", "1000x", "-q", "-o", "-", "-s", wire.scripts, "--control", "none", "--state",
                                            "none", path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check_counts([json.loads(line) for line in done.stdout.splitlines()], 1200)


# ---------------------------------------------------------------------- changes while it runs


def test_sighup_storm(wire):
    """Hundreds of SIGHUPs under load. Lost: nothing; the last change is in force."""
    sensor = wire.sensor().start()
    sender = wire.load(500 if SANITIZED else 2000)
    packets(sensor, 1)
    for number in range(300):
        if number % 50 == 0:
            wire.words(f"storm{number}")
        sensor.process.send_signal(signal.SIGHUP)
    wire.words("calm")
    sensor.process.send_signal(signal.SIGHUP)
    before = sensor.status()["packets"]
    wait_for(lambda: any(a["lunette"]["evidence"]["word"] == "calm" for a in of_counting(sensor.whole_records())),
             what=lambda: "the last change to be in force\n" + sensor.tail())
    sent = wire.finish(sender)
    status = packets(sensor, sent)
    assert sent > before and status["reloads"]["failed"] == 0 and 1 <= status["reloads"]["done"] <= 310 and status["restarts"] == 0
    ends_well(sensor, sent)


def test_broken_script_is_saved(wire):
    """The old one goes on; the record has file and line; the repaired one is taken up by itself. Lost: nothing."""
    sensor = wire.sensor().start()
    wire.send(500)
    packets(sensor, 500)
    wire.script("\nthis is not Lua\n")
    status = sensor.wait_status(lambda s: s["reloads"]["failed"] >= 1, "the broken script to be refused")
    wire.send(500)
    packets(sensor, 1000)
    wire.script("-- repaired\n")
    sensor.wait_status(lambda s: s["reloads"]["done"] > status["reloads"]["done"], "the repaired script to be taken up")
    wire.send(500)
    records = ends_well(sensor, 1500)
    failures = [r for r in told(records, "reload") if r.get("ok") is False]
    assert failures and "counting.lua:" in failures[0]["message"]


def test_broken_config(wire):
    """SIGHUP with a configuration that is none: the old one stays, with file and line told. Lost: nothing."""
    config = wire.folder / "lunette.lua"
    config.write_text("set = { counting = { step = 50 } }\n")
    sensor = wire.sensor("--config", config, "--no-watch").start()
    wire.send(400)
    packets(sensor, 400)
    wire.replace(config, "set = {\n")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.wait_status(lambda s: s["reloads"]["failed"] == 1, "the broken configuration to be refused")
    wire.send(400)
    packets(sensor, 800)
    wire.replace(config, "set = { counting = { step = 100 } }\n")
    sensor.process.send_signal(signal.SIGHUP)
    sensor.wait_status(lambda s: s["reloads"]["done"] == 1, "the good configuration to be taken up")
    wire.send(800)
    status = packets(sensor, 1600)
    assert status["dropped"] == 0 and sensor.stop() == 0, sensor.tail()
    records = sensor.records()
    assert counted(records) == sorted(expected_alerts(800, 50) | expected_alerts(1600, 100))
    assert [r for r in told(records, "reload") if "lunette.lua:" in r["message"]]


def test_control_socket_removed(wire):
    """It is made anew within seconds. Lost: nothing."""
    sensor = wire.sensor().start()
    wire.send(200)
    sensor.socket.unlink()
    wait_for(sensor.socket.exists, what="the socket to be made anew")
    assert sensor.socket.stat().st_mode & 0o777 == 0o600
    wire.send(200)
    ends_well(sensor, 400)


# ---------------------------------------------------------------------- bounds


def test_descriptors_run_out(wire):
    """Strangers take all that is left of them. Capture goes on; when they leave, all is well. Lost: nothing."""
    sensor = wire.sensor().start()
    wire.send(200)
    status = packets(sensor, 200)
    in_use = len(os.listdir(f"/proc/{status['pid']}/fd"))
    usual = resource.prlimit(status["pid"], resource.RLIMIT_NOFILE)
    resource.prlimit(status["pid"], resource.RLIMIT_NOFILE, (in_use + 2, usual[1]))
    crowd = []
    for _ in range(30):
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(5)
        try:
            caller.connect(str(sensor.socket))
        except OSError:
            pass
        crowd.append(caller)
    wire.words("two")  # a reload that has no descriptor to open a file with may fail, and must do no harm
    wire.send(600)
    wait_for(lambda: len(queries(sensor.whole_records())) == 800, what=lambda: "the records of what came\n" + sensor.tail())
    for caller in crowd:
        caller.close()
    resource.prlimit(status["pid"], resource.RLIMIT_NOFILE, usual)
    wire.words("three")
    sensor.wait_ready()
    wait_for(lambda: sensor.status()["reloads"]["done"] >= 1, what=lambda: "a reload that works again\n" + sensor.tail())
    wire.send(200)
    assert sensor.status()["pid"] == status["pid"]
    ends_well(sensor, 1000)


def test_memory_bound_of_a_script(wire):
    """A detector that grows without end is switched off and told of; the other one does not notice. Lost: that detector."""
    (wire.scripts / "glutton.lua").write_text("""local lunette = require "lunette"
lunette.detector { title = "Glutton", category = "Test" }
local kept = {}
lunette.on("dns", function(e) for i = 1, 100 do kept[#kept + 1] = e.rrname .. i end end)
""")
    sensor = wire.sensor("--script-memory", 4).start()
    for _ in range(10):
        wire.send(1000)
    packets(sensor, wire.sent)
    wait_for(lambda: sensor.scripts()["glutton"]["state"] == "off", what=lambda: "the glutton to be switched off\n" + sensor.tail())
    scripts = sensor.scripts()
    assert scripts["counting"]["state"] == "on" and "memory" in scripts["glutton"]["trouble"]
    status = packets(sensor, wire.sent)
    assert status["dropped"] == 0
    sensor.stop()
    records = sensor.records()
    check_counts(records, wire.sent)
    assert [r for r in told(records, "detector") if "glutton" in r["message"]], "nobody was told"


def test_handler_that_does_not_end(wire):
    """Stopped by the watchdog, under the list of system calls, and told of; the other one does not notice. Lost: that detector."""
    (wire.scripts / "endless.lua").write_text("""local lunette = require "lunette"
lunette.detector { title = "Endless", category = "Test" }
lunette.on("dns", function(e) while true do end end)
""")
    sensor = wire.sensor("--script-time", 0.2).start()
    wire.send(1000)
    packets(sensor, wire.sent)
    wait_for(lambda: sensor.scripts()["endless"]["state"] == "off", what=lambda: "the endless one to be off\n" + sensor.tail())
    scripts = sensor.scripts()
    assert scripts["counting"]["state"] == "on" and "did not come to its end" in scripts["endless"]["trouble"]
    wire.send(1000)
    status = packets(sensor, wire.sent)
    assert status["dropped"] == 0
    sensor.stop()
    records = sensor.records()
    check_counts(records, wire.sent)
    alerts = [r for r in kind(records, "alert") if r["lunette"]["detector"] == "endless"]
    assert alerts and all("endless.lua:3" in r["lunette"]["where"] for r in alerts)
    assert not told(records, "stuck") and not told(records, "restart")
