-- What is odd whatever the values are: empty branches, fields given twice, uneven assignments, white space, long lines.
local bare, MULTIPLE = ...

local FIELDS = { "base", "key", "value", "left", "right", "inner", "test", "from", "to", "step" }
local LISTS = { "args", "items", "values", "targets", "body" }

-- Every node of a tree, statements and expressions.
local function each(node, visit)
    local open = { node }
    while #open > 0 do
        local at = table.remove(open)
        if at.tag then visit(at) end
        for _, field in ipairs(FIELDS) do
            local child = at[field]
            if type(child) == "table" and child.tag then open[#open + 1] = child end
        end
        for _, list in ipairs(LISTS) do
            for _, child in ipairs(at[list] or {}) do open[#open + 1] = child end
        end
        for _, branch in ipairs(at.branches or {}) do
            open[#open + 1] = branch.test
            open[#open + 1] = { body = branch.body }
        end
        if at.otherwise then open[#open + 1] = { body = at.otherwise.body } end
    end
end

local rules = {}

function rules.Do(node, warn)
    if #node.body == 0 then warn("541", node, {}) end
end
function rules.If(node, warn)
    for _, branch in ipairs(node.branches) do
        if #branch.body == 0 then warn("542", branch.place, {}) end
    end
    if node.otherwise and #node.otherwise.body == 0 then warn("542", node.otherwise.place, {}) end
end

local function constant(node)
    node = bare(node)
    if node.tag == "String" or node.tag == "Number" then return node.value end
    if node.tag == "True" or node.tag == "False" then return node.tag end
    if node.tag == "Unary" and node.op == "-" then
        local value = constant(node.right)
        return type(value) == "number" and -value or nil
    end
end

function rules.Table(node, warn)
    local held, place = {}, 0
    for _, item in ipairs(node.items) do
        local key, at
        if item.tag == "Pair" then
            key, at = constant(item.key), item.key
        else
            place = place + 1
            key, at = place, item
        end
        if key ~= nil and key == key then
            local before = held[key]
            if before then warn("314", before, { name = tostring(key), by = at.line, is_index = before.tag ~= "String" }) end
            held[key] = at
        end
    end
end

local function uneven(node, warn)
    if not node.values then return end
    local targets, values = #(node.targets or node.names), #node.values
    if values > targets then
        warn("531", node, {})
    elseif values < targets and node.tag == "Assign" and not MULTIPLE[node.values[values].tag] then
        warn("532", node, {})
    end
end
rules.Local, rules.Assign = uneven, uneven

function rules.Count(node, warn)
    local from, to = bare(node.from), constant(node.to)
    if from.tag ~= "Unary" or from.op ~= "#" or type(to) ~= "number" or to > 1 then return end
    local step = 1
    if node.step then step = constant(node.step) end
    if type(step) == "number" and step >= 0 then warn("571", node, { name = tostring(to) }) end
end

local OPPOSITE = { ["=="] = "~=", ["~="] = "==", ["<"] = ">=", [">"] = "<=", ["<="] = ">", [">="] = "<" }
function rules.Unary(node, warn)
    local inner = node.op == "not" and bare(node.right)
    if inner and inner.tag == "Binary" and OPPOSITE[inner.op] then
        warn("581", node, { name = inner.op, by = OPPOSITE[inner.op] })
    end
end
function rules.Binary(node, warn)
    if OPPOSITE[node.op] and node.left.tag == "Unary" and node.left.op == "not" then warn("582", node, {}) end
end

-- ---------------------------------------------------------------- lines

local MAX_LINE = 120
local WHERE = { string = "613", comment = "614" }

local function lines(text, lexed, warn)
    for number, from in ipairs(lexed.line_starts) do
        local last = (lexed.line_starts[number + 1] or #text + 2) - 1
        local line = text:sub(from, last):gsub("[\r\n]+$", "")
        local place = { line = number, at = from }
        local trailing = line:match("^.-()[ \t\f\v]+$")
        if trailing == 1 then
            warn("611", place, {})
        elseif trailing then
            warn(WHERE[lexed.inside[number]] or "612", { line = number, at = from + trailing - 1 }, {})
        end
        if trailing ~= 1 and line:find("^[ \t\f\v]- \t") then warn("621", place, {}) end
        local _, length = line:gsub("[^\128-\191]", "")
        if length > MAX_LINE then
            warn("631", { line = number, at = from, column = MAX_LINE + 1 }, { name = tostring(length), by = MAX_LINE })
        end
    end
end

return function(text, lexed, tree, warn)
    each(tree, function(node)
        local rule = rules[node.tag]
        if rule then rule(node, warn) end
    end)
    lines(text, lexed, warn)
end
