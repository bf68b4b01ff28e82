"""What gathers over workers, in the live loop: captures are played at a pace, so no network is needed.

It tells what a fast replay tells; reloads lose no message and no state; state is there again after a restart, with another number
of workers."""
import json
import pathlib
import re
import subprocess

import pytest

from records import BINARY
from sensor import REASON

REPO = pathlib.Path(__file__).resolve().parents[2]
CAPTURE = REPO / "examples" / "mac-with-implant.pcapng.gz"  # six hours
PACE = "4000x"

pytestmark = pytest.mark.skipif(bool(REASON), reason=str(REASON))

SCRIPT = """
local lunette = require "lunette"
lunette.on("dns", { type = "query" }, function(e) lunette.send("dns", e.rrname or "") end)
lunette.on("tls", function(e) lunette.send("tls", { name = e.sni or "" }) end)
lunette.gather(function()
    local seen = lunette.state("seen", { max = 100000 })
    local own = { n = 0, hours = 0 }
    lunette.state("own", { max = 1 }):set("all", own)
    lunette.every(3600, function(now) own.hours = own.hours + 1 end)
    lunette.receive(function(kind, value, time)
        own.n = own.n + 1
        local name = kind .. " " .. (type(value) == "table" and value.name or value)
        if seen:get(name) then return end
        seen:set(name, true)
        lunette.alert { title = "first", where = name, why = ("%d messages, %d hours"):format(own.n, own.hours) }
    end)
    lunette.on_end(function() lunette.report { title = "all", columns = { "messages", "hours" }, rows = { { own.n, own.hours } } } end)
end)
"""


def command(script, *words):
    return [str(word) for word in (BINARY, "replay", "-q", "-o", "-", "--record", "alert,report", "-s", script, *words, CAPTURE)]


def without_flow_ids(output):
    return re.sub(rb'"flow_id":\d+,', b"", output)


def own_records(output):
    """Alerts and reports of the detector; what the sensor says of itself is left out."""
    return [line for line in without_flow_ids(output).splitlines()
            if json.loads(line)["event_type"] in ("alert", "report") and b'"lunette":{"detector":"lunette"' not in line]


def fast(script):
    done = subprocess.run(command(script), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return own_records(done.stdout)


def paced(script, *words):
    return subprocess.Popen(command(script, "--pace", PACE, "--control", "none", "--stats-every", 0, *words), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def replace(path, text):
    fresh = path.with_name(path.name + ".new~")
    fresh.write_text(text)
    fresh.rename(path)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "gathering.lua"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("workers", [1, 3])
def test_it_tells_what_a_fast_replay_tells(script, workers):
    child = paced(script, "-w", workers)
    output, said = child.communicate(timeout=100)
    assert child.returncode == 0, said
    assert own_records(output) == fast(script)


def test_reloads_lose_nothing(script):
    """Saved anew again and again, by turns so that it loads and so that it does not."""
    child = paced(script, "-w", 2)
    number = 0
    while child.poll() is None:
        number += 1
        replace(script, SCRIPT.replace("lunette.receive(", "lunette.recieve(") if number % 4 == 2 else SCRIPT + f"-- {number}\n")
        try:
            child.wait(timeout=0.4)
        except subprocess.TimeoutExpired:
            pass
    output, said = child.communicate()
    assert child.returncode == 0, said
    told = [r["sensor"]["message"] for r in map(json.loads, output.splitlines()) if r["event_type"] == "sensor"]
    assert sum("loaded anew" in message for message in told) >= 5, told
    assert sum("the old scripts go on" in message and ":10:" in message for message in told) >= 2, told
    script.write_text(SCRIPT)
    assert own_records(output) == fast(script)


def test_state_is_good_for_another_number_of_workers(script, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    first = paced(script, "-w", 2, "--state", state)
    output, said = first.communicate(timeout=100)
    assert first.returncode == 0, said
    assert (state / "gathering.gathered.state").exists()
    alerts = [line for line in own_records(output) if b'"alert"' in line]
    assert len(alerts) > 20

    again = paced(script, "-w", 3, "--state", state)
    output, said = again.communicate(timeout=100)
    assert again.returncode == 0, said
    once_more = [line for line in own_records(output) if b'"event_type":"alert"' in line]
    assert len(once_more) < 3, "what was known is told as new"
    messages = int(json.loads(own_records(output)[-1])["report"]["rows"][0][0])
    once = int(json.loads(fast(script)[-1])["report"]["rows"][0][0])
    assert 2 * once - 20 <= messages <= 2 * once  # what had come last before the end was not in the saved state


def test_packets_around_a_gathered_alert_are_kept(script, tmp_path):
    """The flow belongs to a worker and the alert is raised by another thread: the file has that flow's packets."""
    files = tmp_path / "packets"
    done = paced(script, "-w", 2, "--pcap-on-alert", files, "--pcap-files", 1000)
    output, why = done.communicate(timeout=60)
    assert done.returncode == 0, why
    alerts = [json.loads(line) for line in output.splitlines() if b'"signature":"first"' in line]
    kept = [a for a in alerts if "pcap_file" in a["lunette"]]
    assert len(kept) >= 16  # a burst; after that so many a second
    for alert in kept[:8]:
        flows = subprocess.run([str(BINARY), "replay", "-q", "--no-scripts", "-o", "-", "--record", "flow", alert["lunette"]["pcap_file"]],
                               capture_output=True, timeout=60, check=True).stdout
        ports = {(json.loads(line)["src_ip"], json.loads(line).get("src_port")) for line in flows.splitlines()}
        assert (alert["src_ip"], alert.get("src_port")) in ports
