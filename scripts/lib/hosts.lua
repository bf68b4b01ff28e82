-- Who is this host? What mac_identity found out, for detectors that are meant for Macs.
--
--   local hosts = require "hosts"
--   if not hosts.may_be_mac(e.client_ip) then return end
--
-- Asking for this file is all that is needed: it listens to mac_identity, which the engine loads if it lies beside. What is known grows with
-- the packets: at a host's first ones nothing is. So a rule that only makes sense on a Mac asks `may_be_mac`, true until the host is known
-- to be something else; and a text says "this Mac" only if `is_mac`. The last verdicts of 20,000 hosts are kept. Who wants no more than the
-- kind of host asks lib/host_kind.lua, which has the same functions but `of`, and costs a third.

local lunette = require "lunette"
local host_kind = require "host_kind"

local hosts = { kind = host_kind.kind, is_mac = host_kind.is_mac, may_be_mac = host_kind.may_be_mac }

local verdicts = lunette.state("hosts", { max = 20000 })

lunette.on("mac_identity.host", function(e)
    verdicts:set(e.address, { kind = e.kind or "", system = e.system or "", version = e.version or "", model = e.model or "", name = e.name or "",
        confidence = e.confidence })
end)

-- { kind, system, version, model, name, confidence } or nil. What is not known is "".
function hosts.of(address) return address and verdicts:get(address) or nil end

return hosts
