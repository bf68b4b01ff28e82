-- A DNS server that this host did not ask before.
--
-- Shows: the smallest detector there is. Alerts once a day for each pair of host and server (key and cooldown).
-- A Mac asks the resolvers that DHCP gave it. Another one means another network, a VPN, a program with a resolver of its
-- own, or settings that somebody changed. The first server of each host is told too: in a capture everything is new.
--
--   lunette replay -s examples/detectors/new_resolver.lua capture.pcapng

local lunette = require "lunette"

lunette.on("dns", { type = "query", server_port = 53, client_local = true }, function(e)
    lunette.alert { title = "DNS server in use", severity = "info", who = e.client_ip, where = e.server_ip, attack = "T1071.004",
        why = "first question: " .. (e.rrname or "?"), key = e.client_ip .. " " .. e.server_ip, cooldown = 86400 }
end)
