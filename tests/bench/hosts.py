#!/usr/bin/python3
"""Measures what detectors remember of each host, and of each name that a host calls. Prints a table.

    tests/bench/hosts.py --build build [--hosts 10000] [--names 20] [--scripts scripts] [--work FOLDER]
    tests/bench/hosts.py --build build --hostile [--hosts 25000] [--names 12]

Four captures are made from nothing: few and many hosts, with few and many names each. A host asks DNS for
each name and opens a TLS connection to it. `lunette profile` tells the memory of each detector at the end; a host
costs the difference between many and few hosts with few names, divided by the hosts; a (host, name) pair the difference between
many and few names. Pairs are told twice: with names that all hosts share, as in an office, and with names of their own,
which is the worst that strangers can do. Beyond its bounds a detector forgets, so a figure may be less than an entry.

With --hostile there is one capture of more hosts than any detector remembers, each with names of its own of 250 bytes, and the usual bound
of memory (--script-memory): whoever goes over it is switched off, and the exit code is 1.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import tls   # noqa: E402  (the samples' own packet makers)
import wire  # noqa: E402

FEW_HOSTS, FEW_NAMES = 1000, 2
RESOLVER, STEP = 0x0A000001, 0.0004
NAME = "n%07d.example.org"  # of one length, so that it can be written over in a template
LONG_NAME = ".".join(["n%07d", "a" * 60, "b" * 60, "c" * 60, "d" * 40, "example.org"])
SYN_OPTIONS = (wire.option_mss(1460) + b"\1" + wire.option_window_scale(6) + b"\1\1" + wire.option_timestamps(1, 0) +
               b"\4\2\0\0")


def dns(name, answer):
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    head = struct.pack(">HHHHHH", 7, 0x8180 if answer else 0x0100, 1, 1 if answer else 0, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 300, 4) + bytes(4) if answer else b""
    return head + question + record


class Template:
    """A frame whose addresses, ports and name are written over for each use. lunette does not mind checksums."""

    def __init__(self, up, segment, protocol):
        source, target = ("10.0.0.2", "203.0.113.1") if up else ("203.0.113.1", "10.0.0.2")
        packet = wire.ipv4(source, target, protocol, segment("10.0.0.2", "203.0.113.1"))
        self.frame = bytearray(wire.ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", packet))
        self.up = up
        self.names = [at for at in range(len(self.frame)) if self.frame[at:at + 8] == b"n0000000"]

    def made(self, client, server, port, number):
        frame = self.frame
        struct.pack_into(">II", frame, 26, *((client, server) if self.up else (server, client)))
        struct.pack_into(">H", frame, 34 if self.up else 36, port)
        for at in self.names:
            frame[at:at + 8] = b"n%07d" % number
        return frame


def of_udp(up, port, payload):
    ports = (1, port) if up else (port, 1)
    return Template(up, lambda a, b: wire.udp(a, b, *ports, payload), 17)


def of_tcp(up, seq, ack, flags, options=b"", payload=b""):
    ports = (1, 443) if up else (443, 1)
    return Template(up, lambda a, b: wire.tcp(a, b, *ports, seq, ack, flags, 65535, options, payload), 6)


def conversation(name_form):
    """DNS, then TLS: what is said for each name."""
    rng, name = random.Random(1), name_form % 0
    hello, session = tls.client_hello("apple-2023", rng, name)
    answer = tls.server_hello(rng, session) + tls.sealed(rng, 1100)
    ask, reply = of_udp(True, 53, dns(name, False)), of_udp(False, 53, dns(name, True))
    up, down = 1000, 5000
    segments = [
        of_tcp(True, up, 0, wire.SYN | wire.ECE, SYN_OPTIONS), of_tcp(False, down, up + 1, wire.SYN | wire.ACK, SYN_OPTIONS),
        of_tcp(True, up + 1, down + 1, wire.ACK | wire.PSH, payload=hello),
        of_tcp(False, down + 1, up + 1 + len(hello), wire.ACK | wire.PSH, payload=answer),
        of_tcp(True, up + 1 + len(hello), down + 1 + len(answer), wire.ACK | wire.FIN),
        of_tcp(False, down + 1 + len(answer), up + 2 + len(hello), wire.ACK | wire.FIN),
        of_tcp(True, up + 2 + len(hello), down + 2 + len(answer), wire.ACK),
    ]
    return (ask, reply), segments


def make(path, hosts, names, shared, name_form=NAME):
    lookups, segments = conversation(name_form)
    time = 1_700_000_000.0
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

        def put(frame):
            nonlocal time
            time += STEP / 9
            out.write(struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(frame), len(frame)))
            out.write(frame)

        for turn in range(names):
            for host in range(hosts):
                client = 0x0A010000 + host
                number = turn if shared else host * names + turn
                server = 0xCB007100 + number % 256 if shared else 0x20000000 + number
                port = 49152 + turn * 7 % 16000
                for template in lookups:
                    frame = template.made(client, RESOLVER, port, number)
                    if not template.up:
                        struct.pack_into(">I", frame, len(frame) - 4, server)
                    put(frame)
                for template in segments:
                    put(template.made(client, server, port, number))


def memory(build, scripts, path, bound=4096):
    """Bytes of each detector, its part that gathers by itself; and what was said meanwhile."""
    command = [str(build / "lunette"), "profile", "--json", "-s", str(scripts), "--script-memory", str(bound), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(done.stderr)
    parts = json.loads(done.stdout)["detectors"]
    return {part["name"] + (" (gathers)" if part["stage"] == "gather" else ""): part["memory"] for part in parts}, done.stderr


def hostile(options, work):
    path = work / "hosts-hostile.pcap"
    make(path, options.hosts, options.names, False, LONG_NAME)
    found, said = memory(options.build, options.scripts, path, 256)
    path.unlink()
    print(f"{options.hosts} hosts with {options.names} names each of {len(LONG_NAME % 0)} bytes; at most 256 MiB")
    for name, used in found.items():
        print(f"{name:28} {used / 2**20:8.1f} MiB")
    off = [line for line in said.splitlines() if "switched off" in line]
    print("\n".join(off) or "none was switched off")
    return 1 if off else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--hosts", type=int)
    parser.add_argument("--names", type=int)
    parser.add_argument("--hostile", action="store_true", help="is any detector switched off by what strangers do?")
    parser.add_argument("--scripts", type=pathlib.Path, default=ROOT / "scripts")
    parser.add_argument("--work", type=pathlib.Path, help="folder for the made captures (else a temporary one)")
    options = parser.parse_args()
    options.hosts = options.hosts or (25_000 if options.hostile else 10_000)
    options.names = options.names or (12 if options.hostile else 20)
    if not (options.build / "lunette").exists():
        sys.exit(f"{options.build / 'lunette'} is not there: build it, or name another folder with --build")
    if not options.hostile and (options.hosts <= FEW_HOSTS or options.names <= FEW_NAMES):
        sys.exit(f"a difference is measured: --hosts must be more than {FEW_HOSTS}, --names more than {FEW_NAMES}")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or pathlib.Path(temporary)
        if options.hostile:
            return hostile(options, work)
        cases = {"few": (FEW_HOSTS, FEW_NAMES, True), "hosts": (options.hosts, FEW_NAMES, True),
                 "shared": (options.hosts, options.names, True), "own": (options.hosts, options.names, False)}
        found = {}
        for name, (hosts, names, shared) in cases.items():
            path = work / f"hosts-{name}.pcap"
            make(path, hosts, names, shared)
            found[name], _ = memory(options.build, options.scripts, path)
            path.unlink()
    pairs = options.hosts * (options.names - FEW_NAMES)
    print(f"{options.hosts} hosts; bytes\n")
    print(f"{'detector':24} {'a host':>8} {'a pair, names shared':>22} {'a pair, own names':>19} {'in all, MiB':>12}")
    for name in found["few"]:
        host = (found["hosts"][name] - found["few"][name]) / (options.hosts - FEW_HOSTS)
        pair = [(found[case][name] - found["hosts"][name]) / pairs for case in ("shared", "own")]
        print(f"{name:24} {host:8.0f} {pair[0]:22.0f} {pair[1]:19.0f} {found['own'][name] / 2**20:12.1f}")


if __name__ == "__main__":
    sys.exit(main())
