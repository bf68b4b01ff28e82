-- Interactive sessions out of place: somebody works on this Mac from the other end of a connection.
--
-- What it looks for. In a session that a person begins, she asks and the server answers: her side breaks the silences. In one that an intruder
-- works through, the Mac opened the connection, since nothing gets in from outside, and yet the *server* breaks the silences: a small payload
-- after some seconds of reading and thinking, answered at once by the Mac with an output, now of two lines, now of two hundred. That shape stays
-- when all is encrypted. Four rules:
--
--   led       an outbound connection in which the other side leads: its small payloads end the pauses, this host answers at once, with more than it
--             was asked, in sizes that vary as outputs do. Told within an open session where pauses are short, else when it ends.
--   shell     a shell (bash, zsh, sh …) that holds a connection to the outside itself: macOS's shells talk to nobody, but for /dev/tcp and zsh's
--             net/tcp. Where the capture or a host log names programs.
--   waiting   an interpreter or a raw tool (python, osascript, perl, nc …) with a long, nearly silent connection to the outside: it waits for orders.
--   from outside  a login session (ssh, VNC, Apple's Screen Sharing, RDP, telnet) or a bare one that somebody outside the home networks holds with a
--             host here, at the pace of a person.
--
-- Why it matters on a Mac. macOS says nowhere which connections are sessions, and brings along what is needed to open one: bash, zsh, nc, python's
-- successors, osascript, ssh. What shells say in clear is lolbin's business, and so is ssh -R.
--
-- What makes false alarms. Remote support and agents of management and security (somebody else does work on this Mac), chat and push over a connection of its own in which the Mac
-- acknowledges at length, remote control of home appliances, games that a server paces, mail that is pushed (IMAP's ports are left out), debuggers.
-- `led` alone is low; a bare address, an odd port, no TLS, a program's kind and a tool's TLS stack make it medium and high.
--
-- What it misses. Shells that poll (beacon), those inside ssh (lolbin) or inside a tunnel, operators who never pause or type by script, sessions
-- shorter than a dozen commands; heartbeats within each two seconds (no silence is left to break), commands padded to more than a kilobyte, outputs padded to
-- one size.
--
-- ATT&CK: T1059.004 Unix shell, T1071.001 web protocols, T1573 encrypted channel, T1095 bare TCP, T1219 remote access software, T1021 remote services,
-- T1133 external remote services.
local lunette = require "lunette"
local apple_names = require "apple_names"
local figures = require "figures"
local hosts = require "host_kind"
local programs = require "programs"

lunette.detector { title = "The other side leads the session", category = "Command and Control", attack = "T1059.004, T1573" }

local tunables = lunette.tunables {
    commands = 12,         -- the other side must have broken the silence so often
    answer = 2,            -- this host sent so many times what it was sent
    spread = 0.8,          -- … in bursts whose sizes vary by so many octaves (standard deviation)
    command_bytes = 1000,  -- what is larger is no command
    slowest = 90,          -- seconds for each command at most, in the mean: beyond that it is a push service
    medium = 4, high = 6,  -- points from which on a led session has that severity
    waiting = 900,         -- a connection that waits is this old at least, in seconds …
    waiting_bytes = 20000, -- … and carried no more than this
    outside_turns = 30,    -- a session from outside: so many turns, at the pace of a person
    cooldown = 86400,
}

-- Ports on which the server speaks first by design: mail that is pushed, Apple's and others' push, chat.
local PUSHED = { [143] = true, [993] = true, [5222] = true, [5223] = true, [5228] = true, [2197] = true, [1883] = true, [8883] = true }
local USUAL = { [443] = true, [80] = true, [8443] = true, [8080] = true }
local MORE = 1.3  -- the typical answer is so many times the typical command; in a chat it is an acknowledgement, and less
local FULL = 1400 -- bytes of a payload that fills its packet, about
local LED_PROTOCOLS = { tls = true, websocket = true, quic = true }
local SESSIONS = { ssh = "ssh", rfb = "VNC", rdp = "RDP", telnet = "telnet" }
local SHELLS = { "sh", "bash", "zsh", "dash", "ksh", "csh", "tcsh", "fish" }

local apple = apple_names.load(lunette)
local messaging = lunette.set.domains { "slack.com", "slack-msgs.com", "discord.gg", "discord.com", "whatsapp.net", "whatsapp.com", "signal.org",
    "telegram.org", "teams.microsoft.com", "zoom.us", "facebook.com", "messenger.com", "google.com", "googleapis.com", "push.services.mozilla.com" }
-- Telegram's apps ask no name and speak a protocol of their own; core.telegram.org/resources/cidr.txt.
local telegram = lunette.set.prefixes { "91.108.4.0/22", "91.108.8.0/22", "91.108.12.0/22", "91.108.16.0/22", "91.108.20.0/22", "91.108.56.0/22", "149.154.160.0/20",
    "91.105.192.0/23", "185.76.151.0/24", "2001:67c:4e8::/48", "2001:b28:f23c::/48", "2001:b28:f23d::/48", "2001:b28:f23f::/48", "2a0a:f280::/32" }
local tool_ja4 = {}
for _, row in ipairs(lunette.tsv("tool_ja4.tsv")) do tool_ja4[row.ja4] = row.tool end

-- Of each flow: bursts of the client, those that the other side answered late and little, and the sizes of both as logarithms.
local sessions = lunette.flow_state { bursts = "u32", led = "u32", sum = "f64", squares = "f64", asked = "f64", out = "u64", back = "u64", told = "bool" }

local function spread_of(own)
    if own.bursts < 4 then return 0 end
    local mean = own.sum / own.bursts
    return math.sqrt(math.max(0, own.squares / own.bursts - mean * mean))
end

-- What this host typically sends at once, in bytes: the geometric mean, which a few photographs sent in a chat do not move.
local function typical(sum, count) return 2 ^ (sum / math.max(count, 1)) end

local function ran_by(e)
    if not e.program then return "" end
    return (", run by %s%s"):format(e.program, e.ancestry and " < " .. e.ancestry or "")
end

-- ---------------------------------------------------------------- led

-- What else is odd about a led session: points, words.
local function weigh(e)
    local points, signs = 2, {}
    local function sign(weight, words)
        points = points + weight
        if weight > 0 then signs[#signs + 1] = words end
    end
    local is_chat = messaging:has(e, "server_name") or telegram:has(e, "server_ip")
    if not e.server_name and not is_chat then sign(2, "an address without a name") end
    if not USUAL[e.server_port] then sign(1, "port " .. e.server_port) end
    if not e.app_proto then sign(1, "no protocol that is known") end
    if tool_ja4[e.ja4 or ""] then sign(1, "the TLS stack of " .. tool_ja4[e.ja4]) end
    if e.program then
        local class, place = programs.class(e.program, e.path), programs.is_within(e.path)
        if class == "shell" or class == "interpreter" or class == "network" then sign(3, "the program is " .. e.program)
        elseif place == "temp" then sign(3, "the program lies in " .. e.path)
        elseif class == "browser" or class == "chat" then sign(-1) end
    end
    if is_chat then sign(-1) end
    return math.max(points, 1), signs
end

local function say_led(e, own, figures_of, more)
    if own.told or PUSHED[e.server_port] or apple.apple_row(e.server_name) or apple.apple_address(e.server_ip) then return end
    own.told = true
    if not hosts.may_be_mac(e.client_ip) then return end -- cameras and other gadgets do as their maker's server says
    local points, signs = weigh(e)
    local evidence = { bursts = own.bursts, size_spread = figures.round(spread_of(own)), signs = signs, ja4 = e.ja4, protocol = e.app_proto or "none" }
    for key, value in pairs(more) do evidence[key] = value end
    lunette.alert {
        severity = points >= tunables.high and "high" or points >= tunables.medium and "medium" or "low",
        score = math.min(10, points), confidence = math.min(0.9, 0.3 + 0.1 * points), who = e.client_ip,
        where = ("%s:%d"):format(e.server_name or e.server_ip, e.server_port), attack = e.app_proto and "T1059.004, T1573" or "T1059.004, T1095",
        why = ("This host opened the connection, but the other side leads: %s%s%s"):format(figures_of,
            #signs > 0 and "; " .. table.concat(signs, ", ") or "", ran_by(e)),
        evidence = evidence,
        next = "Which process holds the connection, and who started it? Remote support looks alike: ask who sat at this Mac.",
        key = e.client_ip .. " led " .. (e.server_name or e.server_ip), cooldown = tunables.cooldown,
    }
end

lunette.on("onset", { proto = "TCP", client_local = true, server_local = false, kind = "burst" }, function(e)
    local own = sessions:of(e)
    if not own or e.client_payload == 0 then return end
    if e.app_proto and not LED_PROTOCOLS[e.app_proto] then return end
    local size = math.log(e.client_payload)
    own.bursts, own.sum, own.squares = own.bursts + 1, own.sum + size * 1.4427, own.squares + size * size * 2.0814
    own.out, own.back = own.out + e.client_payload, own.back + e.server_payload
    if e.server_payload == 0 or e.server_payload > tunables.command_bytes or e.duration < 2 then return end
    own.led, own.asked = own.led + 1, own.asked + math.log(e.server_payload) * 1.4427
    if own.told or own.led < tunables.commands or own.led < 0.6 * own.bursts or own.out < tunables.answer * own.back
        or spread_of(own) < tunables.spread or typical(own.sum, own.bursts) < MORE * typical(own.asked, own.led) then return end
    say_led(e, own, ("%d times it sent a little (%s in all) seconds after this host's last output, and was answered with %s"):format(own.led,
        figures.bytes(own.back), figures.bytes(own.out)), { commands = own.led, sent = own.out, received = own.back, open = true })
end)

-- A whole flow. The first exchange (handshake, hellos) is in no burst, so sizes are those of the bursts.
local function check_led(e)
    if e.app_proto and not LED_PROTOCOLS[e.app_proto] then return end
    if e.server_pauses < tunables.commands or e.server_pauses < 3 * e.client_pauses or e.turns < 1.5 * e.server_pauses then return end
    if e.age > tunables.slowest * e.server_pauses or e.client_full > 20 * e.server_pauses then return end
    local own = sessions:of(e)
    if not own or own.bursts < 4 or spread_of(own) < tunables.spread then return end
    local commands = math.max(1, e.server_small)
    if e.client_payload < tunables.answer * 128 * commands and e.client_payload < tunables.answer * e.server_payload then return end
    if e.server_small < 0.6 * e.server_pauses then return end
    local command = math.max(e.server_payload - FULL * e.server_full, 0) / e.server_pauses -- certificates and what else was large left out
    if typical(own.sum, own.bursts) < MORE * command then return end
    say_led(e, own, ("%d pauses end with its payload and %d with this host's, %d of its payloads are small, %s out and %s in within %s"):format(
        e.server_pauses, e.client_pauses, e.server_small, figures.bytes(e.client_payload), figures.bytes(e.server_payload), figures.duration(e.age)), {
        commands = e.server_pauses, client_pauses = e.client_pauses, turns = e.turns, sent = e.client_payload, received = e.server_payload,
        seconds = math.floor(e.age) })
end

-- ---------------------------------------------------------------- a shell that holds a connection

-- Once it has sent something: scripts that wait for a server open /dev/tcp to see whether it is there, and close it again.
lunette.on("onset", { client_local = true, server_local = false, process = SHELLS }, function(e)
    if e.direction == "in" or e.client_payload == 0 then return end
    lunette.alert {
        title = "A shell holds a connection", severity = "high", score = 8, confidence = 0.8, attack = "T1059.004, T1095", who = e.client_ip,
        where = ("%s:%d"):format(e.server_ip, e.server_port),
        why = ("%s itself opened a connection to %s port %d and sent %s, which macOS's shells do for /dev/tcp and /dev/udp alone%s"):format(e.process, e.server_ip,
            e.server_port, figures.bytes(e.client_payload), ran_by(e)),
        evidence = { sent = e.client_payload, received = e.server_payload, process = e.process, pid = e.pid, path = e.path, ancestry = e.ancestry },
        next = "What started this shell, and what was sent? The bytes are in the packets, in clear.",
        key = e.client_ip .. " shell " .. e.server_ip, cooldown = tunables.cooldown,
    }
end)

-- ---------------------------------------------------------------- an interpreter that waits

local function check_waiting(e)
    if not e.program or e.age < tunables.waiting or e.client_payload + e.server_payload > tunables.waiting_bytes then return end
    local class = programs.class(e.program, e.path)
    if class ~= "interpreter" and class ~= "shell" and not (class == "network" and not e.app_proto) then return end
    if e.app_proto == "ssh" or PUSHED[e.server_port] or e.server_payload == 0 then return end
    local user_run = programs.is_user_run(e)
    lunette.alert {
        title = "A script waits on a connection", severity = (e.app_proto or user_run) and "low" or "medium", score = user_run and 3 or 5, confidence = 0.5,
        attack = "T1059, T1071", who = e.client_ip, where = ("%s:%d"):format(e.server_name or e.server_ip, e.server_port),
        why = ("%s kept a connection open for %s and said next to nothing: %s out, %s in, %d turns%s"):format(e.program, figures.duration(e.age),
            figures.bytes(e.client_payload), figures.bytes(e.server_payload), e.turns, ran_by(e)),
        evidence = { seconds = math.floor(e.age), sent = e.client_payload, received = e.server_payload, turns = e.turns, protocol = e.app_proto or "none",
            path = e.path, arguments = e.arguments },
        next = "Which script is it? What waits for orders sends little until it gets one.",
        key = e.client_ip .. " waits " .. (e.server_name or e.server_ip), cooldown = tunables.cooldown,
    }
end

lunette.on("flow", { proto = "TCP", client_local = true, server_local = false }, function(e)
    check_led(e)
    if e.program then check_waiting(e) end
end)

-- ---------------------------------------------------------------- from outside

-- A person's: silences that end with the client's keys, many of them, small.
lunette.on("flow", { proto = "TCP", client_local = false, server_local = true }, function(e)
    local name = e.app_proto and SESSIONS[e.app_proto]
    if e.app_proto and not name or e.server_payload == 0 or e.turns < tunables.outside_turns then return end
    if e.client_pauses < tunables.commands or e.client_pauses < 2 * e.server_pauses then return end
    if not hosts.may_be_mac(e.server_ip) then return end
    if not name and (e.client_small < e.client_pauses or e.client_full > 0 or e.client_printable < 0.9) then return end
    lunette.alert {
        title = "Interactive session from outside", severity = name == "ssh" and "low" or "medium", score = name == "ssh" and 3 or 5, confidence = 0.6,
        attack = "T1133, T1021", who = e.server_ip, where = e.client_ip,
        why = ("Somebody at %s works on this host by %s: %d pauses end with that side's payload, %d turns, within %s"):format(e.client_ip,
            name or "a bare connection to port " .. e.server_port, e.client_pauses, e.turns, figures.duration(e.age)),
        evidence = { port = e.server_port, protocol = e.app_proto or "none", turns = e.turns, pauses = e.client_pauses, sent = e.client_payload,
            received = e.server_payload, seconds = math.floor(e.age), server_process = e.server_process },
        next = "Is this door meant to be open to the Internet? Look who logged in, and what was done.",
        key = e.server_ip .. " outside " .. e.client_ip, cooldown = tunables.cooldown,
    }
end)
