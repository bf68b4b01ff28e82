-- apple_allowlist on what pcap_builder cannot make: certificates, QUIC, several resolvers, the relay. The rest is in test_apple_allowlist.py.
local t = require "lunette.test"
t.detector "../../scripts/apple_allowlist.lua"

local MAC, ELSEWHERE, APPLE, ROUTER = "192.168.1.20", "203.0.113.5", "17.253.144.10", "192.168.1.1"
local APPLES = "CN=Apple Public Server RSA CA 12 - G1, O=Apple Inc., ST=California, C=US"

-- A handshake of TLS 1.2 with its certificate.
local function shown(c, sni, to, certificate)
    local subject = certificate.subject or "CN=" .. sni
    c:event("tls", { client_ip = MAC, client_port = 50000, server_ip = to, server_port = 443, proto = "TCP", sni = sni, version = "TLS 1.2",
        has_client_hello = true, has_server_hello = true, subject = subject, issuer = certificate.issuer,
        subject_alt_names = certificate.names or (sni and { sni }) or {}, self_signed = subject == certificate.issuer })
end

-- ---------------------------------------------------------------- certificates
t.case("an Apple name, signed by Apple and by those that Apple buys from", function(c)
    shown(c, "gateway.icloud.com", APPLE, { issuer = APPLES })
    shown(c, "gsa.apple.com", APPLE, { issuer = "CN=Apple Server Authentication CA, OU=Certification Authority, O=Apple Inc., C=US" })
    shown(c, "itunes.apple.com", "23.45.67.89", { issuer = "CN=DigiCert SHA2 Extended Validation Server CA, O=DigiCert Inc, C=US" })
    c:expect_none()
end)

t.case("an Apple name, signed by nobody whom we know", function(c)
    shown(c, "swscan.apple.com", APPLE, { issuer = "CN=Web Services, O=Nobody, C=US" })
    c:expect { title = "Certificate that does not fit an Apple name", severity = "medium", who = MAC, where = "swscan.apple.com", score = 6,
        why = t.contains "Web Services", evidence = { version = "TLS 1.2" } }
end)

t.case("a CA that only says that it is Apple's", function(c)
    shown(c, "swscan.apple.com", APPLE, { issuer = "CN=Root, O=Apple Inc." })
    shown(c, "swdist.apple.com", APPLE, { subject = "CN=Apple Root, O=Apple Inc.", issuer = "CN=Apple Root, O=Apple Inc." })
    c:expect { title = "Certificate that does not fit an Apple name", severity = "medium", where = "swscan.apple.com" }
    c:expect { title = "Certificate that does not fit an Apple name", severity = "medium", where = "swdist.apple.com", why = t.contains "itself" }
end)

t.case("another public CA", function(c)
    shown(c, "www.apple.com", "23.45.67.89", { issuer = "CN=R3, O=Let's Encrypt, C=US" })
    c:expect { title = "Certificate that does not fit an Apple name", severity = "low", why = t.contains "Let's Encrypt" }
end)

t.case("a gateway of a make we know", function(c)
    for _, name in ipairs { "www.apple.com", "gateway.icloud.com", "swscan.apple.com" } do
        shown(c, name, APPLE, { issuer = "CN=Zscaler Intermediate Root CA (zscaler.net), O=Zscaler Inc., C=US" })
    end
    c:expect { title = "TLS is opened on the way", severity = "low", score = 2, evidence = { product = "Zscaler" } }
end)

t.case("a developer's proxy", function(c)
    shown(c, "www.apple.com", APPLE, { issuer = "CN=mitmproxy, O=mitmproxy" })
    c:expect { title = "TLS is opened on the way", severity = "medium", evidence = { product = "mitmproxy" } }
end)

t.case("a company's own gateway signs for everybody, and is said once", function(c)
    local gateway = "CN=Example Corp TLS Gateway, O=Example Corp"
    shown(c, "www.example.com", ELSEWHERE, { issuer = gateway })
    shown(c, "www.example.org", "203.0.113.6", { issuer = gateway })
    shown(c, "www.apple.com", APPLE, { issuer = gateway })
    shown(c, "gateway.icloud.com", APPLE, { issuer = gateway })
    c:expect { title = "TLS is opened on the way", severity = "low", where = "Example Corp TLS Gateway",
        evidence = { names = { "www.apple.com", "www.example.com", "www.example.org" } } }
end)

