"""lunette.sketch against exact counts: errors stay within what the papers promise."""

import collections
import itertools
import random

import pytest

from script import run


@pytest.mark.parametrize("bits", [6, 10, 12, 14])
def test_distinct_is_within_four_standard_errors(bits):
    """1.04 / sqrt(m) by the paper; from nothing over the small range, where other estimators have a bias, to twenty times m.
    Each value is added twice."""
    sizes = sorted({0, 1, 2, 10, 100, *(int(f * 2 ** bits) for f in (0.5, 1, 2, 2.5, 3, 4, 5, 8, 20))})
    rows = run("""for trial = 1, 5 do
        for _, line in ipairs(lines) do
            local n, sketch = tonumber(line), sketch.distinct(%d)
            for i = 1, n do sketch:add(trial .. "/" .. i) sketch:add(trial .. "/" .. i) end
            out(n, sketch:count())
        end
    end""" % bits, [str(n) for n in sizes])
    error = 1.04 / 2 ** (bits / 2)
    relative = collections.defaultdict(list)
    for n, found in ((int(row[0]), float(row[1])) for row in rows):
        assert abs(found - n) <= max(4 * error * n, 0.5), (n, found)
        if n:
            relative[n].append(found / n - 1)
    # No bias: the mean over all trials and sizes beyond the few.
    deviations = [d for n, ds in relative.items() for d in ds if n >= 2 ** bits / 2]
    assert abs(sum(deviations) / len(deviations)) < 4 * error / (len(deviations) / 9) ** 0.5


def test_distinct_kinds_and_merge():
    rows = run("""local a, b, c = sketch.distinct(), sketch.distinct(), sketch.distinct()
    for i = 1, 5000 do a:add(i) c:add(i) end
    for i = 3000, 9000 do b:add(i) c:add(i) end
    a:merge(b)
    out(a:count(), c:count())
    local d = sketch.distinct()
    out(d:add(1), d:add(1), d:add("1"), d:add(0), d:add(-0), d:count())
    out(pcall(d.add, d, 0/0), pcall(d.add, d, {}), pcall(d.add, d, nil), pcall(d.add, d, true), pcall(d.merge, d, sketch.distinct(5)))
    d:add("") d:add(1/0) d:add(("x"):rep(100000))
    out(d:count())""")
    assert rows[0][0] == rows[0][1] and abs(float(rows[0][0]) / 9000 - 1) < 4 * 1.04 / 64
    assert rows[1] == ["true", "false", "true", "true", "false", "3"]
    assert rows[2][0] == rows[2][1] == rows[2][2] == rows[2][3] == "false"
    assert rows[3][0] == "6"


def zipf(generator, values, length, exponent):
    weights = list(itertools.accumulate(1 / rank ** exponent for rank in range(1, values + 1)))
    return generator.choices(range(values), cum_weights=weights, k=length)


@pytest.mark.parametrize("size, exponent", [(20, 1.1), (100, 1.1), (100, 0.6), (1, 1.5)])
def test_heavy_keeps_its_promises(size, exponent):
    """Metwally et al., theorems 2 to 5: the counts sum up to the stream's length, none is too low, none is too high by more than
    its error, no error is larger than length / n, and all that is more frequent than that is kept."""
    stream = zipf(random.Random(11), 5000, 20000, exponent)
    exact = collections.Counter(stream)
    rows = run("""local h = sketch.heavy(%d)
    for _, line in ipairs(lines) do h:add("v" .. line) end
    for _, t in ipairs(h:top()) do out(t.value, t.count, t.error, h:count(t.value)) end
    out(h:total(), #h:top(5), h:count("never"))""" % size, map(str, stream))
    kept = {int(row[0][1:]): (int(row[1]), int(row[2])) for row in rows[:-1]}
    assert rows[-1][0] == "20000" and rows[-1][1] == str(min(5, size)) and len(kept) == size
    assert sum(count for count, _ in kept.values()) == 20000
    for value, (count, error) in kept.items():
        assert exact[value] <= count <= exact[value] + error and error <= 20000 / size
    assert all(row[1:3] == row[3:5] for row in rows[:-1])
    assert {value for value, count in exact.items() if count > 20000 / size} <= set(kept)
    counts = [int(row[1]) for row in rows[:-1]]
    assert counts == sorted(counts, reverse=True) and int(rows[-1][2]) == min(counts)


def test_heavy_with_weights():
    generator = random.Random(12)
    stream = [(value, generator.randint(1, 1500)) for value in zipf(generator, 400, 6000, 1)]
    exact = collections.Counter()
    for value, weight in stream:
        exact[value] += weight
    total = sum(exact.values())
    rows = run("""local h = sketch.heavy(50)
    for _, line in ipairs(lines) do
        local value, weight = line:match("(%S+) (%S+)")
        h:add(tonumber(value), tonumber(weight))
    end
    for _, t in ipairs(h:top()) do out(t.value, t.count, t.error) end""", ["%d %d" % pair for pair in stream])
    kept = {int(row[0]): (int(row[1]), int(row[2])) for row in rows}
    assert sum(count for count, _ in kept.values()) == total
    assert all(exact[v] <= count <= exact[v] + error and error <= total / 50 for v, (count, error) in kept.items())
    assert {v for v, n in exact.items() if n > total / 50} <= set(kept)


def test_heavy_takes_weights_that_senders_choose():
    """A flow may have no bytes (lone fragments): that counts nothing, and is no error of the script's."""
    rows = run("""local h = sketch.heavy(2)
    h:add("a", 3) h:add("b", 2) h:add("c", 0) h:add("a", 0)
    for _, t in ipairs(h:top()) do out(t.value, t.count, t.error) end
    out(h:total())
    out(pcall(h.add, h, "a", -1), pcall(h.add, h, "a", 0/0), pcall(h.add, h, "a", 1/0), pcall(h.add, h, "a", "1"))""")
    assert [row[:3] for row in rows[:2]] == [["a", "3", "0"], ["b", "2", "0"]] and rows[2][0] == "5"
    assert rows[3][:4] == ["false"] * 4


def test_heavy_that_is_not_full_is_exact():
    rows = run("""local h = sketch.heavy(10)
    for i = 1, 30 do h:add(i % 4 == 0 and "four" or i % 3) end
    for _, t in ipairs(h:top(2)) do out(t.value, t.count, t.error) end
    out(h:count("never"))
    out(#h:top(0), pcall(h.top, h, -1), pcall(h.top, h, 0/0), pcall(h.count, h, nil))""")
    exact = collections.Counter("four" if i % 4 == 0 else i % 3 for i in range(1, 31))
    assert [(row[1], row[2]) for row in rows[:2]] == [(str(n), "0") for _, n in exact.most_common(2)]
    assert rows[2][:2] == ["0", "0"] and rows[3][:2] == ["0", "false"]
