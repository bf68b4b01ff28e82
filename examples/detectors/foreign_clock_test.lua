local t = require "lunette.test"

local function ask(mac, address)
    mac:udp { to = address, port = 123, say = { { "client", "\35" .. ("\0"):rep(47) }, { "server", "\36" .. ("\0"):rep(47) } } }
end

t.case("a pool's server, by its name", function(c)
    local mac = c:host "192.168.1.20"
    mac:dns { name = "0.pool.ntp.org", a = { "203.0.113.5" }, server = "192.168.1.1" }
    ask(mac, "203.0.113.5")
    c:expect { title = "Time from a server that is not Apple's", where = "0.pool.ntp.org", evidence = { named = true } }
end)

t.case("an address that nobody asked DNS for", function(c)
    ask(c:host "192.168.1.20", "203.0.113.5")
    c:expect { where = "203.0.113.5", evidence = { named = false } }
end)

t.case("Apple's, and the router", function(c)
    local mac = c:host "192.168.1.20"
    mac:dns { name = "time.apple.com", a = { "17.253.16.125" }, server = "192.168.1.1" }
    ask(mac, "17.253.16.125")
    ask(mac, "192.168.1.1")
    c:expect_none()
end)

t.case("a Mac that is installed", function(c)
    c:capture "../mac-install.pcapng.gz"
    c:expect_none()
end)
