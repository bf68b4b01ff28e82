-- What does not come to its end, in each shape: compiled, interpreted, in C, in timers, at the end.

-- attempt: while true do end
-- expect: stopped
while true do end

-- attempt: a loop that counts
-- expect: stopped
local n = 0 while true do n = n + 1 end

-- attempt: for with a limit that is not reached
-- expect: stopped
for i = 1, math.huge do end

-- attempt: for with a step of nothing
-- expect: stopped
for i = 1, 2, 0 do end

-- attempt: repeat until false, with reads of the event
-- expect: stopped
repeat local x = e.rrname until x == 5

-- attempt: goto
-- expect: stopped
::again:: goto again

-- attempt: pcall, which would hold an error up
-- expect: stopped
while true do pcall(error, "x") end

-- attempt: errors, one after the other
-- expect: stopped
while true do pcall(function() local x = nil + 1 end) end

-- attempt: xpcall with a handler that does not end
-- expect: stopped
xpcall(error, function() while true do end end)

-- attempt: tail calls
-- expect: stopped
local function f() return f() end f()

-- attempt: pairs over a table that is filled on the way
-- expect: stopped
local t = { 1 } while true do for k in pairs(t) do t[k] = k end end

-- attempt: next, which begins anew
-- expect: stopped
local t, k = { 1, 2, 3 }, nil while true do k = next(t, k) end

-- attempt: an iterator without an end
-- expect: stopped
for x in function() return 1 end do end

-- attempt: string.find with a pattern that tries all
-- expect: stopped
string.find(("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40) .. "b")

-- attempt: string.find in a loop, short each time
-- expect: stopped
while true do string.find("abc", "b") end

-- attempt: gsub with a function
-- expect: stopped
while true do ("abc"):gsub(".", function(c) return c end) end

-- attempt: gsub over a long text
-- expect: stopped
string.gsub(("a"):rep(100000), "(.-)(.-)(.-)b", "")

-- attempt: gmatch
-- expect: stopped
while true do for w in ("a b c"):gmatch("%a") do end end

-- attempt: string.rep and string.format, which are in libc for most of the time
-- expect: stopped
while true do local s = string.format("%s", ("x"):rep(1e6)) end

-- attempt: table.concat
-- expect: stopped
local t = {} for i = 1, 1e4 do t[i] = "x" end while true do table.concat(t) end

-- attempt: table.sort of a long list, again and again
-- expect: stopped
local t = {} while true do for i = 1, 1e4 do t[i] = -i end table.sort(t) end

-- attempt: metamethods
-- expect: stopped
local t = setmetatable({}, { __index = function(_, k) return k end }) while true do local x = t.a end

-- attempt: lunette.registrable, which is in the engine for most of the time
-- expect: stopped
while true do lunette.registrable("www.bbc.co.uk") end

-- attempt: a set's look-ups
-- expect: stopped
local set = lunette.set.domains { "example.org" } while true do set:has(e, "rrname") end

-- attempt: log lines
-- expect: stopped
while true do lunette.log("x") end

-- attempt: alerts that cool down
-- expect: stopped
while true do lunette.alert { title = "x", key = 1, cooldown = 1 } end

-- attempt: data files
-- expect: stopped
while true do lunette.lines("list.txt") end

-- attempt: modules that are not there
-- expect: stopped
while true do pcall(require, "nothing") end

-- attempt: os.time and os.date
-- expect: stopped
while true do os.date("*t", os.time()) end

-- attempt: a handler of each event, each a little too long
-- expect: stopped
-- where: handler
local n = 0 for i = 1, 1e9 do n = n + i % 7 end

-- attempt: a timer that does not end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function() end)
lunette.after(0, function() while true do end end)

-- attempt: a timer that sets itself for the same instant
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function() end)
local function again() lunette.after(0, again) end
again()

-- attempt: on_end that does not end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function() end)
lunette.on_end(function() while true do end end)

-- attempt: on_end in a pattern
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function() end)
lunette.on_end(function() string.find(("a"):rep(300000), ".-.-.-b") end)
