-- Long DNS names, again and again.
--
-- Shows: a filter, a tunable, state with a bound, an alert with a cooldown.
-- A Mac has little reason to ask for names of 100 characters and more. Data that is smuggled out in DNS questions makes
-- them, and makes many. Content networks and mail filters make a few; that is why five are needed.
--
--   lunette replay -s examples/detectors/long_dns_names.lua --set long_dns_names.length=60 capture.pcapng

local lunette = require "lunette"

lunette.detector { title = "Long DNS names", category = "Command and Control", attack = "T1071.004" }
local tunables = lunette.tunables { length = 100, times = 5 }

local counts = lunette.state("counts", { max = 10000, ttl = 3600 })

lunette.on("dns", { type = "query" }, function(e)
    local name = e.rrname or ""
    if #name < tunables.length then return end
    local times = (counts:get(e.client_ip) or 0) + 1
    counts:set(e.client_ip, times)
    if times < tunables.times then return end
    lunette.alert {
        severity = "medium",
        title = "Repeated very long DNS names",
        who = e.client_ip,
        where = lunette.registrable(name),
        why = ("%d names of %d characters or more, less than an hour apart"):format(times, tunables.length),
        evidence = { names = times, last = name },
        next = "Look at the names: data in labels looks random and changes each time.",
        key = e.client_ip,
        cooldown = 3600,
    }
end)
