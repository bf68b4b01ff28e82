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
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAPTURES = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT / "../shared/pcaps"))
LIMITS = ["-rss_limit_mb=4096", "-timeout=10", "-print_final_stats=1"]
LONGEST = {"packets": 24576, "capture": 65536, "host_log": 65536, "audit": 65536}


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
        small = [p for p in captures() if p.stat().st_size < 65536]
        (seeds / "capture").mkdir()
        for path in small:
            (seeds / "capture" / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    return seeds


def run(target, fuzz, seeds, seconds):
    """(executions, features of coverage, findings) of one target."""
    work = fuzz / "work" / target
    corpus = work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus] + [seeds / target] * (seeds / target).is_dir()
    done = subprocess.run([fuzz / f"fuzz_{target}", f"-max_total_time={seconds}", f"-artifact_prefix={work}/",
                           f"-max_len={LONGEST.get(target, 16384)}", *LIMITS, *folders],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    (work / "log").write_text(done.stderr)
    executions = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    coverage = re.findall(r"ft: (\d+)", done.stderr)
    findings = [p for p in work.iterdir() if re.match(r"(crash|leak|timeout|oom)-", p.name)]
    if done.returncode != 0 and not findings:
        findings = [work / "log"]
    return int(executions[1]) if executions else 0, int(coverage[-1]) if coverage else 0, findings


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", type=pathlib.Path, default=ROOT / "build-fuzz")
    arguments.add_argument("--seconds", type=int, default=60, help="for each target")
    arguments.add_argument("targets", nargs="*", metavar="TARGET", help="such as tls or packets; all if none is named")
    options = arguments.parse_args()
    fuzz = options.build.resolve() / "fuzz"
    known = sorted(p.name.removeprefix("fuzz_") for p in fuzz.glob("fuzz_*"))
    unknown = set(options.targets) - set(known)
    if not known or unknown:
        print(f"{fuzz}: there is no {', '.join(sorted(unknown)) or 'target'}: build fuzz-targets", file=sys.stderr)
        return 2
    seeds = make_seeds(fuzz)
    print(f"{'target':14} {'seeds':>6} {'seconds':>8} {'inputs run':>12} {'features':>9}  findings")
    failed = False
    for target in options.targets or known:
        count = len(list((seeds / target).glob("*")))
        begun = time.monotonic()
        executions, features, findings = run(target, fuzz, seeds, options.seconds)
        failed = failed or bool(findings)
        print(f"{target:14} {count:6} {time.monotonic() - begun:8.0f} {executions:12} {features:9}  "
              f"{', '.join(str(p) for p in findings) or 'none'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
