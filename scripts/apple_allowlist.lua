-- What a Mac says to Apple, to Apple's helpers, and to everybody else.
--
-- A Mac is never silent: it sets its clock, asks for updates, keeps a push connection, checks certificates, loads maps. Most
-- of that goes to names Apple publishes, some to known third parties (the icons of Safari's start page, stock quotes, the
-- OCSP servers of public CAs). Once these are named and set aside, what is left is short enough to read. So the first product
-- of this detector is a table at the end of a capture: per host, who was called, for what, how often, how many bytes each way
-- ("swscan.apple.com, software-update: 18 connections, 42 MB"). A name in a shared zone (Akamai, Cloudflare) is never Apple's
-- on that ground alone.
--
-- Because everybody lets Apple's names through, they are also a good disguise. Four things give a disguise away:
--
--   look-alikes   names that only resemble Apple's: lib/lookalike.lua tells how they are told from snapple and pineapple. DNS
--                 counts only when an answer brought addresses: a resolver's search list asks for time.apple.com.home.example
--                 in all innocence.
--   wrong place   TLS says www.apple.com, but the address is not in Apple's blocks, in no content network we know, and no DNS
--                 answer gave it to this host. Relays that borrow a server name (REALITY, ShadowTLS) look like that, and so
--                 does a forged /etc/hosts. If the host asked for the name and was told other addresses, that is said at
--                 once; if it never asked, only after its DNS was watched for a while, since a cache may be older than the
--                 capture. A host that uses encrypted DNS or Private Relay hides its answers: then this test is off for it.
--   wrong port    TLS for an Apple name on a port that Apple does not publish for it; raw bytes on 443; plain HTTP on 443.
--   wrong side    an Apple name at a private address: an inspecting proxy, a sinkhole, or somebody in the middle.
--
-- False alarms: companies that own an Apple-like name (data/lookalike_exempt.tsv), security gateways that rewrite names,
-- proxies on the way (said, and low), caches inside a provider's network when their DNS answer was missed, services newer
-- than the table.
-- ATT&CK: T1036.005 match legitimate name or location, T1583.001 domains, T1090.004 domain fronting, T1557 adversary in the
-- middle, T1571 non-standard port.

local lunette = require "lunette"
local apple_names = require "apple_names"
local ledger = require "ledger"
local lookalike = require "lookalike"

lunette.detector { title = "Apple allowlist", category = "Defense Evasion", attack = "T1036.005" }

local tunables = lunette.tunables {
    brands = { "apple", "icloud", "itunes", "facetime", "imessage" },
    nested = { "apple.com", "icloud.com", "itunes.com" }, -- as labels left of another domain
    lures = { "id", "login", "signin", "signon", "verify", "verification", "secure", "security", "account", "accounts", "unlock",
        "recover", "recovery", "auth", "billing", "confirm", "locked", "findmy", "password", "idmsa", "iforgot" },
    fillers = { "my", "www", "web", "mail", "online", "store", "pay", "device", "team", "user", "customer", "us", "uk", "com" },
    weak_lures = { "support", "service", "services", "update", "updates", "upgrade", "help", "alert" },
    -- Ports that any Apple name may be called on; a row of the table may add its own.
    ports = { "tcp/80", "tcp/443", "udp/443", "tcp/5223", "udp/123", "tcp/993", "tcp/587", "tcp/465", "tcp/25", "udp/53",
        "tcp/53", "tcp/853", "udp/3478" },
    dns_answers = 20,    -- answers a host must have been seen to get before "never asked" means anything …
    dns_watched = 600,   -- … and seconds since the first
    dns_hidden = 86400,  -- seconds for which encrypted DNS switches the address test off
    encrypted_dns = { "doh.dns.apple.com", "mask.icloud.com", "mask-h2.icloud.com", "dns.google", "cloudflare-dns.com",
        "one.one.one.one", "quad9.net", "nextdns.io", "dns.adguard.com", "dns.adguard-dns.com", "doh.opendns.com",
        "doh.cleanbrowsing.org", "doh.libredns.gr", "doh.dns.sb", "dns.sb", "mullvad.net", "controld.com" },
    cooldown = 86400,    -- the same host and name alert once in this time
    hosts = 20,          -- hosts with a report of their own …
    rows = 40,           -- … and names in it from each group
}

