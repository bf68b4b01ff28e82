-- Events, slices, records, state and sets, handled as something else than they are.

-- attempt: what is no field of an event
-- expect: gives
-- (`view` is there: the number that an event is; it says nothing that could not be counted)
for _, name in ipairs { "_view", "slot", "__index", "__gc", "__metatable", "nothing", "", "\0find", "\0", 1, 0/0, true } do
    fails(tostring(name), function() return e[name] end)
end
fails("nil", function() return e[nil] end)
fails("table", function() return e[{}] end)
fails("event", function() return e[e] end)

-- attempt: writing to an event
-- expect: gives
for _, name in ipairs { "view", "rrname", "client_ip", "new" } do fails(name, function() e[name] = 1 end) end

-- attempt: an event as a number, a text, a function, a table
-- expect: gives
fails("add", function() return e + 1 end)
fails("add", function() return e + e end)
fails("subtract", function() return e - e end)
fails("less", function() return e < e end)
fails("concat", function() return e .. "" end)
fails("length", function() return #e end)
fails("call", function() return e() end)
fails("negate", function() return -e end)
fails("pairs", function() for k in pairs(e) do end end)
fails("next", next, e)
fails("unpack", unpack, e)
fails("number", string.format, "%d", e)
fails("rep", string.rep, "x", e)
if tonumber(e) then gone[#gone + 1] = "tonumber" end

-- attempt: a forged event
-- expect: gives
local set = lunette.set.domains { "example.org" }
for _, fake in ipairs { { view = 0 }, { view = 2 ^ 32 }, 1, true, setmetatable({ view = 0 }, { __index = function() return 0 end }) } do
    fails("set", set.has, set, fake, "rrname")
end

-- attempt: an event that was kept
-- expect: gives nil raised
-- where: inside
local kept = e
lunette.after(3600 * 24, function() end)
_G.kept = kept
return "nil " .. (pcall(function() return kept.rrname end) and "raised" or "")

-- attempt: an event that was kept beyond its batch
-- expect: failing this event is over
-- where: file
local lunette = require "lunette"
local kept
lunette.on("flow", function(e) kept = kept or e end)
lunette.on_end(function() for i = 1, 1 do local x = kept.client_ip end end)
for i = 1, 19 do lunette.on_end(function() local x = kept.client_ip end) end

-- attempt: the methods of a record, called with something else
-- expect: gives
local r = lunette.records("r", { max = 2, fields = { h = "u8[4]", n = "u8" } }):make("k")
for _, fake in ipairs { {}, "x", 1, e, setmetatable({ _slot = 0, _turn = 0 }, {}), { _slot = 2 ^ 31, _turn = 0 } } do
    fails("at", r.at, fake, "h", 0)
    fails("put", r.put, fake, "h", 0, 1)
end

-- attempt: elements of a record at places that are none
-- expect: gives
local r = lunette.records("r", { max = 2, fields = { h = "u8[4]", n = "u8" } }):make("k")
for _, i in ipairs { -1, 4, 2 ^ 31, 2 ^ 32, 2 ^ 53, -2 ^ 53, 0/0, math.huge, -math.huge, "0", {}, 0LL, e } do
    fails("at " .. tostring(i), r.at, r, "h", i)
    fails("put " .. tostring(i), r.put, r, "h", i, 1)
end
fails("nil", r.at, r, "h")
for _, name in ipairs { "n", "x", "_slot", "turn", "", 1, {} } do fails("field", r.at, r, name, 0) end

-- attempt: values of a record that are none
-- expect: gives
local r = lunette.records("r", { max = 2, fields = { h = "u8[4]", n = "u8" } }):make("k")
for _, value in ipairs { {}, "5", true, e, r, print } do
    fails("put", r.put, r, "h", 0, value)
    fails("write", function() r.n = value end)
end
fails("nil", function() r.n = nil end)
for _, value in ipairs { 0/0, math.huge, -math.huge, 2 ^ 53, -1 } do
    r.n = value
    if not (r.n >= 0 and r.n <= 255) then gone[#gone + 1] = "value " .. value end
end

-- attempt: a record that was given away
-- expect: gives
local records = lunette.records("r", { max = 1, fields = { n = "u8" } })
local one = records:make("one")
records:make("two").n = 7
fails("read", function() return one.n end)
fails("write", function() one.n = 1 end)
records:delete("two")
for i = 1, 1000 do records:make(i) end
fails("read", function() return one.n end)

-- attempt: names of record fields that are C
-- expect: gives
for _, name in ipairs { "a; } x; struct y {", "", "1a", "a b", "a\0", "a/*", "a#", "at", "put", "_slot", ("x"):rep(200), "é" } do
    fails(name, lunette.records, "r", { max = 1, fields = { [name] = "u8" } })
end
for _, kind in ipairs { "u8; int x", "u8[0]", "u8[-1]", "u8[1e9]", "u8[65537]", "char", "void*", "u8[2][2]", "", {}, 5, "struct lunette_feed" } do
    fails(tostring(kind), lunette.records, "r", { max = 1, fields = { a = kind } })
end

-- attempt: bounds of state that are none
-- expect: gives
for _, max in ipairs { 0, -1, 0/0, math.huge, 1e9, 1.5, "5", {}, 5LL } do
    fails("state " .. tostring(max), lunette.state, "s", { max = max })
    fails("records " .. tostring(max), lunette.records, "r", { max = max, fields = { n = "u8" } })
end
for _, ttl in ipairs { 0, -1, 0/0, "5", {} } do fails("ttl", lunette.state, "s", { max = 1, ttl = ttl }) end
for _, name in ipairs { "", 5, {}, true, ("x"):rep(300) } do fails("name", lunette.state, name, { max = 1 }) end

-- attempt: keys of state that are none
-- expect: gives
local s = lunette.state("s", { max = 4 })
for _, key in ipairs { 0/0, {}, true, e, print, 1LL } do fails("key", s.set, s, key, 1) end
fails("nil", s.set, s, nil, 1)

-- attempt: the engine's own state by its name
-- expect: gives
fails("cooldowns", lunette.state, "\0cooldowns", { max = 10 })

-- attempt: the methods of a set, called with something else
-- expect: gives
local set = lunette.set.domains { "example.org" }
for _, fake in ipairs { {}, "x", 5, e, setmetatable({}, { __index = set }) } do
    fails("has", set.has, fake, "example.org")
    fails("find", set.find, fake, "example.org")
end
for _, field in ipairs { "nothing", "", 1, {}, "view" } do fails("field", set.has, set, e, field) end

-- attempt: entries of a set that are none
-- expect: gives
for _, list in ipairs { { {} }, { true }, { print }, { e } } do
    fails("domains", lunette.set.domains, list)
    fails("prefixes", lunette.set.prefixes, list)
    fails("strings", lunette.set.strings, list)
end
for _, text in ipairs { "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/", "/8", "" } do fails(text, lunette.set.prefixes, { text }) end

-- attempt: subscribing in a handler
-- expect: gives
fails("on", lunette.on, "flow", function() end)
fails("on_end", lunette.on_end, function() end)

-- attempt: filters made of something else
-- expect: left out
-- where: file
local lunette = require "lunette"
for _, filter in ipairs { { client_ip = {} }, { client_ip = { {} } }, { [1] = 1 }, { [{}] = 1 }, { rrname = print }, { bpf = ("("):rep(4000) } } do
    if pcall(lunette.on, "dns", filter, print) then return end
end
error("all were refused")

-- attempt: alerts and reports before anything has happened
-- expect: left out all were refused
-- where: file
local lunette = require "lunette"
if pcall(lunette.alert, { title = "x" }) or pcall(lunette.report, { columns = {}, rows = {} }) then return end
error("all were refused")

-- attempt: parts of a key that are none
-- expect: gives
local s = lunette.state("s", { max = 4 })
local r = lunette.records("r", { max = 4, fields = { n = "u8" } })
local record = r:make("k")
for _, fake in ipairs { 1LL, 0ULL, 1i, record, lunette.set.domains { "example.org" } } do
    fails("get " .. type(fake), s.get, s, fake, "client_ip")
    fails("make " .. type(fake), r.make, r, fake, "client_ip", "server_ip")
    fails("behind a text " .. type(fake), r.make, r, "x", fake, "client_ip")
    fails("field " .. type(fake), r.make, r, e, fake)
    fails("second field " .. type(fake), r.make, r, e, "client_ip", fake)
end
for _, name in ipairs { "view", "__index", "", "\0key", 0, 1, 0/0, math.huge, true, {}, e, print } do
    fails("first", s.get, s, e, name)
    fails("fourth", r.make, r, e, "client_ip", "server_ip", "client_port", name)
end
fails("none", r.make, r, e)
fails("a hole", r.make, r, e, "client_ip", nil, "server_ip")
fails("five", r.make, r, e, "client_ip", "server_ip", "client_port", "server_port", "proto")
local told = setmetatable({}, { __tostring = function() return {} end })
fails("told", s.get, s, e, told)
fails("method", s.set, r, e, {}, 1)
if r:count() > 1 then gone[#gone + 1] = "count " .. r:count() end

-- attempt: keys of parts that are long
-- expect: gives
local s = lunette.state("s", { max = 4 })
local long = ("x"):rep(1000000)
for i = 1, 100 do s:set(long, i, e, "client_ip", i) end
if s:count() ~= 4 or s:get(long, 100, e, "client_ip") ~= 100 then gone[#gone + 1] = "long" end

-- attempt: more keys of parts than there is memory for
-- expect: memory
local s = lunette.state("s", { max = 1000000 })
local long = ("x"):rep(1000000)
for i = 1, 1000 do s:set(long, i, e, "client_ip", i) end
