"""Makes captures for tests: say what happens on the wire and when, and get a pcap file.

    from pcap_builder import Capture, dns_answer, client_hello, server_hello

    capture = Capture()
    mac = capture.host("192.168.1.20")                        # an address; IPv6 works the same way
    capture.dns(10.0, mac, "192.168.1.1", "example.com", ["93.184.216.34"])
    tcp = capture.tcp(10.1, mac, "93.184.216.34", 443)        # handshake at 10.1 s
    tcp.send(client_hello("example.com"))                     # each step moves the session's clock on a little
    tcp.reply(server_hello())
    tcp.at(60.0).send(b"later")                               # or jump to a time
    tcp.close()
    capture.write("/tmp/x.pcap")

Times are seconds; `Capture(start=...)` is added to them. Packets may be made in any order: write() sorts them by time.
Checksums are right, addresses decide between IPv4 and IPv6, MAC addresses are derived from the IP addresses. Data larger than
the MSS is cut into segments. Only what tests need is here: this is no packet library."""

import ipaddress
import os
import struct

MSS = 1440
STEP = 0.002  # seconds between two packets of one exchange, if nothing else is said

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

# A Mac's SYN: MSS, NOP, window scale 6, NOP, NOP, timestamps, SACK permitted, end of list.
MAC_SYN_OPTIONS = bytes.fromhex("020405b4" "01" "030306" "0101" "080a" "00000001" "00000000" "0402" "0000")


