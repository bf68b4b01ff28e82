"""Who the hosts of the real captures are: mac_identity against two others who know something of them.

The captures' own list (MANIFEST.md, made with tshark): hosts that send Apple-style SYNs, and what the captures show of single hosts. And nDPI's
fingerprint of a SYN: flags, TTL, window and a hash of the options, with a table of which system sends it. The fingerprint is
computed here from what tshark reads (ntop's specification of the format, sections 6 and 7), and only the table's facts, hash and system, are
taken over. Run with -s to see the tables.

A SYN shows a kernel, ours rests on much else besides: where the two differ, a rule must say why."""
import collections
import hashlib
import ipaddress
import json
import re
import shutil
import subprocess

import pytest

from captures import HANG, PCAPS, SCRIPTS, captures, needs_lunette, replay, two_at_a_time

pytestmark = needs_lunette

APPLE = {"mac", "iphone", "ipad", "appletv", "watch", "homepod", "vision", "apple"}
HOME = [ipaddress.ip_network(block) for block in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128")]

# nDPI's table (src/lib/ndpi_os_fingerprint.c.inc at 202eb095): fingerprint and system, no more.
NDPI = dict(pair.split("=") for pair in """
2_64_65535_defa183edeca=freebsd 2_64_64240_5ec4846073b9=linux 2_64_65535_8b4e598a2ef6=android 194_64_65535_fa6f8edaadeb=apple
194_64_65535_96500ba614e1=apple 2_64_65535_96500ba614e1=apple 2_128_64240_e035a9f8f3a0=windows 2_64_64800_5ec4846073b9=linux
2_64_29200_5ec4846073b9=linux 2_64_29200_96f084d7f50c=linux 2_64_14600_b88686e220ac=linux 2_64_32120_5ec4846073b9=linux
2_64_64240_9ade5ea639dd=linux 2_64_65535_25d42dd21321=android 2_64_65535_9ade5ea639dd=android 2_64_65535_5ec4846073b9=android
2_128_8192_4973d993fb4a=windows 194_128_64240_e035a9f8f3a0=windows 194_128_32768_6b34051d2fbf=windows
2_128_32768_6b34051d2fbf=windows 2_128_65535_e035a9f8f3a0=windows 194_128_32_6b34051d2fbf=windows
194_128_64954_e035a9f8f3a0=windows 194_128_65160_55a079b2ce62=windows 194_128_65340_e035a9f8f3a0=windows
194_128_65535_a717f7945d0a=windows 194_128_65535_e035a9f8f3a0=windows 194_128_65535_da2db3bc812e=windows
194_128_8192_6b34051d2fbf=windows 2_128_62636_55a079b2ce62=windows 2_128_62720_e035a9f8f3a0=windows
2_128_64390_55a079b2ce62=windows 2_128_64512_55a079b2ce62=windows 2_128_64668_e035a9f8f3a0=windows
2_128_64872_e035a9f8f3a0=windows 2_128_65010_e035a9f8f3a0=windows 2_128_65088_e035a9f8f3a0=windows
2_128_65160_55a079b2ce62=windows 2_128_65312_55a079b2ce62=windows 2_128_65424_e035a9f8f3a0=windows
2_128_65520_55a079b2ce62=windows 2_128_65535_3623b899804f=windows 2_128_65535_55a079b2ce62=windows
2_128_65535_e2026928e080=windows""".split())

WITHOUT_VALUE = {2, 8, 19, 29}  # MSS, timestamps, MD5, AO: the kind counts, the value does not
DROPPED = {34, 30, 254, 253}    # fast open and its experimental form; Multipath TCP's keys (its kind is kept by nDPI, no host here sends it)
EOL, NOP = 0, 1


def is_home(text):
    address = ipaddress.ip_address(text)
    return any(address in block for block in HOME if block.version == address.version)


def serialized(options):
    """The options as text: kinds in wire order, values where they are the stack's own, up to the first end of options."""
    out, i = "", 0
    while i < len(options):
        kind = options[i]
        if kind == NOP:
            out, i = out + "01", i + 1
            continue
        if kind == EOL:
            return out + "00"
        length = options[i + 1] if i + 1 < len(options) else 0
        if length == 0:
            return out + "%02x" % kind
        if kind in DROPPED:
            return None
        out += "%02x" % kind
        if kind not in WITHOUT_VALUE:
            out += options[i + 2:i + length].hex()
        i += length
    return out


def fingerprint(flags, ttl, window, options):
    text = serialized(options)
    if text is None:
        return None
    bucket = next(b for b in (32, 64, 128, 192, 255) if ttl <= b)
    return "%d_%d_%d_%s" % (flags, bucket, window, hashlib.sha256(text.encode()).hexdigest()[:12])


def test_the_published_example():
    options = bytes.fromhex("020405b4 0402 080a9f3c110200000000 01 030307")
    assert fingerprint(2, 64, 64240, options) == "2_64_64240_5ec4846073b9"
    assert fingerprint(2, 64, 65535, bytes.fromhex("020405b4 01 030306 0101 080a0000000100000000 0402 0000")) == "2_64_65535_96500ba614e1"


def systems_by_syn(capture):
    """{home address: what nDPI's table says of its SYNs}."""
    fields = ["ip.src", "ipv6.src", "ip.ttl", "ipv6.hlim", "tcp.flags", "tcp.window_size_value", "tcp.options"]
    command = ["tshark", "-n", "-r", str(capture), "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0 && !icmp && !icmpv6", "-T", "fields",
               "-E", "occurrence=l", "-E", "separator=/t", "-o", "tcp.relative_sequence_numbers:false"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    found = collections.defaultdict(set)
    for line in done.stdout.splitlines():
        v4, v6, ttl, hops, flags, window, options = (line.split("\t") + [""] * 7)[:7]
        source = v6 or v4
        if not source or not window or not is_home(source):
            continue
        if not re.fullmatch("[0-9a-f]*", options):
            continue  # tshark found them malformed
        system = NDPI.get(fingerprint(int(flags, 16) & 0xFFF, int(hops or ttl), int(window), bytes.fromhex(options)))
        if system:
            found[source].add(system)
    return found


def verdicts(capture):
    """{address: (family, kind, confidence, evidence)} as mac_identity last told it."""
    done = replay("-s", SCRIPTS / "mac_identity.lua", "-q", "-o", "-", "--record", "mac_identity.host", capture)
    assert done.returncode == 0, (capture, done.stderr)
    found = {}
    for record in map(json.loads, done.stdout.splitlines()):
        host = record["mac_identity"]["host"]
        kind = host.get("kind", "")
        found[host["address"]] = ("apple" if kind in APPLE else kind, kind, host["confidence"], host["evidence"])
    return found


# ---------------------------------------------------------------- against nDPI

EVERYWHERE = ("ndpi", "ja4", "apple")


def explained(theirs, family, evidence):
    """Why the two may differ; None if there is no reason."""
    if len(theirs) > 1:
        return "several systems speak from the address, and nDPI names each"
    if theirs == {"android"} and family == "linux" and any("Linux" in said and "browser" in said or "distribution" in said for said in evidence):
        return "Android by its window of 65535 alone; Linux by what programs say"
    if theirs == {"linux"} and family == "android" and any("Android" in said for said in evidence):
        return "one kernel; Android by what programs say"
    return None


@pytest.fixture(scope="module")
def both():
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    files = captures(*EVERYWHERE)
    return files, two_at_a_time(lambda path: (systems_by_syn(path), verdicts(path)), files)


def print_table(title, counts):
    rows, columns = sorted({a for a, _ in counts}), sorted({b for _, b in counts})
    print("\n%s\n%-12s" % (title, "") + "".join("%10s" % column for column in columns))
    for row in rows:
        print("%-12s" % row + "".join("%10s" % (counts.get((row, column)) or ".") for column in columns))


def test_agrees_with_ndpis_fingerprints(both):
    files, views = both
    counts, reasons, wrong = collections.Counter(), collections.Counter(), []
    for path, (theirs, ours) in zip(files, views):
        for address, systems in theirs.items():
            name = "+".join(sorted(systems))
            if address not in ours:
                counts[name, "nothing"] += 1
                continue
            family, kind, confidence, evidence = ours[address]
            counts[name, family] += 1
            if systems == {family}:
                continue
            reason = explained(systems, family, evidence)
            reasons[reason] += 1
            if reason is None:
                wrong.append((path.name, address, systems, kind, confidence, evidence))
    print_table("hosts: nDPI's verdict by the SYN (rows), ours (columns)", counts)
    print("explained:", dict(reasons))
    compared = sum(n for (_, b), n in counts.items() if b != "nothing")
    print("%d hosts, %d differ without a reason: %s" % (compared, len(wrong), wrong))
    assert compared > 100
    assert len(wrong) <= 0.05 * compared, wrong
    assert not [w for w in wrong if w[2] == {"apple"} or w[3] in APPLE], wrong  # an Apple kernel is never in dispute


# ---------------------------------------------------------------- against the list of the captures

# What single hosts are, by their own words in the capture: agents, DHCP names, Bonjour models.
KNOWN = {
    "ndpi/tls_certificate_too_long.pcap": {"192.168.1.121": "mac"}, "ndpi/anyconnect-vpn.pcap": {"10.0.0.227": "mac"},
    "ndpi/iphone.pcap": {"192.168.2.1": "mac", "192.168.2.17": "iphone"}, "ndpi/telegram.pcap": {"192.168.1.77": "mac"},
    "ndpi/1kxun.pcap": {"192.168.5.16": "mac"}, "ndpi/netflix.pcap": {"192.168.1.7": "iphone"}, "ndpi/jsonrpc.pcap": {"192.168.8.251": "mac"},
    "ndpi/ookla.pcap": {"192.168.1.7": "mac"}, "ndpi/mpeg.pcap": {"192.168.80.160": "mac"}, "ndpi/http_auth.pcap": {"192.168.0.4": "mac"},
    "ndpi/socks.pcap": {"10.180.156.185": "mac"}, "ndpi/ssdp-m-search-ua.pcap": {"192.168.242.50": "mac"},
    "ndpi/zattoo.pcap": {"10.101.0.2": "mac"}, "ja4/http1.pcapng": {"192.168.1.100": "mac"}, "ndpi/signal.pcap": {"192.168.2.17": "iphone"},
    "ndpi/wa_voice.pcap": {"192.168.2.12": "iphone"}, "ndpi/android.pcap": {"192.168.2.16": "android"},
}


# Hosts with Apple's order of options that nobody should name by it: this one sends TTL 255, which neither nDPI's table nor ours has.
ODD = {("ndpi/tcp_scan.pcapng", "192.168.1.178")}


def listed():
    """(capture, address) of all hosts at home to which the list gives an Apple-style SYN."""
    page = PCAPS / "MANIFEST.md"
    if not page.exists():
        pytest.skip("the list of the captures is not here")
    for line in page.read_text().splitlines():
        row = re.match(r"\| ((?:ndpi|ja4)/\S+) \|", line)
        for addresses in re.findall(r"SYN ([0-9a-f.:,]+) mss", line) if row else ():
            inner = addresses.split(",")[-1]  # of a tunnel the list has the outer address first
            if is_home(inner) and (PCAPS / row[1]).exists() and (row[1], inner) not in ODD:
                yield row[1], inner


def test_knows_the_hosts_of_the_list():
    hosts = [(name, address, "apple kernel") for name, address in sorted(set(listed())) if address not in KNOWN.get(name, ())]
    hosts += [(name, address, kind) for name, known in KNOWN.items() for address, kind in known.items() if (PCAPS / name).exists()]
    names = sorted({name for name, _, _ in hosts})
    ours = dict(zip(names, two_at_a_time(lambda name: verdicts(PCAPS / name), names)))
    counts, wrong = collections.Counter(), []
    for name, address, expected in hosts:
        family, kind, confidence, _ = ours[name].get(address, ("nothing", "nothing", 0, []))
        counts[expected, kind] += 1
        if kind != expected and not (expected == "apple kernel" and family == "apple"):
            wrong.append((name, address, expected, kind, confidence))
    print_table("hosts: what the list of the captures says (rows), ours (columns)", counts)
    print(len(hosts), "hosts; wrong:", wrong)
    assert len(hosts) > 60
    assert wrong == []


def test_nobody_elses_host_is_called_a_mac(both):
    """Of all hosts that we call one of Apple's, none has a SYN that nDPI's table gives to another system only."""
    files, views = both
    for path, (theirs, ours) in zip(files, views):
        for address, (family, kind, _, evidence) in ours.items():
            if family == "apple" and theirs.get(address):
                assert "apple" in theirs[address], (path.name, address, kind, theirs[address], evidence)
