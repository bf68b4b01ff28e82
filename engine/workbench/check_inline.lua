-- Options in comments, in luacheck's form: "luacheck: ignore 212", "luacheck: globals x y", "luacheck: push" … "luacheck: pop".
--
-- On a line with code they hold for that line; on a line of their own to the end of the function around them, or of the
-- file. Understood: ignore, only, enable (of what is off by default), globals, read globals, new globals, no unused, no unused args, no global,
-- no redefined, no max line length, push, pop. luacheck's others are read and change nothing.
local GROUPS = { ["no unused"] = { "[23]" }, ["no unused args"] = { "21[23]" }, ["no global"] = { "1" }, ["no redefined"] = { "4" },
    ["no max line length"] = { "631" }, ["no unused secondaries"] = {}, ["no self"] = { "212/self" },
    ["no unused args and loops"] = { "21[23]" } }
local LISTS = { "ignore", "only", "enable", "globals", "read globals", "new globals", "new read globals", "not globals", "std",
    "compat", "module", "allow defined", "allow defined top", "unused", "unused args", "unused secondaries", "self", "global",
    "redefined", "no module", "no compat", "max line length", "max code line length", "max comment line length", "max string line length", "max cyclomatic complexity" }

local function words_of(text)
    local words = {}
    for word in text:gmatch("%S+") do words[#words + 1] = word end
    return words
end

-- { name, words } of "read_globals a b".
local function option_of(part)
    local plain = table.concat(words_of(part), " ")
    local spaced = plain:gsub("_", " ")
    if GROUPS[spaced] then return { name = "ignore", words = GROUPS[spaced] } end
    local best
    for _, name in ipairs(LISTS) do
        if spaced == name or spaced:sub(1, #name + 1) == name .. " " then
            if not best or #name > #best then best = name end
        end
    end
    if not best then return nil end
    return { name = best, words = words_of(plain:sub(#best + 1)) }
end

local function parse(text)
    local body = text:match("^%s*luacheck:%s*(.-)%s*$")
    if not body then return nil end
    body = body:gsub("%b()", " ")
    local push = body:match("^push%s+(.*)")
    if body:match("^%s*push%s*$") then return {}, true end
    if body:match("^%s*pop%s*$") then return {}, false, true end
    local options = {}
    for part in ((push or body) .. ","):gmatch("(.-),") do
        local option = option_of(part)
        if not option then return nil, nil, nil, ("unknown inline option '%s'"):format(table.concat(words_of(part), " ")) end
        options[#options + 1] = option
    end
    return options, push ~= nil
end

-- The pattern of a code "21.", of a name "foo.*", of both "212/self".
local function matches(pattern, code, name)
    local for_code, for_name = pattern:match("^([^/]*)/(.*)$")
    if not for_code then
        if pattern == "L" or pattern:find("^[WEL]?[%d%[%.]") then for_code = pattern else for_name = pattern end
    end
    local function fits(text, form)
        local ok, found = pcall(string.find, text, form)
        return ok and found ~= nil
    end
    if for_code and for_code ~= "" and not fits(code, "^" .. for_code:gsub("^[WE]", "")) then return false end
    if for_name and not (name and fits(name, "^" .. for_name:gsub("^%^", ""):gsub("%$$", "") .. "$")) then return false end
    return true
end

-- The spans of lines in which options hold: { from, to, name, words }.
local function read(lexed, frames, warn)
    local code_lines, spans, opened = {}, {}, {}
    for _, token in ipairs(lexed.tokens) do
        if token.kind ~= "end of file" then code_lines[token.line] = true end
    end
    local last_line = #lexed.line_starts
    -- The last line of the innermost function around a line, and a sign which that is.
    local function around(comment)
        local best
        for i = 2, #frames do
            local node = frames[i].node
            local inside = node.line <= comment.line and node.at < comment.at and node.finish.at > comment.at
            if inside and (not best or node.at > best.at) then best = node end
        end
        return best and best.finish.line or last_line, best or frames[1].node
    end
    for _, comment in ipairs(lexed.comments) do
        local options, push, pop, wrong = parse(comment.text)
        if wrong then warn("021", comment, { text = wrong }) end
        local to, owner = around(comment)
        if pop then
            local top = table.remove(opened)
            if not top or top.owner ~= owner then
                warn("023", comment, {})
            else
                for i = top.spans + 1, #spans do spans[i].to = math.min(spans[i].to, comment.line) end
            end
        elseif push then
            opened[#opened + 1] = { spans = #spans, owner = owner, comment = comment }
        end
        for _, option in ipairs(options or {}) do
            spans[#spans + 1] = { from = comment.line, to = code_lines[comment.line] and comment.line or to, name = option.name,
                words = option.words }
        end
    end
    for _, top in ipairs(opened) do warn("022", top.comment, {}) end
    return spans
end

local function any(words, code, name)
    for _, pattern in ipairs(words) do
        if matches(pattern, code, name) then return true end
    end
    return false
end

-- Is this finding to be told, as far as comments say? nil: they say nothing.
local function told(spans, line, code, name)
    local said
    for _, span in ipairs(spans) do
        if span.from <= line and line <= span.to then
            if span.name == "ignore" and (#span.words == 0 or any(span.words, code, name)) then said = false end
            if span.name == "only" and #span.words > 0 and not any(span.words, code, name) then said = false end
            if span.name == "enable" and any(span.words, code, name) then said = true end
            if span.name:find("globals") and span.name ~= "not globals" and code:find("^1") then
                for _, word in ipairs(span.words) do
                    if word == name or word:match("^[^.]+") == name then said = false end
                end
            end
        end
    end
    return said
end

return { read = read, told = told, matches = matches }
