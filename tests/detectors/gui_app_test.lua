-- scripts/gui_app.lua: each sign fires on a program that has it and is silent on its honest twin.
local t = require "lunette.test"
t.detector "../../scripts/gui_app.lua"

local MAC, BAD, PAGE = "192.168.1.20", "203.0.113.9", "198.51.100.80"
local SYSTEM_STACK, GO_STACK = "t13d2014h2_a09f3c656075_14788d8d241b", "t13d190900_9dc949149365_97f8aa674fd9"
local WORD = "/Applications/Microsoft Word.app/Contents/MacOS/Microsoft Word"

local function flow(c, fields)
    local event = { client_ip = MAC, client_port = 50000, server_ip = PAGE, server_port = 443, proto = "TCP", app_proto = "tls", ja4 = SYSTEM_STACK,
        server_name = "www.example.com", name_source = "sni", client_payload = 1200, server_payload = 5000, start = c:clock() - 1, finish = c:clock() }
    for key, value in pairs(fields) do event[key] = value end
    for key, value in pairs(event) do
        if value == "none" then event[key] = nil end
    end
    c:event("flow", event)
end

local function bare(fields)
    fields.server_ip, fields.server_name, fields.name_source = fields.server_ip or BAD, "none", "none"
    return fields
end

-- TLS without a name: JA4 says so.
local function bare_tls(fields)
    fields.ja4 = "t13i190900_9dc949149365_97f8aa674fd9"
    return bare(fields)
end

local function raw(fields)
    fields.app_proto, fields.ja4 = "none", "none"
    return bare(fields)
end

local function asks_dns(c, host)
    c:event("dns", { client_ip = host or MAC, server_ip = "192.168.1.1", server_port = 53, proto = "UDP", type = "answer", rrname = "www.example.com" })
end

-- ---------------------------------------------------------------- kinds

t.case("a text editor that calls an address without a name", function(c)
    flow(c, bare_tls { program = "BBEdit" })
    c:expect { title = "App talks unlike its kind", severity = "medium", who = MAC, where = BAD, score = 4, why = t.contains "BBEdit called 203.0.113.9:443: the server has no name",
        evidence = { class = "editor" } }
end)

t.case("Word, raw bytes to an odd port", function(c)
    asks_dns(c)
    flow(c, raw { program = "Microsoft Word", path = WORD, server_port = 4444, ancestry = "launchd" })
    c:expect { title = "App talks unlike its kind", severity = "high", attack = t.contains "T1571", why = t.contains "port 4444", evidence = { signs = { "bare", "raw", "port" } } }
end)

t.case("Word calls names", function(c)
    asks_dns(c)
    for i = 1, 40 do flow(c, { program = "Microsoft Word", path = WORD, server_name = "s" .. i .. ".office.example" }) end
    c:expect_none()
end)

t.case("a name cut by the kernel is known as well", function(c)
    flow(c, bare_tls { program = "Microsoft PowerP" })
    c:expect { title = "App talks unlike its kind", why = t.contains "called 203.0.113.9" }
end)

t.case("a document's HTTP request to an address", function(c)
    flow(c, bare { program = "Microsoft Word", app_proto = "http", ja4 = "none", server_port = 80 })
    c:expect { title = "App talks unlike its kind", severity = "medium" }
end)

t.case("where DNS is not seen, a missing name says little", function(c)
    flow(c, bare { program = "BBEdit", proto = "UDP", app_proto = "none", ja4 = "none", server_port = 443 })
    c:expect_none()
end)

t.case("a flow whose beginning is missing has no name to show", function(c)
    asks_dns(c)
    flow(c, bare { program = "BBEdit", midstream = true, app_proto = "none", ja4 = "none" })
    c:expect_none()
end)

t.case("TextEdit has no business outside", function(c)
    flow(c, { program = "TextEdit", path = "/System/Applications/TextEdit.app/Contents/MacOS/TextEdit", platform = "yes", signing_id = "com.apple.TextEdit" })
    c:expect { title = "App that should be silent talks to the outside", severity = "medium", where = "www.example.com" }
end)

