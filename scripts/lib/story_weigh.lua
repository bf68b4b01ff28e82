-- What the findings of one host weigh together: which belong to each other, how much each adds, and why.
--
--   weight   by severity (high 4, medium 2.5, low 1, info 0.25), times 0.6 to 1 by confidence. Of one kind (detector and title) the second
--            counts half, the third a quarter …: forty alerts of one sort are hardly more than one.
--   ties     a finding that shares something with one of another kind: a program that is no common tool, or a parent of both (1); one's command
--            line names the file that the other's program is (1); a registrable domain or an outside address (1); the same common tool (0.5); ten minutes (0.5). Half as much between findings of one
--            detector, which looks at the same thing twice. Each finding counts its best tie.
--   tactics  0.75 for each beyond the first.
--
-- In the story are the core (medium and more, and what has a tie of substance: program, parent or server) and, for half their weight and without a tactic, weaker
-- findings within ten minutes of the core. The rest of a host's leads is left out and counted: that a Mac uses a VPN, or polls a server, is no part of it.
local programs = require "programs"

local weigh = {}

local BASE = { 4, 2.5, 1, 0.25 }
local HIGH, MEDIUM, LOW, INFO = 1, 2, 3, 4
local NEAR = 600
local TACTIC, TIES_MOST = 0.75, 5
local NOTHING = {}

weigh.HIGH, weigh.MEDIUM, weigh.LOW, weigh.INFO = HIGH, MEDIUM, LOW, INFO
weigh.SEVERITY = { "high", "medium", "low", "info" }
weigh.RANK = { high = HIGH, medium = MEDIUM, low = LOW, info = INFO }

-- Ancestors that everything has, and programs through which anybody acts: sharing them ties nothing.
local COMMON = { shell = true, interpreter = true, launcher = true, network = true, terminal = true }
local NOBODY = { launchd = true, login = true, loginwindow = true, xpcproxy = true, Finder = true, Dock = true, sudo = true, kernel_task = true,
    mDNSResponder = true, nsurlsessiond = true, ["com.apple.WebKit.Networking"] = true, sshd = true, tmux = true, screen = true }

local function is_common(name, path)
    if NOBODY[name] then return true end
    return COMMON[programs.class(name, path) or ""] or false
end

--- The programs that a finding can be tied by: itself and its ancestors, but for those that are common; and the common tool that it is.
function weigh.lineage(program, path, ancestry)
    local list, tool = {}, nil
    if program then
        if path and programs.is_user_writable(path) then
            list[1] = path
        elseif is_common(program, path) then
            tool = program
        else
            list[1] = program
        end
    end
    for name in (ancestry or ""):gmatch("[^<]+") do
        name = name:match("^%s*(.-)%s*$")
        if name ~= "" and #list < 6 and not is_common(name) then list[#list + 1] = name end
    end
    return list, tool
end

local function shared(a, b)
    for i = 1, #a do
        for k = 1, #b do
            if a[i] == b[k] then return a[i] end
        end
    end
    -- A path here may be a bare name there.
    for i = 1, #a do
        for k = 1, #b do
            if programs.base(a[i]) == programs.base(b[k]) then return a[i]:find("/", 1, true) and a[i] or b[k] end
        end
    end
end

--- Places that anybody may write to, as a command line names them: what a tool put there may be what runs later.
function weigh.files(text)
    local list = {}
    for path in (type(text) == "string" and text or ""):gmatch("/[^%s'\";&|<>]+") do
        if #list < 4 and programs.is_user_writable(path) then list[#list + 1] = path end
    end
    return list
end

local function wrote(a, b)
    for i = 1, b.path and #a.files or 0 do
        if a.files[i] == b.path then return (a.program or "a command") .. " wrote " .. b.path end
    end
end

-- What ties two findings of different kinds: points, is it of substance, words; nil if nothing does.
local function tie(a, b)
    local points, words
    local by = shared(a.lineage, b.lineage)
    local written = not by and (wrote(a, b) or wrote(b, a))
    if by then
        points, words = 1, "both by " .. by
    elseif written then
        points, words = 1, written
    elseif a.server and a.server == b.server then
        points, words = 1, "both about " .. a.server
    elseif a.address and a.address == b.address then
        points, words = 1, "both about " .. a.address
    elseif a.tool and a.tool == b.tool then
        points, words = 0.5, "both by " .. a.tool
    elseif math.abs(a.since - b.since) <= NEAR then
        points, words = 0.5, "within ten minutes"
    else
        return nil
    end
    if a.detector == b.detector then points = points / 2 end
    return points, points >= 1, words
end

-- Each lead's best tie with one of another kind, the earlier one where two are as good.
local function find_ties(leads)
    local best = {}
    for i = 1, #leads do
        for k = 1, i - 1 do
            if leads[i].kind ~= leads[k].kind then
                local points, solid, words = tie(leads[i], leads[k])
                if points and (not best[i] or points > best[i].points) then best[i] = { points = points, solid = solid, words = words } end
                if solid and not (best[k] and best[k].solid) then best[k] = { points = 0, solid = true, words = words, is_echo = true } end
            end
        end
    end
    return best
end

