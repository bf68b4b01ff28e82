"""Eight Macs that have to do with each other: what cloud_c2, exfil, reverse_shell and lateral find does not depend on how many workers share
the hosts, nor on the size of batches. What a worker knows of one host only (is the server a Mac, too?) shows here."""
import collections
import json
import pathlib
import subprocess

import pytest

from run_lunette import BINARY

HERE = pathlib.Path(__file__).resolve().parent
DETECTORS = ("cloud_c2", "exfil", "reverse_shell", "lateral")


def found(capture, *options):
    scripts = [word for name in DETECTORS for word in ("-s", str(HERE.parents[1] / "scripts" / (name + ".lua")))]
    done = subprocess.run([BINARY, "replay", *scripts, "-q", "-o", "-", "--record", "alert", *options, capture], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    for alert in alerts:
        alert.pop("flow_id", None)
    return sorted(json.dumps(alert, sort_keys=True) for alert in alerts)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    folder = tmp_path_factory.mktemp("eight")
    done = subprocess.run([BINARY, "test", "--once", "--keep", folder, HERE / "eight_macs.lua"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.pcapng")
    return made


def test_workers_and_batches_do_not_show(capture):
    one = found(capture)
    by_detector = collections.Counter(json.loads(alert)["lunette"]["detector"] for alert in one)
    assert by_detector["cloud_c2"] >= 8 and by_detector["exfil"] >= 8 and by_detector["reverse_shell"] >= 8 and by_detector["lateral"] >= 8
    assert any("both are Macs" in alert for alert in one)
    for options in (("--batch", "1"), ("--batch", "1024"), ("-w", "2"), ("-w", "3", "--batch", "7"), ("-w", "4")):
        assert found(capture, *options) == one, options
