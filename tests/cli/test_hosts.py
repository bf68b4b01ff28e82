"""What is known of each host: in the replay's summary, as records, and by `lunette hosts`."""
import json
import os
import pathlib
import re
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", ROOT / "build" / "lunette")
EXAMPLES = ROOT / "examples"
PROGRAMS = EXAMPLES / "programs.pcapng.gz"

TELLER = """
local lunette = require "lunette"
local known = lunette.state("known", { max = 1000 })
lunette.on("dns", { type = "query" }, function(e)
    local count = (known:get(e.client_ip) or 0) + 1
    known:set(e.client_ip, count)
    lunette.fact(e.client_ip, "identity", { "Mac, macOS 14 (97 % sure)", "by what it asks" }, { kind = "mac", same_as = { "fe80::1" } })
    lunette.fact(e.client_ip, "phase", "asked " .. count .. " times", { count = count })
    lunette.fact(e.client_ip, "visibility", "for a while")
    lunette.fact(e.client_ip, "visibility", nil)
    if count % 2 == 0 then lunette.alert { title = "Asks", severity = "low", who = e.client_ip, why = "it asked again" } end
end)
lunette.gather(function()
    lunette.receive(function(host, name) lunette.fact(host, "last asked", name) end)
end)
lunette.on("dns", { type = "query" }, function(e) lunette.send(e.client_ip, e.rrname) end)
"""


