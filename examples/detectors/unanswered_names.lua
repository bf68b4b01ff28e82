-- Questions that nobody answers.
--
-- Shows: a timer that looks through state: for what should have happened and did not, no event comes.
-- A resolver that is blocked, a VPN that is half up, a program with a resolver of its own behind a firewall: the questions go
-- out and nothing comes back. On a Mac in order a question is answered, or asked again of another server, within seconds.
--
--   lunette replay -s examples/detectors/unanswered_names.lua capture.pcapng

local lunette = require "lunette"

lunette.detector { title = "DNS server that does not answer", category = "Impact", attack = "T1562.004" }
local tunables = lunette.tunables { seconds = 5, times = 10 }

local waiting = lunette.state("waiting", { max = 20000, ttl = 60 })
local silent = lunette.state("silent", { max = 5000, ttl = 3600 })

local function key_of(e) return e.client_ip .. " " .. e.server_ip .. " " .. e.id end

lunette.on("dns", { type = "query", server_port = 53, client_local = true }, function(e)
    waiting:set(key_of(e), { time = e.time, client = e.client_ip, server = e.server_ip, name = e.rrname })
end)
lunette.on("dns", { type = "answer", server_port = 53 }, function(e)
    waiting:set(key_of(e), nil)
    silent:set(e.client_ip .. " " .. e.server_ip, nil)
end)

lunette.every(tunables.seconds, function(now)
    for key, question in waiting:each() do
        if now - question.time >= tunables.seconds then
            waiting:set(key, nil)
            local pair = question.client .. " " .. question.server
            local times = (silent:get(pair) or 0) + 1
            silent:set(pair, times)
            if times == tunables.times then
                lunette.alert {
                    severity = "low", who = question.client, where = question.server,
                    why = ("%d questions in a row without an answer within %d s"):format(times, tunables.seconds),
                    evidence = { questions = times, last = question.name },
                    next = "Did the network change just before? scutil --dns on the Mac shows who is asked for what.",
                    key = pair, cooldown = 3600,
                }
            end
        end
    end
end)
