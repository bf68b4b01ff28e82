-- lunette.series: numbers that come one after the other. Rings of the last ones, histograms, moments, and a few functions of
-- lists. All objects have a fixed size once they are made (`size`, `edges`), and may be kept in lunette.state.
--
-- The fields of objects are what a hand-over writes: a new version of this file may add some, and must still understand objects
-- that lack them.
local inside = ...
local helpers = inside.helpers
local whole, finite = helpers.whole, helpers.finite
local floor, sqrt, min, max, abs, exp, log = math.floor, math.sqrt, math.min, math.max, math.abs, math.exp, math.log

local RING_MOST = 65536
local EDGES_MOST = 4096
local LIST_MOST = 1000000

---Series of numbers: rings, histograms, moments.
---@class lunette.series
local series = {}

-- ------------------------------------------------------------------------------------------------------- ring
--
-- `values` is filled from 1 to `size` and then from 1 again; `newest_at` is the place of the last one. While `sorted`, none was
-- smaller than the one before it, and counting within a time is a binary search.

---The last numbers of a series, oldest first.
---@class lunette.Ring
local ring = {}
local make_ring, check_ring = helpers.class("ring", ring, "ring:add(t)")

local function ring_at(self, i)
    local place = self.newest_at - self.held + i
    if place < 1 then place = place + self.size end
    return self.values[place]
end

---Adds a number, a time for instance; the oldest gives way when the ring is full.
---@param t number
function ring:add(t)
    check_ring(self)
    finite("ring:add", t)
    if self.held > 0 and t < self.values[self.newest_at] then self.sorted = false end
    local place = self.newest_at % self.size + 1
    self.values[place], self.newest_at = t, place
    if self.held < self.size then self.held = self.held + 1 end
end

---How many there are, at most the ring's size.
---@return integer
function ring:count()
    check_ring(self)
    return self.held
end

---The i-th, 1 is the oldest; nil beyond the ends.
---@param i integer
---@return number?
function ring:at(i)
    check_ring(self)
    if type(i) ~= "number" or not (i >= 1 and i <= self.held) then return nil end
    return ring_at(self, floor(i))
end

---The last that was added.
---@return number?
function ring:newest()
    check_ring(self)
    return self.values[self.newest_at]
end

---The first that is still there.
---@return number?
function ring:oldest()
    check_ring(self)
    if self.held == 0 then return nil end
    return ring_at(self, 1)
end

---How many lie in the `seconds` up to and with `now`: from now - seconds (without) to now (with).
---@param now number
---@param seconds number
---@return integer
function ring:within(now, seconds)
    check_ring(self)
    finite("ring:within", now)
    finite("ring:within", seconds)
    local from, held = now - seconds, self.held
    if not self.sorted then
        local count = 0
        for i = 1, held do
            local t = ring_at(self, i)
            if t > from and t <= now then count = count + 1 end
        end
        return count
    end
    -- How many are at or below a limit: the count of those up to now without those up to `from`.
    local low, high = 0, held
    while low < high do
        local middle = floor((low + high + 1) / 2)
        if ring_at(self, middle) <= from then low = middle else high = middle - 1 end
    end
    local before = low
    high = held
    while low < high do
        local middle = floor((low + high + 1) / 2)
        if ring_at(self, middle) <= now then low = middle else high = middle - 1 end
    end
    return low - before
end

---What lies between each two that follow each other: one fewer than there are numbers.
---@return number[]
function ring:intervals()
    check_ring(self)
    local list = {}
    for i = 2, self.held do list[i - 1] = ring_at(self, i) - ring_at(self, i - 1) end
    return list
end

---Makes a ring of at most n numbers.
---@param n integer 1 to 65536
---@return lunette.Ring
function series.ring(n)
    whole("series.ring", n, 1, RING_MOST)
    return make_ring { values = {}, size = n, held = 0, newest_at = 0, sorted = true }
end

-- -------------------------------------------------------------------------------------------------- histogram
--
-- `buckets[i]` counts what is below `edges[i]` and not below `edges[i - 1]`; one more is for what is at or above the last
-- edge. `low` and `high` are the least and the largest seen.

---How often numbers fell between given edges.
---@class lunette.Histogram
local histogram = {}
local BUCKETS = { from = 1, to = 1, buckets = 1, log = 1 }
local make_histogram, check_histogram = helpers.class("histogram", histogram, "histogram:add(x)")

---Counts x, n times.
---@param x number
---@param n? number by default 1
function histogram:add(x, n)
    check_histogram(self)
    finite("histogram:add", x)
    if n == nil then n = 1 end
    finite("histogram:add", n)
    if n <= 0 then
        if n == 0 then return end
        error("histogram:add: a count cannot be negative, got " .. n, 2)
    end
    local edges, buckets = self.edges, self.buckets
    local low, high = 1, #edges + 1 -- the first edge above x, or one beyond the last
    while low < high do
        local middle = floor((low + high) / 2)
        if x < edges[middle] then high = middle else low = middle + 1 end
    end
    buckets[low] = buckets[low] + n
    if self.sum == 0 then self.low, self.high = x, x end
    self.low, self.high = min(self.low, x), max(self.high, x)
    self.sum = self.sum + n
