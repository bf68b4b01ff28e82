"""What a newcomer stumbles over: output over input, a signal while nothing comes, detectors that cannot be right, names
and escape bytes on a terminal. The captures are written here, byte by byte."""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette, replay, run  # noqa: E402

pytestmark = needs_lunette

HANG = 60
DETECTOR = 'local lunette = require "lunette"\nlunette.detector { title = "Test", category = "Test" }\n'
IDLE = 'lunette.on("flow", function() end)\n'


def frame():
    """An Ethernet frame with a UDP datagram."""
    udp = struct.pack("!HHHH", 1001, 9, 8 + 4, 0) + b"beep"
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + bytes([10, 0, 0, 5, 192, 0, 2, 1])
    return bytes(12) + b"\x08\x00" + ip + udp


def pcap(lengths):
    """A pcap file with a packet for each of these original lengths (None: the true one)."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for i, length in enumerate(lengths):
        data = frame()
        out += struct.pack("<IIII", 1_700_000_000 + i, 0, len(data), len(data) if length is None else length) + data
    return out


def pcapng(lengths):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 65535))
    for length in lengths:
        data = frame()
        out += block(6, struct.pack("<IIIII", 0, 0, 0, len(data), len(data) if length is None else length) + data)
    return out


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "small.pcap"
    path.write_bytes(pcap([None] * 3))
    return path


@pytest.fixture
def detector(tmp_path):
    def write(body, name="mine"):
        path = tmp_path / (name + ".lua")
        path.parent.mkdir(exist_ok=True)
        path.write_text(DETECTOR + body)
        return path

    return write


def words(output):
    """The text without its line breaks, which may come anywhere."""
    return " ".join(output.decode().split())


# ------------------------------------------------------------ output over input
@pytest.mark.parametrize("way", ["same", "symlink", "hardlink"])
def test_records_are_not_written_over_a_capture(way, capture, tmp_path):
    before, output = capture.read_bytes(), tmp_path / "other"
    if way == "same":
        output = capture
    elif way == "symlink":
        output.symlink_to(capture)
    else:
        output.hardlink_to(capture)
    done = replay("--no-scripts", "-o", output, capture)
    assert done.returncode == 2 and str(capture) in done.stderr.decode()
    assert capture.read_bytes() == before


@pytest.mark.parametrize("mistake", [["missing.pcap"], ["-f", "frob (", "CAPTURE"], ["--set", "frob.x=1", "CAPTURE"]])
def test_a_run_that_does_not_begin_leaves_the_last_records(mistake, capture, tmp_path):
    records = tmp_path / "records.jsonl"
    records.write_text("precious\n")
    assert replay("-o", records, *(capture if word == "CAPTURE" else word for word in mistake)).returncode != 0
    assert records.read_text() == "precious\n"
    assert replay("--no-scripts", "-q", "-o", records, capture).returncode == 0
    assert records.read_text().startswith("{")


# -------------------------------------------------------------------- signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_waits_for_a_pipe(number, tmp_path):
    """The pipe stays open and silent behind three packets. The alert that the first of them raises tells that they were
    read, for alerts wait for the end of a batch: so the batch is one event long."""
    detector = tmp_path / "first.lua"
    detector.write_text(DETECTOR + 'lunette.on("flow_start", function() lunette.log("read") end)\n')
    process = subprocess.Popen([LUNETTE, "replay", "--batch", "1", "-s", str(detector), "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(pcap([None] * 3))
    process.stdin.flush()
    assert b"read" in process.stderr.readline()
    process.send_signal(number)
    process.wait(timeout=HANG)
    assert process.returncode == 1
    assert b"3, " in process.stdout.read() and b"interrupted" in process.stderr.read()
    process.stdin.close()


def test_a_closed_output_is_said_in_one_line():
    process = subprocess.Popen([LUNETTE, "replay", "--no-scripts", "-q", "-o", "-", str(EXAMPLES / "mac-install.pcapng.gz")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    stderr = process.stderr.read().decode()
    assert process.wait(timeout=HANG) == 1
    assert stderr == "lunette: standard output was closed\n"


# ----------------------------------------------------------- odd and cut captures
@pytest.mark.parametrize("write", [pcap, pcapng])
def test_an_absurd_length_does_not_count(write, tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(write([None, 4_000_000_000, 4_000_000_000, None]))
    done = replay("--no-scripts", "-o", "-", path)
    stats = [json.loads(line) for line in done.stdout.splitlines()][-1]["stats"]
    assert stats["capture"] == stats["capture"] | {"packets": 4, "bytes": 4 * len(frame()), "damaged": 0}
    assert words(done.stderr).count("2 packets claim") == 2  # as a warning, and in the summary


def test_a_cut_capture_is_told_beside_the_summary(capture):
    capture.write_bytes(capture.read_bytes()[:-3])
    done = replay("--no-scripts", capture)
    assert done.returncode == 0
    assert "cut short" in words(done.stdout) and "cut short" in words(done.stderr)
    done = replay("--no-scripts", "-q", "-o", "-", "--record", "stats", capture)
    assert json.loads(done.stdout)["stats"]["capture"]["damaged"] == 1


# ------------------------------------------------------------------- detectors
def test_a_detector_that_does_not_load_is_in_the_summary(capture, detector):
    done = replay("-s", detector(IDLE), "-s", detector("then\n", "broken"), capture)
    assert done.returncode == 1
    assert re.search(r"detectors +1 ran.*1 failed to load: broken\.lua", done.stdout.decode())


def test_one_error_is_one(capture, detector):
    done = replay("-s", detector("lunette.on_end(function() error('no') end)\n" + IDLE), capture)
    assert "1 script error\n" in done.stdout.decode()


def test_a_detector_without_events_is_told(capture, detector):
    path = detector("")
    assert f"{path} asks for no events" in replay("-s", path, capture).stderr.decode()
    assert "asks for no" not in replay("-s", detector(IDLE), capture).stderr.decode()


def test_a_folder_without_scripts_is_wrong_use(capture, tmp_path):
    (tmp_path / "none").mkdir()
    done = replay("-s", tmp_path / "none", capture)
    assert done.returncode == 2 and f"no scripts in {tmp_path / 'none'}" in done.stderr.decode()


def test_two_detectors_of_one_name_are_wrong_use(capture, detector):
    paths = detector(IDLE), detector(IDLE, "again/mine")
    done = replay("-s", paths[0], "-s", paths[1], capture)
    assert done.returncode == 2
    assert all(str(path) in done.stderr.decode() for path in paths)


@pytest.mark.parametrize("alert, told", [
    ('key = "a"', "key and cooldown go together"),
    ("cooldown = 60", "key and cooldown go together"),
    ("confidence = 90", "from 0 to 1"),
    ("confidence = -0.1", "from 0 to 1"),
    ("confidence = 0 / 0", "from 0 to 1"),
])
def test_an_alert_that_cannot_be_meant_is_an_error(alert, told, capture, detector):
    done = replay("-s", detector('lunette.on("flow", function() lunette.alert { %s } end)\n' % alert), capture)
    assert done.returncode == 1 and told in done.stderr.decode()


def test_addresses_are_no_names(capture, detector):
    body = """lunette.on_end(function()
        for _, name in ipairs { "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "www.bbc.co.uk" } do
            lunette.log(name .. " " .. tostring(lunette.registrable(name)) .. " " .. tostring(lunette.suffix(name)))
        end
    end)\n"""
    logged = [line.split(": ")[-1] for line in replay("-s", detector(body), capture).stderr.decode().splitlines()]
    assert logged[-4:] == ["10.0.0.1 nil nil", "2001:db8::1 nil nil", "::ffff:10.0.0.1 nil nil", "www.bbc.co.uk bbc.co.uk co.uk"]


def test_what_a_script_logs_cannot_steer_the_terminal(capture, detector):
    body = r'''lunette.on("flow", function()
        print("\27[2J\7\127 caf\195\169 \194\155 \226\128\174 \255\nlunette: error: forged")
        error("\27]0;title\7", 0)
    end)''' + "\n"
    stderr = replay("-s", detector(body), capture).stderr
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f\xff]|\xc2\x9b|\xe2\x80\xae", stderr)
    assert rb"\x1b[2J\x07\x7f caf" + "é".encode() + rb" \xc2\x9b \xe2\x80\xae \xff" in stderr
    assert rb"\x1b]0;title\x07" in stderr
    assert not re.search(rb"^lunette: error: forged", stderr, re.M)


# --------------------------------------------------------------------- printing
def on_a_terminal(columns, *arguments):
    """Everything that the program shows on a terminal of that width."""
    child, fd = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.execv(LUNETTE, [LUNETTE, *map(str, arguments)])
    shown = b""
    try:
        while data := os.read(fd, 65536):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.waitpid(child, 0)
    return re.sub(r"\x1b\[[0-9;?]*\w", "", shown.decode()).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("columns", [80, 100])
def test_the_tables_fit_the_terminal(columns):
    lines = on_a_terminal(columns, "replay", "--color", "never", EXAMPLES / "mac-with-implant.pcapng.gz")
    start = lines.index("Summary")
    assert max(map(len, lines[start:])) <= columns
    assert any("stats.orbital-metrics" in line for line in lines[start:])


def test_help_and_version_by_name():
    assert run("help").stdout == run("--help").stdout != b""
    assert run("version").stdout == run("--version").stdout != b""


def test_the_help_tells_the_default_of_max_flows():
    """Of the flow table's own memory: the default is the same as the figure in the help."""
    told = re.search(rb"--max-flows N .*default (\d+)", run("replay", "--help").stdout).group(1).decode()
    memory = []
    for option in ([], ["--max-flows", told]):
        done = replay("--no-scripts", "-q", "-o", "-", "--record", "stats", *option, EXAMPLES / "tools.pcap")
        memory.append(json.loads(done.stdout)["stats"]["flow"]["memory"])
    assert memory[0] == memory[1]


def test_events_prints_all_kinds_that_are_named():
    assert set(json.loads(run("events", "--json", "dns", "tls").stdout)) == {"dns", "tls"}
    for name, near in (("memcached", False), ("memcached.value", False), ("dnss", True), ("programm", True)):
        done = run("events", name)
        assert done.returncode == 2 and (b"did you mean" in done.stderr) == near
        assert (b"have a dot in their names: lunette check lists them" in done.stderr) != near
    text = run("events", "dns", "tls").stdout.decode()
    assert re.search(r"^dns ", text, re.M) and re.search(r"^tls ", text, re.M) and not re.search(r"^ssh ", text, re.M)
    assert run("events", "--json", "--stubs").returncode == 2
    assert b'did you mean "process"?' in run("events", "programm").stderr  # program is a field, and told there


def test_the_stubs_name_the_whole_api(capture, detector):
    """Whatever require "lunette" gives is in the stubs, and nothing else; the stubs are no module."""
    body = """local function names(t, prefix)
        for name, value in pairs(t) do
            if type(value) == "table" then names(value, prefix .. name .. ".") else lunette.log("has " .. prefix .. name) end
        end
    end
    names(lunette, "")
    lunette.log(tostring(pcall(require, "lunette.stubs")))\n"""
    stderr = replay("-s", detector(body + IDLE), capture).stderr.decode()
    stubs = run("events", "--stubs").stdout.decode()
    assert set(re.findall(r"has (\S+)", stderr)) == set(re.findall(r"^function lunette\.([\w.]+)\(", stubs, re.M))
    assert "mine: false" in stderr


# --------------------------------------------------------- a reader who has seen enough
@pytest.mark.parametrize("words", [["events"], ["events", "--json"], ["live", "--help"], ["replay", "--check-config"]])
def test_a_text_whose_reader_has_seen_enough_is_no_failure(words):
    """As in `lunette events | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([LUNETTE, *words], stdout=writing, stderr=subprocess.PIPE, timeout=HANG)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_under_a_text_is_said():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([LUNETTE, "events"], stdout=full, stderr=subprocess.PIPE, timeout=HANG)
    assert done.returncode == 1 and b"No space left on device" in done.stderr
