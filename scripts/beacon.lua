-- Beacons: something on this Mac calls home by a timer.
--
-- What it looks for. An implant asks its server for work every so often: each minute, each hour, with some jitter.
-- Each check-in looks like any HTTPS connection; what gives it away is that a clock drives it, to a server that
-- hardly anybody else on the network knows. So this detector collects the check-ins of every (client, server name,
-- TLS stack): connections begun, and requests after 2 s of quiet within open ones, so that keep-alive, HTTP/2 and
-- QUIC hide nothing. lunette.beat judges whether a timer is behind them; the score adds how rare the name is among
-- the clients here and how new. Timing alone does not tell a C2 server from a mail check: on labelled traffic it
-- finds one in ten at one false alarm per hundred pairs, with the name's rarity and age nine in ten.
--
-- Why it is different on a Mac. A laptop sleeps many times a day and sleep() sleeps with it, so intervals by the wall
-- clock are torn to pieces. Intervals are measured on each client's awake clock, moved on by whatever the client is
-- seen to do. Dark wakes (Power Nap, about hourly) make system services look periodic at night: see
-- data/beacon_benign.txt.
--
-- What makes false alarms. Programs that poll a server nobody else here uses: menu-bar apps, self-hosted mail or git,
-- home automation, backups by cron, a dashboard left open. Expect about 50 such pairs per 100 Macs in two weeks, most
-- of them polled with good reason. Once the program is known, add the name to the list. In a capture of a single Mac
-- rarity means nothing (a half is put in its place), and no name has a history: expect more of them, never with high
-- severity. A sensor's first day has the same trouble: what was there from the beginning may be years old, so its
-- names count as some days older than seen.
--
-- What it misses. Random sleep with random sizes both; C2 on a name that everybody uses (fronting, chat and cloud
-- services) unless the implant brings a TLS stack of its own; a new name for every check-in; several Macs behind one
-- address; intervals beyond three days. Clients are known by address: one that changes it begins anew.
--
-- How it is divided. Check-ins are collected and timers recognised where a client's traffic is seen: in its worker. How
-- rare and how new a name is, only all workers together know: each tells of new pairs, of clients that talk, and of the
-- timers that it found (lunette.send), and the judgement is made in one place (lunette.gather, at the end of this file).
--
-- A second rule, of low severity, is for the implant that connects once and holds the line: a very long flow to a
-- rare, new name. It needs no check-ins and no eye for what is inside the flow.
--
-- ATT&CK: T1071.001 web protocols, T1029 scheduled transfer, T1573 encrypted channel; for the long flow T1071.
local lunette = require "lunette"
local beat = require "lunette.beat"

lunette.detector {
    title = "Beacon to a rare server",
    category = "Command and Control",
    attack = "T1071.001, T1029, T1573",
}

local HOUR, DAY = 3600, 86400

local tunables = lunette.tunables {
    score = 3.0,             -- alert from this score (at most 5)
    high_score = 4.5,        -- high severity from this one
    span = 1800,             -- seconds between first and last check-in before any alert: installers and scripts loop for less
    medium_span = 7200,      -- below this span severity is low
    few = 8,                 -- with so many check-ins or fewer severity is low: a daily beacon's first week
    alone = 6,               -- where rarity is not known (below ten clients) only timers this sure (A) are reported at all …
    sure = 10,               -- … and with low severity up to this
    internal = false,        -- also look at servers in the home networks
    cooldown = 7 * DAY,      -- seconds until the same client and name are reported again at the same severity
    learning = DAY,          -- names seen this soon after the start have an unknown age …
    unknown_age = 5,         -- … and count as this many days older, where there are ten clients or more
    long_hours = 4,          -- a flow this long …
    long_clients = 2,        -- … to a name that no more clients than this know …
    long_days = 4,           -- … and that is no older than this is reported
    max_pairs = 100000,      -- pairs kept; about 0.7 KiB each
    max_names = 100000,      -- (name, stack) kept
    max_clients = 20000,     -- clients kept
    top = 15,                -- rows of the report at the end
}

-- ------------------------------------------------------------------------------------------------------------ state

local function with(fields, more)
    local all = {}
    for name, kind in pairs(fields) do all[name] = kind end
    for name, kind in pairs(more) do all[name] = kind end
    return all
end

-- Clients: the awake clock, and when it was last told that the client talks to the outside.
local clients = lunette.records("clients", {
    max = tunables.max_clients, ttl = 14 * DAY,
    fields = with(beat.CLOCK_FIELDS, { told = "f64" }),
})

-- Pairs: lunette.beat's state; when evaluated last, at which n next; how check-ins came.
local pairs_seen = lunette.records("pairs", {
    max = tunables.max_pairs, ttl = 14 * DAY,
    fields = with(beat.PAIR_FIELDS, { looked = "f64", due = "u32", flows = "u32", bursts = "u32", port = "u16" }),
})

