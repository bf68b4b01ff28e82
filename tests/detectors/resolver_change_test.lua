-- resolver_change: resolvers that nobody gave, and all that is no such thing.
local t = require "lunette.test"
t.detector "../../scripts/resolver_change.lua"

local MAC = "192.168.1.20"
local ROUTER = "192.168.1.1"
local STRANGER = "185.220.70.9" -- a global address that is nobody's well-known resolver
local MINUTE, HOUR, DAY = 60, 3600, 86400

local NAMES = { "www.example.com", "mail.example.net", "cdn.example.org", "api.sample.com", "static.sample.net", "www.sample.org", "img.test.com", "news.test.net" }

local function lease(c, host, how)
    how = how or {}
    c:event("dhcp", { type = "reply", message = how.message or "ack", version = 4, id = how.id or 1, client_ip = host, server_ip = how.server or ROUTER,
        assigned_ip = host, server_id = how.server or ROUTER, subnet_mask = "255.255.255.0", routers = { how.router or ROUTER },
        dns_servers = how.dns or { ROUTER }, client_mac = "f4:0f:24:00:00:01", lease = 3600 })
end

-- Questions to a resolver, each for another of the names; all of `names` are asked in turn.
local function ask(c, mac, server, count, how)
    how = how or {}
    c:times(count, how.every or 2, function(i)
        local names = how.names or NAMES
        mac:dns { name = names[(i - 1) % #names + 1], a = how.a or ("23.%d.7.9"):format(10 + i % #names), server = server, port = how.port, rtt = 0.01 }
    end)
end

-- ---------------------------------------------------------------- a lease says who

t.case("another resolver than the lease's, for everything", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, STRANGER, 15)
    c:expect { title = "Resolver that nobody gave", severity = "medium", who = MAC, where = STRANGER,
        why = t.contains "before: 192.168.1.1 by DHCP", attack = "T1557,T1584.002",
        evidence = { questions = 10, share = 1, points = 4, lease = { ROUTER }, usual = ROUTER } }
    c:fact { host = MAC, topic = "resolvers", text = { "192.168.1.1: 30 questions, 67 %, given by DHCP", STRANGER .. ": 15 questions, 33 %, given by nobody" } }
    c:report { title = "Resolvers", rows = {
        { MAC, ROUTER, t.like "^%d+%-%d+%-%d+ %d+:%d+$", "30", "67 %", "30", "DHCP" },
        { MAC, STRANGER, t.like "^%d+", "15", "33 %", "15", "nobody" } } }
end)

t.case("a person's choice of a public one is a lead", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, "9.9.9.9", 15)
    c:expect { title = "Resolver that nobody gave", severity = "low", where = "9.9.9.9", evidence = { owner = "Quad9", points = 3 } }
end)

t.case("nine questions are not judged, ten are", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, STRANGER, 9)
    c:expect_none()
end)

t.case("both of the lease's resolvers, and the router itself", function(c)
    local mac = c:host(MAC)
    lease(c, MAC, { dns = { "192.168.1.5", "8.8.8.8" } })
    ask(c, mac, "192.168.1.5", 30)
    ask(c, mac, "8.8.8.8", 20)
    ask(c, mac, ROUTER, 20)
    c:expect_none()
end)

t.case("a neighbour that is not the router", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, "192.168.1.66", 12)
    c:expect { severity = "medium", where = "192.168.1.66", why = t.contains "a neighbour that is not the router" }
end)

t.case("allowed, by address, by network", function(c)
    c:set { allowed = "185.220.70.0/24, 9.9.9.9" }
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, STRANGER, 15)
    ask(c, mac, "9.9.9.9", 15)
    c:expect_none()
    c:fact { host = MAC, topic = "resolvers", text = t.contains "allowed" }
end)

t.case("a walk over resolvers does not hide one", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    for i = 1, 40 do ask(c, mac, "185.220.71." .. i, 1) end
    ask(c, mac, STRANGER, 12)
    c:expect { title = "Resolver that nobody gave", where = STRANGER }
end)

t.case("roaming: another network brings another resolver", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 40, { every = 120 })
    c:wait(4 * HOUR)
    local there = c:host "10.20.30.40"
    lease(c, "10.20.30.40", { server = "10.20.30.1", router = "10.20.30.1", dns = { "10.20.30.1" } })
    ask(c, there, "10.20.30.1", 40)
    c:wait(4 * HOUR)
    -- A café with the same numbers.
    lease(c, MAC, { server = "192.168.1.254", router = "192.168.1.254", dns = { "192.168.1.254", "1.1.1.1" } })
    ask(c, mac, "192.168.1.254", 40)
    ask(c, mac, "1.1.1.1", 20)
    c:expect_none()
