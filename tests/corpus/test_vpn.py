"""Encrypted tunnels in the real captures: each capture that holds some says so, with what betrayed it, and no other does.

The tables are made by hand: what is in a capture was looked up with tshark (wg, openvpn, isakmp, esp, udpencap, pptp) and, where
tshark knows no better, in the bytes. Where a capture has a VPN's name and no `vpn` event, the reason stands beside it."""
import collections
import json
import shutil
import subprocess

import pytest

from captures import PCAPS, captures, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

# capture: {(kind, mode, product): flows}
HOLD = {
    "ndpi/wireguard.pcap": {("wireguard", None, None): 2},
    "ndpi/mullvad_wireguard.pcap": {("wireguard", None, None): 1},
    "ndpi/tunnelbear.pcap": {("wireguard", None, None): 1},
    "ndpi/protonvpn.pcap": {("wireguard", None, None): 1},
    "ndpi/cloudflare-warp.pcap": {("wireguard", None, "Cloudflare WARP"): 1},
    "ndpi/tailscale.pcap": {("tailscale", "disco", None): 1},
    "ndpi/443-opvn.pcap": {("openvpn", "tls-auth", None): 1},
    "ndpi/openvpn-tlscrypt.pcap": {("openvpn", "tls-crypt", None): 1},
    "ndpi/openvpn_nohmac.pcapng": {("openvpn", "plain", None): 1},
    "ndpi/openvpn_nohmac_tcp.pcapng": {("openvpn", "plain", None): 1},
    "ndpi/openvpn.pcap": {("openvpn", "plain", None): 3, ("openvpn", "tls-auth", None): 5, ("openvpn", "tls-crypt", None): 1},
    # Two of its three flows are scrambled; the third is plain tls-auth.
    "ndpi/openvpn_obfuscated.pcapng": {("openvpn", "tls-auth", None): 1},
    "ndpi/esp.pcapng": {("ipsec", "ike", None): 1, ("ipsec", "esp", None): 1},
    "ndpi/pptp.pcap": {("pptp", None, None): 1},
    "ndpi/tor.pcap": {("tor", None, None): 7},
}
# Captures whose flows are many, or cut by leaps in time: the kinds alone.
HOLD_SOME = {
    "ndpi/ipsec_isakmp_esp.pcap": {"ipsec"},
    "ndpi/softether.pcap": {"softether"},
}
# Captures of other things in which there is a tunnel all the same, and how tshark (or a look) tells.
HOLD_TOO = {
    "ndpi/ah.pcapng": ({"ipsec"}, "isakmp; the AH beside it is read through"),
    "ndpi/custom_categories.pcapng": ({"ipsec"}, "esp over IPv6"),
    "ndpi/ipv6_in_gtp.pcap": ({"ipsec"}, "esp inside GTP"),
    "ndpi/ossfuzz_seed_fake_traces_2.pcapng": ({"wireguard"}, "wg: wireguard.pcap, spoilt here and there"),
    "ndpi/anyconnect-vpn.pcap": ({"anyconnect"}, "dtls of version 0x0100 beside TLS to the same server"),
    "ndpi/dtls_old_version.pcapng": ({"anyconnect"}, "dtls of version 0x0100"),
    "tcpdump/02-sunrise-sunset-esp.pcap": ({"ipsec"}, "esp"),
    "tcpdump/08-sunrise-sunset-aes.pcap": ({"ipsec"}, "esp"),
    "tcpdump/08-sunrise-sunset-esp2.pcap": ({"ipsec"}, "esp"),
    "tcpdump/ISAKMP_sa_setup.pcap": ({"ipsec"}, "isakmp"),
    "tcpdump/espudp1.pcap": ({"ipsec"}, "udpencap with esp"),
    "tcpdump/ikev2four.pcap": ({"ipsec"}, "isakmp"),
    "tcpdump/ikev2pI2.pcap": ({"ipsec"}, "isakmp"),
    "tcpdump/ikev2pI2-segfault.pcapng": ({"ipsec"}, "isakmp, spoilt behind its header"),
    "tcpdump/isakmp-identification-segfault.pcap": ({"ipsec"}, "isakmp, spoilt behind its header"),
    "tcpdump/isakmp4500.pcap": ({"ipsec"}, "isakmp and udpencap"),
    "tcpdump/pptp.pcap": ({"pptp"}, "pptp"),
}
# A VPN's name, but nothing that could honestly be called one.
NOTHING = {
    "ndpi/pia.pcap": "TLS to the provider's server: only its certificate's name tells, and names of providers are for lists",
    "ndpi/forticlient.pcap": "TLS to a FortiGate: its management page looks the same",
    "ndpi/opera-vpn.pcapng": "an HTTPS proxy: ordinary TLS of a browser",
    "ndpi/mullvad_dns.pcap": "DNS over HTTPS, a name in DNS",
    "ndpi/ultrasurf.pcap": "TLS records of its own making, without a handshake",
    "ndpi/psiphon3.pcap": "TLS with names of others",
}
NO_TUNNEL = ["dtls.pcap", "dtls2.pcap", "dtls_certificate.pcapng", "dtls_certificate_fragments.pcap", "dtls_mid_sessions.pcapng",
             "dtls_session_id_and_coockie_both.pcap"]


