local t = require "lunette.test"

t.case("ten questions into the void", function(c)
    local mac = c:host "192.168.1.20"
    c:times(15, 10, function(i) mac:dns { name = "www" .. i .. ".example.com", server = "192.168.1.1", answer = false } end)
    c:expect { title = "DNS server that does not answer", where = "192.168.1.1", evidence = { questions = 10 } }
end)

t.case("one answer begins the count anew", function(c)
    local mac = c:host "192.168.1.20"
    c:times(16, 10, function(i)
        mac:dns { name = "www" .. i .. ".example.com", a = { "203.0.113.1" }, server = "192.168.1.1", answer = i == 8 }
    end)
    c:expect_none()
end)

t.case("a first boot", function(c)
    c:capture "../mac-first-boot.pcapng.gz"
    c:expect_none()
end)
