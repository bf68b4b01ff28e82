-- scripts/vpn.lua: what is told of tunnels, how loud, and when it holds its peace.
local t = require "lunette.test"
t.detector "../../scripts/vpn.lua"

local MAC, SERVER, DAY = "192.168.1.20", "203.0.113.50", 86400
local PLAIN, BARRED, NEW = "VPN or tunnel in use", "Tunnel that nobody allowed", "New tunnel on this host"

local function vpn(c, fields)
    local event = { client_ip = MAC, client_port = 61022, server_ip = SERVER, server_port = 51820, proto = "UDP", kind = "wireguard", transport = "udp",
        phase = "handshake", confidence = "certain", evidence = "an index that comes back", both_sides = true, flow_id = 7 }
    for key, value in pairs(fields or {}) do event[key] = value end
    c:event("vpn", event)
end

local function asks(c, name)
    c:event("dns", { client_ip = MAC, server_ip = "192.168.1.1", server_port = 53, proto = "UDP", type = "query", rrname = name, rrtype = "A" })
end

-- A WireGuard handshake and data, as in the whitepaper, section 5.4: the engine itself recognises it. `up` and `down` are lists of inner packets' sizes.
local function u32(value)
    local bytes = {}
    for i = 1, 4 do bytes[i], value = string.char(value % 256), math.floor(value / 256) end
    return table.concat(bytes)
end
local RANDOM
do
    local bytes, state = {}, 20260501
    for i = 1, 4096 do
        state = (state * 16807) % 2147483647 -- Park and Miller, 1988
        bytes[i] = string.char(math.floor(state / 8191) % 256)
    end
    RANDOM = table.concat(bytes)
