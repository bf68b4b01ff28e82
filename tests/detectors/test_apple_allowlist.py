"""apple_allowlist: each rule fires on a made-up capture and stays silent on its honest twin; real captures of Macs and iPhones
give a true table and no alert."""

import pathlib
import subprocess
import sys

import pytest

from pcap_builder import Capture, client_hello, http_request, http_response, server_hello
from run_lunette import BINARY, PCAPS, ROOT, real, replay

MAC, ROUTER, ELSEWHERE = "192.168.1.20", "192.168.1.1", "203.0.113.5"
APPLE = "17.253.144.10"


def run(tmp_path, capture, **settings):
    return replay("apple_allowlist", capture.write(tmp_path / "x.pcap"), settings=settings)


def titles(alerts):
    return [alert["title"] for alert in alerts]


# ---------------------------------------------------------------- the table
def test_the_diary_table(tmp_path):
    """swscan.apple.com: 18 connections, 42 MB, scaled down; third parties and strangers in books of their own."""
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "swscan.apple.com", [APPLE])
    for i in range(18):
        capture.tls(2 + i, MAC, APPLE, "swscan.apple.com", response=23_000)
    capture.dns(30, MAC, ROUTER, "www.yelp.com", ["198.51.100.7"])
    capture.tls(31, MAC, "198.51.100.7", "www.yelp.com")
    capture.tls(32, MAC, ELSEWHERE, "shop.example.co.uk")
    capture.tls(33, MAC, ELSEWHERE, "cdn.example.co.uk")
    capture.tls(34, "192.168.1.21", "198.51.100.8", "a1.b.akamaiedge.net")
    alerts, reports = run(tmp_path, capture)
    assert alerts == []
    totals, of_mac, _ = reports
    assert [row[:3] for row in totals["rows"]] == [
        [MAC, "Apple", "18"], [MAC, "Known third parties", "1"], [MAC, "Elsewhere", "2"],
        ["192.168.1.21", "Known third parties", "1"]]  # a shared zone is never Apple on that ground alone
    assert of_mac["title"] == "Who %s called" % MAC
    assert of_mac["columns"] == ["name", "category", "purpose", "connections", "sent", "received"]
    rows = {row[0]: row[1:] for row in of_mac["rows"]}
    category, purpose, connections, _, received = rows["swscan.apple.com"]
    assert (category, purpose, connections) == ("software-update", "macOS update catalogue", "18")
    assert received.endswith(" kB") and 440 <= float(received.split()[0]) <= 520
    assert rows["www.yelp.com"][0] == "third-party:safari-start-page"
    assert rows["example.co.uk"][0] == "elsewhere" and rows["example.co.uk"][2] == "2"


def test_address_of_apple_without_a_name_and_shared_zone_at_apple(tmp_path):
    capture = Capture()
    session = capture.tcp(1, MAC, "17.57.144.20", 5223)
    session.send(b"\x16\x03\x01\x00\x05hello").reply(b"x" * 100).close()
    capture.tls(3, MAC, APPLE, "updates.g.aaplimg.com")
    alerts, (totals, _) = run(tmp_path, capture)
    assert alerts == []
    assert [row[:3] for row in totals["rows"]] == [[MAC, "Apple", "2"]]


def test_only_local_clients_count(tmp_path):
    capture = Capture()
    capture.tls(1, ELSEWHERE, "192.168.1.30", "app1e.com")
    assert run(tmp_path, capture) == ([], [])


