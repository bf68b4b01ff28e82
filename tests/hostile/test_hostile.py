"""Floods: lunette lives, stays in its bounds, says what it let go of, and still finds the implant that is in the middle of it.

README.md says what each kind is for, bounds.py what memory is held against. Sizes are small here, with bounds that are small
as well; measure.py has the full ones."""

import functools
import os
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import bounds  # noqa: E402
from floods import BINARY, FLOOD, KINDS, ROOT, figure, run  # noqa: E402

SANITIZED = os.environ.get("LUNETTE_SANITIZE") == "1"
PACKETS = 1500 if SANITIZED else 6000
SAMPLE = ROOT / "examples" / "mac-with-implant.pcapng.gz"
SAMPLE_START, SAMPLE_SPAN = 1718093000, 19000  # 2024-06-11 08:03:20 UTC, and to 13:20: the implant's working hours
MAX_FLOWS, SCRIPT_MEMORY, LARGEST = 512, 128, 1600
# In the first day of a fleet of ten clients or more, beacon.lua takes every name for one that may be old: it did not see what came before.
# The sample is three clients, to which that does not apply; a flood makes it a fleet. This turns the rule off in both.
KNOWN_FLEET = ["--set", "beacon.learning=0"]

pytestmark = pytest.mark.skipif(not BINARY.exists() or not FLOOD.exists(), reason="lunette or flood is not built")

# What must have been let go of, and is told in the record of statistics.
COUNTED = {
    "syn-flood": ["flow.evicted"],
    "flows": ["flow.evicted"],
    "fragments": ["decoder.fragments_unjoined", "decoder.fragment_overlaps"],
    "overlaps": ["tcp.gap_bytes"],
    "tunnels": ["flow.evicted", "decoder.invalid"],
}


@functools.lru_cache(maxsize=None)
def without_flood():
    """What the sample alone gives, with a single packet beside it."""
    return run("clean", 1, sample=SAMPLE, start=SAMPLE_START, options=KNOWN_FLEET)


@functools.lru_cache(maxsize=None)
def at_rest(scripts):
    return run("clean", 1, scripts=scripts).peak


def lives(result):
    assert result.status == 0, result.error
    assert "Sanitizer" not in result.error and "runtime error" not in result.error, result.error
    assert figure(result.stats, "detect.errors") == 0, result.error
    assert figure(result.stats, "detect.off") == 0, result.error


@pytest.mark.parametrize("kind", KINDS)
def test_detectors_stay_and_find_what_is_in_the_flood(kind):
    """All detectors; the capture of a Mac with an implant is merged with the flood by time. The clock's flood moves time as it
    likes, so it begins when the sample is over."""
    if SANITIZED and kind not in ("mixed", "clock"):
        result = run(kind, PACKETS, options=["--max-flows", MAX_FLOWS], timeout=300)
        lives(result)
        return
    start = SAMPLE_START + 30000 if kind == "clock" else SAMPLE_START
    result = run(kind, PACKETS, sample=SAMPLE, start=start, span=SAMPLE_SPAN, timeout=300,
                 options=["--max-flows", 262144, "--script-memory", SCRIPT_MEMORY, *KNOWN_FLEET])
    lives(result)
    missing = without_flood().alerts - result.alerts
    assert not missing, "the flood hid these"
    if SANITIZED:
        return
    bound = bounds.bound(without_flood().peak, 262144, SCRIPT_MEMORY, PACKETS * LARGEST)
    assert result.peak < bound


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_stays_in_its_bounds_and_counts(kind):
    """All events, no detectors, few flows: what there is to fill is full, so twice the packets take no more memory."""
    options = ["--max-flows", MAX_FLOWS]
    once = run(kind, PACKETS * 2, scripts=False, options=options, everything=True, span=20, timeout=300)
    lives(once)
    for name in COUNTED.get(kind, []):
        assert figure(once.stats, name) > 0, name
    if figure(once.stats, "flow.evicted"):
        assert "flows given up because the flow table was full" in once.summary
    if SANITIZED:
        pytest.skip("memory under the sanitizers is theirs, not lunette's; the rest holds")
    twice = run(kind, PACKETS * 4, scripts=False, options=options, everything=True, span=20, timeout=300)
    lives(twice)
    bound = bounds.bound(at_rest(False), MAX_FLOWS, 0, PACKETS * 4 * LARGEST, scripts=False)
    assert once.peak < bound and twice.peak < bound
    # What has a bound of its own above these sizes: reassembly (256 MiB), fragments (16 MiB), cards (32 MiB), names (20 MiB).
    own = {"overlaps": 256, "fragments": 16, "hosts": 32, "tunnels": 48, "names": 21, "mixed": 64, "events": 32, "flows": 32}
    assert twice.peak - once.peak < (own.get(kind, 8) + 8) * bounds.MIB


@pytest.mark.parametrize("workers", [2])
def test_two_workers_and_small_batches_say_the_same(workers):
    """The same alerts from the mixed flood, however it is dealt and cut."""
    alone = run("mixed", PACKETS)
    for options in (["-w", workers], ["--batch", 7]):
        other = run("mixed", PACKETS, options=options, timeout=300)
        lives(other)
        assert other.alerts == alone.alerts and other.alert_count == alone.alert_count


@pytest.mark.parametrize("kind", ["hello-bytes", "headers", "fragments"])
def test_the_live_loop_lives_too(kind):
    """Through the loop of the live sensor (--pace), as fast as it goes: nobody is off, and a packet is a packet there too."""
    result = run(kind, PACKETS, options=["--pace", "100x", "--state", "none", "--control", "none", "--no-watch"], span=100, timeout=300)
    lives(result)
    direct = run(kind, PACKETS, span=100, timeout=300)
    assert PACKETS <= figure(result.stats, "capture.packets") == figure(direct.stats, "capture.packets")
    assert result.alerts == direct.alerts


def test_a_flood_is_the_same_flood_every_time():
    import subprocess

    def bytes_of(*words):
        return subprocess.run([str(FLOOD), *words, "--packets", "3000"], capture_output=True, check=True).stdout

    for kind in KINDS:
        assert bytes_of(kind) == bytes_of(kind), kind
        assert bytes_of(kind) != bytes_of(kind, "--seed", "2"), kind
