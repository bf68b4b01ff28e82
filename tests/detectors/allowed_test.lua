-- lib/allowed.lua: what a list of exceptions lets through. (That a slip in it stops the detector is in test_allowed.py.)
local t = require "lunette.test"
t.detector "allowed_probe.lua"

local function ask(c, name, what, server)
    c:host("192.168.1.20"):dns { name = name, server = server, answer = false }
    c:expect { where = name, why = what }
end

t.case("a name and all below it", function(c)
    c:set { allowed = "Example.COM, *.corp.example.net dot.example.org." }
    ask(c, "example.com", "name")
    ask(c, "vpn.example.com", "name")
    ask(c, "notexample.com", "")
    ask(c, "corp.example.net", "name")
    ask(c, "a.b.corp.example.net", "name")
    ask(c, "example.net", "")
    ask(c, "dot.example.org", "name")
end)

t.case("addresses and networks, of both families", function(c)
    c:set { allowed = "203.0.113.9,198.51.100.0/24\t2001:db8::/32" }
    ask(c, "a.example", "server", "203.0.113.9")
    ask(c, "b.example", "", "203.0.113.10")
    ask(c, "c.example", "server", "198.51.100.77")
    ask(c, "203.0.113.9", "address")
end)

t.case("a word is a word, and a host of one label", function(c)
    c:set { allowed = "wireguard, wpad" }
    ask(c, "wireguard", "name word")
    ask(c, "wpad", "name word")
    ask(c, "wpad.example.com", "")
    ask(c, "x.wireguard", "")
end)

t.case("an empty list allows nothing", function(c)
    c:host("192.168.1.20"):dns { name = "example.com", answer = false }
    c:expect { where = "example.com", why = "", evidence = { entries = 0 } }
end)
