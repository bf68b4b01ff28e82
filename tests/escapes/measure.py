"""How long a worker is held up by a handler that is stopped, and whether the other detectors notice. For people:

    python3 tests/escapes/measure.py [RUNS]

The shipped detectors run over a sample capture, alone and beside a bad one. "held up" is how much more CPU time the run took
(on a machine of its own that is also the time by the clock on the wall); "seen" is what the watchdog told."""
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
CAPTURE = REPO / "examples" / "mac-with-implant.pcapng.gz"
LIMIT = 2.0
BAD = {
    "compiled loop": "local n = 0 while true do n = n + 1 end",
    "interpreted loop": "while true do local f = function() return e end end",
    "pcall in a loop": "while true do pcall(error, 'x') end",
    "pattern": "string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
    "memory bomb": "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
}
TEXT = 'local lunette = require "lunette"\nlunette.on("dns", { type = "query" }, function(e)\n%s\nend)\n'


def cpu_time():
    """Of all runs so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(scripts):
    began = cpu_time()
    done = subprocess.run([LUNETTE, "replay", "-q", "-o", "-", "--record", "alert", "-s", scripts, CAPTURE],
                          capture_output=True, timeout=120)
    taken = cpu_time() - began
    lines = done.stdout.splitlines()
    bad = [json.loads(line) for line in lines if json.loads(line)["lunette"]["detector"] == "bad"]
    return taken, [line for line in lines if json.loads(line)["lunette"]["detector"] != "bad"], bad, done


def main(runs):
    with tempfile.TemporaryDirectory() as folder:
        scripts = pathlib.Path(folder) / "scripts"
        shutil.copytree(REPO / "scripts", scripts)
        alone = [run(scripts) for _ in range(runs)]
        usual, expected = statistics.median(r[0] for r in alone), alone[0][1]
        print(f"{len(expected)} alerts of the shipped detectors; a run takes {usual:.2f} s. Limit {LIMIT:g} s. Medians of {runs}.")
        for name, body in BAD.items():
            (scripts / "bad.lua").write_text(TEXT % body)
            results = [run(scripts) for _ in range(runs)]
            same = all(r[1] == expected for r in results)
            held = statistics.median(r[0] for r in results) - usual
            seen = [r[2][0]["lunette"]["evidence"]["taken_seconds"] for r in results if r[2]]
            told = f"{statistics.median(seen):.2f} s seen, {held - LIMIT:+.2f} s beyond the limit" if seen else "out of memory"
            print(f"  {name:18} held up {held:5.2f} s  ({told});  others {'the same, byte for byte' if same else 'DIFFER'};"
                  f"  exit code {results[0][3].returncode}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
