-- scripts/cloud_c2.lua: services in common use, used as nobody does; and their honest use, of which nothing is said.
local t = require "lunette.test"
t.detector "../../scripts/cloud_c2.lua"

local MAC, SERVICE = "192.168.1.20", "198.51.100.80"
local CHROME, GO = "t13d1516h2_8daaf6152771_02713d6af862", "t13d190900_9dc949149365_97f8aa674fd9"
local RUST, CURL = "t13d1011h2_61a7ad8aa9b6_3fcd1a44f3e3", "t13d4907h2_0d8feac7bc37_7395dae3b2f3"
local SYSTEM = "t13d2014h2_a09f3c656075_14788d8d241b"

local function with(event, fields)
    for key, value in pairs(fields) do event[key] = value end
    for key, value in pairs(event) do
        if value == "none" then event[key] = nil end
    end
    return event
end

local function hello(c, name, ja4)
    c:event("tls", { client_ip = MAC, client_port = 50000, server_ip = SERVICE, server_port = 443, proto = "TCP", sni = name, ja4 = ja4, has_client_hello = true })
end

local function call(c, name, ja4, fields)
    hello(c, name, ja4)
    c:event("onset", with({ client_ip = MAC, client_port = 50000, server_ip = SERVICE, server_port = 443, proto = "TCP", app_proto = "tls", kind = "start",
        server_name = name, name_source = "sni", ja4 = ja4, client_payload = 800, server_payload = 4000, duration = 0.3 }, fields or {}))
end

local function flow(c, fields)
    c:event("flow", with({ client_ip = MAC, client_port = 50000, server_ip = SERVICE, server_port = 443, proto = "TCP", app_proto = "tls", ja4 = CHROME,
        server_name = "www.dropbox.com", name_source = "sni", client_payload = 1200, server_payload = 5000, client_packets = 10, server_packets = 10, start = c:clock() - 1,
        finish = c:clock() }, fields))
end

-- A browser's stack: it calls many.
local function browse(c, ja4)
    for i = 1, 12 do hello(c, "www.site" .. i .. ".example", ja4) c:wait(1) end
end

local function poll(c, times, every, name, ja4, fields, jitter)
    c:times(times, every, function() call(c, name, ja4, fields) end, { jitter = jitter or 0.1 })
end

local TIMER = "Web service called by a timer"

-- ---------------------------------------------------------------- timers

t.case("a bot's API, polled by a stack without ALPN", function(c)
    browse(c, CHROME)
    poll(c, 60, 60, "api.telegram.org", GO)
    c:expect { title = TIMER, severity = "high", who = MAC, where = "api.telegram.org", attack = t.contains "T1102", why = t.contains "about every 60 s",
        evidence = { service = "Telegram", category = "messaging", client = "bare" } }
end)

t.case("a bot's API, polled by the system's own stack", function(c)
    poll(c, 60, 60, "api.telegram.org", SYSTEM)
    c:expect { title = TIMER, severity = "medium" }
end)

t.case("curl asks a bucket each hour", function(c)
    poll(c, 24, 3600, "mobiletraits.s3.amazonaws.com", CURL, nil, 0.02)
    c:expect { title = TIMER, severity = "low", evidence = { calls = 8 } }
    c:expect { title = TIMER, severity = "medium", evidence = { service = "Amazon S3", client = "tool" } }
end)

t.case("a gist's raw page", function(c)
    poll(c, 40, 120, "gist.githubusercontent.com", RUST)
    c:expect { title = TIMER, severity = "medium", evidence = { category = "paste", client = "special" } }
end)

t.case("a stack that came after the service's own app", function(c)
    local function dropbox() call(c, "client.dropbox.com", RUST) end
    c:times(30, 3600, dropbox, { jitter = 0.3 })
    c:times(300, 60, function(i)
        call(c, "www.dropbox.com", "t13d3112h1_e8f1e7e78f70_b26ce05bbdd6")
        if i % 60 == 0 then dropbox() end
    end, { jitter = 0.1 })
    c:expect { title = TIMER, severity = "medium", where = "www.dropbox.com", why = t.contains "another program of this host has used Dropbox for days" }
end)

t.case("an app that an update gave another stack", function(c)
    browse(c, CHROME)
    c:times(48, 3600, function()
        call(c, "client.dropbox.com", RUST)
        call(c, "www.dropbox.com", CHROME)
    end, { jitter = 0.3 })
    c:times(300, 60, function(i)
        call(c, "client.dropbox.com", "t13d3112h1_e8f1e7e78f70_b26ce05bbdd6")
        if i % 60 == 0 then call(c, "www.dropbox.com", CHROME) end
    end, { jitter = 0.1 })
    c:expect_none()
end)

t.case("a service's app calls its programs' door as well", function(c)
    c:times(100, 60, function()
        call(c, "client.dropbox.com", RUST)
        call(c, "api.dropboxapi.com", RUST)
    end, { jitter = 0.1 })
    c:expect_none()
end)

t.case("a gadget asks its maker's bucket by the clock", function(c)
    poll(c, 200, 300, "gadget-fw.s3.amazonaws.com", GO, nil, 0)
    c:expect { title = TIMER, severity = "low", times = 1 }
end)

