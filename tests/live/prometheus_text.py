"""A strict reader of Prometheus' text format 0.0.4, written from its description: what it does not expect, it refuses."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (NaN|[+-]Inf|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?: \d+)?")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def labels_of(text):
    """The labels between the braces, all of them: nothing may be left over."""
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not a label: {text[at:]!r}"
        assert match[1] not in labels, f"label twice: {text!r}"
        labels[match[1]] = re.sub(r'\\["\\n]', lambda m: ESCAPES[m[0]], match[2])
        at = match.end()
        if at < len(text):
            assert text[at] == ",", f"no comma: {text[at:]!r}"
            at += 1
    return labels


def parse(data):
    """{family: (type, help, {labels as sorted pairs: value})}. Each family is one run, its HELP and TYPE before its samples."""
    text = data.decode("utf-8")
    assert text.endswith("\n")
    families, current = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current, help_text = line[7:].split(" ", 1)
            assert re.fullmatch(NAME, current) and current not in families, f"family twice: {current}"
            families[current] = [None, help_text, {}]
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current and families[name][0] is None and kind in TYPES, line
            families[name][0] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            assert match[1] == current and families[current][0], f"sample outside its family: {line!r}"
            labels = tuple(sorted(labels_of(match[2] or "").items()))
            assert labels not in families[current][2], f"sample twice: {line!r}"
            families[current][2][labels] = float(match[3])
    return families
