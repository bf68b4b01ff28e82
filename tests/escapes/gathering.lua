-- Messages from workers to where they are gathered.

-- attempt: sending what is not plain
-- expect: gives
-- where: file
local lunette = require "lunette"
local gone, done = {}, false
local function fails(name, ...) if pcall(lunette.send, ...) then gone[#gone + 1] = name end end
lunette.on("dns", function(e)
    if done then return end
    done = true
    for _, key in ipairs { {}, true, e, print, 0/0, 1LL } do fails("key", key, 1) end
    fails("nil", nil, 1)
    local ring = {}
    ring.ring = ring
    local deep = {}
    for i = 1, 1e4 do deep = { deep } end
    local long = {}
    for i = 1, 1e5 do long[i] = i end
    for name, value in pairs { print = print, event = e, int64 = 1LL, ring = ring, deep = deep, long = long, functions = { print }, text = ("x"):rep(1e5) } do
        fails(name, "k", value)
    end
    fails("long key", ("k"):rep(1e6), 1)
    fails("gather", lunette.gather, print)
    lunette.alert { title = "gives", why = table.concat(gone, " ") }
end)
lunette.gather(function() lunette.receive(function() end) end)

-- attempt: messages without end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function(e) local i = 0 while true do i = i + 1 lunette.send("k" .. i, { i }) end end)
lunette.gather(function() lunette.receive(function() end) end)

-- attempt: a receiver that does not end
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function(e) lunette.send("k", 1) end)
lunette.gather(function() lunette.receive(function() while true do end end) end)

-- attempt: a receiver stuck in a pattern
-- expect: stopped
-- where: file
local lunette = require "lunette"
lunette.on("dns", function(e) lunette.send("k", { 1 }) end)
lunette.gather(function() lunette.receive(function() string.find(("a"):rep(300000), ".-.-.-b") end) end)

-- attempt: a receiver that eats memory
-- expect: memory
-- where: file
local lunette = require "lunette"
lunette.on("dns", function(e) lunette.send("k", 1) end)
lunette.gather(function() lunette.receive(function() local t = {} while true do t[#t + 1] = { #t } end end) end)

-- attempt: a gathering part that never ends
-- expect: left out does not come to its end
-- where: file
local lunette = require "lunette"
lunette.on("dns", function(e) lunette.send("k", 1) end)
lunette.gather(function() while true do end end)

-- attempt: sending and receiving in the wrong place
-- expect: gives
fails("gather", lunette.gather, function() end)
fails("receive", lunette.receive, function() end)
fails("send", lunette.send, "k", 1)
