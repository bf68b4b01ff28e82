"""Makes quic.pcapng.gz: the packets that RFC 9001 and RFC 9369 print, which anybody can decrypt, between made-up hosts.

    python3 make_quic.py [FOLDER]

Three connections: version 2; version 1 to port 853, as DNS over QUIC; version 1, whose client goes on from another port
after the handshake, as behind a NAT that forgot it. The packets are those of the engine's own test.
"""

import pathlib
import re
import sys

from wire import Timeline, ethernet, ipv4, udp

MAC, SERVER, RESOLVER = "192.168.7.23", "203.0.113.10", "203.0.113.53"
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "unit" / "quic_vectors.h"


def vectors():
    """{name: bytes} of the header's strings."""
    found = re.findall(r"char (\w+)\[\] =\s*((?:\"[0-9a-f]+\"\s*)+);", VECTORS.read_text())
    return {name: bytes.fromhex("".join(re.findall(r"[0-9a-f]+", text))) for name, text in found}


def frame(source, target, source_port, target_port, payload):
    return ethernet("02:00:00:00:00:17", "02:00:00:00:00:01", ipv4(source, target, 17, udp(source, target, source_port, target_port, payload)))


def handshake(line, at, port, server, server_port, client_packet, server_packet):
    line.add(at, frame(MAC, server, port, server_port, client_packet))
    line.add(at + 0.018, frame(server, MAC, server_port, port, server_packet))


def main(folder):
    packets = vectors()
    line = Timeline(1718089200)
    handshake(line, 0.0, 51001, SERVER, 443, packets["rfc9369_client"], packets["rfc9369_server"])
    handshake(line, 1.0, 51002, RESOLVER, 853, packets["rfc9001_client"], packets["rfc9001_server"])
    handshake(line, 2.0, 51003, SERVER, 443, packets["rfc9001_client"], packets["rfc9001_server"])
    # A packet of the third, sent to the id that its server chose; what is behind the id stands for ciphertext.
    sealed = bytes((n * 73 + 11) & 255 for n in range(40))
    line.add(62.0, frame(MAC, SERVER, 51004, 443, b"\x41" + bytes.fromhex("f067a5502a4262b5") + sealed))
    line.add(62.018, frame(SERVER, MAC, 443, 51004, b"\x41" + sealed))
    line.write(folder / "quic.pcapng.gz", "en0", "lunette sample: the QUIC packets of RFC 9001 and RFC 9369")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
