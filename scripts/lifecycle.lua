-- Which phase of its life is a Mac in, and does it do what Macs do in that phase?
--
-- "It is always good to know what is normal": a diary of the SANS Internet Storm Center (25414, J. Ullrich, 14 October 2019) wrote down
-- what macOS 10.15 says in its first minutes. The installer sets the clock, activates the machine, checks certificates and whether there
-- is an Internet, and fetches from Apple alone: 18 connections and 42 MB from swscan.apple.com, 206 and 23 MB from the mapping service,
-- dictionaries by plain HTTP. The first boot sets the clock again, and calls one name that is not Apple's, for stock quotes. Safari's
-- first start fetches the icons of eight sites. This detector is that diary, to be run: it says which phase a host is in, what of the
-- phase is there, what is missing, what is too much, and what is new. Afterwards a Mac is in its steady state, with an ordinary boot or
-- wake now and then (an address by DHCP, captive probe, clock, push, all in a burst).
--
-- How a phase is told. A host's traffic is cut into sessions: one begins when the host is seen first, after quiet of ten minutes, or when it
-- joins the network. In a session the marks of each phase are counted (data/lifecycle.tsv), by names and behaviour and never by addresses; the
-- score is what share of a phase's marks is there and whether they came in the diary's order. A phase that is told is left by what
-- follows it (a new session, the next phase, its time), not by a score that falls. Hosts that lib/hosts.lua knows for something else than
-- a Mac get no phase.
--
-- Why it matters. Nobody has logged in yet, nobody browses: a Mac is never again as easy to foretell as in its install and first boot. A
-- name that no healthy one calls then was brought along: by the image, the installer, or what started before the first login. So
-- T1195.002 (the supply chain) for both, T1543.004 (launch daemon) for the first boot: logon items, T1547, come only after a login. Volume
-- far beyond the profile under an Apple name is T1071.001. Nothing is ever said of the steady state here: beacon and apple_allowlist look there.
-- Device management is named as what it is: every Mac asks Apple whether it is an organisation's; a vendor's server in these phases says
-- that it is, which is told as info, and strangers are then less strange.
--
-- What makes false alarms. An ordinary boot of a Mac that the sensor sees for the first time can look like a first boot if the account is Apple's and no
-- other program starts: strangers are low there (medium if the install was seen as well), and three of them end the phase, since a
-- person, or her programs, are at work. An image with the company's agents in it. An install over a captive portal or an inspecting proxy.
--
-- What it misses. Strangers under Apple's own names, or in an install that is done without network. Macs behind one address. A first boot at
-- an address that was another Mac's. A Mac that installs half over IPv4 and half over IPv6 is two hosts here, with half of the marks each. The profile is of one machine of 2019: later systems add names, which are Apple's and listed as such.
local lunette = require "lunette"
local apple_names = require "apple_names"
local book = require "lifecycle_book"
local hosts = require "host_kind"
local lifecycle_alerts = require "lifecycle_alerts"
local profiles = require "lifecycle_profile"
local lifecycle_table = require "lifecycle_table"
local lifecycle_words = require "lifecycle_words"

lunette.detector { title = "Phases of a Mac's life", category = "Initial Access", attack = "T1195.002" }
local tunables = lunette.tunables {
    install_score = 0.6, install_window = 1800, install_lasts = 7200, -- score that tells it; seconds for the marks; longest
    first_boot_score = 0.7, first_boot_window = 300, first_boot_lasts = 600,
    boot_score = 0.6, boot_after = 90, boot_lasts = 300, -- a boot is told after so many seconds, if nothing better was
    icons = 5, icons_within = 30, safari_lasts = 120,    -- so many of the start page's eight sites within seconds
    settled_after = 600,  -- seconds after which a session without marks of anything else is the steady state
    quiet = 600,          -- seconds without a word, after which the host was asleep
    rejoin = 120,         -- seconds in which several signs of joining are one
    install_recent = 14400, -- seconds for which an install that was seen makes strangers of the first boot graver
    strangers_in_install = 5, strangers_in_boot = 2, -- more of them before the phase was told: then it is none
    alerts = 5,           -- names told for a phase
    names = 512,          -- names kept of an early phase …
    names_undecided = 40, -- … and before it is known which phase it is
    excess = 2,           -- alert where volume is beyond so many times the profile's upper end
    sent_mb = 20,         -- MB sent to one of Apple's names, which no early phase sends
    cooldown = 86400,
    hosts = 20, rows = 60, -- of the report
}

