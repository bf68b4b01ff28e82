"""Live capture on real interfaces: veth pairs between network namespaces of the test's own.

tool_tap opens taps in one namespace and tells what comes; frames are sent from the other end (or out of the same
one) by a raw socket. Whose a packet is, is worked out here anew. Nothing sleeps: a test waits for what must happen,
and that nothing happened is known when a marker sent later has come, since a ring is first in, first out."""
import collections
import ipaddress
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("LUNETTE_TOOLS", ROOT / "build" / "tests")) / "tool_tap"
PATIENCE = 20
SLL2 = 276

SENDER = """
import socket, sys
s = {}
for line in sys.stdin:
    name, times, data = line.split()
    if name not in s:
        s[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s[name].bind((name, 0x0003))
    frame = bytes.fromhex(data)
    for _ in range(int(times)):
        s[name].send(frame)
"""


def why_not():
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "the ip program is not installed"
    if not TOOL.exists():
        return f"{TOOL} is not built"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        return "network namespaces cannot be made here"
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


class Lab:
    """Two namespaces, `near` (where the tap is) and `far`, and links between them."""

    def __init__(self):
        self.near, self.far = (f"lunette-{os.getpid()}-{end}" for end in ("near", "far"))
        for ns in (self.near, self.far):
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")

    def ip(self, *command):
        return run("ip", "-n", self.near, *command)

    def link(self, name, up=True):
        """veth `name` in near with its peer of the same name in far."""
        run("ip", "-n", self.near, "link", "add", name, "type", "veth", "peer", name, "netns", self.far)
        for ns in (self.near, self.far):
            # No neighbour discovery of the kernel's own between the test's packets.
            run("ip", "netns", "exec", ns, "sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6")
        run("ip", "-n", self.far, "link", "set", name, "up")
        if up:
            self.ip("link", "set", name, "up")

    def send(self, name, frames, outgoing=False, times=1):
        ns = self.near if outgoing else self.far
        text = "".join(f"{name} {times} {frame.hex()}\n" for frame in frames)
        run_in = ["ip", "netns", "exec", ns, sys.executable, "-c", SENDER]
        done = subprocess.run(run_in, input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    def close(self):
        for ns in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)


Packet = collections.namedtuple("Packet", "worker interface direction link_type src sport dst dport")


class Tap:
    def __init__(self, lab, *arguments, under=()):
        command = ["ip", "netns", "exec", lab.near, *under, str(TOOL), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.text = b""
        self.packets, self.opened, self.closed, self.figures, self.failed = [], [], [], {}, []

    def line(self, deadline):
        while b"\n" not in self.text:
            left = deadline - time.monotonic()
            ready = select.select([self.process.stdout], [], [], max(left, 0))[0]
            assert ready, f"nothing came in {PATIENCE} s; so far {self.opened} {self.closed} {len(self.packets)} packets"
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                return None
            self.text += data
        line, self.text = self.text.split(b"\n", 1)
        return line.decode().split()

    def until(self, happened):
        """Reads on until happened(words of the latest line) is true."""
        deadline = time.monotonic() + PATIENCE
        while True:
            words = self.line(deadline)
            assert words is not None, f"the tool ended: {self.failed}"
            kind = words[0]
            if kind == "packet":
                self.packets.append(Packet(int(words[1]), words[2], words[3], int(words[4]), words[5],
                                           int(words[6]), words[7], int(words[8])))
            elif kind == "open":
                self.opened.append((int(words[1]), words[2]))
            elif kind == "close":
                self.closed.append((int(words[1]), words[2], " ".join(words[3:])))
            elif kind == "figures":
                self.figures[int(words[1]), words[2]] = [int(word) for word in words[3:]]
            elif kind == "failed":
                self.failed.append(" ".join(words[1:]))
            if happened(words):
                return

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        result = []
        self.until(lambda words: words[0] == "done" and (result.append(int(words[-1])) or True))
        return result[0]

    def packets_until(self, count, wanted):
        """Until `count` packets for which wanted() holds have come."""
        seen = sum(map(wanted, self.packets))
        if seen >= count:
            return
        state = [seen]

        def enough(words):
            if words[0] == "packet" and wanted(self.packets[-1]):
                state[0] += 1
            return state[0] >= count

        self.until(enough)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def tap(lab):
    taps = []

    def start(*arguments, **options):
        taps.append(Tap(lab, *arguments, **options))
        return taps[-1]

    yield start
    for each in taps:
        each.close()


# ------------------------------------------------------------------- packets

HOME = [ipaddress.ip_network(text) for text in
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
         "fc00::/7", "fe80::/10", "::1/128")]
