"""A protocol parsed in Lua (examples/detectors/bittorrent.lua) against tshark's dissector, item by item, over all captures
of it in the corpus: of each side of each connection the handshake (info hash, peer's name) and every message (type, length), in
order. Run with -s to see the figures.

Left out, because they cannot be compared: sides of which tshark saw no handshake in plain text (after an encrypted key
exchange, MSE, it goes on by guessing at the start of a segment), and messages behind a hole in the capture."""
import collections
import json
import shutil
import subprocess
import xml.etree.ElementTree as xml

import pytest

from captures import EXAMPLES, captures, needs_lunette, replay

pytestmark = needs_lunette

DETECTOR = EXAMPLES / "detectors" / "bittorrent.lua"
MARK = b"BitTorrent protocol"
EVENTS = "bittorrent.hello,bittorrent.message"


@pytest.fixture(scope="module")
def of_that_protocol():
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    found = [path for path in captures("ndpi", "ja4") if MARK in path.read_bytes()]
    assert found
    return found


def theirs(capture):
    """{(source, its port, destination, its port): [item …]} by tshark; an item is what a handshake or a message has."""
    command = ["tshark", "-r", str(capture), "-Y", "bittorrent && tcp", "-T", "pdml", "-J", "ip ipv6 tcp bittorrent",
               "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "tcp.desegment_tcp_streams:TRUE"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    items = collections.defaultdict(list)
    for _, packet in xml.iterparse(process.stdout):
        if packet.tag != "packet":
            continue
        values = {f.get("name"): f.get("show") for f in packet.iter("field")}
        ends = tuple(values.get(name) or values.get(name.replace("ip.", "ipv6.")) for name in
                     ("ip.src", "tcp.srcport", "ip.dst", "tcp.dstport"))
        for protocol in packet.findall("proto[@name='bittorrent']"):
            for field in protocol.iter("field"):
                if field.get("name") == "bittorrent.info_hash":
                    items[ends].append((field.get("value"),))
                elif field.get("name") == "bittorrent.peer_id":
                    items[ends][-1] += (field.get("value"),)
                elif field.get("name") == "bittorrent.msg":
                    of = {f.get("name"): f.get("show") for f in field.iter("field")}
                    if int(of["bittorrent.msg.length"]) > 0:
                        items[ends].append((int(of["bittorrent.msg.type"]), int(of["bittorrent.msg.length"])))
        packet.clear()
    assert process.wait() == 0
    return items


def ours(capture, *options):
    done = replay("-s", DETECTOR, "-q", "-o", "-", "--record", EVENTS, *options, capture)
    assert done.returncode == 0, done.stderr
    items = collections.defaultdict(list)
    for record in map(json.loads, done.stdout.splitlines()):
        ends = record["src_ip"], str(record["src_port"]), record["dest_ip"], str(record["dest_port"])
        kind = record["event_type"].split(".")[1]
        body = record["bittorrent"][kind]
        side = ends if body.get("by_client") else ends[2:] + ends[:2]
        if kind == "hello":
            items[side].append((body["torrent"], body["peer"]))
        else:
            items[side].append((body.get("kind", 0), body["length"]))
    return items


def test_it_reads_what_tshark_reads(of_that_protocol):
    agreed = sides = 0
    wrong = []
    for capture in of_that_protocol:
        by_us, by_them = ours(capture), theirs(capture)
        comparable = {side for side, items in by_them.items() if any(len(str(item[0])) == 40 for item in items)}
        for side in sorted(comparable | by_us.keys()):
            if by_us.get(side, []) == by_them.get(side, []):
                sides += 1
                agreed += len(by_us[side])
            else:
                wrong.append((capture.name, side, by_us.get(side), by_them.get(side)))
        print(f"{capture.name}: {len(comparable)} sides of {len(by_them)}")
    code = [line for line in DETECTOR.read_text().splitlines() if line.strip() and not line.strip().startswith("--")]
    print(f"{agreed} items of {sides} sides agree; the detector has {len(code)} lines of code")
    assert wrong == []
    assert agreed > 400 and sides > 40


@pytest.mark.parametrize("options", [("--batch", 1), ("--batch", 7), ("-w", 2)])
def test_it_reads_the_same_however_the_work_is_cut(of_that_protocol, options):
    for capture in of_that_protocol:
        assert ours(capture, *options) == ours(capture)
