-- proxy_change: proxies that appear, scripts that name them, and all that is ordinary.
local t = require "lunette.test"
t.detector "../../scripts/proxy_change.lua"

local MAC = "192.168.1.20"
local ROUTER = "192.168.1.1"
local HOUR, DAY = 3600, 86400

-- Direct connections, one each so many seconds.
local function direct(c, mac, count, every)
    c:times(count, every, function() mac:tls { to = "23.10.7.9", sni = "www.example.com", out = 300, back = 4000 } end)
end

local function connect(c, mac, to, port, count, how)
    how = how or {}
    c:times(count, how.every or 30, function(i)
        mac:http { to = to, port = port, method = "CONNECT", path = how.target or ("www%d.example.com:443"):format(i), host = how.target or "www.example.com:443",
            status = how.status or 200, reason = "Connection established" }
    end)
end

local function lease(c, host, how)
    c:event("dhcp", { type = "reply", message = how.message or "ack", version = 4, id = how.id or 1, client_ip = host, server_ip = how.server or ROUTER,
        assigned_ip = host, server_id = how.server or ROUTER, subnet_mask = "255.255.255.0", routers = { ROUTER }, dns_servers = { ROUTER }, pac_url = how.pac })
end

-- ---------------------------------------------------------------- proxies in use

t.case("a Mac that went direct goes through a public proxy", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    connect(c, mac, "185.220.70.9", 8080, 5)
    c:expect { title = "Proxy that was not there before", severity = "medium", who = MAC, where = "185.220.70.9:8080", attack = "T1090",
        why = t.contains "before: direct, 30 connections in 2.5 h", evidence = { points = 5, kind = "http", requests = 3 } }
    c:fact { host = MAC, topic = "proxies", text = t.like "^185%.220%.70%.9:8080 %(HTTP%) since .-: 5 requests, .* of the bytes, not known who gave it$" }
    c:report { title = "Proxies by host", rows = { { MAC, "185.220.70.9:8080", "HTTP", t.like "^%d+%-%d+%-%d+ ", "5", "0", t.like "kB$", t.like "%%$", "not known" } } }
end)

t.case("through a neighbour", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    connect(c, mac, "192.168.1.66", 3128, 5)
    c:expect { severity = "medium", where = "192.168.1.66:3128", why = t.contains "it is a neighbour" }
end)

t.case("a proxy that was there from the beginning is no change", function(c)
    local mac = c:host(MAC)
    connect(c, mac, "10.0.0.8", 8080, 60)
    c:expect_none()
    c:fact { host = MAC, topic = "proxies", text = t.contains "60 requests" }
end)

t.case("in ten minutes nothing is new", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 10)
    connect(c, mac, "10.0.0.8", 8080, 10, { every = 10 })
    c:expect_none()
end)

t.case("on a public address from the beginning: a lead, and at an odd port too", function(c)
    local mac = c:host(MAC)
    connect(c, mac, "185.220.70.9", 8080, 5)
    connect(c, mac, "185.220.70.10", 41337, 5)
    c:expect { title = "Odd proxy in use", severity = "low", where = "185.220.70.9:8080" }
    c:expect { title = "Odd proxy in use", severity = "low", where = "185.220.70.10:41337", attack = "T1090,T1571", evidence = { points = 3 } }
end)

t.case("another proxy than yesterday", function(c)
    local mac = c:host(MAC)
    connect(c, mac, "10.0.0.8", 8080, 40, { every = 300 })
    c:wait(DAY)
    connect(c, mac, "185.220.70.9", 3128, 5)
    c:expect { title = "Proxy that was not there before", severity = "medium", where = "185.220.70.9:3128", why = t.contains "before: 10.0.0.8:8080, 40 requests" }
end)

t.case("networksetup set it", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", ancestry = "sh < Painter < launchd", client_ip = MAC, host = "mac",
        arguments = { "networksetup", "-setwebproxy", "Wi-Fi", "185.220.70.9", "8080" } })
    c:wait(12)
    connect(c, mac, "185.220.70.9", 8080, 5)
    c:expect { severity = "high", attack = "T1090,T1557,T1562", why = t.contains "12 s after networksetup < sh < Painter < launchd set it", evidence = { tool = "networksetup < sh < Painter < launchd" } }
end)

t.case("a proxy on the Mac itself, seen on lo0", function(c)
    c:event("process", { action = "exec", path = "/usr/sbin/networksetup", program = "networksetup", client_ip = MAC, host = "mac",
        arguments = { "networksetup", "-setsecurewebproxy", "Wi-Fi", "127.0.0.1", "8080" } })
    c:wait(30)
    connect(c, c:host "127.0.0.1", "127.0.0.1", 8080, 5)
    c:expect { title = "Odd proxy in use", severity = "medium", where = "127.0.0.1:8080", why = t.contains "it is on the Mac itself; 30 s after networksetup set it" }
end)

t.case("and without anybody who set it", function(c)
    connect(c, c:host "127.0.0.1", "127.0.0.1", 8080, 5)
    c:expect_none()
end)

