"""Labelled connection logs as records of events, for the real detector; and its report as scores for the judge.

    tests/detectors/beacon_events.py FLOWS.csv PRESENCE.csv LABELS.csv [--flows-only] [--by-name] [--lunette FILE] > scores.csv

FLOWS has a line per event in order of time: ts, src, fqdn, bytes_out, bytes_in, kind (0 a flow, 1 a burst of requests inside an open
flow) and, if there are any, dst_ip, dport, proto, tls_stack; PRESENCE has src, ts: times at which the client was seen to do anything;
each may be gzip'ed. They become `onset` and `flow_start` records, and are played by `lunette replay --events` to scripts/beacon.lua as it is,
which tells of all its pairs in its report (--set beacon.census=true). Of LABELS only the age of each name before the log begins is
taken, and told to the detector the way a user would, in data/beacon_known.txt: the labels themselves are not read.

--flows-only leaves kind 1 out, --by-name the TLS stacks. What is written, `src,fqdn,auto,score`, is the best of a name's stacks as of
the end of the log. Figures about the run go to standard error."""

import argparse
import csv
import gzip
import heapq
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUNETTE", str(ROOT / "build" / "lunette"))


def opened(path):
    return gzip.open(path, "rt") if str(path).endswith(".gz") else open(path)


def columns(header, *names):
    """Where the named columns stand; None for one that is not there."""
    return [header.index(name) if name in header else None for name in names]


def ja4_of(stack):
    """A fingerprint in JA4's shape, a different one for each stack."""
    return "t13d1516h2_%012x_%012x" % (0xA0000000 + int(stack), 0xB0000000)


def onsets(path, flows_only, by_name):
    """(time, line) of each event."""
    with opened(path) as file:
        rows = csv.reader(file)
        header = next(rows)
        ts, src, fqdn, out, back, kind, dst, port, proto, stack = columns(
            header, "ts", "src", "fqdn", "bytes_out", "bytes_in", "kind", "dst_ip", "dport", "proto", "tls_stack")
        ja4s = {}
        for row in rows:
            burst = row[kind] != "0"
            if burst and flows_only:
                continue
            ja4 = ""
            if stack is not None and not by_name:
                ja4 = ja4s.get(row[stack])
                if ja4 is None:
                    ja4 = ja4s[row[stack]] = ',"ja4":"%s"' % ja4_of(row[stack])
            yield float(row[ts]), (
                '{"timestamp":%s,"event_type":"onset","src_ip":"%s","dest_ip":"%s","dest_port":%s,"proto":"%s","onset":{"kind":"%s",'
                '"bytes_toserver":%s,"bytes_toclient":%s,"server_name":"%s"%s}}\n' % (
                    row[ts], row[src], row[dst] if dst is not None else "198.51.100.1", row[port] if port is not None else "443",
                    row[proto].upper() if proto is not None else "TCP", "burst" if burst else "start", row[out], row[back], row[fqdn], ja4))


def presence(path):
    with opened(path) as file:
        rows = csv.reader(file)
        src, ts = columns(next(rows), "src", "ts")
        seen = sorted((float(row[ts]), row[ts], row[src]) for row in rows)
    for t, text, client in seen:
        yield t, ('{"timestamp":%s,"event_type":"flow_start","src_ip":"%s","dest_ip":"10.255.0.1","proto":"UDP","flow_start":{}}\n' % (text, client))


def write_history(labels, begin, path):
    """Since when names are known: the earliest of what the labels say of each."""
    ages = {}
    with opened(labels) as file:
        for row in csv.DictReader(file):
            age = float(row["name_known_days_before_window"])
            ages[row["fqdn"]] = max(age, ages.get(row["fqdn"], 0))
    with open(path, "w", encoding="ascii") as out:
        for name, age in ages.items():
            if age > 0:
                out.write("%s %.0f\n" % (name, begin - age * 86400))


def run(flows, presences, labels, flows_only=False, by_name=False, binary=BINARY, settings=()):
    """The report's pairs: {(src, fqdn): (auto, score)}, and figures of the run."""
    feed = heapq.merge(onsets(flows, flows_only, by_name), presence(presences), key=lambda event: event[0])
    first = next(feed, None)
    if first is None:
        sys.exit("beacon_events: there are no events")
    with tempfile.TemporaryDirectory() as folder:
        scripts = pathlib.Path(folder) / "scripts"
        shutil.copytree(ROOT / "scripts", scripts)
        write_history(labels, first[0], scripts / "data" / "beacon_known.txt")
        out = pathlib.Path(folder) / "report.jsonl"
        command = [binary, "replay", "--events", "-q", "--home-net", "10.0.0.0/8", "-o", out, "--record", "report", "-s",
                   scripts / "beacon.lua", "--set", "beacon.census=true", "--script-memory", "1024"]
        for setting in settings:
            command += ["--set", setting]
        began = time.monotonic()
        count = 1
        with subprocess.Popen([str(word) for word in [*command, "-"]], stdin=subprocess.PIPE, text=True) as player:
            player.stdin.write(first[1])
            for _, line in feed:
                player.stdin.write(line)
                count += 1
            player.stdin.close()
        if player.returncode != 0:
            sys.exit("beacon_events: lunette failed")
        best, alerts = {}, set()
        with open(out, encoding="utf-8") as file:
            for record in map(json.loads, file):
                if record["event_type"] != "report":
                    continue
                for score, client, name, *_, auto in record["report"]["rows"]:
                    before = best.get((client, name), (-1e300, -1e300))
                    best[client, name] = (max(before[0], float(auto)), max(before[1], float(score)))
    return best, "%d events, %d pairs with a score, %.0f s" % (count, len(best), time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("flows", "presence", "labels"):
        parser.add_argument(name)
    parser.add_argument("--flows-only", action="store_true")
    parser.add_argument("--by-name", action="store_true")
    parser.add_argument("--lunette", default=BINARY)
    given = parser.parse_args()
    best, figures = run(given.flows, given.presence, given.labels, given.flows_only, given.by_name, given.lunette)
    print("src,fqdn,auto,score")
    for (client, name), (auto, score) in best.items():
        print("%s,%s,%.6f,%.6f" % (client, name, auto, score))
    print(figures, file=sys.stderr)


if __name__ == "__main__":
    main()
