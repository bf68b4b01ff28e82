-- A judged case in words: the timeline, the story in two or three sentences, what a table and a card say of it.
local figures = require "figures"
local weigh = require "story_weigh"

local tell = {}

local BEATS = 7      -- findings that the sentences name
local SHOWN = 64     -- lines of a timeline
local WORDS = 220    -- bytes of a line's reason

local function clock(time) return os.date("!%H:%M:%S", math.floor(time)) end
local function moment(time) return os.date("!%Y-%m-%d %H:%M", math.floor(time)) end
tell.moment = moment

local function cut(text, most)
    if #text <= most then return text end
    return (text:sub(1, most - 3):gsub("[\192-\255][\128-\191]*$", "")) .. "…"
end

-- "curl < sh < Microsoft Word", as far as it tells something.
local function by(lead)
    if not lead.program then return nil end
    local who = lead.path and lead.path:find("^/private/?") and lead.path or lead.path or lead.program
    local parents = lead.ancestry and lead.ancestry:gsub(" ?<? ?launchd$", "") or ""
    return parents ~= "" and who .. " < " .. parents or who
end

-- The leads that are in, in the order in which they began.
local function chosen(case, judged)
    local list = {}
    for i, lead in ipairs(case.leads) do
        lead.share = judged.share[i]
        if lead.share then list[#list + 1] = lead end
    end
    return list
end

function tell.first(case, judged) return chosen(case, judged)[1].since end
function tell.last(case, judged)
    local last = 0
    for _, lead in ipairs(chosen(case, judged)) do last = math.max(last, lead.time) end
    return last
end

local function line(lead)
    local text = ("%s %s"):format(clock(lead.since), lead.title)
    if lead.where ~= "" then text = text .. ", " .. lead.where end
    local who = by(lead)
    if who then text = text .. ", by " .. who end
    if lead.phase ~= "" and lead.phase ~= "steady" then text = text .. ", while the Mac was in its phase " .. lead.phase end
    text = ("%s [%s, %s%s]"):format(text, lead.detector, weigh.SEVERITY[lead.rank], lead.tactics[1] and ", " .. table.concat(lead.tactics, ", ") or "")
    if lead.count > 1 then
        text = text .. (" %d times"):format(lead.count)
        if lead.time - lead.since >= 1 then text = text .. " until " .. clock(lead.time) end
    end
    if lead.why ~= "" then text = text .. ": " .. cut(lead.why, WORDS) end
    return text
end

--- A list of { time, text }, in the order in which things began.
function tell.timeline(case, judged)
    local lines = {}
    for _, lead in ipairs(chosen(case, judged)) do
        if #lines < SHOWN then lines[#lines + 1] = { time = lead.since, text = line(lead) } end
    end
    return lines
end

-- The heaviest leads, each kind once, in the order of time.
local function beats(case, judged)
    local list, taken = {}, {}
    for _, lead in ipairs(chosen(case, judged)) do
        if not taken[lead.kind] and lead.share == 1 then
            taken[lead.kind] = true
            list[#list + 1] = lead
        end
    end
    local more = #list - BEATS
    while #list > BEATS do
        local worst
        for i, lead in ipairs(list) do
            if not worst or lead.rank >= list[worst].rank then worst = i end
        end
        table.remove(list, worst)
    end
    return list, math.max(more, 0)
end

local function names(list, most)
    local shown = {}
    for i = 1, math.min(#list, most) do shown[i] = list[i] end
    if #list > most then shown[#shown + 1] = ("%d more"):format(#list - most) end
    return table.concat(shown, ", ")
end

--- Two or three sentences.
function tell.story(case, judged)
    local list, more = beats(case, judged)
    local words = {}
    for i, lead in ipairs(list) do
        local what, before = lead.title, list[i - 1]
        if lead.where ~= "" and not (before and before.where == lead.where) then what = what .. " (" .. lead.where .. ")" end
        local who = by(lead)
        if who then what = what .. (before and by(before) == who and " by the same" or " by " .. who) end
        if i == 1 then
            words[1] = ("It began at %s with: %s"):format(moment(lead.since), what)
        else
            local after = lead.since - list[i - 1].since
            words[#words + 1] = after < 2 and "at the same time: " .. what or ("%s later: %s"):format(figures.duration(after), what)
        end
    end
    if more > 0 then words[#words + 1] = figures.count(more, "further finding") end
    local text = table.concat(words, "; ") .. "."
    text = ("%s In all %s of %s in %s"):format(text, figures.count(judged.findings, "finding"), figures.count(#judged.kinds, "kind"),
        figures.duration(math.max(tell.last(case, judged) - tell.first(case, judged), 1)))
    if #judged.tactics > 0 then text = text .. ", on the way through " .. table.concat(judged.tactics, ", ") end
    local ties = {}
    for _, one in ipairs(judged.tied) do
        if one.words ~= "within ten minutes" then ties[#ties + 1] = one.words end
    end
    if #ties > 0 then text = text .. "; what ties them: " .. names(ties, 4) end
    if judged.left_out > 0 then text = text .. ("; %s of this host left out as unrelated"):format(figures.count(judged.left_out, "lead")) end
    return text .. "."
end

--- The score, part by part.
function tell.score(judged)
    local words = {}
    for i, part in ipairs(judged.parts) do words[i] = part.text end
    return ("%.1f = "):format(judged.points) .. table.concat(words, " + ")
end

-- What leads have in a field, each once, in the order in which it came.
local function each_once(case, judged, value_of)
    local list, seen = {}, {}
    for _, lead in ipairs(chosen(case, judged)) do
        local value = value_of(lead)
        if value and value ~= "" and not seen[value] and #list < 16 then
            seen[value] = true
            list[#list + 1] = value
        end
    end
    return list
end

function tell.names(case, judged) return each_once(case, judged, function(lead) return lead.where end) end
function tell.programs(case, judged) return each_once(case, judged, function(lead) return lead.path or lead.program end) end
function tell.phases(case, judged) return each_once(case, judged, function(lead) return lead.phase end) end
function tell.detectors(case, judged) return each_once(case, judged, function(lead) return lead.detector end) end
function tell.techniques(case, judged)
    local list, seen = {}, {}
    for _, lead in ipairs(chosen(case, judged)) do
        for _, id in ipairs(lead.rank <= weigh.LOW and lead.ids or {}) do
            if not seen[id] and #list < 24 then
                seen[id] = true
                list[#list + 1] = id
            end
        end
    end
    return list
end

--- The lead where an analyst begins: the worst one, the surer, the earlier.
function tell.heaviest(case, judged)
    local best
    for _, lead in ipairs(chosen(case, judged)) do
        if not best or lead.rank < best.rank or (lead.rank == best.rank and lead.confidence > best.confidence) then best = lead end
    end
    return best
end

return tell
