"""SMB, Kerberos, RDP, RFB and STUN against tshark over the real captures, and over the sample of ours that has a session of each.

An item is what one flow says: a share that was asked for, a ticket, an address. The share that agrees is |both| / |either|, over
all captures, after the rules below have told which differences are no mistakes of lunette. Run with -s to see the table."""
import collections
import gzip
import json
import os
import shutil
import subprocess
import sys

import pytest

import tshark_fields
from captures import EXAMPLES, captures, needs_lunette, replay, two_at_a_time
from tshark_view import in_order

pytestmark = needs_lunette

LEAST = 0.99
SAMPLE = EXAMPLES / "desk.pcapng.gz"
PROTOCOLS = {"smb", "smb2", "kerberos", "rdp", "vnc", "stun", "classicstun"}
KINDS = ("smb dialect", "smb user", "smb tree", "smb status", "krb5 asked", "krb5 answer", "krb5 error", "rdp cookie", "rdp requested",
         "rdp selected", "rfb version", "rfb types", "rfb chosen", "rfb result", "stun mapped", "stun error", "stun software")
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x02FF: "2.?", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
NOT_YET = {0x103, 0xC0000016}  # pending, more processing required
SECURITY = {0: "rdp", 1: "tls", 2: "credssp", 4: "rdstls", 8: "credssp_early_user_auth", 16: "rds_aad"}
TYPES = {1: "none", 2: "vnc", 5: "ra2", 6: "ra2ne", 16: "tight", 17: "ultra", 18: "tls", 19: "vencrypt", 20: "sasl", 21: "md5", 22: "xvp",
         **{n: "apple" for n in range(30, 37)}}
MESSAGES = {10: "AS-REQ", 11: "AS-REP", 12: "TGS-REQ", 13: "TGS-REP", 14: "AP-REQ", 15: "AP-REP", 30: "ERROR"}
MAPPED = (0x20, 0x8020, 1)  # XOR-MAPPED-ADDRESS, its draft, MAPPED-ADDRESS
ADDRESSES = (*MAPPED, 2, 4, 5, 0x0B, 0x0E, 0x12, 0x16, 0x8023, 0x802B, 0x802C)  # the attributes that hold an address


def number(text):
    return int(text, 0)


def names(values, counts):
    """Principal names: so many components each, joined by '/'."""
    values, out = list(values), []
    for count in map(number, counts):
        out.append("/".join(values[:count]))
        values = values[count:]
    return out


# ------------------------------------------------------------ what tshark sees
def smb_in(v):
    if "114" in map(lambda c: str(number(c)), v["smb.cmd"][:1]) and v["smb.flags.response"][:1] in (["1"], ["True"]):
        yield "smb status", ("negotiate", number((v["smb.nt_status"] or ["0"])[0]))
    commands, answers, statuses = v["smb2.cmd"], v["smb2.flags.response"], v["smb2.nt_status"]
    if len(commands) != 1:
        return  # of compounds the fields do not tell whose they are; none of those here sets anything up
    command, answer = number(commands[0]), answers[0] in ("1", "True")
    status = number(statuses[0]) if statuses and answer else 0
    word = {0: "negotiate", 1: "session_setup", 3: "tree_connect"}.get(command)
    if not word:
        return
    if answer and status not in NOT_YET:
        yield "smb status", (word, status)
    if answer and command == 0 and v["smb2.dialect"]:
        yield "smb dialect", DIALECTS.get(number(v["smb2.dialect"][0]), "other")
    if not answer and command == 3:
        yield from (("smb tree", tree) for tree in v["smb2.tree"])
    if not answer and command == 1:
        yield from (("smb user", pair) for pair in zip(v["ntlmssp.auth.domain"], v["ntlmssp.auth.username"]))


def kerberos_in(v):
    kinds = [number(kind) for kind in v["kerberos.msg_type"]]
    if "kerberos" not in v["frame.protocols"][0].split(":") or not kinds:
        return
    if {"smb", "smb2", "ldap", "dcerpc", "gssapi", "spnego"} & set(v["frame.protocols"][0].split(":")):
        return  # in others' logins
    kind, realms = MESSAGES.get(kinds[0], "other"), v["kerberos.realm"]
    services, clients = names(v["kerberos.SNameString"], v["kerberos.sname_string"]), names(v["kerberos.CNameString"], v["kerberos.cname_string"])
    # A TGS-REQ shows the ticket-granting ticket before what it asks for.
    what = (kind, realms[-1] if realms else "", services[-1] if services else "")
    if kinds[0] in (10, 12):
        yield "krb5 asked", what
    elif kinds[0] in (11, 13):
        yield "krb5 answer", (*what, clients[0] if clients else "")
    elif kinds[0] == 30 and v["kerberos.error_code"]:
        yield "krb5 error", (number(v["kerberos.error_code"][0]), what[1], what[2])


