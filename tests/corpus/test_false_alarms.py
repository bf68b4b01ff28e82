"""What the shipped detectors say of the real captures: nothing loud that nobody looked at.

Every capture that there is, many malformed on purpose, is replayed once with all detectors and all records. First of all the program ends by
itself, with an exit code that it means, and the sanitizers (in a build that has them) have nothing to say. Of three collections each alert
of severity medium or above was looked at with tshark by a person and judged; judged.tsv holds the judgement with its reason, one line an alert:

    true       it is what the alert says, and an analyst would want to know
    tolerable  the facts are right, but the machine or the place is of another kind than the detector is made for

A false one is not listed: it is a fault of the rule. So a new alert of medium or above fails here until somebody judges it, and so does a judged
one that no longer comes: a finding that was lost, or a judgement that was for something else. Low ones are leads, and only their
number is bounded. Healthy Apple devices have a list of their own, and must have none. Run with -s to see what each detector says how often."""
import collections
import csv
import json
import pathlib
import subprocess

import pytest

from captures import EXAMPLES, LUNETTE, PCAPS, SCRIPTS, captures, needs_lunette
from everything import LOUD, SANITIZED, SEVERITY, Run, alone, in_groups

pytestmark = needs_lunette

JUDGED = pathlib.Path(__file__).with_name("judged.tsv")
COLUMNS = ["capture", "detector", "severity", "title", "who", "verdict", "reason"]
JUDGED_FOLDERS = ("ndpi", "ja4", "apple")

