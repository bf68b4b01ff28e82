#!/usr/bin/env python3
"""The lab's load for an hour, and what the sensor keeps of it: does anything grow that should not?

    soak.py [MINUTES] [--workers N] [--rate PACKETS] [--json FILE]

The Macs do their programme over and over, with a numbered load (load.py) of so many packets a second beside it, while
lunette watches with all detectors, state on disk and records in a file that is rotated. A line a minute says memory,
descriptors, packets, drops, flows and records. It ends with what changed between the first quarter and the last, and
with 1 if packets were dropped, the sensor was started anew or a programme failed. Needs root; leaves nothing behind."""

import argparse
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rooms  # noqa: E402
import sensor as sensors  # noqa: E402
from lab import Lab, TAP, WATCHED  # noqa: E402
from programme import Programme  # noqa: E402
from rooms import HERE  # noqa: E402


def figures(sensor, began, rounds):
    m = sensor.metrics()

    def total(name):
        return sum(value for key, value in m.items() if key.startswith(f"lunette_{name}"))
    return {
        "minute": (time.monotonic() - began) / 60, "resident": total("process_resident_memory_bytes"), "scripts": total("detector_memory_bytes"),
        "descriptors": total("process_open_fds"), "packets": total("packets_total"), "dropped": total("dropped_packets_total"),
        "flows": m["lunette_flows_active"], "alerts": total("alerts_total"), "cpu": total("process_cpu_seconds_total"), "rounds": rounds,
        "restarts": total("restarts_total"),
    }


COLUMNS = {"minute": (8, 1, 1), "resident": (10, 1, 2**20), "scripts": (9, 1, 2**20), "descriptors": (13, 0, 1), "packets": (12, 0, 1),
           "dropped": (9, 0, 1), "flows": (8, 0, 1), "alerts": (8, 0, 1), "cpu": (7, 0, 1), "rounds": (8, 0, 1)}
HEAD = "".join(f"{name:>{width}}" for name, (width, *_) in COLUMNS.items()) + "      (resident, scripts: MiB; cpu: seconds)"


def line(f):
    return "".join(f"{f[name] / unit:{width}.{digits}f}" for name, (width, digits, unit) in COLUMNS.items())


def forget(lab):
    """What a round of the programme leaves in the lab's folder, so that the next one can begin."""
    (lab.folder / "pipe").unlink(missing_ok=True)


def soak(options):
    with Lab() as lab:
        if lab.missing:
            print("left out: " + "; ".join(lab.missing.values()))
        sensor = sensors.Sensor(lab, TAP, [WATCHED], "-w", options.workers, "--rotate-size", 16, "--rotate-keep", 2, "--state-every", 60,
                                "--stats-every", 60).start()
        sensor.wait_status(lambda s: s["resident"] > 0, "the first figures")
        # The numbered load enters where the Macs' traffic does, from the gateway's end of the cable.
        load = lab.popen("gateway", sys.executable, HERE / "load.py", "up0", options.rate, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        began, rounds, broken, told, next_minute = time.monotonic(), 0, 0, [figures(sensor, time.monotonic(), 0)], 1
        print(HEAD + "\n" + line(told[0]), flush=True)
        while time.monotonic() - began < 60 * options.minutes:
            try:
                Programme(lab).run()
            except AssertionError as failure:  # a program of the lab's that failed is no failure of the sensor's
                broken += 1
                print("a round was not whole: " + " ".join(str(failure).split())[:160], flush=True)
            forget(lab)
            rounds += 1
            while (time.monotonic() - began) / 60 >= next_minute:
                told.append(figures(sensor, began, rounds))
                print(line(told[-1]), flush=True)
                next_minute = int(told[-1]["minute"]) + 1
        load.stdin.close()
        sent = int(load.stdout.read())
        told.append(figures(sensor, began, rounds))
        code = sensor.stop()
        if broken:
            print(f"{broken} of {rounds} rounds were not whole")
        return told, sent, code


def judge(told, sent, code):
    quarter = max(len(told) // 4, 1)
    middle = told[len(told) // 2]
    for what, unit in (("resident", 2**20), ("scripts", 2**20), ("descriptors", 1)):
        early = max(f[what] for f in told[1:quarter + 1])
        late = max(f[what] for f in told[-quarter:])
        print(f"{what}: start {told[0][what] / unit:.1f}, highest of the first quarter {early / unit:.1f}, middle {middle[what] / unit:.1f}, "
              f"highest of the last quarter {late / unit:.1f}, end {told[-1][what] / unit:.1f}" + (" MiB" if unit > 1 else ""))
    print(f"{told[-1]['packets']:,.0f} packets ({sent:,} of them the numbered load), {told[-1]['dropped']:.0f} dropped, "
          f"{told[-1]['restarts']:.0f} restarts, {told[-1]['rounds']} rounds of the programme, exit code {code}")
    return 0 if told[-1]["dropped"] == told[-1]["restarts"] == code == 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1000, help="packets a second of the numbered load (default 1000)")
    parser.add_argument("--json", help="write the figures into this file as well")
    options = parser.parse_args()
    for reason in (rooms.REASON, sensors.REASON):
        if reason:
            print(f"skipped: {reason}")
            return 77
    told, sent, code = soak(options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(told, indent=1) + "\n")
    return judge(told, sent, code)


if __name__ == "__main__":
    sys.exit(main())
