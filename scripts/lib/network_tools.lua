-- Commands that change a Mac's resolvers or proxies: what a command line of networksetup or scutil sets, for detectors that look for what changes
-- on the wire behind it. That the command was run at all is lolbin's to tell.
local address = require "lunette.address"

local network_tools = {}

network_tools.PATHS = { "/usr/sbin/networksetup", "/usr/sbin/scutil" }

local VERBS = { ["-setdnsservers"] = "dns", ["-setsearchdomains"] = "dns", ["-setwebproxy"] = "proxy", ["-setsecurewebproxy"] = "proxy",
    ["-setsocksfirewallproxy"] = "proxy", ["-setautoproxyurl"] = "proxy", ["-setproxyautodiscovery"] = "proxy", ["-setwebproxystate"] = "proxy",
    ["-setsecurewebproxystate"] = "proxy", ["-setsocksfirewallproxystate"] = "proxy", ["-setautoproxystate"] = "proxy" }

local function words_of(arguments)
    if #arguments ~= 1 then return arguments end
    local words = {}
    for word in arguments[1]:gmatch("%S+") do words[#words + 1] = word end
    return words
end

--- The command's arguments → "dns" or "proxy" and the values that are set; "any" for scutil that reads its orders from elsewhere; nil for
--- what only asks.
function network_tools.change(arguments)
    local words = words_of(arguments)
    local tool = words[1] and words[1]:match("([^/]+)$")
    if tool == "scutil" then return #words == 1 and "any" or nil, {} end
    local kind = words[2] and VERBS[words[2]:lower()]
    if not kind then return nil end
    local values = {}
    for i = 4, math.min(#words, 12) do values[#values + 1] = words[i]:lower() end
    return kind, values
end

--- Keeps changes by host for those who gather. `state`: lunette.state. A log without an address is the capturing Mac's, and counts for any host; what
--- is seen on a loopback interface is of a Mac whose address is not told.
function network_tools.memory(state, seconds)
    local object = {}

    --- developer: a program for developers ran it (optional).
    function object.add(host, kind, values, by, time, developer)
        local one = { kind = kind, values = values, by = by, time = time, developer = developer }
        state:set(host, one)
        state:set("latest", one)
    end

    -- The change of this kind that came at most so long before `time`: { values, by, ago, exact, developer }; exact: it names the value.
    function object.before(host, kind, time, value)
        local one = state:get(host) or state:get("::") or (address.is_loopback(host) and state:get("latest") or nil)
        if not one or (one.kind ~= kind and one.kind ~= "any") then return nil end
        local ago = time - one.time
        if ago < -2 or ago > seconds then return nil end
        local exact = false
        for i = 1, #one.values do
            if one.values[i] == value then exact = true end
        end
        return { by = one.by, ago = math.max(ago, 0), exact = exact, developer = one.developer }
    end

    return object
end

return network_tools
