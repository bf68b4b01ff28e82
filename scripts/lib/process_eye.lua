-- The process's eye of lolbin: a tool that starts, held against who started it, its command line, and where it lies.
--
-- News come from a host log (`process` events), and from flows whose program was running before the log began. What was said of a start
-- is remembered by host and pid for an hour, so that the wire's eye does not say it again. A log without an address has none to remember by
-- (its flows may be at another worker): then a start and what it did on the wire are two alerts.

local lunette = require "lunette"
local arguments = require "arguments"
local programs = require "programs"
local tool_book = require "tool_book"
local tool_process = require "tool_process"

local process_eye = {}

local LONGEST = 200 -- bytes of a path, a chain, a sentence: all hold what strangers wrote

local note_tool = tool_book.sender(lunette)

local function is_gui(name) return programs.is_gui(name) end

-- Ancestors are known by name alone, and a name is cheap: /tmp/Terminal is no terminal. So programs are remembered that ran on a host
-- under a known name from a place where anybody may write; whoever has such a name above it there has not got what it says.
local masks = lunette.state("masks", { max = 2000, ttl = 86400 }) -- "host name" → path

local function is_mask(name, path, is_signed)
    local class = name and path and programs.class(name)
    if not class then return false end
    if path:find("^/private/var/folders/.*/AppTranslocation/") and is_signed then return false end -- where macOS runs downloads
    local place = programs.is_within(path)
    if place == "temp" or place == "volume" or arguments.is_hiding_place(path) then return true end
    return programs.class(name, path) ~= class and programs.is_user_writable(path)
end

-- e: a `process` event; host: what its events are kept under.
function process_eye.note(e, host)
    local name = e.program
    if is_mask(name, e.path, e.team_id ~= nil) then masks:set(host .. " " .. name, e.path) end
end

-- The lineage with what is a mask called "hidden", and whether a person stands in it; nil if it is not known.
local function unmasked(e, host, parent_path)
    local lineage = programs.lineage(e)
    if not lineage then return nil end
    local user = false
    for i, one in ipairs(lineage) do
        if masks:get(host .. " " .. one.name) or i == 1 and parent_path and is_mask(one.name, parent_path) then
            one.class = "hidden"
        elseif one.class == "terminal" or programs.has(one.name, nil, "terminal") then
            user = true
        end
    end
    return lineage, user
end

-- The program's process id: mDNSResponder's sockets act for others.
function process_eye.pid(e)
    return (e.effective_pid or 0) > 0 and e.effective_pid or e.pid
end

-- Of an event of a flow: who stands behind the program that made it, with the chain in words; nil if nobody tells. A program that is no
-- tool, but asks like curl by its library, stands behind it by itself.
function process_eye.behind(e)
    if not e.ancestry or e.direction == "in" then return nil end
    local lineage, user = unmasked(e, e.client_ip)
    if not lineage then return nil end
    local name = e.program
    if name and not tool_process.tool_of(name) then
        table.insert(lineage, 1, { name = name, class = programs.class(name, e.path) })
        user = user and not programs.is_gui(name, e.path)
    end
    local standing = tool_process.standing(lineage, user, is_gui, false)
    standing.chain = tool_process.chain(lineage):sub(1, LONGEST)
    return standing
end

local NEXT = {
    terminal = "A person ran it. Is that person's work of this kind?",
    launched = "Which LaunchAgent or LaunchDaemon is it? Its property list names the command; when did that file appear?",
    installer = "Which package was it? Its postinstall script is what pkgutil --expand shows.",
    nobody = "Who started it? A log that knows parents (eslogger, Santa, osquery) would tell.",
}

local function sentences(marks)
    local list = {}
    for i, mark in ipairs(marks) do list[i] = mark.text:sub(1, LONGEST) end
    return list
end

-- ATT&CK ids: that of who started it where that is the finding, then the marks'.
local function attack_of(standing, rank, marks)
    local all, known = {}, {}
    local function add(ids)
        for id in ids:gmatch("[^,]+") do
            if not known[id] and #all < 5 then all[#all + 1], known[id] = id, true end
        end
    end
    if rank > 0 or #marks == 0 then add(standing.attack) end
    for _, mark in ipairs(marks) do add(mark.attack) end
    return table.concat(all, ",")
