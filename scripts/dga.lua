-- Domain generation: a program that looks for its server among names that it makes up.
--
-- A server's name can be taken away, so malware computes hundreds of names from the date and tries them until one answers; whoever runs it registers one.
-- What is seen: many domains that do not exist, asked for by one host, and that look drawn by lot (how that is told: lib/drawn_names.lua). Then one that
-- exists: that is the server.
--
-- Rules, per client:
--   burst   within `window` at least `drawn` different domains that look drawn were not found, `share` of all that were not found; or `many` were not found
--           whose letters together are more a draw than words (`mean` bits), for families that mix in vowels. Medium; high from ten times as many.
--   slow    the same over a day with `slow_drawn` domains and half of all. Low.
--   found   after the first `hint` such domains a new one of like length answers with an address: high after a burst, else medium. Names the server.
--   TLS     a client says a name that looks drawn beyond doubt. That alone is little (advertising makes up names as well): info, once a domain.
--
-- Why on a Mac: what asks for names is a browser, an app, macOS; none of these asks for ten domains in a row that do not exist. Their failures are single
-- labels (Chrome's three probes at each change of network), names below a network's own top-level name or one search domain, block lists below one domain: one registrable domain or none.
-- False alarms: mail servers that look up senders' domains, crawlers, security scanners; a filter that answers "not found" for advertising whose names are
-- drawn. A resolver that asks for many clients is one client here.
-- Misses: names made of words or syllables (Suppobox, Matsnu; Pushdo half), a fixed name with a few letters changed (Banjori), encrypted DNS, names as punycode,
-- below CDNs, below top-level names that are in no public registry (a network's own, alternative roots);
-- generators that ask for fewer than ten names a day; resolvers that answer with a page of their own instead of "not found".
-- ATT&CK: T1568.002 domain generation algorithms, T1071.004.

local lunette = require "lunette"
local allowed = require "allowed"
local drawn_names = require "drawn_names"
local figures = require "figures"

lunette.detector { title = "Many made-up names that do not exist", category = "Command and Control", attack = "T1568.002" }

local tunables = lunette.tunables {
    window = 1800,      -- seconds that a burst may take
    drawn = 10,         -- different domains that look drawn and were not found …
    share = 0.4,        -- … and their share of all that were not found
    many = 30,          -- so many different ones not found …
    mean = 3.5,         -- … whose labels have so many bits each in the mean: honest ones have -2 to +1
    slow_drawn = 20,    -- the same over a day …
    slow_share = 0.5,   -- … and share
    hint = 5,           -- drawn domains not found before one that answers is worth a word
    after = 3600,       -- seconds behind the last of them
    tls_bits = 18,      -- a name in TLS that looks so drawn …
    tls_length = 12,    -- … and is so long
    allowed = "",       -- clients (addresses, networks) and domains that may, divided by commas or blanks
    cooldown = 86400,
}

local DAY = 86400
local allow = allowed.list(lunette, tunables.allowed)
local known = drawn_names.new(lunette.state("names", { max = 20000, keep = false }))

-- A client: the window that runs, and the day.
local clients = lunette.records("clients", { max = 20000, ttl = 2 * DAY, fields = {
    since = "time", names = "u16", drawn = "u16", bits = "f32", map = "u32[16]", last = "time", shortest = "u8", longest = "u8",
    day = "time", day_names = "u16", day_drawn = "u16", day_map = "u32[32]", told = "u8", burst = "time", found = "u16" } })
-- The last drawn names that were not found, as examples: a list of four, and whose turn it is.
local examples = lunette.state("examples", { max = 5000, ttl = DAY })
-- Drawn domains that answered a client, with the time of the first answer: what was there before the burst is not what it found.
local answered = lunette.state("answered", { max = 20000, ttl = 30 * DAY })

local band, rshift, lshift, bor = bit.band, bit.rshift, bit.lshift, bit.bor

-- Sets the bit of a hash in a record's map; true if it was not set. A map that is nearly full counts too few, which does no harm.
local function is_new(client, field, words, code)
    local place = code % (words * 32)
    local word, flag = rshift(place, 5), lshift(1, band(place, 31))
    local before = client:at(field, word)
    if band(before, flag) ~= 0 then return false end
    client:put(field, word, bor(before, flag) % 4294967296)
    return true
end

local function clear(client, field, words)
    for i = 0, words - 1 do client:put(field, i, 0) end
end

local function begin_window(client, now)
    client.since, client.names, client.drawn, client.bits, client.shortest, client.longest, client.told = now, 0, 0, 0, 0, 0, 0
    client.found = 0
    clear(client, "map", 16)
end

local function begin_day(client, now)
    client.day, client.day_names, client.day_drawn = now, 0, 0
    clear(client, "day_map", 32)
end

local function keep_example(who, name)
    local list = examples:get(who)
    if not list then
        list = { turn = 0 }
        examples:set(who, list)
    end
    list.turn = list.turn % 4 + 1
    list[list.turn] = name
end

local function examples_of(who)
    local list, copy = examples:get(who), {}
    if list then
        for i = 1, 4 do copy[i] = list[i] end
        table.sort(copy)
    end
    return copy
end

local function by_program(e)
    local program = e.program
    return program and (" (asked by " .. program .. ")") or ""
end

-- Is the window that runs a burst?
local function is_burst(client)
    if client.drawn >= tunables.drawn and client.drawn >= client.names * tunables.share then return true end
    return client.names >= tunables.many and client.bits >= client.names * tunables.mean
end

local function evidence_of(client, e, who)
    return { not_found = client.names, drawn = client.drawn, mean_bits = figures.round(client.bits / math.max(client.names, 1), 1),
        span = figures.round(math.max(client.last - client.since, 0)), shortest = client.shortest, longest = client.longest, day_not_found = client.day_names,
        day_drawn = client.day_drawn, examples = examples_of(who), resolver = e.server_ip }
end

local function tell_burst(client, e, who, domain)
    local severity = client.drawn >= tunables.drawn * 10 and "high" or "medium"
    local level = severity == "high" and 2 or 1
    client.burst = e.time
    if client.told >= level then return end
    client.told = level
    lunette.alert {
        title = "Many made-up names that do not exist", severity = severity, score = level == 2 and 8 or 6, confidence = 0.75,
        who = who, where = domain,
        why = ("%d different domains were not found within %s, and %d of them look drawn by lot, such as %s"):format(client.names,
            figures.duration(math.max(client.last - client.since, 1)), client.drawn, table.concat(examples_of(who), ", ")) .. by_program(e),
        evidence = evidence_of(client, e, who),
        next = "Which program asks? See whether a name of the kind answered, and who else here asks for these names: they are the same for all that have it.",
        key = who .. " burst " .. severity, cooldown = tunables.cooldown,
    }
end

local function tell_slow(client, e, who, domain)
    lunette.alert {
        title = "Made-up names that do not exist, all day long", severity = "low", score = 4, confidence = 0.5, who = who, where = domain,
        why = ("%d different domains were not found in %s, and %d of them look drawn by lot, such as %s"):format(client.day_names,
            figures.duration(e.time - client.day), client.day_drawn, table.concat(examples_of(who), ", ")) .. by_program(e),
        evidence = evidence_of(client, e, who),
        next = "Which program asks, and at even times? Does anybody else here ask for them?",
        key = who .. " slow", cooldown = tunables.cooldown,
    }
end

lunette.on("dns", { type = "answer", rcode = "NXDOMAIN", client_local = true }, function(e)
    local name = e.rrname
    local about = name and known.of(name)
    if not about then return end
    local who, now = e.client_ip, e.time
    local client = clients:make(who)
    if client.since == 0 or now - client.since > tunables.window then begin_window(client, now) end
    if client.day == 0 or now - client.day > DAY then begin_day(client, now) end
    if is_new(client, "day_map", 32, about.code) then
        client.day_names = client.day_names + 1
        if about.drawn then client.day_drawn = client.day_drawn + 1 end
    end
    if not is_new(client, "map", 16, about.code) then return end
    client.names, client.bits = client.names + 1, client.bits + about.bits
    if about.drawn then
        client.drawn, client.last = client.drawn + 1, now
        if client.shortest == 0 or about.length < client.shortest then client.shortest = about.length end
        if about.length > client.longest then client.longest = about.length end
        keep_example(who, about.domain)
    end
    if is_burst(client) then
        if not allow.address(who) then tell_burst(client, e, who, about.domain) end
    elseif client.day_drawn >= tunables.slow_drawn and client.day_drawn >= client.day_names * tunables.slow_share and about.drawn then
        if not allow.address(who) then tell_slow(client, e, who, about.domain) end
    end
end)

-- A filter answers 0.0.0.0, :: or 127.0.0.1 for what it blocks.
local blocked = lunette.set.prefixes { "0.0.0.0/8", "127.0.0.0/8", "::/127" }

local function tell_found(client, e, who, about, address)
    local burst = client.burst > 0 and e.time - client.burst <= tunables.after
    client.found = client.found + 1
    local evidence = evidence_of(client, e, who)
    evidence.address, evidence.name, evidence.bits, evidence.ttl = address, e.rrname, figures.round(about.bits, 1), e.ttl
    lunette.alert {
        title = "Made-up name that answers after many that do not exist", severity = burst and "high" or "medium", score = burst and 9 or 6,
        confidence = burst and 0.85 or 0.6, attack = "T1568.002, T1071.004", who = who, where = about.domain,
        why = ("%s answers with %s after %d domains of its kind were not found, such as %s"):format(about.domain, address, client.drawn,
            table.concat(examples_of(who), ", ")) .. by_program(e),
        evidence = evidence,
        next = "Most likely the server that was looked for, or a researcher's sinkhole: whose address is it, and what was said to it right after?",
        key = who .. " found " .. about.domain, cooldown = tunables.cooldown,
    }
end

lunette.on("dns", { type = "answer", rcode = "NOERROR", qtype = { 1, 28 }, client_local = true }, function(e)
    local name = e.rrname
    local about = name and known.of(name)
    if not about or not about.drawn or e.answer_count == 0 then return end
    local who, now = e.client_ip, e.time
    local key = who .. " " .. about.domain
    if answered:get(key) then return end
    answered:set(key, now)
    local client = clients:get(who)
    if not client or client.drawn < tunables.hint or client.drawn < client.names * tunables.share or now - client.last > tunables.after then return end
    if about.length + 3 < client.shortest or about.length > client.longest + 3 or client.found >= 10 then return end
    local address = e.a[1] or e.aaaa[1]
    if not address or blocked:has(address) or allow.address(who) or allow.name(about.domain) then return end
    tell_found(client, e, who, about, address)
end)

-- ---------------------------------------------------------------- TLS

lunette.on("tls", { client_local = true, server_local = false }, function(e)
    local name = e.sni
    local about = name and known.of(name)
    if not about or about.bits < tunables.tls_bits or about.length < tunables.tls_length or allow.name(about.domain) then return end
    lunette.alert {
        title = "Made-up name in TLS", severity = "info", score = 1, confidence = 0.3, who = e.client_ip, where = about.domain,
        why = ("%s looks drawn by lot (%.0f bits)"):format(about.domain, about.bits) .. by_program(e),
        evidence = { name = name, bits = figures.round(about.bits, 1), server = e.server_ip, ja4 = e.ja4 },
        next = "Alone it is little. Did anything else here call it, and were there names like it that did not exist?",
        key = e.client_ip .. " tls " .. about.domain, cooldown = 30 * DAY,
    }
end)
