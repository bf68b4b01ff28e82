-- dga: who fails to find many domains, and what is told of it. Recall on families of names and false alarms on lists are in test_dga.py.
local t = require "lunette.test"
t.detector "../../scripts/dga.lua"

local MAC, ROUTER = "192.168.1.20", "192.168.1.1"

local function dice(seed)
    local state = seed
    return function(n)
        state = (state * 16807) % 2147483647
        return state % n + 1
    end
end

local LETTERS = "abcdefghijklmnopqrstuvwxyz"
local function text(roll, length)
    local out = {}
    for i = 1, length do
        local at = roll(26)
        out[i] = LETTERS:sub(at, at)
    end
    return table.concat(out)
end

local function answer(c, name, more)
    local reply = { client_ip = MAC, client_port = 50000, server_ip = ROUTER, server_port = 53, proto = "UDP", type = "answer", rrname = name, rrtype = "A",
        qtype = 1, rcode = "NXDOMAIN", answer_count = 0, length = #name + 90 }
    for key, value in pairs(more or {}) do reply[key] = value end
    c:event("dns", reply)
end

local function found(c, name, address) answer(c, name, { rcode = "NOERROR", answer_count = 1, ttl = 60, a = { address or "203.0.113.66" } }) end

local function burst(c, count, seconds, length, seed)
    local roll = dice(seed or 7)
    for i = 1, count do
        answer(c, text(roll, length or 12) .. (i % 2 == 0 and ".com" or ".biz"))
        c:wait(seconds)
    end
end

t.case("a burst, and the name that answers", function(c)
    burst(c, 25, 3)
    found(c, "kqvwxjtzhrbd.com")
    c:expect { title = "Many made-up names that do not exist", severity = "medium", who = MAC, evidence = { drawn = 10 } }
    c:expect { title = "Made-up name that answers after many that do not exist", severity = "high", who = MAC, where = "kqvwxjtzhrbd.com", attack = "T1568.002, T1071.004",
        why = t.contains "203.0.113.66", evidence = { address = "203.0.113.66" } }
end)

t.case("hundreds in a row are high", function(c)
    burst(c, 300, 1)
    c:expect { title = "Many made-up names that do not exist", severity = "medium" }
    c:expect { title = "Many made-up names that do not exist", severity = "high" }
end)

t.case("one that answers after seven tries", function(c)
    burst(c, 8, 3)
    found(c, "kqvwxjtzhrbd.com")
    c:expect { title = "Made-up name that answers after many that do not exist", severity = "medium", where = "kqvwxjtzhrbd.com" }
end)

t.case("one an hour, all day and night", function(c)
    burst(c, 46, 1800)
    c:expect { title = "Made-up names that do not exist, all day long", severity = "low" }
end)

t.case("what answered before the burst is not what it found, nor is what a filter blocks", function(c)
    found(c, "kqvwxjtzhrbd.com")
    c:wait(7200)
    burst(c, 25, 3)
    found(c, "kqvwxjtzhrbd.com")
    found(c, "zqxwvbkjtrhd.com", "0.0.0.0")
    found(c, "www.example.com")
    found(c, "d3kqvwxjtzhrbd.cloudfront.net")
    c:expect { title = "Many made-up names that do not exist" }
end)

t.case("an allowed scanner", function(c)
    c:set { allowed = "192.168.1.0/24" }
    burst(c, 100, 1)
    c:expect_none()
end)

-- ---------------------------------------------------------------- honest failures
t.case("Chrome's probes at each change of network, bare and below search domains", function(c)
    local roll = dice(31)
    for _ = 1, 20 do
        for _ = 1, 3 do
            local probe = text(roll, 6 + roll(9))
            answer(c, probe)
            answer(c, probe .. ".corp.example.com")
            answer(c, probe .. ".lan")
            answer(c, probe .. ".localdomain")
        end
        c:wait(1200)
    end
    c:expect_none()
end)

t.case("typing errors, search suffixes, wpad, block lists, mail, reverse lookups", function(c)
    local roll = dice(37)
    for _, name in ipairs { "gogle.con", "wwww.example.com", "facebok.cm", "nonexistent-company.com", "my-old-blog.net", "newsletter-tracking.org", "printer.local",
        "fileserver.corp", "wpad.example.com", "isatap.example.com", "adserver-network.com", "popularbanners.net", "trackingpixel.org", "cheapflights.biz",
        "holidayhomes.info", "goodsoftware.com", "letterpress.net", "mailrelay.org", "shoppingcart.info", "weatherstation.org" } do
        answer(c, name)
        answer(c, name .. ".corp.example.com")
    end
    for _ = 1, 200 do
        answer(c, ("%d.%d.%d.%d.zen.spamhaus.org"):format(roll(255), roll(255), roll(255), roll(255)))
        answer(c, ("%d.%d.%d.%d.in-addr.arpa"):format(roll(255), roll(255), roll(255), roll(255)))
        answer(c, text(roll, 26) .. ".avqs.mcafee.com")
        answer(c, "d" .. text(roll, 13) .. ".cloudfront.net")
        answer(c, text(roll, 20) .. ".s3.eu-west-1.amazonaws.com")
        c:wait(5)
    end
    c:expect_none()
end)

t.case("a network that finds nothing at all", function(c)
    for i, word in ipairs { "apple", "icloud", "google", "facebook", "github", "microsoft", "office", "slack", "zoom", "dropbox", "spotify", "netflix", "amazon",
        "wikipedia", "reddit", "twitter", "linkedin", "adobe", "mozilla", "cloudflare", "akamai", "fastly", "nytimes", "guardian", "spiegel", "bbc", "ebay", "paypal",
        "stripe", "notion", "figma", "atlassian", "jetbrains", "docker", "ubuntu", "debian", "python", "nodejs", "npmjs", "rubygems" } do
        answer(c, ("www.%s.%s"):format(word, i % 2 == 0 and "com" or "org"))
        c:wait(2)
    end
    c:expect_none()
end)

t.case("the same name again and again is one", function(c)
    for _ = 1, 500 do
        answer(c, "kqvwxjtzhrbd.com")
        c:wait(60)
    end
    c:expect_none()
end)

t.case("a made-up name in TLS alone", function(c)
    local mac = c:host(MAC)
    mac:tls { to = "203.0.113.9", sni = "www.qkzvxwjtrhbdpmq.com" }
    mac:tls { to = "203.0.113.9", sni = "www.qkzvxwjtrhbdpmq.com" }
    mac:tls { to = "203.0.113.10", sni = "www.example.com" }
    mac:tls { to = "203.0.113.11", sni = "d3qkzvxwjtrhbd.cloudfront.net" }
    c:expect { title = "Made-up name in TLS", severity = "info", where = "qkzvxwjtrhbdpmq.com" }
end)

t.case("names that no resolver would send", function(c)
    local roll = dice(23)
    answer(c, (("\\255"):rep(60) .. "."):rep(4) .. "com")
    answer(c, ("a."):rep(127) .. "com")
    answer(c, "...")
    answer(c, ".")
    answer(c, "\\046.\\092.com")
    for _ = 1, 100 do
        local name = {}
        for i = 1, 200 do name[i] = ("\\%03d"):format(roll(256) - 1) end
        answer(c, table.concat(name) .. ".com")
    end
    for _ = 1, 30 do answer(c, "xn--" .. text(roll, 12) .. ".com") end
    c:expect_none()
end)
