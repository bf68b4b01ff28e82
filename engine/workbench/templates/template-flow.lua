-- @NAME@: a host sends much to one server.
--
-- What it looks for: the bytes that a host sent to a server outside, over all flows of a day.
-- Why: (say what sends so much, and why that is of interest).
-- False alarms: (say who does it in good faith: backups, photo libraries, video calls).
-- ATT&CK: T1048 exfiltration over alternative protocol.

local lunette = require "lunette"

lunette.detector { title = "Much sent to one server", category = "Exfiltration", attack = "T1048" }

local tunables = lunette.tunables {
    bytes = 100 * 1000 * 1000, -- of payload, from which on it is told
    within = 86400,            -- seconds after which a host and server that were quiet are forgotten
}

local sent = lunette.state("sent", { max = 100000, ttl = tunables.within })

lunette.on("flow", { client_local = true, server_local = false }, function(e)
    local server = e.server_name or e.server_ip
    local key = e.client_ip .. " " .. server
    local before = sent:get(key) or 0
    local now = before + e.client_payload
    sent:set(key, now)
    if before >= tunables.bytes or now < tunables.bytes then return end
    lunette.alert {
        severity = "low",
        who = e.client_ip,
        where = server,
        why = ("%.1f MB sent to %s"):format(now / 1e6, server),
        evidence = { bytes = now, port = e.server_port, protocol = e.app_proto },
        next = "Which program sends there? Is it a backup?",
    }
end)
