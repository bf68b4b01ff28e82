-- scripts/exfil.lua: uploads unlike before, in pieces, to places for anybody, in clear; and the honest ones, of which nothing is said.
local t = require "lunette.test"
t.detector "../../scripts/exfil.lua"

local MAC, SERVER = "192.168.1.20", "198.51.100.80"
local SYSTEM, CURL = "t13d2014h2_a09f3c656075_14788d8d241b", "t13d4907h2_0d8feac7bc37_7395dae3b2f3"

local function with(event, fields)
    for key, value in pairs(fields or {}) do event[key] = value end
    for key, value in pairs(event) do
        if value == "none" then event[key] = nil end
    end
    return event
end

local function send(c, name, bytes, fields)
    c:event("onset", with({ client_ip = MAC, client_port = 50000, server_ip = SERVER, server_port = 443, proto = "TCP", app_proto = "tls", kind = "start",
        server_name = name, name_source = "sni", ja4 = SYSTEM, client_payload = bytes, server_payload = 4000, duration = 1 }, fields))
end

local bare = { server_name = "none", name_source = "none" }

-- Days of ordinary use: a megabyte or so a day.
local function days(c, count)
    for day = 1, count do
        send(c, "mail.example.com", 600000 + 40000 * (day % 3))
        send(c, "www.example.net", 300000)
        c:wait(86400)
    end
end

local function lookup(c)
    c:event("dns", { client_ip = MAC, server_ip = "192.168.1.1", server_port = 53, proto = "UDP", type = "query", rrname = "api.ipify.org" })
end

-- ---------------------------------------------------------------- amounts

local NEW, MORE = "Large upload to a name never called before", "Upload far beyond its own history"

t.case("a large upload to a new name", function(c)
    days(c, 6)
    send(c, "files.fresh.example", 60e6)
    c:expect { title = NEW, severity = "medium", who = MAC, where = "fresh.example", attack = "T1041", why = t.contains "60 MB today to fresh.example",
        evidence = { sent_today = 60004000 - 4000, host_days = 6 } }
    c:ignore { title = "More sent than ever" }
end)

t.case("many middling ones to a new name are a large one", function(c)
    days(c, 6)
    for i = 1, 12 do
        send(c, "files.fresh.example", 1e6 * i)
        c:wait(600)
    end
    c:expect { title = NEW, severity = "medium", evidence = { sent_today = 21e6 } }
end)

t.case("to a new address without a name, right after a question for the own address", function(c)
    days(c, 6)
    lookup(c)
    c:wait(30)
    send(c, nil, 60e6, bare)
    c:expect { title = NEW, severity = "high", where = SERVER, why = t.contains "30 s after it asked for its own public address" }
    c:expect { title = "Upload right after asking for the own address", severity = "high", attack = "T1016,T1041" }
end)

t.case("nothing is new to a host of one day", function(c)
    days(c, 2)
    send(c, "files.fresh.example", 60e6)
    send(c, nil, 60e6, bare)
    c:expect_none()
end)

t.case("far more than usual to a usual name", function(c)
    days(c, 6)
    send(c, "mail.example.com", 80e6)
    c:expect { title = MORE, severity = "low", where = "example.com", why = t.contains "a day is usual" }
end)

t.case("four times the largest day is the border", function(c)
    for day = 1, 6 do
        send(c, "www.example.com", 10e6)
        c:wait(86400)
    end
    send(c, "www.example.com", 39e6)
    c:expect_none()
end)

t.case("a download is no upload", function(c)
    days(c, 6)
    send(c, "files.fresh.example", 60e6, { server_payload = 900e6 })
    c:expect_none()
end)

t.case("what people store with takes points off", function(c)
    days(c, 6)
    send(c, "content.dropboxapi.com", 60e6)
    c:expect { title = NEW, severity = "low", attack = "T1567.002" }
end)

t.case("Apple's, the house's, calls, and sync programs", function(c)
    days(c, 6)
    send(c, "p70-content.icloud.com", 5e9)
    send(c, "p70-photos.icloud-content.com", 5e9)
    send(c, nil, 5e9, { server_name = "none", server_ip = "17.248.1.1" })
    send(c, nil, 90e9, { server_name = "none", server_ip = "192.168.1.5", server_port = 445, app_proto = "smb", ja4 = "none" })
    send(c, nil, 900e6, { server_name = "none", proto = "UDP", app_proto = "stun", ja4 = "none", server_port = 3478 })
    send(c, nil, 900e6, { server_name = "none", proto = "UDP", app_proto = "none", ja4 = "none", server_port = 50123 })
    send(c, nil, 900e6, { server_name = "none", proto = "UDP", app_proto = "wireguard", ja4 = "none", server_port = 51820 })
    send(c, "f003.backblazeb2.com", 90e6, { program = "bztransmit" })
    c:expect_none()
end)

