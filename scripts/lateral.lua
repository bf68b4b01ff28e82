-- From Mac to Mac: logins and shares between hosts here that had nothing to do with each other.
--
-- What it looks for. Who has one Mac wants the next. There is little that a Mac's owner has to do on another Mac, and what there is, is habit: the same
-- laptop and the same file server, the administrator's machine and all others. So each (client, server, service) is remembered, for file sharing (SMB,
-- AFP, NFS), ssh, Screen Sharing and VNC, Apple Remote Desktop, remote Apple events, RDP, WinRM. Four rules:
--
--   new pair   a session between two hosts that never had one, once the sensor has learnt the habits (`learn_days`). It weighs more if both are Macs, if
--              the client never used that service, if a script or an odd program began it; less if many use that server, or if the client had just
--              looked for such services by Bonjour, as Finder's sidebar and a person do.
--   walk       one client tries the same service at host after host within an hour.
--   guessing   one client fails to log in again and again; worse if it gets in then.
--   next hop   a host that was entered from another begins a session of its own with a third within half an hour, both pairs new.
--
-- Why it matters on a Mac. Remote Login, Screen Sharing and file sharing are a click in System Settings (or a line of launchctl), tunnel well through
-- firewalls at home and at work, and are logged where nobody looks.
--
-- What makes false alarms. New colleagues, a replaced Mac, a first backup to another Mac, inventory and monitoring (walks), addresses that DHCP gives to
-- another machine. Finder tries the shares of what it finds in the network by itself: hence eight for a walk.
--
-- Left out: what machines that are known to be no Macs do among themselves.
--
-- What it misses. A switch between two Macs of one access point that the sensor does not see; sessions inside a VPN; the same pair put to another use;
-- passwords tried slowly.
--
-- ATT&CK: T1021.002 SMB, T1021.004 SSH, T1021.005 VNC, T1021.001 RDP, T1021.006 WinRM, T1018 and T1046 discovery, T1110 brute force, T1570 transfer.
local lunette = require "lunette"
local figures = require "figures"
local programs = require "programs"

lunette.detector { title = "Session between hosts that never had one", category = "Lateral Movement", attack = "T1021" }

local tunables = lunette.tunables {
    learn_days = 3,       -- habits are known after so many days; before, no pair is new
    medium = 4, high = 6, -- points from which on a new pair has that severity
    many = 3,             -- a server that so many clients use is one for all
    walk = 8,             -- hosts that a client tries by one service …
    walk_seconds = 3600,  -- … within so long
    failures = 10,        -- logins that fail …
    short = 30,           -- … or connections by ssh too short and small for work: git and inventories make such as well …
    failures_seconds = 600, -- … within so long
    hop_seconds = 1800,   -- from being entered to entering the next
    max_pairs = 50000,
    cooldown = 86400,
}

local HOUR, DAY = 3600, 86400

local SERVICES = {
    [22] = { name = "ssh", attack = "T1021.004" }, [445] = { name = "SMB", attack = "T1021.002" }, [139] = { name = "SMB", attack = "T1021.002" },
    [548] = { name = "AFP", attack = "T1021" }, [2049] = { name = "NFS", attack = "T1021" }, [5900] = { name = "Screen Sharing", attack = "T1021.005" },
    [5901] = { name = "VNC", attack = "T1021.005" }, [3283] = { name = "Apple Remote Desktop", attack = "T1021.005" },
    [3031] = { name = "remote Apple events", attack = "T1021" }, [3389] = { name = "RDP", attack = "T1021.001" },
    [5985] = { name = "WinRM", attack = "T1021.006" }, [5986] = { name = "WinRM", attack = "T1021.006" },
}
local PORTS = { 22, 139, 445, 548, 2049, 3031, 3283, 3389, 5900, 5901, 5985, 5986 }
local ATTACK = {}
for _, service in pairs(SERVICES) do ATTACK[service.name] = service.attack end
-- A share is mounted by Finder itself; a login is somebody's.
local HARMLESS = { SMB = true, AFP = true, NFS = true }
local REQUEST, ANSWER = 2500, 1500 -- bytes beyond which a flow was more than a handshake and a refusal …
local SSH_HANDSHAKE = 4000 -- … by ssh, whose newer key exchanges and six wrong passwords come near it
local SSH_BURSTS = 5       -- a person types three passwords before she is refused

local SURE = 0.6 -- confidence from which on a host is known to be no Mac

