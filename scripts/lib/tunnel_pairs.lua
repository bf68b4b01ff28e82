-- What is kept of one client and one registrable domain, and how many points it makes.
--
-- Different names are counted in a bitmap of 1,024 bits, one for each hash (linear counting, Whang, Vander-Zanden and Taylor 1990): right within 3 % up
-- to a thousand names, and good to some five thousand. A record has a fixed size, some 270 bytes, so 100,000 pairs are 27 MB; it outlives
-- quiet days, so that few names an hour count as much as many a second.

local bit = bit
local band, rshift, lshift, bor = bit.band, bit.rshift, bit.lshift, bit.bor

local pairs_of = {}

local BITS = 1024

pairs_of.FIELDS = {
    first = "time", last = "time", a = "u32", aaaa = "u32", txt = "u32", https = "u32", other = "u32", odd = "u32",
    different = "u16", encoded = "u32", characters = "f64", longest = "u16", answers = "u32", down = "f64", short = "u32", missing = "u32",
    hours = "u32", hour = "u32", told = "u8", told_at = "time",
    handshakes = "u16", pings = "u16", session = "u32", run = "u16", beacon = "u32", beacon_run = "u16", forwards = "u16", packed = "u16",
    big = "u32", big_bytes = "f64", big_different = "u16", map = "u32[32]", big_map = "u32[8]",
}

-- Sets the bit of a hash; true if it was not set.
local function mark(pair, field, words, code)
    local place = code % (words * 32)
    local word, flag = rshift(place, 5), lshift(1, band(place, 31))
    local before = pair:at(field, word)
    if band(before, flag) ~= 0 then return false end
    pair:put(field, word, bor(before, flag) % 4294967296)
    return true
end

function pairs_of.is_new(pair, code)
    if not mark(pair, "map", 32, code) then return false end
    pair.different = pair.different + 1
    return true
end

function pairs_of.is_new_answer(pair, code)
    if not mark(pair, "big_map", 8, code) then return false end
    pair.big_different = pair.big_different + 1
    return true
end

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

--- Points for the general case, and the reasons in words.
--- limits: few, names (a list of four counts).
function pairs_of.judge(pair, limits)
    local points, reasons = 0, {}
    local function add(count, words)
        points = points + count
        reasons[#reasons + 1] = words
    end
    local names, questions = pairs_of.names(pair), pairs_of.questions(pair)
    local encoded = math.min(pair.encoded, names)
    local mean = pair.encoded > 0 and pair.characters / pair.encoded or 0
    local counts = encoded >= limits.names[3] and 4 or encoded >= limits.names[2] and 3 or encoded >= limits.names[1] and 2 or encoded >= limits.few and 1 or 0
    if counts > 0 then add(counts, ("%d different names that look like data"):format(encoded)) end
    local size = mean >= 100 and 3 or mean >= 60 and 2 or mean >= 30 and 1 or 0
    if size > 0 then add(size, ("%d characters in each"):format(mean)) end
    local volume = pair.characters >= 40000 and 2 or pair.characters >= 4000 and 1 or 0
    if volume > 0 then add(volume, "much in all") end
    if names / pairs_of.rounds(pair) >= 0.8 then add(1, "hardly one asked for twice") end
    if pair.odd >= 3 and pair.odd >= questions * 0.1 then
        add(3, ("%d questions of record types that nobody asks for"):format(pair.odd))
    elseif (pair.txt + pair.other) >= questions * 0.5 then
        add(1, "most of types other than addresses")
    end
    if pair.answers >= 10 and pair.short >= pair.answers * 0.9 then add(1, "answers that may not be kept") end
    if pair.answers >= 10 and pair.down / pair.answers >= 200 then add(1, "large answers") end
    return points, reasons
end

return pairs_of