# Captures of Apple devices in ordinary use, and what shows that they are Apple's. Not all that happens in them is Apple's doing: an iPhone's
# capture may hold a neighbour's packets as well, and those must be quiet too.
HEALTHY = {
    "ndpi/iphone.pcap": "an iPhone (13.3) joins the Wi-Fi that an iMac shares, and both speak Bonjour",
    "ndpi/anyconnect-vpn.pcap": "a MacBook Pro with 10.13.6 that connects its office's VPN, with Slack, Chrome, push",
    "ndpi/tls_certificate_too_long.pcap": "a MacBook Pro with macOS 11: time, trustd, Bonjour, much TLS",
    "ndpi/signal.pcap": "an iPhone behind an iMac: Signal, iTunes",
    "ndpi/android.pcap": "an iMac that shares its connection with an Android telephone",
    "ndpi/1kxun.pcap": "a MacBook Air with 10.10 among Windows machines, videos",
    "ndpi/telegram.pcap": "an iPad, an iMac's announcements and Chrome on a Mac, in a home network",
    "ndpi/whatsapp_login_call.pcap": "an iPhone signs in to WhatsApp and calls, behind an iMac",
    "ndpi/whatsapp_login_chat.pcap": "the same iPhone chats",
    "ndpi/wa_voice.pcap": "an iPhone's voice call, with the iMac's DHCP",
    "ndpi/wa_video.pcap": "an iPhone's video call, with the iMac's DHCP",
    "ndpi/whatsappfiles.pcap": "an iPhone sends files by WhatsApp",
    "ndpi/instagram.pcap": "an iPhone, Instagram",
    "ndpi/netflix.pcap": "an iPhone with iOS 10.2, Netflix",
    "ndpi/sites.pcapng": "single connections to many sites, of Siri among them",
    "ndpi/jsonrpc.pcap": "Chrome on 10.9.2, and a service behind it",
    "ndpi/ookla.pcap": "a speed test by a Mac with 10.12.3",
    "ndpi/http_auth.pcap": "a browser on 10.8.5 signs in to a page",
    "ndpi/zattoo.pcap": "Firefox on 10.6 watches television",
    "ndpi/mpeg.pcap": "wget, of Homebrew's kind, on 10.10",
    "ndpi/socks.pcap": "curl and Firefox on 10.8 through a SOCKS proxy",
    "ndpi/dns_ambiguous_names.pcap": "an Apple device's push and Siri lookups",
    "ndpi/ssdp-m-search-ua.pcap": "Chrome on a Mac looks for television sets",
    "ndpi/443-curl.pcap": "the system's curl fetches a page",
    "ndpi/443-firefox.pcap": "Firefox on the same Mac",
    "ndpi/443-git.pcap": "git on the same Mac",
    "ndpi/443-safari.pcap": "Safari on the same Mac",
    "ndpi/443-opvn.pcap": "OpenVPN on TCP 443",
    "ndpi/safari.pcap": "Safari, several pages",
    "ndpi/chrome.pcap": "Chrome on the same Mac",
    "ndpi/firefox.pcap": "Firefox on the same Mac",
    "ndpi/salesforce.pcap": "a Mac at work in Salesforce",
    "ndpi/forticlient.pcap": "a Mac that connects its office's VPN",
    "ndpi/opera-vpn.pcapng": "a Mac's browser with its proxy: 63 connections to one server",
    "ndpi/dns_doh.pcap": "Firefox that asks its names by HTTPS",
    "ndpi/no_sni.pcap": "TLS without a name, from Apple's kernel",
    "ndpi/tls_long_cert.pcap": "TLS, from Apple's kernel",
    "ndpi/tls_verylong_certificate.pcap": "TLS, from Apple's kernel",
    "ndpi/tls_alert.pcap": "TLS that is refused, from Apple's kernel",
    "ndpi/tls_esni_sni_both.pcap": "TLS with an encrypted name (2020's draft), from Apple's kernel",
    "ndpi/long_tls_certificate.pcap": "curl over TLS, from Apple's kernel",
    "ndpi/bets.pcapng": "the curl of macOS 15 fetches pages",
    "ndpi/punycode-idn.pcap": "the curl of macOS 12 fetches a page whose name is in punycode",
    "ndpi/teams.pcap": "a meeting in Teams",
    "ndpi/zoom.pcap": "a meeting in Zoom",
    "ndpi/zoom2.pcap": "another",
    "ndpi/sonos.pcapng": "a Mac and its loudspeakers",
    "ndpi/imaps.pcap": "mail, from Apple's kernel",
    "ndpi/imap-starttls.pcap": "mail, from Apple's kernel",
    "ndpi/ftp.pcap": "FTP, from Apple's kernel",
    "ndpi/jabber.pcap": "a chat, from Apple's kernel",
    "ndpi/Oscar.pcap": "a chat, from Apple's kernel",
    "ndpi/rdp.pcap": "remote desktop to a Windows machine, from Apple's kernel",
    "ndpi/ssh.pcap": "ssh from a Mac with 10.7 or older to a machine of its own",
    "ndpi/ethereum.pcap": "a wallet's peers, from Apple's kernel",
    "ja4/macos_tcp_flags.pcap": "one HTTPS connection of a Mac of 2022",
    "ja4/http1.pcapng": "Safari on 10.9.2 reads pages over HTTP",
    "ja4/https3-301-get.pcap": "a page, from Apple's kernel",
    "ja4/socks-https-example.pcap": "HTTPS through a SOCKS proxy, from Apple's kernel",
    "ja4/tls-handshake.pcapng": "a browser that fetches pictures of Apple's shops (mzstatic.com)",
    "ja4/tls-sni.pcapng": "the same browser, its hellos",
    "ja4/latest.pcapng": "a network of Macs at a company: wpad, Chrome's SSDP, type 65",
    "ja4/ssh2.pcapng": "the same network, with an ssh session",
    "apple/apple-tcpdump/radar-63494669.pcapng": "a Mac pings another, recorded by Apple's tcpdump, as the next four",
    "apple/apple-tcpdump/radar-74957353.pcapng": "Multipath TCP to a speed test's server",
    "apple/apple-tcpdump/radar-79792659.pcapng": "a device in a mobile network asks for play.itunes.apple.com",
    "apple/apple-tcpdump/radar-88502733.pcapng": "a connection with accurate ECN",
    "apple/apple-tcpdump/radar-31053702.pcapng": "packets with their processes",
    "apple/lightpcapng/many_interfaces.pcapng": "all interfaces of a Mac at once",
    "apple/synthetic/darwin_all_options_le.pcapng": "every option that Apple writes into a block",
    "apple/synthetic/darwin_all_options_be.pcapng": "the same of a big-endian Mac",
    "apple/synthetic/pktap_v1_len156_lt258.pcap": "packets with their processes in front",
    "apple/synthetic/pktap_v2_lt149.pcap": "the same, version 2",
}


# What beacon says of them, and why that is right: two VPNs' keep-alives and tunnels, and two telephones (WhatsApp and a vendor's push
# service) that reconnect to the same server for hours with the same bytes, alone in their captures.
TIMERS = {"softether.pcap", "ipsec_isakmp_esp.pcap", "whatsapp.pcap", "hpvirtgrp.pcap"}


