"""lifecycle: the diary on the first minutes of macOS 10.15 (SANS Internet Storm Center, 25414), made executable.

What is expected of the samples is what the diary says, line by line; made captures add what a healthy Mac does not do, or leave out
what it does."""

import json
import struct
import subprocess

import pytest

from pcap_builder import Capture
from run_lunette import BINARY, PCAPS, ROOT, SEVERITIES

MAC, ROUTER, ELSEWHERE = "192.168.1.20", "192.168.1.1", "203.0.113.5"
APPLE = "17.253.144.10"
EXAMPLES = ROOT / "examples"
ICONS = ["www.yelp.com", "www.yahoo.com", "www.weather.com", "www.tripadvisor.com", "www.linkedin.com", "www.facebook.com",
         "www.bing.com", "www.twitter.com"]


class Said:
    """What a run said: alerts and rows of lifecycle alone, and its events."""

    def __init__(self, *captures, options=(), settings=None):
        if not BINARY.exists():
            pytest.skip("lunette is not built")
        command = [BINARY, "replay", "-q", "-o", "-", "--record", "alert,report,lifecycle.phase", "-s", ROOT / "scripts" / "lifecycle.lua", *options]
        for key, value in (settings or {}).items():
            command += ["--set", "lifecycle.%s=%s" % (key, value)]
        done = subprocess.run([str(word) for word in command + list(captures)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr.lower(), done.stderr
        self.alerts, self.rows, self.phases, self.raw = [], [], [], []
        for line in done.stdout.splitlines():
            record = json.loads(line)
            kind = record["event_type"]
            if kind == "alert" and record["lunette"]["detector"] == "lifecycle":
                alert = dict(record["lunette"], title=record["alert"]["signature"], severity=SEVERITIES[record["alert"]["severity"]],
                             attack=record["alert"].get("metadata", {}).get("mitre_technique_id", []))
                self.alerts.append(alert)
            elif kind == "report" and record["report"]["title"] == "Phases":
                self.rows += [tuple(row) for row in record["report"]["rows"]]
            elif kind == "lifecycle.phase":
                event = record["lifecycle"]["phase"]
                self.phases.append((event["address"], event["before"], event["phase"]))
            if kind != "report":
                record.pop("flow_id", None)
                self.raw.append(json.dumps(record, sort_keys=True))

    def of(self, phase):
        """{name: (mark, connections, received, content, verdict)} of a phase."""
        return {row[2]: (row[3], row[4], row[6], row[7], row[9]) for row in self.rows if row[1] == phase}


# ---------------------------------------------------------------- the diary, on the samples
@pytest.fixture(scope="module")
def install():
    return Said(EXAMPLES / "mac-install.pcapng.gz")


@pytest.fixture(scope="module")
def first_boot():
    return Said(EXAMPLES / "mac-first-boot.pcapng.gz")


def test_install_is_told_and_healthy(install):
    assert install.phases == [("10.10.3.115", "unknown", "install")]
    assert install.alerts == []
    assert {row[1] for row in install.rows} == {"install"}


def test_the_diarys_figures(install):
    """"18 times and about 42 MBytes"; "206 times to gspe21-ssl.ls.apple.com, retrieving about 23 MBytes"."""
    rows = install.of("install")
    mark, connections, _, content, verdict = rows["swscan.apple.com"]
    assert (mark, connections, content, verdict) == ("update catalogue", "18", "42 MB", "as expected")
    mark, connections, _, content, verdict = rows["gspe21-ssl.ls.apple.com"]
    assert (mark, connections, content, verdict) == ("maps service", "206", "23 MB", "as expected")


def test_the_installs_marks(install):
    rows = install.of("install")
    expected = {"time.apple.com": "time", "albert.apple.com": "activation", "ocsp.apple.com": "ocsp", "www.apple.com": "success page"}
    for name, mark in expected.items():
        assert rows[name][0] == mark and rows[name][4] == "as expected"
    assert all(verdict == "as expected" for *_, verdict in rows.values())


def test_dictionaries_are_the_only_significant_http(install):
    mark, connections, _, content, _ = install.of("install")["updates-http.cdn-apple.com"]
    assert (mark, connections, content) == ("dictionaries", "7", "2.2 MB")


def test_first_boot_then_safari_then_steady(first_boot):
    assert [(before, phase) for _, before, phase in first_boot.phases] == [
        ("unknown", "first boot"), ("first boot", "safari start"), ("safari start", "steady")]
    assert first_boot.alerts == []


def test_first_boots_time_and_stock_quotes(first_boot):
    rows = first_boot.of("first boot")
    assert rows["time.apple.com"][0] == "time"
    assert rows["apple-finance.query.yahoo.com"][0] == "stocks" and rows["apple-finance.query.yahoo.com"][4] == "as expected"
    assert not [name for name, row in rows.items() if row[4] in ("new", "too much", "missing")]
    not_apples = [name for name in rows if not name.endswith(("apple.com", "icloud.com"))]
    assert not_apples == ["apple-finance.query.yahoo.com"]


def test_safaris_icons(first_boot):
    rows = first_boot.of("safari start")
    assert {name for name in rows if name in ICONS} == set(ICONS)
    assert all(rows[name][1] == "1" and rows[name][4] == "as expected" for name in ICONS)


def test_the_altered_first_boot():
    """A sample that somebody else made for `baseline compare`: a stranger's name, and the stores' settings never asked for."""
    said = Said(EXAMPLES / "mac-first-boot-altered.pcapng.gz")
    (alert,) = said.alerts
    assert (alert["severity"], alert["where"]) == ("low", "cdn.quiet-harbour.example")
    assert said.of("first boot")["bag.itunes.apple.com"][4] == "missing"


def test_no_tencent(install, first_boot):
    """"I did not observe any connections not in line with Apple's statement.\""""
    assert not [row for row in install.rows + first_boot.rows if row[2].endswith("qq.com")]


def test_steady_with_an_implant():
    """An ordinary boot, then the steady state, in which nothing is kept of names, and nothing is said here."""
    said = Said(EXAMPLES / "mac-with-implant.pcapng.gz")
    assert [(before, phase) for _, before, phase in said.phases] == [("unknown", "boot"), ("boot", "steady")]
    assert said.alerts == []
    steady = said.of("steady")
    assert {"push", "time", "updates", "iCloud", "other Apple", "elsewhere"} <= set(steady) | set(said.of("boot"))
    assert not [name for name in steady if "." in name]


def card(path):
    """The lines of the fact `phase` of the one host that has it, and its details."""
    command = [BINARY, "hosts", "--json", "-s", ROOT / "scripts" / "lifecycle.lua", path]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    if done.returncode == 2:
        pytest.skip("this lunette has no hosts command yet")
    (host,) = [json.loads(line)["host"] for line in done.stdout.splitlines() if '"phase"' in line]
    return host["facts"]["phase"]["text"], host["facts"]["phase"]["details"]


def test_the_card_of_a_first_boot():
    text, details = card(EXAMPLES / "mac-first-boot.pcapng.gz")
    assert text == ["steady since 2019-10-11 15:20:00", "first boot 15:15:01 to 15:18:00; 9 of 9 marks; new: none",
                    "safari start 15:18:00 to 15:20:00; 8 of 8 marks"]
    assert [phase["phase"] for phase in details["phases"]] == ["first boot", "safari start"]


def test_the_card_of_an_install_has_the_diarys_figures():
    text, _ = card(EXAMPLES / "mac-install.pcapng.gz")
    assert text[0] == "install since 2019-10-11 14:00:01; 7 of 7 marks; new: none"
    assert "update catalogue 18 connections, 42 MB; maps service 206 connections, 23 MB" in text[1]


def test_the_card_says_why_it_is_steady():
    text, _ = card(EXAMPLES / "mac-with-implant.pcapng.gz")
    assert text == ["steady since 2024-06-11 08:03:01; a boot or wake at 2024-06-11 07:58:01 was seen, 4 of 4 marks"]


# ---------------------------------------------------------------- made captures
class Story(Capture):
    """A Mac's day in pieces, small ones: as many connections as in life, a fraction of the bytes."""

    def call(self, at, name, address=APPLE, client=MAC, **options):
        self.dns(at - 0.1, client, ROUTER, name, [address])
        self.tls(at, client, address, name, **options)

    def ack(self, at, client=MAC, renewal=False):
        packed = bytes(map(int, client.split(".")))
        body = struct.pack("!BBBBIHH", 2, 1, 6, 0, 77, 0, 0) + (packed if renewal else bytes(4)) + packed + bytes(8)
        body += bytes.fromhex("f01898000001") + bytes(10) + bytes(192) + bytes.fromhex("63825363") + b"\x35\x01\x05"
        body += b"\x36\x04" + bytes(map(int, ROUTER.split("."))) + b"\x33\x04\0\1\x51\x80\xff"
        self.udp(at, ROUTER, 67, client, 68, body)

    def clock(self, at, client=MAC):
        self.dns(at - 0.1, client, ROUTER, "time.apple.com", ["17.253.4.125"])
        self.ntp(at, client, "17.253.4.125")

    def install(self, at=1, activation=True, client=MAC):
        self.clock(at, client)
        if activation:
            self.call(at + 4, "albert.apple.com", client=client)
        self.http(at + 5, client, APPLE, "ocsp.apple.com", agent="com.apple.trustd/2.0")
        self.call(at + 6, "www.apple.com", client=client)
        for i in range(18):
            self.call(at + 8 + i, "swscan.apple.com", client=client)
        for i in range(60):
            self.call(at + 30 + i, "gspe21-ssl.ls.apple.com", client=client)
        self.http(at + 95, client, APPLE, "updates-http.cdn-apple.com", "/en.zip", response_body=bytes(3000), agent="MobileAsset/1.1")

    def join(self, at, client=MAC):
        self.ack(at, client)
        self.http(at + 0.2, client, APPLE, "captive.apple.com", "/hotspot-detect.html", agent="CaptiveNetworkSupport-481.100.4 wispr")
        self.clock(at + 1, client)

    def first_boot(self, at, client=MAC):
        self.join(at, client)
        for i, name in enumerate(("21-courier.push.apple.com", "configuration.apple.com", "gateway.icloud.com", "setup.icloud.com",
                                  "configuration.ls.apple.com", "bag.itunes.apple.com", "weather-data.apple.com",
                                  "apple-finance.query.yahoo.com")):
            self.call(at + 3 + 3 * i, name, port=5223 if "push" in name else 443, client=client)

    def steady(self, at, seconds, client=MAC):
        """Something every few minutes, so that it is awake."""
        for i, name in enumerate(["gateway.icloud.com", "xp.apple.com", "www.example.com", "gdmf.apple.com"] * 1000):
            if i * 200 >= seconds:
                break
            self.call(at + i * 200, name, client=client)

    def said(self, tmp_path, **options):
        return Said(self.write(tmp_path / "x.pcap"), **options)


def test_a_made_install_is_one(tmp_path):
    story = Story()
    story.install()
    said = story.said(tmp_path)
    assert said.phases == [(MAC, "unknown", "install")] and said.alerts == []


@pytest.mark.parametrize("at", [3, 60])
def test_a_strangers_name_in_an_install(tmp_path, at):
    """Before the phase could be told, and in it: the same alert."""
    story = Story()
    story.install()
    story.call(at, "cdn.orbital-metrics.example", ELSEWHERE)
    said = story.said(tmp_path)
    (alert,) = said.alerts
    assert (alert["title"], alert["severity"], alert["where"]) == ("Stranger in a Mac's install", "medium", "cdn.orbital-metrics.example")
    assert "T1195.002" in alert["attack"] and alert["who"] == MAC
    assert alert["evidence"]["phase"] == "install" and alert["evidence"]["seconds"] == at - 1
    assert said.of("install")["cdn.orbital-metrics.example"][4] == "new"


def test_a_bare_address_in_an_install(tmp_path):
    story = Story()
    story.install()
    story.tcp(50, MAC, ELSEWHERE, 4444).send(b"hello\n").reply(b"id\n").close()
    (alert,) = story.said(tmp_path).alerts
    assert alert["where"] == ELSEWHERE and alert["evidence"]["port"] == 4444


def test_a_safari_icon_is_a_stranger_in_an_install(tmp_path):
    story = Story()
    story.install()
    story.call(50, "www.facebook.com", ELSEWHERE)
    (alert,) = story.said(tmp_path).alerts
    assert alert["where"] == "www.facebook.com"


def test_activation_missing_is_said(tmp_path):
    story = Story()
    story.install(activation=False)
    said = story.said(tmp_path)
    assert said.phases == [(MAC, "unknown", "install")] and said.alerts == []
    assert said.of("install")["albert.apple.com"][4] == "missing"
    assert [name for name, row in said.of("install").items() if row[4] == "missing"] == ["albert.apple.com"]


def test_the_card_says_what_is_missing_and_new(tmp_path):
    story = Story()
    story.install(activation=False)
    story.call(60, "cdn.orbital-metrics.example", ELSEWHERE)
    text, details = card(story.write(tmp_path / "x.pcap"))
    assert text[0].endswith("6 of 7 marks; missing: activation (albert.apple.com); new: cdn.orbital-metrics.example")
    assert details["phases"][0]["missing"] == "activation (albert.apple.com)"


def test_a_revocation_check_of_a_public_ca_is_no_stranger(tmp_path):
    story = Story()
    story.install()
    story.http(50, MAC, ELSEWHERE, "ocsp.digicert.com", agent="com.apple.trustd/2.0")
    said = story.said(tmp_path)
    assert said.alerts == [] and said.of("install")["ocsp.digicert.com"][4] == "known third party"


def test_tencent_is_listed_and_left_to_apple_allowlist(tmp_path):
    story = Story()
    story.first_boot(1)
    story.call(30, "safebrowsing.urlsec.qq.com", ELSEWHERE)
    said = story.said(tmp_path)
    assert said.alerts == []
    mark, *_, verdict = said.of("first boot")["safebrowsing.urlsec.qq.com"]
    assert "safe-browsing" in mark and verdict == "known third party"


def test_too_much_of_a_name(tmp_path):
    story = Story()
    story.install()
    session = story.tcp(40, MAC, APPLE, 80)
    session.send(b"GET / HTTP/1.1\r\nHost: captive.apple.com\r\n\r\n")
    session.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)).close()
    said = story.said(tmp_path)
    (alert,) = said.alerts
    assert alert["severity"] == "low" and alert["where"] == "captive.apple.com" and alert["evidence"]["received"] > 300_000
    assert said.of("install")["captive.apple.com"][4] == "too much"


