"""Why nDPI and lunette may differ about a flow: rules, each decided by tshark's view of that flow or by the verdicts.

A rule is a function of a Difference and of tshark's chains of protocols for the flow; its documentation is the reason
that the table prints."""
import collections
import dataclasses
import pathlib

import tshark_view

# What tshark calls the protocols that lunette names otherwise.
TSHARK = {"krb5": "kerberos", "rfb": "vnc", "ike": "isakmp", "smb": "smb2", "natpmp": "nat-pmp", "wireguard": "wg",
          "dhcpv6": "dhcpv6", "gtp": "gtp", "pop3": "pop", "http": "http", "rdp": "rdp", "xmpp": "xmpp"}


@dataclasses.dataclass
class Difference:
    path: pathlib.Path
    protocol: str
    who: str  # ndpi or lunette: the one that alone says it
    flow: tuple
    theirs: set
    ours: set

    def __str__(self):
        return (f"{self.protocol:10} {self.who:8} alone: {self.path.name} {self.flow} nDPI {sorted(self.theirs)} "
                f"lunette {sorted(self.ours)}")


def said_by_tshark(chains, protocol):
    name = TSHARK.get(protocol, protocol)
    return any(name in chain or protocol in chain for chain in chains)


def tshark_sides_with_lunette(d, chains):
    """tshark sees in the flow what lunette sees"""
    return d.who == "lunette" and said_by_tshark(chains, d.protocol)


def tshark_sees_it_not(d, chains):
    """nDPI says it of a flow in which tshark sees nothing of it either"""
    return d.who == "ndpi" and not said_by_tshark(chains, d.protocol)


RULES = (tshark_sides_with_lunette, tshark_sees_it_not)


def explain(path, differences):
    """A reason or None for each."""
    if not differences:
        return []
    view = tshark_view.look(path)
    chains = collections.defaultdict(list)
    for frame in view.frames if view else []:
        chains[frame.flow].append(frame.chain)
    return [next((rule.__doc__ for rule in RULES if rule(d, chains[d.flow])), None) for d in differences]
