-- What one host has and the others have not: names, TLS stacks, ssh clients, agents; and names called by a stack that nobody calls them with.
--
-- The Macs of one house are alike: the same browsers, the same chat, the same agents of the company, and mostly the same sites. An implant is on
-- one of them. Whatever it hides behind, its server's name is known to nobody else, or its TLS stack is, or the two do not belong together:
-- all others call Slack's name with the stacks of Slack's app and of browsers, and one host calls it with Go's.
--
-- So the workers say once a day what each host used, and one place (lunette.gather) knows who has what: lib/fleet_book.lua. Rarity is
-- the long tail's: most things are had by one host alone, so being alone is a fact and no finding. Rules, with points:
--
--   name       a registrable domain that no host called before, after the learning time: 1
--   stack      and the TLS stack is one that only this host has, 1; is known as a library's or tool's (data/stack_ja4.tsv), 1; is new on this host
--              within the hour, 1. One point is "info", once a day for each host; two or three "low", four "medium".
--   mismatch   a name that many hosts have called for days with a few stacks, and this host calls it with one that was never seen with it: medium
--              for a library's stack that few hosts have, low for one that many have, or for an unknown stack of this host alone
--   alone      a TLS stack, an ssh client (HASSH), an agent (its figures left out) that after a day still one host of ten or more has: info
--
-- Needs hosts and time: five hosts and a day for most rules, ten for "alone", and a day of each host itself, since who is new brings names and
-- stacks that are new. With less nothing is judged, and the report says that rarity is unknown. A capture of one Mac is silent. Hosts that are known
-- to be no Macs are left out, or a printer would be the rarest of all; and so are Apple's names.
-- False alarms: the first who gets an update of a browser (its stack is alone for a day: one lead), the one developer among salespeople, guests, the
-- person with the odd hobby. These are leads to be read beside other alerts of the same host.
-- Misses: what all hosts caught; what lives under a popular name with a browser's ClientHello; names behind ECH; who has a new address is a new host, unless
-- mac_identity knows better. Only leads: what lies in /Applications, and Go or Python that first calls one name and a popular one the next day.
-- ATT&CK: T1071.001 web protocols, T1036 masquerading, T1573 encrypted channel, T1071 (ssh).

local lunette = require "lunette"
local figures = require "figures"
local fleet_book = require "fleet_book"
local hosts = require "host_kind"
local programs = require "programs"
local remember = require "remember"
local stacks = require "stacks"

lunette.detector { title = "Rare among the hosts", category = "Command and Control", attack = "T1071.001" }

local tunables = lunette.tunables {
    learn_days = 1,      -- the fleet, and each host, must have been watched for so long
    hosts = 5,           -- hosts from which on anything is judged …
    alone_hosts = 10,    -- … and from which on "nobody else has it" is told by itself
    popular = 5,         -- hosts that must call a name before a strange stack at it means something …
    popular_share = 0.2, -- … and the share of all hosts they must be
    stacks = 6,          -- a name that is called with more stacks than this is everybody's
    rare_share = 0.1,    -- a library's stack that fewer hosts have is rare
    new_stack = 3600,    -- seconds for which a stack is new on a host
    settle_days = 1,     -- a fingerprint must have been alone for so long
    new_names = true,    -- tell of new names alone ("info")
    rows = 25,           -- of the report
    cooldown = 86400,
}

local DAY = 86400
local STACK, SSH, AGENT, NAME, SAME = "TLS stack", "ssh client", "agent", "name", "same"

