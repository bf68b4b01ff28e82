-- For story_test.lua: raises what a case asks for, as other detectors would. Each part of a request's path is a field: /severity=low/title=Tunnel…; `gathered`
-- has it raised by the part that gathers.
local lunette = require "lunette"
local function alert_of(e)
    local given = {}
    for key, value in (e.url or ""):gmatch("([%w_]+)=([^/]*)") do given[key] = (value:gsub("%%+2F", "/")) end
    return { title = given.title or "finding", severity = given.severity or "medium", who = given.who or e.client_ip, where = given.where, why = "because of " .. (given.title or "it"),
        attack = given.attack, confidence = tonumber(given.confidence), key = given.key, cooldown = given.key and 3600 or nil, next = "Look.",
        evidence = { span_s = tonumber(given.span), arguments = given.arguments } }, given
end
lunette.on("http", function(e)
    local alert, given = alert_of(e)
    if given.gathered then lunette.send("alert", alert) else lunette.alert(alert) end
end)
lunette.gather(function() lunette.receive(function(_, alert) lunette.alert(alert) end) end)
