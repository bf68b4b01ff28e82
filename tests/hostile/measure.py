"""Each flood at full size: peak memory against its bound, packets a CPU second against clean traffic of as many, what was let go of.

    LUNETTE=build/lunette python3 tests/hostile/measure.py [--packets N] [--kinds a,b] [--no-scripts] [--json FILE]

Not a test: it takes minutes. Nothing is written to the disk; floods come through a pipe. With --no-scripts all events are
off too, and `flows` has ten million packets, a flow each. A run is given a minute; one that is cut off says so."""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import bounds  # noqa: E402
from floods import BINARY, FLOOD, KINDS, figure, run  # noqa: E402

COUNTERS = ["flow.evicted", "flow.names_evicted", "flow.rebind_evicted", "decoder.fragments_unjoined", "decoder.fragment_overlaps",
            "decoder.tunnels_refused", "decoder.invalid", "tcp.reassembly_dropped", "tcp.gap_bytes", "detect.evicted", "detect.errors",
            "detect.off", "gather.dropped", "cards.evicted", "cards.dropped"]
MAX_FLOWS, SCRIPT_MEMORY, LARGEST = 262144, 256, 1600


def measure(kind, packets, scripts, start, seconds):
    result = run(kind, packets, scripts=scripts, timeout=seconds)
    return {
        "kind": kind, "packets": packets, "status": result.status, "cut_off": result.status == -9, "peak": result.peak,
        "bound": bounds.bound(start, MAX_FLOWS, SCRIPT_MEMORY, packets * LARGEST, scripts), "cpu": round(result.cpu, 2),
        "alerts": result.alert_count, "counted": {n: figure(result.stats, n) for n in COUNTERS if figure(result.stats, n)},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, help="of each flood (default: 500000; without scripts 10 million flows, else 3 million)")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--no-scripts", action="store_true", help="the engine alone")
    parser.add_argument("--seconds", type=int, default=60, help="bound of a run")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    for program in (BINARY, FLOOD):
        if not program.exists():
            sys.exit(f"{program} is not there: build it, or say where (LUNETTE: the program; LUNETTE_TOOLS: the folder of flood)")
    unknown = sorted(set(args.kinds.split(",")) - {"clean", *KINDS})
    if unknown:
        parser.error(f"--kinds: there is no {', '.join(unknown)}; there are {', '.join(KINDS)}")
    scripts = not args.no_scripts
    start = run("clean", 1, scripts=scripts).peak
    usual = args.packets or (500000 if scripts else 3000000)
    clean = measure("clean", usual, scripts, start, args.seconds)
    rows = [clean]
    print("%-12s %10s %9s %9s %7s %9s %7s  %s" % ("kind", "packets", "peak MB", "bound MB", "CPU s", "packets/s", "ratio", "counted"))
    for kind in ["clean"] + args.kinds.split(","):
        if kind == "clean":
            row = clean
        else:
            row = measure(kind, args.packets or (10000000 if kind == "flows" and not scripts else usual), scripts, start, args.seconds)
            rows.append(row)
        rate = row["packets"] / row["cpu"]
        row["ratio"] = round(rate / (clean["packets"] / clean["cpu"]), 3)
        counted = "cut off" if row["cut_off"] else ", ".join("%s %d" % pair for pair in row["counted"].items())
        print("%-12s %10d %9.0f %9.0f %7.1f %9.0f %7.2f  %s" % (
            kind, row["packets"], row["peak"] / 1e6, row["bound"] / 1e6, row["cpu"], rate, row["ratio"], counted), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
