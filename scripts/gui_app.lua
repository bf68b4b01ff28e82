-- Apps with windows that talk unlike their kind, or unlike they did before.
--
-- Most of a Mac's traffic is begun by apps, and most intrusions begin in one: a document's macro, a plug-in, a library that was put in
-- beside the app's own, an app that is not what it says. The address at the other end tells little then; that *this* program calls it tells
-- more. So this detector looks at flows whose program is known: from the kernel's process blocks in a capture taken on the Mac, or from a
-- host log (--host-log). Without either it says nothing.
--
-- Whose flow is it? Who acts for others (com.apple.WebKit.Networking, nsurlsessiond, mDNSResponder) is passed over for the effective or the
-- responsible process; helpers ("Slack Helper (Renderer)") count as their app. lib/programs.lua knows the kinds. Then, each sign with points:
--
--   kind      what is odd for such a program whatever it did before. Editors, viewers, office programs have no business with an address that no
--             name was ever given for, with odd ports, with bare TCP that speaks no known protocol, with tunnels, with callers from outside. TextEdit,
--             Preview, Calculator and their like (trait "silent") have none with anybody but Apple. Mail programs may call any mail server,
--             media and chat programs their peers; of a browser only bare TCP to a bare address counts.
--   history   what is new for this program on this host, once it was watched for `learn_days` and `learn_flows`: a registrable domain, a port, an
--             address without a name, bare TCP, a TLS stack (the cipher list of JA4; the rest of it varies from call to call: with ALPN, with
--             session tickets), an upload far larger than ever. One of these alone is news ("info"), several are more. That nobody else
--             here calls the domain adds a point where there are enough hosts to say so. Browsers, IDEs and terminals call anybody: of
--             these no name is new, and neither of who called more domains than are kept (64); chat, media and sync programs have peers, so
--             of them no port or address is.
--   place     a program without a developer's signature in Downloads, a temporary folder, /Users/Shared or on a mounted volume that talks to
--             the outside at all. Downloaded apps that macOS runs from a shuffled place have a signature.
--   disguise  the name of a program of Apple's, but not its place or signature.
--
-- A tool that an app runs (sh, curl, python) is lolbin's business; here it is counted on the app's card alone.
--
-- False alarms: TextEdit and Preview with documents that fetch pictures; add-ins; licence servers on ports of their own; an app's update that changes
-- its TLS library; developers who run what they have just built from a temporary folder. Names that came out of encrypted DNS are not
-- seen: where a host uses it, an address without a name counts less, unless TLS or HTTP itself says that there is none.
-- Misses: what is injected and calls a name in the app's own domain, or a cloud that the app uses anyway; apps that were bad from the first day (their
-- history is); traffic of com.apple.WebKit.Networking where no log tells for whom. History is by address, so it begins anew when that changes.
-- ATT&CK: T1071 application layer protocol, T1571 non-standard port, T1095 non-application layer protocol, T1055 process injection,
-- T1041 exfiltration over the C2 channel, T1036.005 match legitimate name or location, T1204.002 malicious file.

local lunette = require "lunette"
local app_card = require "app_card"
local hosts = require "host_kind"
local louder = require "louder"
local programs = require "programs"

lunette.detector { title = "App talks unlike its kind", category = "Command and Control", attack = "T1071" }

local tunables = lunette.tunables {
    low = 2, medium = 4, high = 6,  -- points from which on an alert has that severity
    learn_days = 3,                 -- a program's history says something after so many days …
    learn_flows = 30,               -- … and so many flows
    new_domains = true,             -- tell of new domains alone ("info")
    upload = 1000000,               -- bytes sent in one flow that are looked at …
    upload_share = 0.8,             -- … if they are this share of the flow …
    upload_times = 4,               -- … and so many times the largest upload before
    fleet = 5,                      -- hosts with known programs from which on "nobody else calls it" counts
    ports = { "80", "443", "8080", "8443" }, -- fit any app
    mail_ports = { "25", "110", "143", "465", "587", "993", "995", "4190" },
    apps = 8,                       -- lines of the card
    cooldown = 86400,
}

