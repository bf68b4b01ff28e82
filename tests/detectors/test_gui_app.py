"""gui_app on real captures: healthy programs give no alert of medium or above, whatever log names them; the same flows under another
path or signature do. The cases without packets are in gui_app_test.lua.

The capture is Apple's own (radar-74957353: `network_test` sends 20 kB of bare TCP to port 5201 of an address without a name, four times);
the logs are written here, in the four formats."""

import datetime
import json
import pathlib
import random
import subprocess

import pytest

from pcap_builder import Capture
from run_lunette import BINARY, PCAPS, ROOT, SEVERITIES, real, replay

HERE = pathlib.Path(__file__).resolve().parent
PIDS, ADDRESS, SERVER = (1500, 1505, 1524, 1528), "10.42.53.132", "52.41.70.31"
STARTED = {1500: "2021-03-03T00:39:36.000Z", 1505: "2021-03-03T00:40:04.000Z", 1524: "2021-03-03T00:41:39.000Z", 1528: "2021-03-03T00:42:01.000Z"}
UNIX = {1500: 1614731976, 1505: 1614732004, 1524: 1614732099, 1528: 1614732121}
EDITOR = "/Applications/BBEdit.app/Contents/Helpers/network_test"
TOOL = "/usr/local/bin/network_test"
TEMPORARY = "/private/tmp/.cache/network_test"


