-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

-- An event of a program that starts; `changes` are other fields.
local function start(changes)
    local event = { action = "exec", client_ip = "192.168.1.20", host = "annas-mac", program = "updater", path = "/private/tmp/updater", pid = 812,
        parent = "sh", ancestors = { "sh", "Terminal", "launchd" }, arguments = { "./updater", "-d" }, source = "eslogger" }
    for key, value in pairs(changes or {}) do event[key] = value end
    return event
end

t.case("a program in /tmp, told once", function(c)
    c:event("process", start())
    c:event("process", start { pid = 813 })
    c:expect {
        severity = "medium", who = "annas-mac", where = "/private/tmp/updater",
        why = "/private/tmp/updater was started by sh: ./updater -d", evidence = { pid = 812, parents = "sh < Terminal < launchd" },
    }
end)

t.case("programs where they belong, and a folder that is only called so", function(c)
    c:event("process", start { path = "/usr/bin/curl", program = "curl" })
    c:event("process", start { path = "/Applications/tmp/updater" })
    c:expect_none()
end)

t.case("the end of one, and a fork", function(c)
    c:event("process", start { action = "exit" })
    c:event("process", start { action = "fork" })
    c:expect_none()
end)
