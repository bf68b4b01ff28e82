-- `lunette check`: reads scripts, never runs them. check.c calls it with all that it needs, then read(), which tells of each file
-- whether it is a detector, and, when those were loaded, report(files), which gives the text to print and the number of findings.
--
-- The way of a file: lexer → parser → flow (which variable, which order) → values, names, style, and the API's rules. Each of
-- these says warn(code, place, what the words need); which of that is told is decided here.
local given = ...

local function part(name, ...)
    return assert(load(given.embedded("check_" .. name .. ".lua"), "=check_" .. name .. ".lua", "t"))(...)
end

local lex, parse, flow = part "lexer", part "parser", part "flow"
local judge_values = part "values"
local names = part("names", flow.bare)
local judge_style = part("style", flow.bare, flow.MULTIPLE)
local codes = part "codes"
local inline = part "inline"
local views = part("views", flow.bare, names)
local api = part("api", flow.bare, names, views)
local docs = part "docs"
local nearest = assert(load(given.embedded("nearest.lua"), "=nearest.lua", "t"))()

-- ---------------------------------------------------------------- what there is

-- Lines "string.format" or "lunette.set.domains" → a tree of { fields }. A name that ends in "*" may have any fields.
local function tree_of(lines)
    local root = { fields = {} }
    for line in lines:gmatch("[^\n]+") do
        local open = line:sub(-1) == "*"
        local at = root
        for name in (open and line:sub(1, -2) or line):gmatch("[^.]+") do
            at.fields = at.fields or {}
            at.fields[name] = at.fields[name] or {}
            at = at.fields[name]
        end
        at.open = at.open or open
    end
    return root
end

-- The names of this very Lua, to tell what is known elsewhere.
local function lua_names()
    local root = { fields = {} }
    for name, value in pairs(_G) do
        local fields
        if type(value) == "table" and value ~= _G then
            fields = {}
            for field in pairs(value) do
                if type(field) == "string" then fields[field] = {} end
            end
        end
        root.fields[name] = { fields = fields, open = value == _G or nil }
    end
    return root
end

-- By name: the fields of each kind of event; and those that every event has.
local function kinds_of(schema)
    local kinds, head = {}, {}
    for _, kind in pairs(schema) do
        local fields, inner = {}, kind.name == "stream" -- which lunette.stream alone hears of
        for _, field in ipairs(kind.fields) do
            fields[field.name] = field.type
            if field.head then head[field.name] = field.type end
        end
        if not inner then kinds[kind.name] = { fields = fields } end
    end
    return kinds, head
end

-- The names come as Lua: literals only, with nothing in reach.
local there = load(given.names, "=names", "t", {})()
local modules = {}
for module, lines in pairs(there.modules) do modules[module] = tree_of(lines) end
local kinds, head = kinds_of(given.schema)
local facts = { kinds = kinds, modules = modules, options = docs(given.sources), nearest = nearest, words_of = part "words" }
local detector_names, lua = tree_of(there.globals), lua_names()
detector_names.fields._G = { open = true }

-- ---------------------------------------------------------------- one file

local LARGEST = 4 * 1024 * 1024 -- bytes

-- The column of a place: characters, not bytes.
local function column_of(text, lexed, place)
    if place.column then return place.column end
    local from = lexed and lexed.line_starts[place.line] or 1
    if not lexed then
        from = place.at
        while from > 1 and not text:sub(from - 1, from - 1):find("[\r\n]") do from = from - 1 end
    end
    local _, count = text:sub(from, place.at - 1):gsub("[^\128-\191]", "")
    return count + 1
end

-- Why LuaJIT does not take it: line and words, nil if it does.
local function refused(file)
    if file.text:sub(1, 1) == "\27" then return 1, "this is bytecode, not a script" end
    local chunk, message = load(file.text, "=x", "t")
    if chunk then return nil end
    local line, words = message:match("^x:(%d+): (.*)$")
    return tonumber(line) or 1, words or message
end

local function warner(result)
    return function(code, place, more) table.insert(result.found, { code = code, place = place, more = more }) end
end

local function analyse(file)
    local found = {}
    local result = { file = file, found = found }
    local warn = warner(result)
    if #file.text > LARGEST then
        warn("L032", { line = 1, at = 1 }, {})
        return result
    end
    local line, words = refused(file)
    local ok, problem = pcall(function()
        result.lexed = lex(file.text)
        result.tree = parse(result.lexed)
        result.frames = flow.build(result.tree, warn)
    end)
    if not ok or line then
        for i = #found, 1, -1 do found[i] = nil end
    end
    if line then
        local own = not ok and type(problem) == "table" and problem.line == line and problem
        warn("011", own or { line = line, at = 1, column = 1 }, { text = words })
        result.frames = nil
    elseif not ok then
        if type(problem) == "table" then warn("011", problem, problem) else warn("L033", { line = 1, at = 1 }, { text = problem }) end
        result.frames = nil
    end
    return result
