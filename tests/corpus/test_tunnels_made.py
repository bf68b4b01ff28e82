"""Tunnels and fragments as they come in no capture that we have: made here, and read by the whole program.

What is inside must not depend on how packets are dealt: batch sizes and workers change nothing."""
import json
import struct
import sys

import pytest

from captures import EXAMPLES, needs_lunette, replay

sys.path.insert(0, str(EXAMPLES))
import wire  # noqa: E402

pytestmark = needs_lunette

CLIENT, SERVER = "10.9.0.1", "203.0.113.9"
HERE, THERE = "192.0.2.1", "198.51.100.1"
GRE_IP = struct.pack(">HH", 0, 0x0800)


def question(name=b"inside", number=7):
    message = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\7example\0" + struct.pack(">HH", 1, 1)
    return wire.udp(CLIENT, SERVER, 50000 + number, 53, message)


def fragments(payload, source, target, protocol, number, *cuts):
    """IPv4 packets: the payload cut at these places."""
    edges = [0, *cuts, len(payload)]
    for start, end in zip(edges, edges[1:]):
        yield piece(payload[start:end], source, target, protocol, number, start, end < len(payload))


def piece(payload, source, target, protocol, number, offset, more):
    packet = bytearray(wire.ipv4(source, target, protocol, payload, identification=number, dont_fragment=False))
    packet[6:8] = struct.pack(">H", offset // 8 | (0x2000 if more else 0))
    packet[10:12] = b"\0\0"
    packet[10:12] = struct.pack(">H", wire.internet_checksum(bytes(packet[:20])))
    return bytes(packet)


def gre(packet, source=HERE, target=THERE):
    return wire.ipv4(source, target, 47, GRE_IP + packet)


def write(path, packets, step=0.001):
    """A pcap of raw IP."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 101))
        for i, packet in enumerate(packets):
            at = 1700000000 + i * step
            out.write(struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(packet), len(packet)) + packet)
    return path


def records(path, *options, kinds="flow,dns,anomaly"):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", kinds, *options, path)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(kind, found):
    return [r for r in found if r["event_type"] == kind]


def names(found):
    return [(r["dns"]["rrname"], r.get("tunnel", {}).get("proto")) for r in of("dns", found)]



def test_fragments_of_the_outer_datagram(tmp_path):
    packet = GRE_IP + wire.ipv4(CLIENT, SERVER, 17, question())
    found = records(write(tmp_path / "a.pcap", fragments(packet, HERE, THERE, 47, 1, 24, 48)))
    assert names(found) == [("inside.example", "gre")]


def test_fragments_of_the_inner_datagram(tmp_path):
    packets = [gre(f) for f in fragments(question(), CLIENT, SERVER, 17, 1, 8, 24)]
    assert names(records(write(tmp_path / "a.pcap", packets))) == [("inside.example", "gre")]


def test_fragments_inside_fragments(tmp_path):
    packets = []
    for i, inner in enumerate(fragments(question(), CLIENT, SERVER, 17, 1, 8, 24)):
        packets += fragments(GRE_IP + inner, HERE, THERE, 47, 100 + i, 16, 24)
    assert names(records(write(tmp_path / "a.pcap", packets))) == [("inside.example", "gre")]
    assert names(records(write(tmp_path / "b.pcap", packets[::-1]))) == [("inside.example", "gre")]


def test_a_segment_cut_within_its_header_inside_a_joined_datagram(tmp_path):
    syn = wire.tcp(CLIENT, SERVER, 50000, 80, 1, 0, wire.SYN, 65535, wire.option_mss(1460) + wire.OPTION_NOP * 8)
    first = piece(syn[:24], CLIENT, SERVER, 6, 9, 0, True)
    found = records(write(tmp_path / "a.pcap", fragments(GRE_IP + first, HERE, THERE, 47, 1, 24)), kinds="flow,flow_start")
    assert any(r["proto"] == "TCP" and r["dest_port"] == 80 for r in of("flow", found))


def test_the_same_addresses_in_two_tunnels(tmp_path):
    """Fragments of the same addresses and number, in two tunnels, by turns."""
    a = [gre(f) for f in fragments(question(b"first!"), CLIENT, SERVER, 17, 1, 24)]
    b = [gre(f, target="198.51.100.2") for f in fragments(question(b"second"), CLIENT, SERVER, 17, 1, 24)]
    found = records(write(tmp_path / "a.pcap", [a[0], b[0], b[1], a[1]]))
    assert sorted(names(found)) == [("first!.example", "gre"), ("second.example", "gre")]
    inside = [r for r in of("flow", found) if "tunnel" in r]
    assert {r["flow"]["tunnel_dest"] for r in inside} == {THERE, "198.51.100.2"}


@pytest.mark.parametrize("layers, opened", [(1, 1), (4, 4), (5, 4), (40, 4)])
def test_nesting_ends(tmp_path, layers, opened):
    packet = wire.ipv4(CLIENT, SERVER, 17, question())
    for i in range(layers):
        packet = gre(packet, f"192.0.2.{i}")
    found = records(write(tmp_path / "a.pcap", [packet] * 3))
    assert max(r["flow"].get("tunnel_depth", 0) for r in of("flow", found)) == opened
    assert len(names(found)) == (3 if layers == opened else 0)
    assert any("tunnel_too_deep" in json.dumps(r) for r in of("anomaly", found)) == (layers > opened)


def story():
    """Tunnels, fragments and plain packets of several hosts."""
    packets = []
    for i in range(200):
        client = f"10.9.{i % 3}.{i % 7 + 1}"
        asked = wire.ipv4(client, SERVER, 17, wire.udp(client, SERVER, 50000 + i % 50, 53, question(b"n%d" % i, i)[8:]))
        around = [f"192.0.2.{i % 5}", f"198.51.100.{i % 2}"]
        packets.append(asked if i % 4 == 0 else gre(asked, *around))
        if i % 9 == 0:
            packets += fragments(GRE_IP + asked, *around, 47, i, 24, 40)
        if i % 11 == 0:
            packets.append(gre(gre(gre(gre(gre(asked))))))
    return packets


def test_batches_and_workers_change_nothing(tmp_path):
    path = write(tmp_path / "a.pcap", story())

    def look(*options):
        seen = []
        for record in records(path, *options):
            record.pop("flow_id", None)
            seen.append(json.dumps(record, sort_keys=True))
        return sorted(seen)

    usual = look("-w", "1")
    assert any('"gre"' in line for line in usual)
    for options in (("-w", "2"), ("-w", "4"), ("-w", "1", "--batch", "1"), ("-w", "3", "--batch", "7")):
        assert look(*options) == usual, options


def test_bytes_are_not_counted_twice(tmp_path):
    packets = [gre(wire.ipv4(CLIENT, SERVER, 17, question(number=i))) for i in range(10)]
    done = replay("--no-scripts", write(tmp_path / "a.pcap", packets))
    text = done.stdout.decode() + done.stderr.decode()
    assert "packets     10," in text
    assert "packets inside: 10 gre" in text


# ------------------------------------------------------------- attacks of old
def test_teardrop(tmp_path):
    """The second fragment lies within the first (CVE-1997-0014): the first one's bytes stay, and it is told."""
    whole = question() + bytes(8 - len(question()) % 8)
    packets = [piece(whole[:32], CLIENT, SERVER, 17, 1, 0, True), piece(b"\xff" * 16, CLIENT, SERVER, 17, 1, 8, True),
               piece(whole[32:], CLIENT, SERVER, 17, 1, 32, False)]
    found = records(write(tmp_path / "a.pcap", packets))
    assert names(found) == [("inside.example", None)]
    assert any("fragment_overlap" in json.dumps(r) for r in of("anomaly", found))


def test_ping_of_death(tmp_path):
    """A last fragment that ends beyond 65,535 bytes (CVE-1996-1057 and the like) makes no datagram."""
    packets = [piece(bytes(1480), CLIENT, SERVER, 1, 1, at, True) for at in range(0, 65120, 1480)]
    packets.append(piece(bytes(1480), CLIENT, SERVER, 1, 1, 65120, False))
    done = replay("--no-scripts", write(tmp_path / "a.pcap", packets))
    assert done.returncode == 0
    assert b"IP fragments not put together" in done.stdout + done.stderr


def test_a_flood_of_tiny_fragments(tmp_path):
    """20,000 datagrams of which eight bytes each ever come, each claiming to end at 64 KiB."""
    packets = [piece(bytes(8), CLIENT, SERVER, 17, i & 0xffff, 65496, False) for i in range(20000)]
    packets += [gre(f) for f in fragments(question(), CLIENT, SERVER, 17, 1, 8, 24)]
    found = records(write(tmp_path / "a.pcap", packets, 0.00001))
    assert names(found) == [("inside.example", "gre")]


def test_nested_and_atomic_fragments_of_ipv6(tmp_path):
    """A fragment header that says the packet is whole (RFC 6946) is none; one inside a fragment is an anomaly, of
    no flow since such a packet has no ports."""
    a, b = wire.address("2001:db8::1"), wire.address("2001:db8::2")
    asked = question()

    def v6(following, payload):
        return struct.pack(">IHBB", 6 << 28, len(payload), following, 64) + a + b + payload

    atomic = v6(44, struct.pack(">BBHI", 17, 0, 0, 1) + asked)
    nested = v6(44, struct.pack(">BBHI", 44, 0, 1, 2) + struct.pack(">BBHI", 17, 0, 1, 3) + asked[:24])
    path = write(tmp_path / "a.pcap", [atomic, nested])
    assert names(records(path)) == [("inside.example", None)]
    done = replay("--no-scripts", path)
    assert b"nested_fragments" in done.stdout + done.stderr
