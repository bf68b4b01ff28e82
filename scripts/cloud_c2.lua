-- Web services that everybody uses, used as nobody does.
--
-- Whoever needs a server for orders and for what was taken need not own one: a Telegram bot, a gist, a Dropbox folder, a Google sheet do, at a name that no firewall
-- may close and no table of bad names can hold. CloudMensis lived in pCloud, Yandex Disk and Dropbox alone; Silver Sparrow asked a bucket of S3 each hour;
-- stealers tell a Telegram bot that the zip has come. The name accuses nobody here; what is unlike people and unlike the service's own app does:
--
--   the client    a tool's TLS stack, one without ALPN, one that calls this service and next to nobody else (lib/tls_clients.lua). If the program is known:
--                 an interpreter that nobody at a terminal started, an unsigned program, one from a temporary folder.
--   the rhythm    calls by a timer (lunette.beat, on the host's awake clock). beacon leaves out what many know; here the name is no alibi.
--   the door      names that programs call and people do not: api.telegram.org, raw.githubusercontent.com (`use` in data/cloud_services.tsv).
--   the newcomer  a stack that began to call a service which another stack of this host has called for a day and longer, and calls still: its app or a browser.
--
-- Each has points; a timer, or a program that does not fit, is needed. Apps keep lines open and ask by the clock as well: so where a service has an app of its own and the
-- program is not known, rhythm and a stack of few domains say nothing without a door, a tool or a newcomer.
--
-- Beside that, names that say something by themselves: a tunnel's own end on this host (ngrok, cloudflared also by its port 7844), gateways to Tor, callback catchers, doors to a
-- blockchain (EtherHiding), and mining pools, by name or by what stratum says in clear.
--
-- On the host's card `cloud` says which services it used, with bytes up and down.
--
-- False alarms: developers' bots, CI runners, dashboards and menu-bar apps that poll a service; a company's own tunnels; wallets. Say so with `allowed`.
-- Misses: an implant that uses the system's own stack at an ordinary name with random sleep, where no log names its program; what is inside the browser;
-- services that are not in the table. Encrypted DNS and ECH hide names. What is sent, and how much more than ever, is exfil's business.
-- ATT&CK: T1102 web service (.001 dead drop, .002 both ways), T1572 protocol tunneling, T1090 proxy (T1090.003 Tor), T1496 resource hijacking,
-- T1071.001, T1567 exfiltration over web service.

local lunette = require "lunette"
local address = require "lunette.address"
local beat = require "lunette.beat"
local figures = require "figures"
local hosts = require "host_kind"
local louder = require "louder"
local programs = require "programs"
local tls_clients = require "tls_clients"
local cloud = require("cloud").load(lunette)
local cloud_book = require "cloud_book"
local stratum = require "stratum"
local fit = require "cloud_fit"

lunette.detector { title = "Web service used as nobody does", category = "Command and Control", attack = "T1102" }

local tunables = lunette.tunables {
    low = 3, medium = 5, high = 7, -- points from which on an alert has that severity
    timer = 4,                     -- A of lunette.beat from which on calls are a timer's …
    sure = 10,                     -- … and from which on hardly anything else's
    least = 8,                     -- calls before anything is said …
    few = 15,                      -- … and with so many or fewer it is low at most
    span = 1800,                   -- seconds between the first call and the last
    newcomer = 86400,              -- another stack has called the service for so long before
    upload = 1000000,              -- bytes sent by a program that does not fit that add to it …
    upload_share = 0.8,            -- … if they are this share of the flow
    allowed = "",                  -- names of services, programs and hosts that may: "api.telegram.org, ngrok, 192.168.1.5"
    max_pairs = 30000,             -- (host, name, stack) of which calls are timed; 0.7 KiB each
    lines = 8,                     -- of the card
    cooldown = 86400,
}
local allow = require("allowed").list(lunette, tunables.allowed)

local DAY = 86400

-- ---------------------------------------------------------------- state

local function with(fields, more)
    local all = {}
    for name, kind in pairs(fields) do all[name] = kind end
    for name, kind in pairs(more) do all[name] = kind end
    return all
end

local calls = lunette.records("calls", { max = tunables.max_pairs, ttl = 14 * DAY,
    fields = with(beat.PAIR_FIELDS, { due = "u32", looked = "f64", sent = "f64", received = "f64" }) })
-- The awake clock of hosts that have such calls.
local clocks = lunette.records("clocks", { max = 20000, ttl = 14 * DAY, fields = beat.CLOCK_FIELDS })
-- How loud something was told: what is no louder is held back.
local told = lunette.state("told", { max = 20000, ttl = tunables.cooldown })

local stacks = tls_clients.watch(lunette, 60000)
local callers = require("cloud_stacks").new(lunette, 30000)
local book = cloud_book.new(lunette, tunables.lines)

local SEPARATOR = "\t"
local key_of = louder.keys(told)

local function severity_of(points)
    return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
end

-- Tells, unless the same was told as loudly within the cooldown.
local function tell(what, alert)
    local key, is_louder = key_of(what, alert.severity)
    if not is_louder then return end
    alert.key, alert.cooldown = key, tunables.cooldown
    lunette.alert(alert)
end

local function is_allowed(e, service, name)
    return allow.count > 0 and (allow.name(name) or allow.address(e.client_ip) or allow.word(service.service:lower()))
end

local function this(e) return hosts.is_mac(e.client_ip) and "this Mac" or "this host" end

-- ---------------------------------------------------------------- the rhythm

lunette.on("flow_start", { client_local = true }, function(e)
    local clock = clocks:get(e.client_ip)
    if clock then beat.tick(clock, e.time) end
end)

local features = {} -- scratch

local function rhythm_words(f)
    if f.tim >= 0.3 then
        return ("about every %s (%d %% of the intervals, typically %d %% off)"):format(figures.duration(f.period), figures.round(f.crowd * 100, 0),
            figures.round(f.jitter * 100, 0))
    end
    return f.so + f.si > 1.4 and "spread more evenly than people's, of the same sizes" or "spread more evenly than people's"
end

-- Which timed calls count, and what for: points and words, nil where rhythm says nothing.
local function client_signs(e, service, program, now)
    local points, words = 0, {}
    local kind, text = stacks.kind(e.client_ip, e.ja4, now)
    local is_odd = program and program.points > 0
    local stack = tls_clients.stack(e.ja4)
    local newcomer = stack and kind ~= "general" and callers.is_newcomer(e.client_ip, service, stack, tunables.newcomer)
    local is_door = service.use == "api" and not (stack and kind ~= "bare" and next(service.apps) and callers.is_apps(e.client_ip, service, stack))
    if is_odd then
        points = points + program.points
        words[#words + 1] = program.words
    elseif program == nil and next(service.apps) and kind ~= "tool" and not is_door and not newcomer then
        return nil -- may be the service's own app
    end
    if kind == "tool" or kind == "bare" then points = points + 2 elseif kind == "special" then points = points + 1 end
    if kind and text then words[#words + 1] = "it has " .. text end
    if is_door then
        points = points + (service.category == "code" and 1 or 2) -- apps fetch their settings from GitHub
        words[#words + 1] = "programs call this name, people do not"
    end
    if newcomer then
        points = points + 2
        words[#words + 1] = ("another program of %s has used %s for days"):format(this(e), service.service)
    end
    if points == 0 then return nil end
    return points, words, kind
end

local ATTACK = { storage = "T1102.002,T1567.002", paste = "T1102.001", code = "T1102.001,T1567.001", messaging = "T1102.002", blockchain = "T1102.001" }

local function judge_timer(e, pair, service, program, name, now)
    pair.looked = now
    if pair.n < tunables.least or pair.tl - pair.t0 < tunables.span then return end
    local f = beat.features(pair, features)
    local A = f and beat.automation(f)
    if not A or A < tunables.timer then return end
    if not hosts.may_be_mac(e.client_ip) then return end -- a gadget, a server: what they call by the clock is their trade
    local points, words, kind = client_signs(e, service, program, now)
    if not points then return end
    points = points + (A >= tunables.sure and 3 or 2)
    local severity = severity_of(points)
    if severity == "info" then return end
    if f.n <= tunables.few and louder.LEVEL[severity] > louder.LEVEL.low then severity = "low" end
    -- Any customer's program may lie there, and gadgets ask their maker's by the clock.
    if service.category == "cloud-platform" and not program and kind ~= "tool" and not hosts.is_mac(e.client_ip) and severity ~= "low" then severity = "low" end
    tell(table.concat({ "timer", e.client_ip, name, tls_clients.stack(e.ja4) or "-" }, SEPARATOR), {
        title = "Web service called by a timer", severity = severity, score = math.min(points, 10), confidence = figures.round(math.min(0.9, 0.2 + points / 12)),
        attack = ATTACK[service.category] or "T1102", who = e.client_ip, where = name,
        why = ("%s of %s called %s %d times in %s, %s; %s"):format(e.program or "a program", this(e), name, f.n, figures.duration(f.span), rhythm_words(f),
            table.concat(words, "; ")),
        evidence = { service = service.service, category = service.category, calls = f.n, span_s = figures.round(f.span, 0), interval_s = f.tim > 0 and figures.round(f.period) or nil,
            automation = figures.round(A), client = kind, sent = pair.sent, received = pair.received, points = points, ja4 = e.ja4, program = e.program },
        next = ("Which program is it (lsof -i, nettop, --host-log)? Does anybody here run a bot, a runner or a dashboard at %s? What do launch agents start at that interval?"):format(
            service.service),
    })
end

local TIMED = { storage = true, messaging = true, paste = true, code = true, ["file-drop"] = true, ["cloud-platform"] = true, blockchain = true }

lunette.on("onset", { client_local = true, server_local = false, server_name = cloud.set() }, function(e)
    local service = cloud.find(e, "server_name")
    if not service or not TIMED[service.category] then return end
    callers.note(e.client_ip, service, tls_clients.stack(e.ja4), e.time)
    local program = fit.of(e, service)
    if program and program.points == 0 then return end -- known, and as it should be
    local now = lunette.now()
    if not program and service.use ~= "api" and stacks.kind(e.client_ip, e.ja4, now) == "general" then return end
    local name = e.server_name
    if is_allowed(e, service, name) then return end

    local clock = clocks:make(e.client_ip)
    beat.tick(clock, e.time)
    local pair, is_new = calls:make(e.client_ip .. SEPARATOR .. name .. SEPARATOR .. (tls_clients.stack(e.ja4) or "-"))
    if is_new then pair.due, pair.looked = tunables.least, now end
    pair.sent, pair.received = pair.sent + e.client_payload, pair.received + e.server_payload
    if not beat.update(pair, e.time, beat.awake(clock, e.time), e.client_payload, e.server_payload) then return end
    if pair.n >= pair.due then
        pair.due = pair.due * 2
        judge_timer(e, pair, service, program, name, now)
    elseif now - pair.looked >= 3600 then
        judge_timer(e, pair, service, program, name, now)
    end
end)

-- ---------------------------------------------------------------- the program

local BY_PROGRAM = { storage = true, messaging = true, paste = true, code = true, ["file-drop"] = true, blockchain = true }

local function judge_program(e, service)
    local program = fit.of(e, service, true)
    if not program or program.points == 0 then return end
    local name = e.server_name
    if is_allowed(e, service, name) or allow.word((e.program or ""):lower()) then return end
    local points, words = program.points, { program.words }
    if service.use == "api" then
        points = points + 1
        words[2] = "programs call this name, people do not"
    end
    local sent, received = e.client_payload, e.server_payload
    if sent >= tunables.upload and sent >= tunables.upload_share * (sent + received) then
        points = points + 2
        words[#words + 1] = figures.bytes(sent) .. " went up"
    end
    local severity = severity_of(points)
    if severity == "info" then return end
    tell(table.concat({ "program", e.client_ip, service.service, e.program }, SEPARATOR), {
        title = "Web service used by a program that is not its own", severity = severity, score = math.min(points, 10), confidence = figures.round(math.min(0.9, 0.2 + points / 12)),
        attack = ATTACK[service.category] or "T1102", who = e.client_ip, where = name,
        why = ("%s of %s called %s (%s): %s"):format(e.program, this(e), name, service.service, table.concat(words, "; ")),
        evidence = { service = service.service, category = service.category, program = e.program, path = e.path, ancestry = e.ancestry, sent = sent, received = received, points = points },
        next = "What is this program, who signed it, who started it (ancestry)? Which other names did it call since?",
    })
end

-- ---------------------------------------------------------------- names that speak for themselves

local TUNNEL = { Tailscale = "low", ["Microsoft dev tunnels"] = "low" } -- in common use in companies
local TUNNEL_PORT = 7844 -- cloudflared's, TCP and QUIC

local function tunnel(e, service, name)
    if is_allowed(e, service, name) then return end
    tell("tunnel" .. SEPARATOR .. e.client_ip .. SEPARATOR .. service.service, {
        title = "Tunnel service on this host", severity = TUNNEL[service.service] or "medium", score = TUNNEL[service.service] and 3 or 5, confidence = 0.7,
        attack = "T1572,T1090", who = e.client_ip, where = name,
        why = ("%s of %s called %s, the door of %s, which lets strangers in to a port of this host past router and firewall"):format(e.program or "a program", this(e), name,
            service.service),
        evidence = { service = service.service, name = name, port = e.server_port, program = e.program },
        next = "Did a developer start it, and which port does it open? ps and launchctl for the agent; then what was asked for through it.",
    })
end

-- A person at a page, as far as program or stack tell.
local function is_browsers(e, ja4)
    if e.program then return programs.class(e.program, e.path) == "browser" end
    return stacks.is_browsers(e.client_ip, ja4)
end

-- `ja4`: of the TLS stack, nil where there is none.
local function sorted_out(e, service, name, ja4)
    local category = service.category
    if category == "tunnel" then
        if service.use == "agent" then tunnel(e, service, name) end
        return
    end
    if is_allowed(e, service, name) then return end
    if category == "tor2web" then
        local is_page = is_browsers(e, ja4)
        tell("tor2web" .. SEPARATOR .. e.client_ip, { title = "Gateway to Tor", severity = is_page and "low" or "medium", score = is_page and 3 or 5, confidence = 0.7, attack = "T1090.003", who = e.client_ip, where = name,
            why = ("%s of %s called %s, which fetches pages of onion services for those who have no Tor"):format(e.program or "a program", this(e), name),
            evidence = { name = name, program = e.program }, next = "A person in a browser, or a program? Keydnap and MacSpy talked home this way." })
    elseif category == "mining" then
        local is_page = is_browsers(e, ja4)
        tell("mining" .. SEPARATOR .. e.client_ip, { title = "Mining pool", severity = is_page and "low" or "medium", score = is_page and 3 or 5, confidence = 0.6, attack = "T1496", who = e.client_ip, where = name,
            why = ("%s of %s called %s, a pool where computers dig for coins"):format(e.program or "a program", this(e), name),
            evidence = { name = name, port = e.server_port, program = e.program },
            next = "Somebody reads the pool's page, or a miner runs: look for a process that takes the processor (top), and for what started it." })
    elseif category == "callback" then
        local kind, words = stacks.kind(e.client_ip, ja4, lunette.now())
        local is_odd = kind == "tool" or kind == "bare"
        tell("callback" .. SEPARATOR .. e.client_ip .. SEPARATOR .. service.service, { title = "Callback catcher", severity = is_odd and "medium" or "low", score = is_odd and 5 or 3,
            confidence = 0.4, attack = "T1567,T1102.002", who = e.client_ip, where = name,
            why = ("%s of %s called %s, where requests are only caught and shown to whoever set it up%s"):format(e.program or "a program", this(e), name,
                words and "; it has " .. words or ""),
            evidence = { service = service.service, name = name, client = kind, program = e.program },
            next = "Developers and testers use these. If nobody here does: a flaw of a service was tried out, or something is being carried out; what was asked for before?" })
    elseif category == "blockchain" then
        local kind, words = stacks.kind(e.client_ip, ja4, lunette.now())
        local program = fit.of(e, service)
        local is_odd = kind == "tool" or kind == "bare" or program and program.points >= 2
        if program and program.points == 0 then return end
        tell("chain" .. SEPARATOR .. e.client_ip .. SEPARATOR .. name, { title = "Blockchain read by a program", severity = is_odd and "medium" or "info", score = is_odd and 5 or 1,
            confidence = 0.3, attack = "T1102.001", who = e.client_ip, where = name,
            why = ("%s of %s called %s, a door to a blockchain, from which some read where their server is%s%s"):format(e.program or "a program", this(e), name,
                words and "; it has " .. words or "", program and "; " .. program.words or ""),
            evidence = { service = service.service, name = name, client = kind, program = e.program }, next = "Has somebody a wallet here? If not: which program, and whom did it call next?" })
    end
end

local BY_NAME = cloud.set("tunnel", "tor2web", "mining", "callback", "blockchain")
lunette.on("tls", { client_local = true, server_local = false, sni = BY_NAME }, function(e)
    local service = cloud.find(e, "sni")
    if service then sorted_out(e, service, e.sni, e.ja4) end
end)
lunette.on("http", { client_local = true, server_local = false, host = BY_NAME }, function(e)
    local service = cloud.find(e, "host")
    if service then sorted_out(e, service, e.host) end
end)

-- Catchers hear of a blind request by DNS alone.
lunette.on("dns", { client_local = true, type = "query", rrname = cloud.set("callback") }, function(e)
    local service = cloud.find(e, "rrname")
    if service then sorted_out(e, service, e.rrname) end
end)

-- ---------------------------------------------------------------- whole flows: bytes, ports; and miners

local OF_THE_WEB = { tls = true, http = true, quic = true }
lunette.on("flow", { client_local = true, server_local = false, server_name = cloud.set() }, function(e)
    local service = cloud.find(e, "server_name")
    if not service then return end
    book.note(e, service)
    if e.program and BY_PROGRAM[service.category] then judge_program(e, service) end
    if e.client_payload == 0 or e.server_payload == 0 then return end
    if service.use == "agent" or service.use == "ssh" and not OF_THE_WEB[e.app_proto or ""] then tunnel(e, service, e.server_name) end
end)

local cloudflared = cloud.of("region1.v2.argotunnel.com")
lunette.on("flow", { client_local = true, server_local = false, server_port = TUNNEL_PORT }, function(e)
    if e.client_payload > 0 and e.server_payload > 0 and not e.server_name and (e.app_proto == "quic" or e.app_proto == "tls") then
        tunnel(e, cloudflared, e.server_ip .. ":" .. TUNNEL_PORT)
    end
end)

lunette.stream {
    name = "stratum", starts = { client = stratum.STARTS }, limit = 1024, flows = 1000,
    client = function(r, s)
        local begin = r:peek(stratum.ENOUGH)
        local said = stratum.of(begin)
        if not said and stratum.may_be(begin) then said = stratum.of(r:peek(stratum.AT_MOST)) end
        if not said or address.is_private(s.server_ip) then return end
        if allow.count > 0 and (allow.address(s.server_ip) or allow.address(s.client_ip)) then return end
        tell("stratum" .. SEPARATOR .. s.client_ip, { title = "Miner at work", severity = "high", score = 7, confidence = 0.9, attack = "T1496", who = s.client_ip, where = s.server_ip,
            why = ("a program of %s begins to speak to %s:%d as miners do with their pool: %s"):format(this(s), s.server_ip, s.server_port, said),
            evidence = { said = said, port = s.server_port },
            next = "Which process takes the processor (top -o cpu), who started it and with it what else? Miners come behind whatever let them in." })
    end,
}

lunette.every(3600, book.tell)
lunette.on_end(book.tell)
