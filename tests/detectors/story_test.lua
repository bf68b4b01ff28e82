-- scripts/story.lua: what makes a story, what does not, and how its score is explained. story_raise.lua and story_other.lua stand for the detectors behind it.
local t = require "lunette.test"
t.detector("../../scripts/story.lua", "story_raise.lua", "story_other.lua")

local MAC, OTHER = "192.168.1.20", "192.168.1.21"
local INCIDENT = "Incident: several findings tell one story"
local IMPLANT = "/Users/Shared/.sync/updated"

local function raise(c, fields, head)
    local parts = {}
    for key, value in pairs(fields) do parts[#parts + 1] = key .. "=" .. tostring(value):gsub("/", "%%%%2F") end
    table.sort(parts)
    local event = { client_ip = MAC, server_ip = "203.0.113.9", server_port = 80, proto = "TCP", method = "GET", url = "/" .. table.concat(parts, "/") }
    for key, value in pairs(head or {}) do event[key] = value end
    c:event("http", event)
end

-- By the other detector.
local function hello(c, severity, name, head)
    local event = { client_ip = MAC, server_ip = "203.0.113.10", server_port = 443, proto = "TCP", sni = severity .. "." .. name }
    for key, value in pairs(head or {}) do event[key] = value end
    c:event("tls", event)
end

-- What is told is told within a minute. The findings themselves are not what is asked for.
local function settle(c)
    c:ignore { detector = "story_raise" }
    c:ignore { detector = "story_other" }
    c:wait(61)
end

local function incident(fields)
    fields.title = INCIDENT
    return fields
end

-- No incident: that would be an alert which nobody expected.
local function only_raised(c) settle(c) end

t.case("two medium findings of two kinds are one incident", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    c:wait(120)
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567.002" })
    settle(c)
    c:expect(incident { severity = "medium", who = MAC, why = t.contains "2 min later: upload (b.example.org)",
        evidence = { tactics = { "Command and Control", "Exfiltration" }, findings = 2, kinds = 2, update = 0, hosts = { MAC } } })
end)

t.case("the same finding forty times is none", function(c)
    for i = 1, 40 do
        raise(c, { title = "download", where = "s" .. i .. ".example.net", attack = "T1105" })
        c:wait(10)
    end
    only_raised(c)
end)

t.case("unrelated weak leads are none", function(c)
    raise(c, { title = "VPN in use", severity = "low", where = "vpn.example.net", attack = "T1572" })
    c:wait(4000)
    raise(c, { title = "polled", severity = "low", where = "mail.example.org", attack = "T1071.001" })
    c:wait(4000)
    raise(c, { title = "new name", severity = "low", where = "news.example.com", attack = "T1547" })
    c:wait(4000)
    raise(c, { title = "seen", severity = "info" })
    only_raised(c)
end)

t.case("a high finding alone is an alert, and no story", function(c)
    raise(c, { title = "shell", severity = "high", where = "203.0.113.9:4444", attack = "T1059.004" })
    only_raised(c)
end)

t.case("a high finding and a weak one beside it", function(c)
    raise(c, { title = "shell", severity = "high", where = "203.0.113.9:4444", attack = "T1059.004", confidence = 1 })
    c:wait(60)
    raise(c, { title = "odd name", severity = "low", where = "q.example.net", attack = "T1071.004", confidence = 1 })
    settle(c)
    c:expect(incident { severity = "high", attack = t.contains "T1059.004", evidence = { findings = 2, tactics = { "Execution" } } })
end)

t.case("a weak finding hours away is left out, and counted", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    c:wait(7200)
    raise(c, { title = "polled", severity = "low", where = "mail.example.org", attack = "T1071.001" })
    c:wait(7200)
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567" })
    settle(c)
    c:expect(incident { why = t.contains "1 lead of this host left out", evidence = { findings = 2, left_out = 1 } })
end)

t.case("three weak findings of one program hang together", function(c)
    local by = { program = "updated", path = IMPLANT, ancestry = "launchd" }
    raise(c, { title = "polled", severity = "low", where = "a.example.net", attack = "T1071.001", confidence = 1 }, by)
    c:wait(3000)
    hello(c, "low", "b.example.org", by)
    c:wait(3000)
    raise(c, { title = "upload", severity = "low", where = "c.example.com", attack = "T1567", confidence = 1 }, by)
    settle(c)
    c:expect(incident { severity = "medium", why = t.contains("both by " .. IMPLANT), evidence = { programs = { IMPLANT }, kinds = 3 } })
end)

t.case("findings of one detector about one thing are not independent", function(c)
    for _, title in ipairs { "polled", "long", "rare" } do
        raise(c, { title = title, severity = "low", where = "mail.example.net", attack = title == "long" and "T1572" or "T1071.001", confidence = 1 })
        c:wait(1200)
    end
    only_raised(c)
end)

t.case("shells and curl are everybody's: they tie nothing of substance", function(c)
    for i, title in ipairs { "one", "two", "three" } do
        raise(c, { title = title, severity = "low", where = "s" .. i .. ".example" .. i .. ".net", attack = i == 1 and "T1105" or "T1547" },
            { program = "curl", path = "/usr/bin/curl", ancestry = "zsh < login < Terminal < launchd" })
        c:wait(1200)
    end
    only_raised(c)
end)

t.case("each part of the score is named", function(c)
    raise(c, { title = "download", where = "dl.example.net", attack = "T1105", confidence = 1 })
    c:wait(1000)
    hello(c, "medium", "call.example.net")
    settle(c)
    -- 2.5 each, 1 for the domain that both are about; one tactic.
    c:expect(incident { score = 6, evidence = { points = 6, explanation = "6.0 = story_other: hello 2.5 (medium, sure) + story_raise: download 2.5 (medium, sure) + tie: both about example.net 1.0" } })
end)

t.case("who was put there by a command line is tied to it", function(c)
    raise(c, { title = "fetched", severity = "medium", where = "198.51.100.7", attack = "T1105", arguments = "curl -o " .. IMPLANT .. " http:" }, { program = "curl", path = "/usr/bin/curl" })
    c:wait(8 * 3600)
    hello(c, "medium", "x.example.org", { program = "updated", path = IMPLANT })
    settle(c)
    c:expect(incident { why = t.contains("curl wrote " .. IMPLANT), evidence = { findings = 2 } })
end)

t.case("after six quiet hours it is another story, unless something ties the two", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    c:wait(7 * 3600)
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567" })
    only_raised(c)
end)

t.case("what began earlier stands earlier", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    c:wait(1800)
    raise(c, { title = "beacon", where = "c.example.org", attack = "T1071.001", span = 3600 })
    settle(c)
    c:expect(incident { why = t.contains "with: beacon (c.example.org); 30 min later: download" })
end)

t.case("it is told again when it grows, under its name", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567" })
    settle(c)
    c:expect(incident { severity = "medium", evidence = { update = 0 } })
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567" })
    c:wait(1200)
    raise(c, { title = "left", severity = "high", where = "c.example.org", attack = "T1543.001" })
    settle(c)
    c:expect(incident { severity = "high", evidence = { update = 1, tactics = { "Command and Control", "Exfiltration", "Persistence" } } })
end)

t.case("what a cooldown holds back is no finding", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105", key = "k" })
    raise(c, { title = "another", where = "b.example.net", attack = "T1105", key = "k" })
    only_raised(c)
end)

t.case("findings of parts that gather are heard as well", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105", gathered = 1 })
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567", gathered = 1 })
    settle(c)
    c:expect(incident { evidence = { findings = 2 } })
end)

t.case("two hosts, two stories", function(c)
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567" }, { client_ip = OTHER })
    only_raised(c)
end)

t.case("an alert about nobody is passed over", function(c)
    raise(c, { title = "download", who = "the fleet", where = "a.example.net", attack = "T1105" }, { client_ip = OTHER })
    raise(c, { title = "upload", who = "nobody", where = "b.example.org", attack = "T1567" }, { client_ip = OTHER })
    settle(c)
    c:expect(incident { who = OTHER }) -- by the flow's client
end)

-- A Mac announces both of its addresses, and mac_identity calls them one.
t.case("what was found at two addresses of one Mac is one story", function(c)
    local six = "fd00::20"
    local function announces(from, group)
        c:event("mdns", { client_ip = from, server_ip = group, client_port = 5353, server_port = 5353, proto = "UDP", protocol = "mdns", type = "answer",
            model = "MacBookPro18,1", osxvers = 23, names = { "annas-macbook-pro.local" }, hosts = { "annas-macbook-pro.local" }, addresses = { MAC, six } })
        c:wait(1)
    end
    announces(MAC, "224.0.0.251")
    announces(six, "ff02::fb")
    raise(c, { title = "download", where = "a.example.net", attack = "T1105" })
    c:wait(120)
    raise(c, { title = "upload", where = "b.example.org", attack = "T1567.002" }, { client_ip = six, server_ip = "2001:db8::9" })
    settle(c)
    c:expect(incident { severity = "medium", who = MAC, evidence = { findings = 2, kinds = 2, hosts = { MAC, six }, name = "annas-macbook-pro" } })
end)
