"""What a live sensor tells of a network is what happened there, and what a replay of the same packets tells.

The lab's Macs do their programme once. Three sensors watch it on the same interface (one worker, two by the kernel's
deal, two by shares) and so does tcpdump. Then, for each sensor:

  - no packet was lost, and it took as many as tcpdump
  - its records and alerts are those of `lunette replay` over tcpdump's file, each at the same time within a millisecond (records.py tells what keeps
    them some microseconds apart)
  - they agree with what the Macs' driver did, name by name, request by request, byte by byte"""

import collections
import pathlib
import shutil
import signal
import struct
import subprocess

import pytest

from lab import DNS, Lab, TAP, WATCHED
from needs import needs_rooms, needs_sensor
from programme import Programme, SHAPES
from records import SCRIPTS, comparable, kind, replay, same, same_records, tuples
from rooms import wait_for
from sensor import Sensor

pytestmark = [needs_rooms, needs_sensor]

SENSORS = {"one": (), "fanout": ("-w", 2, "--dealing", "fanout"), "share": ("-w", 2, "--dealing", "share")}
# What the system says of itself when a cable is plugged in, at times of its own.
FILTER = "not ip6 multicast"
# The beacon detector as it would judge after hours, told to judge after seconds.
HASTY = ("--set", "beacon.span=15")


class Watched:
    """All that came of one run of the programme."""


def detectors(lab):
    """The shipped ones, but that nobody is passed over for being no Mac: the Macs of the lab are Linux and look like it."""
    folder = pathlib.Path(lab.folder) / "scripts"
    shutil.copytree(SCRIPTS, folder)
    kinds = folder / "lib" / "host_kind.lua"
    text = kinds.read_text()
    assert "local KNOWN = 0.6 " in text
    kinds.write_text(text.replace("local KNOWN = 0.6 ", "local KNOWN = 2 "))
    return folder


def tcpdump(lab, path):
    child = lab.popen(TAP, "tcpdump", "-i", WATCHED, "-w", path, "-U", "-s", "0", "-B", "65536", "-Z", "root",
                      "--time-stamp-precision=nano", FILTER, anywhere=True, stderr=subprocess.PIPE)
    assert b"listening" in child.stderr.readline()
    return child


def packets_in(path):
    """Packets in a pcap file that is still being written, and the time of the end's marker, if it is there."""
    data = path.read_bytes()
    at, count, end = 24, 0, None
    while at + 16 <= len(data):
        whole, fraction, size = struct.unpack_from("<3I", data, at)
        at += 16 + size
        if at > len(data):
            break
        count += 1
        if data.endswith(END, 0, at):
            end = whole + fraction * 1e-9
    return count, end


END = b"this is the end of the programme"


def mark_end(lab):
    """The last packet: when a watcher has it, it has all. Then the Macs are unplugged, so that all watchers see one end."""
    def send(sock):
        sock.sendto(END, (DNS, 9))
    lab.with_network("mac1", send)
    lab.plug("down")


@pytest.fixture(scope="module")
def watched():
    with Lab() as lab:
        if "tcpdump" in lab.missing:
            pytest.skip(lab.missing["tcpdump"])
        w = Watched()
        w.programme = Programme(lab)
        w.capture = lab.folder / "lab.pcap"
        lab.plug("down")  # all begin with the same packet, too
        scripts = detectors(lab)
        sensors = {name: Sensor(lab, TAP, [WATCHED], "-f", FILTER, *HASTY, *words, scripts=[scripts]).start() for name, words in SENSORS.items()}
        dump = tcpdump(lab, w.capture)
        lab.plug("up")
        try:
            w.programme.run()
        except BaseException:
            print("\n".join(sensor.tail() for sensor in sensors.values()))
            raise
        mark_end(lab)

        def agree():
            w.packets, w.end = packets_in(w.capture)
            w.status = {name: sensor.status() for name, sensor in sensors.items()}
            return w.end and all(status["packets"] == w.packets for status in w.status.values())
        wait_for(agree, 30, lambda: f"all watchers to have the same packets: tcpdump {w.packets}, " +
                 ", ".join(f"{name} {status['packets']}, {status['dropped']} dropped" for name, status in w.status.items()))
        w.metrics = {name: sensor.metrics() for name, sensor in sensors.items()}
        dump.send_signal(signal.SIGTERM)
        w.codes = {name: sensor.stop() for name, sensor in sensors.items()}
        w.tcpdump_said = dump.stderr.read().decode()
        dump.wait()
        w.files = {name: len(sensor.files()) for name, sensor in sensors.items()}
        w.live = {name: sensor.records() for name, sensor in sensors.items()}
        w.logs = {name: sensor.said() for name, sensor in sensors.items()}
        w.replayed = replay(w.capture, "-s", scripts, *HASTY)
        yield w