end

---How much was counted in all.
---@return number
function histogram:total()
    check_histogram(self)
    return self.sum
end

---The counts, one more than there are edges: the first below the first edge, the last from the last edge on.
---@return number[]
function histogram:counts()
    check_histogram(self)
    local list = {}
    for i = 1, #self.buckets do list[i] = self.buckets[i] end
    return list
end

---The value below which a share q of all lies, evenly spread within a bucket; never off by more than the bucket's width.
---@param q number 0 to 1: 0.5 is the median
---@return number? value nil if nothing was counted
function histogram:quantile(q)
    check_histogram(self)
    if type(q) ~= "number" or not (q >= 0 and q <= 1) then
        error("histogram:quantile: a share from 0 to 1 is expected, got " .. tostring(q), 2)
    end
    local sum, edges, buckets = self.sum, self.edges, self.buckets
    if sum <= 0 then return nil end
    local rank, before = q * sum, 0
    for i = 1, #buckets do
        local n = buckets[i]
        if n > 0 and before + n >= rank then
            local low, high = max(edges[i - 1] or self.low, self.low), min(edges[i] or self.high, self.high)
            local share = min(max((rank - before) / n, 0), 1)
            if self.log and low > 0 then return low * exp(share * log(high / low)) end
            return low + share * (high - low)
        end
        before = before + n
    end
    return self.high
end

local function edges_of(options)
    local from, to, count = options.from, options.to, options.buckets
    finite("series.histogram: from", from)
    finite("series.histogram: to", to)
    whole("series.histogram: buckets", count, 1, EDGES_MOST - 1)
    if not (from < to) then error("series.histogram: from must be below to", 3) end
    if options.log and from <= 0 then error("series.histogram: with log = true, from must be above 0", 3) end
    local edges = {}
    for i = 0, count do
        if options.log then
            edges[i + 1] = from * exp(i / count * log(to / from))
        else
            edges[i + 1] = from + i / count * (to - from)
        end
    end
    edges[count + 1] = to
    return edges
end

---Makes a histogram: of edges in rising order, or of buckets of the same width (with log = true: ratio).
---@param edges number[]|{ from: number, to: number, buckets: integer, log?: boolean }
---@return lunette.Histogram
function series.histogram(edges)
    if type(edges) ~= "table" then error("series.histogram: { 1, 10, 100 } or { from =, to =, buckets = } is expected", 2) end
    for name in next, edges do
        if type(name) ~= "number" and not BUCKETS[name] then
            error(("series.histogram: there is no '%s'%s"):format(tostring(name), inside.unknown.hint(name, BUCKETS)), 2)
        end
    end
    local list = {}
    if edges.from ~= nil or edges.to ~= nil or edges.buckets ~= nil then
        list = edges_of(edges)
    else
        for i = 1, EDGES_MOST + 1 do
            local edge = edges[i]
            if edge == nil then break end
            finite("series.histogram: an edge", edge)
            list[i] = edge
        end
    end
    if #list == 0 or #list > EDGES_MOST then error("series.histogram: 1 to " .. EDGES_MOST .. " edges are expected", 2) end
    local buckets = { 0 }
    for i = 1, #list do
        if i > 1 and not (list[i] > list[i - 1]) then error("series.histogram: edges must rise", 2) end
        buckets[i + 1] = 0
    end
    return make_histogram { edges = list, buckets = buckets, sum = 0, low = 0, high = 0, log = edges.log == true }
end

-- ---------------------------------------------------------------------------------------------------- moments
--
-- Sums of powers of the deviations from the mean, kept in one pass: Welford 1962 for the first two, Pébay 2008 (SAND2008-6212)
-- for the third and fourth and for merging.

---Mean, spread and shape of a series, in one pass and without keeping it.
---@class lunette.Moments
local moments = {}
local make_moments, check_moments = helpers.class("moments", moments, "moments:add(x)")

---Adds a number.
---@param x number
function moments:add(x)
    check_moments(self)
    finite("moments:add", x)
    local before = self.n
    local n = before + 1
    local delta = x - self.m1
    local step = delta / n
    local square = step * step
    local term = delta * step * before
    local m2, m3 = self.m2, self.m3
    self.n, self.m1 = n, self.m1 + step
    self.m4 = self.m4 + term * square * (n * n - 3 * n + 3) + 6 * square * m2 - 4 * step * m3
    self.m3 = m3 + term * step * (n - 2) - 3 * step * m2
    self.m2 = m2 + term
    if before == 0 then self.low, self.high = x, x end
    self.low, self.high = min(self.low, x), max(self.high, x)
end

---How many numbers were added.
---@return integer
function moments:count()
    check_moments(self)
    return self.n
