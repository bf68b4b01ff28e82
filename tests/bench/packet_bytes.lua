-- Counts bytes per protocol by every packet: the least that a handler of packets does, to measure what one costs.
local lunette = require "lunette"

lunette.detector { title = "Bytes per protocol", category = "Measurement" }

local bytes = {}

lunette.on("packet", function(e)
    local proto = e.proto
    bytes[proto] = (bytes[proto] or 0) + e.length
end)

lunette.on_end(function()
    local rows = {}
    for proto, count in pairs(bytes) do rows[#rows + 1] = { proto, count } end
    table.sort(rows, function(a, b) return a[2] > b[2] end)
    lunette.report { title = "Bytes per protocol", columns = { "protocol", ">bytes" }, rows = rows }
end)
