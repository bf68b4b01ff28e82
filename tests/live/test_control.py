"""The control socket: what it answers, and what happens when a stranger, a fool or a snail comes along."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import prometheus_text  # noqa: E402
from control_tool import HANG, LUNETTE, Tool, ctl, folder, free_port, needs_tool, read_all, tool  # noqa: E402, F401

pytestmark = needs_tool
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="wants to become another user")
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def error_of(body):
    return json.loads(body)["error"]


# ── answers ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["status", "scripts", "hosts", "alerts", "top", "flows", "flows?limit=3&host=10.0.0.1", "cards", "cards?host=192.168.7.24&limit=1"])
def test_answers_json(tool, path):
    status, headers, body = tool.ask("GET", "/" + path)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert isinstance(json.loads(body), dict)


def test_status_says_what_the_board_says(tool):
    s = json.loads(tool.ask("GET", "/status")[2])
    assert s["pid"] == tool.process.pid
    assert [i["name"] for i in s["interfaces"]] == ["en0", "utun3", 'weird"if\n']
    assert [i["open"] for i in s["interfaces"]] == [True, False, True]
    assert s["packets"] == sum(i["packets"] for i in s["interfaces"])
    assert s["started"] == "2023-11-14T22:13:20.000000+0000" and s["state_saved"] is None
    assert s["alerts"] == {"high": 3, "medium": 5, "low": 30, "info": 2}
    assert s["detectors"] == {"on": 7, "off": 1, "left_out": 1}


def test_flows_takes_a_host_and_a_limit(tool):
    flows = json.loads(tool.ask("GET", "/flows?limit=7&host=2001:db8::5")[2])["flows"]
    assert len(flows) == 7 and {f["src_ip"] for f in flows} == {"2001:db8::5"}
    assert len(json.loads(tool.ask("GET", "/flows")[2])["flows"]) == 100
    for wrong in ("host=nonsense", "host=", "limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "limit"):
        status, _, body = tool.ask("GET", "/flows?" + wrong)
        assert status == 400 and wrong.split("=")[0] in error_of(body), wrong
    status, _, body = tool.ask("GET", "/flows?host=192.0.2.99")
    assert status == 503 and error_of(body) == "worker 1 did not answer within 2 s"


@pytest.mark.parametrize("what, key", [("alerts", "title"), ("hosts", "name")])
def test_alerts_and_hosts_take_a_limit(tool, what, key):
    def ask(argument):
        return [one[key] for one in json.loads(tool.ask("GET", f"/{what}{argument}")[2])[what]]
    everything = ask("")
    assert len(everything) > 2
    assert ask("?limit=2") == everything[:2]
    assert ask("?limit=64") == everything
    for wrong in ("0", "65", "x", "-1", ""):
        status, _, body = tool.ask("GET", f"/{what}?limit={wrong}")
        assert status == 400 and "from 1 to 64" in error_of(body), wrong


def test_what_changes_is_posted(tool):
    assert json.loads(tool.ask("POST", "/reload")[2]) == {"summary": "1 changed (beacon), 8 kept"}
    assert tool.word() == "reload"
    assert tool.ask("POST", "/reload?force=1", body="{}")[0] == 200
    assert tool.word() == "reload force"
    assert tool.ask("POST", "/rotate")[0] == 200
    assert tool.word() == "rotate"
    assert tool.ask("POST", "/stop")[0] == 200
    assert tool.word() == "stop"
    assert tool.ask("POST", "/reload?force=perhaps")[0] == 400


def test_log_level(tool):
    assert tool.ask("POST", "/log-level?level=error")[0] == 200
    tool.tell("log")
    assert tool.word() == "logged"
    quiet = tool.said_on_stderr().count("level ")
    assert tool.ask("POST", "/log-level?level=debug")[0] == 200
    tool.tell("log")
    assert tool.word() == "logged"
    assert (quiet, tool.said_on_stderr().count("level ")) == (1, 5)
    assert tool.ask("POST", "/log-level?level=loud")[0] == 400
    assert tool.ask("POST", "/log-level")[0] == 400


def test_debug_is_not_flooded_by_clients(tool):
    """Whoever hangs up early is no news: libmicrohttpd's own lines stay out of the log."""
    assert tool.ask("POST", "/log-level?level=debug")[0] == 200
    for _ in range(20):
        with tool.connect() as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")  # gone before the answer
        with tool.connect() as s:
            s.sendall(b"nonsense\r\n\r\n")
    assert tool.ask("GET", "/status")[0] == 200
    tool.tell("log")
    assert tool.word() == "logged"
    assert "control:" not in tool.said_on_stderr()


