-- A connection that stays open and gives more than it takes.
--
-- Shows: state that belongs to a flow (lunette.flow_state): no key, no bound to choose, gone with the flow.
-- A flow's record comes when the flow is over, which may be tomorrow. The exchanges inside it are told as they happen, so
-- a sum over them speaks while the upload goes on. Backups and photo libraries do this to Apple's names, so those are left out.
--
--   lunette replay -s examples/detectors/long_upload.lua capture.pcapng

local lunette = require "lunette"

lunette.detector { title = "Upload over an open connection", category = "Exfiltration", attack = "T1041" }
local tunables = lunette.tunables { bytes = 10e6, ratio = 5 }

local own_names = lunette.set.domains { "apple.com", "icloud.com", "icloud-content.com", "cdn-apple.com" }
local sums = lunette.flow_state { out = "u64", back = "u64", told = "bool" }

lunette.on("onset", { client_local = true, server_local = false }, function(e)
    local sum = sums:of(e)
    sum.out, sum.back = sum.out + e.client_payload, sum.back + e.server_payload
    if sum.told or sum.out < tunables.bytes or sum.out < tunables.ratio * sum.back then return end
    if e.server_name and own_names:has(e.server_name) then return end
    sum.told = true
    lunette.alert {
        who = e.client_ip, where = e.server_name or e.server_ip,
        why = ("%.1f MB out and %.1f MB back over one connection, which is still open"):format(sum.out / 1e6, sum.back / 1e6),
        evidence = { out = sum.out, back = sum.back, port = e.server_port, ja4 = e.ja4 },
        next = "Is it a backup or a sync that somebody set up? The name and the fingerprint tell which program.",
    }
end)
