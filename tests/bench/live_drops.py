#!/usr/bin/env python3
"""The highest rate that `lunette live` takes from an interface without loss, beside a bare libpcap loop.

    live_drops.py --build build [--seconds 3] [--steps 6] [--mix FILE] [--json FILE]

A cable between two network namespaces; packet_sender at one end, the receiver at the other: bare_pcap, lunette
without scripts, lunette with all detectors (records are made and written to /dev/null). For each a search, from the
sender's own limit downwards: a rate passes if of everything sent nothing is missing. All receivers take turns in one run. The sender has
a processor of its own and so has the receiver, if there are two: on veth the kernel's part of receiving is done on
the sender's side, so the sender's limit is often the lower one; the table says so by "≥". Where both rates are the
sender's, the ratio says only that lunette kept up. Beside it stands what a packet costs the receiver, which does not
depend on the sender, and the packets a second that would keep a processor busy at that price.

Needs root and Linux. It ends by itself and leaves nothing behind."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "live"))
RING_MIB = 64
FLOWS = 10000
UNPACED = 4  # turns as fast as the sender goes, whose speed is not always the same


def bound(processor, command):
    return ["taskset", "-c", str(processor), *map(str, command)]


class Bare:
    """bare_pcap: asked by a line, answers with a line."""
    name = "bare libpcap loop"

    def __init__(self, rooms, processor, build, _):
        self.child = rooms.popen("tap", *bound(processor, [build / "bench" / "bare_pcap", "tap0", RING_MIB]), anywhere=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "ready\n"

    def figures(self):
        """packets taken, packets dropped, CPU seconds so far"""
        self.child.stdin.write("?")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        return answer["packets"], answer["dropped"], answer["cpu_seconds"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Live:
    """lunette live; its board is renewed once a second."""
    scripts, words = (), ()

    def __init__(self, rooms, processor, _, folder):
        from sensor import Sensor
        self.sensor = Sensor(rooms, "tap", ["tap0"], "--ring", RING_MIB, *self.words, scripts=self.scripts, output="/dev/null",
                             under=bound(processor, []))
        self.sensor.start()

    def figures(self):
        status = self.sensor.status()
        return status["packets"], status["dropped"] + status["interface_dropped"], status["cpu_seconds"]

    def close(self):
        assert self.sensor.stop() == 0, self.sensor.tail()


class Engine(Live):
    name = "lunette live, no scripts"


class Detectors(Live):
    name = "lunette live, all detectors"
    scripts = (ROOT / "scripts",)


def settled(receiver, least):
    """The receiver's figures when they no longer move: it has worked off its ring."""
    from rooms import wait_for
    last = [None, 0]

    def still():
        import time
        found = receiver.figures()
        if found[0] != (last[0] or (None,))[0]:
            last[:] = [found, time.monotonic()]
        return found if found[0] >= least or time.monotonic() - last[1] > 2.5 else None
    return wait_for(still, 60, "the receiver to settle")


def trial(rooms, sender, receiver, rate, options, traffic):
    """Sends at a rate. Gives (sent a second, missing, CPU nanoseconds a packet)."""
    before = receiver.figures()
    done = rooms.run("far", *bound(sender, [options.build / "bench" / "packet_sender", "far0", rate, options.seconds, *traffic]),
                     timeout=options.seconds + 60)
    sent = json.loads(done.stdout)
    after = settled(receiver, before[0] + sent["sent"])
    taken = after[0] - before[0]
    return sent["sent"] / sent["seconds"], sent["sent"] - taken, 1e9 * (after[2] - before[2]) / max(taken, 1)


def highest(rooms, sender, receiver, options, traffic):
    """The highest rate of the search that passed, whether the sender was the limit, and the packet's cost at it."""
    tries = []

    def passes(rate):
        for _ in range(2):  # one hiccup of the machine is not the receiver's limit
            tries.append(trial(rooms, sender, receiver, rate, options, traffic))
            if tries[-1][1] == 0:
                return tries[-1]
        return None
    at_once = [trial(rooms, sender, receiver, 0, options, traffic) for _ in range(UNPACED)]
    lossless = max((found for found in at_once if found[1] == 0), default=None)
    if lossless:
        return lossless[0], True, lossless[2]
    low, high, best = 0.0, max(found[0] for found in at_once), None
    for _ in range(options.steps):
        rate = (low + high) / 2
        found = passes(rate)
        if found:
            low, best = rate, found
        else:
            high = rate
    return (best[0], False, best[2]) if best else (0.0, False, 0.0)


def make_mix(options, folder):
    """Real captures repeated with other addresses (make_mix.c), or those of examples/."""
    if options.mix:
        return options.mix
    pcaps = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps"))
    found = sorted(p for part in ("ndpi", "ja4") for p in (pcaps / part).glob("*.pcap*")) or sorted((ROOT / "examples").glob("*.pcap*"))
    mix = folder / "mix.pcap"
    subprocess.run([str(w) for w in (options.build / "bench" / "make_mix", "--out", mix, "--bytes", 300_000_000, *found)], check=True,
                   capture_output=True)
    return mix


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build folder with target bench-live's programs")
    parser.add_argument("--seconds", type=float, default=3, help="length of a trial (default 3)")
    parser.add_argument("--steps", type=int, default=6, help="steps of each search (default 6)")
    parser.add_argument("--mix", help="a pcap file to send instead of one made from captures")
    parser.add_argument("--json", help="write the results into this file as well")
    options = parser.parse_args()
    options.build = options.build.resolve()
    os.environ.setdefault("LUNETTE", str(options.build / "lunette"))

    import rooms as rooms_module
    import sensor as sensor_module
    for reason in (rooms_module.REASON, sensor_module.REASON):
        if reason:
            print(f"skipped: {reason}")
            return
    processors = sorted(os.sched_getaffinity(0))
    sender, receiver_at = processors[-1], processors[0]
    print(f"sender on processor {sender}, receiver on {receiver_at}" + ("" if sender != receiver_at else ": they share it") +
          f"; load of the machine {os.getloadavg()[0]:.1f}; trials of {options.seconds:g} s, ring of {RING_MIB} MiB")
    results = []
    with rooms_module.Rooms() as rooms:
        rooms.add("tap", "far")
        rooms.cable("far", "far0", "tap", "tap0")
        for room, end in (("far", "far0"), ("tap", "tap0")):
            rooms.sysctl(room, net__ipv6__conf__all__disable_ipv6=1)
            rooms.run(room, "ip", "link", "set", end, "mtu", 9000)
        traffics = {f"64-byte packets, {FLOWS} flows": ("flows", FLOWS), "mixed packets": ("capture", make_mix(options, rooms.folder))}
        for title, traffic in traffics.items():
            bare = None
            print(f"\n{title:32}{'packets/s without loss':>24}{'ratio':>8}{'CPU ns/packet':>15}{'a full processor':>18}")
            for kind in (Bare, Engine, Detectors):
                receiver = kind(rooms, receiver_at, options.build, rooms.folder)
                try:
                    rate, limited, cost = highest(rooms, sender, receiver, options, traffic)
                finally:
                    receiver.close()
                bare = bare or rate
                ratio = rate / bare if bare else 0
                print(f"{kind.name:32}{('≥ ' if limited else '') + format(rate, ',.0f'):>24}{ratio:8.2f}{cost:15.0f}{1e9 / cost if cost else 0:18,.0f}",
                      flush=True)
                results.append({"traffic": title, "receiver": kind.name, "rate": rate, "sender_was_the_limit": limited, "ratio": ratio,
                                "cpu_ns": cost})
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
