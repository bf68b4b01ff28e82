"""A handler of every packet against tshark, frame by frame: packets and bytes of each sender, by protocol, and the bytes of UDP payloads.

tshark's frames are its outermost IP headers' (-E occurrence=f). Captures are those without tunnels, where each frame is one
packet; 6in4 is looked at on its own, both its layers. With and without a filter a handler takes different ways through the
engine, and batches of one event others again: all must count the same."""
import collections
import shutil
import subprocess

import pytest

from captures import PCAPS, needs_lunette, replay

pytestmark = needs_lunette

PLAIN = """
local lunette = require "lunette"
lunette.detector { title = "Packets", category = "Measurement" }
local packets, bytes = {}, {}
lunette.on("packet", %s function(e)
    local key = (e.to_server and e.client_ip or e.server_ip) .. " " .. e.proto
    packets[key] = (packets[key] or 0) + 1
    bytes[key] = (bytes[key] or 0) + e.length
end)
lunette.on_end(function()
    for key, count in pairs(packets) do lunette.log(("sent %%s %%d %%d"):format(key, count, bytes[key])) end
end)
"""
PAYLOAD = """
local lunette = require "lunette"
lunette.detector { title = "Payloads", category = "Measurement" }
local number = 0
lunette.on("packet", { payload = true, proto = "UDP" }, function(e)
    number = number + 1
    local hex = e.payload and e.payload:hex() or "" -- a line of the log is cut where it is long
    if number <= 90 then lunette.log(("payload %d %s %s"):format(#hex, hex:sub(1, 200), hex:sub(-200))) end
end)
"""
NAMES = {"6": "TCP", "17": "UDP", "1": "ICMP", "58": "IPv6-ICMP"}


def ours(capture, folder, text, *options):
    script = folder / "packets.lua"
    script.write_text(text)
    done = replay("-q", "-s", script, *options, capture)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stderr.decode().splitlines()]
    return [line[i:] for line in lines for i, word in enumerate(line) if word in ("sent", "payload")]


def tshark(capture, *fields, where="ip || ipv6"):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    wanted = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(["tshark", "-r", capture, "-Y", where, "-T", "fields", "-E", "occurrence=f", "-E", "separator=/t",
                           "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", *wanted],
                          capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def theirs(capture):
    sent = collections.defaultdict(lambda: [0, 0])
    for v4, v6, proto, proto6, behind, length in tshark(capture, "ip.src", "ipv6.src", "ip.proto", "ipv6.nxt",
                                                        "ipv6.fraghdr.nxt", "frame.len"):
        number = proto if v4 else behind or proto6
        of = sent[v4 or v6, NAMES.get(number, "IP")]
        of[0] += 1
        of[1] += int(length)
    return {key: tuple(value) for key, value in sent.items()}


def counted(rows):
    return {(row[1], row[2]): (int(row[3]), int(row[4])) for row in rows}


CAPTURES = ("ndpi/dns_fragmented.pcap", "ndpi/smb_frags.pcap", "ndpi/quic_frags_ch_in_multiple_packets.pcapng",
            "ndpi/iec60780-5-104.pcap", "ndpi/icmp-tunnel.pcap")


@pytest.fixture(params=CAPTURES)
def capture(request):
    path = PCAPS / request.param
    if not path.exists():
        pytest.skip("no captures")
    return path


def test_senders_and_protocols_are_tsharks(capture, tmp_path):
    expected = theirs(capture)
    assert expected
    assert counted(ours(capture, tmp_path, PLAIN % "")) == expected
    assert counted(ours(capture, tmp_path, PLAIN % "", "--batch", "1")) == expected
    assert counted(ours(capture, tmp_path, PLAIN % "{ bpf = 'ip or ip6 or vlan' },")) == expected


def test_a_tunnels_packets_are_there_as_well_as_whats_inside(tmp_path):
    path = PCAPS / "ndpi" / "6in4tunnel.pcap"
    if not path.exists():
        pytest.skip("no captures")
    outer = {key[0]: value for key, value in theirs(path).items()}
    inner = collections.Counter(row[0] for row in tshark(path, "ipv6.src", where="ipv6"))
    sent = collections.defaultdict(int)
    mine = counted(ours(path, tmp_path, PLAIN % ""))
    for (sender, _), (packets, _) in mine.items():
        sent[sender] += packets
    assert {sender: sent[sender] for sender in outer} == {sender: value[0] for sender, value in outer.items()}
    assert {sender: sent[sender] for sender in inner} == inner


def test_payloads_are_tsharks(tmp_path):
    path = PCAPS / "ndpi" / "quic_frags_ch_in_multiple_packets.pcapng"
    if not path.exists():
        pytest.skip("no captures")
    rows = [row[0].replace(":", "") for row in tshark(path, "udp.payload", where="udp")][:90]
    assert rows
    expected = [["payload", str(len(row)), row[:200], row[-200:]] for row in rows]
    assert ours(path, tmp_path, PAYLOAD) == expected
