"""Why nDPI and lunette may differ about a flow: rules, each decided by tshark's view of that flow, never by a name.

A rule is a function of a Difference and of tshark's frames of the flow; its documentation is the reason that the table
prints."""
import collections
import dataclasses
import pathlib
import subprocess

import tshark_view
from differences import CLASSES, NOT_WAITING

# What tshark calls the protocols that lunette names otherwise.
TSHARK = {"krb5": "kerberos", "rfb": "vnc", "ike": "isakmp", "smb": "smb2", "natpmp": "portcontrol", "wireguard": "wg", "pop3": "pop"}
OLDER = {"quic": "gquic", "stun": "classicstun"}  # have names of their own
# Where tshark goes by port: a filter for what a message of the protocol has and other bytes, read as one, do not.
PROOF = {"http": "http.request.method || http.response.code", "xmpp": "xmpp.stream || xmpp.features || xmpp.iq",
         "dns": "dns.flags.response && !_ws.malformed", "tls": "tls.handshake.type", "quic": "quic.version",
         "smtp": "smtp.response.code", "ftp": "ftp.response.code", "pop3": "pop.response.indicator",
         "socks": "socks.version && socks.command", "stun": "stun.cookie",
         "openvpn": "openvpn.opcode == 8 && openvpn.sessionid"}


@dataclasses.dataclass
class Difference:
    path: pathlib.Path
    protocol: str
    who: str  # ndpi or lunette: the one that alone says it
    flow: tuple
    theirs: set
    ours: set
    links_alone: bool = False  # tshark reads nothing of the capture but its link layer

    def __str__(self):
        return (f"{self.protocol:10} {self.who:8} alone: {self.path.name} {self.flow} nDPI {sorted(self.theirs)} "
                f"lunette {sorted(self.ours)}")


def of_protocol(frames, protocol):
    names = {protocol, TSHARK.get(protocol), OLDER.get(protocol)}
    return [f for f in frames if names & set(f.chain)]


def said_by_tshark(frames, protocol):
    return bool(of_protocol(frames, protocol))


def tshark_sides_with_lunette(d, frames):
    """tshark sees in the flow what lunette sees"""
    return d.who == "lunette" and said_by_tshark(frames, d.protocol)


def tshark_told_to_look_does(d, frames):
    """tshark goes by port, and finds the protocol's own messages when told to look for them"""
    if d.who != "lunette" or d.protocol not in PROOF:
        return False
    transport, ports = d.flow[0].lower(), [port for _, port in d.flow[1:]]
    here = " && ".join(f"{transport}.port == {port}" for port in ports)
    for port in ports:
        command = ["tshark", "-n", "-r", str(d.path), "-d", f"{transport}.port=={port},{TSHARK.get(d.protocol, d.protocol)}",
                   "-Y", f"{here} && ({PROOF[d.protocol]})", "-T", "fields", "-e", "frame.number", *NOT_WAITING]
        if subprocess.run(command, capture_output=True, timeout=120).stdout.strip():
            return True
    return False


def behind_a_header_unread(d, frames):
    """neither nDPI nor tshark reads on behind PKTAP's second version and droptap's header"""
    return d.who == "lunette" and d.links_alone


def session_service(d, frames):
    """what asks for a session on NetBIOS's port 139 is SMB to lunette"""
    return d.who == "lunette" and d.protocol == "smb" and any("nbss" in f.chain for f in frames)


def datagram_service(d, frames):
    """lunette does not know NetBIOS's datagram service"""
    return d.who == "ndpi" and d.protocol in ("nbns", "smb") and any("nbdgm" in f.chain for f in frames)


def tshark_sees_it_not(d, frames):
    """nDPI says it of a flow in which tshark sees nothing of it either"""
    return d.who == "ndpi" and not said_by_tshark(frames, d.protocol)


def by_port_alone(d, frames):
    """nDPI and tshark go by port, and no packet of the flow holds what tshark can read as such a message"""
    if d.who != "ndpi":
        return False

    def says_nothing(f):
        values = f.values
        if d.protocol in ("dns", "mdns", "llmnr", "nbns"):
            wild = any(int(n) > 4 for n in values["dns.count.queries"])
            wild |= any(int(n, 16) & 0x7fff not in CLASSES for n in values["dns.qry.class"])
            return f.malformed or wild or any(n.startswith("<") and n != "<Root>" for n in values["dns.qry.name"])
        if d.protocol == "tls":
            return not values["tls.record.content_type"]
        return False

    named = of_protocol(frames, d.protocol)
    return bool(named) and all(map(says_nothing, named))


def answer_to_nothing(d, frames):
    """tshark makes no request of what the client says either, and takes the answer by its port"""
    answers = of_protocol(frames, d.protocol)
    both_speak = len({tuple(f.values["tcp.srcport"]) for f in frames}) == 2
    return d.who == "ndpi" and d.protocol == "http" and both_speak and \
        not any(f.values["http.request.method"] for f in answers)


def begins_otherwise(d, frames):
    """the flow begins with other datagrams: lunette tells what it speaks by the first ones, nDPI and tshark by each"""
    return d.who == "ndpi" and d.flow[0] == "UDP" and len(frames) > 3 and not said_by_tshark(frames[:3], d.protocol)


def control_plane(d, frames):
    """lunette opens GTP's user plane, and does not know its control plane"""
    inside = ("gtpv2", "gtp")
    return d.who == "ndpi" and d.protocol == "gtp" and all(f.chain[-1] in inside for f in frames if set(inside) & set(f.chain))


RULES = (tshark_sides_with_lunette, behind_a_header_unread, session_service, tshark_told_to_look_does, datagram_service, tshark_sees_it_not, by_port_alone,
         answer_to_nothing, begins_otherwise, control_plane)


def explain(path, differences):
    """A reason or None for each."""
    if not differences:
        return []
    view = tshark_view.look(path)
    frames = view.items["flow"] if view else {}
    links_alone = bool(view and view.frames) and all(f.chain == ["user_dlt", "pktap"] for f in view.frames)
    for d in differences:
        d.links_alone = links_alone
    return [next((rule.__doc__ for rule in RULES if rule(d, frames.get(d.flow, []))), None) for d in differences]
