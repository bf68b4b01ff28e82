"""`lunette replay --events`: what -o wrote is played to the detectors again. The oracle is the capture itself: the same events come out,
and the same alerts."""

import gzip
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
EXAMPLES = ROOT / "examples"
KINDS = "packet,flow_start,onset,flow,dns,tls,http,quic,ssh,dhcp,mdns,ntp,anomaly,certificate,icmp_echo"

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="lunette is not built")


def run(*words, given=None):
    return subprocess.run([str(word) for word in (BINARY, "replay", *words)], capture_output=True, timeout=120, input=given)


def kinds():
    """Those of the list that this build has."""
    known = subprocess.run([str(BINARY), "events"], capture_output=True, text=True, timeout=60).stdout
    return ",".join(kind for kind in KINDS.split(",") if "\n%s  " % kind in known)


def records_of(path, *words):
    done = run("-q", "--no-scripts", "-o", "-", "--record", kinds(), *words, path)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["mac-install", "desk", "lan", "odd", "quic", "programs", "document"])
def test_records_come_out_as_they_went_in(tmp_path, name):
    first = records_of(EXAMPLES / (name + ".pcapng.gz"))
    path = tmp_path / "x.jsonl"
    path.write_bytes(first)
    assert first.count(b"\n") > 5
    assert records_of(path, "--events") == first


def alerts_of(*words):
    done = run("-q", "-o", "-", "--record", "alert,report", "-s", ROOT / "scripts" / "beacon.lua", *words)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [(r["lunette"]["who"], r["lunette"]["where"], r["alert"]["signature"], r["alert"]["severity"], r["flow_id"])
            for r in said if r["event_type"] == "alert"]


def test_a_detector_says_the_same(tmp_path):
    """But for figures: the clock stands at the time of each record, while an exchange is told of some seconds after it began."""
    capture = EXAMPLES / "mac-with-implant.pcapng.gz"
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(records_of(capture)))
    said = alerts_of(capture)
    assert len(said) > 1
    assert alerts_of("--events", path) == said


def test_from_standard_input_and_in_parts(tmp_path):
    capture = EXAMPLES / "mac-with-implant.pcapng.gz"
    lines = records_of(capture).splitlines(keepends=True)
    half = len(lines) // 2
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_bytes(b"".join(lines[:half]))
    two.write_bytes(b"".join(lines[half:]))
    whole = run("-q", "--no-scripts", "-o", "-", "--record", kinds(), "--events", "-",
                given=b"".join(lines)).stdout
    assert whole == b"".join(lines)
    done = run("-q", "--no-scripts", "-o", "-", "--record", kinds(), "--events", one, two)
    assert done.stdout == whole


GOOD = {"timestamp": "2024-06-11T08:39:22.122847+0000", "event_type": "dns", "src_ip": "192.168.1.20", "src_port": 50000,
        "dest_ip": "9.9.9.9", "dest_port": 53, "proto": "UDP", "dns": {"type": "query", "id": 7, "rrname": "a.example", "qtype": 1, "length": 40}}


def with_field(path, value):
    record = json.loads(json.dumps(GOOD))
    place, *keys = record, *path.split(".")
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(record)


BROKEN = [
    "{", "[]", "7", "null", "\"x\"", "no JSON at all", "{}", json.dumps({"event_type": "dns"}), "\0\0\0", "{\"event_type\":" * 5000,
    with_field("timestamp", "yesterday"), with_field("timestamp", -1), with_field("timestamp", 1e300), with_field("timestamp", None),
    with_field("src_ip", "1.2.3"), with_field("src_ip", {}), with_field("src_port", 65536), with_field("src_port", -1), with_field("src_port", 1.5),
    with_field("src_port", "53"), with_field("proto", 6), with_field("vlan", [70000]), with_field("vlan", ["x"]), with_field("dns.qtype", True),
    with_field("dns.rrname", ["a"]), with_field("dns.rrname", "x" * 200000), with_field("dns.grouped", {"A": [1]}),
    with_field("dns.grouped", {"A": ["1.2.3.4"] * 2000}), with_field("dns.ttl", 2 ** 40),
]


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_broken_lines_are_told_and_left_out(tmp_path, line):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n" + json.dumps(GOOD) + "\n", encoding="utf-8")
    done = run("-q", "--no-scripts", "-o", "-", "--record", "dns", "--events", path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [GOOD, GOOD]
    assert b"x.jsonl:2: " in done.stderr


def test_what_is_no_event_and_unknown_keys_are_passed_over(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [dict(GOOD, event_type="alert"), dict(GOOD, event_type="stats"), dict(GOOD, event_type="redis.command"), dict(GOOD, event_type="stream"),
             dict(GOOD, event_type="head"), dict(GOOD, colour="blue", dns=dict(GOOD["dns"], colour=["blue"])), dict(GOOD, dns=None), dict(GOOD, dns=[])]
    path.write_text("\n\r\n".join(map(json.dumps, lines)), encoding="utf-8")  # no end of the last line
    done = run("-q", "--no-scripts", "-o", "-", "--record", "dns", "--events", path)
    assert (done.returncode, done.stderr) == (0, b"")
    bare = {key: value for key, value in GOOD.items() if key != "dns"}
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[0] == GOOD and [{k: v for k, v in r.items() if k != "dns"} for r in said[1:]] == [bare, bare]


def test_time_may_be_a_number_and_clocks_never_run_back(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(dict(GOOD, timestamp=t)) + "\n" for t in (1718095162.5, 1718095160, 1718095163)))
    done = run("-q", "--no-scripts", "-o", "-", "--record", "dns", "--events", path)
    assert [json.loads(line)["timestamp"][17:22] for line in done.stdout.splitlines()] == ["22.50", "20.00", "23.00"]


@pytest.mark.parametrize("words", [("--filter", "tcp"), ("--pace", "10x"), ("--watch",)])
def test_options_of_packets_are_refused(tmp_path, words):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(GOOD))
    done = run("--events", *words, path)
    assert done.returncode == 2 and b"--events" in done.stderr


def test_files_that_are_not_there_and_files_that_are_captures(tmp_path):
    done = run("--events", tmp_path / "nowhere.jsonl")
    assert done.returncode in (1, 2) and b"nowhere.jsonl" in done.stderr
    done = run("-q", "--no-scripts", "--events", EXAMPLES / "desk.pcapng.gz")
    assert done.returncode == 1 and b"desk.pcapng.gz: no records: JSON lines" in done.stderr


def test_records_must_not_be_written_over(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(GOOD))
    done = run("--events", "-o", path, path)
    assert done.returncode == 2 and json.loads(path.read_text()) == GOOD


def test_several_workers_are_one(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(GOOD))
    done = run("-q", "-w", "3", "--events", path)
    assert done.returncode == 0 and b"one worker" in done.stderr


def test_files_of_something_else(tmp_path):
    """A capture, or any text: the name was a slip, and that must show in the exit code. One record is enough."""
    (tmp_path / "x.txt").write_text("hello\n" * 100)
    for path in (tmp_path / "x.txt", EXAMPLES / "lan.pcapng.gz"):
        done = run("-q", "--no-scripts", "--events", path)
        assert done.returncode == 1 and b"no records" in done.stderr and b"--events" in done.stderr
    (tmp_path / "x.txt").write_text("hello\n" + json.dumps(GOOD) + "\n")
    assert run("-q", "--no-scripts", "--events", tmp_path / "x.txt").returncode == 0
    (tmp_path / "empty.jsonl").write_text("")
    assert run("-q", "--no-scripts", "--events", tmp_path / "empty.jsonl").returncode == 0
