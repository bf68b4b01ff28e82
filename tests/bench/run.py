#!/usr/bin/python3
"""Measures lunette and prints a table: see README.md beside this file.

    tests/bench/run.py --build build [--bytes 1e9] [--repeats 5] [--work FOLDER] [--json FILE] [--only PART]

All programs take turns, so that a busy minute of the machine strikes all alike. Times are the CPU seconds, user and
system, of the child and its threads; the table shows medians and the spread from least to most.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = {True: "yes", False: "NO"}
FLOW_CASES = (("1 k", 1_000, 4_000_000), ("100 k", 100_000, 4_000_000), ("1 M", 1_000_000, 12_000_000))
PARTS = ("replay", "flows", "events")


def cpu_seconds(command):
    """Runs the command to its end, its output thrown away: user and system seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def figures(command):
    """What a measuring program prints: name -> ns."""
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return {figure["name"]: figure["ns"] for figure in map(json.loads, lines)}


def in_turns(jobs, repeats, measure):
    """Every job once, then every job again ...: name -> list of results. A first round warms up."""
    results = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, command in jobs.items():
            result = measure(command)
            if turn > 0:
                results[name].append(result)
    return results


def spread(values):
    return f"{min(values):.2f}–{max(values):.2f}"


def captures():
    """Real captures if they are there, else the examples."""
    folder = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps"))
    real = [p for part in ("ndpi", "ja4") for p in sorted((folder / part).glob("*")) if p.suffix[1:4] in ("pca", "cap")]
    return real or sorted((ROOT / "examples").glob("*.pcap*"))


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, pathlib.Path(work)
        self.build = pathlib.Path(options.build).resolve()
        self.before = pathlib.Path(options.before).resolve() if options.before else None
        self.scripts = ROOT / "scripts"
        self.before_scripts = pathlib.Path(options.before_scripts).resolve() if options.before_scripts else self.scripts
        self.found = {}

    def program(self, name):
        return str(self.build / "bench" / name)

    def compare(self, medians):
        """What became of it since the other build: the ratio of each program's medians."""
        for name in [name for name in medians if f"{name}: before" in medians]:
            print(f"{name}: {medians[name] / medians[f'{name}: before']:.2f} × before")

    def make(self, name, *arguments):
        path = self.work / name
        if not path.exists():
            command = [self.program("make_mix"), "--out", str(path), *map(str, arguments)]
            made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
            print(f"made {name}" + (f": {made}" if made else ""), flush=True)
        return path

    # ------------------------------------------------------------ the whole program against others

    def lunette_jobs(self, build, folder, mix):
        """With all detectors of the folder, however many it has."""
        lunette = [str(build / "lunette"), "replay"]
        scripts = sorted(folder.glob("*.lua"))
        detectors = [word for script in scripts for word in ("-s", str(script))]
        tiny = str(ROOT / "examples" / "document.pcapng.gz")
        jobs = {
            "lunette, all detectors": [*lunette, "-q", *detectors, mix],
            "lunette, no scripts": [*lunette, "-q", "--no-scripts", mix],
            "lunette, no scripts, with summary": [*lunette, "--no-scripts", mix],
            "lunette, all detectors, records": [*lunette, "-q", *detectors, "-o", "/dev/null", mix],
            "lunette, all detectors, 2 workers": [*lunette, "-q", "-w", "2", *detectors, mix],
            "lunette, all detectors, tiny capture": [*lunette, "-q", *detectors, tiny],
        }
        if self.options.each:
            for script in scripts:
                jobs[f"lunette, {script.stem}"] = [*lunette, "-q", "-s", str(script), mix]
        return jobs

    def replay_jobs(self, mix):
        jobs = self.lunette_jobs(self.build, self.scripts, mix)
        if self.before:
            for name, command in self.lunette_jobs(self.before, self.before_scripts, mix).items():
                jobs[f"{name}: before"] = command
        jobs["tcpdump -nn --count"] = ["tcpdump", "-nn", "-r", mix, "--count"]
        jobs["ndpiReader -q"] = ["ndpiReader", "-i", mix, "-q"]
        for peer in ("tcpdump", "ndpiReader"):
            if not shutil.which(peer):
                print(f"skipped: {peer} is not installed")
                jobs = {name: command for name, command in jobs.items() if command[0] != peer}
        return jobs

    def replay(self):
        mix = self.make("mix.pcap", "--bytes", int(self.options.bytes), *captures())
        results = in_turns(self.replay_jobs(str(mix)), self.options.repeats, cpu_seconds)
        totals = {name: [user + system for user, system in times] for name, times in results.items()}
        medians = {name: statistics.median(values) for name, values in totals.items()}
        self.found["replay"] = {name: {"seconds": values} for name, values in totals.items()}
        tcpdump = medians.get("tcpdump -nn --count")
        print(f"\n{mix.stat().st_size / 1e6:.0f} MB of mixed traffic, CPU seconds, median of {self.options.repeats}")
        print(f"{'':46}{'seconds':>8}  {'spread':>11}{'user':>7}{'system':>8}{'MB/s':>7}  × tcpdump")
        for name, values in totals.items():
            user, system = (statistics.median(part) for part in zip(*results[name]))
            ratio = f"{medians[name] / tcpdump:10.2f}" if tcpdump else ""
            rate = mix.stat().st_size / 1e6 / medians[name]
            print(f"{name:46}{medians[name]:8.2f}  {spread(values):>11}{user:7.2f}{system:8.2f}{rate:7.0f}  {ratio}")
        if tcpdump:
            ratio = medians["lunette, all detectors"] / tcpdump
            print(f"at most 1.5 × tcpdump with all detectors: {ratio:.2f}, {MARK[ratio <= 1.5]}")
        self.compare(medians)

    # --------------------------------------------------------------------- packets and flows

    def flows(self):
        jobs = {}
        for name, flows, packets in FLOW_CASES:
            path = self.make(f"flows-{flows}.pcap", "--flows", flows, "--packets", packets)
            jobs[name] = [self.program("bench_flow"), str(path), str(1 << 20)]
            if self.before:
                jobs[f"{name} before"] = [str(self.before / "bench" / "bench_flow"), *jobs[name][1:]]
        results = in_turns(jobs, self.options.repeats, figures)
        middle = {case: {name: statistics.median(one[name] for one in runs) for name in runs[0]}
                  for case, runs in results.items()}
        self.found["flows"] = middle
        print(f"\nCPU ns a packet, random flow per packet, 96-byte packets, median of {self.options.repeats}")
        print(f"{'flows at once':54}" + "".join(f"{case:>14}" for case in middle))
        for name in next(iter(middle.values())):
            print(f"{name:54}" + "".join(f"{middle[case][name]:14.1f}" for case in middle))
        for name in ("reading + decoding + flows", "reading + decoding + flows + protocols"):
            settled = [middle[case][name + ", second half"] for case, _, _ in FLOW_CASES]
            ratio = settled[-1] / settled[0]
            print(f"at most 2 × from 1 k to 1 M flows ({name}): {ratio:.2f}, {MARK[ratio <= 2]}")

    # ------------------------------------------------------------------------------ events

    def events(self):
        results = in_turns({"events": [self.program("bench_events")]}, self.options.repeats, figures)["events"]
        print(f"\nCPU ns an event, median of {self.options.repeats}")
        self.found["events"] = {}
        for name in results[0]:
            values = [one[name] for one in results]
            self.found["events"][name] = values
            print(f"{name:54}{statistics.median(values):8.1f}  {spread(values):>11}")
        worst = max(statistics.median(values) for name, values in self.found["events"].items() if "two fields" in name)
        print(f"under 40 ns per handled event: {worst:.1f}, {MARK[worst < 40]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build", help="build folder with target bench's programs")
    parser.add_argument("--before", help="build folder of an older state: its programs take turns with this one's")
    parser.add_argument("--before-scripts", help="its detectors (default: this state's, which an old build may not load)")
    parser.add_argument("--each", action="store_true", help="each detector by itself as well")
    parser.add_argument("--bytes", type=float, default=1e9, help="size of the mix (default 1e9)")
    parser.add_argument("--repeats", type=int, default=5, help="measured turns (default 5, at least 3)")
    parser.add_argument("--work", help="keep the made captures in this folder and use them again")
    parser.add_argument("--json", help="write all results into this file as well")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out")
    options = parser.parse_args()
    options.repeats = max(options.repeats, 3)
    with tempfile.TemporaryDirectory(prefix="lunette-bench-") as folder:
        if options.work:
            pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
        bench = Bench(options, options.work or folder)
        for part in options.only or PARTS:
            getattr(bench, part)()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(bench.found, indent=1) + "\n")


if __name__ == "__main__":
    main()
