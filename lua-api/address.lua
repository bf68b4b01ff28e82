-- lunette.address: what an address is. Addresses are strings, as events have them; an IPv4-mapped one (::ffff:192.0.2.1) is
-- the IPv4 address in it. A text that is no address is no error: the questions say false, the others give nil.
local inside = ...
local ffi, bit, api, helpers = inside.ffi, inside.bit, inside.api, inside.helpers
local band = bit.band

---What an address is, and which networks it lies in.
---@class lunette.address
local address = {}

local buffer = ffi.new("char[80]")

local function traits(text)
    if type(text) ~= "string" then return 0 end
    return api.address_traits(text, #text)
end

---4 or 6; nil for what is no address.
---@param text string?
---@return 4|6|nil
function address.version(text)
    local found = traits(text)
    if found == 0 then return nil end
    return band(found, ffi.C.LUNETTE_IPV4) ~= 0 and 4 or 6
end

---In a private network: RFC 1918, unique local IPv6 addresses (RFC 4193).
---@param text string?
---@return boolean
function address.is_private(text) return band(traits(text), ffi.C.LUNETTE_PRIVATE) ~= 0 end

---127.0.0.0/8 and ::1.
---@param text string?
---@return boolean
function address.is_loopback(text) return band(traits(text), ffi.C.LUNETTE_LOOPBACK) ~= 0 end

---169.254.0.0/16 (RFC 3927) and fe80::/10.
---@param text string?
---@return boolean
function address.is_link_local(text) return band(traits(text), ffi.C.LUNETTE_LINK_LOCAL) ~= 0 end

---224.0.0.0/4 and ff00::/8.
---@param text string?
---@return boolean
function address.is_multicast(text) return band(traits(text), ffi.C.LUNETTE_MULTICAST) ~= 0 end

---A unicast address that hosts anywhere on the Internet can reach: none that the IANA special-purpose registries (RFC 6890)
---keep from it, such as private, shared (100.64.0.0/10), documentation and reserved ones.
---@param text string?
---@return boolean
function address.is_global(text) return band(traits(text), ffi.C.LUNETTE_GLOBAL) ~= 0 end

---Does the address lie in the block? For many blocks use lunette.set.prefixes.
---@param text string?
---@param cidr string "10.0.0.0/8", or an address, which stands for itself
---@return boolean
function address.inside(text, cidr)
    helpers.text("address.inside", cidr, 64)
    if type(text) ~= "string" then text = "" end
    local found = api.address_inside(text, #text, cidr, #cidr)
    if found == -2 then error("address.inside: '" .. cidr .. "' is no address or CIDR block", 2) end
    return found == 1
end

---The block of that many bits in which the address lies: network("192.168.1.20", 24) → "192.168.1.0/24".
---@param text string?
---@param bits integer 0 to 32, of an IPv6 address to 128
---@return string? cidr nil for what is no address
function address.network(text, bits)
    helpers.whole("address.network", bits, 0, 128)
    if type(text) ~= "string" then return nil end
    local length = api.address_network(text, #text, bits, buffer)
    if length == -2 then error("address.network: an IPv4 address has 32 bits, got " .. bits, 2) end
    if length < 0 then return nil end
    return ffi.string(buffer, length)
end

---The name that reverse DNS has for it: "20.1.168.192.in-addr.arpa" (RFC 1035), or below ip6.arpa (RFC 3596).
---@param text string?
---@return string? name nil for what is no address
function address.reverse(text)
    if type(text) ~= "string" then return nil end
    local length = api.address_reverse(text, #text, buffer)
    if length < 0 then return nil end
    return ffi.string(buffer, length)
end

---The usual way to write it (RFC 5952), which is how events have it.
---@param text string?
---@return string? address nil for what is no address
function address.canonical(text)
    if type(text) ~= "string" then return nil end
    local length = api.address_canonical(text, #text, buffer)
    if length < 0 then return nil end
    return ffi.string(buffer, length)
end

return address
