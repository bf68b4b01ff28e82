"""What a live sensor tells of a network is what happened there, and what a replay of the same packets tells.

The lab's Macs do their programme once. Three sensors watch it on the same interface (one worker, two by the kernel's
deal, two by shares) and so does tcpdump. Then, for each sensor:

  - no packet was lost, and it took as many as tcpdump
  - its records and alerts are those of `lunette replay` over tcpdump's file, each with the same time: both packet
    sockets are given the kernel's own stamp, to the nanosecond
  - they agree with what the Macs' driver did, name by name, request by request, byte by byte"""

import collections
import signal
import subprocess

import pytest

import records
from lab import Lab, MACS, WATCHED
from programme import Programme, SHAPES
from records import SCRIPTS, comparable, difference, kind, replay, tuples
from rooms import needs_rooms, wait_for
from sensor import Sensor, needs_sensor

pytestmark = [needs_rooms, needs_sensor]

SENSORS = {"one": (), "fanout": ("-w", 2, "--dealing", "fanout"), "share": ("-w", 2, "--dealing", "share")}
# The beacon detector as it would judge after hours, told to judge after seconds.
HASTY = ("--set", "beacon.span=15")
# With several workers these see only their own hosts (engine/README.md), so their judgement may differ.
SPANS_HOSTS = {"beacon"}


class Watched:
    """All that came of one run of the programme."""


def tcpdump(lab, path):
    child = lab.popen("gateway", "tcpdump", "-i", WATCHED, "-w", path, "-U", "-s", "0", "-B", "65536", "-Z", "root",
                      "--time-stamp-precision=nano", anywhere=True, stderr=subprocess.PIPE)
    assert b"listening" in child.stderr.readline()
    return child


def packets_in(path):
    """Packets in a pcap file that is still being written."""
    import struct
    data = path.read_bytes()
    at, count = 24, 0
    while at + 16 <= len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        count += at <= len(data)
    return count


def unplug(lab):
    """From here on nothing passes the watched interface: all watchers see the same end."""
    for mac in MACS:
        lab.run("gateway", "ip", "link", "set", mac, "down")
    lab.run("gateway", "ip", "link", "set", "wan0", "down")


@pytest.fixture(scope="module")
def watched():
    with Lab() as lab:
        w = Watched()
        w.programme = Programme(lab)
        w.capture = lab.folder / "lab.pcap"
        if "tcpdump" in lab.missing:
            pytest.skip(lab.missing["tcpdump"])
        sensors = {name: Sensor(lab, "gateway", [WATCHED], *HASTY, *words).start() for name, words in SENSORS.items()}
        dump = tcpdump(lab, w.capture)
        before = {name: sensor.status()["packets"] for name, sensor in sensors.items()}
        try:
            w.programme.run()
        finally:
            w.logs = {name: sensor.tail() for name, sensor in sensors.items()}
        unplug(lab)
        # Both take their packets out of a ring that the kernel hands over now and then.
        count = collections.Counter()

        def settled():
            last = count["file"]
            count["file"] = packets_in(w.capture)
            return count["file"] == last and all(s.status()["packets"] >= last for s in sensors.values())
        wait_for(settled, 30, lambda: f"the watchers to have all: {count}, { {n: s.status()['packets'] for n, s in sensors.items()} }")
        w.status = {name: sensor.status() for name, sensor in sensors.items()}
        w.metrics = {name: sensor.metrics() for name, sensor in sensors.items()}
        w.before = before
        w.codes = {name: sensor.stop() for name, sensor in sensors.items()}
        dump.send_signal(signal.SIGTERM)
        w.tcpdump_said = dump.stderr.read().decode()
        dump.wait()
        w.packets = packets_in(w.capture)
        w.live = {name: sensor.records() for name, sensor in sensors.items()}
        w.logs = {name: sensor.said() for name, sensor in sensors.items()}
        w.replayed = replay(w.capture, "-s", SCRIPTS, *HASTY)
        w.lab = lab
        yield w


def test_what_is_missing_is_said(watched):
    if watched.programme.skipped:
        pytest.skip("; ".join(watched.programme.skipped))


@pytest.mark.parametrize("name", SENSORS)
def test_it_ends_in_good_order(watched, name):
    assert watched.codes[name] == 0, watched.logs[name]
    assert '"level":"error"' not in watched.logs[name].replace(" ", "")


@pytest.mark.parametrize("name", SENSORS)
def test_no_packet_is_lost(watched, name):
    status = watched.status[name]
    assert "0 packets dropped by kernel" in watched.tcpdump_said
    assert status["dropped"] == status["interface_dropped"] == 0
    assert status["packets"] - watched.before[name] == watched.packets > 10000
    assert status["alerts"]["lost"] == 0
    assert all(o["lost"] == 0 and o["healthy"] for o in status["outputs"])


@pytest.mark.parametrize("name", SENSORS)
def test_live_tells_what_replay_tells(watched, name):
    leave_out = SPANS_HOSTS if name != "one" else ()
    live, replayed = comparable(watched.live[name], leave_out), comparable(watched.replayed, leave_out)
    assert not difference(live, replayed, ("live", "replay"))
    assert sum(live.values()) > 200


@pytest.mark.parametrize("name", SENSORS)
def test_the_alerts_are_the_same(watched, name):
    leave_out = SPANS_HOSTS if name != "one" else ()
    live, replayed = (comparable(kind(r, "alert"), leave_out) for r in (watched.live[name], watched.replayed))
    assert not difference(live, replayed, ("live", "replay"))
    assert sum(live.values()) >= 15


@pytest.mark.parametrize("shape", ["tls", "http", "ssh", "icmp_echo", "connections"])
@pytest.mark.parametrize("name", SENSORS)
def test_it_tells_what_was_done(watched, name, shape):
    """Neither less nor more than the driver did."""
    chosen = kind(watched.live[name], "flow" if shape == "connections" else shape)
    if shape == "connections":
        chosen = [r for r in chosen if r["proto"] == "TCP"]
    assert not difference(tuples(chosen, SHAPES[shape]), watched.programme.done[shape], ("the records", "what was done"))


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


@pytest.mark.parametrize("name", SENSORS)
def test_the_times_are_those_of_the_packets(watched, name):
    """The time of the first and the last flow, against the capture's own: not when somebody looked."""
    times = [r["timestamp"] for r in kind(watched.live[name], "dns")]
    assert sorted(times) == sorted(r["timestamp"] for r in kind(watched.replayed, "dns"))


def test_the_interface_is_named(watched):
    assert {r.get("in_iface") for r in kind(watched.live["one"], "flow")} == {WATCHED}
    assert watched.metrics["one"][f'lunette_interface_packets_total{{interface="{WATCHED}"}}'] == watched.status["one"]["packets"]
