-- rare among healthy Macs: updates, developers, guests, lone hobbies: facts and leads, never for today.
local t = require "lunette.test"
t.detector "../../scripts/rare.lua"

local DAY = 86400
local CHROME, SAFARI, SLACK = "t13d1516h2_8daaf6152771_02713d6af862", "t13d2014h2_a09f3c656075_14788d8d241b", "t13d1717h2_5b57614c22b0_3cbfd9057e0d"
local GO, PYTHON, FIREFOX_NEW = "t13d1312h2_f57a46bbacb6_f50d94e863eb", "t13d1812h1_85036bcba153_d41ae481755e", "t13d1717h2_aaaabbbbcccc_3cbfd9057e0d"

local function shake(c, host, name, ja4, how)
    local fields = { client_ip = "192.168.1." .. host, client_port = 50000, server_ip = "203.0.113.5", server_port = 443, proto = "TCP", sni = name, ja4 = ja4,
        version = "TLS 1.3", has_client_hello = true, has_server_hello = true }
    for key, value in pairs(how or {}) do fields[key] = value end
    c:event("tls", fields)
end

local SITES = {}
for i = 1, 20 do SITES[i] = ("site%d.example%d.net"):format(i, i) end

local function office(c, count, days, more)
    c:times(days, DAY, function(day)
        for host = 1, count do
            for i = 1, #SITES do shake(c, host, SITES[i], i % 2 == 0 and CHROME or SAFARI) end
            shake(c, host, "app.slack.com", SLACK)
        end
        if more then more(day) end
    end)
end

t.case("the first who updates the browser calls what all call, and new names", function(c)
    office(c, 12, 3)
    for i = 1, #SITES do shake(c, 4, SITES[i], FIREFOX_NEW) end
    for i = 1, 10 do
        c:wait(400)
        shake(c, 4, ("new%d.fresh%d.org"):format(i, i), FIREFOX_NEW)
    end
    c:expect { title = "Known name, called by a foreign stack", severity = "low", who = "192.168.1.4" }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = "192.168.1.4", times = 1 }
end)

t.case("the one developer among salespeople", function(c)
    office(c, 12, 4, function(day)
        shake(c, 7, "proxy.golang.org", GO, { program = "go" })
        shake(c, 7, "pypi.org", PYTHON, { program = "python3.12" })
        if day == 4 then
            shake(c, 7, "registry-1.docker.io", GO, { program = "com.docker.backend" })
            shake(c, 7, SITES[3], PYTHON, { program = "python3.12" }) -- a name that all call in browsers
            c:wait(300)
            shake(c, 7, "modules.devs.example", GO, { program = "go" })
        end
    end)
    c:ignore { severity = "info" }
    c:ignore { severity = "low" }
end)

t.case("a guest of an afternoon", function(c)
    office(c, 12, 3)
    for i = 1, 6 do shake(c, 99, SITES[i], GO) end
    for i = 1, 30 do shake(c, 99, ("guest%d.lodger%d.org"):format(i, i), i % 3 == 0 and GO or CHROME) end
    c:ignore { severity = "info" }
    c:ignore { severity = "low" }
end)

t.case("a person installs the first Tailscale of the house, and tries Go", function(c)
    office(c, 12, 3)
    shake(c, 4, "controlplane.tailscale.com", GO)
    shake(c, 5, "api.tool.example", PYTHON, { program = "Tool", path = "/Applications/Tool.app/Contents/MacOS/Tool", ancestry = "launchd" })
    c:wait(DAY)
    shake(c, 6, "files.devs.example", "t13d190900_9dc949149365_97f8aa674fd9", { program = "go", path = "/usr/local/go/bin/go", ancestry = "zsh < login < iTerm2 < launchd" })
    c:ignore { severity = "info" }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = "192.168.1.4" }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = "192.168.1.5" }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = "192.168.1.6" }
end)

t.case("an implant's first call in Go, among the same", function(c)
    office(c, 12, 3)
    shake(c, 4, SITES[2], GO)
    c:expect { title = "Known name, called by a foreign stack", severity = "medium", who = "192.168.1.4" }
end)

t.case("a Mac's IPv6 address of the day is no new host", function(c)
    office(c, 12, 3)
    local v6 = "fd00::77"
    for _, sender in ipairs { "192.168.1.7", v6 } do
        c:event("mdns", { client_ip = sender, client_port = 5353, server_ip = sender == v6 and "ff02::fb" or "224.0.0.251", server_port = 5353, proto = "UDP", type = "answer",
            protocol = "mdns", names = { "annas-mac.local" }, addresses = { "192.168.1.7", v6 }, services = { "_device-info._tcp" }, instances = { "Annas Mac" },
            model = "MacBookPro18,3" })
    end
    c:wait(60)
    shake(c, 7, "cdn.evil.net", GO, { client_ip = v6, server_ip = "2001:db8:ff::1" })
    c:wait(3 * DAY)
    c:ignore { severity = "info" }
    shake(c, 7, "other.devs.net", GO, { client_ip = v6, server_ip = "2001:db8:ff::1" })
    c:expect { title = "New name, called by a rare stack", severity = "medium", who = v6, where = "cdn.evil.net", evidence = { hosts = 12 } }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = v6, where = "other.devs.net", evidence = { signs = { "name", "rare stack", "library" } } }
end)
