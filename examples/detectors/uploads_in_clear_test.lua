local t = require "lunette.test"

t.case("a zip posted to a bare address", function(c)
    local mac = c:host "192.168.7.23"
    mac:http {
        to = "198.51.100.204", method = "POST", path = "/u", agent = "curl/8.4.0", type = "application/zip",
        body = 200000, response = "ok",
    }
    c:expect {
        severity = "high", who = "192.168.7.23", where = "198.51.100.204",
        why = t.contains "POST of 200000 bytes, answered with 2",
        evidence = { url = "/u", agent = "curl/8.4.0", bytes = 200000 },
    }
end)

t.case("a small one", function(c)
    c:host("192.168.7.23"):http { to = "198.51.100.204", method = "POST", body = 5000 }
    c:expect_none()
end)

t.case("one that goes to a name", function(c)
    c:host("192.168.7.23"):http { to = "198.51.100.204", host = "upload.example.com", method = "PUT", body = 200000 }
    c:expect_none()
end)

t.case("a printer at home", function(c)
    c:host("192.168.7.23"):http { to = "192.168.7.9", port = 631, method = "POST", body = 200000 }
    c:expect_none()
end)

t.case("the implant of the sample", function(c)
    c:capture "../mac-with-implant.pcapng.gz"
    c:expect { who = "192.168.7.23", where = "198.51.100.204", evidence = { bytes = t.near(2.6e6, 1e5) } }
end)
