-- tls_odd: each oddity with what it is worth, what adds up to an alert, and what must stay silent. DNs are as OpenSSL prints them. What needs a
-- proxy or a real capture is in test_tls_odd.py.
local t = require "lunette.test"
t.detector "../../scripts/tls_odd.lua"

local MAC, SERVER, OTHER = "192.168.1.20", "203.0.113.5", "203.0.113.77"
local DAY = 86400
local GO, GO_NEW, CHROME, APPLE = "t13d190900_9dc949149365_97f8aa674fd9", "t13d1312h2_f57a46bbacb6_f50d94e863eb", "t13d1516h2_8daaf6152771_02713d6af862",
    "t13d1313h2_f57a46bbacb6_7f0f34a4126d"
local PUBLIC = "C=US, O=Let's Encrypt, CN=R11"

-- A handshake; `how` overrides. With an issuer it is one of TLS 1.2 with its certificate, good since 40 days and for 50 more.
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

-- An hour of DNS that the sensor saw: the host resolves names in clear, so "never" means something.
local function watch_dns(c, mac)
    for i = 1, 25 do mac:dns { name = ("site%d.example.net"):format(i), a = ("198.51.100.%d"):format(i) } end
    c:wait(3600)
end

-- ---------------------------------------------------------------- certificates
t.case("Cobalt Strike's own certificate", function(c)
    local cobalt = "C=Earth, ST=Cyberspace, L=Somewhere, O=cobaltstrike, OU=AdvancedPenTesting, CN=Major Cobalt Strike"
    shake(c, { issuer = cobalt, subject = cobalt })
    c:expect { title = "Certificate of an attack tool", severity = "high", who = MAC, where = SERVER, attack = "T1587.003,T1573.002",
        why = t.contains "default certificate of Cobalt Strike", evidence = { points = 11, signs = { "nameless", "c2", "self-signed" } } }
end)

t.case("Cobalt Strike by its serial number, under another name", function(c)
    shake(c, { sni = "cdn.example.com", issuer = "C=US, O=Example, CN=Example CA", serial = "08:BB:00:EE" })
    c:expect { title = "Certificate of an attack tool", severity = "high" }
end)

t.case("PoshC2, Covenant, Quasar", function(c)
    for _, name in ipairs { "C=US, ST=Minnesota, L=Minnetonka, O=Pajfds, OU=Jethpro, CN=P18055077", "CN=Covenant", "CN=Quasar Server CA" } do
        shake(c, { issuer = name, subject = name })
        c:wait(2 * DAY)
    end
    c:expect { title = "Certificate of an attack tool", severity = "high", times = 3 }
end)

t.case("an attribute is a whole one: Mythical is not Mythic, nor is Covenant House Covenant", function(c)
    shake(c, { sni = "www.example.com", issuer = "C=US, O=Mythical Games, CN=CA" })
    shake(c, { sni = "www.example.org", issuer = "C=US, O=Example, CN=Covenant House" })
    c:expect_none()
end)

t.case("what Emotet's servers show: a tutorial's names, signed by itself, nobody named", function(c)
    local name = "C=GB, ST=London, L=London, O=Global Security, OU=IT Department, CN=example.com"
    shake(c, { issuer = name, subject = name })
    c:expect { title = "Certificate signed by itself", severity = "medium", evidence = { points = 6, signs = { "nameless", "placeholder", "self-signed" } } }
end)

t.case("signed by itself and no more is a fact", function(c)
    shake(c, { sni = "nas.example.com", issuer = "CN=nas.example.com" })
    c:expect { title = "Certificate signed by itself", severity = "info", score = 2 }
end)

t.case("a backup program's server of its own is a lead", function(c)
    shake(c, { issuer = "CN=813845657003339838, O=Code42", subject = "CN=813845657003339838, O=Code42", server_port = 4287 })
    c:expect { severity = "low", evidence = { points = 4 } }
end)