t.case("other people's certificates", function(c)
    shown(c, "nas.example.com", ELSEWHERE, { issuer = "CN=nas.example.com", subject = "CN=nas.example.com" })
    shown(c, "shop.example.com", ELSEWHERE, { issuer = "CN=R3, O=Let's Encrypt, C=US" })
    shown(c, nil, "203.0.113.7", { subject = "CN=www.snapple.com", issuer = "CN=R3, O=Let's Encrypt, C=US" })
    shown(c, nil, APPLE, { subject = "CN=*.push.apple.com", issuer = APPLES })
    c:expect_none()
end)

t.case("Apple's name on another's server", function(c)
    shown(c, nil, ELSEWHERE, { subject = "CN=www.apple.com, O=Apple Inc.", issuer = "CN=www.apple.com, O=Apple Inc.", names = { "www.apple.com" } })
    c:expect { title = "Certificate with Apple's name on another's server", severity = "medium", where = ELSEWHERE,
        evidence = { carries = "www.apple.com", self_signed = true } }
end)

t.case("a certificate with a name that imitates Apple's", function(c)
    shown(c, nil, ELSEWHERE, { subject = "CN=icloud-login.ru", issuer = "CN=R3, O=Let's Encrypt, C=US" })
    c:expect { title = "Name that imitates Apple's", evidence = { seen_in = "certificate", imitates = "icloud" } }
end)

-- ---------------------------------------------------------------- QUIC
t.case("look-alikes and strange addresses over QUIC", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "www.apple.com", a = APPLE }
    for _, name in ipairs { "appleid.apple.com.evil.top", "www.apple.com", "gateway.icloud.com" } do
        c:event("tls", { client_ip = MAC, client_port = 50000, server_ip = name == "gateway.icloud.com" and APPLE or ELSEWHERE, server_port = 443,
            proto = "UDP", sni = name, quic = true, version = "TLS 1.3" })
    end
    c:expect { title = "Name that imitates Apple's", where = "appleid.apple.com.evil.top", severity = "high" }
    c:expect { title = "Apple name at an address that does not fit", where = "www.apple.com", evidence = { quic = true } }
end)

-- ---------------------------------------------------------------- Private Relay
local function hello(c, name, server, over)
    c:event("tls", { client_ip = MAC, client_port = 50000, server_ip = server, server_port = 443, proto = over, sni = name, quic = over == "UDP" })
end
local function ended(c, name, server, over, sent, received)
    c:event("flow", { client_ip = MAC, client_port = 50000, server_ip = server, server_port = 443, proto = over, server_name = name,
        name_source = "sni", client_bytes = sent, server_bytes = received, start = c:clock() - 60, finish = c:clock() })
end

t.case("Private Relay is told, and hides what DNS would say", function(c)
    c:clock "2026-05-01 12:00:00"
    local mac = c:host(MAC)
    mac:dns { name = "www.apple.com", a = APPLE }
    hello(c, "mask.icloud.com", "172.224.1.1", "UDP")
    mac:tls { to = ELSEWHERE, sni = "www.apple.com" } -- would not fit: but another answer may have come through the relay
    c:wait(60)
    ended(c, "mask.icloud.com", "172.224.1.1", "UDP", 1000000, 8000000)
    ended(c, "mask-h2.icloud.com", "172.224.1.2", "TCP", 500000, 500000)
    ended(c, "mask-api.icloud.com", APPLE, "TCP", 3000, 3000)
    ended(c, "example.com", ELSEWHERE, "TCP", 5000000, 5000000)
    c:expect_none()
    c:report { title = "iCloud Private Relay", columns = { "host", "since", ">connections", "over", ">sent", ">received", ">share" },
        rows = { { MAC, t.like "^2026%-05%-01 12:00:0", "2", "QUIC and HTTP/2 over TCP", "1.5 MB", "8.5 MB", "50 %" } } }
    c:fact { host = MAC, topic = "private relay", text = t.contains "hides Safari's sites, DNS questions" }
end)

