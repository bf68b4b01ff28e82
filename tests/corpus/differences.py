"""Why lunette and tshark may differ: a rule each, told by what tshark itself says of the frames.

A rule is a function of a Difference; its first line of documentation is the reason that the table prints."""
import dataclasses
import functools
import pathlib

import tshark_view

NETWORK = tshark_view.NETWORK
FOLLOWED = {"tls", "smtp", "pop", "imap", "ftp", "ldap", "xmpp", "rdp", "tpkt", "http", "socks"}  # TLS inside is read
CLASSES = {1, 3, 4, 254, 255}  # IN, CH, HS, NONE, ANY
DISSECTORS = {"ja3": "tls", "ja3s": "tls", "hassh": "ssh", "hasshserver": "ssh"}  # tshark's name of what reads a kind, where it is another
NOT_WAITING = ("-o", "http.desegment_headers:FALSE", "-o", "http.desegment_body:FALSE",
               "-o", "tcp.reassemble_out_of_order:FALSE")
# What no rule can tell: (capture, item), each with its reason.
ODDITIES = {
    # The Host is "%s", NUL, "2.20.3.5": tshark prints it up to the NUL, to lunette it is no host.
    ("fuzz-2006-09-29-28586.pcap", ("POST", "%s", "/ppgctrl/ppgcontrollogic.dll")),
    ("fuzz-2006-09-29-28586.pcap", ("POST", "", "/ppgctrl/ppgcontrollogic.dll")),
}


@dataclasses.dataclass
class Capture:
    path: pathlib.Path
    theirs: tshark_view.View
    ours: dict

    @functools.lru_cache(maxsize=None)
    def seen_with(self, *options):
        """tshark's view again, with other options."""
        return tshark_view.look(self.path, *options)

    def told_the_protocol(self, flow, protocol):
        """What tshark sees when it is told which protocol a flow's ports speak."""
        choices = [f"{flow[0].lower()}.port=={port},{protocol}" for _, port in flow[1:] if port]
        return self.seen_with(*(word for choice in choices for word in ("-d", choice)))

    def __hash__(self):
        return hash(self.path)

    def of_flow(self, flow):
        return [frame for frame in self.theirs.frames if flow and frame.flow == flow]


@dataclasses.dataclass
class Difference:
    capture: Capture
    kind: str
    item: tuple
    frames: list  # where tshark saw it; empty if only lunette did

    @property
    def flow(self):
        return self.item if self.kind == "flow" else self.item[0]

    @property
    def what(self):
        return None if self.kind == "flow" else self.item[1]

    @property
    def ours_alone(self):
        return not self.frames

    def __str__(self):
        who = "lunette alone" if self.ours_alone else f"tshark alone, frame {self.frames[0].number}"
        return f"{self.kind:5} {self.capture.path.name}: {self.item} ({who})"


def every(frames, test):
    return bool(frames) and all(map(test, frames))


def below_first_network(chain):
    first = next((i for i, p in enumerate(chain) if p in NETWORK), len(chain))
    return chain[first + 1:]


# ------------------------------------------------------------- what tshark alone sees
def quoted_by_icmp(d):
    """the packet that an ICMP error quotes is no packet of its flow"""
    return every(d.frames, lambda f: any(p in ("icmp", "icmpv6") for p in below_first_network(f.chain)))


def inside_wireless(d):
    """lunette does not read on inside CAPWAP, which carries frames of IEEE 802.11, nor in samples that sFlow took"""
    return every(d.frames, lambda f: any(p in ("capwap", "capwap.data", "sflow") for p in f.chain))


def behind_a_proxy_greeting(d):
    """lunette does not read on behind the PROXY protocol's line"""
    return every(d.frames, lambda f: "proxy" in f.chain)


def inside_what_is_not_read(d):
    """lunette reads no TLS where a connection begins with what it does not follow: MySQL, PostgreSQL, Gnutella, NX, OpenVPN"""
    if d.kind not in ("tls", "ja3", "ja3s") or d.ours_alone or d.flow is None or d.flow[0] != "TCP":
        return False
    spoken = [set(f.chain[f.chain.index("tcp") + 1:]) for f in d.capture.of_flow(d.flow) if "tcp" in f.chain]
    first = next(filter(None, spoken), set())
    return bool(first) and not first & FOLLOWED


