-- Which names a host called first, and when: the beginning of any look at an unknown capture.
--
-- Shows: a report at the end, state that holds tables, a handler that needs no filter, and what to do with a detector's own
-- few values so that they outlive a reload.
-- It raises no alert. Run it on mac-install.pcapng.gz to see a Mac being set up, name by name.
--
--   lunette replay -s examples/detectors/first_names.lua examples/mac-install.pcapng.gz

local lunette = require "lunette"

lunette.detector { title = "First names", category = "Discovery" }
local tunables = lunette.tunables { rows = 40 }

local seen = lunette.state("seen", { max = 20000 })
local own = { order = {} } -- the rows in order, at most tunables.rows; begin: the first handshake's time
lunette.state("own", { max = 1 }):set("all", own) -- over a reload this very table is kept filled

lunette.on("tls", function(e)
    own.begin = own.begin or e.time
    local name = e.sni
    if not name then return end
    local key = e.client_ip .. " " .. name
    local row = seen:get(key)
    if row then
        row.connections = row.connections + 1
        return
    end
    row = { host = e.client_ip, name = name, after = e.time - own.begin, connections = 1 }
    seen:set(key, row)
    if #own.order < tunables.rows then own.order[#own.order + 1] = row end
end)

lunette.on_end(function()
    local rows = {}
    for i, row in ipairs(own.order) do
        rows[i] = { ("%.1f"):format(row.after), row.host, row.name, row.connections }
    end
    lunette.report {
        title = "Names in the order of their first TLS connection",
        columns = { ">seconds", "host", "name", ">connections" },
        rows = rows,
        note = ("the first %d at most"):format(tunables.rows),
    }
end)
