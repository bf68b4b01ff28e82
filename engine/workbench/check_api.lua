-- lunette's own rules: what a script asks of the API, held against the events, the functions and the tables that there are.
local bare, names, views = ...

-- Where a function is registered: which argument it is, and whether it is one that gets events.
local REGISTER = { ["lunette.on"] = "last", ["lunette.every"] = 2, ["lunette.after"] = 2, ["lunette.on_end"] = 1,
    ["lunette.receive"] = 1, ["lunette.receive_alerts"] = 1 }
local DECLARE = { ["lunette.on"] = true, ["lunette.on_end"] = true, ["lunette.detector"] = true, ["lunette.tunables"] = true,
    ["lunette.state"] = true, ["lunette.records"] = true, ["lunette.flow_state"] = true, ["lunette.stream"] = true,
    ["lunette.event"] = true, ["lunette.gather"] = true }
local STATES = { ["lunette.state"] = true, ["lunette.records"] = true, ["lunette.flow_state"] = true }
local NUMERIC = { u8 = true, u16 = true, u32 = true, u64 = true, f64 = true, bool = true, time = true }
local UNFILTERED = { list = true, u16s = true }
local SEVERITIES = { "high", "medium", "low", "info" }
local GIVEN = { String = "string", Number = "number", True = "boolean", False = "boolean", Function = "function", Nil = "nil" }

