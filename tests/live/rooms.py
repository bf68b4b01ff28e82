"""Network namespaces that cannot outlive the test.

    with Rooms() as rooms:
        rooms.add("mac"), rooms.add("gateway")
        rooms.cable("mac", "eth0", "gateway", "lan0")
        rooms.run("mac", "ping", "-c", "1", "192.168.7.1")
        server = rooms.serve("gateway", "dnsmasq", ...)        # until the rooms close

A keeper process holds a mount, a pid and a network namespace. Names of rooms are bind mounts in its private /run,
long-running servers live in its pid namespace, and it dies with this process however this process dies. The kernel
then kills the servers and takes all namespaces, interfaces and mounts away: nothing is left to be cleaned up, even
after kill -9, but for a folder in /tmp, which the next run removes.

Programs that the test itself wants to send signals to (the sensor, tcpdump, clients) are started by popen(): in the
room's network and the keeper's mounts, but as plain children of the test, which also die with it.

Everything in the rooms but what asks otherwise runs on one processor. So packets pass one after the other and all
who watch an interface see them in the same order."""

import array
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
FOLDERS = "lunette-lab-"
_libc = ctypes.CDLL(None, use_errno=True)


class Trouble(AssertionError):
    """What a test fails with when the lab does not do what it should."""


def wait_for(condition, seconds=20.0, what="it"):
    """The first true value of condition(), asked again and again; fails the test when the time is over."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds:.0f} s in vain: {what() if callable(what) else what}")
        time.sleep(pause)  # between two looks; no result depends on it
        pause = min(pause * 1.5, 0.1)


def why_not():
    """Why rooms cannot be made here, or None."""
    if os.name != "posix" or not os.path.exists("/proc/self/ns/net"):
        return "no network namespaces on this system"
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    for program in ("ip", "ss", "unshare", "nsenter", "setpriv", "taskset"):
        if not shutil.which(program):
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "sh", "-c",
                            "mount -t tmpfs none /run && ip link add name one type veth peer name other"], capture_output=True, text=True)
    if tried.returncode:
        return "namespaces are refused here: " + (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return None


REASON = why_not()


def end_on_sigterm():
    """A test that is asked to end (ctest's timeout, a build machine's) leaves in good order."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def unhurried():
    """Cleaning up is not cut short by being asked to end once more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def remove_orphans():
    """Folders of runs that were killed: all that a kill -9 leaves behind."""
    for path in pathlib.Path(tempfile.gettempdir()).glob(FOLDERS + "*"):
        owner = path.name[len(FOLDERS):].split("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)


class Rooms:
    def __init__(self, one_processor=True):
        allowed = sorted(os.sched_getaffinity(0))
        self.processors = {allowed[-1]} if one_processor else set(allowed)
        self.folder = None
        self.keeper = self.init = None
        self.children = []

    def __enter__(self):
        end_on_sigterm()
        remove_orphans()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{FOLDERS}{os.getpid()}-"))
        self.folder.chmod(0o755)
        try:
            self._keep()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _keep(self):
        self.keeper = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c",
             "mount -t tmpfs -o mode=755 none /run && mkdir -p /run/netns && echo ready && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.keeper.stdout.readline() != b"ready\n":
            raise RuntimeError("the keeper of the rooms did not start")
        children = pathlib.Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()
        self.init = int(children[0])

    def __exit__(self, *_):
        with unhurried():
            self._close()

    def _close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for child in self.children:
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    try:
                        stream.close()
                    except OSError:
                        pass
        if self.keeper:
            if self.init:
                os.kill(self.init, signal.SIGKILL)  # and the kernel all below it
            else:
                self.keeper.kill()
            self.keeper.wait()
            self.keeper.stdin.close()
            self.keeper.stdout.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, path):
        """A path of the keeper's mounts (a tmpfs in there) as the test can open it."""
        return pathlib.Path(f"/proc/{self.init}/root{path}")

    # ------------------------------------------------------------ running
    def _enter(self, room, *words, servers=False, anywhere=False):
        """The command that runs `words` in there. It is killed when the thread that starts it ends."""
        command = ["setpriv", "--pdeathsig", "KILL"]
        if not anywhere:
            command += ["taskset", "-c", ",".join(map(str, self.processors))]
        command += ["nsenter", f"--target={self.init}", "--mount"] + (["--pid"] if servers else [])
        command += [f"--net=/proc/{self.init}/root/run/netns/{room}" if room else "--net", "--"]
        return command + [str(w) for w in words]

    def popen(self, room, *words, anywhere=False, **more):
        """A child of the test in the room's network. It dies with the thread that calls. `anywhere`: on any processor."""
        child = subprocess.Popen(self._enter(room, *words, anywhere=anywhere), **more)
        self.children.append(child)
        return child

    def talk(self, room, *words):
        """A client with pipes at both ends."""
        return self.popen(room, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, room, *words, check=True, timeout=60, **more):
        """Runs to the end and gives subprocess' result; fails the test if it fails and `check` is asked for."""
        done = subprocess.run(self._enter(room, *words), capture_output=True, text=True, timeout=timeout, **more)
        if check and done.returncode:
            raise Trouble(f"in {room}: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def serve(self, room, *words, log):
        """A server in the pid namespace: dies with the rooms, whatever it forks."""
        with open(log, "ab") as out:
            child = subprocess.Popen(self._enter(room, *words, servers=True), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.children.append(child)
        return child

    # ------------------------------------------------------------ building
    def add(self, *names):
        for name in names:
            self.run(None, "ip", "netns", "add", name)
            self.run(name, "ip", "link", "set", "lo", "up")
            # No addresses that nobody gave, no router advertisements, no duplicate address detection to wait for.
            self.run(name, "sh", "-c", "for i in all default; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad; "
                     "echo 0 > /proc/sys/net/ipv6/conf/$i/accept_ra; echo 0 > /proc/sys/net/ipv6/conf/$i/router_solicitations; "
                     "done 2>/dev/null; true")

    def cable(self, one, one_end, other, other_end):
        """A veth pair, up, without the offloads that make frames larger than a wire takes."""
        self.run(None, "ip", "link", "add", "name", one_end, "netns", one, "type", "veth", "peer", "name", other_end, "netns", other)
        for room, end in ((one, one_end), (other, other_end)):
            self.plain_frames(room, end)
            self.run(room, "ip", "link", "set", end, "up")

    def plain_frames(self, room, interface):
        """Frames as on a wire: checksums filled in, nothing merged. The ioctl of ethtool(8), which need not be installed."""
        def turn_off(control):
            for command in (0x17, 0x1F, 0x22, 0x24, 0x2C, 0x15):  # send checksums, TSO, UFO, GSO, GRO, receive checksums
                _ethtool(control, interface, command)
        self.with_network(room, turn_off)

    def with_network(self, room, act):
        """Calls act(socket) with a datagram socket that belongs to the room's network. Only a thread may wander."""
        result = []

        def wander():
            with open(f"/proc/{self.init}/root/run/netns/{room}") as namespace:
                if _libc.setns(namespace.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "setns")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                result.append(act(control))

        thread = threading.Thread(target=wander)
        thread.start()
        thread.join()
        assert result, f"could not enter {room}"
        return result[0]

    def raw_socket(self, room, interface):
        """A packet socket on an interface of the room, for sending frames."""
        def open_it(_):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            raw.bind((interface, 0))
            return raw
        return self.with_network(room, open_it)

    def sysctl(self, room, **values):
        for name, value in values.items():
            self.run(room, "sh", "-c", f"echo {value} > /proc/sys/{name.replace('__', '/')}")


def _ethtool(control, interface, command, value=0):
    wanted = array.array("B", struct.pack("II", command, value))
    request = struct.pack("16sP", interface.encode(), wanted.buffer_info()[0]) + bytes(16)
    try:
        fcntl.ioctl(control, 0x8946, request)  # SIOCETHTOOL
    except OSError:
        pass  # an offload that this kernel does not have