local names = apple_names.new(lunette.set, {
    apple = lunette.tsv("apple_domains.tsv"), third_parties = lunette.tsv("known_third_parties.tsv"),
    blocks = lunette.tsv("apple_cidrs.tsv"), networks = lunette.tsv("cdn_cidrs.tsv"),
})
local exempt_names = {}
for i, row in ipairs(lunette.tsv("lookalike_exempt.tsv")) do exempt_names[i] = row.name end
local exempt = lunette.set.domains(exempt_names)
local encrypted_dns = lunette.set.domains(tunables.encrypted_dns)
local usual_ports = lunette.set.strings(tunables.ports)

local lures = {}
for _, word in ipairs(tunables.fillers) do lures[word] = 0 end -- between the words, no lure of their own
for _, word in ipairs(tunables.weak_lures) do lures[word] = 1 end
for _, word in ipairs(tunables.lures) do lures[word] = 2 end
local disguises = lookalike.new { brands = tunables.brands, domains = tunables.nested, lures = lures }

local answers = lunette.state("answers", { max = 50000, ttl = 86400 }) -- "client address" → true: DNS gave it
local asked = lunette.state("asked", { max = 20000, ttl = 86400 })     -- "client family name" → true: an Apple name was answered
local dns_of = lunette.state("dns", { max = 5000 })                    -- client → { ["4"], ["6"], first, hidden }
local proxied = lunette.state("proxied", { max = 5000, ttl = 86400 })  -- flow_id → true: goes through an HTTP proxy
-- name → true: judged before, imitates nobody. Judged anew after a reload: the lists may be others.
local harmless = lunette.state("harmless", { max = 20000, keep = false })
local book = ledger.new(lunette.state("accounts", { max = 20000 }), lunette.state("totals", { max = 5000 }))

-- ---------------------------------------------------------------- look-alikes

local REASONS = {
    nested = "%s carries Apple's %s as labels of a domain that is not Apple's (%s)",
    homoglyph = "%s reads as %s to the eye but is another name (%s)",
    keyword = "%s joins Apple's word %s with a word that asks for trust, in a domain that is not Apple's (%s)",
    misspelling = "%s is one slip away from %s and carries a word that asks for trust (%s)",
}

local function lookalike_severity(found, seen_in)
    -- A search list whose domain answers everything asks for nested names, too.
    if found.kind == "nested" then return seen_in == "dns" and "medium" or "high", 0.8 end
    if found.kind == "homoglyph" and (found.foreign or found.lure == 2) then return "high", 0.9 end
    if found.kind == "homoglyph" and found.digits then return "medium", 0.7 end
    if found.kind == "homoglyph" then return "low", 0.4 end -- i and l alone: appie is a shop
    if found.kind == "keyword" and found.lure == 2 then return "medium", 0.7 end
    return "low", 0.4
end

local function check_lookalike(e, name, seen_in)
    if harmless:get(name) then return end
    local registrable = not exempt:has(name) and lunette.registrable(name)
    local found = registrable and disguises.judge(name, registrable)
    if not found then return harmless:set(name, true) end
    local severity, confidence = lookalike_severity(found, seen_in)
    lunette.alert {
        severity = severity, confidence = confidence, attack = "T1036.005,T1583.001",
        title = "Name that imitates Apple's", who = e.client_ip, where = name,
        why = REASONS[found.kind]:format(found.shown, found.brand, registrable),
        evidence = { name = name, registrable = registrable, imitates = found.brand, kind = found.kind,
            seen_in = seen_in, server = seen_in ~= "dns" and e.server_ip or nil },
        next = "When was the domain registered, what was sent to it, and which mail or page led there?",
        key = e.client_ip .. " looks " .. registrable .. " " .. severity, cooldown = tunables.cooldown,
    }
end

-- ---------------------------------------------------------------- Apple names that do not fit

local function misfit(e, name, what)
    what.who, what.where = e.client_ip, name
    what.evidence.name, what.evidence.server, what.evidence.port = name, e.server_ip, e.server_port
    what.key = e.client_ip .. " " .. what.rule .. " " .. name
    what.cooldown = tunables.cooldown
    what.rule = nil
    lunette.alert(what)
end

local function port_fits(row, e)
    local port = e.proto:lower() .. "/" .. e.server_port
    return row.ports and row.ports[port] or usual_ports:has(port), port
end

