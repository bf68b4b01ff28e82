-- A detector for allowed_test.lua: says of each name that is asked for, and each server, what the list makes of it.
local lunette = require "lunette"

lunette.detector { title = "Allowed", category = "Discovery" }
local tunables = lunette.tunables { allowed = "" }
local allow = require("allowed").list(lunette, tunables.allowed)

lunette.on("dns", { type = "query" }, function(e)
    local words = {}
    if allow.name(e.rrname) then words[#words + 1] = "name" end
    if allow.word(e.rrname) then words[#words + 1] = "word" end
    if allow.address(e.rrname) then words[#words + 1] = "address" end
    if allow.host(e.server_ip) then words[#words + 1] = "server" end
    if allow.name(nil) or allow.address(nil) or allow.word(nil) or allow.host(nil) then words[#words + 1] = "nil" end
    lunette.alert { severity = "info", who = e.client_ip, where = e.rrname, why = table.concat(words, " "), evidence = { entries = allow.count } }
end)
