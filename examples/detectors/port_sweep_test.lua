local t = require "lunette.test"

t.case("many ports of one host", function(c)
    local mac = c:host "192.168.1.20"
    c:times(60, 0.5, function(i) mac:tcp { to = "192.168.1.5", port = 1000 + i, say = {} } end)
    c:expect { title = "Port sweep", who = "192.168.1.20", where = "192.168.1.5", evidence = { doors = t.near(40, 4) } }
end)

t.case("one port of many hosts", function(c)
    local mac = c:host "192.168.1.20"
    c:times(60, 0.5, function(i) mac:tcp { to = "192.168.1." .. 100 + i, port = 22, say = {} } end)
    c:expect { title = "Port sweep", why = t.like "^one port of some" }
end)

t.case("the same ports, an hour apart", function(c)
    local mac = c:host "192.168.1.20"
    c:times(60, 3600, function(i) mac:tcp { to = "192.168.1.5", port = 1000 + i, say = {} } end)
    c:expect_none()
end)

t.case("twelve ports by nc -z, on the wire", function(c)
    c:set { doors = 12 }
    c:capture "../tools.pcap"
    c:expect { title = "Port sweep", why = t.like "^some %d+ ports of one host" }
end)