-- What workers tell.
local TRIED, SESSION, FAILED, WHO = "tried", "session", "failed", "who"

-- ---------------------------------------------------------------- in the workers

local said = lunette.state("said", { max = 20000, ttl = HOUR }) -- what was told within the hour
local browsed = lunette.state("browsed", { max = 5000, ttl = 600 })
local entered = lunette.flow_state { told = "bool", bursts = "u8" }

-- A worker knows the hosts that are dealt to it: who is who is asked where all are known.
lunette.on("mac_identity.host", function(e)
    local mac = e.kind == "mac" or e.kind == "apple"
    lunette.send(WHO, { address = e.address, name = e.name, mac = mac, other = not mac and e.kind ~= "" and e.confidence >= SURE })
end)

lunette.on("mdns", { type = "query", client_local = true }, function(e)
    if #e.browsed > 0 then browsed:set(e.client_ip, true) end
end)

-- Once an hour for each pair is enough for habits.
local function tell(what, e, value)
    local key = what .. " " .. e.client_ip .. " " .. e.server_ip .. " " .. e.server_port
    if said:get(key) and what ~= FAILED then return end
    said:set(key, true)
    lunette.send(what, value)
end

local function value_of(e)
    local service = SERVICES[e.server_port]
    return { client = e.client_ip, server = e.server_ip, service = service and service.name or e.app_proto or "?", port = e.server_port }
end

local function say_session(e, how)
    if e.client_ip == e.server_ip then return end
    local flow = entered:of(e)
    if flow then
        if flow.told then return end
        flow.told = true
    end
    local value = value_of(e)
    value.how, value.browsed = how, browsed:get(e.client_ip) or false
    if e.program then
        local class = programs.class(e.program, e.path)
        value.program, value.ancestry = e.program, e.ancestry
        value.odd = class == "interpreter" or class == "shell" or programs.is_within(e.path) == "temp" or false
    end
    tell(SESSION, e, value)
end

lunette.on("flow_start", { proto = "TCP", client_local = true, server_local = true, server_port = PORTS }, function(e)
    if e.client_ip ~= e.server_ip then tell(TRIED, e, value_of(e)) end
end)

lunette.on("smb", { client_local = true, server_local = true, command = "session_setup" }, function(e)
    if e.result == "success" then say_session(e, "logged in" .. (e.user and " as " .. e.user or ""))
    elseif e.result == "failure" then tell(FAILED, e, value_of(e)) end
end)

lunette.on("rfb", { client_local = true, server_local = true }, function(e)
    if e.result == "accepted" then say_session(e, "accepted")
    elseif e.result == "refused" then tell(FAILED, e, value_of(e)) end
end)

-- Who goes on after two seconds is in; by ssh, who goes on for longer than passwords take.
lunette.on("onset", { proto = "TCP", client_local = true, server_local = true, server_port = PORTS, kind = "burst" }, function(e)
    if e.server_payload == 0 or HARMLESS[SERVICES[e.server_port].name] then return end
    if e.server_port == 22 then
        local flow = entered:of(e)
        if not flow or flow.told then return end
        flow.bursts = flow.bursts + 1
        if flow.bursts < SSH_BURSTS then return end
    end
    say_session(e, "at work")
end)

local function judge_flow(e)
    local is_ssh = e.app_proto == "ssh"
    local request, answer = is_ssh and SSH_HANDSHAKE or REQUEST, is_ssh and SSH_HANDSHAKE or ANSWER
    if e.client_payload > request and e.server_payload > answer and (e.age > 10 or e.client_payload + e.server_payload > 20000) then
        say_session(e, ("%s out, %s in"):format(figures.bytes(e.client_payload), figures.bytes(e.server_payload)))
    elseif is_ssh and e.age < 10 and e.client_payload <= SSH_HANDSHAKE and e.server_payload <= SSH_HANDSHAKE then
        local value = value_of(e)
        value.short = true
        tell(FAILED, e, value)
    end
end

lunette.on("flow", { proto = "TCP", client_local = true, server_local = true, server_port = PORTS }, judge_flow)
-- ssh is ssh at any port.
lunette.on("flow", { proto = "TCP", client_local = true, server_local = true, app_proto = "ssh" }, function(e)
    if not SERVICES[e.server_port] then judge_flow(e) end
end)

-- ---------------------------------------------------------------- over all workers

