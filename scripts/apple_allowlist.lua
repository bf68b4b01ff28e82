-- What a Mac says to Apple, to Apple's helpers, and to everybody else.
--
-- A Mac is never silent: it sets its clock, asks for updates, keeps a push connection, checks certificates, loads maps. Most
-- of that goes to names Apple publishes, some to known third parties (the icons of Safari's start page, stock quotes, the
-- OCSP servers of public CAs). Once these are named and set aside, what is left is short enough to read. So the first product
-- of this detector is a table at the end of a capture: per host, who was called, for what, how often, how many bytes each way
-- ("swscan.apple.com, software-update: 18 connections, 42 MB"); the same by purpose stands on the host's card while it runs. A name in
-- a shared zone (Akamai, Cloudflare) is never Apple's on that ground alone.
--
-- Because everybody lets Apple's names through, they are also a good disguise, and a good thing to lie about. What gives that away:
--
--   look-alikes   names that only resemble Apple's, in TLS (over TCP and QUIC), HTTP, DNS and certificates: lib/lookalike.lua tells how
--                 they are told from snapple and pineapple. DNS counts only when an answer brought addresses: a resolver's search
--                 list asks for time.apple.com.home.example in all innocence.
--   wrong place   TLS says www.apple.com, but the address is not in Apple's blocks, in no content network we know, and no DNS
--                 answer gave it to this host. Relays that borrow a server name (REALITY, ShadowTLS) look like that, and so
--                 does a forged /etc/hosts. If the host asked for the name and was told other addresses, that is said at
--                 once; if it never asked, only after its DNS was watched for a while, since a cache may be older than the
--                 capture. A host that uses encrypted DNS or Private Relay hides its answers: then this test is off for it.
--   wrong answer  DNS gives an Apple name an address that is nobody's of whom Apple's names are served, without a chain of CNAMEs that
--                 leads there; or a private one. Captive portals do the latter, to the names that test the network first.
--   wrong source  Apple's names, and only they, are asked of another resolver than all others: a file in /etc/resolver does that.
--   wrong seal    the certificate (up to TLS 1.2, where it can be seen) of an Apple name is signed by somebody who does not sign for
--                 Apple: lib/certificates.lua. Or one that carries Apple's name, and not Apple's signature, is somebody else's.
--   wrong port    TLS for an Apple name on a port that Apple does not publish for it; raw bytes on 443; plain HTTP on 443.
--   wrong side    an Apple name at a private address: an inspecting proxy, a sinkhole, or somebody in the middle.
--   wrong region  Safari asks Tencent about dangerous sites where the region is mainland China, and Google (now by Apple's proxy) where
--                 it is not. So a Mac elsewhere that calls Tencent has a region that somebody set.
--
-- iCloud Private Relay is no finding: the report and the host's card say since when it is used, how much, and what it hides.
--
-- False alarms: companies that own an Apple-like name (data/lookalike_exempt.tsv), security gateways that rewrite names or open TLS
-- (said, and low once they are seen with several names), caches inside a provider's network when their DNS answer was missed, services
-- newer than the table, travellers (region), Google's safe browsing in Chrome.
-- Misses: certificates of TLS 1.3, which are encrypted; resolvers that lie with an Akamai address; all that goes through the relay.
-- ATT&CK: T1036.005 match legitimate name or location, T1583.001 domains, T1090.004 domain fronting, T1557 adversary in the
-- middle, T1571 non-standard port, T1565.002 transmitted data manipulation.

local lunette = require "lunette"
local apple_answers = require "apple_answers"
local apple_cards = require "apple_cards"
local apple_names = require "apple_names"
local apple_seals = require "apple_seals"
local dns_memory = require "dns_memory"
local domain_of = require "domain_of"
local hosts = require "host_kind"
local ledger = require "ledger"
local lookalike = require "lookalike"
local private_relay = require "private_relay"

lunette.detector { title = "Apple allowlist", category = "Defense Evasion", attack = "T1036.005" }

local tunables = lunette.tunables {
    brands = { "apple", "icloud", "itunes", "facetime", "imessage" },
    products = { "appstore", "testflight", "findmyiphone" }, -- found beside lures, and worth less
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
    dns_hidden = 86400,  -- seconds for which encrypted DNS switches off what needs DNS
    apart = 3,           -- answers for Apple's names, and no others, from another resolver than the usual one
    encrypted_dns = { "doh.dns.apple.com", "mask.icloud.com", "mask-h2.icloud.com", "dns.google", "cloudflare-dns.com",
        "one.one.one.one", "quad9.net", "nextdns.io", "dns.adguard.com", "dns.adguard-dns.com", "doh.opendns.com",
        "doh.cleanbrowsing.org", "doh.libredns.gr", "doh.dns.sb", "dns.sb", "mullvad.net", "controld.com" },
    opened = 3,          -- names with the same unknown issuer: then TLS is opened for all, not for Apple's
    region = "",         -- where the Macs are, as in Language & Region: "CN" for mainland China; "" if not known
    cooldown = 86400,    -- the same host and name alert once in this time
    facts = 60,          -- seconds between two updates of the hosts' cards
    hosts = 20,          -- hosts with a report of their own …
    rows = 40,           -- … and names in it from each group
    totals = 1000,       -- hosts in the table of totals
}

local names = apple_names.load(lunette)
local exempt_names = {}
for i, row in ipairs(lunette.tsv("lookalike_exempt.tsv")) do exempt_names[i] = row.name end
local exempt = lunette.set.domains(exempt_names)
local encrypted_dns = lunette.set.domains(tunables.encrypted_dns)
local usual_ports = lunette.set.strings(tunables.ports)

local lures = {}
for _, word in ipairs(tunables.fillers) do lures[word] = 0 end -- between the words, no lure of their own
for _, word in ipairs(tunables.weak_lures) do lures[word] = 1 end
for _, word in ipairs(tunables.lures) do lures[word] = 2 end
local disguises = lookalike.new { brands = tunables.brands, products = tunables.products, domains = tunables.nested, lures = lures }

local dns = dns_memory.new {
    answers = lunette.state("answers", { max = 50000, ttl = 86400 }), -- "client address" → true: DNS gave it
    asked = lunette.state("asked", { max = 20000, ttl = 86400 }),     -- "client family name" → true: an Apple name was answered
    clients = lunette.records("clients", { max = 10000, fields = dns_memory.CLIENT_FIELDS }),
    resolvers = lunette.records("resolvers", { max = 20000, ttl = 86400, fields = dns_memory.RESOLVER_FIELDS }), -- "client resolver"
    usual = lunette.state("usual", { max = 10000 }),                  -- client → resolver
}
local portals = lunette.state("portals", { max = 5000, ttl = 3600 })   -- "client address" → true: a captive portal
local proxied = lunette.state("proxied", { max = 5000, ttl = 86400 })  -- flow_id → true: goes through an HTTP proxy
local signed = lunette.state("signed", { max = 5000, ttl = 86400 })    -- "client issuer" → names that a private issuer was seen with
-- name → true: judged before, imitates nobody. Judged anew after a reload: the lists may be others.
local harmless = lunette.state("harmless", { max = 20000, keep = false })
local accounts = lunette.records("accounts", { max = 250000, fields = ledger.ACCOUNT_FIELDS })
local function purpose_of(name, category)
    local row = not lunette.is_address(name) and names.row(name)
    if row then return row.purpose end
    return category and category.name == "by address" and "Address block that is Apple's alone" or nil
end
local book = ledger.new(accounts, lunette.records("totals", {
    max = 20000, version = ledger.version(names.categories), fields = ledger.host_fields(#names.categories) }), names.categories, purpose_of)
local relay = private_relay.new(lunette.records("relay", { max = 10000, fields = private_relay.FIELDS }),
    lunette.state("relay_refused", { max = 10000 }))

local cards = apple_cards(book, relay, accounts, tunables.facts)

-- One of Apple's systems, as far as is known: what an Android phone does with Apple's names is not judged by a Mac's habits.
local OTHERS = { windows = true, linux = true, android = true, other = true }
local function may_be_apple(address)
    return hosts.may_be_mac(address) or not OTHERS[hosts.kind(address)]
end

local SCORES = { high = 8, medium = 6, low = 3, info = 1 }

-- ---------------------------------------------------------------- look-alikes

local REASONS = {
    nested = "%s carries Apple's %s as labels of a domain that is not Apple's (%s)",
    homoglyph = "%s reads as %s to the eye but is another name (%s)",
    keyword = "%s joins Apple's word %s with a word that asks for trust, in a domain that is not Apple's (%s)",
    misspelling = "%s is one slip away from %s and carries a word that asks for trust (%s)",
}

local SEEN = { dns = "; its address was asked for", tls = "; it was called by TLS", http = "; it was called in plain HTTP" }

local function lookalike_severity(found, seen_in)
    if found.left then return found.foreign and "medium" or "low", found.foreign and 0.7 or 0.4 end
    -- A search list whose domain answers everything asks for nested names, too.
    if found.kind == "nested" then return seen_in == "dns" and "medium" or "high", 0.8 end
    if found.kind == "homoglyph" and (found.foreign or found.lure == 2) then return "high", 0.9 end
    if found.kind == "homoglyph" and found.digits then return "medium", 0.7 end
    if found.kind == "homoglyph" then return "low", 0.4 end -- i and l alone: appie is a shop
    if found.kind == "keyword" and found.lure == 2 and not found.product then return "medium", 0.7 end
    return "low", 0.4
end

local function check_lookalike(e, name, seen_in)
    if harmless:get(name) then return end
    local registrable = not exempt:has(name) and lunette.registrable(name)
    local found = registrable and disguises.judge(name, registrable)
    if not found then return harmless:set(name, true) end
    local severity, confidence = lookalike_severity(found, seen_in)
    lunette.alert {
        severity = severity, confidence = confidence, attack = "T1036.005,T1583.001", score = SCORES[severity],
        title = "Name that imitates Apple's", who = e.client_ip, where = name,
        why = REASONS[found.kind]:format(found.shown, found.brand, registrable) .. (SEEN[seen_in] or ""),
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
    what.score = what.score or SCORES[what.severity]
    what.rule = nil
    lunette.alert(what)
end

local function port_fits(row, e)
    local port = e.proto:lower() .. "/" .. e.server_port
    return row.ports and row.ports[port] or usual_ports:has(port), port
end

local function check_private(e, name, over)
    if portals:get(e.client_ip .. " " .. e.server_ip) then return end
    misfit(e, name, {
        rule = "private", severity = "low", confidence = 0.5, attack = "T1557",
        title = "Apple name at a private address",
        why = ("%s for %s went to %s, in the home networks"):format(over, name, e.server_ip),
        evidence = { over = over },
        next = "Is there an inspecting proxy or a content cache at that address? If not: what answers the DNS, and who is it?",
    })
end

local check_certificate = apple_seals {
    names = names, issuers = lunette.tsv("certificate_issuers.tsv"), signed = signed, misfit = misfit, check_lookalike = check_lookalike,
    opened = tunables.opened, cooldown = tunables.cooldown,
}
local answers = apple_answers {
    names = names, dns = dns, portals = portals, misfit = misfit, may_be_mac = hosts.may_be_mac,
    apart = tunables.apart, dns_answers = tunables.dns_answers, dns_hidden = tunables.dns_hidden, cooldown = tunables.cooldown,
}

local function family(address) return address:find(":", 1, true) and "6" or "4" end

-- TLS names somebody; does the address fit? Only with DNS in sight can that be said.
local function check_address(e, name)
    if names.apple_address(e.server_ip) or names.shared_address(e.server_ip) then return end
    if dns.gave(e.client_ip, e.server_ip) or dns.is_hidden(e.client_ip, lunette.now(), tunables.dns_hidden) then return end
    -- A host may ask over IPv4 for one family and over IPv6 for the other: only answers of the same family count.
    local kind = family(e.server_ip)
    local seen, first = dns.seen(e.client_ip, kind)
    if not seen then return end
    local told = dns.was_told(e.client_ip, kind, name)
    local watched = lunette.now() - first
    if not told and (seen < tunables.dns_answers or watched < tunables.dns_watched) then return end
    local chain = type(told) == "string" and told or nil
    misfit(e, name, {
        -- Where the name is served by caches, another resolver may have named another one.
        rule = "address", severity = "medium", confidence = (chain and 0.6) or (told and 0.7) or 0.5, attack = "T1090.004,T1036.005",
        score = told and 6 or 5,
        title = "Apple name at an address that does not fit",
        why = told and ("TLS names %s, DNS gave this host other addresses for it, and %s is in none of Apple's blocks"):format(name, e.server_ip)
            or ("TLS names %s at %s, which is in none of Apple's blocks; in %d minutes and %d DNS answers the host never asked for it"):format(
                name, e.server_ip, watched / 60, seen),
        evidence = { dns_answers = seen, watched_seconds = math.floor(watched), asked = told and true or false, chain = chain,
            quic = e.quic or nil },
        next = "Look at the certificate and the bytes: relays borrow Apple's names. Who owns the address?",
    })
end

-- ---------------------------------------------------------------- safe browsing

-- Safari's lists of dangerous sites come from Google, or from Tencent where the region is mainland China.
local function check_safe_browsing(e, name, row)
    local tencent = row.purpose:find("^Tencent") ~= nil
    local in_china = tunables.region == "CN"
    if tencent == in_china or not may_be_apple(e.client_ip) then return end
    local set = tunables.region ~= ""
    lunette.alert {
        severity = tencent and "low" or "info", confidence = set and 0.6 or 0.4, attack = "T1016", score = tencent and 2 or 0,
        title = "Safe browsing of another region", who = e.client_ip, where = name,
        why = tencent and ("Safari asks Tencent only where the region is mainland China%s"):format(
                set and (", and here it should be " .. tunables.region) or "; here it is not said to be so (tunable region)")
            or "Safari asks Tencent where the region is mainland China, as it should be here; this host asks Google",
        evidence = { name = name, region = tunables.region, server = e.server_ip },
        next = tencent and "System Settings, General, Language & Region: who set it? Programs of Tencent's own may call there as well."
            or "Chrome and Firefox ask Google wherever they are. Was the program one of them?",
        key = e.client_ip .. " browsing " .. name, cooldown = tunables.cooldown,
    }
end

-- ---------------------------------------------------------------- what TLS, HTTP and flows say

local function check_apple_tls(e, name, row)
    if row.category == "private-relay" and name ~= "mask-api.icloud.com" then
        relay.begin(e.client_ip, e.quic == true, e.time)
        cards.touch(e.client_ip)
    end
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

local function check_tls(e, name)
    local row = names.row(name)
    local apples = row and row.owner == "apple" and row or nil
    local at_portal = e.server_local and portals:get(e.client_ip .. " " .. e.server_ip)
    if e.issuer and not at_portal then check_certificate(e, name, apples) end
    if apples then return check_apple_tls(e, name, apples) end
    if row and row.category == "third-party:safe-browsing" then return check_safe_browsing(e, name, row) end
    check_lookalike(e, name, "tls")
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

-- ---------------------------------------------------------------- DNS answers

-- Block lists answer in 127/8, blocking resolvers with nothing.
local function is_real(address) return not (address:find("^127%.") or address == "0.0.0.0" or address == "::" or address == "::1") end

local function any_real(list)
    for _, address in ipairs(list) do
        if is_real(address) then return true end
    end
    return false
end

local function heard(e, list, kind)
    local name = e.rrname
    if not name or not list or #list == 0 then return end
    local client, row = e.client_ip, names.row(name)
    local apples = row and row.owner == "apple" and row or nil
    dns.learn(client, list)
    local chain = apples and e.cname
    dns.answered(client, e.server_ip, kind, apples and name, chain and chain[#chain], lunette.now())
    local first = list[1]
    if apples then
        answers.resolver(e, name)
        if names.apple_address(first) or names.shared_address(first) or not is_real(first) then return end
        return answers.answer(e, name, apples, list)
    end
    if harmless:get(name) or not (is_real(first) or any_real(list)) then return end
    if row and row.category == "third-party:safe-browsing" then check_safe_browsing(e, name, row) end
    check_lookalike(e, name, "dns")
end

local function learn_hints(client, records)
    for _, record in ipairs(records) do
        for hints in record:gmatch("ipv[46]hint=\"?([%x%.:,]+)") do
            for address in hints:gmatch("[^,]+") do dns.learn(client, { address }) end
        end
    end
end

-- ---------------------------------------------------------------- events

lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = "A" }, function(e) heard(e, e.a, "4") end)
lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = "AAAA" }, function(e) heard(e, e.aaaa, "6") end)
lunette.on("dns", { type = "answer", client_local = true, rcode = "NOERROR", rrtype = { "HTTPS", "SVCB" } }, function(e)
    local records = e.https
    if records then learn_hints(e.client_ip, records) end
end)

-- The network's way to switch Private Relay off.
local relay_names = lunette.set.domains { "mask.icloud.com", "mask-h2.icloud.com" }
lunette.on("dns", { type = "answer", client_local = true, rrname = relay_names }, function(e)
    local none = e.rcode == "NOERROR" and e.rrtype == "A" and e.answer_count == 0
    if e.rcode ~= "NXDOMAIN" and not none then return end
    relay.refuse(e.client_ip, e.server_ip, none and "no address" or e.rcode, e.rrname, e.time)
    cards.touch(e.client_ip)
end)

lunette.on("tls", { client_local = true }, function(e)
    local name = e.sni
    if name == "" then name = nil end
    if e.server_port == 853 or (name and encrypted_dns:has(name)) then dns.hide(e.client_ip, lunette.now()) end
    if name then return check_tls(e, name) end
    if e.issuer then check_certificate(e, nil, nil) end
end)

lunette.on("encrypted_dns", { client_local = true }, function(e) dns.hide(e.client_ip, lunette.now()) end)

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
    local client, name = e.client_ip, e.server_name
    local number, row = names.classify(e)
    if not row and name then name = domain_of(name) or name end
    book.add(client, name or e.server_ip, number, e.client_bytes, e.server_bytes)
    cards.touch(client)
    if row and row.category == "private-relay" then
        relay.add(client, name == "mask-api.icloud.com", e.proto == "UDP", e.client_bytes, e.server_bytes, e.start, e.finish)
    end
end)

-- ---------------------------------------------------------------- cards and reports

lunette.every(tunables.facts, cards.turn)

lunette.on_end(function()
    cards.finish()
    local totals, count = book.total_rows(tunables.totals)
    if #totals > 0 then
        lunette.report {
            title = "Connections of each host: Apple, known third parties, elsewhere",
            columns = { "host", "to", ">connections", ">sent", ">received" }, rows = totals,
            note = count > tunables.totals and ("%d more hosts, with fewer bytes."):format(count - tunables.totals) or nil,
        }
    end
    local relayed = relay.rows(ledger.human, book.sum)
    if #relayed > 0 then
        lunette.report {
            title = "iCloud Private Relay",
            columns = { "host", "since", ">connections", "over", ">sent", ">received", ">share" }, rows = relayed,
            note = "It " .. private_relay.HIDES .. ". What needs DNS is not judged for these hosts.",
        }
    end
    local shown, all = book.by_host(tunables.hosts, tunables.rows)
    for i, entry in ipairs(shown) do
        local note = entry.left > 0 and ("%d more names; most bytes first. "):format(entry.left) or ""
        if i == #shown and all > i then note = note .. ("%d more hosts."):format(all - i) end
        lunette.report {
            title = "Who " .. entry.host .. " called",
            columns = { "name", "category", "purpose", ">connections", ">sent", ">received" }, rows = entry.rows, note = note,
        }
    end
end)
