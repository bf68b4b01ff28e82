-- lunette.beat: is a timer behind this traffic?
--
-- An implant that calls home sleeps and wakes by a timer; people do not. BEAT watches the check-ins of one client with one
-- server name and says how much they look like a timer's work (`automation`), and how much that should worry
-- (`score`: is the name rare, is it new?). Three things carry it:
--
--   the awake clock   Sleeping Macs stop their timers, so intervals are measured on a clock that stops too. It is fed with
--                     everything the client is seen to do.
--   dispersion        A timer's check-ins per hour vary less than chance would have it, even if each sleep is drawn at
--                     random; people's vary far more, since they come in bursts.
--   sizes             A check-in with no task is the same few bytes each time.
--
-- State is of fixed size (PAIR_FIELDS, CLOCK_FIELDS: for lunette.records) and update() makes no garbage. Any object will do that has
-- scalar fields, :at(name, i) and :put(name, i, v). All times are seconds. The numbers are fitted once; tests/detectors
-- holds them to vectors and to labelled traffic.
--
--   beat.tick(clock, t)                          the client was seen at t
--   beat.awake(clock, t)                         awake seconds at t, which may lie a little back
--   beat.update(pair, t, awake, out, in_)        a check-in: payload bytes to and from the server; true if it counted
--   beat.features(pair [, into])                 a table, see there; nil below 4 check-ins
--   beat.automation(features)                    A: about 0 in doubt, above 4 hardly ever a person
--   beat.line(pair), beat.intervals(pair, clock) check-ins over time and how long between them, to be drawn
--   beat.score(A, with_name, clients, age_days)  at most 5; 3.0 is worth an alert
local floor, log, sqrt, exp, max, min = math.floor, math.log, math.sqrt, math.exp, math.max, math.min

---Is a timer behind this traffic?
---@class lunette.beat
local beat = {}

---Check-ins before anything can be said.
---@type integer
beat.MINIMUM = 4

---Seconds: what follows closer belongs to the same check-in.
---@type number
beat.DEBOUNCE = 2

local DEBOUNCE = beat.DEBOUNCE
local AGEING = 14 * 86400   -- seconds after which interval counts are halved
local SLEEP_GAP = 600       -- seconds without a sign of life that count as sleep
local BINS = 80             -- intervals: quarter octaves from 2 s to 24 days
local RING = 64             -- sizes remembered
local SCALES = 6            -- slots of 2 min · 4^k, up to 34 h
local SLOT = 120
local WAKES = 8             -- times of waking up that the clock remembers
local COLUMNS = 24          -- of the line of check-ins over time; a column is a minute, and twice that when the line is full
local COLUMN = 60

-- In PAIR_FIELDS order: n; first, last counted and last seen check-in, awake clock of first and last, last ageing;
-- intervals by wall and awake clock; sizes out and in; per scale: number of the slot, check-ins before it, Σcount² of the
-- slots before it; check-ins over wall time, and the doublings of a column.
--
-- Of a scale nothing has to be touched until its slot is over: what a slot held is the difference of what there was at its
-- end and at its beginning. And where the finest slot goes on, so do all coarser ones.

---Fields of a pair's record, for lunette.records.
---@type table<string, string>
beat.PAIR_FIELDS = {
    n = "u32", t0 = "f64", tl = "f64", lt = "f64", a0 = "f64", al = "f64", aged = "f64",
    hw = "u16[80]", ha = "u16[80]", ro = "u8[64]", ri = "u8[64]",
    slot = "u32[6]", before = "u32[6]", squares = "f32[6]", line = "u16[24]", doublings = "u8",
}

-- acc: awake seconds up to `last`. The ring of wakes lets awake() look a little back, for events that are told late.

---Fields of a client's record, for lunette.records.
---@type table<string, string>
beat.CLOCK_FIELDS = { acc = "f64", last = "f64", wakes = "u32", woke = "f64[8]", woke_acc = "f64[8]" }

-- ------------------------------------------------------------------------------------------------ the awake clock

---The client was seen at time t: moves its clock.
---@param clock lunette.Record
---@param t number
---@return number awake the awake clock, seconds
function beat.tick(clock, t)
    local gap = t - clock.last
    if gap <= 0 then return clock.acc end
    if gap < SLEEP_GAP then
        clock.acc = clock.acc + gap
    else
        clock.acc = clock.acc + 1
        local slot = clock.wakes % WAKES
        clock:put("woke", slot, t)
        clock:put("woke_acc", slot, clock.acc)
        clock.wakes = clock.wakes + 1
    end
    clock.last = t
    return clock.acc
end

