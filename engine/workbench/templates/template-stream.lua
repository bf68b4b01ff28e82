-- @NAME@: a protocol that the engine does not know, parsed in Lua.
--
-- What it looks for: messages of a made-up protocol on port 7070: two bytes that say how long it is, then a word of command.
-- Why: (say what a healthy Mac has no reason to do, and what does it).
-- False alarms: (say who does it in good faith; somebody will look at this alert at night).
-- ATT&CK: T1095 non-application layer protocol.
--
-- Other detectors hear each message as the event @NAME@.message.

local lunette = require "lunette"

lunette.detector { title = "An order by a protocol of its own", category = "Command and Control", attack = "T1095" }

local tunables = lunette.tunables {
    orders = { "exec", "upload" }, -- commands that are worth an alert
    cooldown = 3600,               -- seconds in which the same host and server alert once
}

lunette.event("message", { command = "str", bytes = "u32" }, "A message of the client")

local orders = lunette.set.strings(tunables.orders)

-- Lengths come from strangers: r:within lets the parser read no further than the message.
local function message(r, length, s)
    local command = r:upto(" ")
    lunette.emit("message", { command = command, bytes = length })
    if not orders:has(command) then return end
    lunette.alert {
        severity = "medium",
        who = s.client_ip,
        where = s.server_ip,
        why = ("%s sent the order %s in %d bytes"):format(s.client_ip, command, length),
        evidence = { command = command, bytes = length },
        next = "What is behind the port? Look for the program on the host.",
        key = s.client_ip .. " " .. s.server_ip,
        cooldown = tunables.cooldown,
    }
end

lunette.stream {
    ports = { 7070 },
    client = function(r, s)
        while true do
            local length = r:u16be()
            r:within(length, message, length, s)
        end
    end,
}
