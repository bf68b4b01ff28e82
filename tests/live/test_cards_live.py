"""Hosts' cards of a sensor that runs: asked for over the control socket while packets come, written as records now and then and at
the end. A capture played at its own pace is enough; no interface is opened."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from records import BINARY
from rooms import wait_for
from sensor import REASON

REPO = pathlib.Path(__file__).resolve().parents[2]
CAPTURE = REPO / "examples" / "programs.pcapng.gz"
TELLER = """
local lunette = require "lunette"
lunette.on("dns", function(e) lunette.fact(e.client_ip, "identity", { "a Mac", "by its name" }, { same_as = { "fe80::1" } }) end)
lunette.on("flow", function(e) lunette.alert { title = "Ended", severity = "info", who = e.client_ip, why = "x" } end)
"""

pytestmark = pytest.mark.skipif(bool(REASON), reason=str(REASON))


@pytest.fixture(params=["1", "3"])
def sensor(request, tmp_path):
    (tmp_path / "teller.lua").write_text(TELLER)
    command = [BINARY, "replay", "--pace", "1x", "-w", request.param, "--control", tmp_path / "control", "-s", tmp_path / "teller.lua", "-q",
               "--host-records", "1", "--record", "host", "-o", tmp_path / "out.jsonl", CAPTURE]
    with open(tmp_path / "said", "wb") as errors:
        process = subprocess.Popen(list(map(str, command)), stderr=errors)
    process.folder = tmp_path
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def ask(folder, *words):
    environment = {**os.environ, "LUNETTE_SOCKET": str(folder / "control"), "TERM": "dumb"}
    return subprocess.run([str(BINARY), *words], capture_output=True, text=True, timeout=30, env=environment)


def test_a_running_sensor_is_asked(sensor):
    folder = sensor.folder

    def known():
        assert sensor.poll() is None, (folder / "said").read_text()
        said = ask(folder, "hosts")
        return said.stdout if "a Mac" in said.stdout and "programs" in said.stdout else None

    page = wait_for(known, 60, "a card")
    assert page.startswith("  192.168.7.23  a Mac\n") and "identity       by its name" in page and "also           fe80::1" in page
    assert "info: Ended" in page
    one = ask(folder, "ctl", "cards", "192.168.7.23")
    assert one.returncode == 0 and one.stdout.startswith("  192.168.7.23  a Mac\n")
    record = json.loads(ask(folder, "hosts", "--json", "--host", "192.168.7.23").stdout)
    assert record["event_type"] == "host" and record["host"]["facts"]["identity"]["text"] == ["a Mac", "by its name"]
    answer = json.loads(ask(folder, "ctl", "--json", "cards", "--limit", "1").stdout)
    assert len(answer["cards"]) == 1
    assert "nothing is known" in ask(folder, "hosts", "--host", "192.0.2.1").stdout
    assert ask(folder, "ctl", "cards", "nobody").returncode == 1

    def recorded():
        lines = (folder / "out.jsonl").read_text().splitlines() if (folder / "out.jsonl").exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    wait_for(lambda: [r for r in recorded() if r["host"].get("facts")], 30, "a record")
    before = len(recorded())
    sensor.send_signal(signal.SIGTERM)
    sensor.wait(30)
    last = recorded()
    assert len(last) > before and {r["event_type"] for r in last} == {"host"}
    final = [r for r in last if r["src_ip"] == "192.168.7.23"][-1]["host"]
    assert final["facts"]["identity"]["text"] == ["a Mac", "by its name"] and final["findings"][0]["title"] == "Ended"
