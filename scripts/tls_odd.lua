-- TLS that does not belong, and bytes on TLS' port that are no TLS.
--
-- Nearly all that a Mac says to the outside is TLS, and so is what an implant says: nobody reads it, and nobody stops it. What is left to
-- look at is the form. A program of Apple's or a browser calls a name that DNS has just given it, on port 443, with a stack that many others
-- have, and wants a certificate of a public CA. Somebody who sets up a server of his own for a week does it more cheaply. Each oddity
-- is a sign with points; the alert lists them:
--
--   certificate   a tool's own default (data/c2_certificates.tsv), a tutorial's names, signed by itself, of no public CA, for another name, out of
--                 date, good for decades, and, beside another sign, issued days ago. Up to TLS 1.2: TLS 1.3 and QUIC encrypt
--                 certificates, and most of today's handshakes show none. What is not seen is no sign.
--   name          none in the hello, or an address in its place; a name that DNS never gave this host; an address that DNS gave for
--                 other names; a name whose answers were other addresses. All of these need the host's DNS in sight.
--   port          none of those that TLS is used on.
--   stack         a library's or tool's (data/stack_ja4.tsv): one point. Under a browser's agent it is a disguise: a CONNECT whose agent says Chrome and
--                 whose ClientHello says Go; a process called Google Chrome with curl's stack; a host whose browser called a name in clear, and
--                 then Go calls it. In clear HTTP: a browser's agent on a request without the headers that browsers send.
--   age           TLS 1.1 and before, broken ciphers, those that protect nothing, the withdrawn ESNI.
--   no TLS        bytes of no known protocol on TCP port 443 (OceanLotus, many shells and proxies), more so at an address that DNS never named, and
--                 if each connection begins alike, as a protocol of one's own does.
--
-- One sign alone is nothing or "info", some are a lead, and only what adds up is medium. What a browser called was a person's choice: its
-- certificate and port are at most low.
--
-- Not judged here: Apple's names and blocks (apple_allowlist), what is recognised as a VPN or Tor (vpn), calls inside the home networks (printers, NAS,
-- routers, AirPlay sign for themselves), DTLS (WebRTC signs each call for itself), tools by their stack or agent alone (lolbin).
-- False alarms: backup programs, games, P2P and remote support with servers and certificates of their own; self-hosted things; programs
-- that get addresses from a server instead of DNS (Zoom, Steam, Telegram: low); companies' inspecting gateways; DNS that went another way.
-- Misses: certificates of TLS 1.3, C2 behind a content network or with Let's Encrypt's certificate and a browser's ClientHello (utls), domain fronting.
-- ATT&CK: T1573 encrypted channel, T1587.003 digital certificates, T1571 non-standard port, T1095 non-application layer protocol, T1001.003
-- protocol impersonation, T1036 masquerading, T1090.004 domain fronting.

local lunette = require "lunette"
local allowed = require "allowed"
local certificate = require "tls_certificate"
local dns_memory = require "dns_memory"
local figures = require "figures"
local hosts = require "host_kind"
local programs = require "programs"
local stacks = require "stacks"

lunette.detector { title = "TLS that does not belong", category = "Command and Control", attack = "T1573" }

local tunables = lunette.tunables {
    info = 2, low = 3, medium = 6, high = 8, -- points from which on an alert has that severity; below the first nothing is said
    allowed = "",        -- names, addresses, networks that are not judged: "nas.example.com, 203.0.113.0/24"
    ports = { "21", "25", "110", "143", "389", "443", "465", "563", "587", "636", "784", "853", "989", "990", "992", "993", "994", "995", "2083", "2087", "2096",
        "2195", "2196", "2197", "2376", "3269", "3389", "3478", "4443", "4460", "5061", "5222", "5223", "5228", "5229", "5230", "5269", "5349", "5432",
        "5671", "6443", "6679", "6697", "7000", "8080", "8443", "8853", "8883", "9243", "9443", "10443" }, -- where TLS is usual
    fresh_days = 3,      -- a certificate issued so short ago counts beside another sign
    long_days = 5000,    -- a certificate good for longer is odd
    dns_answers = 20,    -- answers a host must have been seen to get before "DNS never gave it" means anything …
    dns_watched = 1800,  -- … and seconds since the first: systems remember answers from before the capture
    dns_hidden = 86400,  -- seconds for which encrypted DNS or a relay switches off what needs DNS
    alike = 3,           -- connections on 443 that begin with the same four bytes
    cooldown = 86400,
}

