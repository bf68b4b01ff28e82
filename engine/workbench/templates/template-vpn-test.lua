-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

-- An event of a tunnel; `changes` are other fields.
local function tunnel(changes)
    local event = { client_ip = "192.168.1.20", client_port = 61022, server_ip = "203.0.113.9", server_port = 51820, proto = "UDP",
        client_local = true, kind = "wireguard", transport = "udp", phase = "handshake", confidence = "certain",
        evidence = "handshake initiation of 148 bytes that was answered" }
    for key, value in pairs(changes or {}) do event[key] = value end
    return event
end

t.case("a tunnel, told once", function(c)
    c:event("vpn", tunnel())
    c:event("vpn", tunnel { client_port = 61023 })
    c:expect {
        severity = "medium", who = "192.168.1.20", where = "203.0.113.9",
        why = "wireguard tunnel, certain: handshake initiation of 148 bytes that was answered", evidence = { kind = "wireguard", port = 51820 },
    }
end)

t.case("one that is only likely, to a server with a name", function(c)
    c:event("vpn", tunnel { confidence = "likely", name = "vpn.example" })
    c:expect { severity = "low", where = "vpn.example" }
end)

t.case("kinds and servers that are fine", function(c)
    c:set { kinds = { "ipsec" }, servers = { "vpn.example", "203.0.113.10" } }
    c:event("vpn", tunnel { kind = "ipsec", mode = "ike" })
    c:event("vpn", tunnel { name = "vpn.example" })
    c:event("vpn", tunnel { server_ip = "203.0.113.10" })
    c:expect_none()
end)

t.case("a tunnel that comes in", function(c)
    c:event("vpn", tunnel { client_ip = "203.0.113.9", server_ip = "192.168.1.20", client_local = false, server_local = true })
    c:expect_none()
end)