# ---------------------------------------------------------------- look-alikes
@pytest.mark.parametrize("name,severity", [
    ("appleid.apple.com.evil.top", "high"), ("www-apple-com.evil.top", "high"), ("xn--80ak6aa92e.com", "high"), ("app1e.com", "medium"),
    ("apple-id-verify.com", "medium"), ("icloud-login.ru", "medium"), ("apple-support.site", "low"), ("appel-login.com", "low"),
    ("xn--pple-43d.evil.top", "medium"), ("app1e.evil.top", "low"), ("appleid-verify-account.evil.top", "low"), ("testflight-login.top", "low"),
    ("xn--80ak6aa92e.com.evil.top", "medium"), ("1cloud-appstore.verify-id.top", "low"),
])
def test_imitations_in_tls(tmp_path, name, severity):
    capture = Capture()
    capture.tls(1, MAC, ELSEWHERE, name)
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Name that imitates Apple's"
    assert alert["severity"] == severity
    assert alert["who"] == MAC and alert["where"] == name


def test_imitation_by_dns_and_http_is_said_once(tmp_path):
    capture = Capture()
    for second in range(3):
        capture.dns(second, MAC, ROUTER, "login.icloud-verify.com", [ELSEWHERE])
    capture.http(5, MAC, ELSEWHERE, "login.icloud-verify.com", agent="Mozilla/5.0")
    (alert,), _ = run(tmp_path, capture)
    assert alert["evidence"]["registrable"] == "icloud-verify.com"


@pytest.mark.parametrize("name", [
    "www.applebees.com", "snapple.com", "www.pineapple.co.uk", "appleinsider.com", "apple.stackexchange.com", "apple-pie.com", "apple.de",
    "www.apple.com.edgekey.net", "e6858.dsce9.akamaiedge.net", "www-apple-com.translate.goog", "www.xn--mnich-kva.com", "gateway.icloud.com",
    "maple-login.com", "api.apple-cloudkit.com", "safebrowsing.apple", "apple-login.example.com", "appleid.auth.example.com", "apple.example.com",
    "appstore.example.com", "www.appstoreoptimization.com", "airdrop-claims.example", "testflight.com", "xn--bcher-kva.example.com",
])
def test_honest_names(tmp_path, name):
    capture = Capture()
    capture.dns(1, MAC, ROUTER, name, [APPLE])
    capture.tls(2, MAC, APPLE, name)
    assert run(tmp_path, capture)[0] == []


def test_dns_that_brought_nothing_is_no_finding(tmp_path):
    """Search lists, block lists and blocking resolvers."""
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "time.apple.com.home.example.com", rcode=3)
    capture.dns(2, MAC, ROUTER, "time.apple.com.lan", [ROUTER])
    capture.dns(3, MAC, ROUTER, "apple.com.multi.surbl.org", ["127.0.0.2"])
    capture.dns(4, MAC, ROUTER, "icloud-verify.com", ["0.0.0.0"])
    assert run(tmp_path, capture)[0] == []


# ---------------------------------------------------------------- ports and protocols
def test_tls_on_an_odd_port(tmp_path):
    capture = Capture()
    capture.tls(1, MAC, ELSEWHERE, "gateway.icloud.com", port=8443)
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Apple name on a port that does not fit" and alert["severity"] == "medium"
    assert "tcp/8443" in alert["why"]


def test_push_on_its_port_is_fine(tmp_path):
    capture = Capture()
    capture.tls(1, MAC, "17.57.144.20", "7-courier.push.apple.com", port=5223)
    assert run(tmp_path, capture)[0] == []


def test_plain_http_on_443(tmp_path):
    capture = Capture()
    capture.http(1, MAC, ELSEWHERE, "swscan.apple.com", port=443, agent="Mozilla/5.0")
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Apple name in plain HTTP on a port that does not fit"


def test_captive_probe_is_fine(tmp_path):
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "captive.apple.com", ["23.0.113.5"])
    capture.http(1.1, MAC, "23.0.113.5", "captive.apple.com", "/hotspot-detect.html", agent="CaptiveNetworkSupport-390.60.1 wispr")
    assert run(tmp_path, capture)[0] == []


def test_raw_bytes_on_443(tmp_path):
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "www.apple.com", [("CNAME", "e6858.dsce9.akamaiedge.net"), ELSEWHERE])
    session = capture.tcp(2, MAC, ELSEWHERE, 443)
    session.send(b"\x01\x02\x03\x04 not tls").reply(b"\x05\x06\x07").close()
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Bytes on 443 to an Apple name that are not TLS"
    assert alert["evidence"]["first_bytes"].startswith("01020304")


