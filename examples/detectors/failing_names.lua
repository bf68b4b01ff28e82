-- Many names that do not exist, in a short time.
--
-- Shows: a ring of timestamps from lunette.series, kept in named state for each host.
-- Software asks for names that are there. A program that works through generated names until one has been registered gets
-- NXDOMAIN for nearly all of them. So do a network that just lost its search domain, a crawler, and a mistyped name with a
-- long search list: hence the rate, and not the count.
--
--   lunette replay -s examples/detectors/failing_names.lua --set failing_names.times=20 capture.pcapng

local lunette = require "lunette"
local series = require "lunette.series"

lunette.detector { title = "Burst of names that do not exist", category = "Command and Control", attack = "T1568.002" }
local tunables = lunette.tunables { times = 30, seconds = 60 }

local failures = lunette.state("failures", { max = 10000, ttl = 3600 })

lunette.on("dns", { type = "answer", rcode = "NXDOMAIN" }, function(e)
    local ring = failures:get(e.client_ip) or series.ring(tunables.times)
    ring:add(e.time)
    failures:set(e.client_ip, ring)
    if ring:within(e.time, tunables.seconds) < tunables.times then return end
    lunette.alert {
        who = e.client_ip, where = e.server_ip,
        why = ("%d NXDOMAIN answers within %.0f s"):format(ring:count(), ring:newest() - ring:oldest()),
        evidence = { last = e.rrname, answers = ring:count() },
        next = "Read the names: generated ones look alike in length and letters, and share no registered domain.",
        key = e.client_ip, cooldown = 3600,
    }
end)
