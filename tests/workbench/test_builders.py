"""The packets that tests of detectors are made of, as tshark sees them: nothing malformed, checksums right, and what the
author asked for on the wire."""

import json
import re
import shutil
import subprocess

import pytest

CHECKS = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
          "-o", "tls.desegment_ssl_records:TRUE"]
QUIET = 'local lunette = require "lunette"\nlunette.on("anomaly", function(e) lunette.alert { title = e.protocol .. " " .. e.name } end)'
ODD = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || " \
      "icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || _ws.expert.severity == error || tcp.analysis.ack_lost_segment || " \
      "tcp.analysis.lost_segment || tcp.analysis.out_of_order || tcp.analysis.window_full"


class Wire:
    """A capture, asked through tshark."""

    def __init__(self, path):
        self.path = path

    def fields(self, where, *names, decode=()):
        """A list of values (strings, several joined by |) for each packet that the filter lets through."""
        words = ["tshark", "-n", "-r", str(self.path), *CHECKS, "-T", "fields", "-E", "aggregator=|", "-E", "separator=\x1f", "-Y", where]
        for name in names:
            words += ["-e", name]
        for one in decode:
            words += ["-d", one]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [line.split("\x1f") for line in done.stdout.splitlines()]


@pytest.fixture
def wire(author):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")

    def build(body, retransmits=False):
        author.passes(body + "\nc:expect_none()", "--keep", author.folder, detector=QUIET)
        found = Wire(author.folder / "echo-1-it.pcapng")
        odd = found.fields(ODD + ("" if retransmits else " || tcp.analysis.retransmission"), "frame.number", "_ws.col.Info")
        assert odd == []
        return found
    return build


@pytest.mark.parametrize("client, server", [("192.168.1.20", "192.168.1.1"), ("2001:db8:0:1::20", "2001:db8:0:1::1")])
def test_dns(wire, client, server):
    found = wire("""
    local mac = c:host "%s"
    mac:dns { name = "www.Example.com", a = { "203.0.113.9", "203.0.113.10" }, cname = { "cdn.example.net", "edge.example.net" }, ttl = 77, id = 4660 }
    mac:dns { name = "example.com", aaaa = "2001:db8::9" }
    mac:dns { name = "example.com", txt = { "v=spf1 -all", ("x"):rep(300) } }
    mac:dns { name = "example.com", mx = "10 mail.example.com", ns = { "a.example.com", "b.example.com" } }
    mac:dns { name = "9.113.0.203.in-addr.arpa", ptr = "www.example.com" }
    mac:dns { name = "_sip._udp.example.com", srv = "1 2 5060 sip.example.com" }
    mac:dns { name = "nothing.example", rcode = "NXDOMAIN" }
    mac:dns { name = "silent.example", type = "HTTPS", answer = false }
    mac:dns { name = "odd.example", type = 65399, rcode = "REFUSED" }
    """ % client)
    asked = found.fields("dns.flags.response == 0", "dns.qry.name", "dns.qry.type", "udp.dstport", "ip.dst", "ipv6.dst")
    assert [row[:2] for row in asked] == [
        ["www.Example.com", "1"], ["example.com", "28"], ["example.com", "16"], ["example.com", "15"], ["example.com", "2"],
        ["9.113.0.203.in-addr.arpa", "12"], ["_sip._udp.example.com", "33"], ["nothing.example", "1"], ["silent.example", "65"],
        ["odd.example", "65399"]]
    assert {row[2] for row in asked} == {"53"} and {row[3] or row[4] for row in asked} == {server}
    given = found.fields("dns.flags.response == 1", "dns.flags.rcode", "dns.a", "dns.aaaa", "dns.cname", "dns.txt", "dns.mx.mail_exchange",
                         "dns.ns", "dns.ptr.domain_name", "dns.srv.target", "dns.resp.ttl")
    assert given[0] == ["0", "203.0.113.9|203.0.113.10", "", "cdn.example.net|edge.example.net", "", "", "", "", "", "77|77|77|77"]
    assert given[1][2] == "2001:db8::9" and given[2][4].replace("|", "") == "v=spf1 -all" + "x" * 300
    assert given[3][5] == "mail.example.com" and given[4][6] == "a.example.com|b.example.com"
    assert given[5][7] == "www.example.com" and given[6][8] == "sip.example.com"
    assert [row[0] for row in given[7:]] == ["3", "5"]
    assert found.fields("dns.id == 4660", "dns.id", "udp.srcport") == [["0x1234", "49152"], ["0x1234", "53"]]
    times = [float(row[0]) for row in found.fields("dns.flags.response == 1", "dns.time")]
    assert all(abs(time - 0.02) < 1e-4 for time in times) and len(times) == 9


