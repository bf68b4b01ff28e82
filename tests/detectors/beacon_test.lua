-- beacon: timers of all kinds, told by records of check-ins where days of packets would be needed, and by packets where
-- the question is whether the engine sees the check-in at all.
local t = require "lunette.test"
t.detector "../../scripts/beacon.lua"

local MAC, SERVER, NAME = "192.168.1.20", "203.0.113.7", "cdn-metrics.example"
local JA4 = "t13d1516h2_8daaf6152771_02713d6af862"
local DAY = 86400

local function onset(c, more)
    local fields = { client_ip = MAC, server_ip = SERVER, server_port = 443, proto = "TCP", kind = "start", server_name = NAME,
        ja4 = JA4, client_payload = 900, server_payload = 2400 }
    for name, value in pairs(more or {}) do fields[name] = value end
    c:event("onset", fields)
end

-- Signs of life, so that the awake clock goes on.
local function alive(c, seconds, client)
    c:meanwhile(function()
        c:times(math.floor(seconds / 300), 300, function()
            c:event("flow_start", { client_ip = client or MAC, server_ip = "192.168.1.1", proto = "UDP" })
        end)
    end)
end

local BEACON = "Beacon to a rare server"

t.case("every five seconds", function(c)
    c:times(1500, 5, function() onset(c) end, { jitter = 0.2 })
    c:expect { title = BEACON, severity = "low", where = NAME, evidence = { check_ins = 512, period_s = t.near(5, 0.8) } }
    c:expect { title = BEACON, severity = "medium", where = NAME }
end)

t.case("every five minutes, with bars to look at", function(c)
    alive(c, 4 * 3600)
    c:times(48, 300, function() onset(c) end, { jitter = 0.3 })
    c:ignore { title = BEACON, severity = "low" }
    c:expect { title = BEACON, severity = "medium", who = MAC, where = NAME, why = t.contains "about every",
        evidence = { period_s = t.near(300, 50), over_time = t.like "▁.* each$", intervals = t.like "█", span_s = t.near(7200, 2500) } }
end)

t.case("what the operator allows, by name and by address", function(c)
    c:set { allowed = NAME .. ", 203.0.113.0/24" }
    alive(c, 4 * 3600)
    c:times(48, 300, function() onset(c) end, { jitter = 0.3 })
    c:times(48, 300, function()
        c:event("onset", { client_ip = MAC, server_ip = "203.0.113.200", server_port = 443, proto = "TCP", kind = "start", ja4 = JA4,
            client_payload = 900, server_payload = 2400 })
    end, { jitter = 0.3 })
    c:expect_none()
end)

t.case("once a day, seen after a week", function(c)
    alive(c, 12 * DAY)
    c:times(12, DAY, function() onset(c) end, { jitter = 0.1 })
    c:ignore { title = BEACON, severity = "low" }
    c:expect { title = BEACON, severity = "medium", where = NAME, evidence = { period_s = t.near(DAY, 9000), check_ins = t.near(10, 2) } }
end)

t.case("six hours and half of the check-ins missed", function(c)
    alive(c, 13 * DAY)
    local seed = 7
    c:times(52, 6 * 3600, function()
        seed = (seed * 1103515245 + 12345) % 2147483648
        if seed / 2147483648 < 0.6 then onset(c) end
    end, { jitter = 0.15 })
    c:ignore { title = BEACON, severity = "low" }
    c:expect { title = BEACON, severity = "medium", where = NAME }
end)

t.case("the program that asks is told", function(c)
    c:times(60, 60, function() onset(c, { program = "updaterd", ancestry = "sh < launchd" }) end, { jitter = 0.2 })
    c:expect { title = BEACON, severity = "low", why = t.like "^updaterd %(child of sh%) made %d+ check%-ins", evidence = { program = "updaterd", ancestry = "sh < launchd" } }
end)

