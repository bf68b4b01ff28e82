"""dns_tunnel on real captures of tunnels, and that their state is bounded. What names of all kinds make is in dns_tunnel_test.lua."""
import subprocess

import pytest

import pcap_builder
from run_lunette import BINARY, ROOT, real, replay


def loud(alerts):
    return [(a["title"], a["severity"], a["where"]) for a in alerts if a["severity"] in ("high", "medium")]


@pytest.mark.parametrize("capture, title, severity, where", [
    ("ndpi/dns-tunnel-iodine.pcap", "DNS tunnel: iodine", "high", "pirate.sea"),
    ("ndpi/bad-dns-traffic.pcap", "DNS tunnel: dnscat2", "high", "skullseclabs.org"),
    ("ndpi/dns_exfiltration.pcap", "DNS tunnel: dnscat2", "high", "192.168.203.167"),
    ("ndpi/dns-exf.pcap", "Packed file in DNS names", "medium", "test.txt"),
])
def test_tunnels_in_captures(capture, title, severity, where):
    alerts, _ = replay("dns_tunnel", real(capture))
    assert loud(alerts) == [(title, severity, where)]


def test_iodine_without_its_marks_is_found_by_what_adds_up(tmp_path):
    """The same packets with what marks them as iodine's taken away (handshake, tests, type NULL): somebody who built it anew."""
    data = real("ndpi/dns-tunnel-iodine.pcap").read_bytes()
    for mark, other in ((b"vaaaakardli", b"bbaabkardli"), (b"zi0", b"xi0"), (b"zi1", b"xi1"), (b"\3sea\0\0\x0a\0\1", b"\3sea\0\0\x10\0\1")):
        assert mark in data
        data = data.replace(mark, other)
    path = tmp_path / "built.pcap"
    path.write_bytes(data)
    alerts, _ = replay("dns_tunnel", path)
    assert ("Data in DNS names", "medium", "pirate.sea") in loud(alerts)
    assert {a["title"] for a in alerts} <= {"Data in DNS names", "Data in DNS answers"}


@pytest.mark.parametrize("options", [("--batch", "1"), ("--batch", "7"), ("-w", "4")])
def test_the_same_alerts_however_it_runs(options):
    captures = [real("ndpi/" + name) for name in ("dns-tunnel-iodine.pcap", "bad-dns-traffic.pcap", "dns_exfiltration.pcap")]
    plain, _ = replay("dns_tunnel", *captures)
    other, _ = replay("dns_tunnel", *captures, options=options)
    assert plain == other and len(plain) == 3


def test_state_is_bounded(tmp_path):
    """Twice as many pairs as are kept: the oldest give way, nothing fails, and memory stays within 16 MiB."""
    capture, time = pcap_builder.Capture(), 1_718_000_000.0
    for i in range(4000):
        time += 0.01
        capture.dns(time, "10.1.%d.%d" % (i // 250, i % 250 + 1), "192.168.1.1", "%040x.t.example%d.com" % (i * 2654435761 * 97 ** 5 % 2 ** 160, i % 7))
    path = tmp_path / "many.pcap"
    capture.write(path)
    done = subprocess.run([str(BINARY), "replay", "--no-summary", "--script-memory", "16", "-s", str(ROOT / "scripts" / "dns_tunnel.lua"),
                           "--set", "dns_tunnel.max_pairs=2000", str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "memory" not in done.stderr and "error" not in done.stderr.lower(), done.stderr
