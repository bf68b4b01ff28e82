"""Records of lunette as the tests compare them: read, counted, told apart.

Two runs over the same traffic must give the same records, but for what says who watched and not what happened."""

import collections
import json
import pathlib
import subprocess

import pytest

from lab import HERE
import os

ROOT = HERE.parents[1]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
SCRIPTS = ROOT / "scripts"
# Made by the machine that watches, not by the traffic.
OWN = {"stats", "sensor", "report"}


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def replay(capture, *options):
    """The records of `lunette replay` over a capture."""
    if not BINARY.exists():
        pytest.skip("lunette is not built")
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


def comparable(records, leave_out=()):
    """The records as a multiset of lines, without flow numbers and interface names (a capture file has none of ours)."""
    counted = collections.Counter()
    for record in records:
        if record["event_type"] in OWN or record.get("lunette", {}).get("detector") in leave_out:
            continue
        record = {k: v for k, v in record.items() if k not in ("flow_id", "in_iface")}
        counted[json.dumps(record, sort_keys=True)] += 1
    return counted


def difference(one, other, names=("the one", "the other"), most=4):
    """What only one of two multisets has, as text; "" if they are equal."""
    lines = []
    for left, right, name in ((one, other, names[0]), (other, one, names[1])):
        only = sorted((left - right).elements())
        lines += [f"{len(only)} only in {name}:"] + only[:most] if only else []
    return "\n".join(lines)