t.case("what a person opens in a browser is at most a lead", function(c)
    local name = "C=AU, ST=Some-State, O=Internet Widgits Pty Ltd"
    shake(c, { issuer = name, subject = name, server_port = 9999, program = "Safari" })
    c:expect { severity = "low", evidence = { points = 7, program = "Safari" }, why = t.like "^Safari called" }
end)

t.case("in the house everybody signs for himself", function(c)
    for _, port in ipairs { 443, 631, 5001, 7000 } do
        shake(c, { server_ip = "192.168.1.5", server_port = port, issuer = "CN=printer.local", subject = "CN=printer.local" })
    end
    c:expect_none()
end)

t.case("fresh certificates are everyday, and count beside another sign only", function(c)
    local now = c:clock()
    shake(c, { sni = "www.example.com", issuer = PUBLIC, not_before = now - DAY, not_after = now + 89 * DAY })
    shake(c, { sni = "api.example.com", issuer = PUBLIC, not_before = now - DAY, not_after = now + 89 * DAY, server_port = 4444 })
    c:expect { severity = "info", where = "api.example.com", evidence = { signs = { "port", "fresh" } } }
end)

t.case("out of date, not yet good, for another name", function(c)
    local now = c:clock()
    shake(c, { sni = "a.example.com", issuer = PUBLIC, not_after = now - DAY, server_port = 4444 })
    c:wait(2 * DAY)
    shake(c, { sni = "b.example.com", issuer = PUBLIC, not_before = now + 10 * DAY, subject = "CN=*.example.org", subject_alt_names = { "*.example.org" } })
    shake(c, { sni = "www.example.org", issuer = PUBLIC, subject = "CN=*.example.org", subject_alt_names = { "*.example.org", "example.org" } })
    c:expect { where = "a.example.com", severity = "info", evidence = { signs = { "port", "expired" } } }
    c:expect { where = "b.example.com", severity = "info", evidence = { signs = { "mismatch", "early" } } }
end)

t.case("TLS 1.3 shows no certificate, and that is no sign", function(c)
    for i = 1, 20 do shake(c, { sni = ("www%d.example.com"):format(i) }) end
    c:expect_none()
end)

t.case("WebRTC signs each call for itself", function(c)
    shake(c, { proto = "UDP", version = "DTLS 1.2", server_version = 0xfefd, server_port = 19305, issuer = "CN=hangouts", subject = "CN=hangouts" })
    c:expect_none()
end)

-- ---------------------------------------------------------------- names and DNS
t.case("a name whose answers were other addresses", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "www.example.com", a = OTHER }
    shake(c, { sni = "www.example.com" })
    c:expect { title = "TLS for a name that DNS did not give", severity = "info", evidence = { signs = { "elsewhere" } } }
end)

t.case("an address that DNS gave for another name: by a capture that saw the host's DNS", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "drop.example.org", a = SERVER }
    watch_dns(c, mac)
    shake(c, { sni = "www.example.com", ja4 = GO })
    c:expect { severity = "low", why = t.contains "for other names, and never this one", attack = "T1090.004,T1573", evidence = { signs = { "borrowed", "stack" } } }
end)

t.case("with ECH the name in clear is the content network's", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "hidden.example.org", a = SERVER }
    watch_dns(c, mac)
    shake(c, { sni = "outer.example.com", ech = true })
    c:expect_none()
end)

t.case("never asked, no name, by Go, on a port of its own: a lead", function(c)
    watch_dns(c, c:host(MAC))
    shake(c, { ja4 = "t13i190800_9dc949149365_97f8aa674fd9", server_port = 8888 })
    c:expect { severity = "low", evidence = { points = 4, signs = { "port", "unnamed", "nameless", "stack" }, certificate_seen = false } }
end)

t.case("a capture that began late knows nothing of older answers", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "www.example.net", a = "198.51.100.1" }
    c:wait(60)
    shake(c, { sni = "www.example.com", server_port = 4444 })
    c:expect_none()
end)