local benign = lunette.set.domains(lunette.lines("beacon_benign.txt"))
local nowhere = lunette.set.prefixes { "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "0.0.0.0/8", "127.0.0.0/8", "::1/128" }

-- Services that run by the clock on every Mac and carry no check-ins: their own detectors look at them.
local NO_PAIRS = { dns = true, ntp = true }

local SEPARATOR = "\t"
-- What workers tell: the keys of messages. What is told at the end has the pair's key behind it, so that it comes in that order.
local STARTED, TALKS, PAIR, TIMER, LONG, REST = "started", "talks", "pair", "timer", "long", "rest"

-- The part of a JA4 that stays the same when the stack resumes a session or offers another ALPN: transport, version and the
-- hash of its ciphers. Else one program would be several pairs.
local function stack_of(ja4)
    if not ja4 then return "plain" end
    return #ja4 == 36 and ja4:sub(1, 3) .. ja4:sub(11, 23) or ja4
end

-- ------------------------------------------------------------------------------------------------------ awake clocks

local own = { started = false } -- kept over a reload: the table that stands in the state is the one that is used here
lunette.state("own", { max = 1 }):set("all", own)

local function seen(client, t)
    if not own.started then
        own.started = true
        lunette.send(STARTED)
    end
    local clock = clients:make(client)
    beat.tick(clock, t)
    return clock
end

local function sign_of_life(e) seen(e.client_ip, e.time) end
lunette.on("flow_start", { client_local = true }, sign_of_life)
lunette.on("dns", { client_local = true, type = "query" }, sign_of_life)
lunette.on("ntp", { client_local = true, to_server = true }, sign_of_life)

-- ------------------------------------------------------------------------------------------------------------ verdicts

local function duration(seconds)
    if seconds < 120 then return ("%.0f s"):format(seconds) end
    if seconds < 2 * HOUR then return ("%.0f min"):format(seconds / 60) end
    if seconds < 2 * DAY then return ("%.1f h"):format(seconds / HOUR) end
    return ("%.1f days"):format(seconds / DAY)
end

local function round(value, digits)
    local unit = 10 ^ (digits or 2)
    return math.floor(value * unit + 0.5) / unit
end

-- Why a timer: the strongest reasons in words.
local function rhythm(f)
    local words = {}
    if f.tim >= 0.3 then
        words[1] = ("about every %s (%.0f %% of the intervals, typically %.0f %% off)"):format(duration(f.period), f.crowd * 100,
            f.jitter * 100)
    end
    if f.fano > 0.8 then
        words[#words + 1] = "spread more evenly than chance"
    elseif f.fano >= 0.5 then
        words[#words + 1] = "spread out, not in bursts as people's are"
    end
    if f.so + f.si > 1.4 then words[#words + 1] = "of the same sizes" end
    if f.awake < 0.9 * f.span then
        words[#words + 1] = ("the client seen awake for %.0f %% of the time"):format(f.awake / f.span * 100)
    end
    return table.concat(words, ", ")
end

local features = {} -- scratch

-- Tells of a pair, unless it can matter to nobody: its score is at most that of a name which nobody else knows.
local function tell(key, pair, client, name, stack, least)
    local f = beat.features(pair, features)
    if not f then return end
    local A = beat.automation(f)
    if A <= least and beat.score(A, 1, 1e9, 0) < tunables.score or benign:has(name) then return end
    lunette.send(key, {
        client = client, name = name, stack = stack, A = A, n = f.n, span = f.span, awake = f.awake, tim = f.tim, fano = f.fano,
        so = f.so, si = f.si, period = f.period, jitter = f.jitter, crowd = f.crowd, clock = f.clock,
        flows = pair.flows, bursts = pair.bursts, port = pair.port,
    })
end

local function look(pair, client, name, stack, now)
    pair.looked = now
    if pair.tl - pair.t0 >= tunables.span then tell(TIMER, pair, client, name, stack, math.huge) end
end

-- ------------------------------------------------------------------------------------------------------------- events

lunette.on("onset", { client_local = true }, function(e)
    local t, client = e.time, e.client_ip
    local clock = seen(client, t)
    if e.server_local and not tunables.internal then return end
    if NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end

    local name, stack = e.server_name or e.server_ip, stack_of(e.ja4)
    local pair, new = pairs_seen:make(client .. SEPARATOR .. name .. SEPARATOR .. stack)
    if new then
        clock.told = t
        lunette.send(PAIR, { client = client, name = name, stack = stack, t = t })
        pair.due, pair.looked, pair.port = beat.MINIMUM, t, e.server_port
    elseif t - clock.told >= HOUR then
        clock.told = t
        lunette.send(TALKS, { client = client, t = t })
    end
    if not beat.update(pair, t, beat.awake(clock, t), e.client_payload, e.server_payload) then return end
    if e.kind == "start" then pair.flows = pair.flows + 1 else pair.bursts = pair.bursts + 1 end

    -- Look when there is twice as much to see, or every hour.
    local now = lunette.now()
    if pair.n >= pair.due then
        pair.due = pair.due * 2
        look(pair, client, name, stack, now)
    elseif now - pair.looked >= HOUR then
        look(pair, client, name, stack, now)
    end
end)

lunette.on("flow", { client_local = true }, function(e)
    if e.age < tunables.long_hours * HOUR then return end
    if e.server_local and not tunables.internal or NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end
    if e.client_payload == 0 or e.server_payload == 0 then return end
    local name = e.server_name or e.server_ip
    if benign:has(name) then return end
    lunette.send(LONG, {
        client = e.client_ip, name = name, stack = stack_of(e.ja4), age = e.age, out = e.client_payload,
        back = e.server_payload, onsets = e.onsets, port = e.server_port, protocol = e.app_proto or "unknown",
    })
end)

lunette.on_end(function()
    for key, pair in pairs_seen:each() do
        local client, name, stack = key:match("^([^\t]*)\t(.*)\t([^\t]*)$")
        if pair.tl - pair.t0 >= tunables.span then tell(REST .. SEPARATOR .. key, pair, client, name, stack, 0) end
    end
end)

-- ------------------------------------------------------------------------------------------ over all workers: the judgement

lunette.gather(function()
    local ENOUGH_CLIENTS = 10 -- to say what is rare

    -- Clients: a number for the bit sets below, and when they were last known to talk to an outside server.
    local known = lunette.records("known clients", {
        max = tunables.max_clients, ttl = 14 * DAY, fields = { number = "u32", talked = "f64" },
    })

    -- Names per TLS stack: when first seen, and by whom. A bit for each client by its number: exact for 512 clients, then
    -- several share a bit and the count falls short, but only for names that are common anyway.
    local CLIENT_BITS = 512
    local names = lunette.records("names", {
        max = tunables.max_names, fields = { first = "f64", clients = "u32", bits = "u8[64]" },
    })

    -- The severity that was told of a pair.
    local told = lunette.state("told", { max = tunables.max_pairs, ttl = 14 * DAY })

    -- Kept over a reload: the table that stands in the state is the one that is used here.
    local fleet = {
        started = nil,       -- clock of the first event
        client_number = 0,   -- last one given
        active = 0,          -- clients that talked to an outside server within 14 days
    }
    lunette.state("fleet", { max = 1 }):set("all", fleet)

    -- Who is still here? The dead of a fortnight no longer count among those a name could have had.
    lunette.every(HOUR, function(now)
        fleet.active = 0
        for _, client in known:each() do
            if now - client.talked < 14 * DAY then fleet.active = fleet.active + 1 end
        end
    end)

    local function talks(address, t)
        local client, new = known:make(address)
        if new then
            fleet.client_number = fleet.client_number + 1
            client.number = fleet.client_number
            fleet.active = fleet.active + 1
        end
        client.talked = math.max(client.talked, t)
        return client
    end

    -- The client is one of those that know the name.
    local function introduce(name_key, address, t)
        local client = talks(address, t)
        local name, new = names:make(name_key)
        if new then name.first = t end
        local at = client.number % CLIENT_BITS
        local index, mask = math.floor(at / 8), 2 ^ (at % 8)
        local byte = name:at("bits", index)
        if byte % (2 * mask) < mask then
            name:put("bits", index, byte + mask)
            name.clients = name.clients + 1
        end
    end

    -- Days since the name was first seen here, as far as one can know; and the clients that know it.
    local function standing(name_key, now)
        local name = names:get(name_key)
        if not name then return 0, 1 end
        local age = math.max(0, now - name.first) / DAY
        if fleet.active >= ENOUGH_CLIENTS and name.first - fleet.started < tunables.learning then age = age + tunables.unknown_age end
        return age, math.max(1, name.clients)
    end

    local RANK = { low = 1, medium = 2, high = 3 }

    local function severity_of(f, score)
        if f.n <= tunables.few or f.span < tunables.medium_span then return "low" end
        if fleet.active < ENOUGH_CLIENTS and f.A < tunables.sure then return "low" end
        return score >= tunables.high_score and "high" or "medium"
    end

    -- Of what was told of a pair: its score, the name's age and the clients that know it.
    local function judge(f, now)
        local age, with_name = standing(f.name .. SEPARATOR .. f.stack, now)
        return beat.score(f.A, with_name, fleet.active, age), age, with_name
    end

    local function evaluate(f, now)
        local score, age, with_name = judge(f, now)
        if score < tunables.score then return end
        if fleet.active < ENOUGH_CLIENTS and f.A < tunables.alone then return end
        local severity = severity_of(f, score)
        local pair = f.client .. SEPARATOR .. f.name .. SEPARATOR .. f.stack
        local before = told:get(pair) or 0
        told:set(pair, math.max(RANK[severity], before))
        if RANK[severity] < before then return end
        lunette.alert {
            severity = severity,
            who = f.client,
            where = f.name,
            why = ("%d check-ins within %s, %s; %d of %d clients know the name, first seen %s ago"):format(f.n, duration(f.span),
                rhythm(f), with_name, fleet.active, duration(age * DAY)),
            evidence = {
                check_ins = f.n, flows = f.flows, bursts_in_flows = f.bursts, span_s = round(f.span, 0),
                awake_share = round(f.span > 0 and math.min(1, f.awake / f.span) or 1),
                period_s = f.tim > 0 and round(f.period, 1) or nil, jitter = f.tim > 0 and round(f.jitter) or nil,
                clock = f.tim > 0 and f.clock or nil, intervals_at_period = round(f.crowd),
                timing = round(f.tim), evenness = round(f.fano),
                size_out = round(f.so), size_in = round(f.si), automation = round(f.A), clients_with_name = with_name,
                clients = fleet.active, name_age_days = round(age), tls_stack = f.stack, server_port = f.port,
            },
            next = "Which program asks? On the Mac: lsof -i, nettop; launch agents and login items made around the first check-in. " ..
                "Then the server: its certificate, the domain's registration.",
            score = round(score),
            confidence = round(1 / (1 + math.exp(-f.A))),
            key = f.client .. SEPARATOR .. f.name .. SEPARATOR .. severity, cooldown = tunables.cooldown,
        }
    end

    local function long_flow(flow, now)
        local age, with_name = standing(flow.name .. SEPARATOR .. flow.stack, now)
        -- The flow itself is no proof of the name's age.
        if age - flow.age / DAY > tunables.long_days or with_name > tunables.long_clients then return end
        lunette.alert {
            title = "Long flow to a rare new server",
            severity = "low",
            attack = "T1071",
            who = flow.client,
            where = flow.name,
            why = ("one flow held for %s; %d of %d clients know the name, which was not seen before %s ago"):format(
                duration(flow.age), with_name, fleet.active, duration(math.max(age * DAY, flow.age))),
            evidence = {
                hours = round(flow.age / HOUR), bytes_out = flow.out, bytes_in = flow.back, onsets = flow.onsets,
                clients_with_name = with_name, clients = fleet.active, name_age_days = round(age), tls_stack = flow.stack,
                server_port = flow.port, protocol = flow.protocol,
            },
            next = "A VPN, a chat or a remote desktop would explain it. If none does: which program holds the connection (lsof -i)?",
            key = "long" .. SEPARATOR .. flow.client .. SEPARATOR .. flow.name, cooldown = tunables.cooldown,
        }
    end

    -- ------------------------------------------------------------------------------------------------------- at the end

    local found = {}

    lunette.on_end(function()
        if #found == 0 then return end
        table.sort(found, function(a, b)
            if a[1] ~= b[1] then return a[1] > b[1] end
            if a[2] ~= b[2] then return a[2] < b[2] end
            return a[3] < b[3]
        end)
        local rows = {}
        for i = 1, math.min(#found, tunables.top) do
            local r = found[i]
            rows[i] = { ("%.2f"):format(r[1]), r[2], r[3], tostring(r[4]), r[5], r[6], ("%d/%d"):format(r[7], fleet.active), ("%.1f"):format(r[8]) }
        end
        lunette.report {
            title = "Timers behind traffic",
            columns = { ">score", "client", "server", ">check-ins", ">span", ">period", ">clients", ">timer" },
            rows = rows,
            note = ("Pairs that look automatic: %d. A score of %.1f alerts. clients: how many know the name. timer: A, above 4 hardly a person")
                :format(#found, tunables.score),
        }
    end)

    -- --------------------------------------------------------------------------------------------- what the workers tell

    lunette.receive(function(key, value, now)
        fleet.started = fleet.started or now
        if key == PAIR then
            introduce(value.name .. SEPARATOR .. value.stack, value.client, value.t)
        elseif key == TALKS then
            talks(value.client, value.t)
        elseif key == TIMER then
            evaluate(value, now)
        elseif key == LONG then
            long_flow(value, now)
        elseif key ~= STARTED then -- what is left at the end
            evaluate(value, now)
            if value.A <= 0 then return end
            local score, _, with_name = judge(value, now)
            found[#found + 1] = { score, value.client, value.name, value.n, duration(value.span),
                value.tim > 0 and duration(value.period) or "-", with_name, value.A }
        end
    end)
end)
