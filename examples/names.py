"""DNS messages, and the small world of names that the sample Macs ask for.

Alias chains of Apple's names are those seen in real captures (time.apple.com behind g.aaplimg.com, couriers behind
akadns.net, www.apple.com behind Akamai); addresses are picked from the owners' blocks.
"""
import struct

A, CNAME, SOA, PTR, TXT, AAAA, SRV, HTTPS = 1, 5, 6, 12, 16, 28, 33, 65

# name: (aliases in order, addresses, seconds to live)
APPLE = {
    "time.apple.com": (["time-osx.g.aaplimg.com"], ["17.253.4.125", "17.253.26.125"], 1200),
    "albert.apple.com": (["albert.gcsis-apple.com.akadns.net"], ["17.171.27.65"], 300),
    "ocsp.apple.com": (["ocsp-lb.apple.com.akadns.net", "ocsp-a.g.aaplimg.com"], ["17.253.27.204"], 300),
    "www.apple.com": (["www.apple.com.edgekey.net", "www.apple.com.edgekey.net.globalredir.akadns.net",
                       "e6858.dsce9.akamaiedge.net"], ["23.33.53.116"], 300),
    "swscan.apple.com": (["swscan-cdn.apple.com.akadns.net", "swscan.g.aaplimg.com"], ["17.253.27.206"], 300),
    "gspe21-ssl.ls.apple.com": (["gspe21-ssl.ls-apple.com.akadns.net", "get-bx.g.aaplimg.com"],
                                ["17.253.27.201", "17.253.27.202"], 120),
    "mesu.apple.com": (["mesu-cdn.apple.com.akadns.net", "mesu.g.aaplimg.com"], ["17.253.27.208"], 300),
    "updates-http.cdn-apple.com": (["updates-http.g.aaplimg.com"], ["17.253.27.207"], 300),
    "captive.apple.com": (["captive-cdn.origin-apple.com.akadns.net", "captive.g.aaplimg.com"],
                          ["17.253.27.209"], 300),
    "gateway.icloud.com": (["gateway.fe.apple-dns.net"], ["17.248.185.35", "17.248.185.67"], 300),
    "setup.icloud.com": (["setup.fe.apple-dns.net"], ["17.248.185.99"], 300),
    "p68-caldav.icloud.com": (["caldav.fe.apple-dns.net"], ["17.248.185.140"], 300),
    "p68-contacts.icloud.com": (["contacts.fe.apple-dns.net"], ["17.248.185.141"], 300),
    "p68-imap.mail.me.com": (["imap.mail.me.com.akadns.net"], ["17.42.251.57"], 300),
    "configuration.apple.com": (["configuration.apple.com.akadns.net"], ["17.253.27.210"], 300),
    "configuration.ls.apple.com": (["configuration.ls-apple.com.akadns.net"], ["17.253.27.211"], 300),
    "gspe1-ssl.ls.apple.com": (["gspe1-ssl.ls-apple.com.akadns.net"], ["17.253.27.203"], 300),
    "gsp-ssl.ls.apple.com": (["gsp-ssl.ls-apple.com.akadns.net"], ["17.36.202.20"], 300),
    "init.push.apple.com": (["init.push-apple.com.akadns.net"], ["17.57.144.6"], 300),
    "21-courier.push.apple.com": (["21.courier-push-apple.com.akadns.net",
                                   "us-sw-courier-4.push-apple.com.akadns.net"],
                                  ["17.57.144.84", "17.57.144.87"], 60),
    "gdmf.apple.com": (["gdmf.apple.com.akadns.net"], ["17.188.23.81"], 300),
    "xp.apple.com": (["xp.itunes-apple.com.akadns.net"], ["17.157.64.65"], 300),
    "bag.itunes.apple.com": (["bag-cdn.itunes-apple.com.akadns.net"], ["17.253.27.212"], 300),
    "weather-data.apple.com": (["weather-data.apple.com.akadns.net"], ["17.253.27.213"], 300),
    "api.smoot.apple.com": (["api-glb-use1.smoot.apple.com"], ["17.138.126.24"], 60),
    "swdist.apple.com": (["swdist.g.aaplimg.com"], ["17.253.27.205"], 300),
}
OTHERS = {
    "apple-finance.query.yahoo.com": (["edge.gycpi.b.yahoodns.net"], ["69.147.92.11"], 300),
    "www.yelp.com": (["yelp-com.map.fastly.net"], ["151.101.192.116"], 300),
    "www.yahoo.com": (["new-fp-shed.wg1.b.yahoo.com"], ["98.138.219.231"], 60),
    "www.weather.com": (["www.weather.com.edgekey.net"], ["23.40.68.124"], 300),
    "www.tripadvisor.com": (["www.tripadvisor.com.edgekey.net"], ["23.196.34.140"], 300),
    "www.linkedin.com": (["www.linkedin.com.l-0005.l-msedge.net"], ["13.107.42.14"], 240),
    "www.facebook.com": (["star-mini.c10r.facebook.com"], ["157.240.2.35"], 60),
    "www.bing.com": (["www-bing-com.dual-a-0001.a-msedge.net"], ["204.79.197.200"], 240),
    "www.twitter.com": ([], ["104.244.42.193"], 300),
    "www.bbc.co.uk": (["www.bbc.co.uk.pri.bbc.co.uk", "uk.www.bbc.co.uk.pri.bbc.co.uk"], ["212.58.237.1"], 300),
    "ichef.bbci.co.uk": (["ichef.bbci.co.uk.edgekey.net"], ["23.40.68.90"], 300),
    "www.theguardian.com": (["dualstack.guardian.map.fastly.net"], ["151.101.1.111"], 300),
    "i.guim.co.uk": (["dualstack.guardian.map.fastly.net"], ["151.101.1.111"], 300),
    "en.wikipedia.org": (["dyna.wikimedia.org"], ["185.15.59.224"], 600),
    "upload.wikimedia.org": ([], ["185.15.59.240"], 600),
    "github.com": ([], ["140.82.121.3"], 60),
    "github.githubassets.com": ([], ["185.199.108.154"], 3600),
    "avatars.githubusercontent.com": ([], ["185.199.108.133"], 3600),
    "www.google.com": ([], ["142.250.185.196"], 300),
    "fonts.gstatic.com": ([], ["142.250.185.163"], 300),
    "duckduckgo.com": ([], ["52.142.124.215"], 200),
    "stackoverflow.com": ([], ["104.18.32.7"], 300),
    "cdn.sstatic.net": ([], ["104.18.40.121"], 300),
    "www.deutschebahn.com": ([], ["81.200.198.6"], 300),
    "www.bahn.de": (["www.bahn.de.edgekey.net"], ["23.40.69.17"], 300),
    "www.openstreetmap.org": ([], ["184.104.179.143"], 300),
    "tile.openstreetmap.org": (["dualstack.n.sni.global.fastly.net"], ["151.101.2.132"], 300),
    "docs.python.org": (["dualstack.python.map.fastly.net"], ["151.101.0.223"], 300),
}
# What does harm lives at addresses set aside for documentation (RFC 5737) and under .example (RFC 2606).
BAD = {
    "stats.orbital-metrics.example": ([], ["203.0.113.77"], 300),
    "login.apple.com.account-verify.example": ([], ["198.51.100.23"], 60),
}
WORLD = {**APPLE, **OTHERS, **BAD}


