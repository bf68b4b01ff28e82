"""visibility: captures made to be blind in one way each, and what is said of them; real ones, on which it must be calm."""
import json
import re
import shutil
import struct
import subprocess

import pytest

from pcap_builder import Capture, client_hello
from run_lunette import BINARY, ROOT, real, replay

MAC, OTHER, SERVER, RESOLVER = "192.168.1.20", "192.168.1.21", "203.0.113.9", "192.168.1.1"
HOUR = 3600
COLUMNS = ["host", "flows", "encrypted", "one-sided", "midstream", "gaps", "cut", "QUIC unread", "relay, VPN", "named", "program", "DNS"]


def rows_of(reports):
    """The report's rows by host, each a dict by column."""
    (report,) = [report for report in reports if report["title"] == "What could be seen"]
    assert [column.lstrip(">") for column in report["columns"]] == COLUMNS
    return {row[0]: dict(zip(COLUMNS, row)) for row in report["rows"]}


def note_of(reports):
    return " ".join(report.get("note", "") for report in reports)


def look(path, **options):
    alerts, reports = replay("visibility", path, **options)
    return alerts, rows_of(reports), note_of(reports)


def only_from(capture, address, since=0.0):
    """What a tap with one leg sees from then on: the frames that this address sends."""
    packed = bytes(int(part) for part in address.split("."))
    capture.frames = [frame for frame in capture.frames if frame[0] - capture.start < since or frame[2][26:30] == packed]


