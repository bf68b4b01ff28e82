"""Where the program and the captures are, and the two ways in which the tests here run them."""
import concurrent.futures
import functools
import json
import os
import pathlib
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
SCRIPTS = REPO / "scripts"
EXAMPLES = REPO / "examples"
PCAPS = pathlib.Path(os.environ.get("LUNETTE_PCAPS", str(REPO.parent / "shared" / "pcaps")))
NAMES = (".pcap", ".pcapng", ".cap")
HANG = 60  # seconds after which a run is called a hang; no run comes near it

needs_lunette = pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary")


def captures(*folders):
    """The captures below these folders (of all, without any), in the order of their names."""
    roots = [PCAPS / folder for folder in folders] or [PCAPS]
    found = sorted(path for root in roots if root.is_dir() for path in root.rglob("*") if path.suffix in NAMES)
    if not found:
        pytest.skip("no captures")
    return found


def run(*arguments, timeout=HANG, **options):
    """The program with these arguments; output as bytes."""
    return subprocess.run([LUNETTE, *map(str, arguments)], capture_output=True, timeout=timeout, **options)


def replay(*arguments, **options):
    return run("replay", *arguments, **options)


@functools.lru_cache(maxsize=None)
def event_kinds():
    """Names of all events that become records, but for those of each packet and each stretch of a stream."""
    return sorted(json.loads(run("events", "--json").stdout).keys() - {"head", "packet", "stream"})


def two_at_a_time(function, items):
    """[function(item) …] in order, computed by two threads that mostly wait for processes."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))
