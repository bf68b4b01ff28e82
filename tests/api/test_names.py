"""lunette.names against Python's codecs, against edits found by search, and against real and drawn names."""

import collections
import csv
import itertools
import math
import random
import string

import pytest

from script import REFERENCE, run


def test_labels_and_below():
    rows = run("""out(table.concat(names.labels("WWW.Example.COM."), ","), names.below("a.example.com", "Example.com."),
        names.below("example.com", "example.com"), names.below("notexample.com", "example.com"), names.below("com", "example.com"),
        names.below("x.y", ""))
    out(names.registrable("www.bbc.co.uk"), names.suffix("www.bbc.co.uk"), names.registrable("co.uk"), names.registrable("10.0.0.1"))
    out(pcall(names.labels, 7), pcall(names.below, "a", nil))
    out(pcall(names.labels, ("x"):rep(2000)))""")
    assert rows[0] == ["www,example,com", "true", "true", "false", "false", "true"]
    assert rows[1][:4] == ["bbc.co.uk", "co.uk", "nil", "nil"]
    assert rows[2][0] == "false" and rows[2][1] == "false" and rows[3][0] == "false"


def test_entropy():
    generator = random.Random(4)
    texts = ["a", "aaaa", "abcdefgh", "apple.com"] + ["".join(generator.choices("abcdé01", k=generator.randint(1, 40))) for _ in range(50)]
    rows = run("for _, text in ipairs(lines) do out(names.entropy(text)) end out(names.entropy(''))", texts)
    for text, row in zip(texts, rows):
        data = text.encode()
        counts = collections.Counter(data).values()
        assert float(row[0]) == pytest.approx(-sum(n / len(data) * math.log2(n / len(data)) for n in counts), abs=1e-12)
    assert rows[-1][0] == "0"


def nearest_edits(a, alphabet, most):
    """Every text within `most` edits of a, and how many it took: the definition of the distance, by search."""
    distance, front = {a: 0}, [a]
    for step in range(1, most + 1):
        reached = set()
        for text in front:
            for i in range(len(text) + 1):
                reached.update(text[:i] + c + text[i:] for c in alphabet)
                if i < len(text):
                    reached.add(text[:i] + text[i + 1:])
                    reached.update(text[:i] + c + text[i + 1:] for c in alphabet)
                if i + 1 < len(text):
                    reached.add(text[:i] + text[i + 1] + text[i] + text[i + 2:])
        front = [text for text in reached if text not in distance]
        distance.update((text, step) for text in front)
    return distance


def test_distance_is_the_fewest_edits():
    texts = ["".join(t) for n in range(1, 5) for t in itertools.product("abc", repeat=n)]
    generator = random.Random(5)
    pairs = []
    for a in ("ca", "abc", "abca", "bb"):
        reached = nearest_edits(a, "abc", 4)
        pairs += [(a, b, reached[b]) for b in generator.sample(texts, 60) if b in reached]
    rows = run("""for _, line in ipairs(lines) do
        local a, b = line:match("(%S+) (%S+)")
        out(names.distance(a, b), names.distance(b, a))
    end
    out(names.distance("", "abc"), names.distance("ca", "abc"), names.distance("münchen", "munchen"), names.distance("apple", "aplpe"),
        pcall(names.distance, ("a"):rep(300), ("a"):rep(300)))""", ["%s %s" % pair[:2] for pair in pairs])
    for (a, b, expected), row in zip(pairs, rows):
        assert row[:2] == [str(expected)] * 2, (a, b)
    assert rows[-1][:5] == ["3", "2", "1", "1", "false"] and len(pairs) > 200


def test_distance_takes_the_longest_name_of_the_wire():
    """A server_name may have 1024 bytes: who sends twenty of them must not switch off a detector that compares it with a word."""
    rows = run("""for _, length in ipairs { 255, 256, 1024 } do out(names.distance(("a"):rep(length), ("b"):rep(64))) end""")
    assert [row[0] for row in rows] == ["255", "256", "1024"]


def test_unicode_is_the_inverse_of_idna():
    words = ["münchen", "аррӏе", "bücher", "日本語", "ñandú", "παράδειγμα", "пример", "zürich-flughafen"]
    encoded = ["xn--" + w.encode("punycode").decode() for w in words]
    rows = run("for _, name in ipairs(lines) do out(names.unicode(name)) end",
        [name + ".example.com" for name in encoded] + ["plain.example.", "xn--", "xn--abc-.com", "xn--99999999999999999999.com", "XN--MNCHEN-3YA.DE", "a..b"])
    assert [row[0] for row in rows[:len(words)]] == [w + ".example.com" for w in words]
    assert [row[0] for row in rows[len(words):]] == ["plain.example", "xn--", "xn--abc-.com", "xn--99999999999999999999.com", "münchen.de", "a..b"]


