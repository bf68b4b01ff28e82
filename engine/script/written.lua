-- A table written out as Lua, every value quoted, so that another Lua state can read it: written(value) → text. Strings,
-- numbers and booleans; anything else becomes a string.
local function written(value)
    if type(value) == "table" then
        local parts = {}
        for key, item in next, value do parts[#parts + 1] = "[" .. written(key) .. "]=" .. written(item) end
        return "{" .. table.concat(parts, ",") .. "}"
    end
    if type(value) == "number" and value == value and math.abs(value) < math.huge then return ("%.17g"):format(value) end
    if type(value) == "boolean" then return tostring(value) end
    return (("%q"):format(tostring(value)):gsub("\n", "n"):gsub("\r", "\\r"):gsub("%z", "\\0"))
end

return written
