-- The pairs of beacon.lua: what is kept of a client and whom it asks.
--
-- Most names are asked once or twice and never again, and below four check-ins nothing can be said. So a pair begins as a
-- stub of a hundred bytes, which keeps its first three check-ins as they were; the fourth makes a whole pair of it, to which
-- they are then told. What comes out is the same as if it had been whole from the beginning.
local pairs_of = {}

local STUB = { n = "u8", starts = "u8", last = "f64", t = "f64[3]", awake = "f64[3]", out = "u32[3]", back = "u32[3]" }
local MORE = { looked = "f64", due = "u32", more = "u32", flows = "u32", bursts = "u32", port = "u16" }

--- Opens the two kinds of records under `name` and `name stubs`; `max` of each.
function pairs_of.open(lunette, beat, name, max, ttl)
    local fields = {}
    for field, kind in pairs(beat.PAIR_FIELDS) do fields[field] = kind end
    for field, kind in pairs(MORE) do fields[field] = kind end
    local whole = lunette.records(name, { max = max, ttl = ttl, fields = fields, version = 2 })
    local stubs = lunette.records(name .. " stubs", { max = max, ttl = ttl, fields = STUB })
    local ENOUGH, DEBOUNCE = beat.MINIMUM, beat.DEBOUNCE
    local book = {}

    local function grow(key, stub)
        local pair = whole:make(key)
        for i = 0, ENOUGH - 2 do beat.update(pair, stub:at("t", i), stub:at("awake", i), stub:at("out", i), stub:at("back", i)) end
        pair.lt = stub.last
        pair.flows, pair.bursts = stub.starts, ENOUGH - 1 - stub.starts
        pair.due = ENOUGH
        pair.looked = pair.t0
        stubs:delete(key)
        return pair
    end

    local function early(key, t, awake, out, back, starts)
        local stub, new = stubs:make(key)
        local n = stub.n
        if n > 0 and t - stub.last < DEBOUNCE then
            if t > stub.last then stub.last = t end
            return nil, false
        end
        if n == ENOUGH - 1 then return grow(key, stub), false end
        stub:put("t", n, t)
        stub:put("awake", n, awake)
        stub:put("out", n, out)
        stub:put("back", n, back)
        stub.n, stub.starts, stub.last = n + 1, stub.starts + starts, t
        return nil, new
    end

    --- A check-in: `starts` is 1 if a flow began with it, 0 inside one. Returns the pair if it counted and there are four or
    --- more, else nil; then, whether the pair is new.
    function book.check_in(key, t, awake, out, back, starts)
        local pair = whole:get(key)
        if not pair then
            local new
            pair, new = early(key, t, awake, out, back, starts)
            if not pair then return nil, new end
        end
        if not beat.update(pair, t, awake, out, back) then return nil, false end
        pair.flows = pair.flows + starts
        pair.bursts = pair.bursts + 1 - starts
        return pair, false
    end

    --- Iterates over key and pair of those with four check-ins or more.
    function book.each() return whole:each() end

    function book.count() return whole:count(), stubs:count() end

    return book
end

return pairs_of
