"""lunette.series against exact figures: fractions, Python's statistics, and the whole list of what was added."""

import bisect
import fractions
import math
import random
import statistics

import pytest

from script import run


def exact_moments(values):
    exact = [fractions.Fraction(v) for v in values]
    n, mean = len(exact), sum(exact) / len(exact)
    m2, m3, m4 = (sum((v - mean) ** power for v in exact) for power in (2, 3, 4))
    return float(mean), float(m2 / (n - 1)), math.sqrt(n) * float(m3) / float(m2) ** 1.5, float(n * m4 / m2 ** 2) - 3


@pytest.mark.parametrize("shift", [0, 1e6])
def test_moments_alone_and_merged(shift):
    generator = random.Random(7)
    values = [shift + generator.gammavariate(2, 3) for _ in range(500)]
    rows = run("""local all, parts = series.moments(), { series.moments(), series.moments(), series.moments() }
    for i, line in ipairs(lines) do
        all:add(tonumber(line))
        parts[i < 20 and 1 or i < 21 and 2 or 3]:add(tonumber(line))
    end
    local merged = series.moments()
    merged:merge(series.moments())
    for _, part in ipairs(parts) do merged:merge(part) end
    for _, m in ipairs { all, merged } do
        out(m:mean(), m:variance(), m:skewness(), m:kurtosis(), m:deviation(), m:count())
        out(m:min(), m:max())
    end""", ["%.17g" % v for v in values])
    mean, variance, skewness, kurtosis = exact_moments(values)
    for first, second in (rows[:2], rows[2:]):
        found = [float(x) for x in first]
        assert found[0] == pytest.approx(mean, rel=1e-13)
        assert found[1] == pytest.approx(variance, rel=1e-8)
        assert found[2] == pytest.approx(skewness, rel=1e-6)
        assert found[3] == pytest.approx(kurtosis, rel=1e-6)
        assert found[4] == pytest.approx(math.sqrt(variance), rel=1e-8)
        assert found[5] == 500 and [float(x) for x in second[:2]] == [min(values), max(values)]


def test_moments_of_little():
    rows = run("""local m = series.moments()
    out(m:count(), m:mean(), m:variance(), m:skewness(), m:min(), m:max())
    m:add(5)
    out(m:count(), m:mean(), m:variance(), m:kurtosis(), m:min(), m:max())
    m:add(5)
    out(m:count(), m:mean(), m:variance(), m:skewness(), m:deviation(), m:kurtosis())
    out(pcall(m.add, m, 0/0), pcall(m.add, m, 1/0), pcall(m.add, m, "5"), (pcall(m.merge, m, {})), m:count())""")
    assert rows[0] == ["0"] + ["nil"] * 5
    assert rows[1] == ["1", "5", "nil", "nil", "5", "5"]
    assert rows[2] == ["2", "5", "0", "nil", "0", "nil"]
    assert rows[3][:3] == ["false", "false", "false"]


def test_a_ring_is_the_end_of_the_list():
    generator = random.Random(8)
    for late in (0, 5):
        times, now = [], 1000.0
        for _ in range(200):
            now += generator.expovariate(1)
            times.append(now - (generator.random() * late if generator.random() < 0.3 else 0))
        rows = run("""local ring = series.ring(16)
        out(ring:count(), ring:newest(), ring:oldest(), ring:at(1), ring:within(5, 5), #ring:intervals())
        for _, line in ipairs(lines) do
            local t = tonumber(line)
            ring:add(t)
            out(ring:count(), ring:newest(), ring:oldest(), ring:at(3), ring:within(t - 1, 6), table.concat(ring:intervals(), " "))
        end
        out(ring:at(0), ring:at(17), ring:at(0/0), ring:at("1"))""", ["%.17g" % t for t in times])
        assert rows[0] == ["0", "nil", "nil", "nil", "0", "0"] and rows[-1][:4] == ["nil"] * 4
        for i, row in enumerate(rows[1:-1]):
            held = times[max(0, i - 15):i + 1]
            now = times[i] - 1
            expected = [len(held), held[-1], held[0], held[2] if len(held) > 2 else None, sum(now - 6 < t <= now for t in held)]
            assert [None if x == "nil" else float(x) for x in row[:5]] == expected, i
            assert [float(x) for x in row[5].split()] == pytest.approx([b - a for a, b in zip(held, held[1:])])


