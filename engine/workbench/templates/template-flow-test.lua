-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

t.case("more than the bound, in two connections", function(c)
    c:set { bytes = 100000 }
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", sni = "drop.example", out = 70000, back = 500 }
    mac:tls { to = "203.0.113.9", sni = "drop.example", out = 70000, back = 500 }
    mac:tls { to = "203.0.113.9", sni = "drop.example", out = 70000, back = 500 }
    c:expect { who = "192.168.1.20", where = "drop.example", evidence = { bytes = t.near(140000, 5000), protocol = "tls" } }
end)

t.case("by no known protocol, to an address", function(c)
    c:set { bytes = 100000 }
    local mac = c:host "192.168.1.20"
    mac:tcp { to = "203.0.113.9", port = 4444, say = { { "client", 100000 } } }
    c:expect { where = "203.0.113.9", why = "0.1 MB sent to 203.0.113.9", evidence = { port = 4444 } }
end)

t.case("spread over two days", function(c)
    c:set { bytes = 100000 }
    local mac = c:host "192.168.1.20"
    c:times(2, 2 * 86400, function() mac:tls { to = "203.0.113.9", sni = "drop.example", out = 70000 } end)
    c:expect_none()
end)

t.case("what is fetched, and what stays at home", function(c)
    c:set { bytes = 100000 }
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", sni = "www.example.com", out = 500, back = 900000 }
    mac:tcp { to = "192.168.1.2", port = 445, say = { { "client", 200000 } } }
    c:expect_none()
end)