t.case("but with Apple", function(c)
    flow(c, { program = "Preview", server_name = "gateway.icloud.com", server_ip = "17.248.1.1" })
    flow(c, { program = "Calculator", server_name = "none", name_source = "none", server_ip = "17.253.1.1" })
    c:expect_none()
end)

t.case("nor inside: printers, screens, servers of the house", function(c)
    flow(c, raw { program = "Preview", server_ip = "192.168.1.50", server_port = 9100 })
    flow(c, raw { program = "TextEdit", server_ip = "100.100.3.4", server_port = 445 })
    flow(c, raw { program = "QuickTime Player", proto = "UDP", server_ip = "224.0.0.251", server_port = 5353 })
    c:expect_none()
end)

t.case("browsers and chat programs call addresses by trade", function(c)
    asks_dns(c)
    for _, program in ipairs { "Google Chrome He", "firefox", "Safari", "zoom.us", "Slack Helper (Re", "Discord Helper (Renderer)" } do
        flow(c, bare_tls { program = program })
        flow(c, bare { program = program, proto = "UDP", app_proto = "stun", ja4 = "none", server_port = 50123 })
    end
    c:expect_none()
end)

t.case("a browser that speaks bare TCP to an address", function(c)
    asks_dns(c)
    flow(c, raw { program = "Google Chrome He", server_port = 8443 })
    c:expect { title = "App talks unlike its kind", severity = "medium", evidence = { signs = { "raw and bare" } } }
end)

t.case("developers' programs, terminals, VPNs and installers are no apps in this sense", function(c)
    asks_dns(c)
    for _, program in ipairs { "Code Helper", "Xcode", "iTerm2", "Tunnelblick", "Installer", "Transmission" } do flow(c, raw { program = program, server_port = 4444 }) end
    c:expect_none()
end)

t.case("who acts for others is nobody, unless the log says for whom", function(c)
    asks_dns(c)
    flow(c, bare_tls { program = "com.apple.WebKit.Networking" })
    flow(c, bare_tls { program = "nsurlsessiond" })
    flow(c, bare_tls { program = "com.apple.WebKit.Networking", responsible = "/System/Applications/TextEdit.app/Contents/MacOS/TextEdit" })
    c:expect { title = "App that should be silent talks to the outside", severity = "high", why = t.contains "TextEdit called" }
end)

t.case("an editor that answers callers from outside", function(c)
    c:event("flow", { client_ip = "203.0.113.9", client_port = 41000, server_ip = MAC, server_port = 8765, proto = "TCP", server_process = "Sublime Text",
        client_payload = 100, server_payload = 100 })
    c:event("flow", { client_ip = "203.0.113.9", client_port = 41000, server_ip = MAC, server_port = 8765, proto = "TCP", server_process = "Pages",
        client_payload = 100, server_payload = 100 })
    c:event("flow", { client_ip = "192.168.1.21", client_port = 41000, server_ip = MAC, server_port = 8765, proto = "TCP", server_process = "Pages",
        client_payload = 100, server_payload = 100 })
    c:expect { title = "App answers calls from outside", who = MAC, where = "203.0.113.9", severity = "medium", why = t.contains "port 8765" }
end)

-- ---------------------------------------------------------------- places and disguises

t.case("an unsigned program in Downloads", function(c)
    flow(c, { program = "Installer Tool", path = "/Users/anna/Downloads/Installer Tool.app/Contents/MacOS/Installer Tool", platform = "no" })
    c:expect { title = "Program from a place for downloads talks to the outside", severity = "medium", attack = "T1204.002", why = t.contains "Downloads" }
end)

t.case("to an address without a name", function(c)
    flow(c, bare_tls { program = "update", path = "/private/tmp/.x/update", platform = "no", signing_id = "update-5555" })
    c:expect { title = "Program from a place for downloads talks to the outside", severity = "high", why = t.contains "temporary folder" }
end)

