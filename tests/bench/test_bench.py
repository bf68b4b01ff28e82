"""Do make_mix's captures hold what their workloads are said to be, as tshark sees them, and does run.py run at all."""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LUNETTE", ROOT / "build" / "lunette")).resolve()
MAKE_MIX = BINARY.parent / "bench" / "make_mix"
EXAMPLES = sorted((ROOT / "examples").glob("*.pcap*"))
PLAIN = [path for path in EXAMPLES if not path.name.startswith(("layers", "odd", "tunnel", "vpn"))]  # one packet in a packet
TOOLS = ROOT / "examples" / "tools.pcap"  # its TCP has no gaps and nothing sent twice
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
HOSTS, GATEWAY = 20, "10.77.255.254"


@pytest.fixture(scope="module", autouse=True)
def built():
    if not MAKE_MIX.exists():
        pytest.skip("make_mix is not built")


def made(folder, *words):
    path = folder / "made.pcap"
    subprocess.run([str(MAKE_MIX), "--out", str(path), *map(str, words)], check=True, capture_output=True, timeout=300)
    return path


def fields(path, names, wanted=""):
    """A tuple of strings for each packet."""
    words = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f", *(word for name in names for word in ("-e", name))]
    done = subprocess.run(words + (["-Y", wanted] if wanted else []), capture_output=True, text=True, check=True, timeout=300)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def office(built, tmp_path_factory):
    return made(tmp_path_factory.mktemp("office"), "--bytes", 4e6, "--hosts", HOSTS, *PLAIN)


@needs_tshark
def test_an_office_has_so_many_hosts_each_with_its_own_card(office):
    cards = collections.defaultdict(set)
    for address, card in fields(office, ("ip.src", "eth.src"), "ip"):
        cards[address].add(card)
    pool = {f"10.77.0.{number}" for number in range(1, HOSTS + 1)}
    private = {a for a in cards if a.startswith(("10.", "192.168."))}
    assert private - {GATEWAY} == pool
    assert all(len(cards[address]) == 1 for address in pool)
    assert len({next(iter(cards[address])) for address in pool}) == HOSTS


@needs_tshark
def test_an_office_has_one_resolver(office):
    assert {a for a, in fields(office, ("ip.dst",), "ip && udp.dstport == 53")} == {GATEWAY}
    asked = fields(office, ("ip.src", "udp.srcport", "dns.id"), "ip && udp.dstport == 53 && !icmp")
    answered = fields(office, ("ip.dst", "udp.dstport", "dns.id"), "ip && udp.srcport == 53 && !icmp")
    assert answered and set(answered) <= set(asked)


@needs_tshark
def test_an_office_gives_addresses_to_the_card_that_asked(office):
    leases = fields(office, ("dhcp.ip.your", "dhcp.hw.mac_addr"), "dhcp.option.dhcp == 5 && dhcp.ip.your != 0.0.0.0")
    owners = dict(fields(office, ("ip.src", "eth.src"), "ip.src == 10.77.0.0/16"))
    assert leases and GATEWAY not in dict(leases)
    assert all(owners.get(address, card) == card for address, card in leases)


@needs_tshark
@pytest.mark.parametrize("options", [(), ("--hosts", 5)], ids=["mix", "office"])
def test_each_play_has_flows_of_its_own(tmp_path, options):
    """As many streams of TCP as plays times those of the capture, each with both directions."""
    once = len({s for s, in fields(TOOLS, ("tcp.stream",), "tcp.flags.syn == 1 && tcp.flags.ack == 0")})
    path = made(tmp_path, "--bytes", 3 * 64 * TOOLS.stat().st_size, *options, TOOLS)
    streams = fields(path, ("tcp.stream", "tcp.flags"), "tcp.flags.syn == 1")
    began = [s for s, flags in streams if int(flags, 16) & 16 == 0]
    answered = {s for s, flags in streams if int(flags, 16) & 16}
    assert len(set(began)) == len(began) and len(began) > 2 * 64 * once
    assert len(answered - set(began)) == 0 and len(answered) > 0.6 * len(fields(TOOLS, ("tcp.stream",), "tcp.flags == 0x12")) * 2 * 64


@needs_tshark
def test_bulk_follows_the_hello_without_a_gap(tmp_path):
    path = made(tmp_path, "--bytes", 6e6, "--hosts", 5, "--bulk", 0.05, TOOLS)
    wrong = "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.retransmission || tcp.analysis.out_of_order"
    assert fields(path, ("frame.number",), wrong) == []
    assert fields(path, ("frame.number",), "_ws.malformed || tls.alert_message") == []
    full = fields(path, ("tcp.stream",), "tcp.srcport == 443 && ip.len == 1500")
    hellos = set(fields(path, ("tcp.stream",), "tls.handshake.type == 1"))
    assert len(full) > 1500 and set(full) <= hellos
    ended = fields(path, ("tcp.stream", "tcp.seq"), "tcp.flags.fin == 1 && tcp.srcport == 443")
    assert ended and all(int(sequence) > 50_000 for _, sequence in ended)


@needs_tshark
def test_flows_from_nothing(tmp_path):
    path = made(tmp_path, "--flows", 200, "--hosts", 10, "--frame", 60, "--packets", 4000)
    packets = fields(path, ("frame.len", "ip.src", "ip.dst", "tcp.stream", "udp.stream"))
    assert {length for length, *_ in packets} == {"60"} and len(packets) == 4000
    assert len({p[3] for p in packets} - {""}) == len({p[4] for p in packets} - {""}) == 100
    assert len({a for p in packets for a in p[1:3] if a.startswith("10.")}) == 10
    assert fields(path, ("frame.number",), "tcp.analysis.lost_segment || tcp.analysis.retransmission") == []


@needs_tshark
def test_hellos_from_nothing(tmp_path):
    path = made(tmp_path, "--flows", 50, "--hosts", 10, "--hello", "--packets", 500)
    hellos = fields(path, ("tcp.stream", "tls.handshake.extensions_server_name", "_ws.malformed"), "tls.handshake.type == 1")
    assert len(hellos) == 50 and all(name.endswith(".example.org") and not wrong for _, name, wrong in hellos)
    assert len(fields(path, ("tcp.stream",), "tls.handshake.type == 2 && tls.handshake.extensions.supported_version == 0x0304")) == 50


def test_run_prints_tables_and_draws(tmp_path):
    """Seconds only: what it prints is for people; here only that it comes to its end and all of it is there."""
    out, picture = tmp_path / "out.json", tmp_path / "figures.svg"
    words = [sys.executable, str(ROOT / "tests/bench/run.py"), "--build", str(BINARY.parent), "--quick", "--bytes", "2e5",
             "--workload", "office", "--only", "replay", "--only", "packet", "--json", str(out), "--svg", str(picture)]
    environment = {**os.environ, "LUNETTE_PCAPS": str(tmp_path)}  # the examples, wherever it runs
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert {row["name"] for row in found["replay"]["groups"][0]["rows"]} >= {"lunette, all detectors", "lunette, no scripts"}
    assert all(len(row["runs"]) == 3 for row in found["replay"]["groups"][0]["rows"])
    assert "an office" in done.stdout and "aim: two workers" in done.stdout and str(ROOT) not in done.stdout
    assert xml.parse(picture).getroot().tag.endswith("svg")
    again = subprocess.run([*words[:2], "--from", str(out)], capture_output=True, text=True, timeout=60)
    assert again.stdout.strip() and again.stdout.strip() in done.stdout
