-- One host that tries many doors.
--
-- Shows: counting distinct values in a few hundred bytes with lunette.sketch, where a set of all of them would grow.
-- Programs connect where they have business. A host that begins flows to dozens of ports of one other host, or to one
-- port of dozens, is looking for what is open: T1046. So do management tools, and Bonjour-blind printer searches.
--
--   lunette replay -s examples/detectors/port_sweep.lua examples/tools.pcap --set port_sweep.doors=10

local lunette = require "lunette"
local sketch = require "lunette.sketch"

lunette.detector { title = "Port sweep", category = "Discovery", attack = "T1046" }
local tunables = lunette.tunables { doors = 40 }

local tried = lunette.state("tried", { max = 5000, ttl = 600 })

local function note(key, door, e, why)
    local doors = tried:get(key) or sketch.distinct(8)
    local is_news = doors:add(door)
    tried:set(key, doors)
    if not is_news or doors:count() < tunables.doors then return end
    lunette.alert {
        who = e.client_ip, where = e.server_ip, why = why:format(doors:count()),
        evidence = { doors = doors:count(), last = e.server_ip .. ":" .. e.server_port },
        next = "Which program? On a Mac nettop or a host log names it; nmap and nc -z are the usual ones.",
        key = key, cooldown = 3600,
    }
end

lunette.on("flow_start", { syn = true, client_local = true }, function(e)
    note(e.client_ip .. " > " .. e.server_ip, e.server_port, e, "some %d ports of one host, each less than ten minutes after the last")
    note(e.client_ip .. " : " .. e.server_port, e.server_ip, e, "one port of some %d hosts, each less than ten minutes after the last")
end)
