-- What is kept of one client and one registrable domain, and how many points it makes.
--
-- Different names are counted in a bitmap of 512 bits, one for each hash (linear counting, Whang, Vander-Zanden and Taylor 1990): right within 4 % up
-- to eight hundred names, and good to some two thousand; beyond, `encoded` counts on too low. A record has a fixed size, some 190 bytes; it outlives quiet
-- days, so that few names an hour count as much as many a second.

local bit = bit
local band, rshift, lshift, bor = bit.band, bit.rshift, bit.lshift, bit.bor

local pairs_of = {}

local BITS = 512

pairs_of.FIELDS = {
    first = "time", last = "time", a = "u32", aaaa = "u16", txt = "u32", https = "u16", other = "u32", odd = "u16",
    different = "u16", encoded = "u32", characters = "f64", longest = "u16", answers = "u32", down = "f64", short = "u32", missing = "u16",
    hours = "u16", hour = "u32", told = "u8", told_at = "time",
    handshakes = "u16", pings = "u16", session = "u32", packet = "u32", run = "u16", beacon = "u32", beacon_run = "u16", forwards = "u16", map = "u32[16]",
}

-- Large answers, of the same client and domain.
pairs_of.LARGE_FIELDS = { first = "time", count = "u32", bytes = "f64", different = "u16", map = "u32[8]" }

-- Sets the bit of a hash in a map of so many words; true if it was not set.
local function mark(record, words, code)
    local place = code % (words * 32)
    local word, flag = rshift(place, 5), lshift(1, band(place, 31))
    local before = record:at("map", word)
    if band(before, flag) ~= 0 then return false end
    record:put("map", word, bor(before, flag) % 4294967296)
    record.different = record.different + 1
    return true
end

function pairs_of.is_new(pair, code) return mark(pair, BITS / 32, code) end
function pairs_of.is_new_answer(large, code) return mark(large, 8, code) end

-- About how many, of whose hashes so many different bits were set.
local function estimate(set, bits)
    if set >= bits then set = bits - 1 end
    return math.floor(-bits * math.log(1 - set / bits) + 0.5)
end

function pairs_of.names(pair) return estimate(pair.different, BITS) end

-- How often the busiest record type was asked for. A Mac asks A, AAAA and HTTPS for each name, so all questions together say nothing of repeats.
function pairs_of.rounds(pair)
    return math.max(pair.a, pair.aaaa, pair.txt, pair.https, pair.other, 1)
end

function pairs_of.questions(pair) return pair.a + pair.aaaa + pair.txt + pair.https + pair.other end

-- ---------------------------------------------------------------- points: numbers alone, since this runs for each new name

-- Names that look like data are long; short ones (a tunnel's pings, an id) are counted, and say nothing of the length.
local function mean_length(pair) return pair.encoded >= 10 and pair.characters / pair.encoded or 0 end
local function count_points(names, limits)
    return names >= limits.high and 4 or names >= limits.medium and 3 or names >= limits.low and 2 or names >= limits.few and 1 or 0
end
local function length_points(mean) return mean >= 100 and 3 or mean >= 60 and 2 or mean >= 30 and 1 or 0 end
local function volume_points(characters) return characters >= 40000 and 2 or characters >= 4000 and 1 or 0 end
local function once_point(pair) return pairs_of.names(pair) / pairs_of.rounds(pair) >= 0.8 and 1 or 0 end
local function type_points(pair)
    local questions = pairs_of.questions(pair)
    if pair.odd >= 3 and pair.odd >= questions * 0.1 then return 3 end
    return pair.txt + pair.other >= questions * 0.5 and 1 or 0
end
local function short_point(pair) return pair.answers >= 10 and pair.short >= pair.answers * 0.9 and 1 or 0 end
local function large_point(pair) return pair.answers >= 10 and pair.down / pair.answers >= 200 and 1 or 0 end

--- Points of the general case. limits: few, low, medium, high, counts of names.
function pairs_of.points(pair, limits)
    return count_points(pairs_of.names(pair), limits) + length_points(mean_length(pair)) + volume_points(pair.characters) + once_point(pair) + type_points(pair)
        + short_point(pair) + large_point(pair)
end

--- What the points are for, in words.
function pairs_of.reasons(pair, limits)
    local words = {}
    local names = pairs_of.names(pair)
    if count_points(names, limits) > 0 then words[#words + 1] = ("%d different made-up names"):format(names) end
    if pair.encoded > 0 then words[#words + 1] = ("%d of them look like data, %.0f characters in each"):format(pair.encoded, pair.characters / pair.encoded) end
    if volume_points(pair.characters) > 0 then words[#words + 1] = ("%d in all"):format(pair.characters) end
    if once_point(pair) > 0 then words[#words + 1] = "hardly one asked for twice" end
    local kind = type_points(pair)
    if kind == 3 then words[#words + 1] = ("%d questions of record types that nobody asks for"):format(pair.odd) end
    if kind == 1 then words[#words + 1] = "most of types other than addresses" end
    if short_point(pair) > 0 then words[#words + 1] = "answers that may not be kept" end
    if large_point(pair) > 0 then words[#words + 1] = ("answers of %.0f bytes"):format(pair.down / pair.answers) end
    return table.concat(words, ", ")
end

return pairs_of
