#!/usr/bin/python3
"""Three readers of the C code that do not run it: cppcheck, clang-tidy, gcc's analyzer.

    tests/care/care.py --build build-care [--only cppcheck|clang-tidy|analyzer] [FILE…]

What they find is held against reasons.tsv: a finding whose tool, check and file stand there has been looked at, and the
reason why nothing is wrong is written beside it. Everything else is printed and makes the exit code 1; so does a reason
that no finding needs any more (when all tools ran over all files). --build is a configured build folder: it has the
compile commands and the generated sources.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REASONS = pathlib.Path(__file__).with_name("reasons.tsv")
FINDING = re.compile(r"^(?P<file>[^\s:][^:]*):(?P<line>\d+):\d+: (?:warning|error|style|performance|portability): (?P<text>.*) \[(?P<check>[^\]]+)\]$")
CPPCHECK = ["cppcheck", "--enable=warning,performance,portability", "--quiet", "--inline-suppr", "--std=c11",
            "--template={file}:{line}:{column}: {severity}: {message} [{id}]", "--template-location=",
            f"--include={pathlib.Path(__file__).with_name('loops.h')}"]
# gcc 12 loses a pointer out of sight once it is stored in a structure: what leaks is LeakSanitizer's to find, in every test.
ANALYZER = ["-fanalyzer", "-Wno-analyzer-malloc-leak", "-fdiagnostics-plain-output", "-O1"]


def commands(build, chosen):
    """The compile commands of the engine's files."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if ROOT / "engine" not in path.parents or chosen and path.resolve() not in chosen:
            continue
        yield path, entry


def found_in(text):
    for line in text.splitlines():
        match = FINDING.match(re.sub(r"\x1b\[[0-9;]*m", "", line))
        if not match:
            continue
        path = pathlib.Path(match["file"])
        path = path.resolve().relative_to(ROOT) if path.is_absolute() and ROOT in path.resolve().parents else path
        for check in match["check"].split(","):
            if not check.startswith("-Werror"):
                yield str(path), int(match["line"]), check.split(" ")[-1].lstrip("-W") if "analyzer" in check else check, match["text"]
                break


def run(command, folder=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return done.stdout + "\n" + done.stderr


def cppcheck(build, files):
    includes = [f"-I{ROOT / 'engine'}", f"-I{ROOT}", f"-I{build / 'generated'}", "-D_GNU_SOURCE", '-DLUNETTE_VERSION=""']
    yield from ((path, [*CPPCHECK, *includes, str(path)], None) for path, _ in files)


def clang_tidy(build, files):
    yield from ((path, ["clang-tidy", "--quiet", "-p", str(build), str(path)], None) for path, _ in files)


def analyzer(_, files):
    for path, entry in files:
        words = shlex.split(entry["command"])
        at = words.index("-o")
        kept = [word for word in words[1:at] + words[at + 2:] if word not in ("-c", "-Werror", "-Wall", "-Wextra")]
        yield path, [words[0], *kept, *ANALYZER, "-c", "-o", os.devnull], entry["directory"]


TOOLS = {"cppcheck": (cppcheck, "cppcheck"), "clang-tidy": (clang_tidy, "clang-tidy"), "analyzer": (analyzer, "gcc")}


def reasons():
    for line in REASONS.read_text().splitlines():
        if line and not line.startswith("#"):
            tool, check, path, why = line.split("\t")
            assert why, line
            yield tool, check, path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=pathlib.Path, help="configured build folder")
    parser.add_argument("--only", choices=TOOLS)
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="C files of engine/ (default: all)")
    options = parser.parse_args()
    files = list(commands(options.build.resolve(), {path.resolve() for path in options.files}))
    there = {path.resolve() for path, _ in files}
    for path in options.files:
        if path.resolve() not in there:
            parser.error(f"{path}: {options.build} compiles no such file of engine/")
    if not files:
        parser.error(f"{options.build} was configured for another folder of sources: it compiles nothing of engine/ here")
    known, needed, left = set(reasons()), set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for tool, (make, program) in TOOLS.items():
            if options.only not in (None, tool):
                continue
            if not shutil.which(program):
                print(f"skipped: {program} is not installed")
                continue
            seen, looked_at = set(), 0
            for text in pool.map(lambda job: run(*job[1:]), make(options.build.resolve(), files)):
                for path, line, check, what in found_in(text):
                    if (path, line, check, what) in seen or not path.startswith("engine/"):
                        continue
                    seen.add((path, line, check, what))
                    if (tool, check, path) in known:
                        needed.add((tool, check, path))
                        looked_at += 1
                        continue
                    left += 1
                    print(f"{path}:{line}: {what} [{tool}: {check}]", flush=True)
            print(f"{tool}: {len(files)} files, {looked_at} findings with a reason, {len(seen) - looked_at} without", flush=True)
    if not options.only and not options.files:
        for stale in sorted(known - needed):
            left += 1
            print(f"reasons.tsv: nothing needs the line {' '.join(stale)}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
