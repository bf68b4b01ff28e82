-- Is this host a Mac? No more than that, which is what nearly all detectors ask; lib/hosts.lua also knows its system, model and name.
--
--   local hosts = require "host_kind"
--   if not hosts.may_be_mac(e.client_ip) then return end
--
-- It listens to mac_identity, as lib/hosts.lua does, but keeps two bytes of a verdict instead of a table: each detector that asks keeps the
-- verdicts of 20,000 hosts for itself.

local lunette = require "lunette"

local hosts = {}

local KNOWN = 0.6 -- confidence from which on a host is known to be no Mac
local KINDS = { "mac", "apple", "iphone", "ipad", "appletv", "watch", "homepod", "vision", "windows", "linux", "android", "other" }
local MAC, APPLE = 1, 2 -- Apple's kernel, and no more is known
local NUMBER_OF = {}
for number, kind in ipairs(KINDS) do NUMBER_OF[kind] = number end

-- kind: 0 where nothing is known.
local verdicts = lunette.records("host kinds", { max = 20000, fields = { kind = "u8", sure = "bool" } })

lunette.on("mac_identity.host", function(e)
    local verdict = verdicts:make(e.address)
    verdict.kind, verdict.sure = NUMBER_OF[e.kind or ""] or 0, e.confidence >= KNOWN
end)

-- mac, iphone, ipad, appletv, watch, homepod, vision, apple (Apple's kernel and no more is known), windows, linux, android, other; or nil.
function hosts.kind(address)
    local verdict = address and verdicts:get(address)
    return verdict and KINDS[verdict.kind] or nil
end

-- It is a Mac, or one of Apple's systems and more is not known.
function hosts.is_mac(address)
    local verdict = address and verdicts:get(address)
    if not verdict then return false end
    local kind = verdict.kind
    return kind == MAC or kind == APPLE
end

-- False only if it is known to be something that is no Mac.
function hosts.may_be_mac(address)
    local verdict = address and verdicts:get(address)
    if not verdict then return true end
    local kind = verdict.kind
    return kind <= APPLE or not verdict.sure
end

return hosts
