-- What DHCP told whom: the resolvers, routers and proxy scripts of each lease, and which servers there are in a network.
--
-- For the part of a detector that gathers, since a lease and what its host does then may be seen by different workers. A worker hands over
-- replies with `note(e)`; `add` keeps them and gives what is odd about them:
--
--   second   two servers in one network that say different things. Certain if both answer one transaction; else they must speak by turns within half
--            an hour, or, where many hosts are seen, within a day: a laptop between home and a café of the same numbers has two servers as well,
--            and mostly two addresses.
--   changed  one server that says something else than before.
--
-- Servers that stand in for each other say the same, and are nothing odd. A network is the block of addresses that the lease's mask makes (of
-- IPv6 64 bits), in its VLAN.
local lunette = require "lunette"
local address = require "lunette.address"

local book = {}

local DAY = 86400
local TURNS = 1800
local TRANSACTION = 60 -- seconds that a request is out
local SERVERS = 4 -- that are kept of a network
local TAP = 4     -- hosts with a lease within a day: so many are a network that is watched, fewer one laptop in several

local MASKS = { ["255.255.255.255"] = 32, ["255.255.255.252"] = 30, ["255.255.255.248"] = 29, ["255.255.255.240"] = 28, ["255.255.255.224"] = 27,
    ["255.255.255.192"] = 26, ["255.255.255.128"] = 25, ["255.255.255.0"] = 24, ["255.255.254.0"] = 23, ["255.255.252.0"] = 22,
    ["255.255.248.0"] = 21, ["255.255.240.0"] = 20, ["255.255.224.0"] = 19, ["255.255.192.0"] = 18, ["255.255.128.0"] = 17, ["255.255.0.0"] = 16,
    ["255.0.0.0"] = 8 }
local SPEAKS = { offer = true, ack = true, advertise = true, reply = true }

--- In a worker, for an event dhcp of type reply: what is sent to where it is gathered; nil if it says nothing of resolvers, routers, proxies.
function book.note(e)
    if not SPEAKS[e.message or ""] then return nil end
    local resolvers, routers, pac = e.dns_servers, e.routers, e.pac_url
    if #resolvers == 0 and #routers == 0 and not pac then return nil end
    local version = e.version
    local client = e.assigned_ip or e.current_ip or e.client_ip
    return { host = client, also = version == 6 and e.client_ip or nil, server = e.server_id or e.server_ip, version = version, vlan = e.vlan, id = e.id,
        bits = version == 6 and 64 or MASKS[e.subnet_mask or ""] or 24, resolvers = resolvers, router = routers[1], pac = pac,
        given = e.message == "ack" or e.message == "reply", time = e.time }
end

local function text_of(list)
    local copy = {}
    for i = 1, #list do copy[i] = list[i] end
    table.sort(copy)
    return table.concat(copy, ", ")
end

local function holds(list, value)
    for i = 1, #list do
        if list[i] == value then return true end
    end
    return false
end

--- topic: "resolvers" or "pac", what servers are compared by.
function book.new(topic)
    local leases = lunette.state("leases", { max = 20000, ttl = 30 * DAY })
    local networks = lunette.state("dhcp networks", { max = 2000, ttl = 30 * DAY })
    local given = lunette.state("given by dhcp", { max = 5000, ttl = 30 * DAY }) -- resolver, or PAC URL → the server
    local object = {}

    local function said(reply)
        if topic == "pac" then return reply.pac or "" end
        return text_of(reply.resolvers)
    end

    local function server_of(network, id)
        for i = 1, #network do
            if network[i].id == id then return network[i] end
        end
        local server = { id = id }
        if #network < SERVERS then network[#network + 1] = server end
        return server
    end

    -- Are leases of many hosts seen here? The last few, with their times.
    local function note_host(network, reply)
        local hosts = network.hosts or { at = 0 }
        network.hosts = hosts
        local count = 0
        for i = 1, #hosts do
            if hosts[i].host == reply.host then hosts[i].time = reply.time end
            if reply.time - hosts[i].time < DAY then count = count + 1 end
        end
        for i = 1, #hosts do
            if hosts[i].host == reply.host then
                network.many = count >= TAP
                return
            end
        end
        hosts.at = hosts.at % TAP + 1
        if not hosts[hosts.at] or reply.time - hosts[hosts.at].time >= DAY then count = count + 1 end
        hosts[hosts.at] = { host = reply.host, time = reply.time }
        network.many = math.min(count, TAP) >= TAP
    end

    -- Another server in the network that says something else, and is there at the same time: by one transaction, or by turns (this one, the
    -- other, this one again) within half an hour, or within a day if the other spoke to another host and many hosts were seen.
    local function rival_of(network, server, reply)
        for i = 1, #network do
            local other = network[i]
            if other ~= server and other.said ~= server.said then
                if other.transaction == reply.id and reply.time - other.last < TRANSACTION then return other, "both answered one request" end
                local turns = server.before and other.last > server.before
                if turns and reply.time - server.before < (other.host ~= reply.host and network.many and DAY or TURNS) then return other, "they answer by turns" end
            end
        end
    end

    --- Keeps the reply. Gives nil, or { kind = "second" | "changed", host, server, said, other, other_said, how }.
    function object.add(reply)
        if reply.given then
            local lease = { resolvers = reply.resolvers, router = reply.router, server = reply.server, pac = reply.pac, bits = reply.bits, time = reply.time }
            leases:set(reply.host, lease)
            if reply.also then leases:set(reply.also, lease) end
        end
        for i = 1, math.min(#reply.resolvers, 8) do given:set(reply.resolvers[i], reply.server) end
        if reply.pac then given:set(reply.pac, reply.server) end

        local block = address.network(reply.host, reply.bits)
        if not block then return nil end
        local key = ("%d %d %s"):format(reply.version, reply.vlan, block)
        local network = networks:get(key) or {}
        networks:set(key, network)
        note_host(network, reply)
        local server = server_of(network, reply.server)
        local now_said, before_said = said(reply), server.said
        server.said, server.transaction = now_said, reply.id
        server.before, server.last, server.first, server.host = server.last, reply.time, server.first or reply.time, reply.host

        local finding = { host = reply.host, server = reply.server, said = now_said, network = block, router = reply.router }
        local rival, how = rival_of(network, server, reply)
        if rival then
            -- The one that was there first is the network's own.
            if rival.first > server.first then finding.server, finding.said, rival = rival.id, rival.said, server end
            finding.kind, finding.other, finding.other_said, finding.how = "second", rival.id, rival.said, how
            return finding
        end
        if before_said and before_said ~= now_said then
            finding.kind, finding.other, finding.other_said = "changed", reply.server, before_said
            return finding
        end
    end

    --- The latest lease of a host: { resolvers, router, server, pac, bits, time }, or nil.
    function object.lease(host) return leases:get(host) end

    --- Did DHCP give the host this resolver? "lease", "router" (it is the router, or the server), "others" (to other hosts); false if its lease says
    --- otherwise; nil if no lease is known.
    function object.gave(host, resolver)
        local lease = leases:get(host)
        if lease and holds(lease.resolvers, resolver) then return "lease" end
        if lease and (lease.router == resolver or lease.server == resolver) then return "router" end
        if given:get(resolver) then return "others" end
        if lease and #lease.resolvers > 0 then return false end
        return nil
    end

    function object.gave_url(url) return given:get(url) ~= nil end

    return object
end

return book
