-- Doors of the language that lead out of the sandbox: none may be there.

-- attempt: files, programs, compiled code: globals that must not be there
-- expect: gives
for _, name in ipairs { "io", "package", "debug", "jit", "ffi", "coroutine", "load", "loadstring", "loadfile", "dofile", "module",
    "getfenv", "setfenv", "getmetatable", "rawget", "rawset", "rawequal", "rawlen", "newproxy", "collectgarbage", "gcinfo", "arg",
    "host", "given", "inside", "feed", "api", "calls", "environment", "trusted" } do
    if _G[name] ~= nil then gone[#gone + 1] = name end
end

-- attempt: functions of os beyond the clock
-- expect: gives
for name in pairs(os) do
    if name ~= "clock" and name ~= "date" and name ~= "difftime" and name ~= "time" then gone[#gone + 1] = name end
end

-- attempt: string.dump
-- expect: gives nil nil
return tostring(string.dump) .. " " .. tostring(("").dump)

-- attempt: table.new, table.clear and what else LuaJIT has beside Lua
-- expect: gives
for _, name in ipairs { "new", "clear", "foreach", "foreachi", "getn", "move", "pack", "unpack" } do
    if table[name] then gone[#gone + 1] = name end
end

-- attempt: require of LuaJIT's modules
-- expect: gives
for _, name in ipairs { "ffi", "jit", "jit.opt", "jit.util", "jit.profile", "string.buffer", "table.new", "table.clear", "bit", "io", "os",
    "debug", "package", "coroutine", "_G", "lpeg", "socket" } do
    fails(name, require, name)
end

-- attempt: require of the engine's own files
-- expect: gives
for _, name in ipairs { "boot", "dispatch", "views", "records", "store", "sets", "alerts", "timers", "nearest", "trace", "stubs", "lunette",
    "helpers", "console", "state", "streams", "stream", "custom", "gather" } do
    fails(name, require, "lunette." .. name)
end

-- attempt: the environment by its own name
-- expect: gives true nil
return tostring(_G._G == _G) .. " " .. tostring(_G._G.io)

-- attempt: an error whose level points into the engine's code
-- expect: raises x
error("x", 40)

-- attempt: an error handler that looks for the caller's things
-- expect: gives
xpcall(function() error("x") end, function(...) for i = 1, select("#", ...) do if type((select(i, ...))) ~= "string" then gone[#gone + 1] = "thing" end end end)

-- attempt: the traceback of a failure, handed to the script's own handler
-- expect: gives
xpcall(function() lunette.state("x") end, function(m) if m:find("boot.lua") or m:find("store.lua") then gone[#gone + 1] = m end end)

-- attempt: addresses of cdata by tostring
-- expect: gives
local names = {}
for _, value in ipairs { tostring(e), tostring(lunette.records("r" , { max = 1, fields = { n = "u8" } }):make(1)) } do
    if value:find("0x") then gone[#gone + 1] = value end
end

-- attempt: 64 bit integers as a way to the foreign function interface
-- expect: gives
local n = 1LL
fails("index", function() return n[0] end)
fails("call", function() return n() end)
fails("write", function() n[0] = 1 end)
fails("concat", function() return n .. "x" end)
fails("length", function() return #n end)
fails("type", function() return n.__index end)

-- attempt: complex numbers as a way to memory: the index counts modulo two
-- expect: gives 0 1 0
local c = 1i
fails("write", function() c.re = 5 end)
fails("index", function() c[1] = 5 end)
return table.concat(gone) .. ("%g %g %g"):format(c[0], c[1], c[1000])

-- attempt: the clock's format as a way to a crash
-- expect: gives
for _, format in ipairs { ("%c"):rep(1000), "%", "%E", "%Ez", "*t", "!*t", ("x"):rep(1e6), "\0%c", "%500d" } do pcall(os.date, format) end
for _, time in ipairs { 1e300, -1e300, 0/0, 2 ^ 63 } do pcall(os.date, "%c", time) end
for _, part in ipairs { 1e300, -2 ^ 31, 0/0 } do pcall(os.time, { year = part, month = part, day = part }) end
pcall(os.setlocale, "C")

-- attempt: bytes beyond ASCII and NUL as names of globals and modules
-- expect: gives
for _, name in ipairs { "", "\0", "\0io", "i\0o", "io\0", "ffi\0", "\255", ("x"):rep(1e5) } do
    fails(name, require, name)
    fails(name, require, "lunette." .. name)
    if _G[name] then gone[#gone + 1] = name end
end

-- attempt: a body that is compiled code
-- expect: left out
-- where: file
LJ

-- attempt: a body that never ends
-- expect: left out does not come to its end while it is loaded
-- where: file
while true do end

-- attempt: a body that never ends in a pattern
-- expect: left out does not come to its end while it is loaded
-- where: file
string.find(("a"):rep(300000), ".-.-.-b")

-- attempt: a body that eats memory
-- expect: left out not enough memory
-- where: file
local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end

-- attempt: a body of more nested brackets than the compiler takes
-- expect: left out
-- where: file
local x = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1