end

-- tool, manner, marks, their sum; nil if the program is nothing to us.
local function look(e, words)
    local tool, renamed = tool_process.tool_of(e.program, e.signing_id)
    local manner = tool and tool_process.tools[tool]
    if not manner then return nil end
    local marks, weight = arguments.judge(tool, words)
    local place = tool_process.place(e.program, e.path, renamed, arguments.is_hiding_place(e.path))
    if place and (manner ~= "runs" or place.weight > 1) then
        table.insert(marks, 1, place)
        weight = weight + place.weight
    end
    if manner == "runs" and weight == 0 then return nil end
    return tool, manner, marks, weight
end

-- told: state "host pid" → rank; cooldown: seconds.
function process_eye.new(with)
    local eye = {}

    -- e: a `process` or `flow` event. host: how the Mac is called in the alert. words: its arguments, list or text. parent_path: or nil.
    function eye.say(e, host, where, words, parent_path)
        local tool, manner, marks, weight = look(e, words)
        if not tool then return end
        local lineage, user = unmasked(e, host, parent_path)
        lineage = lineage or {}
        local hides = parent_path ~= nil and arguments.is_hiding_place(parent_path)
        local standing = tool_process.standing(lineage, user, is_gui, hides)
        local rank = tool_process.rank(standing, weight, manner)
        if standing.kind == "terminal" and weight >= 7 then rank = 1 end
        -- Shells and interpreters are everywhere; only what stands out is worth a line.
        if manner == "runs" and rank == 0 then return end
        local list, pid = sentences(marks), process_eye.pid(e)
        local chain = tool_process.chain(lineage):sub(1, LONGEST)
        local line = table.concat(arguments.words(words), " "):sub(1, 300)
        if line == "" then line = (e.path or e.program or tool):sub(1, LONGEST) end
        where = (where or arguments.target(words) or e.path or e.program or tool):sub(1, LONGEST)
        if e.client_ip ~= "::" then
            with.told:set(e.client_ip .. " " .. pid, rank)
            note_tool(e.client_ip, tool .. " run by " .. (standing.name or standing.words), nil)
        end
        local severity, confidence = tool_process.severities[rank], standing.kind == "nobody" and 0.5 or 0.9
        local attack = attack_of(standing, rank, marks)
        lunette.alert {
            title = ("%s started by %s"):format(tool, standing.words), severity = severity, confidence = confidence,
            score = tool_process.score(rank, confidence, weight), who = host, where = where, attack = attack,
            why = ("%s; run by %s%s%s"):format(line, chain ~= "" and chain or "nobody known", #list > 0 and "; " or "", table.concat(list, "; ")),
            evidence = { tool = tool, pid = pid, path = e.path and e.path:sub(1, LONGEST), arguments = line, behind = chain, kind = standing.kind, marks = list,
                weight = weight, signing_id = e.signing_id and e.signing_id:sub(1, LONGEST), responsible = e.responsible and e.responsible:sub(1, LONGEST) },
            next = NEXT[standing.kind] or ("What was open in %s then? The flows of pid %d tell what was fetched or sent."):format(
                standing.name or "it", pid),
            -- What does another thing is told as well: the second curl of a document may be the one that writes the LaunchAgent.
            key = table.concat({ host, "run", tool, chain, where, severity, attack or "" }, " "), cooldown = with.cooldown,
        }
    end

    -- A flow of a program that no log saw starting: known by the kernel's name, or running since before the log began.
    function eye.flow(e)
        if e.arguments or e.direction == "in" or with.told:get(e.client_ip .. " " .. process_eye.pid(e)) then return end
        if not e.ancestry and not e.path then
            note_tool(e.client_ip, e.program .. " by name", e.server_name or e.server_ip)
            return
        end
        eye.say(e, e.client_ip, e.server_name or e.server_ip, nil)
    end

    return eye
end

return process_eye
