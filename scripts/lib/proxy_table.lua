-- Which proxies a host uses, as seen by the worker that has its packets, and how much went direct beside them.
--
-- One table a host, in a lunette.state: { direct, direct_bytes, direct_first, direct_last, turns, count, list = { "address:port" → one }, order }, and for each proxy
-- { label, server, port, kind, first, last, requests, refused, bytes, target }. Hosts that never used one have no list to speak of: some 300 bytes each.
local proxy_table = {}

local PROXIES = 8 -- that are kept of a host

function proxy_table.new(hosts)
    local object = {}

    local function own_of(client)
        local own = hosts:get(client)
        if own then return own end
        own = { direct = 0, direct_bytes = 0, direct_first = 0, direct_last = 0, turns = 0, count = 0 }
        hosts:set(client, own)
        return own
    end

    function object.label(client, server, port)
        local own = hosts:get(client)
        local one = own and own.list and own.list[server .. ":" .. port]
        return one and one.label
    end

    -- The proxy that gives way when there are many.
    local function place_of_oldest(own)
        local place, oldest = 1, math.huge
        for i = 1, own.count do
            local last = own.list[own.order[i]].last
            if last < oldest then place, oldest = i, last end
        end
        return place
    end

    --- A request that was granted or refused; gives the proxy and the host.
    function object.request(client, server, port, kind, time, granted)
        local own = own_of(client)
        if not own.list then own.list, own.order = {}, {} end
        local key = server .. ":" .. port
        local one = own.list[key]
        if not one then
            local place = own.count < PROXIES and own.count + 1 or place_of_oldest(own)
            if place <= own.count then own.list[own.order[place]] = nil else own.count = place end
            one = { label = server:find(":", 1, true) and ("[%s]:%d"):format(server, port) or key, server = server, port = port, kind = kind, first = time, last = time,
                requests = 0, refused = 0, bytes = 0 }
            own.list[key], own.order[place] = one, key
        end
        if granted then one.requests = one.requests + 1 else one.refused = one.refused + 1 end
        one.last, own.turns = time, own.turns + 1
        if own.turns % 64 == 0 then hosts:set(client, own) end
        return one, own
    end

    function object.volume(client, server, port, bytes)
        local own = hosts:get(client)
        local one = own and own.list and own.list[server .. ":" .. port]
        if one then one.bytes, own.turns = one.bytes + bytes, own.turns + 1 end
    end

    -- A connection that nothing marks as one to a proxy; gives the host, or nil if it goes to a proxy that is known.
    function object.direct(client, server, port, bytes, start)
        local own = own_of(client)
        if own.list and own.list[server .. ":" .. port] then return end
        if own.direct == 0 then own.direct_first = start end
        own.direct, own.direct_bytes, own.direct_last = own.direct + 1, own.direct_bytes + bytes, start
        if own.direct % 64 == 0 then hosts:set(client, own) end -- it is in use: keep it
        return own
    end

    --- The proxy that the host used most before this one; nil if there was none.
    function object.usual(own, this)
        local best
        for i = 1, own.count do
            local one = own.list[own.order[i]]
            if one ~= this and one.first < this.first and (not best or one.requests > best.requests) then best = one end
        end
        return best and best.label, best
    end

    function object.each() return hosts:each() end

    return object
end

return proxy_table
