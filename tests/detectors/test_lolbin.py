"""lolbin: what curl, nc, ping, ssh and scp leave on the wire, made up and real."""

import json
import struct
import subprocess

import pytest

from pcap_builder import Capture, http_request, http_response, ssh_handshake
from run_lunette import BINARY, ROOT, real, replay

MAC, ELSEWHERE, NAS = "192.168.1.20", "203.0.113.5", "192.168.1.5"


def run(tmp_path, capture, **settings):
    return replay("lolbin", capture.write(tmp_path / "x.pcap"), settings=settings)[0]


def said(alerts):
    return [(alert["evidence"]["tool"], alert["severity"], alert["title"]) for alert in alerts]


# ---------------------------------------------------------------- curl and kin
def test_plain_curl_is_info_once(tmp_path):
    capture = Capture()
    for i in range(5):
        capture.http(i, MAC, ELSEWHERE, "www.example.com", "/page%d.html" % i, response_headers=[("Content-Type", "text/html")])
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "info" and alert["where"] == "www.example.com"
    assert "macOS 14.6 to 26.0 ships it" in alert["why"]


def test_curl_that_no_macos_ships(tmp_path):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, "www.example.com", "/", agent="curl/8.15.0", response_headers=[("Content-Type", "text/html")])
    (alert,) = run(tmp_path, capture)
    assert "no macOS ships it" in alert["why"]


def test_stealers_upload_is_high(tmp_path):
    """As AMOS does it: a zip in a form, by curl, to an address."""
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, ELSEWHERE, "/joinsystem", "POST", body=b"PK\x03\x04" + bytes(200_000),
                 headers=[("Content-Type", "multipart/form-data; boundary=xx"), ("BuildID", "1")], response_body=b"ok")
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "high"
    assert any("multipart" in mark for mark in alert["evidence"]["marks"])
    assert any("asks an address" in mark for mark in alert["evidence"]["marks"])


@pytest.mark.parametrize("host,path,content_type,severity", [
    ("files.example.com", "/install.sh", "text/plain", "low"), (ELSEWHERE, "/payload", "application/octet-stream", "medium"),
    ("api.example.com", "/v1/list", "application/json", "info"),
])
def test_downloads(tmp_path, host, path, content_type, severity):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, host, path, response_headers=[("Content-Type", content_type)])
    assert [alert["severity"] for alert in run(tmp_path, capture)] == [severity]


def test_browsers_are_silent_and_home_is_quiet(tmp_path):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, ELSEWHERE, "/a.sh", agent="Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)")
    assert run(tmp_path, capture) == []
    capture.http(2, MAC, NAS, NAS, "/backup", "POST", body=bytes(150_000), headers=[("Content-Type", "multipart/form-data")])
    assert [alert["severity"] for alert in run(tmp_path, capture)] == ["low"]


def test_kin(tmp_path):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, "a.example.com", agent="python-requests/2.31.0", port=8637)
    capture.http(2, MAC, ELSEWHERE, "b.example.com", agent="Wget/1.21")
    alerts = run(tmp_path, capture)
    assert [alert["evidence"]["tool"] for alert in alerts] == ["python-requests", "wget"]
    assert alerts[0]["severity"] == "low" and "port 8637" in alerts[0]["why"]


# ---------------------------------------------------------------- nc
def test_reverse_shell(tmp_path):
    capture = Capture()
    shell = capture.tcp(1, MAC, ELSEWHERE, 4444)
    shell.send(b"bash-3.2$ ").wait(2)
    shell.reply(b"id\n").send(b"uid=501(joe) gid=20(staff)\nbash-3.2$ ").wait(3)
    shell.reply(b"exit\n").close()
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "high" and alert["title"] == "Shell carried out of the host"
    assert "T1059.004" in alert["attack"]


def test_reverse_shell_without_a_prompt(tmp_path):
    capture = Capture()
    shell = capture.tcp(1, MAC, ELSEWHERE, 443)
    shell.wait(1).reply(b"whoami\n").send(b"joe\n").wait(2).reply(b"ls\n").send(b"Desktop\nDocuments\n").close()
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "high" and "whoami" in alert["why"]


def test_bind_shell_on_the_mac(tmp_path):
    capture = Capture()
    shell = capture.tcp(1, ELSEWHERE, MAC, 9001)
    shell.send(b"id\n").reply(b"uid=501(joe) gid=20(staff)\n").close()
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "high" and alert["title"] == "Shell that listens on a port"


