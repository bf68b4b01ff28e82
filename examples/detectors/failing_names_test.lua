local t = require "lunette.test"

local function fail(mac, i) mac:dns { name = ("x%07d.example"):format(i * 7919), rcode = "NXDOMAIN", server = "192.168.1.1" } end

t.case("thirty within a minute", function(c)
    local mac = c:host "192.168.1.20"
    c:times(40, 1.5, function(i) fail(mac, i) end)
    c:expect { title = "Burst of names that do not exist", who = "192.168.1.20", evidence = { answers = 30 } }
end)

t.case("thirty within an hour", function(c)
    local mac = c:host "192.168.1.20"
    c:times(40, 100, function(i) fail(mac, i) end)
    c:expect_none()
end)

t.case("thirty, of thirty hosts", function(c)
    c:times(40, 1, function(i) fail(c:host("192.168.1." .. 20 + i), i) end)
    c:expect_none()
end)