class Message:
    """Writes one DNS message; a name that was written before becomes a pointer to it (RFC 1035 section 4.1.4)."""

    def __init__(self, identifier, flags, counts):
        self.data = bytearray(struct.pack(">HHHHHH", identifier, flags, *counts))
        self.seen = {}

    def name(self, text):
        labels = text.rstrip(".").split(".") if text else []
        for i in range(len(labels)):
            rest = ".".join(labels[i:])
            if rest in self.seen:
                self.data += struct.pack(">H", 0xC000 | self.seen[rest])
                return self
            if len(self.data) < 0x4000:
                self.seen[rest] = len(self.data)
            self.data += bytes((len(labels[i]),)) + labels[i].encode()
        self.data += b"\0"
        return self

    def question(self, name, kind, cls=1):
        self.name(name)
        self.data += struct.pack(">HH", kind, cls)
        return self

    def record(self, name, kind, ttl, content, cls=1):
        """`content` is bytes, or a function that writes into this message (names in records may be pointers)."""
        self.name(name)
        self.data += struct.pack(">HHIH", kind, cls, ttl, 0)
        start = len(self.data)
        if callable(content):
            content(self)
        else:
            self.data += content
        struct.pack_into(">H", self.data, start - 2, len(self.data) - start)
        return self

    def bytes(self):
        return bytes(self.data)


def query(identifier, name, kind):
    return Message(identifier, 0x0100, (1, 0, 0, 0)).question(name, kind).bytes()


def answer(identifier, name, kind):
    """What a resolver says of a name in WORLD; a name that is not there does not exist."""
    if name not in WORLD:
        zone = name.split(".", 1)[-1]
        return Message(identifier, 0x8183, (1, 0, 1, 0)).question(name, kind).record(zone, SOA, 900, soa(zone)).bytes()
    aliases, addresses, ttl = WORLD[name]
    hosts = addresses if kind == A else []
    message = Message(identifier, 0x8180, (1, len(aliases) + len(hosts), 0 if hosts else 1, 0)).question(name, kind)
    owner = name
    for alias in aliases:
        message.record(owner, CNAME, ttl, lambda m, alias=alias: m.name(alias))
        owner = alias
    for host in hosts:
        message.record(owner, A, min(ttl, 60), bytes(int(part) for part in host.split(".")))
    if not hosts:  # no such record: the zone's SOA says so (RFC 2308)
        zone = owner.split(".", 1)[-1]
        message.record(zone, SOA, 600, soa(zone))
    return message.bytes()


def soa(zone):
    def write(message):
        message.name(f"ns1.{zone}").name(f"hostmaster.{zone}")
        message.data += struct.pack(">IIIII", 2024061001, 3600, 900, 604800, 600)
    return write