lunette.gather(function()
    local pairs_known = lunette.state("pairs", { max = tunables.max_pairs, ttl = 60 * DAY })   -- client, server, service → when last
    local uses = lunette.state("uses", { max = tunables.max_pairs, ttl = 60 * DAY })           -- client, service → true
    local servers = lunette.state("servers", { max = 10000, ttl = 60 * DAY })                  -- server, service → number of clients
    local walks = lunette.state("walks", { max = 5000, ttl = tunables.walk_seconds })          -- client, service → { first, n, servers }
    local guesses = lunette.state("guesses", { max = 5000, ttl = HOUR })                       -- pair → { first, n, told }
    local entries = lunette.state("entries", { max = 5000, ttl = tunables.hop_seconds })       -- host → { from, service, time }
    local fleet = { started = nil }
    lunette.state("fleet", { max = 1 }):set("all", fleet)

    local who = lunette.state("who", { max = 20000, ttl = 60 * DAY })                          -- address → { name, mac }, of mac_identity

    local function key_of(m) return m.client .. "\t" .. m.server .. "\t" .. m.service end

    -- A host's own name, by which it is known again at another address; the address if it has none of its own.
    local function id_of(ip)
        local one = who:get(ip)
        local name = one and one.name
        if not name or name == "" or name:lower():find("^i?mac[%a%-]*%-?%d*$") or name:lower():find("^iphone") or name:lower():find("^ipad") then return ip end
        return name
    end

    -- IPv6 gives a Mac another address each day, all but on the link itself.
    local function is_passing(ip) return ip:find(":", 1, true) ~= nil and ip:sub(1, 4) ~= "fe80" and id_of(ip) == ip end

    local function learn(m, time)
        local client, server = id_of(m.client), id_of(m.server)
        pairs_known:set(key_of(m), time)
        uses:set(m.client .. "\t" .. m.service, true)
        if client == m.client and server == m.server then return end
        pairs_known:set(client .. "\t" .. server .. "\t" .. m.service, time)
        uses:set(client .. "\t" .. m.service, true)
    end

    local function is_known(m)
        return (pairs_known:get(key_of(m)) or pairs_known:get(id_of(m.client) .. "\t" .. id_of(m.server) .. "\t" .. m.service)) ~= nil
    end

    -- What machines that are known to be no Macs do among themselves is not our business.
    local function are_others(m)
        local client, server = who:get(m.client), who:get(m.server)
        return client ~= nil and client.other and server ~= nil and server.other
    end

    local function is_mac(ip)
        local one = who:get(ip)
        return one ~= nil and one.mac
    end

    local function tried(m, time)
        local key = m.client .. "\t" .. m.service
        local walk = walks:get(key)
        if not walk or time - walk.first > tunables.walk_seconds then walk = { first = time, n = 0, servers = {} } end
        if walk.servers[m.server] or walk.n >= tunables.walk or is_known(m) then return end
        walk.servers[m.server], walk.n = true, walk.n + 1
        walks:set(key, walk)
        if walk.n < tunables.walk then return end
        local list = {}
        for server in pairs(walk.servers) do list[#list + 1] = server end
        table.sort(list)
        lunette.alert {
            title = "Host after host is tried", severity = HARMLESS[m.service] and "low" or "medium", score = 5, confidence = 0.6,
            attack = "T1018, T1046, " .. (ATTACK[m.service] or "T1021"), who = m.client, where = m.service,
            why = ("%s at %d hosts here within %s, none of which it had a session with before"):format(m.service, walk.n, figures.duration(time - walk.first)),
            evidence = { service = m.service, port = m.port, hosts = walk.n, first = list[1], last = list[#list], seconds = figures.round(time - walk.first, 1) },
            next = "Monitoring and inventory walk as well, each day at the same time. Else: which program is it, and did a host let it in?",
            key = "walk " .. key, cooldown = tunables.cooldown,
        }
    end

    local function failed(m, time)
        local key = key_of(m)
        local guess = guesses:get(key)
        if not guess or time - guess.first > tunables.failures_seconds then guess = { first = time, n = 0 } end
        guess.n = guess.n + 1
        local least = m.short and tunables.short or tunables.failures
        guess.many = guess.n >= least
        guesses:set(key, guess)
        if guess.n ~= least then return end
        lunette.alert {
            title = "Logins that fail again and again", severity = "medium", score = 5, confidence = 0.6, attack = "T1110, " .. (ATTACK[m.service] or "T1021"),
            who = m.client, where = m.server .. " by " .. m.service,
            why = (m.short and "%d connections by %s within %s, each too short and small for more than a login that came to nothing"
                or "%d logins by %s that came to nothing within %s"):format(guess.n, m.service, figures.duration(time - guess.first)),
            evidence = { service = m.service, failures = guess.n, seconds = figures.round(time - guess.first, 1) },
            next = "A changed password fails as often from a program that keeps trying: same time apart, same user. Did one succeed after that?",
            key = "guess " .. key, cooldown = tunables.cooldown,
        }
    end

    -- Points of a new pair, and why.
    local function weigh(m, time)
        local points, signs = 2, {}
        local function sign(weight, words)
            points = points + weight
            signs[#signs + 1] = words
        end
        local passing = is_passing(m.client)
        if passing then sign(-2, "an address of IPv6 that changes each day") end
        if is_mac(m.client) and is_mac(m.server) then sign(1, "both are Macs") end
        if not passing and not uses:get(m.client .. "\t" .. m.service) and not uses:get(id_of(m.client) .. "\t" .. m.service) then sign(1, "this host never used " .. m.service .. " before") end
        if m.odd then sign(2, "begun by " .. m.program .. (m.ancestry and " < " .. m.ancestry or "")) end
        local clients = servers:get(m.server .. "\t" .. m.service) or 0
        if clients >= tunables.many then sign(-2, ("%d others use that server"):format(clients)) end
        if m.browsed then sign(-1, "it had just looked for services by Bonjour") end
        local guess = guesses:get(key_of(m))
        if guess and guess.many then sign(3, ("after %d logins that failed"):format(guess.n)) end
        local entry = entries:get(m.client)
        if entry and time - entry.time <= tunables.hop_seconds and entry.from ~= m.server then
            sign(2, ("it was itself entered from %s by %s %s before"):format(entry.from, entry.service, figures.duration(time - entry.time)))
        else
            entry = nil
        end
        return points, signs, entry, guess and guess.many
    end

    local function session(m, time)
        local key = key_of(m)
        local learnt = fleet.started and time - fleet.started >= tunables.learn_days * DAY
        if not is_known(m) then
            local points, signs, entry, forced = weigh(m, time)
            -- Before the habits are known a pair says nothing by being new.
            if (learnt or forced) and points >= 2 or (entry and points >= tunables.medium) then
                local severity = points >= tunables.high and "high" or points >= tunables.medium and "medium" or "low"
                -- Administrators go by one host to the next: it takes the habits, or what began it, to be more than a lead.
                if not learnt and not forced then severity = m.odd and "medium" or "low" end
                lunette.alert {
                    title = "Session between hosts that never had one", severity = severity, score = math.min(10, points), confidence = learnt and 0.6 or 0.4,
                    attack = (ATTACK[m.service] or "T1021") .. (forced and ", T1110" or ""), who = m.client, where = m.server .. " by " .. m.service,
                    why = ("The first %s from %s to %s%s (%s): %s"):format(m.service, m.client, m.server, learnt
                        and (" in %s of watching"):format(figures.duration(time - fleet.started)) or " that was seen", m.how,
                        #signs > 0 and table.concat(signs, ", ") or "nothing else is odd about it"),
                    evidence = { service = m.service, port = m.port, signs = signs, entered_from = entry and entry.from, program = m.program, ancestry = m.ancestry },
                    next = "Ask who sits at " .. m.client .. ". On " .. m.server .. ": which user logged in, and what was started or copied?",
                    key = "pair " .. key, cooldown = tunables.cooldown,
                }
            end
            if not HARMLESS[m.service] then entries:set(m.server, { from = m.client, service = m.service, time = time }) end
            local server_key = m.server .. "\t" .. m.service
            servers:set(server_key, (servers:get(server_key) or 0) + 1)
        end
        learn(m, time)
    end

    -- Habits are learnt from the sensor's beginning on, not from the first session.
    lunette.every(60, function(now) fleet.started = fleet.started or now end)

    lunette.receive(function(what, m, time)
        fleet.started = fleet.started or time
        if what == WHO then return who:set(m.address, { name = m.name, mac = m.mac, other = m.other }) end
        if are_others(m) then return end
        if what == SESSION then session(m, time)
        elseif what == TRIED then tried(m, time)
        elseif what == FAILED then failed(m, time) end
    end)
end)