t.case("a name that is known from before is not new", function(c)
    -- Nobody is alone with rarity unknown: here it is the age that speaks. Ten Macs, one of them with a timer.
    c:set { learning = 0 }
    for i = 1, 12 do
        for k = 1, 3 do onset(c, { client_ip = "192.168.1." .. 30 + i, server_name = "www.example.com", time = nil }) c:wait(40) end
    end
    c:times(300, 60, function() onset(c) end, { jitter = 0.2 })
    c:ignore { title = BEACON, severity = "low" }
    c:expect { title = BEACON, severity = "high", where = NAME, evidence = { clients = 13, clients_with_name = 1, name_age_days = 0 } }
end)

-- ---------------------------------------------------------------------------------------------------------------- DNS
local function query(c, name, qtype, rrtype)
    c:event("dns", { client_ip = MAC, server_ip = "9.9.9.9", server_port = 53, proto = "UDP", type = "query", rrname = name,
        qtype = qtype or 1, rrtype = rrtype or "A" })
end

t.case("check-ins by DNS: a new label each time, and nobody calls what is named", function(c)
    c:times(180, 60, function(i) query(c, ("%08x.updates.badcdn.example"):format(i * 2654435761 % 4294967296)) end, { jitter = 0.3 })
    c:ignore { title = "Beacon over DNS", severity = "low" }
    c:expect { title = "Beacon over DNS", severity = "medium", who = MAC, where = "badcdn.example", why = t.contains "no connection",
        attack = "T1071.004, T1029", evidence = { period_s = t.near(60, 10), other_queries = 0 } }
end)

t.case("check-ins by DNS: the same name, for its text", function(c)
    c:times(120, 120, function() query(c, "tasks.badcdn.example", 16, "TXT") end, { jitter = 0.2 })
    c:ignore { title = "Beacon over DNS", severity = "low" }
    c:expect { title = "Beacon over DNS", severity = "medium", where = "badcdn.example", evidence = { address_queries = 0 } }
end)

t.case("a name that is called is looked up by the clock of its cache", function(c)
    local seed = 3
    c:times(150, 60, function()
        query(c, "www.badcdn.example")
        seed = (seed * 1103515245 + 12345) % 2147483648
        if seed % 7 == 0 then onset(c, { server_name = "www.badcdn.example", client_payload = seed % 90000, server_payload = seed % 900001 }) end
    end, { jitter = 0.2 })
    c:expect_none()
end)

t.case("one name asked for an address says little in a house of one Mac", function(c)
    c:times(200, 60, function() query(c, "telemetry.vendor.example") end, { jitter = 0.1 })
    c:expect_none()
end)

t.case("service discovery, reverse names and names of the house go by the clock", function(c)
    c:times(150, 60, function()
        query(c, "lb._dns-sd._udp.corp-name.example", 12, "PTR")
        query(c, "20.1.168.192.in-addr.arpa", 12, "PTR")
        query(c, "printer.lan", 16, "TXT")
    end)
    c:expect_none()
end)

t.case("a local resolver asks for others", function(c)
    c:event("dns", { client_ip = "192.168.1.50", server_ip = MAC, server_port = 53, type = "answer", rrname = "x.example", qtype = 1 })
    c:times(150, 60, function(i) query(c, ("%08x.badcdn.example"):format(i * 2654435761 % 4294967296), 16, "TXT") end)
    c:expect_none()
end)

-- ---------------------------------------------------------------------------------------------- inside one connection
for _, kind in ipairs { "tls", "http/1.1", "h2", "quic", "websocket" } do
    t.case("bursts inside one connection: " .. kind, function(c)
        c:times(200, 45, function(i)
            onset(c, { kind = i == 1 and "start" or "burst", app_proto = kind, proto = kind == "quic" and "UDP" or "TCP" })
        end, { jitter = 0.3 })
        c:ignore { title = BEACON, severity = "low" }
        c:expect { title = BEACON, severity = "medium", evidence = { flows = 1 } }
    end)
end
