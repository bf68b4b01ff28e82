"""What is measured on: the captures that make_mix makes, how large, and what they stand for."""

import os
import pathlib
import shutil
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PCAP_HEADER, RECORD_HEADER = 24, 16
SMALL_FRAME = 60  # 64 bytes on the wire: their last four are the checksum, which captures do not have

# name: what it is, what it stands for, make_mix's options; of those from nothing also the flows.
MIXES = {
    "mix": ("the mix", "nearly every flow is of a host never seen before: the hardest for detectors", []),
    "office": ("an office", "the same captures, of 100 hosts that come again and again: what a sensor has", ["--hosts", 100]),
    "bulk": ("bulk", "100 hosts whose TLS and QUIC flows go on for 4 MB after their hello: what most bytes are",
             ["--hosts", 100, "--bulk", 4]),
}
SMALL = ("64-byte packets", "the smallest Ethernet frames, of 10,000 flows of 100 hosts, TCP and UDP mixed, a random one each")
NAMES = (*MIXES, "small")


def captures():
    """Real captures if they are there, else the examples."""
    folder = pathlib.Path(os.environ.get("LUNETTE_PCAPS", ROOT.parent / "shared" / "pcaps"))
    real = [p for part in ("ndpi", "ja4") for p in sorted((folder / part).glob("*")) if p.suffix[1:4] in ("pca", "cap")]
    return real or sorted((ROOT / "examples").glob("*.pcap*"))


def packets_of(path):
    """How many packets a pcap file of make_mix has."""
    count = 0
    with open(path, "rb", buffering=1 << 20) as file:
        file.seek(PCAP_HEADER)
        while head := file.read(RECORD_HEADER):
            file.seek(struct.unpack("<8xI4x", head)[0], os.SEEK_CUR)
            count += 1
    return count


class Workload:
    def __init__(self, path, name, title, about, packets):
        self.path, self.name, self.title, self.about, self.packets = path, name, title, about, packets
        self.bytes = path.stat().st_size - PCAP_HEADER - RECORD_HEADER * packets  # of frames

    def told(self):
        return {"name": self.name, "title": self.title, "about": self.about, "bytes": self.bytes, "packets": self.packets}


class Maker:
    """Makes captures in a folder; what is there already is used again."""

    def __init__(self, program, folder, keep):
        self.program, self.folder, self.keep = program, pathlib.Path(folder), keep

    def _made(self, file, name, title, about, arguments):
        path = self.folder / file
        count = self.folder / f"{file}.packets"
        if not path.exists() or not count.exists():
            half = path.with_suffix(".half")
            subprocess.run([str(self.program), "--out", str(half), *map(str, arguments)], stdout=subprocess.DEVNULL, check=True)
            half.rename(path)
            count.write_text(str(packets_of(path)))
            print(f"made {file}: {path.stat().st_size / 1e6:.0f} MB", flush=True)
        return Workload(path, name, title, about, int(count.read_text()))

    def mix(self, name, size):
        """One of NAMES, of so many bytes. A smaller one is the beginning of a larger one."""
        if name == "small":
            packets = max(int(size / (RECORD_HEADER + SMALL_FRAME)), 30_000)
            return self._made(f"small-{packets}.pcap", name, *SMALL,
                              ["--flows", 10_000, "--hosts", 100, "--frame", SMALL_FRAME, "--packets", packets])
        title, about, options = MIXES[name]
        return self._made(f"{name}-{int(size)}.pcap", name, title, about, [*options, "--bytes", int(size), *captures()])

    def flows(self, flows, packets, hello=False):
        """Packets each of a random one of so many flows; with hello, TLS connections past their handshake."""
        kind = "hello" if hello else "flows"
        return self._made(f"{kind}-{flows}-{packets}.pcap", kind, f"{flows} flows", "", [
            "--flows", flows, "--packets", packets, "--hosts", 100, *(["--hello"] if hello else ["--frame", SMALL_FRAME])])

    def room_for(self, size, memory):
        """None if a file of that size and a process of that memory fit on this machine, else what is missing."""
        free = shutil.disk_usage(self.folder).free
        if free < size * 1.1:
            return f"{free / 1e9:.1f} GB are free in {self.folder}, {size / 1e9:.1f} are needed"
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        try:
            lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
            available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        except (OSError, StopIteration):
            pass
        if available < memory:
            return f"{available / 1e9:.1f} GB of memory are free, {memory / 1e9:.1f} are needed"
        return None

    def done_with(self, workload):
        """Its file is not needed any more."""
        if not self.keep:
            workload.path.unlink(missing_ok=True)
            pathlib.Path(f"{workload.path}.packets").unlink(missing_ok=True)
