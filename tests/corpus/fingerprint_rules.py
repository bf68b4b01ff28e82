"""Why lunette and tshark may differ in fingerprints and in what QUIC says: rules in the style of differences.py."""
import hashlib
import struct
import subprocess

from differences import every


def of_kind(capture, kind, flow):
    """(theirs, ours): what both found of a kind in a flow."""
    return ({what for there, what in capture.theirs.items[kind] if there == flow},
            {what for there, what in capture.ours[kind] if there == flow})


def frames_of_kind(d):
    return [frame.number for item, frames in d.capture.theirs.items[d.kind].items() if item[0] == d.flow for frame in frames]


def second_hello(d):
    """a client or server that is asked for another hello sends two; lunette tells the client's first, the server's last"""
    if d.kind not in ("ja3", "ja3s") or d.ours_alone:
        return False
    theirs, ours = of_kind(d.capture, d.kind, d.flow)
    if not theirs & ours:
        return False
    earliest, latest = min(frames_of_kind(d)), max(frames_of_kind(d))
    return every(d.frames, lambda f: f.number > earliest if d.kind == "ja3" else f.number < latest)


def media_between(d):
    """between a connection's packets go others, whose fixed bit is clear (RFC 9443): tshark reads versions in them"""
    return d.kind == "quic" and every(d.frames, lambda f: f.values["quic.fixed_bit"][:1] in (["0"], ["False"]))


def before_a_negotiation(d):
    """of a connection that changes its version lunette tells the last one"""
    if d.kind != "quic" or d.ours_alone:
        return False
    theirs, ours = of_kind(d.capture, "quic", d.flow)
    return len(theirs) > 1 and bool(theirs & ours)


def google_acknowledgement(d):
    """of the frames of T050 and T051 lunette reads CRYPTO alone: an ACK hides the ServerHello that is behind it"""
    return d.kind == "ja3s" and {0x54303530, 0x54303531} & of_kind(d.capture, "quic", d.flow)[0] != set()


def broken_hello(d):
    """lunette makes no JA3 of a hello that is not well formed"""
    records = [record for item, found in d.capture.ours["ja3s"].items() if item[0] == d.flow for record in found]
    return d.kind == "ja3" and not d.ours_alone and not of_kind(d.capture, "ja3", d.flow)[1] and \
        (any(f.malformed for f in d.capture.of_flow(d.flow)) or bool(records))


def hello_to_nobody(d):
    """after a packet in a version that nobody speaks tshark does not read that connection's hellos"""
    reserved = {version for version in of_kind(d.capture, "quic", d.flow)[0] if version & 0x0f0f0f0f == 0x0a0a0a0a}
    return d.ours_alone and d.kind in ("ja3", "ja3s", "tls") and bool(reserved)


def payloads(capture, flow):
    """The bytes of a TCP flow's segments, in the order of the capture."""
    ports = " && ".join(f"tcp.port == {port}" for _, port in flow[1:])
    command = ["tshark", "-n", "-r", str(capture.path), "-Y", ports, "-T", "fields", "-e", "tcp.payload"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return [bytes.fromhex(line) for line in done.stdout.split()]


def ja3s_of(segment):
    """The JA3S of a ServerHello at a segment's head, and whether the record is longer than the segment; or None."""
    try:
        kind, _, size = struct.unpack_from(">BHH", segment)
        if kind != 22 or segment[5] != 2:
            return None
        version, at = struct.unpack_from(">H", segment, 9)[0], 44 + segment[43]
        cipher = struct.unpack_from(">H", segment, at)[0]
        at, end, extensions = at + 3, 9 + int.from_bytes(segment[6:9], "big"), []
        left = struct.unpack_from(">H", segment, at)[0] if end > at else 0
        at += 2
        while left > 0:
            extension, length = struct.unpack_from(">HH", segment, at)
            extensions.append(str(extension))
            at, left = at + 4 + length, left - 4 - length
        text = f"{version},{cipher},{'-'.join(extensions)}"
        return hashlib.md5(text.encode()).hexdigest(), 5 + size > len(segment)
    except (struct.error, IndexError):
        return None


def record_not_whole(d):
    """tshark shows nothing of a record whose end is missing; the ServerHello at its head is whole and gives this JA3S"""
    return d.ours_alone and d.kind == "ja3s" and d.flow[0] == "TCP" and \
        (d.what, True) in map(ja3s_of, payloads(d.capture, d.flow))


RULES = [second_hello, record_not_whole, hello_to_nobody, media_between, before_a_negotiation, google_acknowledgement, broken_hello]


def reason(difference):
    """The first rule that explains a difference, or None."""
    return next((rule for rule in RULES if rule(difference)), None)