def checksum(data):
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """A list of timed Ethernet frames."""

    def __init__(self, start=1_718_000_000.0):
        self.start = start
        self.frames = []  # (time, number, frame)
        self._ports = {}
        self._ids = 0

    # ------------------------------------------------------------ frames
    def frame(self, time, frame):
        """Adds a ready Ethernet frame."""
        self.frames.append((self.start + time, len(self.frames), frame))

    def ip(self, time, source, destination, protocol, payload, ttl=64):
        """Adds an IPv4 or IPv6 packet with the transport `payload`."""
        a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
        ethernet = _mac(b) + _mac(a)
        if a.version == 4:
            self._ids = (self._ids + 1) & 0xFFFF
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), self._ids, 0x4000, ttl, protocol, 0,
                               a.packed, b.packed)
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
            self.frame(time, ethernet + b"\x08\x00" + head + payload)
        else:
            head = struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, ttl, a.packed, b.packed)
            self.frame(time, ethernet + b"\x86\xdd" + head + payload)

    def udp(self, time, source, source_port, destination, destination_port, data, ttl=64):
        """Adds one datagram."""
        segment = struct.pack("!HHHH", source_port, destination_port, 8 + len(data), 0) + data
        sum_ = checksum(_pseudo(source, destination, 17, len(segment)) + segment) or 0xFFFF
        self.ip(time, source, destination, 17, segment[:6] + struct.pack("!H", sum_) + segment[8:], ttl)

    def segment(self, time, source, source_port, destination, destination_port, flags, seq, ack, data=b"", options=b"",
                window=65535, ttl=64):
        """Adds one TCP segment."""
        head = struct.pack("!HHIIBBHHH", source_port, destination_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                           (5 + len(options) // 4) << 4, flags, window, 0, 0) + options
        whole = head + data
        sum_ = checksum(_pseudo(source, destination, 6, len(whole)) + whole)
        self.ip(time, source, destination, 6, whole[:16] + struct.pack("!H", sum_) + whole[18:], ttl)

    # ------------------------------------------------------------ exchanges
    def host(self, address):
        """Only for reading: names an address."""
        return str(ipaddress.ip_address(address))

    def port(self, host):
        """The next ephemeral port of a host."""
        port = self._ports.get(host, 49151) + 1
        if port > 65535:
            port = 49152
        self._ports[host] = port
        return port

    def tcp(self, time, client, server, port, client_port=None, handshake=True, rtt=0.02):
        """Opens a TCP session; see class Session."""
        return Session(self, time, client, client_port or self.port(client), server, port, handshake, rtt)

    def dns(self, time, client, resolver, name, answers=(), qtype="A", rcode=0, rtt=0.015, identifier=None, ttl=300):
        """A query and its answer over UDP. `answers`: see dns_answer()."""
        port = self.port(client)
        identifier = port if identifier is None else identifier
        self.udp(time, client, port, resolver, 53, dns_query(name, qtype, identifier))
        self.udp(time + rtt, resolver, 53, client, port, dns_answer(name, answers, qtype, identifier, rcode, ttl))

    def ntp(self, time, client, server, reply=True):
        """macOS timed's request (all zero but the first byte) and an answer."""
        port = self.port(client)
        self.udp(time, client, port, server, 123, ntp_request())
        if reply:
            self.udp(time + 0.02, server, 123, client, port, ntp_reply(self.start + time))

    def echo(self, time, source, destination, data=b"", identifier=1, sequence=0, reply=None, rtt=0.01):
        """An echo request, and a reply with `reply` as data (None: the same; False: no reply)."""
        self._echo(time, source, destination, True, data, identifier, sequence)
        if reply is not False:
            self._echo(time + rtt, destination, source, False, data if reply is None else reply, identifier, sequence)

    def _echo(self, time, source, destination, request, data, identifier, sequence):
        body = struct.pack("!HH", identifier, sequence) + data
        if ipaddress.ip_address(source).version == 4:
            head, pseudo, protocol = bytes([8 if request else 0, 0]), b"", 1
        else:
            head, protocol = bytes([128 if request else 129, 0]), 58
            pseudo = _pseudo(source, destination, 58, 4 + len(body))
        sum_ = checksum(pseudo + head + b"\0\0" + body)
        self.ip(time, source, destination, protocol, head + struct.pack("!H", sum_) + body)

    def tls(self, time, client, server, name, port=443, request=400, response=1200, hold=0.1, hello=None, rtt=0.02):
        """A whole TLS 1.3 connection: hellos, `request` and `response` bytes of application data, close after `hold`
        seconds."""
        session = self.tcp(time, client, server, port, rtt=rtt)
        session.send(hello or client_hello(name))
        session.reply(server_hello())
        session.send(application_data(request))
        session.reply(application_data(response))
        session.wait(hold).close()
        return session

    def http(self, time, client, server, host, path="/", method="GET", headers=(), body=b"", status="200 OK",
             response_headers=(), response_body=b"ok", port=80, agent="curl/8.7.1"):
        """A whole HTTP/1.1 connection with one request."""
        session = self.tcp(time, client, server, port)
        session.send(http_request(host, path, method, headers, body, agent))
        session.reply(http_response(status, response_headers, response_body))
        session.close()
        return session

    def write(self, path):
        """Writes a microsecond pcap (Ethernet), sorted by time. Returns the path as a string."""
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for time, _, frame in sorted(self.frames):
                microseconds = round(time * 1_000_000)
                file.write(struct.pack("<IIII", microseconds // 1_000_000, microseconds % 1_000_000, len(frame),
                                       len(frame)))
                file.write(frame)
        return os.fspath(path)


class Session:
    """A TCP session with a clock of its own: every step happens at `now` and moves it on."""

    def __init__(self, capture, time, client, client_port, server, server_port, handshake=True, rtt=0.02):
        self.capture, self.now, self.rtt = capture, time, rtt
        self.ends = ((client, client_port), (server, server_port))
        self.seq = [1000 + client_port, 900_000 + client_port]
        if handshake:
            self._segment(0, SYN, options=MAC_SYN_OPTIONS)
            self.now += rtt / 2
            self._segment(1, SYN | ACK, options=bytes.fromhex("020405b4"))
            self.now += rtt / 2
            self._segment(0, ACK)

    def at(self, time):
        """Moves the clock to a time (never back)."""
        self.now = max(self.now, time)
        return self

    def wait(self, seconds):
        self.now += seconds
        return self

    def send(self, data):
        """Client to server, acknowledged."""
        return self._data(0, data)

    def reply(self, data):
        """Server to client, acknowledged."""
        return self._data(1, data)

    def close(self, by_server=False):
        """FIN from both sides."""
        first = 1 if by_server else 0
        for side in (first, 1 - first):
            self._segment(side, FIN | ACK)
            self.now += self.rtt / 2
        self._segment(first, ACK)
        return self

    def reset(self, by_server=False):
        self._segment(1 if by_server else 0, RST | ACK)
        return self

    def _data(self, side, data):
        for offset in range(0, len(data), MSS):
            self._segment(side, PSH | ACK, data[offset:offset + MSS])
            self.now += STEP / 10
        self.now += self.rtt / 2
        self._segment(1 - side, ACK)
        self.now += STEP
        return self

    def _segment(self, side, flags, data=b"", options=b""):
        (source, source_port), (destination, destination_port) = self.ends[side], self.ends[1 - side]
        ack = self.seq[1 - side] if flags & ACK else 0
        self.capture.segment(self.now, source, source_port, destination, destination_port, flags, self.seq[side], ack,
                             data, options)
        self.seq[side] += len(data) + (1 if flags & (SYN | FIN) else 0)


def _mac(address):
    """A locally administered MAC address; the right ones for multicast."""
    if address.is_multicast:
        return b"\x01\x00\x5e" + bytes([address.packed[1] & 0x7F]) + address.packed[2:] if address.version == 4 \
            else b"\x33\x33" + address.packed[-4:]
    return b"\x02\x00" + address.packed[-4:]


def _pseudo(source, destination, protocol, length):
    a, b = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    if len(a) == 4:
        return a + b + struct.pack("!BBH", 0, protocol, length)
    return a + b + struct.pack("!IHBB", length, 0, 0, protocol)


# ---------------------------------------------------------------- DNS (RFC 1035)
DNS_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NULL": 10,
             "HTTPS": 65, "SVCB": 64, "ANY": 255}


def dns_name(name):
    """Wire form of a name. A str is split at dots; a list gives the labels as bytes."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label] if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def dns_query(name, qtype="A", identifier=1, flags=0x0100):
    return struct.pack("!HHHHHH", identifier, flags, 1, 0, 0, 0) + dns_name(name) + struct.pack(
        "!HH", DNS_TYPES.get(qtype, qtype), 1)


def dns_answer(name, answers=(), qtype="A", identifier=1, rcode=0, ttl=300):
    """`answers`: addresses (A or AAAA by their form), ("CNAME", name), ("PTR", name), ("NS", name), ("TXT", bytes or str)
    or (type number, rdata bytes). Records are of the question's name, or of the CNAME before them."""
    owner, records = name, b""
    for answer in answers:
        if isinstance(answer, tuple):
            kind, value = answer
            number = DNS_TYPES.get(kind, kind)
            if kind in ("CNAME", "PTR", "NS"):
                rdata = dns_name(value)
            elif kind == "TXT":
                text = value.encode() if isinstance(value, str) else value
                rdata = b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, len(text), 255))
            else:
                rdata = value
        else:
            address = ipaddress.ip_address(answer)
            kind, number, rdata = None, 1 if address.version == 4 else 28, address.packed
        records += dns_name(owner) + struct.pack("!HHIH", number, 1, ttl, len(rdata)) + rdata
        if kind == "CNAME":
            owner = answer[1]
    head = struct.pack("!HHHHHH", identifier, 0x8180 | rcode, 1, len(answers), 0, 0)
    return head + dns_name(name) + struct.pack("!HH", DNS_TYPES.get(qtype, qtype), 1) + records


