"""Records of lunette as the tests compare them: read, counted, told apart.

Two runs over the same traffic must give the same records, but for what says who watched and not what happened."""

import collections
import datetime
import json
import os
import pathlib
import subprocess

from rooms import HERE, Trouble

ROOT = HERE.parents[1]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
SCRIPTS = ROOT / "scripts"
# Made by the machine that watches, not by the traffic.
OWN = {"stats", "sensor", "report", "host"}


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def replay(capture, *options):
    """The records of `lunette replay` over a capture."""
    done = subprocess.run([str(w) for w in (BINARY, "replay", "-q", "-o", "-", *options, capture)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def field(record, path):
    """The value at a dotted path, None if it is not there."""
    for key in path.split("."):
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    return record


def kind(records, name):
    return [r for r in records if r["event_type"] == name]


def tuples(records, fields):
    """How often each combination of these fields appears."""
    return collections.Counter(tuple(field(r, f) for f in fields) for r in records)


# What is read off the clock. Each packet socket reads it for itself (unless the packet brings a stamp along, which TCP's do
# not: they carry the time at which they were to leave), so two who watch the same interface differ by some microseconds.
TIMES = {"timestamp", "start", "end", "age", "rtt", "duration"}
TOLERANCE = 0.001

# Of an incident's evidence, what does not depend on when its findings were told.
STORY = {"detectors", "findings", "kinds", "left_out", "names", "parts", "points", "programs", "tactics", "ties"}


def seconds(value):
    return datetime.datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def without_times(value, times):
    if not isinstance(value, dict):
        return value
    times += [(k, seconds(v)) for k, v in sorted(value.items()) if k in TIMES]
    return {k: without_times(v, times) for k, v in value.items() if k not in TIMES}


def comparable(records, end):
    """The records as {a line without its times: [the times of each such record]}; flow numbers, which depend on the order of
    workers, and the interface's name, which a pcap file does not have, are left out. Of an incident there is what it is made of: it
    tells when its findings were told, in words.

    A capture ends with its last packet, at `end`; live the clock goes on until somebody stops the sensor. So a silent flow may
    be said to have timed out by then, and an alert that is raised when all is over has a later time, and may tell an age."""
    found = collections.defaultdict(list)
    for record in records:
        if record["event_type"] in OWN:
            continue
        if record["event_type"] == "alert" and seconds(record["timestamp"]) > end - TOLERANCE:
            record = {**record, "timestamp": end, "lunette": {**record["lunette"], "why": "told at the end"}}
        if record["event_type"] == "alert" and "evidence" in record["lunette"]:
            evidence, is_story = record["lunette"]["evidence"], record["lunette"]["detector"] == "story"
            kept = {k: v for k, v in evidence.items() if (k in STORY if is_story else k != "interface")}
            record = {**record, "lunette": {**record["lunette"], "evidence": kept}}
        times = []
        record = without_times({k: v for k, v in record.items() if k not in ("flow_id", "in_iface")}, times)
        line = json.dumps(record, sort_keys=True).replace('"reason": "timeout"', '"reason": "end_of_capture"')
        found[line].append(times)
    return found


def same_records(one, other, names):
    """Fails the test unless both are made of the same records at the same times."""
    same(*(collections.Counter({line: len(times) for line, times in found.items()}) for found in (one, other)), names)
    apart = 0.0
    for line in one:
        for left, right in zip(sorted(one[line]), sorted(other[line])):
            assert [k for k, _ in left] == [k for k, _ in right], line
            here = max(abs(a - b) for (_, a), (_, b) in zip(left, right))
            apart = max(apart, here)
            assert here < TOLERANCE, f"{here} s apart: {line}"
    return apart


def same(one, other, names=("the one", "the other"), most=4):
    """Fails the test if two multisets differ, and shows what only one of them has."""
    lines = []
    for left, right, name in ((one, other, names[0]), (other, one, names[1])):
        only = sorted((left - right).elements(), key=str)
        lines += [f"{len(only)} only in {name}:", *map(str, only[:most])] if only else []
    if lines:
        raise Trouble("\n".join(lines))
