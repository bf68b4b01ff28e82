"""scripts/vpn.lua on captures: a Mac's own, with the same packets in clear on utun3 and encrypted on en0, and real ones of tunnels."""
import pathlib
import random
import struct
import sys

import pytest

from run_lunette import ROOT, real, replay

sys.path.insert(0, str(ROOT / "examples"))

import wire  # noqa: E402

MAC, INNER, SERVER, FILES = "192.168.7.23", "10.8.0.2", "203.0.113.50", "198.51.100.80"
START = 1718089200.0


class TwoInterfaces:
    """A pcapng with en0 (Ethernet) and utun3 (BSD loopback: the address family, as macOS writes it)."""

    def __init__(self):
        self.packets, self.dice = [], random.Random(7)

    def en0(self, at, source, target, protocol, payload):
        self.packets.append((at, 0, wire.ethernet("02:00:00:00:00:17", "02:00:00:00:00:01", wire.ipv4(source, target, protocol, payload))))

    def utun3(self, at, packet):
        self.packets.append((at, 1, struct.pack("<I", 2) + packet))

    def write(self, path):
        def block(kind, body):
            length = 12 + len(body)
            return struct.pack("<II", kind, length) + body + struct.pack("<I", length)

        def interface(link, name):
            return block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HH", 2, len(name)) + name.ljust((len(name) + 3) // 4 * 4, b"\0") + bytes(4))

        out = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)), interface(1, b"en0"), interface(0, b"utun3")]
        for at, number, frame in sorted(self.packets, key=lambda packet: packet[0]):
            micros = int(round((START + at) * 1e6))
            out.append(block(6, struct.pack("<IIIII", number, micros >> 32, micros & 0xFFFFFFFF, len(frame), len(frame)) + frame.ljust((len(frame) + 3) // 4 * 4, b"\0")))
        path.write_bytes(b"".join(out))
        return path


class WireGuard:
    """The whitepaper's section 5.4: a handshake, then each inner packet padded to 16 bytes, with 16 in front and a tag of 16 behind."""

    def __init__(self, capture, at, port=51820):
        self.capture, self.port, self.counters = capture, port, [0, 0]
        noise = capture.dice.randbytes
        self.client(at, b"\1\0\0\0" + struct.pack("<I", 11) + noise(140))
        self.server(at + 0.03, b"\2\0\0\0" + struct.pack("<II", 22, 11) + noise(80))

    def client(self, at, payload):
        self.capture.en0(at, MAC, SERVER, 17, wire.udp(MAC, SERVER, 61022, self.port, payload))

    def server(self, at, payload):
        self.capture.en0(at, SERVER, MAC, 17, wire.udp(SERVER, MAC, self.port, 61022, payload))

    def carry(self, at, packet, outward):
        side = 0 if outward else 1
        body = self.capture.dice.randbytes((len(packet) + 15) // 16 * 16 + 16)
        message = b"\4\0\0\0" + struct.pack("<IQ", 22 if outward else 11, self.counters[side]) + body
        self.counters[side] += 1
        (self.client if outward else self.server)(at, message)


def upload(capture, tunnel, at, port, kilobytes, host=b"files.example.net"):
    """A POST over HTTP through utun3, each packet in clear there and, if there is a tunnel, encrypted on en0."""
    ours, theirs = 1000, 5000
    body = b"x" * (kilobytes * 1000)
    data = b"POST /up HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def send(outward, flags, payload=b""):
        nonlocal ours, theirs, at
        ends = (INNER, FILES, port, 80, ours, theirs) if outward else (FILES, INNER, 80, port, theirs, ours)
        packet = wire.ipv4(ends[0], ends[1], 6, wire.tcp(*ends, flags, 4096, b"", payload))
        capture.utun3(at, packet)
        if tunnel:
            tunnel.carry(at + 0.0004, packet, outward)
        size = len(payload) + (1 if flags & 3 else 0)
        if outward:
            ours += size
        else:
            theirs += size
        at += 0.01

    send(True, 0x02)
    send(False, 0x12)
    send(True, 0x10)
    for offset in range(0, len(data), 1200):
        send(True, 0x18, data[offset:offset + 1200])
        if offset // 1200 % 2:
            send(False, 0x10)
    send(False, 0x18, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    send(True, 0x11)
    send(False, 0x11)
    send(True, 0x10)


def both(tmp_path, tunnelled=True):
    capture = TwoInterfaces()
    tunnel = WireGuard(capture, 0.0)
    for i in range(4):
        upload(capture, tunnel if tunnelled else None, 2.0 + 5 * i, 50000 + i, 60)
    tunnel.carry(25.0, bytes(40), True)
    # The Mac's own address, as other traffic shows it.
    for i in range(3):
        capture.en0(1.0 + i, MAC, "17.253.4.125", 17, wire.udp(MAC, "17.253.4.125", 51000 + i, 123, b"\x23" + bytes(47)))
    return capture.write(tmp_path / "both.pcapng")


@pytest.mark.parametrize("workers", [1, 4])
def test_in_clear_on_utun_and_encrypted_on_en0_are_one(tmp_path, workers):
    alerts, reports = replay("vpn", both(tmp_path), options=["-w", str(workers)])
    assert [alert["title"] for alert in alerts] == ["VPN or tunnel in use", "What goes through the tunnel"]
    tie = alerts[1]
    assert tie["who"] == MAC and tie["where"] == SERVER
    evidence = tie["evidence"]
    assert evidence["interface"] == "utun3" and evidence["inner_address"] == INNER and evidence["flows"] == 4
    assert evidence["names"][0].startswith("files.example.net")
    assert 28 <= evidence["header_up"] <= 48  # 32 bytes and up to 15 of padding, less the 4 of the interface's own header
    row = next(report for report in reports if report["title"] == "Tunnels")["rows"][0]
    assert row[0] == MAC and row[-1].startswith("utun3: files.example.net")


@pytest.mark.parametrize("workers", [1, 4])
def test_clear_traffic_that_the_tunnel_did_not_carry_is_not_its_inside(tmp_path, workers):
    alerts, _ = replay("vpn", both(tmp_path, tunnelled=False), options=["-w", str(workers)])
    assert [alert["title"] for alert in alerts] == ["VPN or tunnel in use"]


def test_utun_without_any_tunnel(tmp_path):
    capture = TwoInterfaces()
    for i in range(4):
        upload(capture, None, 2.0 + 5 * i, 50000 + i, 60)
    capture.en0(1.0, MAC, "17.253.4.125", 17, wire.udp(MAC, "17.253.4.125", 51000, 123, b"\x23" + bytes(47)))
    path = capture.write(tmp_path / "utun.pcapng")
    alerts, _ = replay("vpn", path)
    assert [(alert["title"], alert["severity"], alert["who"]) for alert in alerts] == [("Programs talk through a tunnel interface", "low", MAC)]
    alerts, _ = replay("vpn", path, settings={"allowed": "ipsec"})
    assert [alert["severity"] for alert in alerts] == ["medium"]


# What a capture holds, how loud it is where nobody said anything, and by what: capture, severity, kind, a sign.
TUNNELS = [
    ("ndpi/wireguard.pcap", "info", "wireguard", None),
    ("ndpi/mullvad_wireguard.pcap", "low", "wireguard", "port"),
    ("ndpi/cloudflare-warp.pcap", "info", "wireguard", None),
    ("ndpi/443-opvn.pcap", "info", "openvpn", None),
    ("ndpi/tailscale.pcap", "info", "tailscale", None),
    ("ndpi/softether.pcap", "info", "softether", None),
    ("ndpi/pptp.pcap", "info", "pptp", None),
    ("ndpi/tor.pcap", "low", "tor", "tor"),
    ("ndpi/anyconnect-vpn.pcap", "info", "anyconnect", None),
    ("ndpi/opera-vpn.pcapng", "info", "https proxy", None),
    ("ndpi/ipsec_isakmp_esp.pcap", "info", "ipsec", None),
]


@pytest.mark.parametrize("name,severity,kind,sign", TUNNELS, ids=[row[0] for row in TUNNELS])
def test_real_tunnels_are_named_and_soft(name, severity, kind, sign):
    alerts, _ = replay("vpn", real(name))
    assert {(alert["severity"], alert["evidence"]["kind"]) for alert in alerts} == {(severity, kind)}
    assert all(sign in alert["evidence"]["signs"] for alert in alerts if sign)


@pytest.mark.parametrize("name,kind", [(row[0], row[2]) for row in TUNNELS], ids=[row[0] for row in TUNNELS])
def test_they_are_for_today_where_others_are_allowed(name, kind):
    alerts, _ = replay("vpn", real(name), settings={"allowed": "vpn.example.com"})
    assert alerts and all(alert["severity"] in ("medium", "high") and alert["title"] == "Tunnel that nobody allowed" for alert in alerts)
    if kind not in ("https proxy",):
        alerts, _ = replay("vpn", real(name), settings={"allowed": kind})
        assert not alerts


def test_the_provider_by_what_was_asked_before():
    alerts, _ = replay("vpn", real("ndpi/protonvpn.pcap"))
    assert alerts[0]["evidence"]["provider"] == "Proton VPN" and "vpn-api.proton.me" in alerts[0]["evidence"]["provider_how"]


@pytest.mark.parametrize("name", ["ndpi/shadowsocks.pcap", "ndpi/tls_heur__shadowsocks-tcp.pcapng", "ndpi/tls_heur__vmess-tcp.pcapng"])
def test_random_bytes_behind_a_socks_proxy(name):
    alerts, _ = replay("vpn", real(name))
    assert [(alert["title"], alert["severity"]) for alert in alerts] == [("Random bytes behind a local SOCKS proxy", "low")]
