"""beacon: what it finds in made-up networks of Macs. Of real captures see corpus/test_false_alarms.py."""

import json
import random
import re
import subprocess

import pytest

from pcap_builder import GO_CIPHERS, Capture, application_data, client_hello, http_request, server_hello
from run_lunette import BINARY, ROOT, replay

MAC, RESOLVER, C2, NAME = "192.168.1.20", "192.168.1.1", "203.0.113.7", "cdn-metrics.example"
HOUR = 3600
BROWSER = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F]


def go_hello(name):
    return client_hello(name, ciphers=GO_CIPHERS)


def timer(r, start, end, seconds, jitter=0.0):
    """Times of a sleep loop."""
    times, t = [], start
    while t < end:
        times.append(t)
        t += seconds * r.uniform(1 - jitter, 1 + jitter) + r.uniform(0.2, 0.6)
    return times


def beacon(capture, times, client=MAC, name=NAME, server=C2, size=(420, 900)):
    for t in times:
        capture.tls(t, client, server, name, request=size[0], response=size[1], hello=go_hello(name))


def person(capture, r, client, start, end, sites):
    """Visits: each a burst of connections to a few sites, sizes all over the place; some of DNS in between."""
    t = start + r.expovariate(1 / 60)
    while t < end:
        for _ in range(1 + int(r.paretovariate(1.2))):
            site = r.choice(sites)
            address = "198.51.100.%d" % (sites.index(site) % 250 + 1)
            if r.random() < 0.3:
                capture.dns(t, client, RESOLVER, site, [address])
            capture.tls(t + 0.05, client, address, site, request=int(r.lognormvariate(6.5, 0.9)),
                        response=int(min(r.lognormvariate(8, 1.5), 40_000)),
                        hello=client_hello(site, ciphers=BROWSER))
            t += r.lognormvariate(1.4, 1.2)
        t += r.expovariate(1 / 400)


def alive(capture, client, start, end, every=200):
    """Small signs of life: a DNS query now and then."""
    t = start
    while t < end:
        capture.dns(t, client, RESOLVER, "gateway.example", ["198.51.100.250"])
        t += every


def beacons(alerts):
    return [a for a in alerts if a["title"] == "Beacon to a rare server"]


def worst(alerts):
    return min((a["severity"] for a in alerts), key=("high", "medium", "low", "info").index)


# ------------------------------------------------------------------------------------------------------ a single Mac
def test_beacon_among_a_persons_traffic(tmp_path):
    r, capture = random.Random(1), Capture()
    beacon(capture, timer(r, 100, 3 * HOUR, 60, 0.2))
    person(capture, r, MAC, 0, 3 * HOUR, ["site%d.example" % i for i in range(12)])
    alerts, reports = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert {(a["who"], a["where"]) for a in alerts} == {(MAC, NAME)}
    assert [a["severity"] for a in alerts] == ["low", "medium"]  # half an hour, then two; never high: rarity is not known
    last = alerts[-1]["evidence"]
    assert 50 <= last["period_s"] <= 72 and last["intervals_at_period"] > 0.9
    assert 0.05 < last["jitter"] < 0.25
    assert last["bursts_in_flows"] == 0 and last["flows"] == last["check_ins"] > 100
    assert last["clients"] == last["clients_with_name"] == 1
    assert last["awake_share"] == 1
    assert last["tls_stack"].startswith("t13_")
    assert "T1071.001" in alerts[-1]["attack"] and "T1029" in alerts[-1]["attack"]
    (report,) = reports
    assert report["rows"][0][1:3] == [MAC, NAME]


def test_a_person_alone_is_quiet(tmp_path):
    for seed in (2, 3):
        r, capture = random.Random(seed), Capture()
        person(capture, r, MAC, 0, 4 * HOUR, ["site%d.example" % i for i in range(6)])
        alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
        assert alerts == []


def test_check_ins_inside_one_flow(tmp_path):
    """Keep-alive: one connection, a request every 45 s ± 30 % in it. Flow records show a single flow."""
    r, capture = random.Random(4), Capture()
    session = capture.tcp(10, MAC, C2, 443)
    session.send(go_hello(NAME)).reply(server_hello())
    for t in timer(r, 20, 3 * HOUR, 45, 0.3):
        session.at(t).send(application_data(300)).reply(application_data(180))
    session.close()
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert alerts and {a["where"] for a in beacons(alerts)} == {NAME}
    last = alerts[-1]["evidence"]
    assert last["flows"] == 1 and last["bursts_in_flows"] > 100


def test_a_laptop_that_sleeps(tmp_path):
    """Ten minutes of uptime between check-ins, the lid shut for an hour again and again: by the wall clock it is no timer."""
    r, capture = random.Random(5), Capture()
    awake = [(k * 2 * HOUR, k * 2 * HOUR + HOUR * r.uniform(0.5, 1.1)) for k in range(16)]
    uptime = 0.0
    due = 100.0
    for start, end in awake:
        alive(capture, MAC, start, end, 90)
        while due < uptime + end - start:
            beacon(capture, [start + due - uptime])
            due += 600 * r.uniform(0.9, 1.1)
        uptime += end - start
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert {(a["who"], a["where"]) for a in alerts} == {(MAC, NAME)}
    last = alerts[-1]["evidence"]
    assert last["clock"] == "awake" and 520 < last["period_s"] < 680
    assert 0.3 < last["awake_share"] < 0.6