def test_install_then_first_boot_with_a_stranger(tmp_path):
    """The first boot of an install that was seen: medium, for what starts before the login."""
    story = Story()
    story.install()
    story.first_boot(400)
    story.call(432, "update.orbital-metrics.example", ELSEWHERE)
    said = story.said(tmp_path)
    assert [phase for *_, phase in said.phases] == ["install", "first boot"]
    (alert,) = said.alerts
    assert (alert["title"], alert["severity"]) == ("Stranger in a Mac's first boot", "medium")
    assert "T1543.004" in alert["attack"]


def test_first_boot_alone_with_a_stranger_is_low(tmp_path):
    story = Story()
    story.first_boot(1)
    story.call(33, "update.orbital-metrics.example", ELSEWHERE)
    (alert,) = story.said(tmp_path).alerts
    assert alert["severity"] == "low"


def test_management_is_said_as_what_it_is(tmp_path):
    story = Story()
    story.first_boot(1)
    story.call(10, "iprofiles.apple.com")
    story.call(11, "acme.jamfcloud.com", ELSEWHERE)
    story.call(40, "agent.tools.example", "203.0.113.9")
    said = story.said(tmp_path)
    assert sorted((alert["severity"], alert["where"]) for alert in said.alerts) == [("info", "acme.jamfcloud.com"), ("low", "agent.tools.example")]
    assert said.of("first boot")["acme.jamfcloud.com"][4] == "device management"
    assert said.of("first boot")["iprofiles.apple.com"][4] == "device management"


