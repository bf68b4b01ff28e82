-- lunette.sketch: counting what is too much to keep. `distinct` says how many different values there were, `heavy` which were
-- the most frequent; both in a fixed size, with an error that is known. They may be kept in lunette.state.
--
-- distinct is HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007): of each value's 64-bit hash the first bits choose one of
-- 2^bits registers, which keeps the longest run of zeros that the rest began with. The estimate is Ertl's (2017, "New
-- cardinality estimation algorithms for HyperLogLog sketches", section 4): unlike the original's it needs no switch to linear
-- counting for small numbers and has no bias where the two met. Its standard error is 1.04 / sqrt(2^bits).
--
-- heavy is Space-Saving (Metwally, Agrawal, El Abbadi 2005): n values are counted; a new one takes the place of the least
-- counted and its count, which is noted as the most that the new one may be overrated by. So a count is never too low, and what
-- makes up more than 1/n of all is among the n. The least is found by a heap instead of the paper's list of lists: that takes
-- weights in its stride.
--
-- The fields of objects are what a hand-over writes: a new version of this file may add some, and must still understand objects
-- that lack them.
local inside = ...
local ffi, bit, api, helpers = inside.ffi, inside.bit, inside.api, inside.helpers
local band, bor, bnot, lshift, rshift = bit.band, bit.bor, bit.bnot, bit.lshift, bit.rshift
local floor, sqrt, huge = math.floor, math.sqrt, math.huge

local HEAVY_MOST = 65536

---Sketches: counting different values, and finding the most frequent ones, in a fixed size.
---@class lunette.sketch
local sketch = {}

local function check_value(what, value)
    local kind = type(value)
    if kind ~= "string" and (kind ~= "number" or value ~= value) then
        error(("%s: a string or a number is expected, got %s"):format(what, kind == "number" and "NaN" or kind), 3)
    end
end

-- --------------------------------------------------------------------------------------------------- distinct
--
-- Five registers of 6 bits go into one number of `words`, from 0; what is zero is not there, so that a sketch that has seen
-- little is small. `ranks[k + 1]` says how many registers hold k.
local PER_WORD = 5

---How many different values were there?
---@class lunette.Distinct
local distinct = {}
local make_distinct, check_distinct = helpers.class("distinct", distinct, "distinct:add(value)")

local hash = ffi.new("uint32_t[2]")

-- Zeros before the first one in 32 bits; 32 if there is none.
local function leading_zeros(x)
    if x == 0 then return 32 end
    local n = 0
    if band(x, 0xffff0000) == 0 then n, x = n + 16, lshift(x, 16) end
    if band(x, 0xff000000) == 0 then n, x = n + 8, lshift(x, 8) end
    if band(x, 0xf0000000) == 0 then n, x = n + 4, lshift(x, 4) end
    if band(x, 0xc0000000) == 0 then n, x = n + 2, lshift(x, 2) end
    if band(x, 0x80000000) == 0 then n = n + 1 end
    return n
end

-- Raises a register to `rank`; true if it was lower.
local function raise(self, register, rank)
    local words, ranks = self.words, self.ranks
    local word = floor(register / PER_WORD)
    local shift = (register - word * PER_WORD) * 6
    local packed = words[word] or 0
    local before = band(rshift(packed, shift), 63)
    if before >= rank then return false end
    words[word] = bor(band(packed, bnot(lshift(63, shift))), lshift(rank, shift))
    ranks[before + 1], ranks[rank + 1] = ranks[before + 1] - 1, ranks[rank + 1] + 1
    return true
end

