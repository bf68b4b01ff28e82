-- What the API's own annotations say: which keys the tables have that its functions take.
--
-- The annotations (LuaLS: ---@param, ---@class, ---@field) stand in the API's Lua sources, where the editor's stubs come
-- from as well; so there is one list, and it cannot be older than the stubs.

-- The pieces of a list, commas inside brackets left alone.
local function split(text)
    local pieces, depth, from = {}, 0, 1
    for at = 1, #text do
        local char = text:sub(at, at)
        if char:find("[{(<%[]") then depth = depth + 1 end
        if char:find("[})>%]]") then depth = depth - 1 end
        if char == "," and depth == 0 then
            pieces[#pieces + 1] = text:sub(from, at - 1)
            from = at + 1
        end
    end
    pieces[#pieces + 1] = text:sub(from)
    return pieces
end

-- { max: integer, ttl?: number } → { max = "integer", ttl = "number" }; nil if it is no such table, or one with any keys.
local function keys_of(text)
    local inner = text:match("^%s*(%b{})")
    if not inner then return nil end
    local keys, count = {}, 0
    for _, piece in ipairs(split(inner:sub(2, -2))) do
        local key, type_text = piece:match("^%s*([%a_][%w_]*)%??%s*:%s*(.-)%s*$")
        if not key and piece:find("%S") then return nil end
        if key then keys[key], count = type_text, count + 1 end
    end
    return count > 0 and keys or nil
end

-- Reads one source; `docs` has classes = name → keys, calls = "lunette.state" → number of the argument → keys or a class's name.
-- The arguments stand in their order above `function lunette.state(…)` or `lunette.state = …`.
local function read(docs, text)
    local class, params = nil, {}
    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
        local is_class = line:match("^%s*%-%-%-@class%s+([%w_%.]+)")
        local field, field_type = line:match("^%s*%-%-%-@field%s+([%a_][%w_]*)%??%s+(.+)")
        local param_type = line:match("^%s*%-%-%-@param%s+[%a_][%w_]*%??%s+(.+)")
        local path = line:match("^%s*function%s+([%w_%.]+)%(") or line:match("^%s*([%a_][%w_]*%.[%w_%.]+)%s*=")
        if is_class then
            class = docs.classes[is_class] or {}
            docs.classes[is_class] = class
        elseif field and class then
            class[field] = field_type
        elseif param_type then
            params[#params + 1] = keys_of(param_type) or param_type:match("^[%w_%.]+") or ""
        elseif path and #params > 0 then
            docs.calls[path] = docs.calls[path] or params
        end
        if not line:find("^%s*%-%-%-") then class, params = nil, {} end
    end
end

return function(sources)
    local docs = { classes = {}, calls = {} }
    for _, text in ipairs(sources) do read(docs, text) end
    for _, arguments in pairs(docs.calls) do
        for number, what in pairs(arguments) do
            if type(what) == "string" then
                local class = docs.classes[what]
                arguments[number] = class and next(class) and class or nil
            end
        end
    end
    return docs.calls
end