MARK_PORT = 9


def is_home(address):
    return any(address.version == net.version and address in net for net in HOME)


def worker_of(packet, workers):
    """home_worker_of(), from its description."""
    src, dst = ipaddress.ip_address(packet.src), ipaddress.ip_address(packet.dst)
    if is_home(src) != is_home(dst):
        owner = src if is_home(src) else dst
    elif packet.sport != packet.dport:
        owner = src if packet.sport > packet.dport else dst
    else:
        owner = min(src, dst, key=lambda a: a.packed)
    folded = sum(struct.unpack(f"!{len(owner.packed) // 4}I", owner.packed)) & 0xffffffff
    return ((folded * 0x9e3779b1 & 0xffffffff) >> 16) * workers >> 16


def frame(src, sport, dst, dport, vlans=(), payload=b"lunette-live"):
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    if a.version == 4:
        ether = 0x0800
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + a.packed + b.packed
    else:
        ether = 0x86dd
        ip = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + a.packed + b.packed
    tags = b"".join(struct.pack("!HH", 0x8100 if i == len(vlans) - 1 else 0x88a8, vlan)
                    for i, vlan in enumerate(vlans))
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + tags + struct.pack("!H", ether) + ip + udp


def programme(vlans=()):
    """Conversations of many hosts, both ways: with the Internet, with a resolver at home, from outside to outside."""
    pairs = []
    for host in range(1, 41):
        pairs.append((f"192.168.7.{host}", 50000 + host, "17.253.4.5", 443))
        pairs.append((f"192.168.7.{host}", 40000 + host, "192.168.7.254", 53))
        pairs.append((f"fd00::7:{host:x}", 50000 + host, "2606:4700::1111", 443))
        pairs.append((f"fe80::{host:x}", 5353, "ff02::fb", 5353))
        pairs.append((f"203.0.113.{host}", 50000 + host, "198.51.100.1", 80))
    pairs += [(dst, dport, src, sport) for src, sport, dst, dport in pairs]
    return [(pair, frame(*pair, vlans=vlans)) for pair in pairs]


def marks():
    """From enough hosts that each of up to four workers gets some."""
    return [frame(f"10.9.9.{i}", MARK_PORT, "17.1.1.1", MARK_PORT) for i in range(1, 33)]


def is_mark(packet):
    return MARK_PORT in (packet.sport, packet.dport)


def keys(packets):
    return collections.Counter((p.src, p.sport, p.dst, p.dport) for p in packets
                               if not is_mark(p) and p.sport != WARM_PORT)


def check_dealt(tap, sent, workers, times=1):
    """All that was sent has come, each once, to the worker whose it is."""
    tap.packets_until(len(marks()), is_mark)
    assert keys(tap.packets) == collections.Counter({pair: times for pair, _ in sent})
    wrong = [p for p in tap.packets if p.worker != worker_of(p, workers)]
    assert not wrong, wrong[:3]
    assert {p.worker for p in tap.packets} == set(range(workers))


WARM_PORT = 7


def settle(lab, name):
    """A tap holds packets of its first moments against the worker's share itself, on top of the kernel's dealing.
    Sends some until that is over, so that what comes next is as the kernel deals it."""
    over = time.monotonic() + 0.2
    while time.monotonic() < over:
        lab.send(name, [frame(f"10.9.8.{i}", WARM_PORT, "17.1.1.1", WARM_PORT) for i in range(1, 17)])


# --------------------------------------------------------------------- tests

@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_each_packet_once_in_its_host_s_worker(lab, tap, dealing, workers):
    lab.link("v0")
    t = tap("-w", str(workers), *dealing, "v0")
    assert t.command("rescan") == 0
    assert t.opened == [(w, "v0") for w in range(workers)]
    settle(lab, "v0")
    sent = programme()
    lab.send("v0", [data for _, data in sent] + marks())
    check_dealt(t, sent, workers)
    assert {p.link_type for p in t.packets} == {1}


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_outgoing_packets_are_dealt_alike(lab, tap, dealing):
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    t.command("rescan")
    settle(lab, "v0")
    sent = programme()
    lab.send("v0", [data for _, data in sent] + marks(), outgoing=True)
    check_dealt(t, sent, 2)


