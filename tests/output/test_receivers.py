"""Records on their way out of the program: several outputs at once, sockets, and syslog messages held against the ABNF of
RFC 5424 by a parser of its own."""
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading

import pytest

HERE = pathlib.Path(__file__).resolve()
REPO = HERE.parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))

pytestmark = pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary")

# RFC 5424 section 6: HEADER SP STRUCTURED-DATA [SP MSG]
NAME = r"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}"  # SD-NAME: PRINTUSASCII but = SP ] "
VALUE = r'(?:[^"\\\]]|\\["\\\]]|\\(?!["\\\]]))*'
MESSAGE = re.compile(
    r"<(?P<pri>[0-9]{1,3})>1 "
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) "
    r"(?P<host>[\x21-\x7e]{1,255}) (?P<app>[\x21-\x7e]{1,48}) (?P<pid>[\x21-\x7e]{1,128}) (?P<id>[\x21-\x7e]{1,32}) "
    rf'\[(?P<sdid>{NAME})(?P<params>(?: {NAME}="{VALUE}")*)\]'
    r" \ufeff(?P<text>.*)\Z", re.S)
PARAM = re.compile(rf' ({NAME})="({VALUE})"', re.S)

SCRIPT = r'''local lunette = require 'lunette'
lunette.on('dns', function(e)
  lunette.alert{ title = 'quotes " brackets ] and \\ back', severity = 'high', who = '10.0.0.1',
    where = 'bad"]\\name.example', why = 'line one\nline two \27[2J \255\254 end', attack = 'T1071.004, T1568' }
end)
'''


def a_capture(path, packets=1):
    """DNS questions, one a second."""
    question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x03www\x07example\x03com\x00" + struct.pack(">2H", 1, 1)
    udp = struct.pack(">4H", 5353, 53, 8 + len(question), 0) + question
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([9, 9, 9, 9]))
    frame = bytes(12) + b"\x08\x00" + ip + udp
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i in range(packets):
            out.write(struct.pack("<4I", 1_700_000_000 + i, 250_000, len(frame), len(frame)) + frame)
    return path


def replay(tmp_path, *outputs, script=False):
    arguments = ["-s", str(tmp_path / "probe.lua")] if script else ["--no-scripts"]
    if script:
        (tmp_path / "probe.lua").write_text(SCRIPT, encoding="utf-8")
    for word in outputs:
        arguments += ["-o", str(word)]
    return subprocess.run([LUNETTE, "replay", "-q", *arguments, str(a_capture(tmp_path / "c.pcap"))],
                          capture_output=True, timeout=60)


class Listener:
    """Takes one connection and all that comes over it."""

    def __init__(self, family, address):
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.bind(address)
        self.socket.listen(1)
        self.socket.settimeout(30)
        self.bytes = b""
        self.thread = threading.Thread(target=self.take)
        self.thread.start()

    def take(self):
        connection, _ = self.socket.accept()
        with connection:
            connection.settimeout(30)
            while piece := connection.recv(65536):
                self.bytes += piece

    def all(self):
        self.thread.join()
        self.socket.close()
        return self.bytes


def parse(message):
    match = MESSAGE.match(message.decode("utf-8", errors="strict"))
    assert match, message
    assert "\x1b" not in match["text"] and "\n" not in match["text"]
    params = {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in PARAM.findall(match["params"])}
    return match, params


def check_alert(message):
    match, params = parse(message)
    assert int(match["pri"]) == 4 * 8 + 2  # security, critical
    assert match["time"] == "2023-11-14T22:13:20.250000Z"
    assert (match["app"], match["id"], match["sdid"]) == ("lunette", "alert", "lunette@32473")
    assert params["title"] == 'quotes " brackets ] and \\ back'
    assert params["where"] == 'bad"]\\name.example'
    assert params["who"] == "10.0.0.1" and params["severity"] == "high" and params["detector"] == "probe"
    assert params["attack"] == "T1071.004,T1568"
    assert match["text"].startswith('quotes " brackets ] and \\ back: 10.0.0.1 → bad"]\\name.example. line one')