t.case("encrypted DNS, a relay and a VPN switch off what needs DNS", function(c)
    for i, hide in ipairs {
        function(client) c:event("encrypted_dns", { client_ip = client, server_ip = "9.9.9.9", server_port = 853, kind = "dot" }) end,
        function(client) shake(c, { client_ip = client, sni = "mask.icloud.com", proto = "UDP", quic = true }) end,
        function(client) c:event("vpn", { client_ip = client, server_ip = OTHER, server_port = 51820, kind = "wireguard" }) end,
    } do
        local client = "192.168.1." .. 30 + i
        watch_dns(c, c:host(client))
        hide(client)
        shake(c, { client_ip = client, sni = "www.example.com", server_port = 4444 })
    end
    c:expect_none()
end)

t.case("an address in place of a name", function(c)
    shake(c, { sni = SERVER, server_port = 4444 })
    c:expect { severity = "info", evidence = { signs = { "port", "literal" } } }
end)

t.case("mail and DNS servers are called without a name, on ports of their own", function(c)
    for _, port in ipairs { 25, 465, 587, 853, 993, 995, 5223, 8443, 5061, 636, 2197 } do
        shake(c, { server_port = port, sni = port > 1000 and "www.example.com" or nil })
    end
    c:expect_none()
end)

t.case("Apple's names are apple_allowlist's", function(c)
    shake(c, { sni = "gateway.icloud.com", issuer = "CN=x", subject = "CN=x", server_port = 4444 })
    shake(c, { server_ip = "17.57.144.10", server_port = 5223, issuer = "CN=Apple Public Server RSA CA 12 - G1, O=Apple Inc.", subject = "CN=courier.push.apple.com" })
    c:expect_none()
end)

-- ---------------------------------------------------------------- stacks
t.case("a browser's process with Go's stack", function(c)
    shake(c, { sni = "www.example.com", ja4 = GO_NEW, program = "Google Chrome" })
    c:expect { title = "Browser's name on another's TLS", severity = "medium", why = t.contains "calls itself Google Chrome", evidence = { ja4 = GO_NEW } }
end)

t.case("a browser's process with a browser's stack, or one that is unknown", function(c)
    shake(c, { sni = "www.example.com", ja4 = CHROME, program = "Google Chrome" })
    shake(c, { sni = "www.example.org", ja4 = "t13d1717h2_000000000000_000000000000", program = "Google Chrome" })
    c:expect_none()
end)

local AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
local BROWSERS = { { "Accept", "text/html" }, { "Accept-Language", "en-GB" }, { "Accept-Encoding", "gzip, deflate" } }