local function check_private(e, name, over)
    misfit(e, name, {
        rule = "private", severity = "low", confidence = 0.5, attack = "T1557",
        title = "Apple name at a private address",
        why = ("%s for %s went to %s, in the home networks"):format(over, name, e.server_ip),
        evidence = { over = over },
        next = "Is there an inspecting proxy or a content cache at that address? If not: what answers the DNS, and who is it?",
    })
end

local function family(address) return address:find(":", 1, true) and "6" or "4" end

-- TLS names somebody; does the address fit? Only with DNS in sight can that be said.
local function check_address(e, name)
    if names.apple_address(e.server_ip) or names.shared_address(e.server_ip) then return end
    if answers:get(e.client_ip .. " " .. e.server_ip) then return end
    local dns = dns_of:get(e.client_ip)
    if not dns or (dns.hidden and lunette.now() - dns.hidden < tunables.dns_hidden) then return end
    -- A host may ask over IPv4 for one family and over IPv6 for the other: only answers of the same family count.
    local kind = family(e.server_ip)
    local told = asked:get(e.client_ip .. " " .. kind .. " " .. name)
    local watched, seen = dns.first and lunette.now() - dns.first or 0, dns[kind]
    if not told and (seen < tunables.dns_answers or watched < tunables.dns_watched) then return end
    misfit(e, name, {
        rule = "address", severity = "medium", confidence = told and 0.7 or 0.5, attack = "T1090.004,T1036.005",
        title = "Apple name at an address that does not fit",
        why = told and ("TLS names %s, DNS gave this host other addresses for it, and %s is in none of Apple's blocks"):format(name, e.server_ip)
            or ("TLS names %s at %s, which is in none of Apple's blocks; in %d minutes and %d DNS answers the host never asked for it"):format(
                name, e.server_ip, watched / 60, seen),
        evidence = { dns_answers = seen, watched_seconds = math.floor(watched), asked = told or false },
        next = "Look at the certificate and the bytes: relays borrow Apple's names. Who owns the address?",
    })
end

local function check_tls(e, name)
    local row = names.apple_row(name)
    if not row then return check_lookalike(e, name, "tls") end
    if e.server_local then return check_private(e, name, "TLS") end
    local fits, port = port_fits(row, e)
    if (not fits or e.server_port == 80) and not proxied:get(e.flow_id) then
        misfit(e, name, {
            rule = "port", severity = names.apple_address(e.server_ip) and "low" or "medium", confidence = 0.6, attack = "T1571,T1036.005",
            title = "Apple name on a port that does not fit",
            why = ("TLS for %s on %s; Apple does not publish that port for it"):format(name, port),
            evidence = { category = row.category, over = "TLS" },
            next = "A SOCKS proxy on that port explains it; otherwise look at who owns the address.",
        })
    end
    if not proxied:get(e.flow_id) then check_address(e, name) end
end

local function check_http(e)
    local name = e.host
    local url = e.url or ""
    local through_proxy = e.method == "CONNECT" or url:find("^%l+://") ~= nil
    if through_proxy then proxied:set(e.flow_id, true) end
    local row = names.apple_row(name)
    if not row then return check_lookalike(e, name, "http") end
    if e.server_local then
        if not through_proxy then check_private(e, name, "HTTP") end
        return
    end
    if names.apple_address(e.server_ip) or through_proxy then return end
    local fits = port_fits(row, e)
    if fits and e.server_port ~= 443 then return end
    misfit(e, name, {
        rule = "http", severity = "medium", confidence = 0.6, attack = "T1571,T1036.005",
        title = "Apple name in plain HTTP on a port that does not fit",
        why = ("%s %s to Host %s on port %d at %s"):format(e.method or "Answer", url:sub(1, 60), name, e.server_port, e.server_ip),
        evidence = { url = url:sub(1, 200), method = e.method, agent = e.user_agent, category = row.category },
        next = "A Host header is free to choose: look at what was sent and who owns the address.",
    })
end