def write_cut(capture, path, length):
    """As Capture.write, with a snap length."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, length, 1))
        for time, _, frame in sorted(capture.frames):
            microseconds = round(time * 1_000_000)
            file.write(struct.pack("<IIII", microseconds // 1_000_000, microseconds % 1_000_000, len(frame[:length]), len(frame)))
            file.write(frame[:length])
    return str(path)


def calls(capture, count, start=0.0, gap=2.0, mac=MAC, dns=True):
    for i in range(count):
        time = start + i * gap
        if dns:
            capture.dns(time, mac, RESOLVER, "www.example.com", [SERVER])
        capture.tls(time + 0.1, mac, SERVER, "www.example.com")


def test_a_healthy_capture_is_whole(tmp_path):
    capture = Capture()
    calls(capture, 30)
    alerts, rows, note = look(capture.write(tmp_path / "a.pcap"))
    assert alerts == []
    row = rows[MAC]
    assert (row["one-sided"], row["midstream"], row["gaps"], row["cut"], row["DNS"]) == ("0 %", "0 %", "0 %", "0 %", "seen")
    assert row["flows"] == "60" and row["named"] == "100 %" and rows["all"]["flows"] == "60"
    assert "30 of 30 TLS handshakes show no certificate" in note
    assert "missing" not in note and "dropped" not in note


def test_a_tap_with_one_leg(tmp_path):
    capture = Capture()
    calls(capture, 30)
    only_from(capture, MAC)
    alerts, rows, note = look(capture.write(tmp_path / "a.pcap"))
    assert [(a["title"], a["severity"]) for a in alerts] == [("Traffic is seen in one direction only", "info")]
    assert alerts[0]["evidence"]["one_sided"] == 30 and alerts[0]["evidence"]["tcp_flows"] == 30
    assert rows[MAC]["one-sided"] == "50 %"  # not the questions: a resolver may be down
    assert "30 TCP flows of which one direction is missing" in note


def test_the_other_leg_alone(tmp_path):
    capture = Capture()
    calls(capture, 30, dns=False)
    only_from(capture, SERVER)
    alerts, rows, _ = look(capture.write(tmp_path / "a.pcap"))
    assert [a["severity"] for a in alerts] == ["info"]
    assert rows[MAC]["one-sided"] == "100 %"


def test_calls_that_nobody_answers_are_not_one_sided(tmp_path):
    capture = Capture()
    calls(capture, 30, dns=False)
    capture.frames = [frame for frame in capture.frames if frame[2][26:30] == bytes([192, 168, 1, 20]) and frame[2][47] == 2]
    alerts, rows, _ = look(capture.write(tmp_path / "a.pcap"))
    assert alerts == [] and rows[MAC]["one-sided"] == "0 %" and rows[MAC]["flows"] == "30"


def test_a_tap_that_loses_a_leg(tmp_path):
    capture = Capture()
    for hour in range(4):
        calls(capture, 40, start=hour * HOUR + 10)
    only_from(capture, MAC, since=3 * HOUR)
    alerts, _, _ = look(capture.write(tmp_path / "a.pcap"))
    assert [(a["title"], a["severity"]) for a in alerts] == [("Traffic is seen in one direction only", "low")]
    assert "before that it was 0 of 120" in alerts[0]["why"]
    assert "SPAN" in alerts[0]["next"]


def test_snap_length(tmp_path):
    capture = Capture()
    for i in range(20):
        capture.http(i, MAC, SERVER, "www.example.com", path="/" + "x" * 200)
    alerts, rows, note = look(write_cut(capture, tmp_path / "a.pcap", 96))
    assert [(a["title"], a["severity"]) for a in alerts] == [("What could be read is cut off", "info")]
    assert rows[MAC]["cut"] == "100 %"
    assert "of %d packets cut short" % len(capture.frames) in note


def test_cut_ciphertext_is_no_loss(tmp_path):
    capture = Capture()
    for i in range(20):
        capture.tls(i, MAC, SERVER, "www.example.com", response=8000)
    alerts, rows, _ = look(write_cut(capture, tmp_path / "a.pcap", 700))
    assert alerts == [] and rows[MAC]["cut"] == "100 %"


def test_gaps_and_midstream(tmp_path):
    capture = Capture()
    session = capture.tcp(1, MAC, SERVER, 8080)
    session.send(b"x" * 100)
    lost = len(capture.frames)
    session.reply(b"y" * 500)
    del capture.frames[lost]
    session.reply(b"z" * 500).close()
    capture.tcp(5, MAC, SERVER, 8081, handshake=False).send(b"later").reply(b"and on").close()
    _, rows, note = look(capture.write(tmp_path / "a.pcap"))
    assert (rows[MAC]["gaps"], rows[MAC]["midstream"]) == ("50 %", "50 %")
    assert "1 TCP flows lack 500 bytes" in note and "1 TCP flows begun before the capture" in note


def test_ech(tmp_path):
    capture = Capture()
    ech = (0xFE0D, b"\x00\x00\x01\x00\x01\x07\x00\x20" + bytes(32) + b"\x00\x90" + bytes(144))
    capture.tls(1, MAC, SERVER, "www.example.com", hello=client_hello("www.example.com", extra=[ech]))
    capture.tls(2, MAC, SERVER, "cloudflare-ech.com", hello=client_hello("cloudflare-ech.com", extra=[ech]))
    capture.tls(3, MAC, SERVER, "www.example.com")
    _, _, note = look(capture.write(tmp_path / "a.pcap"))
    assert "1 hide the server's name (ECH)" in note
    assert "1 offer ECH, or noise in its place, which cannot be told apart" in note


def test_quic_whose_hello_is_cut(tmp_path):
    if not shutil.which("editcap"):
        pytest.skip("editcap is not installed")
    cut = tmp_path / "cut.pcapng"
    whole = ROOT / "examples" / "quic.pcapng.gz"
    subprocess.run(["editcap", "-s", "120", whole, cut], check=True)
    _, before, _ = look(whole)
    _, after, _ = look(cut)
    assert before["all"]["QUIC unread"] != "100 %" and after["all"]["QUIC unread"] == "100 %"


def silent(capture, mac=MAC):
    """Three hours with DNS, then one without."""
    for hour in range(3):
        calls(capture, 10, start=hour * HOUR + 10, mac=mac)
    calls(capture, 30, start=3 * HOUR + 60, mac=mac, dns=False)


def test_dns_that_vanishes(tmp_path):
    capture = Capture()
    silent(capture)
    alerts, rows, _ = look(capture.write(tmp_path / "a.pcap"))
    assert [(a["title"], a["severity"], a["who"]) for a in alerts] == [("A host's DNS is not seen any more", "low", MAC)]
    assert rows[MAC]["DNS"] == "seen"  # in all


@pytest.mark.parametrize("name, way", [("dns.google", "encrypted"), ("mask.icloud.com", "Private Relay")])
def test_dns_that_went_elsewhere(tmp_path, name, way):
    capture = Capture()
    silent(capture)
    capture.tls(3 * HOUR + 50, MAC, "203.0.113.77", name)
    alerts, _, _ = look(capture.write(tmp_path / "a.pcap"))
    assert [(a["title"], a["severity"]) for a in alerts] == [("A host's DNS is not seen any more", "info")]
    assert way in alerts[0]["why"]


def test_a_host_that_is_quiet_is_not_missed(tmp_path):
    capture = Capture()
    for hour in range(3):
        calls(capture, 10, start=hour * HOUR + 10)
    calls(capture, 5, start=3 * HOUR + 60, dns=False)
    alerts, _, _ = look(capture.write(tmp_path / "a.pcap"))
    assert alerts == []


def test_private_relay_and_names(tmp_path):
    capture = Capture()
    capture.tls(1, MAC, SERVER, "mask-h2.icloud.com", response=100_000)
    capture.tls(2, MAC, SERVER, "mask-api.icloud.com")
    capture.tcp(3, MAC, SERVER, 9999).send(b"who am I").close()
    _, rows, _ = look(capture.write(tmp_path / "a.pcap"))
    assert rows[MAC]["DNS"] == "Private Relay" and rows[MAC]["named"] == "67 %"
    assert int(rows[MAC]["relay, VPN"].split()[0]) > 90


def test_a_clock_that_was_set_back(tmp_path):
    capture = Capture()
    capture.tls(100, MAC, SERVER, "www.example.com")
    path = capture.write(tmp_path / "a.pcap")
    early = Capture()
    early.tls(40, OTHER, SERVER, "www.example.com")
    with open(path, "ab") as file, open(early.write(tmp_path / "b.pcap"), "rb") as more:
        file.write(more.read()[24:])
    _, _, note = look(path)
    assert re.search("1 flows began when the clock had passed them, by up to 6[01] s", note)


def test_workers_and_batches_say_the_same(tmp_path):
    capture = Capture()
    for i in range(12):
        mac = "192.168.1.%d" % (30 + i)
        silent(capture, mac)
        capture.tcp(100 + i, mac, SERVER, 8081, handshake=False).send(b"later").reply(b"and on").close()
        capture.tcp(200 + i, mac, "192.168.1.%d" % (30 + (i + 5) % 12), 5000).send(b"x").close()
    path = capture.write(tmp_path / "a.pcap")
    first = replay("visibility", path)
    assert len(first[0]) == 12
    for options in (["-w", "2"], ["-w", "3"], ["-w", "4"], ["--batch", "1"], ["--batch", "7"], ["-w", "4", "--batch", "1"]):
        assert replay("visibility", path, options=options) == first, options


@pytest.mark.parametrize("name", ["ndpi/whatsapp.pcap", "ndpi/android.pcap", "ndpi/fuzz-2006-06-26-2594.pcap", "ndpi/zoom.pcap"])
def test_the_summary_says_the_same(name):
    done = subprocess.run([BINARY, "replay", "-s", ROOT / "scripts" / "visibility.lua", real(name)], capture_output=True, text=True, timeout=60)
    text = " ".join(done.stdout.split())
    unseen = text[text.index("Could not be seen"):] if "Could not be seen" in text else ""

    def summary(words):
        found = re.search(re.escape(words) + r"[^:]*: ([\d,]+)", unseen)
        return int(found[1].replace(",", "")) if found else 0

    def report(pattern):
        found = re.search(pattern, text)
        return int(found[1]) if found else 0

    assert summary("TCP flows of which only one side was captured") == report(r"(\d+) TCP flows of which one direction is missing")
    assert summary("TCP flows already open when they were first seen") == report(r"(\d+) TCP flows begun before the capture")
    assert summary("TCP flows with bytes missing") == report(r"(\d+) TCP flows lack")
    assert summary("packets cut short by the capture") == report(r"(\d+) of \d+ packets cut short")
    assert summary("packets whose headers could not be read") == report(r"(\d+) packets whose headers could not be read")


def test_the_capture_s_figures_are_those_of_the_summary(tmp_path):
    """lunette.capture(): in timers as of the last whole minute, whatever the batch; the workers' sums are the capture's."""
    script = tmp_path / "figures.lua"
    script.write_text("""local lunette = require "lunette"
