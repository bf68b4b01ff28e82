-- A capture for test_workers.py, by `lunette test --keep`: eight Macs that log in to each other, poll a bot, upload, and are led by somebody outside.
local t = require "lunette.test"
t.detector("../../scripts/cloud_c2.lua", "../../scripts/exfil.lua", "../../scripts/reverse_shell.lua", "../../scripts/lateral.lua")

local function uneven(i) return ({ 40, 900, 120, 2600, 64, 300, 5200, 90 })[i % 8 + 1] end

local function led(mac, number)
    local say = { { "client", 600 }, { "server", 900 } }
    for i = 1, 20 do
        say[#say + 1] = { "server", 40 + (i * 7 + number) % 60, after = 2.5 + (i + number) * 3 % 6 }
        local left, after = uneven(i + number), 0.1
        while left > 0 do
            say[#say + 1] = { "client", math.min(left, 1400), after = after }
            left, after = left - 1400, 0.01
        end
    end
    mac:tls { to = "203.0.113." .. 9 + number, port = 4443, say = say, close = "none" }
end

local function login(mac, to)
    local say = {}
    for _ = 1, 6 do
        say[#say + 1] = { "client", 400, after = 3 }
        say[#say + 1] = { "server", 4000, after = 0.2 }
    end
    mac:ssh { to = to, say = say }
end

t.case("eight", function(c)
    for day = 1, 5 do
        for number = 1, 8 do
            local mac = c:host("192.168.1." .. 20 + number)
            c:meanwhile(function() login(mac, "192.168.1." .. 21 + (number + day) % 8) end)
            c:meanwhile(function() mac:tls { to = "198.51.100.7", sni = "mail.example.com", say = { { "client", 30000 }, { "server", 900 } } } end)
            if day == 5 then
                c:meanwhile(function() led(mac, number) end)
                c:meanwhile(function() mac:tls { to = "198.51.100.9", sni = "store1.gofile.io", say = { { "client", 400000 }, { "server", 900 } } } end)
                c:meanwhile(function()
                    c:times(40, 60, function() mac:tls { to = "198.51.100.80", sni = "api.telegram.org", say = { { "client", 600 }, { "server", 900 } } } end)
                end)
            end
        end
        c:wait(86400)
    end
    c:ignore {}
end)
