"""The records of a capture, in the shape of tshark_view: {kind: {item: [record …]}}."""
import collections
import json
import re

from captures import replay
from tshark_view import KINDS, in_order

# The event that a kind is in, where it has another name.
EVENTS = {"http2": "http", "ja3": "tls", "ja3s": "tls", "hassh": "ssh", "hasshserver": "ssh"}


def look(capture):
    """Our view of a capture, or None if it cannot be read."""
    done = replay("--no-scripts", "-q", "-o", "-", "--record", ",".join({EVENTS.get(kind, kind) for kind in KINDS}), capture)
    if done.returncode != 0:
        return None
    items = {kind: collections.defaultdict(list) for kind in KINDS}
    for record in map(json.loads, done.stdout.splitlines()):
        if record["proto"] not in ("TCP", "UDP"):
            continue
        ends = (record["src_ip"], record.get("src_port", 0)), (record["dest_ip"], record.get("dest_port", 0))
        flow = (record["proto"], *in_order(*ends))
        if record["event_type"] == "flow":
            items["flow"][flow].append(record)
        for kind, what in found_in(record):
            items[kind][(flow, what)].append(record)
    return items


def found_in(record):
    kind = record["event_type"]
    body = record.get(kind, {})
    if kind == "dns" and "rrname" in body:
        yield "dns", re.sub(r"(\\[0-9]{3})+", "?", body["rrname"])
    if kind == "tls" and "sni" in body:
        yield "tls", body["sni"]
    if kind == "tls":
        yield from ((name, body[name]["hash"]) for name in ("ja3", "ja3s") if name in body)
    if kind == "quic":
        yield "quic", body["version_number"]
    if kind == "http" and "http_method" in body:
        yield "http2" if "stream_id" in body else "http", (body["http_method"], body.get("hostname", ""), body.get("url", ""))
    if kind == "socks" and "host" in body:
        yield "socks", (body["host"], body.get("port", 0))
    if kind == "ssh":
        yield from ((name, body[side]["hassh"]["hash"]) for name, side in (("hassh", "client"), ("hasshserver", "server"))
                    if "hassh" in body.get(side, {}))
        yield from (("ssh", body[side]["banner"]) for side in ("client", "server") if "banner" in body.get(side, {}))
