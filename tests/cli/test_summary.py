"""The replay's summary answers who talked, in what, from which program; the same for any batch and any number of workers."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", ROOT / "build" / "lunette")
EXAMPLES = ROOT / "examples"


def summary(capture, *options):
    done = subprocess.run([LUNETTE, "replay", "--no-scripts", *options, EXAMPLES / capture], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return re.sub(r"  took .*\n", "", done.stdout.decode())


def section(text, title):
    """The lines below a heading, blanks between words made one."""
    found = re.search(rf"^{re.escape(title)}\n((?:  .*\n)+)", text, re.M)
    return [" ".join(line.split()) for line in found.group(1).splitlines()] if found else None


def test_programs_with_their_path_and_parent():
    told = section(summary("document.pcapng.gz", "--host-log", EXAMPLES / "document.eslogger.jsonl"), "Programs")
    assert told[0] == "program started by flows sent received to"
    assert "/usr/bin/curl sh 2 447 B 365 B updates.sample.example" in told


def test_programs_of_the_capture_alone():
    told = section(summary("programs.pcapng.gz"), "Programs")
    assert told[0] == "program flows sent received to"
    assert [line.split()[0] for line in told[1:]] == ["Safari", "updater", "curl"]


def test_proxies_and_vpns():
    assert "socks5 10.77.0.1:1080 203.0.113.10:80 1 626 B 1.3 kB" in section(summary("layers.pcap"), "Proxies")
    vpns = section(summary("vpn.pcapng.gz"), "VPNs")
    assert "wireguard, certain: 192.168.7.23 → 198.51.100.20:51820" in vpns
    assert any(line.startswith("handshake initiation of 148 bytes") for line in vpns)


def test_logins_without_their_passwords():
    text = summary("text-protocols.pcapng.gz")
    told = section(text, "Logins with the password in clear")
    assert told[0] == "protocol user from server"
    assert "pop3 anna 192.168.7.23 198.51.100.110:110" in told
    assert {line.split()[0] for line in told[1:]} == {"ftp", "ldap", "imap", "mqtt", "pop3", "smtp"}
    assert "not-the-password" in (EXAMPLES / "make_text.py").read_text()  # what the sample's clients say
    assert "not-the-password" not in text


@pytest.mark.parametrize("capture", ["programs.pcapng.gz", "layers.pcap", "text-protocols.pcapng.gz", "mac-install.pcapng.gz"])
def test_workers_and_batches_do_not_matter(capture):
    def tables(*options):
        text = summary(capture, *options)
        return [section(text, title) for title in ("Programs", "Protocols", "Proxies", "VPNs", "Logins with the password in clear")]
    one = tables()
    assert one[1]
    for options in (["--workers", "2"], ["--workers", "4", "--batch", "7"], ["--batch", "1"]):
        assert tables(*options) == one
