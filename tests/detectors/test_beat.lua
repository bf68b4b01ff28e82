-- lunette.beat against closed forms and its own rules, by plain luajit: luajit tests/detectors/test_beat.lua
package.path = "lua-api/?.lua;tests/detectors/?.lua;" .. package.path
local beat = require "beat"
local records = require "records"

local new_pair, pair_size = records.define(beat.PAIR_FIELDS)
local new_clock = records.define(beat.CLOCK_FIELDS)

local passed, failed = 0, 0
local function test(name, body)
    local ok, message = xpcall(body, debug.traceback)
    if ok then
        passed = passed + 1
    else
        failed = failed + 1
        print(("FAILED %s: %s"):format(name, message))
    end
end
local function near(got, want, tolerance, what)
    if not (math.abs(got - want) <= (tolerance or 1e-9)) then
        error(("%s: got %.9g, want %.9g"):format(what or "value", got, want), 2)
    end
end

-- Check-ins at the given times; the client is seen at nothing else.
local function run(times, out, in_)
    local pair, clock = new_pair(), new_clock()
    for i, t in ipairs(times) do
        beat.update(pair, t, beat.tick(clock, t), type(out) == "function" and out(i) or out or 1000, in_ or 2000)
    end
    return pair, clock
end
local function every(seconds, n)
    local times = {}
    for i = 1, n do times[i] = (i - 1) * seconds end
    return times
end

test("a fixed timer: all intervals in one bin", function()
    for _, n in ipairs { 4, 40, 400 } do
        local f = beat.features((run(every(60, n))))
        -- Wilson's bound of a share of 1 is 1/(1 + z²/n); by chance the best half octave holds .126863 of intervals.
        near(f.ca, (1 / (1 + 1.64 ^ 2 / (n - 1)) - 0.126863) / (1 - 0.126863), 1e-12, "ca")
        near(f.ta, (1 / (1 + 2 ^ 2 / (n - 1)) - 0.185755) / (1 - 0.185755), 1e-12, "ta")
        near(f.cw, f.ca, 0, "cw")
        local kept = math.min(n, 64)
        near(f.so, 1 / (1 + 1 / kept), 1e-12, "so")
        near(f.si, f.so, 0, "si")
        near(f.period, 2 ^ 5.875, 1e-9, "period") -- centre of the bin from 53.8 to 64 s
        near(f.crowd, 1, 1e-12, "crowd")
        near(f.n, n, 0, "n")
        near(f.span, 60 * (n - 1), 0, "span")
        assert(f.clock == "awake" and f.jitter < 0.06)
    end
end)

test("chance gives no concentration and a dispersion of 0.75", function()
    -- Quantiles of the exponential distribution, shuffled by a fixed stride: the histogram is exponential to the bin.
    local n, gaps, times, t = 4001, {}, {}, 0
    for i = 0, n - 1 do gaps[i] = -600 * math.log(1 - (i + 0.5) / n) end
    -- Awake all the time, so feed the clock in between.
    local pair, clock = new_pair(), new_clock()
    for i = 0, n - 1 do
        t = t + math.max(gaps[(i * 1597) % n], 2)
        local last = clock.last
        for s = last + 300, t, 300 do beat.tick(clock, s) end
        beat.update(pair, t, beat.tick(clock, t), 1000, 2000)
    end
    local f = beat.features(pair)
    assert(f.ca < 0.02 and f.ta < 0.02 and f.cw < 0.02, ("%g %g %g"):format(f.ca, f.ta, f.cw))
end)