def rdp_in(v):
    yield from (("rdp cookie", cookie.strip().removeprefix("Cookie: ").removeprefix("mstshash=")) for cookie in v["rdp.rt_cookie"])
    yield from (("rdp requested", number(bits)) for bits in v["rdp.negReq.requestedProtocols"])
    yield from (("rdp selected", SECURITY.get(number(bits), "other")) for bits in v["rdp.negReq.selectedProtocol"])
    yield from (("rdp selected", number(code)) for code in v["rdp.negFailure.failureCode"])


def rfb_in(v):
    yield from (("rfb version", ("server", version)) for version in v["vnc.server_proto_ver"])
    yield from (("rfb version", ("client", version)) for version in v["vnc.client_proto_ver"])
    if v["vnc.security_type"]:
        yield "rfb types", tuple(TYPES.get(number(kind), "other") for kind in v["vnc.security_type"])
    for kind in v["vnc.client_security_type"] + v["vnc.server_security_type"]:
        yield "rfb chosen", number(kind)
    yield from (("rfb result", "accepted" if number(code) == 0 else "refused") for code in v["vnc.auth_result"][:1])


def stun_in(v):
    for software in v["stun.att.software"]:
        yield "stun software", software
    for major, minor in zip(v["stun.att.error.class"], v["stun.att.error"]):
        yield "stun error", number(major) * 100 + number(minor)
    for family, kinds in (("stun.", v["stun.att.type"]), ("classicstun.", v["classicstun.att.type"])):
        addresses = v[family + "att.ipv4"] or v.get(family + "att.ipv6") or []
        kinds = [number(kind) for kind in kinds if number(kind) in ADDRESSES]
        wanted = next((kind for kind in MAPPED if kind in kinds), None)
        if wanted and len(kinds) == len(addresses) == len(v[family + "att.port"]):
            which = kinds.index(wanted)
            yield "stun mapped", (addresses[which], number(v[family + "att.port"][which]))


def look(capture):
    """What tshark has: {kind: {(flow, item): [values of the frames]}}, {flow: who speaks in it}; None if it cannot read the capture."""
    lines = tshark_fields.look(capture, tshark_fields.DESK)
    if lines is None:
        return None
    items = {kind: collections.defaultdict(list) for kind in KINDS}
    sides = collections.defaultdict(set)
    for columns in lines:
        if PROTOCOLS.isdisjoint(columns[0].split(":")):
            continue
        v = {field: [text for text in column.split(tshark_fields.BETWEEN) if text not in ("", "<MISSING>")]
             for field, column in zip(tshark_fields.DESK, columns)}
        transport = "tcp" if v["tcp.srcport"] else "udp"
        ends = [((v["ip." + side] or v["ipv6." + side] or [""])[0], number((v[f"{transport}.{side}port"] or ["0"])[0])) for side in ("src", "dst")]
        flow = (transport.upper(), *in_order(*ends))
        sides[flow].add(ends[0])
        for reader in (smb_in, kerberos_in, rdp_in, rfb_in, stun_in):
            for kind, what in reader(v):
                if kind == "rfb chosen" and any(flow == of for of, _ in items[kind]):
                    continue  # what RealVNC says later tshark reads as choices, too
                items[kind][(flow, what)].append(v)
    return items, sides


# ------------------------------------------------------------ what lunette sees
def ours_in(kind, body):
    if kind == "smb":
        if "result" in body:
            yield "smb status", (body["command"], body.get("status_code", 0))
        if body.get("dialect") not in (None, "1"):
            yield "smb dialect", body["dialect"]
        if "path" in body:
            yield "smb tree", body["path"]
        if "user" in body.get("ntlmssp", {}):
            yield "smb user", (body["ntlmssp"].get("domain", ""), body["ntlmssp"]["user"])
    elif kind == "krb5":
        what = (body.get("realm", ""), body.get("sname", ""))
        answer = body.get("msg_type")
        # What was asked is told of an exchange as its answer says it, if there was one.
        if body.get("request") in ("AS-REQ", "TGS-REQ"):
            yield "krb5 asked", (body["request"], *what)
        if answer in ("AS-REP", "TGS-REP"):
            yield "krb5 answer", (answer, *what, body.get("cname", ""))
        if answer == "ERROR":
            yield "krb5 error", (body.get("error_code", 0), *what)
    elif kind == "rdp":
        if "cookie" in body:
            yield "rdp cookie", body["cookie"]
        if body.get("requested"):
            yield "rdp requested", body["requested"]
        if "selected" in body or "failure_code" in body:
            yield "rdp selected", body.get("selected", body.get("failure_code"))
    elif kind == "rfb":
        for side in ("server", "client"):
            if side + "_protocol_version" in body:
                yield "rfb version", (side, body[side + "_protocol_version"])
        if "offered" in body:
            yield "rfb types", tuple(body["offered"])
        if "security_type" in body:
            yield "rfb chosen", body["security_type"]
        if "result" in body:
            yield "rfb result", body["result"]
    elif kind == "stun":
        if "mapped_ip" in body:
            yield "stun mapped", (body["mapped_ip"], body["mapped_port"])
        if "error_code" in body:
            yield "stun error", body["error_code"]
        yield from (("stun software", body[side]) for side in ("client_software", "server_software") if side in body)