local allow = allowed.list(lunette, tunables.allowed)
local known_certificate = certificate.known(lunette.tsv("c2_certificates.tsv"))
local find_stack = stacks.new(lunette.tsv("stack_ja4.tsv"))
local usual_ports = {}
for _, port in ipairs(tunables.ports) do usual_ports[tonumber(port)] = true end

local near = lunette.set.prefixes { "0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "224.0.0.0/3", "::1/128", "ff00::/8" }
local relays = lunette.set.domains { "mask.icloud.com", "mask-h2.icloud.com", "doh.dns.apple.com" }
local apples_names, apples_blocks, shared_blocks
do
    local names, blocks, shared = {}, {}, {}
    for _, row in ipairs(lunette.tsv("apple_domains.tsv")) do
        if row.owner == "apple" then names[#names + 1] = row.match == "exact" and "=" .. row.name or row.name end
    end
    for i, row in ipairs(lunette.tsv("apple_cidrs.tsv")) do blocks[i] = row.cidr end
    for i, row in ipairs(lunette.tsv("cdn_cidrs.tsv")) do shared[i] = row.cidr end
    apples_names, apples_blocks, shared_blocks = lunette.set.domains(names), lunette.set.prefixes(blocks), lunette.set.prefixes(shared)
end

-- Keys and no values, as records: a third of what a state takes. "client address": DNS gave it; "client family name": it was answered.
local answers = lunette.records("answers", { max = 120000, ttl = 86400, fields = { there = "bool" } })
local asked = lunette.records("asked", { max = 120000, ttl = 86400, fields = { there = "bool" } })
local function set_of(records)
    return { set = function(_, key) records:make(key) end, get = function(_, key) return records:get(key) ~= nil end }
end
local dns = dns_memory.new {
    answers = set_of(answers), asked = set_of(asked),
    clients = lunette.records("clients", { max = 10000, fields = dns_memory.CLIENT_FIELDS }),
}
-- "client domain" → what browser called it in clear.
local agents = lunette.state("agents", { max = 10000, ttl = 86400 })
-- "client server" → how connections on 443 that are no TLS began.
local heads = lunette.records("heads", { max = 10000, ttl = 7 * 86400, fields = { first = "u32", alike = "u32", flows = "u32" } })
-- Of a flow: it goes through a proxy, under which browser's agent, or is a VPN's.
local own = lunette.flow_state { proxied = "bool", browser = "u8", vpn = "bool" }
local BROWSERS = { "Chrome", "Firefox", "Safari", "Edge", "Opera" }
local NUMBERS = { Chrome = 1, Firefox = 2, Safari = 3, Edge = 4, Opera = 5 }

-- When memory is full, what DNS said is forgotten too early, and "never" is not to be believed for a day.
local crowding = { evicted = 0, at = nil }
lunette.state("crowding", { max = 1, keep = false }):set("all", crowding)

-- ---------------------------------------------------------------- signs

-- The finding at hand. One is enough: it is told, or forgotten, before the next event.
local finding = { points = 0, count = 0, signs = {}, words = {}, worth = {} }

local function add(sign, points, words)
    local count = finding.count + 1
    finding.points, finding.count = finding.points + points, count
    finding.signs[count], finding.words[count], finding.worth[count] = sign, words, points
end

local function begin() finding.points, finding.count = 0, 0 end

local function has(sign)
    for i = 1, finding.count do
        if finding.signs[i] == sign then return true end
    end
    return false
end

local function family(address) return address:find(":", 1, true) and "6" or "4" end

-- Was the host's DNS watched long enough for "never" to mean something? Gives when it began, or nil.
local function is_watched(client, kind, now)
    if crowding.at and now - crowding.at < 86400 then return false end
    local seen, first = dns.seen(client, kind)
    return seen ~= nil and seen >= tunables.dns_answers and now - first >= tunables.dns_watched
end

-- What DNS says against it. name: nil if the hello has none.
local function dns_signs(e, name)
    local client, server, now = e.client_ip, e.server_ip, lunette.now()
    local kind = family(server)
    if not dns.seen(client, kind) or dns.is_hidden(client, now, tunables.dns_hidden) then return end
    if dns.gave(client, server) then
        -- With ECH the name in clear is the content network's, and the address was given for the hidden one.
        if name and not e.ech and is_watched(client, kind, now) and not dns.was_told(client, kind, name) and not shared_blocks:has(e, "server_ip") then
            add("borrowed", 2, "DNS gave this address for other names, and never this one")
        end
        return
    end
    if name and dns.was_told(client, kind, name) then
        if not shared_blocks:has(e, "server_ip") then add("elsewhere", 2, "DNS gave other addresses for the name") end
    elseif is_watched(client, kind, now) then
        if name then add("unasked", 1, "DNS never gave this name") else add("unnamed", 1, "DNS never gave this address") end
    end
end

-- Mail and DNS servers are mostly called without a name.
local UNNAMED = { [25] = true, [110] = true, [143] = true, [465] = true, [587] = true, [853] = true, [993] = true, [995] = true }
local ESNI = 0xffce -- draft-ietf-tls-esni-02: withdrawn, no browser of today sends it

local function name_signs(e, name)
    if name then
        if lunette.is_address(name) then add("literal", 1, "the hello names an address instead of a host (RFC 6066 forbids it)") end
        return
    end
    if not e.has_client_hello or UNNAMED[e.server_port] then return end
    local extensions = e.extensions
    for i = 1, extensions and #extensions or 0 do
        if extensions[i] == ESNI then return add("esni", 1, "the name is hidden by ESNI, which was withdrawn") end
    end
    add("nameless", 1, "the hello names no server")
end

-- Without encryption, for export, or without knowing whom one talks to; and what was only good enough once: RC4, single DES.
local USELESS, WEAK = {}, {}
for _, number in ipairs { 0x0001, 0x0002, 0x003b, 0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, 0x0017, 0x0019, 0x0062, 0x0064, 0x0018, 0x001a, 0x001b,
    0x0034, 0x003a, 0x006c, 0x006d, 0x00a6, 0x00a7, 0xc001, 0xc006, 0xc00b, 0xc010, 0xc015, 0xc016, 0xc017, 0xc018, 0xc019 } do USELESS[number] = true end
for _, number in ipairs { 0x0004, 0x0005, 0x0009, 0x000c, 0x000f, 0x0012, 0x0015, 0xc002, 0xc007, 0xc00c, 0xc011 } do WEAK[number] = true end

-- Old software is one cause, whatever shows it.
local function age_signs(e)
    if not e.has_server_hello or e.proto ~= "TCP" then return end
    local version = e.server_version
    if USELESS[e.cipher] then
        add("cipher", 2, ("cipher suite %04x protects nothing"):format(e.cipher))
    elseif WEAK[e.cipher] then
        add("old", 1, ("cipher suite %04x is broken"):format(e.cipher))
    elseif version > 0 and version < 0x0303 then
        add("old", 1, (e.version or "an old version") .. " was agreed on")
    end
end

-- A stack that is not the program's or the agent's is a disguise; else it is worth a point.
local function stack_signs(e, name, flow)
    local ja4 = e.ja4
    local stack, kind = find_stack(ja4)
    if not stack then return end
    local browser = flow and flow.browser > 0 and BROWSERS[flow.browser]
    if browser then return add("disguise", 6, ("the CONNECT calls itself %s, the TLS stack is that of %s"):format(browser, stack)) end
    local program = e.program
    if program and programs.class(program, e.path) == "browser" then
        return add("disguise", 6, ("the program calls itself %s, its TLS stack is that of %s"):format(program, stack))
    end
    local domain = name and lunette.registrable(name)
    browser = domain and agents:get(e.client_ip .. " " .. domain)
    if browser then
        add("agent", 3, ("%s called %s in clear, and now the stack of %s calls it"):format(browser, domain, stack))
    elseif kind == "library" then
        add("stack", 1, "the TLS stack is that of " .. stack)
    end
end

local KINDS = { c2 = 8, placeholder = 3 }

local function certificate_signs(e, name)
    local row = known_certificate(e)
    if row then
        add(row.kind, KINDS[row.kind], row.kind == "c2" and "it is the default certificate of " .. row.what or "its names are " .. row.what)
    end
    certificate.signs(e, name, tunables, add)
end

-- ---------------------------------------------------------------- alerts

local function severity_of(points)
    return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
end

-- What stands at the head: the first of these that is there.
local TITLES = {
    { "c2", "Certificate of an attack tool", "T1587.003,T1573.002" },
    { "disguise", "Browser's name on another's TLS", "T1036,T1071.001" },
    { "agent", "Browser's name on another's TLS", "T1036,T1071.001" },
    { "request", "Browser's agent, but no browser's request", "T1036,T1071.001" },
    { "raw", "Bytes on 443 that are not TLS", "T1095,T1001.003" },
    { "self-signed", "Certificate signed by itself", "T1587.003,T1573.002" },
    { "borrowed", "TLS for a name that DNS did not give", "T1090.004,T1573" },
    { "elsewhere", "TLS for a name that DNS did not give", "T1090.004,T1573" },
}

local function title_of()
    for i = 1, #TITLES do
        if has(TITLES[i][1]) then return TITLES[i][2], TITLES[i][3] end
    end
    return "TLS that does not belong", has("port") and "T1571,T1573" or "T1573"
end

local NEXT = {
    ["Certificate of an attack tool"] = "Which program on the host holds the connection (lsof -i, host log)? Who owns the address, and which other hosts called it?",
    ["Browser's name on another's TLS"] = "Look for the program that sent it, and where it lies. Does the browser itself call that name?",
    ["Bytes on 443 that are not TLS"] = "Look at the first bytes of both sides, and at which program holds the connection.",
    ["Browser's agent, but no browser's request"] = "Which program sent it? Compare its headers with those of the browser on the same host.",
    ["TLS for a name that DNS did not give"] = "A line in /etc/hosts, a resolver of its own, or a relay that borrows the name? Compare the certificate with the name.",
}

local function evidence_of(e)
    local signs, worth = {}, {}
    for i = 1, finding.count do
        signs[i], worth[i] = finding.signs[i], finding.worth[i]
    end
    return { points = finding.points, signs = signs, worth = worth, port = e.server_port, server = e.server_ip, program = e.program, path = e.path }
end

local function tell(e, where, evidence, confidence)
    local points, limit = finding.points, nil
    if points < tunables.info or allow.name(where) or allow.address(e.server_ip) then return end
    local program = e.program
    -- What a person chose to open in a browser is no more than a lead.
    if program and points >= tunables.medium and not has("c2") and not has("disguise") and programs.is_browsing(program, e.path) then limit = "low" end
    local severity = limit or severity_of(points)
    local title, attack = title_of()
    local who = e.client_ip
    local caller = program and ("%s%s"):format(program, e.ancestry and e.ancestry ~= "launchd" and ", run by " .. e.ancestry .. "," or "")
        or hosts.is_mac(who) and "This Mac" or "The host"
    lunette.alert {
        title = title, severity = severity, score = math.min(points, 10), confidence = confidence or math.min(0.2 + 0.08 * points, 0.9), attack = attack,
        who = who, where = where,
        why = ("%s called %s, port %d: %s (%d points)"):format(caller, where, e.server_port, table.concat(finding.words, "; ", 1, finding.count), points),
        evidence = evidence,
        next = NEXT[title] or "Did the client go on after the handshake (bytes sent)? Who owns the address, which program called it, and does it call by a timer?",
        key = who .. " " .. title .. " " .. (severity == "info" and "" or where) .. " " .. severity, cooldown = tunables.cooldown,
    }
end

local function tell_tls(e, name)
    if e.issuer and (finding.points >= tunables.info or finding.count > 0) then
        local age = certificate.fresh(e, tunables.fresh_days)
        if age then add("fresh", 1, ("it was issued %s before"):format(figures.duration(age))) end
    end
    if finding.points < tunables.info then return end
    local evidence = evidence_of(e)
    evidence.sni, evidence.version, evidence.cipher, evidence.ja4, evidence.quic = name, e.version, e.cipher, e.ja4, e.quic or nil
    evidence.subject, evidence.issuer, evidence.fingerprint, evidence.serial = e.subject, e.issuer, e.fingerprint, e.serial
    evidence.certificate_seen = e.issuer ~= nil
    if e.not_before > 0 then evidence.valid_days = figures.round((e.not_after - e.not_before) / 86400, 0) end
    tell(e, name or e.server_ip, evidence)
end

-- ---------------------------------------------------------------- events

local function heard(e, list, kind)
    local name = e.rrname
    if not name or not list or #list == 0 then return end
    local client = e.client_ip
    dns.learn(client, list)
    dns.answered(client, e.server_ip, kind, name, nil, lunette.now())
end

lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = "A" }, function(e) heard(e, e.a, "4") end)
lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = "AAAA" }, function(e) heard(e, e.aaaa, "6") end)