def test_dns_over_tcp(wire):
    found = wire('c:host("192.168.1.20"):dns { name = "tcp.example", a = "203.0.113.9", over = "tcp", server = "9.9.9.9" }')
    assert found.fields("dns && tcp.dstport == 53", "dns.qry.name") == [["tcp.example"]]
    assert found.fields("dns && tcp.srcport == 53", "dns.a") == [["203.0.113.9"]]


@pytest.mark.parametrize("client, server", [("192.168.1.20", "203.0.113.9"), ("2001:db8::20", "2001:db8:9::9")])
def test_tls_13(wire, client, server):
    found = wire("""
    c:host("%s"):tls { to = "%s", sni = "www.example.com", alpn = { "h2" }, out = 5000, back = 40000, after = 2 }
    """ % (client, server))
    hello = found.fields("tls.handshake.type == 1", "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str",
                         "tls.handshake.extensions.supported_version", "tls.handshake.length", "tcp.dstport")
    assert hello == [["www.example.com", "h2", "0x0a0a|0x0304|0x0303|0x0302|0x0301", "508", "443"]]
    assert found.fields("tls.handshake.type == 2", "tls.handshake.ciphersuite", "tls.handshake.extensions.supported_version") == [["0x1301", "0x0304"]]
    # a record adds a byte of type and a tag of 16 (RFC 8446 section 5.2)
    sent = found.fields("tls.app_data && tcp.dstport == 443", "tls.record.length")
    assert sum(int(n) for row in sent for n in row[0].split("|")) >= 5000 + 17
    back = [int(n) for row in found.fields("tls.app_data && tcp.srcport == 443", "tls.record.length") for n in row[0].split("|")]
    assert sum(back[-3:]) == 40000 + 3 * 17
    flags = found.fields("tcp.flags.syn == 1 || tcp.flags.fin == 1", "tcp.flags.str")
    assert len(flags) == 4


def test_tls_12_with_its_certificate(wire):
    found = wire("""
    c:clock "2026-06-01 00:00"
    c:host("192.168.1.20"):tls { to = "203.0.113.9", sni = "a.example", version = "1.2", cipher = 0xc030, out = 100, back = 100,
        certificate = { subject = "the subject", issuer = "the issuer", names = { "a.example", "*.a.example", "192.0.2.7", "2001:db8::7" },
            serial = 4711, from = "2026-01-01 00:00", to = "2027-01-01 00:00:00" } }
    """)
    assert found.fields("tls.handshake.type == 2", "tls.handshake.ciphersuite", "tls.handshake.version") == [["0xc030", "0x0303"]]
    row = found.fields("tls.handshake.type == 11", "x509sat.uTF8String", "x509ce.dNSName", "x509ce.IPAddress.ipv4", "x509ce.IPAddress.ipv6",
                       "x509af.serialNumber", "x509af.utcTime")[0]
    assert row[0] == "the issuer|the subject" and row[1] == "a.example|*.a.example"
    assert row[2] == "192.0.2.7" and row[3] == "2001:db8::7"
    assert int(row[4].replace(":", ""), 16) == 4711
    assert re.findall(r"\d\d-\d\d-\d\d", row[5]) == ["26-01-01", "27-01-01"]
    assert len(found.fields("tls.handshake.type == 12 || tls.handshake.type == 14 || tls.handshake.type == 16", "frame.number")) >= 2


def test_tls_as_the_author_wants_it(wire):
    found = wire("""
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", port = 8443, ciphers = { 0x1301, 0xc02f }, versions = { 0x0304 }, alpn = {}, stack = "go", close = "rst" }
    mac:tls { to = "203.0.113.9", sni = "client.example", hello = "client", close = "none" }
    mac:tls { to = "203.0.113.9", version = "1.0", sni = "old.example", close = "server" }
    """)
    hellos = found.fields("tls.handshake.type == 1", "tls.handshake.ciphersuite", "tls.handshake.extensions.supported_version",
                          "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str")
    assert hellos[0] == ["0x1301|0xc02f", "0x0304", "", ""]
    assert hellos[1][2] == "client.example" and hellos[2][1:3] == ["", "old.example"]
    assert found.fields("tls.handshake.type == 2", "tls.handshake.version") == [["0x0303"], ["0x0301"]]
    assert found.fields("tcp.flags.reset == 1", "tcp.port") == [["49152|8443"]]


