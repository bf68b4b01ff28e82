-- One story per host: what the detectors found, joined, ordered and weighed.
--
-- An intrusion is rarely one alert. A document runs curl, something is left behind that starts at login, a timer calls out, a cloud service
-- takes a large upload: four detectors say so, each about its own piece, among the leads that any busy Mac leaves. The analyst should read one
-- thing. So this detector hears the alerts of all others (lunette.receive_alerts) and keeps, per host, those of the last hours (lib/story_book.lua):
--
--   host      the addresses that mac_identity calls one machine are one
--   window    a finding joins if the one before is no older than `window`, or if it shares a program, a server or an address with what is there
--   weight    severity and confidence, halved for each repetition of one kind; ties between findings; ATT&CK tactics (lib/story_weigh.lua)
--
-- A story takes two kinds of findings at least, one of them of medium severity or more, or three weak ones that hang together; and `points`. Unrelated
-- leads on the same host (a VPN in use, a mail server that is polled) are left out and counted. The incident is told once the findings of a minute are in,
-- and again, with the same id, when its severity grows, and within an hour when a tactic or another kind of high severity came. Its severity is never below that of its worst finding. The explanation of the
-- score names each part. At the end of a capture there is a table with the timelines; the host's card says the story in a line.
--
-- Time in a timeline is when a finding began where its evidence says so (a beacon is told of half an hour after its first check-in), else when it was told.
--
-- False alarms: it has those of the detectors behind it, and where two of them are wrong about one host at one time, a wrong story. An administrator's
-- afternoon (curl, ssh, a scan) reads like an intrusion, since it would be one if somebody else did it.
-- Misses: what no detector finds; intrusions slower than the window whose pieces share nothing; hosts behind one address are one.
-- ATT&CK: none of its own; the incident carries the techniques of its findings. Weights are judgements, not measurements.

local lunette = require "lunette"
local address = require "lunette.address"
local attack = require "attack"
local story_book = require "story_book"
local tell = require "story_tell"
local weigh = require "story_weigh"

lunette.detector { title = "Incident: several findings tell one story", category = "Incident" }

local tunables = lunette.tunables {
    window = 21600,   -- seconds without a finding after which a host's story is over, unless the next one is tied to it
    points = 4,       -- that a story must weigh
    cooldown = 3600,  -- seconds between two tellings of one incident, unless it became worse
    hosts = 10000,    -- with findings, of which is known at a time
    leads = 50000,    -- findings of all of them together, some 1 KiB each
    shown = 20,       -- incidents in the table
}

local techniques = attack.load(lunette)

-- ---------------------------------------------------------------- in each worker

-- What a host is called, which addresses it has, what it is doing.
local said = lunette.state("said", { max = 20000, keep = false })
lunette.on("mac_identity.host", function(e)
    local ip, name, of = e.address, e.name or "", e.address_of or ""
    local now = name .. "\n" .. of
    if not ip or now == "\n" or said:get(ip) == now then return end
    said:set(ip, now)
    lunette.send("host", { ip, name, of })
end)
lunette.on("lifecycle.phase", function(e)
    if e.address then lunette.send("phase", { e.address, e.phase or "" }) end
end)

-- ---------------------------------------------------------------- where all is heard