def judgements():
    lines = [line for line in JUDGED.read_text().splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def runs():
    """Every capture's run, {name: run}. tcpdump's, malformed on purpose, of which no alert is judged, come in groups, and with the sanitizers all do."""
    judged = in_groups if SANITIZED else lambda *folders: alone(captures(*folders))
    return judged(*JUDGED_FOLDERS) | in_groups("tcpdump")


@pytest.fixture(scope="module")
def told(runs):
    """{capture: (stderr, alerts)} of those whose alerts are judged."""
    if SANITIZED:
        pytest.skip("what is said of each capture is judged in the other build")
    chosen = {name: run for name, run in runs.items() if name.split("/")[0] in JUDGED_FOLDERS}
    assert not {name: run.said for name, run in chosen.items() if run.code != 0}
    return {name: (run.said, run.alerts) for name, run in chosen.items()}


def key_of(capture, alert):
    return (capture, alert["lunette"]["detector"], SEVERITY[alert["alert"]["severity"]], alert["alert"]["signature"], alert["lunette"].get("who", ""))


def loud(told):
    return {key_of(capture, alert): alert["lunette"].get("why", "")
            for capture, (_, alerts) in told.items() for alert in alerts if SEVERITY[alert["alert"]["severity"]] in LOUD}


def test_no_capture_brings_it_down(runs):
    assert not {name: run.wrong for name, run in runs.items() if run.wrong}


def test_the_judgements_are_whole():
    rows = judgements()
    for row in rows:
        assert list(row) == COLUMNS and all(row.values()), row
        assert row["verdict"] in ("true", "tolerable") and row["severity"] in LOUD, row
        assert len(row["reason"].split()) >= 4, ("say why, in words", row)
    keys = [tuple(row[column] for column in COLUMNS[:5]) for row in rows]
    assert len(keys) == len(set(keys))


def test_every_loud_alert_is_judged(told):
    """Look at it with tshark first. If it is false, mend the rule; if not, write down why."""
    known = {tuple(row[column] for column in COLUMNS[:5]) for row in judgements()}
    found = loud(told)
    assert not {key: why for key, why in found.items() if key not in known}


def test_no_judged_alert_is_lost(told):
    """A missing one is a finding that was lost, or a rule that was mended: then its judgement goes as well."""
    found = loud(told)
    judged = [tuple(row[column] for column in COLUMNS[:5]) for row in judgements()]
    assert not [key for key in judged if key not in found and (PCAPS / key[0]).is_file()]


def test_all_in_one_run():
    """A folder handed over as one: four collections of a thousand networks, whose addresses and clocks contradict each other. What a detector
    remembers of one network makes nothing loud in the next. The fourth, tcpdump's odd packets, has nothing loud of its own."""
    files = captures("ndpi", "ja4", "apple", "tcpdump")
    done = subprocess.run([LUNETTE, "replay", "-s", SCRIPTS, "-q", "-o", "-", "--record", "alert", *files], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    found = {key_of("", alert)[1:] for alert in alerts if SEVERITY[alert["alert"]["severity"]] in LOUD}
    assert found == {tuple(row[column] for column in COLUMNS[1:5]) for row in judgements() if (PCAPS / row["capture"]).is_file()}


def test_healthy_apple_devices_are_quiet(told):
    assert not [(key, why) for key, why in loud(told).items() if key[0] in HEALTHY]
    assert not [row for row in judgements() if row["capture"] in HEALTHY]
    assert not [name for name in HEALTHY if name not in told], "no such captures"


@pytest.mark.parametrize("name", ["mac-install", "mac-first-boot", "desk", "lan"])
def test_the_healthy_samples_are_quiet(name):
    run = Run(EXAMPLES / (name + ".pcapng.gz"))
    assert run.code == 0 and not [alert["alert"] for alert in run.alerts if SEVERITY[alert["alert"]["severity"]] in LOUD]


def test_no_detector_fails(runs):
    """A detector that raises an error, is switched off, sheds its state or is left out says so; broken captures say other things."""
    signs = ("script error", "disabled", "switched off", "left out", "detector", ".lua")
    assert not {name: run.said for name, run in runs.items() if any(sign in run.said.lower() for sign in signs)}


def test_leads_are_few(told):
    """One rule's low alerts do not come in masses: not in one capture, and not over all."""
    by_capture, by_rule = collections.Counter(), collections.Counter()
    for capture, (_, alerts) in told.items():
        for alert in alerts:
            rule = alert["lunette"]["detector"], SEVERITY[alert["alert"]["severity"]], alert["alert"]["signature"]
            by_rule[rule] += 1
            by_capture[rule + (capture,)] += 1
    total = collections.Counter()
    for (detector, severity, _), count in by_rule.items():
        total[detector, severity] += count
    print(f"\n{len(told)} captures")
    for (detector, severity), count in sorted(total.items()):
        print(f"{detector:18}{severity:8}{count:5}")
    for (detector, severity, title), count in by_rule.most_common():
        print(f"{count:5}  {severity:7} {detector:16} {title}")
    low = {rule: count for rule, count in by_rule.items() if rule[1] == "low"}
    assert not {rule: count for rule, count in low.items() if count > 10}
    assert not {rule: count for rule, count in by_capture.items() if rule[1] == "low" and count > 4}


def test_timers_are_those_that_were_looked_at(told):
    """Of single hosts in short captures nothing is known but the clock: beacon calls none of them more than low."""
    alerts = [(name.split("/")[-1], alert) for name, (_, alerts) in told.items() for alert in alerts if alert["lunette"]["detector"] == "beacon"]
    assert {name for name, _ in alerts} <= TIMERS
    assert all(SEVERITY[alert["alert"]["severity"]] == "low" for _, alert in alerts)