local DAY = 86400
local NAMES, STACKS, PORTS = 64, 8, 8

-- Points of a kind's signs: an address without a name, an odd port, bare TCP, a protocol of others, a caller from outside. No row: nothing is
-- expected of it.
local KINDS = {
    editor = { bare = 4, port = 1, raw = 2, protocol = 2, listens = 4, article = "an editor" },
    viewer = { bare = 4, port = 1, raw = 2, protocol = 2, listens = 4, article = "a viewer" },
    office = { bare = 4, port = 1, raw = 2, protocol = 2, listens = 4, article = "an office program" },
    mail = { bare = 2, port = 1, raw = 2, listens = 4, article = "a mail program" },
    media = { bare = 1, port = 0, raw = 1, listens = 0, article = "a media program" },
    chat = { bare = 0, port = 0, raw = 1, listens = 0, article = "a chat program" },
    browser = { bare = 0, port = 0, raw = 0, listens = 4, together = 4, article = "a browser" },
    system = { bare = 2, port = 1, raw = 2, listens = 0, article = "a program of macOS" }, -- with windows only: Calculator, System Settings
    [""] = { bare = 1, port = 0, raw = 1, listens = 0, article = "an app" },
}
-- What is called by address: who resolves names, sets clocks, finds a way through a NAT.
local BY_ADDRESS = { dns = true, ntp = true, stun = true, mdns = true, ssdp = true, dhcp = true }
-- Protocols that no editor, viewer or office program speaks.
local FOREIGN = { openvpn = true, wireguard = true, ike = true, socks = true, irc = true, mqtt = true, rfb = true, rdp = true, xmpp = true, telnet = true,
    zerotier = true, pptp = true, l2tp = true }
local CALLS_ANYBODY = { browser = true, developer = true, terminal = true, vpn = true, security = true, admin = true, installer = true }
local CALLS_PEERS = { chat = true, media = true, sync = true }
local TOOLS = { shell = true, interpreter = true, network = true, launcher = true }

local function set_of(list)
    local set = {}
    for i = 1, #list do set[tonumber(list[i]) or list[i]] = true end
    return set
end
local any_ports, mail_ports = set_of(tunables.ports), set_of(tunables.mail_ports)

