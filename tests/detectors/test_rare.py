"""rare over packets: what is said must not depend on workers or batches. The rules are in rare_test.lua."""
import json
import subprocess

import pytest

from pcap_builder import GO_CIPHERS, Capture, client_hello
from run_lunette import BINARY, ROOT, replay

HOSTS, DAY = 8, 86400


def office(capture, first_day, days):
    for day in range(first_day, first_day + days):
        for host in range(1, HOSTS + 1):
            at = day * DAY + host * 60
            for i, name in enumerate(("www.example.com", "app.slack.com", "mail.example.org")):
                capture.tls(at + i, "192.168.1.%d" % host, "203.0.113.%d" % (i + 1), name)


def odd(capture, at):
    go = client_hello("slack.com", ciphers=GO_CIPHERS)
    capture.tls(at, "192.168.1.5", "203.0.113.2", "slack.com", hello=go)
    capture.tls(at + 9, "192.168.1.6", "203.0.113.9", "www.hobby.net")


def said(alerts):
    return [(alert["title"], alert["severity"], alert["who"], alert["where"], alert["why"]) for alert in alerts]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    made = Capture()
    office(made, 0, 3)
    odd(made, 3 * DAY)
    office(made, 3, 1)
    path = tmp_path_factory.mktemp("rare") / "office.pcap"
    made.write(path)
    return path


def test_what_is_said_of_an_office(capture):
    alerts, reports = replay("rare", capture)
    assert [alert[:4] for alert in said(alerts)] == [
        ("Known name, called by a foreign stack", "low", "192.168.1.5", "slack.com"),
        ("Name that no host called before", "info", "192.168.1.6", "www.hobby.net")]
    assert [row[:3] for row in reports[0]["rows"][:1]] == [["name", "hobby.net", "1/8"]]


@pytest.mark.parametrize("options", [("-w", "2"), ("-w", "4"), ("--batch", "1"), ("--batch", "7"), ("--batch", "1024"), ("-w", "3", "--batch", "1")])
def test_workers_and_batches_change_nothing(capture, options):
    alone, with_options = replay("rare", capture), replay("rare", capture, options=options)
    assert said(with_options[0]) == said(alone[0]) and with_options[1] == alone[1]


def test_one_mac_is_silent(tmp_path):
    made = Capture()
    for day in range(4):
        for i in range(40):
            made.tls(day * DAY + i * 50, "192.168.1.20", "203.0.113.9", "www.site%d.net" % (day * 40 + i))
    made.write(tmp_path / "one.pcap")
    alerts, reports = replay("rare", tmp_path / "one.pcap")
    assert alerts == [] and "unknown" in reports[0]["note"]


def test_the_examples_are_silent():
    for name in ("mac-install", "mac-first-boot", "desk", "lan"):
        path = ROOT / "examples" / (name + ".pcapng.gz")
        done = subprocess.run([BINARY, "replay", "-q", "-o", "-", "--record", "alert,report", "-s", ROOT / "scripts" / "rare.lua", path],
                              capture_output=True, text=True, timeout=120, check=True)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert not [r for r in records if r["event_type"] == "alert" and r["lunette"]["detector"] == "rare"]
        assert not [r for r in records if r["event_type"] == "report" and r["report"]["detector"] == "rare"]
