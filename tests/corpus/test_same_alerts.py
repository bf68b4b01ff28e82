"""What is found does not depend on how the work is cut: batches of 1, 7 and 1024 events give the same records and alerts
byte for byte, and two workers the same ones as one, in whatever order.

All is held against one run of each capture, in batches of 1 (`single`); the workers' is in the batches that nobody asks for."""
import collections
import json

import pytest

from captures import EXAMPLES, PCAPS, SCRIPTS, event_kinds, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

# Several hosts each, many protocols, alerts of each detector; the largest ones last.
REAL = """ja4/ssh2.pcapng ja4/ssh2-malformed.pcap ja4/http1-with-cookies.pcapng ja4/latest.pcapng ja4/macos_tcp_flags.pcap
    ndpi/tls_certificate_too_long.pcap ndpi/iphone.pcap ndpi/anyconnect-vpn.pcap ndpi/http-manipulated.pcap
    ndpi/log4j-webapp-exploit.pcap ndpi/WebattackRCE.pcap ndpi/dns-tunnel-iodine.pcap ndpi/fuzz-2006-06-26-2594.pcap
    ndpi/socks.pcap ndpi/openvpn.pcap ndpi/wireguard.pcap ndpi/stun.pcap ndpi/teredo.pcap ndpi/quic_interop_V.pcapng
    ndpi/mining.pcapng ndpi/doh.pcapng ndpi/emotet.pcap ndpi/signal.pcap ndpi/netflix.pcap ndpi/opera-vpn.pcapng ndpi/1kxun.pcap""".split()


DOCUMENT = EXAMPLES / "document.pcapng.gz"
WITH_LOG = {DOCUMENT: ("--host-log", "192.168.7.23=" + str(EXAMPLES / "document.eslogger.jsonl")),
            EXAMPLES / "intrusion.pcapng.gz": ("--host-log", "192.168.7.31=" + str(EXAMPLES / "intrusion.eslogger.jsonl"))}
OWN_EVENTS = ["mac_identity.host", "lifecycle.phase"]


def samples():
    own = sorted(EXAMPLES.glob("*.pcap*"))
    assert own
    return own + [PCAPS / name for name in REAL if (PCAPS / name).exists()]


def found(capture, *options):
    # All but stats, whose time is the machine's and not the packets'.
    kinds = ",".join(["alert", "report", "host", *event_kinds(), *OWN_EVENTS])
    done = replay("-s", SCRIPTS, "-q", "-o", "-", "--record", kinds, *WITH_LOG.get(capture, ()), *options, capture)
    assert done.returncode == 0, (capture, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def single():
    """What is found in each capture, event by event: {capture: records}."""
    captures = samples()
    return dict(zip(captures, two_at_a_time(lambda capture: found(capture, "--batch", 1), captures)))


def differing(single, wrong):
    """The captures for which wrong(capture) gives a reason."""
    return [f"{c.name}: {reason}" for c, reason in zip(single, two_at_a_time(wrong, single)) if reason]


def first_difference(one, other):
    pairs = zip(one.splitlines() + [b""], other.splitlines() + [b""])
    return next(((a, b) for a, b in pairs if a != b), "the one is longer")


@pytest.mark.parametrize("events", [7, 1024])
def test_the_batch_does_not_show(single, events):
    def wrong(capture):
        other = found(capture, "--batch", events)
        return single[capture] != other and first_difference(single[capture], other)

    assert differing(single, wrong) == []


def as_multiset(output):
    """Records without the numbers that workers give flows. A detector that does not gather has a report in each worker, of its own hosts: their
    rows together are compared, as the summary shows them."""
    counted = collections.Counter()
    for record in map(json.loads, output.splitlines()):
        record.pop("flow_id", None)
        if record["event_type"] == "report":
            report = record["report"]
            for row in report["rows"]:
                counted[json.dumps([report["detector"], report["title"], report["columns"], row])] += 1
            continue
        counted[json.dumps(record, sort_keys=True)] += 1
    return counted


def test_the_workers_do_not_show(single):
    def wrong(capture):
        one, two = as_multiset(single[capture]), as_multiset(found(capture, "-w", 2))
        return one != two and (sorted((one - two).elements())[:3], sorted((two - one).elements())[:3])

    assert differing(single, wrong) == []


def test_there_are_alerts_to_compare(single):
    alerts = [r for output in single.values() for r in map(json.loads, output.splitlines()) if r["event_type"] == "alert"]
    assert len(alerts) > 10
    assert {a["lunette"]["detector"] for a in alerts} >= {
        "apple_allowlist", "beacon", "cloud_c2", "dns_tunnel", "lifecycle", "lolbin", "mac_identity", "resolver_change", "story", "tls_odd", "vpn"}


def test_there_are_cards_to_compare(single):
    topics = {topic for output in single.values() for r in map(json.loads, output.splitlines()) if r["event_type"] == "host"
              for topic in r["host"].get("facts", {})}
    assert topics >= {"identity", "phase", "apple", "third parties", "elsewhere", "tools", "gui apps", "visibility"}
