"""lunette against nDPI over the real captures: which protocol does each flow speak?

For each protocol that both know, the table says how many flows both give to it, and how many only one. What differs is
explained by a rule below or counted against lunette. nDPI judges by ports, addresses and lists of names where bytes do not
tell, and lunette does not; each rule is therefore decided by a third, tshark, or by the flow's own bytes. Run with -s to see
the table. The sanitizers' build leaves it out."""
import collections
import json
import os

import ndpi_rules
import ndpi_view
import tshark_view
from captures import captures, needs_lunette, replay, two_at_a_time
from tshark_view import in_order

import pytest

pytestmark = needs_lunette

LEAST = 0.99
# nDPI's verdicts and what lunette calls the same. Several of nDPI's are one of ours: it tells by port or by name.
NAMES = {
    "DNS": "dns", "MDNS": "mdns", "LLMNR": "llmnr", "TLS": "tls", "SMTPS": "tls", "IMAPS": "tls", "POPS": "tls",
    "FTPS": "tls", "QUIC": "quic", "HTTP": "http", "HTTP_Proxy": "http", "SSH": "ssh", "NTP": "ntp", "SMTP": "smtp",
    "IMAP": "imap", "POP3": "pop3", "FTP_CONTROL": "ftp", "DHCP": "dhcp", "DHCPV6": "dhcpv6", "SSDP": "ssdp",
    "SMBv23": "smb", "SMBv1": "smb", "Kerberos": "krb5", "LDAP": "ldap", "RDP": "rdp", "VNC": "rfb", "STUN": "stun",
    "MQTT": "mqtt", "IRC": "irc", "Jabber": "xmpp", "SOCKS": "socks", "OpenVPN": "openvpn", "WireGuard": "wireguard",
    "IPsec": "ike", "DTLS": "dtls", "NAT-PMP": "natpmp", "GTP": "gtp", "Teredo": "teredo", "PPTP": "pptp", "L2TP": "l2tp",
    "VXLAN": "vxlan",
    "NetBIOS": "nbns", "WebSocket": "websocket", "HTTP_Connect": "http", "DoH_DoT": "tls", "AVASTSecureDNS": "dns",
}


def named_by(verdict):
    """What lunette calls the protocols of a verdict. Of two the second counts if it is one: it is what the first carries."""
    master, _, inner = verdict.partition(".")
    return {NAMES[inner] if inner in NAMES and inner != "DoH_DoT" else NAMES.get(master)} - {None}


def ours_of(capture):
    """{flow: {app_proto …}}, that which carried another included, and DTLS between other datagrams; or None."""
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "flow,tls", capture)
    if done.returncode != 0:
        return None
    flows = collections.defaultdict(set)
    for record in map(json.loads, done.stdout.splitlines()):
        if record["proto"] in ("TCP", "UDP"):
            ends = (record["src_ip"], record.get("src_port", 0)), (record["dest_ip"], record.get("dest_port", 0))
            flows[record["proto"], *in_order(*ends)] |= {
                record[key] for key in ("app_proto", "app_proto_orig") if key in record}
            if record.get("tls", {}).get("version", "").startswith("DTLS"):
                flows[record["proto"], *in_order(*ends)].add("dtls")
    return flows


def compare(path):
    """(agreeing flows by protocol, [(protocol, who alone, flow, their verdicts, ours, reason or None) …]) or None."""
    theirs, ours = ndpi_view.look(path), ours_of(path)
    if theirs is None or ours is None:
        return None
    agreed, differing = collections.Counter(), []
    for flow in sorted(theirs.keys() | ours.keys(), key=str):
        named = set().union(*map(named_by, theirs.get(flow, ())))
        known = ours.get(flow, set()) & set(NAMES.values())
        agreed.update(named & known)
        for protocol in sorted(named ^ known):
            if protocol not in named and named & known:
                continue  # both tell one layer, lunette another as well
            who = "ndpi" if protocol in named else "lunette"
            differing.append(ndpi_rules.Difference(path, protocol, who, flow, theirs.get(flow, set()), ours.get(flow, set())))
    reasons = ndpi_rules.explain(path, differing)
    return agreed, list(zip(differing, reasons))


def test_they_recognise_the_same():
    if os.environ.get("LUNETTE_SANITIZE") == "1":
        pytest.skip("the other build compares")
    ndpi_view.require()
    tshark_view.require()
    compared = [c for c in two_at_a_time(compare, captures("ndpi", "ja4", "apple")) if c]
    agreed = sum((a for a, _ in compared), collections.Counter())
    found = [pair for _, pairs in compared for pair in pairs]
    alone = collections.Counter((d.protocol, d.who) for d, _ in found)
    left = collections.Counter(d.protocol for d, reason in found if not reason)

    print(f"\n{len(compared)} captures\n{'':12}{'both':>7}{'nDPI alone':>12}{'lunette alone':>15}{'unexplained':>13}")
    for protocol in sorted(set(NAMES.values())):
        print(f"{protocol:12}{agreed[protocol]:7}{alone[protocol, 'ndpi']:12}{alone[protocol, 'lunette']:15}{left[protocol]:13}")
    for reason, count in collections.Counter(reason for _, reason in found if reason).most_common():
        print(f"{count:5}  {reason}")
    unexplained = [str(d) for d, reason in found if not reason]
    print(*unexplained, sep="\n")

    assert sum(agreed.values()) > 3000
    share = sum(agreed.values()) / (sum(agreed.values()) + sum(left.values()))
    assert share >= LEAST, unexplained
