"""What is gathered over workers is the same for any number of them and any batch: byte for byte, in the order in which it is
written. A small detector that asks "first seen in the fleet?" of everything, and the example that asks it of domains; over the
samples and over captures of several hosts.

The oracle for what is found is a count over the events' own records, made here."""
import json
import re

import pytest

from captures import EXAMPLES, PCAPS, REPO, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

# Several hosts each.
REAL = """ndpi/1kxun.pcap ndpi/netflix.pcap ndpi/dns-tunnel-iodine.pcap ndpi/fuzz-2006-06-26-2594.pcap ndpi/socks.pcap
    ja4/latest.pcapng ja4/macos_tcp_flags.pcap""".split()
CUTS = [(workers, batch) for workers in (1, 2, 3, 4) for batch in (1, 7, 1024)]

# The domains of DNS queries, the servers of flows, and TLS names: who was first, and how many knew it in the end.
FIRST = """
local lunette = require "lunette"
local function tell(kind, name, client) if name then lunette.send(kind .. " " .. name, client) end end
lunette.on("dns", { type = "query" }, function(e) tell("dns", e.rrname, e.client_ip) end)
lunette.on("tls", function(e) tell("tls", e.sni, e.client_ip) end)
lunette.on("flow", function(e) lunette.send("flow " .. e.server_ip, { client = e.client_ip, bytes = e.client_bytes }) end)
lunette.gather(function()
    local clients, count = lunette.state("clients", { max = 100000 }), lunette.state("count", { max = 100000 })
    local names = {}
    lunette.receive(function(name, value, time)
        local client = type(value) == "table" and value.client or value
        if not count:get(name) then
            names[#names + 1] = name
            lunette.alert { title = "first in the fleet", who = client, where = name, why = ("%.6f"):format(time),
                evidence = type(value) == "table" and value or nil }
        end
        if clients:get(name .. " " .. client) then return end
        clients:set(name .. " " .. client, true)
        count:set(name, (count:get(name) or 0) + 1)
    end)
    lunette.every(60, function(now) lunette.alert { title = "minute", why = #names .. " names" } end)
    lunette.on_end(function()
        table.sort(names)
        local rows = {}
        for i, name in ipairs(names) do rows[i] = { name, count:get(name) } end
        lunette.report { title = "hosts that know a name", columns = { "name", ">hosts" }, rows = rows }
    end)
end)
"""


def samples():
    found = sorted(EXAMPLES.glob("*.pcap*")) + [PCAPS / name for name in REAL if (PCAPS / name).exists()]
    assert found
    return found


def said(script, capture, workers, batch, *options):
    """Alerts and reports as they are written, but for the numbers that workers give flows."""
    done = replay("-s", script, "-q", "-o", "-", "--record", "alert,report", "-w", workers, "--batch", batch, *options, capture)
    assert done.returncode == 0, done.stderr
    return re.sub(rb'"flow_id":\d+,', b"", done.stdout)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    path = tmp_path_factory.mktemp("scripts") / "first.lua"
    path.write_text(FIRST)
    return path


@pytest.mark.parametrize("capture", samples(), ids=lambda path: path.name)
def test_neither_workers_nor_batches_show(first, capture):
    outputs = dict(zip(CUTS, two_at_a_time(lambda cut: said(first, capture, *cut), CUTS)))
    assert {cut for cut, output in outputs.items() if output != outputs[1, 1]} == set()


def test_the_example(tmp_path):
    script = REPO / "examples" / "detectors" / "first_in_fleet.lua"
    for capture in samples():
        outputs = {said(script, capture, *cut, "--set", "first_in_fleet.learning=1") for cut in ((1, 1), (2, 7), (4, 1024))}
        assert len(outputs) == 1, capture


def test_all_is_heard_and_in_order(first):
    """Held against the events' own records, in one worker and in four."""
    heard = 0
    for capture in samples():
        done = replay("-q", "-o", "-", "--record", "dns,tls,flow", capture)
        assert done.returncode == 0, done.stderr
        knows = {}
        for record in map(json.loads, done.stdout.splitlines()):
            kind = record["event_type"]
            name = {"dns": lambda: record["dns"]["rrname"] if record["dns"]["type"] == "query" else None,
                    "tls": lambda: record["tls"].get("sni"), "flow": lambda: record["dest_ip"]}[kind]()
            if name:
                knows.setdefault(kind + " " + name, set()).add(record["src_ip"])
        for workers in (1, 4):
            records = [json.loads(line) for line in said(first, capture, workers, 64).splitlines()]
            reports = [record["report"] for record in records if record["event_type"] == "report"]
            alerts = [record for record in records if record["event_type"] == "alert"]
            assert len(reports) == 1
            assert {name: int(hosts) for name, hosts in reports[0]["rows"]} == {name: len(hosts) for name, hosts in knows.items()}
            firsts = [a["lunette"] for a in alerts if a["alert"]["signature"] == "first in the fleet"]
            assert [a["lunette"]["where"] for a in alerts if "where" in a["lunette"]] == [a["where"] for a in firsts]
            assert sorted(a["where"] for a in firsts) == sorted(knows)
            assert all(a["who"] in knows[a["where"]] for a in firsts)
            times = [float(a["why"]) for a in firsts]
            assert times == sorted(times)
            heard += len(firsts)
    assert heard > 500


def test_alerts_stand_among_the_records_in_the_order_of_time(first):
    """What is gathered comes with a delay, and is written where it belongs."""
    capture = EXAMPLES / "mac-install.pcapng.gz"
    for workers in (1, 3):
        done = replay("-s", first, "-q", "-o", "-", "--record", "alert,dns,tls", "-w", workers, capture)
        seen = set()
        for record in map(json.loads, done.stdout.splitlines()):
            kind = record["event_type"]
            if kind == "dns" and record["dns"]["type"] == "query":
                seen.add("dns " + record["dns"]["rrname"])
            elif kind == "tls" and "sni" in record["tls"]:
                seen.add("tls " + record["tls"]["sni"])
            elif kind == "alert" and record["lunette"].get("where", "flow")[:4] != "flow":
                assert record["lunette"]["where"] in seen
        assert len(seen) > 10


def test_a_part_that_does_not_load(tmp_path):
    script = tmp_path / "wrong.lua"
    script.write_text('local lunette = require "lunette"\n'
                      'lunette.on("dns", function(e) lunette.send(e.rrname) end)\n'
                      'lunette.gather(function()\n    lunette.recieve(print)\nend)\n')
    done = replay("-s", script, "-o", "-", "--record", "alert", EXAMPLES / "tools.pcap")
    assert done.returncode == 1
    assert b"part that gathers is left out" in done.stderr and b"wrong.lua:4:" in done.stderr


def test_the_figures_say_how_many(first):
    done = replay("-s", first, "-q", "-o", "-", "--record", "stats,dns,tls,flow", "-w", 2, EXAMPLES / "mac-install.pcapng.gz")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    sent = sum(r["event_type"] == "flow" or r.get("dns", {}).get("type") == "query" or "sni" in r.get("tls", {}) for r in records)
    (stats,) = [record["stats"] for record in records if record["event_type"] == "stats"]
    assert stats["gather"] == {"messages": sent, "dropped": 0}
