-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

t.case("three connections without a name", function(c)
    local mac = c:host "192.168.1.20"
    c:times(5, 600, function() mac:tls { to = "203.0.113.9", stack = "go", out = 300, back = 800 } end)
    c:expect {
        severity = "low", who = "192.168.1.20", where = "203.0.113.9",
        evidence = { connections = 3, ja4 = t.like "^t13i", version = "TLS 1.3" },
    }
end)

t.case("two are not enough", function(c)
    local mac = c:host "192.168.1.20"
    c:times(2, 600, function() mac:tls { to = "203.0.113.9" } end)
    c:expect_none()
end)

t.case("quiet for longer than `within`", function(c)
    c:set { within = 3600 }
    local mac = c:host "192.168.1.20"
    c:times(5, 7200, function() mac:tls { to = "203.0.113.9" } end)
    c:expect_none()
end)

t.case("servers with a name, and servers at home", function(c)
    local mac = c:host "192.168.1.20"
    c:times(5, 60, function()
        mac:tls { to = "17.253.144.10", sni = "www.apple.com", out = 500, back = 4000 }
        mac:tls { to = "192.168.1.2" }
    end)
    c:expect_none()
end)
