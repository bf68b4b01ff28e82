-- A Lua file's tree as JSON, by the parser of `lunette check`:  luajit dump_tree.lua WORKBENCH-FOLDER FILE
-- What the nodes are is told in engine/workbench/check_parser.lua; `finish` is left out.
local folder, path = arg[1], arg[2]
local lex, parse = dofile(folder .. "/check_lexer.lua"), dofile(folder .. "/check_parser.lua")

local function quoted(text)
    return '"' .. text:gsub('[%c"\\\128-\255]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function write(value, out)
    if type(value) == "table" then
        local is_list = value.tag == nil and (#value > 0 or next(value) == nil)
        out[#out + 1] = is_list and "[" or "{"
        local first = true
        for key, inner in pairs(value) do
            if key ~= "finish" and key ~= "chain" then
                if not first then out[#out + 1] = "," end
                first = false
                if not is_list then out[#out + 1] = quoted(tostring(key)) .. ":" end
                write(inner, out)
            end
        end
        out[#out + 1] = is_list and "]" or "}"
    else
        out[#out + 1] = type(value) == "string" and quoted(value) or tostring(value)
    end
end

local file = assert(io.open(path, "rb"))
local out = {}
write(parse(lex(file:read("*a"))), out)
io.write(table.concat(out))
