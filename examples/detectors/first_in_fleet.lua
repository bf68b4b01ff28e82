-- Names that nobody here had asked for: the first Mac of the whole fleet that asks for a name below a domain.
--
-- With several workers each sees its own hosts only. So each worker says which client asked for which domain, once a day
-- for each pair (lunette.send), and what one state over all workers has heard decides what is new (lunette.gather).
local lunette = require "lunette"

lunette.detector { title = "A domain new to the fleet", category = "Discovery" }
local tunables = lunette.tunables { learning = 3600, days = 30 }

local HOUR, DAY = 3600, 86400

-- In each worker: what its own hosts have said already need not be said again.
local said = lunette.state("said", { max = 100000, ttl = DAY })

lunette.on("dns", { type = "query", client_local = true }, function(e)
    local domain = e.rrname and lunette.registrable(e.rrname)
    if not domain then return end
    local pair = e.client_ip .. " " .. domain
    if said:get(pair) then return end
    said:set(pair, true)
    lunette.send(domain, e.client_ip)
end)

-- In one state for all workers: messages come in the order of time, whatever worker they come from.
lunette.gather(function()
    local known = lunette.state("known", { max = 200000, ttl = tunables.days * DAY })
    local clients = lunette.state("clients", { max = 20000, ttl = tunables.days * DAY })
    local own = { began = nil }
    lunette.state("own", { max = 1 }):set("all", own)

    lunette.receive(function(domain, client, time)
        own.began = own.began or time
        clients:set(client, true)
        local new = not known:get(domain)
        known:set(domain, true)
        if not new or time - own.began < tunables.learning then return end
        lunette.alert {
            severity = "info",
            who = client, where = domain,
            why = ("the first of %d clients to ask for it, after %.1f hours of listening"):format(clients:count(),
                (time - own.began) / HOUR),
            evidence = { clients = clients:count(), domains = known:count() },
            next = "A name that many ask for soon is an update; one that stays alone deserves a look.",
        }
    end)
end)
