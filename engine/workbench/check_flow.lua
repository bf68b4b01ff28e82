-- From a tree to straight lines: for each function a list of steps with jumps between them, and which variable each name
-- means. What is said about values (check_values.lua) and about code that nobody reaches follows from these.
--
-- A frame is one function (or the chunk): { node, parent, steps, inner = frames made in it, at any depth, reads, changes, sets }, the
-- last three by variable: the steps of it (or of frames inside) that read, index-assign or assign a variable from outside.
-- A step is { tag, node }:
--
--   eval                   an expression           jump, branch { to }   always, perhaps: to the step of that number
--   set { targets, values, first }                 assignment; `first` if it declares what it sets
--   mark { loop_end }      a statement begins      (all with: reads, changes = variable → nodes, frames = made here)
--
-- A variable is { name, node, kind = "variable" | "argument" | "loop variable", frame, from, to = steps in which it is in
-- scope, values }, a value { variable, node = the name, from = what is assigned or nil, step, empty }.
local ALWAYS = { Nil = false, False = false, True = true, Number = true, String = true, Table = true, Function = true }
local MULTIPLE = { Dots = true, Call = true, Method = true }
local KIND_DIGIT = { variable = "1", argument = "2", ["loop variable"] = "3" }

-- Without parentheses that change nothing.
local function bare(node)
    while node.tag == "Paren" and not MULTIPLE[node.inner.tag] do node = node.inner end
    return node
end

