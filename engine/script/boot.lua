-- The trusted side of a detector's Lua state: runs first, keeps ffi and the host's functions to itself, builds the
-- environment in which the script lives, and returns what the engine calls:
--
--   load(source, chunk name)   runs the script's body
--   start(clock)               the capture's first packet: timers count from here
--   run(events)                one batch: the runs of the feed, then the timers due until the batch's end
--   finish(clock)              the end of the capture
--
-- A script sees nothing of this file but what `environment` below holds.
local given = ...
local ffi, bit = require "ffi", require "bit"
local host = given.host

ffi.cdef(given.header)
ffi.cdef(given.cdef)
local api = ffi.cast("const struct lunette_api *", given.api)
local feed = ffi.cast("struct lunette_feed *", given.feed)
if api.feed_size ~= ffi.sizeof("struct lunette_feed") then
    error("the engine and LuaJIT disagree on struct lunette_feed: " .. api.feed_size .. " and " ..
        ffi.sizeof("struct lunette_feed") .. " bytes")
end

-- One long loop per kind with all handlers inlined is the point of the design: let the compiler take it.
require("jit.opt").start("maxtrace=8000", "maxmcode=16384", "sizemcode=256", "maxrecord=16000", "maxirconst=4000",
    "loopunroll=60", "callunroll=20", "maxside=400", "maxsnap=2000")

local SCRIPTS_OWN = { beat = true } -- modules that run in the script's own environment
local function internal(name, ...)
    return assert(load(host.embedded(name), "=" .. name, "t"))(...)
end

local inside = {
    ffi = ffi, bit = bit, jit = require "jit", api = api, feed = feed, host = host, schema = given.schema, slots = given.slots,
    name = given.name, settings = given.settings, debug = debug,
}
inside.nearest = internal("nearest.lua")
inside.trace = internal("trace.lua")(inside)
inside.views = internal("views.lua")(inside)
inside.gathering = internal("gathering.lua")(inside, given.mail)
inside.clock = internal("timers.lua")(inside)
inside.dispatch = internal("dispatch.lua")(inside)
inside.store = internal("store.lua")(inside)
inside.records = internal("records.lua")(inside)
inside.sets = internal("sets.lua")(inside)
inside.alerts = internal("alerts.lua")(inside)
inside.helpers = internal("helpers.lua")(inside, internal)
local lunette = internal("lunette.lua", inside)

-- The environment: the language without the doors out of it.
local function copy(from, names)
    local to = {}
    for name in names:gmatch("%S+") do to[name] = from[name] end
    return to
end

local environment = copy(_G, "assert error ipairs next pairs pcall select tonumber tostring type unpack xpcall")
environment.math = copy(math, [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max
    min modf pi pow rad sin sinh sqrt tan tanh]])
environment.table = copy(table, "concat insert maxn remove sort")
environment.bit = copy(bit, "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex")
environment.os = copy(os, "clock date difftime time")
environment._G = environment
environment.setmetatable = function(t, meta)
    if type(t) ~= "table" then error("setmetatable: a table is expected, got " .. type(t), 2) end
    if type(meta) == "table" and rawget(meta, "__gc") then error("setmetatable: no __gc here", 2) end
    return setmetatable(t, meta)
end

-- Strings: their methods are reached as s:upper(), so the shared metatable must lead to a safe copy. The trusted code uses
-- methods too, so that copy is not the script's `string`, which it may change. rep is bounded; gsub with a function or a
-- table can recurse through C until the stack ends, so its depth is.
local strings = copy(string, "byte char find format gmatch len lower match reverse sub upper")
strings.rep = function(text, times, separator)
    if #tostring(text) * (tonumber(times) or 0) > 16 * 1024 * 1024 then
        error("string.rep: more than 16 MiB", 2)
    end
    return string.rep(text, times, separator)
end
local gsub_depth = 0
strings.gsub = function(text, pattern, replacement, ...)
    if type(replacement) ~= "function" and type(replacement) ~= "table" then
        return string.gsub(text, pattern, replacement, ...)
    end
    if gsub_depth >= 16 then error("string.gsub: nested too deep", 2) end
    gsub_depth = gsub_depth + 1
    local ok, result, count = pcall(string.gsub, text, pattern, replacement, ...)
    gsub_depth = gsub_depth - 1
    if ok then return result, count end
    local has_place = type(result) == "string" and string.find(result, "^[^\n]-:%d+: ") -- it was raised in a script's function
    error(result, has_place and 0 or 2)
end
environment.string = {}
for name, method in pairs(strings) do environment.string[name] = method end
local string_meta = getmetatable("")
string_meta.__index = strings
string_meta.__metatable = false

-- print would write into the records if they go to stdout: it is a log line here.
environment.print = function(...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    host.log(table.concat(words, " "))
end

local modules = { lunette = lunette }
environment.require = function(name)
    if type(name) ~= "string" then error("require: a module's name is expected", 2) end
    if modules[name] ~= nil then return modules[name] end
    local source, chunk
    local own = name:match("^lunette%.([%w_]+)$")
    if own and inside.helpers.is_module(own) then
        modules[name] = inside.helpers.module(own)
        return modules[name]
    end
    if own then
        if not SCRIPTS_OWN[own] then error("require: there is no module '" .. name .. "'", 2) end
        source, chunk = host.embedded(own .. ".lua"), "=lunette/" .. own .. ".lua"
    else
        if not name:match("^[%w_]+$") then error("require: '" .. name .. "' is no module's name", 2) end
        local why
        source, why = host.read("lib", name .. ".lua")
        chunk = "=lib/" .. name .. ".lua"
        if not source then error("require: no module '" .. name .. "': " .. why, 2) end
    end
    local body, message = load(source, chunk, "t", environment)
    if not body then error(message, 0) end
    if not own then inside.trace.is_the_scripts(chunk) end
    local result = body(name)
    modules[name] = result == nil and true or result
    return modules[name]
end

local calls = {}

function calls.load(source, chunk)
    local body, message = load(source, chunk, "t", environment)
    if not body then error(message, 0) end
    inside.trace.is_the_scripts(chunk)
    body()
    inside.gathering.load()
    inside.loaded = true
    inside.store.loaded()
    inside.alerts.settings_used()
end

function calls.start(clock)
    feed.now = clock
    inside.clock.start(clock)
    inside.store.start(clock)
end

if host.question then calls.ask = internal("console.lua")(inside, environment) end
calls.run = host.is_gathering and inside.gathering.run or inside.dispatch.run
calls.finish = inside.dispatch.finish
calls.traceback = inside.dispatch.traceback
-- What a reload hands over to the next state: read and filled by handover.c.
calls.kept = { states = inside.store.kept, timers = inside.clock.kept }
return calls
