"""resolver_change and proxy_change on real captures: what is in use is on card and report, what is odd is a lead, and healthy
traffic is nothing loud. Figures are tshark's, counted by hand."""
import pytest

from run_lunette import ROOT, real, replay


def rows(reports, title):
    found = [report for report in reports if report["title"] == title]
    return found[0]["rows"] if found else []


@pytest.mark.parametrize("capture, host, proxy, kind, requests", [
    ("ja4/socks-https-example.pcap", "10.180.156.185", "10.180.156.249:1080", "SOCKS 4", "3"),
    ("ja4/socks4-https.pcap", "10.0.0.1", "10.0.0.2:9901", "SOCKS 4", "1"),
    ("ndpi/http_connect.pcap", "192.168.1.103", "192.168.1.146:8080", "HTTP", "1"),
    ("ndpi/http-proxy.pcapng", "192.168.1.103", "192.168.1.146:8080", "HTTP", "1"),
])
def test_proxies_in_use_are_no_change(capture, host, proxy, kind, requests):
    alerts, reports = replay("proxy_change", real(capture))
    assert alerts == []
    (row,) = rows(reports, "Proxies by host")
    assert (row[0], row[1], row[2], row[4]) == (host, proxy, kind, requests)


@pytest.mark.parametrize("capture", ["ja4/latest.pcapng", "ja4/ssh2.pcapng"])
def test_chrome_asks_for_wpad_in_four_search_domains(capture):
    assert replay("proxy_change", real(capture))[0] == []


@pytest.mark.parametrize("capture, where, severity", [
    ("ndpi/dns2tcp_tunnel.pcap", "1.1.1.1", "low"),             # a tunnel in DoH: one TLS flow without a name to a public resolver
    ("ndpi/doh.pcapng", "1.1.1.1", "low"),
    ("ndpi/doq_adguard.pcapng", "dns.adguard.com", "low"),
    ("ndpi/dns_doh.pcap", "mozilla.cloudflare-dns.com", "info"),  # Firefox' own
])
def test_encrypted_dns(capture, where, severity):
    alerts, _ = replay("resolver_change", real(capture))
    assert [(alert["where"], alert["severity"]) for alert in alerts] == [(where, severity)]


def test_dnscrypt_proxy_spreads_its_questions():
    alerts, _ = replay("resolver_change", real("ndpi/dnscrypt-v2-doh.pcap"))
    assert sum(alert["title"] == "Many encrypted resolvers" for alert in alerts) == 1
    assert {alert["severity"] for alert in alerts} == {"info", "low"} and len(alerts) == 5


def test_allowed_is_silent():
    alerts, _ = replay("resolver_change", real("ndpi/doq_adguard.pcapng"), settings={"allowed": "doq"})
    assert alerts == []


@pytest.mark.parametrize("capture", ["mac-install", "mac-first-boot", "desk", "document", "programs", "lan", "mac-with-implant"])
def test_healthy_samples(capture):
    for detector in ("resolver_change", "proxy_change"):
        alerts, _ = replay(detector, ROOT / "examples" / (capture + ".pcapng.gz"))
        assert [alert for alert in alerts if alert["severity"] in ("medium", "high")] == []


def test_two_resolvers_of_a_mac():
    """anyconnect-vpn.pcap: tshark -Y 'dns.flags.response==0 && udp.port==53' counts 16 questions to the one and 5 to the other."""
    alerts, reports = replay("resolver_change", real("ndpi/anyconnect-vpn.pcap"))
    assert alerts == []
    assert [(row[1], row[3], row[5]) for row in rows(reports, "Resolvers")] == [("75.75.75.75", "16", "16"), ("75.75.76.76", "5", "5")]
