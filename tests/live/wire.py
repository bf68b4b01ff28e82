"""One cable and a sensor at its end: what the tests of faults and reloads have in common.

     far:far0 ──── tap:tap0      far sends what load.py makes; the sensor watches tap0 with counting.lua"""

import shutil
import subprocess
import sys

import load
from records import kind
from lab import HERE
from rooms import Rooms
from sensor import Sensor


class Wire(Rooms):
    """With `sent`, the number of queries sent so far, over all senders."""

    def __enter__(self):
        super().__enter__()
        try:
            self.add("tap", "far")
            for room in ("tap", "far"):  # nothing on the wire but what is sent
                self.sysctl(room, net__ipv6__conf__all__disable_ipv6=1)
                self.sysctl(room, net__ipv6__conf__default__disable_ipv6=1)
            self.plug()
            self.scripts = self.folder / "scripts"
            (self.scripts / "data").mkdir(parents=True)
            shutil.copy(HERE / "counting.lua", self.scripts)
            self.words("one")
            self.sent = 0
        except BaseException:
            self.__exit__()
            raise
        return self

    def plug(self):
        self.cable("far", "far0", "tap", "tap0")
        self.sender = self.raw_socket("far", "far0")

    def replace(self, path, text):
        """As editors and configuration systems save: a new file, moved over the old one."""
        fresh = path.with_name(path.name + ".new~")
        fresh.write_text(text)
        fresh.rename(path)

    def words(self, first):
        """Changes the detector's data file."""
        self.replace(self.scripts / "data" / "words.txt", first + "\n")

    def script(self, more=""):
        """Changes the detector's script."""
        self.replace(self.scripts / "counting.lua", (HERE / "counting.lua").read_text() + more)

    def sensor(self, *words, **more):
        return Sensor(self, "tap", ["tap0"], *words, scripts=(self.scripts,), **more)

    def send(self, count):
        """Sends `count` queries, in small groups so that no queue of the kernel's runs over."""
        while count:
            group = min(count, 100)
            self.sent = load.send(self.sender, self.sent, group)
            count -= group

    def load(self, rate):
        """A sender of its own that goes on until finish()."""
        return self.popen("far", sys.executable, HERE / "load.py", "far0", rate, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def finish(self, sender):
        """Ends a sender started by load(); what it sent."""
        sender.stdin.close()
        count = int(sender.stdout.read())
        sender.wait()
        return count


def expected_alerts(sent, step=100):
    """(who, count) of each alert that counting.lua must raise, once each."""
    return {(f"192.168.7.{100 + host}", n) for host in range(load.HOSTS)
            for n in range(step, (sent - host + load.HOSTS - 1) // load.HOSTS + 1, step)}


def counted(records):
    """(who, count) of each alert of counting.lua, sorted."""
    return sorted((a["lunette"]["who"], a["lunette"]["evidence"]["counted"]) for a in of_counting(records))


def of_counting(records):
    return [r for r in kind(records, "alert") if r["lunette"]["detector"] == "counting"]


def check_counts(records, sent, step=100):
    """All queries sent came to the detector once and in order, and each alert was raised once."""
    found, due = counted(records), expected_alerts(sent, step)
    assert len(found) == len(set(found)), "alerts doubled"
    assert set(found) ^ due == set(), "alerts missed"
    for evidence in (r["lunette"]["evidence"] for r in of_counting(records)):
        assert evidence["counted"] == evidence["numbered"], "events lost or doubled"
    names = [r["dns"]["rrname"] for r in kind(records, "dns")]
    assert len(names) == sent
    assert set(names) == {load.name_of(*pair) for pair in load.numbered(0, sent)}
