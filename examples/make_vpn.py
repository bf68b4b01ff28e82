"""Makes vpn.pcapng.gz: how tunnels begin (WireGuard, OpenVPN with tls-auth, IKEv2 and its ESP), and a flow of random bytes.

    python3 make_vpn.py [FOLDER]

What would be encrypted is random here, by a seed: shapes, indices and ids are as the protocols have them.
"""

import pathlib
import random
import struct
import sys

from wire import Timeline, ethernet, ipv4, udp

MAC = "192.168.7.23"
START = 1718089200
dice = random.Random(5)


def frame(source, target, protocol, payload):
    return ethernet("02:00:00:00:00:17", "02:00:00:00:00:01", ipv4(source, target, protocol, payload))


def datagram(source, target, source_port, target_port, payload):
    return frame(source, target, 17, udp(source, target, source_port, target_port, payload))


def wireguard(line, at, server):
    """The whitepaper's section 5.4: initiation, response, then data that counts from 0."""
    ours, theirs = struct.pack("<I", 0x3a91c7e2), struct.pack("<I", 0x51f00d17)
    initiation = b"\1\0\0\0" + ours + dice.randbytes(32 + 48 + 28 + 16) + bytes(16)
    response = b"\2\0\0\0" + theirs + ours + dice.randbytes(32 + 16 + 16) + bytes(16)
    line.add(at, datagram(MAC, server, 61022, 51820, initiation))
    line.add(at + 0.031, datagram(server, MAC, 51820, 61022, response))
    for i in range(3):
        up = b"\4\0\0\0" + theirs + struct.pack("<Q", i) + dice.randbytes(96 + 16)
        down = b"\4\0\0\0" + ours + struct.pack("<Q", i) + dice.randbytes(128 + 16)
        line.add(at + 0.04 + i, datagram(MAC, server, 61022, 51820, up))
        line.add(at + 0.07 + i, datagram(server, MAC, 51820, 61022, down))


def openvpn(line, at, server):
    """Hard resets under a SHA-1 HMAC: opcode, session id, HMAC, packet id, time, acknowledgements, number."""
    ours, theirs = dice.randbytes(8), dice.randbytes(8)
    stamp = struct.pack(">II", 1, START + int(at))
    reset = bytes([7 << 3]) + ours + dice.randbytes(20) + stamp + b"\0" + bytes(4)
    answer = bytes([8 << 3]) + theirs + dice.randbytes(20) + stamp + b"\1" + bytes(4) + ours + bytes(4)
    line.add(at, datagram(MAC, server, 61023, 1194, reset))
    line.add(at + 0.045, datagram(server, MAC, 1194, 61023, answer))


def ike(line, at, server):
    """RFC 7296: IKE_SA_INIT both ways, one proposal, key exchange, nonce; then ESP (RFC 4303)."""
    first, second = dice.randbytes(8), dice.randbytes(8)

    def payload(following, body):
        return struct.pack(">BBH", following, 0, 4 + len(body)) + body

    transforms = b"".join(struct.pack(">BBHBBH", 0 if last else 3, 0, 8, kind, 0, number)
                          for kind, number, last in ((1, 20, False), (2, 5, False), (4, 14, True)))
    proposal = struct.pack(">BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    body = payload(34, proposal) + payload(40, struct.pack(">HH", 14, 0) + dice.randbytes(256)) + payload(0, dice.randbytes(32))

    def message(responder, flags):
        return first + responder + struct.pack(">BBBBII", 33, 0x20, 34, flags, 0, 28 + len(body)) + body

    line.add(at, datagram(MAC, server, 500, 500, message(bytes(8), 0x08)))
    line.add(at + 0.05, datagram(server, MAC, 500, 500, message(second, 0x20)))
    for i in range(4):
        line.add(at + 0.2 + i, frame(MAC, server, 50, struct.pack(">II", 0xc1f4a001, i + 1) + dice.randbytes(88)))
        line.add(at + 0.3 + i, frame(server, MAC, 50, struct.pack(">II", 0x0bad5e1f, i + 1) + dice.randbytes(120)))


def unknown(line, at, server):
    for i in range(4):
        line.add(at + i, datagram(MAC, server, 61024, 40123, dice.randbytes(80)))
        line.add(at + i + 0.1, datagram(server, MAC, 40123, 61024, dice.randbytes(80)))


def main(folder):
    line = Timeline(START)
    wireguard(line, 0.0, "198.51.100.20")
    openvpn(line, 10.0, "198.51.100.21")
    ike(line, 20.0, "198.51.100.22")
    unknown(line, 30.0, "198.51.100.23")
    line.write(folder / "vpn.pcapng.gz", "en0", "lunette sample: how tunnels begin")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
