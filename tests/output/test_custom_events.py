"""Events that scripts declare, as records of a real capture: they stand right behind the event they came out of, have what
that had, say what the script gave, and are the same whatever the batch's size."""
import json
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve()
REPO = HERE.parents[2]
LUNETTE = os.environ.get("LUNETTE", str(REPO / "build" / "lunette"))
PCAPS = pathlib.Path(os.environ.get("LUNETTE_PCAPS", str(REPO.parent / "shared" / "pcaps")))
CAPTURE = PCAPS / "ndpi" / "dnscrypt-v1-and-resolver-pings.pcap"

pytestmark = [
    pytest.mark.skipif(not os.access(LUNETTE, os.X_OK), reason="no lunette binary"),
    pytest.mark.skipif(not CAPTURE.is_file(), reason="no captures"),
]

NAMES = """
local lunette = require "lunette"
lunette.event("asked", { name = "str", labels = "list", n = "u8", to = "ip", first = "time", odd = "bool", share = "f64",
    none = "ip", absent = "str" }, "A name was asked for")
local first
lunette.on("dns", { type = "query" }, function(e)
    first = first or e.time
    local labels = {}
    for label in (e.rrname or ""):gmatch("[^.]+") do labels[#labels + 1] = label end
    lunette.emit("asked", { name = e.rrname, labels = labels, n = #labels + 250, to = e.server_ip, first = first,
        odd = #labels % 2 == 1, share = 0.5 })
end)
"""
LONG = """
local lunette = require "lunette"
lunette.event("long_name", { length = "u32" })
lunette.on("names.asked", function(e)
    if #e.name > 10 then lunette.emit("long_name", { length = #e.name }) end
end)
"""


@pytest.fixture
def scripts(tmp_path):
    (tmp_path / "names.lua").write_text(NAMES)
    (tmp_path / "a_long.lua").write_text(LONG)
    return tmp_path


def replay(scripts, *arguments):
    return subprocess.run([LUNETTE, "replay", "-q", "-s", scripts, *map(str, arguments), CAPTURE], capture_output=True,
                          timeout=120)


def records(scripts, *arguments):
    run = replay(scripts, "-o", "-", *arguments)
    assert run.returncode == 0, run.stderr.decode()
    return [json.loads(line) for line in run.stdout.decode().splitlines()]


def test_they_follow_what_they_came_out_of(scripts):
    found = records(scripts)
    queries = [i for i, r in enumerate(found) if r["event_type"] == "dns" and r["dns"]["type"] == "query"]
    assert len(queries) > 10
    first = found[queries[0]]["timestamp"]
    for i in queries:
        query, asked = found[i], found[i + 1]
        name = query["dns"].get("rrname", "")
        labels = [label for label in name.split(".") if label]
        assert asked["event_type"] == "names.asked"
        for key in ("timestamp", "flow_id", "src_ip", "src_port", "dest_ip", "dest_port", "proto"):
            assert asked[key] == query[key]
        expected = {
            "labels": labels, "n": min(len(labels) + 250, 255), "name": name, "to": query["dest_ip"], "first": first,
            "odd": len(labels) % 2 == 1, "share": 0.5,
        }
        if not labels:
            del expected["labels"]
        assert asked["names"] == {"asked": expected}
        if len(name) > 10:
            assert found[i + 2]["event_type"] == "a_long.long_name"
            assert found[i + 2]["a_long"] == {"long_name": {"length": len(name)}}


def test_the_same_whatever_the_batch(scripts):
    runs = [replay(scripts, "-o", "-", "--batch", batch).stdout for batch in (1, 7, 1024)]
    assert runs[0] and runs[0] == runs[1] == runs[2]


def test_they_are_chosen_by_name(scripts):
    kinds = {r["event_type"] for r in records(scripts, "--record", "a_long.long_name,dns")}
    assert kinds == {"a_long.long_name", "dns"}
    assert not any("." in r["event_type"] for r in records(scripts, "--record", "dns,alert"))


def test_a_name_that_no_script_declares(scripts):
    run = replay(scripts, "-o", "-", "--record", "names.aksed")
    assert run.returncode == 2
    assert "no script declares an event 'names.aksed'" in run.stderr.decode()
    run = replay(scripts, "-o", "-", "--record", "nonsense")
    assert run.returncode == 2


def test_a_listener_whose_emitter_is_not_there(scripts):
    (scripts / "names.lua").unlink()
    (scripts / "name.lua").write_text(NAMES)
    run = replay(scripts)
    said = run.stderr.decode()
    assert "a_long.lua:4: lunette.on: there is no event 'names.asked'" in said
    assert "did you mean 'name.asked'?" in said
