"""A sender that can be counted on: DNS queries, numbered, from a few hosts, at a steady rate.

    load.py INTERFACE RATE [COUNT]

Each query asks for n<number>.h<host>.load.example, the numbers of each host counting from 1, in turn, over a few
hundred source ports. Without COUNT it goes on until its standard input is closed. The last line it prints is how many
queries it sent. A query is one packet and one event."""

import select
import socket
import struct
import sys
import time

HOSTS = 4
PORTS = 250
BURST = 0.005  # seconds between looks at the clock


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def name_of(host, number):
    return f"n{number:08d}.h{host}.load.example"


def query(host, number):
    """An Ethernet frame: IPv4, UDP, a query for the name's A record."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name_of(host, number).split(".")) + b"\0"
    message = struct.pack("!6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!2H", 1, 1)
    source = bytes((192, 168, 7, 100 + host))
    udp = struct.pack("!4H", 20000 + number % PORTS, 53, 8 + len(message), 0)  # no checksum, as IPv4 allows
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp) + len(message), number & 0xFFFF, 0x4000, 64, 17, 0) + source + bytes((198, 51, 100, 53))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return b"\2\0\0\0\0\1" + b"\2\0\0\0\1" + bytes([host]) + b"\x08\0" + ip + udp + message


def numbered(first, count):
    """Queries number `first` to first + count - 1 of all hosts in turn: (host, number in the host)."""
    for i in range(first, first + count):
        yield i % HOSTS, i // HOSTS + 1


def send(sock, first, count):
    """Sends `count` queries at once, `first` having been sent before. Returns how many are sent by now."""
    for host, number in numbered(first, count):
        sock.send(query(host, number))
    return first + count


def main():
    interface, rate = sys.argv[1], float(sys.argv[2])
    most = int(sys.argv[3]) if len(sys.argv) > 3 else None
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    began, sent = time.monotonic(), 0
    while most is None or sent < most:
        due = int((time.monotonic() - began) * rate) - sent
        if most is not None:
            due = min(due, most - sent)
        sent = send(sock, sent, due)
        if select.select([sys.stdin], [], [], BURST)[0] and not sys.stdin.buffer.read(1):
            break
    print(sent, flush=True)


if __name__ == "__main__":
    main()