t.case("more proxies than are kept", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    for i = 1, 12 do connect(c, mac, "185.220.70." .. i, 8080, 2) end
    connect(c, mac, "185.220.70.99", 8080, 3)
    c:expect { where = "185.220.70.99:8080" }
end)

t.case("what was refused is none in use", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    connect(c, mac, "185.220.70.9", 8080, 20, { status = 403 })
    c:expect_none()
end)

t.case("allowed", function(c)
    c:set { allowed = "185.220.70.0/24" }
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    connect(c, mac, "185.220.70.9", 8080, 5)
    c:expect_none()
end)

t.case("whole URLs to a proxy's port, and a server of its own at such a port", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    c:times(5, 30, function() mac:http { to = "185.220.70.9", port = 8080, host = "www.example.com", path = "http://www.example.com/a", response = 500 } end)
    c:times(5, 30, function() mac:http { to = "185.220.70.9", port = 8081, host = "app.example.com:8081", path = "/a", response = 500 } end)
    c:expect { severity = "medium", where = "185.220.70.9:8080" }
end)

t.case("SOCKS", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    c:times(4, 60, function()
        mac:tcp { to = "185.220.70.9", port = 1080, say = { { "client", "\5\1\0" }, { "server", "\5\0" },
            { "client", "\5\1\0\3\15www.example.com\1\187" }, { "server", "\5\0\0\1\0\0\0\0\0\0" }, { "client", 200 }, { "server", 2000 } } }
    end)
    c:expect { severity = "medium", where = "185.220.70.9:1080", why = t.contains "SOCKS 5 proxy", evidence = { target = "www.example.com" } }
end)

t.case("what four others use is the network's", function(c)
    for i = 21, 24 do connect(c, c:host("192.168.1." .. i), "10.0.0.8", 8080, 5) end
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    connect(c, mac, "10.0.0.8", 8080, 5)
    c:expect_none()
end)

-- ---------------------------------------------------------------- targets

t.case("CONNECT to a port that no page has", function(c)
    connect(c, c:host(MAC), "10.0.0.8", 8080, 5, { target = "203.0.113.9:22" })
    c:expect { title = "Proxy asked for an odd port", severity = "low", where = "203.0.113.9:22", evidence = { by_address = true, points = 3 } }
end)

