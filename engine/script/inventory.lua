-- What a detector declares, for those who look at detectors rather than run them (`lunette check`). Only then is this file in
-- a state: it puts itself before the functions of the API that declare something, notes what they are given, and calls them.
-- The calls are tail calls, so that errors name the script's line as ever.
--
-- The notes go out as text: a Lua table written out, in which every value is quoted.
local inside, lunette, environment, module_names, written = ...
local debug, sets = inside.debug, inside.sets
local notes = { handlers = {}, timers = {}, states = {}, sets = {}, events = {}, streams = {}, tunables = {} }
local MOST = 1000 -- notes of a kind

local function place_of(handler)
    if type(handler) ~= "function" then return nil end
    local where = debug.getinfo(handler, "S")
    return where.short_src .. ":" .. where.linedefined
end

local function value_text(value)
    if sets.pointer(value) then return ("a set of %d"):format(value.size) end
    if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
    local parts = {}
    for i = 1, math.min(#value, 8) do parts[i] = value_text(value[i]) end
    if #value > 8 then parts[9] = ("… (%d)"):format(#value) end
    return table.concat(parts, ", ")
end

local function filter_text(filter)
    if type(filter) ~= "table" then return nil end
    local parts = {}
    for field, value in next, filter do parts[#parts + 1] = tostring(field) .. " = " .. value_text(value) end
    table.sort(parts)
    return table.concat(parts, "; ")
end

local function add(kind, note)
    if #notes[kind] < MOST then table.insert(notes[kind], note) end
end

local function plain(value)
    if value ~= nil and type(value) ~= "table" then return tostring(value) end
end

local note = {}
function note.on(kind, filter, handler)
    if handler == nil then filter, handler = nil, filter end
    add("handlers", { event = tostring(kind), filter = filter_text(filter), at = place_of(handler) })
end
function note.on_end(handler) add("handlers", { event = "end", at = place_of(handler) }) end
function note.every(seconds, handler) add("timers", { every = plain(seconds), at = place_of(handler) }) end
function note.after(seconds, handler) add("timers", { after = plain(seconds), at = place_of(handler) }) end
local function state_of(what)
    return function(name, options)
        if type(name) ~= "string" then name, options = nil, name end
        if type(options) ~= "table" then return end
        add("states", { what = what, name = name, max = plain(options.max), ttl = plain(options.ttl), keep = plain(options.keep) })
    end
end
note.state, note.records = state_of("state"), state_of("records")
function note.flow_state(fields)
    local list = {}
    for name, kind in next, type(fields) == "table" and fields or {} do list[#list + 1] = tostring(name) .. " " .. tostring(kind) end
    table.sort(list)
    add("states", { what = "flow_state", fields = table.concat(list, ", ") })
end
function note.event(name, fields)
    local list = {}
    for field, kind in next, type(fields) == "table" and fields or {} do list[#list + 1] = tostring(field) .. " " .. tostring(kind) end
    table.sort(list)
    add("events", { name = inside.name .. "." .. tostring(name), fields = table.concat(list, ", ") })
end
function note.stream(options)
    if type(options) ~= "table" then return end
    add("streams", { name = plain(options.name) or inside.name, ports = options.ports and value_text(options.ports) or nil,
        transport = plain(options.transport) or "tcp" })
end
function note.tunables(defaults)
    for key, value in next, type(defaults) == "table" and defaults or {} do
        add("tunables", { name = tostring(key), value = value_text(value) })
    end
end
function note.detector(options)
    if type(options) == "table" then notes.title = plain(options.title) end
end

local function put_before(place, name, take)
    local original = rawget(place, name)
    if type(original) ~= "function" then return end
    rawset(place, name, function(...)
        take(...)
        return original(...)
    end)
end
local function all_names(root)
    local lines, seen = {}, {}
    local function walk(t, prefix, depth)
        if seen[t] or depth > 4 then return end
        seen[t] = true
        for name, value in next, t do
            if type(name) == "string" then
                lines[#lines + 1] = prefix .. name
                if type(value) == "table" then walk(value, prefix .. name .. ".", depth + 1) end
            end
        end
    end
    walk(root, "", 1)
    table.sort(lines)
    return table.concat(lines, "\n")
end

for name, take in next, note do put_before(lunette, name, take) end
for kind in next, type(lunette.set) == "table" and lunette.set or {} do
    put_before(lunette.set, kind, function(list)
        local where = debug.getinfo(3, "Sl")
        add("sets", { what = tostring(kind), size = type(list) == "table" and #list or 0,
            at = where and where.short_src .. ":" .. where.currentline })
    end)
end

-- With `names`: what there is for scripts to use, instead of what this one declares.
return function(names)
    if not names then return "return " .. written(notes) end
    local modules = {}
    for _, name in ipairs(module_names) do
        local ok, module = pcall(environment.require, name)
        if ok then modules[name] = type(module) == "table" and all_names(module) or "" end
    end
    local globals = all_names(environment)
    return "return " .. written { globals = globals, modules = modules }
end
