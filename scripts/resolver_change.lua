-- Whom does a Mac ask for names, and did anybody give it that resolver?
--
-- Who answers for names decides where all else goes. A Mac asks the resolver that DHCP named, or the one in its network settings, for
-- everything: mDNSResponder does it for all programs. So another resolver means that something was changed: by a person who prefers a public one,
-- by a company's profile, or by somebody who wants to lead the Mac elsewhere or to talk through DNS unseen. Each host's resolvers are kept with
-- since when, how many questions and which share, and who gave them. Then:
--
--   nobody gave   a resolver that neither the host's DHCP lease, nor its settings (`--audit`), nor `allowed` names, with `queries` questions or more.
--                 Where no lease was seen, one that came after another one had been asked for `learn_hours` and `learn_queries`.
--                 Signs add up: it took over all questions; it is nobody's well-known one; it is a neighbour that is not the router; an odd port;
--                 networksetup or scutil ran just before; not mDNSResponder asks; it places many domains at one address; the settings say otherwise.
--   some names    the same, but for one or two domains only, beside the usual one: a file in /etc/resolver, a company's VPN, or data in DNS.
--   DHCP          a second server in the network that names other resolvers (a rogue one wins if it is quicker): in answer to one request, or by turns within half an
--                 hour (a day where many hosts are seen: a laptop between home and a café of like numbers has two servers as well). Or one that changed its mind.
--   in clear      names are asked in clear though the settings (`--audit`) name an encrypted resolver for all.
--   encrypted     DoH, DoT or DoQ to one that is not allowed nor in the settings, by program where known: browsers bring their own, which is news
--                 and no more; other programs have the system's. A TLS connection without a name to a public resolver's address is DoH by address.
--
-- An upgrade that the resolver itself offered (`_dns.resolver.arpa`, RFC 9462), to its own address, is no change. Nor is what a VPN brings: behind utun, or
-- while one is up, it is news. Questions without "recursion desired" are those of a resolver's own, and are left out; hosts that are known to be no
-- Macs are counted, not judged. Apple's names asked of another resolver are apple_allowlist's; that networksetup was run is lolbin's.
--
-- False alarms: people who change their resolver; static settings where DHCP serves others; containers and virtual machines behind a Mac's address; a
-- network whose DHCP was changed while a lease of before still holds; dig with many names and no process known.
-- Misses: a resolver that was wrong from the first packet on, if DHCP gave it or no lease was seen; DNS on 127.0.0.1; resolvers that router advertisements give
-- (RDNSS) are not read, and link-local hosts not judged without a lease; resolvers asked less than `queries` times each, or without "recursion desired" (what
-- is asked there is dns_tunnel's all the same); DoH hidden under a name that is in no list; a resolver that lies for a few names and tells the truth for the rest.
-- ATT&CK: T1557 adversary in the middle, T1557.003 DHCP spoofing, T1565.002 transmitted data manipulation, T1584.002 DNS server, T1071.004 DNS,
-- T1572 protocol tunneling.

local lunette = require "lunette"
local address = require "lunette.address"
local allowed = require "allowed"
local configuration = require "configuration"
local dhcp_book = require "dhcp_book"
local domain_of = require "domain_of"
local hosts = require "host_kind"
local network_tools = require "network_tools"
local programs = require "programs"
local resolver_table = require "resolver_table"

lunette.detector { title = "Resolver that nobody gave", category = "Credential Access", attack = "T1557" }

local tunables = lunette.tunables {
    allowed = "",        -- resolvers that are fine: names, addresses, networks; doh, dot, doq; a provider (cloudflare)
    queries = 10,        -- questions from which on a resolver is judged, and again at ten times as many
    learn_hours = 1,     -- without a lease: the resolver before was asked for so long …
    learn_queries = 20,  -- … and so often
    some_domains = 2,    -- domains up to which it is asked for some names only
    took_over = 0.9,     -- share of the questions from which on it took over
    tool = 600,          -- seconds after networksetup or scutil in which a change is tied to it
    tunnel = 3600,       -- seconds after a VPN was seen in which a new resolver is its
    neighbour_bits = 24, -- without a lease: addresses of the same block are neighbours
    low = 2, medium = 4, high = 6, -- points from which on an alert has that severity
    many = 4,            -- encrypted resolvers of one host that are told one by one
    rows = 40,           -- of the report
    cooldown = 86400,
}

local DAY = 86400
local allow = allowed.list(lunette, tunables.allowed)
local judge = require("resolver_judge").new(tunables)

-- Its addresses, and whose they are.
local public, owners
do
    local list, names = {}, {}
    for i, row in ipairs(lunette.tsv("public_resolvers.tsv")) do list[i], names[i] = row.address, row.owner end
    public, owners = lunette.set.prefixes(list), names
end

-- Names of Apple's: that they alone go to another resolver is told by apple_allowlist.
local apples
do
    local names = {}
    for _, row in ipairs(lunette.tsv("apple_domains.tsv")) do
        if row.owner == "apple" then names[#names + 1] = row.match == "exact" and "=" .. row.name or row.name end
    end
    apples = lunette.set.domains(names)
end

local resolvers = resolver_table.new {
    hosts = lunette.state("resolvers", { max = 12000, ttl = 30 * DAY }),
    remembered = lunette.state("answers", { max = 20000, ttl = 3600, keep = false }),
    placed = lunette.state("placed", { max = 2000, ttl = 7 * DAY }),
}
local changed = lunette.state("changed", { max = 20000, ttl = DAY, keep = "reload" }) -- hosts whose card is to be told anew
local upgrades = lunette.state("upgrades", { max = 20000, ttl = DAY })                -- "host" → true: it asked for designated resolvers
local hidden = lunette.state("hidden", { max = 20000, ttl = DAY })                   -- "host resolver" of encrypted DNS → flows

local news = false -- was anything asked since the cards were told?

local function in_tunnel(e)
    local iface = e.iface
    return iface ~= nil and (iface:find("utun", 1, true) == 1 or iface:find("ipsec", 1, true) == 1 or iface:find("ppp", 1, true) == 1)
end

local function is_allowed(e, name)
    return allow.address(e.server_ip) or allow.name(name)
end

-- ---------------------------------------------------------------- plain DNS

-- The encrypted resolver that the Mac's settings name for all its questions, if they name one.
local function set_for_all(client)
    local own = configuration.of(client)
    local list = own and own.encrypted_dns
    if not list then return nil end
    for i = 1, #list do
        local one = list[i]
        if not one.domains or #one.domains == 0 then return one.server end
    end
end

-- Has the Mac, beside one with resolvers of its own, a service in use that takes them from DHCP? Wi-Fi set by hand and a dock's Ethernet that is not: then DHCP's
-- are no contradiction.
local function takes_dhcp(client)
    local own = configuration.of(client)
    local services = own and own.services
    if not services then return false end
    for i = 1, #services do
        local one = services[i]
        if one.active and one.ipv4 == "dhcp" and (not one.resolvers or #one.resolvers == 0) then return true end
    end
    return false
end

-- The resolvers that the Mac's settings name, as text.
local function set_by_hand(client)
    local own = configuration.of(client)
    return own and own.resolvers and own.resolvers[1] and table.concat(own.resolvers, ", ", 1, math.min(3, #own.resolvers)) or nil
end

-- What the part that knows the leases needs to judge a resolver.
local function send_use(e, one, own)
    local client, server = e.client_ip, e.server_ip
    local usual, before = resolvers.usual(own, server)
    local owner = public:find(server)
    local process = e.process
    local class = e.program and programs.class(e.program, e.path)
    lunette.send("use", {
        host = client, resolver = server, port = e.server_port, queries = one.queries, answers = one.answers, first = one.first, last = one.last,
        share = one.queries / math.max(own.queries - one.before, 1), domains = one.domains, apples = not one.others, example = e.rrname and lunette.registrable(e.rrname) or e.rrname,
        usual = usual, usual_queries = before and before.queries, usual_first = before and before.first, usual_last = before and before.last,
        allowed = is_allowed(e), configured = configuration.resolver_given(client, server), set = set_by_hand(client), by_dhcp = takes_dhcp(client), judged = hosts.may_be_mac(client), mac = hosts.is_mac(client),
        owner = owner and owners[owner], global = address.is_global(server), tunnel = in_tunnel(e), process = process, encrypted = set_for_all(client),
        program = e.program and programs.known_as(e.program, e.path), class = class, ancestry = e.ancestry, odd = resolvers.oddness(client, server, one),
    })
end

lunette.on("dns", { type = "query", client_local = true }, function(e)
    if e.flags % 512 < 256 then return end -- RD (RFC 1035 4.1.1): who does not ask for recursion is a resolver himself
    local one, own = resolvers.asked(e.client_ip, e.server_ip, e.time)
    if not one then return end
    news = true
    local queries = one.queries
    if queries > tunables.queries and queries ~= tunables.queries * 10 then return end
    if one.domains < 4 then
        local name = e.rrname
        if name == "_dns.resolver.arpa" then
            upgrades:set(e.client_ip, true)
        else
            resolvers.note_domain(one, name and domain_of(name) or nil)
            if not one.others and not apples:has(e, "rrname") then one.others = true end
        end
    end
    if queries == 1 or queries == tunables.queries or queries == tunables.queries * 10 then
        if e.server_ip:find("127.", 1, true) == 1 or e.server_ip == "::1" then return end
        send_use(e, one, own)
    end
end)

lunette.on("dns", { type = "answer", client_local = true }, function(e)
    local client, server = e.client_ip, e.server_ip
    local one, own = resolvers.answered(client, server)
    if one and one.answers == 1 and e.server_local then lunette.send("serves", { resolver = server }) end
    if not one or own.count < 2 or one.answers > 2000 then return end
    local list = e.a
    if #list == 0 then return end
    local name = e.rrname
    if name then resolvers.compare(client, server, one, name, domain_of(name), list, e.time) end
end)

-- ---------------------------------------------------------------- what explains a change

lunette.on("dhcp", { type = "reply" }, function(e)
    local note = dhcp_book.note(e)
    if note then lunette.send("lease", note) end
end)

lunette.on("process", { action = "exec", path = network_tools.PATHS }, function(e)
    local kind, values = network_tools.change(e.arguments)
    if kind then
        lunette.send("tool", { host = e.client_ip, kind = kind, values = values, time = e.time,
            by = (e.program or "networksetup") .. (e.ancestry and " < " .. e.ancestry or "") })
    end
end)

lunette.on("vpn", { client_local = true }, function(e) lunette.send("vpn", { host = e.client_ip, time = e.time }) end)

-- ---------------------------------------------------------------- encrypted DNS

local KINDS = { doh = "DNS over HTTPS", dot = "DNS over TLS", doq = "DNS over QUIC" }
-- Who may bring a resolver of his own: points that an encrypted resolver has by the class of the program.
local CLASSES = { browser = 0, vpn = 1, security = 1, developer = 1, network = 1, terminal = 1, system = 1, interpreter = 4, shell = 4, office = 4, editor = 4,
    viewer = 4, launcher = 3 }

local function word_of(provider) return provider and provider:lower():gsub("[^%w]+", "-") end

local function encrypted(e, kind, name, provider, how)
    local client, server = e.client_ip, e.server_ip
    local label = name or server
    local key = client .. " " .. label
    local count = (hidden:get(key) or 0) + 1
    hidden:set(key, count)
    if count > 1 then return end
    local program, path = e.program, e.path
    local known = program and programs.of(program, path) or {}
    if known.proxy then -- it acts for somebody who is not known here
        program, known = nil, {}
    end
    -- A name-less connection is odd on any system; which resolver phones and lamps bring along is their makers' business.
    lunette.send("encrypted", {
        host = client, resolver = label, server = server, port = e.server_port, kind = kind, words = KINDS[kind], provider = provider, literal = name == nil, how = how,
        allowed = is_allowed(e, name) or allow.word(kind) or allow.word(word_of(provider)), judged = (kind == "doh" and name == nil) or hosts.may_be_mac(client),
        configured = configuration.encrypted_dns_given(client, name or server), upgrade = upgrades:get(client) ~= nil, program = program and known.known_as,
        class = known.class, points = program and (CLASSES[known.class or ""] or 2), ancestry = e.ancestry, tunnel = in_tunnel(e), time = e.time, mac = hosts.is_mac(client),
    })
end

lunette.on("encrypted_dns", { client_local = true }, function(e)
    local name = e.resolver
    if name and lunette.is_address(name) then name = nil end
    encrypted(e, e.kind, name, e.provider, table.concat(e.evidence, ", "))
end)

-- TLS without a name to a public resolver's own address.
lunette.on("tls", { client_local = true, server_port = 443, server_ip = public }, function(e)
    if e.sni then return end
    local owner = public:find(e, "server_ip")
    encrypted(e, "doh", nil, owner and owners[owner], "TLS without a name to the address of a public resolver")
end)

-- ---------------------------------------------------------------- cards

-- Each host whose resolvers did something since the last time: one message.
local function send_cards()
    if not news then return end
    news = false
    for host, own in resolvers.each() do
        if changed:get(host) ~= own.queries then
            changed:set(host, own.queries)
            local rows = {}
            for i = 1, own.count do
                local server = own.order[i]
                local one = own.list[server]
                local owner = public:find(server)
                rows[i] = { resolver = server, first = one.first, queries = one.queries, answers = one.answers, owner = owner and owners[owner],
                    configured = configuration.resolver_given(host, server), by_dhcp = takes_dhcp(host), allowed = allow.address(server) }
            end
            lunette.send("card", { host = host, queries = own.queries, rows = rows })
        end
    end
end

lunette.every(3600, send_cards)
lunette.on_end(send_cards)

-- ---------------------------------------------------------------- all hosts together

lunette.gather(function() judge.gather(dhcp_book, network_tools) end)
