"""Records of real captures, read by Python's own JSON parser: every line is one object without repeated keys, in EVE's
shape; and the command line's manners when the records cannot be written."""
import collections
import json
import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve()
REPO = HERE.parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
PCAPS = pathlib.Path(os.environ.get("LUNETTE_PCAPS", str(REPO.parent / "shared" / "pcaps")))
CAPTURES = sorted(p for p in PCAPS.rglob("*") if re.search(r"\.(pcap|pcapng|cap)$", p.name)) if PCAPS.is_dir() else []
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000")

pytestmark = pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary")


def captures(most=None):
    if not CAPTURES:
        pytest.skip("no captures")
    return CAPTURES[:: max(1, len(CAPTURES) // most)] if most else CAPTURES


def replay(*arguments):
    return subprocess.run([LUNETTE, "replay", "--no-scripts", *map(str, arguments)], capture_output=True, timeout=120)


def no_repeats(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key twice in {keys}"
    return dict(pairs)


def no_constant(word):
    raise AssertionError(f"{word} is no JSON")


def records(capture, *arguments):
    run = replay("--no-summary", "-o", "-", *arguments, capture)
    assert run.returncode >= 0, f"{capture}: died of signal {-run.returncode}"
    text = run.stdout.decode("utf-8", errors="strict")
    assert text == "" or text.endswith("\n")
    return [
        json.loads(line, object_pairs_hook=no_repeats, parse_constant=no_constant) for line in text.split("\n")[:-1]
    ]


def has_empty_object(value):
    if isinstance(value, dict):
        return not value or any(has_empty_object(v) for v in value.values())
    return isinstance(value, list) and any(has_empty_object(v) for v in value)


def test_every_line_is_an_eve_record():
    schema = json.loads(subprocess.run([LUNETTE, "events", "--json"], capture_output=True, check=True).stdout)
    kinds = set(schema) - {"head"} | {"alert", "host", "report", "stats"}
    seen = collections.Counter()
    for capture in captures():
        for record in records(capture):
            assert TIMESTAMP.fullmatch(record["timestamp"]), capture
            assert list(record)[0] == "timestamp", capture
            assert record["event_type"] in kinds, capture
            assert not has_empty_object({k: v for k, v in record.items() if k != "lunette"}), (capture, record)
            if "vlan" in record:
                assert all(isinstance(v, int) for v in record["vlan"]), capture
            seen[record["event_type"]] += 1
    assert {"dns", "tls", "http", "flow"} <= set(seen)


def test_only_keys_of_the_schema():
    schema = json.loads(subprocess.run([LUNETTE, "events", "--json"], capture_output=True, check=True).stdout)
    keys = {kind: {f["key"] for f in body["fields"] if "key" in f} for kind, body in schema.items()}

    def leaves(value, path=""):
        for key, inner in value.items():
            if isinstance(inner, dict):
                yield from leaves(inner, path + key + ".")
            else:
                yield path + key

    for capture in captures(most=40):
        for record in records(capture):
            kind = record["event_type"]
            if kind not in schema:
                continue
            assert set(leaves(record)) <= keys[kind] | keys["head"] | {"event_type"}, capture


def without_flow_ids(found):
    return collections.Counter(
        json.dumps({k: v for k, v in r.items() if k != "flow_id"}, sort_keys=True) for r in found if r["event_type"] != "stats"
    )


def test_nothing_is_lost_between_several_workers():
    for capture in captures(most=25):
        one = records(capture)
        three = records(capture, "-w", "3")
        assert without_flow_ids(one) == without_flow_ids(three), capture


def test_records_go_to_a_file_as_to_standard_output(tmp_path):
    capture = max(captures(), key=lambda p: p.stat().st_size)
    path = tmp_path / "eve.json"
    path.write_text("what was there before\n")
    assert replay("-q", "-o", path, capture).returncode == 0
    assert path.read_bytes() == replay("--no-summary", "-o", "-", capture).stdout


def test_a_full_disk_is_an_error_said_once():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    run = replay("-q", "-o", "/dev/full", captures()[0])
    assert run.returncode == 1
    assert run.stderr.decode().count("No space left on device") == 1


def test_a_reader_that_goes_away_is_no_crash():
    capture = max(captures(), key=lambda p: p.stat().st_size)
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [LUNETTE, "replay", "--no-scripts", "-q", "-o", "-", str(capture)],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert run.returncode == 1
    assert run.stderr == b"lunette: standard output was closed\n"


def test_a_file_that_cannot_be_opened_is_named():
    run = replay("-o", "/nonexistent/folder/eve.json", captures()[0])
    assert run.returncode in (1, 2)
    assert b"/nonexistent/folder/eve.json" in run.stderr
    assert run.stdout == b""


def test_summary_has_no_raw_control_bytes():
    for capture in captures(most=60):
        text = replay(capture).stdout.decode("utf-8", errors="strict")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), capture


def test_events_command_prints_the_schema():
    def events(*arguments):
        return subprocess.run([LUNETTE, "events", *arguments], capture_output=True, text=True)

    assert "dns.rrname" in events().stdout
    one = events("dns").stdout
    assert "rrname" in one and "hassh" not in one
    assert "---@class lunette.Event.dns : lunette.Event" in events("--stubs").stdout
    for wrong, nearest in (("dsn", "dns"), ("--jsn", "--json")):
        run = events(wrong)
        assert run.returncode == 2
        assert run.stdout == "" and nearest in run.stderr and run.stderr.count("\n") == 1