def tunnels(path):
    """[the vpn object of each event]; None if the file cannot be read."""
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "vpn", path)
    return [json.loads(line)["vpn"] for line in done.stdout.splitlines()] if done.returncode in (0, 1) else None


def capture(name):
    path = PCAPS / name
    if not path.exists():
        pytest.skip("no captures")
    return path


@pytest.mark.parametrize("name", sorted(HOLD))
def test_the_tunnel_is_told(name):
    found = tunnels(capture(name))
    assert collections.Counter((v["kind"], v.get("mode"), v.get("product")) for v in found) == HOLD[name]
    assert all(v["evidence"] and v["confidence"] in ("certain", "likely") for v in found)


@pytest.mark.parametrize("name", sorted(HOLD_SOME))
def test_its_kind_is_told(name):
    assert {v["kind"] for v in tunnels(capture(name))} == HOLD_SOME[name]


@pytest.mark.parametrize("name", [*NOTHING, *("ndpi/" + name for name in NO_TUNNEL)])
def test_nothing_is_made_up(name):
    assert tunnels(capture(name)) == []


def test_no_other_capture_has_one():
    known = {*HOLD, *HOLD_SOME, *HOLD_TOO, *NOTHING}
    others = [path for path in captures("ndpi", "ja4", "apple", "tcpdump") if str(path.relative_to(PCAPS)) not in known]
    found = dict(zip(others, two_at_a_time(tunnels, others)))
    told = {str(path.relative_to(PCAPS)): [v["evidence"] for v in events] for path, events in found.items() if events}
    assert told == {}


@pytest.mark.parametrize("name", sorted(HOLD_TOO))
def test_a_tunnel_among_other_things(name):
    kinds, why = HOLD_TOO[name]
    assert {v["kind"] for v in tunnels(capture(name))} == kinds, why


def tshark_flows(path, protocol):
    """Pairs of (address, port) between which tshark sees that protocol."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    fields = ["ip.src", "udp.srcport", "tcp.srcport", "ip.dst", "udp.dstport", "tcp.dstport"]
    done = subprocess.run(["tshark", "-r", str(path), "-Y", protocol, "-T", "fields", *(x for f in fields for x in ("-e", f))],
                          capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {frozenset([(r[0], r[1] or r[2]), (r[3], r[4] or r[5])]) for r in rows}


@pytest.mark.parametrize("name,filter,kind", [
    ("ndpi/wireguard.pcap", "wg", "wireguard"), ("ndpi/mullvad_wireguard.pcap", "wg", "wireguard"),
    ("ndpi/443-opvn.pcap", "openvpn", "openvpn"), ("ndpi/openvpn_nohmac.pcapng", "openvpn", "openvpn"),
    ("ndpi/openvpn_nohmac_tcp.pcapng", "openvpn", "openvpn"), ("ndpi/ipsec_isakmp_esp.pcap", "isakmp", "ipsec"),
    ("ndpi/pptp.pcap", "pptp", "pptp")])
def test_tshark_sees_it_between_the_same_two(name, filter, kind):
    path = capture(name)
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "vpn", path)
    ours = {frozenset([(r["src_ip"], str(r.get("src_port", ""))), (r["dest_ip"], str(r.get("dest_port", "")))])
            for r in map(json.loads, done.stdout.splitlines()) if r["vpn"]["kind"] == kind}
    assert ours == tshark_flows(path, filter)
