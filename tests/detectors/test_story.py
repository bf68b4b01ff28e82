"""story on captures: a staged intrusion is one story, told right; healthy Macs have none; neither workers nor batches show. And every ATT&CK
technique that a detector names is in the table."""
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
PCAPS = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps"))
EXAMPLES = ROOT / "examples"
INTRUSION = (EXAMPLES / "intrusion.pcapng.gz", "--host-log", "192.168.7.31=%s" % (EXAMPLES / "intrusion.eslogger.jsonl"))
IMPLANT = "/Users/Shared/.sync/updated"
pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="lunette is not built")


def said(capture, *options, record="alert,report,host"):
    command = [BINARY, "replay", "-s", ROOT / "scripts", "-q", "-o", "-", "--record", record, *options, capture]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def incidents(records):
    return [r for r in records if r["event_type"] == "alert" and r["lunette"]["detector"] == "story"]


@pytest.fixture(scope="module")
def intrusion():
    return said(*INTRUSION)


def test_the_intrusion_is_one_story(intrusion):
    told = incidents(intrusion)
    assert told and len({a["lunette"]["evidence"]["incident"] for a in told}) == 1
    assert len(told) <= 5, "one thing to read, not forty"
    assert [a["lunette"]["evidence"]["update"] for a in told] == list(range(len(told)))
    last = told[-1]
    assert last["alert"]["severity"] == 1 and last["lunette"]["who"] == "192.168.7.31"
    evidence = last["lunette"]["evidence"]
    assert evidence["name"] == "Annas-MacBook-Air"
    assert set(evidence["tactics"]) >= {"Execution", "Persistence", "Command and Control", "Exfiltration"}
    assert evidence["tactics"][0] == "Execution"
    assert {"lolbin", "after_login", "beacon", "cloud_c2"} <= set(evidence["detectors"])
    assert {"/usr/bin/curl", IMPLANT} <= set(evidence["programs"])
    assert "Microsoft Word" in last["lunette"]["why"] and IMPLANT in last["lunette"]["why"]


