-- Events that scripts declare, emit and hear from each other.
--
-- lunette.event("command", { verb = "str", keys = "u32" }) gives the detector an event of its own. For each a function is
-- generated that takes the values out of the table which lunette.emit is given, checks them, and writes them into a slot
-- of the engine's (engine/script/emitter.h), field by field without a loop, so that it is compiled into the handler's trace.
-- The table is read raw: no code of the script's runs in between.
--
-- Whoever asks for "redis.command" gets its number from the engine, which loads redis.lua first; from there on it is a
-- kind of event like any other.
local TEXT_LIMIT = 65536 -- bytes of a text
local LIST_LIMIT = 1024  -- texts in a list
local FIELD_LIMIT, NAME_LIMIT = 32, 31
-- Keys that every record has: an object of that name would stand there twice.
local TAKEN = { timestamp = 1, flow_id = 1, in_iface = 1, event_type = 1, vlan = 1, src_ip = 1, src_port = 1, dest_ip = 1,
    dest_port = 1, proto = 1 }

return function(inside)
    local ffi, api, host, feed, nearest = inside.ffi, inside.api, inside.host, inside.feed, inside.nearest
    local events = {}
    local emitters, names = {}, {} -- by name: the function that emits it; the names

    local TYPES = { "str", "bool", "ip", "u8", "u16", "u32", "u64", "f64", "time", "list" }
    local type_known = {}
    for _, name in ipairs(TYPES) do type_known[name] = true end
    local LIMITS = { u8 = 255, u16 = 65535, u32 = 4294967295, u64 = 2 ^ 53 } -- exact in Lua's numbers up to there

    local function suggestion(name, list)
        local near = nearest(tostring(name), list)
        return near and "; did you mean '" .. near .. "'?" or nil
    end

    local head_fields -- names of those that every event has, once one is declared
    local function find_head_fields()
        head_fields = {}
        for _, field in ipairs(inside.schema[1].fields) do
            if field.head then head_fields[field.name] = true end
        end
    end

    -- What a value must be, as an expression that is true if it is not; and how it is written into `b`, the body.
    local wrong = {
        str = "type(V) ~= 'string'", bool = "type(V) ~= 'boolean'", list = "type(V) ~= 'table'",
        ip = "type(V) ~= 'string' or api.ip_parse(V, #V, address_N) == 0",
        f64 = "type(V) ~= 'number'", time = "type(V) ~= 'number' or V ~= V",
    }
    local write = {
        str = "local n = #V if n > TEXT then n = TEXT end local at = api.emit_text(detector, V, n) b.F.at = at b.F.length = n",
        bool = "b.F = V and 1 or 0",
        ip = "copy(b.F, address_N, 16)",
        f64 = "b.F = V",
        time = "b.F = V <= 0 and 0 or V >= 9e9 and 9e18 or V * 1e9",
        list = "write_list(b.F, V)",
    }
    for name, limit in pairs(LIMITS) do
        wrong[name] = "type(V) ~= 'number' or V ~= V"
        write[name] = ("b.F = V <= 0 and 0 or V >= %.17g and %.17g or V"):format(limit, limit)
    end
    local expected = { str = "a string", bool = "true or false", ip = "an address as a string", list = "a list of strings",
        f64 = "a number", time = "seconds since 1970" }
    for name in pairs(LIMITS) do expected[name] = "a number" end

    -- How many texts there are; nil if there is something else. Read raw, without `#`, which may call the script.
    local function count_of(list)
        for i = 1, LIST_LIMIT do
            local text = rawget(list, i)
            if text == nil then return i - 1 end
            if type(text) ~= "string" then return nil end
        end
        return LIST_LIMIT
    end
    local function is_list(list) return count_of(list) ~= nil end

    local function write_list(ref, list)
        local count = count_of(list)
        if count == 0 then return end
        local at = api.emit_list(inside.detector, count)
        if at == 0 then return end
        for i = 1, count do
            local text = rawget(list, i)
            api.emit_item(inside.detector, at, i - 1, text, math.min(#text, TEXT_LIMIT))
        end
        ref.at, ref.length = at, count
    end

    local function shown(value)
        if type(value) == "string" then return ("'%s'"):format(#value > 40 and value:sub(1, 40) .. "…" or value) end
        return type(value) == "number" and tostring(value) or "a " .. type(value)
    end

    -- Generates the function that emits an event. Errors are raised as lunette.emit's caller's.
    local function build(number, schema, fields)
        local views = inside.views
        ffi.cdef(schema.cdef)
        local slots = ffi.cast("struct lunette_event_" .. schema.own .. " *", schema.slots)
        if ffi.sizeof("struct lunette_event_" .. schema.own) ~= schema.size then
            error("the engine and LuaJIT disagree on the size of " .. schema.name)
        end
        views.check_offsets(schema)
        local own, known, types = {}, {}, {}
        for _, field in ipairs(schema.fields) do
            if not field.head then
                own[#own + 1] = field
                known[field.name], types[field.name] = true, field.type
            end
        end
        local lines = {
            "local slots, detector, api, fail, known, write_list, is_list, copy, TEXT, new = ...",
            "local rawget, next, type = rawget, next, type",
        }
        local function add(text, ...) lines[#lines + 1] = select("#", ...) > 0 and text:format(...) or text end
        for i, field in ipairs(own) do
            if field.type == "ip" then add("local address_%d = new()", i) end
        end
        add("return function(fields)")
        for i, field in ipairs(own) do
            local check = wrong[field.type]:gsub("V", "v" .. i):gsub("_N", "_" .. i)
            add("  local v%d = rawget(fields, %q)", i, field.name)
            add("  if v%d ~= nil and (%s) then fail(fields) end", i, check)
            if field.type == "list" then add("  if v%d ~= nil and not is_list(v%d) then fail(fields) end", i, i) end
        end
        -- One look more than there are fields: then there is one too many. Written out, since an inner loop keeps the
        -- handler's own from being compiled.
        add("  local key = next(fields)")
        for _ = 1, #own do
            add("  if key ~= nil then")
            add("  if not known[key] then fail(fields) end")
            add("  key = next(fields, key)")
        end
        add("  if key ~= nil then fail(fields) end")
        for _ = 1, #own do add("  end") end
        add("  local slot = api.emit_begin(detector, %d)", number)
        add("  if slot < 0 then return slot ~= -1 end")
        if #own > 0 then add("  local b = slots[slot].body") end
        for i, field in ipairs(own) do
            add("  if v%d ~= nil then %s end", i,
                (write[field.type]:gsub("%f[%w]V%f[%W]", "v" .. i):gsub("b%.F", "b." .. field.member):gsub("_N", "_" .. i)))
        end
        add("  return api.emit_commit(detector, %d) ~= 0", number)
        add("end")
        -- Something is wrong: finds out what, and says it.
        local function fail(given)
            for key in next, given do
                if not known[key] then
                    error(("lunette.emit: '%s' has no field '%s'%s"):format(schema.name, tostring(key),
                        suggestion(key, fields) or " (it has " .. table.concat(fields, ", ") .. ")"), 4)
                end
            end
            for i, field in ipairs(own) do
                local value, kind = rawget(given, field.name), field.type
                local bad
                if kind == "str" then bad = type(value) ~= "string"
                elseif kind == "bool" then bad = type(value) ~= "boolean"
                elseif kind == "list" then bad = type(value) ~= "table" or not is_list(value)
                elseif kind == "ip" then
                    bad = type(value) ~= "string" or api.ip_parse(value, #value, ffi.new("uint8_t[16]")) == 0
                elseif kind == "f64" then bad = type(value) ~= "number"
                else bad = type(value) ~= "number" or value ~= value end
                if value ~= nil and bad then
                    error(("lunette.emit: '%s' of '%s' is %s: expected %s"):format(field.name, schema.name, shown(value),
                        expected[kind]), 4)
                end
            end
            error("lunette.emit: the fields of '" .. schema.name .. "' are not fit", 4)
        end
        local chunk = assert(load(table.concat(lines, "\n"), "=emit " .. schema.name, "t"))
        return chunk(slots, inside.detector, api, fail, known, write_list, is_list, ffi.copy, TEXT_LIMIT,
            function() return ffi.new("uint8_t[16]") end)
    end

    local function check_name(what, name)
        if type(name) ~= "string" then error(("lunette.event: %s must be a string, got %s"):format(what, type(name)), 3) end
        if not name:match("^[%a_][%w_]*$") or #name > NAME_LIMIT then
            error(("lunette.event: '%s' cannot be %s: letters, digits and _, at most %d of them"):format(name, what,
                NAME_LIMIT), 3)
        end
    end

    function events.declare(name, fields, doc)
        if inside.loaded then error("lunette.event: declare events when the script is loaded, not in a handler", 2) end
        check_name("an event's name", name)
        if not inside.name:match("^[%w_-]+$") or #inside.name > 44 then
            error(("lunette.event: a script that declares events has a plain name: letters, digits, _ and -; not '%s'"):format(
                inside.name), 2)
        end
        if TAKEN[inside.name] then
            error(("lunette.event: records have a '%s' of their own: give the script another name"):format(inside.name), 2)
        end
        if type(fields) ~= "table" then
            error("lunette.event: a table of fields is expected, name = \"type\"; got " .. type(fields), 2)
        end
        if doc ~= nil and type(doc) ~= "string" then error("lunette.event: the description must be a string", 2) end
        if emitters[name] then error(("lunette.event: '%s' is declared twice"):format(name), 2) end
        if not head_fields then find_head_fields() end
        local list, types = {}, {}
        for field, kind in next, fields do
            check_name("a field's name", field)
            if head_fields[field] then
                error(("lunette.event: every event has a field '%s' already"):format(field), 2)
            end
            if not type_known[kind] then
                error(("lunette.event: there is no type '%s' (of '%s')%s"):format(tostring(kind), field,
                    suggestion(kind, TYPES) or " (there are " .. table.concat(TYPES, ", ") .. ")"), 2)
            end
            list[#list + 1] = field
        end
        if #list > FIELD_LIMIT then error(("lunette.event: %d fields at most"):format(FIELD_LIMIT), 2) end
        table.sort(list)
        for i, field in ipairs(list) do types[i] = fields[field] end
        if inside.gathering.skips() then
            emitters[name] = function()
                error("lunette.emit: events are emitted by the workers' handlers, not where messages are gathered", 3)
            end
            return
        end
        local number, schema = host.declare(name, doc or "", list, types)
        if not number then error("lunette.event: " .. schema, 2) end
        emitters[name] = build(number, schema, list)
        names[#names + 1] = name
        inside.emits = true
    end

    function events.emit(name, fields)
        local emitter = emitters[name]
        if not emitter then
            if type(name) == "string" and emitters[name:match("%.([%w_]+)$") or ""] then
                error(("lunette.emit: leave the script's own name out of '%s'"):format(name), 2)
            end
            error(("lunette.emit: this script declares no event '%s'%s"):format(tostring(name),
                suggestion(name, names) or " (lunette.event)"), 2)
        end
        if not inside.loaded then error("lunette.emit: not while the script is being loaded: in a handler or a timer", 2) end
        if fields == nil then fields = {} end
        if type(fields) ~= "table" then error("lunette.emit: a table of fields is expected, got " .. type(fields), 2) end
        local kept = emitter(fields)
        return kept
    end

    -- The number of an event of another script, known to views and filters from now on; nil and why.
    local found = {}
    function events.find(name)
        if found[name] then return found[name] end
        local number, schema, near = host.event(name)
        if not number then
            local own = name:match("%.(.*)$")
            for i = 1, #near do
                if not near[i]:find(".", 1, true) then near[i] = near[i] .. "." .. own end
            end
            return nil, schema .. (suggestion(name, near) or "")
        end
        inside.schema[number], inside.kinds[number] = schema, name
        inside.views.add(number, schema)
        found[name] = number
        return number
    end

    return events
end
