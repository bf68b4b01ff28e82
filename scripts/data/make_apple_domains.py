#!/usr/bin/python3
"""Makes apple_domains.tsv from the research table of Apple's service names.

    python3 make_apple_domains.py SOURCE.tsv > apple_domains.tsv

The source has the columns suffix-or-host, match, ports/protocol, category, purpose, source (README.md says where its rows
come from). Three things are done to it: the kind of match becomes one word (exact, suffix, ending), ports lose their
remarks, and each row learns who owns the name, since only a name that Apple owns tells that the other side is Apple."""

import csv
import re
import sys

# Zones that Apple alone answers for. `apple` is its own top level domain.
APPLE_ZONES = ("apple.com apple icloud.com icloud.com.cn itunes.com me.com mzstatic.com apple.news cdn-apple.com "
               "apple-cloudkit.com apple-livephotoskit.com apple-mapkit.com icloud-content.com apzones.com "
               "appleschoolcontent.com axm-usercontent-apple.com").split()

SHORT_SOURCES = (("101555", "apple-101555"), ("102266", "apple-102266"), ("diary", "sans-25414"), ("nDPI", "ndpi"),
                 ("v2fly", "v2fly"))


def owner(name, category):
    """apple, shared (an alias or CDN zone that carries others too) or third-party."""
    if category == "cdn" or name.endswith((".akadns.net", ".edgesuite.net", ".aaplimg.com", ".apple-dns.net")):
        return "shared"
    bare = name.lstrip("-")
    owned = any(bare == zone or bare.endswith("." + zone) for zone in APPLE_ZONES)
    return "apple" if owned else "third-party"


def ports(text):
    found = re.findall(r"(?:tcp|udp)/\d+", text)
    return ",".join(dict.fromkeys(found)) or "alias"


def sources(text):
    found = [short for mark, short in SHORT_SOURCES if mark in text]
    return ",".join(found) or "observed"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    merged = {}
    for row in rows:
        name, category = row["suffix-or-host"], row["category"]
        if name.startswith("_") or category == "third-party:cdn":
            continue  # a question put to the resolver; whole zones of which only one listed name matters
        match = "ending" if name.startswith("-") else row["match"]
        whose = owner(name, category)
        if whose == "third-party" and category == "certificate-validation":
            category = "third-party:" + category
        purpose = re.sub(r"\s+", " ", row["purpose"]).strip()
        entry = [name, match, ports(row["ports/protocol"]), category, purpose, whose, sources(row["source"])]
        old = merged.get(name)
        if old:  # listed once as exact, once as suffix: the suffix covers both
            entry[1] = "suffix"
            entry[2] = ",".join(dict.fromkeys((old[2] + "," + entry[2]).split(",")))
            entry[4] = old[4] if old[1] == "suffix" else entry[4]
        merged[name] = entry
    print("# Made by make_apple_domains.py; see README.md. match: exact name, suffix (the name and all below it) or ending"
          " (plain text).")
    print("# owner: apple, shared (alias and CDN zones with other customers) or third-party; only the first tells Apple.")
    print("\t".join(("name", "match", "ports", "category", "purpose", "owner", "source")))
    for entry in merged.values():
        print("\t".join(entry))


if __name__ == "__main__":
    main()
