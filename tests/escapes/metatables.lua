-- Metatables as levers: on what is shared with the trusted code, or run by it.

-- attempt: methods of strings, changed through a string
-- expect: raises attempt to index
-- a string has methods, but no table of them that could be written to
local s = "x"
s.upper = function() return "mine" end

-- attempt: methods of strings, changed through the library
-- expect: gives X
string.upper = function() return "mine" end
return (("x"):upper())

-- attempt: the metatable of strings
-- expect: raises a table is expected, got string
setmetatable("", { __index = {} })

-- attempt: finalizers
-- expect: gives
fails("gc", setmetatable, {}, { __gc = function() end })
local meta = {}
local t = setmetatable({}, meta)
meta.__gc = function() while true do end end
t = nil
for i = 1, 1e5 do local x = {} end

-- attempt: a finalizer that comes late, behind __index of the metatable
-- expect: gives
setmetatable({}, setmetatable({}, { __index = function(_, k) if k == "__gc" then gone[#gone + 1] = "called" end end }))

-- attempt: a metatable for views, records, sets and the module
-- expect: gives
local record = lunette.records("r", { max = 1, fields = { n = "u8" } }):make(1)
for name, value in pairs { view = e, record = record, number = 1, text = "x", call = print, nothing = false } do
    fails(name, setmetatable, value, {})
end
fails("set", setmetatable, lunette.set.strings { "x" }, {})

-- attempt: globals that the trusted code would look up
-- expect: gives 1
setmetatable(_G, { __index = function(_, name) return function() return name end end, __newindex = function() end })
lunette.alert { title = undefined_name("x") and "seen" }
return select("#", 1)

-- attempt: libraries replaced under the trusted code
-- expect: gives
local find, insert = string.find, table.insert
for _, library in pairs { string, table, math, bit } do
    for name in pairs(library) do library[name] = function() insert(gone, name) return "" end end
end
for _, name in ipairs { "pairs", "next", "tostring", "type", "error", "select", "pcall" } do _G[name] = function() insert(gone, name) end end
lunette.alert { title = "x", evidence = { a = e.rrname, b = { 1, 2 } } }
local s = lunette.state("s", { max = 3 })
s:set("k", 1)
lunette.registrable("www.example.org")
lunette.after(5, function() end)

-- attempt: __tostring of an error object, run by the engine
-- expect: failing error object is a table
-- where: handler
error(setmetatable({}, { __tostring = function() while true do end end }))

-- attempt: __tostring of an error object that raises one of its kind
-- expect: failing error object is a table
-- where: handler
local meta = {} meta.__tostring = function() error(setmetatable({}, meta)) end error(setmetatable({}, meta))

-- attempt: __index of what is handed to lunette.alert
-- expect: gives
local t = setmetatable({}, { __index = function(_, name) if name == "severity" then return "low" end end })
t.title = "x"
fails("odd evidence", lunette.alert, { title = "x", evidence = setmetatable({}, { __index = function() return 1 end, __len = function() return 1e9 end }) }) gone[1] = nil

-- attempt: __index of what is handed to declarations, which answers something else each time
-- expect: gives
local asked = 0
local shifty = setmetatable({}, { __index = function(_, k) asked = asked + 1 return asked % 2 == 0 and {} or 5 end })
for name, f in pairs { state = lunette.state, records = lunette.records, detector = lunette.detector, tunables = lunette.tunables } do
    pcall(f, shifty) pcall(f, "n" .. name, shifty)
end

-- attempt: __lt and __le for a number that is compared
-- expect: gives
local odd = setmetatable({}, { __lt = function() return true end, __le = function() return true end, __add = function() return 0 end })
fails("every", lunette.every, odd, function() end)
fails("after", lunette.after, odd, function() end)
fails("max", lunette.state, "s", { max = odd })
fails("ttl", lunette.state, "s2", { max = 1, ttl = odd })
fails("score", lunette.alert, { title = "x", score = odd })

-- attempt: __call for a handler
-- expect: gives
local callable = setmetatable({}, { __call = function() end })
fails("every", lunette.every, 1, callable)
fails("after", lunette.after, 1, callable)

-- attempt: __metatable to hide, __mode to lose
-- expect: gives
local weak = setmetatable({}, { __mode = "kv", __metatable = "x" })
for i = 1, 1e5 do weak[{}] = {} end
fails("changed", setmetatable, weak, {})

-- attempt: __eq, __concat and __unm called over and over through C
-- expect: raises
local m = {} m.__concat = function(a, b) return a .. b end
local a = setmetatable({}, m)
return a .. a

-- attempt: pairs over a table whose keys change on the way
-- expect: gives
local t = {}
for i = 1, 1000 do t[i] = i end
pcall(function() for k in pairs(t) do t[k] = nil t["x" .. k] = 1 end end)
fails("next of a key that is not there", next, t, "never there")
