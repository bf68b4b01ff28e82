-- scripts/after_login.lua: what is told of the minutes after a start, and how a start is known.
local t = require "lunette.test"
t.detector "../../scripts/after_login.lua"

local MAC, HOME, DAY = "192.168.1.20", "203.0.113.60", 86400
local NEW, AGAIN = "New name right after login", "Called at each login and hardly otherwise"

-- What macOS does when it comes up.
local function wakes(mac)
    mac:dns { name = "captive.apple.com", a = "17.253.1.2" }
    mac:http { to = "17.253.1.2", host = "captive.apple.com", path = "/hotspot-detect.html", agent = "CaptiveNetworkSupport-443.100.2 wispr" }
    mac:dns { name = "12-courier.push.apple.com", a = "17.57.1.1" }
    mac:tls { to = "17.57.1.1", port = 5223, sni = "12-courier.push.apple.com" }
    mac:ntp { to = "17.253.4.125" }
    mac:tls { to = "17.248.1.1", sni = "gateway.icloud.com" }
end

local function call(mac, name, options)
    local with = { to = HOME, sni = name, out = 400, back = 900 }
    for key, value in pairs(options or {}) do with[key] = value end
    mac:tls(with)
end

-- `days` days: a start in the morning, then what `habit` does, and a working day.
local function days(c, mac, count, habit, later)
    c:times(count, DAY, function(i)
        wakes(mac)
        call(mac, "mail.corp.example")
        if habit then habit(i) end
        c:wait(3600)
        call(mac, "wiki.corp.example")
        if later then later(i) end
    end, { jitter = 0.01 })
end

-- The first day's start is none that counts: who is seen for the first time may have been up for long.
t.case("a new name after three starts", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 2, function(i) if i == 1 then c:wait(20); call(mac, "cdn.odd.example") end end)
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "info", who = MAC, where = "cdn.odd.example", attack = t.contains "T1543.001",
        why = t.like "cdn%.odd%.example %(tls, port 443%) 2%d s after a start, for the first time in 4 starts",
        evidence = { start_known_by = t.contains "push", starts_seen = 4 } }
    c:fact { host = MAC, topic = "logins", text = t.contains "by captive probe, push, clock" }
end)

t.case("in plain HTTP, to an address without a name", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 2, function(i) if i == 1 then mac:http { to = HOME, port = 8080, path = "/a" } end end)
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "medium", where = t.like "203%.0%.113%.60", evidence = { signs = { "plain http", "bare" } } }
end)

t.case("before there were three starts all is new", function(c)
    local mac = c:host(MAC)
    days(c, mac, 3, function(i) call(mac, ("new%d.odd.example"):format(i)) end)
    c:expect_none()
end)

t.case("Apple's names and well-known third parties are nobody's agents", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 2, function(i)
        call(mac, "swscan.apple.com", { to = "17.253.9.9" })
        call(mac, "ocsp.digicert.com")
    end)
    c:ignore { title = AGAIN }
end)

t.case("a person who opens the browser at once", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 2, function(i)
        if i == 1 then for k = 1, 12 do call(mac, ("site%d.example"):format(k)) end end
    end)
    c:ignore { title = AGAIN }
end)

t.case("the same name an hour later, or known from other times", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4, nil, function() call(mac, "news.example") end)
    days(c, mac, 2, function() call(mac, "news.example") end, function() call(mac, "late.odd.example") end)
    c:ignore { title = AGAIN }
end)

t.case("a night of wakes is not yet a history", function(c)
    local mac = c:host(MAC)
    c:times(9, 3600, function(i)
        wakes(mac)
        call(mac, i == 9 and "site.example" or "mail.corp.example")
    end)
    c:wait(900)
    call(mac, "mail.corp.example")
end)

-- A call as a capture with programs shows it.
local function called_by(c, path, program)
    c:event("onset", { kind = "start", client_ip = MAC, client_port = 50123, server_ip = HOME, server_port = 443, proto = "TCP", app_proto = "tls", program = program,
        path = path, server_name = "cdn.odd.example", name_source = "sni", client_payload = 400, server_payload = 900, duration = 1 })
end

t.case("by a program in a hidden folder", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function() called_by(c, "/Users/anna/.cache/agent", "agent") end)
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "medium", why = t.contains "agent called cdn.odd.example", evidence = { signs = { "place" } } }
end)

t.case("by curl", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function() called_by(c, "/usr/bin/curl", "curl") end)
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "medium", evidence = { signs = { "tool" } } }
end)

t.case("by the browser: somebody opened a page", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function() called_by(c, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "Google Chrome") end)
    c:ignore { title = AGAIN }
end)

t.case("three new names with nothing else to them are told once", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function()
        for k = 1, 3 do call(mac, ("part%d.odd.example"):format(k)) end
    end)
    c:wait(900)
    call(mac, "mail.corp.example")
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "info" }
end)

