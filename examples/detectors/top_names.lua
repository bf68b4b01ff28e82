-- Which names took the most bytes.
--
-- Shows: heavy hitters with lunette.sketch: the top of millions of names in the space of some hundred; a report.
-- It raises no alert: it is the second question to any capture, after who is there.
--
--   lunette replay -s examples/detectors/top_names.lua examples/mac-install.pcapng.gz

local lunette = require "lunette"
local sketch = require "lunette.sketch"

lunette.detector { title = "Names by bytes", category = "Discovery" }
local tunables = lunette.tunables { rows = 20 }

local heaviest = sketch.heavy(500)
lunette.state("own", { max = 1 }):set("heaviest", heaviest)

lunette.on("flow", function(e)
    local name = e.server_name and lunette.registrable(e.server_name) or e.server_name or e.server_ip
    heaviest:add(name, e.client_bytes + e.server_bytes)
end)

lunette.on_end(function()
    local rows = {}
    for i, entry in ipairs(heaviest:top(tunables.rows)) do
        rows[i] = { entry.value, ("%.2f"):format(entry.count / 1e6), ("%.1f %%"):format(100 * entry.count / heaviest:total()) }
    end
    lunette.report { title = "Names by bytes", columns = { "name", ">MB", ">share" }, rows = rows }
end)
