#!/usr/bin/env python3
"""How long from exec to the first packet, with all detectors and their tables, and where the rest of a short run goes.

    python3 tests/bench/start.py [--binary PATH]... [--scripts FOLDER] [--repeats N] [--workers N] [CAPTURE]

A probe that needs nothing of the product but what every script may do: beside the detectors it loads one of its own, first
in the row, that prints a line when it is handed its first event. Batches are of one event, so that is while the first
packet is worked on. The clock runs from before the fork to the line's arrival, on the wall. It costs one small state more
than the detectors. "none" are the same figures with the probe alone. With several binaries they take turns, so that what
else the machine does hits all of them alike.

Prints JSON: for each binary milliseconds, median, least and the middle half, of the first packet, of the whole run and of
the processor's time.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MARK = "the first packet is here"
PROBE = """local lunette = require "lunette"
local told
local function tell()
    if told then return end
    told = true
    print("%s")
end
lunette.on("flow_start", {}, tell)
""" % MARK


def scripts_of(folder):
    names = sorted(n for n in os.listdir(folder) if n.endswith(".lua") and not n.endswith("_test.lua"))
    return [os.path.join(folder, name) for name in names]


def run(binary, scripts, capture, workers):
    command = [binary, "replay", "--batch", "1", "-w", str(workers), capture]
    for script in scripts:
        command += ["-s", script]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text, first = b"", None
    for line in process.stderr:
        text += line
        if first is None and MARK.encode() in line:
            first = time.perf_counter() - begin
    process.wait()
    whole = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0 or first is None:
        sys.exit("%s: no first packet:\n%s" % (" ".join(command), text.decode(errors="replace")))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"first_packet": first * 1000, "whole": whole * 1000, "cpu": cpu * 1000}


def figures(runs):
    out = {}
    for name in runs[0]:
        values = sorted(r[name] for r in runs)
        quarter = len(values) // 4
        out[name] = {"median": round(statistics.median(values), 2), "least": round(values[0], 2),
                     "half": [round(values[quarter], 2), round(values[-1 - quarter], 2)]}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", action="append", help="the program; several take turns (default: LUNETTE, else build/lunette)")
    parser.add_argument("--scripts", default=os.path.join(ROOT, "scripts"), help="folder of the detectors")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("capture", nargs="?", default=os.path.join(ROOT, "examples", "document.pcapng.gz"))
    asked = parser.parse_args()
    binaries = asked.binary or [os.environ.get("LUNETTE", os.path.join(ROOT, "build", "lunette"))]
    for binary in binaries:
        if not os.path.exists(binary):
            sys.exit(f"{binary} is not there: build it, or name another with --binary")
    if asked.repeats < 1:
        sys.exit("--repeats: at least 1")
    detectors = scripts_of(asked.scripts)
    with tempfile.TemporaryDirectory() as folder:
        probe = os.path.join(folder, "aaa_probe.lua")
        with open(probe, "w") as file:
            file.write(PROBE)
        runs = {binary: {"all": [], "none": []} for binary in binaries}
        for _ in range(asked.repeats):
            for binary in binaries:
                runs[binary]["all"].append(run(binary, [probe] + detectors, asked.capture, asked.workers))
                runs[binary]["none"].append(run(binary, [probe], asked.capture, asked.workers))
    json.dump({"unit": "ms", "repeats": asked.repeats, "detectors": len(detectors), "workers": asked.workers,
               "binaries": {b: {k: figures(v) for k, v in runs[b].items()} for b in binaries}}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