def test_somebody_at_work_is_no_first_boot(tmp_path):
    """A login to a Mac in use: the account's names, and programs that open again."""
    story = Story()
    story.first_boot(1)
    for i in range(6):
        story.call(4 + i, "www.site%d.example" % i, ELSEWHERE)
    story.steady(40, 900)
    said = story.said(tmp_path)
    assert said.alerts == []
    assert [phase for *_, phase in said.phases] == ["boot", "steady"]


def test_a_mac_that_was_steady_boots_and_no_more(tmp_path):
    story = Story()
    story.clock(1)
    story.steady(5, 3000)
    story.first_boot(3600 + 1200)
    story.call(4830, "www.example.com", ELSEWHERE)
    story.steady(4840, 1000)
    said = story.said(tmp_path)
    assert [phase for *_, phase in said.phases] == ["steady", "boot", "steady"]
    assert said.alerts == []


def test_second_boot_after_an_install_is_no_first_one(tmp_path):
    story = Story()
    story.install()
    story.first_boot(400)
    story.steady(440, 3000)
    story.first_boot(8000)
    story.call(8033, "www.example.net", ELSEWHERE)
    story.steady(8040, 1000)
    said = story.said(tmp_path)
    assert [phase for *_, phase in said.phases] == ["install", "first boot", "steady", "boot", "steady"]
    assert [alert for alert in said.alerts if alert["where"] == "www.example.net"] == []


