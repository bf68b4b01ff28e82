#!/usr/bin/python3
"""Runs a build made with LUNETTE_PROFILE=train through what lunette does all day: `./bootstrap release` calls it.

    tests/bench/train.py --build build-release

Replays of a mix of captures (bench's own, a small one) with all detectors and records, without scripts, and with two
workers, which skip what is not theirs. What the engine meets there is what the compiler takes for usual.
"""

import argparse
import pathlib
import subprocess
import tempfile

from workloads import ROOT, captures

MIX_BYTES = 40_000_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="folder of the build to train")
    build = pathlib.Path(parser.parse_args().build).resolve()
    replay = [str(build / "lunette"), "replay", "-q"]
    detectors = [word for script in sorted((ROOT / "scripts").glob("*.lua")) if not script.stem.endswith("_test")
                 for word in ("-s", str(script))]
    with tempfile.TemporaryDirectory(prefix="lunette-train-") as folder:
        mix = str(pathlib.Path(folder) / "mix.pcap")
        flows = str(pathlib.Path(folder) / "flows.pcap")
        make = [str(build / "bench" / "make_mix"), "--out"]
        subprocess.run([*make, mix, "--bytes", str(MIX_BYTES), *map(str, captures())], check=True)
        subprocess.run([*make, flows, "--flows", "20000", "--packets", "1000000"], check=True)
        for options in (["--no-scripts", mix], [*detectors, mix], [*detectors, "-o", "/dev/null", mix],
                        ["-w", "2", "--no-scripts", mix], ["--no-scripts", flows]):
            subprocess.run([*replay, *options], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
