-- What does a Mac call right after it starts: at boot, wake and login, and what of that was not there before?
--
-- What wants to survive a restart has itself started: by a LaunchAgent, a login item, a login hook. It then calls home within the first minutes of each
-- start, while a person has hardly begun. Those minutes are alike from day to day: push, clock, iCloud, and the programs that the owner chose.
-- So two things are told: a name that is new to this host there, and a name that is called at each start and hardly otherwise.
--
-- How a start is known (lib/login_starts.lua): ten minutes of quiet or a new address by DHCP, then within ninety seconds two of what macOS does when it comes
-- up: DHCP, captive probe, push, clock, mDNS probes; or the verdict of lifecycle; or a host log in which the Finder, the Dock and their like
-- begin, which is a login. Nothing is told before a host had three starts and was known for two days: until then all is new.
--
-- What makes false alarms. A program newly installed that starts at login; its owner knows. A person who opens the browser at once: then many names
-- are new together, and only those with a second sign are told. Menu-bar programs that check a licence or the weather once a start.
-- What it misses. What waits longer than the window; names of content networks, cloud services and all known third parties (cloud_c2's); what
-- calls all day as well (beacon's); hosts that never sleep; a Mac whose address changes begins anew.
-- The figures are judgements: three starts and two days to learn, five minutes, seven of ten starts.
--
-- ATT&CK: T1543.001 launch agent, T1547 and T1547.015 login items, T1037 login hooks.

local lunette = require "lunette"
local apple_names = require "apple_names"
local figures = require "figures"
local hosts = require "host_kind"
local programs = require "programs"
local login_book = require "login_book"
local login_starts = require "login_starts"

lunette.detector { title = "New name right after login", category = "Persistence", attack = "T1547.015,T1543.001" }
local tunables = lunette.tunables {
    window = 300,        -- seconds after a start that belong to it
    quiet = 600,         -- seconds without a word before a start
    within = 90,         -- seconds in which the marks of a start come
    learn = 3,           -- starts of a host before anything of it is new …
    learn_days = 2,      -- … and days, since a night has many wakes
    repeats = 3,         -- starts in which a name is called, to be one that repeats …
    share = 0.7,         -- … that share of those since it was first called …
    elsewhere = 0.5,     -- … and at most so many times as often at other times
    many = 4,            -- more new names in one start than that: a person is at work
    fleet = 5,           -- hosts that must be known before "nobody else calls it" means something
    cooldown = 7 * 86400,
    rows = 40,           -- of the report
}

local MOST, FEW = 40, 8 -- names kept of a start; while very many hosts start at the same time
local DELAYS, DAY = 8, 86400

local names = apple_names.load(lunette)
local starts = login_starts.new(lunette, tunables)
-- What a host called, outside of what is Apple's or known: in how many starts, how often otherwise, and how long after the start.
local called = lunette.records("called", { max = 100000, ttl = 60 * DAY, fields = { first = "f64", first_start = "u16", in_starts = "u16", outside = "u16",
    last_start = "u16", count = "u16", delays = "f32[8]", told = "u8" } })

local tool_of = {}
for _, row in ipairs(lunette.tsv("tool_ja4.tsv")) do tool_of[row.ja4] = row.tool end

local nowhere = lunette.set.prefixes { "224.0.0.0/3", "ff00::/8", "127.0.0.0/8", "0.0.0.0/8", "fe80::/10", "::1/128" }
local TOOLS = { network = true, shell = true, interpreter = true } -- classes of data/programs.tsv
-- Tunnels are vpn's.
local SILENT = { dns = true, ntp = true, mdns = true, dhcp = true, ssdp = true, icmp = true, wireguard = true, openvpn = true, ike = true, ipsec = true, esp = true,
    tailscale = true, zerotier = true, stun = true, rtp = true, dtls = true, bittorrent = true }

-- ---------------------------------------------------------------- what is called

local found = {} -- scratch: the signs of the call that is looked at
local function add(weight, sign, text)
    found.points, found.words[#found.words + 1], found.signs[#found.signs + 1] = found.points + weight, text, sign
end

-- What is odd with a call beside its time: { words }, and points.
local function signs_of(e)
    found.words, found.signs, found.points = {}, {}, 0
    local app, tool, program, path = e.app_proto, e.ja4 and tool_of[e.ja4], e.program, e.path
    local class = program and programs.class(program, path)
    if app == "http" then add(1, "plain http", "in plain HTTP")
    elseif not app and e.proto == "TCP" and class ~= "chat" then add(1, "raw", "by no known protocol") end
    -- Over UDP calls, games and meshes of equals go to bare addresses, and so does a person's ssh.
    if not e.server_name and e.proto == "TCP" and app ~= "ssh" and class ~= "chat" then add(1, "bare", "its server has no name") end
    -- What is typed at a terminal while the desktop comes up is a person's.
    if programs.is_user_run(e) then return found.words, found.signs, found.points end
    if tool then add(1, "tool", "with the TLS of " .. tool) end
    if program then
        local lie = programs.impostor(program, path)
        local place = path and programs.is_within(path)
        if lie then add(2, "impostor", "by a program with the name of one of Apple's, which " .. lie)
        elseif place == "temp" or place == "volume" or path and (path:find("/.", 1, true) or path:find("/Users/Shared/", 1, true)) then
            add(2, "place", "by a program in " .. path)
        elseif not tool and TOOLS[class or ""] then
            add(1, "tool", "by " .. program)
        end
    end
    return found.words, found.signs, found.points
end

-- A name that is new on the host. count: the number of the start that is the first in which it may be called. That the host calls it is told
-- of every name, so without a table.
local function note(pair, host, name, time, count)
    pair.first, pair.first_start = time, count
    lunette.send(name, host)
end

lunette.on("onset", { kind = "start", client_local = true, server_local = false }, function(e)
    local host = e.client_ip
    starts.life(host, e.time)
    if SILENT[e.app_proto or ""] or nowhere:has(e, "server_ip") then return end
    if names.categories[names.classify(e)].group ~= "elsewhere" or not hosts.may_be_mac(host) then return end
    local name = e.server_name or e.server_ip
    local session = starts.at(host, e.time)
    if session then
        if session.closed or session.names[name] then return end
        session.count = session.count + 1
        if session.count > (starts.open_count() > 1000 and FEW or MOST) then return end
        local words, signs, points = signs_of(e)
        session.names[name] = { delay = math.max(0, e.time - session.begin), words = words, signs = signs, points = points, port = e.server_port,
            protocol = e.app_proto or e.proto, program = e.program, path = e.path, ancestry = e.ancestry }
        return
    end
    local pair, is_new = called:make(host .. "\t" .. name)
    if is_new then
        local known = starts.known(host)
        note(pair, host, name, e.time, (known and known.starts or 0) + 1)
    end
    pair.outside = pair.outside + 1
end)

-- ---------------------------------------------------------------- a start is over

local function delays_of(pair)
    local list = {}
    for i = 0, math.min(pair.count, DELAYS) - 1 do list[#list + 1] = pair:at("delays", (pair.count - 1 - i) % DELAYS) end
    for i = 1, math.floor(#list / 2) do list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i] end
    return list
end

local function repeats(pair, known)
    local since = known.starts - pair.first_start + 1
    return pair.in_starts >= tunables.repeats and pair.in_starts >= tunables.share * since and pair.outside <= tunables.elsewhere * pair.in_starts, since
end

local function send_news(kind, host, known, session, name, call, pair)
    local _, since = repeats(pair, known)
    lunette.send(name, { kind = kind, host = host, delay = call.delay, delays = delays_of(pair), words = call.words, signs = call.signs, points = call.points, port = call.port,
        protocol = call.protocol, program = call.program, path = call.path, ancestry = call.ancestry, starts = known.starts, in_starts = pair.in_starts,
        since = since, outside = pair.outside, first_start = pair.first_start, how = session.how, begin = session.begin, quiet = session.quiet,
        is_mac = hosts.is_mac(host), when = starts.recent(known) })
end

local function tell_card(host, known)
    local lines = { ("last start %s by %s%s; %s seen"):format(starts.time_text(known.begin), starts.how_text(known.marks),
        known.quiet > 0 and (", after %s of quiet"):format(figures.duration(known.quiet)) or "", figures.count(known.starts, "start")) }
    lunette.fact(host, "logins", lines, { last = known.begin, how = starts.how_text(known.marks), quiet = figures.round(known.quiet, 0), starts = known.starts })
end

-- All calls of a start that was one are counted; of a false start they are calls like any others.
function starts.over(host, session, known)
    local list = {}
    for name in pairs(session.names) do list[#list + 1] = name end
    table.sort(list)
    if not session.confirmed then
        for _, name in ipairs(list) do
            local pair, is_new = called:make(host .. "\t" .. name)
            if is_new then note(pair, host, name, session.begin, known.starts + 1) end
            pair.outside = pair.outside + 1
        end
        return
    end
    local learnt, fresh = known.starts > tunables.learn and session.begin - known.first >= tunables.learn_days * DAY, {}
    for _, name in ipairs(list) do
        local call = session.names[name]
        local pair, is_new = called:make(host .. "\t" .. name)
        if is_new then note(pair, host, name, session.begin, known.starts) end
        pair.in_starts, pair.last_start = pair.in_starts + 1, known.starts
        pair:put("delays", pair.count % DELAYS, call.delay)
        pair.count = pair.count + 1
        if is_new and learnt then
            fresh[#fresh + 1] = name
        elseif pair.told == 0 and repeats(pair, known) and learnt then
            pair.told = 1
            send_news("repeats", host, known, session, name, call, pair)
        end
    end
    -- Many odd ones at once are file sharing or a game that looks for its servers.
    local odd = 0
    for _, name in ipairs(fresh) do
        if session.names[name].points >= 2 then odd = odd + 1 end
    end
    for _, name in ipairs(fresh) do
        local call = session.names[name]
        -- A browser calls what its person wants; the name is remembered all the same.
        if (#fresh <= tunables.many or call.points >= 2 and odd <= tunables.many) and not programs.is_browsing(call.program, call.path) then
            send_news("new", host, known, session, name, call, called:get(host .. "\t" .. name))
        end
    end
    if hosts.may_be_mac(host) then tell_card(host, known) end
end

lunette.gather(function() login_book.gather(lunette, tunables) end)

-- ---------------------------------------------------------------- the table

lunette.on_end(function()
    starts.finish()
    local rows = {}
    for key, pair in called:each() do
        local host, name = key:match("^([^\t]*)\t(.*)$")
        local known = starts.known(host)
        if known and known.starts >= tunables.repeats and hosts.may_be_mac(host) then
            local yes, since = repeats(pair, known)
            if yes then
                local delays = delays_of(pair)
                rows[#rows + 1] = { host, name, ("%d of %d"):format(pair.in_starts, since), figures.duration(login_book.middle(delays)), tostring(pair.outside),
                    pair.first_start > tunables.learn and "start " .. pair.first_start or "from the beginning" }
            end
        end
    end
    if #rows == 0 then return end
    table.sort(rows, function(a, b) return a[1] .. "\t" .. a[2] < b[1] .. "\t" .. b[2] end)
    local left = math.max(0, #rows - tunables.rows)
    for i = #rows, tunables.rows + 1, -1 do rows[i] = nil end
    lunette.report { title = "Called at each start", columns = { "host", "name", ">starts", ">after", ">at other times", "since" }, rows = rows,
        note = "Neither Apple's names nor well-known third parties'." .. (left > 0 and (" %d more."):format(left) or "") }
end)