@pytest.mark.parametrize("outgoing", [False, True], ids=["incoming", "outgoing"])
@pytest.mark.parametrize("vlans", [(7,), (3, 7)], ids=["one-tag", "two-tags"])
@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_tagged_packets_are_dealt_alike(lab, tap, dealing, vlans, outgoing):
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    t.command("rescan")
    settle(lab, "v0")
    sent = programme(vlans)
    lab.send("v0", [data for _, data in sent] + marks(), outgoing=outgoing)
    check_dealt(t, sent, 2)


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_fragments_of_a_datagram_meet(lab, tap, dealing):
    lab.link("v0")
    t = tap("-w", "3", *dealing, "v0")
    t.command("rescan")
    settle(lab, "v0")
    pairs = [(f"192.168.3.{host}", f"192.168.3.{200 - host}") for host in range(1, 60)]
    sent = []
    for src, dst in pairs + [(dst, src) for src, dst in pairs]:
        for field in (0x2000, 0x2010, 0x0020):  # what stands where the ports would be differs
            data = bytearray(frame(src, 1000 + field, dst, 53))
            struct.pack_into("!H", data, 20, field)
            sent.append(bytes(data))
    lab.send("v0", sent + marks())
    t.packets_until(len(marks()), is_mark)
    fragments = [p for p in t.packets if p.src.startswith("192.168.3.")]
    assert len(fragments) == len(sent)
    workers = collections.defaultdict(set)
    for p in fragments:
        workers[frozenset((p.src, p.dst))].add(p.worker)
    assert all(len(each) == 1 for each in workers.values())
    assert len(set.union(*workers.values())) == 3


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_packets_that_come_while_it_opens_are_not_seen_twice(lab, tap, dealing):
    """Worker 1 opens later: until then its packets are nobody's, and none is ever seen twice or by the wrong one."""
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    early, late = programme()[::2], programme()[1::2]
    t.command("rescan 0")
    lab.send("v0", [data for _, data in early])
    t.command("rescan 1")
    lab.send("v0", [data for _, data in late] + marks())
    t.packets_until(len(marks()), is_mark)
    assert all(p.worker == worker_of(p, 2) for p in t.packets)
    seen = keys(t.packets)
    assert max(seen.values()) == 1
    assert all(seen[pair] == 1 for pair, _ in late)


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_workers_out_of_order_lose_nothing(lab, tap, dealing):
    lab.link("v0")
    t = tap("-w", "3", *dealing, "v0")
    for worker in (2, 0, 1):
        t.command(f"rescan {worker}")
    lab.link("v1")
    u = tap("-w", "3", *dealing, "v1")
    for worker in (0, 2, 1):
        u.command(f"rescan {worker}")
    sent = programme()
    for each, name in (t, "v0"), (u, "v1"):
        settle(lab, name)
        lab.send(name, [data for _, data in sent] + marks())
        check_dealt(each, sent, 3)


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_an_interface_that_is_made_anew(lab, tap, dealing):
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    t.command("rescan")
    first = programme()[:100]
    lab.send("v0", [data for _, data in first] + marks())
    check_dealt(t, first, 2)
    lab.ip("link", "del", "v0")
    lab.link("v0")  # before anybody looked: the name is there all the time
    assert t.command("rescan") == 0
    assert len(t.closed) == 2 and len(t.opened) == 4, (t.closed, t.opened)
    settle(lab, "v0")
    t.packets.clear()
    second = programme()
    lab.send("v0", [data for _, data in second] + marks())
    check_dealt(t, second, 2)
    t.command("figures")
    for worker in range(2):
        is_open, times, packets, dropped = t.figures[worker, "v0"]
        assert (is_open, times, dropped) == (1, 2, 0)


