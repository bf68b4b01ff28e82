"""Makes programs.pcapng.gz: a minute of a Mac as its own tcpdump records it, with the process behind each packet.

    python3 make_programs.py [FOLDER]

curl fetches a script, an `updater` calls home, Safari reads a page; mDNSResponder asks for names on behalf of the two
that have some. On lo0 curl talks to cupsd: there each packet is seen twice, leaving and arriving.
"""

import gzip
import pathlib
import random
import struct
import sys
import uuid

import stories
import wire
from mac import MacBook

MAC = "192.168.7.23"
PROCESSES = {  # name: pid
    "mDNSResponder": 188, "Safari": 612, "curl": 4711, "updater": 5120, "cupsd": 305,
}
SAFARI, CURL, UPDATER, CUPSD = "Safari", "curl", "updater", "cupsd"


def process_block(name):
    image = uuid.uuid5(uuid.NAMESPACE_DNS, name + ".example")
    return wire.block(0x80000001, struct.pack("<I", PROCESSES[name]) + wire.option(2, name.encode()) +
                      wire.option(4, image.bytes) + wire.option(0, b""))


class Record(wire.Timeline):
    """Packets with who sent or got them, written as Apple's tcpdump does."""

    def __init__(self, start):
        super().__init__(start)
        self.who = self.on_behalf_of = None
        self.said = []  # beside each packet: interface, direction, process, effective process

    def add(self, at, frame, keep=None, interface=0, outward=None, who=None):
        super().add(at, frame, keep)
        if outward is None:
            outward = frame[6:12] == wire.mac_bytes(HARDWARE)
        self.said.append((interface, outward, who or self.who, self.on_behalf_of))

    def write(self, path):
        order = sorted(range(len(self.packets)), key=lambda i: self.packets[i][0])
        numbers = {}
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(wire.section_header("lunette sample: packets with their processes"))
            for link_type, name in ((1, b"en0"), (0, b"lo0")):
                out.write(wire.block(1, struct.pack("<HHI", link_type, 0, 0) + wire.option(2, name) + wire.option(0, b"")))
            for i in order:
                micros, kept, length = self.packets[i]
                interface, outward, *people = self.said[i]
                for name in people:
                    if name and name not in numbers:
                        numbers[name] = len(numbers)
                        out.write(process_block(name))
                options = b"".join(wire.option(code, struct.pack("<I", numbers[name]))
                                   for code, name in zip((0x8001, 0x8003), people) if name)
                options += wire.option(2, struct.pack("<I", 2 if outward else 1)) + wire.option(0x8002, bytes(4))
                body = struct.pack("<IIIII", interface, micros >> 32, micros & 0xFFFFFFFF, len(kept), length)
                out.write(wire.block(6, body + kept + bytes(-len(kept) % 4) + options + wire.option(0, b"")))


class Mac(MacBook):
    def ask(self, at, name, kind):
        """mDNSResponder asks, for whoever wants to know."""
        line = self.line
        line.on_behalf_of, line.who = line.who, "mDNSResponder"
        done = super().ask(at, name, kind)
        line.on_behalf_of, line.who = None, line.on_behalf_of
        return done


def on_loopback(line, at):
    """A request to the printing service; each packet twice."""
    def packet(at, outward, seq, ack, flags, payload=b""):
        ends = (52311, 631) if outward else (631, 52311)
        segment = wire.tcp("127.0.0.1", "127.0.0.1", *ends, seq, ack, flags, 6379, payload=payload)
        frame = struct.pack("<I", 2) + wire.ipv4("127.0.0.1", "127.0.0.1", 6, segment)
        sender, receiver = (CURL, CUPSD) if outward else (CUPSD, CURL)
        line.add(at, frame, interface=1, outward=True, who=sender)
        line.add(at + 0.000002, frame, interface=1, outward=False, who=receiver)
    get = b"GET /printers/ HTTP/1.1\r\nHost: localhost:631\r\nUser-Agent: curl/8.6.0\r\nAccept: */*\r\n\r\n"
    reply = b"HTTP/1.1 200 OK\r\nServer: CUPS/2.3 IPP/2.1\r\nContent-Length: 2\r\n\r\nok"
    packet(at, True, 1000, 0, wire.SYN)
    packet(at + 0.00004, False, 5000, 1001, wire.SYN | wire.ACK)
    packet(at + 0.00006, True, 1001, 5001, wire.ACK)
    packet(at + 0.0001, True, 1001, 5001, wire.PSH | wire.ACK, get)
    packet(at + 0.0009, False, 5001, 1001 + len(get), wire.PSH | wire.ACK, reply)
    packet(at + 0.001, True, 1001 + len(get), 5001 + len(reply), wire.FIN | wire.ACK)
    packet(at + 0.0011, False, 5001 + len(reply), 1002 + len(get), wire.FIN | wire.ACK)
    packet(at + 0.0012, True, 1002 + len(get), 5002 + len(reply), wire.ACK)


HARDWARE = "3c:22:fb:17:a0:5e"


def main(folder):
    line = Record(1718096400)
    mac = Mac(line, random.Random(20240611), MAC, HARDWARE, "Annas-MacBook-Pro", "14.5")
    line.who = SAFARI
    mac.https(1.0, "en.wikipedia.org", 24000, requests=2)
    line.who = CURL
    stories.stage(mac, 9.0)
    on_loopback(line, 14.0)
    line.who = UPDATER
    for count in range(3):
        stories.beacon(mac, 20.0 + 14 * count, count)
    line.write(folder / "programs.pcapng.gz")


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