t.case("eight calls are few", function(c)
    poll(c, 8, 300, "api.telegram.org", GO, nil, 0)
    c:expect { title = TIMER, severity = "low" }
end)

t.case("seven are none", function(c)
    poll(c, 7, 400, "api.telegram.org", GO, nil, 0)
    c:expect_none()
end)

t.case("a quarter of an hour is short", function(c)
    poll(c, 60, 15, "api.telegram.org", GO)
    c:expect_none()
end)

t.case("people's calls have no timer", function(c)
    browse(c, CHROME)
    local gaps = { 3, 8, 5, 900, 4, 15, 2400, 7, 3, 60, 5, 12, 5400, 6, 30, 4, 300, 9, 14, 7200 }
    for round = 1, 3 do
        for i, gap in ipairs(gaps) do
            call(c, "api.telegram.org", GO, { client_payload = 400 + (i * 7919 + round * 31) % 5000, server_payload = (i * 104729 + round * 17) % 90000 })
            c:wait(gap + round)
        end
    end
    c:expect_none()
end)

t.case("an app of the service's own asks by the clock", function(c)
    browse(c, CHROME)
    poll(c, 100, 60, "notify.dropbox.com", RUST)                   -- Dropbox's own stack, though nobody says so
    poll(c, 100, 30, "wss-primary.slack.com", CHROME)              -- Slack is Electron
    poll(c, 100, 60, "discord.com", CHROME)
    poll(c, 100, 60, "api.dropboxapi.com", RUST, { program = "Dropbox" })
    c:expect_none()
end)

t.case("browsers, developers' tools and sync programs may poll, if they are known", function(c)
    for _, program in ipairs { "Google Chrome He", "git-remote-https", "Code Helper", "rclone", "OneDrive" } do
        if program ~= "rclone" then poll(c, 40, 60, "raw.githubusercontent.com", RUST, { program = program }) end
    end
    c:expect_none()
end)

t.case("a script of nobody's", function(c)
    poll(c, 40, 120, "www.dropbox.com", SYSTEM, { program = "python3", ancestry = "launchd", path = "/usr/bin/python3" })
    c:expect { title = TIMER, severity = "medium", why = t.contains "python3 runs by itself" }
end)

t.case("a script of somebody's at a terminal", function(c)
    poll(c, 40, 120, "www.dropbox.com", SYSTEM, { program = "python3", ancestry = "zsh < login < Terminal < launchd", path = "/usr/bin/python3" })
    c:expect_none()
end)

t.case("what is allowed", function(c)
    c:set { allowed = "api.telegram.org, gofile" }
    poll(c, 60, 60, "api.telegram.org", GO)
    c:expect_none()
end)

-- ---------------------------------------------------------------- evasions

t.case("half of the sleep is jitter", function(c)
    poll(c, 120, 60, "api.telegram.org", GO, nil, 0.5)
    c:expect { title = TIMER, severity = "high" }
end)

t.case("a new folder's name for each call is one more host, so the API's name is what counts", function(c)
    c:times(60, 60, function(i) call(c, "uc" .. i .. ".dl.dropboxusercontent.com", GO) call(c, "content.dropboxapi.com", GO) end, { jitter = 0.1 })
    c:expect { title = TIMER, where = "content.dropboxapi.com" }
    c:ignore { title = TIMER }
end)

t.case("requests within one connection are calls too", function(c)
    hello(c, "api.pcloud.com", RUST)
    c:times(60, 60, function() call(c, "api.pcloud.com", RUST, { kind = "burst" }) end, { jitter = 0.1 })
    c:expect { title = TIMER, severity = "medium", evidence = { service = "pCloud" } }
end)

-- ---------------------------------------------------------------- programs

local PROGRAM = "Web service used by a program that is not its own"

t.case("an unsigned program in /tmp sends to Dropbox", function(c)
    flow(c, { server_name = "content.dropboxapi.com", program = "updater", path = "/private/tmp/updater", platform = "no", client_payload = 5e6 })
    c:expect { title = PROGRAM, severity = "high", where = "content.dropboxapi.com", attack = t.contains "T1567.002", why = t.contains "signed by nobody" }
    c:fact { host = MAC, topic = "cloud", text = "Dropbox: 5.0 MB up, 5.0 kB down in 1 connection" }
end)

t.case("a LaunchAgent's script and a bot", function(c)
    flow(c, { server_name = "api.telegram.org", program = "osascript", path = "/usr/bin/osascript", ancestry = "launchd" })
    c:expect { title = PROGRAM, severity = "low" }
end)

t.case("signed apps, browsers, own apps", function(c)
    flow(c, { server_name = "content.dropboxapi.com", program = "Notes Plus", path = "/Applications/Notes Plus.app/Contents/MacOS/Notes Plus", team_id = "ABCDE12345", platform = "no", client_payload = 5e6 })
    flow(c, { program = "Safari", client_payload = 5e7 })
    flow(c, { program = "Dropbox", client_payload = 5e9 })
    flow(c, { server_name = "slack.com", program = "Slack Helper (Re" })
    flow(c, { server_name = "www.dropbox.com", program = "com.apple.WebKit.Networking", client_payload = 5e6 })
    c:expect_none()
end)

