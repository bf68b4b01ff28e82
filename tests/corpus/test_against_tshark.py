"""lunette against tshark over the real captures: the flows, DNS names, SNIs, HTTP requests and SSH banners they find.

The share that agrees is |both| / |either|, over all captures; differences.py tells which differences are no mistakes
of lunette, and why. Run with -s to see the table. A matter of results and not of memory, and tshark takes its time: the
sanitizers' build leaves it out (test_false_alarms.py gives it the same captures)."""
import collections
import os

import pytest

import differences
import fingerprint_rules
import lunette_view
import tshark_view
from captures import captures, needs_lunette, two_at_a_time

pytestmark = needs_lunette

LEAST = 0.99
# Kinds of which the captures have little.
FEW = {"socks": 8, "hassh": 8, "hasshserver": 8, "http2": 0}  # of HTTP/2 see test_layers.py


def compare(path):
    """({kind: agreeing}, [(difference, rule or None) …]) of a capture, or None if one of the two cannot read it."""
    theirs, ours = tshark_view.look(path), lunette_view.look(path)
    if theirs is None or ours is None:
        return None
    capture = differences.Capture(path, theirs, ours)
    agreed, found = {}, []
    for kind in tshark_view.KINDS:
        agreed[kind] = len(theirs.items[kind].keys() & ours[kind].keys())
        for item in sorted(theirs.items[kind].keys() ^ ours[kind].keys(), key=str):
            difference = differences.Difference(capture, kind, item, theirs.items[kind].get(item, []))
            found.append((difference, differences.reason(difference) or fingerprint_rules.reason(difference)))
    return agreed, found


def share(agreed, different):
    return agreed / (agreed + different) if agreed + different else 1.0


def test_they_see_the_same():
    if os.environ.get("LUNETTE_SANITIZE") == "1":
        pytest.skip("the other build compares")
    tshark_view.require()
    compared = [c for c in two_at_a_time(compare, captures("ndpi", "ja4", "apple")) if c]
    agreed = sum((collections.Counter(a) for a, _ in compared), collections.Counter())
    found = [pair for _, pairs in compared for pair in pairs]
    total, left = (collections.Counter(d.kind for d, rule in found if every or not rule) for every in (True, False))

    print(f"\n{len(compared)} captures\n{'':6}{'agree':>7}{'differ':>8}{'raw':>9}{'left':>6}{'after rules':>13}")
    for kind in tshark_view.KINDS:
        raw, after = share(agreed[kind], total[kind]), share(agreed[kind], left[kind])
        print(f"{kind:6}{agreed[kind]:7}{total[kind]:8}{raw:9.2%}{left[kind]:6}{after:13.2%}")
    for rule, count in collections.Counter(rule for _, rule in found if rule).most_common():
        print(f"{count:5}  {rule.__doc__}")
    unexplained = [str(d) for d, rule in found if not rule]
    print(*unexplained, sep="\n")

    for kind in tshark_view.KINDS:
        assert agreed[kind] >= FEW.get(kind, 21), f"too few of {kind} to tell"
        assert share(agreed[kind], left[kind]) >= LEAST, (kind, unexplained)
