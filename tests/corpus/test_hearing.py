"""Alerts that a script hears of all others (lunette.receive_alerts): each one that the records have, from workers and from parts
that gather, with its fields, in one order for any number of workers and any batch.

The oracle is the alerts' own records."""
import json
import re

import pytest

from captures import EXAMPLES, PCAPS, SCRIPTS, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

CUTS = [(workers, batch) for workers in (1, 2, 3, 4) for batch in (1, 7, 1024)]
REAL = """ndpi/1kxun.pcap ndpi/dns-tunnel-iodine.pcap ndpi/netflix.pcap ja4/latest.pcapng""".split()
DOCUMENT = EXAMPLES / "document.pcapng.gz"
WITH_LOG = {DOCUMENT: ("--host-log", "192.168.7.23=" + str(EXAMPLES / "document.eslogger.jsonl"))}

# Alerts of all kinds: of events, of timers in a worker that follow them, of the end; of parts that gather, by message and timer.
NOISY = """
local lunette = require "lunette"
lunette.on("dns", { type = "query" }, function(e)
    lunette.alert { title = "asked", who = e.client_ip, where = e.rrname, key = e.client_ip .. e.rrname, cooldown = 3600,
        evidence = { name = e.rrname, list = { 1, "two", { three = true } } }, score = 1.5, confidence = 0.25, attack = { "T1071.004" } }
    lunette.send(e.rrname, e.client_ip)
end)
lunette.on("tls", function(e) lunette.alert { title = "hello", who = e.client_ip, where = e.sni, severity = "low" } end)
lunette.gather(function()
    lunette.receive(function(name, client, time)
        lunette.alert { title = "gathered", who = client, where = name, severity = "info" }
    end)
    lunette.every(20, function() lunette.alert { title = "gathering timer", severity = "info" } end)
    lunette.on_end(function() lunette.alert { title = "gathering end", severity = "info" } end)
end)
"""

LISTENER = """
local lunette = require "lunette"
lunette.on("onset", function(e) lunette.send("onset", e.client_ip) end)
lunette.on_end(function(now) lunette.alert { title = "of the listener's own worker part", severity = "info" } end)
lunette.gather(function()
    local last = 0
    local number = 0
    local function say(what, a)
        number = number + 1
        lunette.alert { title = what, severity = "info", evidence = { n = number, heard = a } }
    end
    lunette.receive(function(key, value) say("message", { who = value }) end)
    lunette.receive_alerts(function(a)
        if a.time < last then error("out of order") end
        last = a.time
        a.flow_id = nil -- workers number their own flows
        say("heard", a)
    end)
    lunette.every(30, function(now) say("timer", { now = now }) end)
    lunette.on_end(function(now) say("end", { now = now }) end)
end)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "noisy.lua").write_text(NOISY)
    (folder / "listener.lua").write_text(LISTENER)
    return [folder / "noisy.lua", folder / "listener.lua"]


def samples():
    found = sorted(EXAMPLES.glob("*.pcap*")) + [PCAPS / name for name in REAL if (PCAPS / name).exists()]
    assert found
    return found


def said(scripts, capture, workers, batch):
    options = [word for script in scripts for word in ("-s", script)]
    done = replay(*options, "-q", "-o", "-", "--record", "alert", "-w", workers, "--batch", batch, *WITH_LOG.get(capture, ()), capture)
    assert done.returncode == 0, done.stderr
    return re.sub(rb'"flow_id":\d+,', b"", done.stdout)


def alerts_of(output):
    return [json.loads(line) for line in output.splitlines()]


def own_part(alert):
    return {**alert["lunette"], "title": alert["alert"]["signature"], "time": alert["timestamp"]}


def of_listener(output):
    return [line for line in output.splitlines() if b'"detector":"listener"' in line and b"own worker part" not in line]


@pytest.mark.parametrize("capture", samples(), ids=lambda path: path.name)
def test_neither_workers_nor_batches_show(scripts, capture):
    outputs = dict(zip(CUTS, two_at_a_time(lambda cut: of_listener(said(scripts, capture, *cut)), CUTS)))
    assert {cut for cut, output in outputs.items() if output != outputs[1, 1]} == set()
    assert len(outputs[1, 1]) > 1


def test_each_alert_is_heard_once_with_its_fields(scripts):
    heard_of, severities = set(), {1: "high", 2: "medium", 3: "low", 4: "info"}
    for capture in samples():
        output = alerts_of(said([SCRIPTS, *scripts], capture, 2, 64))
        own = [own_part(a)["evidence"] for a in output if a["lunette"]["detector"] == "listener" and a["alert"]["signature"] == "heard"]
        others = [a for a in output if a["lunette"]["detector"] not in ("listener", "story")]

        def key(detector, title, who, where, why, severity):
            return detector, title, who or "", where or "", why or "", severity

        told = sorted(key(a["lunette"]["detector"], a["alert"]["signature"], a["lunette"].get("who"), a["lunette"].get("where"),
                          a["lunette"].get("why"), severities[a["alert"]["severity"]]) for a in others)
        heard = [e["heard"] for e in own]
        assert sorted(key(a["detector"], a["title"], a["who"], a["where"], a["why"], a["severity"]) for a in heard
                      if a["detector"] != "story") == told
        heard_of |= {(a["detector"], a["title"]) for a in heard}
        for a in heard:
            if a["title"] == "asked":
                assert a["evidence"]["name"] == a["where"] and a["score"] == 1.5 and a["confidence"] == 0.25
                assert a["attack"] == "T1071.004" and a["client_ip"] == a["who"] and a["server_port"]
            if a["title"] == "hello" and a["where"]:
                assert a["server_name"] == a["where"]
    assert {("noisy", title) for title in ("asked", "hello", "gathered", "gathering timer", "gathering end")} <= heard_of
    assert any(detector not in ("noisy", "listener") for detector, _ in heard_of)


def test_programs_come_with_them(scripts):
    output = alerts_of(said([SCRIPTS, *scripts], DOCUMENT, 1, 1024))
    heard = [a["lunette"]["evidence"]["heard"] for a in output if a["alert"]["signature"] == "heard"]
    of_curl = [a for a in heard if a.get("path", "").endswith("/curl")]
    assert of_curl and all(a["program"] == "curl" and a["pid"] > 0 and "launchd" in a["ancestry"] for a in of_curl)


def test_what_a_cooldown_holds_back_is_not_heard(scripts):
    capture = EXAMPLES / "mac-install.pcapng.gz"
    output = alerts_of(said(scripts, capture, 1, 1024))
    heard = [a["lunette"]["evidence"]["heard"] for a in output if a["alert"]["signature"] == "heard"]
    asked = [(a["who"], a["where"]) for a in heard if a["title"] == "asked"]
    assert asked and len(asked) == len(set(asked))


WRONG = [
    ('lunette.receive_alerts(print)', "call it in the function that is given to lunette.gather"),
    ('lunette.gather(function() lunette.receive_alerts(7) end)', "a function is expected, got number"),
    ('lunette.gather(function() lunette.receive_alerts(print) lunette.receive_alerts(print) end)', "and this is the second"),
]


@pytest.mark.parametrize("body,message", WRONG)
def test_mistakes_are_told(tmp_path, body, message):
    script = tmp_path / "wrong.lua"
    script.write_text('local lunette = require "lunette"\n' + body + "\n")
    done = replay("-s", script, "-q", EXAMPLES / "tools.pcap")
    assert done.returncode == 1 and message.encode() in done.stderr and b"wrong.lua:2" in done.stderr