def test_files_without_a_protocol(tmp_path):
    capture = Capture()
    capture.tcp(1, MAC, ELSEWHERE, 5555).send(b"PK\x03\x04" + bytes(5000)).close()
    capture.tcp(5, MAC, ELSEWHERE, 5556).reply(b"\xcf\xfa\xed\xfe\x07\x00\x00\x01" + bytes(5000)).close()
    capture.tcp(9, MAC, NAS, 5555).send(b"#!/bin/sh\necho hello\n").close()
    assert said(run(tmp_path, capture)) == [
        ("nc", "medium", "File sent without a protocol"), ("nc", "medium", "File fetched without a protocol"),
        ("nc", "low", "File sent without a protocol")]


def test_ftp_data_is_no_finding(tmp_path):
    capture = Capture()
    control = capture.tcp(1, MAC, ELSEWHERE, 21)
    control.reply(b"220 ready\r\n").send(b"PASV\r\n").reply(b"227 Entering Passive Mode (203,0,113,5,200,1)\r\n")
    capture.tcp(2, MAC, ELSEWHERE, 51201).reply(b"PK\x03\x04" + bytes(3000)).close()
    control.at(5).send(b"QUIT\r\n").close()
    assert run(tmp_path, capture) == []


def test_typed_lines(tmp_path):
    capture = Capture()
    talk = capture.tcp(1, MAC, ELSEWHERE, 7777)
    for i in range(5):
        talk.wait(3).send(b"hello %d\n" % i).wait(2).reply(b"well, hello\n")
    talk.close()
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "low" and alert["title"] == "Conversation in bare lines"


@pytest.mark.parametrize("ask,answer", [
    (b"NOOP\r\n", b"250 OK\r\n"), (b'{"id":1}\n', b'{"result":2}\n'), (b"\x00\x01\x02ping\n", b"\x00\x01\x02pong\n"),
])
def test_protocols_are_not_typed(tmp_path, ask, answer):
    capture = Capture()
    talk = capture.tcp(1, MAC, ELSEWHERE, 7777)
    for _ in range(8):
        talk.wait(3).send(ask).reply(answer)
    talk.close()
    assert run(tmp_path, capture) == []


def test_port_walk(tmp_path):
    capture = Capture()
    for i in range(15):
        capture.tcp(1 + i, MAC, ELSEWHERE, 1000 + i).close()
    (alert,) = run(tmp_path, capture)
    assert alert["title"] == "Port after port without a byte" and alert["evidence"]["open"] == 10


def test_empty_connections_to_one_port_are_no_walk(tmp_path):
    capture = Capture()
    for i in range(30):
        capture.tcp(1 + i, MAC, ELSEWHERE, 443).close()
    assert run(tmp_path, capture) == []


def test_ports_that_answered_are_not_told_as_shut(tmp_path):
    capture = Capture()
    for i in range(15):
        capture.tcp(1 + i, MAC, ELSEWHERE, 1000 + i).reset()
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "medium" and "none opened and closed politely" in alert["why"]


def test_passive_ftp_of_empty_folders_is_no_walk(tmp_path):
    capture = Capture()
    control = capture.tcp(1, MAC, ELSEWHERE, 21)
    control.reply(b"220 ready\r\n").send(b"USER anonymous\r\n").reply(b"230 fine\r\n")
    for i in range(15):
        control.wait(2).send(b"EPSV\r\n").reply(b"229 (|||%d|)\r\n" % (50000 + i))
        capture.tcp(3 + 2 * i, MAC, ELSEWHERE, 50000 + i).close(by_server=True)
        control.send(b"LIST\r\n").reply(b"150 here\r\n226 done\r\n")
    control.close()
    assert not [alert for alert in run(tmp_path, capture) if alert["severity"] in ("medium", "high")]


def test_udp_probe(tmp_path):
    capture = Capture()
    for second in (1, 1.001, 2, 3):
        capture.udp(second, MAC, 50000, ELSEWHERE, 161, b"X")
    (alert,) = run(tmp_path, capture)
    assert alert["title"] == "UDP probe of nc" and alert["severity"] == "low"


# ---------------------------------------------------------------- ssh, scp
def test_ssh_of_macos(tmp_path):
    capture = Capture()
    ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22), client_software="OpenSSH_9.8")
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "info" and alert["evidence"]["client"] == "SSH-2.0-OpenSSH_9.8"
    assert "not the key exchange list of macOS" in alert["why"]  # the builder's key exchange list is nobody's


def test_ssh_that_is_not_apples(tmp_path):
    capture = Capture()
    ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 2222), client_software="Go")
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "medium" and "port 2222" in alert["why"]