t.case("to push, to mail, to pages", function(c)
    local mac = c:host(MAC)
    for _, target in ipairs { "courier.push.apple.com:5223", "imap.example.com:993", "www.example.com:8443", "203.0.113.9:443" } do
        connect(c, mac, "10.0.0.8", 8080, 2, { target = target })
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- scripts

t.case("wpad.dat from outside", function(c)
    c:host(MAC):http { to = "185.220.70.9", host = "wpad.example.com", path = "/wpad.dat", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    c:expect { title = "Proxy script from outside, in clear", severity = "high", who = MAC, where = "wpad.example.com", attack = "T1557,T1565.002" }
end)

t.case("asked for, and not there", function(c)
    c:host(MAC):http { to = "185.220.70.9", host = "wpad.example.com", path = "/wpad.dat", status = 404 }
    c:expect { title = "Proxy script asked for outside", severity = "low" }
end)

t.case("from the network itself", function(c)
    local mac = c:host(MAC)
    mac:http { to = "192.168.1.5", host = "wpad", path = "/wpad.dat", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    c:expect_none()
    c:fact { host = MAC, topic = "proxies", text = "script: wpad/wpad.dat" }
end)

t.case("a script that DHCP named is set, and outside all the same", function(c)
    lease(c, MAC, { pac = "http://pac.example.com/proxy.pac" })
    c:wait(5)
    c:host(MAC):http { to = "185.220.70.9", host = "pac.example.com", path = "/proxy.pac", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    c:expect { title = "Proxy script from outside, in clear", severity = "low", evidence = { given = true } }
end)

t.case("allowed by name", function(c)
    c:set { allowed = "pac.example.com" }
    c:host(MAC):http { to = "185.220.70.9", host = "pac.example.com", path = "/proxy.pac", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    c:expect_none()
end)

t.case("Chrome asks for wpad in each search domain", function(c)
    local mac = c:host(MAC)
    for _, domain in ipairs { "wpad.corp.example.com", "wpad.home", "wpad.example.net" } do mac:dns { name = domain, rcode = "NXDOMAIN", server = ROUTER } end
    c:expect_none()
end)

t.case("and one is there, outside", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "wpad.corp.example.com", a = "185.220.70.9", server = ROUTER }
    c:expect { title = "The name wpad leads outside", severity = "medium", where = "wpad.corp.example.com", evidence = { resolver = ROUTER, collision = false } }
end)

t.case("and one is there, at home", function(c)
    c:host(MAC):dns { name = "wpad.example.com", a = "10.0.0.5", server = ROUTER }
    c:expect_none()
end)

t.case("a proxy that came by a script from outside", function(c)
    local mac = c:host(MAC)
    direct(c, mac, 30, 300)
    mac:http { to = "185.220.70.9", host = "wpad.example.com", path = "/wpad.dat", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    connect(c, mac, "185.220.70.9", 8080, 5)
    c:expect { title = "Proxy script from outside, in clear", severity = "high" }
    c:expect { title = "Proxy that was not there before", severity = "high", why = t.like "after a script from wpad%.example%.com" }
end)

-- ---------------------------------------------------------------- DHCP

t.case("a second server names a script", function(c)
    lease(c, MAC, { message = "offer", id = 9 })
    lease(c, MAC, { message = "offer", id = 9, server = "192.168.1.66", pac = "http://192.168.1.66/wpad.dat" })
    c:expect { title = "A second DHCP server names a proxy script", severity = "medium", where = "192.168.1.66", evidence = { script = "http://192.168.1.66/wpad.dat" } }
end)

t.case("one server, one script", function(c)
    for id = 1, 5 do
        lease(c, MAC, { id = id, pac = "http://wpad.example.com/wpad.dat" })
        c:wait(HOUR)
    end
    c:expect_none()
end)

t.case("another script than before", function(c)
    lease(c, MAC, { id = 1, pac = "http://wpad.example.com/wpad.dat" })
    c:wait(DAY)
    lease(c, MAC, { id = 2, pac = "http://185.220.70.9/wpad.dat" })
    c:expect { title = "DHCP names another proxy script than before", severity = "medium" }
end)

-- ---------------------------------------------------------------- TLS that is opened

local SITES = { "www.example.com", "mail.sample.net", "shop.test-one.org", "news.test-two.com", "bank.test-three.com", "cdn.test-four.net" }

local function page(mac, name, issuer)
    mac:tls { to = "23.10.7.9", sni = name, version = "1.2", certificate = { subject = "CN=" .. name, issuer = issuer, names = { name } } }
end

t.case("one unknown authority signs for all", function(c)
    local mac = c:host(MAC)
    for _, name in ipairs(SITES) do page(mac, name, "Local Root") end
    c:expect { title = "One unknown authority signs for many names", severity = "medium", where = "Local Root", attack = "T1557,T1565.002", evidence = { share = 1 } }
end)

t.case("public authorities, and one product", function(c)
    local mac = c:host(MAC)
    for _, name in ipairs(SITES) do page(mac, name, "Let's Encrypt R3") end
    c:wait(60)
    for _, name in ipairs(SITES) do page(mac, name, "Zscaler Root") end
    c:expect { title = "TLS is opened by a known product", severity = "info", where = "Zscaler Root", evidence = { product = "Zscaler" } }
end)

t.case("a company's own names are one domain", function(c)
    local mac = c:host(MAC)
    for i = 1, 12 do page(mac, ("app%d.corp.example.com"):format(i), "Corp Root") end
    c:expect_none()
end)

-- ---------------------------------------------------------------- what the Mac's own settings say (--audit)

local function settings(proxies) return { version = 1, name = "mac", proxies = proxies, resolvers = {}, services = {}, interfaces = {}, vpns = {} } end

t.case("the settings say direct, but a proxy is used", function(c)
    c:configuration(MAC, settings {})
    connect(c, c:host(MAC), "185.220.70.9", 8080, 5)
    c:expect { title = "Proxy against the Mac's settings", severity = "medium", where = "185.220.70.9:8080", evidence = { configured = false, points = 5 } }
    c:fact { host = MAC, topic = "proxies", text = t.contains "against the settings" }
end)

t.case("the proxy that the settings name", function(c)
    c:configuration(MAC, settings { { kind = "https", host = "185.220.70.9", port = 8080 } })
    local mac = c:host(MAC)
    direct(c, mac, 15, 600)
    connect(c, mac, "185.220.70.9", 8080, 5)
    c:expect_none()
    c:fact { host = MAC, topic = "proxies", text = t.contains "given by settings" }
end)

t.case("a proxy that they name by a name", function(c)
    c:configuration(MAC, settings { { kind = "https", host = "proxy.example.com", port = 8080 } })
    connect(c, c:host(MAC), "185.220.70.9", 8080, 5)
    c:expect_none()
end)

t.case("they name a proxy, and the Mac goes direct", function(c)
    c:configuration(MAC, settings { { kind = "https", host = "10.0.0.8", port = 8080 } })
    direct(c, c:host(MAC), 25, 60)
    c:expect { title = "Traffic goes past the configured proxy", severity = "low", where = "10.0.0.8:8080", evidence = { direct_connections = 20 } }
end)

t.case("a script decides", function(c)
    c:configuration(MAC, settings { { kind = "pac", url = "http://pac.example.com/proxy.pac" } })
    local mac = c:host(MAC)
    mac:http { to = "185.220.70.20", host = "pac.example.com", path = "/proxy.pac", response = 400, response_type = "application/x-ns-proxy-autoconfig" }
    direct(c, mac, 25, 60)
    connect(c, mac, "10.0.0.8", 8080, 5)
    c:expect { title = "Proxy script from outside, in clear", severity = "low", evidence = { given = true } }
end)
