-- Which audit is whose, and what lib/configuration.lua says by it.
local t = require "lunette.test"
t.detector "asks_configuration.lua"

local function ask(c, address, server) c:host(address):dns { server = server or "1.1.1.1", name = "example.com" } end
local function expect(c, where, evidence) c:expect { title = "asked", severity = "info", where = where, evidence = evidence } end

t.case("without an audit nothing is known", function(c)
    ask(c, "192.168.1.20")
    expect(c, "nobody", { resolver = "nil", proxy = "nil", wireguard = "nil", ikev2 = "nil", doh = "nil" })
end)

t.case("given for an address", function(c)
    c:configuration("192.168.1.20", { name = "A", resolvers = { "9.9.9.9" } })
    c:configuration("192.168.1.21", { name = "B", proxies = { { kind = "http", host = "127.0.0.1", port = 8080 } } })
    ask(c, "192.168.1.20")
    expect(c, "A", { resolver = "false", proxy = "false", wireguard = "false" })
    ask(c, "192.168.1.21")
    expect(c, "B", { resolver = "nil", proxy = "true" })
    ask(c, "192.168.1.22")
    expect(c, "nobody", { resolver = "nil", proxy = "nil" })
end)

t.case("one for all, while it is the only one", function(c)
    c:configuration(nil, { name = "A", resolvers = { "9.9.9.9" } })
    ask(c, "192.168.1.20")
    expect(c, "A")
    ask(c, "192.168.1.20", "9.9.9.9")
    expect(c, "A", { resolver = "true" })
end)

t.case("known by the hardware address that DHCP names, or by an address set by hand", function(c)
    c:configuration(nil, { name = "A", interfaces = { { name = "en0", mac = "f4:0f:24:00:00:01" } } })
    c:configuration(nil, { name = "B", services = { { name = "Ethernet", addresses = { "192.168.1.21" } } } })
    ask(c, "192.168.1.20")
    expect(c, "nobody")
    c:event("dhcp", { client_ip = "0.0.0.0", server_ip = "255.255.255.255", message = "ack", client_mac = "F4:0F:24:00:00:01",
        assigned_ip = "192.168.1.20" })
    c:wait(1)
    ask(c, "192.168.1.20")
    expect(c, "A")
    ask(c, "192.168.1.21")
    expect(c, "B")
end)

t.case("resolvers for some domains and encrypted ones are given too", function(c)
    c:configuration("192.168.1.20", { resolvers = { "9.9.9.9" }, scoped = { { domain = "corp.example", resolvers = { "10.0.0.53" } } },
        encrypted_dns = { { protocol = "HTTPS", server = "https://dns.example/q", addresses = { "203.0.113.53" } } } })
    for _, server in ipairs { "10.0.0.53", "203.0.113.53" } do
        ask(c, "192.168.1.20", server)
        expect(c, nil, { resolver = "true", doh = "true" })
    end
end)

t.case("VPNs by kind and server; of an app it may be unknown", function(c)
    local vpns = { { kind = "ikev2", name = "Office", server = "198.51.100.4" } }
    c:configuration("192.168.1.20", { vpns = vpns })
    ask(c, "192.168.1.20")
    expect(c, nil, { ikev2 = "true", wireguard = "false" })
    c:configuration("192.168.1.21", { vpns = { { kind = "app", name = "Tunnel", app = "com.wireguard.macos" } } })
    ask(c, "192.168.1.21")
    expect(c, nil, { ikev2 = "nil", wireguard = "nil" })
    c:configuration("192.168.1.22", { vpns = { { kind = "app", app = "com.wireguard.macos", server = "203.0.113.7", enabled = true } } })
    ask(c, "192.168.1.22")
    expect(c, nil, { ikev2 = "false", wireguard = "true" })
    c:configuration("192.168.1.23", { vpns = { { kind = "ikev2", server = "198.51.100.4", enabled = false } } })
    ask(c, "192.168.1.23")
    expect(c, nil, { ikev2 = "false" })
end)

t.case("a file of automatic configuration may name any proxy", function(c)
    c:configuration("192.168.1.20", { proxies = { { kind = "pac", url = "http://proxy.example:8000/proxy.pac" } } })
    ask(c, "192.168.1.20")
    expect(c, nil, { proxy = "nil" })
end)