local near = lunette.set.prefixes { "0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "224.0.0.0/3", "::1/128", "ff00::/8" }
local apples_names
do
    local names = {}
    for _, row in ipairs(lunette.tsv("apple_domains.tsv")) do
        if row.owner == "apple" then names[#names + 1] = row.match == "exact" and "=" .. row.name or row.name end
    end
    apples_names = lunette.set.domains(names)
end

-- Where tools' makers and developers' tools fetch: who begins to use one brings its stack along. What comes from there is not judged here, so it is a lead.
local tools_homes
do
    local list = { "golang.org", "go.dev", "pypi.org", "pythonhosted.org", "npmjs.org", "nodejs.org", "yarnpkg.com", "docker.io", "docker.com", "ghcr.io", "gcr.io", "quay.io",
        "k8s.io", "github.com", "githubusercontent.com", "gitlab.com", "crates.io", "rubygems.org", "brew.sh", "hashicorp.com", "anaconda.org" }
    for _, row in ipairs(lunette.tsv("vpn_providers.tsv")) do list[#list + 1] = row.name end
    tools_homes = lunette.set.domains(list)
end

local stack_rows = lunette.tsv("stack_ja4.tsv")
local find_stack = stacks.new(stack_rows)
-- Ciphers that programs of several kinds offer: there the extensions count as well.
local ambiguous = {}
for _, row in ipairs(stack_rows) do
    if #row.stack > 12 then ambiguous[row.stack:sub(1, 12)] = true end
end

-- ---------------------------------------------------------------- in each worker

-- What was said within the day, "kind host thing".
local said = lunette.records("said", { max = 150000, ttl = DAY, fields = { times = "u8" } })

local function is_said(key)
    if said:get(key) then return true end
    said:make(key)
    return false
end

local REMEMBERED = 8192 -- fingerprints, and names

-- The ciphers of a JA4, with TCP's or QUIC's letter; with the extensions where the ciphers are several programs'. "" if it is none.
local stack_of = remember(function(ja4)
    if #ja4 ~= 36 then return "" end
    local ciphers = ja4:sub(12, 23)
    return ja4:sub(1, 1) .. (ambiguous[ciphers] and ja4:sub(12, 36) or ciphers)
end, REMEMBERED)
local domain_of = remember(function(name) return lunette.registrable(name) or "" end, REMEMBERED)

local function say_stack(e, client, stack, domain)
    if not hosts.may_be_mac(client) then return end
    local ja4 = e.ja4
    local what, kind = find_stack(ja4)
    -- Typed at a terminal, a program among the applications, or the home of a tool: a person's doing, which is no more than a lead.
    local persons = domain ~= "" and (tools_homes:has(e, "sni") or e.program ~= nil and (programs.is_user_run(e) or programs.is_within(e.path) == "applications")) or nil
    lunette.send(domain, { kind = STACK, host = client, thing = stack, ja4 = ja4, time = e.time, what = what, library = kind ~= nil, name = e.sni,
        port = e.server_port, program = e.program, persons = persons })
end

lunette.on("tls", { client_local = true, server_local = false, has_client_hello = true }, function(e)
    local ja4, name = e.ja4, e.sni
    if not ja4 or near:has(e, "server_ip") then return end
    local stack = stack_of(ja4)
    if stack == "" then return end
    local domain = name and not apples_names:has(e, "sni") and domain_of(name) or ""
    local client = e.client_ip
    if is_said(client .. " " .. stack .. " " .. domain) then return end
    say_stack(e, client, stack, domain)
end)

lunette.on("ssh", { client_local = true }, function(e)
    local client, hassh = e.client_ip, e.hassh
    if not hassh or is_said(client .. " " .. hassh) or not hosts.may_be_mac(client) then return end
    lunette.send(hassh, { kind = SSH, host = client, thing = hassh, what = e.client_software, program = e.program })
end)

-- An agent without its figures, so that an update makes no new one: "curl/#", "Slack/# CFNetwork/# Darwin/#".
local function plain_agent(agent) return (agent:sub(1, 160):gsub("%d[%w%.%-_]*", "#")) end

lunette.on("http", { client_local = true, server_local = false }, function(e)
    local agent = e.user_agent
    if not agent or agent == "" then return end
    local client = e.client_ip
    if is_said(client .. " " .. agent) or not hosts.may_be_mac(client) then return end
    local plain = plain_agent(agent)
    lunette.send(plain, { kind = AGENT, host = client, thing = plain, what = agent:sub(1, 160), name = e.host, program = e.program })
end)

-- One machine's IPv6 addresses are others each day (RFC 8981): where mac_identity knows whose they are, they are no new hosts.
lunette.on("mac_identity.host", function(e)
    local of = e.address_of
    if e.address and of and of ~= "" and of ~= e.address then lunette.send("", { kind = SAME, host = e.address, of = of }) end
end)

-- ---------------------------------------------------------------- all hosts together

local TITLES = { [STACK] = "TLS stack that one host alone has", [SSH] = "ssh client that one host alone has", [AGENT] = "Agent that one host alone has" }
local NEXT = {
    name = "Which program calls it, since when is the domain registered, and does it call again by a timer?",
    mismatch = "Find the program with that stack on the host (host log, lsof -i). A command-line client of the same service explains it; a copy of it does not.",
    alone = "Which program is it? One that only this person has is fine; one that nobody installed is not.",
}

-- 32 bits of a text, never 0.
local function hash(text)
    local sum = 2166136261
    for i = 1, #text do sum = (sum * 263 + text:byte(i)) % 4294967291 end
    return sum == 0 and 1 or sum
end

lunette.gather(function()
    local fleet = {}
    lunette.state("fleet", { max = 1 }):set("all", fleet)
    local book = fleet_book.new { hosts = lunette.records("hosts of the fleet", { max = 10000, ttl = 30 * DAY, fields = fleet_book.HOST_FIELDS }),
        fleet = fleet, days = 14 }
    local name_fields = { stacks = "u32", stack = "u32[8]" }
    for field, kind in pairs(fleet_book.THING_FIELDS) do name_fields[field] = kind end
    local names = lunette.records("names", { max = 100000, ttl = 60 * DAY, fields = name_fields })
    local things = lunette.records("things", { max = 30000, ttl = 60 * DAY, fields = fleet_book.THING_FIELDS }) -- "kind\tthing"
    local stacks_of = lunette.records("stacks of hosts", { max = 100000, ttl = 30 * DAY, fields = { first = "time" } }) -- "number stack": since when
    local same = lunette.state("same", { max = 10000, ttl = 7 * DAY }) -- address → the one by which the machine is known
    -- How a thing is shown: an agent in full, a stack's JA4 and what it is.
    local shown = lunette.state("shown", { max = 30000, ttl = 60 * DAY })

    local function is_learnt(now) return book.active() >= tunables.hosts and book.age(now) >= tunables.learn_days * DAY end

    local function who_text(message)
        return message.program and message.program .. " of " .. message.host or message.host
    end

    -- ------------------------------------------------------------ rules

    local function new_name(domain, message, host, thing, now)
        local points, words, signs = 1, { ("no host of %d called %s before"):format(book.active(), domain) }, { "name" }
        local function add(sign, text)
            points, words[#words + 1], signs[#signs + 1] = points + 1, text, sign
        end
        if book.others(thing, host.number) == 0 then add("rare stack", "nobody else has its TLS stack") end
        if message.what then add("library", "which is that of " .. message.what) end
        if now - message.since < tunables.new_stack and message.since - host.first >= tunables.learn_days * DAY then
            add("new stack", "and the host began to use it only now")
        end
        if points == 1 and not tunables.new_names then return end
        local severity = points >= 4 and not message.persons and "medium" or points >= 2 and "low" or "info"
        lunette.alert {
            title = points > 1 and "New name, called by a rare stack" or "Name that no host called before", severity = severity, score = points * 1.5,
            confidence = 0.1 + 0.15 * points, attack = points > 1 and "T1071.001,T1573" or "T1071.001", who = message.host, where = message.name or domain,
            why = ("%s called it: %s; watched for %s"):format(who_text(message), table.concat(words, ", "), figures.duration(book.age(now))),
            evidence = { domain = domain, hosts = book.active(), rarity_bits = figures.round(math.log(math.max(1, book.active())) / math.log(2)), ja4 = message.ja4,
                stack = message.what, hosts_with_stack = thing.hosts, points = points, signs = signs, port = message.port,
                watched_days = figures.round(book.age(now) / DAY, 1) },
            -- A browser of the newest version is a stack that nobody else has, and calls new names all day: told once.
            next = NEXT.name, key = message.host .. (points == 1 and " new" or message.library and " stack " .. domain or " stack " .. message.thing) .. " " .. severity, cooldown = tunables.cooldown,
        }
    end

    local function mismatch(domain, message, host, record, thing, now)
        local active = book.active()
        local others = book.others(record, host.number)
        if others < math.max(tunables.popular, tunables.popular_share * active) or record.stacks > tunables.stacks then return end
        if now - record.first < tunables.learn_days * DAY then return end
        local few = thing.hosts <= math.max(1, tunables.rare_share * active)
        local alone = book.others(thing, host.number) == 0
        if not message.library and not alone then return end
        -- Who has used Go or Python for days calls many names with it; of a host that is new itself nothing is known.
        local usual = now - message.since >= tunables.learn_days * DAY or now - host.first < tunables.learn_days * DAY
        local severity = message.library and few and not usual and not message.persons and "medium" or "low"
        lunette.alert {
            title = "Known name, called by a foreign stack", severity = severity, score = severity == "medium" and 6 or 3,
            confidence = severity == "medium" and 0.6 or 0.4, attack = "T1036,T1071.001", who = message.host, where = message.name or domain,
            why = ("%s called %s with %s; %s called it for %s with %s, and never with this one, which %s"):format(who_text(message), domain,
                message.what and "the TLS stack of " .. message.what or "a TLS stack that is unknown", figures.count(others, "other host"),
                figures.duration(now - record.first), figures.count(record.stacks, "stack"),
                alone and "nobody else has" or ("%d of %d hosts have"):format(thing.hosts, active)),
            evidence = { domain = domain, hosts_with_name = others, stacks_of_name = record.stacks, ja4 = message.ja4, stack = message.what,
                hosts_with_stack = thing.hosts, hosts = active, rarity_bits = figures.round(book.rarity(thing)), program = message.program },
            next = NEXT.mismatch, key = ("%s foreign %s %s"):format(message.host, message.library and domain or message.thing, severity), cooldown = tunables.cooldown,
        }
    end

    -- Things that one host alone has, when the others had time to get them too.
    local function tell_alone(now)
        if book.active() < tunables.alone_hosts then return end
        local found = {}
        for key, thing in things:each() do
            if thing.hosts == 1 and not thing.told and now - thing.first >= tunables.settle_days * DAY
                and thing.first - fleet.began >= tunables.learn_days * DAY then
                thing.told = true
                found[#found + 1] = key
            end
        end
        if #found == 0 then return end
        table.sort(found)
        local addresses = book.addresses()
        for _, key in ipairs(found) do
            local thing = things:get(key)
            local kind, text = key:match("^([^\t]*)\t(.*)$")
            local address = addresses[thing.host]
            if address then
                lunette.alert {
                    title = TITLES[kind], severity = "info", score = 1, confidence = 0.2, attack = kind == SSH and "T1071" or "T1071.001", who = address,
                    where = shown:get(key) or text,
                    why = ("%s has it since %s, and none of the other %d hosts has (%.1f bits)"):format(address, figures.duration(now - thing.first),
                        book.active() - 1, book.rarity(thing)),
                    evidence = { kind = kind, fingerprint = text, hosts = book.active(), rarity_bits = figures.round(book.rarity(thing)),
                        since_hours = figures.round((now - thing.first) / 3600, 1) },
                    next = NEXT.alone, key = address .. " " .. kind, cooldown = tunables.cooldown,
                }
            end
        end
    end

    -- ------------------------------------------------------------ what the workers tell

    local function hear_name(domain, message, host, thing, now)
        local record, is_new = names:make(domain)
        local code = hash(message.thing)
        local known = false
        for i = 0, math.min(record.stacks, 8) - 1 do
            if record:at("stack", i) == code then known = true end
        end
        if is_learnt(now) then
            -- Of a host that is new itself nothing is known.
            if is_new and now - host.first >= tunables.learn_days * DAY then
                new_name(domain, message, host, thing, now)
            elseif not is_new and not known then
                mismatch(domain, message, host, record, thing, now)
            end
        end
        if not known then
            if record.stacks < 8 then record:put("stack", record.stacks, code) end
            record.stacks = record.stacks + 1
        end
        book.mark(record, host.number, now)
    end

    lunette.receive(function(key, message, now)
        if message.kind == SAME then return same:set(message.host, message.of) end
        local host = book.hear(same:get(message.host) or message.host, now)
        local name = message.kind .. "\t" .. message.thing
        local thing, is_new = things:make(name)
        if is_new then shown:set(name, message.kind == STACK and message.ja4 .. (message.what and ", " .. message.what or "") or message.what) end
        book.mark(thing, host.number, now)
        if message.kind ~= STACK then return end
        local own, is_first = stacks_of:make(host.number .. " " .. message.thing)
        if is_first then own.first = message.time end
        message.since = own.first
        if key ~= "" then hear_name(key, message, host, thing, now) end
    end)

    lunette.every(3600, function(now)
        book.count(now)
        tell_alone(now)
    end)

    -- ------------------------------------------------------------ the report

    local function collect(rows, list, kind_of)
        for key, thing in list:each() do
            local kind, text = kind_of(key)
            rows[#rows + 1] = { bits = book.rarity(thing), hosts = thing.hosts, host = thing.host, first = thing.first, kind = kind, text = text }
        end
    end

    local function by_rarity(a, b)
        if a.hosts ~= b.hosts then return a.hosts < b.hosts end
        if a.first ~= b.first then return a.first > b.first end -- the newest of the rare
        if a.kind ~= b.kind then return a.kind < b.kind end
        return a.text < b.text
    end

    lunette.on_end(function(now)
        local active, age = book.active(), book.age(now)
        local many, long = active >= tunables.hosts, age >= tunables.learn_days * DAY
        if not long then return end
        if not many then
            return lunette.report { title = "Rare among the hosts", columns = { ">hosts", ">watched" }, rows = { { tostring(active), figures.duration(age) } },
                note = ("Rarity is unknown: that takes %d hosts and %s"):format(tunables.hosts, figures.duration(tunables.learn_days * DAY)) }
        end
        local found = {}
        collect(found, names, function(key) return NAME, key end)
        collect(found, things, function(key) return key:match("^([^\t]*)\t"), shown:get(key) or key:match("\t(.*)$") end)
        table.sort(found, by_rarity)
        local addresses, rows = book.addresses(), {}
        for i = 1, math.min(#found, tunables.rows) do
            local one = found[i]
            rows[i] = { one.kind, one.text, ("%d/%d"):format(one.hosts, active), ("%.1f"):format(one.bits), addresses[one.host] or "gone",
                figures.duration(now - one.first) }
        end
        lunette.report { title = "Rare among the hosts", columns = { "what", "which", ">hosts", ">bits", "first seen on", ">ago" }, rows = rows,
            note = ("Of %d names, stacks and agents of %d hosts, the rarest, newest first; bits: -log2 of the share of hosts"):format(#found, active) }
    end)
end)
