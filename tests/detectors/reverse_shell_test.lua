-- scripts/reverse_shell.lua: sessions that the other side leads, and the honest ones that look nearly so.
local t = require "lunette.test"
t.detector "../../scripts/reverse_shell.lua"

local MAC, C2 = "192.168.1.20", "203.0.113.9"
local LED = "The other side leads the session"

-- Commands of a person and what a Mac answers; `think` gives the seconds before the i-th, `output` the bytes of the answer.
local function session(times, think, command, output)
    local say = { { "client", 600 }, { "server", 900 } }
    for i = 1, times do
        say[#say + 1] = { "server", command(i), after = think(i) }
        local left, first = output(i), true
        while left > 0 do
            say[#say + 1] = { "client", math.min(left, 1400), after = first and 0.1 or 0.01 }
            left, first = left - 1400, false
        end
    end
    return say
end
local function uneven(i) return ({ 40, 900, 120, 2600, 64, 300, 5200, 90 })[i % 8 + 1] end
local function command(i) return 40 + i * 7 % 60 end
local function quick(i) return 2.5 + i * 3 % 6 end
local function slow(i) return 12 + i * 7 % 25 end

t.case("an encrypted shell to a bare address is told while it is open", function(c)
    c:host(MAC):tls { to = C2, port = 4443, say = session(30, quick, command, uneven), close = "none" }
    c:expect { title = LED, severity = "medium", who = MAC, where = C2 .. ":4443", why = t.contains "the other side leads",
        evidence = { open = true, signs = { "an address without a name", "port 4443" } } }
end)

t.case("an operator who thinks longer is told of when the session ends", function(c)
    c:host(MAC):tls { to = C2, sni = "cdn.example.com", say = session(25, slow, command, uneven) }
    c:expect { title = LED, severity = "low", where = "cdn.example.com:443", evidence = { commands = t.near(25, 2) } }
end)

local function shell(c, fields)
    local event = { client_ip = MAC, server_ip = C2, server_port = 443, proto = "TCP", kind = "start", client_payload = 40, server_payload = 9, duration = 3, process = "bash", program = "bash" }
    for key, value in pairs(fields) do event[key] = value end
    c:event("onset", event)
end

t.case("a shell that opened a connection by itself, below Word", function(c)
    shell(c, { pid = 4711, path = "/bin/bash", ancestry = "Microsoft Word < launchd" })
    c:expect { title = "A shell holds a connection", severity = "high", who = MAC, where = C2 .. ":443", why = t.contains "bash < Microsoft Word" }
end)

t.case("by /dev/udp", function(c)
    shell(c, { proto = "UDP", server_port = 53 })
    c:expect { title = "A shell holds a connection", severity = "high", where = C2 .. ":53" }
end)

t.case("a shell called from outside holds nothing itself; one that waits for a server sends nothing", function(c)
    shell(c, { process = "zsh", direction = "in" })
    shell(c, { process = "zsh", direction = "out", server_ip = "192.168.1.30" })
    shell(c, { process = "bash", direction = "out", server_port = 5432, client_payload = 0, server_payload = 0 })
    c:expect_none()
end)

t.case("long polls of one size are a program's", function(c)
    c:host(MAC):tls { to = C2, sni = "chat.example.com", say = session(40, slow, command, function() return 420 end) }
    c:host(MAC):tls { to = C2, sni = "chat.example.com", say = session(40, quick, command, function() return 420 end) }
    c:expect_none()
end)

t.case("pushed messages that are acknowledged", function(c)
    c:host(MAC):tls { to = C2, sni = "push.example.com", say = session(40, quick, function(i) return 200 + i * 97 % 700 end, function(i) return 30 + i % 3 end) }
    c:expect_none()
end)

t.case("a person who asks and is answered", function(c)
    local say = {}
    for i = 1, 40 do
        say[#say + 1] = { "client", 60 + uneven(i), after = quick(i) }
        say[#say + 1] = { "server", 300 + 31 * i % 500, after = 0.1 }
    end
    c:host(MAC):tls { to = C2, sni = "www.example.com", say = say }
    c:expect_none()
end)

t.case("mail that is pushed", function(c)
    c:host(MAC):tls { to = C2, port = 993, sni = "imap.example.com", say = session(30, quick, command, uneven) }
    c:expect_none()
end)

local function waits(c, fields)
    local event = { client_ip = MAC, server_ip = C2, server_port = 8080, proto = "TCP", program = "python3.12", path = "/opt/homebrew/bin/python3.12",
        ancestry = "launchd", age = 7200, client_payload = 900, server_payload = 400, turns = 12 }
    for key, value in pairs(fields) do event[key] = value end
    c:event("flow", event)
end

t.case("an interpreter that waits for orders", function(c)
    waits(c, {})
    c:expect { title = "A script waits on a connection", severity = "medium", where = C2 .. ":8080", why = t.contains "2.0 h" }
end)

t.case("who may wait: a person's script, a short one, one that works, a browser", function(c)
    waits(c, { age = 300 })
    waits(c, { server_payload = 9e6 })
    waits(c, { program = "Safari", path = "/Applications/Safari.app/Contents/MacOS/Safari" })
    waits(c, { program = "ssh", path = "/usr/bin/ssh", app_proto = "ssh", server_port = 22 })
    c:expect_none()
end)

t.case("somebody outside holds an ssh session with this host, another VNC", function(c)
    local event = { client_ip = C2, server_ip = MAC, server_port = 22, proto = "TCP", app_proto = "ssh", age = 900, client_payload = 9000, server_payload = 40000,
        turns = 300, client_pauses = 120, server_pauses = 4, client_small = 290 }
    c:event("flow", event)
    event.app_proto, event.server_port, event.client_ip = "rfb", 5900, "198.51.100.7"
    c:event("flow", event)
    c:expect { title = "Interactive session from outside", severity = "low", who = MAC, where = C2 }
    c:expect { title = "Interactive session from outside", severity = "medium", who = MAC, where = "198.51.100.7" }
end)

t.case("attempts to log in, web servers, and neighbours are no sessions from outside", function(c)
    local event = { client_ip = C2, server_ip = MAC, server_port = 22, proto = "TCP", app_proto = "ssh", age = 3, client_payload = 2000, server_payload = 2000,
        turns = 14, client_pauses = 3, server_pauses = 1, client_small = 6 }
    c:event("flow", event)
    event.app_proto, event.turns, event.client_pauses = "http", 200, 100
    c:event("flow", event)
    event.app_proto, event.client_ip = "ssh", "192.168.1.7"
    c:event("flow", event)
    c:expect_none()
end)

-- ---------------------------------------------------------------- chats

-- Others write, this host acknowledges, types now and then, and sends some photographs.
local function chat(i) return i % 9 == 0 and 180000 or i % 5 == 0 and 260 or 90 + i * 11 % 40 end

t.case("Telegram: no name, no protocol, others write and photographs are sent", function(c)
    for _, think in ipairs { quick, slow } do
        local say = session(40, think, function(i) return 120 + i * 37 % 400 end, chat)
        c:host(MAC):tcp { to = "149.154.167.51", port = 443, say = say }
        c:host(MAC):tcp { to = C2, port = 443, say = say }
    end
    c:expect_none()
end)

t.case("a shell whose outputs are few lines, and a long file among them", function(c)
    c:host(MAC):tls { to = C2, port = 4443, say = session(30, quick, function(i) return 20 + i % 20 end, function(i) return i == 13 and 400000 or uneven(i) end), close = "none" }
    c:expect { title = LED, severity = "medium" }
end)

t.case("a Linux server's door is not this detector's business", function(c)
    local SERVER = "192.168.1.60"
    c:event("dhcp", { client_ip = SERVER, client_port = 68, server_ip = "192.168.1.1", server_port = 67, proto = "UDP", type = "request", message = "request", version = 4, hostname = "srv",
        requested_ip = SERVER, current_ip = SERVER, client_mac = "52:54:00:00:00:60", vendor_class = "dhcpcd-9.4.1:Linux-4.9:x86_64" })
    c:event("http", { client_ip = SERVER, client_port = 50000, server_ip = "203.0.113.9", server_port = 80, proto = "TCP", method = "GET", host = "deb.example.org", url = "/",
        user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0" })
    c:wait(60)
    c:event("flow", { client_ip = C2, server_ip = SERVER, server_port = 22, proto = "TCP", app_proto = "ssh", age = 900, client_payload = 9000, server_payload = 40000,
        turns = 300, client_pauses = 120, server_pauses = 4, client_small = 290 })
    c:expect_none()
end)

t.case("a bare shell whose answers are a line each", function(c)
    for i, think in ipairs { quick, slow } do
        local say = session(20, think, function(k) return 8 + k % 9 end, function(k) return ({ 16, 50, 22, 130, 18, 310, 32 })[k % 7 + 1] end)
        table.remove(say, 1) -- the prompt is all that comes before
        say[1] = { "client", 11 }
        c:host(MAC):tcp { to = "203.0.113." .. 30 + i, port = 4444, say = say }
        c:expect { title = LED, severity = "high", where = "203.0.113." .. 30 + i .. ":4444" }
    end
end)
