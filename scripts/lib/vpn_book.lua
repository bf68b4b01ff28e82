-- What is known of all tunnels together: their volume, what goes through them, and what is told of that.
--
-- A packet through a VPN is seen twice on the Mac itself: in clear on utun3 under the tunnel's address, encrypted on en0 under the Mac's. The two belong
-- to different hosts and so, it may be, to different workers; here they meet. They are one if the connections on the interface lie within the life of
-- the encrypted flow, and its bytes are theirs and a header for each packet (vpn_tie.lua).

local figures = require "figures"
local vpn_tie = require "vpn_tie"

local book = {}

local MOST_TUNNELS = 16 -- kept of a host
local MOST_NAMES = 48 -- names kept of an interface; what more there are is counted
local DAY, WAIT = 86400, 240 -- seconds after a tunnel's end in which the last connections through it are over

function book.gather(lunette, tunables, judge)
    local tunnels = lunette.state("tunnels", { max = 10000, ttl = 30 * DAY })
    local keys_of = lunette.state("tunnels of hosts", { max = 10000, ttl = 30 * DAY }) -- host → keys of its tunnels, the last ones
    local flow_keys = lunette.state("flows of tunnels", { max = 20000, ttl = 3 * DAY }) -- "host server port" → key of the tunnel
    local inside = lunette.state("inside", { max = 64, ttl = 2 * DAY })    -- "interface address" → account
    local bases = lunette.state("bases here", { max = 1000, ttl = DAY })    -- addresses of the capturing Mac's own interfaces, it may be
    local pending = lunette.state("pending", { max = 2000, ttl = DAY })     -- encrypted flows that are over
    local random = lunette.state("random", { max = 5000, ttl = DAY })       -- host → servers that got random bytes
    local own = { pending = 0, socks = {} }
    lunette.state("own here", { max = 1 }):set("all", own)

    local receive = {}

    -- ------------------------------------------------------------ accounts

    local function key_of(news)
        return ("%s %s %s"):format(news.host, news.kind or "", news.provider or news.name or news.server)
    end

    local function label_of(account)
        local label = judge.title(account.kind)
        if account.provider and account.provider ~= label then label = ("%s (%s%s)"):format(label, account.provider, account.sure and "" or ", likely") end
        return label
    end

    local function by_bytes(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] < b[1] end
    local function by_last(a, b) return a[2].last > b[2].last or a[2].last == b[2].last and a[1] < b[1] end

    local function top_names(through, count)
        local list = {}
        for name, bytes in pairs(through.names) do list[#list + 1] = { name, bytes } end
        table.sort(list, by_bytes)
        local words = {}
        for i = 1, math.min(count, #list) do words[i] = ("%s %s"):format(list[i][1], figures.bytes(list[i][2])) end
        return words, #list + through.more
    end

    local function update_fact(host)
        local lines, details = {}, {}
        local list = {}
        for _, key in ipairs(keys_of:get(host) or {}) do
            local account = tunnels:get(key)
            if account then list[#list + 1] = { key, account } end
        end
        table.sort(list, by_last)
        for i = 1, math.min(4, #list) do
            local account = list[i][2]
            local text = ("%s to %s%s"):format(label_of(account), account.name or account.server, account.allowed and ", allowed" or "")
            local bytes = account.up + account.down
            if bytes > 0 then
                text = ("%s: %s up, %s down"):format(text, figures.bytes(account.up), figures.bytes(account.down))
                if account.own + account.other > 0 then
                    text = ("%s, %d %% of the host's traffic meanwhile"):format(text, figures.percent(account.own, account.own + account.other))
                end
            end
            if account.through then text = ("%s; through %s: %s"):format(text, account.through, account.names) end
            lines[i] = text
            details[i] = { kind = account.kind, provider = account.provider, server = account.name or account.server, flows = account.flows,
                up = account.up, down = account.down, allowed = account.allowed, interface = account.through }
        end
        if #list > 4 then lines[5] = ("and %d more"):format(#list - 4) end
        if #lines > 0 then lunette.fact(host, "vpn", lines, { tunnels = details }) end
    end

    function receive.tunnel(news)
        local key = key_of(news)
        local account = tunnels:get(key)
        if not account then
            local keys = keys_of:get(news.host) or {}
            if #keys >= MOST_TUNNELS then table.remove(keys, 1) end
            keys[#keys + 1] = key
            keys_of:set(news.host, keys)
        end
        account = account or { host = news.host, kind = news.kind, provider = news.provider, server = news.server, name = news.name,
            port = news.port, first = news.time, last = news.time, flows = 0, up = 0, down = 0, own = 0, other = 0, day = 0, day_up = 0, day_down = 0 }
        account.sure = news.how ~= nil and news.how:sub(1, 6) ~= "likely"
        account.flows, account.last, account.allowed, account.stated = account.flows + 1, news.time, news.allowed, news.stated
        account.open = (account.open or 0) + 1
        tunnels:set(key, account)
        -- A flow of that server, for the message at its end, which knows its protocol alone.
        flow_keys:set(("%s %s %d"):format(news.host, news.server, news.port), key)
        update_fact(news.host)
    end

    -- A large upload through a tunnel that nobody allowed: sums of a day, told once.
    local function check_upload(account, news)
        if account.allowed or account.day_up < tunables.upload_mb * 1e6 or account.day_up < tunables.upload_times * account.day_down then return end
        -- Who sends so much on other days too backs up or copies; the size of it is the news then.
        local habit = not account.stated and (account.most_up or 0) * tunables.upload_times >= account.day_up
        lunette.alert {
            title = "Upload through a tunnel", severity = account.stated and "high" or habit and "low" or "medium",
            score = account.stated and 8 or habit and 3 or 6, confidence = habit and 0.3 or 0.6,
            category = "Exfiltration", attack = "T1048,T1572", who = account.host, where = account.name or account.server,
            why = ("%s sent within a day by %s to %s, %s came back%s: nobody can see what it was%s"):format(figures.bytes(account.day_up), label_of(account),
                account.name or account.server, figures.bytes(account.day_down), news.program and ", by " .. news.program or "",
                account.stated and ", and the tunnel is none of those that are allowed here"
                    or habit and (", and as much as %s on other days"):format(figures.bytes(account.most_up)) or ""),
            evidence = { kind = account.kind, provider = account.provider, sent = account.day_up, most_before = account.most_up, received = account.day_down, tunnels = account.flows,
                through = account.through, names = account.names, program = news.program },
            next = "Which files did the host read at that time (fs_usage, the EDR's file events)? On a capture of the Mac itself utunN shows the inside: who was called there?",
            key = ("upload %s %s"):format(account.host, account.name or account.server), cooldown = tunables.cooldown,
        }
    end

    function receive.over(news, time)
        local key = flow_keys:get(("%s %s %d"):format(news.host, news.server, news.port))
        local account = key and tunnels:get(key)
        if not account then return end
        account.up, account.down = account.up + news.up, account.down + news.down
        account.own, account.other, account.last = account.own + news.bytes, account.other + news.other, math.max(account.last, news.finish)
        account.open = math.max(0, (account.open or 1) - 1)
        local day = math.floor(news.finish / DAY)
        if day > account.day then
            account.most_up = math.max(account.most_up or 0, account.day_up)
            account.day, account.day_up, account.day_down = day, 0, 0
        end
        account.day_up, account.day_down = account.day_up + news.up, account.day_down + news.down
        tunnels:set(key, account)
        check_upload(account, news)
        news.key, news.due = key, time + WAIT
        own.pending = own.pending + 1
        pending:set(own.pending, news)
        update_fact(news.host)
    end

    -- ------------------------------------------------------------ interfaces

    function receive.base(news) bases:set(news.host, { time = news.time, stated = news.stated }) end

    -- The capturing Mac's own address, if it has one that is known; `who` else.
    local function base_of(who)
        local one, count = nil, 0
        for address, base in bases:each() do one, count = { address, base.stated }, count + 1 end
        if count == 1 then return one[1], one[2] end
        return who, false
    end

    function receive.inner(news)
        local key = news.iface .. " " .. news.client
        local account = inside:get(key) or { iface = news.iface, client = news.client, flows = 0, talks = 0, up = 0, down = 0, first = news.start,
            last = news.finish, names = {}, count = 0, more = 0, programs = {}, program_count = 0, ring = vpn_tie.ring() }
        account.flows, account.up, account.down = account.flows + 1, account.up + news.up, account.down + news.down
        account.first, account.last = math.min(account.first, news.start), math.max(account.last, news.finish)
        if news.talk then account.talks = account.talks + 1 end
        local bytes = news.up + news.down
        if account.names[news.name] then
            account.names[news.name] = account.names[news.name] + bytes
        elseif account.count < MOST_NAMES then
            account.names[news.name], account.count = bytes, account.count + 1
        else
            account.more = account.more + 1
        end
        if news.program and not account.programs[news.program] and account.program_count < 16 then
            account.programs[news.program], account.program_count = true, account.program_count + 1
        end
        vpn_tie.add(account.ring, news)
        account.heard = lunette.now()
        inside:set(key, account)
    end

    local function tell_tie(tunnel, flow, through, tie)
        local words, count = top_names(through, 5)
        tunnel.through, tunnel.names = through.iface, table.concat(words, ", ")
        through.tied = tunnel.host
        tunnels:set(flow.key, tunnel)
        inside:set(through.iface .. " " .. through.client, through)
        lunette.alert {
            title = "What goes through the tunnel", severity = "info", score = 1, confidence = tie.confidence, attack = "T1572", who = tunnel.host,
            where = tunnel.name or tunnel.server,
            why = ("%s (%s) is the inside of the %s to %s: %s began within its life, the first %s after it; %s up and %s down inside, %s and %s outside; what goes through: %s"):format(
                through.iface, through.client, label_of(tunnel), tunnel.name or tunnel.server, figures.count(tie.flows, "connection"),
                figures.duration(tie.delay), figures.bytes(tie.up), figures.bytes(tie.down), figures.bytes(flow.up), figures.bytes(flow.down),
                table.concat(words, ", ")),
            evidence = { interface = through.iface, inner_address = through.client, flows = tie.flows, names = words, name_count = count, inner_up = tie.up,
                inner_down = tie.down, outer_up = flow.up, outer_down = flow.down, header_up = tie.header_up, header_down = tie.header_down,
                delay = figures.round(tie.delay, 1) },
            next = "Judge the names inside as if there were no tunnel: other detectors see them under the address " .. through.client .. ".",
            key = ("tie %s %s"):format(through.iface, flow.key), cooldown = tunables.cooldown,
        }
        update_fact(tunnel.host)
    end

    -- The interfaces of which something is known, in order.
    local function interfaces()
        local list = {}
        for key in inside:each() do list[#list + 1] = key end
        table.sort(list)
        return list
    end

    local function look_for_tie(flow, keys)
        local tunnel = tunnels:get(flow.key)
        if not tunnel then return end
        for _, key in ipairs(keys) do
            local through = inside:get(key)
            local tie = vpn_tie.weigh(through.ring, flow)
            if tie then return tell_tie(tunnel, flow, through, tie) end
        end
    end

    -- Programs' traffic through an interface, and no tunnel that could be its outside: told when there was time to see one.
    local function tell_interface(through, unsure)
        local who, stated = base_of(through.client)
        stated = stated and not unsure
        local words = top_names(through, 5)
        local list = {}
        for program in pairs(through.programs) do list[#list + 1] = program end
        table.sort(list)
        lunette.alert {
            title = "Programs talk through a tunnel interface", severity = stated and "medium" or "low", score = stated and 5 or 3, confidence = 0.6,
            attack = "T1572", who = who, where = through.iface,
            why = ("%s of %s through %s (address %s there), %s up and %s down, and no tunnel that is known leads out%s; called: %s"):format(
                figures.count(through.talks, "connection"), #list > 0 and table.concat(list, ", ") or "programs", through.iface, through.client,
                figures.bytes(through.up), figures.bytes(through.down), stated and "; nobody allowed one" or "", table.concat(words, ", ")),
            evidence = { interface = through.iface, inner_address = through.client, connections = through.talks, sent = through.up,
                received = through.down, names = words, programs = list },
            next = "Who made the interface? ifconfig -v shows its agent; scutil --nc list and systemextensionsctl list show the VPNs. Then look for its outside: one "
                .. "connection of the same volume on en0.",
            key = ("interface %s %s"):format(who, through.iface), cooldown = tunables.cooldown,
        }
        lunette.fact(who, "vpn", ("%s up, %s down through %s by an unknown tunnel: %s"):format(figures.bytes(through.up), figures.bytes(through.down),
            through.iface, table.concat(words, ", ")))
    end

    -- Of the Mac itself, where that is known; else of anybody.
    local function tunnel_alive(through, who)
        for _, tunnel in tunnels:each() do
            if (who == through.client or tunnel.host == who) and tunnel.first <= through.last + 2 and (tunnel.last >= through.first - 5 or (tunnel.open or 0) > 0) then return true end
        end
        return false
    end

    local function look_at_interfaces(keys, now, at_end)
        for _, key in ipairs(keys) do
            local through = inside:get(key)
            if not through.tied and not through.told and through.talks >= tunables.interface_flows and (at_end or now - through.first >= WAIT) then
                through.told = true
                inside:set(key, through)
                local who = base_of(through.client)
                local given = judge.is_given_interface(who, through.iface)
                if not given and not tunnel_alive(through, who) then tell_interface(through, given == nil) end
            end
        end
    end

    local function settle(now, at_end)
        local list, keys = {}, interfaces()
        for number, flow in pending:each() do
            if at_end or now >= flow.due then list[#list + 1] = number end
        end
        table.sort(list)
        for _, number in ipairs(list) do
            local flow = pending:get(number)
            pending:set(number, nil)
            if #keys > 0 then look_for_tie(flow, keys) end
        end
        look_at_interfaces(keys, now, at_end)
    end

    -- ------------------------------------------------------------ random bytes

    function receive.socks(news)
        own.socks[#own.socks + 1] = news.time
        if #own.socks > 256 then table.remove(own.socks, 1) end
    end

    local function behind_socks(start)
        for i = #own.socks, 1, -1 do
            local gap = start - own.socks[i]
            if gap >= -0.05 and gap <= 2 then return true end
        end
        return false
    end

    function receive.random(news)
        local local_proxy = behind_socks(news.start)
        if news.loopback and not local_proxy then return end
        local known = random:get(news.host) or { servers = {}, count = 0, since = news.start }
        if news.start - known.since > 3600 then known = { servers = {}, count = 0, since = news.start } end
        local where = news.server .. " " .. news.port
        local server = known.servers[where]
        if not server then
            server = { flows = 0, sent = 0, received = 0 }
            known.count = known.count + 1
            if known.count <= tunables.random_servers then known.servers[where] = server end
        end
        server.flows, server.sent, server.received = server.flows + 1, server.sent + news.sent, server.received + news.received
        random:set(news.host, known)
        if known.count > tunables.random_servers or server.flows < tunables.random_flows and not local_proxy then return end
        lunette.alert {
            title = local_proxy and "Random bytes behind a local SOCKS proxy" or "Connections of random bytes to one server", severity = "low", score = 3,
            confidence = local_proxy and 0.6 or 0.3, attack = local_proxy and "T1572,T1090.001" or "T1572", who = news.host, where = news.name or news.server,
            why = ("%s to %s port %d%s: both sides' bytes are random from the first one on, as of Shadowsocks, VMess or obfs4; %s up, %s down%s"):format(
                figures.count(server.flows, "connection"), news.name or news.server, news.port, news.program and " by " .. news.program or "",
                figures.bytes(server.sent), figures.bytes(server.received),
                local_proxy and "; right after a program asked a SOCKS proxy on the host itself" or ""),
            evidence = { connections = server.flows, port = news.port, sent = server.sent, received = server.received, program = news.program,
                local_proxy = local_proxy, servers = known.count },
            next = "Which program holds the connections (lsof -i)? A game's or a maker's own protocol looks the same; a proxy's client has a local port open as well.",
            key = ("random %s %s"):format(news.host, where), cooldown = tunables.cooldown,
        }
    end

    -- ------------------------------------------------------------ the gathering's own

    lunette.receive(function(kind, news, time) receive[kind](news, time) end)
    lunette.every(60, function(now)
        if pending:count() > 0 or inside:count() > 0 then settle(now, false) end
    end)

    lunette.on_end(function(now)
        settle(now, true)
        local rows = {}
        for _, account in tunnels:each() do
            local all = account.own + account.other
            rows[#rows + 1] = { account.host, label_of(account), account.name or account.server, tostring(account.flows),
                os.date("!%m-%d %H:%M", math.floor(account.first)), figures.bytes(account.up), figures.bytes(account.down),
                all > 0 and ("%d %%"):format(figures.percent(account.own, all)) or "",
                account.allowed and "yes" or account.stated and "no" or "nobody said",
                account.through and ("%s: %s"):format(account.through, account.names) or "", account.up + account.down }
        end
        if #rows == 0 then return end
        table.sort(rows, function(a, b)
            if a[11] ~= b[11] then return a[11] > b[11] end
            return a[1] .. a[2] .. a[3] < b[1] .. b[2] .. b[3]
        end)
        local left = math.max(0, #rows - tunables.rows)
        for i = #rows, tunables.rows + 1, -1 do rows[i] = nil end
        for i = 1, #rows do rows[i][11] = nil end
        lunette.report {
            title = "Tunnels",
            columns = { "host", "tunnel", "server", ">flows", "first", ">sent", ">received", ">share", "allowed", "through" },
            rows = rows,
            note = "Share is of the host's bytes while its tunnels lasted." .. (left > 0 and (" %d more."):format(left) or ""),
        }
    end)
end

return book
