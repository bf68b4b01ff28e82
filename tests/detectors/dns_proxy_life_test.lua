-- A healthy Mac's weeks: what dns_tunnel, dga, resolver_change and proxy_change hear of roaming, of companies, browsers and developers, all four at
-- once, and must not shout about. Nothing here is above "low", and each "low" is named.
local t = require "lunette.test"
t.detector("../../scripts/dns_tunnel.lua", "../../scripts/dga.lua", "../../scripts/resolver_change.lua", "../../scripts/proxy_change.lua")

local MINUTE, HOUR, DAY = 60, 3600, 86400
local HOME, ROUTER = "192.168.1.20", "192.168.1.1"

local function dice(seed)
    local state = seed
    return function(n)
        state = (state * 16807) % 2147483647
        return state % n + 1
    end
end

local LETTERS, HEX, BASE32 = "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz234567"
local function text(roll, alphabet, length)
    local out = {}
    for i = 1, length do
        local at = roll(#alphabet)
        out[i] = alphabet:sub(at, at)
    end
    return table.concat(out)
end

local PAGES = { "www.example.com", "mail.example.net", "cdn.example.org", "api.sample.com", "static.sample.net", "www.sample.org", "img.test.com", "news.test.net" }

local function lease(c, host, router, dns, how)
    how = how or {}
    c:event("dhcp", { type = "reply", message = "ack", version = 4, id = how.id or 1, client_ip = host, server_ip = router, assigned_ip = host, server_id = router,
        subnet_mask = how.mask or "255.255.255.0", routers = { router }, dns_servers = dns, client_mac = how.mac or "f4:0f:24:00:00:01", lease = 3600, pac_url = how.pac })
end

local function browse(c, host, resolver, count, every)
    local mac = c:host(host)
    c:times(count, every or 30, function(i)
        mac:dns { name = PAGES[(i - 1) % #PAGES + 1], a = ("23.%d.7.9"):format(10 + i % #PAGES), server = resolver, rtt = 0.01 }
    end)
end

local function missing(c, client, resolver, name)
    c:event("dns", { client_ip = client, client_port = 50000, server_ip = resolver, server_port = 53, proto = "UDP", type = "query", rrname = name, rrtype = "A", qtype = 1,
        flags = 256, length = #name + 18 })
    c:event("dns", { client_ip = client, client_port = 50000, server_ip = resolver, server_port = 53, proto = "UDP", type = "answer", rrname = name, rrtype = "A", qtype = 1,
        flags = 33155, rcode = "NXDOMAIN", answer_count = 0, length = #name + 90 })
end

local function direct(c, host, count, every)
    local mac = c:host(host)
    c:times(count, every, function() mac:tls { to = "23.10.7.9", sni = "www.example.com", out = 300, back = 4000 } end)
end

local function connect(c, host, to, port, count, target, every)
    local mac = c:host(host)
    c:times(count, every or 30, function(i)
        local name = target or ("www%d.example.com:443"):format(i)
        mac:http { to = to, port = port, method = "CONNECT", path = name, host = name, status = 200, reason = "Connection established" }
    end)
end

-- ---------------------------------------------------------------- networks

t.case("a week between home, office, café and a telephone", function(c)
    for day = 1, 5 do
        lease(c, HOME, ROUTER, { ROUTER }, { id = day * 10 })
        browse(c, HOME, ROUTER, 40, MINUTE)
        c:wait(HOUR)
        lease(c, "10.20.30.40", "10.20.30.1", { "10.20.0.53", "10.20.0.54" }, { id = day * 10 + 1 })
        browse(c, "10.20.30.40", "10.20.0.53", 60, 2 * MINUTE)
        browse(c, "10.20.30.40", "10.20.0.54", 20)
        lease(c, "172.20.10.4", "172.20.10.1", { "172.20.10.1" }, { id = day * 10 + 2, mask = "255.255.255.240" })
        browse(c, "172.20.10.4", "172.20.10.1", 20, MINUTE)
        -- A café numbers its guests as the router at home does, and gives a public resolver.
        lease(c, "192.168.1." .. 100 + day, "192.168.1.254", { "8.8.8.8", "8.8.4.4" }, { id = day * 10 + 3 })
        browse(c, "192.168.1." .. 100 + day, "8.8.8.8", 30, MINUTE)
        c:wait(2 * HOUR)
        lease(c, HOME, ROUTER, { ROUTER }, { id = day * 10 + 4 })
        browse(c, HOME, ROUTER, 40, MINUTE)
        c:wait(10 * HOUR)
    end
    c:expect_none()
end)

t.case("IPv6 resolvers beside IPv4's: from advertisements, by DHCPv6, by link-local addresses of one router and the next", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    browse(c, HOME, ROUTER, 60, MINUTE)
    browse(c, "2001:db8:1::20", "2001:db8:1::1", 60, MINUTE)
    browse(c, "fe80::10", "fe80::1", 60, MINUTE)
    c:wait(HOUR)
    browse(c, "fe80::10", "fe80::abcd", 60, MINUTE)
    c:expect_none()
end)

t.case("a resolver in the house, set by hand from the first packet on", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    browse(c, HOME, "192.168.1.5", 200, MINUTE)
    c:expect { title = "Resolver that nobody gave", severity = "low", where = "192.168.1.5" }
end)

t.case("that resolver asks its own above it, which DHCP did not give it", function(c)
    lease(c, "192.168.1.5", ROUTER, { ROUTER })
    for i = 1, 3 do lease(c, "192.168.1." .. 19 + i, ROUTER, { "192.168.1.5" }) end
    for i = 1, 3 do browse(c, "192.168.1." .. 19 + i, ROUTER, 2) end
    for i = 1, 3 do browse(c, "192.168.1." .. 19 + i, "192.168.1.5", 20, 10) end
    browse(c, "192.168.1.5", "1.1.1.1", 120, 5)
    browse(c, "192.168.1.5", "9.9.9.9", 120, 5)
    c:ignore { title = "DHCP gives another resolver than before", severity = "info" }
    c:expect_none()
end)

t.case("dig @8.8.8.8 by a person, a virtual machine's resolver: leads", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    browse(c, HOME, ROUTER, 200, MINUTE)
    c:meanwhile(function() browse(c, HOME, "8.8.8.8", 12, 5) end)
    browse(c, HOME, ROUTER, 30, 5)
    c:expect { title = "Resolver that nobody gave", severity = "low", where = "8.8.8.8" }
end)

t.case("Firefox's and a profile's encrypted DNS, day after day", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    for _ = 1, 12 do
        for _, one in ipairs { "mozilla.cloudflare-dns.com", "dns.quad9.net" } do
            c:event("encrypted_dns", { kind = "doh", client_ip = HOME, server_ip = "104.16.248.249", server_port = 443, resolver = one, provider = "Some", evidence = { "name" } })
        end
        c:wait(2 * DAY)
    end
    c:ignore { title = "Encrypted DNS past the given resolver", severity = "info" }
    c:expect_none()
end)

t.case("iCloud's Private Relay", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    local mac = c:host(HOME)
    for _ = 1, 30 do
        mac:dns { name = "mask.icloud.com", a = "17.248.176.5", server = ROUTER }
        mac:dns { name = "doh.dns.apple.com", a = "17.132.91.10", server = ROUTER }
        mac:tls { to = "17.132.91.10", sni = "doh.dns.apple.com", alpn = { "h2" }, out = 300, back = 500 }
        mac:tls { to = "17.248.176.5", sni = "mask.icloud.com", out = 900, back = 9000 }
        c:wait(HOUR)
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- names that are not found

t.case("a browser's three probes at each change of network, below whatever the router calls its network", function(c)
    local roll = dice(31)
    for _, suffix in ipairs { "hitronhub", "speedport", "fritz", "acme" } do
        for _ = 1, 6 do
            for _ = 1, 3 do
                local probe = text(roll, LETTERS, 6 + roll(9))
                missing(c, HOME, ROUTER, probe)
                missing(c, HOME, ROUTER, probe .. "." .. suffix)
            end
            c:wait(4 * MINUTE)
        end
    end
    c:expect_none()
end)

t.case("off the VPN nothing of the company's is found", function(c)
    local roll = dice(33)
    for i = 1, 120 do
        for _, zone in ipairs { "acme", "corp.acme.com", "svc.cluster.acme", "ad.acme.com" } do
            missing(c, HOME, ROUTER, ("web-%s-%s.%s"):format(text(roll, HEX, 9), text(roll, LETTERS, 5), zone))
            missing(c, HOME, ROUTER, ("srv%02d.%s"):format(i, zone))
            missing(c, HOME, ROUTER, ("www.example.com.%s"):format(zone))
        end
        c:wait(30)
    end
    c:ignore { title = "Data in DNS names", severity = "low" }
    c:expect_none()
end)

-- ---------------------------------------------------------------- names that are new each time

t.case("advertising frames, fraud checks, measurements: a month of browsing", function(c)
    local roll = dice(17)
    local function ask(name)
        c:event("dns", { client_ip = HOME, client_port = 50000, server_ip = ROUTER, server_port = 53, proto = "UDP", type = "query", rrname = name, rrtype = "A", qtype = 1,
            flags = 256, length = #name + 18 })
    end
    for _ = 1, 1500 do
        ask(text(roll, HEX, 32) .. ".safeframe.googlesyndication.com")
        ask(text(roll, BASE32, 40) .. text(roll, HEX, 16) .. "am1.d.aa.online-metrix.net")
        ask(text(roll, HEX, 32) .. ".clo.footprintdns.com")
        ask(text(roll, HEX, 32) .. ".fp.measure.office.com")
        ask(text(roll, BASE32, 16) .. "-f-" .. text(roll, HEX, 9) .. "-clientnsv4-s.akamaihd.net")
        ask(text(roll, BASE32, 52) .. ".vscode-cdn.net")
        ask(text(roll, HEX, 32) .. ".plex.direct")
        ask(text(roll, HEX, 12) .. ".map.fastly.net")
        ask(text(roll, HEX, 20) .. ".scf.usercontent.goog")
        c:wait(1500)
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- proxies

t.case("an office's proxy by PAC that DHCP names: some names direct, others through it", function(c)
    lease(c, "10.20.30.40", "10.20.30.1", { "10.20.0.53" }, { pac = "http://wpad.corp.example/proxy.pac" })
    local mac = c:host "10.20.30.40"
    mac:http { to = "10.20.30.8", host = "wpad.corp.example", path = "/proxy.pac", agent = "CFNetworkAgent (unknown version) CFNetwork/1494.0.7 Darwin/23.4.0", response = "function FindProxyForURL(u,h){return 'PROXY 10.20.30.8:8080';}",
        response_type = "application/x-ns-proxy-autoconfig" }
    direct(c, "10.20.30.40", 40, 3 * MINUTE)
    connect(c, "10.20.30.40", "10.20.30.8", 8080, 40)
    connect(c, "10.20.30.40", "10.20.30.8", 8080, 3, "courier.push.apple.com:5223")
    c:expect { title = "Proxy that was not there before", severity = "low" }
end)

t.case("a developer's proxy on the Mac, set by the app with networksetup", function(c)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", client_ip = "127.0.0.1", host = "mac", ancestry = "Proxyman < launchd",
        arguments = { "networksetup", "-setsecurewebproxy", "Wi-Fi", "127.0.0.1", "9090" } })
    c:wait(5)
    connect(c, "127.0.0.1", "127.0.0.1", 9090, 40)
    c:expect { title = "Odd proxy in use", severity = "low" }
end)

t.case("requests with the whole URL to the very server that it names", function(c)
    local mac = c:host(HOME)
    direct(c, HOME, 30, 5 * MINUTE)
    mac:dns { name = "img.example.com", a = "185.220.70.10", server = ROUTER }
    c:times(20, 60, function() mac:http { to = "185.220.70.10", host = "img.example.com", path = "http://img.example.com/a.png", response = 900 } end)
    c:times(20, 60, function() mac:http { to = "185.220.70.11", host = "185.220.70.11", path = "http://185.220.70.11/a.png", response = 900 } end)
    c:expect_none()
end)

t.case("git, brew and npm through the office's proxy, ssh to GitHub as well", function(c)
    connect(c, HOME, "10.0.0.8", 3128, 20, "github.com:443")
    connect(c, HOME, "10.0.0.8", 3128, 5, "github.com:22")
    connect(c, HOME, "10.0.0.8", 3128, 5, "registry.example.com:8443")
    c:expect { title = "Proxy asked for an odd port", severity = "low", where = "github.com:22" }
end)

t.case("file sharing through SOCKS: one line, however many ports", function(c)
    local mac = c:host(HOME)
    for i = 1, 40 do
        mac:tcp { to = "10.0.0.8", port = 1080, say = { { "client", "\5\1\0" }, { "server", "\5\0" },
            { "client", "\5\1\0\1\203\0\113" .. string.char(i) .. string.char(30, i) }, { "server", "\5\0\0\1\0\0\0\0\0\0" }, { "client", 200 }, { "server", 2000 } } }
        c:wait(20)
    end
    c:expect { title = "Proxy asked for an odd port", severity = "low" }
end)

-- ---------------------------------------------------------------- who hides in such a life

local function ask_as(c, program, server, count)
    for i = 1, count do
        c:event("dns", { client_ip = HOME, client_port = 50000, server_ip = server, server_port = 53, proto = "UDP", type = "query", rrname = PAGES[(i - 1) % #PAGES + 1], rrtype = "A",
            qtype = 1, flags = 256, length = 40, program = program, process = program })
        c:wait(5)
    end
end

t.case("dig is news, and what only calls itself so is told at its hundredth question", function(c)
    lease(c, HOME, ROUTER, { ROUTER })
    browse(c, HOME, ROUTER, 40)
    ask_as(c, "dig", "185.220.70.9", 99)
    c:expect { title = "Resolver that nobody gave", severity = "info" }
    ask_as(c, "dig", "185.220.70.9", 20)
    c:expect { title = "Resolver that nobody gave", severity = "medium", evidence = { questions = 100 } }
end)

t.case("generated names of ten a day below a network's own top-level name are none, below .com they are", function(c)
    local roll = dice(7)
    for _ = 1, 30 do missing(c, HOME, ROUTER, text(roll, LETTERS, 14) .. ".acme") end
    for _ = 1, 12 do missing(c, HOME, ROUTER, text(roll, LETTERS, 14) .. ".com") end
    c:expect { title = "Many made-up names that do not exist", severity = "medium" }
end)

t.case("a proxy at port 80 for two names is one", function(c)
    local mac = c:host(HOME)
    direct(c, HOME, 30, 5 * MINUTE)
    c:times(6, 60, function(i)
        mac:http { to = "185.220.70.10", host = "www" .. i .. ".example.com", path = "http://www" .. i .. ".example.com/a", response = 900 }
    end)
    c:expect { title = "Proxy that was not there before", severity = "medium", where = "185.220.70.10:80" }
end)

t.case("a second DHCP server among many hosts, which speaks to one of them an hour later", function(c)
    for i = 1, 5 do
        lease(c, "192.168.1." .. 20 + i, ROUTER, { ROUTER }, { id = i })
        c:wait(10 * MINUTE)
    end
    lease(c, "192.168.1.40", "192.168.1.66", { "185.220.70.9" }, { id = 8 })
    c:wait(HOUR)
    lease(c, "192.168.1.21", ROUTER, { ROUTER }, { id = 9 })
    c:expect { title = "A second DHCP server gives another resolver", severity = "high", where = "192.168.1.66" }
end)

-- ---------------------------------------------------------------- with the audit of one Mac

local function audit(more)
    local one = { version = 1, name = "mac", proxies = {}, resolvers = {}, services = {}, interfaces = { { name = "en0", mac = "f4:0f:24:00:00:01" } }, vpns = {}, scoped = {},
        encrypted_dns = {} }
    for key, value in pairs(more) do one[key] = value end
    return one
end

t.case("the only audit is that Mac's, and not its neighbour's, which DHCP knows by another hardware address", function(c)
    c:configuration(nil, audit { resolvers = { "9.9.9.9" }, proxies = { { kind = "http", host = "10.0.0.8", port = 3128 } } })
    lease(c, HOME, ROUTER, { ROUTER })
    lease(c, "192.168.1.21", ROUTER, { ROUTER }, { id = 2, mac = "f4:0f:24:00:00:99" })
    browse(c, HOME, "9.9.9.9", 40)
    browse(c, "192.168.1.21", ROUTER, 40)
    connect(c, HOME, "10.0.0.8", 3128, 20)
    connect(c, "192.168.1.21", "10.0.0.8", 3128, 20)
    c:expect_none()
end)

t.case("and the audited Mac against its own settings is told, with its private Wi-Fi address too", function(c)
    c:configuration(nil, audit { resolvers = { "9.9.9.9" } })
    lease(c, HOME, ROUTER, { ROUTER }, { mac = "f6:0f:24:00:00:77" })
    browse(c, HOME, "9.9.9.9", 40)
    browse(c, HOME, "185.220.70.9", 40)
    c:expect { title = "Resolver against the Mac's settings", severity = "medium", where = "185.220.70.9" }
end)

t.case("Wi-Fi's resolvers are set by hand, the dock's Ethernet takes DHCP's", function(c)
    c:configuration(nil, audit { resolvers = { "9.9.9.9" }, services = { { name = "Wi-Fi", interface = "en0", active = true, ipv4 = "dhcp", addresses = {}, resolvers = { "9.9.9.9" } },
        { name = "USB LAN", interface = "en7", active = true, ipv4 = "dhcp", addresses = {}, resolvers = {} } } })
    lease(c, HOME, ROUTER, { ROUTER })
    browse(c, HOME, "9.9.9.9", 40, MINUTE)
    browse(c, HOME, ROUTER, 40, MINUTE)
    c:expect_none()
end)

t.case("settings with the company's resolver for its own names, a profile's encrypted one for the rest, a PAC", function(c)
    c:configuration(nil, audit { scoped = { { domain = "corp.example", resolvers = { "10.0.0.53" } } },
        encrypted_dns = { { protocol = "HTTPS", server = "https://dns.example/q", addresses = { "203.0.113.53" }, domains = {} } },
        proxies = { { kind = "pac", url = "http://wpad.corp.example/proxy.pac" } } })
    lease(c, HOME, ROUTER, { ROUTER })
    local mac = c:host(HOME)
    c:times(30, 60, function(i) mac:dns { name = ("s%d.corp.example"):format(i % 4), a = "10.0.0.9", server = "10.0.0.53" } end)
    c:times(8, 60, function() mac:dns { name = "captive.apple.com", a = "17.253.1.2", server = ROUTER } end)
    c:event("encrypted_dns", { kind = "doh", client_ip = HOME, server_ip = "203.0.113.53", server_port = 443, resolver = "dns.example", evidence = { "name" } })
    connect(c, HOME, "10.0.0.8", 3128, 20)
    c:expect_none()
end)
