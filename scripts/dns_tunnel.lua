-- Data in DNS: tunnels, C2 and files that leave in the names that are asked for.
--
-- DNS passes where nothing else does: a captive portal, a firewall, a proxy that one must log in to all let names be resolved. Whoever owns a domain
-- gets every question below it, whichever resolver the Mac asks, so the names can carry data out and the answers data in.
--
-- What it looks for, per client and registrable domain (a public suffix's customers are domains of their own):
--   tools     iodine, dnscat2, dns2tcp and Cobalt Strike's beacon write marks into their names (lib/tunnel_marks.lua); iodine's raw mode has its own magic.
--             High: nothing else looks so.
--   files     a label that begins as a packed file does.
--   general   names that look like data (lib/query_names.lua) and add up: how many different ones, shorter made-up ones too (RITA's thresholds:
--             100, 500, 800), how long, whether they are ever asked for again, record types, short-lived or large answers (points in lib/tunnel_pairs.lua). What is counted is kept for
--             `keep` days: five questions an hour show after a day, as do five hundred a minute.
--   answers   many large TXT answers of one domain: data that comes in by short names, such as 1.p.example, 2.p.example. Shell commands in a TXT answer.
--   port 53   bytes that are no DNS to somebody outside.
-- DNS over TCP and to any server counts alike. What the client's program is, is told where a log knows it; mostly that is mDNSResponder's client.
--
-- Why on a Mac: its resolver (mDNSResponder) asks A, AAAA and HTTPS for a name and keeps the answer; a Mac has no use for NULL, and hardly one for TXT.
-- False alarms: reputation services and telemetry that code data in names (data/dns_unique_names.tsv has those that we know), content networks that are not
-- in the public suffix list, a mail server or resolver behind the client's address. Allow a domain by `allowed`.
-- Misses: what goes through encrypted DNS (see encrypted_dns, resolver_change); names of words, or of fewer than five characters; data in addresses spelled backwards or below a listed
-- domain; a new domain for every few questions; answers alone, in A records.
-- ATT&CK: T1071.004 DNS as C2, T1572 protocol tunneling, T1048.003 exfiltration over unencrypted protocol; T1059.004 commands, T1571 port.

local lunette = require "lunette"
local allowed = require "allowed"
local figures = require "figures"
local pairs_of = require "tunnel_pairs"
local query_names = require "query_names"

lunette.detector { title = "Data in DNS names", category = "Command and Control", attack = "T1071.004, T1572, T1048.003" }

local tunables = lunette.tunables {
    few = 20,                   -- different made-up names, below which the general rule says nothing …
    names_low = 100, names_medium = 500, names_high = 800, -- … and from which they make 2, 3, 4 points: RITA's (default_config.hjson)
    low = 4, medium = 6, high = 8, -- points of the general rule
    session = 3,                -- names in a row that must fit dnscat2's or Cobalt Strike's form with one id
    answers = 30,               -- large answers with different names …
    answer_bytes = 20000,       -- … and their bytes, from which on they are told
    foreign_bytes = 200,        -- bytes each way on port 53 that are no DNS
    allowed = "",               -- domains that may, divided by commas or blanks
    keep = 30,                  -- days that names are counted, then from the beginning
    cooldown = 7 * 86400,       -- the same again at the same severity
    max_pairs = 100000,         -- some 190 bytes each
}

local DAY = 86400
local limits = { few = tunables.few, low = tunables.names_low, medium = tunables.names_medium, high = tunables.names_high }

local pairs_seen = lunette.records("pairs", { max = tunables.max_pairs, ttl = tunables.keep * DAY, fields = pairs_of.FIELDS })
local large = lunette.records("large", { max = 10000, ttl = tunables.keep * DAY, fields = pairs_of.LARGE_FIELDS })
local known = query_names.new(lunette.state("names", { max = 10000, keep = false }))

local allow = allowed.list(lunette, tunables.allowed)
local quiet
do
    local list = {}
    for _, row in ipairs(lunette.tsv("dns_unique_names.tsv")) do list[#list + 1] = row.domain end
    quiet = lunette.set.domains(list)
end

-- Record types that no program on a Mac asks for: obsolete ones, NULL, KEY, and those that are kept for private use.
local ODD = { [3] = true, [4] = true, [7] = true, [8] = true, [9] = true, [10] = true, [11] = true, [14] = true, [25] = true }
local function is_odd(qtype) return ODD[qtype] or qtype >= 65280 and qtype < 65535 end

local LEVELS = { low = 1, medium = 2, high = 3 }

-- ---------------------------------------------------------------- what is said

local function evidence_of(pair, e)
    local questions = pairs_of.questions(pair)
    return {
        names = pairs_of.names(pair), looking_like_data = pair.encoded, questions = questions,
        mean_length = figures.round(pair.encoded > 0 and pair.characters / pair.encoded or 0, 1), longest = pair.longest,
        characters_out = pair.characters, answers = pair.answers, bytes_in = pair.down, not_found = pair.missing,
        types = { A = pair.a, AAAA = pair.aaaa, HTTPS = pair.https, TXT = pair.txt, other = pair.other }, odd_types = pair.odd,
        short_lived_percent = figures.percent(pair.short, pair.answers), hours = pair.hours, span = pair.last - pair.first,
        example = e.rrname, resolver = e.server_ip,
    }
end

local function by_program(e)
    local program = e.program
    return program and (" (asked by " .. program .. ")") or ""
end

local function say(pair, e, domain, title, severity, score, confidence, why, next, attack)
    local level = LEVELS[severity]
    local now = e.time
    if level <= pair.told and now - pair.told_at < tunables.cooldown or allow.name(domain) or allow.address(e.server_ip) then return end
    pair.told, pair.told_at = level, now
    lunette.alert {
        title = title, severity = severity, score = score, confidence = confidence, attack = attack,
        who = e.client_ip, where = domain, why = why .. by_program(e), evidence = evidence_of(pair, e), next = next,
        key = e.client_ip .. " " .. domain .. " " .. title .. " " .. severity, cooldown = tunables.cooldown,
    }
end

local NEXT_TOOL = "Cut the host off. Who owns the domain, who else here asks below it, and which process asks? The names are the data: keep the capture."
local NEXT_DATA = "Who owns the domain, and what program asks? Names that carry a hash or an id of an honest service belong into "
    .. "dns_tunnel.allowed; else keep the capture, the names are the data."

-- The tool that the pair's marks amount to: title, reason; nil if they do not.
local function tool_of(pair)
    if pair.handshakes > 0 or pair.pings >= 5 and pair.odd >= 5 then
        return "DNS tunnel: iodine", pair.handshakes > 0 and ("%s of iodine's handshake"):format(figures.count(pair.handshakes, "name"))
            or ("%d of iodine's pings"):format(pair.pings)
    end
    if pair.run >= tunables.session then
        return "DNS tunnel: dnscat2", ("%d names in a row have dnscat2's header, all of session %04x"):format(pair.run, pair.session)
    end
    if pair.forwards > 0 then
        return "DNS tunnel: dns2tcp", ("%s of dns2tcp's =auth, =connect, =resource"):format(figures.count(pair.forwards, "name"))
    end
    if pair.beacon_run >= tunables.session then
        return "Cobalt Strike's DNS beacon",
            ("%d names in a row have the form of Cobalt Strike's DNS beacon with the id %x"):format(pair.beacon_run, pair.beacon)
    end
end

local function judge_marks(pair, e, about)
    local marks, domain = about.marks, about.domain
    if marks.iodine == "handshake" then pair.handshakes = pair.handshakes + 1 end
    if marks.iodine == "ping" and is_odd(e.qtype) then pair.pings = pair.pings + 1 end
    if marks.dns2tcp then pair.forwards = pair.forwards + 1 end
    local session = marks.session
    if session then -- ids that begin with a time share their first digits as well: a packet's id is new each time
        if session ~= pair.session then pair.run = 1 elseif marks.packet ~= pair.packet then pair.run = pair.run + 1 end
        pair.session, pair.packet = session, marks.packet
    end
    local beacon = marks.beacon
    if beacon then
        pair.beacon_run = beacon == pair.beacon and pair.beacon_run + 1 or 1
        pair.beacon = beacon
    end
    if pair.told == 3 and e.time - pair.told_at < tunables.cooldown then return end
    local title, reason = tool_of(pair)
    if title then
        say(pair, e, domain == "dnscat" and e.server_ip or domain, title, "high", 9, 0.95,
            ("%s; %s asked so far"):format(reason, figures.count(pairs_of.names(pair), "name")), NEXT_TOOL)
    elseif marks.packed then
        say(pair, e, domain, "Packed file in DNS names", "medium", 7, 0.8,
            ("a name begins as a packed file does (%s), %d characters"):format(marks.packed, about.carried), NEXT_DATA, "T1048.003")
    end
end

local function tell(pair, e, about, points, severity)
    say(pair, e, about.domain, "Data in DNS names", severity, math.min(points, 10), math.min(0.3 + points * 0.06, 0.9),
        ("below %s: %s, in %s"):format(about.domain, pairs_of.reasons(pair, limits), figures.duration(pair.last - pair.first)), NEXT_DATA)
end

local function judge(pair, e, about)
    if pair.told == 3 and e.time - pair.told_at < tunables.cooldown then return end
    local points = pairs_of.points(pair, limits)
    if points < tunables.low then return end
    local level = points >= tunables.high and 3 or points >= tunables.medium and 2 or 1
    if level <= pair.told and e.time - pair.told_at < tunables.cooldown then return end
    tell(pair, e, about, points, level == 3 and "high" or level == 2 and "medium" or "low")
end

-- ---------------------------------------------------------------- questions and answers

local function count_type(pair, qtype)
    if qtype == 1 then pair.a = pair.a + 1
    elseif qtype == 28 then pair.aaaa = pair.aaaa + 1
    elseif qtype == 65 then pair.https = pair.https + 1
    elseif qtype == 16 then pair.txt = pair.txt + 1
    else
        pair.other = pair.other + 1
        if is_odd(qtype) then pair.odd = pair.odd + 1 end
    end
end

-- A service that is in use for months would reach any count: after `keep` days it begins again, and what was told stays told.
local function begin_anew(key, pair, now)
    local told, told_at = pair.told, pair.told_at
    pairs_seen:delete(key)
    pair = pairs_seen:make(key)
    pair.first, pair.told, pair.told_at = now, told, told_at
    return pair
end

lunette.on("dns", { type = "query", client_local = true }, function(e)
    local name = e.rrname
    if not name then return end
    local about = known.of(name)
    if not about or quiet:has(e, "rrname") then return end
    local key = e.client_ip .. "\t" .. about.domain
    local pair = pairs_seen:make(key)
    local now = e.time
    if pair.first == 0 then pair.first = now end
    if now - pair.first > tunables.keep * DAY then pair = begin_anew(key, pair, now) end
    if now > pair.last then pair.last = now end
    local hour = math.floor(now / 3600)
    if hour ~= pair.hour then pair.hours, pair.hour = pair.hours + 1, hour end
    count_type(pair, e.qtype)
    if not pairs_of.is_new(pair, about.code) then return end
    if about.encoded then
        pair.encoded, pair.characters = pair.encoded + 1, pair.characters + about.carried
        if about.carried > pair.longest then pair.longest = about.carried end
    end
    if about.marks then judge_marks(pair, e, about) end
    if pair.different >= tunables.few or pair.odd >= 10 then judge(pair, e, about) end
end)

-- What the answers to such names weigh. 16: the header and the question's type and class, and two bytes of its name's form.
lunette.on("dns", { type = "answer", client_local = true }, function(e)
    local name = e.rrname
    local about = name and known.known(name)
    if not about or not about.encoded then return end
    local pair = pairs_seen:get(e.client_ip .. "\t" .. about.domain)
    if not pair then return end
    pair.answers = pair.answers + 1
    pair.down = pair.down + math.max(0, e.length - #name - 18)
    if e.answer_count == 0 then
        pair.missing = pair.missing + 1
    elseif e.ttl <= 5 then
        pair.short = pair.short + 1
    end
end)

-- ---------------------------------------------------------------- answers that bring something

local COMMANDS = { "/dev/tcp/", "| sh", "|sh", "| bash", "|bash", "| zsh", "|zsh", "bash -c", "bash -i", "sh -c", "osascript -", "python3 -c",
    "python -c", "base64 -d", "base64 --decode", "curl -", "curl http", "wget http", "nohup ", "powershell" }

local function command_in(text)
    for i = 1, #COMMANDS do
        if text:find(COMMANDS[i], 1, true) then return COMMANDS[i] end
    end
end

local function bring(e, name)
    local domain = lunette.registrable(name)
    if not domain then return end
    local key = e.client_ip .. "\t" .. domain
    local own = large:make(key)
    if own.first == 0 then own.first = e.time end
    own.count, own.bytes = own.count + 1, own.bytes + e.length
    if not pairs_of.is_new_answer(own, query_names.hash(name)) then return end
    if own.different < tunables.answers or own.bytes < tunables.answer_bytes or allow.name(domain) or allow.address(e.server_ip) then return end
    lunette.alert {
        title = "Data in DNS answers", severity = "medium", score = 6, confidence = 0.6, who = e.client_ip, where = domain,
        why = ("%d large answers, to different names below %s, brought %s in %s"):format(own.count, domain, figures.bytes(own.bytes),
            figures.duration(e.time - own.first)) .. by_program(e),
        evidence = { answers = own.count, names_at_least = own.different, bytes_in = own.bytes, span = e.time - own.first, example = name,
            resolver = e.server_ip },
        next = "What do the answers hold, put together in the order of the names? A program that is fetched so passes every proxy.",
        key = key .. " answers", cooldown = tunables.cooldown,
    }
end

local function brought(e)
    local name = e.rrname
    if not name then return end
    local text = table.concat(e.txt, " ")
    local command = text ~= "" and command_in(text:lower())
    if command then
        lunette.alert {
            title = "Shell commands in a DNS answer", severity = "high", score = 8, confidence = 0.85, attack = "T1071.004, T1059.004",
            who = e.client_ip, where = name, why = ("the TXT record of %s holds %q"):format(name, text:sub(1, 200)) .. by_program(e),
            evidence = { command = command, text = text:sub(1, 1000), resolver = e.server_ip },
            next = "Something on this host runs what the record says: which process asked, and what did it start right after?",
            key = e.client_ip .. " command " .. name, cooldown = tunables.cooldown,
        }
    end
    if e.length >= 200 and not quiet:has(e, "rrname") then bring(e, name) end
end
lunette.on("dns", { type = "answer", client_local = true, qtype = { 10, 16, 25, 65399 } }, brought)

-- ---------------------------------------------------------------- port 53 without DNS

lunette.stream {
    name = "iodine raw", transport = "udp", starts = { client = "\16\209\158" },
    client = function(r, s)
        r:skip(3)
        local command = math.floor(r:u8() / 16)
        if command < 1 or command > 3 then return end
        lunette.alert {
            title = "DNS tunnel: iodine's raw mode", severity = "high", score = 9, confidence = 0.95, attack = "T1572, T1095",
            who = s.client_ip, where = s.server_ip, why = ("UDP datagrams to port %d begin with iodine's magic 10 d1 9e"):format(s.server_port),
            evidence = { command = ({ "login", "data", "ping" })[command], port = s.server_port }, next = NEXT_TOOL,
            key = s.client_ip .. " raw " .. s.server_ip, cooldown = tunables.cooldown,
        }
    end,
}

lunette.on("flow", { server_port = 53, client_local = true, server_local = false }, function(e)
    if e.app_proto or e.midstream or e.client_payload < tunables.foreign_bytes or e.server_payload < tunables.foreign_bytes then return end
    if allow.address(e.server_ip) then return end
    lunette.alert {
        title = "Something else than DNS on port 53", severity = "medium", score = 6, confidence = 0.6, attack = "T1571, T1572",
        who = e.client_ip, where = e.server_ip,
        why = ("%s of no known protocol went to port 53 over %s, %s came back"):format(figures.bytes(e.client_payload), e.proto or "IP",
            figures.bytes(e.server_payload)) .. by_program(e),
        evidence = { bytes_out = e.client_payload, bytes_in = e.server_payload, duration = figures.round(e.time - e.start), transport = e.proto,
            entropy_out = figures.round(e.client_entropy), entropy_in = figures.round(e.server_entropy) },
        next = "Port 53 is open in most firewalls, so tunnels use it. Is there a VPN of this host's owner that does? Whose address is it?",
        key = e.client_ip .. " port53 " .. e.server_ip, cooldown = tunables.cooldown,
    }
end)
