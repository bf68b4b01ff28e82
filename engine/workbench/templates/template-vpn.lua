-- @NAME@: an encrypted tunnel that nobody has announced.
--
-- What it looks for: VPNs out of the home networks, of kinds and to servers that are not in the list.
-- Why: what goes through a tunnel cannot be watched. (Say who may have one here.)
-- False alarms: (say who does it in good faith: a phone's private relay, a colleague's own VPN).
-- ATT&CK: T1572 protocol tunneling.

local lunette = require "lunette"

lunette.detector { title = "VPN that is not known", category = "Command and Control", attack = "T1572" }

local tunables = lunette.tunables {
    kinds = { "ipsec" },       -- that are fine, to whatever server: wireguard, openvpn, ipsec, tailscale, zerotier …
    servers = { "192.0.2.1" }, -- that are fine, by name or address
    within = 86400,            -- seconds after which the same tunnel is told again
}

local function set_of(list)
    local set = {}
    for i = 1, #list do set[list[i]] = true end
    return set
end
local kinds, servers = set_of(tunables.kinds), set_of(tunables.servers)

local told = lunette.state("told", { max = 10000, ttl = tunables.within })

-- confidence is certain or likely; a certain one was answered as only this protocol does.
lunette.on("vpn", { client_local = true, server_local = false }, function(e)
    local server = e.name or e.server_ip
    if kinds[e.kind] or servers[server] or servers[e.server_ip] then return end
    local key = e.client_ip .. " " .. e.kind .. " " .. server
    if told:get(key) then return end
    told:set(key, true)
    lunette.alert {
        severity = e.confidence == "certain" and "medium" or "low",
        who = e.client_ip,
        where = server,
        why = ("%s tunnel, %s: %s"):format(e.product or e.kind, e.confidence, e.evidence or "no more is known"),
        evidence = { kind = e.kind, mode = e.mode, transport = e.transport, port = e.server_port, program = e.program },
        next = "Is it the company's? Which program keeps it open?",
    }
end)