-- A request with just these headers.
local function request(mac, to, host, agent, rest, body)
    local text = ("%s /index.php HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n%s"):format(body and "POST" or "GET", host, agent, rest)
    if body then text = text .. ("Content-Length: %d\r\n"):format(#body) end
    mac:tcp { to = to, port = 80, say = { { "client", text .. "\r\n" .. (body or "") }, { "server", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" } } }
end

t.case("a browser's agent, but a request of Go's", function(c)
    local mac, go = c:host(MAC), "Accept-Encoding: gzip\r\n"
    request(mac, SERVER, SERVER, AGENT, go, "data")
    request(mac, OTHER, "feeds.example.com", AGENT, go)
    request(mac, OTHER, "www.example.com", AGENT, "Accept: */*\r\nAccept-Language: en-GB\r\n")
    request(mac, OTHER, "www.example.com", AGENT, "Accept: */*\r\n")
    request(mac, OTHER, "www.example.com", "Go-http-client/1.1", go)
    request(mac, "192.168.1.9", "192.168.1.9", AGENT, go)
    c:expect { title = "Browser's agent, but no browser's request", severity = "low", who = MAC, where = SERVER, evidence = { points = 4, signs = { "request", "literal", "post" } } }
    c:expect { title = "Browser's agent, but no browser's request", severity = "info", where = "feeds.example.com", why = t.contains "agent says Safari" }
end)

t.case("Safari called it in clear, and then Go calls it", function(c)
    c:host(MAC):http { to = SERVER, host = "www.example.com", path = "/", agent = AGENT, headers = BROWSERS }
    shake(c, { sni = "api.example.com", ja4 = GO })
    c:expect { title = "Browser's name on another's TLS", severity = "low", why = t.contains "Safari called example.com in clear" }
end)

t.case("Go alone is everyday; and Apple's ciphers are not Go's", function(c)
    shake(c, { sni = "registry.example.com", ja4 = GO_NEW })
    shake(c, { sni = "api.example.com", ja4 = APPLE, program = "Safari" })
    c:expect_none()
end)

-- ---------------------------------------------------------------- versions
t.case("old versions and broken ciphers are one cause", function(c)
    shake(c, { sni = "old.example.com", version = "TLS 1.0", server_version = 0x0301, cipher = 0x0005 })
    shake(c, { sni = "null.example.com", version = "TLS 1.2", server_version = 0x0303, cipher = 0x003b })
    c:expect { severity = "info", where = "null.example.com", evidence = { signs = { "cipher" } } }
end)

t.case("ESNI was withdrawn", function(c)
    shake(c, { extensions = { 0, 10, 0xffce }, server_port = 4444 })
    c:expect { severity = "info", evidence = { signs = { "port", "esni" } } }
end)

-- ---------------------------------------------------------------- bytes on 443 that are not TLS
local function raw(c, mac, head, to, times)
    for _ = 1, times or 1 do
        mac:tcp { to = to or SERVER, port = 443, say = { { "client", head .. ("\1\0\2\0\3\0"):rep(8) }, { "server", head .. "ok" } } }
        c:wait(60)
    end
end

t.case("a protocol of one's own on 443, at an address that DNS never named", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    raw(c, mac, "\27\80\1\0", SERVER, 4)
    c:expect { title = "Bytes on 443 that are not TLS", severity = "low", attack = "T1095,T1001.003", evidence = { points = 5, signs = { "raw", "unnamed" } } }
    c:expect { title = "Bytes on 443 that are not TLS", severity = "medium", evidence = { points = 6, signs = { "raw", "unnamed", "alike" }, alike = 3 } }
end)

t.case("bytes that are random each time stay a lead", function(c)
    local mac = c:host(MAC)
    watch_dns(c, mac)
    for i = 1, 6 do raw(c, mac, string.char(200 - i, i * 7, 90 + i, i)) end
    c:expect { severity = "low", evidence = { points = 5 } }
end)

t.case("to a name that DNS gave it is a fact; WhatsApp's is known", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "chat.example.com", a = SERVER }
    watch_dns(c, mac)
    raw(c, mac, "\27\80\1\0")
    raw(c, mac, "WA\6\3", OTHER, 4)
    c:expect { title = "Bytes on 443 that are not TLS", severity = "info", where = "chat.example.com" }
end)

t.case("TLS on 443, and silence on 443", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "www.example.com", a = SERVER }
    mac:tls { to = SERVER, sni = "www.example.com", out = 500, back = 5000 }
    mac:tcp { to = SERVER, port = 443, say = {} }
    mac:tcp { to = "192.168.1.5", port = 443, say = { { "client", "hello there" }, { "server", "hi" } } }
    c:expect_none()
end)

-- ---------------------------------------------------------------- what an operator says
t.case("what is allowed", function(c)
    c:set { allowed = "nas.example.com, 203.0.113.64/26" }
    shake(c, { sni = "box.nas.example.com", issuer = "CN=x", subject = "CN=x" })
    shake(c, { server_ip = OTHER, issuer = "CN=x", subject = "CN=x" })
    c:expect_none()
end)

t.case("told once a day", function(c)
    c:times(48, 3600, function() shake(c, { issuer = "CN=x", subject = "CN=x", server_port = 4444 }) end)
    c:expect { severity = "low", times = 2 }
end)
