local t = require "lunette.test"

t.case("the heaviest first", function(c)
    c:set { rows = 2 }
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", sni = "www.example.com", out = 100, back = 5000 }
    mac:tls { to = "203.0.113.10", sni = "cdn.example.net", out = 100, back = 3e6 }
    mac:tls { to = "203.0.113.10", sni = "img.example.net", out = 100, back = 1e6 }
    mac:tls { to = "203.0.113.11", sni = "example.org", out = 100, back = 100 }
    c:report { title = "Names by bytes", rows = { { "example.net", t.like "^4%.%d%d$", t.like "^99%.%d %%$" }, { "example.com", "0.01", t.like "%%$" } } }
end)
