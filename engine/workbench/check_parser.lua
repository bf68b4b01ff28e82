-- Lua's sentences: tokens to a tree.
--
-- A node is a table with `tag`, `line`, `at` (place of its first byte) and, by its tag:
--
--   Nil True False Dots         Number, String { value }      Name { name }
--   Function { params, dots, body, finish }                   Table { items: nodes or Pair { key, value } }
--   Index { base, key }         Call { base, args }           Method { base, key, args }
--   Unary { op, right }         Binary { op, left, right }    Paren { inner }
--   Local { names, values }     LocalFunction { name, value } Assign { targets, values }
--   Do { body }  While { test, body }  Repeat { body, test }  If { branches = { { test, body } … }, otherwise }
--   Count { name, from, to, step, body }  Each { names, values, body }
--   Goto { label }  Label { label }  Break  Return { values };   a body is a list of statements
--
-- What is nested too deep for LuaJIT, or for those who walk the tree, is refused: nothing here may use up the stack.
local MAX_LEVEL, MAX_CHAIN = 200, 1500

-- Binding powers of operators, left and right (the manual's section 2.5.6).
local BINARY = { ["or"] = { 1, 1 }, ["and"] = { 2, 2 }, ["<"] = { 3, 3 }, [">"] = { 3, 3 }, ["<="] = { 3, 3 }, [">="] = { 3, 3 },
    ["~="] = { 3, 3 }, ["=="] = { 3, 3 }, [".."] = { 5, 4 }, ["+"] = { 6, 6 }, ["-"] = { 6, 6 }, ["*"] = { 7, 7 }, ["/"] = { 7, 7 },
    ["%"] = { 7, 7 }, ["^"] = { 10, 9 } }
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true }
local UNARY_POWER = 8
local BLOCK_ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, ["end of file"] = true }