def test_through_a_proxy_is_no_misfit(tmp_path):
    capture = Capture()
    session = capture.tcp(1, MAC, ELSEWHERE, 3128)
    session.send(http_request("gateway.icloud.com:443", "gateway.icloud.com:443", "CONNECT", agent="trustd"))
    session.reply(http_response("200 Connection established", body=b""))
    session.send(client_hello("gateway.icloud.com")).reply(server_hello()).close()
    assert run(tmp_path, capture)[0] == []


# ---------------------------------------------------------------- addresses
def test_told_another_address(tmp_path):
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "www.apple.com", ["17.253.144.10"])
    capture.tls(2, MAC, ELSEWHERE, "www.apple.com")
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Apple name at an address that does not fit"
    assert alert["evidence"]["asked"] is True


def chatty(seconds=1200):
    """A host whose DNS was watched for a while."""
    capture = Capture()
    for i in range(40):
        capture.dns(i * seconds / 40, MAC, ROUTER, "host%d.example.com" % i, ["198.51.100.%d" % (i + 1)])
    return capture


def test_never_asked(tmp_path):
    capture = chatty()
    capture.tls(1201, MAC, ELSEWHERE, "gateway.icloud.com")
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Apple name at an address that does not fit"
    assert alert["evidence"]["asked"] is False


@pytest.mark.parametrize("address", ["17.1.2.3", "23.45.67.89", "2a01:b740:a42::7"])
def test_never_asked_but_apple_or_content_network(tmp_path, address):
    capture = chatty()
    capture.tls(1201, "2001:db8::20" if ":" in address else MAC, address, "gateway.icloud.com")
    assert run(tmp_path, capture)[0] == []


def test_asked_and_told_that_address(tmp_path):
    """A cache inside a provider's network: in no list, but DNS gave it."""
    capture = chatty()
    capture.dns(1201, MAC, ROUTER, "gateway.icloud.com", [("CNAME", "gateway.fe.apple-dns.net"), ELSEWHERE])
    capture.tls(1202, MAC, ELSEWHERE, "gateway.icloud.com")
    assert run(tmp_path, capture)[0] == []


def test_families_are_kept_apart(tmp_path):
    """Asked for AAAA only, connected over IPv4: the other answer may have come another way."""
    capture = Capture()
    capture.dns(1, MAC, ROUTER, "www.apple.com", ["2600:1406:4400::ace8:1090"], qtype="AAAA")
    capture.tls(2, MAC, ELSEWHERE, "www.apple.com")
    assert run(tmp_path, capture)[0] == []


def test_watched_too_short_or_dns_hidden(tmp_path):
    capture = chatty(seconds=60)
    capture.tls(61, MAC, ELSEWHERE, "gateway.icloud.com")
    assert run(tmp_path, capture)[0] == []
    capture = chatty()
    capture.tls(600, MAC, "198.51.100.99", "dns.google")
    capture.tls(1201, MAC, ELSEWHERE, "gateway.icloud.com")
    assert run(tmp_path, capture)[0] == []


def test_private_address(tmp_path):
    capture = Capture()
    capture.tls(1, MAC, "192.168.1.66", "appleid.apple.com")
    (alert,), _ = run(tmp_path, capture)
    assert alert["title"] == "Apple name at a private address" and alert["severity"] == "low"


# ---------------------------------------------------------------- what the table holds
def table(name):
    lines = [line.split("\t") for line in (ROOT / "scripts" / "data" / name).read_text().splitlines() if not line.startswith("#")]
    return {row[0]: dict(zip(lines[0], row)) for row in lines[1:]}