def test_bulk_upload(tmp_path):
    capture = Capture()
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    session.send(bytes(300_000)).reply(bytes(400)).close()
    alerts = run(tmp_path, capture, ssh_bulk=200_000)
    assert said(alerts)[1] == ("scp", "medium", "Files leave by ssh (scp, sftp, rsync)")
    assert alerts[1]["evidence"]["sent"] >= 300_000
    assert len(run(tmp_path, capture)) == 1  # below the threshold as shipped


@pytest.mark.parametrize("name,severity", [("github.com", "low"), ("github.com.example.net", "medium")])
def test_a_push_to_a_code_host_is_a_lead(tmp_path, name, severity):
    capture = Capture()
    capture.dns(0, MAC, "192.168.1.1", name, [ELSEWHERE])
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    session.send(bytes(300_000)).reply(bytes(400)).close()
    assert said(run(tmp_path, capture, ssh_bulk=200_000))[1] == ("scp", severity, "Files leave by ssh (scp, sftp, rsync)")


def typed(by_server, count=40, gap=1.0, echo=True):
    capture = Capture()
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    for _ in range(count):
        session.wait(gap)
        first, second = (session.reply, session.send) if by_server else (session.send, session.reply)
        first(b"k" * 36)
        if echo:
            second(b"e" * 36)
    session.close()
    return capture


def test_shell_carried_backwards(tmp_path):
    alerts = run(tmp_path, typed(by_server=True))
    assert ("ssh", "high", "Shell carried backwards through ssh (ssh -R)") in said(alerts)


@pytest.mark.parametrize("capture", [
    typed(by_server=False), typed(by_server=True, gap=15.0), typed(by_server=True, echo=False)], ids=["typed", "keep-alive", "tail -f"])
def test_ordinary_sessions(tmp_path, capture):
    assert [severity for _, severity, _ in said(run(tmp_path, capture))] == ["info"]


# ---------------------------------------------------------------- ping
def mac_ping(time):
    return struct.pack("!II", int(time), 123456) + bytes(range(8, 56))


def test_pings(tmp_path):
    capture = Capture()
    for i in range(5):
        capture.echo(i, MAC, ELSEWHERE, mac_ping(capture.start + i), sequence=i)
        capture.echo(i, MAC, "203.0.113.6", b"abcdefghijklmnopqrstuvwabcdefghi", sequence=i)
        capture.echo(i, MAC, "203.0.113.7", mac_ping(capture.start + i)[:8] + bytes(i % 256 for i in range(8, 1400)), sequence=i)
    alerts = run(tmp_path, capture)
    assert [(alert["severity"], alert["where"], alert["evidence"]["layout"]) for alert in alerts] == [
        ("info", ELSEWHERE, "bsd"), ("info", "203.0.113.6", "windows"), ("info", "203.0.113.7", "bsd")]


def test_a_mac_with_a_foreign_ping(tmp_path):
    capture = Capture()
    capture.tcp(0, MAC, ELSEWHERE, 443).close()
    capture.echo(1, MAC, ELSEWHERE, b"abcdefghijklmnopqrstuvwabcdefghi")
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "low" and alert["title"] == "A Mac that pings like another system"


def scrambled(seed, length):
    return bytes((seed * 131 + i * i * 7 + (i >> 3) * 29) & 255 for i in range(length))


def test_tunnel(tmp_path):
    capture = Capture()
    for i in range(12):
        capture.echo(i, MAC, ELSEWHERE, scrambled(i, 100 + 40 * i), sequence=0, reply=scrambled(i + 50, 300 + i))
    alerts = run(tmp_path, capture)
    assert alerts[-1]["title"] == "Tunnel in ping" and alerts[-1]["severity"] == "high"


