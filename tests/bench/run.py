#!/usr/bin/python3
"""Measures lunette beside its peers and prints tables: see README.md beside this file.

    tests/bench/run.py --build build [--bytes 1e9] [--repeats 5] [--work FOLDER] [--json FILE] [--svg FILE] [--only PART] [--quick]
    tests/bench/run.py --from FILE.json [--svg FILE]          the tables of an earlier run

All programs take turns, so that a busy minute of the machine strikes all alike. workloads.py makes what is worked
through, jobs.py knows the command lines, parts.py measures, table.py prints, picture.py draws.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the folder is the repository's

import parts      # noqa: E402
import picture    # noqa: E402
import table      # noqa: E402
import workloads  # noqa: E402

PARTS = ("replay", "flows", "packet", "start", "events")
QUICK = {"bytes": 5e7, "peer_bytes": 1e7, "repeats": 3}
USUAL = {"bytes": 1e9, "peer_bytes": 1e8, "repeats": 5}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=workloads.ROOT / "build", help="build folder with target bench's programs")
    parser.add_argument("--before", help="build folder of an older state: its programs take turns with this one's")
    parser.add_argument("--before-scripts", help="its detectors (default: this state's, which an old build may not load)")
    parser.add_argument("--each", action="store_true", help="each detector by itself as well, on the mix")
    parser.add_argument("--bytes", type=float, help="size of a workload (default 1e9)")
    parser.add_argument("--peer-bytes", type=float, help="size of its beginning for slow peers (default 1e8)")
    parser.add_argument("--repeats", type=int, help="measured turns (default 5, at least 3)")
    parser.add_argument("--quick", action="store_true", help="small workloads, three turns, no workload that needs gigabytes")
    parser.add_argument("--workload", choices=workloads.NAMES, action="append", help="of part replay: leave the others out")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out")
    parser.add_argument("--work", help="keep the made captures in this folder and use them again (default: each is deleted when it is done with)")
    parser.add_argument("--json", help="write all results into this file as well")
    parser.add_argument("--svg", help="draw them into this file")
    parser.add_argument("--from", dest="source", help="measure nothing: show the results that --json wrote")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for path in filter(None, (options.json, options.svg)):  # said now, not when an hour's work is to be written
        if not pathlib.Path(path).resolve().parent.is_dir():
            parser.error(f"{path}: its folder is not there")
    if options.bytes < 1 or options.peer_bytes < 1:
        parser.error("--bytes and --peer-bytes: a size in bytes, such as 1e8")
    options.repeats = max(options.repeats, 3)
    options.workload = options.workload or list(workloads.NAMES)
    options.keep = bool(options.work)
    return options


def processor():
    """Its model as /proc tells it, else the architecture."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def measure(options):
    found = {"when": time.strftime("%Y-%m-%d", time.gmtime()), "repeats": options.repeats}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="lunette-bench-") as folder:
        if options.work:
            folder = pathlib.Path(options.work).resolve()
            folder.mkdir(parents=True, exist_ok=True)
        maker = workloads.Maker(pathlib.Path(options.build).resolve() / "bench" / "make_mix", folder, options.keep)
        bench = parts.Bench(options, maker)
        for part in options.only or PARTS:
            if part == "start" and not (parts.HERE / "start.py").exists():
                print("skipped: start.py is not there")
                continue
            print(f"measuring: {part}", flush=True)
            found[part] = getattr(bench, part)()
    found["machine"] = {"processors": len(os.sched_getaffinity(0)), "model": processor(), "load": [load, os.getloadavg()[0]]}
    return found


def earlier(path):
    """What --json wrote."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as why:
        sys.exit(f"{path}: no results that --json wrote: {why}")


def main():
    options = arguments()
    found = earlier(options.source) if options.source else measure(options)
    if options.json and not options.source:
        pathlib.Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    table.show(found)
    if options.svg:
        pathlib.Path(options.svg).write_text(picture.draw(found))


if __name__ == "__main__":
    main()
