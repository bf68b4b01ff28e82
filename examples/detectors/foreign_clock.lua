-- A clock that is set by somebody else's time server.
--
-- Shows: a set made in Lua, used in a handler on the flow's name; a condition on ports and protocol in the filter.
-- A Mac asks time.apple.com (or its regional kin). Other time servers are set by hand, by management, or are asked by a
-- program that brings its own clock: some implants do, to know when to sleep. Servers in the home networks are left out.
--
--   lunette replay -s examples/detectors/foreign_clock.lua capture.pcapng

local lunette = require "lunette"

lunette.detector { title = "Time from a server that is not Apple's", category = "Discovery", attack = "T1124" }

local apple = lunette.set.domains {
    "time.apple.com", "time-ios.apple.com", "time-macos.apple.com", "time.asia.apple.com", "time.euro.apple.com",
    "time-osx.g.aaplimg.com", -- what time-macos is an alias of
}

lunette.on("flow", { proto = "UDP", server_port = 123, client_local = true, server_local = false }, function(e)
    local name = e.server_name
    if name and apple:has(name) then return end
    lunette.alert {
        severity = "low", who = e.client_ip, where = name or e.server_ip,
        why = ("%d packets out, %d back, by UDP port 123"):format(e.client_packets, e.server_packets),
        evidence = { address = e.server_ip, named = name ~= nil },
        next = "systemsetup -getnetworktimeserver on the Mac says what it is set to; if that is Apple's, look for the program.",
        key = e.client_ip .. " " .. (name or e.server_ip), cooldown = 86400,
    }
end)