local function learn_hints(client, records)
    for _, record in ipairs(records) do
        for hints in record:gmatch("ipv[46]hint=\"?([%x%.:,]+)") do
            for address in hints:gmatch("[^,]+") do dns.learn(client, { address }) end
        end
    end
end
lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = { "HTTPS", "SVCB" } }, function(e)
    local records = e.https
    if records then learn_hints(e.client_ip, records) end
end)

lunette.on("encrypted_dns", { client_local = true }, function(e) dns.hide(e.client_ip, lunette.now()) end)

lunette.on("vpn", { client_local = true }, function(e)
    local flow = own:of(e)
    if flow then flow.vpn = true end
    dns.hide(e.client_ip, lunette.now()) -- names may be asked inside
end)

lunette.on("socks", { client_local = true }, function(e)
    local flow = own:of(e)
    if flow then flow.proxied = true end
end)

lunette.on("http", { client_local = true, method = "CONNECT" }, function(e)
    local flow = own:of(e)
    if not flow then return end
    flow.proxied = true
    local browser = stacks.browser(e.user_agent)
    if browser then flow.browser = NUMBERS[browser] end
end)

local any_ports = { [80] = true, [443] = true, [8000] = true, [8080] = true, [8888] = true }

-- Browsers send Accept and Accept-Language with each request, and so does CFNetwork. Who only borrows the agent mostly sends neither. (A browser of
-- another system on a Mac is lolbin's.)
local function borrowed_agent(e, browser, host)
    if not e.user_agent:find("(Macintosh;", 1, true) then return end
    local headers = e.request_headers
    if not headers or #headers == 0 then return end
    local text = (" " .. table.concat(headers, " ") .. " "):lower()
    if text:find(" accept ", 1, true) or text:find(" accept-language ", 1, true) then return end
    begin()
    add("request", 2, ("the agent says %s, but the request has neither Accept nor Accept-Language, which browsers always send"):format(browser))
    if lunette.is_address(host) then add("literal", 1, "the host is an address") end
    if not any_ports[e.server_port] then add("port", 1, ("port %d is none of the web's"):format(e.server_port)) end
    if e.method == "POST" then add("post", 1, "it sends something") end
    local evidence = evidence_of(e)
    evidence.agent, evidence.headers, evidence.url, evidence.method = e.user_agent, text:sub(2, -2), e.url and e.url:sub(1, 200), e.method
    tell(e, host, evidence)
end

lunette.on("http", { client_local = true, server_local = false, method = { "GET", "POST" } }, function(e)
    local browser, host = stacks.browser(e.user_agent), e.host
    if not browser or not host or host == "" then return end
    local domain = lunette.registrable(host)
    if domain then agents:set(e.client_ip .. " " .. domain, browser) end
    if not apples_names:has(e, "host") and hosts.may_be_mac(e.client_ip) then borrowed_agent(e, browser, host) end
end)

-- Through a proxy: the address is the proxy's, and so is the port; the browser's agent in its CONNECT is what can be compared.
lunette.on("tls", { client_local = true, server_local = true }, function(e)
    local flow = own:of(e)
    if not flow or flow.browser == 0 then return end
    begin()
    local name = e.sni
    stack_signs(e, name, flow)
    if finding.count > 0 then tell_tls(e, name) end
end)

lunette.on("tls", { client_local = true, server_local = false }, function(e)
    if relays:has(e, "sni") then return dns.hide(e.client_ip, lunette.now()) end
    if (e.proto ~= "TCP" and not e.quic) or apples_names:has(e, "sni") or apples_blocks:has(e, "server_ip") or near:has(e, "server_ip") then return end
    local flow = own:of(e)
    if flow and flow.vpn then return end
    local name = e.sni
    if name == "" then name = nil end
    begin()
    if not (flow and flow.proxied) then
        if not usual_ports[e.server_port] then add("port", 1, ("port %d is none that TLS is used on"):format(e.server_port)) end
        dns_signs(e, name)
    end
    name_signs(e, name)
    age_signs(e)
    stack_signs(e, name, flow)
    if e.issuer then certificate_signs(e, name) end
    if finding.count > 0 then tell_tls(e, name) end
end)

-- ---------------------------------------------------------------- bytes on 443 that are not TLS

local WHATSAPP = 0x5741 -- "WA": its Noise handshake over TCP port 443
local whatsapp = lunette.set.domains { "whatsapp.net", "whatsapp.com" }

-- A ClientHello that is cut short: a record of the handshake (22), of version 3.x, whose first message is of type 1. One byte of it anybody can send.
local function is_hello(head) return head:u8(1) == 0x16 and head:u8(2) == 3 and (#head < 6 or head:u8(6) == 1) end

local function raw_signs(e, head)
    add("raw", 2, "bytes of no known protocol over TCP on 443")
    local client, now = e.client_ip, lunette.now()
    if not e.server_name and is_watched(client, family(e.server_ip), now) and not dns.gave(client, e.server_ip)
        and not dns.is_hidden(client, now, tunables.dns_hidden) then
        add("unnamed", 3, "DNS never gave this address")
    end
    local record = heads:make(client .. " " .. e.server_ip)
    local first = head:u32be(1) or 0
    if first == record.first then record.alike = record.alike + 1 else record.first, record.alike = first, 1 end
    record.flows = record.flows + 1
    if first ~= 0 and record.alike >= tunables.alike then
        add("alike", 1, ("the last %d connections all began with %08x"):format(record.alike, first))
    end
    return record
end

lunette.on("flow", { client_local = true, server_local = false, proto = "TCP", server_port = 443, midstream = false }, function(e)
    if e.app_proto or e.client_payload == 0 or e.server_payload == 0 or e.gap_bytes > 0 or e.partial or near:has(e, "server_ip") then return end
    local flow = own:of(e)
    if flow and flow.vpn or apples_blocks:has(e, "server_ip") or apples_names:has(e, "server_name") then return end
    local head = e.client_head
    if not head or #head < 4 or is_hello(head) or head:u16be(1) == WHATSAPP and (not e.server_name or whatsapp:has(e, "server_name")) then return end
    local program = e.program
    local class = program and programs.class(program, e.path)
    if class == "chat" or class == "vpn" then return end
    begin()
    local record = raw_signs(e, head)
    local evidence = evidence_of(e)
    evidence.first_bytes, evidence.answer = head:hex():sub(1, 32), e.server_head and e.server_head:hex():sub(1, 32)
    evidence.entropy, evidence.printable, evidence.first_speaker = figures.round(e.client_entropy), figures.round(e.client_printable), e.first_speaker
    evidence.sent, evidence.received, evidence.connections, evidence.alike = e.client_payload, e.server_payload, record.flows, record.alike
    tell(e, e.server_name or e.server_ip, evidence)
end)

lunette.every(3600, function(now)
    local evicted = answers:evicted() + asked:evicted()
    if evicted > crowding.evicted then crowding.evicted, crowding.at = evicted, now end
end)
