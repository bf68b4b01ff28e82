"""lib/allowed.lua: an entry that is no name, address, network or word stops the detector when it is loaded, and is named."""
import pathlib
import subprocess

import pytest

from run_lunette import BINARY

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples" / "layers.pcap"


def replay(allowed):
    return subprocess.run([BINARY, "replay", "--no-summary", "-s", HERE / "allowed_probe.lua", "--set", f"allowed_probe.allowed={allowed}", EXAMPLE],
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("slip", ["10.0.0", "10.0.0.0/33", "2001:db8::/129", "http://proxy.example", "a..example", "-x", "10.0.0.0/", "[2001:db8::1]", "proxy.example:8080"])
def test_a_slip_is_named(slip):
    done = replay(f"example.com, {slip}")
    assert f"'{slip}' is no name, address, network" in done.stderr + done.stdout


@pytest.mark.parametrize("fine", ["", " , ", "example.com", "10.0.0.0/8 fd00::/8", "wireguard,nord_vpn", "xn--mnich-kva.example"])
def test_what_is_fine_says_nothing(fine):
    done = replay(fine)
    assert done.returncode == 0, done.stderr


def vpn(allowed):
    scripts = HERE.parents[1] / "scripts" / "vpn.lua"
    return subprocess.run([BINARY, "replay", "--no-summary", "-s", scripts, "--set", f"vpn.allowed={allowed}", EXAMPLE],
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("slip, word", [("wiregard", "wireguard"), ("nordvp", "nordvpn"), ("tailscales", "tailscale")])
def test_a_word_that_is_nearly_one_is_a_slip(slip, word):
    done = vpn(slip)
    assert done.returncode == 1 and f"'{slip}': did you mean '{word}'?" in done.stderr


@pytest.mark.parametrize("fine", ["wireguard", "utun3", "gateway", "nordvpn, vpn.example.com"])
def test_words_and_hosts_are_taken(fine):
    done = vpn(fine)
    assert done.returncode == 0, done.stderr
