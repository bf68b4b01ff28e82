-- The modules that run on the trusted side, handed what they do not expect.

-- attempt: objects of series and sketch, called as something else
-- expect: gives
local series, sketch = require "lunette.series", require "lunette.sketch"
local objects = { series.ring(4), series.histogram { 1, 2, 3 }, series.moments(), sketch.distinct(), sketch.heavy(3) }
for i, one in ipairs(objects) do
    for k, other in ipairs(objects) do
        for _, name in ipairs { "add", "count", "total", "merge", "top", "quantile", "mean", "at" } do
            local method = one[name]
            if method and i ~= k then
                fails(name, method, other, 1)
                fails(name, method, setmetatable({}, { __index = one }), 1)
                fails(name, method, nil, 1)
                fails(name, method, e, 1)
            end
        end
    end
    fails("metatable", setmetatable, one, {})
end

-- attempt: objects whose insides were changed
-- expect: gives
local series, sketch = require "lunette.series", require "lunette.sketch"
for _, value in ipairs { 0/0, math.huge, -math.huge, -1, 2 ^ 53, 1e300, "x", {}, true } do
    for _, make in ipairs { function() return series.ring(4) end, function() return series.histogram { 1, 2 } end, series.moments, sketch.distinct,
        function() return sketch.heavy(3) end } do
        local fields = {}
        for name in pairs(make()) do fields[#fields + 1] = name end
        for _, field in ipairs(fields) do
            if not (value == math.huge or value == 2 ^ 53 or value == 1e300) then
                local object = make()
                for i = 1, 5 do pcall(object.add, object, i) end
                object[field] = value
                for _, name in ipairs { "add", "count", "counts", "total", "top", "quantile", "mean", "at", "within", "intervals", "newest", "oldest", "variance" } do
                    if object[name] then pcall(object[name], object, 1, 2) end
                end
            end
        end
    end
end
local ring = series.ring(4)
ring:add(1)
ring.held = math.huge
pcall(ring.intervals, ring)

-- attempt: sizes and numbers that are none
-- expect: gives
local series, sketch = require "lunette.series", require "lunette.sketch"
for _, n in ipairs { 0, -1, 0/0, math.huge, 1e9, 1.5, "5", {}, 5LL } do
    fails("ring " .. tostring(n), series.ring, n)
    fails("distinct " .. tostring(n), sketch.distinct, n)
    fails("heavy " .. tostring(n), sketch.heavy, n)
    fails("histogram " .. tostring(n), series.histogram, { from = 1, to = 2, buckets = n })
end
fails("edges", series.histogram, { 3, 2, 1 })
fails("edges", series.histogram, { 0/0 })
fails("edges", series.histogram, {})
for _, x in ipairs { 0/0, math.huge, "x", {}, e } do
    fails("add", series.ring(3).add, series.ring(3), x)
    fails("add", series.moments().add, series.moments(), x)
end
for _, x in ipairs { 0/0, {}, e, print } do fails("distinct", sketch.distinct().add, sketch.distinct(), x) end

-- attempt: the methods of a class, changed for the engine
-- expect: gives 1
local series = require "lunette.series"
local ring = series.ring(3)
fails("add", function() for name in pairs(series) do series[name] = nil end error() end)
ring.add = function() gone[#gone + 1] = "mine" end
local other = lunette.state("s", { max = 3 })
other:set("k", ring)
return tostring(ring:count() + 1)

-- attempt: names that are none, or long
-- expect: gives
local names, address = require "lunette.names", require "lunette.address"
for _, text in ipairs { "", ".", "..", "\0", ("x."):rep(1e5), ("\255"):rep(1e4), "xn--", "xn--" .. ("z"):rep(1000), ("xn--a."):rep(1000), "\240\159\146\169" } do
    for name, f in pairs(names) do
        if type(f) == "function" then pcall(f, text) pcall(f, text, text) pcall(f, text, { text, "apple.com" }) end
    end
    for name, f in pairs(address) do
        if type(f) == "function" then pcall(f, text) pcall(f, text, text) pcall(f, "1.2.3.4", text) end
    end
end
for _, value in ipairs { {}, 5, true, e, print, 1LL, 0/0 } do
    for name, f in pairs(names) do if type(f) == "function" and type(value) ~= "number" then fails(name, f, value) end end
    for name, f in pairs(address) do if type(f) == "function" and type(value) ~= "number" then pcall(f, value) pcall(f, "10.0.0.1", value) end end
end

-- attempt: an edit distance that takes for ever
-- expect: stopped
local names = require "lunette.names"
while true do pcall(names.distance, ("a"):rep(250), ("b"):rep(250)) end

-- attempt: a random name, by the million
-- expect: stopped
local names = require "lunette.names"
while true do names.random("xkcdqwjzv") names.entropy("xkcdqwjzv") names.unicode("xn--mnchen-3ya.de") end

-- attempt: address look-ups without end
-- expect: stopped
local address = require "lunette.address"
while true do address.inside("10.0.0.1", "10.0.0.0/8") address.canonical("::1") address.reverse("10.0.0.1") end
