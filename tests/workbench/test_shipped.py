"""A detector of one's own, in a folder of its own, builds on those that come along."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", ROOT / "build" / "lunette")
EXAMPLES = ROOT / "examples"

ODD_PORT = """
local lunette = require "lunette"
local hosts = require "hosts"
lunette.detector { title = "A Mac calls an odd port" }
lunette.on("flow", { proto = "TCP", client_local = true, server_local = false }, function(e)
    if e.server_port < 1024 or e.server_port == 5223 or not hosts.is_mac(e.client_ip) then return end
    lunette.fact(e.client_ip, "odd ports", tostring(e.server_port))
    lunette.alert { severity = "low", who = e.client_ip, where = e.server_ip, why = hosts.of(e.client_ip).system }
end)
"""
TEST = """
local t = require "lunette.test"
t.case("a Mac", function(c)
    local mac = c:host "192.168.1.20"
    mac:http { to = "17.253.144.10", host = "captive.apple.com", agent = "CaptiveNetworkSupport-407.0.1 wispr" }
    mac:tls { to = "203.0.113.5", port = 4444, sni = "x.example" }
    c:fact { host = "192.168.1.20", topic = "odd ports", text = "4444" }
    c:fact { host = "192.168.1.20", topic = "identity", detector = "mac_identity" }
    c:expect { where = "203.0.113.5" }
end)
t.case("no Mac", function(c)
    c:capture "%s"
    c:expect_none()
end)
"""


def run(*arguments):
    return subprocess.run([LUNETTE, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture
def odd_port(tmp_path):
    path = tmp_path / "odd_port.lua"
    path.write_text(ODD_PORT)
    return path


def test_it_is_found_by_a_script_that_lies_elsewhere(odd_port, tmp_path):
    check = run("check", odd_port)
    assert check.returncode == 0 and "mac_identity.host" in check.stdout, check.stdout + check.stderr
    (tmp_path / "odd_port_test.lua").write_text(TEST % os.path.relpath(EXAMPLES / "tools.pcap", tmp_path))
    test = run("test", tmp_path / "odd_port_test.lua")
    assert test.returncode == 0, test.stdout + test.stderr
    replay = run("replay", "-s", odd_port, EXAMPLES / "mac-with-implant.pcapng.gz")
    assert replay.returncode == 0 and "203.0.113.66" in replay.stdout and "macOS 14 (99 % sure)" in replay.stdout


def test_what_lies_beside_the_script_comes_first(odd_port, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "hosts.lua").write_text("return { is_mac = function() return true end, of = function() return { system = 'ours' } end }")
    replay = run("replay", "-s", odd_port, EXAMPLES / "mac-with-implant.pcapng.gz")
    assert "ours" in replay.stdout and "sure)" not in replay.stdout


CLOUD = """
local lunette = require "lunette"
local cloud = require("cloud").load(lunette)
lunette.detector { title = "A web service is called" }
lunette.on("tls", { client_local = true }, function(e)
    local service = e.sni and cloud.of(e.sni)
    if service then lunette.alert { severity = "info", who = e.client_ip, where = e.sni, why = %s, key = e.sni, cooldown = 86400 } end
end)
"""


def test_what_lies_in_lib_reads_its_tables(tmp_path):
    path = tmp_path / "services.lua"
    path.write_text(CLOUD % "service.service")
    replay = run("replay", "--no-summary", "-s", path, EXAMPLES / "intrusion.pcapng.gz")
    assert replay.returncode == 0 and "content.dropboxapi.com" in replay.stdout and "Dropbox" in replay.stdout, replay.stdout + replay.stderr
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cloud_services.tsv").write_text("name\tcategory\tservice\tapps\tuse\tsource\n")
    replay = run("replay", "--no-summary", "-s", path, EXAMPLES / "intrusion.pcapng.gz")
    assert "content.dropboxapi.com" not in replay.stdout, "one's own table comes first"


def test_what_is_nowhere_is_said(odd_port):
    odd_port.write_text('local lunette = require "lunette"\nlunette.tsv "nothing_of_that_name.tsv"\n')
    done = run("check", odd_port)
    assert done.returncode == 1 and "data/nothing_of_that_name.tsv: No such file" in done.stdout, done.stdout
    odd_port.write_text('local lunette = require "lunette"\nrequire "nothing_of_that_name"\n')
    done = run("check", odd_port)
    assert done.returncode == 1 and "no module 'nothing_of_that_name'" in done.stdout