def test_one_run_several_outputs(tmp_path):
    listener = Listener(socket.AF_UNIX, str(tmp_path / "socket"))
    tcp = Listener(socket.AF_INET, ("127.0.0.1", 0))
    port = tcp.socket.getsockname()[1]
    run = replay(tmp_path, tmp_path / "a", f"file:{tmp_path}/b", "-", f"unix:{tmp_path}/socket", f"tcp:127.0.0.1:{port}")
    assert run.returncode == 0, run.stderr
    records = (tmp_path / "a").read_bytes()
    assert records and all(json.loads(line) for line in records.splitlines())
    assert (tmp_path / "b").read_bytes() == run.stdout == listener.all() == tcp.all() == records


def test_one_output_twice_is_wrong_use(tmp_path):
    run = replay(tmp_path, tmp_path / "a", f"file:{tmp_path}/a")
    assert run.returncode == 2 and b"twice" in run.stderr


def test_syslog_over_udp(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        run = replay(tmp_path, f"syslog:udp:127.0.0.1:{receiver.getsockname()[1]}", script=True)
        assert run.returncode == 0, run.stderr
        check_alert(receiver.recv(65536))


def test_syslog_writes_numbers_as_the_record_has_them(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        run = replay(tmp_path, f"syslog:udp:127.0.0.1:{receiver.getsockname()[1]}", tmp_path / "a", script=True)
        assert run.returncode == 0, run.stderr
        params = parse(receiver.recv(65536))[1]
    record = next(r for r in map(json.loads, open(tmp_path / "a", encoding="utf-8")) if r["event_type"] == "alert")
    assert record["alert"]["signature_id"] > 1000000  # more digits than %g has
    assert params["signature_id"] == str(record["alert"]["signature_id"])
    for name in ("score", "confidence"):
        if name in params:
            assert float(params[name]) == record["lunette"][name]


@pytest.mark.parametrize("word", ["udp:127.0.0.1:514", "upd:x", "tcp:h:0", "tcp:h:70000", "syslog:udp:h:x"])
def test_a_word_that_is_no_output_is_wrong_use(tmp_path, word):
    run = subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "-o", word, str(a_capture(tmp_path / "c.pcap"))],
                         capture_output=True, timeout=60, cwd=tmp_path, text=True)
    assert run.returncode == 2 and word in run.stderr, run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["c.pcap"]


def test_a_file_may_be_called_like_a_scheme(tmp_path):
    for word in ("file:udp:x", "./udp:x"):
        run = subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "-o", word, str(a_capture(tmp_path / "c.pcap"))],
                             capture_output=True, timeout=60, cwd=tmp_path, text=True)
        assert run.returncode == 0, run.stderr
        assert (tmp_path / "udp:x").stat().st_size
        (tmp_path / "udp:x").unlink()


def test_syslog_over_a_unix_datagram_socket(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.settimeout(30)
        run = replay(tmp_path, f"syslog:unix:{tmp_path}/log", script=True)
        assert run.returncode == 0, run.stderr
        check_alert(receiver.recv(65536))


def test_syslog_over_tcp_counts_its_octets(tmp_path):
    listener = Listener(socket.AF_INET, ("127.0.0.1", 0))
    run = replay(tmp_path, f"syslog:tcp:127.0.0.1:{listener.socket.getsockname()[1]}", script=True)
    assert run.returncode == 0, run.stderr
    data, messages = listener.all(), []
    while data:  # RFC 6587 section 3.4.1
        count, rest = data.split(b" ", 1)
        assert count.isdigit() and not count.startswith(b"0") and len(rest) >= int(count)
        messages.append(rest[:int(count)])
        data = rest[int(count):]
    assert len(messages) == 1
    check_alert(messages[0])


def test_nobody_there_is_a_failure_of_the_run(tmp_path):
    run = replay(tmp_path, f"unix:{tmp_path}/nobody", tmp_path / "a")
    assert run.returncode == 1 and b"nobody" in run.stderr
    assert (tmp_path / "a").read_text().startswith("{")  # the others have theirs
