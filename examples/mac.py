"""A Mac's habits: how it joins a network, asks for names, sets its clock, and talks TLS.

Two kinds: `MacBook(…, release="10.15")` has the TLS stack of 2019, asks for A records only and sets up ECN;
`release="14.5"` has the stack of 2023 and asks for HTTPS and A records in pairs.
"""
import struct

import names
import tls
import wire
from talk import STEP, Server, Tcp, datagram

HOSTS = {  # round trip in seconds by the first octet of an address; what is not listed is far away
    "17": 0.018, "23": 0.009, "151": 0.010, "104": 0.011, "142": 0.012, "157": 0.014, "185": 0.016, "203": 0.094,
    "198": 0.121,
}
DHCP_MAGIC = bytes.fromhex("63825363")


class MacBook:
    def __init__(self, line, rng, ip, hardware, name, release):
        self.line, self.rng, self.ip, self.hardware, self.name = line, rng, ip, hardware, name
        self.router = ip.rsplit(".", 1)[0] + ".1"
        self.router_hardware = "d8:47:32:1a:90:4c"
        self.modern = release != "10.15"
        self.stack = "apple-2023" if self.modern else "apple-2019"
        self.ecn = not self.modern
        self.darwin = 23 if self.modern else 19
        self.ports = set()
        self.cache = {}  # name: (addresses, good until)
        self.uptime = rng.randrange(1 << 20)

    # ----------------------------------------------------------------- basics
    def frame(self, packet, outward, peer=None):
        """Ethernet around an IP packet; multicast and broadcast have addresses of their own."""
        if peer == "255.255.255.255":
            other = "ff:ff:ff:ff:ff:ff"
        elif peer == "224.0.0.251":
            other = "01:00:5e:00:00:fb"
        else:
            other = self.router_hardware
        source, target = (self.hardware, other) if outward else (self.router_hardware, self.hardware)
        return wire.ethernet(source, target, packet)

    def next_port(self):
        while True:
            port = self.rng.randrange(49152, 65536)
            if port not in self.ports:
                self.ports.add(port)
                return port

    def udp_port(self):
        return self.rng.randrange(49152, 65536)

    def server(self, ip):
        base = HOSTS.get(ip.split(".")[0], 0.045)
        return Server(ip, base * (0.95 + self.rng.random() * 0.1), hops=5 + int(ip.split(".")[-1]) % 11)

    # -------------------------------------------------------------------- DNS
    def ask(self, at, name, kind):
        """One question to the router's resolver; returns the time of its answer."""
        identifier, port = self.rng.randrange(1 << 16), self.udp_port()
        datagram(self, at, True, self.router, port, 53, names.query(identifier, name, kind))
        done = at + 0.004 + self.rng.random() * 0.022
        datagram(self, done, False, self.router, port, 53, names.answer(identifier, name, kind))
        return done

    def resolve(self, at, name, pair=True):
        """An address of the name, and the time at which it is known. The URL stack of newer releases asks for the
        HTTPS record beside the address (RFC 9460)."""
        addresses, until = self.cache.get(name, (None, 0))
        if addresses and at < until:
            return self.rng.choice(addresses), at
        if self.modern and pair:
            self.ask(at, name, names.HTTPS)
        at = self.ask(at + 0.0002, name, names.A)
        if name not in names.WORLD:
            return None, at
        _, addresses, ttl = names.WORLD[name]
        self.cache[name] = (addresses, at + min(ttl, 60))
        return self.rng.choice(addresses), at

    # --------------------------------------------------------------- services
    def set_clock(self, at, server="time.apple.com"):
        """Four requests within three seconds, every byte after the first zero, each from a port of its own."""
        address, at = self.resolve(at, server, pair=False)
        host = self.server(address)
        for i in range(4):
            port, sent = self.udp_port(), at + i * 0.9
            datagram(self, sent, True, address, port, 123, b"\x23" + bytes(47))
            stamp = struct.pack(">II", int(self.line.start + sent) + 2208988800, self.rng.randrange(1 << 32))
            reply = struct.pack(">BBBbII4s", 0x24, 1, 0, -20, 0, 0x30, b"GPSs") + stamp + bytes(8) + stamp + stamp
            datagram(self, sent + host.rtt, False, address, port, 123, reply, ttl=host.ttl)
        return at + 3

    def join(self, at, fresh=True):
        """DHCP, the PTR question for its own address, and Bonjour's announcement."""
        at = self.dhcp(at, fresh)
        reverse = ".".join(reversed(self.ip.split("."))) + ".in-addr.arpa"
        self.ask(at + 0.4, reverse, names.PTR)
        for delay in (0.6, 1.6, 3.6):
            self.announce(at + delay)
        return at + 0.7

    def dhcp(self, at, fresh):
        transaction = self.rng.randbytes(4)
        wanted = bytes((1, 121, 3, 6, 15, 119, 252, 95, 44, 46))
        if self.modern:
            wanted = bytes((1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46))
        client = b"\1" + wire.mac_bytes(self.hardware)
        common = [(55, wanted), (57, b"\x05\xdc"), (61, client)]
        lease, name = (51, struct.pack(">I", 7776000)), (12, self.name.encode())
        address, router = (50, wire.address(self.ip)), (54, wire.address(self.router))
        given = [(54, wire.address(self.router)), (51, struct.pack(">I", 86400)), (1, b"\xff\xff\xff\0"),
                 (3, wire.address(self.router)), (6, wire.address(self.router)), (15, b"home.arpa")]
        steps = [(1, common + [lease, name], True), (2, given, False)] if fresh else []
        steps += [(3, common + [address] + ([router] if fresh else [lease]) + [name], True), (5, given, False)]
        for kind, options, outward in steps:
            offered = "0.0.0.0" if outward else self.ip
            message = struct.pack(">BBBBIHH", 1 if outward else 2, 1, 6, 0, int.from_bytes(transaction, "big"), 0, 0)
            message += bytes(4) + wire.address(offered) + bytes(8) + wire.mac_bytes(self.hardware) + bytes(202)
            message += DHCP_MAGIC + b"".join(bytes((code, len(value))) + value
                                             for code, value in [(53, bytes((kind,)))] + options) + b"\xff"
            message += bytes(max(0, 300 - len(message)))
            if outward:
                datagram(self, at, True, "255.255.255.255", 68, 67, message, ttl=255, mac_ip="0.0.0.0")
            else:
                datagram(self, at, False, self.router, 68, 67, message)
            at += 0.012 if outward else 0.9 if kind == 2 else 0.05
        return at

    def announce(self, at):
        """What a Mac says of itself by multicast: its name, its model, its Darwin version."""
        local = f"{self.name}.local"
        service = "_companion-link._tcp.local"
        instance = f"{self.name}.{service}"
        info = [b"model=MacBookPro18,3" if self.modern else b"model=MacBookPro14,1", b"osxvers=%d" % self.darwin]
        hints = [b"rpHN=5f0c8e1a", b"rpFl=0x20000", b"rpHA=9b1d6f", b"rpVr=195.2", b"rpAD=31ce90", b"rpHI=77ab01"]
        text = lambda strings: b"".join(bytes((len(string),)) + string for string in strings)
        message = names.Message(0, 0x8400, (0, 4, 0, 1))
        message.record(local, names.A, 120, wire.address(self.ip), cls=0x8001)
        message.record(service, names.PTR, 4500, lambda m: m.name(instance))

        def srv(m):
            m.data += struct.pack(">HHH", 0, 0, 49252)
            m.name(local)
        message.record(instance, names.SRV, 120, srv, cls=0x8001)
        message.record(instance, names.TXT, 4500, text(hints), cls=0x8001)
        message.record(f"{self.name}._device-info._tcp.local", names.TXT, 4500, text(info))
        datagram(self, at, True, "224.0.0.251", 5353, 5353, message.bytes(), ttl=255)

    # ------------------------------------------------------------ connections
    def connect(self, at, name, port, **options):
        address, at = self.resolve(at, name)
        return Tcp(self, at + STEP, self.server(address), port, **options).open()

    def tls_open(self, at, name, port=443, alpn=("h2", "http/1.1"), stack=None, keep=(540, 150)):
        """Handshake of TLS 1.3. The certificates are encrypted there, so random bytes stand for them."""
        talk = self.connect(at, name, port, keep=keep)
        hello, session = tls.client_hello(stack or self.stack, self.rng, name, alpn)
        talk.client_says(hello)
        flight = tls.server_hello(self.rng, session) + tls.sealed(self.rng, 10)
        flight += tls.sealed(self.rng, self.rng.randrange(2400, 3900)) + tls.sealed(self.rng, 264)
        talk.server_says(flight + tls.sealed(self.rng, 36), think=0.003)
        talk.client_says(tls.change_cipher_spec() + tls.sealed(self.rng, 36))
        return talk

    def https(self, at, name, down, up=None, requests=1, think=0.02, port=443, **options):
        """Opens, fetches `down` bytes in so many requests, closes; returns the time of the end."""
        talk = self.tls_open(at, name, port, **options)
        for i in range(requests):
            asked = (up or self.rng.randrange(320, 900)) // (1 if i == 0 else 3)
            talk.client_says(tls.sealed(self.rng, asked))
            talk.server_says(tls.sealed(self.rng, max(down // requests, 60)), think * (0.5 + self.rng.random()))
            if i + 1 < requests:
                talk.wait(self.rng.random() * 0.3)
        talk.client_says(tls.sealed(self.rng, 2))  # close_notify
        return talk.close().at

    def http(self, at, name, request, head, body=b"", keep=None, think=0.01):
        """One plain request and its response; returns the time of the end."""
        talk = self.connect(at, name, 80, keep=keep or (len(request), len(head) + 400))
        talk.client_says(request)
        talk.server_says(head + body, think)
        return talk.close().at