t.case("the same by an app in its place is a lead", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function() called_by(c, "/Applications/Tool.app/Contents/MacOS/Tool", "Tool") end)
    c:ignore { title = AGAIN }
    c:expect { title = NEW, severity = "low", evidence = { program = "Tool", signs = {} } }
end)

-- ---------------------------------------------------------------- what repeats

t.case("a launch agent that came on the fifth day", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 4, function()
        c:wait(30)
        call(mac, "agent.odd.example", { stack = "go" })
    end)
    c:ignore { where = "mail.corp.example" }
    c:expect { title = NEW, where = "agent.odd.example" }
    c:expect { title = AGAIN, severity = "low", where = "agent.odd.example", attack = t.contains "T1037",
        why = t.like "in 3 of 3 starts of this .* since it was first seen, about 3%d s after each, and 0 times at other times",
        evidence = { in_starts = 3, of_starts = 3, at_other_times = 0 } }
    c:report { title = "Called at each start", rows = { { MAC, "agent.odd.example", "4 of 4", t.like "3%d s", "0", "start 4" },
        { MAC, "mail.corp.example", "7 of 7", t.like " s$", "1", "from the beginning" } } }
end)

t.case("what was there from the beginning is in the table, and no alert", function(c)
    local mac = c:host(MAC)
    days(c, mac, 6)
    c:report { title = "Called at each start", rows = { { MAC, "mail.corp.example", "5 of 5", t.like " s$", "1", "from the beginning" } } }
end)

t.case("what is called all day is beacon's business", function(c)
    local mac = c:host(MAC)
    local function poll() call(mac, "poll.example") end
    days(c, mac, 8, poll, function() c:times(4, 600, poll) end)
    c:expect_none()
end)

t.case("now and then is not at each start", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 12, function(i) if i % 3 == 1 then call(mac, "sometimes.example") end end)
    c:expect { title = NEW, where = "sometimes.example" }
end)

-- ---------------------------------------------------------------- the fleet

t.case("what colleagues call as well is a service of the house", function(c)
    local others = {}
    for i = 1, 6 do others[i] = c:host("192.168.1." .. 30 + i) end
    local mac = c:host(MAC)
    for i = 1, 6 do call(others[i], "vpn-portal.corp.example") end
    for i = 1, 4 do call(others[i], "new-tool.corp.example") end
    c:wait(1000)
    days(c, mac, 4)
    days(c, mac, 2, function(i) if i == 1 then call(mac, "new-tool.corp.example") end end)
end)

t.case("among many hosts nobody else calls it", function(c)
    for i = 1, 6 do call(c:host("192.168.1." .. 30 + i), "portal.corp.example") end
    local mac = c:host(MAC)
    c:wait(1000)
    days(c, mac, 4)
    days(c, mac, 2, function(i) if i == 1 then call(mac, "cdn.odd.example") end end)
    c:expect { title = NEW, severity = "low", where = "cdn.odd.example", why = t.contains "none of 6 other hosts calls it", confidence = 0.5 }
end)

-- ---------------------------------------------------------------- starts

t.case("quiet alone, without what macOS does when it comes up, is no start", function(c)
    local mac = c:host(MAC)
    c:times(8, DAY, function(i) call(mac, i == 8 and "cdn.odd.example" or "mail.corp.example") end)
    c:expect_none()
end)

t.case("nor are push and clock in the middle of a day", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    c:wait(60)
    c:times(20, 300, function() call(mac, "mail.corp.example") end)
    wakes(mac)
    call(mac, "cdn.odd.example")
    c:expect_none()
end)

local CORE = "/System/Library/CoreServices/"
local function logs_in(c)
    for _, name in ipairs { "Dock", "SystemUIServer", "Finder" } do
        c:event("process", { action = "exec", path = CORE .. name .. ".app/Contents/MacOS/" .. name, client_ip = MAC, source = "eslogger" })
    end
end

t.case("a login by the host log, in the middle of other traffic", function(c)
    local mac = c:host(MAC)
    c:times(5, DAY, function(i)
        c:times(4, 300, function() call(mac, "mail.corp.example") end)
        logs_in(c)
        c:wait(10)
        if i == 5 then call(mac, "cdn.odd.example") end
    end)
    c:wait(900)
    call(mac, "mail.corp.example")
    c:expect { title = NEW, where = "cdn.odd.example", evidence = { start_known_by = "the host log: login", starts_seen = 5 } }
end)

t.case("the Finder started anew is no login", function(c)
    local mac = c:host(MAC)
    c:times(5, DAY, function(i)
        c:times(4, 300, function() call(mac, "mail.corp.example") end)
        c:event("process", { action = "exec", path = CORE .. "Finder.app/Contents/MacOS/Finder", client_ip = MAC, source = "eslogger" })
        c:wait(10)
        if i == 5 then call(mac, "cdn.odd.example") end
    end)
    c:expect_none()
end)

