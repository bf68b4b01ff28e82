"""Runs a flood through lunette and tells what it cost and what it let go of.

    run("names", 100000)     ->  Run with peak (bytes), cpu (seconds), alerts, stats (the record), off (detectors), status

The flood goes through a pipe; no file is written. Of the child the kernel counts peak memory and CPU time (wait4)."""

import json
import os
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette"))
FLOOD = pathlib.Path(os.environ.get("LUNETTE_TOOLS", BINARY.parent / "tests")) / "flood"
SCRIPTS = ROOT / "scripts"
KINDS = ["syn-flood", "flows", "fragments", "overlaps", "hash", "names", "headers", "hello-bytes", "tunnels", "clock",
         "hosts", "events", "mixed"]


@dataclass
class Run:
    status: int
    peak: int
    cpu: float
    stats: dict
    detectors: list
    alerts: set = field(default_factory=set)
    alert_count: int = 0
    error: str = ""
    summary: str = ""


def read(lines, run):
    for line in lines:
        if '"event_type":"alert"' not in line and '"event_type":"stats"' not in line:
            continue  # a million records of events
        record = json.loads(line)
        if record["event_type"] == "stats":
            run.stats = record["stats"]
        elif record["event_type"] == "alert":
            run.alert_count += 1
            run.alerts.add((record["lunette"]["detector"], record["alert"]["signature"], record.get("src_ip")))


def run(kind, packets, *, options=(), sample=None, start=None, span=None, seed=1, timeout=120, scripts=True,
        everything=False):
    """`sample`: a capture that is merged with the flood by time. `everything`: all events are made and written."""
    words = [FLOOD, kind, "--packets", packets, "--seed", seed]
    words += ["--start", start] if start is not None else []
    words += ["--span", span] if span is not None else []
    command = [BINARY, "replay", "-o", "-", "--color", "never", *options]
    command += [] if everything else ["--record", "alert,stats"]
    command += ["-s", SCRIPTS] if scripts else ["--no-scripts"]
    with tempfile.TemporaryFile() as errors, tempfile.NamedTemporaryFile() as out:
        command[command.index("-o") + 1] = out.name
        flood = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        summary = tempfile.TemporaryFile()
        child = subprocess.Popen([str(w) for w in (*command, "-", *([sample] if sample else []))], stdin=flood.stdout,
                                 stdout=summary, stderr=errors)
        flood.stdout.close()
        watch = subprocess.Popen(["sh", "-c", 'sleep "$1"; kill -9 "$2"', "-", str(timeout), str(child.pid)],
                                 start_new_session=True)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        os.killpg(watch.pid, 9)
        watch.wait()
        flood.kill()
        flood.wait()
        errors.seek(0)
        summary.seek(0)
        result = Run(child.returncode, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, {}, [])
        result.error = errors.read().decode(errors="replace")
        result.summary = summary.read().decode(errors="replace")
        summary.close()
        with open(out.name) as records:
            read(records, result)
        return result


def figure(stats, dotted):
    """`flow.evicted` of the record, 0 if it is not there."""
    if dotted in stats:
        return stats[dotted]
    for word in dotted.split("."):
        stats = stats.get(word, {}) if isinstance(stats, dict) else {}
    return stats if isinstance(stats, (int, float)) else 0