t.case("the network switched the relay off", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "mask.icloud.com", rcode = "NXDOMAIN" }
    mac:dns { name = "mask-h2.icloud.com", rcode = "NXDOMAIN" }
    c:expect_none()
    c:fact { host = MAC, topic = "private relay", text = "switched off by the network: 192.168.1.1 answers NXDOMAIN for mask-h2.icloud.com" }
end)

-- ---------------------------------------------------------------- safe browsing
local TENCENT, GOOGLE = "safebrowsing.urlsec.qq.com", "safebrowsing.googleapis.com"

t.case("Tencent where nobody said China", function(c)
    c:host(MAC):tls { to = ELSEWHERE, sni = TENCENT }
    c:expect { title = "Safe browsing of another region", severity = "low", where = TENCENT, score = 2 }
end)

t.case("Tencent by DNS alone, in a region that is set", function(c)
    c:set { region = "DE" }
    c:host(MAC):dns { name = TENCENT, a = ELSEWHERE }
    c:expect { title = "Safe browsing of another region", severity = "low", why = t.contains "DE" }
end)

t.case("in China it is the other way round", function(c)
    c:set { region = "CN" }
    local mac = c:host(MAC)
    mac:tls { to = ELSEWHERE, sni = TENCENT }
    mac:tls { to = "142.250.1.1", sni = GOOGLE }
    c:expect { title = "Safe browsing of another region", severity = "info", where = GOOGLE }
end)

t.case("Google elsewhere, and Apple's proxy, are as it should be", function(c)
    local mac = c:host(MAC)
    mac:tls { to = "142.250.1.1", sni = GOOGLE }
    mac:tls { to = "17.1.2.3", sni = "proxy.safebrowsing.apple" }
    c:expect_none()
end)

t.case("Tencent's own program on a Windows machine", function(c)
    c:event("dhcp", { client_ip = "0.0.0.0", server_ip = "255.255.255.255", proto = "UDP", type = "request",
        message = "request", requested_ip = MAC, client_mac = "00:11:22:33:44:55", os = "Windows", vendor_class = "MSFT 5.0" })
    c:event("http", { client_ip = MAC, server_ip = ELSEWHERE, server_port = 80, proto = "TCP", method = "GET", host = "www.msftconnecttest.com",
        url = "/connecttest.txt", user_agent = "Microsoft NCSI", status = 200 })
    c:wait(60)
    c:host(MAC):dns { name = TENCENT, a = ELSEWHERE }
    c:expect_none()
end)

-- ---------------------------------------------------------------- answers and resolvers
t.case("an answer that fits nothing", function(c)
    c:host(MAC):dns { name = "swscan.apple.com", a = ELSEWHERE }
    c:expect { title = "DNS answer for an Apple name that does not fit", severity = "medium", where = "swscan.apple.com",
        evidence = { addresses = { ELSEWHERE }, resolver = ROUTER, category = "software-update" } }
end)

t.case("an answer for a name that the table does not know by itself", function(c)
    c:host(MAC):dns { name = "newsletter.apple.com", a = ELSEWHERE }
    c:expect { title = "DNS answer for an Apple name that does not fit", severity = "low" }
end)

t.case("answers that fit: Apple's, a content network's, a cache behind a chain, one that blocks, none", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "swscan.apple.com", a = { ELSEWHERE, APPLE } }
    mac:dns { name = "itunes.apple.com", a = "23.45.67.89" }
    mac:dns { name = "play.itunes.apple.com", cname = { "play-cdn.itunes-apple.com.akadns.net", "a1806.dscb.akamai.net" }, a = ELSEWHERE }
    mac:dns { name = "metrics.apple.com", a = "0.0.0.0" }
    mac:dns { name = "iadsdk.apple.com", a = "127.0.0.1" }
    mac:dns { name = "basejumper.apple.com", type = "A" }
    mac:dns { name = "apple.com", aaaa = "2001:db8:64::11fd:900a" } -- 17.253.144.10 behind a network's own NAT64 prefix
    c:expect_none()