def test_tunnel_of_ip(tmp_path):
    capture = Capture()
    for i in range(6):
        inner = bytes(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 60, i, 0, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")) + scrambled(i, 40)
        capture.echo(i, MAC, ELSEWHERE, inner, sequence=i)
    assert said(run(tmp_path, capture)) == [("ping", "high", "Tunnel in ping")]


def test_flood(tmp_path):
    capture = Capture()
    for i in range(120):
        capture.echo(i / 200, MAC, ELSEWHERE, mac_ping(capture.start), sequence=i)
    assert ("ping", "low", "Flood of pings") in said(run(tmp_path, capture))


# ---------------------------------------------------------------- open sessions, other hosts, other tools
def test_a_shell_is_told_while_it_is_open(tmp_path):
    """The connection stays open beyond the capture's end by hours: the alert's time is that of the first bytes."""
    capture = Capture()
    shell = capture.tcp(1, MAC, ELSEWHERE, 4444)
    shell.send(b"bash-3.2$ ").wait(2).reply(b"id\n").send(b"uid=501(joe) gid=20(staff)\nbash-3.2$ ")
    capture.udp(3000, MAC, 50000, ELSEWHERE, 9999, b"later")
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "high" and alert["evidence"].get("open") is True


def test_commands_are_told_while_it_is_open(tmp_path):
    capture = Capture()
    shell = capture.tcp(1, MAC, ELSEWHERE, 443)
    shell.wait(1).reply(b"whoa").reply(b"mi\n")
    assert run(tmp_path, capture) == []  # nobody answered
    capture = Capture()
    shell = capture.tcp(1, MAC, ELSEWHERE, 443)
    shell.wait(1).reply(b"whoa").reply(b"mi\n").send(b"joe\n")
    (alert,) = run(tmp_path, capture)
    assert alert["evidence"].get("open") is True and "whoami" in alert["why"]


def test_zsh_on_a_terminal(tmp_path):
    capture = Capture()
    capture.tcp(1, MAC, ELSEWHERE, 9001).send(b"\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m      \r \r").close()
    (alert,) = run(tmp_path, capture)
    assert alert["title"] == "Shell carried out of the host"


def test_an_upload_is_told_in_the_open_session(tmp_path):
    capture = Capture()
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    session.send(bytes(300_000)).reply(bytes(400)).wait(1800).send(b"k" * 36).reply(b"k" * 36).close()
    alert = run(tmp_path, capture, ssh_bulk=200_000)[1]
    assert alert["title"].startswith("Files leave") and alert["evidence"]["open"] is True


def test_a_backward_shell_shows_in_the_open_session(tmp_path):
    capture = Capture()
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    for i in range(40):
        session.wait(4).reply(b"k" * 36).send(b"e" * 36).wait(0.3).reply(b"k" * 36).send(b"o" * (400 + 13 * i))
    alerts = [alert for alert in run(tmp_path, capture) if "backwards" in alert["title"]]
    assert [alert["severity"] for alert in alerts][:1] == ["medium"] and alerts[0]["evidence"]["open"] is True


def browsing(count=20, request=900, answer=20_000, gap=6.0):
    capture = Capture()
    session = ssh_handshake(capture.tcp(1, MAC, ELSEWHERE, 22))
    for _ in range(count):
        session.wait(gap).send(b"q" * request).reply(bytes(500)).send(b"q" * request).reply(bytes(answer)).send(b"w" * 64)
    session.close()
    return capture


def test_other_connections_inside_ssh(tmp_path):
    alerts = [alert for alert in run(tmp_path, browsing()) if "inside ssh" in alert["title"]]
    assert [alert["severity"] for alert in alerts] == ["low"] and "T1572" in alerts[0]["attack"]


@pytest.mark.parametrize("capture", [browsing(count=4), browsing(request=60), typed(by_server=False, count=200)], ids=["few", "typed", "keys"])
def test_what_carries_no_other_connections(tmp_path, capture):
    assert [alert for alert in run(tmp_path, capture) if "inside ssh" in alert["title"]] == []


def test_a_windows_agent_from_a_mac(tmp_path):
    agent = "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)"
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, "updates.example.com", "/x", agent=agent)
    (alert,) = run(tmp_path, capture)
    assert alert["severity"] == "medium" and alert["title"] == "A Mac that calls itself another system"
    capture.http(5, MAC, ELSEWHERE, ELSEWHERE, "/x", "POST", body=b"PK\x03\x04" + bytes(500), agent=agent, headers=[("Content-Type", "application/zip")])
    assert [alert["severity"] for alert in run(tmp_path, capture)] == ["medium", "high"]


def test_a_windows_host_is_nobody_to_us(tmp_path):
    """Its SYN is Windows' own: its curl, its ssh on a port, and its agent are its own business."""
    capture = Capture()
    syn = b"\x02\x04\x05\xb4\x01\x03\x03\x08\x01\x01\x04\x02"
    for i, port in enumerate((80, 2222, 4444)):
        capture.segment(i, MAC, 49000 + i, ELSEWHERE, port, 2, 100, 0, options=syn, window=64240, ttl=128)
        capture.segment(i + 0.1, ELSEWHERE, port, MAC, 49000 + i, 0x14, 0, 101)
    web = capture.tcp(10, MAC, ELSEWHERE, 80, handshake=False)
    web.send(http_request(ELSEWHERE, "/a.sh", agent="curl/8.15.0")).reply(http_response(headers=[("Content-Type", "text/x-sh")])).close()
    ssh_handshake(capture.tcp(20, MAC, ELSEWHERE, 2222, handshake=False), client_software="PuTTY_Release_0.80")
    assert run(tmp_path, capture) == []