t.case("a mounted volume whose log tells no signature is a lead", function(c)
    flow(c, { program = "Setup", path = "/Volumes/Setup/Setup.app/Contents/MacOS/Setup" })
    c:expect { title = "Program from a place for downloads talks to the outside", severity = "low" }
end)

t.case("signed programs may run from anywhere, and installed ones need no signature here", function(c)
    flow(c, { program = "Zoom", path = "/private/var/folders/zz/x/T/AppTranslocation/1/d/Zoom.app/Contents/MacOS/Zoom", platform = "no", team_id = "ABCDE12345" })
    flow(c, { program = "mytool", path = "/Users/anna/go/bin/mytool", platform = "no" })
    flow(c, { program = "rg", path = "/opt/homebrew/bin/rg", platform = "no" })
    flow(c, { program = "My App", path = "/Applications/My App.app/Contents/MacOS/My App", platform = "no" })
    c:expect_none()
end)

t.case("Safari that is none", function(c)
    flow(c, { program = "Safari", path = "/Users/anna/Library/Safari/Safari", platform = "no" })
    c:expect { title = "Program under a name of Apple's", severity = "high", attack = "T1036.005", why = t.contains "runs from /Users/anna/Library/Safari/Safari" }
end)

t.case("a daemon's name", function(c)
    flow(c, { program = "softwareupdated", path = "/Users/Shared/softwareupdated", platform = "no", signing_id = "a.out" })
    c:expect { title = "Program under a name of Apple's", severity = "high", why = t.contains "signed as a.out" }
end)

t.case("the real ones, wherever macOS keeps them", function(c)
    for _, one in ipairs {
        { "Safari", "/System/Volumes/Preboot/Cryptexes/App/System/Applications/Safari.app/Contents/MacOS/Safari" }, { "Safari", "/Applications/Safari.app/Contents/MacOS/Safari" },
        { "trustd", "/Library/Developer/CoreSimulator/Volumes/iOS_21A328/Library/Developer/CoreSimulator/Profiles/Runtimes/iOS 17.0.simruntime/Contents/Resources/RuntimeRoot/usr/libexec/trustd" },
        { "smbd", "/opt/homebrew/sbin/smbd" }, { "Notes", "/Applications/Notes.app/Contents/MacOS/Notes" }, { "Music", "/Users/anna/Applications/Music.app/Contents/MacOS/Music" },
    } do
        flow(c, { program = one[1], path = one[2], server_name = "www.apple.com", server_ip = "17.253.144.10" })
    end
    c:expect_none()
end)

-- ---------------------------------------------------------------- history

local DAYS = 4

-- Four days of an app's ordinary traffic: ten calls a day.
local function days_of(c, program, fields, host)
    c:times(DAYS * 10, 8640, function()
        local event = { program = program, server_name = "api.maker.example", client_ip = host or MAC }
        for key, value in pairs(fields or {}) do event[key] = value end
        flow(c, event)
    end)
end

t.case("a new domain alone is news", function(c)
    days_of(c, "Things3")
    flow(c, { program = "Things3", server_name = "collect.other.example" })
    flow(c, { program = "Things3", server_name = "www.maker.example" })
    flow(c, { program = "Things3", server_name = "gateway.icloud.com" })
    c:expect { title = "App calls a new domain", severity = "info", where = "collect.other.example", why = t.contains "other.example for the first time" }
end)

t.case("in the first days all is new", function(c)
    for i = 1, 60 do flow(c, { program = "Things3", server_name = "www.d" .. i .. ".example" }) end
    c:expect_none()
end)

t.case("a new domain, by another TLS stack, with a large upload", function(c)
    days_of(c, "Things3")
    flow(c, { program = "Things3", server_name = "drop.other.example", ja4 = GO_STACK, client_payload = 40e6, server_payload = 9000 })
    c:expect { title = "App talks unlike before", severity = "medium", score = 5, why = t.contains "sent 40.0 MB, at most 1.2 kB", evidence = { signs = { "stack", "upload", "domain" } } }
end)