def test_an_interface_that_goes_and_comes_back(lab, tap):
    lab.link("v0")
    t = tap("v0")
    t.command("rescan")
    lab.ip("link", "del", "v0")
    assert t.command("rescan") == 0  # waited for, no failure
    assert [name for _, name, _ in t.closed] == ["v0"]
    assert t.command("rescan") == 0
    lab.link("v0")
    t.command("rescan")
    assert len(t.opened) == 2
    lab.send("v0", marks())
    t.packets_until(len(marks()), is_mark)


@pytest.mark.parametrize("looked", [True, False], ids=["seen-down", "flapped"])
@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_down_and_up_again(lab, tap, dealing, looked):
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    t.command("rescan")
    for _ in range(3):
        lab.ip("link", "set", "v0", "down")
        if looked:
            assert t.command("rescan") == 0
            assert t.closed
        lab.ip("link", "set", "v0", "up")
        assert t.command("rescan") == 0
        settle(lab, "v0")
        t.packets.clear()
        sent = programme()
        lab.send("v0", [data for _, data in sent] + marks())
        check_dealt(t, sent, 2)
    assert len(t.opened) - len(t.closed) == 2


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_one_worker_s_handle_made_anew(lab, tap, dealing):
    """Worker 0 lets go and opens again before worker 1 has looked: each packet is still seen once."""
    lab.link("v0")
    t = tap("-w", "2", *dealing, "v0")
    t.command("rescan")
    settle(lab, "v0")
    lab.ip("link", "set", "v0", "down")
    t.command("rescan 0")
    lab.ip("link", "set", "v0", "up")
    t.command("rescan 0")
    assert [worker for worker, _, _ in t.closed] == [0]
    for _ in range(2):
        settle(lab, "v0")
        t.packets.clear()
        sent = programme()
        lab.send("v0", [data for _, data in sent] + marks())
        check_dealt(t, sent, 2)
        t.command("rescan")
    assert len(t.closed) == (1 if dealing else 2)


def test_down_at_the_start_is_waited_for(lab, tap):
    lab.link("v0", up=False)
    t = tap("v0")
    assert t.command("rescan") == 0
    assert not t.opened
    lab.ip("link", "set", "v0", "up")
    t.command("rescan")
    assert t.opened == [(0, "v0")]
    lab.send("v0", marks())
    t.packets_until(len(marks()), is_mark)


def test_a_name_that_another_interface_takes(lab, tap):
    lab.link("v0")
    lab.link("v1")
    t = tap("v0")
    t.command("rescan")
    for name in ("v0", "v1"):
        lab.ip("link", "set", name, "down")
    lab.ip("link", "set", "v0", "name", "old")
    lab.ip("link", "set", "v1", "name", "v0")
    lab.ip("link", "set", "v0", "up")
    t.command("rescan")
    assert [name for _, name, _ in t.closed] == ["v0"] and len(t.opened) == 2
    lab.send("v1", marks())  # the far end has kept its name
    t.packets_until(len(marks()), is_mark)


def test_a_pattern_takes_what_comes(lab, tap):
    lab.link("v0")
    t = tap("-w", "2", "v*", "w?")
    t.command("rescan")
    assert t.opened == [(0, "v0"), (1, "v0")]
    lab.link("v17")
    lab.link("w1")
    lab.link("other")
    t.command("rescan")
    assert sorted(t.opened) == sorted((w, name) for w in range(2) for name in ("v0", "v17", "w1"))
    for name in ("v0", "v17", "w1"):
        lab.send(name, marks())
    t.packets_until(3 * len(marks()), is_mark)
    assert {p.interface for p in t.packets} == {"v0", "v17", "w1"}


def test_more_interfaces_than_there_is_room_for(lab, tap):
    """Over months, interfaces with ever new names come and go."""
    t = tap("v*")
    for generation in range(4):
        names = [f"v{generation}x{i}" for i in range(20)]
        for name in names:
            lab.ip("link", "add", name, "type", "veth", "peer", f"p{name}")
            lab.ip("link", "set", name, "up")
        t.command("rescan")
        assert [name for _, name in t.opened[-20:]] == names
        for name in names:
            lab.ip("link", "del", name)
        t.command("rescan")
        assert len(t.closed) == 20 * (generation + 1)
    t.command("figures")
    assert sum(times for _, times, _, _ in t.figures.values()) == 80