def test_wrong_paths_and_methods(tool):
    for path in ("/", "/nothing", "/status/", "//status", "/../status", "/metrics%2f"):
        status, _, body = tool.ask("GET", path)
        assert status == 404 and "/status" in error_of(body), path
    for method, path, allow in [("POST", "/status", "GET, HEAD"), ("DELETE", "/status", "GET, HEAD"), ("GET", "/reload", "POST"),
                                ("HEAD", "/stop", "POST"), ("PUT", "/rotate", "POST"), ("BREW", "/status", "GET, HEAD")]:
        status, headers, _ = tool.ask(method, path)
        assert (status, headers["Allow"]) == (405, allow), (method, path)
    status, headers, body = tool.ask("HEAD", "/status")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) > 1000


def test_a_web_page_changes_nothing(tool):
    for header in ({"Origin": "http://example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        status, _, body = tool.ask("POST", "/stop", headers=header)
        assert status == 403 and "web page" in error_of(body)
    assert tool.ask("POST", "/rotate")[0] == 200
    assert tool.word() == "rotate"  # and not stop


@needs_curl
def test_curl_speaks_it(tool):
    run = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", tool.path, "http://lunette/alerts"], capture_output=True,
                         timeout=HANG)
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)["alerts"]) == 40
    run = subprocess.run(["curl", "-sS", "--unix-socket", tool.path, "-X", "POST", "-d", "x=1", "http://lunette/reload"],
                         capture_output=True, timeout=HANG)
    assert b"beacon" in run.stdout


# ── metrics ──────────────────────────────────────────────────────────


def test_metrics(tool):
    status, headers, body = tool.ask("GET", "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = prometheus_text.parse(body)
    for name, (kind, help_text, samples) in families.items():
        assert name.startswith("lunette_") and help_text.endswith(".") and samples, name
        assert (kind == "counter") == name.endswith("_total"), name
    packets = families["lunette_interface_packets_total"][2]
    assert {dict(labels)["interface"] for labels in packets} == {"en0", "utun3", 'weird"if\n'}
    s = json.loads(tool.ask("GET", "/status")[2])
    assert families["lunette_dropped_packets_total"][2] == {(("by", "kernel"),): s["dropped"],
                                                           (("by", "driver"),): s["interface_dropped"]}
    assert families["lunette_alerts_total"][2][(("severity", "low"),)] == 30
    scripts = {d["name"]: d for d in json.loads(tool.ask("GET", "/scripts")[2])["scripts"]}
    for name, d in scripts.items():
        label = (("detector", name),)
        assert families["lunette_detector_events_total"][2][label] == d["events"]
        assert families["lunette_detector_memory_bytes"][2][label] == d["memory"]
        assert families["lunette_detector_off"][2][label] == (d["state"] != "on")
    assert families["lunette_output_healthy"][2][(("output", "tcp:siem.example.net:5170"),)] == 0
    lag = families["lunette_worker_clock_lag_seconds"][2]
    assert lag[(("worker", "0"),)] == 2


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_metrics_by_promtool(tool):
    body = tool.ask("GET", "/metrics")[2]
    run = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=HANG)
    assert (run.returncode, run.stderr) == (0, b"")


def ask_tcp(address, text):
    with socket.create_connection(address, HANG) as s:
        s.sendall(text.encode())
        return read_all(s)


