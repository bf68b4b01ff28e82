"""Whose packets these are, on every capture that tells: held against tshark, which reads pcapng blocks and PKTAP headers
with its own code, and against the text that Apple's tcpdump printed of its own captures (.out).

tshark 4.0 ties no process to a packet, but it can read a pcapng file as a file: each block with its fields. Which process
information block a packet means is its number in the section, so the blocks are counted here."""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from captures import LUNETTE, PCAPS, captures, needs_lunette, replay, two_at_a_time

TOOL = pathlib.Path(os.environ.get("LUNETTE_TOOLS", pathlib.Path(LUNETTE).parent / "tests")) / "tool_origins"
pytestmark = [
    needs_lunette,
    pytest.mark.skipif(not os.access(TOOL, os.X_OK), reason="tool_origins is not built"),
    pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed"),
]
PKTAP = ("-o", 'uat:user_dlts:"User 2 (DLT=149)","pktap","0","","0",""')
DIRECTIONS = {0: "", 1: "in", 2: "out"}
OPTION = "pcapng.options.option.data.packet."


def ours(capture):
    done = subprocess.run([TOOL, capture], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def tshark(*arguments):
    done = subprocess.run(["tshark", *map(str, arguments)], capture_output=True, timeout=120)
    return done.stdout.decode(errors="replace")


def process(pid, name, uuid):
    """As both sides are compared: nobody is None."""
    name, uuid = name.split("\0")[0], uuid.replace("-", "")
    pid = int(pid) - (1 << 32 if int(pid) >= 1 << 31 else 0)
    return None if pid in (0, -1) and not name and not uuid else (pid, name, uuid)


def of_ours(packet, key):
    p = packet.get(key)
    return p and (p["pid"], p["name"], p.get("uuid", ""))


# ── pcapng blocks ───────────────────────────────────────────────────


def is_pcapng(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\n\r\r\n"


def blocks_of(capture):
    """[(block type, {field: value})], as tshark reads the file."""
    text = tshark("-X", "read_format:MIME Files Format", "-r", capture, "-T", "pdml")
    blocks = []

    def walk(element):
        name = element.get("name", "")
        if name == "pcapng.block.type":
            blocks.append((int(element.get("show"), 0), {}))
        elif blocks:
            blocks[-1][1].setdefault(name, element.get("show"))
        for child in element:
            walk(child)
    for packet in xml.etree.ElementTree.fromstring(text):
        walk(packet)
    return blocks


def packets_of(blocks):
    """What tshark's reading makes of each enhanced packet block."""
    packets, processes = [], []
    for kind, fields in blocks:
        if kind == 0x0A0D0D0A:
            processes = []
        elif kind == 0x80000001:
            processes.append(process(fields["pcapng.darwin.process_id"], fields.get("pcapng.darwin.process_name", ""),
                                     fields.get("pcapng.darwin.process_uuid", "")))
        elif kind == 6:
            def number(name):
                return int(fields[OPTION + name], 0) if OPTION + name in fields else None

            def named(name):
                index = number(name)
                return processes[index] if index is not None and index < len(processes) else None
            packets.append({"process": named("darwin.dpeb_id"), "effective": named("darwin.edpeb_id"),
                            "direction": DIRECTIONS[number("flags.direction") or 0],
                            "class": number("darwin.svc_class"), "flags": number("darwin.flags") or 0})
    return packets


def names_processes(path):
    """A walk over the lengths of blocks, to spare tshark the files that have none of these."""
    data, at, order = path.read_bytes(), 0, "little"
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\n\r\r\n":
            order = "little" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else "big"
        if int.from_bytes(data[at:at + 4], order) == 0x80000001:
            return True
        at += max(int.from_bytes(data[at + 4:at + 8], order), 12)
    return False


@pytest.fixture(scope="module")
def darwin_captures():
    """{path: its blocks} of every pcapng file below the captures that has a process information block."""
    paths = [path for path in captures() if is_pcapng(path) and names_processes(path)]
    return dict(zip(paths, two_at_a_time(blocks_of, paths)))


def test_processes_of_every_darwin_capture(darwin_captures):
    found = darwin_captures
    names = {path.name for path in found}
    assert {"radar-74957353.pcapng", "radar-88502733.pcapng", "mpeg.pcap", "darwin_all_options_be.pcapng",
            "darwin_all_options_le.pcapng"} <= names
    compared = collections.Counter()
    for path, blocks in found.items():
        theirs, mine = packets_of(blocks), ours(path)
        assert len(theirs) == len(mine), path
        for n, (want, got) in enumerate(zip(theirs, mine), 1):
            have = {"process": of_ours(got, "process"), "effective": of_ours(got, "effective"),
                    "direction": got["direction"], "class": got.get("class"), "flags": got.get("flags", 0)}
            for key in want:
                assert have[key] == want[key], (path.name, n, key)
                compared[key] += 1
            compared["named"] += want["process"] is not None
            compared["with an effective process"] += want["effective"] is not None
    print("captures: %d; items compared, all agreeing: %s" % (len(found), dict(compared)))
    assert compared["named"] > 150 and compared["with an effective process"] > 0


def test_flows_have_the_process_of_their_packets(darwin_captures):
    """A flow's record names the process that its outgoing packets name: macOS searches the owner of an incoming one, and
    finds kernel_task for a subflow of MPTCP. Who is its own effective process has none."""
    checked = 0
    for path, blocks in darwin_captures.items():
        if "synthetic" in str(path):
            continue  # made to be inconsistent
        lines = tshark("-r", path, "-T", "fields", "-E", "occurrence=f", "-E", "separator=|", *sum(
            (["-e", f] for f in "ip.src ipv6.src tcp.srcport udp.srcport ip.dst ipv6.dst tcp.dstport udp.dstport".split()), []))
        people, uuids = collections.defaultdict(lambda: collections.defaultdict(set)), collections.defaultdict(set)
        for line, packet in zip(lines.splitlines(), packets_of(blocks)):
            a4, a6, at, au, b4, b6, bt, bu = line.split("|")
            ends = frozenset([(a4 or a6, at or au), (b4 or b6, bt or bu)])
            if packet["process"]:
                (pid, name, uuid), effective = packet["process"], packet["effective"]
                other = effective[:2] if effective and effective[0] != pid else None
                people[packet["direction"]][ends].add((pid, name, other))
                uuids[ends].add(uuid)  # Apple writes one process twice, before and after its UUID is known
        out = replay("--no-scripts", "-q", "-o", "-", "--record", "flow", path).stdout.decode()
        for record in map(json.loads, out.splitlines()):
            ends = frozenset([(record["src_ip"], str(record.get("src_port", ""))),
                              (record["dest_ip"], str(record.get("dest_port", "")))])
            arriving, leaving = people["in"].pop(ends, set()), people["out"].pop(ends, set())
            told = leaving or arriving
            if not told:
                assert "process" not in record
                continue
            assert len(told) == 1
            pid, name, effective = told.pop()
            assert record["process"]["pid"] == pid and record["process"]["name"] == name
            assert record["process"]["program"] == (effective[1] if effective else name)
            assert {record["flow"].get("process_uuid", "").replace("-", "").lower()} == uuids[ends] - {""} or uuids[ends] == {""}
            checked += 1
        assert not any(people.values()), (path.name, "flows that have no record", people)
    print("flows compared, all agreeing: %d" % checked)
    assert checked >= 6


# ── PKTAP ───────────────────────────────────────────────────────────


def pktap_captures():
    def link_type(path):
        head = path.read_bytes()[:24]
        order = {b"\xd4\xc3\xb2\xa1": "little", b"\xa1\xb2\xc3\xd4": "big"}.get(head[:4])
        return order and int.from_bytes(head[20:24], order) & 0xffff
    return [path for path in captures() if link_type(path) in (149, 258)]


def test_pktap_headers():
    """pid, names, interface and direction of version 1 headers; tshark 4.0 reads no version 2."""
    compared = 0
    for path in pktap_captures():
        rows = tshark(*PKTAP, "-r", path, "-T", "fields", "-E", "separator=|", "-e", "pktap.hdrlen", "-e", "pktap.pid", "-e",
                      "pktap.cmdname", "-e", "pktap.epid", "-e", "pktap.ecmdname", "-e", "pktap.ifname", "-e", "pktap.flags",
                      "-e", "pktap.svc_class").splitlines()
        if "heap-overflow" in path.name or "pktap_v2" in path.name:
            continue  # malformed on purpose; not read by tshark
        for row, got in zip(rows, ours(path), strict=True):
            length, pid, name, epid, ename, interface, flags, service = row.split("|")
            assert (of_ours(got, "process") or (None, None))[:2] == (process(pid, name, "") or (None, None))[:2], (path, row)
            if epid not in ("0", "4294967295"):
                assert of_ours(got, "effective")[:2] == process(epid, ename, "")[:2], (path, row)
            assert got["interface"] == interface and got["class"] == int(service)
            assert got["direction"] == DIRECTIONS[int(flags, 16) & 3]
            assert got["link_type"] not in (149, 258)
            compared += 1
    print("PKTAP headers compared, all agreeing: %d" % compared)
    assert compared >= 10


# ── Apple's own text ────────────────────────────────────────────────


def test_what_apples_tcpdump_printed():
    """The .out beside a capture has "(pdp_ip0, svc BE, in)" and the like where metadata were asked for."""
    classes = {"BE": 0, "BK_SYS": 100, "BK": 200, "RD": 300, "OAM": 400, "AV": 500, "RV": 600, "VI": 700, "VO": 800, "CTL": 900}
    compared = 0
    for text in sorted((PCAPS / "apple" / "apple-tcpdump").glob("*.out")):
        packets = ours(text.with_suffix(".pcapng"))
        lines = [line for line in text.read_text().splitlines() if re.match(r" *\d+  \d\d:", line)]
        assert len(lines) == len(packets), text
        for line, got in zip(lines, packets):
            said = re.match(r" *\d+  [\d:.]+ \((\w+), svc (\w+), (in|out)\)", line)
            if not said:
                continue
            assert (got["interface"], got["class"], got["direction"]) == (said[1], classes[said[2]], said[3]), line
            compared += 1
    if not compared:
        pytest.skip("no captures")
    print("packets compared with Apple's text, all agreeing: %d" % compared)
