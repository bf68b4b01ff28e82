local t = require "lunette.test"

t.case("each server is told once a day", function(c)
    local mac = c:host "192.168.1.20"
    c:times(30, 3600, function() mac:dns { name = "www.apple.com", a = { "17.253.144.10" }, server = "192.168.1.1" } end)
    mac:dns { name = "www.apple.com", a = { "17.253.144.10" }, server = "9.9.9.9" }
    c:expect { title = "DNS server in use", who = "192.168.1.20", where = "192.168.1.1", times = 2 }
    c:expect { title = "DNS server in use", where = "9.9.9.9", why = "first question: www.apple.com" }
end)

t.case("a first boot has one", function(c)
    c:capture "../mac-first-boot.pcapng.gz"
    c:expect { where = "10.10.3.1" }
end)