def run(*arguments, code=0):
    done = subprocess.run([LUNETTE, *map(str, arguments)], capture_output=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def teller(tmp_path):
    path = tmp_path / "teller.lua"
    path.write_text(TELLER)
    return path


def records(*arguments):
    return [json.loads(line) for line in run(*arguments).stdout.splitlines()]


def section(text, title):
    found = re.search(rf"^{re.escape(title)}\n((?:(?:  .*)?\n)+?)(?=\S)", text, re.M)
    return found.group(1) if found else None


def test_the_summary_has_a_card_for_each_host(teller):
    text = run("replay", "-s", teller, "--color=never", PROGRAMS).stdout.decode()
    cards = section(text, "Hosts")
    assert cards.startswith('  192.168.7.23  Mac, macOS 14 (97 % sure)\n      also           fe80::1\n      findings       low: Asks')
    assert "      identity       by what it asks\n      phase " in cards
    words = [" ".join(line.split()) for line in cards.splitlines()]
    assert "also fe80::1" in words and "phase asked 4 times" in words
    assert "programs Safari: 3 flows, 2.8 kB sent, 30.6 kB received" in words
    assert any(line.startswith("findings low: Asks (2 times, last 2024-06-11 09:00") for line in words)
    assert "visibility" not in cards  # it was taken back
    assert "Local hosts\n" in text
    assert max(len(line) for line in cards.splitlines()) <= 80


def test_a_host_of_which_nothing_is_known_has_none():
    text = run("replay", "--no-scripts", EXAMPLES / "layers.pcap").stdout.decode()
    assert "Local hosts\n" in text and "\nHosts\n" not in text
    assert b"nothing is known" in run("hosts", "--no-scripts", EXAMPLES / "layers.pcap").stdout


def test_how_many_are_shown(teller):
    one = section(run("replay", "-s", teller, "--hosts", "1", PROGRAMS).stdout.decode(), "Hosts")
    assert one.count(" sent, ") and "127.0.0.1" not in one and one.rstrip().endswith("and 1 more")
    assert "\nHosts\n" not in run("replay", "-s", teller, "--hosts", "0", PROGRAMS).stdout.decode()


def test_the_record(teller):
    first, second = records("replay", "-q", "-s", teller, "-o", "-", "--record", "host", PROGRAMS)
    assert first["event_type"] == "host" and first["src_ip"] == "192.168.7.23" and second["src_ip"] == "127.0.0.1"
    host = first["host"]
    assert list(host["facts"]) == ["identity", "phase", "last asked"]
    assert host["facts"]["identity"]["text"] == ["Mac, macOS 14 (97 % sure)", "by what it asks"]
    assert host["facts"]["identity"]["detector"] == "teller"
    assert host["facts"]["identity"]["details"] == {"kind": "mac", "same_as": ["fe80::1"]}
    assert host["facts"]["phase"]["details"] == {"count": 4}
    assert host["facts"]["identity"]["since"] < host["facts"]["phase"]["since"]
    assert [p["name"] for p in host["programs"]] == ["Safari", "updater", "curl"]
    finding, = host["findings"]
    assert (finding["title"], finding["severity"], finding["count"]) == ("Asks", 3, 2)
    assert "facts" not in second["host"]


def test_its_figures_are_those_of_the_flows(teller):
    """The flows' own records are the oracle."""
    sums = {}
    for record in records("replay", "-q", "--no-scripts", "-o", "-", "--record", "flow", PROGRAMS):
        flow = record["flow"]
        for end, sent, received in (("src_ip", "toserver", "toclient"), ("dest_ip", "toclient", "toserver")):
            if end == "dest_ip" and flow["pkts_toclient"] == 0:
                continue
            figures = sums.setdefault(record[end], [0, 0, 0])
            figures[0] += 1
            figures[1] += flow["bytes_" + sent]
            figures[2] += flow["bytes_" + received]
    for record in records("hosts", "--json", "-s", teller, PROGRAMS):
        host = record["host"]
        assert [host["flows"], host["sent"], host["received"]] == sums[record["src_ip"]]


def test_they_come_with_all_records_and_after_the_others(teller):
    kinds = [r["event_type"] for r in records("replay", "-q", "-s", teller, "-o", "-", PROGRAMS)]
    assert kinds.count("host") == 2 and kinds[-3:] == ["host", "host", "stats"]
    assert "host" not in [r["event_type"] for r in records("replay", "-q", "-s", teller, "-o", "-", "--record", "alert", PROGRAMS)]


@pytest.mark.parametrize("capture", [PROGRAMS, *(EXAMPLES / f"mac-{name}.pcapng.gz" for name in ("first-boot", "install", "with-implant"))])
def test_workers_and_batches_do_not_matter(teller, capture):
    one = run("hosts", "--json", "-s", teller, capture).stdout
    assert one
    for options in (["-w", "2"], ["-w", "3", "--batch", "7"], ["-w", "4", "--batch", "1024"], ["--batch", "1"]):
        assert run("hosts", "--json", "-s", teller, *options, capture).stdout == one, options


def test_one_host_alone(teller):
    text = run("hosts", "-s", teller, "--host", "127.0.0.1", PROGRAMS).stdout.decode()
    assert text.startswith("  127.0.0.1\n") and "192.168" not in text
    record, = records("hosts", "-s", teller, "--json", "--host=192.168.7.23", PROGRAMS)
    assert record["src_ip"] == "192.168.7.23"
    assert records("hosts", "-s", teller, "--json", "--host", "192.0.2.1", PROGRAMS) == []


@pytest.mark.parametrize("arguments, told", [
    (["--host", "nobody", PROGRAMS], "--host takes an IP address, not 'nobody'"),
    (["--host"], "--host takes a value"),
    (["-o", "x", PROGRAMS], "leave out --output"),
    (["-q", PROGRAMS], "leave out --quiet"),
    (["--no-scripts"], "--no-scripts goes with a capture"),
    (["--socket", "x", PROGRAMS], "--socket is for asking a sensor"),
])
def test_wrong_use(arguments, told):
    assert told in run("hosts", *arguments, code=2).stderr.decode()


def test_nobody_to_ask(tmp_path):
    assert "no sensor listens on" in run("hosts", "--socket", tmp_path / "none", code=1).stderr.decode()


@pytest.mark.parametrize("call, told", [
    ('lunette.fact("nobody", "identity", "x")', "host must be an address, got nobody"),
    ('lunette.fact(e.client_ip, "Identity", "x")', "topic must be a short word in small letters, got Identity"),
    ('lunette.fact(e.client_ip, ("x"):rep(33), "x")', "topic must be"),
    ('lunette.fact(e.client_ip, "identity", { {} })', "text must be a list of strings, it has a table"),
    ('lunette.fact(e.client_ip, "identity", "x", "y")', "details must be a table, got string"),
    ('lunette.fact(e.client_ip, "identity", "x", { f = print })', "details.f must be a string, a number, a boolean or a table"),
    ('lunette.fact(e.client_ip, "identity", "x", { f = ("x"):rep(4090) })', "more than 4096"),
])
def test_a_wrong_fact_is_an_error_with_its_line(tmp_path, call, told):
    path = tmp_path / "wrong.lua"
    path.write_text('local lunette = require "lunette"\nlunette.on("flow", function(e)\n    %s\nend)\n' % call)
    said = run("replay", "-q", "-s", path, PROGRAMS, code=1).stderr.decode()
    assert "wrong.lua:3: lunette.fact: " in said and told in said


def test_a_long_text_is_cut(tmp_path):
    path = tmp_path / "long.lua"
    path.write_text('local lunette = require "lunette"\nlunette.on("flow", function(e) lunette.fact(e.client_ip, "identity", ("é"):rep(2000)) end)\n')
    text, = records("hosts", "--json", "-s", path, "--hosts", "1", PROGRAMS)[0]["host"]["facts"]["identity"]["text"]
    assert text in ("é" * 511, "é" * 512)


def test_help_lists_what_it_takes_and_the_rest_is_refused():
    listed = run("hosts", "--help").stdout.decode()
    assert "--host-log" in listed and "--home-net" in listed
    for option in ("--pcap-on-alert", "--output", "--pace", "--metrics"):
        assert option not in listed
    assert b"leave out --pcap-on-alert" in run("hosts", "--pcap-on-alert", "x", PROGRAMS, code=2).stderr


def test_who_is_not_there_is_told_of_as_such(teller):
    assert b"it is not in the capture" in run("hosts", "-s", teller, "--host", "192.0.2.1", PROGRAMS).stdout
    assert b"--home-net" in run("hosts", "--no-scripts", "--home-net", "192.0.2.0/24", PROGRAMS).stdout


def test_a_host_that_has_no_flow(tmp_path):
    path = tmp_path / "teller.lua"
    path.write_text('local lunette = require "lunette"\nlunette.on("dns", function() lunette.fact("10.9.9.9", "phase", "asleep") end)\n')
    text = " ".join(run("hosts", "-s", path, "--host", "10.9.9.9", PROGRAMS).stdout.decode().split())
    assert text == "10.9.9.9 phase asleep traffic no flow counted: one counts when it ends"


def test_hosts_beyond_what_is_counted(tmp_path):
    """More hosts than the table holds are not told of as if they were all."""
    packets = []
    for i in range(5000):
        datagram = struct.pack("!HHHH", 40000, 9, 9, 0) + b"x"
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, (0x0a000001 + i).to_bytes(4, "big"), b"\xc0\xa8\xff\x01")
        checksum = sum(struct.unpack("!10H", head))
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
        packet = head[:10] + struct.pack("!H", ~checksum & 0xFFFF) + head[12:] + datagram
        packets.append(struct.pack("<IIII", 1700000000, i, len(packet), len(packet)) + packet)
    capture = tmp_path / "many.pcap"
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + b"".join(packets))
    for workers in ("1", "3"):
        assert "4,096 local at least" in run("replay", "--no-scripts", "-w", workers, capture).stdout.decode()
