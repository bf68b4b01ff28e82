-- Streams: parsers that run in coroutines, and readers of bytes that are not theirs.

-- attempt: declaring a stream in a handler
-- expect: raises not in a handler
lunette.stream { ports = { 53 }, client = function() end }

-- attempt: a reader with numbers that are none
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local why, done = "not called", false
lunette.stream { ports = { 443 }, client = function(r, s)
    if done then return end
    done, why = true, "fine"
    for _, n in ipairs { 0/0, -1, -math.huge, 0.5, "5", {}, true, 1LL } do
        for _, name in ipairs { "need", "bytes", "peek", "skip" } do
            if pcall(r[name], r, n) then why = name .. " " .. tostring(n) end
        end
        if pcall(r.line, r, n) and n ~= 0.5 then why = "line " .. tostring(n) end
    end
    for _, text in ipairs { "", ("x"):rep(300), {}, 5, s } do
        if pcall(r.upto, r, text) then why = "upto" end
    end
    for _, name in ipairs { "need", "u8", "u16be", "u32be", "u64be", "bytes", "peek", "skip", "upto", "line", "rest", "available", "position", "stop" } do
        for _, fake in ipairs { {}, s, "x", 5, setmetatable({}, { __index = r }) } do
            if pcall(r[name], fake, 1) then why = "self of " .. name end
        end
    end
    for _, name in ipairs { "side", "base", "buffer", "at", "__index", "co", 1 } do
        if pcall(function() return r[name] end) or pcall(function() r[name] = 1 end) then why = "field " .. name end
    end
    if pcall(setmetatable, r, {}) or pcall(setmetatable, s, {}) then why = "metatable" end
    if #r:bytes(3) ~= 3 or r:position() ~= 3 then why = "bytes" end
end }
lunette.on_end(function() lunette.alert { title = "gives", why = why } end)

-- attempt: a reader, kept and used elsewhere
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local why, kept = "not called", {}
local function try_all()
    for _, r in ipairs(kept) do
        for _, name in ipairs { "u8", "available", "position", "rest", "stop" } do
            if pcall(r[name], r) then why = name end
        end
    end
end
lunette.stream { ports = { 443 }, client = function(r, s)
    why = why == "not called" and "fine" or why
    try_all()
    kept[#kept + 1] = r
    r:u8()
    lunette.after(0, try_all)
    r:need(60000)
end, closed = try_all }
lunette.on("flow", try_all)
lunette.on("dns", try_all)
lunette.on_end(function() try_all() lunette.alert { title = "gives", why = why } end)

-- attempt: waiting in the middle of C functions and metamethods
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local why = "not called"
lunette.stream { ports = { 443 }, client = function(r, s)
    if why ~= "not called" then return end
    why = "fine"
    local function wait() return r:need(60000) end
    pcall(string.gsub, "abc", ".", wait)
    pcall(table.sort, { 3, 1, 2 }, wait)
    pcall(tostring, setmetatable({}, { __tostring = wait }))
    pcall(function() return setmetatable({}, { __index = wait }).x end)
    pcall(function() return setmetatable({}, { __lt = wait }) < setmetatable({}, { __lt = wait }) end)
    pcall(function() for _ in wait do end end)
    xpcall(error, wait)
end }
lunette.on_end(function() lunette.alert { title = "gives", why = why } end)

-- attempt: what a parser is told of its flow, changed under the engine
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local why = "not called"
lunette.stream { ports = { 443 }, client = function(r, s)
    why = "fine"
    for name in next, s do s[name] = nil end
    r:need(5)
    r:need(5000)
end, closed = function(s) for name in next, s do s[name] = 0/0 end end }
lunette.on_end(function() lunette.alert { title = "gives", why = why } end)

-- attempt: a parser that does not end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443 }, client = function(r, s) r:u8() while true do end end }

-- attempt: a parser that does not end and does not wait: an empty request over and over
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443 }, client = function(r, s) while true do r:need(0) r:bytes(0) r:available() end end }

-- attempt: a parser that holds up that it is ended
-- expect: gives fine
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443 }, limit = 64, client = function(r, s) while true do pcall(r.need, r, 1e9) end end }
lunette.on_end(function() lunette.alert { title = "gives", why = "fine" } end)

-- attempt: a parser stuck in a pattern
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443 }, server = function(r, s) r:u8() string.find(("a"):rep(300000), ".-.-.-b") end }

-- attempt: a closed function that does not end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443 }, client = function(r) r:u8() end, closed = function() while true do end end }

-- attempt: parsers that eat memory, each a little
-- expect: memory
-- where: file
local lunette = require "lunette"
local kept = {}
lunette.stream { ports = { 443 }, client = function(r, s)
    for i = 1, 1e6 do s.state[i] = ("x"):rep(100) .. i end
    kept[#kept + 1] = s
    r:need(60000)
end }

-- attempt: parsers that raise
-- expect: failing oops
-- where: file
local lunette = require "lunette"
lunette.stream { ports = { 443, 80 }, client = function(r, s) error("oops") end, server = function(r, s) error("oops") end }

-- attempt: recursion in a parser
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local why = "not called"
lunette.stream { ports = { 443 }, client = function(r, s)
    local function f() return 1 + f() end
    local function g(t) return (t:gsub(".", g)) end
    if not pcall(f) and not pcall(g, "abc") then why = "fine" end
end }
lunette.on_end(function() lunette.alert { title = "gives", why = why } end)

-- attempt: declarations of streams that are none
-- expect: left out all were refused
-- where: file
local lunette = require "lunette"
local function f() end
for _, options in ipairs { {}, { ports = { 0 }, client = f }, { ports = { 65536 }, client = f }, { ports = { 0/0 }, client = f }, { ports = { 1.5 }, client = f },
    { ports = { "80" }, client = f }, { ports = {}, client = f }, { ports = { 80 } }, { ports = { 80 }, client = 5 }, { ports = { 80 }, client = f, limit = 0/0 },
    { ports = { 80 }, client = f, limit = 1e9 }, { ports = { 80 }, client = f, flows = 0 }, { starts = { client = "" }, client = f },
    { starts = { client = ("x"):rep(65) }, client = f }, { starts = { client = { {} } }, client = f }, { starts = { other = "x" }, client = f },
    { ports = { 80 }, client = f, transport = "icmp" }, { ports = { 80 }, client = f, nothing = 1 } } do
    if pcall(lunette.stream, options) then return end
end
local ports = {}
for i = 1, 65 do ports[i] = i end
if pcall(lunette.stream, { ports = ports, client = f }) then return end
for i = 1, 40 do if not pcall(lunette.stream, { ports = { i }, client = f }) then error("all were refused") end end
