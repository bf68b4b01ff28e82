#!/usr/bin/env python3
"""Runs the fuzz targets of a build, one after the other, with seeds made from real captures, and prints a table.

    cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DLUNETTE_FUZZ=ON
    cmake --build build-fuzz --target fuzz-targets
    tests/fuzz/run.py --build build-fuzz --seconds 600 [TARGET...]

Seeds come from examples/ and, where they are at hand, from the captures that the corpus tests read (LUNETTE_PCAPS).
What a run finds stays in BUILD/fuzz/work/TARGET: the corpus, and a file for each finding, which the target takes as
an argument. Exit code 1 if there is a finding."""
import argparse
import os
import pathlib
import plistlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPTURES = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT / "../shared/pcaps"))
LIMITS = ["-rss_limit_mb=4096", "-timeout=10", "-print_final_stats=1"]
LONGEST = {"packets": 24576, "capture": 65536, "host_log": 65536, "audit": 65536, "reassembly": 2048, "fragments": 2048,
           "lua_api": 8192, "control": 4096, "records": 8192}
SHORTEST = 5  # seconds of a target, however many share


def captures():
    found = [p for p in (ROOT / "examples").glob("*.pcap*")]
    for folder in ("ndpi", "ja4", "apple"):
        found += [p for p in (CAPTURES / folder).rglob("*") if p.suffix in (".pcap", ".pcapng", ".cap")]
    return sorted(found)


def in_form(content, form):
    """A property list in XML or binary; what has no such form (references of archives have none in XML) as it was."""
    try:
        return plistlib.dumps(plistlib.loads(content), fmt=form)
    except (TypeError, ValueError, plistlib.InvalidFileException):
        return content


