-- Values of Lua as JSON text (RFC 8259): keys sorted; a table with is_list, or with elements, is an array. A table that
-- was read from a file of another's may hold what it likes: strings that are no UTF-8 are escaped byte by byte.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local UTF8 = { "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
    "^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]", "^[\241-\243][\128-\191][\128-\191][\128-\191]",
    "^\244[\128-\143][\128-\191][\128-\191]" }

-- A string of JSON; bytes that are no UTF-8 become \u00XX.
local function quoted(text)
    text = text:gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end)
    local parts, at = {}, 1
    while true do
        local odd = text:find("[\128-\255]", at)
        if not odd then break end
        parts[#parts + 1] = text:sub(at, odd - 1)
        local last
        for _, form in ipairs(UTF8) do
            local _, stop = text:find(form, odd)
            last = last or stop
        end
        parts[#parts + 1] = last and text:sub(odd, last) or ("\\u%04x"):format(text:byte(odd))
        at = (last or odd) + 1
    end
    parts[#parts + 1] = text:sub(at)
    return '"' .. table.concat(parts) .. '"'
end

local function json(value)
    if type(value) == "string" then return quoted(value) end
    if type(value) ~= "table" then return tostring(value) end
    local parts = {}
    if value.is_list or #value > 0 then
        for i, item in ipairs(value) do parts[i] = json(item) end
        return "[" .. table.concat(parts, ",") .. "]"
    end
    local keys = {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys)
    for i, key in ipairs(keys) do parts[i] = quoted(key) .. ":" .. json(value[key]) end
    return "{" .. table.concat(parts, ",") .. "}"
end

return json
