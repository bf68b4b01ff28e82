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

    local function lines_of(what, file)
        if type(file) ~= "string" then error(what .. ": a file's name is expected", 3) end
        local text, message = host.read("data", file)
        if not text then error(what .. ": " .. message, 3) end
        local lines = {}
        for line in text:gmatch("[^\r\n]+") do
            if not line:match("^%s*#") and line:match("%S") then lines[#lines + 1] = line end
        end
        return lines
    end

    local function split(line)
        local cells, from = {}, 1
        while true do
            local tab = line:find("\t", from, true)
            if not tab then break end
            cells[#cells + 1] = line:sub(from, tab - 1)
            from = tab + 1
        end
        cells[#cells + 1] = line:sub(from)
        return cells
    end

    return {
        make = { domains = maker("domains"), prefixes = maker("prefixes"), strings = maker("strings") },
        -- The C pointer of a set (as light userdata), nil for anything else.
        pointer = function(value) return type(value) == "table" and sets[value] or nil end,
        lines = function(file)
            local lines = lines_of("lunette.lines", file)
            for i, line in ipairs(lines) do lines[i] = line:match("^%s*(.-)%s*$") end
            return lines
        end,
        tsv = function(file)
            local lines = lines_of("lunette.tsv", file)
            if #lines == 0 then error("lunette.tsv: " .. file .. " is empty: a header line is expected", 2) end
            local names, rows = split(lines[1]), {}
            for i = 2, #lines do
                local row = {}
                for column, cell in ipairs(split(lines[i])) do
                    if names[column] then row[names[column]] = cell end
                end
                rows[#rows + 1] = row
            end
            return rows
        end,
    }
end
