"""The local network against tshark over the real captures: DHCP, multicast DNS, SSDP, NAT-PMP, and what a SYN tells.

An item is what one packet says, known by its time and ports. The share that agrees is |both| / |either|, over all
captures, after the rules below have told which differences are no mistakes of lunette. Run with -s to see the table."""
import collections
import datetime
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import tshark_fields
from captures import EXAMPLES, captures, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

LEAST = 0.99
KINDS = ("dhcp type", "dhcp name", "dhcp wishes", "dhcp options", "dhcpv6", "mdns asked", "mdns told", "ssdp", "natpmp", "syn")
MESSAGES = (None, "discover", "offer", "request", "decline", "ack", "nak", "release", "inform", "force_renew", "lease_query",
            "lease_unassigned", "lease_unknown", "lease_active", "bulk_lease_query", "lease_query_done")
MESSAGES6 = (None, "solicit", "advertise", "request", "confirm", "renew", "rebind", "reply", "release", "decline", "reconfigure",
             "information_request", "relay_forward", "relay_reply", "lease_query", "lease_query_reply")
NAMES_MOST = 64


def plain(name):
    """A name as both print it: '?' for bytes that either escapes, no case."""
    name = "" if name.lower() == "<root>" else name
    return re.sub(r"(\\[0-9]{3}|\\.|[^\x21-\x7e])+", "?", name).lower().rstrip(".")


# ------------------------------------------------------------ what tshark sees
def p0f_options(text):
    """(layout, mss, scale, quirks, timestamps) of options in hex, as p0f's README has it."""
    data, words, mss, scale, quirks, stamps = bytes.fromhex(text.replace(":", "")), [], 0, 0, [], False
    while data:
        kind, size = data[0], data[1] if len(data) > 1 else 0
        if kind == 0:
            words.append("eol+%d" % len(data[1:]))
            quirks += ["opt+"] * any(data[1:])
            break
        if kind == 1:
            words.append("nop")
            data = data[1:]
            continue
        if size < 2 or size > len(data):
            quirks.append("bad")
            break
        value, data = data[2:size], data[size:]
        if (kind, size) == (2, 4):
            mss = int.from_bytes(value, "big")
        elif (kind, size) == (3, 3):
            scale = value[0]
            quirks += ["exws"] * (scale > 14)
        elif (kind, size) == (8, 10):
            stamps = True
            quirks += ["ts1-"] * (not any(value[:4])) + ["ts2+"] * any(value[4:])
        known = {(2, 4): "mss", (3, 3): "ws", (4, 2): "sok", (8, 10): "ts"}
        words.append("sack" if kind == 5 else known.get((kind, size), "?%d" % kind))
    return ",".join(words), mss, scale, quirks, stamps