lunette.event("phase", { address = "str", phase = "str", before = "str" }, "A Mac has come into another phase of its life")

local profile = profiles.new(lunette.set, lunette.tsv("lifecycle.tsv"))
local names = apple_names.load(lunette)
local MARKED = { "install", "first boot", "boot", "safari start", "steady" } -- phases that have marks
local SAFARI_LEAD = 1 -- seconds from Safari's first connection to the first icon's hello
local MOST_NAMES = 50000 -- of all sessions with an early phase together, about
local EARLY = { install = true, ["first boot"] = true }
local LUMPS = { "push", "time", "updates", "iCloud", "other Apple", "known third parties", "elsewhere" }
local LUMP = {}
for i, name in ipairs(LUMPS) do LUMP[name] = i - 1 end

local time_names, TIME_NAMES = {}, {}
for _, row in ipairs(profile.rows) do
    if row.over == "ntp" then
        for _, name in ipairs(row.names) do TIME_NAMES[name:gsub("^=", "")] = true end
    end
end
for name in pairs(TIME_NAMES) do time_names[#time_names + 1] = name end

-- One entry a host, kept small: what is known of each name is in its session, which the steady state has not.
local lives = lunette.state("lives", { max = 20000 })
local young = lunette.state("young", { max = 2000 })          -- address → the session under way
local early = lunette.state("early", { max = 100, ttl = 7 * 86400 }) -- "address begin" → a session with an early phase
local SUMS = { flows = "u32[7]", up = "u64[7]", down = "u64[7]" }
local steady_sums = lunette.records("steady", { max = 20000, fields = SUMS })
local boot_sums = lunette.records("boot", { max = 20000, fields = SUMS })
local on_card = lunette.state("on card", { max = 20000, keep = false }) -- address → true; cards do not outlive a restart, lives do
local lump_of = lunette.state("lumps", { max = 20000, keep = false }) -- name → its place in the sums, judged before

-- ---------------------------------------------------------------- whose name

-- What a name is in a phase: "mark", "enrolment", "apple", "known" or "new", and a word about it.
local function judge(name, phase, address)
    local mark = profile.find(phase, name)
    if mark then return "mark", mark.mark end
    local enrolment = profile.find("enrolment", name)
    if enrolment then return "enrolment", enrolment.mark end
    local row = names.row(name)
    if row and row.owner == "apple" then return "apple", row.category end
    if row and not (phase == "install" and row.category:find("safari-start-page", 1, true)) then return "known", row.category end
    if names.apple_address(address) then return "apple", "by address" end
    return "new", "elsewhere"
end

-- A vendor's row, that is, not Apple's own enrolment servers, which every Mac asks.
local function vendor_of(name)
    local row = profile.find("enrolment", name)
    return row and row.source == "vendor" and row.mark or nil
end

-- ---------------------------------------------------------------- strangers

local alerts = lifecycle_alerts.new(tunables, profile, lives)
local tell, tell_vendor = alerts.stranger, alerts.vendor

local function note_vendor(session, name)
    local vendor = vendor_of(name)
    if not vendor or session.vendor then return end
    session.vendor = vendor
    session.vendor_name = name
end

-- Names that a session may have. An early phase is rare and lasts minutes, so all of its names are kept; if many hosts are in one at
-- the same time, each has fewer, or strangers who play Mac could fill the memory.
local function most_names(session)
    if not session.kept then return tunables.names_undecided end
    return math.min(tunables.names, math.max(tunables.names_undecided, MOST_NAMES / math.max(1, young:count())))
end

-- A name in a session: told at once in an early phase, remembered while the phase is not known.
local function look_at(e, session, name, over)
    if name and session.seen[name] then return end
    if name then
        if session.seen_count >= most_names(session) then return end
        session.seen[name], session.seen_count = true, session.seen_count + 1
    end
    note_vendor(session, name)
    local phase = session.phase
    if EARLY[phase] then tell_vendor(e.client_ip, session) end
    if phase and not EARLY[phase] and phase ~= "boot" then return end
    if judge(name, phase == "boot" and "first boot" or phase or "install", e.server_ip) ~= "new" then return end
    local stranger = { name = name or e.server_ip, over = over, port = e.server_port, server = e.server_ip, time = e.time, program = e.program }
    session.stranger_count = session.stranger_count + 1
    if #session.strangers < 16 then session.strangers[#session.strangers + 1] = stranger end
    if EARLY[phase] then
        session.dirty = true
        tell(e.client_ip, session, phase, stranger)
    end
end

-- ---------------------------------------------------------------- facts

local words = lifecycle_words.new(profile, judge, EARLY)
local clock_of, summary_of = words.clock_of, words.summary_of

-- The sessions of a host that had an early phase, and the one under way; oldest first.
local function sessions_of(address, life)
    local list, current = {}, young:get(address)
    for _, begin in ipairs(life.early) do
        -- After a reload the session under way and its copy here are two.
        local session = current and current.begin == begin and current or early:get(address .. " " .. begin)
        if session then list[#list + 1] = session end
    end
    if current and not current.kept then list[#list + 1] = current end
    return list
end

local function update_fact(address, life)
    if not life.phase or not hosts.may_be_mac(address) then return end
    on_card:set(address, true)
    local lines = { life.phase .. " since " .. clock_of(life.since) .. (life.phase == "steady" and life.why and "; " .. life.why or "") }
    local phases = {}
    for _, session in ipairs(sessions_of(address, life)) do
        for _, step in ipairs(session.steps) do
            if EARLY[step.phase] or step.phase == "safari start" or (step.phase == "boot" and session == young:get(address)) then
                local text = summary_of(session, step.phase)
                if step.phase == life.phase and step.since == life.since then
                    lines[1] = lines[1] .. "; " .. text
                else
                    lines[#lines + 1] = ("%s %s to %s; %s"):format(step.phase, clock_of(step.since, life.since),
                        step.over and clock_of(step.over, step.since) or "?", text)
                end
                if step.phase == "install" then
                    local figures = words.figures_of(session.book)
                    if figures ~= "" then lines[#lines + 1] = "install fetched: " .. figures end
                end
                local there, wanted, missing, strangers = words.account_of(session, step.phase)
                phases[#phases + 1] = { phase = step.phase, since = step.since, marks = there, of = wanted, missing = missing, new = strangers }
            end
        end
    end
    lunette.fact(address, "phase", lines, { phase = life.phase, since = life.since, before = life.before, phases = phases })
end

-- ---------------------------------------------------------------- sessions and phases

local function keep(address, life, session)
    if session.kept then return end
    session.kept = true
    early:set(address .. " " .. session.begin, session)
    if #life.early >= 4 then table.remove(life.early, 1) end
    life.early[#life.early + 1] = session.begin
end

-- The place of a name in the sums of the steady state.
local function place_of(name, server)
    if not name then return names.apple_address(server) and LUMP["other Apple"] or LUMP.elsewhere end
    local place = lump_of:get(name)
    if place then return place end
    local row = profile.find("steady", name)
    if row then
        place = LUMP[row.mark]
    else
        local kind = judge(name, "steady", "0.0.0.0") -- by the name alone: what is remembered holds for all hosts
        place = kind == "apple" and LUMP["other Apple"] or kind == "new" and LUMP.elsewhere or LUMP["known third parties"]
    end
    lump_of:set(name, place)
    return place
end

local function lump(sums, address, place, flows, up, down)
    local record = sums:make(address)
    record:put("flows", place, record:at("flows", place) + flows)
    record:put("up", place, record:at("up", place) + up)
    record:put("down", place, record:at("down", place) + down)
end

-- Of a session without an early phase the sums are kept, and no names.
local function close_session(address, life, session)
    if not session.kept then
        local first = session.steps[1]
        local sums = first and first.phase == "boot" and boot_sums or steady_sums
        local list = book.names(session.book)
        for _, name in ipairs(list) do
            local page = session.book.pages[name]
            lump(sums, address, place_of(page.named and name, page.server), page.flows, page.up, page.down)
        end
    end
    for _, step in ipairs(session.steps) do
        step.over = step.over or life.last
        if step.phase == "boot" then life.boot_from, life.boot_over = session.begin, step.over end
    end
    if session.kept then early:set(address .. " " .. session.begin, session) end
    young:set(address, nil)
end

local function begin_session(address, life, now)
    local before = young:get(address)
    if before then
        if before.phase == "install" then life.installed = life.last end
        close_session(address, life, before)
    end
    local session = { begin = now, n = {}, at = {}, steps = {}, book = book.new(), seen = {}, seen_count = 0, strangers = {},
        stranger_count = 0, told = 0, apple = 0 }
    young:set(address, session)
    return session
end

local function declare(address, life, session, phase, since, emit)
    if life.phase == phase and phase == "steady" then
        session.phase = "steady"
        return
    end
    if not hosts.may_be_mac(address) then return end
    local before = session.steps[#session.steps]
    if before and (EARLY[phase] or phase == "boot") then table.remove(session.steps) -- known better now: it was this from the start
    elseif before then before.over = since end
    session.steps[#session.steps + 1] = { phase = phase, since = since }
    session.phase = phase
    life.before, life.phase, life.since = life.phase or "unknown", phase, since
    if phase == "boot" then
        life.why = ("a boot or wake at %s was seen, %s"):format(clock_of(since), summary_of(session, "boot"))
    elseif phase == "steady" and before and before.phase ~= "boot" then
        life.why = nil
    elseif phase == "steady" and not before then
        life.why = ("no marks of another phase in %.0f minutes"):format(tunables.settled_after / 60)
    end
    if phase == "steady" then
        local installed = before and before.phase == "install"
        life.settled, life.installed = not installed, installed and since or nil
    end
    if EARLY[phase] or phase == "safari start" then keep(address, life, session) end
    if emit then lunette.emit("phase", { address = address, phase = phase, before = life.before }) end
    if EARLY[phase] then
        -- What was called before the phase was known belongs to other flows than the one at hand: told by a timer, without a flow.
        local waiting = {}
        for _, stranger in ipairs(session.strangers) do
            if judge(stranger.name, phase, stranger.server) == "new" then waiting[#waiting + 1] = stranger end
        end
        if #waiting > 0 or session.vendor then
            local function speak()
                tell_vendor(address, session)
                for _, stranger in ipairs(waiting) do tell(address, session, phase, stranger) end
            end
            if emit then lunette.after(0, speak) else speak() end
        end
    end
    update_fact(address, life)
end

local function fits(session, phase, least)
    local score, keyed = profile.score(phase, session)
    return keyed and score >= least
end

-- Where the session stands at `now`; `emit` is false at the end of the capture, which is not an event.
local function advance(address, life, session, now, emit)
    local age, phase = now - session.begin, session.phase
    if session.dirty and (not phase or phase == "boot") then
        session.dirty = false
        if age <= tunables.install_window and session.stranger_count <= tunables.strangers_in_install
            and fits(session, "install", tunables.install_score) then
            return declare(address, life, session, "install", session.begin, emit)
        end
        if age <= tunables.first_boot_window and session.stranger_count <= tunables.strangers_in_boot
            and not (life.settled and not life.installed) and fits(session, "first boot", tunables.first_boot_score) then
            return declare(address, life, session, "first boot", session.begin, emit)
        end
    end
    if not phase and (age >= tunables.boot_after or not emit) and not session.judged then
        session.judged = emit
        if fits(session, "boot", tunables.boot_score) then return declare(address, life, session, "boot", session.begin, emit) end
    end
    local over
    if not phase then over = age >= tunables.settled_after and (life.settled or session.apple >= 2) and session.begin
    elseif phase == "boot" then over = age >= tunables.boot_lasts and session.begin + tunables.boot_lasts
    elseif phase == "install" then over = age >= tunables.install_lasts and session.begin + tunables.install_lasts
    elseif phase == "first boot" then
        over = age >= tunables.first_boot_lasts and session.begin + tunables.first_boot_lasts
            or session.stranger_count > tunables.strangers_in_boot and now
    elseif phase == "safari start" then over = now - life.since >= tunables.safari_lasts and life.since + tunables.safari_lasts
    end
    if over then
        declare(address, life, session, "steady", over, emit)
        close_session(address, life, session)
    elseif age >= tunables.settled_after and not phase then
        close_session(address, life, session)
    end
end

-- Safari's start page: most of its eight sites within seconds. A person's own visits are further apart.
local function check_icons(address, life, session, row, now, time)
    if life.icons and now - life.icons_last > tunables.icons_within then life.icons = nil end
    local icons = life.icons or {}
    life.icons, life.icons_last = icons, now
    icons[row.number] = icons[row.number] or time
    local count, first = 0, time
    for _, at in pairs(icons) do
        if now - at <= tunables.icons_within then count, first = count + 1, math.min(first, at) end
    end
    if count < tunables.icons or (session and session.phase == "safari start") then return end
    session = session or begin_session(address, life, now)
    for number, at in pairs(icons) do
        session.n[number], session.at[number] = math.max(1, session.n[number] or 0), at
    end
    declare(address, life, session, "safari start", first, true)
end

local function mark(session, phase, row, time)
    if row.over == "ntp" and session.n[row.number] and phase ~= "boot" then return end
    local n = (session.n[row.number] or 0) + 1
    session.n[row.number] = n
    if n == row.low then session.dirty = true end -- the scores may have changed
    session.at[row.number] = session.at[row.number] or time
end

-- Something that the host did: `over` is tls, http, ntp or dhcp, `name` whom it called. Begins a session if it should, counts the
-- marks, and looks where the session stands.
local function touch(e, address, over, name, time)
    local life = lives:get(address)
    if not life then
        if not hosts.may_be_mac(address) then return end
        life = { last = time, early = {} }
        lives:set(address, life)
        begin_session(address, life, time)
    end
    if life.phase and not on_card:get(address) then update_fact(address, life) end
    local session, now = young:get(address), math.max(life.last, time)
    local slept = now - life.last
    local joins = over == "dhcp" or name == "captive.apple.com"
    if slept >= tunables.quiet then
        session = begin_session(address, life, now)
    elseif joins and (not session or now - session.begin > tunables.rejoin) and now - (life.joined or 0) > tunables.rejoin
        and not (session and EARLY[session.phase] and (slept < 30 or over ~= "dhcp")) then
        session = begin_session(address, life, now)
    end
    if joins then life.joined = now end
    life.last = now
    local icon = over == "tls" and profile.find("safari start", name)
    if icon and icon.need == "must" then
        check_icons(address, life, session, icon, now, time)
        session = young:get(address)
    end
    if not session then return end
    for _, phase in ipairs(MARKED) do
        local row
        if over == "ntp" or over == "dhcp" then
            row = profile.by_kind(phase, over)
        else
            row = profile.find(phase, name)
            if row and (row.over == "ntp" or (row.over == "http" and over ~= "http")) then row = nil end
        end
        if row then
            mark(session, phase, row, time)
            if phase ~= "safari start" and over ~= "dhcp" then session.apple = session.apple + (session.n[row.number] == 1 and 1 or 0) end
        end
    end
    if over == "tls" or over == "http" then look_at(e, session, name, over) end
    advance(address, life, session, now, true)
    if session.dirty and session.phase then -- a mark more of the phase that is told
        session.dirty = false
        update_fact(address, life)
    end
end

-- ---------------------------------------------------------------- events

lunette.on("tls", { client_local = true, server_local = false }, function(e)
    local name = e.sni
    if not name and e.service == "apns" then name = "courier.push.apple.com" end
    if name and name ~= "" then touch(e, e.client_ip, "tls", name, e.time) end
end)

lunette.on("http", { client_local = true, server_local = false }, function(e)
    if e.host and e.host ~= "" then touch(e, e.client_ip, "http", e.host, e.time) end
end)

-- timed's requests are empty but for the first byte; other clocks, or a timed that changed, are known by the name.
lunette.on("ntp", { client_local = true, server_local = false, to_server = true, all_zero = true }, function(e)
    touch(e, e.client_ip, "ntp", nil, e.time)
end)
lunette.on("dns", { type = "query", client_local = true, rrname = lunette.set.strings(time_names) }, function(e)
    touch(e, e.client_ip, "ntp", nil, e.time)
end)

-- An acknowledged address, to the host itself: one by broadcast would come to the worker of the server. A renewal has the address already.
lunette.on("dhcp", { message = "ack", version = 4 }, function(e)
    local address = e.assigned_ip
    if address and address == e.server_ip and not e.current_ip then touch(e, address, "dhcp", nil, e.time) end
end)

local groups = lunette.set.prefixes { "224.0.0.0/3", "ff00::/8" }

local function session_at(address, life, time)
    local current = young:get(address)
    if current and time >= current.begin - 1 then return current end
    for i = #life.early, 1, -1 do
        local begin = life.early[i]
        if time >= begin - 1 then return early:get(address .. " " .. begin) end
    end
end

local function step_at(session, time)
    for i = #session.steps, 1, -1 do
        local step = session.steps[i]
        if time >= step.since - (step.phase == "safari start" and SAFARI_LEAD or 0) then return step end
    end
    return session.steps[1]
end

local function check_volume(e, phase, name, page)
    local row = profile.find(phase, name)
    local kind = row and "mark" or judge(name, phase, e.server_ip)
    local sent = page.up > tunables.sent_mb * 1e6 and (kind == "mark" or kind == "apple")
    local much = row and row.high > 0 and page.down > row.bytes_high * tunables.excess
    if page.told or not (sent or much) or not hosts.may_be_mac(e.client_ip) then return end
    page.told = true
    alerts.volume(e.client_ip, phase, name, page, row, sent)
end

lunette.on("flow", { client_local = true, server_local = false, proto = { "TCP", "UDP" } }, function(e)
    local address = e.client_ip
    local life = lives:get(address)
    if not life or groups:has(e, "server_ip") then return end
    local name, over = e.server_name, e.app_proto
    local session = session_at(address, life, e.start)
    local step = session and step_at(session, e.start)
    local phase = step and step.phase
    if session and (not phase or EARLY[phase] or phase == "safari start" or (phase == "boot" and not session.kept)) then
        local most = most_names(session)
        local own = step and step.book or session.book
        if step and not step.book and step ~= session.steps[1] then
            own = book.new()
            step.book = own
        end
        local page = book.enter(own, most, name or e.server_ip, over, e.client_payload, e.server_payload)
        if page then
            page.server, page.named = e.server_ip, name ~= nil
            if EARLY[phase] then
                check_volume(e, phase, name or e.server_ip, page)
                if life.last - (session.fact_at or 0) >= 60 then -- the figures on the card, as they grow
                    session.fact_at = life.last
                    update_fact(address, life)
                end
            end
        end
        -- What is neither TLS nor HTTP is known when it is over.
        if session == young:get(address) and over ~= "tls" and over ~= "http" and over ~= "dns" and over ~= "ntp" and over ~= "quic" and e.server_payload > 0
            and not e.midstream then
            look_at(e, session, name, over or (e.proto:lower() .. "/" .. e.server_port))
        end
    else
        local booting = life.boot_from and e.start >= life.boot_from - 1 and e.start < life.boot_over
        lump(booting and boot_sums or steady_sums, address, place_of(name, e.server_ip), 1, e.client_payload, e.server_payload)
    end
end)

-- ---------------------------------------------------------------- the table

local rows_of = lifecycle_table.new({ profile = profile, judge = judge, lumps = LUMPS, sent_mb = tunables.sent_mb, rows = tunables.rows })

lunette.on_end(function()
    local list = {}
    for address in lives:each() do list[#list + 1] = address end
    table.sort(list)
    local rows, shown, left = {}, 0, 0
    for _, address in ipairs(list) do
        local life = lives:get(address)
        local session = young:get(address)
        if session then advance(address, life, session, life.last, false) end
        if life.phase and hosts.may_be_mac(address) then
            update_fact(address, life)
            shown = shown + 1
            if shown <= tunables.hosts then
                for _, own in ipairs(sessions_of(address, life)) do
                    for _, step in ipairs(own.steps) do
                        if EARLY[step.phase] or step.phase == "safari start" then left = left + rows_of.phase(rows, address, own, step) end
                    end
                end
                session = young:get(address)
                if session and not session.kept then close_session(address, life, session) end
                rows_of.sums(rows, address, "boot", boot_sums:get(address))
                rows_of.sums(rows, address, "steady", steady_sums:get(address))
            end
        end
    end
    if #rows == 0 then return end
    lunette.report {
        title = "Phases",
        columns = { "host", "phase", "name", "what", ">connections", ">sent", ">received", ">content", "expected", "verdict" },
        rows = rows,
        note = "Sent and received are payload; content is what was received less the handshakes and frames of TLS, about."
            .. (shown > tunables.hosts and (" %d more hosts."):format(shown - tunables.hosts) or "")
            .. (left > 0 and (" %d connections to more names than are kept."):format(left) or ""),
    }
end)
