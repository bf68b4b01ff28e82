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
-- address; intervals beyond three days. Clients are known by address: one that changes it begins anew. Each worker
-- counts the clients and names that it sees itself.
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

-- Clients: the awake clock, and a number for the bit sets below (0: has not talked to an outside server yet).
local clients = lunette.records("clients", {
    max = tunables.max_clients, ttl = 14 * DAY,
    fields = with(beat.CLOCK_FIELDS, { number = "u32", talked = "f64" }),
})

-- Names per TLS stack: when first seen, and by whom. A bit for each client by its number: exact for 512 clients, then several
-- share a bit and the count falls short, but only for names that are common anyway.
local CLIENT_BITS = 512
local names = lunette.records("names", {
    max = tunables.max_names,
    fields = { first = "f64", clients = "u32", bits = "u8[64]" },
})

-- Pairs: lunette.beat's state; when evaluated last, at which n next; how check-ins came; severity told.
local pairs_seen = lunette.records("pairs", {
    max = tunables.max_pairs, ttl = 14 * DAY,
    fields = with(beat.PAIR_FIELDS, { looked = "f64", due = "u32", flows = "u32", bursts = "u32", port = "u16", told = "u8" }),
})

local benign = lunette.set.domains(lunette.lines("beacon_benign.txt"))
local nowhere = lunette.set.prefixes { "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "0.0.0.0/8", "127.0.0.0/8", "::1/128" }

-- Services that run by the clock on every Mac and carry no check-ins: their own detectors look at them.
local NO_PAIRS = { dns = true, ntp = true }

local SEPARATOR = "\t"
local ENOUGH_CLIENTS = 10 -- to say what is rare
-- Kept over a reload: the table that stands in the state is the one that is used here.
local sensor = {
    started = nil,       -- clock of the first event
    client_number = 0,   -- last one given
    active = 0,          -- clients that talked to an outside server within 14 days
}
lunette.state("sensor", { max = 1 }):set("all", sensor)

-- The part of a JA4 that stays the same when the stack resumes a session or offers another ALPN: transport, version and the
-- hash of its ciphers. Else one program would be several pairs.
local function stack_of(ja4)
    if not ja4 then return "plain" end
    return #ja4 == 36 and ja4:sub(1, 3) .. ja4:sub(11, 23) or ja4
end

-- ------------------------------------------------------------------------------------------------------ awake clocks

local function seen(client, t)
    sensor.started = sensor.started or t
    local clock = clients:make(client)
    beat.tick(clock, t)
    return clock
end

local function sign_of_life(e) seen(e.client_ip, e.time) end
lunette.on("flow_start", { client_local = true }, sign_of_life)
lunette.on("dns", { client_local = true, type = "query" }, sign_of_life)
lunette.on("ntp", { client_local = true, to_server = true }, sign_of_life)

-- Who is still here? The dead of a fortnight no longer count among those a name could have had.
lunette.every(HOUR, function(now)
    sensor.active = 0
    for _, client in clients:each() do
        if client.number > 0 and now - client.talked < 14 * DAY then sensor.active = sensor.active + 1 end
    end
end)

-- ------------------------------------------------------------------------------------------------------------- names

-- A pair is new: its client is one more that knows the name.
local function introduce(name_key, client, t)
    if client.number == 0 then
        sensor.client_number = sensor.client_number + 1
        client.number = sensor.client_number
        sensor.active = sensor.active + 1
    end
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
    if sensor.active >= ENOUGH_CLIENTS and name.first - sensor.started < tunables.learning then age = age + tunables.unknown_age end
    return age, math.max(1, name.clients)
end

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

local RANK = { low = 1, medium = 2, high = 3 }

local function severity_of(f, A, score)
    if f.n <= tunables.few or f.span < tunables.medium_span then return "low" end
    if sensor.active < ENOUGH_CLIENTS and A < tunables.sure then return "low" end
    return score >= tunables.high_score and "high" or "medium"
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

-- Features, A, score, age and clients of a pair; nil if it is too young.
local function judge(pair, name_key, now)
    local f = beat.features(pair, features)
    if not f then return nil end
    local A = beat.automation(f)
    local age, with_name = standing(name_key, now)
    return f, A, beat.score(A, with_name, sensor.active, age), age, with_name
end

local function evaluate(pair, client, name, stack, now)
    pair.looked = now
    if pair.tl - pair.t0 < tunables.span then return end
    local f, A, score, age, with_name = judge(pair, name .. SEPARATOR .. stack, now)
    if not f or score < tunables.score then return end
    if sensor.active < ENOUGH_CLIENTS and A < tunables.alone then return end
    local severity = severity_of(f, A, score)
    if RANK[severity] < pair.told or benign:has(name) then return end
    pair.told = RANK[severity]
    lunette.alert {
        severity = severity,
        who = client,
        where = name,
        why = ("%d check-ins within %s, %s; %d of %d clients know the name, first seen %s ago"):format(f.n, duration(f.span),
            rhythm(f), with_name, sensor.active, duration(age * DAY)),
        evidence = {
            check_ins = f.n, flows = pair.flows, bursts_in_flows = pair.bursts, span_s = round(f.span, 0),
            awake_share = round(f.span > 0 and math.min(1, f.awake / f.span) or 1),
            period_s = f.tim > 0 and round(f.period, 1) or nil, jitter = f.tim > 0 and round(f.jitter) or nil,
            clock = f.tim > 0 and f.clock or nil, intervals_at_period = round(f.crowd),
            timing = round(f.tim), evenness = round(f.fano),
            size_out = round(f.so), size_in = round(f.si), automation = round(A), clients_with_name = with_name, clients = sensor.active,
            name_age_days = round(age), tls_stack = stack, server_port = pair.port,
        },
        next = "Which program asks? On the Mac: lsof -i, nettop; launch agents and login items made around the first check-in. " ..
            "Then the server: its certificate, the domain's registration.",
        score = round(score),
        confidence = round(1 / (1 + math.exp(-A))),
        key = client .. SEPARATOR .. name .. SEPARATOR .. severity, cooldown = tunables.cooldown,
    }
end

-- ------------------------------------------------------------------------------------------------------------- events

lunette.on("onset", { client_local = true }, function(e)
    local t, client = e.time, e.client_ip
    local clock = seen(client, t)
    if e.server_local and not tunables.internal then return end
    if NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end

    local name, stack = e.server_name or e.server_ip, stack_of(e.ja4)
    local pair, new = pairs_seen:make(client .. SEPARATOR .. name .. SEPARATOR .. stack)
    clock.talked = t
    if new then
        introduce(name .. SEPARATOR .. stack, clock, t)
        pair.due, pair.looked, pair.port = beat.MINIMUM, t, e.server_port
    end
    if not beat.update(pair, t, beat.awake(clock, t), e.client_payload, e.server_payload) then return end
    if e.kind == "start" then pair.flows = pair.flows + 1 else pair.bursts = pair.bursts + 1 end

    -- Look when there is twice as much to see, or every hour.
    local now = lunette.now()
    if pair.n >= pair.due then
        pair.due = pair.due * 2
        evaluate(pair, client, name, stack, now)
    elseif now - pair.looked >= HOUR then
        evaluate(pair, client, name, stack, now)
    end
end)

lunette.on("flow", { client_local = true }, function(e)
    if e.age < tunables.long_hours * HOUR then return end
    if e.server_local and not tunables.internal or NO_PAIRS[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end
    if e.client_payload == 0 or e.server_payload == 0 then return end
    local now, name, stack = lunette.now(), e.server_name or e.server_ip, stack_of(e.ja4)
    local age, with_name = standing(name .. SEPARATOR .. stack, now)
    -- The flow itself is no proof of the name's age.
    if age - e.age / DAY > tunables.long_days or with_name > tunables.long_clients or benign:has(name) then return end
    lunette.alert {
        title = "Long flow to a rare new server",
        severity = "low",
        attack = "T1071",
        who = e.client_ip,
        where = name,
        why = ("one flow held for %s; %d of %d clients know the name, which was not seen before %s ago"):format(
            duration(e.age), with_name, sensor.active, duration(math.max(age * DAY, e.age))),
        evidence = {
            hours = round(e.age / HOUR), bytes_out = e.client_payload, bytes_in = e.server_payload, onsets = e.onsets,
            clients_with_name = with_name, clients = sensor.active, name_age_days = round(age), tls_stack = stack,
            server_port = e.server_port, protocol = e.app_proto or "unknown",
        },
        next = "A VPN, a chat or a remote desktop would explain it. If none does: which program holds the connection (lsof -i)?",
        key = "long" .. SEPARATOR .. e.client_ip .. SEPARATOR .. name, cooldown = tunables.cooldown,
    }
end)

-- --------------------------------------------------------------------------------------------------------- at the end

lunette.on_end(function(now)
    local found = {}
    for key, pair in pairs_seen:each() do
        local client, name, stack = key:match("^([^\t]*)\t(.*)\t([^\t]*)$")
        if pair.tl - pair.t0 >= tunables.span and pair.n >= beat.MINIMUM then
            evaluate(pair, client, name, stack, now)
            local f, A, score, _, with_name = judge(pair, name .. SEPARATOR .. stack, now)
            if A > 0 and not benign:has(name) then
                found[#found + 1] = { score, client, name, f.n, duration(f.span), f.tim > 0 and duration(f.period) or "-",
                    with_name, A }
            end
        end
    end
    if #found == 0 then return end
    table.sort(found, function(a, b)
        if a[1] ~= b[1] then return a[1] > b[1] end
        if a[2] ~= b[2] then return a[2] < b[2] end
        return a[3] < b[3]
    end)
    local rows = {}
    for i = 1, math.min(#found, tunables.top) do
        local r = found[i]
        rows[i] = { ("%.2f"):format(r[1]), r[2], r[3], tostring(r[4]), r[5], r[6], ("%d/%d"):format(r[7], sensor.active), ("%.1f"):format(r[8]) }
    end
    lunette.report {
        title = "Timers behind traffic",
        columns = { ">score", "client", "server", ">check-ins", ">span", ">period", ">clients", ">timer" },
        rows = rows,
        note = ("Pairs that look automatic: %d. A score of %.1f alerts. clients: how many know the name. timer: A, above 4 hardly a person")
            :format(#found, tunables.score),
    }
end)
