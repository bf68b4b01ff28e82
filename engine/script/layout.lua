-- Structs that a script declares: { n = "u32", first = "time", hist = "u16[80]" }. lunette.records and lunette.flow_state
-- keep their entries in C structs of such fields; a script holds views on them, whose getters and setters are made here,
-- one of each for a field, so that LuaJIT compiles a field's access to a load or a store.
--
-- Whole numbers that do not fit are held at their type's limits: counters stop, they do not start again. A u64 is kept as a
-- double, like any number of Lua's: it counts to 2^53 and stops there.
local KINDS = {
    u8 = { c = "uint8_t", most = 2 ^ 8 - 1 }, u16 = { c = "uint16_t", most = 2 ^ 16 - 1 },
    u32 = { c = "uint32_t", most = 2 ^ 32 - 1 }, u64 = { c = "double", most = 2 ^ 53 },
    f32 = { c = "float" }, f64 = { c = "double" }, time = { c = "double" }, bool = { c = "uint8_t" },
}
local ELEMENTS = 65536
local RESERVED = { at = true, put = true }

return function(inside)
    local ffi = inside.ffi
    local layout = {}

    local function parse_field(what, name, declared)
        if type(name) ~= "string" or #name > 100 or not name:match("^%a[%w_]*$") or RESERVED[name] then
            error(what .. ": '" .. tostring(name) .. "' cannot be a field's name", 4)
        end
        local kind, elements
        if type(declared) == "string" then
            kind = declared:match("^(%w+)$")
            if not kind then kind, elements = declared:match("^(%w+)%[(%d+)%]$") end
        end
        if not KINDS[kind or ""] then
            error(what .. ": field '" .. name .. "': expected u8, u16, u32, u64, f32, f64, time, bool or an array like u16[80], got '" ..
                tostring(declared) .. "'", 4)
        end
        elements = elements and tonumber(elements)
        if elements and (elements < 1 or elements > ELEMENTS) then
            error(("%s: field '%s': 1 to %d elements"):format(what, name, ELEMENTS), 4)
        end
        return { name = name, kind = kind, elements = elements }
    end

    -- What a script declared, checked, as a list of { name =, kind =, elements = or nil }; errors are the caller's caller's.
    -- `next` and not `pairs`, which some builds of LuaJIT let a metatable answer: a name must not come twice.
    function layout.parse(what, example, fields)
        if type(fields) ~= "table" or next(fields) == nil then error(what .. ": " .. example .. " is expected", 3) end
        local parsed = {}
        for name, declared in next, fields do parsed[#parsed + 1] = parse_field(what, name, declared) end
        -- Wide types first, so that no space is lost; then by name, so that the layout is always the same.
        table.sort(parsed, function(a, b)
            local size_a, size_b = ffi.sizeof(KINDS[a.kind].c), ffi.sizeof(KINDS[b.kind].c)
            if size_a ~= size_b then return size_a > size_b end
            return a.name < b.name
        end)
        return parsed
    end

    -- The members of the C struct. A view's own members begin with "_" and cannot have the name of one.
    function layout.members(fields)
        local lines = {}
        for i, field in ipairs(fields) do
            lines[i] = KINDS[field.kind].c .. " f_" .. field.name .. (field.elements and "[" .. field.elements .. "]" or "") .. ";"
        end
        return table.concat(lines, " ")
    end

    -- The declaration as text: the same for the same names and types.
    function layout.signature(fields)
        local words = {}
        for i, field in ipairs(fields) do words[i] = ("%s %s[%d]"):format(field.name, field.kind, field.elements or 0) end
        return table.concat(words, ";")
    end

    local function reading(kind, target) return kind == "bool" and target .. " ~= 0" or target end

    -- By min and max, which a trace has as instructions: comparisons would each be a way out of it.
    local function writing(kind, target)
        local most = KINDS[kind].most
        if kind == "bool" then return target .. " = value and 1 or 0" end
        if not most then return target .. " = value" end
        local whole = kind == "u64" and "floor(value)" or "value"
        return ("%s = min(max(%s, 0), %.0f)"):format(target, whole, most)
    end

    -- The metatable for views. `place(view)` gives the struct, or raises an error of level 5; `is(view)` tells whether it
    -- is one at all; `what` is said of all together ("records 'hosts'"), `one` of a view ("record of 'hosts'").
    function layout.metatable(fields, what, one, place, is)
        local readers, writers, lengths, at, put, all = {}, {}, {}, {}, {}, {}

        local function wrong_value(name, wanted, value)
            error(("%s is a %s, got %s"):format(name, wanted, type(value)), 4)
        end
        local function make(arguments, body) -- a function of the view, with what its text may use
            local text = "local place, wrong_value, floor, min, max, type = ... return function(view" .. arguments .. ") " .. body .. " end"
            return assert(inside.host.code(text, "=field"))(place, wrong_value, math.floor, math.min, math.max, type)
        end
        for _, field in ipairs(fields) do
            local wanted = field.kind == "bool" and "boolean" or "number"
            local check = ("if type(value) ~= '%s' then wrong_value('%s', '%s', value) end "):format(wanted, field.name, wanted)
            local target = "place(view).f_" .. field.name
            all[#all + 1] = field.name
            if field.elements then
                lengths[field.name] = field.elements
                at[field.name] = make(", i", "return " .. reading(field.kind, target .. "[i]"))
                put[field.name] = make(", i, value", check .. writing(field.kind, target .. "[i]"))
            else
                readers[field.name] = make("", "return " .. reading(field.kind, target))
                writers[field.name] = make(", value", check .. writing(field.kind, target))
            end
        end

        local function no_field(field, level)
            if lengths[field] then
                error(("%s: '%s' is an array: r:at(\"%s\", i), r:put(\"%s\", i, v)"):format(what, field, field, field), level)
            end
            local near = inside.nearest(tostring(field), all)
            error(("%s have no such field '%s'%s"):format(what, tostring(field),
                near and "; did you mean '" .. near .. "'?" or ""), level)
        end
        local function check_index(view, field, i)
            if not is(view) then error(("a %s is expected: call its at and put with a colon"):format(one), 3) end
            local length = lengths[field]
            if not length then no_field(field, 4) end
            if type(i) ~= "number" or not (i >= 0 and i < length) then
                error(("%s[%s]: the index goes from 0 to %d"):format(field, tostring(i), length - 1), 3)
            end
        end
        local methods = {
            at = function(view, field, i)
                check_index(view, field, i)
                return (at[field](view, i))
            end,
            put = function(view, field, i, value)
                check_index(view, field, i)
                put[field](view, i, value)
            end,
        }
        return {
            __index = function(view, field)
                local reader = readers[field]
                if reader then return (reader(view)) end
                return methods[field] or no_field(field, 3)
            end,
            __newindex = function(view, field, value)
                local writer = writers[field]
                if not writer then no_field(field, 3) end
                writer(view, value)
            end,
            __tostring = function() return one end,
            __metatable = false,
        }
    end
    return layout
end