-- Shared and multicast addresses are nobody outside: carrier NAT is where mesh VPNs have their peers.
local near = lunette.set.prefixes { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8" }
local apples_names, apples_blocks
do
    local names, blocks = {}, {}
    for _, row in ipairs(lunette.tsv("apple_domains.tsv")) do
        if row.owner == "apple" then names[#names + 1] = row.match == "exact" and "=" .. row.name or row.name end
    end
    for i, row in ipairs(lunette.tsv("apple_cidrs.tsv")) do blocks[i] = row.cidr end
    apples_names, apples_blocks = lunette.set.domains(names), lunette.set.prefixes(blocks)
end

-- One program on one host; the key is "address program". Some 530 bytes each with its key: 25 MB when full.
local history = lunette.records("history", { max = 50000, ttl = 90 * DAY, fields = {
    first = "time", flows = "u32", sent = "f64", received = "f64", largest = "f64", domains = "u32", bare = "u32", raw = "u32", by_tools = "u32",
    stacks = "u32", ports = "u32", told = "u32", name = "u32[64]", stack = "u32[8]", port = "u16[8]" } })
-- What is known of a host's DNS: "seen" or "hidden".
local resolving = lunette.state("resolving", { max = 20000, ttl = 7 * DAY, keep = "reload" })
-- How loud something was told within the cooldown: what is no louder is held back.
local told = lunette.state("told", { max = 20000, ttl = tunables.cooldown })

-- ---------------------------------------------------------------- small things

-- 32 bits of a text, never 0 (FNV-1a's idea with a factor that keeps numbers exact).
local function hash(text)
    local sum = 2166136261
    for i = 1, #text do sum = (sum * 263 + text:byte(i)) % 4294967291 end
    return sum == 0 and 1 or sum
end

local function holds(record, field, size, count, value)
    for i = 0, math.min(count, size) - 1 do
        if record:at(field, i) == value then return true end
    end
    return false
end

local size_text = app_card.size_text

local function severity_of(points)
    return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
end

local key_of = louder.keys(told)

-- ", run by sh < Microsoft Word"; nothing where launchd alone started it, as it does all apps.
local function chain_text(e)
    local ancestry = e.ancestry
    return ancestry and ancestry ~= "launchd" and ", run by " .. ancestry .. "," or ""
end

-- ---------------------------------------------------------------- whose flow is it

-- Name, path and what is known of the program that stands behind a flow; nil if nobody is known to.
local function subject_of(e)
    local name = e.program
    if not name then return nil end
    local path = e.path
    local known = programs.of(name, path)
    if not known.proxy then return name, path, known end
    local responsible = e.responsible
    if not responsible or responsible == path then return nil end
    name = programs.base(responsible)
    return name, responsible, programs.of(name, responsible)
end

-- ---------------------------------------------------------------- signs

-- Has the server no name? "certain" where the protocol itself would have told it, "likely" where DNS is seen and told none, "perhaps".
local function nameless(e)
    if e.server_name or e.midstream then return nil end
    local protocol = e.app_proto
    if BY_ADDRESS[protocol or ""] or protocol == "quic" then return nil end -- of QUIC the hello could not be read
    if protocol == "http" then return "certain" end -- Host: 203.0.113.9, or none
    if protocol == "tls" and not e.app_proto_orig and e.ja4 and e.ja4:sub(4, 4) == "i" then return "certain" end -- a hello without server_name
    return resolving:get(e.client_ip) == "seen" and "likely" or "perhaps"
end

local function is_raw(e)
    return e.proto == "TCP" and not e.app_proto and not e.midstream and e.client_payload > 0 and e.server_payload > 0
end

local function is_odd_port(e, known)
    local port = e.server_port
    return not any_ports[port] and not (known.class == "mail" and mail_ports[port])
end

local function is_apples(e)
    local name = e.server_name
    if name then return apples_names:has(name) end
    return apples_blocks:has(e.server_ip)
end

-- A finding collects signs: points, words, evidence.
local function new_finding()
    return { points = 0, signs = {}, words = {} }
end

local function add(finding, sign, points, words)
    finding.points = finding.points + points
    finding.signs[#finding.signs + 1] = sign
    finding.words[#finding.words + 1] = words
end

local function kind_signs(finding, e, known, bare)
    local kind = KINDS[known.class or ""]
    if not kind or known.updater then return end
    local raw, odd = is_raw(e), is_odd_port(e, known)
    local before = finding.points
    if known.silent and not is_apples(e) then
        add(finding, "silent", 4, "it has no business with anybody but Apple")
    end
    if bare and kind.together and raw then add(finding, "raw and bare", kind.together, "bare TCP to an address without a name") end
    if bare and kind.bare > 0 and not (is_apples(e)) then
        add(finding, "bare", bare == "perhaps" and math.min(kind.bare, 1) or bare == "likely" and math.min(kind.bare, 3) or kind.bare,
            bare == "certain" and "the server has no name" or "no name was seen for the server")
    end
    if raw and kind.raw > 0 then add(finding, "raw", kind.raw, "bytes of no known protocol over TCP") end
    if kind.protocol and FOREIGN[e.app_proto or ""] then add(finding, "protocol", kind.protocol, ("%s does not speak %s"):format(kind.article, e.app_proto)) end
    if finding.points > before and odd and kind.port > 0 then add(finding, "port", kind.port, ("port %d is none of an app's usual"):format(e.server_port)) end
end

local PLACE_WORDS = { temp = "a temporary folder", volume = "a mounted volume" }

local function place_of(known, path)
    if known.place == "temp" or known.place == "volume" then return PLACE_WORDS[known.place] end
    if known.place ~= "user" then return nil end
    if path:find("/Downloads/", 1, true) then return "Downloads" end
    if path:find("/Users/Shared/", 1, true) then return "/Users/Shared" end
end

local function place_signs(finding, e, known, path)
    local place = path and place_of(known, path)
    if not place or e.team_id then return end
    local platform = e.platform
    if platform == "yes" then return end
    if platform == "no" then
        add(finding, "place", 4, ("it runs from %s and has no developer's signature"):format(place))
    else
        add(finding, "place", 2, ("it runs from %s; its signature is not known"):format(place))
    end
end

-- ---------------------------------------------------------------- history

-- Signs that are new for the program; what is new is learnt at once.
local function history_signs(finding, e, known, record, bare, learnt)
    local narrow = learnt and not CALLS_ANYBODY[known.class or ""] and not CALLS_PEERS[known.class or ""]
    local domain = e.server_name and lunette.registrable(e.server_name)
    local what = {}
    if domain then
        local code = hash(domain)
        if not holds(record, "name", NAMES, record.domains, code) then
            if learnt and record.domains < NAMES and not CALLS_ANYBODY[known.class or ""] and not is_apples(e) then what.domain = domain end
            record:put("name", record.domains % NAMES, code)
            record.domains = record.domains + 1
            what.first = domain
        end
    end
    local ja4 = e.ja4
    local stack = ja4 and #ja4 >= 23 and hash(ja4:sub(1, 1) .. ja4:sub(12, 23))
    if stack and not holds(record, "stack", STACKS, record.stacks, stack) then
        if learnt and record.stacks > 0 and record.stacks < STACKS then add(finding, "stack", 2, "a TLS stack that it never had: " .. ja4) end
        record:put("stack", record.stacks % STACKS, stack)
        record.stacks = record.stacks + 1
    end
    local port = e.server_port
    if not any_ports[port] and not holds(record, "port", PORTS, record.ports, port) then
        if narrow and record.ports < PORTS then add(finding, "new port", 1, ("port %d for the first time"):format(port)) end
        record:put("port", record.ports % PORTS, port)
        record.ports = record.ports + 1
    end
    if bare and bare ~= "perhaps" then
        if narrow and record.bare == 0 then add(finding, "first bare", 2, "never called an address without a name before") end
        record.bare = record.bare + 1
    end
    if is_raw(e) then
        if narrow and record.raw == 0 then add(finding, "first raw", 2, "never spoke bare TCP before") end
        record.raw = record.raw + 1
    end
    local sent = e.client_payload
    if learnt and sent >= tunables.upload and sent >= tunables.upload_share * (sent + e.server_payload) and sent > tunables.upload_times * record.largest then
        add(finding, "upload", 2, ("sent %s, at most %s in one connection before"):format(size_text(sent), size_text(record.largest)))
    end
    record.largest = math.max(record.largest, sent)
    return what
end

-- ---------------------------------------------------------------- alerts

local NEXT = {
    disguise = "Fetch the file at that path, look at its signature (codesign -dvv) and at who put it there.",
    place = "Where did the file come from (its quarantine attribute, the browser's downloads)? Who runs it, and was it meant to be run?",
    kind = "Which document or plug-in was open? Look at the libraries that the process has loaded (vmmap) and at the flow's first bytes.",
    listens = "Which process of the app listens (lsof -i), since when, and who let it through the firewall?",
    history = "Was the app updated that day? If not, look for a plug-in or a library that is new, and at what it sent.",
}

local function evidence_of(e, name, path, known, finding)
    return { program = name, path = path, class = known.class, process = e.process, ancestry = e.ancestry, signing_id = e.signing_id, team_id = e.team_id,
        platform = e.platform, server = e.server_name, port = e.server_port, protocol = e.app_proto or e.proto, ja4 = e.ja4, sent = e.client_payload,
        received = e.server_payload, points = finding.points, signs = finding.signs }
end

local function tell(e, rule, title, attack, name, path, known, finding, confidence, inbound)
    local who = inbound and e.server_ip or e.client_ip
    local where = inbound and e.client_ip or e.server_name or e.server_ip
    local words = table.concat(finding.words, "; ")
    local host = hosts.is_mac(who) and " of this Mac" or ""
    local severity = severity_of(finding.points)
    lunette.alert {
        title = title, severity = severity, score = math.min(finding.points, 10), confidence = confidence, attack = attack, who = who,
        where = where,
        why = ("%s%s%s %s %s:%d: %s"):format(name, host, chain_text(e), inbound and "answered" or "called", where, inbound and e.client_port or e.server_port, words),
        evidence = evidence_of(e, name, path, known, finding), next = NEXT[rule],
        key = key_of(("%s %s %s"):format(title, who, known.known_as or name), severity), cooldown = tunables.cooldown,
    }
end

local TECHNIQUES = { raw = "T1095", ["raw and bare"] = "T1095", ["first raw"] = "T1095", port = "T1571", ["new port"] = "T1571", stack = "T1055",
    upload = "T1041" }

local function attack_of(signs)
    local attack = "T1071"
    for i = 1, #signs do
        local technique = TECHNIQUES[signs[i]]
        if technique and not attack:find(technique, 1, true) then attack = attack .. "," .. technique end
    end
    return attack
end

-- Which rule stands at the head of the alert? The strongest that spoke.
local function tell_finding(e, name, path, known, finding)
    local signs = {}
    for i = 1, #finding.signs do signs[finding.signs[i]] = true end
    if signs.disguise then
        return tell(e, "disguise", "Program under a name of Apple's", "T1036.005", name, path, known, finding, 0.9)
    end
    if signs.place then
        return tell(e, "place", "Program from a place for downloads talks to the outside", "T1204.002", name, path, known, finding, 0.6)
    end
    if signs.silent then
        return tell(e, "kind", "App that should be silent talks to the outside", attack_of(finding.signs), name, path, known, finding, 0.6)
    end
    tell(e, "kind", "App talks unlike its kind", attack_of(finding.signs), name, path, known, finding, 0.5)
end

-- What is new goes to the place that knows of all hosts; the alert is made there.
local function send_news(e, name, path, known, finding, what)
    if #finding.signs == 0 and not what.first then return end
    local message = { host = e.client_ip, app = known.known_as or name }
    if #finding.signs > 0 or what.domain then
        message.points, message.signs, message.words, message.new = finding.points, finding.signs, finding.words, what.domain
        message.is_mac = hosts.is_mac(e.client_ip)
        message.name, message.chain, message.where, message.port = name, chain_text(e), e.server_name or e.server_ip, e.server_port
        message.evidence = evidence_of(e, name, path, known, finding)
    end
    lunette.send(what.first or "", message)
end

-- ---------------------------------------------------------------- handlers

lunette.on("dns", { type = "answer", client_local = true }, function(e)
    local host = e.client_ip
    if not resolving:get(host) then resolving:set(host, "seen") end
end)

lunette.on("encrypted_dns", { client_local = true }, function(e)
    resolving:set(e.client_ip, "hidden")
end)

-- A tool below an app: lolbin judges it, the app's card has it.
local function count_tool(e)
    local above = programs.who_runs(e)
    if not above then return end
    local known = programs.of(above)
    if not known.gui or known.terminal or known.class == "terminal" then return end
    local record, is_new = history:make(e.client_ip .. " " .. known.known_as)
    if is_new then record.first = e.start end
    record.by_tools = record.by_tools + 1
end

lunette.on("flow", { client_local = true, server_local = false }, function(e)
    if not e.program then return end
    if e.client_payload == 0 and e.server_payload == 0 or near:has(e, "server_ip") then return end
    if not hosts.may_be_mac(e.client_ip) then return end

    local finding = new_finding()
    local name, path = e.program, e.path
    local known
    local lie, sure = programs.impostor(name, path, e.signing_id, e.platform)
    if lie then
        add(finding, "disguise", sure == "certain" and 8 or 4, "it has the name of a program of Apple's, and " .. lie)
        known = programs.of(name, path)
    else
        name, path, known = subject_of(e)
        if not name then return end
    end
    place_signs(finding, e, known, path)
    if TOOLS[known.class or ""] then
        count_tool(e)
        if finding.points > 0 then tell_finding(e, name, path, known, finding) end
        return
    end
    if not known.gui and #finding.signs == 0 then return end

    local bare = nameless(e)
    if #finding.signs > 0 and bare and bare ~= "perhaps" then add(finding, "bare", 2, "the server has no name") end
    if known.gui and #finding.signs == 0 then kind_signs(finding, e, known, bare) end
    local is_odd = finding.points >= tunables.low

    local record, is_new = history:make(e.client_ip .. " " .. (known.known_as or name))
    if is_new then record.first = e.start end
    local learnt = record.flows >= tunables.learn_flows and e.time - record.first >= tunables.learn_days * DAY
    local before = #finding.signs
    local what = history_signs(finding, e, known, record, bare, learnt)
    record.flows, record.sent, record.received = record.flows + 1, record.sent + e.client_payload, record.received + e.server_payload
    if is_odd then
        tell_finding(e, name, path, known, finding)
        if what.first then lunette.send(what.first, { host = e.client_ip, app = known.known_as or name }) end
        return
    end
    if #finding.signs == before and before > 0 then finding = new_finding() end -- a weak sign of its kind that is nothing new
    send_news(e, name, path, known, finding, what)
end)

-- Calls from outside to a program with windows.
lunette.on("flow", { client_local = false, server_local = true }, function(e)
    local name = e.server_process
    if not name or e.client_payload == 0 or e.server_payload == 0 or e.midstream or near:has(e, "client_ip") then return end
    local path = e.path
    if path and programs.base(path):sub(1, #name) ~= name then path = nil end
    local known = programs.of(name, path)
    local kind = known.gui and KINDS[known.class or ""]
    if not kind or kind.listens == 0 or not hosts.may_be_mac(e.server_ip) then return end
    local finding = new_finding()
    add(finding, "listens", kind.listens, ("%s that answers a caller from outside on port %d"):format(kind.article, e.server_port))
    tell(e, "listens", "App answers calls from outside", "T1071,T1571", name, path, known, finding, 0.5, true)
end)

-- ---------------------------------------------------------------- all hosts together

lunette.gather(function()
    -- Who calls a domain: how many pairs of host and program, and the first of them.
    local callers = lunette.state("callers", { max = 100000, ttl = 30 * DAY })
    local seen = lunette.state("seen", { max = 20000, ttl = 30 * DAY })

    lunette.receive(function(domain, news)
        seen:set(news.host, true)
        local others = 0
        if domain ~= "" then
            others = callers:get(domain) or 0
            callers:set(domain, others + 1)
        end
        if not news.signs then return end
        local points, signs, words = news.points, news.signs, news.words
        local count = #signs
        if news.new then
            points, count = points + 1, count + 1
            signs[#signs + 1] = "domain"
            words[#words + 1] = news.new .. " for the first time"
            if others == 0 and seen:count() >= tunables.fleet then
                points = points + 1
                signs[#signs + 1] = "rare"
                words[#words + 1] = ("no program of %d hosts called it before"):format(seen:count())
            end
        end
        local severity = count > 1 and severity_of(points) or "info"
        if count == 1 and news.new and not tunables.new_domains then return end
        news.evidence.points, news.evidence.signs, news.evidence.others = points, signs, others
        lunette.alert {
            title = count == 1 and news.new and "App calls a new domain" or "App talks unlike before", severity = severity, score = math.min(points, 10),
            confidence = count == 1 and 0.2 or math.min(0.3 + 0.1 * count, 0.8), attack = attack_of(signs), who = news.host, where = news.where,
            why = ("%s%s%s called %s:%d: %s"):format(news.name, news.is_mac and " of this Mac" or "", news.chain, news.where, news.port,
                table.concat(words, "; ")),
            evidence = news.evidence, next = NEXT.history,
            key = key_of(("%s %s %s"):format(count == 1 and "news" or "unlike", news.host, news.app), severity), cooldown = tunables.cooldown,
        }
    end)
end)

-- ---------------------------------------------------------------- the card

local function tell_cards() app_card.tell(history, tunables.apps) end

lunette.every(3600, tell_cards)
lunette.on_end(tell_cards)
