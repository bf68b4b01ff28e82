"""mac_identity: made captures for each rule, and the real captures of which it is known, from their own traffic and not from ours, who is
in them (the machine list of the captures and the notes on how macOS looks on the wire)."""
import ipaddress
import json
import shutil
import struct
import subprocess

import pytest

from pcap_builder import Capture, dns_name, http_request, http_response, ntp_request
from run_lunette import BINARY, PCAPS, ROOT, real, replay

DARWIN = "Software/1 CFNetwork/1240.0.4 Darwin/20.6.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.1 Safari/605.1.15"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"
WINDOWS_SYN = bytes.fromhex("020405b4" "01" "030308" "0101" "0402")
LINUX_SYN = bytes.fromhex("020405b4" "0402" "080a0000000100000000" "01" "030307")
MAC_SYN = "020405b4" "01" "0303%02x" "0101" "080a0000000100000000" "0402" "0000"
MAC_LIST, IPHONE_LIST = (1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46), (1, 121, 3, 6, 15, 119, 252)
SYN = 2
MAC = "192.168.1.20"
SERVER = "203.0.113.9"


def syn(capture, time, client, options=bytes.fromhex(MAC_SYN % 6), window=65535, ttl=64, flags=SYN, port=None, server=SERVER):
    capture.segment(time, client, port or capture.port(client), server, 443, flags, 1, 0, options=options, window=window, ttl=ttl)


def windows_syn(capture, time, client):
    syn(capture, time, client, WINDOWS_SYN, 64240, 128)


def dhcp(capture, time, kind, mac, wishes=None, name=None, asked=None, given=None, vendor=None):
    """A DHCP message: kind 1 discover, 3 request, 5 ack."""
    reply = kind == 5
    options = bytes([53, 1, kind])
    for number, value in ((55, bytes(wishes) if wishes else None), (12, name and name.encode()), (60, vendor and vendor.encode()),
                          (50, asked and bytes(map(int, asked.split("."))))):
        if value:
            options += bytes([number, len(value)]) + value
    head = struct.pack("!BBBBIHH4s4s4s4s", 2 if reply else 1, 1, 6, 0, 7, 0, 0, bytes(4), bytes(map(int, (given or "0.0.0.0").split("."))),
                       bytes(4), bytes(4))
    message = head + bytes.fromhex(mac.replace(":", "")) + bytes(10 + 64 + 128) + b"\x63\x82\x53\x63" + options + b"\xff"
    ends = ("192.168.1.1", 67, "255.255.255.255", 68) if reply else ("0.0.0.0", 68, "255.255.255.255", 67)
    capture.udp(time, *ends, message, ttl=255)


def announce(capture, time, source, instance, host, texts, addresses):
    """A Bonjour answer with device-info of an instance and the addresses of its host."""
    def record(name, kind, rdata):
        return name + struct.pack("!HHIH", kind, 0x8001, 4500, len(rdata)) + rdata

    text = b"".join(bytes([len(t)]) + t.encode() for t in texts)
    info = dns_name([instance.encode(), b"_device-info", b"_tcp", b"local"])
    records = [record(info, 16, text)]
    for address in addresses:
        packed = ipaddress.ip_address(address).packed
        records.append(record(dns_name(host + ".local"), 1 if len(packed) == 4 else 28, packed))
    message = struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)
    capture.udp(time, source, 5353, "ff02::fb" if ":" in source else "224.0.0.251", 5353, message, ttl=255)


def get(capture, time, client, agent, host="www.example.com", path="/", server=SERVER):
    session = capture.tcp(time, client, server, 80)
    session.send(http_request(host, path, agent=agent)).reply(http_response()).close()


class Hosts:
    """What mac_identity says of a capture: the table at the end, the alerts, and its events."""

    def __init__(self, *captures, options=()):
        self.alerts, reports = replay("mac_identity", *captures, options=options)
        self.rows = {row[0]: row for report in reports for row in report["rows"]}
        command = [BINARY, "replay", "-q", "-o", "-", "--record", "mac_identity.host", "-s", ROOT / "scripts" / "mac_identity.lua", *options]
        done = subprocess.run([str(word) for word in [*command, *captures]], capture_output=True, text=True, timeout=120)
        self.events = [json.loads(line)["mac_identity"]["host"] for line in done.stdout.splitlines()]

    def what(self, address):
        return self.rows[address][1]

    def system(self, address):
        return self.rows[address][2]

    def sure(self, address):
        return int(self.rows[address][3].split()[0])

    def evidence(self, address):
        return self.rows[address][4]

    def last(self, address):
        return [event for event in self.events if event["address"] == address][-1]


