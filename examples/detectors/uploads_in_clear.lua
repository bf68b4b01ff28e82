-- Files sent in clear to a bare address.
--
-- Shows: a filter with a list, `lunette.is_address`, evidence in an alert.
-- Programs that people use post to names, over TLS. A large POST over plain HTTP to an address without a name is how some
-- stealers send home what they took; it is also how old scanners and printers work, so addresses in the home networks are
-- left out.
--
--   lunette replay -s examples/detectors/uploads_in_clear.lua examples/mac-with-implant.pcapng.gz

local lunette = require "lunette"

lunette.detector { title = "Uploads in clear", category = "Exfiltration", attack = "T1048.003" }
local tunables = lunette.tunables { bytes = 100000 }

lunette.on("http", { method = { "POST", "PUT" }, server_local = false }, function(e)
    if e.request_length < tunables.bytes then return end
    local host = e.host or e.server_ip
    if not lunette.is_address(host) then return end
    lunette.alert {
        severity = "high",
        title = "Large upload in clear to an address without a name",
        who = e.client_ip,
        where = host,
        why = ("%s of %d bytes, answered with %d"):format(e.method, e.request_length, e.length),
        evidence = { url = e.url, agent = e.user_agent, type = e.request_content_type, bytes = e.request_length },
        next = "The body is in clear: cut it out of the capture and see what left.",
        key = e.client_ip .. " " .. host,
        cooldown = 3600,
    }
end)
