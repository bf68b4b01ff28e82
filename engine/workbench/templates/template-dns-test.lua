-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

t.case("a name below a domain on the list", function(c)
    local mac = c:host "192.168.1.20"
    mac:dns { name = "cdn.example.net", a = { "203.0.113.9" } }
    c:expect { severity = "medium", who = "192.168.1.20", where = "cdn.example.net", evidence = { type = "A" } }
end)

t.case("once an hour", function(c)
    local mac = c:host "192.168.1.20"
    c:times(90, 60, function() mac:dns { name = "cdn.example.net", a = { "203.0.113.9" } } end)
    c:expect { where = "cdn.example.net", times = 2 }
end)

t.case("a list of one's own", function(c)
    c:set { domains = { "tunnel.example" } }
    local mac = c:host "192.168.1.20"
    mac:dns { name = "a1b2.tunnel.example", txt = "data" }
    mac:dns { name = "cdn.example.net", a = { "203.0.113.9" } }
    c:expect { where = "a1b2.tunnel.example" }
end)

t.case("other names", function(c)
    local mac = c:host "192.168.1.20"
    mac:dns { name = "www.apple.com", a = { "17.253.144.10" } }
    mac:dns { name = "notexample.net", rcode = "NXDOMAIN" }
    c:expect_none()
end)
