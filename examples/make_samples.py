#!/usr/bin/env python3
"""Makes the captures of this folder anew.

  python3 make_samples.py             the synthetic ones: the same bytes each time
  sudo python3 make_samples.py tools  tools.pcap: real programs talking in network namespaces (Linux, root)

Python's standard library is enough for the first; the second needs the programs that it names if they are missing.
"""
import os
import sys
import time

import record
import stories

HERE = os.path.dirname(os.path.abspath(__file__))


def main(wanted):
    known = [*stories.STORIES, "tools"]
    for name in wanted:
        if name not in known:
            sys.exit(f"make_samples.py: there is no sample called {name}; there are {', '.join(known)}")
    for name in wanted or stories.STORIES:
        if name == "tools":
            record.record(os.path.join(HERE, "tools.pcap"))
            continue
        path = os.path.join(HERE, name + ".pcapng.gz")
        begin = time.monotonic()
        packets, length = stories.STORIES[name](path)
        print(f"{os.path.basename(path)}: {packets} packets, {length / 1e6:.1f} MB on the wire, "
              f"{os.path.getsize(path) / 1e6:.2f} MB as a file, {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
