-- What an operator allows, said in one tunable: names, addresses, networks and words, divided by commas or blanks.
--
--   local allow = require("allowed").list(lunette, tunables.allowed)      -- --set vpn.allowed="wireguard, vpn.example.com, 203.0.113.0/24"
--   if allow.word(e.kind) or allow.name(e.server_name) or allow.address(e.server_ip) then return end
--
-- A name stands for itself and all below it ("*.example.com" is the same), an address or a network for what lies in it. A word (no dot, no colon)
-- is what the detector makes of it: a protocol, a provider; as a name it stands for the host of that single label and nothing below it.
-- What is none of these is an error when the detector is loaded, which names the entry: a slip in a list of exceptions must not be found out
-- in the middle of the night. All questions take nil, which nobody allowed, and look up sets without making strings.
local address = require "lunette.address"
local letters = require "lunette.names"

local allowed = {}

local function is_label(text) return #text <= 63 and text:find("^[%w_][%w_-]*$") ~= nil end

local function is_word(text) return is_label(text) end

-- Labels of which the last is no number: 10.0.0 is a slip, and no name.
local function is_name(text)
    if #text > 253 or not text:find(".", 1, true) then return false end
    local last
    for label in (text .. "."):gmatch("([^.]*)%.") do
        if not is_label(label) then return false end
        last = label
    end
    return not last:find("^%d+$")
end

local function is_network(text)
    local ip, bits = text:match("^([^/]+)/(%d+)$")
    local version = ip and address.version(ip)
    return version ~= nil and tonumber(bits) <= (version == 4 and 32 or 128)
end

local function entries_of(value)
    local entries = {}
    for _, text in ipairs(type(value) == "table" and value or { value }) do
        if type(text) ~= "string" then error(("allowed: a text is expected, got a %s"):format(type(text)), 3) end
        for entry in text:gmatch("[^%s,]+") do entries[#entries + 1] = entry:lower() end
    end
    return entries
end

-- The word that was meant by one that is nearly it; nil if it is one of them, or like none.
local function meant(entry, known)
    local nearest, least = nil, #entry >= 8 and 2 or 1
    for i = 1, #known do
        if known[i] == entry then return nil end
        local distance = #entry >= 5 and letters.distance(entry, known[i]) or 9
        if distance <= least then nearest, least = known[i], distance end
    end
    return nearest
end

--- Reads the list: a string, or a list of strings. `known`, if given, are the words that mean something to the detector: what is nearly one of them is
--- a slip, and an error as well. Gives name(text), address(text), word(text), host(text) (a name or an address), each true or
--- false; `count`, how many entries there are; `domains` and `prefixes`, their sets, for filters.
function allowed.list(lunette, value, known)
    local entries = entries_of(value)
    local names, networks, words = {}, {}, {}
    for _, entry in ipairs(entries) do
        local name = entry:gsub("^%*%.", ""):gsub("%.$", "")
        if address.version(entry) or is_network(entry) then
            networks[#networks + 1] = entry
        elseif is_name(name) then
            names[#names + 1] = name
        elseif is_word(entry) then
            local word = known and meant(entry, known)
            if word then error(("allowed: '%s': did you mean '%s'?"):format(entry, word), 2) end
            words[#words + 1], names[#names + 1] = entry, "=" .. entry
        else
            error(("allowed: '%s' is no name, address, network (10.0.0.0/8) or word"):format((entry:gsub("%c", "?"))), 2)
        end
    end

    local domains, prefixes, strings = lunette.set.domains(names), lunette.set.prefixes(networks), lunette.set.strings(words)
    local list = { count = #entries, domains = domains, prefixes = prefixes }
    function list.name(text) return text ~= nil and domains:has(text) end
    function list.address(text) return text ~= nil and prefixes:has(text) end
    function list.word(text) return text ~= nil and (strings:has(text) or strings:has(text:lower())) end
    function list.host(text) return text ~= nil and (domains:has(text) or prefixes:has(text)) end
    return list
end

return allowed
