"""Makes tunnel.pcapng.gz: a Mac in a virtual network fetches a page. What the wire sees is VXLAN between two hosts.

    python3 make_tunnel.py [FOLDER]
"""

import pathlib
import random
import struct
import sys

import talk
import wire
from wire import Timeline

HOST, PEER = "192.168.7.5", "192.168.7.6"  # the two ends of the tunnel
NETWORK = 5001  # its VXLAN network identifier
VXLAN_PORT = 4789


class TunnelledMac:
    """What talk.Tcp wants of a Mac, but each frame goes into the tunnel."""

    ip, ecn = "10.20.0.23", False

    def __init__(self, line):
        self.line, self.rng = line, random.Random(7348)

    def next_port(self):
        return 51200

    def frame(self, packet, outward):
        inner = wire.ethernet(*self.sides("02:20:00:00:00:23", "02:20:00:00:00:01", outward), packet)
        header = struct.pack(">II", 0x08000000, NETWORK << 8)  # RFC 7348: flag I, the network, nothing else
        here, there = self.sides(HOST, PEER, outward)
        # The source port is the inner flow's hash, and differs between directions: two flows outside, one inside.
        around = wire.udp(here, there, 49152 + (17 if outward else 4242), VXLAN_PORT, header + inner)
        return wire.ethernet(*self.sides("02:00:00:00:00:05", "02:00:00:00:00:06", outward), wire.ipv4(here, there, 17, around))

    @staticmethod
    def sides(a, b, outward):
        return (a, b) if outward else (b, a)


def ask_name(mac, at, name, address):
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    answer = struct.pack(">HHHIH", 0xc00c, 1, 1, 300, 4) + wire.address(address)
    for outward, flags, tail, later in ((True, 0x0100, b"", 0.0), (False, 0x8180, answer, 0.003)):
        message = struct.pack(">HHHHHH", 0x1234, flags, 1, bool(tail), 0, 0) + question + tail
        source, target = mac.sides(mac.ip, "10.20.0.1", outward)
        ports = mac.sides(50123, 53, outward)
        mac.line.add(at + later, mac.frame(wire.ipv4(source, target, 17, wire.udp(source, target, *ports, message)), outward))


def main(folder):
    line = Timeline(1718089200)
    mac = TunnelledMac(line)
    ask_name(mac, 0.0, "downloads.example", "198.51.100.80")
    body = b"\n".join(b"%4d: what is inside a tunnel is read as if there were none" % n for n in range(200))
    connection = talk.Tcp(mac, 0.01, talk.Server("198.51.100.80", 0.02), 80, keep=(4096, 65536)).open()
    connection.client_says(b"GET /inside.txt HTTP/1.1\r\nHost: downloads.example\r\nUser-Agent: curl/8.6.0\r\nAccept: */*\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.server_says(head + body)
    connection.close()
    line.write(folder / "tunnel.pcapng.gz", "en0", "lunette sample: a download over HTTP inside VXLAN")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