test("even slots give 1, bursts give 0", function()
    near(beat.features((run(every(10, 1000)))).fano, 1, 0, "even")
    local times = {}
    for burst = 0, 19 do -- 30 check-ins in a minute and a half, then nine quiet minutes
        for i = 0, 29 do times[#times + 1] = burst * 630 + i * 3 end
    end
    near(beat.features((run(times))).fano, 0, 0, "bursts")
end)

test("dispersion by hand", function()
    -- Slots of 120 s hold 10, 2, 10, 2 … check-ins: mean 6, variance 16, F = 16/6·(1 + sqrt(2/M)) with M = 20 slots; the next
    -- scale (480 s) holds 24 in each but the slots are fewer than six, so the first counts alone. The last slot is not complete.
    local times = {}
    for slot = 0, 20 do
        for i = 0, (slot % 2 == 0) and 9 or 1 do times[#times + 1] = slot * 120 + i * 10 end
    end
    local f = beat.features((run(times)))
    near(f.fano, 0.75 - 0.25 * math.log(16 / 6 * (1 + math.sqrt(2 / 20)), 2), 1e-6, "fano")
    -- Now slow waves on top: 8 slots of 4 check-ins, 8 of 12. The coarser scale shows it as worse: 16 and 48 in turns of two.
    times = {}
    for slot = 0, 64 do
        for i = 0, (math.floor(slot / 8) % 2 == 0) and 3 or 11 do times[#times + 1] = slot * 120 + i * 9 end
    end
    f = beat.features((run(times)))
    near(f.fano, math.max(0, 0.75 - 0.25 * math.log(256 / 32 * (1 + math.sqrt(2 / 16)), 2)), 1e-6, "fano of waves")
end)

test("what follows within two seconds belongs to the check-in", function()
    local pair = new_pair()
    assert(beat.update(pair, 100, 100, 1, 1))
    assert(not beat.update(pair, 101.5, 101.5, 1, 1))
    assert(not beat.update(pair, 103, 103, 1, 1)) -- sliding: 1.5 s after the one before
    assert(beat.update(pair, 105, 105, 1, 1))
    near(pair.n, 2)
    assert(not beat.update(pair, 60, 60, 1, 1), "late events are taken as of now")
    near(pair.lt, 105)
end)

test("three check-ins say nothing", function()
    assert(beat.features((run(every(60, 3)))) == nil)
    assert(beat.features((run(every(60, 4)))) ~= nil)
end)

test("counts are halved before they overflow", function()
    local pair = run(every(4, 65536))
    near(pair:at("hw", 4), 65535) -- 65,535 intervals of 4 s: bin 4·log2(4) − 4
    beat.update(pair, 65536 * 4, 65536 * 4, 1000, 2000)
    near(pair:at("hw", 4), 32768)
    near(pair:at("ha", 4), 16384 * 2)
end)

test("counts are halved after 14 days", function()
    local pair, clock = new_pair(), new_clock()
    for i = 0, 14 * 24 do
        local t = i * 3600
        beat.update(pair, t, beat.tick(clock, t), 1, 1)
    end
    local bin = math.floor(4 * math.log(3600, 2)) - 4
    near(pair:at("hw", bin), 14 * 24)
    beat.update(pair, 14 * 86400 + 3600, beat.tick(clock, 14 * 86400 + 3600), 1, 1)
    near(pair:at("hw", bin), math.floor((14 * 24 + 1) / 2))
    near(pair.n, 14 * 24 + 2)
end)

test("bins: quarter octaves from 2 s", function()
    local pair = new_pair()
    local t = 0
    beat.update(pair, t, 0, 1, 1)
    for _, c in ipairs { { 2, 0 }, { 4, 4 }, { 3.9999, 3 }, { 64, 20 } } do
        t = t + c[1]
        local before = pair:at("hw", c[2])
        beat.update(pair, t, 0, 1, 1)
        near(pair:at("hw", c[2]), before + 1, 0, "interval of " .. c[1])
    end
    pair.aged = t + 1e9 -- or the 14 days between would halve it again
    beat.update(pair, t + 1e9, 0, 1, 1)
    near(pair:at("hw", 79), 1, 0, "beyond the last bin")
end)

test("an interval that the client slept through is left out of the awake histogram", function()
    local pair = run { 0, 60, 120, 50000, 50060 }
    local awake, wall = 0, 0
    for i = 0, 79 do awake, wall = awake + pair:at("ha", i), wall + pair:at("hw", i) end
    near(wall, 4)
    near(awake, 3)
end)

test("sizes: steps of 9 %, one step of tolerance", function()
    local f = beat.features((run(every(60, 64), function(i) return i % 2 == 0 and 1000 or 1090 end)))
    near(f.so, 64 / 65, 1e-12, "neighbours")
    f = beat.features((run(every(60, 64), function(i) return i % 2 == 0 and 1000 or 2000 end)))
    assert(f.so < 0.57 and f.so > 0.4)
    f = beat.features((run(every(60, 8), function() return 0 end)))
    near(f.so, 8 / 9, 1e-12, "zero bytes")
end)

test("the awake clock stops in sleep", function()
    local clock = new_clock()
    beat.tick(clock, 1000)
    local start = clock.acc
    beat.tick(clock, 1599)
    near(clock.acc - start, 599)
    beat.tick(clock, 2199) -- 600 s: asleep
    near(clock.acc - start, 600)
    beat.tick(clock, 2000) -- told late: no step back
    near(clock.acc - start, 600)
    near(clock.last, 2199)
end)

test("the awake clock can look back", function()
    -- Awake stretches with sleep between them; the truth is kept in a list.
    local clock, truth = new_clock(), {}
    local t = 1e9
    for stretch = 1, 12 do
        for i = 0, 40 do
            t = t + 37
            beat.tick(clock, t)
            truth[#truth + 1] = { t, clock.acc, stretch }
        end
        t = t + 5000 + stretch
    end
    for _, point in ipairs(truth) do
        if point[3] > 4 then near(beat.awake(clock, point[1]), point[2], 1e-6, "stretch " .. point[3]) end
    end
    local last = truth[#truth - 41] -- in the sleep before the last stretch
    near(beat.awake(clock, last[1] + 3000), last[2], 1e-6, "asleep")
    near(beat.awake(clock, t + 1e6), clock.acc, 0, "the future")
    assert(beat.awake(clock, 5) >= 0)
end)

test("automation and score as written", function()
    near(beat.automation { tim = 0.5, fano = 0.25, so = 0.5, si = 0.25 },
        -5 + 1.5 + 1.5 + 8 * (1 - 0.5 * 0.8) * 0.75, 1e-12)
    near(beat.score(0, 1, 100, 0), -2 * math.log(2) + 3 + 2, 1e-12)
    near(beat.score(40, 10, 100, 7), 1.5 + 2 * math.exp(-1), 1e-8)
    near(beat.score(40, 100, 100, 1e6), 0, 1e-8)
    near(beat.score(-1000, 1, 100, 1e6), -1000 + 3, 1e-8)
    assert(beat.score(-80.1, 1, 100, 0) < beat.score(-79.9, 1, 100, 0))
end)

test("rarity fades out with few clients", function()
    near(beat.rarity(1, 1), 0.5)
    near(beat.rarity(1, 10), 1, 1e-12)
    near(beat.rarity(10, 10), 0, 1e-12)
    local last = beat.rarity(1, 1)
    for clients = 2, 10 do
        assert(beat.rarity(1, clients) > last)
        last = beat.rarity(1, clients)
    end
    -- One Mac, a perfect timer, a new name: an alert, but never a high one.
    local score = beat.score(19, 1, 1, 0)
    assert(score >= 3 and score < 4.5)
end)

test("a pair fits in a KiB and an update makes no garbage", function()
    assert(pair_size <= 1024, pair_size)
    local pair, clock = new_pair(), new_clock()
    local t = 0
    local function rounds(n)
        for _ = 1, n do
            t = t + 61
            beat.update(pair, t, beat.tick(clock, t), 1000, 2000)
        end
    end
    rounds(5000)
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    rounds(200000)
    local grown = collectgarbage("count") - before
    collectgarbage("restart")
    assert(grown < 100, ("%.1f KiB for 200,000 updates"):format(grown)) -- traces, not one byte per update
end)

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
