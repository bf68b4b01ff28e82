"""tls_odd through a proxy, and on real captures. The rules one by one are in tls_odd_test.lua."""
import pytest

from pcap_builder import Capture, application_data, client_hello, server_hello
from run_lunette import real, replay

MAC, PROXY = "192.168.1.20", "192.168.1.2"
CHROME = ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.0.0 Safari/537.36")
# What Go's crypto/tls offered until 1.21: FoxIO's list has the JA4 of just these, 9dc949149365.
GO = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035, 0xC012, 0x000A,
      0x1301, 0x1302, 0x1303)


def through_proxy(path, agent, hello):
    capture = Capture()
    session = capture.tcp(1, MAC, PROXY, 3128)
    session.send(b"CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\nUser-Agent: %s\r\n\r\n" % agent.encode())
    session.reply(b"HTTP/1.1 200 Connection established\r\n\r\n")
    session.send(hello)
    session.reply(server_hello())
    session.send(application_data(400))
    session.reply(application_data(900))
    session.close()
    capture.write(path)
    return path


def test_connect_says_chrome_and_the_hello_says_go(tmp_path):
    alerts, _ = replay("tls_odd", through_proxy(tmp_path / "a.pcap", CHROME, client_hello("www.example.com", ciphers=GO)))
    assert [(alert["title"], alert["severity"], alert["where"]) for alert in alerts] == [
        ("Browser's name on another's TLS", "medium", "www.example.com")]
    assert "calls itself Chrome" in alerts[0]["why"] and "Go" in alerts[0]["why"]
    assert alerts[0]["evidence"]["signs"] == ["disguise"]


@pytest.mark.parametrize("agent, hello", [
    (CHROME, client_hello("www.example.com")),                          # some browser's, as far as is known
    ("Go-http-client/1.1", client_hello("www.example.com", ciphers=GO)),  # says what it is
    ("curl/8.7.1", client_hello("www.example.com", ciphers=GO)),
])
def test_connect_that_lies_not(tmp_path, agent, hello):
    assert replay("tls_odd", through_proxy(tmp_path / "a.pcap", agent, hello))[0] == []


def test_emotets_server_is_found():
    loud = [alert for alert in replay("tls_odd", real("ndpi/emotet.pcap"))[0] if alert["severity"] in ("high", "medium")]
    assert [(alert["where"], alert["evidence"]["signs"]) for alert in loud] == [
        ("138.197.147.101", ["nameless", "placeholder", "self-signed"])]


@pytest.mark.parametrize("capture, most", [
    ("ndpi/anyconnect-vpn.pcap", "low"),        # a Mac's backup program with a server and a certificate of its own
    ("ndpi/windscribe.pcapng", "low"),          # a VPN's server
    ("ndpi/gnutella.pcap", "low"),              # peers with certificates of their own
    ("ndpi/telegram_videocall.pcapng", "info"),  # bytes on 443 that are not TLS, at addresses without a name
    ("ndpi/stun_google_meet.pcapng", None),     # WebRTC
    ("ndpi/whatsapp_voice_and_message.pcap", None),
    ("ndpi/tor.pcap", None),                    # recognised as Tor: vpn tells
    ("ndpi/iphone.pcap", None),
])
def test_what_is_odd_but_no_abuse_is_no_more_than_a_lead(capture, most):
    ranks = ["info", "low", "medium", "high"]
    heard = [ranks.index(alert["severity"]) for alert in replay("tls_odd", real(capture))[0]]
    assert (ranks[max(heard)] if heard else None) == most
