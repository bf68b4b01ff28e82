-- tls_odd among healthy Macs: what people run, open and carry about is at most a lead.
local t = require "lunette.test"
t.detector "../../scripts/tls_odd.lua"

local MAC, SERVER, OTHER = "192.168.1.20", "203.0.113.5", "203.0.113.77"
local DAY = 86400
local GO, GO_NEW, CHROME, APPLE, NODE, PYTHON = "t13d190900_9dc949149365_97f8aa674fd9", "t13d1312h2_f57a46bbacb6_f50d94e863eb", "t13d1516h2_8daaf6152771_02713d6af862",
    "t13d1313h2_f57a46bbacb6_7f0f34a4126d", "t13d591000_a33745022dd6_1f22a2ca17c4", "t13d1812h1_85036bcba153_d41ae481755e"

local function shake(c, how)
    local name = how.sni
    local fields = { client_ip = MAC, client_port = 50000, server_ip = SERVER, server_port = 443, proto = "TCP", version = how.issuer and "TLS 1.2" or "TLS 1.3",
        server_version = how.issuer and 0x0303 or 0x0304, cipher = how.issuer and 0xc030 or 0x1301, has_client_hello = true, has_server_hello = true, ja4 = CHROME }
    if how.issuer then
        fields.subject = how.subject or (name and "CN=" .. name)
        fields.subject_alt_names = name and { name } or {}
        fields.self_signed = fields.subject == how.issuer
        fields.not_before, fields.not_after, fields.certificates = c:clock() - 40 * DAY, c:clock() + 50 * DAY, 1
    end
    for key, value in pairs(how) do fields[key] = value end
    c:event("tls", fields)
end

local function watch_dns(c, mac)
    for i = 1, 25 do mac:dns { name = ("site%d.example.net"):format(i), a = ("198.51.100.%d"):format(i) } end
    c:wait(3600)
end

t.case("TLS on odd ports to names that DNS gave", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    for name, port in pairs { ["203-0-113-5.0a1b.plex.direct"] = 32400, ["unifi.corp.example"] = 8443, ["home.corp.example"] = 8123, ["nas.corp.example"] = 5001, ["pve.corp.example"] = 8006 } do
        mac:dns { name = name, a = SERVER }
        shake(c, { sni = name, server_port = port })
    end
    c:expect_none()
end)

t.case("one's own home from afar by its address: certificates of the boxes' own", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    local never = c:clock() + 3650 * DAY
    shake(c, { ja4 = APPLE, server_port = 8443, subject = "C=US, ST=CA, L=San Jose, O=ubnt.com, OU=UniFi, CN=UniFi", issuer = "C=US, ST=CA, L=San Jose, O=ubnt.com, OU=UniFi, CN=UniFi", not_after = never })
    shake(c, { ja4 = APPLE, server_port = 8123, server_ip = OTHER, subject = "CN=homeassistant", issuer = "CN=homeassistant", not_after = never })
    c:ignore { severity = "low" }
end)

t.case("the same where the browser is known", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    shake(c, { ja4 = APPLE, server_port = 8006, subject = "CN=pve", issuer = "CN=pve", not_after = c:clock() + 9999 * DAY, program = "com.apple.WebKit.Networking",
        path = "/System/Library/Frameworks/WebKit.framework/Versions/A/XPCServices/com.apple.WebKit.Networking.xpc/Contents/MacOS/com.apple.WebKit.Networking" })
    c:ignore { severity = "low" }
end)

t.case("printers, NAS and routers in the house; a captive portal that answers for all", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    for last = 1, 9 do shake(c, { server_ip = "192.168.1." .. 200 + last, server_port = 8443, subject = "CN=box", issuer = "CN=box" }) end
    mac:dns { name = "www.example.com", a = OTHER }
    shake(c, { sni = "www.example.com", server_ip = OTHER, subject = "CN=portal", issuer = "CN=portal", subject_alt_names = {} })
    c:ignore { severity = "low" }
end)

t.case("a captive portal of a week ago has long expired, too", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    mac:dns { name = "www.example.com", a = OTHER }
    shake(c, { sni = "www.example.com", server_ip = OTHER, subject = "CN=portal", issuer = "CN=portal", subject_alt_names = {}, not_before = c:clock() - 3000 * DAY,
        not_after = c:clock() - 9 * DAY, server_version = 0x0301, cipher = 0x0005 })
    c:ignore { severity = "low" }
end)

t.case("developers: a cluster by its address, registries, a local tool", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    shake(c, { server_ip = "198.51.100.200", ja4 = GO_NEW })                                           -- kubectl to a cluster's address
    shake(c, { server_ip = "198.51.100.201", server_port = 6443, ja4 = GO, issuer = "CN=kubernetes", subject = "CN=kube-apiserver" })
    for _, name in ipairs { "proxy.golang.org", "registry-1.docker.io", "pypi.org", "registry.npmjs.org" } do
        mac:dns { name = name, a = SERVER }
        shake(c, { sni = name, ja4 = name:find("py") and PYTHON or name:find("npm") and NODE or GO_NEW })
    end
    c:ignore { severity = "low" }
    c:ignore { severity = "info" }
end)

t.case("home again: what DNS said at the office is still in the cache", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    c:times(5, 600, function(i) shake(c, { sni = ("site%d.example.org"):format(i), server_ip = "203.0.113." .. 50 + i }) end)
    c:expect_none()
end)

t.case("a company's inspecting gateway signs all", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    mac:dns { name = "www.example.com", a = OTHER }
    shake(c, { sni = "www.example.com", server_ip = OTHER, issuer = "CN=corp-inspect", not_before = c:clock() - 3600 })
    c:ignore { severity = "info" }
end)

t.case("Telegram, a game and TURN on 443", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    local state = 7
    local function noise(n)
        local bytes = {}
        for i = 1, n do
            state = (state * 16807) % 2147483647
            bytes[i] = string.char(math.floor(state / 8191) % 256)
        end
        return table.concat(bytes)
    end
    for _ = 1, 6 do mac:tcp { to = "198.51.100.150", port = 443, say = { { "client", noise(300) }, { "server", noise(500) } } } end
    c:ignore { severity = "low" }
end)

-- ---------------------------------------------------------------- evasions

t.case("a first byte like TLS's, or WhatsApp's two letters, do not hide bytes on 443", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    for _ = 1, 3 do mac:tcp { to = "198.51.100.151", port = 443, say = { { "client", "\22\9\9\9" .. ("q"):rep(60) }, { "server", ("r"):rep(60) } } } end
    mac:dns { name = "cdn.odd.example", a = "198.51.100.152" }
    for _ = 1, 3 do mac:tcp { to = "198.51.100.152", port = 443, say = { { "client", "WA\6\3" .. ("q"):rep(60) }, { "server", ("r"):rep(60) } } } end
    c:ignore { where = "198.51.100.151", severity = "low" }
    c:expect { title = "Bytes on 443 that are not TLS", severity = "medium", where = "198.51.100.151" }
    c:expect { title = "Bytes on 443 that are not TLS", severity = "info", where = "cdn.odd.example" }
    c:expect { title = "Bytes on 443 that are not TLS", severity = "low", where = "cdn.odd.example" }
end)