def ours(capture):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "smb,krb5,rdp,rfb,stun", capture)
    if done.returncode:
        return None
    items = {kind: set() for kind in KINDS}
    for record in map(json.loads, done.stdout.splitlines()):
        ends = (record["src_ip"], record.get("src_port", 0)), (record["dest_ip"], record.get("dest_port", 0))
        flow = (record["proto"], *in_order(*ends))
        for kind, what in ours_in(record["event_type"], record[record["event_type"]]):
            items[kind].add((flow, what))
    return items


# ------------------------------------------------------------ rules
class Difference:
    def __init__(self, path, kind, item, theirs, mine, sides):
        self.path, self.kind, (self.flow, self.what) = path, kind, item
        self.frames = theirs[kind].get(item, [])
        self.sides = sides[self.flow]
        self.mine = {what for flow, what in mine[kind] if flow == self.flow}
        self.theirs = {what for flow, what in theirs[kind] if flow == self.flow}

    def __str__(self):
        return f"{self.kind} {self.path.name} {self.flow} {self.what} ({'tshark' if self.frames else 'lunette'} alone)"


def carried_by_another(d):
    """tshark reads on in tunnels, and in what ICMP errors quote"""
    return d.frames and all(sum(layer in ("ip", "ipv6") for layer in v["frame.protocols"][0].split(":")) > 1 for v in d.frames)


def later_addresses(d):
    """of a flow's successes the first of each side is told, not those after it"""
    return d.kind == "stun mapped" and d.frames and len(d.mine) >= 1


def cut_by_the_capture(d):
    """of a packet that the capture cut lunette tells what is there"""
    return any(number(v["frame.cap_len"][0]) < number(v["frame.len"][0]) for v in d.frames)


def no_field_for_none(d):
    """a server that negotiates nothing speaks RDP's own security; tshark has no field for that"""
    return d.kind == "rdp selected" and d.what == "rdp" and not d.theirs


def without_ip(d):
    """SMB straight over NetBEUI has no flow"""
    return d.frames and not d.flow[1][0]


def only_answers(d):
    """of the question the capture has no more than the end: lunette judges a flow by its first bytes, tshark by port"""
    return d.frames and not d.mine and len(d.sides) == 1 and next(iter(d.sides))[1] in (88, 139, 445)


RULES = [no_field_for_none, without_ip, only_answers, carried_by_another, later_addresses, cut_by_the_capture]


def compare(path):
    view, mine = look(path), ours(path)
    if view is None or mine is None:
        return None
    theirs, sides = view
    agreed = {kind: len(theirs[kind].keys() & mine[kind]) for kind in KINDS}
    found = [Difference(path, kind, item, theirs, mine, sides) for kind in KINDS for item in sorted(theirs[kind].keys() ^ mine[kind], key=str)]
    return agreed, [(d, next((rule for rule in RULES if rule(d)), None)) for d in found]


def test_they_see_the_same():
    if os.environ.get("LUNETTE_SANITIZE") == "1":
        pytest.skip("the other build compares")
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    compared = [c for c in two_at_a_time(compare, [SAMPLE] + captures("ndpi", "ja4", "apple")) if c]
    agreed = sum((collections.Counter(a) for a, _ in compared), collections.Counter())
    pairs = [pair for _, found in compared for pair in found]
    left = collections.Counter(d.kind for d, rule in pairs if not rule)
    print(f"\n{len(compared)} captures")
    for kind in KINDS:
        total = agreed[kind] + left[kind]
        print(f"{kind:14}{agreed[kind]:6} agree{left[kind]:5} left {agreed[kind] / total if total else 1:8.2%}")
    for rule, count in collections.Counter(rule for _, rule in pairs if rule).most_common():
        print(f"{count:6}  {rule.__doc__}")
    unexplained = [str(d) for d, rule in pairs if not rule]
    print(*unexplained[:200], sep="\n")
    for kind in KINDS:
        assert agreed[kind] >= 1, f"none of {kind}: nothing is compared"
        assert agreed[kind] / (agreed[kind] + left[kind]) >= LEAST, (kind, unexplained)


def test_the_sample_made_anew_is_the_same(tmp_path):
    subprocess.run([sys.executable, "-B", EXAMPLES / "make_desk.py", tmp_path], check=True)
    with gzip.open(tmp_path / SAMPLE.name) as again, gzip.open(SAMPLE) as shipped:
        assert again.read() == shipped.read()
