-- Which resolvers a host asks, as seen by the worker that has its packets: counts, when each began, how many names, and whose answers are odd.
--
-- One table a host, in a lunette.state: { queries, count, more, list = { address → one }, order = { addresses } }, and for each resolver { first, last, queries,
-- answers, before (the host's questions up to its first one), domains, names }. A host address has one family, so an IPv6 resolver never
-- counts against an IPv4 one.
local resolver_table = {}

local RESOLVERS = 12 -- that are kept of a host
local NAMES = 4      -- domains that are told apart of a resolver
local WEEK = 7 * 86400
local PLACES = 24    -- addresses, and domains behind them, that are kept of one

-- states: hosts (the tables above), remembered ("client name" → the latest answer of a host that asks more than one resolver), placed ("client resolver" → where it
-- places domains).
function resolver_table.new(states)
    local hosts, remembered, placed = states.hosts, states.remembered, states.placed
    local object = {}

    -- The resolver that gives way when there are many: the one asked longest ago, if that was a week ago or hardly ever.
    local function place_of_least(own, time)
        local place, oldest
        for i = 1, own.count do
            local one = own.list[own.order[i]]
            if (one.queries < 10 or time - one.last > WEEK) and (not oldest or one.last < oldest) then place, oldest = i, one.last end
        end
        return place
    end

    --- Counts a question; gives what is known of the resolver and the host. nil if the host has too many resolvers for this one to be kept.
    function object.asked(client, server, time)
        local own = hosts:get(client)
        if not own then
            own = { queries = 0, count = 0, more = 0, list = {}, order = {} }
            hosts:set(client, own)
        end
        local one = own.list[server]
        if not one then
            local place = own.count < RESOLVERS and own.count + 1 or place_of_least(own, time)
            if not place then
                own.more = own.more + 1
                return nil
            end
            if place <= own.count then own.list[own.order[place]] = nil else own.count = place end
            one = { first = time, last = time, queries = 0, answers = 0, before = own.queries, domains = 0, names = {} }
            own.list[server], own.order[place] = one, server
        end
        own.queries, one.queries, one.last = own.queries + 1, one.queries + 1, time
        if own.queries % 64 == 0 then hosts:set(client, own) end -- it is in use: keep it
        return one, own
    end

    -- Domains of a new resolver's questions, until there are enough to say that it is asked for all kinds.
    function object.note_domain(one, domain)
        if one.domains >= NAMES or not domain or one.names[domain] then return end
        one.names[domain], one.domains = true, one.domains + 1
    end

    function object.answered(client, server)
        local own = hosts:get(client)
        local one = own and own.list[server]
        if not one then return nil end
        one.answers = one.answers + 1
        return one, own
    end

    function object.each() return hosts:each() end

    --- The resolver that the host asked most before this one, and what is known of it; nil if there was none.
    function object.usual(own, server)
        local best, known
        for i = 1, own.count do
            local address = own.order[i]
            local one = own.list[address]
            if address ~= server and (not known or one.queries > known.queries) then best, known = address, one end
        end
        return best, known
    end

    local function block_of(address)
        return address:match("^(%d+%.%d+)%.") or address:match("^(%x+:%x+):") or address
    end

    -- Have two lists of addresses a block (/16, of IPv6 /32) in common? Content networks answer each resolver with addresses of their own, but
    -- mostly out of their blocks.
    local function is_apart(list, other)
        for i = 1, math.min(#list, 8) do
            for j = 1, math.min(#other, 8) do
                if block_of(list[i]) == block_of(other[j]) then return false end
            end
        end
        return true
    end

    --- Of hosts that ask more than one: compares an answer with what another resolver said of the same name, and counts how many domains
    --- a resolver places at one address.
    function object.compare(client, server, one, name, domain, list, time)
        if not domain then return end
        local pair = client .. " " .. server
        local places = placed:get(pair)
        if not places then
            places = { most = 0, domains = 0, seen = {}, at = {} }
            placed:set(pair, places)
        end
        local first = list[1]
        if not places.seen[domain] and places.domains < PLACES then
            places.seen[domain], places.domains = true, places.domains + 1
            local n = (places.at[first] or 0) + 1
            places.at[first] = n
            if n > places.most then places.most, places.common = n, first end
        end
        local key = client .. " " .. name
        local before = remembered:get(key)
        if before and before.server ~= server and time - before.time < 3600 then
            one.compared = (one.compared or 0) + 1
            if is_apart(list, before.list) then
                one.apart = (one.apart or 0) + 1
                one.example = one.example or { name = name, here = first, there = before.list[1], other = before.server }
            end
        elseif not before or before.server == server then
            local copy = {}
            for i = 1, math.min(#list, 8) do copy[i] = list[i] end
            remembered:set(key, { server = server, list = copy, time = time })
        end
    end

    --- What is odd about a resolver's answers: nil, or { weight, common, at_one, domains, compared, apart, example }. Many domains at one address (weight 2)
    --- are what a resolver makes that leads people elsewhere, unless another one says the same. That most names have other addresses there than with
    --- another resolver (weight 1) is less: content networks do that too, if mostly within a block.
    function object.oddness(client, server, one)
        local places = placed:get(client .. " " .. server)
        if not places then return nil end
        local compared, apart = one.compared or 0, one.apart or 0
        local at_one = places.most >= 4 and places.most >= places.domains * 0.5 and (compared < 3 or apart >= compared * 0.5)
        if not at_one and (apart < 5 or apart < compared * 0.8) then return nil end
        return { weight = at_one and 2 or 1, common = at_one and places.common or nil, at_one = places.most, domains = places.domains, compared = compared, apart = apart,
            example = one.example }
    end

    return object
end

return resolver_table
