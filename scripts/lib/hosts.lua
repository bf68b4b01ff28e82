-- Is this host a Mac? What mac_identity found out, for detectors that are meant for Macs.
--
--   local hosts = require "hosts"
--   if not hosts.may_be_mac(e.client_ip) then return end
--
-- Asking for this file is all that is needed: it listens to mac_identity, which the engine loads if it lies beside. What is known grows with
-- the packets: at a host's first ones nothing is. So a rule that only makes sense on a Mac asks `may_be_mac`, true until the host is known
-- to be something else; and a text says "this Mac" only if `is_mac`. The last verdicts of 20,000 hosts are kept.

local lunette = require "lunette"

local hosts = {}

local KNOWN = 0.6 -- confidence from which on a host is known to be no Mac

local verdicts = lunette.state("hosts", { max = 20000 })

lunette.on("mac_identity.host", function(e)
    verdicts:set(e.address, { kind = e.kind or "", system = e.system or "", version = e.version or "", model = e.model or "", name = e.name or "",
        confidence = e.confidence })
end)

-- { kind, system, version, model, name, confidence } or nil. What is not known is "".
function hosts.of(address) return address and verdicts:get(address) or nil end

-- mac, iphone, ipad, appletv, watch, homepod, vision, apple (Apple's kernel and no more is known), windows, linux, android, other; or nil.
function hosts.kind(address)
    local verdict = hosts.of(address)
    return verdict and verdict.kind ~= "" and verdict.kind or nil
end

-- It is a Mac, or one of Apple's systems and more is not known.
function hosts.is_mac(address)
    local kind = hosts.kind(address)
    return kind == "mac" or kind == "apple"
end

-- False only if it is known to be something that is no Mac.
function hosts.may_be_mac(address)
    local verdict = hosts.of(address)
    if not verdict or verdict.kind == "" or verdict.kind == "mac" or verdict.kind == "apple" then return true end
    return verdict.confidence < KNOWN
end

return hosts