def test_http(wire):
    found = wire(r"""
    local mac = c:host "192.168.1.20"
    mac:http { to = "203.0.113.9", host = "www.example.com", method = "POST", path = "/form?x=1", agent = "curl/8.4.0",
        headers = { { "X-One", "1" }, { "X-Two", "2" } }, type = "text/plain", body = "hello=world", status = 404,
        response = "it is not here", response_type = "text/plain", response_headers = { ["X-Served-By"] = "me" } }
    mac:http { to = "203.0.113.9", port = 8080, body = 100000, response = 5000 }
    mac:http { to = "203.0.113.9", method = "HEAD", response = "unsent" }
    mac:http { to = "203.0.113.9", status = 302, response_headers = { Location = "http://other.example/" } }
    """)
    asked = found.fields("http.request", "http.request.method", "http.request.uri", "http.host", "http.user_agent", "http.request.line",
                         "http.content_length")
    assert asked[0][:4] == ["POST", "/form?x=1", "www.example.com", "curl/8.4.0"]
    assert asked[0][4].index("X-One: 1") < asked[0][4].index("X-Two: 2") and asked[0][5] == "11"
    body, = found.fields("http.request.uri contains \"form\"", "http.file_data")
    assert body[0] in ("hello=world", "hello=world".encode().hex())
    assert asked[1][2] == "203.0.113.9:8080" and asked[1][5] == "100000"
    answers = found.fields("http.response", "http.response.code", "http.response.phrase", "http.content_length", "http.location")
    assert answers[0][:3] == ["404", "Not Found", "14"]
    # Alone: in a body of no meaning there may be an end of line.
    body, = found.fields("http.response.code == 404", "http.file_data")
    assert body[0] in ("it is not here", "it is not here".encode().hex())
    assert [row[0] for row in answers] == ["404", "200", "200", "302"] and answers[3][3] == "http://other.example/"


def test_tcp(wire):
    found = wire(r"""
    local mac = c:host "192.168.1.20"
    mac:tcp { to = "203.0.113.9", port = 4444, from = 50000, rtt = 0.1, say = { { "client", "id\n" }, { "server", "uid=0\n", after = 1.5 },
        { "client", ("a"):rep(5000) }, { "server", 300000 } } }
    mac:tcp { to = "203.0.113.9", port = 4445, open = "refused" }
    mac:tcp { to = "203.0.113.9", port = 4447, close = "none" }
    """)
    rows = found.fields("tcp.port == 4444", "tcp.srcport", "tcp.flags", "tcp.len", "frame.time_relative")
    assert [row[1] for row in rows[:3]] == ["0x0002", "0x0012", "0x0010"]
    assert [row[1] for row in rows[-3:]] == ["0x0011", "0x0011", "0x0010"]
    assert sum(int(row[2]) for row in rows if row[0] == "50000") == 5003
    assert sum(int(row[2]) for row in rows if row[0] == "4444") == 300006
    assert max(int(row[2]) for row in rows) == 1448
    assert abs(float(rows[1][3]) - 0.1) < 1e-4
    first = next(float(row[3]) for row in rows if row[0] == "4444" and row[2] == "6")
    assert abs(first - (0.1 + 0.1 + 1.5)) < 1e-3
    follow = subprocess.run(["tshark", "-n", "-r", str(found.path), "-q", "-z", "follow,tcp,ascii,0"], capture_output=True, text=True, timeout=60)
    assert "id\n" in follow.stdout and "uid=0\n" in follow.stdout
    assert [row[0] for row in found.fields("tcp.port == 4445", "tcp.flags")] == ["0x0002", "0x0014"]
    assert len(found.fields("tcp.port == 4447", "tcp.flags")) == 3


def test_a_server_that_is_silent(wire):
    found = wire('c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 4446, open = "silent" }', retransmits=True)
    assert [round(float(row[0])) for row in found.fields("tcp", "frame.time_relative")] == [0, 1, 3]
    assert len({row[0] for row in found.fields("tcp", "tcp.seq_raw")}) == 1