t.case("what is allowed", function(c)
    c:set { allowed = "fresh.example, 198.51.100.0/24" }
    days(c, 6)
    send(c, "files.fresh.example", 60e6)
    send(c, nil, 60e6, bare)
    c:expect_none()
end)

t.case("curl's upload is lolbin's as such, and here by history", function(c)
    days(c, 6)
    send(c, "files.fresh.example", 60e6, { ja4 = CURL })
    c:expect { title = NEW, why = t.contains "it is curl's, of which lolbin tells" }
end)

t.case("more than ever, to many names", function(c)
    days(c, 6)
    for i = 1, 60 do send(c, "a" .. i .. ".example", 10e6) end
    c:expect { title = "More sent than ever", severity = "low" }
end)

t.case("a name that was called before, if only to read, is not new", function(c)
    for day = 1, 7 do
        send(c, "mail.example.com", 600000)
        if day > 1 then send(c, "www.fresh.example", 1500, { server_payload = 90000 }) end
        c:wait(86400)
    end
    send(c, "files.fresh.example", 60e6)
    c:expect { title = MORE, severity = "low", where = "fresh.example" }
end)

t.case("state of two hosts is theirs", function(c)
    days(c, 6)
    send(c, "files.fresh.example", 60e6, { client_ip = "192.168.1.21" })
    c:expect_none()
end)

-- ---------------------------------------------------------------- pieces

t.case("pieces of one size to a new name", function(c)
    days(c, 6)
    c:times(40, 60, function(i) send(c, "api.fresh.example", 400000 + i * 100) end)
    c:expect { title = "Data carried out in pieces of one size", severity = "medium", attack = t.contains "T1030", why = t.contains "30 uploads" }
end)

t.case("pieces to a bare address on the first day", function(c)
    c:times(40, 60, function() send(c, nil, 400000, bare) end)
    c:expect { title = "Data carried out in pieces of one size", severity = "medium", where = SERVER }
end)

t.case("small uploads all day", function(c)
    days(c, 6)
    c:times(240, 300, function(i) send(c, "t.fresh.example", 15000 + (i * 7919) % 40000) end)
    c:expect { title = "Small uploads all day to a new name", severity = "low" }
end)

t.case("telemetry that is there each day, and sizes of all kinds", function(c)
    for day = 1, 8 do
        c:meanwhile(function() c:times(60, 60, function(i) send(c, "o1.ingest.sentry.example", 60000 + (i * 7919 + day * 31) % 60000) end) end)
        c:meanwhile(function() c:times(60, 60, function() send(c, "video.example.org", 400000, { server_payload = 300000 }) end) end)
        c:wait(86400)
    end
    c:expect_none()
end)

t.case("chunks of a storage", function(c)
    days(c, 6)
    c:times(40, 10, function() send(c, "content.dropboxapi.com", 400000) end)
    c:expect_none()
end)

-- ---------------------------------------------------------------- places

t.case("a drop for anybody's files", function(c)
    send(c, "store4.gofile.io", 5e6)
    c:expect { title = "Upload to an anonymous file drop", severity = "medium", attack = "T1567.002", evidence = { sent = 5e6 } }
end)

t.case("by a browser it is a lead, and pictures are people's", function(c)
    send(c, "transfer.sh", 5e6, { program = "Safari" })
    c:expect { title = "Upload to an anonymous file drop", severity = "low" }
    send(c, "wetransfer.com", 5e8)
    send(c, "gofile.io", 200000)
    c:expect { title = "Upload to an anonymous file drop", severity = "low", where = "wetransfer.com" }
end)

t.case("a paste", function(c)
    send(c, "pastebin.com", 40000)
    c:expect { title = "Upload to a paste service", severity = "medium", attack = "T1567.003" }
end)

t.case("a paste that is read", function(c)
    send(c, "pastebin.com", 3000, { server_payload = 50000 })
    c:expect_none()
end)

t.case("asked for its address, and sent to a bot", function(c)
    lookup(c)
    c:wait(20)
    send(c, "api.telegram.org", 900000)
    c:expect { title = "Upload right after asking for the own address", severity = "medium" }
end)

t.case("five minutes later it is another matter", function(c)
    lookup(c)
    c:wait(301)
    send(c, "api.telegram.org", 900000)
    c:expect_none()
end)

-- ---------------------------------------------------------------- in clear

local function post(c, fields)
    c:event("http", with({ client_ip = MAC, client_port = 50001, server_ip = SERVER, server_port = 80, proto = "TCP", method = "POST", url = "/joinsystem", host = "none",
        request_length = 8e6, length = 20, status = 200, request_content_type = "multipart/form-data; boundary=x", request_headers = { "Host", "user", "BuildID", "Content-Type" } }, fields))