def test_the_sample_made_anew_is_the_same(tmp_path):
    done = subprocess.run([sys.executable, EXAMPLES / "make_intrusion.py", tmp_path], capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    with gzip.open(tmp_path / "intrusion.pcapng.gz") as again, gzip.open(EXAMPLES / "intrusion.pcapng.gz") as shipped:
        assert again.read() == shipped.read()
    assert (tmp_path / "intrusion.eslogger.jsonl").read_bytes() == (EXAMPLES / "intrusion.eslogger.jsonl").read_bytes()


def test_the_second_start_of_the_tool_that_does_another_thing_is_told(intrusion):
    why = [r["lunette"]["why"] for r in intrusion if r["event_type"] == "alert" and r["alert"]["signature"] == "curl started by an Office program"]
    assert len(why) == 2 and "LaunchAgents/com.sync.updated.plist, which starts by itself" in why[1]


def test_the_timeline_is_in_the_order_of_what_was_done(intrusion):
    (report,) = [r["report"] for r in intrusion if r["event_type"] == "report" and r["report"]["detector"] == "story"]
    assert report["title"] == "Incidents"
    head, *lines = report["rows"]
    assert head[0].endswith("-192.168.7.31") and head[2] == "high"
    told = [line[3] for line in lines]
    assert all(a[1] <= b[1] for a, b in zip(lines, lines[1:]))

    def place(*words):
        (at,) = {min(i for i, text in enumerate(told) if all(word in text for word in words))}
        return at

    fetched = place("curl started by an Office program", "cdn.quiet-harbour.example")
    starts = place("[after_login", "edge.quiet-harbour.example")
    calls = place("[beacon", "edge.quiet-harbour.example")
    sends = place("content.dropboxapi.com")
    tunnels = place("[vpn", "203.0.113.140")
    assert fetched < min(starts, calls) and max(starts, calls) < sends < tunnels
    assert not any("icloud.com" in text for text in told), "what has nothing to do with it is left out"


def test_the_score_adds_up(intrusion):
    for told in incidents(intrusion):
        evidence = told["lunette"]["evidence"]
        total, parts = evidence["explanation"].split(" = ")
        points = [float(re.search(r" (-?\d+\.\d)(?: \(|$)", part).group(1)) for part in parts.split(" + ")]
        assert len(points) == len(evidence["parts"])
        assert abs(sum(points) - evidence["points"]) <= 0.05 * len(points) + 0.01 and float(total) == pytest.approx(evidence["points"], abs=0.051)


def test_the_card_says_it_first(intrusion):
    cards = [r["host"] for r in intrusion if r["event_type"] == "host" and r.get("src_ip") == "192.168.7.31"]
    facts = cards[-1]["facts"]
    assert list(facts)[0] == "story" and facts["story"]["text"][0].startswith("high, ")
    assert facts["story"]["details"]["incident"] == incidents(intrusion)[0]["lunette"]["evidence"]["incident"]


@pytest.mark.parametrize("cut", [("-w", 1, "--batch", 1), ("-w", 2, "--batch", 7), ("-w", 3, "--batch", 1024), ("-w", 4, "--batch", 64)], ids=str)
def test_neither_workers_nor_batches_show(intrusion, cut):
    again = said(*INTRUSION, *cut, record="alert,report")

    def of_story(records):
        return [r for r in records if r["event_type"] == "alert" and r["lunette"]["detector"] == "story"
                or r["event_type"] == "report" and r["report"]["detector"] == "story"]
    assert of_story(again) == of_story(intrusion)


def test_the_morning_with_an_implant_is_one_story():
    told = incidents(said(EXAMPLES / "mac-with-implant.pcapng.gz"))
    assert told and len({a["lunette"]["evidence"]["incident"] for a in told}) == 1
    assert "198.51.100.204" in told[-1]["lunette"]["why"] and "203.0.113.66:4444" in told[-1]["lunette"]["why"]
    assert "icloud.com" not in told[-1]["lunette"]["why"]


QUIET = ["mac-install", "mac-first-boot", "desk", "lan", "tunnel", "quic", "text-protocols"]


@pytest.mark.parametrize("name", QUIET)
def test_healthy_samples_have_no_story(name):
    records = said(EXAMPLES / (name + ".pcapng.gz"), record="alert,report")
    assert incidents(records) == []
    assert not [r for r in records if r["event_type"] == "report" and r["report"]["detector"] == "story"]


HEALTHY = ["ndpi/iphone.pcap", "ndpi/anyconnect-vpn.pcap", "ndpi/tls_certificate_too_long.pcap", "ndpi/signal.pcap", "ndpi/1kxun.pcap", "ndpi/netflix.pcap"]


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_captures_have_no_story(name):
    if not (PCAPS / name).exists():
        pytest.skip("capture %s is not here" % name)
    assert incidents(said(PCAPS / name, record="alert")) == []


def test_every_technique_that_is_named_is_in_the_table():
    rows = [line.rstrip("\n").split("\t") for line in open(ROOT / "scripts/data/attack.tsv", encoding="utf-8") if line.startswith("T1")]
    known = {row[0] for row in rows}
    tactics = {"Reconnaissance", "Resource Development", "Initial Access", "Execution", "Persistence", "Privilege Escalation", "Defense Evasion",
               "Credential Access", "Discovery", "Lateral Movement", "Collection", "Command and Control", "Exfiltration", "Impact"}
    assert len(known) == len(rows) and [row[0] for row in rows] == sorted(known)
    for row in rows:
        assert len(row) == 3 and row[1] and set(row[2].split(",")) <= tactics, row
    named = {}
    for path in [*ROOT.glob("scripts/*.lua"), *ROOT.glob("scripts/lib/*.lua"), *ROOT.glob("engine/audit/*.c"), ROOT / "scripts/README.md", ROOT / "README.md"]:
        for found in re.findall(r"\bT1\d{3}(?:\.\d{3})?\b", path.read_text(encoding="utf-8")):
            named.setdefault(found, path.name)
    assert len(named) > 40
    assert {technique: where for technique, where in named.items() if technique not in known} == {}