def p0f_window(window, mss, headers, stamps):
    if window and mss >= 100:
        less = 12 * stamps
        for segment in (mss, mss - less, 1500 - headers, 1500 - headers - less):
            if segment >= 100 and window % segment == 0:
                return "mss*%d" % (window // segment)
        for packet in (mss + headers, 1500):
            if window % packet == 0:
                return "mtu*%d" % (window // packet)
    return str(window)


def number(values, base=0):
    return int(values[0], base) if values and values[0] not in ("True", "False") else int(values == ["True"])


def innermost(chain, values):
    """The values of a frame with those of its last layers alone, of IP and of transport: of a tunnel what is inside."""
    network = next((p for p in reversed(chain) if p in ("ip", "ipv6")), None)
    transport = next((p for p in reversed(chain) if p in ("tcp", "udp")), None)
    others = {"ip", "ipv6", "tcp", "udp"} - {network, transport}
    return {field: [] if field.split(".")[0] in others else v[-1:] if field.split(".")[0] in (network, "udp") else v
            for field, v in values.items()}


def p0f(v):
    """The signature that a frame's SYN has by p0f's README; IPv6 extension headers apart."""
    version = "4" if v["ip.src"] else "6"
    ttl = number(v["ip.ttl"] or v["ipv6.hlim"])
    flags, quirks = number(v["tcp.flags"]), []
    layout, mss, scale, odd, stamps = p0f_options("".join(v["tcp.options"][:1]))
    if version == "4":
        df, identification = number(v["ip.flags.df"]), number(v["ip.id"])
        quirks += ["df"] * df + ["id+"] * bool(df and identification) + ["id-"] * (not df and not identification)
    quirks += ["ecn"] * bool(flags & 0x1c0 or number(v["ip.dsfield.ecn"] or v["ipv6.tclass.ecn"]))
    quirks += ["0+"] * bool(flags & 0xe00 or number(v["ip.flags.rb"]))
    quirks += ["flow"] * bool(version == "6" and number(v["ipv6.flow"]))
    quirks += ["seq-"] * (not number(v["tcp.seq_raw"])) + ["ack+"] * bool(number(v["tcp.ack_raw"]))
    quirks += ["uptr+"] * bool(not flags & 32 and number(v["tcp.urgent_pointer"])) + ["urgf+"] * bool(flags & 32) + ["pushf+"] * bool(flags & 8)
    order = ("ts1-", "ts2+", "opt+", "exws", "bad")
    quirks += [word for word in order if word in odd]
    window = p0f_window(number(v["tcp.window_size_value"]), mss, 40 if version == "4" else 60, stamps)
    initial = next(start for start in (32, 64, 128, 255) if ttl <= start)
    olen = number(v["ip.hdr_len"]) - 20 if version == "4" else 0
    payload = "+" if number(v["tcp.len"]) else "0"
    return f"{version}:{initial}:{olen}:{mss}:{window},{scale}:{layout}:{','.join(quirks)}:{payload}"


def theirs_in(chain, v):
    if "dhcp" in chain:
        if v["dhcp.option.dhcp"]:
            kind = number(v["dhcp.option.dhcp"])
            yield "dhcp type", MESSAGES[kind] if kind < len(MESSAGES) else "other"
        if v["dhcp.option.hostname"]:
            yield "dhcp name", plain(v["dhcp.option.hostname"][-1])
        if v["dhcp.option.request_list_item"]:
            yield "dhcp wishes", ",".join(str(number([item])) for item in v["dhcp.option.request_list_item"])
        if v["dhcp.cookie"]:
            yield "dhcp options", ",".join(code for code in v["dhcp.option.type"] if code not in ("0", "255"))
    if "dhcpv6" in chain and v["dhcpv6.msgtype"]:
        kind = number(v["dhcpv6.msgtype"][-1:])
        yield "dhcpv6", (MESSAGES6[kind] if kind < len(MESSAGES6) else "other", number(v["dhcpv6.xid"][-1:]),
                         ",".join(str(number([code])) for code in v["dhcpv6.requested_option_code"]),
                         plain((v["dhcpv6.client_domain"] or [""])[0]), tuple(v["dhcpv6.iaaddr.ip"]))
    if "mdns" in chain:
        yield from (("mdns asked", plain(name)) for name in v["dns.qry.name"])
        yield from (("mdns told", plain(name)) for name in v["dns.resp.name"] if plain(name))
    if "ssdp" in chain:
        kind = {"M-SEARCH": "search", "NOTIFY": "notify"}.get("".join(v["http.request.method"]), "response" if v["http.response.code"] else None)
        if kind:
            yield "ssdp", (kind, *("".join(v["http." + field][:1]) for field in ("location", "server", "user_agent")))
    if v["nat-pmp.opcode"]:
        yield "natpmp", tuple("".join(v["nat-pmp." + field][:1]) for field in ("opcode", "result_code", "internal_port", "external_port", "pml", "external_ip"))
    if "tcp" in chain and v["tcp.flags"] and number(v["tcp.flags"]) & 0x16 == 2 and v["tcp.window_size_value"]:
        yield "syn", p0f(innermost(chain, v))


FLAGS, OPCODE = tshark_fields.LAN.index("tcp.flags"), tshark_fields.LAN.index("nat-pmp.opcode")


def is_local(columns):
    """May there be something for theirs_in in this frame? Most have nothing."""
    syn = any(number([flags]) & 0x12 == 2 for flags in columns[FLAGS].split(tshark_fields.BETWEEN) if flags not in ("", "<MISSING>"))
    return syn or columns[OPCODE] != "" or not {"dhcp", "dhcpv6", "mdns", "ssdp"}.isdisjoint(columns[2].split(":"))


def look(capture):
    """{kind: {item: values of the frame}} as tshark has it, or None if it cannot read the capture."""
    lines = tshark_fields.look(capture, tshark_fields.LAN)
    if lines is None:
        return None
    items = {kind: {} for kind in KINDS}
    for columns in lines:
        if not is_local(columns):
            continue
        values = {field: [v for v in text.split(tshark_fields.BETWEEN) if v not in ("", "<MISSING>")] if text else []
                  for field, text in zip(tshark_fields.LAN, columns)}
        chain = columns[2].split(":")
        seconds, fraction = (columns[1] or "0.000000").split(".")
        inner = innermost(chain, values)
        ports = [int(inner[t + side][0]) for t in ("udp", "tcp") for side in (".srcport", ".dstport") if inner[t + side]]
        where = (int(seconds) * 1000000 + int(fraction[:6]), *sorted(ports))
        for kind, what in theirs_in(chain, values):
            items[kind][(where, what)] = (chain, values)
    return items


# ------------------------------------------------------------ what lunette sees
def ours_in(record):
    kind = record["event_type"]
    body = record[kind]
    if kind == "dhcp" and body["version"] == 4:
        if "dhcp_type" in body:
            yield "dhcp type", body["dhcp_type"]
        if "hostname" in body:
            yield "dhcp name", plain(body["hostname"])
        if "parameters" in body:
            yield "dhcp wishes", body["parameters"]
        if "options" in body:
            yield "dhcp options", body["options"]
    elif kind == "dhcp":
        yield "dhcpv6", (body["dhcp_type"], body.get("id", 0), body.get("parameters", ""), plain(body.get("fqdn", "")), tuple(body.get("addresses", ())))
    elif kind == "mdns" and body["protocol"] == "mdns":
        yield from (("mdns asked", plain(name)) for name in body.get("questions", ()))
        yield from (("mdns told", plain(name)) for name in body.get("names", ()))
    elif kind == "ssdp":
        yield "ssdp", (body["type"], *(body.get(field, "") for field in ("location", "server", "user_agent")))
    elif kind == "portmap" and body["protocol"] == "nat-pmp":
        opcode = {"external_address": 0, "map": 2 if body.get("transport") == "tcp" else 1}[body["op"]] + 128 * (body["type"] == "response")
        result = str(body.get("result_code", 0)) if body["type"] == "response" else ""
        mapped = [str(body.get(field, 0)) for field in ("internal_port", "external_port", "lifetime")] if body["op"] == "map" else ["", "", ""]
        yield "natpmp", (str(opcode), result, *mapped, body.get("external_ip", ""))
    elif kind == "flow_start" and "syn_signature" in body:
        yield "syn", body["syn_signature"]


def ours(capture):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "dhcp,mdns,ssdp,portmap,flow_start", capture)
    if done.returncode:
        return None
    items = {kind: set() for kind in KINDS}
    for record in map(json.loads, done.stdout.splitlines()):
        when = datetime.datetime.strptime(record["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        epoch = (when - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
        where = (epoch, *sorted((record.get("src_port", 0), record.get("dest_port", 0))))
        for kind, what in ours_in(record):
            items[kind].add((where, what))
    return items


# ------------------------------------------------------------ rules: (kind, item, frame's chain and values or None, both sides) -> true if explained
def inside_another_packet(d):
    """tshark reads on in tunnels, and in what ICMP errors quote"""
    return d.frame and sum(layer in ("ip", "ipv6") for layer in d.frame[0]) > 1


def no_first_packet(d):
    """a SYN sent again begins no flow"""
    here = d.item[0]
    return d.kind == "syn" and d.frame and not any(where == here for where, _ in d.mine["syn"]) and \
        any(where[1:] == here[1:] and where[0] < here[0] for where, _ in d.theirs["syn"])


def time_out_of_range(d):
    """the packet has no time, or one that 32 bits of seconds do not hold: lunette gives it the last one that it can"""
    odd = lambda where: not 0 < where[0] < 0xffffffff * 1000000
    there, what = d.item[0][1:], d.item[1]
    return any(w == what and where[1:] == there and (odd(where) or odd(d.item[0])) for where, w in (d.mine if d.frame else d.theirs)[d.kind])


def behind_a_header_unread(d):
    """tshark does not read on behind PKTAP's second version and droptap's header; lunette does"""
    if d.frame:
        return False
    done = subprocess.run(["tshark", "-n", "-r", str(d.path), "-T", "fields", "-e", "frame.protocols"], capture_output=True, text=True, timeout=120)
    return set(done.stdout.split()) == {"user_dlt:pktap"}


def cut_by_the_capture(d):
    """of a packet that the capture cut lunette tells what is there"""
    return any(int(v["frame.cap_len"][0]) < int(v["frame.len"][0]) for _, v in d.near)


def owner_of_srv(d):
    """tshark has the owners of SRV records in other fields, and lists them nowhere as names"""
    return d.kind == "mdns told" and not d.frame and any("33" in v["dns.resp.type"] for _, v in d.near)


def answer_to_another_port(d):
    """tshark looks for SSDP on port 1900 alone; lunette knows an answer by its headers"""
    return d.kind == "ssdp" and not d.frame and 1900 not in d.item[0][1:]


def more_names_than_are_listed(d):
    """lunette lists at most 64 names and questions of a message"""
    names = [v["dns.resp.name"] + v["dns.qry.name"] for _, v in d.near]
    return d.kind.startswith("mdns") and d.frame and any(len(n) > NAMES_MOST for n in names)


def malformed(d):
    """tshark calls the packet malformed: the two stop at different places"""
    return any(v["_ws.malformed"] or "_ws.malformed" in chain for chain, v in d.near)


def of_fragments_that_overlap(d):
    """a header put together of fragments that overlap is none to tshark"""
    if d.frame or d.kind != "syn":
        return False
    command = ["tshark", "-n", "-r", str(d.path), "-Y", "ip.fragment.overlap", "-T", "fields", "-e", "frame.time_epoch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return any(int(time.replace(".", "")[:-3]) == d.item[0][0] for time in done.stdout.split())


RULES = [inside_another_packet, no_first_packet, owner_of_srv, answer_to_another_port, more_names_than_are_listed, cut_by_the_capture,
         malformed, time_out_of_range, behind_a_header_unread, of_fragments_that_overlap]


class Difference:
    def __init__(self, path, kind, item, theirs, mine, at):
        self.path, self.kind, self.item, self.frame = path, kind, item, theirs[kind].get(item)
        self.theirs, self.mine = theirs, mine
        self.near = at[item[0]]  # what tshark has of that packet

    def __str__(self):
        return f"{self.kind} {self.path.name} {self.item} ({'tshark' if self.frame else 'lunette'} alone)"


def compare(path):
    theirs, mine = look(path), ours(path)
    if theirs is None or mine is None:
        return None
    agreed = {kind: len(theirs[kind].keys() & mine[kind]) for kind in KINDS}
    at = collections.defaultdict(list)
    for items in theirs.values():
        for (where, _), frame in items.items():
            at[where].append(frame)
    found = [Difference(path, kind, item, theirs, mine, at) for kind in KINDS for item in sorted(theirs[kind].keys() ^ mine[kind], key=str)]
    return agreed, [(d, next((rule for rule in RULES if rule(d)), None)) for d in found]


def test_they_see_the_same():
    if os.environ.get("LUNETTE_SANITIZE") == "1":
        pytest.skip("the other build compares")
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    paths = captures("ndpi", "ja4", "apple") + [p for p in captures("tcpdump") if "dhcp" in p.name or "ssh" in p.name]
    compared = [c for c in two_at_a_time(compare, paths) if c]
    agreed = sum((collections.Counter(a) for a, _ in compared), collections.Counter())
    pairs = [pair for _, found in compared for pair in found]
    total, left = (collections.Counter(d.kind for d, rule in pairs if every or not rule) for every in (True, False))
    share = lambda kind, of: agreed[kind] / (agreed[kind] + of[kind]) if agreed[kind] + of[kind] else 1
    print(f"\n{len(compared)} captures\n{'':13}{'agree':>7}{'differ':>8}{'raw':>9}{'left':>6}{'after rules':>13}")
    for kind in KINDS:
        print(f"{kind:13}{agreed[kind]:7}{total[kind]:8}{share(kind, total):9.2%}{left[kind]:6}{share(kind, left):13.2%}")
    for rule, count in collections.Counter(rule for _, rule in pairs if rule).most_common():
        print(f"{count:6}  {rule.__doc__}")
    unexplained = [str(d) for d, rule in pairs if not rule]
    print(*unexplained[:200], sep="\n")
    for kind in KINDS:
        assert agreed[kind] >= 10, f"too few of {kind} to tell"
        assert agreed[kind] / (agreed[kind] + left[kind]) >= LEAST, (kind, unexplained)


def test_the_sample_made_anew_is_the_same(tmp_path):
    subprocess.run([sys.executable, "-B", EXAMPLES / "make_lan.py", tmp_path], check=True)
    with gzip.open(tmp_path / "lan.pcapng.gz") as again, gzip.open(EXAMPLES / "lan.pcapng.gz") as shipped:
        assert again.read() == shipped.read()


def systems(capture, kind):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", kind, capture)
    return [(r, r[kind]) for r in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("capture, host, os_name", [
    ("ndpi/iphone.pcap", "Lucas-iMac", "macOS"), ("ndpi/iphone.pcap", "Lucas-iPhone", "iOS"), ("ndpi/signal.pcap", "Lucas-iMac", "macOS"),
    ("tcpdump/dhcp-option-108.pcapng", "MacBookPro", "macOS")])
def test_hosts_whose_system_is_known_ask_as_it_does(capture, host, os_name):
    path = captures(capture.split("/")[0])[0].parent / capture.split("/")[1]
    named = [body for _, body in systems(path, "dhcp") if body.get("hostname") == host and "parameters" in body]
    assert named and all(body.get("os") == os_name for body in named)


@pytest.mark.parametrize("capture, client, os_name", [
    ("ndpi/anyconnect-vpn.pcap", "10.0.0.227", "macOS/iOS"), ("ja4/macos_tcp_flags.pcap", "172.16.5.16", "macOS/iOS"),
    ("ndpi/tls_certificate_too_long.pcap", "192.168.1.121", "macOS/iOS"), ("ndpi/ssh.pcap", "172.16.238.1", "macOS"),
    ("ndpi/no_sni.pcap", "192.168.1.119", "macOS/iOS"), ("ndpi/opera-vpn.pcapng", "192.168.1.29", "macOS/iOS")])
def test_syns_of_macs_are_known(capture, client, os_name):
    path = captures(capture.split("/")[0])[0].parent / capture.split("/")[1]
    found = [body.get("os") for record, body in systems(path, "flow_start") if record["src_ip"] == client and body.get("syn")]
    assert found and set(found) == {os_name}


def test_a_macs_model_and_darwin_are_told():
    path = captures("ndpi")[0].parent / "tls_certificate_too_long.pcap"
    told = {(body["model"], body.get("osxvers")) for _, body in systems(path, "mdns") if "model" in body}
    assert told == {("MacBookPro14,1", 20)}