end

-- The values first: the events that it declares, which others may ask for, are only known by them.
local function prepare(result)
    local warn = warner(result)
    result.spans = inline.read(result.lexed, result.frames, warn)
    if not judge_values(result.frames, warn) then warn("L032", { line = 1, at = 1 }, {}) end
    for name, kind in pairs(api.declared_events(result.frames, result.file.name)) do
        for field, field_type in pairs(head) do kind.fields[field] = field_type end
        facts.kinds[name] = kind
    end
end

local function judge(result)
    local file, warn = result.file, warner(result)
    names.judge(result.frames, detector_names, lua, warn)
    judge_style(file.text, result.lexed, result.tree, warn)
    facts.is_test = file.is_test
    api.judge(result.frames, facts, warn)
end

local function told(result, finding)
    local code, more = finding.code, finding.more
    local entry = codes.by_code[code]
    if entry.error or finding.fatal then return true end
    if more.name == "_" and code:find("^[234]") and not more.useless then return false end
    local on = not entry.off
    if entry.hint then on = given.hints end
    for _, pattern in ipairs(given.enable) do
        if inline.matches(pattern, code, more.name) then on = true end
    end
    for _, pattern in ipairs(given.ignore) do
        if inline.matches(pattern, code, more.name) then on = false end
    end
    local said = result.spans and inline.told(result.spans, finding.place.line, code, more.name)
    if said ~= nil then return said end
    return on
end

local function findings_of(result)
    local list = {}
    for _, finding in ipairs(result.found) do
        if told(result, finding) then
            local place = finding.place
            list[#list + 1] = { line = place.line, column = column_of(result.file.text, result.lexed, place), code = finding.code,
                message = codes.words(finding.code, finding.more), is_error = codes.by_code[finding.code].error or finding.fatal or false }
        end
    end
    table.sort(list, function(a, b)
        if a.line ~= b.line then return a.line < b.line end
        if a.column ~= b.column then return a.column < b.column end
        if a.code ~= b.code then return a.code < b.code end
        return a.message < b.message
    end)
    return list
end

-- ---------------------------------------------------------------- all files

local results = {}

-- A script that asks for "lunette" is a detector, unless it is a test or lies in lib/: then others load it.
local function is_detector(result)
    local path = result.file.path
    if result.file.is_test or path:find("/lib/[^/]*$") or path:find("^lib/[^/]*$") then return false end
    return result.frames ~= nil and names.requires(result.frames, "lunette")
end

-- What was found in the text already and keeps the detector from loading, at the very place; nil if it is something else.
local SEEN = { L003 = true, L004 = true }
local function already_found(result, line, words)
    local name = words:match("a filter on '([^']*)'")
    for _, finding in ipairs(name and result.found or {}) do
        if SEEN[finding.code] and finding.more.name == name and finding.place.line >= line then return finding end
    end
end

-- Why a detector could not be loaded is a finding of the line that the message names. It is told once.
local function add_failure(result, why)
    local path, line, words = why:match("^(.-):(%d+): (.*)$")
    local own = path and result.file.path:sub(-#path) == path
    local place = { line = own and tonumber(line) or 1, at = 1, column = 1 }
    local seen = own and already_found(result, place.line, words)
    if seen then
        seen.fatal = true
        return
    end
    table.insert(result.found, { code = "L031", place = place, more = { text = own and words or why } })
end

-- Does `work` on a file that could be read.
local function try(work, result)
    if not result.frames then return end
    local ok, problem = pcall(work, result)
    if ok then return end
    warner(result)("L033", { line = 1, at = 1 }, { text = tostring(problem) })
    result.frames = nil
end

-- A tree is a hundred times its text: each is let go before the next is made, but for what findings need.
local function let_go(result)
    result.frames, result.tree = nil, nil
    result.lexed = result.lexed and { line_starts = result.lexed.line_starts }
end

local function read()
    local detectors = {}
    for _, file in ipairs(given.files) do
        file.is_test = file.path:find("_test%.lua$") ~= nil
        if file.text:find("event", 1, true) then try(prepare, analyse(file)) end -- what it declares is known to all then
    end
    for i, file in ipairs(given.files) do
        local result = analyse(file)
        results[i] = result
        try(prepare, result)
        if not file.beside then try(judge, result) end
        detectors[i] = is_detector(result)
        let_go(result)
    end
    return detectors
end

local function report(files)
    local asked = {} -- those that nobody named have no part in the report
    for i, file in ipairs(files) do
        if not file.beside then
            if file.why then add_failure(results[i], file.why) end
            file.findings = findings_of(results[i])
            asked[#asked + 1] = file
        end
    end
    local json = assert(load(given.embedded("tool_json.lua"), "=tool_json.lua", "t"))()
    local text, warnings, errors = part("print", json) { files = asked, quiet = given.quiet, json = given.json }
    return text, warnings + errors
end

return { read = read, report = report }