def test_wake_from_sleep(tmp_path):
    """Hours of nothing, then address, probe, clock and push in a burst; a lease that is renewed is no wake."""
    story = Story()
    story.clock(1)
    story.steady(5, 1500)
    story.ack(1300, renewal=True)
    story.join(20_000)
    story.call(20_003, "3-courier.push.apple.com", port=5223)
    story.steady(20_010, 900)
    said = story.said(tmp_path)
    assert [phase for *_, phase in said.phases] == ["steady", "boot", "steady"] and said.alerts == []


def test_safari_start_on_a_steady_mac_but_not_a_persons_visits(tmp_path):
    story = Story()
    story.clock(1)
    story.steady(5, 6000)
    for i, name in enumerate(ICONS):
        story.call(1500 + 45 * i, name, ELSEWHERE)  # one after the other, as somebody reads
        story.call(3000 + 0.2 * i, name, ELSEWHERE)
    said = story.said(tmp_path)
    assert [phase for *_, phase in said.phases] == ["steady", "safari start", "steady"]


LINUX_SYN = bytes.fromhex("020405b40402080a0000000100000000" "01030307")


def test_a_linux_host_has_no_phase(tmp_path, monkeypatch):
    """Even one that calls all that an installer calls."""
    import pcap_builder
    monkeypatch.setattr(pcap_builder, "MAC_SYN_OPTIONS", LINUX_SYN)
    real_segment = Capture.segment
    monkeypatch.setattr(Capture, "segment", lambda self, *a, window=64240, **k: real_segment(self, *a, window=64240, **k))
    story = Story()
    for i in range(60):
        story.http(0.1 + i / 100, MAC, ELSEWHERE, "deb.debian.org", agent="Debian APT-HTTP/1.3 (2.6.1)")
    story.install(at=5)
    said = story.said(tmp_path)
    assert said.alerts == [] and said.phases == [] and said.rows == []


