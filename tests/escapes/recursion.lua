-- Recursion: it ends at Lua's own limits, before the C stack does.

-- attempt: a function that calls itself
-- expect: raises stack overflow
local function f() return 1 + f() end
return f()

-- attempt: a handler that raises for ever
-- expect: failing stack overflow
-- where: handler
local function f() return 1 + f() end f()

-- attempt: pcall within pcall, until the stack is full
-- expect: gives
local depth = 0
local function f() depth = depth + 1 return pcall(f) end
f()
if depth < 1000 then gone[1] = "shallow" end

-- attempt: pcall of pcall, twice each time
-- expect: stopped
local function f() pcall(f) pcall(f) end
f()

-- attempt: xpcall whose handler is itself
-- expect: gives
local function f(m) return xpcall(f, f) end
f()

-- attempt: an error in the handler of an error in the handler
-- expect: gives
local function h(m) error(m) end
xpcall(error, h, "x")

-- attempt: __index that leads to itself with a longer key each time
-- expect: memory
local t = {}
setmetatable(t, { __index = function(s, k) return s[k .. "x"] end })
return t.x

-- attempt: __index that leads to itself
-- expect: raises stack overflow
local t = {}
setmetatable(t, { __index = function(s, k) return s[k] end })
return t.x

-- attempt: __index by a long chain of tables
-- expect: raises
local t = {}
for i = 1, 1e5 do t = setmetatable({}, { __index = t }) end
return t.x.y

-- attempt: __index by a chain that is a ring
-- expect: raises loop
local a, b = {}, {}
setmetatable(a, { __index = b }) setmetatable(b, { __index = a })
return a.x

-- attempt: __newindex by a ring
-- expect: raises loop
local a, b = {}, {}
setmetatable(a, { __newindex = b }) setmetatable(b, { __newindex = a })
a.x = 1

-- attempt: __lt that compares
-- expect: raises
local m = {}
m.__lt = function(a, b) return b < a end
local a = setmetatable({}, m)
return a < a

-- attempt: __tostring that formats itself twice
-- expect: stopped
local m = {}
m.__tostring = function(s) return string.format("%s %s", s, s) end
pcall(tostring, setmetatable({}, m))
while true do end

-- attempt: table.sort within its own comparison
-- expect: raises
local f
f = function(a, b) table.sort({ 3, 1, 2 }, f) return a < b end
return f(1, 2)

-- attempt: tostring of tostring
-- expect: raises
local m = {}
m.__tostring = function(s) return tostring(s) .. "" end
return tostring(setmetatable({}, m))

-- attempt: timers set by timers, a thousand deep
-- expect: gives
local depth = 0
local function again() depth = depth + 1 if depth < 1000 then lunette.after(0, again) end end
again()

-- attempt: alerts raised while an alert is made
-- expect: gives
local deep = 0
local m = { __tostring = function(s) deep = deep + 1 if deep < 50 then lunette.alert { title = "x", key = s, cooldown = 1 } end return "x" end }
lunette.alert { title = "x", key = setmetatable({}, m), cooldown = 1 }

-- attempt: a handler that hands itself on as an argument without end
-- expect: raises
local function f(...) return f(f, ...) end
return f()
