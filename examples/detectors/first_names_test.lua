local t = require "lunette.test"

t.case("names in the order of their first connection", function(c)
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", sni = "one.example", close = "none" }
    c:wait(10)
    mac:tls { to = "203.0.113.10", sni = "two.example" }
    mac:tls { to = "203.0.113.9", sni = "one.example" }
    c:host("192.168.1.21"):tls { to = "203.0.113.9", sni = "one.example" }
    c:report {
        title = t.contains "first TLS connection",
        rows = {
            { "0.0", "192.168.1.20", "one.example", 2 },
            { t.near(10.1, 0.1), "192.168.1.20", "two.example", 1 },
            { t.near(10.3, 0.2), "192.168.1.21", "one.example", 1 },
        },
    }
end)

t.case("no more rows than asked for", function(c)
    c:set { rows = 2 }
    local mac = c:host "192.168.1.20"
    for i = 1, 5 do mac:tls { to = "203.0.113." .. i, sni = "host" .. i .. ".example" } end
    c:report { rows = { { t.like "", "192.168.1.20", "host1.example", 1 }, { t.like "", "192.168.1.20", "host2.example", 1 } },
        note = "the first 2 at most" }
end)
