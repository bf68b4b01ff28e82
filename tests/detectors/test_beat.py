"""lunette.beat against a second implementation, written from the published description in plain Python and kept as simple as can be,
on random sequences of many kinds; and against the shared vectors where they are at hand."""

import json
import math
import os
import pathlib
import random
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("LUNETTE_BEACON", ROOT.parent / "shared" / "beacon"))
FEATURES = ("ca", "ta", "cw", "fano", "so", "si", "period", "automation")

pytestmark = pytest.mark.skipif(not shutil.which("luajit"), reason="the luajit program is not installed")


# ------------------------------------------------------------------------------------------- the second implementation
def wilson(p, n, z):
    return (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def concentration(intervals, by_time):
    """(concentration, period) of a list of intervals."""
    if len(intervals) < 3:
        return 0.0, 0.0
    bins = [min(max(math.floor(4 * math.log2(d)) - 4, 0), 79) if d > 0 else 0 for d in intervals]
    centre = [2 ** ((i + 0.5) / 4 + 1) for i in range(80)]
    weights = [0.0] * 80
    for b in bins:
        weights[b] += centre[b] if by_time else 1.0
    total = sum(weights)
    n = total ** 2 / sum(w * c for w, c in zip(weights, centre)) if by_time else len(bins)
    best, period = 0.0, 0.0
    for width in (2, 4, 7):
        r = 2 ** (width / 4)
        if by_time:
            a = 2 * math.log(r) / (r - 1)
            chance = (1 + a) * math.exp(-a) - (1 + r * a) * math.exp(-r * a)
        else:
            a = math.log(r) / (r - 1)
            chance = math.exp(-a) - math.exp(-r * a)
        mass, start = max((round(sum(weights[i:i + width]), 6), -i) for i in range(81 - width))
        found = (wilson(min(mass / total, 1.0), n, 2.0 if by_time else 1.64) - chance) / (1 - chance)
        if found > best + 1e-12:
            window = range(-start, -start + width)
            best = found
            period = math.exp(sum(weights[i] * math.log(centre[i]) for i in window) / sum(weights[i] for i in window))
    return best, period


def fano(check_ins):
    """Dispersion of a list of awake times, the first of which is 0."""
    tables = []
    for k in range(6):
        length = 120 * 4 ** k
        complete = math.floor(check_ins[-1] / length)
        counts = [0] * complete
        for a in check_ins:
            if math.floor(a / length) < complete:
                counts[math.floor(a / length)] += 1
        tables.append(counts)

    def factor(counts):
        mean = sum(counts) / len(counts)
        return (sum(c * c for c in counts) / len(counts) - mean ** 2) / mean * (1 + math.sqrt(2 / len(counts)))

    for k, counts in enumerate(tables):
        if len(counts) < 6:
            continue
        coarser = k < 5 and len(tables[k + 1]) >= 6
        mean = sum(counts) / len(counts)
        if mean >= 3 or (mean >= 0.7 and not coarser):
            worst = max(factor(counts), factor(tables[k + 1]) if coarser else 0)
            return min(max(0.75 - 0.25 * math.log2(max(worst, 0.001)), 0), 1)
    return 0.0


def sameness(sizes):
    codes = [min(math.floor(8 * math.log2(max(s, 1)) + 0.5), 255) for s in sizes[-64:]]
    share = max(sum(abs(c - best) <= 1 for c in codes) for best in range(256)) / len(codes)
    return wilson(share, len(codes), 1)


def reference(events):
    """events: (t, out, in) or (t,). Returns features, or None below 4 check-ins."""
    awake, last, seen = 0.0, None, None
    kept = []  # (t, awake, out, in)
    for event in events:
        t = event[0]
        if last is not None and t > last:
            awake += t - last if t - last < 600 else 1
        last = t if last is None else max(t, last)
        if len(event) == 1:
            continue
        quiet = seen is None or t - seen >= 2
        seen = t
        if quiet:
            kept.append((t, awake, event[1], event[2]))
    if len(kept) < 4:
        return None
    wall = [b[0] - a[0] for a, b in zip(kept, kept[1:])]
    slept_not = [b[1] - a[1] for a, b in zip(kept, kept[1:]) if b[1] - a[1] >= 2]
    ca, pa = concentration(slept_not, False)
    ta, pt = concentration(slept_not, True)
    cw, pw = concentration(wall, False)
    tim = max(ca, ta, cw)
    period = pa if ca == tim and ca > 0 else pt if ta == tim and ta > 0 else pw
    f = fano([k[1] - kept[0][1] for k in kept])
    so, si = sameness([k[2] for k in kept]), sameness([k[3] for k in kept])
    evidence = 1 - (1 - tim) * (1 - 0.8 * f)
    return dict(n=len(kept), ca=ca, ta=ta, cw=cw, fano=f, so=so, si=si, period=period,
                automation=-5 + 3 * tim + 6 * f + 8 * evidence * (so + si))


def reference_score(automation, with_name, clients, age):
    rarity = min(max(math.log2(clients / with_name) / math.log2(clients), 0), 1)
    return -2 * math.log1p(math.exp(-automation / 2)) + 3 * rarity + 2 * math.exp(-age / 7)


# ------------------------------------------------------------------------------------------------------------ the tests
def through_lua(sequences):
    """[(events, (with_name, clients, age))] → a list of rows of numbers, the first being n."""
    lines = []
    for i, (events, context) in enumerate(sequences):
        lines.append("sequence s%d" % i)
        lines.append("score %r %r %r" % context)
        lines += [" ".join(repr(v) for v in event) for event in events]
        lines.append("end")
    done = subprocess.run(["luajit", "tests/detectors/beat_driver.lua"], input="\n".join(lines) + "\n", cwd=ROOT,
                          capture_output=True, text=True, check=True, timeout=120)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["s%d" % i for i in range(len(sequences))]
    return [[float(v) for v in row[1:]] for row in rows]


def random_sequence(r):
    """A timer, a person, or something between, with sleep and other signs of life."""
    n = r.choice([3, 4, 5, 8, 20, 60, 200, 500])
    base = 10 ** r.uniform(0.3, 4.5)
    kind = r.choice(["fixed", "uniform", "exponential", "bursts", "lognormal"])
    t, events = r.choice([0.0, 1.7e9]) + r.uniform(0, 1000), []
    start = t
    noise = r.random() < 0.5
    for _ in range(n):
        gap = {"fixed": lambda: base, "uniform": lambda: base * r.uniform(0.5, 1.5),
               "exponential": lambda: r.expovariate(1 / base), "lognormal": lambda: base * math.exp(r.gauss(0, 1)),
               "bursts": lambda: r.choice([1.0, 3.0, 3.0, 8.0, base * 5])}[kind]()
        if r.random() < 0.03:
            gap += r.uniform(600, 30000)  # asleep
        elif noise:
            step = r.uniform(20, 500)
            s = t + step
            while s < min(t + gap, start + 14 * 86400):
                events.append((round(s, 3),))
                s += step
        t += gap
        if t - start > 14 * 86400:
            break  # ageing begins: test_beat.lua looks at that
        size = r.choice([1000, 1000, 1010, r.randint(0, 10 ** 6)])
        events.append((round(t, 3), size, r.choice([0, 3000, r.randint(1, 10 ** 9)])))
    return events


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_the_second_implementation(seed):
    r = random.Random(seed)
    sequences = [(random_sequence(r), (r.randint(1, 50), r.randint(50, 500), r.choice([0.0, r.uniform(0, 100)])))
                 for _ in range(60)]
    for (events, context), got in zip(sequences, through_lua(sequences)):
        want = reference(events)
        if want is None:
            assert len(got) == 1 and got[0] < 4
            continue
        assert got[0] == want["n"]
        for name, value in zip(FEATURES, got[1:]):
            assert value == pytest.approx(want[name], abs=1e-4, rel=1e-6), name
        assert got[-1] == pytest.approx(reference_score(want["automation"], *context), abs=1e-4)


def test_shared_vectors():
    path = SHARED / "vectors.json"
    if not path.exists():
        pytest.skip("the shared vectors are not at hand")
    vectors = json.loads(path.read_text())
    got = through_lua([([tuple(e) for e in v["events"]],
                        (v["clients_with_name"], v["clients_total"], v["name_age_days"])) for v in vectors])
    for vector, row in zip(vectors, got):
        want = vector["features"]
        assert row[0] == want["n"], vector["name"]
        if vector["automation"] is None:
            assert len(row) == 1
            continue
        for name, value in zip(FEATURES[:-1], row[1:]):
            assert value == pytest.approx(want[name], abs=1e-4), (vector["name"], name)
        assert row[8] == pytest.approx(vector["automation"], abs=1e-4), vector["name"]
        assert row[9] == pytest.approx(vector["score"], abs=1e-4), vector["name"]
