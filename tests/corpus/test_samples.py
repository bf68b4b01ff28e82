"""The samples in examples/ are what their README says: made anew they have the same packets, and tshark, which shares
no code with us, finds every sum, sequence number and handshake in order."""
import gzip
import pathlib
import shutil
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
SYNTHETIC = ["mac-install", "mac-first-boot", "mac-with-implant"]
sys.path.insert(0, str(EXAMPLES))
sys.dont_write_bytecode = True


def sample(name):
    return EXAMPLES / f"{name}.pcapng.gz"


def tshark(path, *arguments):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    done = subprocess.run(["tshark", "-r", str(path), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SYNTHETIC)
def test_made_anew_it_is_the_same(name, tmp_path):
    import stories
    stories.STORIES[name](tmp_path / "again.pcapng.gz")
    with gzip.open(tmp_path / "again.pcapng.gz") as again, gzip.open(sample(name)) as shipped:
        assert again.read() == shipped.read()


@pytest.mark.parametrize("name", SYNTHETIC)
def test_tshark_has_nothing_to_complain_of(name):
    sums = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    wrong = " || ".join(f"{layer}.checksum.status == 0" for layer in ("ip", "tcp", "udp", "icmp"))
    assert tshark(sample(name), *sums, "-Y", f"_ws.malformed || tcp.analysis.flags || {wrong}") == []


def test_the_install_has_the_proportions_of_the_diary():
    rows = tshark(sample("mac-install"), "-Y", "tls.handshake.type == 1", "-T", "fields", "-e",
                  "tls.handshake.extensions_server_name")
    assert rows.count("swscan.apple.com") == 18
    assert rows.count("gspe21-ssl.ls.apple.com") == 206
    assert all(row.endswith(".apple.com") for row in rows)


@pytest.mark.parametrize("stack, alpn, published", [
    ("apple-2019", ("h2", "http/1.1"), "t13d2613h2_2802a3db6c62_845d286b0d67"),
    ("apple-2023", ("h2", "http/1.1"), "t13d2014h2_a09f3c656075_14788d8d241b"),
    ("go", (), "t13d190900_9dc949149365_97f8aa674fd9"),
])
def test_the_hellos_have_the_published_fingerprints(stack, alpn, published):
    import tls
    assert tls.ja4_of(stack, alpn) == published
