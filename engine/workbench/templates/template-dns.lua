-- @NAME@: a host asks for a name that is on a list.
--
-- What it looks for: DNS questions for the domains of `tunables.domains`, and for what is below them.
-- Why: (say what a healthy Mac has no reason to do, and what does it).
-- False alarms: (say who does it in good faith; somebody will look at this alert at night).
-- ATT&CK: T1071.004 application layer protocol: DNS.

local lunette = require "lunette"

lunette.detector { title = "A name on the list", category = "Command and Control", attack = "T1071.004" }

local tunables = lunette.tunables {
    domains = { "example.net", "example.org" },
    cooldown = 3600, -- seconds in which the same host and name alert once
}

local watched = lunette.set.domains(tunables.domains)

lunette.on("dns", { type = "query", rrname = watched }, function(e)
    lunette.alert {
        severity = "medium",
        who = e.client_ip,
        where = e.rrname,
        why = ("%s asked %s for %s"):format(e.client_ip, e.server_ip, e.rrname),
        evidence = { type = e.rrtype },
        next = "What did the host do with the answer? Look for connections that follow.",
        key = e.client_ip .. " " .. e.rrname,
        cooldown = tunables.cooldown,
    }
end)