-- Which leads are in: 1 for the core, 0.5 for what is around it; nil for the rest.
local function choose(leads, ties)
    local share, core = {}, {}
    for i, lead in ipairs(leads) do
        local is_tied = ties[i] and ties[i].solid
        if lead.rank <= MEDIUM or (is_tied and lead.rank <= LOW) then
            share[i] = 1
            core[#core + 1] = lead
        elseif is_tied then
            share[i] = 0.5
        end
    end
    for i, lead in ipairs(leads) do
        for k = 1, share[i] and 0 or #core do
            if lead.rank <= LOW and math.abs(lead.since - core[k].since) <= NEAR then
                share[i] = 0.5
                break
            end
        end
    end
    return share, #core
end

local function sureness(confidence)
    return confidence >= 0.85 and "sure" or confidence >= 0.6 and "likely" or "unsure"
end

local function by_size(a, b) return a > b end

local function by_points(a, b)
    if a.points ~= b.points then return a.points > b.points end
    return a.text < b.text
end

-- Parts of one kind, the heaviest first, each next one halved.
local function kinds_of(leads, share)
    local kinds, by_name = {}, {}
    for i, lead in ipairs(leads) do
        if share[i] then
            local kind = by_name[lead.kind]
            if not kind then
                kind = { name = lead.kind, title = lead.title, detector = lead.detector, rank = lead.rank, confidence = lead.confidence, count = 0, weights = {} }
                by_name[lead.kind] = kind
                kinds[#kinds + 1] = kind
            end
            kind.count = kind.count + lead.count
            if lead.rank < kind.rank then kind.rank, kind.confidence = lead.rank, lead.confidence end
            kind.weights[#kind.weights + 1] = BASE[lead.rank] * (0.6 + 0.4 * lead.confidence) * share[i]
        end
    end
    for _, kind in ipairs(kinds) do
        table.sort(kind.weights, by_size)
        kind.points = 0
        for i = 1, math.min(#kind.weights, 5) do kind.points = kind.points + kind.weights[i] * 0.5 ^ (i - 1) end
    end
    return kinds
end

-- Are there findings of two kinds that tell something? Most hosts have less, and no story comes of it: then nothing is weighed.
local function are_several(leads)
    local kind
    for i = 1, #leads do
        local lead = leads[i]
        if lead.rank <= LOW then
            if kind and lead.kind ~= kind then return true end
            kind = lead.kind
        end
    end
    return false
end

local function by_beginning(a, b)
    if a.since ~= b.since then return a.since < b.since end
    return a.number < b.number
end
weigh.by_beginning = by_beginning

--- Judges a host's leads, and puts them into the order in which they began: { share, ties, kinds, tactics, points, parts, severity, left_out }, or nil and why if they are
--- no story. `least`: points that it takes.
function weigh.judge(leads, least)
    table.sort(leads, by_beginning)
    if not are_several(leads) then return nil end
    local ties = find_ties(leads)
    local share, core = choose(leads, ties)
    local kinds, tactics, walked = kinds_of(leads, share), {}, {}
    local worst, solid, left_out, findings, sum = INFO, 0, 0, 0, 0
    local parts, tied = {}, {}
    for i, lead in ipairs(leads) do
        if not share[i] then
            left_out = left_out + 1
        else
            findings = findings + lead.count
            worst = math.min(worst, lead.rank)
            for _, tactic in ipairs(share[i] == 1 and lead.tactics or NOTHING) do
                if not walked[tactic] then tactics[#tactics + 1] = tactic end
                walked[tactic] = true
            end
            local own = ties[i]
            if own and own.solid then solid = solid + 1 end
            if own and own.points > 0 and lead.rank <= LOW then
                if not tied[own.words] then
                    tied[own.words] = { words = own.words, points = 0 }
                    tied[#tied + 1] = tied[own.words]
                end
                tied[own.words].points = tied[own.words].points + own.points
            end
        end
    end
    local telling, highs = 0, 0
    for _, kind in ipairs(kinds) do
        if kind.rank == HIGH then highs = highs + 1 end
        if kind.rank <= LOW then telling = telling + 1 end
        sum = sum + kind.points
        parts[#parts + 1] = { points = kind.points, text = ("%s: %s %.1f (%s, %s%s)"):format(kind.detector, kind.title, kind.points,
            weigh.SEVERITY[kind.rank], sureness(kind.confidence), kind.count > 1 and (", %d times"):format(kind.count) or "") }
    end
    table.sort(parts, by_points)
    local of_ties = 0
    for _, one in ipairs(tied) do
        local points = math.min(one.points, TIES_MOST - of_ties)
        if points > 0 then
            of_ties = of_ties + points
            parts[#parts + 1] = { points = points, text = ("tie: %s %.1f"):format(one.words, points) }
        end
    end
    local of_tactics = math.max(#tactics - 1, 0) * TACTIC
    if of_tactics > 0 then parts[#parts + 1] = { points = of_tactics, text = ("%d tactics %.1f"):format(#tactics, of_tactics) } end
    sum = sum + of_ties + of_tactics
    if core == 0 or telling < 2 or sum < least then return nil end
    -- Leads alone make a story only if they are many and hang together.
    if worst >= LOW and (telling < 3 or #tactics < 2 or solid == 0) then return nil end
    local rank = math.min(worst, sum >= 8 and HIGH or sum >= 4.5 and MEDIUM or LOW)
    return { share = share, ties = ties, kinds = kinds, tactics = tactics, points = sum, parts = parts, rank = rank, left_out = left_out,
        findings = findings, tied = tied, highs = highs }
end

return weigh
