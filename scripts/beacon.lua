-- Beacons: something on this Mac calls home by a timer.
--
-- What it looks for. An implant asks its server for work every so often: each minute, each hour, with some jitter.
-- Each check-in looks like any HTTPS connection; what gives it away is that a clock drives it, to a server that
-- hardly anybody else on the network knows. So this detector collects the check-ins of every (client, server name,
-- TLS stack): connections begun, and requests after 2 s of quiet within open ones, so that keep-alive, HTTP/2 and
-- QUIC and WebSocket hide nothing. Who only asks DNS, and never calls what was named, may be answered there: queries below a
-- registrable domain are check-ins too. lunette.beat judges whether a timer is behind them; the score adds how rare the name is among
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
-- of them polled with good reason. Once the program is known, allow the name (`allowed`), or add it to the list. In a capture of a single Mac
-- rarity means nothing (a half is put in its place), and no name has a history: expect more of them, never with high
-- severity. A sensor's first day has the same trouble: what was there from the beginning may be years old, so its
-- names count as some days older than seen.
--
-- Over DNS: reputation and block lists that are asked by name, software that tests its own resolver, a name that is looked up
-- for a call that another sensor sees. Queries of a local resolver are its clients', and are left alone.
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
-- A name is as old as it was at the client's first check-in, and begins to age a fortnight later: see lib/beacon_fleet.lua. Who knows
-- since when names have been called here (from the resolver's log, say) can tell in data/beacon_known.txt.
--
-- ATT&CK: T1071.001 web protocols, T1029 scheduled transfer, T1573 encrypted channel; over DNS T1071.004; for the long flow T1071.
local lunette = require "lunette"
local beat = require "lunette.beat"
local fleets = require "beacon_fleet"
local pairs_of = require "beacon_pairs"
local domain_of = require "domain_of"
local story = require "beacon_story"
local figures = require "figures"

local duration, round = figures.duration, figures.round

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
    allowed = "",            -- names (and all below them), addresses and networks of servers that may be called by a timer, divided by commas or blanks
    internal = false,        -- also look at servers in the home networks
    dns = true,              -- also look at timers behind DNS queries
    cooldown = 14 * DAY,     -- seconds until the same client and name are reported again at the same severity
    learning = DAY,          -- names seen this soon after the start have an unknown age …
    unknown_age = 5,         -- … and count as this many days older, where there are ten clients or more
    long_hours = 4,          -- a flow this long …
    long_clients = 2,        -- … to a name that no more clients than this know …
    long_days = 4,           -- … and that is no older than this is reported
    max_pairs = 100000,      -- pairs kept with four check-ins or more, 0.7 KiB each; and as many with fewer, 0.1 KiB each
    max_dns = 30000,         -- the same of DNS
    max_names = 100000,      -- (name, stack) kept
    max_clients = 20000,     -- clients kept
    top = 15,                -- rows of the report at the end
    census = false,          -- have all pairs with four check-ins or more in that report, with all digits: to measure the method
}

-- ------------------------------------------------------------------------------------------------------------ state

local TTL = 14 * DAY

-- Clients: the awake clock, and when it was last told that the client talks to the outside.
local clock_fields = { told = "f64" }
for name, kind in pairs(beat.CLOCK_FIELDS) do clock_fields[name] = kind end
local clients = lunette.records("clients", { max = tunables.max_clients, ttl = TTL, fields = clock_fields })

local book = pairs_of.open(lunette, beat, "pairs", tunables.max_pairs, TTL)
local dns_book = pairs_of.open(lunette, beat, "dns pairs", tunables.max_dns, TTL)

-- "client domain" → true: it was called, so what DNS is asked about it is not all. The client's address → true: it answers DNS.
local called = lunette.state("called", { max = tunables.max_dns, ttl = TTL })
local resolvers = lunette.state("resolvers", { max = 1000, ttl = TTL })

-- Of a pair's key: the program that was behind it when it was looked at last, and its ancestors, with a tab between.
local programs = lunette.state("programs", { max = 10000, ttl = TTL })