---The awake clock as it stood at time t, which may lie a little back. Exact within the last 8 wakings; before them, the
---earliest of those.
---@param clock lunette.Record
---@param t number
---@return number awake seconds
function beat.awake(clock, t)
    local acc = clock.acc
    if t >= clock.last then return acc end
    local wakes = clock.wakes
    for w = wakes - 1, max(0, wakes - WAKES), -1 do
        local woke, woke_acc = clock:at("woke", w % WAKES), clock:at("woke_acc", w % WAKES)
        if t >= woke then return min(woke_acc + t - woke, acc) end
        acc = woke_acc - 1 -- where the stretch before that waking ended
    end
    return max(0, acc)
end

-- ------------------------------------------------------------------------------------------------------ update

-- floor(4·log2 seconds) − 4, from 0 to 79.
local function bin_of(seconds)
    if seconds < 2 then return 0 end
    return min(floor(4 * log(seconds, 2)) - 4, BINS - 1)
end

-- Sizes in steps of 9 %.
local function size_code(bytes)
    if bytes < 1 then return 0 end
    return min(floor(8 * log(bytes, 2) + 0.5), 255)
end

local function halve(pair)
    for i = 0, BINS - 1 do
        pair:put("hw", i, floor(pair:at("hw", i) / 2))
        pair:put("ha", i, floor(pair:at("ha", i) / 2))
    end
end

local function count(pair, name, bin)
    local v = pair:at(name, bin)
    if v >= 65535 then
        halve(pair)
        v = pair:at(name, bin)
    end
    pair:put(name, bin, v + 1)
end

-- The line is full: two columns become one.
local function fold(pair)
    for i = 0, COLUMNS - 1 do
        local a, b = 2 * i, 2 * i + 1
        pair:put("line", i, b < COLUMNS and pair:at("line", a) + pair:at("line", b) or 0)
    end
    pair.doublings = pair.doublings + 1
end

local function draw(pair, since)
    local column = floor(since / (COLUMN * 2 ^ pair.doublings))
    while column >= COLUMNS do
        fold(pair)
        column = floor(column / 2)
    end
    pair:put("line", column, pair:at("line", column) + 1) -- a full one stays so
end

-- The slot of a scale is over, and what it held is added. True if the next coarser one may be as well.
local function turn(pair, k, slot, n)
    if slot == pair:at("slot", k) then return false end
    local held = n - pair:at("before", k)
    pair:put("squares", k, pair:at("squares", k) + held * held)
    pair:put("before", k, n)
    pair:put("slot", k, slot)
    return true
end

---A check-in of the pair at time t, with the client's awake clock and the exchange's payload bytes. Events must come in order of
---time; one that comes late is taken as of now.
---@param pair lunette.Record
---@param t number
---@param awake number
---@param out number payload bytes to the server
---@param in_ number payload bytes from the server
---@return boolean counted false if it was the tail of the one before
function beat.update(pair, t, awake, out, in_)
    local n = pair.n
    if n > 0 then
        local lt = pair.lt
        if t - lt < DEBOUNCE then
            if t > lt then pair.lt = t end
            return false
        end
        awake = max(awake, pair.al)
        count(pair, "hw", bin_of(t - pair.tl))
        if awake - pair.al >= 2 then count(pair, "ha", bin_of(awake - pair.al)) end -- else it slept through the gap
        if t - pair.aged > AGEING then
            halve(pair)
            pair.aged = t
        end
    else
        pair.t0, pair.a0, pair.aged = t, awake, t
    end
    pair.lt = t
    pair:put("ro", n % RING, size_code(out))
    pair:put("ri", n % RING, size_code(in_))

    draw(pair, t - pair.t0)

    -- No loop: one of so few turns, left early mostly, is not compiled well.
    local slot = floor((awake - pair.a0) / SLOT)
    local _ = turn(pair, 0, slot, n) and turn(pair, 1, floor(slot / 4), n) and turn(pair, 2, floor(slot / 16), n) and
        turn(pair, 3, floor(slot / 64), n) and turn(pair, 4, floor(slot / 256), n) and turn(pair, 5, floor(slot / 1024), n)
    pair.tl, pair.al, pair.n = t, awake, n + 1
    return true
end

-- ---------------------------------------------------------------------------------------------------- features

-- Lower bound of a share p of n (Wilson).
local function wilson(p, n, z)
    local zz = z * z / n
    return (p + zz / 2 - z * sqrt(p * (1 - p) / n + zz / (4 * n))) / (1 + zz)
end

local CENTRE, OCTAVE = {}, {} -- of each bin: seconds, log2 seconds
for i = 0, BINS - 1 do
    OCTAVE[i] = (i + 0.5) / 4 + 1
    CENTRE[i] = 2 ^ OCTAVE[i]