end
local function noise(count) return RANDOM:rep(math.ceil(count / #RANDOM)):sub(1, count) end
local function message(receiver, counter, size)
    return "\4\0\0\0" .. u32(receiver) .. u32(counter) .. "\0\0\0\0" .. noise(math.ceil(size / 16) * 16 + 16)
end
local function wireguard(mac, to, port, data)
    local say = { { "client", "\1\0\0\0" .. u32(1000) .. noise(140) }, { "server", "\2\0\0\0" .. u32(2000) .. u32(1000) .. noise(80), after = 0.03 } }
    for i, part in ipairs(data or {}) do
        say[#say + 1] = { part[1], message(part[1] == "client" and 2000 or 1000, i - 1, part[2]), after = part.after }
    end
    mac:udp { to = to, port = port, say = say }
end

-- ---------------------------------------------------------------- how loud

t.case("a VPN of which nobody said anything is a fact", function(c)
    vpn(c)
    c:expect { title = PLAIN, severity = "info", who = MAC, where = SERVER, why = t.contains "WireGuard to 203.0.113.50 port 51820",
        evidence = { kind = "wireguard", port = 51820, points = 1 } }
    c:fact { host = MAC, topic = "vpn", text = t.contains "WireGuard to 203.0.113.50" }
end)

t.case("the engine's own WireGuard, packet by packet", function(c)
    wireguard(c:host(MAC), SERVER, 51820, { { "client", 400 }, { "server", 1200 } })
    c:expect { title = PLAIN, severity = "info", evidence = { betrayed_by = t.contains "handshake initiation of 148 bytes" } }
    c:report { title = "Tunnels", rows = { { MAC, "WireGuard", SERVER, "1", t.like "05%-01", "580 bytes", "1.3 kB", "100 %", "nobody said", "" } } }
end)

t.case("one alert a day, not one a connection", function(c)
    c:times(20, 600, function() vpn(c) end)
    c:expect { title = PLAIN, severity = "info" }
end)

t.case("WireGuard on the port of DNS", function(c)
    vpn(c, { server_port = 53 })
    c:expect { title = PLAIN, severity = "medium", attack = "T1572,T1571", why = t.contains "port 53 is that of DNS", evidence = { signs = { "port" } } }
end)

t.case("so does Sliver: its handshake on UDP 53", function(c)
    wireguard(c:host(MAC), SERVER, 53, { { "client", 400 }, { "server", 1200 } })
    c:expect { title = PLAIN, severity = "medium", where = SERVER, evidence = { kind = "wireguard", port = 53 } }
end)

t.case("OpenVPN on 443 is a lead and no more; AnyConnect is at home there", function(c)
    vpn(c, { kind = "openvpn", transport = "tcp", proto = "TCP", server_port = 443 })
    vpn(c, { kind = "anyconnect", transport = "dtls", server_port = 443 })
    c:expect { title = PLAIN, severity = "low", evidence = { kind = "openvpn" } }
    c:expect { title = PLAIN, severity = "info", evidence = { kind = "anyconnect" } }
end)

t.case("WARP may use IKE's and L2TP's ports: Cloudflare says so", function(c)
    vpn(c, { product = "Cloudflare WARP", server_port = 500 })
    c:expect { title = PLAIN, severity = "info", evidence = { provider = "Cloudflare WARP" } }
end)

t.case("Tor", function(c)
    for i = 1, 5 do vpn(c, { kind = "tor", transport = "tls", proto = "TCP", server_port = 443, server_ip = "198.51.100." .. i, name = "www.q4cyamnc6mtok.com" }) end
    c:expect { title = PLAIN, severity = "low", attack = "T1090.003", evidence = { kind = "tor", signs = { "tor" } } }
end)

t.case("not on the operator's list", function(c)
    c:set { allowed = "ipsec, vpn.example.com" }
    vpn(c)
    c:expect { title = BARRED, severity = "medium", why = t.contains "none of those that are allowed" }
end)

t.case("not on the list, and on the port of DNS", function(c)
    c:set { allowed = "ipsec" }
    vpn(c, { server_port = 53 })
    c:expect { title = BARRED, severity = "high" }
end)

t.case("allowed by kind, by server's name, by address, by provider", function(c)
    c:set { allowed = "ipsec, vpn.example.com, 203.0.113.0/28, mullvad" }
    vpn(c, { kind = "ipsec", server_port = 500 })
    vpn(c, { name = "gate.vpn.example.com" })
    vpn(c, { server_ip = "203.0.113.9" })
    vpn(c, { name = "se-got-wg-001.relays.mullvad.net" })
    c:fact { host = MAC, topic = "vpn", text = t.contains "allowed" }
end)

t.case("within the house it leads nowhere else", function(c)
    vpn(c, { server_ip = "192.168.1.2" })
    c:expect_none()
end)

t.case("its program lies in a temporary folder", function(c)
    vpn(c, { program = "helper", process = "helper", pid = 77, path = "/private/tmp/helper", direction = "out" })
    c:expect { title = PLAIN, severity = "high", why = t.contains "runs from /private/tmp/helper", evidence = { signs = { "program" } } }
end)

t.case("behind it stands an Office program", function(c)
    vpn(c, { program = "wireguard-go", process = "wireguard-go", pid = 77, path = "/usr/local/bin/wireguard-go", ancestry = "sh < Microsoft Word < launchd" })
    c:expect { title = PLAIN, severity = "high", why = t.contains "Microsoft Word", evidence = { signs = { "parent" } } }
end)

t.case("the same of an app in its place is a fact", function(c)
    vpn(c, { program = "WireGuard", process = "WireGuardNetwork", pid = 77, path = "/Applications/WireGuard.app/Contents/MacOS/WireGuard", ancestry = "launchd" })
    c:expect { title = PLAIN, severity = "info" }
end)

local function page(c) c:host(MAC):tcp { to = "198.51.100.8", port = 8080, say = { { "client", "x" } } } end

t.case("a host that had none for ten days", function(c)
    c:times(10, DAY, function() page(c) end)
    page(c)
    vpn(c)
    c:expect { title = NEW, severity = "medium", why = t.contains "was seen on 11 days and had none", evidence = { signs = { "new" } } }
end)

t.case("its owner's daily VPN is not news, nor is one in the first days", function(c)
    c:times(12, DAY, function()
        page(c)
        vpn(c)
    end)
    c:expect { title = PLAIN, severity = "info", times = 12 }
end)

t.case("seen twice in ten days is not seen for ten", function(c)
    page(c)
    c:wait(10 * DAY)
    page(c)
    vpn(c)
    c:expect { title = PLAIN, severity = "info" }
end)

t.case("tunnels that come in from outside", function(c)
    vpn(c, { client_ip = "198.51.100.9", server_ip = MAC, kind = "openvpn", server_port = 1194 })
    vpn(c, { client_ip = "198.51.100.9", server_ip = "192.168.1.21", kind = "tailscale", server_port = 41641 })
    c:expect { title = "Tunnel from outside to this host", severity = "low", who = MAC, attack = "T1133" }
    c:expect { title = "Tunnel from outside to this host", severity = "info", who = "192.168.1.21" }
end)

-- ---------------------------------------------------------------- providers

t.case("the provider by the server's name, and by what was asked for before", function(c)
    vpn(c, { name = "us-mia.prod.surfshark.com" })
    asks(c, "api.nordvpn.com")
    c:wait(20)
    vpn(c, { server_ip = "203.0.113.77", kind = "openvpn", server_port = 1194 })
    c:expect { title = PLAIN, evidence = { provider = "Surfshark", provider_how = "by its name us-mia.prod.surfshark.com" } }
    c:expect { title = PLAIN, evidence = { provider = "NordVPN", provider_how = "likely: the host asked for api.nordvpn.com 20 s before" } }
end)

t.case("the provider by the certificate, where the hello names nobody", function(c)
    local mac = c:host(MAC)
    mac:tls { to = "203.0.113.90", version = "1.2", certificate = { subject = "CN=newjersey402, O=Private Internet Access" }, out = 2000, back = 9000 }
    mac:tls { to = "203.0.113.91", version = "1.2", certificate = { subject = "CN=sni.example.net, O=Example", names = { "sni.example.net", "*.psiphon3.net" } },
        out = 2000, back = 9000 }
    mac:tls { to = "203.0.113.92", version = "1.2", certificate = { subject = "CN=gate.example.net, O=Private Internet Accessories" }, out = 2000, back = 9000 }
    mac:tls { to = "203.0.113.93", version = "1.2", sni = "shop.example.net", certificate = { subject = "CN=shop.example.net, O=Windscribe" }, out = 2000, back = 9000 }
    c:expect { title = PLAIN, severity = "info", where = "203.0.113.90", evidence = { provider = "Private Internet Access",
        provider_how = "by its certificate, of Private Internet Access" } }
    c:expect { title = PLAIN, severity = "info", where = "203.0.113.91", evidence = { provider = "Psiphon", provider_how = "by its certificate, for *.psiphon3.net" } }
end)

t.case("an hour later it is no hint any more", function(c)
    asks(c, "am.i.mullvad.net")
    c:wait(3600)
    vpn(c)
    c:expect { title = PLAIN, why = "this host: WireGuard to 203.0.113.50 port 51820" }
end)

t.case("Opera's proxy looks like any HTTPS, but for its name; a provider's pages are pages", function(c)
    local mac = c:host(MAC)
    mac:tls { to = "77.111.247.69", sni = "eu0.sec-tunnel.com", out = 2000, back = 9000 }
    mac:tls { to = "104.16.1.1", sni = "www.nordvpn.com", out = 2000, back = 9000 }
    c:expect { title = PLAIN, severity = "info", where = "eu0.sec-tunnel.com", attack = "T1090", evidence = { provider = "Opera's VPN proxy" } }
end)

-- ---------------------------------------------------------------- volume

local function megabytes(c, mac, up, down)
    local data = {}
    for _ = 1, up * 100 do data[#data + 1] = { "client", 10000 } end
    for _ = 1, down * 100 do data[#data + 1] = { "server", 10000 } end
    wireguard(mac, SERVER, 51820, data)
end

t.case("an upload through a tunnel", function(c)
    c:set { upload_mb = 2 }
    megabytes(c, c:host(MAC), 3, 0.2)
    c:ignore { title = PLAIN }
    c:expect { title = "Upload through a tunnel", severity = "medium", attack = "T1048,T1572", why = t.contains "3.0 MB sent within a day" }
    c:fact { host = MAC, topic = "vpn", text = t.contains "3.0 MB up" }
end)

t.case("through one that is none of those allowed", function(c)
    c:set { upload_mb = 2, allowed = "ipsec" }
    megabytes(c, c:host(MAC), 3, 0.2)
    c:ignore { title = BARRED }
    c:expect { title = "Upload through a tunnel", severity = "high" }
end)

t.case("neither a download, nor what is allowed, nor little", function(c)
    c:set { upload_mb = 2 }
    local mac = c:host(MAC)
    megabytes(c, mac, 3, 2)
    c:wait(2 * DAY)
    megabytes(c, mac, 1, 0.1)
    c:ignore { title = PLAIN }
end)

-- ---------------------------------------------------------------- interfaces

local function inner(c, fields)
    local event = { iface = "utun3", client_ip = "10.8.0.2", client_port = 50000, server_ip = "198.51.100.80", server_port = 443, proto = "TCP", app_proto = "tls",
        server_name = "files.example.net", name_source = "sni", client_bytes = 60000, server_bytes = 9000, client_packets = 60, server_packets = 40,
        client_payload = 56000, server_payload = 7000, start = c:clock() - 20, finish = c:clock() - 1 }
    for key, value in pairs(fields or {}) do event[key] = value end
    c:event("flow", event)
end

local function on_en0(c)
    inner(c, { iface = "en0", client_ip = MAC, server_ip = "17.253.1.1", server_name = "www.apple.com", client_bytes = 900, server_bytes = 900 })
end

t.case("programs through utun3, and no tunnel that explains it", function(c)
    c:wait(60)
    on_en0(c)
    for _ = 1, 4 do inner(c, { program = "rclone" }) end
    c:expect { title = "Programs talk through a tunnel interface", severity = "low", who = MAC, where = "utun3",
        why = t.contains "4 connections of rclone through utun3 (address 10.8.0.2 there), 240 kB up", evidence = { names = { "files.example.net 276 kB" } } }
    c:fact { host = MAC, topic = "vpn", text = t.contains "through utun3 by an unknown tunnel" }
end)

t.case("where tunnels were named, one without a name is for today", function(c)
    c:set { allowed = "ipsec" }
    c:wait(60)
    on_en0(c)
    for _ = 1, 4 do inner(c) end
    c:expect { title = "Programs talk through a tunnel interface", severity = "medium" }
end)

t.case("a Mac's own utun: link-local chatter, an iPhone by unique local addresses, questions that nobody answers", function(c)
    c:wait(60)
    for i = 0, 3 do
        inner(c, { iface = "utun" .. i, client_ip = "fe80::1", server_ip = "ff02::fb", server_port = 5353, proto = "UDP" })
        inner(c, { iface = "utun" .. i, client_ip = "fd71:aaaa::2", server_ip = "fd71:aaaa::1", server_port = 58783 })
        for _ = 1, 5 do inner(c, { iface = "utun" .. i, server_payload = 0 }) end
    end
    c:expect_none()
end)

t.case("utun3 in clear and WireGuard on en0 are one", function(c)
    local mac = c:host(MAC)
    c:wait(100)
    local begin = c:clock()
    -- 30 packets of 1200 bytes up, 30 of 400 down, through the tunnel and in clear.
    local data = {}
    for _ = 1, 30 do
        data[#data + 1] = { "client", 1200, after = 1 }
        data[#data + 1] = { "server", 400 }
    end
    wireguard(mac, SERVER, 51820, data)
    inner(c, { client_bytes = 30 * 1200, server_bytes = 30 * 400, client_packets = 30, server_packets = 30, start = begin + 1, finish = c:clock() - 0.2 })
    c:ignore { title = PLAIN }
    c:expect { title = "What goes through the tunnel", severity = "info", who = MAC, where = SERVER,
        why = t.contains "utun3 (10.8.0.2) is the inside of the WireGuard to 203.0.113.50",
        evidence = { interface = "utun3", names = { "files.example.net 48 kB" }, flows = 1 } }
    c:fact { host = MAC, topic = "vpn", text = t.contains "through utun3: files.example.net 48 kB" }
end)

t.case("what began before the tunnel, or is far more than it, is not its inside", function(c)
    local mac = c:host(MAC)
    c:wait(100)
    local begin = c:clock()
    local data = {}
    for _ = 1, 30 do data[#data + 1] = { "client", 1200, after = 1 } end
    wireguard(mac, SERVER, 51820, data)
    inner(c, { client_bytes = 36000, server_bytes = 100, start = begin - 60, finish = c:clock() - 0.2 })
    inner(c, { iface = "utun4", client_ip = "10.9.0.2", client_bytes = 360000, server_bytes = 90000, start = begin + 1, finish = c:clock() - 0.2 })
    c:ignore { title = PLAIN }
end)

-- ---------------------------------------------------------------- what no protocol tells

local function busy(c, mac, hours)
    c:times(hours * 12, 300, function(i)
        for k = 1, 5 do mac:tcp { to = "198.51.100." .. (i + k) % 200 + 1, port = 443, say = { { "client", 300 }, { "server", 2000 } }, close = "rst" } end
    end)
end

local function everything(mac, minutes)
    local say = {}
    for _ = 1, minutes * 6 do
        say[#say + 1] = { "client", 4000, after = 10 }
        say[#say + 1] = { "server", 40000 }
    end
    mac:udp { to = SERVER, port = 4433, say = say }
end

t.case("a host that falls silent but for one connection", function(c)
    local mac = c:host(MAC)
    busy(c, mac, 2)
    everything(mac, 60)
    c:expect { title = "All traffic of the host in one connection", severity = "low", who = MAC, where = SERVER, attack = "T1572" }
end)

t.case("the same connection beside the usual traffic", function(c)
    local mac = c:host(MAC)
    busy(c, mac, 2)
    c:meanwhile(function() busy(c, mac, 1) end)
    everything(mac, 60)
    c:expect_none()
end)

t.case("a host that never says anything else", function(c)
    local mac = c:host(MAC)
    c:wait(7200)
    everything(mac, 60)
    c:expect_none()
end)

local function random_flow(mac, to, port)
    mac:tcp { to = to, port = port, say = { { "client", noise(300) }, { "server", noise(900) } } }
end

t.case("random bytes from the first one on, again and again to one server", function(c)
    local mac = c:host(MAC)
    c:times(5, 20, function() random_flow(mac, SERVER, 8388) end)
    c:expect { title = "Connections of random bytes to one server", severity = "low", where = SERVER, evidence = { connections = 4, port = 8388 } }
end)

t.case("three are chance, many servers are file sharing, 443 is tls_odd's", function(c)
    local mac = c:host(MAC)
    for _ = 1, 3 do random_flow(mac, SERVER, 8388) end
    c:wait(7200)
    for i = 1, 40 do random_flow(mac, "198.51.100." .. (i % 10 + 1), 6881) end
    c:wait(7200)
    for _ = 1, 6 do random_flow(mac, SERVER, 443) end
    c:expect_none()
end)

t.case("text and structure are not random", function(c)
    local mac = c:host(MAC)
    for _ = 1, 6 do
        mac:tcp { to = SERVER, port = 9000, say = { { "client", "HELLO 7 abcdefghijklmnopqrstuvwxyz 0123456789\r\n" .. noise(200) }, { "server", noise(300) } } }
        mac:tcp { to = SERVER, port = 9001, say = { { "client", ("\0\0\0\1"):rep(20) .. noise(40) }, { "server", noise(300) } } }
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- a Mac's own settings

local function office(c, vpns) c:configuration(MAC, { version = 1, name = "Annas-MacBook-Pro", interfaces = {}, services = {}, vpns = vpns }) end

t.case("what the Mac's own settings have is allowed, what they lack is not", function(c)
    office(c, { { name = "Office", kind = "ikev2", server = "203.0.113.10", enabled = true } })
    vpn(c, { kind = "ipsec", server_ip = "203.0.113.10", server_port = 500 })
    vpn(c)
    c:expect { title = BARRED, severity = "medium", where = SERVER, evidence = { kind = "wireguard" } }
end)

t.case("an app's VPN may speak anything to anybody: then nobody said", function(c)
    office(c, { { name = "WireGuard", kind = "app", app = "com.wireguard.macos", interface = "utun3", enabled = true } })
    vpn(c)
    c:expect { title = PLAIN, severity = "info" }
end)

t.case("a utun that the settings know, and one that they do not", function(c)
    office(c, { { name = "WireGuard", kind = "app", app = "com.wireguard.macos", interface = "utun3", enabled = true } })
    c:wait(60)
    on_en0(c)
    for _ = 1, 4 do
        inner(c)
        inner(c, { iface = "utun7", client_ip = "10.99.0.2" })
    end
    c:expect { title = "Programs talk through a tunnel interface", severity = "medium", where = "utun7" }
end)

-- ---------------------------------------------------------------- healthy life

t.case("a tunnel that stands for days was not away when it begins anew", function(c)
    c:set { fresh_days = 2 }
    local mac, data = c:host(MAC), {}
    for i = 1, 4 * 24 * 30 do data[i] = { i % 2 == 1 and "client" or "server", 32, after = 120 } end
    c:meanwhile(function() wireguard(mac, SERVER, 51820, data) end)
    c:times(4, DAY, function() page(c) end)
    vpn(c, { server_ip = "203.0.113.51" })
    c:ignore { title = PLAIN, where = SERVER }
    c:expect { title = PLAIN, severity = "info", where = "203.0.113.51" }
end)

t.case("who had one a fortnight ago has it again, and who buys one from a provider: leads", function(c)
    vpn(c)
    c:times(14, DAY, function() page(c) end)
    vpn(c, { server_port = 443, kind = "openvpn" })
    c:ignore { where = SERVER, severity = "info" }
    c:expect { title = PLAIN, severity = "low", why = t.contains "had none for 13 days" }
end)

t.case("a provider's before a journey", function(c)
    c:times(10, DAY, function() page(c) end)
    asks(c, "api.nordvpn.com")
    c:wait(20)
    vpn(c)
    c:expect { title = NEW, severity = "low", evidence = { provider = "NordVPN" } }
end)

t.case("the company's tunnel in HTTPS is named: then what goes through its interface is explained", function(c)
    c:set { allowed = "vpn.corp.example" }
    local mac = c:host(MAC)
    c:wait(60)
    mac:tls { to = "203.0.113.10", sni = "vpn.corp.example", out = 40000, back = 90000 }
    on_en0(c)
    for _ = 1, 4 do inner(c) end
    c:fact { host = MAC, topic = "vpn", text = t.contains "vpn.corp.example" }
end)

t.case("a settings' app may have any utun", function(c)
    office(c, { { name = "GlobalProtect", kind = "app", app = "com.paloaltonetworks.globalprotect", enabled = true } })
    c:wait(60)
    on_en0(c)
    for _ = 1, 4 do inner(c, { iface = "utun6" }) end
    c:expect { title = "Programs talk through a tunnel interface", severity = "low", where = "utun6" }
end)

t.case("Private Relay takes all, and so does a tunnel that was allowed", function(c)
    c:set { allowed = SERVER }
    local mac = c:host(MAC)
    busy(c, mac, 2)
    everything(mac, 60)
    c:wait(DAY)
    busy(c, mac, 2)
    mac:dns { name = "mask.icloud.com", a = "198.51.100.250" }
    local say = {}
    for _ = 1, 360 do
        say[#say + 1] = { "client", 4000, after = 10 }
        say[#say + 1] = { "server", 40000 }
    end
    mac:udp { to = "198.51.100.250", port = 443, say = say }
    c:expect_none()
end)

t.case("a nightly backup through one's own tunnel is news once", function(c)
    c:set { upload_mb = 2 }
    local mac = c:host(MAC)
    c:times(3, DAY, function() megabytes(c, mac, 3, 0.2) end)
    c:ignore { title = PLAIN }
    c:expect { title = "Upload through a tunnel", severity = "medium" }
    c:expect { title = "Upload through a tunnel", severity = "low", times = 2, why = t.contains "as much as 3.0 MB on other days" }
end)

t.case("the allowed server's bytes may be as random as they like", function(c)
    c:set { allowed = SERVER }
    local mac = c:host(MAC)
    c:times(5, 20, function() random_flow(mac, SERVER, 8388) end)
    c:expect_none()
end)
