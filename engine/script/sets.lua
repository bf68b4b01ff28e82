-- Sets and tables of data. The sets themselves live in C (script/set.h); a script holds a handle whose pointer it
-- cannot reach.
return function(inside)
    local ffi, api, host, event_find = inside.ffi, inside.api, inside.host, inside.views.find
    local pointers = setmetatable({}, { __mode = "k" })
    local sets = {}
    local methods = {}

    local function find(self, value, field)
        local pointer = pointers[self]
        if not pointer then error("use set:find(value), with a colon", 3) end
        if type(value) == "string" then return (api.set_find(pointer, value, #value)) end
        if type(value) == "cdata" and field then
            local look_up = value[event_find]
            if look_up then return (look_up(value, pointer, field)) end
        end
        if value == nil then return -1 end
        error("a set is asked for a string, or for (event, \"field\"); got " .. type(value), 3)
    end
    function methods:find(value, field)
        local found = find(self, value, field)
        if found < 0 then return nil end
        return found
    end
    function methods:has(value, field) return find(self, value, field) >= 0 end
    local meta = { __index = methods, __metatable = false }

    local function maker(kind)
        return function(list)
            if type(list) ~= "table" then error("lunette.set." .. kind .. ": a list is expected, got " .. type(list), 2) end
            for key in next, list do
                if type(key) ~= "number" then
                    error(("lunette.set.%s: a list is expected: { \"%s\", … }, without names"):format(kind,
                        (tostring(key):gsub("%c", "?"))), 2)
                end
            end
            local pointer, why = host.set_new(kind)
            if not pointer then error("lunette.set." .. kind .. ": " .. why, 2) end
            for i, entry in ipairs(list) do
                if type(entry) ~= "string" then
                    error(("lunette.set.%s: entry %d is a %s, not a string"):format(kind, i, type(entry)), 2)
                end
                local message = host.set_add(pointer, entry, i)
                if message then error(("lunette.set.%s: entry %d: %s"):format(kind, i, message), 2) end
            end
            local set = setmetatable({ size = #list }, meta)
            pointers[set] = ffi.cast("const struct lunette_set *", pointer)
            sets[set] = pointer
            return set
        end
    end

    local function text_of(what, file)
        if type(file) ~= "string" then error(what .. ": a file's name is expected", 3) end
        local text, message = host.read("data", file)
        if not text then error(what .. ": " .. message, 3) end
        return text
    end

    return {
        make = { domains = maker("domains"), prefixes = maker("prefixes"), strings = maker("strings") },
        -- The C pointer of a set (as light userdata), nil for anything else.
        pointer = function(value) return type(value) == "table" and sets[value] or nil end,
        lines = function(file)
            local lines = {}
            for line in text_of("lunette.lines", file):gmatch("[^\r\n]+") do
                if not line:match("^%s*#") and line:match("%S") then lines[#lines + 1] = line:match("^%s*(.-)%s*$") end
            end
            return lines
        end,
        tsv = function(file)
            local rows = host.rows(text_of("lunette.tsv", file))
            if not rows then error("lunette.tsv: " .. file .. " is empty: a header line is expected", 2) end
            return rows
        end,
    }
end