# ---------------------------------------------------------------- NTP (RFC 5905)
def ntp_request():
    return b"\x23" + bytes(47)


def ntp_reply(unix_time):
    stamp = struct.pack("!II", int(unix_time) + 2208988800, int(unix_time % 1 * 2 ** 32))
    return b"\x24\x01\x00\xec" + bytes(8) + b"GPSs" + stamp + bytes(8) + stamp + stamp


# ---------------------------------------------------------------- TLS (RFC 8446)
APPLE_CIPHERS = [0x1301, 0x1302, 0x1303, 0xC02C, 0xC02B, 0xCCA9, 0xC030, 0xC02F, 0xCCA8, 0xC00A, 0xC009, 0xC014, 0xC013,
                 0x009D, 0x009C, 0x0035, 0x002F, 0xC008, 0xC012, 0x000A]
GO_CIPHERS = [0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x1301, 0x1302, 0x1303]


def client_hello(name=None, ciphers=None, alpn=("h2", "http/1.1"), groups=(29, 23, 24), versions=(0x0304, 0x0303),
                 signature_algorithms=(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501), extra=(), padding=0, seed=1):
    """A TLS record with a ClientHello. `name` None: no server_name. `extra`: (type, bytes) extensions."""
    def vector(size, data):
        return len(data).to_bytes(size, "big") + data

    def u16s(values):
        return b"".join(struct.pack("!H", value) for value in values)

    random = bytes((seed * 7 + i * 13) & 255 for i in range(32))
    extensions = []
    if name is not None:
        extensions.append((0, vector(2, b"\0" + vector(2, name.encode()))))
    extensions += [(23, b""), (0xFF01, b"\0"), (10, vector(2, u16s(groups))), (11, b"\x01\0")]
    if alpn:
        extensions.append((16, vector(2, b"".join(vector(1, p.encode()) for p in alpn))))
    extensions += [(5, b"\x01\0\0\0\0"), (13, vector(2, u16s(signature_algorithms))), (18, b"")]
    if 0x0304 in versions:
        extensions += [(51, vector(2, struct.pack("!H", 29) + vector(2, random))), (45, b"\x01\x01"),
                       (43, vector(1, u16s(versions)))]
    extensions += list(extra)
    if padding:
        extensions.append((21, bytes(padding)))
    body = (b"\x03\x03" + random + vector(1, random) + vector(2, u16s(ciphers or APPLE_CIPHERS)) + b"\x01\0" +
            vector(2, b"".join(struct.pack("!H", kind) + vector(2, data) for kind, data in extensions)))
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