-- ---------------------------------------------------------------- tunnels and other names

t.case("ngrok's agent", function(c)
    c:host(MAC):tls { to = SERVICE, sni = "connect.ngrok-agent.com", stack = "go" }
    c:expect { title = "Tunnel service on this host", severity = "medium", where = "connect.ngrok-agent.com", attack = t.contains "T1572" }
end)

t.case("a page behind ngrok, and its maker's page", function(c)
    local mac = c:host(MAC)
    mac:tls { to = SERVICE, sni = "abcd.ngrok-free.app" }
    mac:tls { to = SERVICE, sni = "dashboard.ngrok.com" }
    mac:tls { to = SERVICE, sni = "ngrok.com" }
    mac:tls { to = SERVICE, sni = "serveo.net" }
    mac:tls { to = SERVICE, sni = "shy-sea.trycloudflare.com" }
    c:expect_none()
end)

t.case("cloudflared, by port alone", function(c)
    flow(c, { server_name = "none", name_source = "none", proto = "UDP", app_proto = "quic", server_port = 7844 })
    c:expect { title = "Tunnel service on this host", severity = "medium", where = "198.51.100.80:7844" }
end)

t.case("Tailscale is a lead, and can be allowed", function(c)
    hello(c, "controlplane.tailscale.com", SYSTEM)
    c:expect { title = "Tunnel service on this host", severity = "low" }
end)

t.case("ssh to a tunnel's door", function(c)
    local mac = c:host(MAC)
    mac:dns { name = "serveo.net", a = SERVICE }
    mac:ssh { to = SERVICE, out = 2000, back = 2000 }
    c:expect { title = "Tunnel service on this host", where = "serveo.net" }
end)

t.case("gateway to Tor", function(c)
    hello(c, "abcdefghijklmnop.onion.ws", CHROME)
    c:expect { title = "Gateway to Tor", severity = "medium", attack = "T1090.003" }
end)

t.case("a request catcher: a lead, and more of a tool", function(c)
    hello(c, "webhook.site", CHROME)
    c:expect { title = "Callback catcher", severity = "low" }
    c:wait(60)
    hello(c, "abc.oast.fun", GO)
    c:expect { title = "Callback catcher", severity = "medium", where = "abc.oast.fun" }
end)

t.case("a catcher in clear, and by DNS alone", function(c)
    local mac = c:host(MAC)
    mac:http { to = SERVICE, host = "x1.requestbin.net" }
    c:expect { title = "Callback catcher", severity = "low", where = "x1.requestbin.net" }
    mac:dns { name = "a.dnslog.cn", a = SERVICE }
    c:expect { title = "Callback catcher", severity = "low", where = "a.dnslog.cn" }
    mac:http { to = SERVICE, host = "mainnet.infura.io", method = "POST", body = "{}" }
    c:expect { title = "Blockchain read by a program", severity = "info" }
    mac:http { to = SERVICE, host = "abc.onion.ws" }
    c:expect { title = "Gateway to Tor" }
end)

t.case("a blockchain's door", function(c)
    hello(c, "mainnet.infura.io", CHROME)
    c:expect { title = "Blockchain read by a program", severity = "info" }
    c:wait(60)
    hello(c, "bsc-dataseed1.binance.org", GO)
    c:expect { title = "Blockchain read by a program", severity = "medium" }
end)

-- ---------------------------------------------------------------- miners

local function line(c, text, port)
    c:host(MAC):tcp { to = SERVICE, port = port or 3333, say = { { "client", text }, { "server", '{"id":1,"result":true}\n' } } }
end

t.case("stratum", function(c)
    line(c, '{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}\n')
    c:expect { title = "Miner at work", severity = "high", attack = "T1496", evidence = { said = "mining.subscribe" } }
end)

t.case("Monero's form, on 443", function(c)
    line(c, '{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD","pass":"x"}}\n', 443)
    c:expect { title = "Miner at work" }
end)

t.case("other JSON over TCP", function(c)
    line(c, '{"jsonrpc":"2.0","method":"initialize","params":{"rootUri":null}}\n')
    line(c, '{"method":"login","params":{"user":"anna","password":"x"}}\n')
    c:expect_none()
end)

t.case("Monero's form with blanks", function(c)
    line(c, '{"id": 1, "jsonrpc": "2.0", "method": "login", "params": {"login": "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLw", "pass": "x"}}\n')
    c:expect { title = "Miner at work" }
end)

t.case("a person reads a pool's page", function(c)
    browse(c, CHROME)
    hello(c, "www.nicehash.com", CHROME)
    hello(c, "abcdefghijklmnop.onion.ws", CHROME)
    c:expect { title = "Mining pool", severity = "low" }
    c:expect { title = "Gateway to Tor", severity = "low" }
end)

t.case("a pool by its name", function(c)
    hello(c, "pool.supportxmr.com", CHROME)
    c:expect { title = "Mining pool", severity = "medium" }
end)
