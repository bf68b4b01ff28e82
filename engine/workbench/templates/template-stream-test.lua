-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

local function frame(text) return string.char(math.floor(#text / 256), #text % 256) .. text end

t.case("an order, cut in the middle", function(c)
    local bytes = frame("hello you") .. frame("exec ls")
    c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 7070,
        say = { { "client", bytes:sub(1, 14) }, { "client", bytes:sub(15), after = 0.2 } } }
    c:expect { severity = "medium", who = "192.168.1.20", where = "203.0.113.9", evidence = { command = "exec", bytes = 7 } }
end)

t.case("a length that lies does not lead the parser astray", function(c)
    c:host("192.168.1.20"):tcp { to = "203.0.113.9", port = 7070, say = { { "client", frame("noblank") .. frame("upload x") } } }
    c:expect { evidence = { command = "upload" } }
end)

t.case("other commands, other ports", function(c)
    local mac = c:host "192.168.1.20"
    mac:tcp { to = "203.0.113.9", port = 7070, say = { { "client", frame("hello you") } } }
    mac:tcp { to = "203.0.113.9", port = 7071, say = { { "client", frame("exec ls") } } }
    c:expect_none()
end)
