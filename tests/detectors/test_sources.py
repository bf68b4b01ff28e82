"""scripts/README.md says which line of the two source documents became which rule, and which test holds it: each test named there is one."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def named():
    """(file, test) of the table."""
    text = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    section = text.split("## Where the rules come from")[1].split("\n## ")[0]
    return re.findall(r"`([\w/]+\.(?:py|lua))::([^`]+)`", section)


def test_each_named_test_is_one():
    found = named()
    assert len(found) > 50
    for file, test in found:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        head = "\ndef %s(" % test if file.endswith(".py") else 't.case("%s"' % test
        assert head in source, "%s has no %s" % (file, test)


def test_every_line_has_a_test():
    text = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    section = text.split("## Where the rules come from")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith(("| D:", "| S:"))]
    assert len(rows) > 25
    assert all("::" in row for row in rows)