def make_seeds(fuzz):
    """Seeds by parser and for packets; captures themselves are those of the capture target."""
    seeds = fuzz / "seeds"
    if not seeds.exists():
        subprocess.run([fuzz / "make_seeds", seeds, *captures()], check=True)
        (seeds / "host_log").mkdir()
        for path in (ROOT / "tests/fuzz/host_log.seeds", *(ROOT / "examples").glob("*.jsonl")):
            lines = path.read_bytes().splitlines(keepends=True)
            for at in range(0, min(len(lines), 40), 4):
                (seeds / "host_log" / f"{path.name}-{at}").write_bytes(b"".join(lines[at:at + 4]))
        (seeds / "audit").mkdir()
        for number, name in enumerate(("preferences.plist", "NetworkInterfaces.plist", "com.apple.networkextension.plist", "corp.mobileconfig",
                                       "LaunchDaemons/*.plist", "com.google.Chrome.plist", "hosts", "pf.conf", "resolver/*", "prefs.js",
                                       "Preferences", "pf.anchors/*")):
            for at, path in enumerate(sorted(p for p in (ROOT / "examples/audit").rglob(name) if p.is_file())):
                (seeds / "audit" / f"{number}-{at}").write_bytes(bytes([number]) + path.read_bytes())
                if path.suffix in (".plist", ".mobileconfig"):  # and in the other form, whichever it is in
                    for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
                        (seeds / "audit" / f"{number}-{at}-{form.name}").write_bytes(bytes([number]) + in_form(path.read_bytes(), form))
        make_reader_seeds(seeds)
        small = [p for p in captures() if p.stat().st_size < 65536]
        (seeds / "capture").mkdir()
        for path in small:
            (seeds / "capture" / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    return seeds


def make_reader_seeds(seeds):
    """Of readers of files that the program or its users write, of the differential targets and of the Lua API."""
    def put(target, name, content):
        (seeds / target).mkdir(exist_ok=True)
        (seeds / target / name).write_bytes(content)

    for path in (ROOT / "examples").rglob("lunette*.lua"):
        put("config", path.name, path.read_bytes())
    put("config", "words", b'interface = { "en0", "utun*" }\nworkers = 2\nset = { beacon = { score = 4 } }\n'
        b'rotate_size = "10m"\nstate_every = env("X") or 60\noutput = "tcp:[::1]:9"\n')
    for path in (ROOT / "scripts/data").glob("*"):
        if path.is_file():
            put("tables", path.name, path.read_bytes()[:6000])
    columns = "kind key hosts of flows_low flows_mid flows_high up_low up_mid up_high down_low down_mid down_high"
    columns = "\t".join((columns + " gap gap_spread hours first_seen note").split())
    figures = "1 1 1 2 3 10 20 30 40 50 60 30 1.5 7 2024-06-11T08:39:22Z".split()
    rows = "".join("\t".join([*what.split(), *figures]) + "\t\n" for what in ("volume all", "name example.com"))
    head = "# lunette baseline, format 1\n# sources: a.pcap\n# host-hours: 7\n# host: 10.0.0.1, 7 h\n"
    put("profile", "one", f"{head}{columns}\n{rows}".encode())
    examples = (ROOT / "lua-api/examples.txt").read_text().splitlines()
    for number, line in enumerate(line for line in examples if line.lstrip().startswith("{")):
        put("records", str(number), line.strip().encode() + b"\n")
    for path in ("status", "scripts", "hosts", "alerts", "top", "metrics", "flows", "cards"):
        put("control", path, f"GET /{path}\nlimit=3\nhost=10.0.0.1\n\n{{\"{path}\":[{{\"host\":\"x\"}}]}}".encode())
    for path in ("reload", "rotate", "stop", "log-level"):
        put("control", path, f"POST /{path}\nforce=1\nlevel=debug\n".encode())
    for number in range(16):  # any bytes are a program of these
        put("lua_api", str(number), random.Random(number).randbytes(100 * (number + 1)))
        in_order = bytes((32 | at & 1 | at % 3 << 2 & 4, at, 1, 10 + number, at, 0)[part] for at in range(number + 3) for part in range(6))
        put("reassembly", str(number), bytes((number & 15, number, 1, 0, 2, 0, 0, 0)) + in_order)
        pieces = [(number & 3 | 32 | (at == number) << 4, at, 0, 1) for at in range(number + 1)]
        put("fragments", str(number), bytes(part for piece in (pieces, pieces[::-1])[number & 1] for part in piece))


def run(target, fuzz, seeds, seconds):
    """(executions, features, edges reached, edges there are, corpus, findings) of one target."""
    work = fuzz / "work" / target
    corpus = work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    (seeds / target).mkdir(exist_ok=True)
    folders = [corpus, seeds / target]
    done = subprocess.run([fuzz / f"fuzz_{target}", f"-max_total_time={seconds}", f"-artifact_prefix={work}/",
                           f"-max_len={LONGEST.get(target, 16384)}", *LIMITS, *folders],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                          env=dict(os.environ, FUZZ_SEEDS=str(seeds / target)))
    (work / "log").write_text(done.stderr)
    executions = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    coverage = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    edges = re.search(r"inline 8-bit counters\): (\d+)|\((\d+) inline 8-bit counters\)", done.stderr)
    findings = [p for p in work.iterdir() if re.match(r"(crash|leak|timeout|oom)-", p.name)]
    if done.returncode != 0 and not findings:
        findings = [work / "log"]
    reached, features = map(int, coverage[-1]) if coverage else (0, 0)
    return (int(executions[1]) if executions else 0, features, reached, int(edges[1] or edges[2]) if edges else 0,
            sum(1 for _ in corpus.iterdir()), findings)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", type=pathlib.Path, default=ROOT / "build-fuzz")
    arguments.add_argument("--seconds", type=int, default=60, help="for each target")
    arguments.add_argument("--minutes", type=float, help="for all together, in equal shares, instead of --seconds")
    arguments.add_argument("targets", nargs="*", metavar="TARGET", help="such as tls or packets; all if none is named")
    options = arguments.parse_args()
    if options.seconds < 1 or options.minutes is not None and not options.minutes >= 0:
        arguments.error("--seconds and --minutes: at least a second")  # libFuzzer takes 0 and less for: without end
    options.targets = [name.removeprefix("fuzz_") for name in options.targets]
    fuzz = options.build.resolve() / "fuzz"
    known = sorted(p.name.removeprefix("fuzz_") for p in fuzz.glob("fuzz_*"))
    unknown = set(options.targets) - set(known)
    if not known:
        print(f"{fuzz}: no target is there: cmake --build {options.build} --target fuzz-targets", file=sys.stderr)
        return 2
    if unknown:
        print(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    seeds = make_seeds(fuzz)
    targets = options.targets or known
    seconds = options.seconds if options.minutes is None else max(SHORTEST, round(options.minutes * 60 / len(targets)))
    print(f"{'target':14} {'seconds':>7} {'inputs run':>11} {'a second':>9} {'features':>9} {'edges':>13} {'corpus':>7}  findings")
    failed = False
    for target in targets:
        begun = time.monotonic()
        executions, features, reached, edges, corpus, findings = run(target, fuzz, seeds, seconds)
        took = time.monotonic() - begun
        failed = failed or bool(findings)
        print(f"{target:14} {took:7.0f} {executions:11} {executions / took:9.0f} {features:9} {f'{reached}/{edges}':>13} "
              f"{corpus:7}  {', '.join(str(p) for p in findings) or 'none'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
