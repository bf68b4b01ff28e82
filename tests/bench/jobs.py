"""What is run, and how: command lines of lunette and of its peers, in turns, each with the time and memory it took."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Each with the command line that asks the least of it that is comparable: name, program, its words, slow or not. $F is the
# capture, $T a folder for what it insists on writing.
PEERS = (
    ("tcpdump --count", "tcpdump", "-nn -r $F --count", False),
    ("ndpiReader", "ndpiReader", "-i $F -q", False),
    ("argus", "argus", "-r $F -w /dev/null", False),
    ("tshark, counting", "tshark", "-n -q -z io,stat,0 -r $F", True),
    ("tshark, names of TLS hosts", "tshark", "-n -r $F -Y tls.handshake.type==1 -T fields -e tls.handshake.extensions_server_name", True),
    ("zeek", "zeek", "-C -r $F Log::default_writer=Log::WRITER_NONE", True),
    ("suricata", "suricata", "-r $F -S /dev/null -k none -l $T", True),
    ("snort", "snort", "-q -k none -r $F -l $T", True),
)

OURS = ("lunette", "none", "handler")  # names of jobs that may not fail begin so; an older state may know less

# Bytes per protocol by each packet, in the peers' own scripts.
ZEEK_HANDLER = ("global n: table[count] of count &default=0; "
                "event new_packet(c: connection, p: pkt_hdr) { if ( p?$ip ) n[p$ip$p] += p$ip$len; }")
SURICATA_RULE = 'alert ip any any -> any any (msg:"bytes"; lua:bytes.lua; sid:1;)\n'
SURICATA_HANDLER = """local bytes = 0
function init(args) return { packet = tostring(true) } end
function match(args) bytes = bytes + #args.packet return 0 end
"""


class Failed(Exception):
    """A command that did not end well, and what it said."""


def spend(command):
    """Runs the command to its end, its output thrown away: user, system, wall seconds and the peak of memory in kB."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory(prefix="lunette-bench-peer-") as folder:
        words = [str(word).replace("$T", folder) for word in command]
        begin = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise Failed(f"{' '.join(words)}: exit code {process.returncode}\n{said.read().decode(errors='replace')}")
    return {"user": used.ru_utime, "system": used.ru_stime, "wall": wall, "memory": used.ru_maxrss}


def in_turns(jobs, repeats, measure=spend):
    """Every job once, then every job again ...: name -> results, one a turn. A first round warms up; a peer that fails
    in it is left out of the others."""
    results = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name in list(results):
            try:
                result = measure(jobs[name])
            except Failed as failed:
                if turn > 0 or (name.startswith(OURS) and not name.endswith(": before")):
                    sys.exit(str(failed))
                print(f"left out: {failed}", flush=True)
                del results[name]
                continue
            if turn > 0:
                results[name].append(result)
    return results


def shown(command, capture):
    """The command line as a reader wants it: without the folders of this machine."""
    words = ["FILE" if str(word) == str(capture) else str(word) for word in command]
    scripts = [i for i, word in enumerate(words) if word == "-s" and pathlib.Path(words[i + 1]).parent.name == "scripts"]
    if len(scripts) > 1:
        words = [word for i, word in enumerate(words) if i not in scripts and i - 1 not in scripts] + ["(all detectors)"]
    return " ".join(pathlib.Path(word).name if "/" in word and word != "/dev/null" else word for word in words)


class Lunette:
    """A build and the detectors that go with it."""

    def __init__(self, build, scripts):
        self.build, self.scripts = pathlib.Path(build).resolve(), pathlib.Path(scripts).resolve()
        self.program = str(self.build / "lunette")
        if not pathlib.Path(self.program).exists():
            sys.exit(f"{self.program} is not there: build it, or name another folder with --build")

    def detectors(self):
        return [path for path in sorted(self.scripts.glob("*.lua")) if not path.stem.endswith("_test")]

    def replay(self, capture, *words, scripts=None):
        """The command line; scripts: None for all detectors, () for none."""
        scripts = self.detectors() if scripts is None else scripts
        named = [word for script in scripts for word in ("-s", str(script))] or ["--no-scripts"]
        return [self.program, "replay", "-q", *words, *named, str(capture)]


def peers(capture, slow):
    """name -> command line of the peers that are installed, the quick or the slow ones."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = {}
    for name, program, words, is_slow in PEERS:
        program = shutil.which(program, path=path)
        if program and is_slow == slow:
            found[name] = [program, *(word.replace("$F", str(capture)) for word in words.split())]
    return found


def missing_peers():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({program for _, program, _, _ in PEERS if not shutil.which(program, path=path)})


def peers_with_handlers(capture, folder):
    """(name of the peer, command line without, command line with a handler for every packet)."""
    found = []
    if zeek := shutil.which("zeek"):
        bare = [zeek, "-C", "-b", "-r", str(capture)]
        found.append(("zeek, new_packet", bare, [*bare, "-e", ZEEK_HANDLER]))
    if suricata := shutil.which("suricata"):
        folder = pathlib.Path(folder)
        (folder / "bytes.rules").write_text(SURICATA_RULE)
        (folder / "bytes.lua").write_text(SURICATA_HANDLER)
        words = [suricata, "-r", str(capture), "-k", "none", "-l", "$T", "--set", "security.lua.allow-rules=true", "-S"]
        found.append(("suricata, a Lua rule", [*words, "/dev/null"], [*words, str(folder / "bytes.rules")]))
    return found
