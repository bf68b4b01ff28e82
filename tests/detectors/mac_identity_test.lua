-- Facts of mac_identity on a host's card. Run by test_mac_identity.py; the rest of its tests is there.
local t = require "lunette.test"
t.detector "../../scripts/mac_identity.lua"

t.case("a host's card says who it is, how sure, and why", function(c)
    local mac = c:host "192.168.1.20"
    mac:tls { to = "203.0.113.9", sni = "www.example.com" }
    mac:http { to = "203.0.113.9", host = "www.example.com", agent = "Wget/1.16.3 (darwin20.6.0)" }
    c:fact { host = "192.168.1.20", topic = "identity", text = t.like "^Mac, macOS 11 %(%d+ %% sure%)",
        details = { kind = "mac", system = "macOS", version = "11" } }
    c:expect_none()
end)

t.case("the evidence is the second line", function(c)
    c:host("192.168.1.20"):ntp { to = "203.0.113.9" }
    c:fact { host = "192.168.1.20", topic = "identity", text = t.contains "NTP question of Apple's timed", details = { kind = "apple" } }
end)
