"""JA4 as FoxIO published it for its own captures (shared pcaps, ja4/expected): the values of the part under the BSD
licence alone, `ja4`. An item is a connection and a fingerprint; the share that agrees is |both| / |either|."""
import json
import re

import pytest

from captures import PCAPS, needs_lunette, replay

pytestmark = needs_lunette

LEAST = 0.99
# Differences with a reason: (capture, JA4 there, JA4 here).
EXPLAINED = {
    # The ALPN is no text. The specification takes the ends of its hex form; the tool that made these files wrote 9 for each.
    ("tls-non-ascii-alpn.pcapng", "t13d151699_8daaf6152771_e5627efa2ab1", "t13d1516bd_8daaf6152771_e5627efa2ab1"),
}
EXPECTED = PCAPS / "ja4" / "expected"
END = re.compile(r"^  (transport|src|dst|src_port|dst_port|ja4): (.*)$", re.M)


def published(path):
    """{(transport, src, sport, dst, dport, ja4)} of a snapshot file; YAML of one fixed form."""
    found = set()
    for entry in re.split(r"^- ", path.read_text(), flags=re.M)[1:]:
        values = dict(END.findall("  " + entry))
        if "ja4" in values:
            found.add(tuple(values.get(key, "").strip('"') for key in ("src", "src_port", "dst", "dst_port", "ja4")))
    return found


def ours(capture):
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "tls", capture)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {(r["src_ip"], str(r.get("src_port", 0)), r["dest_ip"], str(r.get("dest_port", 0)), r["tls"]["ja4"])
            for r in records if "ja4" in r["tls"]}


def test_they_are_ours():
    snapshots = sorted(EXPECTED.glob("*.snap"))
    if not snapshots:
        pytest.skip("no captures")
    both = either = 0
    different = []
    for snapshot in snapshots:
        theirs, mine = published(snapshot), ours(PCAPS / "ja4" / snapshot.name[:-len(".snap")])
        both += len(theirs & mine)
        either += len(theirs | mine)
        name = snapshot.name[:-len(".snap")]
        explained = {value for reason in EXPLAINED if reason[0] == name for value in reason[1:]}
        different += [(name, "theirs" if item in theirs else "ours", *item) for item in sorted(theirs ^ mine)
                      if item[-1] not in explained]
    print(f"\n{both} of {either} agree", *different, sep="\n")
    assert both > 100
    assert both / either >= LEAST
    assert not different
