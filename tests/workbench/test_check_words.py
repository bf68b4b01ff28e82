"""The values that `lunette check` knows of fields (engine/workbench/check_words.lua) are those that the engine's sources write, that
the fields' documentation names, and that the samples' records have."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "corpus"))
from captures import EXAMPLES, LUNETTE, needs_lunette  # noqa: E402

pytestmark = needs_lunette

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = (ROOT / "engine" / "workbench" / "check_words.lua").read_text()
WORDS = {name: words.split() for name, words in re.findall(r'\["([*\w]+\.\w+)"\] = "([^"]*)"', TABLE)}
SOURCES = "\n".join(path.read_text() for path in (ROOT / "engine").glob("*/*.c"))
# Fields whose documentation gives examples only, or says it otherwise.
NOT_LISTED = {"*.tunnel"}


@pytest.fixture(scope="module")
def schema():
    return json.loads(subprocess.run([LUNETTE, "events", "--json"], capture_output=True, check=True, timeout=60).stdout)


def field_of(schema, name):
    kind, field = name.split(".")
    return next(f for f in schema["head" if kind == "*" else kind]["fields"] if f["name"] == field)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_the_sources_and_the_documentation_have_the_words(schema, name):
    field = field_of(schema, name)
    assert field["type"] == "word"
    for word in WORDS[name]:
        assert f'"{word}"' in SOURCES, word
        assert name in NOT_LISTED or re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", field["doc"], re.I), word


def values_at(record, path):
    for key in path.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return [] if record is None else [record]


def test_no_sample_has_another_value(schema):
    seen = set()
    for capture in sorted(EXAMPLES.glob("*.pcap*")):
        log = EXAMPLES / (capture.name.split(".")[0] + ".eslogger.jsonl")
        lines = subprocess.run([LUNETTE, "replay", "-q", "--no-scripts", "-o", "-", *(["--host-log", log] if log.exists() else []), capture],
                               capture_output=True, check=True, timeout=120).stdout.splitlines()
        for record in map(json.loads, lines):
            for name, words in WORDS.items():
                if name.split(".")[0] not in ("*", record["event_type"]):
                    continue
                for value in values_at(record, field_of(schema, name)["key"].lstrip("?")):
                    assert value in words, (capture.name, name)
                    seen.add(name)
    assert len(seen) > len(WORDS) * 2 / 3
