"""Abuse and tunnels that are in the real captures, and what the shipped detectors say of each: abuse.tsv, made by hand with tshark beside it.

A row is a capture, what is in it, and the detector that must speak of it, how loud at least, and with which words. `none` is honest as well: nothing
of severity low or above is said, for a reason that stands there; when somebody finds it after all, the row has to go."""
import csv
import pathlib

import pytest

from captures import PCAPS, needs_lunette
from everything import LOUD, SANITIZED, SEVERITY, alone

pytestmark = [needs_lunette, pytest.mark.skipif(SANITIZED, reason="what is said of each capture is judged in the other build")]

FOLDER = pathlib.Path(__file__).parent
COLUMNS = ["capture", "what", "detector", "severity", "words"]
RISING = ["info", "low", "medium", "high"]


def rows_of(name):
    lines = [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = rows_of("abuse.tsv")


@pytest.fixture(scope="module")
def runs():
    """{capture: its run} of those in the table. What test_false_alarms.py has run in the same process is not run again."""
    files = [PCAPS / name for name in dict.fromkeys(row["capture"] for row in ROWS) if (PCAPS / name).is_file()]
    if not files:
        pytest.skip("no captures")
    return alone(files)


def loudness(alert):
    return RISING.index(SEVERITY[alert["alert"]["severity"]])


def says(alert, row):
    text = alert["alert"]["signature"] + ": " + alert["lunette"].get("why", "")
    return alert["lunette"]["detector"] == row["detector"] and loudness(alert) >= RISING.index(row["severity"]) and row["words"] in text


def test_the_table_is_whole():
    for row in ROWS:
        assert list(row) == COLUMNS and all(row.values()), row
        assert row["severity"] in RISING or (row["detector"], row["severity"]) == ("none", "-"), row
        assert row["detector"] != "none" or len(row["words"].split()) >= 4, ("say why, in words", row)
    keys = [(row["capture"], row["detector"]) for row in ROWS]
    assert len(keys) == len(set(keys))
    assert not {name for name, detector in keys if detector == "none"} & {name for name, detector in keys if detector != "none"}


def test_what_is_there_is_found(runs):
    missed = [row for row in ROWS if row["detector"] != "none" and row["capture"] in runs
              and not any(says(alert, row) for alert in runs[row["capture"]].alerts)]
    assert not missed


def test_what_is_called_a_miss_is_one(runs):
    found = {row["capture"]: [alert["lunette"]["why"] for alert in runs[row["capture"]].alerts if loudness(alert) > 0]
             for row in ROWS if row["detector"] == "none" and row["capture"] in runs}
    assert not {name: why for name, why in found.items() if why}


def test_what_was_judged_true_stands_here():
    here = {(row["capture"], row["detector"]) for row in ROWS}
    true = {(row["capture"], row["detector"]) for row in rows_of("judged.tsv") if row["verdict"] == "true" and row["severity"] in LOUD}
    assert not true - here