def test_each_sign_on_made_events():
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    done = subprocess.run([BINARY, "test", HERE / "gui_app_test.lua"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- logs of four formats
def eslogger(path, signing="", team=None, platform=False):
    def process(pid, image, version):
        token = {"auid": 501, "euid": 501, "egid": 20, "ruid": 501, "rgid": 20, "pid": pid, "asid": 100003, "pidversion": version}
        return {"audit_token": token, "parent_audit_token": dict(token, pid=1, pidversion=0), "responsible_audit_token": token, "ppid": 1,
                "original_ppid": 1, "executable": {"path": image, "path_truncated": False}, "signing_id": signing, "team_id": team,
                "cdhash": "00" * 20, "is_platform_binary": platform}
    return "".join(json.dumps(
        {"schema_version": 1, "version": 9, "time": STARTED[pid], "event_type": 9, "process": process(pid, "/usr/libexec/xpcproxy", 2 * pid),
         "event": {"exec": {"target": process(pid, path, 2 * pid + 1), "args": [path], "cwd": {"path": "/"}}}}) + "\n" for pid in PIDS)


def osquery(path, signing="", team="", platform="0"):
    return "".join(json.dumps(
        {"name": "es", "hostIdentifier": "annas-mac", "unixTime": UNIX[pid], "action": "added", "columns": {
            "event_type": "exec", "pid": str(pid), "path": path, "time": str(UNIX[pid]), "parent": "1", "original_parent": "1", "cmdline": path,
            "signing_id": signing, "team_id": team or "", "platform_binary": platform, "cdhash": "00" * 20, "cwd": "/"}}) + "\n" for pid in PIDS)


def santa(path, team=None, **_):
    return "".join("[%s] I santad: action=EXEC|decision=ALLOW|pid=%d|ppid=1|uid=501|user=anna|path=%s|args=%s%s\n" % (
        STARTED[pid], pid, path, path, "|teamid=" + team if team else "") for pid in PIDS)


def unified(path, **_):
    return "".join(json.dumps(
        {"timestamp": STARTED[pid].replace("T", " ").replace(".000Z", ".000000+0000"), "processID": pid, "userID": 501, "processImagePath": path,
         "processImageUUID": "4491B4FA-C7EC-367C-9F2F-1395E91BE636", "eventMessage": "x"}) + "\n" for pid in PIDS)


FORMATS = {"eslogger": eslogger, "osquery": osquery, "santa": santa, "log": unified}


def alerts_of(tmp_path, kind, path, *options, **more):
    log = tmp_path / "host.log"
    log.write_text(FORMATS[kind](path, **more))
    return replay("gui_app", real("apple/apple-tcpdump/radar-74957353.pcapng"), options=("--host-log", "%s=%s" % (ADDRESS, log), *options))[0]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_tool_in_its_place_is_silent(tmp_path, kind):
    assert alerts_of(tmp_path, kind, TOOL) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_bytes_from_within_an_editor(tmp_path, kind):
    """One alert for all four runs. No DNS was seen of that Mac, which might have had a name for the server: so it is medium, not high."""
    alert, = alerts_of(tmp_path, kind, EDITOR)
    assert alert["title"] == "App talks unlike its kind" and alert["severity"] == "medium"
    assert alert["who"] == ADDRESS and alert["where"] == SERVER
    assert alert["evidence"]["class"] == "editor" and alert["evidence"]["path"] == EDITOR
    assert {"raw", "port"} <= set(alert["evidence"]["signs"]) and alert["evidence"]["sent"] == 20000


@pytest.mark.parametrize("kind,severity", [("eslogger", "high"), ("osquery", "high"), ("santa", "low"), ("log", "low")])
def test_the_same_program_in_a_temporary_folder(tmp_path, kind, severity):
    """Where the log tells of signatures, that it has none counts; where it tells none, the place alone is a lead."""
    found = alerts_of(tmp_path, kind, TEMPORARY)
    assert {alert["title"] for alert in found} == {"Program from a place for downloads talks to the outside"}
    assert severity in {alert["severity"] for alert in found} or severity == "high" and found[0]["severity"] == "medium"
    assert "T1204.002" in found[0]["attack"]


@pytest.mark.parametrize("kind", ["eslogger", "osquery", "santa"])
def test_a_developers_signature_is_enough(tmp_path, kind):
    assert alerts_of(tmp_path, kind, TEMPORARY, team="ABCDE12345", signing="com.example.network-test") == []


def test_the_alert_does_not_depend_on_batches_and_workers(tmp_path):
    def said(*options):
        return sorted(json.dumps(alert, sort_keys=True) for alert in alerts_of(tmp_path, "eslogger", EDITOR, *options))
    expected = said()
    assert expected
    for batch in ("1", "7", "1024"):
        assert said("--batch", batch) == expected
    for workers in ("2", "4"):
        assert said("-w", workers) == expected


# ---------------------------------------------------------------- real traffic under names
# Captures name no programs, so osquery's rows of sockets do: all flows of a capture are one program's.
APPS = "/Applications/%s.app/Contents/MacOS/%s"
LOUD = {"high", "medium"}


def socket_log(tmp_path, capture, path_of):
    """osquery's rows for all flows of a capture; path_of(n) is the program of the n-th."""
    flows = subprocess.run([str(word) for word in (BINARY, "replay", "-q", "--no-scripts", "-o", "-", "--record", "flow", capture)],
                           capture_output=True, text=True, timeout=120, check=False).stdout
    rows = []
    for line in flows.splitlines():
        flow = json.loads(line)
        if flow["proto"] not in ("TCP", "UDP") or not flow.get("src_port"):
            continue
        at = int(datetime.datetime.strptime(flow["flow"]["start"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp())
        path = path_of(len(rows))
        rows.append({"name": "sockets", "hostIdentifier": "annas-mac", "unixTime": at, "action": "added", "columns": {
            "action": "connect", "pid": str(1000 + len(path)), "path": path, "family": "2", "protocol": "6" if flow["proto"] == "TCP" else "17",
            "local_address": flow["src_ip"], "local_port": str(flow["src_port"]), "remote_address": flow["dest_ip"],
            "remote_port": str(flow["dest_port"]), "success": "1", "time": str(at), "eid": str(len(rows))}})
    assert rows
    log = tmp_path / "sockets.log"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return log


def named(tmp_path, name, path):
    capture = real(name)
    alerts = replay("gui_app", capture, options=("--host-log", socket_log(tmp_path, capture, lambda _: path)))[0]
    return [alert for alert in alerts if alert["severity"] in LOUD]


def test_what_is_learnt_does_not_depend_on_batches_and_workers(tmp_path):
    """Eleven Macs with four apps each, over some hours: what is new and rare is the same however the packets are dealt."""
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    chance, capture = random.Random(3), Capture()
    for i in range(1500):
        site = min(int(chance.expovariate(0.15)), 200)
        capture.tls(1700000000 + i * 10 + chance.random() * 9, "192.168.1.%d" % chance.randint(2, 12), "198.51.100.%d" % (site + 1), "www.d%d.example" % site,
                    request=chance.choice([400, 400, 3000]), port=chance.choice([443] * 30 + [8444, 9000]))
    path = capture.write(tmp_path / "fleet.pcap")
    apps = [APPS % (app, app) for app in ("Slack", "Things3", "Notion", "Google Chrome")]
    log = socket_log(tmp_path, path, lambda n: apps[n % len(apps)])
    settings = {"learn_days": 0.05, "learn_flows": 10, "upload": 2000, "upload_times": 2, "fleet": 5}

    def said(*options):
        return sorted(json.dumps(alert, sort_keys=True) for alert in replay("gui_app", path, settings=settings, options=("--host-log", log, *options))[0])
    expected = said()
    assert len({json.loads(alert)["title"] for alert in expected}) == 2 and not any("Google Chrome" in alert and "new domain" in alert for alert in expected)
    for options in (("--batch", "1"), ("--batch", "7"), ("-w", "2"), ("-w", "4")):
        assert said(*options) == expected, options


@pytest.mark.parametrize("capture,app", [
    ("443-safari.pcap", "Safari"), ("chrome.pcap", "Google Chrome"), ("firefox.pcap", "Firefox"), ("no_sni.pcap", "Google Chrome"),
    ("teams.pcap", "Microsoft Teams"), ("zoom.pcap", "zoom.us"), ("discord.pcap", "Discord"), ("telegram.pcap", "Telegram"),
    ("signal.pcap", "Signal"), ("viber.pcap", "Viber"), ("webex.pcap", "Webex"), ("whatsappfiles.pcap", "WhatsApp"),
    ("spotify_tcp.pcap", "Spotify"), ("netflix.pcap", "TV"), ("dropbox.pcap", "Dropbox"), ("bittorrent.pcap", "Transmission"),
    ("imaps.pcap", "Mail"), ("imap-starttls.pcap", "Thunderbird"), ("smtp-starttls.pcap", "Mail"), ("smtp.pcap", "Microsoft Outlook"),
    ("anydesk.pcapng", "AnyDesk"), ("opera-vpn.pcapng", "Opera"), ("tls_certificate_too_long.pcap", "Pages"), ("iphone.pcap", "Pages")])
def test_healthy_apps(tmp_path, capture, app):
    """What these apps really said, under their own names; and a healthy Mac's whole traffic under an office program's."""
    assert named(tmp_path, "ndpi/" + capture, APPS % (app, app)) == []


@pytest.mark.parametrize("capture,path,title,signs", [
    ("no_sni.pcap", APPS % ("BBEdit", "BBEdit"), "App talks unlike its kind", {"bare"}),
    ("443-opvn.pcap", APPS % ("BBEdit", "BBEdit"), "App talks unlike its kind", {"protocol"}),
    ("wireguard.pcap", APPS % ("Skim", "Skim"), "App talks unlike its kind", {"protocol", "port"}),
    ("telegram.pcap", APPS % ("Pages", "Pages"), "App talks unlike its kind", {"bare"}),
    ("443-safari.pcap", "/System/Applications/Preview.app/Contents/MacOS/Preview", "App that should be silent talks to the outside", {"silent"}),
    ("443-safari.pcap", "/private/tmp/Safari", "Program under a name of Apple's", {"disguise"})])
def test_the_same_traffic_under_another_name(tmp_path, capture, path, title, signs):
    found = named(tmp_path, "ndpi/" + capture, path)
    assert found and {alert["title"] for alert in found} == {title}
    assert signs <= {sign for alert in found for sign in alert["evidence"]["signs"]}


# ---------------------------------------------------------------- the card
def test_the_card_names_apps_and_what_tools_did_below_them():
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    examples = ROOT / "examples"
    command = [BINARY, "hosts", "--json", "-s", ROOT / "scripts" / "gui_app.lua", "--host-log", "192.168.7.23=%s" % (examples / "document.eslogger.jsonl"),
               examples / "document.pcapng.gz"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=True)
    cards = [json.loads(line) for line in done.stdout.splitlines()]
    card, = [card["host"] for card in cards if card["src_ip"] == "192.168.7.23"]
    fact = card["facts"]["gui apps"]
    assert fact["detector"] == "gui_app" and fact["details"] == {"apps": 2}
    assert fact["text"] == ["Safari: 1 connection to 1 domain, 118 bytes sent, 116 bytes received", "Microsoft Word: 1 connection of tools that it ran"]


# ---------------------------------------------------------------- captures as they are
def loud(*captures):
    command = [BINARY, "replay", "-q", "-o", "-", "--record", "alert", "-s", ROOT / "scripts" / "gui_app.lua", *captures]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    assert "gui_app" not in done.stderr, done.stderr
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    return [alert for alert in alerts if SEVERITIES[alert["alert"]["severity"]] in LOUD and alert["lunette"].get("detector") == "gui_app"]


def test_no_capture_of_a_mac_raises_an_alarm():
    """Those in which the kernel names the programs."""
    if not BINARY.exists() or not (PCAPS / "apple").exists():
        pytest.skip("needs lunette and the captures")
    for path in sorted((PCAPS / "apple").rglob("*.pcap*")):
        assert loud(path) == [], path


@pytest.mark.parametrize("name", ["mac-install", "mac-first-boot", "mac-with-implant", "programs", "document", "desk", "lan"])
def test_no_sample_raises_an_alarm(name):
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    assert loud(ROOT / "examples" / (name + ".pcapng.gz")) == []
