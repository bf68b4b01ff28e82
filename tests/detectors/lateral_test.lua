-- scripts/lateral.lua: who enters whom for the first time, and the habits that are nobody's business.
local t = require "lunette.test"
t.detector "../../scripts/lateral.lua"

local ANNA, BERT, CARL, NAS = "192.168.1.20", "192.168.1.30", "192.168.1.40", "192.168.1.5"
local NEW = "Session between hosts that never had one"
local DAY = 86400

local function life(c) c:host(ANNA):ping { to = "192.168.1.1" } end

local function flow(c, from, to, port, fields)
    local event = { client_ip = from, server_ip = to, server_port = port, proto = "TCP", age = 300, client_payload = 9000, server_payload = 20000 }
    for key, value in pairs(fields or {}) do event[key] = value end
    c:event("flow", event)
end

t.case("a first ssh between two hosts, once the habits are known", function(c)
    life(c)
    flow(c, ANNA, NAS, 445)
    c:wait(4 * DAY)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:expect { title = NEW, severity = "low", who = ANNA, where = BERT .. " by ssh", why = t.contains "never used ssh before", attack = "T1021.004" }
end)

t.case("a sensor that saw no session for days knows that there was none", function(c)
    c:times(5, DAY, function() life(c) end)
    flow(c, ANNA, BERT, 5900, { app_proto = "rfb" })
    c:expect { title = NEW, who = ANNA, where = BERT .. " by Screen Sharing", why = t.contains "of watching" }
end)

t.case("the first days have no habits, and a habit is silent", function(c)
    life(c)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    flow(c, BERT, ANNA, 5900)
    c:times(5, DAY, function() flow(c, ANNA, BERT, 22, { app_proto = "ssh" }) end)
    c:expect_none()
end)

t.case("a script that begins it, and a server that all use", function(c)
    life(c)
    for i = 1, 4 do flow(c, "192.168.1." .. 50 + i, NAS, 445) end
    c:wait(4 * DAY)
    flow(c, CARL, NAS, 445)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh", program = "python3", path = "/usr/bin/python3", ancestry = "launchd" })
    c:expect { title = NEW, severity = "medium", who = ANNA, where = BERT .. " by ssh", why = t.contains "begun by python3" }
end)

t.case("a person who clicks on a Mac in Finder's sidebar", function(c)
    life(c)
    c:wait(4 * DAY)
    c:event("mdns", { client_ip = ANNA, server_ip = "224.0.0.251", server_port = 5353, proto = "UDP", type = "query", browsed = { "_smb._tcp" } })
    for i = 1, 2 do c:event("smb", { client_ip = ANNA, server_ip = "192.168.1." .. 29 + i, server_port = 445, proto = "TCP", command = "session_setup", result = "success", user = "anna" }) end
    c:expect { title = NEW, severity = "low", where = "192.168.1.30 by SMB", why = t.contains "Bonjour" }
end)

t.case("a walk from host to host", function(c)
    for i = 1, 9 do
        c:event("flow_start", { client_ip = ANNA, server_ip = "192.168.1." .. 100 + i, server_port = 22, proto = "TCP" })
        c:wait(5)
    end
    c:expect { title = "Host after host is tried", severity = "medium", who = ANNA, where = "ssh", evidence = { hosts = 8 } }
end)

t.case("known servers are no walk", function(c)
    for i = 1, 9 do flow(c, ANNA, "192.168.1." .. 100 + i, 22, { app_proto = "ssh" }) end
    for i = 1, 9 do c:event("flow_start", { client_ip = ANNA, server_ip = "192.168.1." .. 100 + i, server_port = 22, proto = "TCP" }) end
    c:expect_none()
end)

local function refused(c, n)
    c:times(n, 20, function()
        c:event("smb", { client_ip = ANNA, server_ip = BERT, server_port = 445, proto = "TCP", command = "session_setup", result = "failure" })
    end)
end

t.case("passwords are tried, and one fits", function(c)
    refused(c, 12)
    c:event("smb", { client_ip = ANNA, server_ip = BERT, server_port = 445, proto = "TCP", command = "session_setup", result = "success", user = "bert" })
    c:expect { title = "Logins that fail again and again", severity = "medium", who = ANNA, where = BERT .. " by SMB", evidence = { failures = 10 } }
    c:expect { title = NEW, severity = "high", why = t.contains "after 12 logins that failed", attack = "T1021.002, T1110" }
end)

t.case("a few wrong passwords", function(c)
    refused(c, 6)
    c:expect_none()
end)

t.case("who was entered enters the next", function(c)
    life(c)
    c:wait(4 * DAY)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:wait(600)
    flow(c, BERT, CARL, 22, { app_proto = "ssh" })
    c:expect { title = NEW, severity = "low", who = ANNA }
    c:expect { title = NEW, severity = "medium", who = BERT, where = CARL .. " by ssh", why = t.contains "entered from 192.168.1.20 by ssh 10 min before" }
end)

