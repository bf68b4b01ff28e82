"""Runs one shipped detector over captures and gives what it said.

    alerts, reports = replay("lolbin", "/tmp/x.pcap", settings={"ping_rate": 20})

An alert is the record's `lunette` object with title, severity (a word), and attack added. A report is {title, columns, rows}. What scripts say
whose events it hears (mac_identity) is left out."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
PCAPS = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps"))
SEVERITIES = {1: "high", 2: "medium", 3: "low", 4: "info"}


def real(name):
    """The path of a real capture; skips the test if the captures are not at hand."""
    path = PCAPS / name
    if not path.exists():
        pytest.skip("capture %s is not here" % name)
    return path


def replay(detector, *captures, settings=None, options=()):
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    command = [BINARY, "replay", "-q", "-o", "-", "--record", "alert,report", "-s", ROOT / "scripts" / (detector + ".lua"), *options]
    for key, value in (settings or {}).items():
        command += ["--set", "%s.%s=%s" % (detector, key, value)]
    done = subprocess.run([str(word) for word in command + list(captures)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower(), done.stderr  # a handler that raised is logged
    alerts, reports = [], []
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["event_type"] == "alert" and record["lunette"]["detector"] == detector:
            said = dict(record["lunette"])
            said["title"] = record["alert"]["signature"]
            said["severity"] = SEVERITIES[record["alert"]["severity"]]
            said["attack"] = record["alert"].get("metadata", {}).get("mitre_technique_id", [])
            alerts.append(said)
        elif record["event_type"] == "report" and record["report"]["detector"] == detector:
            reports.append(record["report"])
    return alerts, reports