lunette.detector { title = "figures" }
local function say(now)
    local c = lunette.capture()
    lunette.alert { severity = "info", evidence = c }
end
lunette.every(20, say)
lunette.on_end(say)
lunette.on("flow", function()
    local fine, message = pcall(lunette.capture)
    if fine or not tostring(message):find("timer", 1, true) then error("must not be told here") end
end)
""")
    capture = Capture()
    start = 60 - capture.start % 60  # a whole minute
    for i in range(30):
        capture.udp(start + i * 10, "192.168.1.%d" % (20 + i), 50000, SERVER, 9999, b"x")

    def figures(*options):
        done = subprocess.run([BINARY, "replay", "-q", "-o", "-", "--record", "alert", "-s", script, *options, capture.write(tmp_path / "a.pcap")],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "must not" not in done.stderr, done.stderr
        return [json.loads(line)["lunette"]["evidence"] for line in done.stdout.splitlines()]

    first = figures()
    assert [f["packets"] for f in first] == [0] * 2 + [6] * 3 + [12] * 3 + [18] * 3 + [24] * 3 + [30]
    assert first[-1]["bytes"] == sum(len(frame) for _, _, frame in capture.frames)
    for size in ("1", "7", "1024"):
        assert figures("--batch", size) == first
    for workers in (2, 3):
        said = figures("-w", str(workers))
        assert sum(f["packets"] for f in said[-workers:]) == 30


def test_an_alert_says_what_it_rests_on(tmp_path):
    (tmp_path / "named.lua").write_text("""local lunette = require "lunette"