@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
def test_any(lab, tap, dealing):
    lab.link("v0")
    lab.link("v1")
    t = tap("-w", "2", *dealing, "any")
    t.command("rescan")
    settle(lab, "v0")
    sent = programme()
    lab.send("v0", [data for _, data in sent])
    lab.send("v1", [data for _, data in sent], outgoing=True)
    lab.send("v1", marks())
    check_dealt(t, sent, 2, times=2)
    assert {p.link_type for p in t.packets} == {SLL2}
    places = collections.Counter((p.interface, p.direction) for p in t.packets if not is_mark(p))
    assert set(interface for interface, _ in places) == {"v0", "v1"}
    assert places["v1", "out"] == len(sent)
    assert places["v0", "out"] == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("dealing", [[], ["-s"]], ids=["fanout", "share"])
@pytest.mark.parametrize("where", ["v0", "any"])
def test_the_filter_is_the_kernel_s(lab, tap, where, dealing, workers):
    """A ring far too small for what is filtered away drops nothing, even if nobody reads."""
    lab.link("v0")
    t = tap("-w", workers, *dealing, "-r", "2048", "-f", f"udp port 53 or udp port {MARK_PORT}", where)
    t.command("rescan")
    t.command("hold")
    lab.send("v0", [frame("10.0.0.1", 4000, "17.0.0.1", 4001, payload=b"x" * 1400)], times=5000)
    sent = [(pair, data) for pair, data in programme() if 53 in (pair[1], pair[3])]
    lab.send("v0", [data for _, data in sent] + marks())
    t.command("go")
    check_dealt(t, sent, int(workers))
    t.command("figures")
    assert all(figures[3] == 0 for figures in t.figures.values()), t.figures


def test_a_full_ring_is_told(lab, tap):
    lab.link("v0")
    t = tap("-r", "512", "v0")
    t.command("rescan")
    t.command("hold")
    lab.send("v0", [frame("10.0.0.1", 4000, "17.0.0.1", 4001, payload=b"x" * 1400)], times=5000)
    t.command("figures")
    dropped = t.figures[0, "v0"][3]
    assert 0 < dropped < 5000
    t.command("go")
    t.packets_until(5000 - dropped, lambda p: p.sport == 4000)
    lab.send("v0", marks())
    t.packets_until(len(marks()), is_mark)
    t.command("figures")
    _, _, packets, dropped = t.figures[0, "v0"]
    assert packets - len(marks()) + dropped == 5000
    lab.ip("link", "del", "v0")
    t.command("rescan")
    t.command("figures")
    assert t.figures[0, "v0"] == [0, 1, packets, dropped]


def test_wrong_use_is_told(lab, tap):
    t = tap("nonsense0")
    with pytest.raises(AssertionError):
        t.command("rescan")
    assert t.close() == 1  # a failure, not a wrong use: the name may be right and the interface late
    assert t.failed and "nonsense0" in t.failed[0] and "lo" in t.failed[0]
    t = tap("-f", "tcp port nonsense", "lo")
    with pytest.raises(AssertionError):
        t.command("rescan")
    assert t.close() == 2 and "not a filter" in t.failed[0]
    t = tap("utun9")  # a tunnel may come later
    assert t.command("rescan") == 0
    assert not t.opened


def test_without_permission_it_says_what_to_do(lab, tap):
    if not shutil.which("setpriv"):
        pytest.skip("the setpriv program is not installed")
    command = ["ip", "netns", "exec", lab.near, "setpriv", "--bounding-set=-all", "--inh-caps=-all", str(TOOL), "lo"]
    done = subprocess.run(command, input="rescan\nquit\n", text=True, capture_output=True, timeout=PATIENCE)
    assert "failed" in done.stdout and "cap_net_raw" in done.stdout, done.stdout + done.stderr


def test_cap_net_raw_is_enough(lab, tap):
    """As a sensor that has given up the rest; interfaces that come later are opened with it as well."""
    if not shutil.which("setpriv"):
        pytest.skip("the setpriv program is not installed")
    lab.link("v0")
    t = tap("-w", "2", "v0", under=["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all"])
    t.command("rescan")
    lab.ip("link", "del", "v0")
    lab.link("v0")
    assert t.command("rescan") == 0
    sent = programme()
    lab.send("v0", [data for _, data in sent] + marks())
    check_dealt(t, sent, 2)
