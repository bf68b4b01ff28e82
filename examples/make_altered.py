#!/usr/bin/env python3
"""Makes mac-first-boot-altered.pcapng.gz: another first boot of a Mac like that of mac-first-boot, with five things
changed that `lunette baseline compare` is to find. Without them it is a healthy one.

    python3 make_altered.py [FOLDER]                  the altered one
    python3 make_altered.py --healthy COUNT [FOLDER]  healthy-1.pcapng.gz … of other Macs, to learn from

All from fixed seeds: the same bytes each time.
"""
import pathlib
import random
import sys

import names
import stories
from mac import MacBook
from talk import datagram
from wire import Timeline

STRANGER, MISSING, UPLOAD, DISGUISE, RESOLVER = (
    "cdn.quiet-harbour.example", "bag.itunes.apple.com", "p68-contacts.icloud.com", "gateway.icloud.com", "203.0.113.53")
START = 1570893300  # 2019-10-12 15:15:00 UTC; each of the healthy ones an hour and some later
CUT = "Made by examples/make_altered.py of lunette: synthetic. Long streams are cut to their headers, true lengths kept."
names.WORLD[STRANGER] = ([], ["203.0.113.91"], 300)


class AlteredMac(MacBook):
    """Asks for some names at a resolver of somebody else's, and leaves one service out."""

    def ask(self, at, name, kind):
        if not name.endswith(".example"):
            return super().ask(at, name, kind)
        identifier, port = self.rng.randrange(1 << 16), self.udp_port()
        host = self.server(RESOLVER)
        datagram(self, at, True, RESOLVER, port, 53, names.query(identifier, name, kind))
        datagram(self, at + host.rtt, False, RESOLVER, port, 53, names.answer(identifier, name, kind), ttl=host.ttl)
        return at + host.rtt

    def https(self, at, name, down, up=None, requests=1, think=0.02, port=443, **options):
        if name == MISSING:
            return at
        if name == UPLOAD:
            up = 13500
        if name == DISGUISE:
            options.update(stack="go", alpn=())
        return super().https(at, name, down, up=up, requests=requests, think=think, port=port, **options)

    def call_home(self, at):
        """The stranger: a small call every 25 seconds, each asked for anew."""
        while at < 400:
            self.cache.pop(STRANGER, None)
            super().https(at, STRANGER, self.rng.randrange(90, 140), up=self.rng.randrange(180, 260))
            at += 25 + self.rng.random()


def first_boot(path, kind, seed, ip, hardware, begin):
    """The story of stories.first_boot, told of another Mac."""
    line = Timeline(begin)
    mac = kind(line, random.Random(seed), ip, hardware, "Catalinas-MacBook-Pro-2", "10.15")
    stories.first_boot_of(mac)
    if kind is AlteredMac:
        mac.call_home(35.0)
    return line.write(path, "en0", CUT)


def main(arguments):
    count = 0
    if arguments[:1] == ["--healthy"]:
        count, arguments = int(arguments[1]), arguments[2:]
    folder = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).resolve().parent)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, count + 1):
        first_boot(folder / f"healthy-{i}.pcapng.gz", MacBook, 2000 + i, f"10.10.3.{130 + i}", f"f0:18:98:5e:30:{i:02x}",
                   START + 4000 * i)
    if not count:
        first_boot(folder / "mac-first-boot-altered.pcapng.gz", AlteredMac, 1017, "10.10.3.116", "f0:18:98:5e:21:3c", START)


if __name__ == "__main__":
    main(sys.argv[1:])
