"""Makes odd.pcapng.gz: a DNS answer that breaks the rules, the smallest capture with an anomaly in it.

    python3 make_odd.py [FOLDER]
"""

import pathlib
import struct
import sys

from wire import Timeline, ethernet, ipv4, udp

MAC, RESOLVER = "192.168.7.23", "192.168.7.1"


def frame(source, target, source_port, target_port, message):
    return ethernet("02:00:00:00:00:17", "02:00:00:00:00:01", ipv4(source, target, 17, udp(source, target, source_port, target_port, message)))


def main(folder):
    question = b"\x03www\x07example\x00" + struct.pack(">HH", 1, 1)
    query = struct.pack(">HHHHHH", 0x4d61, 0x0100, 1, 0, 0, 0) + question
    # The answer's name is a compression pointer to itself: whoever follows it never arrives (RFC 1035 section 4.1.4).
    itself = 12 + len(question)
    answer = struct.pack(">HHHHHH", 0x4d61, 0x8180, 1, 1, 0, 0) + question + struct.pack(">HHHIH", 0xc000 | itself, 1, 1, 300, 4) + bytes([198, 51, 100, 7])
    line = Timeline(1718089200)
    line.add(0.0, frame(MAC, RESOLVER, 50123, 53, query))
    line.add(0.02, frame(RESOLVER, MAC, 53, 50123, answer))
    line.write(folder / "odd.pcapng.gz", "en0", "lunette sample: a DNS answer whose name points to itself")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
