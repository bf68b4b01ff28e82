-- Counts the queries of load.py per host, in state that reloads and restarts hand over, and alerts at each hundredth.
--
-- Queries are numbered by host, so at the hundredth count the name must have the number hundred: an event that was lost or
-- shown twice shows as a difference between the two, an alert too many or too few as a step that is missing or double.
local lunette = require "lunette"
lunette.detector { title = "Counting", category = "Test" }
local tunables = lunette.tunables { step = 100 }
local counts = lunette.state("counts", { max = 100 })
local first_word = lunette.lines("words.txt")[1]

lunette.on("dns", { type = "query" }, function(e)
    local n = (counts:get(e.client_ip) or 0) + 1
    counts:set(e.client_ip, n)
    if n % tunables.step ~= 0 then return end
    lunette.alert {
        severity = "info", title = "Counted", who = e.client_ip, where = e.rrname, why = "counted " .. n,
        evidence = { counted = n, numbered = tonumber(e.rrname:match("^n(%d+)")), word = first_word },
    }
end)