def test_metrics_over_tcp_and_nothing_else(folder):
    port = free_port()
    tool = Tool(folder, "--metrics", f"127.0.0.1:{port}")
    assert tool.word() == "ready", tool.said_on_stderr()
    get = "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n"
    for host in ("localhost", "LOCALHOST:1", f"127.0.0.1:{port}", "127.9.9.9", "[::1]", f"[::1]:{port}"):
        answer = ask_tcp(("127.0.0.1", port), get.format("/metrics", host))
        assert answer.startswith(b"HTTP/1.1 200 "), host
        assert prometheus_text.parse(answer.split(b"\r\n\r\n", 1)[1])
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example:80", "[::2]", "[", "", "128.0.0.1"):
        assert ask_tcp(("127.0.0.1", port), get.format("/metrics", host)).startswith(b"HTTP/1.1 403 "), host
    for path in ("/status", "/flows", "/", "/top"):
        assert ask_tcp(("127.0.0.1", port), get.format(path, "localhost")).startswith(b"HTTP/1.1 404 "), path
    for path in ("/stop", "/reload"):
        answer = ask_tcp(("127.0.0.1", port), f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 "), path
    tool.tell("log")
    assert tool.word() == "logged"  # neither stop nor reload was called
    assert tool.end() == 0


@pytest.mark.parametrize("address", ["0.0.0.0:9177", "192.0.2.1:9177", "[::]:9177", "[2001:db8::1]:9177", "127.0.0.1", "::1:9177",
                                     "127.0.0.1:0", "127.0.0.1:70000", "example.com:9177", ":9177", "127.0.0.1:x", "[]:1", ""])
def test_metrics_are_not_for_the_network(folder, address):
    tool = Tool(folder, "--metrics", address)
    assert tool.word() == ""
    assert tool.end() == 2
    assert "metrics: " in tool.said_on_stderr()
    assert not tool.path.exists()


# ── strangers ────────────────────────────────────────────────────────


def test_the_socket_is_ours_alone(folder):
    before = os.umask(0)
    try:
        tool = Tool(folder, path=folder / "made" / "control.sock")
    finally:
        os.umask(before)
    assert tool.word() == "ready", tool.said_on_stderr()
    assert stat.S_IMODE(tool.path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(tool.path.parent.stat().st_mode) == 0o700
    assert tool.end() == 0


@needs_root
@needs_curl
def test_another_user_is_turned_away(tool):
    ask = ["curl", "-sS", "-i", "--max-time", "30", "--unix-socket", tool.path, "http://lunette/status"]
    tool.path.parent.chmod(0o755)
    run = subprocess.run(NOBODY + ask, capture_output=True, text=True, timeout=HANG)
    assert run.returncode == 7 and "200 OK" not in run.stdout  # the mode keeps him out
    run = subprocess.run(NOBODY + [str(LUNETTE), "ctl", "--socket", str(tool.path), "status"], capture_output=True, text=True, timeout=HANG)
    if run.returncode not in (126, 127):  # unless the program itself is out of his reach
        assert run.returncode == 1 and "another user" in run.stderr
    tool.path.chmod(0o777)  # and if it did not, the kernel says who he is
    for _ in range(40):  # more often than there are places: he takes none
        run = subprocess.run(NOBODY + ask, capture_output=True, text=True, timeout=HANG)
        assert "200 OK" not in run.stdout and "uptime" not in run.stdout
        assert "HTTP/1.1 403 Forbidden" in run.stdout and "root only" in run.stdout
    assert tool.ask("GET", "/status")[0] == 200


@needs_root
def test_root_may_ask_a_sensor_of_another_user(folder):
    folder.chmod(0o777)
    tool = Tool.__new__(Tool)
    tool.path, tool.text = folder / "x" / "control.sock", b""
    folder_of_tool = folder / "bin"
    folder_of_tool.mkdir()
    shutil.copy(os.path.join(os.environ.get("LUNETTE_TOOLS", LUNETTE.parent / "tests"), "tool_control"), folder_of_tool)
    folder_of_tool.chmod(0o755)
    tool.errors = open(folder / "errors", "w+b")
    (folder / "x").mkdir()
    shutil.chown(folder / "x", 65534, 65534)
    tool.process = subprocess.Popen(NOBODY + [folder_of_tool / "tool_control", str(tool.path)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=tool.errors, bufsize=0)
    assert tool.word() == "ready", tool.said_on_stderr()
    assert tool.ask("GET", "/status")[0] == 200
    assert tool.end() == 0


@needs_root
def test_folders_of_others_are_not_used(folder):
    theirs = folder / "theirs"
    theirs.mkdir(0o700)
    shutil.chown(theirs, 65534, 65534)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "link").symlink_to(theirs)
    os.chown(folder / "link", 65534, 65534, follow_symlinks=False)
    for name, why in (("theirs", "belongs to another user"), ("open", "others may write"), ("link", "link of another user")):
        tool = Tool(folder, path=folder / name / "control.sock")
        assert tool.word() == "" and tool.end() == 1
        assert why in tool.said_on_stderr()


def refused(folder, path, why):
    tool = Tool(folder, path=path)
    assert tool.word() == "", "it should not have started"
    assert tool.end() in (1, 2)
    assert why in tool.said_on_stderr()


def test_only_a_dead_socket_is_replaced(folder):
    path = folder / "control.sock"
    path.write_text("precious")
    refused(folder, path, "is not a socket")
    assert path.read_text() == "precious"
    path.unlink()
    path.symlink_to(folder / "elsewhere")
    refused(folder, path, "is not a socket")
    assert path.is_symlink() and not (folder / "elsewhere").exists()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(1)
        inode = path.stat().st_ino
        refused(folder, path, "another sensor listens")
        assert path.stat().st_ino == inode
    tool = Tool(folder)  # nobody listens now
    assert tool.word() == "ready", tool.said_on_stderr()
    assert tool.ask("GET", "/status")[0] == 200
    assert tool.end() == 0 and not path.exists()
    refused(folder, folder / ("x" * 120), "at most")
    refused(folder, folder / "no" / "such" / "control.sock", "cannot make the folder")


def test_of_sensors_that_begin_at_once_one_stays(folder):
    (folder / "control.sock").touch()
    (folder / "control.sock").unlink()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "control.sock"))  # a stale one, which all of them want to replace
    tools = []
    for i in range(8):
        (folder / str(i)).mkdir()
        tools.append(Tool(folder / str(i), path=folder / "control.sock"))
    words = [t.word() for t in tools]
    assert words.count("ready") == 1
    winner = tools[words.index("ready")]
    assert json.loads(winner.ask("GET", "/status")[2])["pid"] == winner.process.pid
    for t in tools:
        t.end()


def test_a_socket_that_was_removed_comes_back(tool):
    for remove in (lambda: tool.path.unlink(), lambda: tool.path.rename(tool.path.with_suffix(".old"))):
        held = tool.connect()  # a connection of the old socket is no hindrance
        remove()
        while not tool.path.exists():
            tool.tell("mend")
            assert tool.word() == "mended"
        held.close()
        assert tool.ask("GET", "/status")[0] == 200
        tool.tell("mend")
        assert tool.word() == "mended"
    tool.path.unlink()
    tool.path.write_text("not ours")
    tool.tell("mend")
    words = tool.word()
    while words == "mended":  # the daemon before is still being put away
        tool.tell("mend")
        words = tool.word()
    assert "is not a socket" in words
    tool.tell("mend")
    assert tool.word() == "mended"  # told once
    tool.path.unlink()
    while not tool.path.exists():
        tool.tell("mend")
        tool.word()


# ── fools ────────────────────────────────────────────────────────────

MALFORMED = {
    "nothing": b"",
    "newlines": b"\r\n" * 1000,
    "zeros": bytes(5000),
    "random": bytes((i * 7919 + i // 256) % 256 for i in range(20000)),
    "no version": b"GET /status\r\n\r\n",
    "HTTP/9": b"GET /status HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET /status HTTP/1.1\r\n\r\n",
    "half": b"GET /sta",
    "no end": b"GET /status HTTP/1.1\r\nHost: x\r\n",
    "header without colon": b"GET /status HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "long path": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": b"GET /status HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
    "many headers": b"GET /status HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    "many arguments": b"GET /flows?" + b"a&" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "huge length": b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "negative length": b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "large body": b"POST /stop HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5000000,
    "chunks": b"POST /stop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 1000,
    "percent": b"GET /%00%ff%zz?%=%&=&&& HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(tool, name):
    answer = tool.send_raw(MALFORMED[name])
    assert not answer.startswith(b"HTTP/1.1 200"), name
    assert tool.ask("GET", "/status")[0] == 200
    tool.tell("log")
    assert tool.word() == "logged"  # no call was made


def test_large_bodies_are_refused_before_they_come(tool):
    for length, status in ((4096, 200), (4097, 413), (1 << 40, 413)):
        with tool.connect() as s:
            s.sendall(f"POST /rotate HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            if status == 200:
                s.sendall(b"x" * length)
            assert read_all(s).startswith(b"HTTP/1.1 %d " % status)
    assert tool.word() == "rotate"
    answer = tool.send_raw(MALFORMED["chunks"])
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert tool.send_raw(MALFORMED["long path"]).split(b" ")[1] in (b"414", b"431", b"400", b"413")


def test_hang_up_at_any_point(tool):
    request = b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    for cut in range(len(request)):
        with tool.connect() as s:
            s.sendall(request[:cut])
    for _ in range(50):  # and those who do not wait for the answer
        with tool.connect() as s:
            s.sendall(b"GET /top HTTP/1.1\r\nHost: x\r\n\r\n")
    assert tool.ask("GET", "/status")[0] == 200


# ── snails and crowds ────────────────────────────────────────────────


def test_a_slow_reload_holds_up_nobody(folder):
    gate = folder / "gate"
    os.mkfifo(gate)
    tool = Tool(folder, "--gate", gate)
    assert tool.word() == "ready", tool.said_on_stderr()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(tool.ask("POST", "/reload")))
    waiting.start()
    assert tool.word() == "reload"
    for _ in range(20):
        assert tool.ask("GET", "/status")[0] == 200
    status, _, body = tool.ask("POST", "/reload")
    assert status == 409 and "under way" in error_of(body)
    assert not answers
    gate.write_text("beacon.lua:7: unexpected symbol\n")
    waiting.join(HANG)
    status, _, body = answers[0]
    assert (status, error_of(body)) == (422, "beacon.lua:7: unexpected symbol")
    assert tool.end() == 0


def test_slow_clients_are_ended_and_hold_up_nobody_else(tool):
    """Sixteen that send a byte now and then take all places there are; none may keep its place for long."""
    snails = [tool.connect() for _ in range(16)]
    done = threading.Event()
    ended = []

    def crawl(s):
        text = b"GET /status HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100000
        try:
            for i in range(len(text)):
                s.send(text[i:i + 1])
                if done.wait(0.5):
                    return
        except OSError:
            ended.append(s)

    threads = [threading.Thread(target=crawl, args=(s,)) for s in snails]
    for t in threads:
        t.start()
    try:
        assert tool.ask("GET", "/status")[0] == 200  # waits for a place, which is there when the first is ended
        for t in threads:
            t.join(HANG)
        assert len(ended) == 16
    finally:
        done.set()
        for t in threads:
            t.join(HANG)
        for s in snails:
            s.close()


def test_a_client_that_does_not_read(tool):
    held = []
    for _ in range(10):
        s = tool.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.sendall(b"GET /flows?limit=250 HTTP/1.1\r\nHost: x\r\n\r\n")
        held.append(s)
    assert tool.ask("GET", "/status")[0] == 200
    for s in held:
        s.close()


def test_a_hundred_at_once(tool):
    results = []

    def ask(i):
        path = ("/status", "/top", "/flows", "/metrics")[i % 4]
        status, headers, body = tool.ask("GET", path)
        results.append(status == 200 and len(body) == int(headers["Content-Length"]))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(HANG)
    assert results == [True] * 100


def descriptors_of(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
def test_no_descriptor_stays_open(tool):
    tool.ask("GET", "/status")
    for _ in range(200):
        tool.ask("GET", "/status")
        tool.send_raw(b"nonsense\r\n\r\n")
    tool.tell("mend")
    assert tool.word() == "mended"
    assert descriptors_of(tool.process) < 40


# ── lunette ctl ──────────────────────────────────────────────────────


@pytest.mark.parametrize("words, expected", [
    (["status"], ["3 d 3 h", "20,000 packets/s", "utun3", "connection refused", "Segmentation fault", "7 on, 1 off, 1 left out"]),
    (["scripts"], ["beacon", "left out", "tls_odd.lua:12: attempt to index a nil value"]),
    (["flows", "--limit", "3"], ["192.168.1.10:50002", "[2001:db8::1]:443", "www.example.net", "34.0 kB"]),
    (["flows", "--host=10.1.2.3"], ["10.1.2.3:50000"]),
    (["hosts"], ["192.168.1.10", "9.0 GB", "5,000"]),
    (["cards"], ["192.168.7.23 MacBook Pro", "identity by its SYN", "also fe80::1", "/usr/bin/curl: 2 flows, 10 B sent, 20 B received",
                 "high: Beacon (3 times, last 2024-06-11 09:30:00)", "12 flows, 1.0 kB sent, 2.0 MB received", "phase boot"]),
    (["cards", "192.168.7.24"], ["192.168.7.24", "phase boot"]),
    (["cards", "--host", "192.0.2.1"], ["nothing is known"]),
    (["alerts", "--limit", "2"], ["Alert number 1", r"evil\x1b[2J", "T1071.001"]),
    (["top"], ["updates0.example.net", "lolbin"]),
    (["metrics"], ["# TYPE lunette_packets_total counter"]),
    (["reload"], ["1 changed (beacon), 8 kept"]),
    (["rotate"], ["new files"]),
    (["log-level", "info"], ["info"]),
    (["stop"], ["stopping"]),
])
def test_ctl(tool, words, expected):
    run = ctl(tool, *words)
    assert (run.returncode, run.stderr) == (0, "")
    for text in expected:
        assert text in " ".join(run.stdout.split()) or text in run.stdout, text
    assert "\x1b" not in run.stdout
    as_json = ctl(tool, "--json", *words)
    assert as_json.returncode == 0
    if words != ["metrics"]:
        json.loads(as_json.stdout)


def test_ctl_takes_limits_seriously(tool):
    assert ctl(tool, "flows", "--limit", "3").stdout.count("\n") == 4
    assert ctl(tool, "alerts", "--limit", "2").stdout.count("Alert number") == 2


@pytest.mark.parametrize("words", [[], ["statsu"], ["status", "now"], ["status", "--limit", "3"], ["hosts", "--host", "1.1.1.1"],
                                   ["stop", "--force"], ["log-level"], ["log-level", "loud"], ["log-level", "info", "x"],
                                   ["flows", "--limit", "0"], ["flows", "--limit", "x"], ["cards", "192.168.7.23", "192.168.7.24"], ["--nonsense"], ["--socket"],
                                   ["--socket", "/" + "x" * 200, "status"]])
def test_ctl_used_wrongly(tool, words):
    run = ctl(tool, *words)
    assert run.returncode == 2 and run.stderr and not run.stdout
    if words == ["statsu"]:
        assert "did you mean 'status'" in run.stderr


def test_ctl_says_what_to_do(folder, tool):
    run = ctl(tool, "--socket", str(folder / "nobody"), "status")
    assert run.returncode == 1 and "no sensor listens on" in run.stderr and "--socket" in run.stderr
    (folder / "file").touch()
    run = ctl(tool, "--socket", str(folder / "file"), "status")
    assert run.returncode == 1
    run = ctl(tool, "flows", "--host", "nonsense & more")
    assert run.returncode == 1 and "nonsense & more" in run.stderr
    run = ctl(tool, "--json", "flows", "--host", "192.0.2.99")
    assert run.returncode == 1 and "did not answer" in json.loads(run.stdout)["error"]


def test_ctl_with_a_reload_that_fails(folder):
    gate = folder / "gate"
    os.mkfifo(gate)
    tool = Tool(folder, "--gate", gate)
    assert tool.word() == "ready"
    runs = []
    waiting = threading.Thread(target=lambda: runs.append(ctl(tool, "reload", "--force")))
    waiting.start()
    assert tool.word() == "reload force"
    gate.write_text("beacon.lua:7: unexpected symbol\n")
    waiting.join(HANG)
    assert runs[0].returncode == 1 and "beacon.lua:7: unexpected symbol" in runs[0].stderr
    assert tool.end() == 0


@pytest.mark.parametrize("answer", [b"", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nnot json",
                                    b"HTTP/1.1 200 OK\r\n\r\n[1,2]", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", b"SSH-2.0-x\r\n",
                                    b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100000, b"HTTP/1.1 500 No\r\n\r\n<html>"])
def test_ctl_with_somebody_else_on_the_socket(folder, answer):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "control.sock"))
        s.listen(5)

        def serve():
            peer, _ = s.accept()
            peer.recv(65536)
            peer.sendall(answer)
            peer.close()

        server = threading.Thread(target=serve)
        server.start()
        run = subprocess.run([LUNETTE, "ctl", "-s", folder / "control.sock", "status"], capture_output=True, text=True, timeout=HANG)
        server.join(HANG)
    assert run.returncode == 1 and run.stderr.startswith("lunette: "), run.stderr


def test_default_paths(folder):
    environment = {k: v for k, v in os.environ.items() if k not in ("LUNETTE_SOCKET", "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY")}
    run = subprocess.run([LUNETTE, "ctl", "status"], capture_output=True, text=True, timeout=HANG, env=environment)
    if run.returncode == 0:
        pytest.skip("a sensor is running here")
    if os.geteuid() == 0:
        assert "/run/lunette/control.sock" in run.stderr
    else:
        assert f"/tmp/lunette-{os.geteuid()}/control.sock" in run.stderr or "/run/lunette/control.sock" in run.stderr