---Adds a value. The number 1 and the string "1" are two.
---@param value string|number
---@return boolean changed false if the sketch cannot tell it from what it has seen
function distinct:add(value)
    check_distinct(self)
    check_value("distinct:add", value)
    if type(value) == "string" then
        api.hash(value, #value, hash)
    else
        api.hash_number(value + 0, hash) -- which makes -0 the same as 0
    end
    local bits, high, low = self.bits, hash[0], hash[1]
    local register = rshift(high, 32 - bits)
    local rank = leading_zeros(lshift(high, bits)) + 1
    if rank > 32 - bits then rank = 32 - bits + leading_zeros(band(low, 0xffffffff)) + 1 end
    return raise(self, register, rank)
end

-- Ertl's σ and τ: what registers that are still at 0, and those that can go no further, stand for.
local function sigma(x)
    if x == 1 then return huge end
    local y, z = 1, x
    for _ = 1, 64 do
        x = x * x
        local before = z
        z = z + x * y
        y = y + y
        if z == before then break end
    end
    return z
end
local function tau(x)
    if x == 0 or x == 1 then return 0 end
    local y, z = 1, 1 - x
    for _ = 1, 64 do
        x = sqrt(x)
        local before = z
        y = y / 2
        z = z - (1 - x) * (1 - x) * y
        if z == before then break end
    end
    return z / 3
end

---How many different values were added, about: with 12 bits (the default) two thirds of all answers are within 1.6 %.
---@return integer
function distinct:count()
    check_distinct(self)
    local m, ranks = 2 ^ self.bits, self.ranks
    local most = 64 - self.bits
    local z = m * tau(1 - ranks[most + 2] / m)
    for k = most, 1, -1 do z = (z + ranks[k + 1]) / 2 end
    z = z + m * sigma(ranks[1] / m)
    return floor(m * m / (2 * math.log(2)) / z + 0.5)
end

---Adds what another one has seen, as if it had been added here; both have the same bits.
---@param other lunette.Distinct
function distinct:merge(other)
    check_distinct(self)
    check_distinct(other)
    helpers.whole("distinct:merge: bits", self.bits, 4, 16)
    if self.bits ~= other.bits then
        error(("distinct:merge: one has %s bits, the other %s"):format(tostring(self.bits), tostring(other.bits)), 2)
    end
    for word = 0, floor((2 ^ self.bits - 1) / PER_WORD) do
        local packed = other.words[word]
        if packed then
            for i = 0, PER_WORD - 1 do
                local rank = band(rshift(packed, i * 6), 63)
                if rank > 0 then raise(self, word * PER_WORD + i, rank) end
            end
        end
    end
end

---Makes a sketch that counts different values. Its 2^bits registers are made as they are needed: with 12 bits, 8 KiB when full.
---@param bits? integer 4 to 16, by default 12
---@return lunette.Distinct
function sketch.distinct(bits)
    if bits == nil then bits = 12 end
    helpers.whole("sketch.distinct", bits, 4, 16)
    local ranks = { 2 ^ bits }
    for k = 2, 64 - bits + 2 do ranks[k] = 0 end
    return make_distinct { bits = bits, words = {}, ranks = ranks }
end

-- ------------------------------------------------------------------------------------------------------ heavy
--
-- A heap with the least count at 1: `values`, `weights` and `errors` by place, `places` by value.

---Which values were the most frequent?
---@class lunette.Heavy
local heavy = {}
local make_heavy, check_heavy = helpers.class("heavy", heavy, "heavy:add(value)")

-- The entry at `place` got heavier: it goes down until both below it are at least as heavy.
local function sink(self, place)
    local values, weights, errors, places = self.values, self.weights, self.errors, self.places
    local value, weight, err, held = values[place], weights[place], errors[place], self.held
    while true do
        local child = place * 2
        if child > held then break end
        if child < held and weights[child + 1] < weights[child] then child = child + 1 end
        if weights[child] >= weight then break end
        values[place], weights[place], errors[place] = values[child], weights[child], errors[child]
        places[values[place]] = place
        place = child
    end
    values[place], weights[place], errors[place] = value, weight, err
    places[value] = place
end

-- A new entry at the end goes up until the one above it is not heavier.
local function rise(self, place)
    local values, weights, errors, places = self.values, self.weights, self.errors, self.places
    local value, weight, err = values[place], weights[place], errors[place]
    while place > 1 do
        local parent = floor(place / 2)
        if weights[parent] <= weight then break end
        values[place], weights[place], errors[place] = values[parent], weights[parent], errors[parent]
        places[values[place]] = place
        place = parent
    end
    values[place], weights[place], errors[place] = value, weight, err
    places[value] = place
end

---Counts a value, `weight` times (bytes for instance).
---@param value string|number
---@param weight? number 0 or more, by default 1; 0 counts nothing
function heavy:add(value, weight)
    check_heavy(self)
    check_value("heavy:add", value)
    if weight == nil then weight = 1 end
    if type(weight) ~= "number" or not (weight >= 0 and weight < huge) then
        error("heavy:add: a weight of 0 or more is expected, got " .. tostring(weight), 2)
    end
    if weight == 0 then return end -- weights come from the wire: a flow of lone fragments has no bytes
    self.sum = self.sum + weight
    local place = self.places[value]
    if place then
        self.weights[place] = self.weights[place] + weight
        return sink(self, place)
    end
    if self.held < self.size then
        place = self.held + 1
        self.held = place
        self.values[place], self.weights[place], self.errors[place] = value, weight, 0
        return rise(self, place)
    end
    local least = self.weights[1]
    self.places[self.values[1]] = nil
    self.values[1], self.weights[1], self.errors[1] = value, least + weight, least
    return sink(self, 1)
end

---The k most frequent, most frequent first. Each was counted between count - error and count times.
---@param k? integer by default all that are kept
---@return { value: string|number, count: number, error: number }[]
function heavy:top(k)
    check_heavy(self)
    if k == nil then k = self.size end
    helpers.whole("heavy:top", k, 0, HEAVY_MOST)
    local list = {}
    for i = 1, math.min(self.held, #self.values) do list[i] = { value = self.values[i], count = self.weights[i], error = self.errors[i] } end
    table.sort(list, function(a, b)
        if a.count ~= b.count then return a.count > b.count end
        if a.error ~= b.error then return a.error < b.error end
        if type(a.value) ~= type(b.value) then return type(a.value) == "number" end
        return a.value < b.value
    end)
    for i = #list, k + 1, -1 do list[i] = nil end
    return list
end

---How often was it counted? At least count - error times, and at most count. Of a value that is not kept: the least count that
---is, as both.
---@param value string|number
---@return number count
---@return number error
function heavy:count(value)
    check_heavy(self)
    check_value("heavy:count", value)
    local place = self.places[value]
    if place then return self.weights[place], self.errors[place] end
    if self.held < self.size then return 0, 0 end
    return self.weights[1], self.weights[1]
end

---The sum of all weights: what makes up more than a share 1/n of it is surely kept.
---@return number
function heavy:total()
    check_heavy(self)
    return self.sum
end

---Makes a sketch that keeps the n most frequent values.
---@param n integer 1 to 65536
---@return lunette.Heavy
function sketch.heavy(n)
    helpers.whole("sketch.heavy", n, 1, HEAVY_MOST)
    return make_heavy { size = n, held = 0, sum = 0, values = {}, weights = {}, errors = {}, places = {} }
end

return sketch
