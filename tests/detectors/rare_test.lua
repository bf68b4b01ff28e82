-- rare: what it takes to be rare, and what no number of days makes of a few hosts.
local t = require "lunette.test"
t.detector "../../scripts/rare.lua"

local DAY = 86400
local CHROME, SAFARI, SLACK = "t13d1516h2_8daaf6152771_02713d6af862", "t13d2014h2_a09f3c656075_14788d8d241b", "t13d1717h2_5b57614c22b0_3cbfd9057e0d"
local GO, STRANGE = "t13d1312h2_f57a46bbacb6_f50d94e863eb", "t13d0908h2_0123456789ab_ba9876543210"

local function shake(c, host, name, ja4, how)
    local fields = { client_ip = "192.168.1." .. host, client_port = 50000, server_ip = "203.0.113.5", server_port = 443, proto = "TCP", sni = name, ja4 = ja4,
        version = "TLS 1.3", has_client_hello = true, has_server_hello = true }
    for key, value in pairs(how or {}) do fields[key] = value end
    c:event("tls", fields)
end

-- An office: hosts 1 to `count`, each day the same names with the same stacks.
local function office(c, count, days)
    c:times(days, DAY, function()
        for host = 1, count do
            shake(c, host, "www.example.com", CHROME)
            shake(c, host, "app.slack.com", SLACK)
            shake(c, host, "api.slack.com", CHROME)
            shake(c, host, "mail.example.org", SAFARI)
        end
    end)
end

-- ---------------------------------------------------------------- names
t.case("a name that nobody called before: a fact, once a day for each host", function(c)
    office(c, 12, 3)
    shake(c, 4, "www.hobby.net", CHROME)
    c:wait(600)
    shake(c, 4, "www.pastime.net", CHROME)
    c:expect { title = "Name that no host called before", severity = "info", who = "192.168.1.4", where = "www.hobby.net", attack = "T1071.001",
        evidence = { hosts = 12, rarity_bits = t.near(3.58, 0.01), points = 1, domain = "hobby.net" } }
end)

t.case("and by a TLS stack that nobody else has, which began on that host just then", function(c)
    office(c, 12, 3)
    shake(c, 4, "cdn.evil.net", GO, { program = "updater" })
    c:expect { title = "New name, called by a rare stack", severity = "medium", who = "192.168.1.4", where = "cdn.evil.net", why = t.like "^updater of .*no host of 12",
        evidence = { stack = "Go (since 1.24)", hosts_with_stack = 1, points = 4, signs = { "name", "rare stack", "library", "new stack" } } }
end)

t.case("a stack that all have, and a host's second new name", function(c)
    office(c, 12, 3)
    for host = 1, 12 do shake(c, host, "login.tailscale.com", GO) end -- comes to all that day
    c:wait(7200)
    shake(c, 4, "proxy.golang.org", GO)
    c:ignore { where = "login.tailscale.com" }
    c:expect { title = "New name, called by a rare stack", severity = "low", who = "192.168.1.4", where = "proxy.golang.org", evidence = { points = 2, signs = { "name", "library" } } }
end)

t.case("a domain is new once, not each name below it, and Apple's never", function(c)
    office(c, 12, 3)
    for i = 1, 30 do shake(c, 5, ("img%d.example.com"):format(i), CHROME) end
    shake(c, 5, "new-service.icloud.com", SAFARI)
    c:expect_none()
end)

-- ---------------------------------------------------------------- names and stacks that do not belong together
t.case("Slack's name, spoken to by Go", function(c)
    office(c, 12, 3)
    shake(c, 7, "slack.com", GO)
    c:expect { title = "Known name, called by a foreign stack", severity = "medium", who = "192.168.1.7", where = "slack.com", attack = "T1036,T1071.001",
        why = t.contains "11 other hosts called it for 3.0 days with 2 stacks", evidence = { hosts_with_name = 11, stacks_of_name = 2, stack = "Go (since 1.24)", hosts = 12 } }
end)

t.case("Go that many have is a lead", function(c)
    office(c, 12, 2)
    for host = 1, 6 do shake(c, host, "registry.docker.io", GO) end
    c:wait(DAY)
    office(c, 12, 1)
    shake(c, 7, "slack.com", GO)
    c:ignore { where = "registry.docker.io" }
    c:expect { title = "Known name, called by a foreign stack", severity = "low", evidence = { hosts_with_stack = 7 } }
end)

t.case("an unknown stack of this host alone", function(c)
    office(c, 12, 3)
    shake(c, 7, "slack.com", STRANGE)
    c:expect { title = "Known name, called by a foreign stack", severity = "low", evidence = { hosts_with_stack = 1, rarity_bits = t.near(3.58, 0.01) } }
end)

