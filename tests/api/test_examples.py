"""`lunette events NAME`: the example of each event is what lunette makes of the capture that it names, and its handler runs."""

import json
import re

import pytest

from script import ROOT, lunette

# Events of which there can be no example in a capture's records, and why.
WITHOUT = {"head": "is no event"}


def events():
    return json.loads(lunette("events", "--json").stdout)


def host_log(example):
    return ["--host-log", ROOT / "examples" / example["host_log"]] if "host_log" in example else []


def test_every_event_has_an_example():
    missing = {name for name, event in events().items() if "example" not in event}
    assert missing == set(WITHOUT), "write an example in lua-api/examples.txt, or why there is none in WITHOUT"


@pytest.mark.parametrize("name", sorted(set(events()) - set(WITHOUT)))
def test_the_record_is_real_output(name):
    event = events()[name]
    if "example" not in event:
        pytest.fail("there is no example of " + name)
    printed = re.search(r"^  (\{.*\})$", lunette("events", name).stdout, re.M).group(1)
    assert json.loads(printed) == event["example"]["record"]
    capture = ROOT / "examples" / event["example"]["capture"]
    made = lunette("replay", "--no-scripts", "-q", "-o", "-", "--record", name, *host_log(event["example"]), capture).stdout.splitlines()
    if printed not in made:
        same = [line for line in made if line.startswith(printed[:60])] or made[:1]
        pytest.fail("the example of %s is not what %s gives; now it is\n%s" % (name, capture.name, same[0] if same else "nothing"))
    # A key in the record is a field's key.
    keys = {field["key"].lstrip("?") for kind in ("head", name) for field in events()[kind]["fields"] if "key" in field} | {"event_type"}

    def paths(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from paths(inner, path + [key])
        else:
            yield ".".join(path)
    assert set(paths(event["example"]["record"], [])) <= keys


@pytest.mark.parametrize("name", sorted(set(events()) - set(WITHOUT)))
def test_the_handler_runs(name, tmp_path):
    example = events()[name]["example"]
    assert example["handler"] in re.sub("^  ", "", lunette("events", name).stdout, flags=re.M)
    assert len(example["handler"].splitlines()) <= 6 and 'lunette.on("%s"' % name in example["handler"]
    script = tmp_path / "example.lua"
    script.write_text('local lunette = require "lunette"\n' + example["handler"] + "\n")
    capture = ROOT / "examples" / example["capture"]
    done = lunette("replay", "-s", script, *host_log(example), capture)
    assert done.returncode == 0 and "failed" not in done.stderr and "switched off" not in done.stderr, done.stderr


def test_an_event_without_an_example_says_so():
    """The head is printed with each event and has none; nothing is made up for it."""
    text = lunette("events", "dns").stdout
    assert text.count("Example, from") == 1
    assert "Example, from" not in lunette("events").stdout


def test_the_host_log_that_an_example_needs_is_named():
    head = "Example, from examples/document.pcapng.gz with --host-log examples/document.eslogger.jsonl:"
    assert head in lunette("events", "process").stdout
    assert "--host-log examples" not in lunette("events", "dns").stdout
