"""Packets as bytes: checksums, Ethernet, IPv4, UDP, TCP and ICMP headers, and a pcapng file to put them in.

Everything here is a plain function of its arguments, so the same story gives the same bytes each time. A packet may
be kept in part only: the file then holds its first bytes and its true length, as a recorder with a snap length
leaves it. That is how 42 MB of traffic fit into a small file.
"""
import gzip
import ipaddress
import struct

FIN, SYN, RST, PSH, ACK, ECE, CWR = 1, 2, 4, 8, 16, 64, 128


def internet_checksum(data):
    """RFC 1071. The ones' complement sum of 16-bit words is the number they spell, modulo 65535 (headers are never
    all zero, so a remainder of 0 stands for the other zero, 65535)."""
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - (total or 0xFFFF)


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def address(text):
    return ipaddress.ip_address(text).packed


def ethernet(source, target, payload, ethertype=0x0800):
    return mac_bytes(target) + mac_bytes(source) + struct.pack(">H", ethertype) + payload


def ipv4(source, target, protocol, payload, ttl=64, identification=0, dont_fragment=True, tos=0):
    header = struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(payload), identification,
                         0x4000 if dont_fragment else 0, ttl, protocol, 0) + address(source) + address(target)
    return header[:10] + struct.pack(">H", internet_checksum(header)) + header[12:] + payload


def pseudo_header(source, target, protocol, length):
    return address(source) + address(target) + struct.pack(">BBH", 0, protocol, length)


def udp(source, target, source_port, target_port, payload):
    length = 8 + len(payload)
    header = struct.pack(">HHHH", source_port, target_port, length, 0)
    checksum = internet_checksum(pseudo_header(source, target, 17, length) + header + payload)
    return header[:6] + struct.pack(">H", checksum or 0xFFFF) + payload


def tcp(source, target, source_port, target_port, seq, ack, flags, window, options=b"", payload=b""):
    offset = (20 + len(options)) // 4
    header = struct.pack(">HHIIBBHHH", source_port, target_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset << 4,
                         flags, window, 0, 0) + options
    checksum = internet_checksum(pseudo_header(source, target, 6, len(header) + len(payload)) + header + payload)
    return header[:16] + struct.pack(">H", checksum) + header[18:] + payload


def icmp_echo(kind, identifier, sequence, data):
    header = struct.pack(">BBHHH", kind, 0, 0, identifier, sequence)
    return header[:2] + struct.pack(">H", internet_checksum(header + data)) + header[4:] + data


# TCP options (RFC 9293, 7323, 2018)
def option_mss(size):
    return struct.pack(">BBH", 2, 4, size)


def option_window_scale(shift):
    return bytes((3, 3, shift))


def option_timestamps(value, echo):
    return struct.pack(">BBII", 8, 10, value & 0xFFFFFFFF, echo & 0xFFFFFFFF)


OPTION_NOP, OPTION_EOL, OPTION_SACK_PERMITTED = b"\1", b"\0", b"\4\2"


class Timeline:
    """Packets of many conversations, in the order in which they were thought of; the file wants them by time."""

    def __init__(self, start):
        self.start = start  # seconds since 1970 of time 0
        self.packets = []   # (microseconds, bytes kept, bytes on the wire)

    def add(self, at, frame, keep=None):
        """A frame at `at` seconds; only its first `keep` bytes go to the file."""
        kept = frame if keep is None else frame[:keep]
        self.packets.append((self.start * 1000000 + round(at * 1000000), kept, len(frame)))

    def write(self, path, interface, comment):
        """A gzip-compressed pcapng with one Ethernet interface; no clock and no name goes into the gzip header."""
        self.packets.sort(key=lambda packet: packet[0])
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(section_header(comment))
            out.write(interface_description(interface))
            for micros, kept, length in self.packets:
                out.write(enhanced_packet(micros, kept, length))
        return len(self.packets), sum(packet[2] for packet in self.packets)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind, body):
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def section_header(comment):
    options = option(1, comment.encode()) + option(4, b"lunette examples/make_samples.py") + option(0, b"")
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface_description(name):
    return block(1, struct.pack("<HHI", 1, 0, 0) + option(2, name.encode()) + option(9, b"\6") + option(0, b""))


def enhanced_packet(micros, kept, length):
    body = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(kept), length)
    return block(6, body + kept + bytes(-len(kept) % 4))