lunette.detector { title = "a flow" }
lunette.event("note", { text = "str" })
lunette.on("flow", function(e)
    lunette.emit("note", { text = "x" })
    lunette.alert { severity = "info", who = e.client_ip, why = tostring(e.partial) }
end)
lunette.on_end(function() lunette.alert { severity = "info", title = "no flow" } end)
""")
    capture = Capture()
    session = capture.tcp(1, MAC, SERVER, 8080)
    lost = len(capture.frames)
    session.send(b"x" * 100)
    del capture.frames[lost]
    session.send(b"y" * 100).close()
    capture.tcp(1, OTHER, SERVER, 8080).send(b"whole").close()
    path = capture.write(tmp_path / "a.pcap")
    command = [BINARY, "replay", "--no-summary", "-s", tmp_path / "named.lua"]
    records = [json.loads(line) for line in subprocess.run(
        command + ["-q", "-o", "-", "--record", "alert,flow,named.note", path], capture_output=True, text=True, check=True).stdout.splitlines()]
    alerts = [r for r in records if r["event_type"] == "alert"]
    assert [(a.get("src_ip"), a["lunette"].get("partial")) for a in alerts] == [(MAC, "gaps"), (OTHER, None), (None, None)] \
        or [(a.get("src_ip"), a["lunette"].get("partial")) for a in alerts] == [(OTHER, None), (MAC, "gaps"), (None, None)]
    assert all("partial" not in a for a in alerts)  # once is enough
    assert {(r["src_ip"], r.get("partial")) for r in records if r["event_type"] == "flow"} == {(MAC, "gaps"), (OTHER, None)}
    assert {(r["src_ip"], r.get("partial")) for r in records if r["event_type"] not in ("flow", "alert")} == {(MAC, "gaps"), (OTHER, None)}
    shown = subprocess.run(command + [path], capture_output=True, text=True, check=True).stdout
    assert shown.count("partial bytes inside it are missing") == 1


@pytest.mark.parametrize("name", ["mac-install", "mac-first-boot", "desk", "programs", "lan"])
def test_healthy_macs_are_no_news(name):
    alerts, _ = replay("visibility", ROOT / "examples" / (name + ".pcapng.gz"))
    assert alerts == []


def test_each_host_has_a_line_on_its_card(tmp_path):
    capture = Capture()
    calls(capture, 20)
    calls(capture, 20, mac=OTHER, dns=False)
    path = capture.write(tmp_path / "a.pcap")  # the router is called by others, and calls nobody
    done = subprocess.run([BINARY, "hosts", "--json", "-s", ROOT / "scripts" / "visibility.lua", path], capture_output=True, text=True, timeout=60)
    facts = {record["src_ip"]: record["host"]["facts"]["visibility"] for record in map(json.loads, done.stdout.splitlines())
             if "visibility" in record.get("host", {}).get("facts", {})}
    assert set(facts) == {MAC, OTHER}
    assert re.fullmatch(r"\d+ % of bytes encrypted, DNS seen, no process names", facts[MAC]["text"][0]), facts
    assert re.fullmatch(r"\d+ % of bytes encrypted, DNS not seen, no process names", facts[OTHER]["text"][0]), facts
    assert facts[OTHER]["details"]["outside"] == 20 and facts[OTHER]["details"]["named"] == 20


@pytest.mark.parametrize("dropped, severity", [(0, None), (5, None), (50, "low"), (200, "medium")])
def test_dropped_packets(tmp_path, dropped, severity):
    """A capture has no drops, so the script is given the figures of a live sensor that had."""
    source, asks = (ROOT / "scripts" / "visibility.lua").read_text(), "lunette.capture(), {}"
    assert source.count(asks) == 1
    figures = "{ packets = 1000, bytes = 0, cut = 0, undecoded = 0, dropped = %d, interface_dropped = 0 }, {}" % dropped
    (tmp_path / "visibility.lua").write_text(source.replace(asks, figures))
    capture = Capture()
    calls(capture, 3)
    done = subprocess.run([BINARY, "replay", "-q", "-o", "-", "--record", "alert", "-s", tmp_path / "visibility.lua", capture.write(tmp_path / "a.pcap")],
                          capture_output=True, text=True, timeout=60)
    alerts = [json.loads(line)["alert"] for line in done.stdout.splitlines()]
    assert [(a["signature"], a["severity"]) for a in alerts] == ([] if not severity else [
        ("Packets are lost before they are seen", {"low": 3, "medium": 2}[severity])])