local function parse(lexed)
    local tokens, n, level = lexed.tokens, 1, 0
    local token = tokens[1]
    local expression, block

    local function wrong(what, place)
        place = place or token
        error({ line = place.line, at = place.at, text = what }, 0)
    end
    local function advance()
        local taken = token
        n = n + 1
        token = tokens[n] or token
        return taken
    end
    local function take(kind)
        if token.kind == kind then return advance() end
    end
    local function expect(kind)
        if token.kind == kind then return advance() end
        wrong(("'%s' expected near '%s'"):format(kind, token.kind == "end of file" and "<eof>" or tostring(token.value)))
    end
    local function node(tag, place) return { tag = tag, line = place.line, at = place.at } end
    local function deeper()
        level = level + 1
        if level > MAX_LEVEL then wrong("chunk has too many syntax levels") end
    end
    local function higher() level = level - 1 end
    -- Chains (a + b + c …, a.b.c …) grow without recursion here, but whoever walks them recurs.
    local function chained(made, base)
        made.chain = (base.chain or 0) + 1
        if made.chain > MAX_CHAIN then wrong("an expression has too long a chain for this check", made) end
        return made
    end

    local function name_node()
        local taken = expect("name")
        local made = node("Name", taken)
        made.name = taken.value
        return made
    end
    local function key_node()
        local taken = expect("name")
        local made = node("String", taken)
        made.value, made.is_name = taken.value, true
        return made
    end

    local function expressions()
        local list = {}
        repeat list[#list + 1] = expression(0) until not take(",")
        return list
    end

    local function table_node()
        local made = node("Table", expect("{"))
        made.items = {}
        while token.kind ~= "}" do
            local item
            if token.kind == "[" then
                item = node("Pair", advance())
                item.key = expression(0)
                expect("]")
                expect("=")
                item.value = expression(0)
            elseif token.kind == "name" and tokens[n + 1].kind == "=" then
                item = node("Pair", token)
                item.key = key_node()
                advance()
                item.value = expression(0)
            else
                item = expression(0)
            end
            made.items[#made.items + 1] = item
            if not take(",") and not take(";") then break end
        end
        made.finish = expect("}")
        return made
    end

    local function function_body(place, self)
        local made = node("Function", place)
        made.params = {}
        if self then
            local implicit = node("Name", self)
            implicit.name, implicit.implicit = "self", true
            made.params[1] = implicit
        end
        expect("(")
        if token.kind ~= ")" then
            repeat
                if token.kind == "..." then
                    made.dots = node("Dots", advance())
                    break
                end
                made.params[#made.params + 1] = name_node()
            until not take(",")
        end
        expect(")")
        made.body = block()
        made.finish = expect("end")
        return made
    end

    local function arguments()
        if token.kind == "string" then
            local taken = advance()
            local made = node("String", taken)
            made.value = taken.value
            return { made }
        end
        if token.kind == "{" then return { table_node() } end
        expect("(")
        local list = token.kind == ")" and {} or expressions()
        expect(")")
        return list
    end

    local function primary()
        if token.kind == "name" then return name_node() end
        if token.kind ~= "(" then
            wrong(("unexpected symbol near '%s'"):format(token.kind == "end of file" and "<eof>" or tostring(token.value)))
        end
        local made = node("Paren", advance())
        made.inner = expression(0)
        expect(")")
        return made
    end

    local function suffixed()
        local made = primary()
        while true do
            local kind, before = token.kind, made
            if kind == "." then
                advance()
                made = node("Index", before)
                made.base, made.key = before, key_node()
            elseif kind == "[" then
                advance()
                made = node("Index", before)
                made.base, made.key = before, expression(0)
                expect("]")
            elseif kind == ":" then
                advance()
                made = node("Method", before)
                made.base, made.key = before, key_node()
                made.args = arguments()
            elseif kind == "(" or kind == "{" or kind == "string" then
                made = node("Call", before)
                made.base, made.args = before, arguments()
            else
                return made
            end
            chained(made, before)
        end
    end

    local SIMPLE = { ["nil"] = "Nil", ["true"] = "True", ["false"] = "False", ["..."] = "Dots", number = "Number", string = "String" }
    local function simple()
        local tag = SIMPLE[token.kind]
        if tag then
            local made = node(tag, token)
            made.value = token.value
            advance()
            return made
        end
        if token.kind == "{" then return table_node() end
        if token.kind == "function" then return function_body(advance()) end
        return suffixed()
    end

    function expression(power)
        deeper()
        local left
        if UNARY[token.kind] then
            left = node("Unary", token)
            left.op = advance().kind
            left.right = expression(UNARY_POWER)
        else
            left = simple()
        end
        while BINARY[token.kind] and BINARY[token.kind][1] > power do
            local made = node("Binary", left)
            made.op, made.left, made.op_token = token.kind, left, token
            advance()
            made.right = expression(BINARY[made.op][2])
            left = chained(made, left)
        end
        higher()
        return left
    end

    -- ---------------------------------------------------------------- statements

    local statements = {}

    statements["if"] = function(made)
        made.tag, made.branches = "If", {}
        repeat
            advance()
            local test = expression(0)
            local place = expect("then")
            made.branches[#made.branches + 1] = { test = test, body = block(), place = place }
        until token.kind ~= "elseif"
        if token.kind == "else" then
            local place = advance()
            made.otherwise = { body = block(), place = place }
        end
        expect("end")
    end
    statements["while"] = function(made)
        advance()
        made.tag, made.test = "While", expression(0)
        expect("do")
        made.body = block()
        expect("end")
    end
    statements["do"] = function(made)
        advance()
        made.tag, made.body = "Do", block()
        expect("end")
    end
    statements["for"] = function(made)
        advance()
        local first = name_node()
        if take("=") then
            made.tag, made.name, made.from = "Count", first, expression(0)
            expect(",")
            made.to = expression(0)
            if take(",") then made.step = expression(0) end
        else
            made.tag, made.names = "Each", { first }
            while take(",") do made.names[#made.names + 1] = name_node() end
            expect("in")
            made.values = expressions()
        end
        expect("do")
        made.body = block()
        expect("end")
    end
    statements["repeat"] = function(made)
        advance()
        made.tag, made.body = "Repeat", block()
        expect("until")
        made.test = expression(0)
    end
    statements["function"] = function(made)
        local place, self = advance(), nil
        local target = name_node()
        while token.kind == "." or token.kind == ":" do
            local sign = advance()
            if sign.kind == ":" then self = sign end
            local index = node("Index", target)
            index.base, index.key = target, key_node()
            target = chained(index, target)
            if self then break end
        end
        made.tag, made.targets = "Assign", { target }
        made.values = { function_body(place, self) }
    end
    statements["local"] = function(made)
        advance()
        if token.kind == "function" then
            local place = advance()
            made.tag, made.name = "LocalFunction", name_node()
            made.value = function_body(place)
            return
        end
        made.tag, made.names = "Local", {}
        repeat made.names[#made.names + 1] = name_node() until not take(",")
        if take("=") then made.values = expressions() end
    end
    statements["return"] = function(made)
        advance()
        made.tag, made.values = "Return", {}
        if not BLOCK_ENDS[token.kind] and token.kind ~= ";" then made.values = expressions() end
    end
    statements["break"] = function(made)
        advance()
        made.tag = "Break"
    end
    statements["::"] = function(made)
        advance()
        made.tag, made.label = "Label", expect("name").value
        expect("::")
    end

    local function statement()
        local made = node("?", token)
        local known = statements[token.kind]
        if known then
            known(made)
            return made
        end
        if token.kind == "name" and token.value == "goto" and tokens[n + 1].kind == "name" then
            advance()
            made.tag, made.label = "Goto", advance().value
            return made
        end
        local first = suffixed()
        if token.kind == "=" or token.kind == "," then
            made.tag, made.targets = "Assign", { first }
            while take(",") do made.targets[#made.targets + 1] = suffixed() end
            expect("=")
            made.values = expressions()
            for _, target in ipairs(made.targets) do
                if target.tag ~= "Name" and target.tag ~= "Index" then wrong("syntax error: this cannot be assigned to", target) end
            end
            return made
        end
        if first.tag ~= "Call" and first.tag ~= "Method" then
            wrong(("'=' expected near '%s'"):format(token.kind == "end of file" and "<eof>" or tostring(token.value)))
        end
        return first
    end

    function block()
        local list = {}
        deeper()
        while not BLOCK_ENDS[token.kind] do
            if not take(";") then
                local made = statement()
                list[#list + 1] = made
                take(";")
                if made.tag == "Return" then break end
            end
        end
        higher()
        return list
    end

    local body = block()
    if token.kind ~= "end of file" then wrong(("'<eof>' expected near '%s'"):format(tostring(token.value))) end
    return { tag = "Function", line = 1, at = 1, params = {}, body = body, dots = { tag = "Dots" }, finish = token, chunk = true }
end

return parse
