-- The phases of a Mac's life as a table of marks (data/lifecycle.tsv), and how well what was seen fits one of them.
--
-- A mark is a row: some names, how they are called, how often at least. A session counts, for each row, how often it was called and
-- when first: `n` and `at`, by the row's number. The score of a phase is the weight of its marks that are there, less that of marks that
-- speak against it, over the weight of all; a part of it depends on the order in which they came, since an installer that sets the clock
-- last is none. A key mark is one that no other phase has: without any of them there is no verdict.

local profile = {}

local ORDER_SHARE = 0.3 -- of the score that depends on the order of the marks
local MB = 1e6

local function read(row, number)
    local names = {}
    for name in row.names:gmatch("[^,]+") do names[#names + 1] = name end
    return { number = number, phase = row.phase, mark = row.mark, names = names, over = row.over, need = row.need,
        weight = tonumber(row.weight), order = tonumber(row.order), low = math.max(1, tonumber(row.connections_low)),
        high = tonumber(row.connections_high), bytes_low = tonumber(row.mb_low) * MB, bytes_high = tonumber(row.mb_high) * MB,
        source = row.source, purpose = row.purpose }
end

-- "18" as in "3 to 60 connections, 5 to 150 MB"; nil for a row without a range.
local function expectation(row)
    if row.high == 0 then return "" end
    local low = (row.need == "must" or row.need == "key") and row.low or 0
    local size = row.bytes_high < 1e6 and ("up to %.0f kB"):format(row.bytes_high / 1e3)
        or row.bytes_low > 0 and ("%g-%g MB"):format(row.bytes_low / MB, row.bytes_high / MB)
        or ("up to %g MB"):format(row.bytes_high / MB)
    return ("%d-%d, %s"):format(low, row.high, size)
end

-- `set` is lunette.set, `rows` those of lifecycle.tsv.
function profile.new(set, rows)
    local object = { rows = {}, phases = {} }
    for number, row in ipairs(rows) do
        local own = read(row, number)
        own.expected = expectation(own)
        object.rows[number] = own
        local phase = object.phases[own.phase]
        if not phase then
            phase = { rows = {}, entries = {}, of = {}, total = 0, wanted = 0 }
            object.phases[own.phase] = phase
        end
        phase.rows[#phase.rows + 1] = own
        if own.need == "must" or own.need == "key" then phase.total, phase.wanted = phase.total + own.weight, phase.wanted + 1 end
        for _, name in ipairs(own.names) do
            phase.entries[#phase.entries + 1] = name
            phase.of[#phase.of + 1] = own
        end
    end
    for _, phase in pairs(object.phases) do phase.names = set.domains(phase.entries) end

    -- The row of a name in a phase, or nil.
    function object.find(phase_name, name)
        local phase = object.phases[phase_name]
        local number = name and phase.names:find(name)
        return number and phase.of[number] or nil
    end

    -- The row of a mark that is no name: "time" by NTP, "join" by DHCP; nil if the phase has none.
    function object.by_kind(phase_name, over)
        for _, row in ipairs(object.phases[phase_name].rows) do
            if row.over == over then return row end
        end
    end

    local function is_there(row, session) return (session.n[row.number] or 0) >= row.low end

    -- Share of pairs of marks that came in the profile's order.
    local function order_of(seen, session)
        local right, pairs_seen = 0, 0
        for i = 1, #seen do
            for j = i + 1, #seen do
                local a, b = seen[i], seen[j]
                if a.order ~= b.order then
                    pairs_seen = pairs_seen + 1
                    local first, second = session.at[a.number], session.at[b.number]
                    if (first <= second) == (a.order < b.order) then right = right + 1 end
                end
            end
        end
        return pairs_seen == 0 and 1 or right / pairs_seen
    end

    -- Score from 0 to 1, and whether a key mark is there (or the phase has none).
    function object.score(phase_name, session)
        local phase, have, keyed, keys, seen = object.phases[phase_name], 0, false, false, {}
        for _, row in ipairs(phase.rows) do
            keys = keys or row.need == "key"
            if row.need == "against" then
                if (session.n[row.number] or 0) > 0 then have = have - row.weight end
            elseif row.weight > 0 and is_there(row, session) then
                have = have + row.weight
                keyed = keyed or row.need == "key"
                if row.order > 0 then seen[#seen + 1] = row end
            end
        end
        local share = math.max(0, have) / math.max(1, phase.total)
        return share * (1 - ORDER_SHARE + ORDER_SHARE * order_of(seen, session)), keyed or not keys
    end

    -- How many of the marks that belong to the phase are there, of how many, and the missing rows.
    function object.marks(phase_name, session)
        local there, missing = 0, {}
        local phase = object.phases[phase_name]
        for _, row in ipairs(phase.rows) do
            if row.need == "must" or row.need == "key" then
                if is_there(row, session) then there = there + 1 else missing[#missing + 1] = row end
            end
        end
        return there, phase.wanted, missing
    end

    return object
end

return profile
