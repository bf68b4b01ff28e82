-- Lua's words: the text of a script cut into tokens, as LuaJIT cuts it (5.1 with goto, 0x1p4, 10LL, "\x41", "\z").
--
-- A token is { kind, value, line, at, last }: `kind` is "name", "number", "string", "end of file", or the keyword or sign
-- itself; `at` and `last` are the places of its first and last byte. Comments are kept apart, since options for this tool
-- stand in them. A text that is no Lua raises a table { line, at, text }.
local KEYWORDS = {}
for word in ([[and break do else elseif end false for function if in local nil not or repeat return then true until
    while]]):gmatch("%a+") do KEYWORDS[word] = true end

-- Signs by their first byte, the longest first.
local SIGNS = {}
for sign in ("... .. . == = ~= <= < >= > :: : + - * / % ^ # ( ) { } [ ] ; ,"):gmatch("%S+") do
    local first = sign:sub(1, 1)
    SIGNS[first] = SIGNS[first] or {}
    table.insert(SIGNS[first], sign)
end

local ESCAPES = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\", ['"'] = '"', ["'"] = "'" }

local function lex(text)
    local tokens, comments = {}, {}
    local line_starts = { 1 } -- by line: the place of its first byte
    local inside = {}         -- by line: "string" or "comment" if its end lies in one
    local at, line = 1, 1

    local function wrong(place, message) error({ line = line, at = place, text = message }, 0) end

    -- Past one line's end, which may be two bytes.
    local function new_line(place)
        local first, second = text:byte(place, place + 1)
        place = place + 1
        if (first == 13 and second == 10) or (first == 10 and second == 13) then place = place + 1 end
        line = line + 1
        line_starts[line] = place
        return place
    end

    -- The lines between two places are in a long string or comment.
    local function pass_lines(from, to, what)
        local place = from
        while true do
            place = text:find("[\r\n]", place)
            if not place or place > to then return end
            inside[line] = what
            place = new_line(place)
        end
    end

    -- [==[ … ]==] from `at`; the content, or nil if there is no opening here.
    local function long_bracket(what)
        local level = text:match("^%[(=*)%[", at)
        if not level then return nil end
        local begin = at + #level + 2
        local close, last = text:find("]" .. level .. "]", begin, true)
        if not close then wrong(at, "unfinished long " .. what) end
        pass_lines(begin, close, what)
        local content = text:sub(begin, close - 1):gsub("^\r?\n", ""):gsub("\r\n?", "\n")
        at = last + 1
        return content
    end

    local function quoted(quote)
        local begin, parts = at, {}
        local stop = "[\r\n\\" .. quote .. "]"
        at = at + 1
        while true do
            local found = text:find(stop, at)
            if not found then wrong(begin, "unfinished string") end
            parts[#parts + 1] = text:sub(at, found - 1)
            local char = text:sub(found, found)
            at = found + 1
            if char == quote then return table.concat(parts) end
            if char ~= "\\" then wrong(begin, "unfinished string") end
            local escape = text:sub(at, at)
            local hex, digits = text:match("^x(%x%x)", at), text:match("^%d%d?%d?", at)
            if ESCAPES[escape] then
                parts[#parts + 1], at = ESCAPES[escape], at + 1
            elseif hex then
                parts[#parts + 1], at = string.char(tonumber(hex, 16)), at + 3
            elseif digits then
                if tonumber(digits) > 255 then wrong(found, "invalid escape sequence") end
                parts[#parts + 1], at = string.char(tonumber(digits)), at + #digits
            elseif escape == "z" then
                local rest = text:find("[^ \t\v\f\r\n]", at + 1) or #text + 1
                pass_lines(at + 1, rest - 1, "string")
                at = rest
            elseif escape == "\n" or escape == "\r" then
                parts[#parts + 1] = "\n"
                inside[line] = "string"
                at = new_line(at)
            elseif text:match("^u{%x+}", at) then
                parts[#parts + 1], at = "?", text:find("}", at, true) + 1
            else
                wrong(found, "invalid escape sequence")
            end
        end
    end

    local function number()
        local word = text:match("^0[xX][%x%.]*[pP][+-]?[%w_%.]*", at) or text:match("^0[xX][%w_%.]*", at) or
            text:match("^[%d%.]+[eE][+-]?[%w_%.]*", at) or text:match("^[%w_%.]+", at)
        local plain = word:gsub("[uU]?[lL][lL]$", ""):gsub("[iI]$", "")
        local value = tonumber(word) or tonumber(plain)
        if not value then wrong(at, "malformed number near '" .. word:sub(1, 40) .. "'") end
        at = at + #word
        return value
    end

    local function comment()
        local begin, on = at, line
        at = at + 2
        local content = long_bracket("comment")
        if not content then
            local stop = text:find("[\r\n]", at) or #text + 1
            content = text:sub(at, stop - 1)
            at = stop
            inside[line] = "comment"
        end
        comments[#comments + 1] = { line = on, at = begin, text = content }
    end

    local function token(kind, value, begin, on)
        tokens[#tokens + 1] = { kind = kind, value = value, at = begin, last = at - 1, line = on }
    end

    if text:sub(1, 1) == "#" then at = text:find("[\r\n]", 1) or #text + 1 end
    while true do
        at = text:find("[^ \t\v\f]", at) or #text + 1
        if at > #text then break end
        local begin, on = at, line
        local char = text:sub(at, at)
        if char == "\n" or char == "\r" then
            at = new_line(at)
        elseif text:find("^%-%-", at) then
            comment()
        elseif char:find("[%a_\128-\255]") then
            local word = text:match("^[%w_\128-\255]+", at)
            at = at + #word
            token(KEYWORDS[word] and word or "name", word, begin, on)
        elseif text:find("^%.?%d", at) then
            token("number", number(), begin, on)
        elseif char == '"' or char == "'" then
            token("string", quoted(char), begin, on)
        elseif text:find("^%[=*%[", at) then
            token("string", long_bracket("string"), begin, on)
        else
            local found
            for _, sign in ipairs(SIGNS[char] or {}) do
                if text:sub(at, at + #sign - 1) == sign then
                    found = sign
                    break
                end
            end
            if not found then wrong(at, ("unexpected symbol near '%s'"):format(char:gsub("%c", "?"))) end
            at = at + #found
            token(found, found, begin, on)
        end
    end
    token("end of file", "", at, line)
    return { tokens = tokens, comments = comments, line_starts = line_starts, inside = inside }
end

return lex