end)

t.case("an IPv6 resolver beside the IPv4 one", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, c:host "2001:db8:1::20", "2001:db8:1::1", 30)
    c:expect_none()
end)

-- ---------------------------------------------------------------- no lease was seen

t.case("in ten minutes nothing is new", function(c)
    local mac = c:host(MAC)
    ask(c, mac, ROUTER, 30, { every = 10 })
    ask(c, mac, STRANGER, 30)
    c:expect_none()
end)

t.case("after an hour with one resolver another one takes over", function(c)
    local mac = c:host(MAC)
    ask(c, mac, ROUTER, 40, { every = 120 })
    ask(c, mac, STRANGER, 30)
    c:expect { title = "Another resolver than before", severity = "low", why = t.like "before: 192.168.1.1, asked 40 times in 78 min",
        evidence = { points = 3, usual = ROUTER } }
end)

t.case("for one domain only, beside the usual one", function(c)
    local mac = c:host(MAC)
    ask(c, mac, ROUTER, 40, { every = 120 })
    c:meanwhile(function() ask(c, mac, ROUTER, 40, { every = 30 }) end)
    ask(c, mac, STRANGER, 12, { every = 60, names = { "a.updates.test", "b.updates.test" } })
    c:expect { title = "Some names are asked of another resolver", severity = "low", attack = t.contains "T1071.004", evidence = { domains = 1 } }
end)

t.case("Apple's names alone are apple_allowlist's", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 40, { every = 120 })
    c:meanwhile(function() ask(c, mac, ROUTER, 40, { every = 30 }) end)
    ask(c, mac, STRANGER, 12, { every = 60, names = { "swscan.apple.com", "mesu.apple.com" } })
    c:expect_none()
end)

t.case("a resolver asks resolvers", function(c)
    local box, mac = c:host "192.168.1.2", c:host(MAC)
    ask(c, box, "198.41.0.4", 30, { every = 240 })
    ask(c, mac, "192.168.1.2", 5)
    ask(c, box, STRANGER, 30)
    c:expect_none()
end)

-- ---------------------------------------------------------------- signs

t.case("networksetup set it just before", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", ancestry = "sh < Installer < launchd", client_ip = MAC, host = "mac",
        arguments = { "networksetup", "-setdnsservers", "Wi-Fi", STRANGER } })
    c:wait(12)
    ask(c, mac, STRANGER, 15)
    c:expect { severity = "high", where = STRANGER, why = t.contains "12 s after networksetup < sh < Installer < launchd set it",
        evidence = { seconds_after_tool = 12, points = 7 } }
end)

t.case("networksetup that only asks, and one of long ago", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", client_ip = MAC, host = "mac",
        arguments = { "networksetup", "-setdnsservers", "Wi-Fi", STRANGER } })
    c:wait(20 * MINUTE)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", client_ip = MAC, host = "mac",
        arguments = { "networksetup", "-getdnsservers", "Wi-Fi" } })
    ask(c, mac, STRANGER, 15)
    c:expect { severity = "medium", evidence = { points = 4 } }
end)

t.case("it leads many names to one address", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    ask(c, mac, STRANGER, 15, { a = "185.220.70.80" })
    c:expect { severity = "high", attack = t.contains "T1565.002", evidence = { common_address = "185.220.70.80" } }
end)

