"""Why lunette and tshark may differ: a rule each, told by what tshark itself says of the frames.

A rule is a function of a Difference; its first line of documentation is the reason that the table prints."""
import dataclasses
import functools
import pathlib

import tshark_view

NETWORK = tshark_view.NETWORK
SUBMISSION = {"smtp", "pop", "imap", "ftp", "ldap", "xmpp", "nntp", "mysql", "pgsql", "rdp", "tpkt"}
DECODE_AS = {"tls": "tls", "http": "http", "ssh": "ssh", "dns": "dns"}


@dataclasses.dataclass
class Capture:
    path: pathlib.Path
    theirs: tshark_view.View
    ours: dict

    @functools.lru_cache(maxsize=None)
    def told_the_protocol(self, flow, protocol):
        """What tshark sees when it is told which protocol a flow's ports speak."""
        choices = [f"{flow[0].lower()}.port=={port},{protocol}" for _, port in flow[1:] if port]
        return tshark_view.look(self.path, *(word for choice in choices for word in ("-d", choice)))

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


def inside_a_tunnel(d):
    """lunette does not yet read on inside tunnels (IP in IP, GRE, GTP, VXLAN, Geneve, CAPWAP)"""
    return every(d.frames, lambda f: any(p in NETWORK for p in below_first_network(f.chain)))


def behind_a_proxy_greeting(d):
    """lunette does not read on behind SOCKS, HTTP CONNECT or the PROXY protocol"""
    if d.ours_alone:
        return False
    layers = {"socks", "proxy"} | ({"http"} if d.kind == "tls" else set())
    if every(d.frames, lambda f: layers & set(f.chain)):
        return True
    told = d.kind != "flow" and d.flow and d.flow[0] == "TCP" and d.capture.told_the_protocol(d.flow, "socks")
    return bool(told) and any("socks" in f.chain for f in told.frames if f.flow == d.flow and f.number == d.frames[0].number)


def after_starttls(d):
    """lunette does not follow STARTTLS"""
    return d.kind == "tls" and any(SUBMISSION & set(f.chain) for f in d.capture.of_flow(d.flow))


def link_type_unread(d):
    """lunette does not decode the link type PPI"""
    return every(d.frames, lambda f: f.chain[0] == "ppi")


def first_fragment_alone(d):
    """tshark reads a fragment by itself if the frame is too short to be put together; lunette wants the whole datagram"""
    return d.kind != "flow" and every(d.frames, lambda f: f.cut_fragment)


def transport_header_broken(d):
    """tshark prints the ports of a transport header whose rest is nonsense; lunette does not trust them"""
    return d.kind == "flow" and every(d.frames, lambda f: f.malformed)


def name_unreadable(d):
    """tshark prints a placeholder for a DNS name that breaks the rules; lunette prints none"""
    return d.kind == "dns" and d.what in ("<unknown?extended?label>", "<name?too?long>")


# ------------------------------------------------------------ what lunette alone sees
def not_looked_for_on_that_port(d):
    """tshark picks the dissector by port, and agrees when told which one it is"""
    if not d.ours_alone or d.kind == "flow":
        return False
    told = d.capture.told_the_protocol(d.flow, DECODE_AS[d.kind])
    return bool(told) and d.item in told.items[d.kind]


def beside_a_hole(d):
    """the capture lacks a segment of the stream: tshark shows no message of which a part is missing"""
    return d.ours_alone and d.kind in ("tls", "http") and any(f.hole for f in d.capture.of_flow(d.flow))


def fragment_with_ports(d):
    """lunette takes the ports of a first fragment that never became a datagram; tshark prints none"""
    hosts = d.kind == "flow" and tshark_view.in_order(d.flow[1][0], d.flow[2][0])
    return d.ours_alone and any(f.hosts == hosts and f.fragment and not f.flow for f in d.capture.theirs.frames)


def flow_without_ports(d):
    """lunette counts packets with an unreadable TCP or UDP header as a flow with ports 0"""
    return d.ours_alone and d.kind == "flow" and d.flow[1][1] == d.flow[2][1] == 0


RULES = [quoted_by_icmp, inside_a_tunnel, behind_a_proxy_greeting, after_starttls, link_type_unread, first_fragment_alone,
         transport_header_broken, name_unreadable, not_looked_for_on_that_port, beside_a_hole, fragment_with_ports,
         flow_without_ports]


def reason(difference):
    """The first rule that explains a difference, or None."""
    return next((rule for rule in RULES if rule(difference)), None)
