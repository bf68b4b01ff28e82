-- What an expression means beyond this file: a global, a module, or a field of one, also by way of locals
-- (local find = string.find; local lunette = require "lunette"). And which globals detectors do not have.
local bare = ...

local names = {}

local CONSTANT = { Nil = true, True = true, False = true, Number = true, Table = true, Function = true }

-- The one value that a variable has at a step, or nil: what it was assigned, and at which step.
function names.value_of(variable, step)
    local used = step.used and step.used[variable]
    if used and #used == 1 and used[1].from then return used[1].from, used[1].step end
end

-- A text, where it is known.
function names.text_of(node, step, depth)
    node = bare(node)
    if node.tag == "String" then return node.value end
    if node.tag == "Name" and node.variable and (depth or 0) < 8 then
        local from, at = names.value_of(node.variable, step)
        if from then return names.text_of(from, at, (depth or 0) + 1) end
    end
end

-- { root = "global" or "module", name, fields = { text, or false if it is no text, or true if it may be any }, own = how many fields
-- stand in this very expression }, or nil if that is not known.
function names.resolve(node, step, depth)
    depth = depth or 0
    if depth > 16 then return nil end
    node = bare(node)
    local keys = {}
    while node.tag == "Index" or node.tag == "Method" do
        table.insert(keys, 1, node.key)
        node = bare(node.base)
    end
    local found
    if node.tag == "Name" and not node.variable then
        found = { root = "global", name = node.name, fields = {}, own = 0 }
    elseif node.tag == "Name" then
        local from, at = names.value_of(node.variable, step)
        -- Of several values unpacked from one call, none is known.
        if not from or #(at.values or {}) < #at.targets and #at.targets > 1 then return nil end
        local base = names.resolve(from, at, depth + 1)
        if not base then return nil end
        found = { root = base.root, name = base.name, fields = {}, known = #base.fields, through = true, own = #base.fields }
        for i, field in ipairs(base.fields) do found.fields[i] = field end
    elseif node.tag == "Call" and bare(node.base).tag == "Name" and not bare(node.base).variable and
        bare(node.base).name == "require" and node.args[1] then
        local module = names.text_of(node.args[1], step)
        if not module then return nil end
        found = { root = "module", name = module, fields = {}, own = 0 }
    end
    if not found then return nil end
    for _, key in ipairs(keys) do
        local text = names.text_of(key, step)
        local field = true
        if text then field = text elseif CONSTANT[bare(key).tag] then field = false end
        found.fields[#found.fields + 1] = field
    end
    return found
end

-- "lunette.set.domains", if it is all known and of that module.
function names.path(node, step)
    local found = names.resolve(node, step)
    if not found or found.root ~= "module" then return nil end
    local parts = { found.name }
    for _, field in ipairs(found.fields) do
        if type(field) ~= "string" then return nil end
        parts[#parts + 1] = field
    end
    return table.concat(parts, "."), found
end

-- Does the file ask for that module?
function names.requires(frames, module)
    local found = false
    names.each(frames, function(node, _, step)
        local base = node.tag == "Call" and bare(node.base)
        if base and base.tag == "Name" and base.name == "require" and not base.variable and node.args[1] then
            found = found or names.text_of(node.args[1], step) == module
        end
    end)
    return found
end

-- ---------------------------------------------------------------- globals

-- `known` is what a tree of { fields, open } says about name and fields: "undefined", "fixed" or "free".
local function status(known, name, fields, count)
    local at = known.fields[name]
    if not at then return "undefined" end
    for i = 1, count do
        local field = fields[i]
        if at.open or not at.fields then return "free" end
        if field == true then return next(at.fields) and "fixed" or "undefined" end
        if field == false then return "undefined" end
        at = at.fields[field]
        if not at then return "undefined" end
    end
    return at.open and "free" or "fixed"
end

-- Steps hand over their expressions one by one, functions in them left out: they are frames of their own.
local function each_expression(node, visit, is_target)
    node = bare(node)
    local tag = node.tag
    if tag == "Function" then return end
    visit(node, is_target)
    if tag == "Index" or tag == "Method" or tag == "Call" then
        -- The chain a.b.c is one expression for `visit`; its keys and arguments are more.
        local at = node
        while at.tag == "Index" or at.tag == "Method" do
            if at.tag == "Method" then
                for _, argument in ipairs(at.args) do each_expression(argument, visit) end
            end
            each_expression(at.key, visit)
            local base = bare(at.base)
            if base.tag ~= "Index" then
                if base.tag ~= "Name" then each_expression(base, visit) end
                break
            end
            at = base
        end
        if tag == "Call" then
            each_expression(node.base, visit)
            for _, argument in ipairs(node.args) do each_expression(argument, visit) end
        end
    elseif tag == "Unary" then
        each_expression(node.right, visit)
    elseif tag == "Binary" then
        each_expression(node.left, visit)
        each_expression(node.right, visit)
    elseif tag == "Paren" then
        each_expression(node.inner, visit)
    elseif tag == "Table" then
        for _, item in ipairs(node.items) do
            if item.tag == "Pair" then
                each_expression(item.key, visit)
                each_expression(item.value, visit)
            else
                each_expression(item, visit)
            end
        end
    end
end

-- Calls visit(node, is_target, step, frame) for every expression of the file.
function names.each(frames, visit)
    for _, frame in ipairs(frames) do
        for _, step in ipairs(frame.steps) do
            local function here(node, is_target) visit(node, is_target, step, frame) end
            if step.tag == "eval" then
                each_expression(step.node, here)
            elseif step.tag == "set" and step.node then
                if not step.first then
                    for _, target in ipairs(step.targets) do each_expression(target, here, true) end
                end
                for _, value in ipairs(step.values or {}) do each_expression(value, here) end
            end
        end
    end
end

-- `known`: what detectors have; `lua`: what Lua has elsewhere, for the words.
function names.judge(frames, known, lua, warn)
    names.each(frames, function(node, is_target, step)
        if node.tag ~= "Name" and node.tag ~= "Index" and node.tag ~= "Method" then return end
        if node.tag == "Name" and node.variable then return end
        local found = names.resolve(node, step)
        if not found or found.root ~= "global" then return end
        local count = #found.fields
        if found.through and status(known, found.name, found.fields, found.known) == "undefined" then return end
        local state = status(known, found.name, found.fields, count)
        if state == "free" then return end
        local place = node
        while place.tag == "Index" or place.tag == "Method" do place = bare(place.base) end
        local parts = {}
        for i, field in ipairs(found.fields) do parts[i] = type(field) == "string" and field or "?" end
        local more = { name = found.name, field = table.concat(parts, "."),
            elsewhere = status(lua, found.name, found.fields, count) ~= "undefined" }
        if state == "fixed" then
            if is_target then warn(count == 0 and "121" or "122", place, more) end
        elseif known.fields[found.name] then
            warn(is_target and "142" or "143", place, more)
        else
            warn(is_target and (count == 0 and "111" or "112") or "113", place, more)
        end
    end)
end

return names