def link_type_unread(d):
    """lunette does not decode the link type PPI"""
    return every(d.frames, lambda f: f.chain[0] == "ppi")


def first_fragment_alone(d):
    """tshark reads a first fragment by itself if the frame is cut short; lunette wants the whole datagram"""
    first = lambda f: f.fragment and f.values["ip.frag_offset"][:1] == ["0"]
    return d.kind != "flow" and every(d.frames, first)


def transport_header_broken(d):
    """tshark prints the ports of a transport header whose rest is nonsense; lunette does not trust them"""
    return d.kind == "flow" and every(d.frames, lambda f: f.malformed)


def name_unreadable(d):
    """tshark prints a placeholder for a DNS name that breaks the rules; lunette prints none"""
    return d.kind == "dns" and d.what in ("<unknown?extended?label>", "<name?too?long>")


def no_dns_but_for_the_port(d):
    """on DNS's port tshark reads on where the count of questions or their class is nonsense; lunette calls it no DNS"""

    def nonsense(frame):
        counts, classes = frame.values["dns.count.queries"], frame.values["dns.qry.class"]
        wild = any(int(n) > 4 for n in counts) or any(int(n, 16) not in CLASSES for n in classes)
        return wild or (frame.malformed and not any(port == 53 for _, port in frame.flow[1:]))

    return d.kind == "dns" and d.flow is not None and every(d.frames, nonsense)


# --------------------------------------------------------------------- what both see
def target_with_blanks(d):
    """tshark ends a request's target at its first blank; lunette, as lenient servers do, at the last"""
    odd = lambda f: any(not v.startswith("HTTP/") for v in f.values["http.request.version"])
    return d.kind == "http" and any(map(odd, d.frames or d.capture.of_flow(d.flow)))


# ------------------------------------------------------------ what lunette alone sees
def not_looked_for_on_that_port(d):
    """tshark picks the dissector by port, and agrees when told which one it is"""
    if not d.ours_alone or d.kind == "flow":
        return False
    protocol = DISSECTORS.get(d.kind, d.kind)
    if protocol == "tls" and d.flow[0] == "UDP":
        protocol = "quic"
    told = d.capture.told_the_protocol(d.flow, protocol)
    return told is not None and d.item in told.items[d.kind]


def message_not_whole(d):
    """tshark shows nothing of a message of which a part is missing, and agrees when told not to wait for it"""
    return d.ours_alone and d.kind == "http" and d.item in d.capture.seen_with(*NOT_WAITING).items["http"]


def hello_not_whole(d):
    """the capture lacks a segment of the ClientHello: tshark shows nothing of it, lunette the name that is there"""
    return d.ours_alone and d.kind == "tls" and any(f.hole for f in d.capture.of_flow(d.flow))


def fragments_alone(d):
    """fragments that never became a datagram are a flow to lunette; tshark prints no ports for them"""
    hosts = d.kind == "flow" and tshark_view.in_order(d.flow[1][0], d.flow[2][0])
    return d.ours_alone and any(f.hosts == hosts and f.fragment and not f.flow for f in d.capture.theirs.frames)


def behind_a_header_unread(d):
    """tshark does not read on behind PKTAP's second version and droptap's header; lunette does"""
    return d.ours_alone and every(d.capture.theirs.frames, lambda f: f.chain == ["user_dlt", "pktap"])


def oddity(d):
    """single messages that no rule can tell (listed in differences.py)"""
    return (d.capture.path.name, d.what) in ODDITIES


RULES = [quoted_by_icmp, inside_wireless, behind_a_proxy_greeting, inside_what_is_not_read, link_type_unread, first_fragment_alone,
         transport_header_broken, name_unreadable, no_dns_but_for_the_port, target_with_blanks, not_looked_for_on_that_port,
         message_not_whole, hello_not_whole, fragments_alone, behind_a_header_unread, oddity]


def reason(difference):
    """The first rule that explains a difference, or None."""
    return next((rule for rule in RULES if rule(difference)), None)
