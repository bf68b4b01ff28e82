-- Names that are made to be read as somebody else's.
--
-- Shows: lunette.names, and judging each name once (state with keep = false, since it only saves work).
-- paypa1.com, аpple.com with a Cyrillic а, app1e-id.com: letters that look alike, or one slip away. Short brands are near many
-- honest names, so the list holds long ones; whoever owns the name itself is left alone.
--
--   lunette replay -s examples/detectors/lookalike_names.lua --set lookalike_names.brands=paypal,example capture.pcapng

local lunette = require "lunette"
local names = require "lunette.names"

lunette.detector { title = "Look-alike name", category = "Initial Access", attack = "T1566.002, T1583.001" }
local tunables = lunette.tunables { brands = { "paypal.com", "microsoft.com", "dropbox.com", "instagram.com", "linkedin.com" } }

local judged = lunette.state("judged", { max = 50000, keep = false })

lunette.on("tls", { client_local = true }, function(e)
    local domain = e.sni and lunette.registrable(e.sni)
    if not domain or judged:get(domain) then return end
    judged:set(domain, true)
    local brand, distance = names.lookalike(domain, tunables.brands)
    if not brand then return end
    lunette.alert {
        severity = distance == 0 and "high" or "medium", who = e.client_ip, where = e.sni,
        why = distance == 0 and ("written with other letters it reads %s"):format(brand)
            or ("%d letter%s away from %s"):format(distance, distance == 1 and "" or "s", brand),
        evidence = { brand = brand, distance = distance, shown = names.unicode(domain) },
        next = "Was it typed, or clicked in a mail? The connections just before tell where the person came from.",
    }
end)