def test_datagrams(wire):
    found = wire(r"""
    local mac, six = c:host "192.168.1.20", c:host "2001:db8::20"
    mac:udp { to = "203.0.113.9", port = 9999, from = 1111, say = { { "client", "\0\1\2" }, { "server", 4000 }, { "client", "" } } }
    six:udp { to = "2001:db8::9", port = 9999, say = { { "client", "odd" } } }
    mac:ping { to = "203.0.113.9", times = 3, every = 0.5, rtt = 0.03, id = 77 }
    mac:ping { to = "203.0.113.9", data = 1001, reply = false }
    six:ping { to = "2001:db8::9", reply = "other" }
    mac:ntp { to = "17.253.34.123", stratum = 2 }
    c:host("192.168.1.20", { ttl = 128 }):udp { to = "224.0.0.251", port = 5000, say = { { "client", "x" } } }
    """)
    rows = found.fields("udp.port == 9999 && ip", "udp.srcport", "udp.dstport", "udp.length")
    assert rows == [["1111", "9999", "11"], ["9999", "1111", "4008"], ["1111", "9999", "8"]]
    assert found.fields("udp.port == 9999 && ipv6", "data.data") == [["6f6464"]]
    pings = found.fields("icmp.ident == 77", "icmp.type", "icmp.seq", "frame.time_relative", "data.len")
    assert [row[:2] for row in pings] == [["8", "0"], ["0", "0"], ["8", "1"], ["0", "1"], ["8", "2"], ["0", "2"]]
    assert abs(float(pings[2][2]) - float(pings[0][2]) - 0.5) < 1e-4 and abs(float(pings[1][2]) - float(pings[0][2]) - 0.03) < 1e-4
    assert len(found.fields("icmp.resp_to", "icmp.seq")) == 3  # tshark takes the replies for theirs
    assert [row[0] for row in found.fields("icmpv6", "icmpv6.type")] == ["128", "129"]
    ntp = found.fields("ntp", "ntp.flags.mode", "ntp.stratum", "ntp.xmt")
    assert [row[:2] for row in ntp] == [["3", "0"], ["4", "2"]] and "May  1, 2026" in ntp[1][2].replace("2026-05-01", "May  1, 2026")
    assert found.fields("ip.dst == 224.0.0.251", "eth.dst", "ip.ttl") == [["01:00:5e:00:00:fb", "128"]]


def test_ssh(wire):
    found = wire("""
    c:host("192.168.1.20"):ssh { to = "203.0.113.22", client = "SSH-2.0-OpenSSH_9.7", server = "SSH-2.0-dropbear_2022.83", out = 1000, back = 4000 }
    """)
    assert [row[0] for row in found.fields("ssh.protocol", "ssh.protocol")] == ["SSH-2.0-OpenSSH_9.7", "SSH-2.0-dropbear_2022.83"]
    rows = found.fields("ssh.message_code == 20", "ssh.kex_algorithms")
    assert len(rows) == 2 and all("curve25519-sha256" in row[0] for row in rows)


def test_hosts_keep_their_hardware_address_and_count_their_ports_up(wire):
    found = wire("""
    local a, b = c:host "192.168.1.20", c:host "192.168.1.21"
    for i = 1, 3 do
        a:udp { to = "203.0.113.9", port = 9, say = { { "client", "x" } } }
        b:udp { to = "203.0.113.9", port = 9, say = { { "client", "x" } } }
    end
    """)
    rows = found.fields("udp", "ip.src", "eth.src", "udp.srcport")
    assert rows == [["192.168.1.%d" % host, "02:00:c0:a8:01:%02x" % host, str(49152 + i)] for i in range(3) for host in (20, 21)]


def test_the_same_packets_each_time(author):
    body = 'c:host("192.168.1.20"):tls { to = "203.0.113.9", sni = "x.example", version = "1.2", out = 3000, back = 3000 }\nc:expect_none()'
    files = []
    for name in ("one", "two"):
        (author.folder / name).mkdir()
        author.passes(body, "--keep", name, detector=QUIET)
        files.append((author.folder / name / "echo-1-it.pcapng").read_bytes())
    assert files[0] == files[1] and len(files[0]) > 6000
