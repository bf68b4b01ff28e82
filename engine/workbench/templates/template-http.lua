-- @NAME@: a program is fetched in clear.
--
-- What it looks for: HTTP answers whose URL ends as a program, script or disk image does.
-- Why: what came unencrypted may have been changed on the way. (Say what fetches programs like that.)
-- False alarms: (say who does it in good faith: old updaters, package mirrors that check signatures).
-- ATT&CK: T1105 ingress tool transfer.

local lunette = require "lunette"

lunette.detector { title = "A program fetched in clear", category = "Command and Control", attack = "T1105" }

local tunables = lunette.tunables {
    endings = { "dmg", "pkg", "sh", "command", "scpt" },
    bytes = 100,     -- smaller answers are none
    cooldown = 3600, -- seconds in which the same host and server alert once
}

local is_program = {}
for _, ending in ipairs(tunables.endings) do is_program[ending] = true end

lunette.on("http", { method = "GET", status = 200, server_local = false }, function(e)
    local path = (e.url or ""):match("^[^?#]*")
    local ending = path:match("%.(%w+)$")
    if not ending or not is_program[ending:lower()] or e.length < tunables.bytes then return end
    local host = e.host or e.server_ip
    lunette.alert {
        severity = lunette.is_address(host) and "high" or "medium",
        who = e.client_ip,
        where = host,
        why = ("%s of %d bytes, asked for by %s"):format(path, e.length, e.user_agent or "nobody who says"),
        evidence = { url = e.url, bytes = e.length, agent = e.user_agent, type = e.content_type },
        next = "The file is in clear: cut it out of the capture and look at it.",
        key = e.client_ip .. " " .. host,
        cooldown = tunables.cooldown,
    }
end)
