-- The rig has one worker; what it sends goes the same way as with many.
local t = require "lunette.test"

local function ask(host, name)
    host:dns { name = name, a = { "17.253.144.10" } }
end

t.case("the first of the fleet is told, the second is not", function(c)
    local one, two = c:host "192.168.1.20", c:host "192.168.1.21"
    ask(one, "www.apple.com")
    ask(two, "mesu.apple.com")
    c:wait(4000)
    ask(two, "cdn.orbital-metrics.example")
    c:wait(60)
    ask(one, "stats.orbital-metrics.example")
    c:wait(60)
    c:expect { title = "A domain new to the fleet", who = "192.168.1.21", where = "orbital-metrics.example", severity = "info",
        evidence = { clients = 2, domains = 2 } }
end)

t.case("what is new while it learns is not told", function(c)
    ask(c:host "192.168.1.20", "www.apple.com")
    c:wait(600)
    ask(c:host "192.168.1.20", "www.example.org")
    c:wait(60)
    c:expect_none()
end)

t.case("names are forgotten after some days", function(c)
    c:set { days = 1, learning = 10 }
    local mac = c:host "192.168.1.20"
    ask(mac, "www.apple.com")
    c:wait(2 * 86400)
    ask(mac, "www.apple.com")
    c:wait(60)
    c:expect { where = "apple.com" }
end)
