"""Scripts are changed under load, many times: no packet, no event and no alert may suffer.

LUNETTE_RELOADS=1000 takes the figure that README.md has; the default is for every day."""

import json
import os

import pytest

from needs import needs_rooms, needs_sensor
from records import kind
from wire import Wire, check_counts, of_counting

pytestmark = [needs_rooms, needs_sensor]

RELOADS = int(os.environ.get("LUNETTE_RELOADS", "200"))
SANITIZED = os.environ.get("LUNETTE_SANITIZE") == "1"
RATE = 500 if SANITIZED else 2000  # queries a second


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_under_load(workers):
    with Wire() as wire:
        sensor = wire.sensor("-w", workers, "--no-watch").start()
        sender = wire.load(RATE)
        sensor.wait_status(lambda s: s["packets"] > 0, "the load to arrive")
        for number in range(RELOADS):
            # The script, its data file, and (forced) nothing at all: each loads the detector anew.
            if number % 3 == 0:
                wire.script(f"-- change {number}\n")
            elif number % 3 == 1:
                wire.words(f"word{number}")
            code, answer = sensor.reload(force=number % 3 == 2)
            assert code == 200, answer
        sent = wire.finish(sender)
        status = sensor.wait_status(lambda s: s["packets"] >= sent, f"{sent} packets")
        code = sensor.stop()
        records = sensor.records()
    assert code == 0, sensor.tail()
    assert status["packets"] == sent > RELOADS
    assert status["dropped"] == status["interface_dropped"] == 0
    assert all(output["lost"] == 0 and output["healthy"] for output in status["outputs"])
    assert status["reloads"]["done"] == RELOADS and status["reloads"]["failed"] == 0
    check_counts(records, sent)
    told = [r for r in kind(records, "sensor") if "reload" in json.dumps(r).lower()]
    assert len(told) >= RELOADS
    words = {a["lunette"]["evidence"]["word"] for a in of_counting(records)}
    assert len(words) > 1, "the data file was never read anew"
    print(f"\n{RELOADS} reloads with {workers} worker(s) at {RATE} packets/s: {sent} packets and events, 0 lost; "
          f"{len(kind(records, 'alert'))} alerts, none doubled or missed; longest pause {1000 * status['reloads']['longest_pause']:.2f} ms")
