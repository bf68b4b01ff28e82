"""The shipped detectors in the live loop: loaded anew in the middle they tell what they tell in one go, and after a restart with
the saved state a host's card says again what is known of it. Captures are played at a pace, so no network is needed."""
import json
import pathlib
import shutil
import subprocess

import pytest

from records import BINARY
from sensor import REASON

REPO = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = REPO / "examples"

pytestmark = pytest.mark.skipif(bool(REASON), reason=str(REASON))


@pytest.fixture
def scripts(tmp_path):
    return pathlib.Path(shutil.copytree(REPO / "scripts", tmp_path / "scripts"))


def command(scripts, capture, *words):
    return [str(word) for word in (BINARY, "replay", "-q", "-o", "-", "--record", "alert,host,report", "-s", scripts, *words, capture)]


def records(output):
    return [json.loads(line) for line in output.splitlines()]


def alerts(output):
    """What the detectors said, without what differs between two processes."""
    said = [(r["timestamp"], r["alert"]["signature"], r["alert"]["severity"], json.dumps(r["lunette"], sort_keys=True))
            for r in records(output) if r["event_type"] == "alert" and r["lunette"]["detector"] != "lunette"]
    return sorted(said)


def facts(output):
    """Host → topic → text; the last record of a host counts."""
    return {r["src_ip"]: {topic: fact["text"] for topic, fact in r["host"].get("facts", {}).items()}
            for r in records(output) if r["event_type"] == "host"}


@pytest.mark.parametrize("workers", [1, 2])
def test_loaded_anew_in_the_middle_they_tell_the_same(scripts, workers):
    capture = EXAMPLES / "mac-with-implant.pcapng.gz"  # six hours
    once = subprocess.run(command(scripts, capture), capture_output=True, timeout=60)
    assert once.returncode == 0 and len(alerts(once.stdout)) > 10, once.stderr
    words = command(scripts, capture, "--pace", "2500x", "--control", "none", "-w", workers, "--host-records", 1000000, "--stats-every", 0)
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    number, texts = 0, {path: path.read_text() for path in scripts.glob("*.lua")}
    while child.poll() is None:
        number += 1
        for path, text in texts.items():
            fresh = path.with_name(path.name + ".new~")
            fresh.write_text(text + "-- %d\n" % number)
            fresh.rename(path)
        try:
            child.wait(timeout=1.5)
        except subprocess.TimeoutExpired:
            pass
    output, said = child.communicate()
    assert child.returncode == 0, said
    told = [r["sensor"]["message"] for r in records(output) if r["event_type"] == "sensor"]
    assert sum("loaded anew" in message for message in told) >= 2, told
    assert alerts(output) == alerts(once.stdout)
    # Figures of a card may be as old as the host's last packet before a reload; who it is and which topics there are is not.
    now, before = facts(output), facts(once.stdout)
    assert {host: set(card) for host, card in now.items()} == {host: set(card) for host, card in before.items()}
    assert all(now[host].get(topic) == card.get(topic) for host, card in before.items() for topic in ("identity", "phase"))


def run_with_state(scripts, capture, state):
    words = command(scripts, capture, "--pace", "20000x", "--control", "none", "--stats-every", 0, "--state", state)
    done = subprocess.run(words, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def test_after_a_restart_cards_say_again_what_is_known(scripts, tmp_path):
    state, capture = tmp_path / "state", EXAMPLES / "mac-first-boot.pcapng.gz"
    state.mkdir()
    said = []
    for _ in range(2):
        done = run_with_state(scripts, capture, state)
        said.append(facts(done.stdout)["10.10.3.115"])
    first, second = said
    assert set(second) == set(first) >= {"identity", "phase", "apple", "third parties", "visibility"}
    assert second["identity"] == first["identity"]


def test_what_workers_know_reaches_the_gathering_part_anew(scripts, tmp_path):
    """The parts save their states one after the other; here what one of them saved is lost altogether."""
    state, capture = tmp_path / "state", EXAMPLES / "mac-first-boot.pcapng.gz"
    state.mkdir()
    said = []
    for _ in range(2):
        done = run_with_state(scripts, capture, state)
        said.append(facts(done.stdout)["10.10.3.115"]["identity"])
        (gathered,) = state.glob("mac_identity*gather*")
        gathered.unlink()
    assert said[1] == said[0]
