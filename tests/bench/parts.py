"""The parts of a measurement. Each returns plain data: all runs, so that tables and pictures can be made of it later."""

import json
import pathlib
import subprocess
import sys

import jobs
from jobs import HERE, ROOT, Lunette, in_turns

ALL, NONE, BARE = "lunette, all detectors", "lunette, no scripts", "tcpdump --count"
TWO = "lunette, all detectors, 2 workers"
BEFORE = ": before"
MAX_FLOWS = 1 << 22  # room for the most flows of the cases below
FLOW_CASES = (("1 k", 1_000, 4_000_000), ("100 k", 100_000, 4_000_000), ("1 M", 1_000_000, 10_000_000), ("4 M", 4_000_000, 40_000_000))
FLOW_BYTES = 700  # of memory that a flow may take at most here, to tell whether a case fits
FEW_FLOWS, MANY_FLOWS, MOST_FLOWS = 1_000, 200_000, 262_144


class Bench:
    def __init__(self, options, maker):
        self.options, self.maker = options, maker
        self.now = Lunette(options.build, ROOT / "scripts")
        self.before = Lunette(options.before, options.before_scripts or self.now.scripts) if options.before else None

    def program(self, build, name):
        return str(pathlib.Path(build).resolve() / "bench" / name)

    # ------------------------------------------------------------ the whole program against others

    def lunette_jobs(self, lunette, capture, name):
        found = {ALL: lunette.replay(capture), NONE: lunette.replay(capture, scripts=())}
        if not self.options.quick:
            found["lunette, all detectors, records"] = lunette.replay(capture, "-o", "/dev/null")
        found[TWO] = lunette.replay(capture, "-w", "2")
        if not self.options.quick:
            found["lunette, no scripts, 2 workers"] = lunette.replay(capture, "-w", "2", scripts=())
        if name == "mix" and self.options.each:
            for script in lunette.detectors():
                found[f"lunette, {script.stem}"] = lunette.replay(capture, scripts=[script])
        return found

    def group(self, workload, commands):
        """Runs the commands in turns: what a table is made of."""
        results = in_turns(commands, self.options.repeats)
        return {**workload.told(), "rows": [{"name": name, "command": jobs.shown(commands[name], workload.path), "runs": runs}
                                            for name, runs in results.items()]}

    def replay(self):
        """On each workload all of lunette's ways and the quick peers; on a beginning of it lunette and the slow peers."""
        groups = []
        for name in self.options.workload:
            workload = self.maker.mix(name, self.options.bytes)
            commands = self.lunette_jobs(self.now, workload.path, name)
            if self.before:
                commands.update({title + BEFORE: words for title, words in self.lunette_jobs(self.before, workload.path, name).items()})
            commands.update(jobs.peers(workload.path, slow=False))
            groups.append(self.group(workload, commands))
            self.maker.done_with(workload)
            beginning = self.maker.mix(name, min(self.options.peer_bytes, self.options.bytes))
            if slow := jobs.peers(beginning.path, slow=True):
                commands = {ALL: self.now.replay(beginning.path), NONE: self.now.replay(beginning.path, scripts=())}
                bare = {title: words for title, words in jobs.peers(beginning.path, slow=False).items() if title == BARE}
                groups.append({**self.group(beginning, {**commands, **bare, **slow}), "beginning": True})
            self.maker.done_with(beginning)
        return {"groups": groups, "missing": jobs.missing_peers()}

    # --------------------------------------------------------------------- packets and flows

    def flows(self):
        """bench_flow at more and more flows, and what a TLS connection past its hello keeps."""
        cases, skipped = {}, []
        for title, flows, packets in FLOW_CASES[:2 if self.options.quick else None]:
            packets = max(int(packets * min(self.options.bytes / 3e8, 1)), flows * 10)  # so many that the second half of them is of settled flows
            lack = self.maker.room_for(packets * 76, flows * FLOW_BYTES + (packets * 76 if self.options.keep else 0))
            if lack:
                skipped.append(f"{title} flows: {lack}")
                continue
            cases[title] = self.maker.flows(flows, packets)
        commands = {}
        for title, workload in cases.items():
            commands[title] = [self.program(self.options.build, "bench_flow"), str(workload.path), str(MAX_FLOWS)]
            if self.before:
                commands[title + BEFORE] = [self.program(self.options.before, "bench_flow"), *commands[title][1:]]
        runs = in_turns(commands, self.options.repeats, named_figures)
        for workload in cases.values():
            self.maker.done_with(workload)
        return {"cases": runs, "skipped": skipped, "memory": self.flow_memory()}

    def flow_memory(self):
        """Peak memory of lunette with many connections less that with few, for each flow more."""
        many = MANY_FLOWS // 10 if self.options.quick else MANY_FLOWS
        found = []
        workloads = [self.maker.flows(flows, flows * 5, hello=True) for flows in (FEW_FLOWS, many)]
        for name, scripts in ((NONE, ()), (ALL, None)):
            peaks = [jobs.spend(self.now.replay(w.path, "--max-flows", str(MOST_FLOWS), scripts=scripts))["memory"] * 1024 for w in workloads]
            found.append({"name": name, "bytes": (peaks[1] - peaks[0]) / (many - FEW_FLOWS), "peaks": peaks})
        for workload in workloads:
            self.maker.done_with(workload)
        return {"few": FEW_FLOWS, "many": many, "rows": found}

    # ----------------------------------------------------------- a handler for every packet

    def packet(self):
        """A Lua handler on every packet that counts bytes per protocol, beside none."""
        workload = self.maker.mix("small", min(self.options.bytes, 3e8))
        commands = {"none": self.now.replay(workload.path, scripts=()),
                    "handler": self.now.replay(workload.path, scripts=[HERE / "packet_bytes.lua"])}
        if self.before:
            commands["none" + BEFORE] = self.before.replay(workload.path, scripts=())
            commands["handler" + BEFORE] = self.before.replay(workload.path, scripts=[HERE / "packet_bytes.lua"])
        for name, bare, handled in jobs.peers_with_handlers(workload.path, self.maker.folder):
            commands[f"{name}: none"], commands[f"{name}: handler"] = bare, handled
        found = self.group(workload, commands)
        self.maker.done_with(workload)
        return found

    # --------------------------------------------------------------------- start and events

    def start(self):
        """start.py beside this file: from exec to the first packet."""
        found = {"binaries": {}}
        for name, lunette in (("before", self.before), ("now", self.now)):  # each with its own detectors: not in turns
            if lunette:
                words = [sys.executable, str(HERE / "start.py"), "--binary", lunette.program, "--scripts", str(lunette.scripts),
                         "--repeats", "5" if self.options.quick else "20"]
                told = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
                found["binaries"][name] = told["binaries"][lunette.program]
                found.update({key: told[key] for key in ("repeats", "detectors")})
        return found

    def events(self):
        """bench_events: what an event costs that handlers want, by what they do with it."""
        commands = {"now": [self.program(self.options.build, "bench_events"), *(["100000"] if self.options.quick else [])]}
        if self.before:
            commands["before"] = [self.program(self.options.before, "bench_events"), *commands["now"][1:]]
        return in_turns(commands, self.options.repeats, named_figures)


def named_figures(command):
    """What a measuring program prints: name -> ns."""
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return {figure["name"]: figure["ns"] for figure in map(json.loads, lines)}
