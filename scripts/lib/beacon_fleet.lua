-- What beacon.lua knows over all workers: who talks, which names there are, who knows them and since when.
--
-- How old a name is, is asked as of a client's first check-in: a server that was new when the Mac began to call it does not become
-- trustworthy by being called. Only after a fortnight (`proving`) does the name begin to age: by then a timer that calls once a day
-- has shown itself.
local fleets = {}

local HOUR, DAY = 3600, 86400
local ENOUGH = 10 -- clients, to say what is rare
local FORTNIGHT = 14 * DAY

-- A bit for each client by its number: exact for 512 clients, then several share a bit and the count falls short, but only
-- for names that are common anyway.
local CLIENT_BITS = 512

-- Days from 1970 to a date of the Gregorian calendar.
local function days_of(year, month, day)
    if month <= 2 then year, month = year - 1, month + 12 end
    return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) + math.floor((153 * (month - 3) + 2) / 5) +
        day - 1 - 719468
end

--- The names that were known before this sensor was: lines "name date", the date as 2024-06-10 or in seconds since 1970. Returns a
--- table from name to seconds, and how many there are.
function fleets.history(lines)
    local first, count = {}, 0
    for i, line in ipairs(lines) do
        local name, year, month, day = line:match("^(%S+)%s+(%d%d%d%d)%-(%d%d)%-(%d%d)%s*$")
        local seconds = name and days_of(tonumber(year), tonumber(month), tonumber(day)) * DAY
        if not name then
            name, seconds = line:match("^(%S+)%s+(%d+%.?%d*)%s*$")
            seconds = tonumber(seconds)
        end
        if not name then error(("beacon_known.txt: entry %d: a name and a date are expected (cdn.example 2024-06-10), got '%s'"):format(i, line:sub(1, 80)), 0) end
        first[name:lower()], count = seconds, count + 1
    end
    return first, count
end

--- Within lunette.gather. `history`, `given`: see above.
function fleets.open(lunette, tunables, history, given)
    local known = lunette.records("known clients", {
        max = tunables.max_clients, ttl = FORTNIGHT, fields = { number = "u32", talked = "f64" },
    })
    local names = lunette.records("names", {
        max = tunables.max_names, fields = { first = "f64", clients = "u32", bits = "u8[64]" },
    })
    -- Kept over a reload: the table that stands in the state is the one that is used here.
    local own = {
        started = nil,       -- clock of the first event
        client_number = 0,   -- last one given
        active = 0,          -- clients that talked to an outside server within 14 days
    }
    lunette.state("fleet", { max = 1 }):set("all", own)
    local fleet = {}

    -- Who is still here? The dead of a fortnight no longer count among those a name could have had.
    lunette.every(HOUR, function(now)
        local active = 0
        for _, client in known:each() do
            if now - client.talked < FORTNIGHT then active = active + 1 end
        end
        own.active = active
    end)

    function fleet.began(now) own.started = own.started or now end
    function fleet.clients() return own.active end
    function fleet.is_large() return own.active >= ENOUGH end

    function fleet.talks(address, t)
        local client, new = known:make(address)
        if new then
            own.client_number = own.client_number + 1
            client.number = own.client_number
            own.active = own.active + 1
        end
        client.talked = math.max(client.talked, t)
        return client
    end

    --- The client is one of those that know the name; `key` is the name and, behind a tab, what it is counted by.
    function fleet.introduce(key, address, t)
        local client = fleet.talks(address, t)
        local row, new = names:make(key)
        if new then row.first = given > 0 and math.min(t, history[key:match("^(.*)\t")] or t) or t end
        local at = client.number % CLIENT_BITS
        local index, mask = math.floor(at / 8), 2 ^ (at % 8)
        local byte = row:at("bits", index)
        if byte % (2 * mask) < mask then
            row:put("bits", index, byte + mask)
            row.clients = row.clients + 1
        end
    end

    --- What is known of a name, for a client that called it first at `began`: { age = days as they count, seen = days since it was
    --- first seen, with_name = clients that know it, clients = of so many }.
    function fleet.standing(key, began, now)
        local row = names:get(key)
        if not row then return { age = 0, seen = 0, with_name = 1, clients = own.active } end
        local age = math.max(0, began - row.first) + math.max(0, now - began - FORTNIGHT)
        local seen = math.max(0, now - row.first)
        if given == 0 and fleet.is_large() and row.first - own.started < tunables.learning then
            age, seen = age + tunables.unknown_age * DAY, seen + tunables.unknown_age * DAY
        end
        return { age = age / DAY, seen = seen / DAY, with_name = math.max(1, row.clients), clients = own.active }
    end

    return fleet
end

return fleets
