"""What is missing of flows, and of a capture, against tshark, which shares no code with us."""
import collections
import json
import shutil
import subprocess

import pytest

from captures import PCAPS, SCRIPTS, needs_lunette, replay

NAMES = ["ndpi/android.pcap", "ndpi/ocs.pcap", "ndpi/vk.pcapng", "ndpi/whatsapp.pcap", "ndpi/wechat.pcap", "ndpi/http_asymmetric.pcapng",
         "ndpi/lru_ipv6_caches.pcapng", "ndpi/tls_alert.pcap", "ndpi/webex.pcap", "ndpi/zoom.pcap", "ndpi/1kxun.pcap", "ndpi/teams.pcap"]
SYN, ACK, FIN = 2, 16, 1
FIELDS = "ip.src ipv6.src ip.dst ipv6.dst tcp.srcport tcp.dstport tcp.flags tcp.len frame.len frame.cap_len tcp.stream".split()

pytestmark = [needs_lunette, pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")]


def path_of(name):
    path = PCAPS / name
    if not path.exists():
        pytest.skip("capture %s is not here" % name)
    return path


def streams_of(path):
    """tshark's TCP streams: ends → list of streams, each a list of (sender, flags, payload)."""
    command = ["tshark", "-r", path, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-E", "occurrence=l"]
    for field in FIELDS:
        command += ["-e", field]
    streams = collections.OrderedDict()
    for line in subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines():
        v4, v6, to4, to6, port, to_port, flags, length, _, _, number = line.split("\t")
        sender, receiver = (v4 or v6, int(port)), (to4 or to6, int(to_port))
        streams.setdefault(number, []).append((sender, receiver, int(flags, 16), int(length or 0)))
    return streams


def flows_of(path):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "flow", path)
    assert done.returncode == 0, done.stderr
    return [record for record in map(json.loads, done.stdout.splitlines()) if record["proto"] == "TCP"]


@pytest.mark.parametrize("name", NAMES)
def test_tcp_flows(name):
    path = path_of(name)
    streams, theirs = streams_of(path), collections.defaultdict(list)
    for packets in streams.values():
        sender, receiver = packets[0][:2]
        theirs[frozenset((sender, receiver))].append(packets)
    compared = 0
    for flow in flows_of(path):
        ends = frozenset(((flow["src_ip"], flow["src_port"]), (flow["dest_ip"], flow["dest_port"])))
        if len(theirs[ends]) != 1:
            continue  # ports used again: who parts them where is a matter of taste
        (packets,) = theirs[ends]
        if len(packets) != flow["flow"]["pkts_toserver"] + flow["flow"]["pkts_toclient"]:
            continue
        compared += 1
        words = (flow.get("partial") or "").split(", ")
        assert ("midstream" in words) == (packets[0][2] & (SYN | ACK) != SYN), flow
        senders = {packet[0] for packet in packets}
        first = packets[0]
        if len(senders) == 2:
            assert "one-sided" not in words, flow
        elif first[2] & (SYN | ACK) == SYN:  # its client went on as one does who was answered
            went_on = any(flags & ACK and not flags & 4 for _, _, flags, _ in packets[1:])
            assert ("one-sided" in words) == went_on, flow
    assert compared * 10 >= len(streams) * 8, (compared, len(streams))


@pytest.mark.parametrize("name", NAMES[:6] + ["apple/pcapplusplus/raw_ip.pcap"])
def test_the_capture_as_a_whole(name):
    """Packets and those cut short, as visibility's note tells them."""
    path = path_of(name)
    frames = subprocess.run(["tshark", "-r", path, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len"], capture_output=True, text=True,
                            timeout=120, check=True).stdout.splitlines()
    cut = sum(int(whole) > int(here) for whole, here in map(str.split, frames))
    done = replay("-q", "-o", "-", "--record", "report", "-s", SCRIPTS / "visibility.lua", path)
    (report,) = [json.loads(line)["report"] for line in done.stdout.splitlines()]
    note = report.get("note", "")
    assert ("%d of %d packets cut short" % (cut, len(frames)) in note) == (cut > 0), note
