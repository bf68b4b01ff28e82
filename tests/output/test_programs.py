"""Programs in what people and their tools read: alerts of every way in which one may arise, filters, kept names made safe, and
nothing that depends on batches or workers."""
import json
import os
import pathlib
import struct
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve()
REPO = HERE.parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
SAMPLE = REPO / "examples" / "programs.pcapng.gz"

pytestmark = pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary")

WATCH = """
local lunette = require "lunette"
local known = lunette.set.strings { "Safari", "cupsd" }
lunette.event("call", { who = "str" })
lunette.on("tls", { program = "updater" }, function(e)
    lunette.alert { title = "plain", who = e.client_ip, where = e.sni, why = e.program }
    lunette.emit("call", { who = e.program })
end)
lunette.on("dns", { program = { "updater", "nobody" }, process = "mDNSResponder", type = "query", qtype = 1 }, function(e)
    lunette.alert { title = "on behalf", who = e.client_ip, where = e.rrname, why = e.effective_process .. " " .. e.effective_pid }
end)
lunette.on("flow", { process = known }, function(e)
    lunette.alert { title = "a set", who = e.client_ip, where = e.server_ip, why = e.process_uuid }
end)
lunette.on("flow", { server_process = "cupsd", direction = "out" }, function(e)
    lunette.alert { title = "both ends", who = e.process, where = e.server_process, why = e.pid .. " " .. e.server_pid }
end)
"""
LISTEN = """
local lunette = require "lunette"
lunette.on("watch.call", { program = "updater" }, function(e)
    lunette.alert { title = "relayed", who = e.client_ip, where = e.who, why = e.process }
end)
"""
GATHER = """
local lunette = require "lunette"
lunette.on("tls", { program = "updater" }, function(e) lunette.send(e.client_ip, e.program) end)
lunette.gather(function()
    lunette.receive(function(host, program)
        lunette.alert { title = "gathered", who = host, where = "x", why = program }
    end)
end)
"""


@pytest.fixture
def scripts(tmp_path):
    for name, text in (("watch", WATCH), ("listen", LISTEN), ("gathering", GATHER)):
        (tmp_path / (name + ".lua")).write_text(text)
    return tmp_path


def run(*arguments):
    return subprocess.run([LUNETTE, *map(str, arguments)], capture_output=True, timeout=120)


def alerts(scripts, *arguments):
    done = run("replay", "-q", "-s", scripts, "-o", "-", "--record", "alert", *arguments, SAMPLE)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_alerts_carry_the_program(scripts):
    found = {}
    for alert in alerts(scripts):
        found.setdefault(alert["alert"]["signature"], []).append(alert)
    updater = {"program": "updater", "name": "updater", "pid": 5120}
    assert [a["process"] for a in found["plain"]] == [updater] * 3
    assert [a["process"] for a in found["relayed"]] == [updater] * 3
    assert found["relayed"][0]["lunette"]["why"] == "updater"
    assert [a["process"] for a in found["gathered"]] == [updater] * 3
    for alert in found["on behalf"]:
        assert alert["process"] == {"program": "updater", "name": "mDNSResponder", "pid": 188,
                                    "effective_name": "updater", "effective_pid": 5120}
        assert alert["lunette"]["why"] == "updater 5120"
    assert len(found["a set"]) == 1 and found["a set"][0]["process"]["pid"] == 612
    assert [a["lunette"]["why"] for a in found["both ends"]] == ["4711 305"]
    assert all(a["host_direction"] == "out" for group in found.values() for a in group)


def test_the_terminal_and_check_show_it(scripts):
    shown = run("replay", "-s", scripts, SAMPLE).stdout.decode()
    assert "program updater (pid 5120)\n" in shown
    assert "program updater (pid 5120) through mDNSResponder (pid 188)\n" in shown
    checked = run("check", scripts / "watch.lua")
    assert checked.returncode == 0 and b'program = "updater"' in checked.stdout, checked.stdout + checked.stderr
    (scripts / "wrong.lua").write_text('local lunette = require "lunette"\nlunette.on("tls", { progam = "curl" }, print)\n')
    wrong = run("check", scripts / "wrong.lua")
    assert wrong.returncode == 1 and b"program" in wrong.stdout + wrong.stderr  # the nearest name


def test_custom_events_have_it(scripts):
    done = run("replay", "-q", "-s", scripts, "-o", "-", "--record", "watch.call", SAMPLE)
    records = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert len(records) == 3 and all(r["process"]["program"] == "updater" for r in records)


@pytest.mark.parametrize("arguments", [["-w", "2"], ["-w", "4"], ["--batch", "1"], ["--batch", "7"]])
def test_nothing_depends_on_batches_and_workers(scripts, arguments):
    def plain(found):
        return sorted(json.dumps({k: v for k, v in a.items() if k != "flow_id"}, sort_keys=True) for a in found)
    assert plain(alerts(scripts, *arguments)) == plain(alerts(scripts))


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind, body):
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def test_hostile_names_are_harmless(tmp_path):
    """A process is called what it likes: escape sequences, broken UTF-8, JSON's own signs, characters that turn text round."""
    name = b'\x1b[2J"\\\xff\xe2\x80\xae\n'
    datagram = bytes.fromhex("4500002000010000401100000a0000010a000002c3500035000c0000") + b"abcd"
    capture = tmp_path / "hostile.pcapng"
    capture.write_bytes(
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 101, 0, 0)) +
        block(0x80000001, struct.pack("<I", 7) + option(2, name)) +
        block(6, struct.pack("<IIIII", 0, 0, 0, 32, 32) + datagram + option(0x8001, bytes(4)) + option(2, b"\2\0\0\0")))
    (tmp_path / "all.lua").write_text('local lunette = require "lunette"\nlunette.on("flow", function(e)\n'
                                      '    lunette.alert { title = "x", who = e.client_ip, where = "y", why = e.program }\nend)\n')
    done = run("replay", "-s", tmp_path / "all.lua", "-o", tmp_path / "out.json", "--record", "flow,alert", capture)
    assert done.returncode == 0, done.stderr.decode()
    shown = done.stdout.decode()
    assert "\x1b" not in shown and "\u202e" not in shown and "[2J" in shown
    for line in (tmp_path / "out.json").read_text().splitlines():
        assert json.loads(line)["process"]["program"] == "\ufffd[2J\"\\\ufffd\u202e\ufffd"