@pytest.fixture
def played(tmp_path):
    def play(capture, *options):
        path = tmp_path / "made.pcap"
        capture.write(path)
        return Hosts(path, options=options)
    return play


# ---------------------------------------------------------------- single signs

@pytest.mark.parametrize("flags", [SYN, SYN | 0xC0], ids=["plain", "ecn"])
def test_a_syn_alone_is_a_kernel_and_no_mac(played, flags):
    capture = Capture()
    syn(capture, 0, MAC, flags=flags)
    found = played(capture)
    assert found.what(MAC) == "Apple device"
    assert found.last(MAC)["kind"] == "apple"
    assert found.alerts == []


@pytest.mark.parametrize("options, window, ttl, kind", [
    (WINDOWS_SYN, 64240, 128, "windows"), (LINUX_SYN, 64240, 64, "linux"), (bytes.fromhex(MAC_SYN % 1), 65535, 64, "mac")],
    ids=["windows", "linux", "old mac"])
def test_kernels_of_others(played, options, window, ttl, kind):
    capture = Capture()
    syn(capture, 0, MAC, options, window, ttl)
    assert played(capture).last(MAC)["kind"] == kind


def test_the_window_scale_of_a_phone(played):
    capture = Capture()
    syn(capture, 0, MAC, bytes.fromhex(MAC_SYN % 7))
    assert played(capture).last(MAC)["kind"] == "iphone"


def test_darwin_in_an_agent_tells_the_release_and_not_the_device(played):
    capture = Capture()
    get(capture, 0, MAC, DARWIN)
    found = played(capture)
    assert found.last(MAC)["kind"] == "apple"
    get(capture, 5, MAC, "Software/1 CFNetwork/720.5.7 Darwin/14.5.0 (x86_64)")
    assert played(capture).what(MAC) == "Mac"


def test_frozen_versions_of_browsers_mean_or_later(played):
    capture = Capture()
    get(capture, 0, MAC, SAFARI)
    assert played(capture).system(MAC) == "macOS 10.15 or later"


def test_a_version_that_is_not_frozen_is_told(played):
    capture = Capture()
    get(capture, 0, MAC, SAFARI.replace("10_15_7", "10_13_6"))
    assert played(capture).system(MAC) == "macOS 10.13.6"


def test_zeros_to_a_time_server_and_the_name_that_only_macs_ask_for(played):
    capture = Capture()
    capture.dns(0, MAC, "192.168.1.1", "time-macos.apple.com", ["17.253.16.253"])
    capture.ntp(1, MAC, "17.253.16.253")
    found = played(capture)
    assert found.what(MAC) == "Mac" and "timed" in found.evidence(MAC)


def test_a_question_with_zeros_of_version_3_is_anybodys(played):
    capture = Capture()
    capture.udp(0, MAC, 50000, SERVER, 123, b"\x1b" + ntp_request()[1:])
    assert played(capture).rows == {}


@pytest.mark.parametrize("path, host, kind", [
    ("/hotspot-detect.html", "captive.apple.com", "apple"), ("/connecttest.txt", "www.msftconnecttest.com", "windows"),
    ("/ncsi.txt", "www.msftncsi.com", "windows"), ("/generate_204", "connectivitycheck.gstatic.com", "android")])
def test_hotspot_pages(played, path, host, kind):
    capture = Capture()
    session = capture.tcp(0, MAC, SERVER, 80, handshake=False)
    session.send(http_request(host, path, agent="")).reply(http_response())
    assert played(capture).last(MAC)["kind"] == kind


# ---------------------------------------------------------------- DHCP, Bonjour

def test_dhcp_tells_mac_from_iphone(played):
    capture = Capture()
    for number, (wishes, name) in enumerate([(MAC_LIST, "Annas-Mac"), (IPHONE_LIST, "Bens-iPhone")]):
        mac, address = "02:00:00:00:00:0%d" % number, "192.168.1.%d" % (20 + number)
        dhcp(capture, number, 1, mac, wishes, name)
        dhcp(capture, number + 0.2, 3, mac, wishes, name, asked=address)
        dhcp(capture, number + 0.3, 5, mac, given=address)
    found = played(capture)
    assert found.what("192.168.1.20") == 'Mac "Annas-Mac"' and found.system("192.168.1.20") == "macOS 12 or later"
    assert found.what("192.168.1.21") == 'iPhone "Bens-iPhone"'