lunette.gather(function()
    local book = story_book.new(lunette, address, techniques, tunables)
    local over = lunette.state("over", { max = 200, ttl = 30 * 86400 }) -- incident → { first, rows }, of those that are closed
    local looked = false

    local function id_of(case, judged)
        return os.date("!%Y%m%d-%H%M%S-", math.floor(tell.first(case, judged))) .. case.host
    end

    local function addresses_of(case)
        local list = {}
        for ip in pairs(case.addresses) do list[#list + 1] = ip end
        table.sort(list)
        return list
    end

    local function rows_of(case, judged)
        local rows = { { case.id, tell.moment(tell.first(case, judged)), weigh.SEVERITY[judged.rank], ("%s%s: %.1f points, %s"):format(case.host,
            case.name ~= "" and " (" .. case.name .. ")" or "", judged.points, #judged.tactics > 0 and table.concat(judged.tactics, " > ") or "no tactic named") } }
        for _, line in ipairs(tell.timeline(case, judged)) do rows[#rows + 1] = { "", tell.moment(line.time), "", line.text } end
        return rows
    end

    local function say(case, judged)
        local heaviest = tell.heaviest(case, judged)
        local ties = {}
        for i, one in ipairs(judged.tied) do ties[i] = one.words end
        local parts = {}
        for i, part in ipairs(judged.parts) do parts[i] = part.text end
        local updates = case.told and case.told.times or 0
        lunette.alert { severity = weigh.SEVERITY[judged.rank], who = case.host, where = heaviest.where, score = math.min(math.floor(judged.points * 100 + 0.5) / 100, 10),
            confidence = heaviest.confidence, attack = tell.techniques(case, judged), why = tell.story(case, judged),
            next = "Read the timeline; begin with " .. heaviest.title .. (heaviest.next ~= "" and ": " .. heaviest.next or "."),
            evidence = { incident = case.id, update = updates, points = math.floor(judged.points * 100 + 0.5) / 100, explanation = tell.score(judged), parts = parts,
                tactics = judged.tactics, findings = judged.findings, kinds = #judged.kinds, left_out = judged.left_out, more = case.more, ties = ties,
                hosts = addresses_of(case), name = case.name ~= "" and case.name or nil, names = tell.names(case, judged), programs = tell.programs(case, judged),
                phases = tell.phases(case, judged), detectors = tell.detectors(case, judged), first = math.floor(tell.first(case, judged)), last = math.floor(tell.last(case, judged)),
                timeline = tell.timeline(case, judged) } }
    end

    local function show(case, judged)
        lunette.fact(case.host, "story", ("%s, %.1f points: %s of %d kinds, %s; %s to %s"):format(weigh.SEVERITY[judged.rank], judged.points,
            judged.findings == 1 and "1 finding" or judged.findings .. " findings", #judged.kinds,
            #judged.tactics > 0 and table.concat(judged.tactics, ", ") or "no tactic named", tell.moment(tell.first(case, judged)), tell.moment(tell.last(case, judged))),
            { incident = case.id, severity = weigh.SEVERITY[judged.rank], points = math.floor(judged.points * 100 + 0.5) / 100, tactics = judged.tactics })
    end

    local function judge(case)
        case.name = book.name(case.host)
        return weigh.judge(case.leads, tunables.points)
    end

    -- Tells a case that has become one, or has grown; `at_last` whatever the cooldown.
    local function consider(case, now, at_last)
        local judged = judge(case)
        if not judged then return end
        local told = case.told
        local is_worse = not told or judged.rank < told.rank
        local has_grown = told and (#judged.tactics > told.tactics or judged.highs > told.highs)
        if told then show(case, judged) end
        if not is_worse and not has_grown then return judged end
        if not is_worse and not at_last and now - told.at < tunables.cooldown then
            case.dirty = true
            return judged
        end
        case.id = case.id or id_of(case, judged)
        say(case, judged)
        if not told then show(case, judged) end
        case.told = { rank = math.min(judged.rank, told and told.rank or judged.rank), tactics = #judged.tactics, highs = judged.highs, at = now, times = told and told.times + 1 or 1 }
        return judged
    end

    local function retire(_, case)
        local judged = case.dirty and consider(case, lunette.now(), true) or (case.told and judge(case))
        if case.told and judged then over:set(case.id, { first = case.first, rows = rows_of(case, judged) }) end
    end

    lunette.receive(function(what, value)
        if what == "host" then
            book.identity(value[1], value[2], value[3])
        else
            book.phase(value[1], value[2])
        end
    end)

    local pending = false
    lunette.receive_alerts(function(a)
        book.hear(a, retire)
        pending = true
    end)

    -- A host's turn comes once a minute, if something was found of it; in the order of hosts, so that no hash decides what is said first.
    lunette.every(60, function(now)
        if not pending and looked then return end
        local changed, keys = looked and book.changed() or book.dirty_cases(), {}
        pending, looked = false, true
        for key in pairs(changed) do keys[#keys + 1] = key end
        table.sort(keys)
        for i = 1, #keys do
            local key = keys[i]
            local case = changed[key]
            case.dirty = false
            consider(case, now, false)
            if case.dirty then
                book.touch(key, case)
                pending = true
            end
        end
    end)

    local function all_cases()
        local keys, found = {}, {}
        for key, case in book.cases() do
            keys[#keys + 1], found[key] = key, case
        end
        table.sort(keys)
        return keys, found
    end

    lunette.on_end(function(now)
        local stories = {}
        local keys, found = all_cases()
        for _, key in ipairs(keys) do
            local case = found[key]
            local judged = consider(case, now, true)
            if case.told and judged then stories[#stories + 1] = { id = case.id, first = case.first, rows = rows_of(case, judged) } end
        end
        for id, one in over:each() do stories[#stories + 1] = { id = id, first = one.first, rows = one.rows } end
        table.sort(stories, function(a, b)
            if a.first ~= b.first then return a.first < b.first end
            return a.id < b.id
        end)
        local rows = {}
        for i = 1, math.min(#stories, tunables.shown) do
            for _, row in ipairs(stories[i].rows) do rows[#rows + 1] = row end
        end
        if #rows == 0 then return end
        lunette.report { title = "Incidents", columns = { "incident", "time", "severity", "what" }, rows = rows,
            note = #stories > tunables.shown and ("%d more are not shown"):format(#stories - tunables.shown) or nil }
    end)
end)
