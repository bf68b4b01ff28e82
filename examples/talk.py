"""Conversations: a TCP connection that keeps its numbers right, and single datagrams.

The recorder sits next to the Mac. So the client's packets are seen as they are sent, the server's answers one round
trip later, and a server acknowledges only what was seen at least a round trip ago.
"""
import wire
from wire import ACK, CWR, ECE, FIN, PSH, RST, SYN

MSS = 1448  # bytes of payload in a full segment: 1500 less 20 IP, 20 TCP, 12 timestamps
STEP = 0.00003  # what the Mac needs to answer a packet


class Server:
    """The far end as the recorder sees it."""

    def __init__(self, ip, rtt, hops=12):
        self.ip, self.rtt, self.ttl = ip, rtt, 64 - hops


class End:
    """One side's half of a TCP connection."""

    def __init__(self, rng, ip, port, ttl):
        self.ip, self.port, self.ttl = ip, port, ttl
        self.seq = rng.randrange(1 << 32)
        self.acked = 0
        self.clock = rng.randrange(1 << 31)  # timestamps start anywhere
        self.echo = 0
        self.identification = 0
        self.window = 0


class Tcp:
    """A connection from the Mac to a server, told step by step; `at` is the story's time of the next step.

    `keep` says how many bytes of each side's stream go to the file whole: (client, server). What comes after is kept
    as headers with the true length."""

    def __init__(self, mac, at, server, port, keep=(1400, 300), mac_port=None):
        self.mac, self.at, self.server = mac, at, server
        rng = mac.rng
        self.client = End(rng, mac.ip, mac_port or mac.next_port(), 64)
        self.far = End(rng, server.ip, port, server.ttl)
        self.far.identification = rng.randrange(1, 1 << 16)
        self.left = {self.client: keep[0], self.far: keep[1]}
        self.gap = 0.00012 + rng.random() * 0.00004  # between full segments: 75 to 100 Mbit/s

    # ---------------------------------------------------------------- packets
    def _send(self, end, flags, payload=b"", options=None):
        other = self.far if end is self.client else self.client
        now = end.clock + int(self.at * 1000)
        if options is None:
            options = wire.OPTION_NOP * 2 + wire.option_timestamps(now, end.echo)
        segment = wire.tcp(end.ip, other.ip, end.port, other.port, end.seq, end.acked if flags & ACK else 0, flags,
                           end.window, options, payload)
        identification = 0
        if end is self.far and not flags & SYN:
            end.identification = identification = (end.identification + 1) & 0xFFFF
        packet = wire.ipv4(end.ip, other.ip, 6, segment, end.ttl, identification)
        frame = self.mac.frame(packet, outward=end is self.client)
        keep = len(frame) - len(payload) + min(len(payload), max(self.left[end], 0))
        self.left[end] -= len(payload)
        self.mac.line.add(self.at, frame, keep)
        end.seq = (end.seq + len(payload) + (1 if flags & (SYN | FIN) else 0)) & 0xFFFFFFFF
        other.pending_echo = now
        return self

    def _heard(self, end):
        """`end` has taken in all that the other side sent so far."""
        other = self.far if end is self.client else self.client
        end.acked = other.seq
        end.echo = getattr(end, "pending_echo", end.echo)

    def open(self):
        rng, mac = self.mac.rng, self.mac
        self.client.window = 65535
        now = self.client.clock + int(self.at * 1000)
        options = (wire.option_mss(1460) + wire.OPTION_NOP + wire.option_window_scale(6) + wire.OPTION_NOP * 2 +
                   wire.option_timestamps(now, 0) + wire.OPTION_SACK_PERMITTED + wire.OPTION_EOL * 2)
        self._send(self.client, SYN | (ECE | CWR if mac.ecn else 0), options=options)
        self.at += self.server.rtt * (1 + rng.random() * 0.1)
        self._heard(self.far)
        self.far.window = 65160
        now = self.far.clock + int(self.at * 1000)
        options = (wire.option_mss(1460) + wire.OPTION_SACK_PERMITTED + wire.option_timestamps(now, self.far.echo) +
                   wire.OPTION_NOP + wire.option_window_scale(9))
        self._send(self.far, SYN | ACK, options=options)
        self.at += STEP
        self._heard(self.client)
        self.client.window = 2058   # 131712 bytes, in units of 2^6
        self._send(self.client, ACK)
        self.far.window = 2048      # 1 MiB, in units of 2^9
        self.at += STEP
        return self

    def client_says(self, data):
        """The server acknowledges every second segment, a round trip after it was seen."""
        acks, start = [], self.at
        pieces = [data[i:i + MSS] for i in range(0, len(data), MSS)]
        times = [start + i * self.gap * 4 for i in range(len(pieces))]  # uplinks are slower
        for i, piece in enumerate(pieces):
            while acks and acks[0][0] <= times[i]:
                self._far_ack(*acks.pop(0))
            self.at = times[i]
            self._send(self.client, ACK | (PSH if i == len(pieces) - 1 else 0), piece)
            if i % 2 or i == len(pieces) - 1:
                acks.append((times[i] + self.server.rtt, self.client.seq, self.far.pending_echo))
        for ack in acks:
            self._far_ack(*ack)
        self.at += STEP
        return self

    def _far_ack(self, at, seq, echo):
        self.at, self.far.acked, self.far.echo = at, seq, echo
        self._send(self.far, ACK)

    def server_says(self, data, think=0.0):
        """The Mac acknowledges every eighth segment at once, and the last."""
        self._heard(self.far)
        self.at += think
        pieces = [data[i:i + MSS] for i in range(0, len(data), MSS)]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            self._send(self.far, ACK | (PSH if last else 0), piece)
            if last or i % 8 == 7:
                self.at += STEP
                self._heard(self.client)
                self._send(self.client, ACK)
            self.at += self.gap
        self._heard(self.far)
        return self

    def wait(self, seconds):
        self.at += seconds
        return self

    def close(self, who="client"):
        first, second = (self.client, self.far) if who == "client" else (self.far, self.client)
        self._heard(first)
        self._send(first, FIN | ACK)
        self.at += self.server.rtt if first is self.client else STEP
        self._heard(second)
        self._send(second, FIN | ACK)
        self.at += self.server.rtt if second is self.client else STEP
        self._heard(first)
        self._send(first, ACK)
        return self

    def reset(self):
        self._heard(self.client)
        self._send(self.client, RST | ACK)
        return self


def datagram(mac, at, outward, peer, mac_port, peer_port, payload, ttl=64, mac_ip=None):
    """One UDP datagram between the Mac and a peer. The Mac gives its datagrams a random IP id, servers too."""
    here = mac_ip or mac.ip
    ends = (here, peer, mac_port, peer_port) if outward else (peer, here, peer_port, mac_port)
    packet = wire.ipv4(ends[0], ends[1], 17, wire.udp(*ends, payload), ttl,
                       mac.rng.randrange(1, 1 << 16), dont_fragment=False)
    mac.line.add(at, mac.frame(packet, outward, peer))