@pytest.mark.parametrize("declared, edges", [
    ("{ 1, 10, 100 }", [1, 10, 100]),
    ("{ from = -50, to = 250, buckets = 6 }", [-50, 0, 50, 100, 150, 200, 250]),
    ("{ from = 1, to = 1000, buckets = 3, log = true }", [1, 10, 100, 1000]),
])
def test_histograms(declared, edges):
    generator = random.Random(9)
    values = [generator.choice([generator.gauss(50, 60), generator.expovariate(0.01), generator.choice(edges)]) for _ in range(800)]
    rows = run("""local h = series.histogram(%s)
    out(h:total(), h:quantile(0.5))
    for _, line in ipairs(lines) do h:add(tonumber(line)) end
    out(h:total(), table.concat(h:counts(), " "))
    for q = 0, 20 do out(h:quantile(q / 20)) end
    h:add(5, 7)
    h:add(5, 0)
    out(h:total(), pcall(h.add, h, 5, -1), pcall(h.add, h, 0/0), pcall(h.quantile, h, 1.1), pcall(h.quantile, h, 0/0))""" % declared,
        ["%.17g" % v for v in values])
    assert rows[0][:2] == ["0", "nil"] and rows[1][0] == "800" and rows[-1][0] == "807"
    counts = [0] * (len(edges) + 1)
    inner = set(edges) if "log" not in declared else set()
    for v in values:
        counts[bisect.bisect_right(edges, v)] += 1
    found = [int(n) for n in rows[1][1].split()]
    if inner:
        assert found == counts
    else:  # the edges of ratios are not exact: a value on one may fall to either side
        assert sum(found) == 800 and max(abs(a - b) for a, b in zip(found, counts)) <= sum(v in edges for v in values)
    ordered, bounds = sorted(values), [min(values)] + [e for e in edges if min(values) < e < max(values)] + [max(values)]
    for i, row in enumerate(rows[2:-1]):
        exact = ordered[max(0, math.ceil(i / 20 * 800) - 1)]
        at = max(0, min(bisect.bisect_right(bounds, exact) - 1, len(bounds) - 2))
        assert bounds[at] - 1e-9 <= float(row[0]) <= bounds[at + 1] + 1e-9, (i, exact)


def test_lists():
    generator = random.Random(10)
    lists = [[], [3], [1, 2], [5, 5, 5, 5], *([generator.gauss(0, 9) for _ in range(generator.randint(1, 30))] for _ in range(30))]
    rows = run("""for _, line in ipairs(lines) do
        local list = {}
        for word in line:gmatch("[^ ;]+") do list[#list + 1] = tonumber(word) end
        out(series.median(list), series.mad(list), series.spark(list))
    end
    out(pcall(series.median, { 1, 0/0 }), pcall(series.mad, 5), pcall(series.spark, { "x" }), pcall(series.spark, { 1/0 }))""",
        [" ".join("%.17g" % v for v in values) + ";" for values in lists])
    for values, row in zip(lists, rows):
        if not values:
            assert row[:3] == ["nil", "nil", ""]
            continue
        middle = statistics.median(values)
        assert float(row[0]) == pytest.approx(middle)
        assert float(row[1]) == pytest.approx(statistics.median(abs(v - middle) for v in values))
        assert len(row[2]) == len(values) and row[2][values.index(min(values))] == "▁"
        assert max(row[2]) == "█" or len(set(values)) == 1
        # a larger value never has a lower bar
        assert [bar for _, bar in sorted(zip(values, row[2]))] == sorted(row[2])
    assert rows[-1][0] == "false"