def test_tftp_and_telnet(tmp_path):
    capture = Capture()
    capture.udp(1, MAC, 50001, ELSEWHERE, 69, b"\0\x02secret.zip\0octet\0")
    capture.udp(2, MAC, 50002, ELSEWHERE, 69, b"\0\x01boot.img\0octet\0")
    capture.udp(3, MAC, 50003, ELSEWHERE, 69, b"\0\x01\x02\x03nothing")
    capture.tcp(4, MAC, ELSEWHERE, 23).reply(b"\xff\xfd\x18").send(b"\xff\xfc\x18").reply(b"login: ").close()
    assert sorted(said(run(tmp_path, capture))) == [
        ("telnet", "info", "telnet at work"), ("tftp", "low", "File fetched by tftp"), ("tftp", "medium", "File sent by tftp")]


def test_every_alert_has_a_score_that_follows_its_severity(tmp_path):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, "www.example.com", "/", response_headers=[("Content-Type", "text/html")])
    capture.http(2, MAC, ELSEWHERE, ELSEWHERE, "/joinsystem", "POST", body=bytes(200_000), headers=[("Content-Type", "multipart/form-data")])
    capture.tcp(3, MAC, ELSEWHERE, 4444).send(b"bash-3.2$ ").close()
    bands = {"info": (0, 2.5), "low": (2.5, 5), "medium": (5, 7.5), "high": (7.5, 10)}
    for alert in run(tmp_path, capture):
        low, high = bands[alert["severity"]]
        assert low <= alert["score"] <= high


def test_the_card(tmp_path):
    capture = Capture()
    for i in range(3):
        capture.http(i, MAC, ELSEWHERE, "www.example.com", "/page%d.html" % i)
    ssh_handshake(capture.tcp(10, MAC, ELSEWHERE, 22))
    done = subprocess.run([BINARY, "replay", "-q", "-o", "-", "--record", "host", "-s", ROOT / "scripts" / "lolbin.lua", capture.write(tmp_path / "x.pcap")],
                          capture_output=True, text=True, timeout=60)
    cards = {record["src_ip"]: record["host"].get("facts", {}) for record in map(json.loads, done.stdout.splitlines()) if record["event_type"] == "host"}
    if not cards:
        pytest.skip("this build writes no host records")
    assert cards[MAC]["tools"]["text"] == ["curl 8.7.1 (macOS 14.6 to 26.0) 3 times to 1 place", "ssh (OpenSSH_9.8) once to 1 place"]


# ---------------------------------------------------------------- real captures
def test_real_icmp_tunnel():
    alerts, _ = replay("lolbin", real("ndpi/icmp-tunnel.pcap"))
    assert ("ping", "high", "Tunnel in ping") in said(alerts)
    assert "IPv4 packets inside" in alerts[-1]["why"]


def test_real_ssh_of_a_mac():
    (alert,), _ = replay("lolbin", real("tcpdump/ssh.pcap"))
    assert alert["severity"] == "info" and alert["evidence"]["client"] == "SSH-2.0-OpenSSH_7.8"
    assert alert["evidence"]["macos"] == "10.14.1 to 11"


def test_real_curl_over_tls():
    (alert,), _ = replay("lolbin", real("ndpi/443-curl.pcap"))
    assert said([alert]) == [("curl", "info", "curl over TLS at work")]


def test_real_file_over_nc():
    alerts, _ = replay("lolbin", real("ndpi/shell.pcap"))
    assert alerts and all(alert["evidence"]["tool"] == "nc" and "script (#!" in alert["why"] for alert in alerts)


def test_real_reverse_ssh():
    alerts, _ = replay("lolbin", real("ja4/ssh-r.pcap"))
    reverse = [alert for alert in alerts if alert["title"] == "Shell carried backwards through ssh (ssh -R)"]
    assert [alert["where"] for alert in reverse] == ["44.212.59.210"]


@pytest.mark.parametrize("name", [
    "ndpi/tls_certificate_too_long.pcap", "ndpi/iphone.pcap", "ndpi/anyconnect-vpn.pcap", "ndpi/443-safari.pcap", "ndpi/443-firefox.pcap",
    "ndpi/zoom.pcap", "ndpi/teams.pcap", "ndpi/signal.pcap", "ndpi/imap.pcap", "ndpi/irc.pcap", "ndpi/ftp.pcap", "ndpi/mysql.pcapng",
    "ja4/macos_tcp_flags.pcap",
])
def test_real_captures_are_quiet(name):
    alerts, _ = replay("lolbin", real(name))
    assert [alert for alert in alerts if alert["severity"] != "info"] == []
