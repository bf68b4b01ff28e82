"""What tshark, which shares no code with us, finds in a capture: flows, names, requests, banners, fingerprints.

A look of tshark (tshark_fields.py) is a line a frame. An item found in it keeps the frames it was found in, with what explains
differences: the chain of protocols, whether the frame was a fragment or malformed.

A flow is (protocol, one end, other end), its ends in order. A frame has one for each layer of IP in it; what is found
in it belongs to the innermost."""
import collections
import dataclasses
import re
import shutil

import pytest

import tshark_fields

NETWORK = ("ip", "ipv6")
TRANSPORT = NETWORK + ("tcp", "udp", "icmp", "icmpv6", "gre", "sctp", "esp", "ah")
KINDS = ("flow", "dns", "tls", "http", "ssh", "socks", "http2", "ja3", "ja3s", "hassh", "hasshserver", "quic")


@dataclasses.dataclass
class Frame:
    number: int
    chain: list  # of protocols, outermost first
    flow: tuple  # the innermost, or None
    hosts: tuple  # the outermost addresses, in order, or ()
    fragment: bool
    malformed: bool
    hole: bool  # a segment before this one, or one that this one acknowledges, is not in the capture
    values: dict  # of the fields: a list each


@dataclasses.dataclass
class View:
    items: dict  # of a kind: {item: [Frame …]}
    frames: list


def require():
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")


def in_order(*ends):
    return tuple(sorted(ends))


def layers(chain, values):
    """[(transport or "", source, target, its ports or None) …] of a frame's layers of IP, outermost first, down to what an
    ICMP error quotes."""
    left, found = {name: list(of) for name, of in values.items()}, []
    for at, protocol in enumerate(chain):
        if protocol in ("icmp", "icmpv6"):
            break
        if protocol not in NETWORK or not left[protocol + ".src"]:
            continue
        ends = left[protocol + ".src"].pop(0), left[protocol + ".dst"].pop(0)
        transport = next((p for p in chain[at + 1:] if p in TRANSPORT), "")
        ports = None
        if transport in ("tcp", "udp") and left[transport + ".srcport"]:
            ports = [int(left[transport + side].pop(0)) for side in (".srcport", ".dstport")]
        found.append((transport, *ends, ports))
    return found


def flow_of(transport, source, target, ports):
    """The flow of a layer, or None if it is neither TCP nor UDP with ports."""
    return (transport.upper(), *in_order((source, ports[0]), (target, ports[1]))) if ports else None


def plain_name(name):
    """A DNS name with '?' for what tshark escapes or replaces: it prints undecodable bytes as one sign."""
    if name.lower() == "<root>":
        return ""
    return re.sub(r"(\\[0-7]{3}|\\[abfnrtv]|\\|[^\x21-\x7e])+", "?", name).lower().rstrip(".")


def without_port(host):
    return re.sub(r":\d*$", "", host.lower()).strip("[]")


def requests(values):
    """(method, host, target) of each request of a frame. RFC 9110 7.2: of CONNECT the target is the authority."""
    targets, hosts = values["http.request.uri"], values["http.host"]
    for i, method in enumerate(values["http.request.method"]):
        target = targets[i] if i < len(targets) else ""
        host = hosts[i] if i < len(hosts) else target if method == "CONNECT" else ""
        yield method, without_port(host), target


def socks_target(values):
    """(name or address, port) that a SOCKS request asks for. Version 4a has a mock address beside the name."""
    hosts = [values["socks." + field] for field in ("remote_name", "v4a_dns_name", "dstV6", "dst")]
    ports = values["socks.port"] + values["socks.dstport"]
    host = next((found[0] for found in hosts if found), "")
    return host.lower(), int(ports[0]) if ports else 0


def streams_begun(values):
    """(method, host, path) of each HTTP/2 request of a frame."""
    columns = [values["http2.headers." + field] for field in ("method", "authority", "path")]
    for method, host, path in zip(*columns):
        yield method, without_port(host), path


def quic_versions(values):
    """Versions as numbers, of long headers; 0 is none, but a Version Negotiation packet's mark."""
    numbers = {int(version, 16) for version in values["quic.version"]}
    numbers |= {int.from_bytes(version.encode(), "big") for version in values["gquic.version"]}
    return numbers - {0}


def found_in(chain, values):
    """(kind, what) of everything we compare in a frame, apart from its flow. Of DNS's relatives only DNS itself."""
    if "dns" in chain:
        yield from (("dns", plain_name(name)) for name in values["dns.qry.name"])
    for tls in ("tls", "dtls"):
        if tls in chain and ("tcp" in chain or "quic" in chain or tls == "dtls"):
            yield from (("tls", name.lower()) for name in values[tls + ".handshake.extensions_server_name"])
            yield from (("ja3", hash) for hash in values[tls + ".handshake.ja3"])
            yield from (("ja3s", hash) for hash in values[tls + ".handshake.ja3s"])
    for kind in ("hassh", "hasshserver"):
        yield from ((kind, hash) for hash in values["ssh.kex." + kind])
    yield from (("quic", version) for version in quic_versions(values))
    if "http" in chain:
        yield from (("http", request) for request in requests(values))
    yield from (("ssh", banner) for banner in values["ssh.protocol"])
    if values["socks.command"]:
        yield "socks", socks_target(values)
    if "tls" not in chain:  # tshark reads on inside TLS where the capture brings its secrets
        yield from (("http2", request) for request in streams_begun(values))


def parse(lines):
    view = View({kind: collections.defaultdict(list) for kind in KINDS}, [])
    socks = set()  # flows whose request was seen: tshark repeats its fields, or nonsense, with each later frame
    for columns in lines:
        values = {field: [v for v in text.split(tshark_fields.BETWEEN) if v] if text else []
                  for field, text in zip(tshark_fields.FLOWS, columns)}
        chain = columns[1].split(":")
        found = layers(chain, values)
        flows = [flow_of(*layer) for layer in found]
        flow, hosts = flows[-1] if flows else None, in_order(*found[0][1:3]) if found else ()
        fragment = values["ip.flags.mf"][:1] in (["1"], ["True"]) or values["ip.frag_offset"][:1] not in ([], ["0"])
        hole = bool(values["tcp.analysis.lost_segment"] or values["tcp.analysis.ack_lost_segment"])
        frame = Frame(int(columns[0]), chain, flow, hosts, fragment, bool(values["_ws.malformed"]), hole, values)
        view.frames.append(frame)
        for flow_around in filter(None, flows):
            view.items["flow"][flow_around].append(frame)
        for kind, what in found_in(chain, values):
            if kind == "socks" and flow in socks:
                continue
            socks.update([flow] if kind == "socks" else [])
            view.items[kind][(flow, what)].append(frame)
    return view


def look(capture, *more):
    """tshark's view of a capture, or None if it cannot read it; `more` are further options, after the usual ones."""
    lines = tshark_fields.look(capture, tshark_fields.FLOWS, *more)
    return None if lines is None else parse(lines)