end

-- Windows of 2, 4 and 7 bins hold a fixed sleep ±15 %, sleeps from T/2 to T, and ±50 %. By chance (exponential intervals)
-- the best window of that width holds this share: by count, and weighted by the intervals' length.
local WIDTH = { 2, 4, 7 }
local CHANCE = { count = { 0.126863, 0.25, 0.420616 }, time = { 0.185755, 0.360787, 0.585041 } }

local weight = {} -- scratch
for i = 0, BINS - 1 do weight[i] = 0 end

-- How far do the intervals crowd into one window, beyond chance? 0 to 1; then the window's period, its jitter, and the
-- share of intervals in it.
local function concentration(pair, name, by_time)
    local intervals, total, squares = 0, 0, 0
    for i = 0, BINS - 1 do
        local h = pair:at(name, i)
        local w = by_time and h * CENTRE[i] or h
        intervals, total, squares = intervals + h, total + w, squares + w * CENTRE[i]
        weight[i] = w
    end
    if intervals < 3 then return 0, 0, 0, 0 end
    local n, z, chance = intervals, 1.64, CHANCE.count
    if by_time then n, z, chance = total * total / squares, 2.0, CHANCE.time end

    local best, best_from, best_width, best_mass = 0, 0, 0, 0
    for m = 1, 3 do
        local width, mass, from, most = WIDTH[m], 0, 0, 0
        for i = 0, width - 1 do mass = mass + weight[i] end
        most = mass
        for i = width, BINS - 1 do
            mass = mass + weight[i] - weight[i - width]
            if mass > most * (1 + 1e-12) then most, from = mass, i - width + 1 end
        end
        local c = (wilson(min(most / total, 1), n, z) - chance[m]) / (1 - chance[m])
        if c > best then best, best_from, best_width, best_mass = c, from, width, most end
    end
    if best_mass == 0 then return 0, 0, 0, 0 end

    local mean, square = 0, 0
    for i = best_from, best_from + best_width - 1 do
        mean = mean + weight[i] * OCTAVE[i]
        square = square + weight[i] * OCTAVE[i] * OCTAVE[i]
    end
    mean, square = mean / best_mass, square / best_mass
    local deviation = sqrt(max(0, square - mean * mean) + 0.25 * 0.25 / 12) -- the width of a bin adds its own
    return best, 2 ^ mean, 2 ^ deviation - 1, min(best_mass / total, 1)
end

-- Variance to mean of the check-ins per complete slot of a scale, and the mean. Chance gives 1.
local function fano_factor(pair, k)
    local slots = pair:at("slot", k)
    local mean = pair:at("before", k) / slots
    if mean <= 0 then return 0, 0 end
    return (pair:at("squares", k) / slots - mean * mean) / mean * (1 + sqrt(2 / slots)), mean
end

local function slots_of(pair, k) return k < SCALES and pair:at("slot", k) or 0 end

-- Even spread over time, 0 to 1: chance is 0.75, people are near 0, timers near 1. Taken at the finest scale that has
-- check-ins enough in each slot, and the next coarser one, whichever looks worse.
local function dispersion(pair)
    for k = 0, SCALES - 1 do
        if pair:at("slot", k) >= 6 then
            local factor, mean = fano_factor(pair, k)
            local coarser = slots_of(pair, k + 1) >= 6
            if mean >= 3 or (mean >= 0.7 and not coarser) then
                if coarser then factor = max(factor, (fano_factor(pair, k + 1))) end
                return max(0, min(1, 0.75 - 0.25 * log(max(factor, 0.001), 2)))
            end
        end
    end
    return 0
end

local codes = {} -- scratch: codes[c + 1] counts size code c; one spare on each side
for i = 0, 258 do codes[i] = 0 end

-- Share of the last 64 sizes within a step of the commonest one, as a lower bound.
local function sameness(pair, name)
    local n = min(pair.n, RING)
    for i = 0, n - 1 do
        local c = pair:at(name, i) + 1
        codes[c] = codes[c] + 1
    end
    local most = 0
    for i = 0, n - 1 do
        local c = pair:at(name, i) + 1
        for centre = max(c - 1, 1), min(c + 1, 256) do
            most = max(most, codes[centre - 1] + codes[centre] + codes[centre + 1])
        end
    end
    for i = 0, n - 1 do codes[pair:at(name, i) + 1] = 0 end
    return wilson(most / n, n, 1)
end