def test_skeletons_of_confusables_are_equal():
    pairs = [("аррӏе.com", "apple.com"), ("app1e.com", "apple.com"), ("icIoud.com", "icloud.com"), ("g00gle.com", "google.com"),
        ("xn--80ak6aa92e.com", "apple.com"), ("ｐａｙｐａｌ.com", "paypal.com"), ("mïcrösoft.com", "microsoft.com")]
    rows = run("for _, name in ipairs(lines) do out(names.skeleton(name)) end", [name for pair in pairs for name in pair])
    found = [row[0] for row in rows]
    assert found[0::2] == found[1::2]
    rows = run("for _, name in ipairs(lines) do out(names.skeleton(name)) end", ["apple.com", "ample.com", "日本.com", "語.com"])
    assert len({row[0] for row in rows}) == 4


def test_lookalike():
    imitations = {"paypa1.com": ("paypal.com", 0), "xn--80ak6aa92e.com": ("apple", 0), "aplpe.com": ("apple", 1), "www.paypai.net": ("paypal.com", 0),
        "login-micros0ft.example": ("microsoft", 0), "my-appie.com": ("apple", 0), "americanexqress.com": ("americanexpress", 1),
        "amerlcanexpres.com": ("americanexpress", 1), "gooogle.co.uk": ("google.com", 1)}
    honest = ["www.paypal.com", "apple.com", "apple.de", "support.apple.com", "snapple.com", "maples.com", "example.com", "10.0.0.1", "", "com",
        "pineapple.com", "google.com", "goggles.com"]
    rows = run("""local brands = { "apple", "paypal.com", "microsoft", "americanexpress", "google.com" }
    for _, name in ipairs(lines) do out(names.lookalike(name, brands)) end
    out(names.lookalike("", brands)) out(names.lookalike("x.com", {})) out(pcall(names.lookalike, "x", nil)) out(pcall(names.lookalike, "x", { 1 }))""",
        list(imitations) + [name for name in honest if name])
    for (name, expected), row in zip(imitations.items(), rows):
        assert (row[0], row[1]) == (expected[0], str(expected[1])), name
    for name, row in zip([name for name in honest if name], rows[len(imitations):]):
        assert row[0] == "nil", name
    assert [row[0] for row in rows[-4:]] == ["nil", "nil", "false", "false"]


def apple_labels():
    path = REFERENCE / "apple-domains.tsv"
    if not path.exists():
        pytest.skip("the table of Apple's names is not here")
    with path.open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row and not row[0].startswith("#")][1:]
    return sorted({label for row in rows for label in row[0].split(".") if len(label) >= 6})


def test_random_tells_drawn_labels_from_names():
    """Apple's own labels, abbreviations as they are, against the alphabets of known families: letters (Conficker, Cryptolocker,
    8 to 15 of them), base 32, hexadecimal digits."""
    generator = random.Random(6)
    real = apple_labels()
    drawn = {"letters": (string.ascii_lowercase, 8, 15), "base32": (string.ascii_lowercase + "234567", 10, 26), "hex": ("0123456789abcdef", 12, 32)}
    labels = {kind: ["".join(generator.choices(signs, k=generator.randint(least, most))) for _ in range(400)] for kind, (signs, least, most) in drawn.items()}
    flat = real + [label for kind in drawn for label in labels[kind]]
    scores = dict(zip(flat, (float(row[0]) for row in run("for _, label in ipairs(lines) do out(names.random(label)) end", flat))))
    of_real = sorted(scores[label] for label in real)
    share_above_10 = sum(score > 10 for score in of_real) / len(of_real)
    assert len(real) > 150 and share_above_10 < 0.02
    for kind, least in (("letters", 0.65), ("base32", 0.9), ("hex", 0.99)):
        of_drawn = [scores[label] for label in labels[kind]]
        # The share of pairs in which the drawn one scores higher: the area under the curve.
        area = sum(sum(r < d for r in of_real) for d in of_drawn) / len(of_real) / len(of_drawn)
        assert area > 0.97, kind
        assert sum(score > 10 for score in of_drawn) / len(of_drawn) > least, kind


def test_random_of_what_has_no_letters():
    rows = run("out(names.random(''), names.random('...'), names.random('日本')) out(pcall(names.random, {}))")
    assert rows[0][:3] == ["0", "0", "0"] and rows[1][0] == "false"