-- Names that only DNS gave: the server must have answered, and bytes on 443 must be TLS.
local function check_flow(e, name)
    local row = names.apple_row(name)
    if not row or e.server_local or e.midstream or e.server_payload == 0 or e.client_payload == 0 then return end
    local head = e.client_head
    local first = head and head:u8(1)
    local port_is_tls = e.proto == "TCP" and e.server_port == 443
    local raw = port_is_tls and first and e.app_proto ~= "tls" and first ~= 0x16 and first ~= 0x80 and e.gap_bytes == 0
    local fits, port = port_fits(row, e)
    if (fits and not raw) or names.apple_address(e.server_ip) then return end
    misfit(e, name, {
        rule = "flow", severity = raw and "medium" or "low", confidence = raw and 0.6 or 0.4, attack = "T1571,T1036.005",
        title = raw and "Bytes on 443 to an Apple name that are not TLS" or "Apple name on a port that does not fit",
        why = raw and ("DNS gave %s for %s; what was said there on 443 does not begin like TLS"):format(e.server_ip, name)
            or ("DNS gave %s for %s; it was called on %s, which Apple does not publish for it"):format(e.server_ip, name, port),
        evidence = { category = row.category, protocol = e.app_proto, first_bytes = head and head:hex():sub(1, 32),
            sent = e.client_payload, received = e.server_payload },
        next = "Does the resolver tell the truth? Compare its answer with another's.",
    })
end

-- ---------------------------------------------------------------- events

local function client_dns(client)
    local dns = dns_of:get(client)
    if not dns then
        dns = { ["4"] = 0, ["6"] = 0 }
        dns_of:set(client, dns)
    end
    return dns
end

local function learn(client, address)
    answers:set(client .. " " .. address, true)
end

lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR" }, function(e)
    local name, real, dns = e.rrname, false, client_dns(e.client_ip)
    if not name then return end
    local apples = names.apple_row(name) ~= nil
    for kind, list in pairs { ["4"] = e.a or {}, ["6"] = e.aaaa or {} } do
        for _, address in ipairs(list) do
            learn(e.client_ip, address)
            -- Block lists answer in 127/8, blocking resolvers with nothing.
            real = real or not (address:find("^127%.") or address == "0.0.0.0" or address == "::")
        end
        if #list > 0 then
            dns[kind], dns.first = dns[kind] + 1, dns.first or lunette.now()
            if apples then asked:set(e.client_ip .. " " .. kind .. " " .. name, true) end
        end
    end
    for _, record in ipairs(e.https or {}) do
        for hints in record:gmatch("ipv[46]hint=\"?([%x%.:,]+)") do
            for address in hints:gmatch("[^,]+") do learn(e.client_ip, address) end
        end
    end
    if real and not apples then check_lookalike(e, name, "dns") end
end)

lunette.on("tls", { client_local = true }, function(e)
    if e.server_port == 853 or (e.sni and encrypted_dns:has(e.sni)) then client_dns(e.client_ip).hidden = lunette.now() end
    if e.sni and e.sni ~= "" then check_tls(e, e.sni) end
end)

lunette.on("http", { client_local = true }, function(e)
    if e.host and e.host ~= "" then check_http(e) end
end)

lunette.on("flow", { client_local = true, proto = { "TCP", "UDP" }, name_source = "dns" }, function(e)
    check_flow(e, e.server_name)
end)

-- The table: connections to somebody outside; multicast and broadcast are nobody.
local groups = lunette.set.prefixes { "224.0.0.0/3", "ff00::/8" }

lunette.on("flow", { client_local = true, server_local = false, proto = { "TCP", "UDP" } }, function(e)
    if groups:has(e, "server_ip") then return end
    local name, address = e.server_name, e.server_ip
    local group, category, purpose = names.classify(name, address)
    if group == "elsewhere" then name = name and lunette.registrable(name) or name end
    book.add(e.client_ip, group, name or address, category, purpose, e.client_bytes, e.server_bytes)
end)

lunette.on_end(function()
    local totals = book.total_rows()
    if #totals == 0 then return end
    lunette.report {
        title = "Connections of each host: Apple, known third parties, elsewhere",
        columns = { "host", "to", ">connections", ">sent", ">received" }, rows = totals,
    }
    local hosts, all = book.by_host(tunables.hosts, tunables.rows)
    for i, entry in ipairs(hosts) do
        local note = entry.left > 0 and ("%d more names; most bytes first. "):format(entry.left) or ""
        if i == #hosts and all > i then note = note .. ("%d more hosts."):format(all - i) end
        lunette.report {
            title = "Who " .. entry.host .. " called",
            columns = { "name", "category", "purpose", ">connections", ">sent", ">received" }, rows = entry.rows, note = note,
        }
    end
end)