end

t.case("a stealer's zip", function(c)
    post(c)
    c:expect { title = "Files posted in clear", severity = "high", where = SERVER, attack = "T1048.003,T1041", why = t.contains "with a header user" }
end)

t.case("a zip to a name", function(c)
    post(c, { host = "drop.example", url = "/up/out.zip", request_content_type = "application/zip", request_headers = { "Host" }, user_agent = "Agent/1.0" })
    c:expect { title = "Files posted in clear", severity = "medium" }
end)

t.case("curl's is lolbin's", function(c)
    post(c, { user_agent = "curl/8.7.1" })
    c:expect_none()
end)

t.case("a form in a browser, JSON, small things, the printer", function(c)
    post(c, { host = "forum.example.com", user_agent = "Mozilla/5.0 (Macintosh)", referer = "http://forum.example.com/", request_headers = { "Host", "User-Agent", "Referer" } })
    post(c, { host = "api.example.com", request_content_type = "application/json", user_agent = "App/1.0 CFNetwork/1490 Darwin/23", request_headers = { "Host" } })
    post(c, { request_length = 15000 })
    post(c, { server_ip = "192.168.1.9", server_port = 631 })
    c:expect_none()
end)

-- ---------------------------------------------------------------- what ordinary life and an intruder make of the rules

t.case("a meter in the menu bar asks for the own address all day", function(c)
    for day = 1, 6 do
        for _ = 1, 6 do
            lookup(c)
            c:wait(1200)
        end
        send(c, "mail.example.com", 600000)
        c:wait(86400 - 7200)
    end
    lookup(c)
    c:wait(20)
    send(c, "jobs.fresh.example", 900000)
    send(c, nil, 400000, bare)
    c:expect_none()
end)

t.case("four questions in a row are one", function(c)
    days(c, 6)
    for _ = 1, 6 do lookup(c) c:wait(2) end
    send(c, "jobs.fresh.example", 900000)
    c:expect { title = "Upload right after asking for the own address", severity = "medium" }
end)

t.case("first pushes of a developer, first days of a backup, of a film, of a meeting", function(c)
    days(c, 6)
    for _, name in ipairs { "registry-1.docker.io", "ghcr.io", "registry.npmjs.org", "github.com", "pod-000-1000-00.backblaze.com", "client.dropbox.com", "storage.live.com",
        "acme-my.sharepoint.com", "upload.youtube.com", "us04web.zoom.us", "teams.microsoft.com", "files.slack.com", "mmg.whatsapp.net", "cdn.signal.org", "lr.adobe.io", "www.figma.com",
        "evs12.idrive.com", "photos.google.com", "outlook.office365.com", "acme.jamfcloud.com" } do
        send(c, name, 300e6)
        c:wait(600)
    end
    c:ignore { severity = "low" }
    c:expect_none()
end)

t.case("fifty gigabytes of a first sync to iCloud, a disk of Time Machine, a printer", function(c)
    days(c, 6)
    for i = 1, 50 do
        send(c, "p12-content.icloud.com", 1e9)
        send(c, nil, 1e9, { server_name = "none", name_source = "none", server_ip = "192.168.1.5", server_port = 445, app_proto = "smb" })
        c:wait(300)
    end
    c:expect_none()
end)

t.case("pieces below ten kilobytes add up as well", function(c)
    days(c, 6)
    for i = 1, 2300 do
        send(c, "files.fresh.example", 9000, { server_payload = 300 })
        c:wait(5)
    end
    c:expect { title = NEW, severity = "medium", where = "fresh.example" }
    c:ignore { title = "Small uploads all day to a new name" }
end)

t.case("a drop in pieces", function(c)
    for _ = 1, 6 do
        send(c, "store1.gofile.io", 200000, { server_payload = 900 })
        c:wait(900)
    end
    c:expect { title = "Upload to an anonymous file drop", severity = "medium", why = t.contains "400 kB today" }
end)

t.case("files that are shared among peers, and a connection that was there before the sensor", function(c)
    days(c, 6)
    send(c, nil, 60e6, { server_name = "none", name_source = "none", server_ip = "203.0.113.77", partial = "midstream", server_port = 51413 })
    for i = 1, 30 do
        send(c, nil, 15e6, { server_name = "none", name_source = "none", app_proto = "none", ja4 = "none", server_ip = "198.51.100." .. 100 + i, server_port = 51413 })
        c:wait(60)
    end
    for i = 1, 30 do
        send(c, nil, 15e6, { server_name = "none", name_source = "none", app_proto = "none", ja4 = "none", server_ip = "198.51.100." .. 100 + i, server_port = 51413 })
        c:wait(60)
    end
    c:ignore { severity = "low" }
    c:expect_none()
end)