def test_every_researched_name_is_in_the_table():
    """Left out are a question put to the resolver, and whole zones of content networks of which one name, listed by itself, matters."""
    source = PCAPS.parent / "reference" / "apple-domains.tsv"
    if not source.exists():
        pytest.skip("the research table is not here")
    rows = [line.split("\t") for line in source.read_text().splitlines()[1:] if line and not line.startswith("#")]
    assert len(rows) > 300
    ours, left_out = table("apple_domains.tsv"), set()
    for name, _, _, category, purpose, _ in rows:
        if name not in ours:
            left_out.add(name)
            continue
        assert ours[name]["category"].removeprefix("third-party:") == category.removeprefix("third-party:"), name
        assert ours[name]["purpose"], name
    assert left_out == {"_dns.resolver.arpa", "fastly-edge.com", "cloudflare.com"}


def test_made_by_its_script():
    source, data = PCAPS.parent / "reference" / "apple-domains.tsv", ROOT / "scripts" / "data"
    if not source.exists():
        pytest.skip("the research table is not here")
    made = subprocess.run([sys.executable, data / "make_apple_domains.py", source], capture_output=True, text=True, check=True)
    assert made.stdout == (data / "apple_domains.tsv").read_text()


def test_every_block_is_covered():
    import ipaddress
    source = PCAPS.parent / "reference" / "apple-cidrs.tsv"
    if not source.exists():
        pytest.skip("the research table is not here")
    ours = [ipaddress.ip_network(cidr) for cidr in table("apple_cidrs.tsv")]
    for line in source.read_text().splitlines()[1:]:
        block = ipaddress.ip_network(line.split("\t")[0], strict=False)
        assert any(block.version == own.version and block.subnet_of(own) for own in ours), block


def test_what_packets_cannot_be_made_for():
    """Certificates, QUIC, several resolvers, the relay: apple_allowlist_test.lua."""
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    file = pathlib.Path(__file__).with_name("apple_allowlist_test.lua")
    done = subprocess.run([BINARY, "test", file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- real captures
@pytest.mark.parametrize("name", [
    "ndpi/tls_certificate_too_long.pcap", "ndpi/iphone.pcap", "ndpi/anyconnect-vpn.pcap", "ndpi/signal.pcap", "ndpi/teams.pcap",
    "ndpi/sites.pcapng", "ndpi/whatsapp_login_call.pcap", "ndpi/punycode-idn.pcap", "ndpi/dns_ambiguous_names.pcap",
    "ndpi/android.pcap", "ndpi/netflix.pcap", "apple/apple-tcpdump/radar-79792659.pcapng", "ja4/tls-sni.pcapng", "ja4/macos_tcp_flags.pcap", "ja4/tls-handshake.pcapng",
])
def test_real_captures_are_silent(name):
    assert titles(replay("apple_allowlist", real(name))[0]) == []


def test_iphone_table():
    _, (totals, names) = replay("apple_allowlist", real("ndpi/iphone.pcap"))
    assert [row[:2] for row in totals["rows"]] == [["192.168.2.17", "Apple"]]
    rows = {row[0]: row[1:] for row in names["rows"]}
    assert {"captive.apple.com", "gateway.icloud.com", "gsa.apple.com", "cl4.apple.com"} <= set(rows)
    assert rows["gateway.icloud.com"][0] == "icloud" and rows["captive.apple.com"][0] == "connectivity-check"


def test_findings_do_not_depend_on_batch_or_workers(tmp_path):
    capture = chatty()
    for i in range(8):
        capture.tls(1201 + i, "192.168.1.%d" % (20 + i), ELSEWHERE, "login.apple%d-verify.com" % i)
    capture.tls(1300, MAC, ELSEWHERE, "gateway.icloud.com")
    path = capture.write(tmp_path / "x.pcap")
    plain, _ = replay("apple_allowlist", path)
    assert len(plain) >= 2
    for options in (["--batch", "1"], ["--batch", "7"], ["--workers", "3"]):
        assert replay("apple_allowlist", path, options=options)[0] == plain
