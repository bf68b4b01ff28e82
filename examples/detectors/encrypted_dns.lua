-- DNS that leaves the Mac encrypted.
--
-- Shows: a list in a file of data/ as a set; the set as a filter, so that Lua is entered for hits alone.
-- Encrypted DNS takes names out of sight: of this sensor, and of whoever watches the resolver. Browsers turn it on, profiles
-- turn it on, and so do implants that want their names unseen (DNS over HTTPS as a channel). The list has well-known
-- services; a private resolver of that kind is not on it.
--
--   lunette replay -s examples/detectors/encrypted_dns.lua capture.pcapng

local lunette = require "lunette"

lunette.detector { title = "Encrypted DNS", category = "Command and Control", attack = "T1071.004, T1572" }

local resolvers = lunette.set.domains(lunette.lines("encrypted_dns.txt"))

lunette.on("tls", { sni = resolvers, client_local = true }, function(e)
    lunette.alert {
        severity = "low", who = e.client_ip, where = e.sni,
        why = ("TLS to a public resolver on port %d"):format(e.server_port),
        evidence = { port = e.server_port, ja4 = e.ja4, address = e.server_ip },
        next = "The fingerprint tells browsers from other programs: compare it with the other connections of this host.",
        key = e.client_ip .. " " .. e.sni, cooldown = 86400,
    }
end)