t.case("a new address by DHCP begins a start", function(c)
    local mac = c:host(MAC)
    c:times(5, DAY, function(i)
        c:times(4, 300, function() call(mac, "mail.corp.example") end)
        c:event("dhcp", { type = "reply", version = 4, message = "ack", client_ip = "192.168.1.1", server_ip = MAC, assigned_ip = MAC })
        c:wait(2)
        wakes(mac)
        call(mac, "mail.corp.example")
        if i == 5 then call(mac, "cdn.odd.example") end
    end)
    c:wait(900)
    call(mac, "mail.corp.example")
    c:expect { title = NEW, where = "cdn.odd.example", evidence = { start_known_by = t.contains "DHCP" } }
end)

-- ---------------------------------------------------------------- healthy life

local function fleet(c)
    for i = 1, 6 do call(c:host("192.168.1." .. 30 + i), "portal.corp.example") end
    c:wait(1000)
end

local function onset(c, fields)
    local event = { kind = "start", client_ip = MAC, client_port = 50123, server_ip = HOME, server_port = 443, proto = "TCP", app_proto = "tls",
        client_payload = 400, server_payload = 900, duration = 1 }
    for key, value in pairs(fields) do event[key] = value end
    c:event("onset", event)
end

t.case("a menu-bar program that one person bought looks for its update at each login", function(c)
    fleet(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 5, function()
        c:wait(15)
        onset(c, { server_name = "updates.menubar.example", program = "Menubar", path = "/Applications/Menubar.app/Contents/MacOS/Menubar", ancestry = "launchd" })
    end)
    c:expect { title = NEW, severity = "low", where = "updates.menubar.example" }
    c:expect { title = AGAIN, severity = "low", where = "updates.menubar.example", why = t.contains "none of 6 other hosts calls it" }
end)

t.case("the same from a hidden folder is for today", function(c)
    fleet(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 5, function()
        c:wait(15)
        onset(c, { server_name = "updates.menubar.example", program = "menubard", path = "/Users/anna/.menubar/menubard", ancestry = "launchd" })
    end)
    c:expect { title = NEW, severity = "medium" }
    c:expect { title = AGAIN, severity = "medium" }
end)

t.case("calls, games, tunnels, file sharing and a person's ssh go to bare addresses", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function()
        onset(c, { server_ip = "198.51.100.10", server_port = 51820, proto = "UDP", app_proto = "wireguard" })
        onset(c, { server_ip = "198.51.100.11", server_port = 3478, proto = "UDP", app_proto = "stun" })
        for i = 1, 20 do onset(c, { server_ip = "203.0.113." .. 100 + i, server_port = 6881 + i }) end
    end)
    days(c, mac, 1, function() onset(c, { server_ip = "198.51.100.12", server_port = 22, app_proto = "ssh", program = "ssh", path = "/usr/bin/ssh",
        ancestry = "zsh < login < Terminal < launchd" }) end)
    c:expect { title = NEW, severity = "low", where = "198.51.100.12" }
end)

t.case("a developer at a terminal, a minute after the lid was opened", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function()
        onset(c, { server_name = "registry.devs.example", program = "python3.12", path = "/opt/homebrew/bin/python3.12", ancestry = "zsh < login < iTerm2 < launchd" })
    end)
    c:expect { title = NEW, severity = "low", where = "registry.devs.example", evidence = { signs = {} } }
end)

t.case("fifteen wakes a night do not hide what starts with the login", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    c:times(5, DAY, function()
        wakes(mac)
        call(mac, "mail.corp.example")
        c:wait(20)
        call(mac, "agent.odd.example")
        c:times(15, 2400, function() wakes(mac) end)
    end)
    c:ignore { title = NEW }
    c:expect { title = AGAIN, severity = "low", where = "agent.odd.example", evidence = { in_starts = 3, of_starts = 3 } }
end)

t.case("mornings in which only Apple is called count, for there a new name is new", function(c)
    local mac = c:host(MAC)
    c:times(5, DAY, function(i)
        wakes(mac)
        if i == 5 then
            c:wait(20)
            call(mac, "cdn.odd.example")
        end
        c:wait(3600)
        call(mac, "wiki.corp.example")
    end)
    c:expect { title = NEW, where = "cdn.odd.example", evidence = { starts_seen = 4 } }
end)

t.case("Safari's pages come by WebKit's process", function(c)
    local mac = c:host(MAC)
    days(c, mac, 4)
    days(c, mac, 1, function() onset(c, { server_name = "news.page.example", program = "com.apple.WebKit.Networking" }) end)
    c:expect_none()
end)
