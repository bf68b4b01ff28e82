-- @NAME@: a program runs from a folder for temporary files.
--
-- What it looks for: programs that start from folders that everybody may write to, and nobody installs programs in.
-- Why: what was just fetched is run from there. (Say what else belongs to it.)
-- False alarms: (say who does it in good faith: installers, updates that unpack themselves).
-- ATT&CK: T1204.002 user execution: malicious file.
--
-- Process events come from the Mac's own logs: lunette replay -s @NAME@.lua --host-log LOG CAPTURE.

local lunette = require "lunette"

lunette.detector { title = "Program from a temporary folder", category = "Execution", attack = "T1204.002" }

local tunables = lunette.tunables {
    folders = { "/tmp/", "/private/tmp/", "/var/tmp/", "/private/var/tmp/", "/Users/Shared/" },
    within = 86400, -- seconds after which the same program of a host is told again
}

local told = lunette.state("told", { max = 10000, ttl = tunables.within })

local function is_temporary(path)
    for i = 1, #tunables.folders do
        local folder = tunables.folders[i]
        if path:sub(1, #folder) == folder then return true end
    end
    return false
end

-- action is exec, fork, exit or seen.
lunette.on("process", { action = "exec" }, function(e)
    local path = e.path
    if not path or not is_temporary(path) then return end
    local key = e.host .. " " .. path
    if told:get(key) then return end
    told:set(key, true)
    lunette.alert {
        severity = "medium",
        who = e.host,
        where = path,
        why = ("%s was started by %s: %s"):format(path, e.parent or "somebody", table.concat(e.arguments, " ")),
        evidence = { pid = e.pid, parents = table.concat(e.ancestors, " < "), signing_id = e.signing_id, team_id = e.team_id },
        next = "Who wrote the file, and whom does that pid call? Its flows have the same pid and path.",
    }
end)
