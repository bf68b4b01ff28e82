-- The API as annotations for lua-language-server, made from the event schema and from the comments with three dashes in the
-- API's own sources. engine/cli/stubs.c runs this with
--
--   source(name)   the text of an embedded file, nil if there is none
--   events         a list, `head` first, of { name =, doc =, fields = { { name =, lua =, filter =, doc = }, … } }
--
-- and gets a table: the module's name ("lunette", "lunette.names", …) → text. Nobody runs what is in there.
--
-- Of a source is taken: a run of lines that begin with --- and what stands below it. A function is written with an empty body;
-- `name.field = …` becomes a function of the parameters that the comment names, or an empty table or value if the comment has a
-- @class or @type; an empty line means that the comment stands for itself (an alias, a class of objects that have no source
-- here). What has no such comment is not in the stubs.
local source, events = ...

local MODULES = { "names", "address", "series", "sketch", "beat", "test" } -- beside lunette itself

local function parameters(doc)
    local names = {}
    for _, line in ipairs(doc) do
        local name = line:match("^%-%-%-@param%s+([%w_%.]+)")
        if name then names[#names + 1] = name end
    end
    return table.concat(names, ", ")
end

local function says(doc, word)
    for _, line in ipairs(doc) do
        if line:find("^%-%-%-@" .. word) then return true end
    end
    return false
end

-- What stands for the line below a comment; nil if it is none of those.
local function declaration(line, doc)
    local name, arguments = line:match("^%s*function%s+([%w_%.:]+)%s*(%b())")
    if name then return ("function %s%s end"):format(name, arguments) end
    name = line:match("^%s*local%s+([%w_]+)%s*=%s*{}")
    if name then return ("local %s = {}"):format(name) end
    name = line:match("^%s*([%w_]+%.[%w_%.]+)%s*=")
    if not name then return nil end
    if not (says(doc, "class") or says(doc, "type")) then return ("function %s(%s) end"):format(name, parameters(doc)) end
    return ("%s = {}"):format(name)
end

local function put(out, doc, last)
    for _, line in ipairs(doc) do out[#out + 1] = line end
    out[#out + 1] = last
    out[#out + 1] = ""
end

-- The events of which a handler is told, for lunette.on: so that its `e` is known to be an event of that kind.
local function overloads(doc)
    for i = 2, #events do
        local name = events[i].name
        doc[#doc + 1] = ('---@overload fun(kind: "%s", handler: fun(e: lunette.Event.%s))'):format(name, name)
        doc[#doc + 1] = ('---@overload fun(kind: "%s", filter: lunette.Filter.%s, handler: fun(e: lunette.Event.%s))'):format(name, name, name)
    end
end

local function extract(text, out)
    local doc, result = {}, nil
    for line in (text .. "\n"):gmatch("(.-)\n") do
        local comment = line:match("^%s*(%-%-%-.*)$")
        if comment and not comment:find("^%-%-%-%-") then
            doc[#doc + 1] = comment
        else
            if #doc > 0 then
                local last = declaration(line, doc)
                if last and last:find("^function lunette%.on%(") then overloads(doc) end
                if last or not line:find("%S") then put(out, doc, last) end
                doc = {}
            elseif line:find("^lunette%.[%w_]+ = {}") then
                out[#out + 1] = line
            end
            result = line:match("^return ([%w_]+)%s*$") or result
        end
    end
    out[#out + 1] = "return " .. (result or "{}")
    return table.concat(out, "\n") .. "\n"
end

local function event_classes(out)
    local kinds = {}
    for i = 2, #events do kinds[#kinds + 1] = '"' .. events[i].name .. '"' end
    out[#out + 1] = "---@alias lunette.EventKind " .. table.concat(kinds, "|") .. "|string"
    out[#out + 1] = ""
    for i, event in ipairs(events) do
        local own = i == 1 and "" or "." .. event.name
        out[#out + 1] = "---" .. event.doc
        out[#out + 1] = "---@class lunette.Event" .. own .. (i == 1 and "" or " : lunette.Event")
        for _, field in ipairs(event.fields) do out[#out + 1] = ("---@field %s %s %s"):format(field.name, field.lua, field.doc) end
        out[#out + 1] = ""
        out[#out + 1] = "---@class lunette.Filter" .. own .. (i == 1 and "" or " : lunette.Filter")
        for _, field in ipairs(event.fields) do
            local asks = event.name == "packet" and field.name == "payload" and "|true" or ""
            if field.filter then out[#out + 1] = ("---@field %s? %s%s"):format(field.name, field.filter, asks) end
        end
        if event.name == "packet" then out[#out + 1] = "---@field bpf? string A pcap-filter(7) expression" end
        out[#out + 1] = ""
    end
end

local head = { "---@meta", "-- Made by `lunette events --stubs`: edit the event schema or the API's own comments instead.", "" }
local modules = {}
local out = { unpack(head) }
event_classes(out)
modules.lunette = extract(source("lunette.lua"), out)
for _, name in ipairs(MODULES) do
    local text = source(name .. ".lua")
    if text then modules["lunette." .. name] = extract(text, { unpack(head) }) end
end
return modules