t.case("and with an odd port it is high", function(c)
    days_of(c, "Things3")
    flow(c, { program = "Things3", server_name = "drop.other.example", ja4 = GO_STACK, server_port = 8444, client_payload = 40e6, server_payload = 9000 })
    c:expect { title = "App talks unlike before", severity = "high" }
end)

t.case("the same stack with other extensions is no new one", function(c)
    days_of(c, "Things3")
    flow(c, { program = "Things3", server_name = "api.maker.example", ja4 = "t13d2015h1_a09f3c656075_aaaaaaaaaaaa" })
    c:expect_none()
end)

t.case("what Slack does over QUIC or by its helper is Slack", function(c)
    days_of(c, "Slack")
    flow(c, { program = "Slack Helper (Renderer)", server_name = "files.maker.example" })
    c:expect_none()
end)

t.case("a browser's names are never new, nor those of an IDE", function(c)
    days_of(c, "Google Chrome")
    days_of(c, "Code Helper (Plugin)")
    for i = 1, 50 do
        flow(c, { program = "Google Chrome He", server_name = "www.d" .. i .. ".example" })
        flow(c, { program = "Code Helper", server_name = "www.d" .. i .. ".example" })
    end
    c:expect_none()
end)

t.case("what nobody else calls weighs more, if there are others", function(c)
    for i = 30, 36 do
        flow(c, { program = "Things3", client_ip = "192.168.1." .. i, server_name = "api.maker.example" })
        flow(c, { program = "Google Chrome", client_ip = "192.168.1." .. i, server_name = "known.shared.example" })
    end
    days_of(c, "Things3")
    days_of(c, "Notion")
    flow(c, { program = "Things3", server_name = "drop.other.example", ja4 = GO_STACK })
    c:expect { title = "App talks unlike before", severity = "medium", score = 4, evidence = { others = 0 }, why = t.contains "no program of 8 hosts" }
    flow(c, { program = "Notion", server_name = "known.shared.example", ja4 = GO_STACK })
    c:expect { title = "App talks unlike before", severity = "low", score = 3, evidence = { others = 7 } }
end)

t.case("said once a day; what is new for it besides is said on top", function(c)
    c:times(100, 60, function() flow(c, bare_tls { program = "BBEdit" }) end)
    days_of(c, "Nova Editor", { path = "/Applications/BBEdit.app/Contents/MacOS/BBEdit", client_ip = "192.168.1.21" })
    flow(c, bare_tls { program = "Nova Editor", path = "/Applications/BBEdit.app/Contents/MacOS/BBEdit", client_ip = "192.168.1.21" })
    c:expect { title = "App talks unlike its kind", who = MAC, severity = "medium", times = 1 }
    c:expect { title = "App talks unlike its kind", who = "192.168.1.21", severity = "high", score = 8, evidence = { signs = { "bare", "stack", "first bare" } } }
end)

-- ---------------------------------------------------------------- not known, not said

t.case("no program, no word", function(c)
    asks_dns(c)
    flow(c, raw { server_port = 4444 })
    c:expect_none()
end)

t.case("tools below an app are lolbin's", function(c)
    flow(c, bare_tls { program = "curl", path = "/usr/bin/curl", platform = "yes", ancestry = "sh < Microsoft Word < launchd" })
    c:expect_none()
end)

t.case("a Mac in an office, as its own tcpdump saw it", function(c)
    c:capture "../../examples/programs.pcapng.gz"
    c:expect_none()
end)

t.case("a document that runs curl: Word itself says nothing", function(c)
    c:capture("../../examples/document.pcapng.gz", { host_log = "192.168.7.23=../../examples/document.eslogger.jsonl" })
    c:expect_none()
end)
