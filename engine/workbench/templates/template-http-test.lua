-- Tests of @NAME@.lua: lunette test @NAME@_test.lua
local t = require "lunette.test"

t.case("a script from a bare address", function(c)
    local mac = c:host "192.168.1.20"
    mac:http { to = "198.51.100.204", path = "/install.sh", agent = "curl/8.4.0", response = 4000 }
    c:expect {
        severity = "high", who = "192.168.1.20", where = "198.51.100.204",
        why = t.contains "4000 bytes, asked for by curl",
        evidence = { url = "/install.sh", bytes = 4000, agent = "curl/8.4.0" },
    }
end)

t.case("a disk image from a server with a name", function(c)
    local mac = c:host "192.168.1.20"
    mac:http { to = "203.0.113.9", host = "downloads.example", path = "/App.DMG?x=1", response = 90000 }
    c:expect { severity = "medium", where = "downloads.example" }
end)

t.case("once an hour", function(c)
    local mac = c:host "192.168.1.20"
    c:times(3, 60, function() mac:http { to = "198.51.100.204", path = "/a.pkg", response = 4000 } end)
    c:expect { where = "198.51.100.204" }
end)

t.case("pages, what is not there, and servers at home", function(c)
    local mac = c:host "192.168.1.20"
    mac:http { to = "203.0.113.9", host = "www.example.com", path = "/index.html", response = 4000 }
    mac:http { to = "203.0.113.9", host = "www.example.com", path = "/install.sh", status = 404, response = 4000 }
    mac:http { to = "192.168.1.2", path = "/install.sh", response = 4000 }
    c:expect_none()
end)