end)

t.case("a captive portal", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "captive.apple.com", a = "10.0.0.1" }
    mac:dns { name = "gateway.icloud.com", a = "10.0.0.1" }
    mac:http { to = "10.0.0.1", host = "captive.apple.com", path = "/hotspot-detect.html", agent = "CaptiveNetworkSupport-390.60.1 wispr" }
    c:expect { title = "Captive portal answers for Apple", severity = "info", where = "captive.apple.com" }
end)

t.case("a portal that opens TLS for any name", function(c)
    for _, name in ipairs { "gateway.icloud.com", "www.example.com", "swscan.apple.com", "gsa.apple.com" } do
        shown(c, name, name == "www.example.com" and ELSEWHERE or APPLE, { subject = "CN=hotspot", issuer = "CN=hotspot", names = {} })
    end
    c:expect { title = "Certificate that does not fit an Apple name", severity = "medium", where = "gateway.icloud.com" }
    c:expect { title = "TLS is opened on the way", severity = "low", where = "hotspot" }
end)

t.case("one name alone at a private address", function(c)
    c:host(MAC):dns { name = "gdmf.apple.com", a = "10.0.0.1" }
    c:expect { title = "Apple name at a private address", severity = "low", evidence = { over = "DNS" } }
end)

local function ask_around(c, mac)
    c:times(30, 5, function(i) mac:dns { name = ("host%d.example.com"):format(i), a = "198.51.100.7", server = ROUTER } end)
end

t.case("Apple's names, and they alone, go to another resolver", function(c)
    local mac = c:host(MAC)
    ask_around(c, mac)
    for _, name in ipairs { "swscan.apple.com", "swdist.apple.com", "gdmf.apple.com" } do mac:dns { name = name, a = APPLE, server = "198.51.100.53" } end
    c:expect { title = "Apple's names are asked of another resolver", severity = "low", where = "198.51.100.53",
        evidence = { answers = 3, usual = ROUTER } }
end)

t.case("a second resolver, a new network, another family: nothing", function(c)
    local mac = c:host(MAC)
    ask_around(c, mac)
    mac:dns { name = "www.example.net", a = "198.51.100.8", server = "8.8.8.8" }
    for _, name in ipairs { "swscan.apple.com", "swdist.apple.com", "gdmf.apple.com" } do mac:dns { name = name, a = APPLE, server = "8.8.8.8" } end
    c:wait(900)
    for _, name in ipairs { "swscan.apple.com", "swdist.apple.com", "gdmf.apple.com" } do mac:dns { name = name, a = APPLE, server = "198.51.100.53" } end
    c:expect_none()
end)

t.case("encrypted DNS leaves only some names to be seen", function(c)
    local mac = c:host(MAC)
    ask_around(c, mac)
    mac:tls { to = "8.8.8.8", port = 853, sni = "dns.google" }
    for _, name in ipairs { "swscan.apple.com", "swdist.apple.com", "gdmf.apple.com" } do mac:dns { name = name, a = APPLE, server = "198.51.100.53" } end
    c:expect_none()
end)

-- ---------------------------------------------------------------- cards
t.case("what a card says", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "swscan.apple.com", a = APPLE }
    for _ = 1, 3 do mac:tls { to = APPLE, sni = "swscan.apple.com", out = 100, back = 20000 } end
    mac:tls { to = "17.1.2.3", sni = "gspe21-ssl.ls.apple.com", out = 100, back = 5000 }
    mac:tls { to = "198.51.100.7", sni = "www.yelp.com", out = 100, back = 100 }
    mac:tls { to = ELSEWHERE, sni = "cdn.example.co.uk", out = 100, back = 100 }
    c:fact { host = MAC, topic = "apple", text = t.like "^software%-update %d+ kB in 3 connections, maps %d[%d.]* kB in 1$" }
    c:fact { host = MAC, topic = "third parties", text = t.like "^safari%-start%-page [%d.]+ kB in 1 connection$" }
    c:fact { host = MAC, topic = "elsewhere", text = t.like "^example%.co%.uk [%d.]+ kB in 1 connection$" }
    c:expect_none()
end)