local function build(tree, warn)
    local frames, scopes, frame = {}, {}, nil
    local statements, expressions = {}, {}

    local function emit(step)
        frame.steps[#frame.steps + 1] = step
        return step
    end
    local function step(tag, node, more)
        local made = more or {}
        made.tag, made.node, made.reads, made.changes, made.frames = tag, node, {}, {}, {}
        return made
    end
    local function mark(node, loop_end) emit { tag = "mark", node = node, loop_end = loop_end } end

    -- ------------------------------------------------------------ scopes

    local function enter() scopes[#scopes + 1] = { variables = {}, order = {}, labels = {}, jumps = {}, frame = frame } end

    local function jump(name, conditional, node)
        local made = emit { tag = conditional and "branch" or "jump", node = nil }
        local jumps = scopes[#scopes].jumps
        jumps[#jumps + 1] = { name = name, step = made, node = node }
    end

    local function label(name, node)
        local labels = scopes[#scopes].labels
        if labels[name] and node then
            error({ line = node.line, at = node.at, text = ("duplicate label '%s'"):format(name) }, 0)
        end
        labels[name] = { at = #frame.steps + 1, node = node }
    end

    local function leave()
        local left = table.remove(scopes)
        local around = scopes[#scopes]
        for _, going in ipairs(left.jumps) do
            local target = left.labels[going.name]
            if target then
                going.step.to, target.used = target.at, true
            elseif around and around.frame == frame then
                around.jumps[#around.jumps + 1] = going
            elseif going.node then
                local text = going.name == "break loop" and "'break' outside a loop" or ("undefined label '%s'"):format(going.name)
                error({ line = going.node.line, at = going.node.at, text = text }, 0)
            end
        end
        for name, target in pairs(left.labels) do
            if target.node and not target.used then warn("521", target.node, { name = name }) end
        end
        for _, variable in ipairs(left.order) do
            variable.to = variable.to or #frame.steps
        end
    end

    local function find(name)
        for i = #scopes, 1, -1 do
            local variable = scopes[i].variables[name]
            if variable then return variable end
        end
    end

    local function declare(node, kind, count_up)
        local name = node.name or "..."
        local scope = scopes[#scopes]
        local before = find(name)
        local variable = { name = name, node = node, kind = kind, frame = frame, from = #frame.steps + 1, values = {},
            implicit = node.implicit, count_up = count_up }
        if before then
            local same = scope.variables[name] ~= nil
            if name ~= "..." then
                local code = "4" .. (same and "1" or before.frame == frame and "2" or "3") .. KIND_DIGIT[before.kind]
                warn(code, node, { name = name, before = before.node.line })
            end
            if same then before.to = #frame.steps end
        end
        scope.variables[name] = variable
        scope.order[#scope.order + 1] = variable
        node.variable = variable
    end

    -- ------------------------------------------------------------ who touches what

    -- Tells the frames between here and the variable's own.
    local function tell(variable, what, made)
        local at = frame
        while at and at ~= variable.frame do
            at[what][variable] = at[what][variable] or {}
            table.insert(at[what][variable], made)
            at = at.parent
        end
    end
    local function touch(made, node, variable, what)
        variable[what == "reads" and "read" or "changed"] = true
        made[what][variable] = made[what][variable] or {}
        table.insert(made[what][variable], node)
        tell(variable, what, made)
    end

    local function scan(made, node)
        local scanner = expressions[node.tag]
        if scanner then scanner(made, node) end
    end
    local function scan_all(made, nodes)
        for _, node in ipairs(nodes) do scan(made, node) end
    end

    function expressions.Name(made, node)
        node.variable = node.variable or find(node.name)
        if node.variable then touch(made, node, node.variable, "reads") end
    end
    function expressions.Dots(made, node)
        local dots = find("...")
        if not dots or dots.frame ~= frame then
            error({ line = node.line, at = node.at, text = "cannot use '...' outside a vararg function" }, 0)
        end
        touch(made, node, dots, "reads")
    end
    function expressions.Index(made, node)
        scan(made, node.base)
        scan(made, node.key)
    end
    function expressions.Call(made, node)
        scan(made, node.base)
        scan_all(made, node.args)
    end
    expressions.Method = expressions.Call
    function expressions.Unary(made, node) scan(made, node.right) end
    function expressions.Binary(made, node)
        -- The tree leans to the left: that side as a loop.
        local rights = {}
        while node.tag == "Binary" do
            rights[#rights + 1] = node.right
            node = node.left
        end
        scan(made, node)
        for i = #rights, 1, -1 do scan(made, rights[i]) end
    end
    function expressions.Paren(made, node) scan(made, node.inner) end
    function expressions.Table(made, node) scan_all(made, node.items) end
    function expressions.Pair(made, node)
        scan(made, node.key)
        scan(made, node.value)
    end

    -- ------------------------------------------------------------ statements

    local function statement(node) statements[node.tag](node) end
    local function body_of(list)
        for _, node in ipairs(list) do statement(node) end
    end
    local function block(list)
        enter()
        body_of(list)
        leave()
    end
    local function evaluate(node)
        local made = step("eval", node)
        scan(made, node)
        emit(made)
    end
    -- To `name` if the test fails.
    local function unless(name, test)
        local always = ALWAYS[bare(test).tag]
        if always ~= true then jump(name, always ~= false) end
    end

    statements.Call, statements.Method = evaluate, evaluate

    function statements.Do(node)
        mark(node)
        block(node.body)
    end
    function statements.While(node)
        mark(node)
        enter()
        label("loop")
        evaluate(node.test)
        unless("break loop", node.test)
        block(node.body)
        mark(node, true)
        jump("loop")
        label("break loop")
        leave()
    end
    function statements.Repeat(node)
        mark(node)
        enter()
        label("loop")
        enter()
        body_of(node.body)
        evaluate(node.test)
        leave()
        unless("loop", node.test)
        label("break loop")
        leave()
    end
    local function turns(node, names, count_up)
        enter()
        label("loop")
        jump("break loop", true)
        enter()
        emit(step("set", nil, { targets = names, first = true }))
        for _, name in ipairs(names) do declare(name, "loop variable", count_up) end
        body_of(node.body)
        leave()
        mark(node, true)
        jump("loop")
        label("break loop")
        leave()
    end
    function statements.Count(node)
        mark(node)
        evaluate(node.from)
        evaluate(node.to)
        if node.step then evaluate(node.step) end
        turns(node, { node.name }, true)
    end
    function statements.Each(node)
        mark(node)
        for _, value in ipairs(node.values) do evaluate(value) end
        turns(node, node.names)
    end
    function statements.If(node)
        mark(node)
        enter()
        for _, branch in ipairs(node.branches) do
            enter()
            evaluate(branch.test)
            unless("else", branch.test)
            block(branch.body)
            jump("end")
            label("else")
            leave()
        end
        if node.otherwise then block(node.otherwise.body) end
        label("end")
        leave()
    end
    function statements.Label(node) label(":" .. node.label, node) end
    function statements.Goto(node)
        mark(node)
        jump(":" .. node.label, false, node)
    end
    function statements.Break(node) jump("break loop", false, node) end
    function statements.Return(node)
        mark(node)
        for _, value in ipairs(node.values) do evaluate(value) end
        jump("return")
    end
    function statements.Local(node)
        local made = emit(step("set", node, { targets = node.names, values = node.values, first = true }))
        if node.values then scan_all(made, node.values) end
        for _, name in ipairs(node.names) do declare(name, "variable") end
    end
    function statements.LocalFunction(node)
        local made = step("set", node, { targets = { node.name }, values = { node.value }, first = true })
        declare(node.name, "variable")
        emit(made)
        scan(made, node.value)
    end

    -- a.b.c = 1 changes what `a` holds.
    local function scan_target(made, node)
        local base = bare(node.base)
        if base.tag == "Name" then
            base.variable = base.variable or find(base.name)
            if base.variable then touch(made, base, base.variable, "changes") end
        elseif base.tag == "Index" then
            scan_target(made, base)
        else
            scan(made, base)
        end
        scan(made, node.key)
    end
    function statements.Assign(node)
        local made = step("set", node, { targets = node.targets, values = node.values })
        scan_all(made, node.values)
        for _, target in ipairs(node.targets) do
            if target.tag == "Name" then
                target.variable = target.variable or find(target.name)
                if target.variable then tell(target.variable, "sets", made) end
            else
                scan_target(made, target)
            end
        end
        emit(made)
    end

    -- ------------------------------------------------------------ functions

    -- Each assignment to a variable is a value of it.
    local function note_values()
        for _, made in ipairs(frame.steps) do
            if made.tag == "set" then
                made.sets = {}
                local values = made.values
                local last = values and values[#values]
                for i, target in ipairs(made.targets) do
                    local variable = target.variable
                    if variable and (target.tag == "Name" or target.tag == "Dots") then
                        local from = values and values[i] and bare(values[i])
                        if not from and last and MULTIPLE[last.tag] then from = last end
                        local value = { variable = variable, node = target, from = from, step = made, users = {},
                            kind = made.first and variable.kind or "variable",
                            empty = made.first and not from and variable.kind == "variable" }
                        if from and from.tag == "Function" then from.held_by, value.is_function = value, true end
                        made.sets[variable] = value
                        table.insert(variable.values, value)
                    end
                end
            end
        end
    end

    local function build_frame(node)
        frame = { node = node, parent = frame, steps = {}, inner = {}, reads = {}, changes = {}, sets = {} }
        local own = frame
        frames[#frames + 1] = own
        enter()
        local given = {}
        for i, name in ipairs(node.params) do given[i] = name end
        if node.dots then given[#given + 1] = node.dots end
        emit(step("set", nil, { targets = given, first = true }))
        enter()
        for _, name in ipairs(given) do declare(name, "argument") end
        body_of(node.body)
        leave()
        label("return")
        leave()
        note_values()
        frame = own.parent
        local around = frame
        while around do
            table.insert(around.inner, own)
            around = around.parent
        end
        return own
    end

    function expressions.Function(made, node)
        local own = build_frame(node)
        table.insert(made.frames, own)
        for _, inner in ipairs(own.inner) do table.insert(made.frames, inner) end
    end

    build_frame(tree)
    return frames
end

return { build = build, bare = bare, MULTIPLE = MULTIPLE }
