-- For story_test.lua: a second detector, for ties between findings of two; it raises one for each TLS hello to a name that begins with its severity.
local lunette = require "lunette"
lunette.on("tls", function(e)
    local severity, name = (e.sni or ""):match("^(%a+)%.(.+)$")
    lunette.alert { title = "hello", severity = severity, who = e.client_ip, where = name, attack = "T1573", confidence = 1, next = "Ask." }
end)
