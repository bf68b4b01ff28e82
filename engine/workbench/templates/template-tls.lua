-- @NAME@: TLS to a server that is called by no name.
--
-- What it looks for: TLS connections out of the home networks whose ClientHello has no server_name, again and again to the
-- same server.
-- Why: programs that people use call servers by name. (Say what does not, and why that is of interest.)
-- False alarms: (say who does it in good faith: VPNs, some games, resolvers over TLS).
-- ATT&CK: T1573.002 encrypted channel: asymmetric cryptography.

local lunette = require "lunette"

lunette.detector { title = "TLS to a server without a name", category = "Command and Control", attack = "T1573.002" }

local tunables = lunette.tunables {
    times = 3,       -- connections from which on it is told
    within = 86400,  -- seconds after which a host and server that were quiet are forgotten
}

local counts = lunette.state("counts", { max = 100000, ttl = tunables.within })

lunette.on("tls", { has_client_hello = true, server_local = false }, function(e)
    if e.sni then return end
    local key = e.client_ip .. " " .. e.server_ip
    local times = (counts:get(key) or 0) + 1
    counts:set(key, times)
    if times ~= tunables.times then return end
    lunette.alert {
        severity = "low",
        who = e.client_ip,
        where = e.server_ip,
        why = ("%d TLS connections to %s, port %d, without a server name"):format(times, e.server_ip, e.server_port),
        evidence = { connections = times, ja4 = e.ja4, version = e.version },
        next = "Which program has this JA4? Whose address is that?",
    }
end)
