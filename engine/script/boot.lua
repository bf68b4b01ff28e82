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
-- hotexit: a side exit is worth a trace of its own only if it is taken often; at LuaJIT's ten, most traces ran a few times
-- (tests/bench/README.md has the figures).
require("jit.opt").start("maxtrace=8000", "maxmcode=16384", "sizemcode=256", "maxrecord=16000", "maxirconst=4000",
    "loopunroll=60", "callunroll=20", "maxside=400", "maxsnap=2000", "hotexit=100")

local SCRIPTS_OWN = { beat = true } -- modules that run in the script's own environment
local function internal(name, ...)
    return host.internal(name)(...)
end

local inside = {
    ffi = ffi, bit = bit, jit = require "jit", api = api, feed = feed, host = host, kinds = given.kinds, slots = given.slots,
    name = given.name, settings = given.settings, debug = debug,
}
-- What is known of an event's kind, by its number; `kinds` has the names of all.
inside.schema = setmetatable({}, { __index = function(schema, number)
    local kind = host.kind(number)
    rawset(schema, number, kind)
    return kind
end })
inside.nearest = internal("nearest.lua")
inside.unknown = internal("unknown.lua")(inside)
inside.trace = internal("trace.lua")(inside)
inside.profile = given.profile and internal("profile.lua", inside) or nil
inside.views = internal("views.lua")(inside)
inside.gathering = internal("gathering.lua")(inside, given.mail)
inside.clock = internal("timers.lua")(inside)
inside.dispatch = internal("dispatch.lua")(inside)
inside.events = internal("events.lua")(inside)
inside.store = internal("store.lua")(inside)
inside.layout = internal("layout.lua")(inside)
inside.records = internal("records.lua")(inside)
inside.flow_state = internal("flow_state.lua")(inside)
inside.sets = internal("sets.lua")(inside)
inside.alerts = internal("alerts.lua")(inside)
inside.helpers = internal("helpers.lua")(inside, internal)
inside.readers = internal("reader.lua")(inside)
inside.stream = internal("stream.lua")(inside)
local lunette = internal("lunette.lua", inside)
inside.unknown.seal("lunette", lunette)
inside.unknown.seal("lunette.set", lunette.set)

-- The environment: the language without the doors out of it.
local environment = internal("environment.lua")()

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
    local body, message = host.code(source, chunk, environment)
    if not body then error(message, 0) end
    if not own then inside.trace.is_the_scripts(chunk) end
    local result = body(name)
    if own and type(result) == "table" then inside.unknown.seal(name, result) end
    modules[name] = result == nil and true or result
    return modules[name]
end

local calls = {}

function calls.load(source, chunk)
    local body, message = host.code(source, chunk, environment)
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
calls.kept = { states = inside.store.kept, timers = inside.clock.kept, migrate = inside.store.migrate }
local written = internal("written.lua")
if given.inspect then calls.inventory = internal("inventory.lua", inside, lunette, environment, given.inspect, written) end
if inside.profile then calls.traces = function() return "return " .. written(inside.profile.traces()) end end
return calls
