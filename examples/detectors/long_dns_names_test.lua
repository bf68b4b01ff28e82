-- Five long names make an alert, four do not, and short ones never.
local t = require "lunette.test"

local function long_name(i) return ("a%03d"):format(i):rep(15) .. "." .. ("b"):rep(60) .. ".tunnel.example" end

t.case("five long names within the hour", function(c)
    local mac = c:host "192.168.1.20"
    c:times(5, 60, function(i) mac:dns { name = long_name(i), rcode = "NXDOMAIN" } end)
    c:expect {
        title = "Repeated very long DNS names",
        severity = "medium",
        who = "192.168.1.20",
        where = "tunnel.example",
        evidence = { names = 5, last = t.like "^a005a005" },
    }
end)

t.case("four are not enough", function(c)
    local mac = c:host "192.168.1.20"
    c:times(4, 60, function(i) mac:dns { name = long_name(i), rcode = "NXDOMAIN" } end)
    c:expect_none()
end)

t.case("two hosts are not added up", function(c)
    local mac, other = c:host "192.168.1.20", c:host "192.168.1.21"
    c:times(4, 60, function(i)
        mac:dns { name = long_name(i) }
        other:dns { name = long_name(i) }
    end)
    c:expect_none()
end)

t.case("once an hour at most", function(c)
    local mac = c:host "192.168.1.20"
    c:times(130, 60, function(i) mac:dns { name = long_name(i) } end)
    c:expect { title = "Repeated very long DNS names", times = 3 }
end)

t.case("the length is a tunable", function(c)
    c:set { length = 20, times = 1 }
    c:host("192.168.1.20"):dns { name = "twenty-characters.example", a = "198.51.100.7" }
    c:expect { where = "twenty-characters.example", evidence = { names = 1 } }
end)

t.case("short names are nobody's business", function(c)
    local mac = c:host "192.168.1.20"
    c:times(100, 1, function(i) mac:dns { name = "www" .. i .. ".example.com", a = { "93.184.215.14" } } end)
    c:expect_none()
end)
