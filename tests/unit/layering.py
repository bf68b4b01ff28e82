#!/usr/bin/env python3
"""Holds the engine's folders to their order.

A packet meets the folders of engine/ in this order, and a folder may include from those before it only. An include
that points the other way would make two folders one; this script names the line and fails.
"""
import pathlib
import re
import sys

ORDER = ["base", "event", "capture", "decode", "flow", "protocol", "endpoint", "audit", "script", "output", "sensor", "workbench", "cli"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def included_room(folder, target):
    """The engine folder that an include names, or None for a header outside engine/."""
    if "/" not in target:
        return folder
    first = pathlib.PurePosixPath(target).parts[0]
    return first if first in ORDER else None


def arrows_back(engine):
    for path in sorted(engine.rglob("*.[ch]")):
        folder = path.relative_to(engine).parts[0]
        if folder not in ORDER:
            yield path, 0, f"folder engine/{folder} has no place in the order {' '.join(ORDER)}"
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            if ".." in pathlib.PurePosixPath(match[1]).parts:
                yield path, number, f"includes {match[1]}: write paths from engine/, not with .."
                continue
            room = included_room(folder, match[1])
            if room and ORDER.index(room) > ORDER.index(folder):
                yield path, number, f"{folder} may not include from {room} ({match[1]})"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    found = 0
    for path, number, what in arrows_back(root / "engine"):
        print(f"{path.relative_to(root)}:{number}: {what}")
        found += 1
    print(f"layering: {found} arrows that run back")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