end

---The mean; nil if nothing was added.
---@return number?
function moments:mean()
    check_moments(self)
    if self.n == 0 then return nil end
    return self.m1
end

---Of the sample (divided by n - 1); nil below two numbers.
---@return number?
function moments:variance()
    check_moments(self)
    if self.n < 2 then return nil end
    return max(self.m2, 0) / (self.n - 1)
end

---The root of the variance; nil below two numbers.
---@return number?
function moments:deviation()
    check_moments(self)
    if self.n < 2 then return nil end
    return sqrt(max(self.m2, 0) / (self.n - 1))
end

---0 if symmetric, above 0 with a long tail to the right; nil if all are the same.
---@return number?
function moments:skewness()
    check_moments(self)
    if self.n < 2 or not (self.m2 > 0) then return nil end
    return sqrt(self.n) * self.m3 / self.m2 ^ 1.5
end

---In excess of the normal distribution's, which is 0; nil if all are the same.
---@return number?
function moments:kurtosis()
    check_moments(self)
    if self.n < 2 or not (self.m2 > 0) then return nil end
    return self.n * self.m4 / (self.m2 * self.m2) - 3
end

---The least; nil if nothing was added.
---@return number?
function moments:min()
    check_moments(self)
    if self.n == 0 then return nil end
    return self.low
end

---The largest; nil if nothing was added.
---@return number?
function moments:max()
    check_moments(self)
    if self.n == 0 then return nil end
    return self.high
end

---Adds what another one has seen, as if it had been added here.
---@param other lunette.Moments
function moments:merge(other)
    check_moments(self)
    check_moments(other)
    local a, b = self.n, other.n
    if b == 0 then return end
    local n = a + b
    local delta = other.m1 - self.m1
    local step = delta / n
    local m2, m3, m4 = self.m2, self.m3, self.m4
    local o2, o3, o4 = other.m2, other.m3, other.m4
    if a == 0 then self.low, self.high = other.low, other.high end
    self.low, self.high = min(self.low, other.low), max(self.high, other.high)
    self.n, self.m1 = n, self.m1 + step * b
    self.m2 = m2 + o2 + delta * step * a * b
    self.m3 = m3 + o3 + delta * step * step * a * b * (a - b) + 3 * step * (a * o2 - b * m2)
    self.m4 = m4 + o4 + delta * step * step * step * a * b * (a * a - a * b + b * b) +
        6 * step * step * (a * a * o2 + b * b * m2) + 4 * step * (a * o3 - b * m3)
end

---Makes moments of nothing.
---@return lunette.Moments
function series.moments()
    return make_moments { n = 0, m1 = 0, m2 = 0, m3 = 0, m4 = 0, low = 0, high = 0 }
end

-- ------------------------------------------------------------------------------------------------------ lists

local function numbers_of(what, list)
    if type(list) ~= "table" then error(what .. ": a list of numbers is expected, got " .. type(list), 3) end
    local copy = {}
    for i = 1, LIST_MOST + 1 do
        local value = list[i]
        if value == nil then break end
        if type(value) ~= "number" or value ~= value then
            error(("%s: entry %d is no number: %s"):format(what, i, tostring(value)), 3)
        end
        copy[i] = value
    end
    if #copy > LIST_MOST then error(what .. ": more than " .. LIST_MOST .. " numbers", 3) end
    return copy
end

local function middle_of(sorted)
    local n = #sorted
    if n == 0 then return nil end
    if n % 2 == 1 then return sorted[(n + 1) / 2] end
    return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

---The middle one, or the mean of the two in the middle.
---@param list number[]
---@return number? median nil of an empty list
function series.median(list)
    local copy = numbers_of("series.median", list)
    table.sort(copy)
    return middle_of(copy)
end

---The median distance from the median, a spread that few strays cannot move (not scaled to a normal distribution's: that is
---1.4826 times it).
---@param list number[]
---@return number? deviation nil of an empty list
function series.mad(list)
    local copy = numbers_of("series.mad", list)
    table.sort(copy)
    local middle = middle_of(copy)
    if not middle then return nil end
    for i = 1, #copy do copy[i] = abs(copy[i] - middle) end
    table.sort(copy)
    return middle_of(copy)
end

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

---A line of bars from ▁ (the least) to █ (the largest), for an alert's text or a report.
---@param list number[] at most 1024 are drawn, the last ones
---@return string
function series.spark(list)
    local copy = numbers_of("series.spark", list)
    local first = max(1, #copy - 1023)
    local low, high = math.huge, -math.huge
    for i = first, #copy do
        finite("series.spark", copy[i])
        low, high = min(low, copy[i]), max(high, copy[i])
    end
    local bars = {}
    for i = first, #copy do
        local share = high > low and (copy[i] / 2 - low / 2) / (high / 2 - low / 2) or 0
        bars[#bars + 1] = BARS[min(floor(share * 8) + 1, 8)]
    end
    return table.concat(bars)
end

return series