t.case("handshakes that came to nothing are no sessions", function(c)
    life(c)
    c:wait(4 * DAY)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh", age = 2, client_payload = 1900, server_payload = 1800 })
    flow(c, ANNA, BERT, 445, { age = 2, client_payload = 300, server_payload = 400 })
    c:expect_none()
end)

-- ---------------------------------------------------------------- ordinary life, and what others learnt

-- What mac_identity learns of a host by.
local function who(c, address, name)
    c:event("dhcp", { client_ip = address, client_port = 68, server_ip = "192.168.1.1", server_port = 67, proto = "UDP", type = "request", message = "request", version = 4,
        hostname = name, requested_ip = address, current_ip = address, client_mac = "f4:0f:24:00:00:" .. address:match("%d+$"), parameters = "1,121,3,6,15,108,114,119,252,95,44,46" })
    local mac = c:host(address)
    mac:tls { to = "203.0.113.9", sni = "www.example.com" }
    mac:http { to = "203.0.113.9", host = "www.example.com", agent = "Wget/1.16.3 (darwin20.6.0)" }
end

t.case("both are Macs, whichever worker knows it", function(c)
    life(c)
    who(c, ANNA, "Annas-MacBook-Pro")
    who(c, BERT, "Berts-iMac")
    c:wait(4 * DAY)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:expect { title = NEW, severity = "medium", why = t.contains "both are Macs" }
end)

t.case("a Mac that comes back with another address, and one with a new IPv6 address each day", function(c)
    life(c)
    c:wait(4 * DAY)
    who(c, ANNA, "Annas-MacBook-Pro")
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:expect { title = NEW, severity = "low", where = BERT .. " by ssh" }
    who(c, "192.168.1.77", "Annas-MacBook-Pro")
    flow(c, "192.168.1.77", BERT, 22, { app_proto = "ssh" })
    for day = 1, 5 do
        flow(c, "fd00::1:" .. day, "fd00::5", 445)
        flow(c, "fd00::1:" .. day, "fd00::6", 5900)
        c:wait(DAY)
    end
end)

t.case("a runner that asks a git server here each minute, by ssh", function(c)
    life(c)
    c:wait(4 * DAY)
    c:times(300, 60, function() flow(c, ANNA, NAS, 22, { app_proto = "ssh", age = 0.6, client_payload = 3100, server_payload = 3300 }) end)
    c:expect_none()
end)

t.case("passwords are tried by ssh", function(c)
    c:times(60, 4, function() flow(c, ANNA, BERT, 22, { app_proto = "ssh", age = 3.5, client_payload = 2400, server_payload = 2300 }) end)
    c:expect { title = "Logins that fail again and again", severity = "medium", where = BERT .. " by ssh", why = t.contains "30 connections by ssh" }
end)

t.case("a person types a wrong password thrice", function(c)
    life(c)
    c:wait(4 * DAY)
    for _ = 1, 4 do
        c:event("onset", { client_ip = ANNA, client_port = 50001, server_ip = BERT, server_port = 22, proto = "TCP", app_proto = "ssh", kind = "burst", client_payload = 148, server_payload = 68, duration = 2 })
        c:wait(4)
    end
    flow(c, ANNA, BERT, 22, { client_port = 50001, app_proto = "ssh", age = 20, client_payload = 3400, server_payload = 3100 })
    c:expect_none()
end)

t.case("an administrator goes by one Mac to the next, on the first day", function(c)
    life(c)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:wait(600)
    flow(c, BERT, CARL, 22, { app_proto = "ssh" })
    c:expect { title = NEW, severity = "low", who = BERT }
end)

t.case("two Linux servers are not our business", function(c)
    life(c)
    c:wait(4 * DAY)
    for _, address in ipairs { BERT, CARL } do
        c:event("dhcp", { client_ip = address, client_port = 68, server_ip = "192.168.1.1", server_port = 67, proto = "UDP", type = "request", message = "request", version = 4,
            hostname = "srv" .. address:match("%d+$"), requested_ip = address, current_ip = address, client_mac = "52:54:00:00:00:" .. address:match("%d+$"), vendor_class = "dhcpcd-9.4.1:Linux-6.1:x86_64" })
        c:event("http", { client_ip = address, client_port = 50000, server_ip = "203.0.113.9", server_port = 80, proto = "TCP", method = "GET", host = "deb.example.org", url = "/",
            user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0" })
    end
    c:wait(60)
    flow(c, BERT, CARL, 22, { app_proto = "ssh" })
    c:wait(60)
    flow(c, ANNA, BERT, 22, { app_proto = "ssh" })
    c:expect { title = NEW, who = ANNA }
end)

t.case("ssh at another port is ssh", function(c)
    life(c)
    c:wait(4 * DAY)
    flow(c, ANNA, BERT, 2222, { app_proto = "ssh" })
    flow(c, ANNA, BERT, 8443, { app_proto = "tls" })
    c:expect { title = NEW, where = BERT .. " by ssh", evidence = { port = 2222 } }
end)