local benign = lunette.set.domains(lunette.lines("beacon_benign.txt"))
local allow = require("allowed").list(lunette, tunables.allowed)
local history, history_names = fleets.history(lunette.lines("beacon_known.txt"))
local nowhere = lunette.set.prefixes { "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "0.0.0.0/8", "127.0.0.0/8", "::1/128" }

-- Names below which nobody can have registered anything: of the house, and reverse look-ups.
local of_the_house = lunette.set.domains {
    "local", "localhost", "lan", "home", "internal", "intranet", "private", "corp", "localdomain", "fritz.box", "home.arpa", "arpa", "test", "invalid",
}

-- Services that run by the clock on every Mac and carry no check-ins: their own detectors look at them.
local NO_PAIRS = { dns = true, ntp = true }

local SEPARATOR = "\t"
local DNS = "dns" -- in place of a TLS stack
-- What workers tell: the keys of messages. What is told at the end has the pair's key behind it, so that it comes in that order.
-- That a client talks, and whom it called first, is told so often that no table is made for it: see `talks` and `introduce`.
local STARTED, TIMER, LONG, REST = "started", "timer", "long", "rest"

-- The part of a JA4 that stays the same when the stack resumes a session or offers another ALPN: transport, version and the
-- hash of its ciphers. Else one program would be several pairs. Few are in use at a time, so they are made once.
local stacks, stack_count, STACKS = {}, 0, 4096
local function stack_of(ja4)
    if not ja4 then return "plain" end
    local stack = stacks[ja4]
    if stack then return stack end
    stack = #ja4 == 36 and ja4:sub(1, 3) .. ja4:sub(11, 23) or ja4
    if stack_count >= STACKS then stacks, stack_count = {}, 0 end
    stacks[ja4], stack_count = stack, stack_count + 1
    return stack
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
lunette.on("ntp", { client_local = true, to_server = true }, sign_of_life)

-- ------------------------------------------------------------------------------------------------------------ verdicts

local features = {} -- scratch

-- Tells of a pair, unless it can matter to nobody: its score is at most that of a name which nobody else knows.
local function tell(key, id, pair, client, name, stack, least)
    local f = beat.features(pair, features)
    if not f then return end
    local dns = stack == DNS
    local plain = dns and f.so >= 0.5 and pair.flows >= pair.bursts -- one name, for an address: a look-up like others
    if dns then f.so, f.si = 0.5, 0.5 end -- what the rings held were no sizes
    local A = beat.automation(f)
    if not tunables.census and (A <= least and beat.score(A, 1, 1e9, 0) < tunables.score or benign:has(name) or allow.host(name)) then return end
    local line, drawn = story.bars(beat, pair, f.clock)
    local who = programs:get(id)
    local program, ancestry = (who or ""):match("^([^\t]+)\t(.*)$")
    lunette.send(key, {
        client = client, name = name, stack = stack, A = A, n = f.n, began = pair.t0, span = f.span, awake = f.awake, tim = f.tim,
        fano = f.fano, so = f.so, si = f.si, period = f.period, jitter = f.jitter, crowd = f.crowd, clock = f.clock, dns = dns, plain = plain,
        flows = pair.flows, bursts = pair.bursts, port = pair.port, line = line, drawn = drawn,
        program = program, ancestry = ancestry ~= "" and ancestry or nil,
    })
end

-- Looks when there is twice as much to see, or every hour if there is an eighth more.
local function due(pair)
    local now, n = lunette.now(), pair.n
    if n >= pair.due then
        pair.due = pair.due * 2
    elseif n < pair.more or now - pair.looked < HOUR then
        return false
    end
    pair.looked, pair.more = now, n + n / 8
    return pair.tl - pair.t0 >= tunables.span
end

local function look(id, pair, client, name, stack, e)
    local program = e.program
    if program then programs:set(id, program .. SEPARATOR .. (e.ancestry or "")) end
    tell(TIMER, id, pair, client, name, stack, math.huge)
end

-- ------------------------------------------------------------------------------------------------------------- events

local function talks(client, t) lunette.send(client, t) end

-- A new pair: the client talks, and right behind that comes to whom.
local function introduce(client, t, name, stack)
    talks(client, t)
    lunette.send(name .. SEPARATOR .. stack, client)
end

-- What is called, DNS need not wonder about.
local function is_called(client, name)
    local domain = domain_of(name)
    if domain then called:set(client .. SEPARATOR .. domain .. SEPARATOR .. DNS, true) end
end

lunette.on("onset", { client_local = true }, function(e)
    local t, client = e.time, e.client_ip
    local clock = seen(client, t)
    if e.server_local and not tunables.internal then return end
    if NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end

    local name, stack = e.server_name or e.server_ip, stack_of(e.ja4)
    local id = client .. SEPARATOR .. name .. SEPARATOR .. stack
    local pair, new = book.check_in(id, t, beat.awake(clock, t), e.client_payload, e.server_payload, e.kind == "start" and 1 or 0)
    if new then
        clock.told = t
        introduce(client, t, name, stack)
        is_called(client, name)
    elseif t - clock.told >= HOUR then
        clock.told = t
        talks(client, t)
    end
    if not pair then return end
    pair.port = e.server_port
    if due(pair) then look(id, pair, client, name, stack, e) end
end)

-- In place of a size: so that the same name gives the same step of lunette.beat's, and another mostly another one.
local function name_code(name)
    local middle = math.floor(#name / 2)
    local a, b, c, d = name:byte(1), name:byte(math.min(4, #name)), name:byte(middle), name:byte(middle + 1)
    return 2 ^ ((#name * 31 + (a or 0) * 7 + (b or 0) * 13 + (c or 0) * 17 + (d or 0) * 29) % 61 / 2)
end

local ADDRESS_TYPES = { [1] = true, [28] = true, [65] = true } -- A, AAAA, HTTPS: what is asked before a connection

-- A query is a sign of life, and a check-in with whoever has the domain. Of DNS `flows` counts the queries for addresses and
-- `bursts` those of other types: what somebody asks who means the answer. Service discovery (RFC 6763) asks by the clock for
-- names of the house, whatever these end in.
lunette.on("dns", { client_local = true, type = "query" }, function(e)
    local t, client, name = e.time, e.client_ip, e.rrname
    local clock = seen(client, t)
    if not tunables.dns or not name or of_the_house:has(e, "rrname") or resolvers:get(client) then return end
    local domain = domain_of(name)
    if not domain or name:find("._udp.", 1, true) or name:find("._tcp.", 1, true) then return end
    local id = client .. SEPARATOR .. domain .. SEPARATOR .. DNS
    local pair, new = dns_book.check_in(id, t, beat.awake(clock, t), name_code(name), 0, ADDRESS_TYPES[e.qtype] and 1 or 0)
    if new then introduce(client, t, domain, DNS) end
    if not pair then return end
    pair.port = e.server_port
    if due(pair) and not called:get(id) then look(id, pair, client, domain, DNS, e) end
end)

lunette.on("dns", { server_local = true, type = "answer" }, function(e)
    local resolver = e.server_ip
    if not resolvers:get(resolver) then resolvers:set(resolver, true) end
end)

lunette.on("flow", { client_local = true }, function(e)
    if e.age < tunables.long_hours * HOUR then return end
    if e.server_local and not tunables.internal or NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end
    if e.client_payload == 0 or e.server_payload == 0 then return end
    local name = e.server_name or e.server_ip
    if benign:has(name) or allow.host(name) then return end
    lunette.send(LONG, {
        client = e.client_ip, name = name, stack = stack_of(e.ja4), age = e.age, out = e.client_payload,
        back = e.server_payload, onsets = e.onsets, port = e.server_port, protocol = e.app_proto or "unknown",
        program = e.program, ancestry = e.ancestry,
    })
end)

lunette.on_end(function()
    for _, kept in ipairs { book, dns_book } do
        for id, pair in kept.each() do
            local client, name, stack = id:match("^([^\t]*)\t(.*)\t([^\t]*)$")
            if (pair.tl - pair.t0 >= tunables.span or tunables.census) and not (stack == DNS and called:get(id)) then
                tell(REST .. SEPARATOR .. id, id, pair, client, name, stack, 0)
            end
        end
    end
end)

-- ------------------------------------------------------------------------------------------ over all workers: the judgement

lunette.gather(function()
    local fleet = fleets.open(lunette, tunables, history, history_names)

    -- The severity that was told of a pair.
    local told = lunette.state("told", { max = tunables.max_pairs, ttl = TTL })

    local RANK = { low = 1, medium = 2, high = 3 }

    local function severity_of(f, score)
        if f.plain or f.n <= tunables.few or f.span < tunables.medium_span then return "low" end
        if not fleet.is_large() and f.A < tunables.sure then return "low" end
        return score >= tunables.high_score and "high" or "medium"
    end

    -- Of what was told of a pair: its score, and what is known of the name.
    local function judge(f, now)
        local standing = fleet.standing(f.name .. SEPARATOR .. f.stack, f.began, now)
        return beat.score(f.A, standing.with_name, standing.clients, standing.age), standing
    end

    local NEXT = "Which program asks? On the Mac: lsof -i, nettop; launch agents and login items made around the first check-in. " ..
        "Then the server: its certificate, the domain's registration."
    local NEXT_DNS = "Look at the names and answers (lunette replay --record dns): data in subdomains or TXT? " ..
        "On the Mac mDNSResponder asks for others: its log (log stream --process mDNSResponder) names the program."

    local function alert(f, score, standing, severity)
        lunette.alert {
            title = f.dns and "Beacon over DNS" or nil,
            attack = f.dns and "T1071.004, T1029" or nil,
            severity = severity,
            who = f.client,
            where = f.name,
            why = ("%s%d %s within %s, %s; %d of %d clients know the name, first seen %s ago"):format(story.actor(f), f.n,
                f.dns and "queries below the domain, and no connection," or "check-ins", duration(f.span), story.rhythm(f),
                standing.with_name, standing.clients, duration(standing.seen * DAY)),
            evidence = story.evidence(f, standing),
            next = f.dns and NEXT_DNS or NEXT,
            score = round(score),
            confidence = round(1 / (1 + math.exp(-f.A))),
            key = f.client .. SEPARATOR .. f.name .. SEPARATOR .. severity, cooldown = tunables.cooldown,
        }
    end

    local function evaluate(f, now)
        local score, standing = judge(f, now)
        if score < tunables.score then return end
        if not fleet.is_large() and (f.A < tunables.alone or f.plain) then return end
        local severity = severity_of(f, score)
        local pair = f.client .. SEPARATOR .. f.name .. SEPARATOR .. f.stack
        local before = told:get(pair) or 0
        told:set(pair, math.max(RANK[severity], before))
        if RANK[severity] >= before then alert(f, score, standing, severity) end
    end

    local function long_flow(flow, now)
        local standing = fleet.standing(flow.name .. SEPARATOR .. flow.stack, now, now)
        -- The flow itself is no proof of the name's age.
        if standing.age - flow.age / DAY > tunables.long_days or standing.with_name > tunables.long_clients then return end
        lunette.alert {
            title = "Long flow to a rare new server",
            severity = "low",
            attack = "T1071",
            who = flow.client,
            where = flow.name,
            why = ("%sone flow held for %s; %d of %d clients know the name, which was not seen before %s ago"):format(
                flow.program and flow.program .. ": " or "", duration(flow.age), standing.with_name, standing.clients,
                duration(math.max(standing.age * DAY, flow.age))),
            evidence = {
                hours = round(flow.age / HOUR), bytes_out = flow.out, bytes_in = flow.back, onsets = flow.onsets,
                clients_with_name = standing.with_name, clients = standing.clients, name_age_days = round(standing.age),
                tls_stack = flow.stack, server_port = flow.port, protocol = flow.protocol, program = flow.program, ancestry = flow.ancestry,
            },
            next = "A VPN, a chat or a remote desktop would explain it. If none does: which program holds the connection (lsof -i)?",
            key = "long" .. SEPARATOR .. flow.client .. SEPARATOR .. flow.name, cooldown = tunables.cooldown,
        }
    end

    -- ------------------------------------------------------------------------------------------------------- at the end

    local found = {}

    local function row_of(r)
        if tunables.census then
            return { ("%.9g"):format(r.score), r.client, r.name, tostring(r.n), ("%.3f"):format(r.span), ("%.3f"):format(r.period),
                ("%d/%d"):format(r.with_name, fleet.clients()), ("%.9g"):format(r.A) }
        end
        return { ("%.2f"):format(r.score), r.client, r.name, tostring(r.n), duration(r.span), r.period > 0 and duration(r.period) or "-",
            ("%d/%d"):format(r.with_name, fleet.clients()), ("%.1f"):format(r.A) }
    end

    lunette.on_end(function()
        if #found == 0 then return end
        table.sort(found, function(a, b)
            if a.score ~= b.score then return a.score > b.score end
            if a.client ~= b.client then return a.client < b.client end
            if a.name ~= b.name then return a.name < b.name end
            return a.stack < b.stack
        end)
        local rows = {}
        for i = 1, tunables.census and #found or math.min(#found, tunables.top) do rows[i] = row_of(found[i]) end
        lunette.report {
            title = "Timers behind traffic",
            columns = { ">score", "client", "server", ">check-ins", ">span", ">period", ">clients", ">timer" },
            rows = rows,
            note = ("Pairs that look automatic: %d. A score of %.1f alerts. clients: how many know the name. timer: A, above 4 hardly a person")
                :format(#found, tunables.score),
        }
    end)

    -- --------------------------------------------------------------------------------------------- what the workers tell

    local talked = 0 -- when the client did of whom was told last

    lunette.receive(function(key, value, now)
        fleet.began(now)
        local kind = type(value)
        if kind == "number" then
            talked = value
            fleet.talks(key, talked)
        elseif kind == "string" then
            fleet.introduce(key, value, talked)
        elseif key == TIMER then
            evaluate(value, now)
        elseif key == LONG then
            long_flow(value, now)
        elseif key ~= STARTED then -- what is left at the end
            if value.span >= tunables.span then evaluate(value, now) end
            if value.A <= 0 and not tunables.census then return end
            local score, standing = judge(value, now)
            found[#found + 1] = { score = score, client = value.client, name = value.name, stack = value.stack, n = value.n, span = value.span,
                period = value.tim > 0 and value.period or 0, with_name = standing.with_name, A = value.A }
        end
    end)
end)
