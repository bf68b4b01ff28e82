-- Who of all hosts has it? Hosts with a number each, and things (names, TLS stacks, agents) with a bit for each host that was seen with it.
--
-- For lunette.gather. Exact for 512 hosts; with more several share a bit, so that the count of hosts falls short, but only for things that are common
-- anyway. Rarity is said in bits: -log2 of the share of hosts that have the thing. With 64 hosts, one that a single host has is worth 6.

local fleet_book = {}

local BITS = 512
local DAY = 86400

fleet_book.HOST_FIELDS = { number = "u32", first = "time", talked = "time" }
-- host: the number of the first who had it; told: it was told of.
fleet_book.THING_FIELDS = { first = "time", last = "time", hosts = "u32", host = "u32", told = "bool", bits = "u8[64]" }

-- options: hosts (records), fleet (a table that is kept in a state), days (after which a silent host counts no more).
function fleet_book.new(options)
    local hosts, fleet, days = options.hosts, options.fleet, options.days
    fleet.number, fleet.active = fleet.number or 0, fleet.active or 0
    local book = {}

    -- A host was heard. Gives its record.
    function book.hear(address, now)
        fleet.began = fleet.began or now
        local host, is_new = hosts:make(address)
        if is_new then
            fleet.number = fleet.number + 1
            host.number, host.first = fleet.number, now
            fleet.active = fleet.active + 1
        end
        host.talked = now
        return host
    end

    -- The host has the thing. Gives true if it is one more that has.
    function book.mark(thing, number, now)
        if thing.hosts == 0 then thing.first, thing.host = now, number end
        thing.last = now
        local at = number % BITS
        local index, mask = math.floor(at / 8), 2 ^ (at % 8)
        local byte = thing:at("bits", index)
        if byte % (2 * mask) >= mask then return false end
        thing:put("bits", index, byte + mask)
        thing.hosts = thing.hosts + 1
        return true
    end

    -- Has another host than this one it?
    function book.others(thing, number)
        local at = number % BITS
        local mask = 2 ^ (at % 8)
        local own = thing:at("bits", math.floor(at / 8)) % (2 * mask) >= mask and 1 or 0
        return thing.hosts - own
    end

    -- Who is still there? To be called now and then.
    function book.count(now)
        fleet.active = 0
        for _, host in hosts:each() do
            if now - host.talked < days * DAY then fleet.active = fleet.active + 1 end
        end
    end

    function book.active() return fleet.active end
    function book.age(now) return fleet.began and now - fleet.began or 0 end

    function book.rarity(thing)
        return math.max(0, math.log(fleet.active / math.max(1, thing.hosts)) / math.log(2))
    end

    -- number → address, of all that are known.
    function book.addresses()
        local list = {}
        for address, host in hosts:each() do list[host.number] = address end
        return list
    end

    return book
end

return fleet_book
