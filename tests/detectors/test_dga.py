"""How well dga tells made-up names from honest ones: families of generated names (dga_families.py), lists of real ones."""
import csv
import re
import shutil
import subprocess

import pytest

import dga_families
import pcap_builder
from run_lunette import BINARY, PCAPS, ROOT, replay

REFERENCE = PCAPS.parent / "reference"

JUDGE = """
local lunette = require "lunette"
local known = require("drawn_names").new(lunette.state("names", { max = 20000 }))
lunette.detector { title = "Judge", category = "Command and Control" }
lunette.on("dns", function() end)
lunette.on_end(function()
    local rows = {}
    for _, name in ipairs(lunette.lines("list.txt")) do
        local about = known.of(name)
        rows[#rows + 1] = { name, about and about.drawn and "drawn" or about and "name" or "no verdict" }
    end
    lunette.report { title = "Verdicts", columns = { "name", "verdict" }, rows = rows }
end)
"""


def verdicts(tmp_path, names):
    """{name: drawn, name, or no verdict}, as lib/drawn_names.lua has it."""
    import json
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    shutil.copytree(ROOT / "scripts" / "lib", tmp_path / "lib", dirs_exist_ok=True)
    shutil.copytree(ROOT / "scripts" / "data", tmp_path / "data", dirs_exist_ok=True)
    (tmp_path / "judge.lua").write_text(JUDGE)
    (tmp_path / "data" / "list.txt").write_text("\n".join(names) + "\n")
    capture = pcap_builder.Capture()
    capture.dns(1_718_000_000.0, "192.168.1.20", "192.168.1.1", "www.example.com", answers=["203.0.113.9"])
    capture.write(tmp_path / "one.pcap")
    done = subprocess.run([str(BINARY), "replay", "-q", "-o", "-", "--record", "report", "-s", str(tmp_path / "judge.lua"), str(tmp_path / "one.pcap")],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["event_type"] == "report" and record["report"]["title"] == "Verdicts":
            return dict(record["report"]["rows"])
    raise AssertionError(done.stderr)


def share(tmp_path, names):
    found = verdicts(tmp_path, names)
    return sum(found[name] == "drawn" for name in names) / len(names)


def not_found(tmp_path, family, count, seconds=5):
    """A Mac that asks for so many names of the family and finds none."""
    capture, time = pcap_builder.Capture(), 1_718_000_000.0
    for name in dga_families.names(family, count, seed=2):
        capture.dns(time, "192.168.1.20", "192.168.1.1", name, rcode=3)
        time += seconds
    path = tmp_path / (family + ".pcap")
    capture.write(path)
    return path


# Names of a family that look drawn, at least: short ones say less.
RECALL = {"bamital": 0.7, "chinad": 0.95, "conficker_ab": 0.7, "conficker_c": 0.6, "corebot": 0.95, "cryptolocker": 0.9, "dircrypt": 0.9, "locky": 0.75, "necurs": 0.9,
          "newgoz": 0.99, "nymaim": 0.75, "qadars": 0.95, "qakbot": 0.95, "ramdo": 0.9, "ranbyus": 0.9, "tinba": 0.9}


def test_single_names_of_families(tmp_path):
    shares = {family: share(tmp_path, dga_families.names(family, 500)) for family in dga_families.FAMILIES}
    print("\n" + "\n".join("%-14s %3.0f %%" % (family, 100 * found) for family, found in sorted(shares.items())))
    assert {family: shares[family] for family, least in RECALL.items() if shares[family] < least} == {}
    assert all(shares[family] < 0.02 for family in dga_families.MISSED)


@pytest.mark.parametrize("family", sorted(dga_families.FOUND))
def test_a_burst_of_a_family(tmp_path, family):
    alerts, _ = replay("dga", not_found(tmp_path, family, 120))
    assert "Many made-up names that do not exist" in {a["title"] for a in alerts}


@pytest.mark.parametrize("family", dga_families.MISSED)
def test_names_of_words_are_missed(tmp_path, family):
    """Told as a miss in scripts/README.md: this test says when that is no longer so."""
    alerts, _ = replay("dga", not_found(tmp_path, family, 120))
    assert alerts == []


def list_of(name):
    path = REFERENCE / name
    if not path.exists():
        pytest.skip("%s is not here" % name)
    with open(path, encoding="utf-8") as lines:
        found = {row[0].strip().lower().lstrip("*.") for row in csv.reader(lines, delimiter="\t") if row}
    return sorted(name for name in found if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]+", name))


@pytest.mark.parametrize("table, most", [("apple-domains.tsv", 0.02), ("cloud-services.tsv", 0.05), ("encrypted-dns.tsv", 0.05)])
def test_honest_names(tmp_path, table, most):
    assert share(tmp_path, list_of(table)) <= most


@pytest.mark.parametrize("table", ["apple-domains.tsv", "cloud-services.tsv", "encrypted-dns.tsv"])
def test_a_network_that_finds_none_of_a_list(tmp_path, table):
    """The worst that a broken resolver does: all of the list's names not found within half an hour."""
    capture, time = pcap_builder.Capture(), 1_718_000_000.0
    for name in list_of(table):
        capture.dns(time, "192.168.1.20", "192.168.1.1", name, rcode=3)
        time += 1
    path = tmp_path / "broken.pcap"
    capture.write(path)
    alerts, _ = replay("dga", path)
    assert alerts == []


@pytest.mark.parametrize("options", [("--batch", "1"), ("--batch", "7"), ("-w", "4")])
def test_the_same_alerts_however_it_runs(tmp_path, options):
    path = not_found(tmp_path, "tinba", 150)
    plain, _ = replay("dga", path)
    other, _ = replay("dga", path, options=options)
    assert plain == other and len(plain) == 2