def test_no_server_name_no_tls(tmp_path):
    """A raw socket to an address: the pair is named by it."""
    r, capture = random.Random(6), Capture()
    for t in timer(r, 0, 3 * HOUR, 120, 0.1):
        capture.tcp(t, MAC, C2, 4444).send(b"\x01\x02\x03\x04hello").reply(b"\0" * 12).close()
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert {a["where"] for a in alerts} == {C2}
    assert alerts[-1]["evidence"]["tls_stack"] == "plain" and alerts[-1]["evidence"]["server_port"] == 4444


def test_under_half_an_hour_is_no_beacon(tmp_path):
    r, capture = random.Random(7), Capture()
    beacon(capture, timer(r, 0, 29 * 60, 20, 0.1))
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert alerts == []
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"), settings={"span": 900})
    assert alerts


def test_known_timers_are_left_alone(tmp_path):
    """Push keep-alive, NTP, DNS, an update check, a printer at home: all by the clock."""
    r, capture = random.Random(8), Capture()
    push = capture.tcp(1, MAC, "17.57.146.20", 5223)
    push.send(client_hello("12-courier.push.apple.com")).reply(server_hello())
    for t in timer(r, 10, 8 * HOUR, 900):
        push.at(t).send(application_data(40)).reply(application_data(40))
    for t in timer(r, 5, 8 * HOUR, 300, 0.05):
        capture.ntp(t, MAC, "17.253.52.125")
        capture.dns(t + 1, MAC, "9.9.9.9", "tracker.example", ["198.51.100.9"])
        capture.tls(t + 2, MAC, "17.248.1.1", "gdmf.apple.com", hello=client_hello("gdmf.apple.com"))
        capture.http(t + 3, MAC, "192.168.1.99", "printer.local", "/status")
    path = capture.write(tmp_path / "x.pcap")
    assert replay("beacon", path)[0] == []
    found = replay("beacon", path, settings={"internal": "true"})[0]
    assert {a["where"] for a in found} == {"printer.local"}


# ------------------------------------------------------------------------------------------------------------- a fleet
def fleet(r, hours=4, clients=14):
    """Macs that all poll a company server, one that polls a server of its own for long, and people."""
    capture, addresses = Capture(), ["192.168.1.%d" % (20 + i) for i in range(clients)]
    for client in addresses:
        alive(capture, client, r.uniform(0, 100), hours * HOUR, 240)
        for t in timer(r, r.uniform(0, 300), hours * HOUR, 300, 0.05):
            capture.tls(t, client, "198.51.100.77", "mdm.corp.example", request=300, response=500)
        person(capture, r, client, 0, hours * HOUR, ["site%d.example" % i for i in range(8)])
    return capture, addresses


def test_rarity_tells_the_beacon_from_the_company_server(tmp_path):
    r = random.Random(9)
    capture, addresses = fleet(r)
    beacon(capture, timer(r, 1800, 4 * HOUR, 60, 0.3), addresses[3])
    path = capture.write(tmp_path / "x.pcap")
    alerts, _ = replay("beacon", path)
    assert {(a["who"], a["where"]) for a in alerts} == {(addresses[3], NAME)}
    # The name was there on the sensor's first day, so nobody knows how old it is.
    assert worst(alerts) == "medium" and 3.5 < alerts[-1]["score"] < 4.5
    assert alerts[-1]["evidence"]["clients"] == len(addresses)
    # Told that the name is new, it is sure.
    alerts, _ = replay("beacon", path, settings={"learning": 0})
    assert {(a["who"], a["where"]) for a in alerts} == {(addresses[3], NAME)}
    assert worst(alerts) == "high"


def test_batch_size_changes_nothing(tmp_path):
    r, capture = random.Random(10), Capture()
    beacon(capture, timer(r, 100, 3 * HOUR, 60, 0.2))
    person(capture, r, MAC, 0, 3 * HOUR, ["site%d.example" % i for i in range(4)])
    path = capture.write(tmp_path / "x.pcap")
    said = [replay("beacon", path, options=["--batch", n]) for n in (1, 7, 1024)]
    assert said[0] == said[1] == said[2] and said[0][0]