t.case("a browser of the others at a name of few is nothing; resumption and QUIC change no stack's name", function(c)
    office(c, 12, 3)
    shake(c, 7, "app.slack.com", SAFARI)                                 -- a known stack, which many have
    shake(c, 8, "www.example.com", "t13d1517h2_8daaf6152771_b0da82dd1658") -- the same ciphers, one extension more
    c:expect_none()
end)

t.case("a name that is called by all sorts of stacks is everybody's", function(c)
    office(c, 12, 3)
    c:times(3, DAY, function()
        for host = 1, 12 do
            for kind = 1, 7 do shake(c, host, "api.github.com", ("t13d1516h2_%012x_0123456789ab"):format(kind)) end
        end
    end)
    shake(c, 3, "api.github.com", GO)
    c:ignore { where = "api.github.com", title = "Name that no host called before" }
    c:ignore { where = "api.github.com", title = "New name, called by a rare stack" }
    c:ignore { title = "TLS stack that one host alone has" }
    c:expect_none()
end)

-- ---------------------------------------------------------------- alone
t.case("a stack, an ssh client and an agent that after a day one host alone has", function(c)
    office(c, 12, 2)
    shake(c, 3, "www.example.com", STRANGE)
    c:event("ssh", { client_ip = "192.168.1.3", server_ip = "203.0.113.9", server_port = 22, proto = "TCP", hassh = "92674389fa1e47a27ddd8d9b63ecd42b",
        client_software = "paramiko_2.7.1" })
    for i = 1, 3 do
        c:event("http", { client_ip = "192.168.1.3", server_ip = "203.0.113.9", server_port = 80, proto = "TCP", method = "GET", host = "www.example.com", url = "/",
            user_agent = ("Gadget/1.%d"):format(i) })
    end
    office(c, 12, 3)
    c:ignore { title = "Known name, called by a foreign stack" }
    c:expect { title = "TLS stack that one host alone has", severity = "info", who = "192.168.1.3", where = STRANGE, evidence = { kind = "TLS stack", hosts = 12 } }
    c:expect { title = "ssh client that one host alone has", who = "192.168.1.3", where = "paramiko_2.7.1" }
    c:expect { title = "Agent that one host alone has", who = "192.168.1.3", where = "Gadget/1.1", evidence = { fingerprint = "Gadget/#" } }
end)

t.case("the first who updates is not alone the next day", function(c)
    office(c, 12, 2)
    shake(c, 3, "www.example.com", STRANGE)
    c:wait(DAY / 2)
    for host = 4, 9 do shake(c, host, "www.example.com", STRANGE) end
    office(c, 12, 3)
    c:ignore { title = "Known name, called by a foreign stack", severity = "low" }
    c:expect_none()
end)

-- ---------------------------------------------------------------- what cannot be said
t.case("a fleet of four knows nothing, after however many days, and says so", function(c)
    office(c, 4, 5)
    shake(c, 2, "cdn.evil.net", GO)
    shake(c, 2, "slack.com", GO)
    c:expect_none()
    c:report { title = "Rare among the hosts", rows = { { "4", "5.0 days" } }, note = t.contains "unknown: that takes 5 hosts" }
end)

t.case("a capture of minutes is silent, with however many hosts", function(c)
    for host = 1, 20 do
        shake(c, host, "www.example.com", CHROME)
        shake(c, host, ("host%d.example.net"):format(host), host == 3 and GO or SAFARI)
        shake(c, host, ("own%d.net"):format(host), host == 3 and GO or SAFARI)
    end
    c:wait(300)
    shake(c, 4, "cdn.evil.net", GO)
    c:expect_none()
end)

t.case("a host that is new itself brings names that are new", function(c)
    office(c, 12, 3)
    for i = 1, 20 do shake(c, 99, ("www.private%d.net"):format(i), STRANGE) end
    c:expect_none()
end)

t.case("the rarest at the end", function(c)
    c:set { rows = 3, new_names = false }
    office(c, 8, 2)
    shake(c, 4, "www.hobby.net", CHROME)
    c:wait(3600)
    shake(c, 6, "www.pastime.net", CHROME)
    c:wait(3600)
    shake(c, 6, "www.example.com", CHROME)
    c:expect_none()
    c:report { title = "Rare among the hosts", rows = {
        { "name", "pastime.net", "1/8", "3.0", "192.168.1.6", t.like "min$" },
        { "name", "hobby.net", "1/8", "3.0", "192.168.1.4", t.like "h$" },
        { "TLS stack", CHROME, "8/8", "0.0", "192.168.1.1", t.like "days$" },
    } }
end)
