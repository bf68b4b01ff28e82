-- Which assigned value reaches which use, and what is never used. The questions, codes and words are luacheck's.
--
-- A value is followed along its frame's steps until its variable is assigned anew or out of scope; uses on the way are
-- its uses. A function may be called at any step from the one that makes it, and then all that it does to variables from
-- outside may have happened, in any order. Following costs at most values × steps; BUDGET bounds that for files that are
-- not written by people.
local BUDGET = 1000 * 1000

-- Calls visit(i, step) for all steps that can be reached; true from it: not beyond. After the last step it gets nil once.
local function walk(frame, from, seen, visit, budget)
    local steps, open = frame.steps, { from }
    while #open > 0 do
        local i = table.remove(open)
        if not seen[i] then
            seen[i] = true
            budget.left = budget.left - 1
            if budget.left < 0 then error(budget, 0) end
            local step = steps[i]
            if not visit(i, step) and step then
                if step.to then open[#open + 1] = step.to end
                if step.tag ~= "jump" then open[#open + 1] = i + 1 end
            end
        end
    end
end

local function has_call(node)
    if type(node) ~= "table" or node.tag == "Function" then return false end
    if node.tag == "Call" or node.tag == "Method" then return true end
    return has_call(node.base) or has_call(node.key) or has_call(node.left) or has_call(node.right) or has_call(node.inner)
end

-- x = f(x.y) uses x; x.a = x.b does not, beyond itself.
local function only_feeds_itself(step, variable)
    local target = step.tag == "set" and step.targets[1]
    local value = step.values and step.values[1]
    if not target or not value or target.tag ~= "Index" then return false end
    if has_call(value) or has_call(target) then return false end
    return target.base.tag == "Name" and target.base.variable == variable
end

-- ---------------------------------------------------------------- following

local function use(frame, step, variable, value, changes)
    step.used = step.used or {}
    step.used[variable] = step.used[variable] or {}
    table.insert(step.used[variable], value)
    value[changes and "changed" or "used"] = true
    value.users[frame] = true
end

local function use_in(frame, steps, variable, value, changes)
    for _, step in ipairs(steps or {}) do use(frame, step, variable, value, changes) end
end

local function follow_value(frame, at, variable, value, budget)
    walk(frame, at + 1, {}, function(i, step)
        if i < variable.from or i > variable.to then
            value.overwritten = false
            return true
        end
        if step.reads and step.reads[variable] and not only_feeds_itself(step, variable) then use(frame, step, variable, value) end
        if step.changes and step.changes[variable] then use(frame, step, variable, value, true) end
        for _, inner in ipairs(step.frames or {}) do
            if not only_feeds_itself(step, variable) then use_in(inner, inner.reads[variable], variable, value) end
            use_in(inner, inner.changes[variable], variable, value, true)
        end
        if step.sets and step.sets[variable] then
            if value.overwritten == nil or value.overwritten == step then value.overwritten = step else value.overwritten = false end
            return true
        end
    end, budget)
end

-- What one frame sets from outside, another may read.
local function cross(reader, setter)
    for variable, steps in pairs(setter.sets) do
        for _, step in ipairs(steps) do
            use_in(reader, reader.reads[variable], variable, step.sets[variable])
            use_in(reader, reader.changes[variable], variable, step.sets[variable], true)
        end
    end
end

local function follow_function(frame, at, made, budget)
    walk(frame, at, {}, function(_, step)
        if not step then return true end
        for variable, value in pairs(step.sets or {}) do
            use_in(made, made.reads[variable], variable, value)
            use_in(made, made.changes[variable], variable, value, true)
        end
        for _, inner in ipairs(step.frames or {}) do
            cross(made, inner)
            cross(inner, made)
        end
        for variable, steps in pairs(made.sets) do
            for _, setting in ipairs(steps) do
                local value = setting.sets[variable]
                if step.reads and step.reads[variable] then use(frame, step, variable, value) end
                if step.changes and step.changes[variable] then use(frame, step, variable, value, true) end
            end
        end
    end, budget)
end

local function follow(frames, budget)
    for _, frame in ipairs(frames) do
        for at, step in ipairs(frame.steps) do
            for variable, value in pairs(step.sets or {}) do
                if variable.frame == frame then follow_value(frame, at, variable, value, budget) end
            end
        end
    end
    for _, frame in ipairs(frames) do
        for at, step in ipairs(frame.steps) do
            for _, made in ipairs(step.frames or {}) do follow_function(frame, at, made, budget) end
        end
    end
end

-- ---------------------------------------------------------------- judging

local DIGIT = { variable = "1", argument = "2", ["loop variable"] = "3" }
local OUTSIDE = { Name = true, Index = true, Call = true, Method = true, Unary = true, Binary = true, Paren = true, Dots = true }

-- May others hold the table that is changed through this variable?
local function known_outside(value)
    if value.is_function then return true end
    return value.kind ~= "variable" or value.from ~= nil and OUTSIDE[value.from.tag] == true
end

local function is_function(variable)
    local values = variable.values
    return #values == 1 and values[1].is_function or #values == 2 and values[1].empty and values[2].is_function
end

local function overwriter(value)
    if value.overwritten then
        if value.overwritten == value.step then return nil end
        for _, target in ipairs(value.overwritten.targets) do
            if target.variable == value.variable then return target end
        end
        return nil
    end
    local after
    for _, target in ipairs(value.step.targets) do
        if target.variable == value.variable then
            if after then return target end
            after = target == value.node
        end
    end
end

local function warn_unused(warn, value)
    warn("21" .. DIGIT[value.variable.kind], value.node, { name = value.variable.name, is_function = value.is_function,
        useless = value.variable.name == "_" and value.empty })
end

local function judge_value(warn, variable, value, none_outside)
    if value.empty or value.used then return end
    local kind = value.is_function and "variable" or value.kind
    if not value.changed then
        local by = overwriter(value)
        warn("31" .. DIGIT[kind], value.node, { name = variable.name, by = by and by.line })
    elseif not known_outside(value) and (variable.read or not none_outside) then
        warn("33" .. DIGIT[kind], value.node, { name = variable.name })
    end
end

local function judge(warn, variable)
    local values, name = variable.values, { name = variable.name }
    if is_function(variable) then
        local value = values[2] or values[1]
        if not value.used then warn_unused(warn, value) end
    elseif #values == 1 then
        local value = values[1]
        if variable.kind == "argument" and variable.name:match("^_%a") then
            if value.used then warn("214", variable.node, name) end
        elseif not value.used then
            if not value.changed then
                warn_unused(warn, value)
            elseif not known_outside(value) then
                warn("24" .. DIGIT[variable.kind], variable.node, name)
            end
        elseif value.empty then
            warn("221", variable.node, name)
        end
    elseif not variable.read and not variable.changed then
        warn("23" .. DIGIT[variable.kind], variable.node, name)
    else
        local none_outside = true
        for _, value in ipairs(values) do none_outside = none_outside and not known_outside(value) end
        if not variable.read and none_outside then warn("24" .. DIGIT[variable.kind], variable.node, name) end
        for _, value in ipairs(values) do judge_value(warn, variable, value, none_outside) end
    end
end

-- Functions that are used, but only by themselves or by each other.
local function judge_recursive(warn, frames)
    local top, uses = frames[1], {}
    for _, frame in ipairs(frames) do uses[frame] = {} end
    for _, frame in ipairs(frames) do
        local value = frame.node.held_by
        if value then
            for user in pairs(value.users) do uses[user][frame] = true end
        elseif frame.parent then
            uses[frame.parent][frame] = true
        end
    end
    local function spread(from, reached)
        local open = { from }
        while #open > 0 do
            for frame in pairs(uses[table.remove(open)]) do
                if not reached[frame] then
                    reached[frame] = true
                    open[#open + 1] = frame
                end
            end
        end
    end
    local reached = { [top] = true }
    spread(top, reached)
    for _, frame in ipairs(frames) do
        local value = frame.node.held_by
        if value and not value.used then
            reached[frame] = true
            spread(frame, reached)
        end
    end
    for _, frame in ipairs(frames) do
        local value = frame.node.held_by
        if value and value.used and not reached[frame] then
            local group = {}
            spread(frame, group)
            for other in pairs(group) do
                local back = {}
                spread(other, back)
                local held = other.node.held_by
                if back[frame] and not reached[other] then
                    reached[other] = true
                    if held and is_function(held.variable) then
                        warn("211", held.node, { name = held.variable.name, is_function = true, recursive = true })
                    elseif held then
                        warn("311", held.node, { name = held.variable.name })
                    end
                end
            end
        end
    end
end

-- Reads of which no value but the empty one of `local x` can be the source.
local function judge_empty(warn, frame)
    for _, step in ipairs(frame.steps) do
        for what, code in pairs { reads = "321", changes = "341" } do
            for variable, nodes in pairs(step[what] or {}) do
                local used = step.used and step.used[variable]
                local never_set = #variable.values == 1 and variable.values[1].empty
                local empty = used ~= nil and not never_set
                for _, value in ipairs(used or {}) do empty = empty and value.empty end
                for _, node in ipairs(empty and nodes or {}) do warn(code, node, { name = variable.name }) end
            end
        end
    end
end

local function judge_unreached(warn, frame, budget)
    local reached = {}
    local function look() end
    walk(frame, 1, reached, look, budget)
    for at, step in ipairs(frame.steps) do
        if not reached[at] and step.node then
            warn(step.loop_end and "512" or "511", step.node, {})
            walk(frame, at, reached, look, budget)
        end
    end
end

-- `warn(code, node, what the words need)`. False if the file was too much.
return function(frames, warn)
    local budget = { left = BUDGET }
    local ok, problem = pcall(function()
        follow(frames, budget)
        for _, frame in ipairs(frames) do
            for _, step in ipairs(frame.steps) do
                for variable in pairs(step.first and step.sets or {}) do
                    if variable.node.line then judge(warn, variable) end
                end
            end
            judge_empty(warn, frame)
            judge_unreached(warn, frame, budget)
        end
        judge_recursive(warn, frames)
    end)
    if not ok and problem ~= budget then error(problem, 0) end
    return ok
end