def without_flow_ids(command_line, path):
    """Records of alerts and reports as they are written, but for the numbers that workers give flows."""
    done = subprocess.run([str(word) for word in [BINARY, "replay", "-q", "-o", "-", "--record", "alert,report", "-s",
                           ROOT / "scripts" / "beacon.lua", *command_line, path]], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return re.sub(rb'"flow_id":\d+,', b"", done.stdout)


def test_workers_change_nothing(tmp_path):
    """Rarity is judged over all hosts, whichever workers they are dealt to."""
    r = random.Random(12)
    capture, addresses = fleet(r, hours=3)
    beacon(capture, timer(r, 900, 3 * HOUR, 60, 0.3), addresses[3])
    beacon(capture, timer(r, 500, 3 * HOUR, 120, 0.2), addresses[8], name="other.example", server="203.0.113.9")
    path = capture.write(tmp_path / "x.pcap")
    said = [without_flow_ids(["-w", workers, "--batch", batch], path) for workers, batch in
            ((1, 256), (2, 256), (3, 7), (4, 1024))]
    assert said[0].count(b'"Beacon to a rare server"') >= 2 and b'"report"' in said[0]
    assert said[1:] == [said[0]] * 3


# ---------------------------------------------------------------------------------------------------------- long flows
@pytest.mark.parametrize("hours,found", [(5, True), (3, False)])
def test_long_flow_to_a_rare_name(tmp_path, hours, found):
    """It is held open by the server's pushes, so the client has no check-ins."""
    r, capture = random.Random(11), Capture()
    session = capture.tcp(1, MAC, C2, 443)
    session.send(go_hello(NAME)).reply(server_hello()).send(application_data(200))
    for t in timer(r, 60, hours * HOUR, 240, 0.9):
        session.at(t).reply(application_data(r.randint(40, 4000)))
    session.close()
    alerts, _ = replay("beacon", capture.write(tmp_path / "x.pcap"))
    assert [(a["title"], a["severity"], a["where"]) for a in alerts] == (
        [("Long flow to a rare new server", "low", NAME)] if found else [])


# ---------------------------------------------------------------------------------- check-ins that the engine must see
def told(path, **how):
    alerts, _ = replay("beacon", path, **how)
    return [a for a in beacons(alerts) if a["severity"] == "medium"]


def test_messages_in_a_web_socket(tmp_path):
    """RFC 6455: a request for upgrade, then frames both ways. The client's pings are masked."""
    r, capture = random.Random(21), Capture()
    session = capture.tcp(10, MAC, C2, 80)
    session.send(http_request(NAME, "/socket", headers=[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                                                        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]))
    session.reply(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    for t in timer(r, 30, 3 * HOUR, 50, 0.3):
        session.at(t).send(b"\x82\x90" + bytes(4) + bytes(16)).reply(b"\x82\x10" + bytes(16))
    session.close()
    (alert,) = told(capture.write(tmp_path / "x.pcap"))
    assert alert["where"] == NAME and alert["evidence"]["flows"] == 1 and alert["evidence"]["bursts_in_flows"] > 100


def test_requests_in_one_quic_connection(tmp_path):
    """The Initial that RFC 9001 prints (example.com), then protected packets both ways."""
    text = (ROOT / "tests" / "unit" / "quic_vectors.h").read_text()
    found = {name: bytes.fromhex("".join(re.findall(r"[0-9a-f]{2,}", body)))
             for name, body in re.findall(r"char (\w+)\[\] =\s*((?:\"[0-9a-f]+\"\s*)+);", text)}
    r, capture = random.Random(22), Capture()
    capture.udp(5, MAC, 51001, C2, 443, found["rfc9001_client"])
    capture.udp(5.02, C2, 443, MAC, 51001, found["rfc9001_server"])
    for t in timer(r, 30, 3 * HOUR, 40, 0.3):
        capture.udp(t, MAC, 51001, C2, 443, b"\x41" + bytes.fromhex("f067a5502a4262b5") + bytes(60))
        capture.udp(t + 0.03, C2, 443, MAC, 51001, b"\x41" + bytes(80))
    (alert,) = told(capture.write(tmp_path / "x.pcap"))
    assert alert["where"] == "example.com" and alert["evidence"]["flows"] == 1 and alert["evidence"]["bursts_in_flows"] > 100


# ------------------------------------------------------------------------------------------------------------ restarts
MEDIUM = 2  # in EVE


def test_a_beacon_over_a_restart(tmp_path):
    """Two halves that say too little each: with the state of the first, the second tells of both."""
    r = random.Random(23)
    times = timer(r, 100, 4 * HOUR, 420, 0.2)
    state, found = tmp_path / "state", []
    state.mkdir()
    for half, part in enumerate((times[:13], times[13:26])):
        capture = Capture()
        beacon(capture, part)
        path = capture.write(tmp_path / ("%d.pcap" % half))
        assert told(path) == []
        done = subprocess.run([str(word) for word in [
            BINARY, "replay", "--pace", "100000x", "--control", "none", "--stats-every", 0, "--state", state, "-q", "-o", "-", "--record", "alert",
            "-s", ROOT / "scripts" / "beacon.lua", path]], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
    (medium,) = [a["lunette"] for a in found if a["alert"]["severity"] == MEDIUM]
    assert medium["where"] == NAME and medium["evidence"]["check_ins"] > 13 and medium["evidence"]["span_s"] > 2 * HOUR
