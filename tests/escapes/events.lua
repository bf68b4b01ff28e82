-- Events of scripts' own: what one detector hands to another.

-- attempt: declaring events in a handler
-- expect: raises when the script is loaded
lunette.event("x", { a = "str" })

-- attempt: names of events and fields that are none
-- expect: left out all were refused
-- where: file
local lunette = require "lunette"
for _, name in ipairs { "", "a.b", "a b", "1a", "a\0", "a; } x; struct y {", ("x"):rep(40), "é", 5, {}, true } do
    if pcall(lunette.event, name, { a = "str" }) then return end
    if pcall(lunette.event, "x", { [name] = "str" }) then return end
end
for _, kind in ipairs { "u8; int x", "u8[4]", "void*", "bytes", "struct lunette_feed", "", {}, 5 } do
    if pcall(lunette.event, "x", { a = kind }) then return end
end
for _, name in ipairs { "client_ip", "flow_id", "time" } do if pcall(lunette.event, "x", { [name] = "str" }) then return end end
local wide = {}
for i = 1, 100 do wide["f" .. i] = "str" end
if pcall(lunette.event, "x", wide) or pcall(lunette.event, "x", 5) or pcall(lunette.event, "x", { a = "str" }, {}) then return end
error("all were refused")

-- attempt: emitting what does not fit
-- expect: gives
-- where: file
local lunette = require "lunette"
lunette.event("x", { s = "str", b = "bool", i = "ip", n = "u8", w = "u64", f = "f64", t = "time", l = "list" })
local gone, done = {}, false
local function fails(name, ...) if pcall(lunette.emit, ...) then gone[#gone + 1] = name end end
lunette.on("dns", function(e)
    if done then return end
    done = true
    for _, name in ipairs { "y", "attempt.x", "good.x", "", 5, {}, true, 0/0, e } do fails("name", name, {}) end
    for _, field in ipairs { "s", "b", "i", "n", "w", "f", "t", "l" } do
        for _, value in ipairs { {{}}, e, print, 1LL, { 1, {} } } do fails(field, "x", { [field] = value }) end
    end
    for _, ip in ipairs { "", "x", "1.2.3", "1.2.3.4\0", ("1"):rep(1000), "::g" } do fails("ip " .. ip, "x", { i = ip }) end
    for _, field in ipairs { "n", "w", "t" } do fails("nan", "x", { [field] = 0/0 }) end
    fails("field", "x", { nothing = 1 })
    fails("number", "x", { [1] = 1 })
    fails("many", "x", { s = "x", b = true, i = "::", n = 1, w = 1, f = 1, t = 1, l = {}, [1] = 1 })
    for _, value in ipairs { 5, "x", true, e, print } do fails("fields", "x", value) end
    lunette.alert { title = "gives", why = table.concat(gone, " ") }
end)

-- attempt: values at their limits, read back by another
-- expect: gives 255 9007199254740992 0 inf 65536 1024
-- where: file
local lunette = require "lunette"
lunette.on("emits.x", function(e)
    lunette.alert { title = "gives", why = ("%d %.0f %d %s %d %d"):format(e.n, e.w, e.z, tostring(e.f), #e.s, #e.l) }
end)
-- file: emits.lua
local lunette = require "lunette"
lunette.event("x", { s = "str", n = "u8", w = "u64", z = "u32", f = "f64", l = "list", t = "time" })
local done
lunette.on("dns", function(e)
    if done then return end
    done = true
    local long = {}
    for i = 1, 5000 do long[i] = "x" end
    lunette.emit("x", { s = ("x"):rep(1e6), n = 1e300, w = math.huge, z = -5, f = math.huge, l = long, t = 1e300 })
end)

-- attempt: events as another's, and a flood of them
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.event("x", { s = "str" })
lunette.on("dns", function(e) while true do pcall(lunette.emit, "x", { s = ("x"):rep(1000) }) end end)
-- file: hears.lua
local lunette = require "lunette"
local n = 0
lunette.on("attempt.x", function(e) n = n + #e.s end)

-- attempt: a hearer that does not end, on behalf of who emits
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("emits.x", function(e) while e.s do end end)
-- file: emits.lua
local lunette = require "lunette"
lunette.event("x", { s = "str" })
lunette.on("dns", function(e) lunette.emit("x", { s = "x" }) end)

-- attempt: a view of another's event, kept until it is over
-- expect: gives
-- where: file
local lunette = require "lunette"
lunette.event("x", { s = "str", l = "list", n = "u32" })
lunette.on("dns", function(e) lunette.emit("x", { s = e.rrname, l = { "a", "b" }, n = 1 }) end)
lunette.on_end(function() lunette.alert { title = "gives" } end)
-- file: hears.lua
local lunette = require "lunette"
local kept = {}
lunette.on("attempt.x", function(e) kept[#kept + 1] = e end)
lunette.on("flow", function() for _, e in ipairs(kept) do pcall(function() return e.s, e.l, e.n, e.client_ip end) end end)
lunette.on_end(function() for _, e in ipairs(kept) do pcall(function() return e.s, e.l, e.n, e.iface end) end end)

-- attempt: a circle of scripts that hear each other
-- expect: left out closes a circle
-- where: file
local lunette = require "lunette"
lunette.event("x", { s = "str" })
lunette.on("other.y", function(e) lunette.emit("x", { s = e.s }) end)
-- file: other.lua
local lunette = require "lunette"
lunette.event("y", { s = "str" })
lunette.on("attempt.x", function(e) lunette.emit("y", { s = e.s }) end)

-- attempt: events of scripts that are not there, or paths to them
-- expect: left out all were refused
-- where: file
local lunette = require "lunette"
for _, name in ipairs { "nothing.x", "good.x", "../secret.x", "/tmp/x.y", ".x", "x.", ".", "..", "a.b.c", "good\0.x", ("x"):rep(1e5) .. ".y" } do
    if pcall(lunette.on, name, print) then return end
end
error("all were refused")

-- attempt: a list that says another length each time
-- expect: gives
-- where: file
local lunette = require "lunette"
lunette.event("x", { l = "list", s = "str" })
local done
lunette.on("dns", function(e)
    if done then return end
    done = true
    local n = 0
    local list = setmetatable({ "a" }, { __len = function() n = n + 1 return n % 2 == 0 and 500 or 1 end, __index = function() return "b" end })
    for i = 1, 10 do pcall(lunette.emit, "x", { l = list }) end
    pcall(lunette.emit, "x", setmetatable({}, { __index = function() return 5 end, __pairs = function() return next, { y = 1 } end }))
    lunette.alert { title = "gives" }
end)
