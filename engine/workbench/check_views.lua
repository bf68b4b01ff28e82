-- Which variables hold events, and what is done with them.
--
-- A handler's first argument is an event of the kind that it was registered for; so is a local that was set to it, and
-- the argument of a local function if all its calls are in sight and all hand it an event. Of such a variable fields are checked, and
-- that the event does not outlive its handler.
local bare, names = ...

-- The function that an expression is, if it can be seen.
local function function_of(node, step)
    if not node then return nil end
    node = bare(node)
    if node.tag == "Function" then return node end
    if node.tag ~= "Name" or not node.variable then return nil end
    local values = node.variable.values
    local held = #values == 1 and values[1] or #values == 2 and values[1].empty and values[2]
    return held and held.from and held.from.tag == "Function" and held.from or nil
end

local function variable_of(node)
    node = node and bare(node)
    return node and node.tag == "Name" and node.variable or nil
end

-- Local functions with all their calls; those that are used in another way than being called are left out.
local function calls_of(frames, registered)
    local calls, called, escaped = {}, {}, {}
    names.each(frames, function(node, _, step)
        if node.tag == "Call" then
            local own = function_of(node.base, step)
            called[bare(node.base)] = true
            if own and own.held_by then
                calls[own] = calls[own] or {}
                table.insert(calls[own], node)
            end
        elseif node.tag == "Name" and not called[node] and not registered[node] then
            local own = function_of(node, step)
            if own then escaped[own] = true end
        end
    end)
    for own in pairs(escaped) do calls[own] = nil end
    return calls
end

-- variable → set of kinds. `handlers` = list of { node = function, kind }, `registered` = names of functions that stand in such calls.
local function find(frames, handlers, registered)
    local views, fixed = {}, {}
    local function add(variable, kind)
        if #variable.values ~= 1 then return end -- assigned anew somewhere
        views[variable] = views[variable] or {}
        views[variable][kind] = true
    end
    for _, handler in ipairs(handlers) do
        local param = handler.node.params[1]
        if param and param.variable then
            add(param.variable, handler.kind)
            fixed[handler.node] = true
        end
    end
    local calls = calls_of(frames, registered)
    for _ = 1, 8 do
        for _, frame in ipairs(frames) do
            for _, step in ipairs(frame.steps) do
                if step.first and step.values then
                    for i, target in ipairs(step.targets) do
                        local kinds = views[variable_of(step.values[i]) or false]
                        for kind in pairs(kinds or {}) do
                            if target.variable then add(target.variable, kind) end
                        end
                    end
                end
            end
        end
        for own, sites in pairs(calls) do
            for i, param in ipairs(own.params) do
                local all = param.variable ~= nil and (i > 1 or not fixed[own])
                for _, site in ipairs(sites) do all = all and views[variable_of(site.args[i]) or false] ~= nil end
                for _, site in ipairs(all and sites or {}) do
                    for kind in pairs(views[variable_of(site.args[i])]) do add(param.variable, kind) end
                end
            end
        end
    end
    return views
end

-- ---------------------------------------------------------------- fields

local function check_field(facts, kinds, name, place, warn)
    local kind_names, all = {}, {}
    for kind in pairs(kinds) do
        local known = facts.kinds[kind]
        if not known or known.fields[name] then return end
        kind_names[#kind_names + 1] = kind
        for field in pairs(known.fields) do all[#all + 1] = field end
    end
    table.sort(kind_names)
    table.sort(all)
    warn("L002", place, { kind = table.concat(kind_names, " and "), name = name, near = facts.nearest(name, all) })
end

-- The innermost a.b of a.b.c, with its base.
local function innermost(node)
    local at = node
    while true do
        local base = bare(at.base)
        if base.tag ~= "Index" and base.tag ~= "Method" then return at, base end
        at = base
    end
end

local KEYED = { get = true, make = true, set = true, delete = true } -- of lunette.state and lunette.records

local function check_fields(facts, frames, views, warn)
    names.each(frames, function(node, is_target, step)
        if node.tag ~= "Index" and node.tag ~= "Method" then return end
        local inner, base = innermost(node)
        local kinds = base.tag == "Name" and views[base.variable or false]
        local key = inner.key.tag == "String" and inner.key.value or names.text_of(inner.key, step)
        if kinds and key and not (is_target and inner == node) then check_field(facts, kinds, key, inner.key, warn) end
        -- set:has(e, "field")
        if node.tag == "Method" and (node.key.value == "has" or node.key.value == "find") and node.args[2] then
            local asked, field = views[variable_of(node.args[1]) or false], names.text_of(node.args[2], step)
            if asked and field then check_field(facts, asked, field, node.args[2], warn) end
        end
        -- records:make(e, "field", …): names of fields are what stands behind the event, but for the value of set
        if node.tag == "Method" and KEYED[node.key.value] then
            local asked
            for i = 1, #node.args - (node.key.value == "set" and 1 or 0) do
                local field = asked and names.text_of(node.args[i], step)
                if field then check_field(facts, asked, field, node.args[i], warn) end
                asked = asked or views[variable_of(node.args[i]) or false]
            end
        end
    end)
end

-- ---------------------------------------------------------------- kept too long

local function check_kept(frames, views, later, warn)
    local function kept(node, variable) warn("L017", node, { name = variable.name }) end
    -- Was it declared outside the function that has the event?
    local function outside(node, view)
        node = bare(node)
        while node.tag == "Index" do node = bare(node.base) end
        if node.tag ~= "Name" then return false end
        if not node.variable then return true end
        local frame = view.frame.parent
        while frame do
            if frame == node.variable.frame then return true end
            frame = frame.parent
        end
        return false
    end
    local function view_in(node)
        local variable = variable_of(node)
        if variable and views[variable] then return variable end
        node = node and bare(node)
        if not node or node.tag ~= "Table" then return nil end
        for _, item in ipairs(node.items) do
            local found = variable_of(item.tag == "Pair" and item.value or item)
            if found and views[found] then return found end
        end
    end
    for _, frame in ipairs(frames) do
        for _, step in ipairs(frame.steps) do
            if step.tag == "set" and not step.first and step.values then
                for i, target in ipairs(step.targets) do
                    local view = view_in(step.values[i])
                    if view and outside(target, view) then kept(bare(step.values[i]), view) end
                end
            end
        end
    end
    names.each(frames, function(node, _, step)
        if node.tag == "Method" and node.key.value == "set" and #node.args == 2 then
            local view = view_in(node.args[2])
            if view and outside(node.base, view) then kept(node.args[2], view) end
        elseif node.tag == "Call" then
            local found = names.resolve(node.base, step)
            local insert = found and found.root == "global" and found.name == "table" and found.fields[1] == "insert"
            local view = insert and view_in(node.args[#node.args])
            if view and outside(node.args[1], view) then kept(node.args[#node.args], view) end
        end
    end)
    -- A function that runs later, by a timer, reads it.
    for _, frame in ipairs(frames) do
        for variable, steps in pairs(later[frame.node] and frame.reads or {}) do
            for _, step in ipairs(views[variable] and variable.frame ~= frame and steps or {}) do
                for _, node in ipairs(step.reads[variable] or {}) do kept(node, variable) end
            end
        end
    end
end

return { function_of = function_of, find = find, check_fields = check_fields, check_kept = check_kept, innermost = innermost }