t.case("the old one still answers, and says otherwise", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    c:times(15, 10, function(i)
        local name = NAMES[i % #NAMES + 1]
        mac:dns { name = name, a = ("23.%d.7.9"):format(10 + i), server = ROUTER, rtt = 0.01 }
        mac:dns { name = name, a = "185.220.70.80", server = STRANGER, rtt = 0.01 }
    end)
    c:expect { severity = "medium", where = STRANGER, evidence = { share = t.near(0.5, 0.1), common_address = "185.220.70.80",
        differs = { here = "185.220.70.80", other = ROUTER } } }
end)

local function both(c, mac, first, second)
    c:times(15, 10, function(i)
        local name = NAMES[i % #NAMES + 1]
        mac:dns { name = name, a = first(i % #NAMES), server = ROUTER, rtt = 0.01 }
        mac:dns { name = name, a = second(i % #NAMES), server = STRANGER, rtt = 0.01 }
    end)
end

t.case("both say that many names are at one address", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    both(c, mac, function() return "104.16.7.9" end, function() return "104.16.7.9" end)
    c:expect { severity = "low", where = STRANGER, evidence = { points = 3 } }
end)

t.case("a content network's addresses by resolver", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    both(c, mac, function(i) return "23.10.7." .. i end, function(i) return "23.10.99." .. i end)
    c:expect { severity = "low", where = STRANGER, evidence = { points = 3 } }
end)

t.case("other addresses for all names", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    both(c, mac, function(i) return ("23.%d.7.9"):format(i + 1) end, function(i) return ("45.%d.7.9"):format(i + 1) end)
    c:expect { severity = "medium", where = STRANGER, why = t.contains "unlike those of another resolver", evidence = { points = 4 } }
end)

t.case("the router that does so is a captive portal", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, "192.168.1.1", 15, { a = "10.0.0.1" })
    ask(c, mac, "192.168.1.1", 30)
    c:expect_none()
end)

t.case("behind utun, and while a VPN is up", function(c)
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    c:event("vpn", { client_ip = MAC, server_ip = "203.0.113.7", kind = "wireguard" })
    ask(c, mac, "10.64.0.1", 15)
    c:expect { severity = "info", where = "10.64.0.1", why = t.contains "a VPN is up" }
end)

-- ---------------------------------------------------------------- DHCP

t.case("two servers answer one request", function(c)
    lease(c, MAC, { message = "offer", id = 7 })
    lease(c, MAC, { message = "offer", id = 7, server = "192.168.1.66", router = "192.168.1.66", dns = { "192.168.1.66" } })
    c:expect { title = "A second DHCP server gives another resolver", severity = "medium", who = MAC, where = "192.168.1.66", attack = "T1557.003,T1557",
        evidence = { resolvers = "192.168.1.66", other_server = ROUTER, how = "both answered one request" } }
end)

t.case("the second one names a resolver outside", function(c)
    lease(c, MAC, { id = 1 })
    c:wait(30)
    lease(c, "192.168.1.21", { id = 2, server = "192.168.1.66", dns = { STRANGER } })
    c:wait(30)
    lease(c, "192.168.1.22", { id = 3 })
    c:expect { title = "A second DHCP server gives another resolver", severity = "high", where = "192.168.1.66", evidence = { resolvers = STRANGER } }
end)

t.case("two servers that say the same", function(c)
    for id = 1, 4 do
        lease(c, MAC, { id = id, message = "offer" })
        lease(c, MAC, { id = id, message = "offer", server = "192.168.1.2" })
    end
    c:expect_none()
end)

t.case("home, café, home", function(c)
    lease(c, MAC, { id = 1 })
    c:wait(3 * HOUR)
    lease(c, MAC, { id = 2, server = "192.168.1.254", dns = { "192.168.1.254" } })
    c:wait(3 * HOUR)
    lease(c, MAC, { id = 3 })
    c:expect_none()
end)

t.case("the router changed its mind", function(c)
    lease(c, MAC)
    c:wait(DAY)
    lease(c, MAC, { id = 2, dns = { STRANGER } })
    c:expect { title = "DHCP gives another resolver than before", severity = "info", evidence = { before = ROUTER, now = STRANGER } }
end)

-- ---------------------------------------------------------------- encrypted DNS

local function doh(c, how)
    c:event("encrypted_dns", { kind = how.kind or "doh", client_ip = MAC, server_ip = how.server or "104.16.248.249", server_port = how.port or 443, resolver = how.resolver,
        provider = how.provider, program = how.program, process = how.program, path = how.path, evidence = { "name" } })
end

t.case("a browser's own resolver is news", function(c)
    doh(c, { resolver = "mozilla.cloudflare-dns.com", provider = "Cloudflare", program = "firefox" })
    c:expect { title = "Encrypted DNS past the given resolver", severity = "info", where = "mozilla.cloudflare-dns.com", why = t.contains "browsers bring their own" }
end)

t.case("an interpreter's is not", function(c)
    doh(c, { resolver = "dns.google", provider = "Google", program = "python3" })
    c:expect { title = "Encrypted DNS past the given resolver", severity = "medium", attack = "T1071.004,T1572", why = t.contains "DNS over HTTPS of python3 to dns.google" }
end)

t.case("nobody known, to a known resolver: news", function(c)
    doh(c, { resolver = "dns.google", provider = "Google" })
    c:expect { severity = "info" }
end)

t.case("DNS over QUIC to a stranger", function(c)
    doh(c, { kind = "doq", server = STRANGER, port = 853 })
    c:expect { severity = "medium", where = STRANGER, why = t.contains "by address" }
end)

t.case("allowed by provider, by kind, by name", function(c)
    c:set { allowed = "cisco-opendns, dot, dns.example.net" }
    doh(c, { resolver = "doh.opendns.com", provider = "Cisco OpenDNS", program = "python3" })
    doh(c, { kind = "dot", server = "203.0.113.53", port = 853 })
    doh(c, { resolver = "x.dns.example.net", program = "python3" })
    c:expect_none()
end)

t.case("the given resolver offers encryption", function(c)
    local mac = c:host(MAC)
    lease(c, MAC, { dns = { "9.9.9.9" } })
    mac:dns { name = "_dns.resolver.arpa", type = 64, server = "9.9.9.9" }
    doh(c, { kind = "dot", server = "9.9.9.9", port = 853, resolver = "dns.quad9.net", provider = "Quad9" })
    c:expect_none()
end)

t.case("TLS without a name to a public resolver's address", function(c)
    c:host(MAC):tls { to = "1.1.1.1", version = "1.3" }
    c:expect { title = "Encrypted DNS past the given resolver", severity = "low", where = "1.1.1.1", evidence = { provider = "Cloudflare" } }
end)

t.case("a browser's visit to a page there has a name", function(c)
    c:host(MAC):tls { to = "1.1.1.1", sni = "one.one.one.one.example", version = "1.3" }
    c:expect_none()
end)

-- ---------------------------------------------------------------- what the Mac's own settings say (--audit)

local function settings(fields)
    local audit = { version = 1, name = "mac", proxies = {}, resolvers = {}, services = {}, interfaces = {}, vpns = {}, scoped = {}, encrypted_dns = {} }
    for key, value in pairs(fields) do audit[key] = value end
    return audit
end

t.case("the settings name another resolver, even than DHCP's", function(c)
    c:configuration(MAC, settings { resolvers = { "9.9.9.9" } })
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, "9.9.9.9", 15)
    ask(c, mac, STRANGER, 15)
    c:expect { title = "Resolver against the Mac's settings", severity = "medium", where = STRANGER, why = t.contains "the Mac's settings name 9.9.9.9" }
    c:fact { host = MAC, topic = "resolvers", text = { STRANGER .. ": 15 questions, 50 %, against the settings",
        "9.9.9.9 (Quad9): 15 questions, 50 %, given by settings" } }
end)

t.case("a resolver of their own choice, and one for a domain", function(c)
    c:configuration(MAC, settings { resolvers = { STRANGER }, scoped = { { domain = "corp.example", resolvers = { "10.0.0.53" } } } })
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 2)
    ask(c, mac, STRANGER, 30)
    ask(c, mac, "10.0.0.53", 15, { names = { "a.corp.example", "b.corp.example" } })
    c:expect_none()
end)

t.case("no resolvers in the settings: DHCP is asked", function(c)
    c:configuration(MAC, settings {})
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 30)
    c:expect_none()
end)

t.case("an encrypted resolver is set, and names are asked in clear", function(c)
    c:configuration(MAC, settings { encrypted_dns = { { protocol = "HTTPS", server = "https://dns.example/q", addresses = {}, domains = {} } } })
    local mac = c:host(MAC)
    lease(c, MAC)
    ask(c, mac, ROUTER, 15)
    doh(c, { resolver = "dns.example" })
    c:expect { title = "DNS in clear though the settings encrypt it", severity = "low", where = ROUTER, evidence = { set = "https://dns.example/q" } }
end)

t.case("an encrypted resolver that they do not name", function(c)
    c:configuration(MAC, settings { encrypted_dns = { { protocol = "TLS", server = "dns.example", addresses = {}, domains = { "corp.example" } } } })
    doh(c, { kind = "dot", server = STRANGER, port = 853, resolver = "dns.sample.net" })
    c:expect { title = "Encrypted DNS past the given resolver", severity = "low", why = t.contains "the Mac's settings do not name it" }
end)