def test_an_address_that_passes_to_another_machine_begins_anew(played):
    capture = Capture()
    dhcp(capture, 0, 3, "02:00:00:00:00:01", MAC_LIST, "Annas-Mac", asked=MAC)
    dhcp(capture, 0.1, 5, "02:00:00:00:00:01", given=MAC)
    dhcp(capture, 9000, 3, "02:00:00:00:00:02", (1, 3, 6), "DESKTOP-ABCDEF1", asked=MAC, vendor="MSFT 5.0")
    dhcp(capture, 9000.1, 5, "02:00:00:00:00:02", given=MAC)
    found = played(capture)
    assert found.what(MAC) == 'Windows "DESKTOP-ABCDEF1"'
    assert found.alerts == []


def test_bonjour_tells_model_name_and_release(played):
    capture = Capture()
    announce(capture, 0, MAC, "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    found = played(capture)
    assert found.rows[MAC][1:3] == ['MacBookPro14,1 "Anna\'s Mac"', "macOS 11"]
    last = found.last(MAC)
    assert (last["kind"], last["system"], last["version"], last["model"], last["name"]) == ("mac", "macOS", "11", "MacBookPro14,1", "Anna's Mac")
    assert last["confidence"] > 0.95


@pytest.mark.parametrize("model, kind", [("iPhone14,2", "iphone"), ("iPad13,4", "ipad"), ("AppleTV6,2", "appletv"), ("Watch6,1", "watch"),
                                         ("AudioAccessory5,1", "homepod"), ("RealityDevice14,1", "vision"), ("Mac15,3", "mac"),
                                         ("Shairport-Sync", "other")])
def test_models(played, model, kind):
    capture = Capture()
    announce(capture, 0, MAC, "it", "it", ["model=" + model], [MAC])
    assert played(capture).last(MAC)["kind"] == kind


def test_a_storage_box_that_calls_itself_a_mac_is_none(played):
    capture = Capture()
    announce(capture, 0, MAC, "nas", "nas", ["model=RackMac"], [MAC])
    syn(capture, 1, MAC, LINUX_SYN, 64240)
    assert played(capture).last(MAC)["kind"] == "linux"


def test_addresses_of_one_machine_share_what_is_known(played):
    capture = Capture()
    syn(capture, 0, MAC)
    announce(capture, 1, "fe80::1", "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC, "fe80::1"])
    capture.ntp(2, MAC, SERVER)
    found = played(capture)
    assert found.rows[MAC][1:3] == found.rows["fe80::1"][1:3] == ['MacBookPro14,1 "Anna\'s Mac"', "macOS 11"]
    assert "SYN" in found.evidence("fe80::1") and "timed" in found.evidence("fe80::1")
    assert found.last("fe80::1")["address_of"] == MAC


def test_namesakes_elsewhere_are_two_machines(played):
    capture = Capture()
    announce(capture, 0, MAC, "MacBook Pro", "MacBook-Pro", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    announce(capture, 9, "192.168.1.21", "MacBook Pro", "MacBook-Pro", ["model=Mac15,3", "osxvers=23"], ["192.168.1.21"])
    found = played(capture)
    assert found.system(MAC) == "macOS 11" and found.system("192.168.1.21") == "macOS 14"


# ---------------------------------------------------------------- several signs

def test_the_same_evidence_twice_counts_once(played):
    once, often = Capture(), Capture()
    get(once, 0, MAC, SAFARI)
    for i in range(50):
        get(often, i, MAC, SAFARI)
        get(often, i + 0.5, MAC, SAFARI.replace("16.1", "16.%d" % i))
    one, many = played(once), played(often)
    assert one.rows[MAC][3:] == many.rows[MAC][3:]
    assert [e["confidence"] for e in many.events] == [e["confidence"] for e in one.events]


def test_contradictions_lower_the_verdict(played):
    capture = Capture()
    syn(capture, 0, MAC)
    capture.dns(1, MAC, "192.168.1.1", "swscan.apple.com", ["17.1.2.3"])
    assert played(capture).last(MAC)["kind"] == "mac"
    capture.dns(2, MAC, "192.168.1.1", "time-ios.apple.com", ["17.1.2.3"])
    assert played(capture).last(MAC)["kind"] == "apple"


def test_an_agent_of_windows_makes_no_windows_of_a_mac(played):
    capture = Capture()
    announce(capture, 0, MAC, "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    syn(capture, 1, MAC)
    get(capture, 2, MAC, EDGE)
    found = played(capture)
    assert found.last(MAC)["kind"] == "mac" and found.alerts == []


def test_several_systems_behind_one_address_are_told_once(played):
    capture = Capture()
    announce(capture, 0, MAC, "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    for i in range(20):
        syn(capture, 10 + i, MAC)
        windows_syn(capture, 10.5 + i, MAC)
        get(capture, 10.7 + i, MAC, "Microsoft-CryptoAPI/10.0", "ctldl.windowsupdate.com")
    found = played(capture)
    assert [(a["title"], a["severity"], a["who"]) for a in found.alerts] == [("One address, several systems", "info", MAC)]
    assert "Apple and Windows" in found.alerts[0]["why"]
    assert found.sure(MAC) <= 55 and "several systems" in found.evidence(MAC)


def test_a_virtual_machine_behind_the_macs_own_kernel_is_noticed(played):
    capture = Capture()
    announce(capture, 0, MAC, "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    get(capture, 1, MAC, "Microsoft-CryptoAPI/10.0", "ctldl.windowsupdate.com")
    found = played(capture)
    assert len(found.alerts) == 1 and found.last(MAC)["kind"] == "mac"


def test_only_hosts_at_home_get_a_verdict(played):
    capture = Capture()
    syn(capture, 0, SERVER, server=MAC)
    get(capture, 1, "198.51.100.7", SAFARI, server=MAC)
    assert played(capture).rows == {}
    assert "198.51.100.7" in played(capture, "--home-net", "198.51.100.0/24").rows


# ---------------------------------------------------------------- what does not show

def busy():
    capture = Capture()
    for n in range(12):
        host, mac = "192.168.1.%d" % (20 + n), "02:00:00:00:00:%02x" % n
        dhcp(capture, n, 3, mac, MAC_LIST if n % 2 else IPHONE_LIST, "host-%d" % n, asked=host)
        dhcp(capture, n + 0.1, 5, mac, given=host)
        announce(capture, n + 1, "fe80::%d" % (n + 1), "m%d" % n, "m%d" % n, ["model=Mac15,%d" % (n + 3), "osxvers=%d" % (20 + n % 4)],
                 [host, "fe80::%d" % (n + 1)])
        syn(capture, n + 2, host)
        get(capture, n + 3, host, DARWIN)
        if n % 3 == 0:
            windows_syn(capture, n + 4, host)
    return capture


def test_neither_batches_nor_workers_show(played):
    one = played(busy())
    for options in (("--batch", "1"), ("--batch", "7"), ("-w", "2"), ("-w", "4")):
        other = played(busy(), *options)
        assert sorted(map(str, other.rows.values())) == sorted(map(str, one.rows.values())), options
        assert sorted(map(str, other.events)) == sorted(map(str, one.events)), options
        assert sorted(str((a["who"], a["why"])) for a in other.alerts) == sorted(str((a["who"], a["why"])) for a in one.alerts), options
    assert len(one.alerts) == 4


def test_events_come_with_changes_alone(played):
    capture = Capture()
    for i in range(300):
        syn(capture, i, MAC)
    assert len(played(capture).events) == 1


# ---------------------------------------------------------------- lib/hosts.lua

LISTENER = """
local lunette = require "lunette"
local hosts = require "hosts"
lunette.detector { title = "Asks", category = "Discovery" }
lunette.on_end(function()
    for _, ip in ipairs { "192.168.1.20", "192.168.1.21", "192.168.1.22", "192.168.1.23" } do
        local of = hosts.of(ip)
        lunette.alert { severity = "info", who = ip, why = ("%s %s %s %s"):format(hosts.kind(ip) or "-", tostring(hosts.is_mac(ip)),
            tostring(hosts.may_be_mac(ip)), of and of.version or "-") }
    end
end)
"""


def test_detectors_ask_hosts(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "scripts" / "asks.lua").write_text(LISTENER)
    capture = Capture()
    announce(capture, 0, MAC, "Anna's Mac", "Annas-Mac", ["model=MacBookPro14,1", "osxvers=20"], [MAC])
    syn(capture, 1, "192.168.1.21")
    windows_syn(capture, 2, "192.168.1.22")
    capture.write(tmp_path / "made.pcap")
    done = subprocess.run([str(BINARY), "replay", "-q", "-o", "-", "--record", "alert", "-s", str(tmp_path / "scripts" / "asks.lua"),
                           str(tmp_path / "made.pcap")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = {r["lunette"]["who"]: r["lunette"]["why"] for r in map(json.loads, done.stdout.splitlines()) if "lunette" in r}
    assert said == {"192.168.1.20": "mac true true 11", "192.168.1.21": "apple true true ", "192.168.1.22": "windows false false 10 or later",
                    "192.168.1.23": "- false true -"}


def test_the_fact_on_the_card():
    """mac_identity_test.lua."""
    file = ROOT / "tests" / "detectors" / "mac_identity_test.lua"
    done = subprocess.run([str(BINARY), "test", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- memory

def test_ten_thousand_hosts_fit(tmp_path):
    capture = Capture()
    for n in range(10000):
        syn(capture, n * 0.001, "10.1.%d.%d" % (n // 250, n % 250 + 1))
    capture.write(tmp_path / "made.pcap")
    done = subprocess.run([str(BINARY), "replay", "-q", "-o", "-", "--record", "stats,report", "--set", "mac_identity.rows=20000", "-s",
                           str(ROOT / "scripts" / "mac_identity.lua"), str(tmp_path / "made.pcap")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [r["report"]["rows"] for r in map(json.loads, done.stdout.splitlines()) if r["event_type"] == "report"]
    assert len(rows[0]) == 10000


# ---------------------------------------------------------------- real captures

# capture, host: how what, system and the last event's kind begin. From what the hosts say of themselves in those captures.
REAL = """
ndpi/tls_certificate_too_long.pcap  192.168.1.121   MacBookPro14,1  macOS 11
ndpi/iphone.pcap                    192.168.2.1     iMac11,3        macOS 10.13
ndpi/iphone.pcap                    192.168.2.17    iPhone          iOS 13
ndpi/anyconnect-vpn.pcap            10.0.0.227      MacBookPro11,1  macOS 10.13.6
ndpi/telegram.pcap                  192.168.1.77    iMac11,3        macOS 10.13
ndpi/1kxun.pcap                     192.168.5.16    Mac             macOS 10.10
ndpi/netflix.pcap                   192.168.1.7     iPhone          iOS 10.2
ndpi/jsonrpc.pcap                   192.168.8.251   Mac             macOS 10.9.2
ndpi/ookla.pcap                     192.168.1.7     Mac             macOS 10.12.3
ndpi/mpeg.pcap                      192.168.80.160  Mac             macOS 10.10
ndpi/http_auth.pcap                 192.168.0.4     Mac             macOS 10.8.5
ndpi/socks.pcap                     10.180.156.185  Mac             macOS 10.8
ndpi/ssdp-m-search-ua.pcap          192.168.242.50  Mac             macOS
ndpi/zattoo.pcap                    10.101.0.2      Mac             macOS 10.6
tcpdump/dhcp-option-108.pcapng      10.56.42.232    Mac             macOS 12 or later
ja4/http1.pcapng                    192.168.1.100   Mac             macOS 10.9.2
ja4/ssh2.pcapng                     172.16.226.246  Mac             macOS
ndpi/signal.pcap                    192.168.2.17    iPhone          iOS
ndpi/wa_voice.pcap                  192.168.2.12    iPhone          iOS
ja4/macos_tcp_flags.pcap            172.16.5.16     Apple           macOS or iOS
ndpi/443-safari.pcap                192.168.1.13    Apple           macOS or iOS
ndpi/android.pcap                   192.168.2.16    Android         -
ndpi/gnutella.pcap                  10.0.2.15       Windows         -
ndpi/emotet.pcap                    10.4.20.102     Windows         -
ja4/CVE-2018-6794.pcap              192.168.235.1   Windows         -
ndpi/xss.pcap                       192.168.3.109   Linux           -
"""


@pytest.mark.parametrize("line", [line for line in REAL.strip().splitlines()], ids=lambda line: " ".join(line.split()[:2]))
def test_hosts_of_real_captures(line):
    name, host, what, system = line.split(None, 3)
    found = Hosts(real(name))
    assert found.what(host).startswith(what)
    if system != "-":
        assert found.system(host).startswith(system)


OTHERS = "android emotet trickbot gnutella windowsupdate_over_http xss quickplay alexa-app conncheck http_connect alicloud viber".split()


def test_others_are_never_called_macs():
    for name in OTHERS:
        for folder in sorted(PCAPS.glob("ndpi/%s.pcap*" % name)):
            for address, row in Hosts(folder).rows.items():
                assert not row[1].startswith(("Mac", "iMac", "Apple", "iP")), (name, row)
    real("ndpi/android.pcap")
