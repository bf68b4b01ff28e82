-- What the language is for code of strangers, detectors and tests of detectors alike: the environment without the doors
-- out of it. To be called once in a Lua state, since strings have one metatable for all. print and require are for the
-- caller to add.
local bit = require "bit"

return function()
    local function copy(from, names)
        local to = {}
        for name in names:gmatch("%S+") do to[name] = from[name] end
        return to
    end

    local environment = copy(_G, "assert error ipairs next pairs pcall select tonumber tostring type unpack xpcall")
    environment.math = copy(math, [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max
        min modf pi pow rad sin sinh sqrt tan tanh]])
    environment.table = copy(table, "concat insert maxn remove sort")
    environment.bit = copy(bit, "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex")
    environment.os = copy(os, "clock date difftime time")
    environment._G = environment
    environment.setmetatable = function(t, meta)
        if type(t) ~= "table" then error("setmetatable: a table is expected, got " .. type(t), 2) end
        if type(meta) == "table" and rawget(meta, "__gc") then error("setmetatable: no __gc here", 2) end
        return setmetatable(t, meta)
    end

    -- Strings: their methods are reached as s:upper(), so the shared metatable must lead to a safe copy. The trusted code uses
    -- methods too, so that copy is not the script's `string`, which it may change. rep is bounded; gsub with a function or a
    -- table can recurse through C until the stack ends, so its depth is.
    local strings = copy(string, "byte char find format gmatch len lower match reverse sub upper")
    strings.rep = function(text, times, separator)
        if #tostring(text) * (tonumber(times) or 0) > 16 * 1024 * 1024 then
            error("string.rep: more than 16 MiB", 2)
        end
        return string.rep(text, times, separator)
    end
    local gsub_depth = 0
    strings.gsub = function(text, pattern, replacement, ...)
        if type(replacement) ~= "function" and type(replacement) ~= "table" then
            return string.gsub(text, pattern, replacement, ...)
        end
        if gsub_depth >= 16 then error("string.gsub: nested too deep", 2) end
        gsub_depth = gsub_depth + 1
        local ok, result, count = pcall(string.gsub, text, pattern, replacement, ...)
        gsub_depth = gsub_depth - 1
        if ok then return result, count end
        local has_place = type(result) == "string" and string.find(result, "^[^\n]-:%d+: ") -- it was raised in a script's function
        error(result, has_place and 0 or 2)
    end
    environment.string = {}
    for name, method in pairs(strings) do environment.string[name] = method end
    local string_meta = getmetatable("")
    string_meta.__index = strings
    string_meta.__metatable = false
    return environment
end