-- What is known of a pair, or nil below 4 check-ins:
--   n, span (s)      check-ins, time from first to last        awake (s)   of it on the awake clock
--   ca, ta, cw       how intervals crowd: awake clock by count and by time, wall clock by count; tim is the largest
--   fano             even spread over awake time               so, si      sameness of sizes out and in
--   period (s)       centre of the crowd, by the clock that shows it best (0 if there is none)
--   jitter           typical deviation from the period; 0.05 is the finest the bins can tell
--   crowd            share of the intervals in that window     clock       "awake" or "wall"

---What is known of a pair: how its intervals crowd, how evenly they spread, how alike the sizes are, period and jitter.
---@param pair lunette.Record
---@param into? table a table to fill, so that none is made
---@return table<string, any>? features nil below 4 check-ins
function beat.features(pair, into)
    local n = pair.n
    if n < beat.MINIMUM then return nil end
    local f = into or {}
    f.n, f.span, f.awake = n, pair.tl - pair.t0, pair.al - pair.a0
    local ca, pa, ja, sa = concentration(pair, "ha", false)
    local ta, pt, jt, st = concentration(pair, "ha", true)
    local cw, pw, jw, sw = concentration(pair, "hw", false)
    f.ca, f.ta, f.cw, f.tim = ca, ta, cw, max(ca, ta, cw)
    if ca > 0 and ca == f.tim then
        f.period, f.jitter, f.crowd, f.clock = pa, ja, sa, "awake"
    elseif ta > 0 and ta == f.tim then
        f.period, f.jitter, f.crowd, f.clock = pt, jt, st, "awake"
    else
        f.period, f.jitter, f.crowd, f.clock = pw, jw, sw, "wall"
    end
    f.fano = dispersion(pair)
    f.so, f.si = sameness(pair, "ro"), sameness(pair, "ri")
    return f
end

---Check-ins over time, for a line of bars (lunette.series.spark): a list with a number for each stretch of time from the
---first check-in to the last, at most 24, and the length of a stretch.
---@param pair lunette.Record
---@return integer[] counts
---@return number seconds
function beat.line(pair)
    local length, counts = COLUMN * 2 ^ pair.doublings, {}
    for i = 0, min(floor((pair.tl - pair.t0) / length), COLUMNS - 1) do counts[i + 1] = pair:at("line", i) end
    return counts, length
end

---The intervals between check-ins, by the awake or the wall clock, for a line of bars: a list with the count of each quarter
---octave from the shortest to the longest there is, and these two in seconds. An empty list if there is none.
---@param pair lunette.Record
---@param clock "awake"|"wall"
---@return integer[] counts
---@return number shortest
---@return number longest
function beat.intervals(pair, clock)
    local name, counts, first, last = clock == "wall" and "hw" or "ha", {}, nil, nil
    for i = 0, BINS - 1 do
        if pair:at(name, i) > 0 then first, last = first or i, i end
    end
    if not first then return counts, 0, 0 end
    for i = first, last do counts[i - first + 1] = pair:at(name, i) end
    return counts, CENTRE[first], CENTRE[last]
end

-- ------------------------------------------------------------------------------------------------------ scores

---A: is it a timer? About 0 in doubt, above 4 hardly ever a person.
---@param f table<string, any> what features() gave
---@return number
function beat.automation(f)
    local evidence = 1 - (1 - f.tim) * (1 - 0.8 * f.fano)
    return -5 + 3 * f.tim + 6 * f.fano + 8 * evidence * (f.so + f.si)
end

-- How rare is a name that `with_name` of `clients` Macs talk to: 1 only one of them, 0 all. Below ten Macs that says less and
-- less, and with a single Mac nothing: it is the only client of every name it has. Then a half stands for "not known": with a new
-- name the score reaches 3.5 at most, enough for a clear timer to be shown, never enough for high severity.
local FEW = 10

---How rare is a name that so many of the clients talk to? 1: only one of them, 0: all.
---@param with_name number
---@param clients number
---@return number
function beat.rarity(with_name, clients)
    if clients <= 1 then return 0.5 end
    local rare = log(clients / max(with_name, 1)) / log(clients)
    rare = max(0, min(1, rare))
    if clients >= FEW then return rare end
    return 0.5 + (rare - 0.5) * (clients - 1) / (FEW - 1)
end

-- A sure timer (0 from the first term), a name that one Mac alone knows (3), unknown before today (2).

---Does it matter? At most 5; 3 is worth an alert where rarity is known.
---@param A number what automation() gave
---@param with_name number clients that talk to the name
---@param clients number
---@param age_days number since the name was first seen
---@return number
function beat.score(A, with_name, clients, age_days)
    local doubt
    if A < -80 then doubt = -A else doubt = 2 * log(1 + exp(-A / 2)) end
    return -doubt + 3 * beat.rarity(with_name, clients) + 2 * exp(-max(age_days, 0) / 7)
end

return beat
