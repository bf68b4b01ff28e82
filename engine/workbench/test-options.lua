-- What a test's author gave, checked: each builder says which options it takes, and whoever mistypes one is told at her
-- own line what was meant.
return function(inside)
    local options = {}

    -- The line of the test file at which control is now: the innermost frame that is the test's own.
    function options.line()
        for level = 2, 60 do
            local frame = inside.debug.getinfo(level, "Sl")
            if not frame then break end
            if frame.source == inside.source then return frame.currentline end
        end
        return 0
    end

    -- Raises an error at the author's line.
    function options.fail(message, ...)
        if select("#", ...) > 0 then message = message:format(...) end
        error(("%s:%d: %s"):format(inside.chunk, options.line(), message), 0)
    end
    local fail = options.fail

    local function article(word) return (word:find("^[aeiou]") and "an " or "a ") .. word end

    function options.describe(value)
        local kind = type(value)
        if kind == "string" then return #value <= 40 and ("'" .. value .. "'") or ("'" .. value:sub(1, 37) .. "…'") end
        if kind == "number" or kind == "boolean" then return tostring(value) end
        return article(kind)
    end
    local describe = options.describe

    -- "; did you mean 'name'?", or which there are.
    function options.instead(wrong, names)
        local near = inside.nearest(tostring(wrong), names)
        if near then return "; did you mean '" .. near .. "'?" end
        table.sort(names)
        return ": there are " .. table.concat(names, ", ")
    end

    local function list_of(what, key, value, kind)
        if type(value) ~= "table" then value = { value } end
        local list = {}
        for i = 1, #value do
            if type(value[i]) ~= kind then
                fail("%s: %s must be a list of %ss, entry %d is %s", what, key, kind, i, describe(value[i]))
            end
            list[i] = value[i]
        end
        for k in pairs(value) do
            if type(k) ~= "number" then fail("%s: %s must be a list, it has the key %s", what, key, describe(k)) end
        end
        return list
    end

    -- What an option may be; each returns the value to use.
    local kinds = {}
    function kinds.any(_, _, value) return value end
    function kinds.text(what, key, value)
        if type(value) ~= "string" then fail("%s: %s must be a string, got %s", what, key, describe(value)) end
        return value
    end
    function kinds.flag(what, key, value)
        if type(value) ~= "boolean" then fail("%s: %s must be true or false, got %s", what, key, describe(value)) end
        return value
    end
    function kinds.table(what, key, value)
        if type(value) ~= "table" then fail("%s: %s must be a table, got %s", what, key, describe(value)) end
        return value
    end
    function kinds.seconds(what, key, value)
        if type(value) ~= "number" or not (value >= 0 and value <= 4e9) then
            fail("%s: %s must be seconds, 0 or more, got %s", what, key, describe(value))
        end
        return value
    end
    local function whole(most)
        return function(what, key, value)
            if type(value) ~= "number" or not (value >= 0 and value <= most) or value % 1 ~= 0 then
                fail("%s: %s must be a whole number from 0 to %d, got %s", what, key, most, describe(value))
            end
            return value
        end
    end
    kinds.u16, kinds.u32 = whole(65535), whole(4294967295)
    kinds.u8 = whole(255)
    function kinds.address(what, key, value)
        if type(value) ~= "string" or not inside.host.address(value) then
            fail("%s: %s must be an address such as 203.0.113.9, got %s", what, key, describe(value))
        end
        return value
    end
    function kinds.texts(what, key, value) return list_of(what, key, value, "string") end
    function kinds.numbers(what, key, value) return list_of(what, key, value, "number") end
    -- Bytes: a string, or how many of no meaning.
    function kinds.payload(what, key, value)
        if type(value) == "string" then return value end
        if type(value) == "number" and value >= 0 and value <= 2 ^ 26 and value % 1 == 0 then
            return inside.host.random(value)
        end
        return fail("%s: %s must be a string, or a number of bytes up to 64 MiB, got %s", what, key, describe(value))
    end
    function kinds.size(what, key, value)
        if type(value) == "string" then return #value end
        if type(value) == "number" and value >= 0 and value <= 2 ^ 26 and value % 1 == 0 then return value end
        return fail("%s: %s must be a number of bytes up to 64 MiB, got %s", what, key, describe(value))
    end
    local function word(...)
        local words = { ... }
        return function(what, key, value)
            for _, choice in ipairs(words) do if value == choice then return value end end
            return fail("%s: %s must be '%s', got %s", what, key, table.concat(words, "' or '"), describe(value))
        end
    end
    options.word = word

    -- `spec`: option = { kind, default } or { kind, required = true }; kind: one of the above by name, or a function
    -- like them. Returns a table of its own with what was given and the defaults.
    function options.read(what, given, spec)
        if type(given) ~= "table" then
            fail("%s: a table of options is expected, got %s", what, describe(given))
        end
        local values = {}
        for key, value in pairs(given) do
            local entry = spec[key]
            if not entry then
                local names = {}
                for name in pairs(spec) do names[#names + 1] = name end
                fail("%s: there is no option '%s'%s", what, tostring(key), options.instead(key, names))
            end
            local kind = type(entry[1]) == "function" and entry[1] or kinds[entry[1]]
            values[key] = kind(what, key, value)
        end
        for key, entry in pairs(spec) do
            if values[key] == nil then
                if entry.required then fail("%s: %s is missing", what, key) end
                values[key] = entry[2]
            end
        end
        return values
    end

    return options
end
