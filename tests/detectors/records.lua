-- A stand-in for lunette.records: objects with scalar fields, :at() and :put(), made from the same table of fields, so that
-- modules of the Lua API can be tried by plain luajit. Integers wrap as they do in C.
local ffi = require "ffi"

local TYPES = { u8 = "uint8_t", u16 = "uint16_t", u32 = "uint32_t", f32 = "float", f64 = "double" }
local records = {}
local count = 0

-- Returns a function that makes zeroed records, and their size in bytes.
function records.define(fields)
    local names, members = {}, {}
    for name in pairs(fields) do names[#names + 1] = name end
    local function rank(name) return fields[name]:match("64") and 1 or fields[name]:match("32") and 2 or fields[name]:match("16") and 3 or 4 end
    table.sort(names, function(a, b)
        if rank(a) ~= rank(b) then return rank(a) < rank(b) end
        return a < b
    end)
    local lengths = {}
    for i, name in ipairs(names) do
        local kind, length = fields[name]:match("^(%w+)%[(%d+)%]$")
        members[i] = ("%s %s%s;"):format(TYPES[kind or fields[name]], name, length and "[" .. length .. "]" or "")
        lengths[name] = tonumber(length)
    end
    count = count + 1
    local tag = "struct record_" .. count
    ffi.cdef(("%s { %s };"):format(tag, table.concat(members, " ")))
    local methods = {}
    function methods.at(record, name, i)
        if i < 0 or i >= lengths[name] then error(("%s[%s] is out of range"):format(name, tostring(i)), 2) end
        return record[name][i]
    end
    function methods.put(record, name, i, value)
        if i < 0 or i >= lengths[name] then error(("%s[%s] is out of range"):format(name, tostring(i)), 2) end
        record[name][i] = value
    end
    return ffi.metatype(tag, { __index = methods }), ffi.sizeof(tag)
end

return records