def server_hello(cipher=0x1301, version=0x0304, seed=9, resumed=False, session_id=None):
    """A TLS record with a ServerHello, for TLS 1.3 followed by a ChangeCipherSpec and a little application data."""
    random = bytes((seed * 11 + i * 5) & 255 for i in range(32))
    session = random if session_id is None else session_id
    extensions = b""
    if version == 0x0304:
        extensions = struct.pack("!HHH", 43, 2, 0x0304) + struct.pack("!HHHH", 51, 36, 29, 32) + random
        if resumed:
            extensions += struct.pack("!HHH", 41, 2, 0)
    body = (b"\x03\x03" + random + bytes([len(session)]) + session + struct.pack("!HB", cipher, 0) +
            struct.pack("!H", len(extensions)) + extensions)
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    record = b"\x16\x03\x03" + struct.pack("!H", len(message)) + message
    if version == 0x0304:
        record += b"\x14\x03\x03\0\x01\x01" + application_data(1800)
    return record


def application_data(length, filler=0x5A):
    """TLS application data records with `length` bytes in all of content."""
    out = b""
    while length > 0:
        part = min(length, 16384)
        out += b"\x17\x03\x03" + struct.pack("!H", part) + bytes([filler]) * part
        length -= part
    return out


# ---------------------------------------------------------------- HTTP/1.1
def http_request(host, path="/", method="GET", headers=(), body=b"", agent="curl/8.7.1"):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    if agent:
        lines.append("User-Agent: " + agent)
    lines += ["%s: %s" % header for header in headers]
    if body:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def http_response(status="200 OK", headers=(), body=b"ok"):
    lines = ["HTTP/1.1 " + status] + ["%s: %s" % header for header in headers] + ["Content-Length: %d" % len(body)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# ---------------------------------------------------------------- SSH (RFC 4253)
SSH_LISTS = ("curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519,rsa-sha2-512", "chacha20-poly1305@openssh.com,aes128-ctr",
             "chacha20-poly1305@openssh.com,aes128-ctr", "hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
             "hmac-sha2-256-etm@openssh.com,hmac-sha2-256", "none,zlib@openssh.com", "none,zlib@openssh.com", "", "")


def ssh_banner(software="OpenSSH_9.8"):
    return b"SSH-2.0-" + software.encode() + b"\r\n"


def ssh_kexinit(lists=SSH_LISTS):
    """A binary packet with SSH_MSG_KEXINIT."""
    payload = b"\x14" + bytes(range(16))
    for names in lists:
        payload += struct.pack("!I", len(names)) + names.encode()
    payload += b"\0" + struct.pack("!I", 0)
    return ssh_packet(payload)


def ssh_packet(payload):
    """A plain binary packet: length, padding length, payload, padding to a multiple of 8."""
    padding = 8 - (5 + len(payload)) % 8
    if padding < 4:
        padding += 8
    return struct.pack("!IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def ssh_handshake(session, client_software="OpenSSH_9.8", server_software="OpenSSH_9.6p1"):
    """Banners, KEXINITs, key exchange and NEWKEYS on an open session; what follows is opaque."""
    session.send(ssh_banner(client_software)).reply(ssh_banner(server_software))
    session.send(ssh_kexinit()).reply(ssh_kexinit())
    session.send(ssh_packet(b"\x1e" + bytes(36))).reply(ssh_packet(b"\x1f" + bytes(200)) + ssh_packet(b"\x15"))
    session.send(ssh_packet(b"\x15"))
    return session