def test_names_are_bounded(tmp_path):
    story = Story()
    story.install()
    for i in range(40):
        story.call(100 + i / 10, "x%d.ls.apple.com" % i)
    said = story.said(tmp_path, settings={"names": 20})
    assert len(said.of("install")) <= 20 and said.alerts == []


def test_batches_and_workers_change_nothing(tmp_path):
    """Twelve Macs in one capture, one after the other and beside each other, with strangers, before and after the phase was told."""
    story = Story()
    for i in range(12):
        mac, at = "192.168.1.%d" % (20 + i), 1 + 7 * i
        if i % 3 == 0:
            story.install(at, client=mac)
        elif i % 3 == 1:
            story.first_boot(at, client=mac)
        else:
            story.clock(at, client=mac)
            story.call(at + 700, "gateway.icloud.com", client=mac)
            story.join(at + 1400, client=mac)
            story.call(at + 1403, "3-courier.push.apple.com", port=5223, client=mac)
            story.call(at + 1500, "gateway.icloud.com", client=mac)
            story.call(at + 1800, "gateway.icloud.com", client=mac)
        story.call(at + 2, "early%d.example" % i, ELSEWHERE, client=mac)
        story.call(at + 31, "late%d.example" % i, ELSEWHERE, client=mac)
        story.tcp(at + 32, mac, ELSEWHERE, 4444).send(b"hello\n").reply(b"id\n").close()
    path = story.write(tmp_path / "x.pcap")
    plain = Said(path)
    assert len(plain.alerts) >= 16 and len(plain.phases) >= 12
    for options in (["--batch", "1"], ["--batch", "7"], ["--batch", "1024"], ["-w", "2"], ["-w", "3"], ["-w", "4", "--batch", "7"]):
        other = Said(path, options=options)
        assert sorted(other.raw) == sorted(plain.raw), options
        assert sorted(other.rows) == sorted(plain.rows), options


# ---------------------------------------------------------------- real captures
def test_real_captures():
    """Nothing of severity medium or above in any, and no phase that is none: the iPhone's is no Mac's install."""
    paths = [PCAPS / name for name in ("ndpi/iphone.pcap", "ndpi/tls_certificate_too_long.pcap", "ndpi/anyconnect-vpn.pcap", "ndpi/signal.pcap",
                                       "ndpi/android.pcap", "ndpi/wa_voice.pcap", "ndpi/telegram.pcap", "ndpi/opera-vpn.pcapng",
                                       "ndpi/safari.pcap", "ja4/macos_tcp_flags.pcap", "ja4/latest.pcapng", "ja4/tls-handshake.pcapng",
                                       "apple/apple-tcpdump/radar-88502733.pcapng")]
    if not all(path.exists() for path in paths):
        pytest.skip("the captures are not here")
    for path in paths:
        said = Said(path)
        assert said.alerts == [], path
        assert not [phase for *_, phase in said.phases if phase in ("install", "first boot", "safari start")], path
