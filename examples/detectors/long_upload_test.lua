local t = require "lunette.test"

-- Twelve pushes of a megabyte, a minute apart, over one connection.
local function upload(mac, sni)
    local say = {}
    for _ = 1, 12 do
        say[#say + 1] = { "client", 1e6, after = 60 }
        say[#say + 1] = { "server", 300 }
    end
    mac:tls { to = "203.0.113.9", sni = sni, say = say }
end

t.case("told while it goes on", function(c)
    upload(c:host "192.168.1.20", "drop.example.com")
    c:expect { title = "Upload over an open connection", where = "drop.example.com", evidence = { out = t.near(10.5e6, 0.6e6) } }
end)

t.case("to Apple's names", function(c)
    upload(c:host "192.168.1.20", "p12-content.icloud.com")
    c:expect_none()
end)

t.case("a Mac that is installed takes, and does not give", function(c)
    c:capture "../mac-install.pcapng.gz"
    c:expect_none()
end)
