"""How `lunette` behaves as a command: what it takes, what it refuses, in which words and with which exit code.

The captures are written here, byte by byte: each packet is a datagram from a port of its own, so the flow records tell
which packets were read."""
import gzip
import json
import re
import struct
import subprocess

import pytest

from captures import LUNETTE, needs_lunette, replay, run

pytestmark = needs_lunette

START = 1_700_000_000


def frame(port, client=bytes([10, 0, 0, 5]), server=bytes([192, 0, 2, 1])):
    """An Ethernet frame with a UDP datagram from that port."""
    udp = struct.pack("!HHHH", port, 9, 8 + 4, 0) + b"beep"
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), port, 0, 64, 17, 0) + client + server
    return bytes(12) + b"\x08\x00" + ip + udp


def pcap(ports, second=START):
    """A pcap file, a packet each second."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for i, port in enumerate(ports):
        data = frame(port)
        out += struct.pack("<IIII", second + i, 0, len(data), len(data)) + data
    return out


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(ports):
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 65535))
    for i, port in enumerate(ports):
        data, clock = frame(port), (START + i) * 1_000_000
        out += block(6, struct.pack("<IIIII", 0, clock >> 32, clock & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


def zstd(data):
    """A zstd frame (RFC 8878) of raw blocks: nothing is compressed, the format is all there."""
    out = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
    pieces = [data[i:i + 65536] for i in range(0, len(data), 65536)]
    for i, piece in enumerate(pieces):
        out += (len(piece) << 3 | (i == len(pieces) - 1)).to_bytes(3, "little") + piece
    return out


def ports_of(*arguments, code=0, **options):
    """(client ports of the flows in the order of their times, standard error)."""
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "flow_start", *arguments, **options)
    assert done.returncode == code, done.stderr
    return [json.loads(line)["src_port"] for line in done.stdout.splitlines()], done.stderr.decode()


def one_line(done):
    """The only line of standard error; nothing may stand on standard output."""
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "five.pcap"
    path.write_bytes(pcap(range(1001, 1006)))
    return path


# ---------------------------------------------------------------- options
@pytest.mark.parametrize("arguments, told", [
    (["--frobnicate"], "--frobnicate"),
    (["replay", "--frobnicate", "CAPTURE"], "--frobnicate"),
    (["replay", "-f"], "-f"),
    (["replay"], "capture"),
    (["frobnicate"], "frobnicate"),
    (["events", "--frobnicate"], "--frobnicate"),
    (["replay", "-w", "0", "CAPTURE"], "1 to 64"),
    (["replay", "--batch", "1025", "CAPTURE"], "1 to 1024"),
    (["replay", "--batch", "seven", "CAPTURE"], "seven"),
    (["replay", "--record", "frobs", "CAPTURE"], "frobs"),
    (["replay", "--color", "pink", "CAPTURE"], "pink"),
    (["replay", "--home-net", "10.0.0.0/33", "CAPTURE"], "10.0.0.0/33"),
    (["replay", "-f", "frob (", "CAPTURE"], "frob ("),
    (["replay", "--set", "beacon", "CAPTURE"], "DETECTOR.KEY=VALUE"),
    (["replay", "--set", "frob.x=1", "CAPTURE"], "frob"),
    (["replay", "--set", "beacon.frob=1", "CAPTURE"], "frob"),
    (["replay", "--set", "beacon.score=high", "CAPTURE"], "high"),
    (["replay", "-s", "no/such/detector.lua", "CAPTURE"], "no/such/detector.lua"),
])
def test_wrong_use_is_one_line_and_exit_code_2(arguments, told, capture):
    done = run(*(capture if word == "CAPTURE" else word for word in arguments))
    assert done.returncode == 2
    assert told in one_line(done)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["replay", "--help"], ["replay", "-h"], ["events", "--help"]])
def test_help_is_on_standard_output(arguments):
    done = run(*arguments)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.startswith(b"usage: lunette")
    assert max(map(len, done.stdout.decode().splitlines())) <= 120


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.match(rb"lunette \d+\.\d+\.\d+", done.stdout)


def test_every_option_of_the_help_is_taken(capture):
    """What the help promises is there: no option is unknown."""
    for option in re.findall(r"^ +(?:-\w, +)?(--[\w-]+)", run("replay", "--help").stdout.decode(), re.M):
        done = replay(option, capture if option != "--watch" else "nowhere.pcap")  # it would wait for a save
        assert b"unknown option" not in done.stderr, option


# ---------------------------------------------------------- what is no capture
@pytest.mark.parametrize("name, content, told", [
    ("missing", None, "No such file"),
    ("program", b"\x7fELF\x02\x01\x01" + bytes(100), "ELF"),
    ("letter.txt", b"Dear Sir or Madam,\nthis is no capture.\n", "text"),
    ("empty", b"", "empty"),
    ("letter.gz", gzip.compress(b"Dear Sir or Madam,\nthis is no capture.\n"), "not a capture"),
    ("folder", "folder", "directory"),
])
def test_what_is_no_capture_is_said_in_one_line(name, content, told, tmp_path):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = replay("--no-scripts", path)
    assert done.returncode == 1
    line = one_line(done)
    assert str(path) in line and told in line


def test_a_good_capture_beside_a_missing_one_is_a_failure(capture, tmp_path):
    done = replay("--no-scripts", "-q", capture, tmp_path / "missing.pcap")
    assert done.returncode == 1
    assert "missing.pcap" in one_line(done)


# ------------------------------------------------------------------ cut short
CUT = [("pcap", pcap), ("pcapng", pcapng)]


@pytest.mark.parametrize("suffix, write", CUT)
@pytest.mark.parametrize("into", [1, 10, 30])
def test_a_cut_capture_gives_what_is_there(suffix, write, into, tmp_path):
    """Cut `into` bytes into the fourth packet: three are read, and the warning names where the fourth begins."""
    begin = len(write(range(1001, 1004)))
    path = tmp_path / ("cut." + suffix)
    path.write_bytes(write(range(1001, 1006))[:begin + into])
    ports, stderr = ports_of(path)
    assert ports == [1001, 1002, 1003]
    assert stderr.count("\n") == 1 and str(path) in stderr
    assert "cut short" in stderr and f"offset {begin}" in stderr


def test_a_cut_gzip_gives_what_is_there(tmp_path):
    whole = gzip.compress(pcap(range(1001, 3001)))
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(whole[:len(whole) // 2])
    ports, stderr = ports_of(path)
    assert 100 < len(ports) < 2000
    assert ports == list(range(1001, 1001 + len(ports)))
    assert stderr.count("\n") == 1 and str(path) in stderr and re.search(r"offset \d+", stderr)


def test_garbage_in_the_middle_gives_what_was_before(tmp_path):
    path = tmp_path / "broken.pcap"
    path.write_bytes(pcap([1001, 1002]) + b"\xff" * 64 + pcap([1003])[24:])
    ports, stderr = ports_of(path, code=0)
    assert ports == [1001, 1002]
    assert str(path) in stderr and f"offset {len(pcap([1001, 1002]))}" in stderr


# --------------------------------------------------------------- ways in
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
@pytest.mark.parametrize("write", [pcap, pcapng])
def test_every_packing_reads_the_same(pack, write, tmp_path):
    path = tmp_path / "capture"  # its bytes tell what it is, not its name
    path.write_bytes(pack(write(range(1001, 1006))))
    assert ports_of(path) == (list(range(1001, 1006)), "")
    assert ports_of("-", input=path.read_bytes()) == (list(range(1001, 1006)), "")


def test_standard_input_may_come_in_drops(capture):
    data = capture.read_bytes()
    process = subprocess.Popen(
        [LUNETTE, "replay", "--no-scripts", "-q", "-o", "-", "--record", "flow_start", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for at in range(0, len(data), 7):
        process.stdin.write(data[at:at + 7])
        process.stdin.flush()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [json.loads(line)["src_port"] for line in output.splitlines()] == list(range(1001, 1006))


def test_several_files_are_merged_by_time(tmp_path):
    names = {"late.pcap": pcap([2002, 2004], START + 2), "early.pcapng": pcapng([1001]), "both.gz": None}
    early = pcap([3001, 3002, 3003, 3004, 3005])
    names["both.gz"] = gzip.compress(early)
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    ports, _ = ports_of(*(tmp_path / name for name in ("late.pcap", "early.pcapng", "both.gz")))
    assert sorted(ports[:2]) == [1001, 3001]
    assert ports[2] == 3002
    assert [set(ports[3:5]), set(ports[5:7])] == [{2002, 3003}, {2004, 3004}]
    assert ports[7:] == [3005]


def test_a_filter_lets_through_what_matches(capture):
    assert ports_of("-f", "udp src port 1002 or udp src port 1004", capture)[0] == [1002, 1004]


ASKS_WHO_IS_HOME = """
local lunette = require "lunette"
lunette.detector { title = "Who is home", category = "Test" }
lunette.on("flow_start", function(e)
    lunette.alert { title = "home", why = tostring(e.client_local) .. " " .. tostring(e.server_local) }
end)
"""


@pytest.mark.parametrize("option, client, server", [
    ([], True, False),  # 10.0.0.5 calls 192.0.2.1
    (["--home-net", "192.0.2.0/24"], False, True),
    (["--home-net", "2001:db8::/32,192.0.2.1,10.0.0.0/29"], True, True),
    (["--home-net", "2001:db8::/32"], False, False),
])
def test_home_networks_tell_who_is_local(option, client, server, capture, tmp_path):
    detector = tmp_path / "home.lua"
    detector.write_text(ASKS_WHO_IS_HOME)
    done = replay("-s", detector, "-q", "-o", "-", "--record", "alert", *option, capture)
    told = {json.loads(line)["lunette"]["why"] for line in done.stdout.splitlines()}
    assert told == {f"{client} {server}".lower()}