def test_what_is_missing_is_said(watched):
    if watched.programme.skipped:
        pytest.skip("; ".join(watched.programme.skipped))


@pytest.mark.parametrize("name", SENSORS)
def test_it_ends_in_good_order(watched, name):
    assert watched.codes[name] == 0, watched.logs[name]
    assert watched.files[name] == 1, "somebody had it begin a new file"
    assert '"level":"error"' not in watched.logs[name].replace(" ", "")


@pytest.mark.parametrize("name", SENSORS)
def test_no_packet_is_lost(watched, name):
    status = watched.status[name]
    assert "0 packets dropped by kernel" in watched.tcpdump_said
    assert status["dropped"] == status["interface_dropped"] == 0
    assert status["packets"] == watched.packets > 10000
    assert all(o["lost"] == 0 and o["healthy"] for o in status["outputs"])


@pytest.mark.parametrize("name", SENSORS)
def test_live_tells_what_replay_tells(watched, name):
    live, replayed = comparable(watched.live[name], watched.end), comparable(watched.replayed, watched.end)
    apart = same_records(live, replayed, ("live", "replay"))
    kinds = collections.Counter(r["event_type"] for r in watched.live[name])
    print(f"\n{name}: {dict(kinds)}; the times are at most {1e6 * apart:.0f} us apart")
    assert kinds["flow"] > 80 and kinds["alert"] >= 15


@pytest.mark.parametrize("shape", ["tls", "http", "ssh", "icmp_echo", "connections"])
@pytest.mark.parametrize("name", SENSORS)
def test_it_tells_what_was_done(watched, name, shape):
    """Neither less nor more than the driver did."""
    chosen = kind(watched.live[name], "flow" if shape == "connections" else shape)
    if shape == "connections":
        chosen = [r for r in chosen if r["proto"] == "TCP"]
    same(tuples(chosen, SHAPES[shape]), watched.programme.done[shape], ("the records", "what was done"))


@pytest.mark.parametrize("name", SENSORS)
def test_it_tells_what_was_asked(watched, name):
    """Names the programs looked up by themselves come on top of those that dig asked for."""
    seen = tuples(kind(watched.live[name], "dns"), SHAPES["dns"])
    assert not watched.programme.done["dns"] - seen
    looked_up = {r["dns"]["rrname"] for r in kind(watched.live[name], "dns")}
    assert looked_up >= {r["tls"]["sni"] for r in kind(watched.live[name], "tls") if r["tls"].get("sni")}


@pytest.mark.parametrize("name", SENSORS)
def test_bare_streams_have_their_bytes(watched, name):
    assert not watched.programme.done["stream"] - tuples(kind(watched.live[name], "flow"), SHAPES["stream"])


@pytest.mark.parametrize("name", SENSORS)
def test_the_alerts_are_due(watched, name):
    """Each abuse that was staged is alerted on."""
    raised = collections.defaultdict(set)
    for record in kind(watched.live[name], "alert"):
        said = record["lunette"]
        raised[said["detector"], said["who"], said["where"]].add(record["alert"]["signature"])
    missing = [a for a in sorted(watched.programme.alerts, key=str) if a[3] not in raised[a[:3]] and (a[3] or not raised[a[:3]])]
    assert missing == []


def test_the_interface_is_named(watched):
    assert {r.get("in_iface") for r in kind(watched.live["one"], "flow")} == {WATCHED}
    assert watched.metrics["one"][f'lunette_interface_packets_total{{interface="{WATCHED}"}}'] == watched.status["one"]["packets"]