local function sorted(set)
    local list = {}
    for name in pairs(set) do list[#list + 1] = name end
    table.sort(list)
    return list
end

-- The pairs of a table that is written out: key → { key, value }, and whether that is all.
local function pairs_of(node, step)
    local found, all = {}, true
    for _, item in ipairs(node.items) do
        local key = item.tag == "Pair" and names.text_of(item.key, step)
        if key then found[key] = item else all = false end
    end
    return found, all
end

-- All calls of functions of lunette.*: { path, node, step, frame }.
local function api_calls(frames)
    local calls = {}
    names.each(frames, function(node, _, step, frame)
        if node.tag ~= "Call" then return end
        local path = names.path(node.base, step)
        if path then calls[#calls + 1] = { path = path, node = node, step = step, frame = frame } end
    end)
    return calls
end

-- ---------------------------------------------------------------- functions and modules

local function check_functions(facts, frames, warn)
    names.each(frames, function(node, _, step)
        if node.tag == "Call" and node.args[1] then
            local base = bare(node.base)
            local module = base.tag == "Name" and not base.variable and base.name == "require" and names.text_of(node.args[1], step)
            if module and module:find("^lunette%.") and not facts.modules[module] and not (facts.is_test and module == "lunette.test") then
                warn("L007", node.args[1], { name = module, near = facts.nearest(module, sorted(facts.modules)) })
            end
        end
        if node.tag ~= "Index" then return end
        local found = names.resolve(node, step)
        local known = found and found.root == "module" and facts.modules[found.name]
        local path = found and found.name
        for i, field in ipairs(known and found.fields or {}) do
            if type(field) ~= "string" or not known.fields then return end
            if not known.fields[field] then
                if i <= #found.fields - 1 and found.through and i <= (found.known or 0) then return end
                local near = facts.nearest(field, sorted(known.fields))
                warn("L005", node.key, { name = path .. "." .. field, near = near and path .. "." .. near })
                return
            end
            known, path = known.fields[field], path .. "." .. field
        end
    end)
end

local function check_options(facts, call, warn)
    for number, keys in pairs(facts.options[call.path] or {}) do
        local given = call.node.args[number] and bare(call.node.args[number])
        for _, item in ipairs(given and given.tag == "Table" and given.items or {}) do
            local key = item.tag == "Pair" and names.text_of(item.key, call.step)
            if key and not keys[key] then
                warn("L006", item.key, { call = call.path, name = key, near = facts.nearest(key, sorted(keys)) })
            end
        end
    end
end

-- ---------------------------------------------------------------- events and filters

local function check_value(facts, kind, field, value, step, warn)
    local field_type = facts.kinds[kind].fields[field]
    local node, text = bare(value), names.text_of(value, step)
    local given = GIVEN[node.tag]
    if node.tag == "Name" and text then given = "string" end
    if not given then return end -- a variable, a call: a set perhaps
    local numeric = NUMERIC[field_type]
    local fits = numeric and (given == "number" or given == "boolean") or not numeric and given == "string"
    if field_type == "bool" then fits = given == "boolean" or given == "number" end
    if UNFILTERED[field_type] then fits = false end
    local values, list = facts.words_of(kind, field)
    if not fits then
        local told = values and ("%s (%s)"):format(field_type, list) or field_type
        warn("L004", value, { name = field, type = told, given = given, kind = kind })
    elseif values and text and not values[text] then
        warn("L010", value, { name = field, given = text, words = list })
    end
end

local function check_filter(facts, kind, filter, step, warn)
    local fields = facts.kinds[kind].fields
    for _, item in ipairs(filter.items) do
        local key = item.tag == "Pair" and names.text_of(item.key, step)
        local at = item.tag == "Pair" and bare(item.value)
        if key == "bpf" then
            if kind ~= "packet" then warn("L003", item.key, { kind = kind, name = key }) end
        elseif kind == "packet" and key == "payload" and at.tag == "True" then
            -- it asks for payloads: no condition
        elseif key and not fields[key] then
            warn("L003", item.key, { kind = kind, name = key, near = facts.nearest(key, sorted(fields)) })
        elseif key and at.tag == "Table" then
            for _, one in ipairs(at.items) do
                if one.tag ~= "Pair" then check_value(facts, kind, key, one, step, warn) end
            end
        elseif key then
            check_value(facts, kind, key, at, step, warn)
        end
    end
end

local function check_on(facts, call, warn)
    local args, step = call.node.args, call.step
    local kind = args[1] and names.text_of(args[1], step)
    if not kind then return end
    if not facts.kinds[kind] then
        warn("L001", args[1], { name = kind, near = facts.nearest(kind, sorted(facts.kinds)) })
        return
    end
    local filter = #args > 2 and bare(args[2])
    if filter and filter.tag == "Name" and filter.variable then filter = bare(names.value_of(filter.variable, step) or filter) end
    if filter and filter.tag == "Table" then
        check_filter(facts, kind, filter, step, warn)
    end
end

-- ---------------------------------------------------------------- alerts

local function check_alert(facts, call, titled, warn)
    local given = call.node.args[1] and bare(call.node.args[1])
    if not given or given.tag ~= "Table" then return end
    local found, all = pairs_of(given, call.step)
    if all and not found.title and not titled then warn("L015", call.node, {}) end
    if all and found.key and not found.cooldown then warn("L016", found.key.key, { name = "key", other = "cooldown" }) end
    if all and found.cooldown and not found.key then warn("L016", found.cooldown.key, { name = "cooldown", other = "key" }) end
    local severity = found.severity and names.text_of(found.severity.value, call.step)
    for _, word in ipairs(SEVERITIES) do
        if word == severity then severity = nil end
    end
    if severity then
        warn("L008", found.severity.value, { call = "lunette.alert", name = "severity", wanted = table.concat(SEVERITIES, ", "),
            given = severity, near = facts.nearest(severity, SEVERITIES) })
    end
end

-- ---------------------------------------------------------------- what is done with a variable

-- variable → { keys = set, other = true if it is used as a whole }
local function uses_of(frames)
    local uses = {}
    local function of(variable)
        uses[variable] = uses[variable] or { keys = {} }
        return uses[variable]
    end
    names.each(frames, function(node, _, step)
        if node.tag == "Name" and node.variable then of(node.variable).other = true end
        if node.tag ~= "Index" and node.tag ~= "Method" then return end
        local inner, base = views.innermost(node)
        if base.tag ~= "Name" or not base.variable then return end
        local key = names.text_of(inner.key, step)
        if key then of(base.variable).keys[key] = true else of(base.variable).other = true end
    end)
    return uses
end

-- The variable that a call's result is put into, if into one alone.
local function holder_of(call)
    local step = call.step
    if step.tag ~= "set" or not step.first or not step.values then return nil end
    for i, value in ipairs(step.values) do
        if bare(value) == call.node and step.targets[i] then return step.targets[i].variable end
    end
end

local function check_state(call, uses, warn)
    local name = call.node.args[1] and names.text_of(call.node.args[1], call.step) or "?"
    local variable = holder_of(call)
    if call.step.tag == "eval" and bare(call.step.node) == call.node or variable and not uses[variable] then
        warn("L011", call.node, { name = name })
    elseif variable and #variable.values == 1 and not uses[variable].other then
        local only = next(uses[variable].keys) ~= nil
        for key in pairs(uses[variable].keys) do only = only and (key == "set" or key == "delete") end
        if only then warn("L013", call.node, { name = name }) end
    end
end

local function check_tunables(call, uses, warn)
    local variable, given = holder_of(call), call.node.args[1] and bare(call.node.args[1])
    if not given or given.tag ~= "Table" or not variable or #variable.values ~= 1 then return end
    local used = uses[variable] or { keys = {} }
    if used.other then return end
    for _, item in ipairs(given.items) do
        local key = item.tag == "Pair" and names.text_of(item.key, call.step)
        if key and not used.keys[key] then warn("L014", item.key, { name = key }) end
    end
end

-- variable → the set of its tunables, where all are written out; a file's own keys that it adds to them are among these.
local function tunables_of(calls, frames)
    local known = {}
    for _, call in ipairs(calls) do
        local variable = call.path == "lunette.tunables" and holder_of(call)
        local given = variable and call.node.args[1] and bare(call.node.args[1])
        if given and given.tag == "Table" and #variable.values == 1 then
            local found, all = pairs_of(given, call.step)
            known[variable] = all and found or nil
        end
    end
    names.each(frames, function(node, is_target, step)
        if not is_target or node.tag ~= "Index" then return end
        local inner, base = views.innermost(node)
        local found = base.tag == "Name" and base.variable and known[base.variable]
        local key = found and names.text_of(inner.key, step)
        if key then found[key] = true elseif found then known[base.variable] = nil end
    end)
    return known
end

local function check_unknown_tunables(facts, calls, frames, warn)
    local known = tunables_of(calls, frames)
    if not next(known) then return end
    names.each(frames, function(node, is_target, step)
        if is_target or node.tag ~= "Index" and node.tag ~= "Method" then return end
        local inner, base = views.innermost(node)
        local found = base.tag == "Name" and base.variable and known[base.variable]
        local key = found and names.text_of(inner.key, step)
        if key and not found[key] then warn("L019", inner.key, { name = key, near = facts.nearest(key, sorted(found)) }) end
    end)
end

-- ---------------------------------------------------------------- handlers

-- What is registered: handlers of events with their kinds, functions that run later, functions of the gathering stage.
local function registered(calls)
    local found = { handlers = {}, running = {}, later = {}, gather = {}, names = {} }
    local function take(node, step, into, kind)
        local own = views.function_of(node, step)
        if not own then return end
        found.names[bare(node)] = true
        if into then into[own] = true end
        if kind then table.insert(found.handlers, { node = own, kind = kind }) end
    end
    for _, call in ipairs(calls) do
        local args, place = call.node.args, REGISTER[call.path]
        local handler = place == "last" and args[#args] or place and args[place]
        if handler then
            local kind = call.path == "lunette.on" and names.text_of(args[1], call.step) or nil
            take(handler, call.step, found.running, kind)
            if call.path == "lunette.after" or call.path == "lunette.every" then take(handler, call.step, found.later) end
        elseif call.path == "lunette.gather" and args[1] then
            take(args[1], call.step, found.gather)
        elseif call.path == "lunette.stream" and args[1] and bare(args[1]).tag == "Table" then
            for key, item in pairs(pairs_of(bare(args[1]), call.step)) do
                if key == "client" or key == "server" or key == "closed" then take(item.value, call.step, found.running) end
            end
        end
    end
    return found
end

local function inside(frame, set)
    while frame do
        if set[frame.node] then return true end
        frame = frame.parent
    end
    return false
end

local SLOW = { pairs = true, next = true }
local function check_hints(frames, per_event, warn)
    for _, frame in ipairs(frames) do
        if frame.parent and inside(frame.parent, per_event) then warn("L021", frame.node, {}) end
    end
    names.each(frames, function(node, _, _, frame)
        if not inside(frame, per_event) then return end
        if node.tag == "Call" and bare(node.base).tag == "Name" and not bare(node.base).variable and SLOW[bare(node.base).name] then
            warn("L022", node, { name = bare(node.base).name })
        elseif node.tag == "Dots" then
            warn("L023", node, {})
        end
    end)
end

-- ---------------------------------------------------------------- the whole

local api = {}

-- The custom events that a file declares: "redis.command" → { fields = name → type }.
function api.declared_events(frames, file_name)
    local found = {}
    for _, call in ipairs(api_calls(frames)) do
        local name = call.path == "lunette.event" and call.node.args[1] and names.text_of(call.node.args[1], call.step)
        local given = name and call.node.args[2] and bare(call.node.args[2])
        if given and given.tag == "Table" then
            local fields = {}
            for key, item in pairs(pairs_of(given, call.step)) do fields[key] = names.text_of(item.value, call.step) or "?" end
            found[file_name .. "." .. name] = { fields = fields }
        end
    end
    return found
end

function api.judge(frames, facts, warn)
    local calls = api_calls(frames)
    local uses, found = uses_of(frames), registered(calls)
    local titled, detects = false, false
    for _, call in ipairs(calls) do
        local given = call.path == "lunette.detector" and call.node.args[1] and bare(call.node.args[1])
        if given then titled = titled or given.tag ~= "Table" or pairs_of(given, call.step).title ~= nil end
        detects = detects or call.path == "lunette.on" or call.path == "lunette.stream"
    end
    check_functions(facts, frames, warn)
    check_unknown_tunables(facts, calls, frames, warn)
    for _, call in ipairs(calls) do
        check_options(facts, call, warn)
        if call.path == "lunette.on" then check_on(facts, call, warn) end
        if call.path == "lunette.alert" then check_alert(facts, call, titled or not detects, warn) end
        if STATES[call.path] then check_state(call, uses, warn) end
        if call.path == "lunette.tunables" then check_tunables(call, uses, warn) end
        if DECLARE[call.path] and inside(call.frame, found.running) then warn("L012", call.node, { call = call.path }) end
        if call.path == "lunette.on" and inside(call.frame, found.gather) then warn("L018", call.node, { call = call.path }) end
    end
    local events = views.find(frames, found.handlers, found.names)
    views.check_fields(facts, frames, events, warn)
    views.check_kept(frames, events, found.later, warn)
    local per_event = {}
    for _, handler in ipairs(found.handlers) do per_event[handler.node] = true end
    check_hints(frames, per_event, warn)
end

return api
