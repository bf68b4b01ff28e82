-- The script of fuzz_lua_api.c: random calls of the API. The line before this file is `local code = "…"`, the input.
--
-- Its bytes choose what is called, on what and with which arguments: functions of the environment and of the modules,
-- methods, fields, other objects' methods, operators. What comes out joins what later calls are made with, so views and
-- readers are used long after their time. Wherever the engine calls a script (its body, handlers, timers, parsers, what
-- gathers, the end), a few of these steps are made. Every step is protected: an error is an answer as good as any.
local lunette = require "lunette"
local pcall, type, next, tostring, select = pcall, type, next, tostring, select
local byte, rep, min = string.byte, string.rep, math.min
local modules = { lunette = lunette, set = lunette.set, environment = _G }
for _, name in ipairs { "names", "address", "series", "sketch", "beat" } do modules[name] = require("lunette." .. name) end

local at = 0
local function take()
    at = at + 1
    return byte(code, at) or 0
end

-- Functions by a name that does not depend on the order of a table.
local functions, names, seen = {}, {}, {}
local function gather(where, t, depth)
    if seen[t] or depth > 3 then return end
    seen[t] = true
    for name, value in next, t do
        if type(value) == "function" and name ~= "print" then
            names[#names + 1] = where .. "." .. tostring(name)
            functions[names[#names]] = value
        elseif type(value) == "table" then
            gather(where .. "." .. tostring(name), value, depth + 1)
        end
    end
end
for name, module in next, modules do gather(name, module, 0) end
table.sort(names)

local cycle, deep = {}, {}
cycle.cycle, cycle[1] = cycle, cycle
for _ = 1, 100 do deep = { deep } end
local odd = setmetatable({ 1 }, {
    __index = function(t, k) return k end, __len = function() return -1 end, __tostring = function() return 7 end,
    __call = function(self, ...) return ... end, __eq = function() error "eq" end, __concat = function() return {} end,
    __newindex = function() error { "no" } end, __lt = function() return nil end, __unm = function() return 0 / 0 end,
})
local NONE = {} -- nil, in a list
local constants = {
    NONE, 0 / 0, 1 / 0, -1 / 0, -0.0, 0, 1, -1, 2, 3, 7, 8, 16, 64, 0.5, 255, 65536, 2 ^ 31, 2 ^ 32, -2 ^ 31, 2 ^ 53, 1e308, 5e-324,
    true, false, "", "a", "\0", rep("x", 300), rep("y.", 40000), "192.168.0.1", "fe80::1", "::ffff:1.2.3.4", "10.0.0.0/8",
    "2001:db8::/129", "300.1.1.1", "www.example.com", "=example.org", "-example.net", "xn--80ak6aa92e.com", "xn--\255", "..",
    "client_ip", "server_ip", "server_name", "client_port", "rrname", "data", "payload", "flow_id", "time", "n", "list", "no_such",
    "dns", "flow", "packet", "tls", "fuzz.made", "made", "u8", "%s%d%q", "(", "[^", "%f[%w]", "u16[80]",
    {}, { 1, 2, 3 }, { "a", "b", "a" }, { "1.2.3.0/24", "fe80::/10" }, { n = "u8", list = "u16[4]" }, { max = 8 },
    { max = 4, ttl = 1, fields = { n = "u32", list = "f64[3]", ok = "bool" } }, { max = 0 / 0 }, { max = 1e18, fields = {} },
    { title = "x", who = "192.168.0.1", evidence = cycle }, { title = "x", severity = "high", key = deep, cooldown = -1 },
    { title = "t", key = "k", cooldown = 3, evidence = { a = 1, b = { "c", 2 ^ 60, 0 / 0 } }, attack = { "T1071", "T1" } },
    { columns = { "a", ">b" }, rows = { { 1, "x" }, { 2 } } }, { ports = { 9999 } }, { name = 1, rrname = {}, text = "t", number = 0 / 0 },
    cycle, deep, odd, lunette, _G, string, math, modules,
    function() end, function(...) return ... end, function() error "thrown" end, function(x) return x, x end,
}
local methods = {
    "get", "set", "delete", "count", "evicted", "each", "make", "size", "at", "put", "of", "has", "find", "u8", "u16be", "u32be",
    "starts", "tostring", "hex", "need", "u16le", "u24be", "u24le", "u32le", "u64be", "u64le", "bytes", "skip", "upto", "line", "peek",
    "rest", "within", "stop", "available", "position", "add", "newest", "oldest", "intervals", "total", "counts", "quantile", "mean",
    "variance", "skewness", "kurtosis", "merge", "top", "min", "max", "deviation", "n", "list", "ok", "state", "client_ip", "server_ip",
    "rrname", "answers", "data", "payload", "server_name", "flow_id", "time", "rep", "format", "gsub", "__index", "__gc", "ptr",
}

-- What was made, of which the oldest gives way.
local pool, turn = {}, 0
local POOL = 96
local function keep(...)
    for i = 1, min(select("#", ...), 4) do
        local value = select(i, ...)
        if value ~= nil and type(value) ~= "number" and type(value) ~= "boolean" then
            pool[turn % POOL + 1] = value
            turn = turn + 1
        end
    end
end

local function pick()
    local n = take()
    if n >= 128 then return pool[n % POOL + 1] end
    local value = constants[n % #constants + 1]
    if value == NONE then return nil end
    return value
end

-- One of what was made lately: what a step is most likely to be about.
local function lately()
    local n = take()
    if n >= 192 then return pick() end
    return pool[(turn - 1 - n % 24) % POOL + 1]
end

local function call(f, ...)
    local count = take() % 6
    if count == 0 then return f(...) end
    local a, b, c, d
    a = pick()
    if count > 1 then b = pick() end
    if count > 2 then c = pick() end
    if count > 3 then d = pick() end
    if select("#", ...) == 0 then return f(a, b, c, d) end
    return f((...), a, b, c, d)
end

-- Objects with the methods that they have, and what is at hand: an event, a reader.
local fitting, at_hand, with_it, record = {}, nil, nil, nil
local function fits(object, list)
    for name in list:gmatch("%S+") do fitting[#fitting + 1] = { object, name } end
    keep(object)
    return object
end
local FIELDS = { "n", "list", "ok", "wide", "when", "x" }
local KEYS = { "client_ip", "server_ip", "server_name", "client_port", "rrname", "flow_id", "time", "proto" }
local function one_of(list) return list[take() % #list + 1] end
local function fit() local it = one_of(fitting) return call(it[1][it[2]], it[1]) end
local records, flows

local steps = {
    fit, fit, fit, fit, fit,
    function() return at_hand[one_of(KEYS)], at_hand[one_of(methods)] end,
    function() return call(at_hand[one_of(methods)], at_hand) end,
    function() return call(at_hand[one_of(methods)], at_hand) end,
    function() record = records:make(at_hand, one_of(KEYS), one_of(KEYS)) end,
    function() record = records:make(pick(), at_hand, one_of(KEYS)) end,
    function() record = records:get(at_hand, one_of(KEYS)) or record end,
    function() record = flows:of(at_hand or with_it) or record end,
    function() record[one_of(FIELDS)] = pick() return record[one_of(FIELDS)] end,
    function() record:put("list", pick(), pick()) return record:at("list", pick()) end,
    function() return record:at(one_of(FIELDS), pick()), records:delete(pick()) end,
    function() return lunette.alert { title = pick(), who = pick(), key = pick(), cooldown = pick(), evidence = { pick(), x = pick() } } end,
    function() return lunette.fact(at_hand.client_ip, "topic", pick(), { pick() }) end,
    function() return lunette.send(pick(), pick()) end,
    function() return lunette.after(pick(), one_of(constants)) end,
    function() return call(functions[names[(take() + 256 * take()) % #names + 1]]) end,
    function() local o = lately() return call(o[methods[take() % #methods + 1]], o) end,
    function() local o = lately() return call(o[methods[take() % #methods + 1]], o) end,
    function() return call(lately()[methods[take() % #methods + 1]], lately()) end, -- with another's self
    function() return lately()[methods[take() % #methods + 1]] end,
    function() return lately()[pick()] end,
    function() lately()[methods[take() % #methods + 1]] = pick() end,
    function() local o = lately() if o ~= _G and o ~= modules then o[pick()] = pick() end end,
    function() return tostring(lately()), #lately() end,
    function() return lately() == lately(), lately() .. lately() end,
    function() return lately() + pick(), lately() < lately() end,
    function() for k, v in lately():each() do keep(k, v) end end,
    function() return call(lately()) end,
    -- keys made of an event's fields, as a detector has them
    function() return lately():make(lately(), methods[take() % #methods + 1], constants[43 + take() % 8]) end,
    function() return lately():get(pick(), lately(), constants[43 + take() % 8]) end,
    function() return lunette.emit("made", { name = pick(), number = pick(), list = pick(), ip = pick() }) end,
}

local function make_steps(...)
    at_hand, with_it = ...
    keep(...)
    for _ = 1, take() % 12 do
        if at > #code then return end
        local step = steps[take() % #steps + 1]
        keep(select(2, pcall(step)))
    end
end

-- What there is at first.
lunette.event("made", { name = "str", number = "u32", list = "list", ip = "ip" }, "made by the fuzzer")
fits(lunette.state("state", { max = 32, ttl = 5 }), "get set delete count evicted each")
records = fits(lunette.records("records", { max = 32, ttl = 5, fields = {
    n = "u32", list = "u16[4]", ok = "bool", wide = "u64", when = "time", x = "f32" } }), "get make delete count evicted size each")
flows = fits(lunette.flow_state { n = "u16", list = "u8[3]", ok = "bool" }, "of size")
fits(lunette.set.domains { "example.com", "=a.org", "-x.net" }, "has find")
fits(lunette.set.prefixes { "10.0.0.0/8", "fe80::/10" }, "has find")
fits(lunette.set.strings { "a", "b" }, "has find")
fits(modules.series.ring(8), "add count at newest oldest within intervals")
fits(modules.series.histogram { 1, 10, 100 }, "add total counts quantile")
fits(modules.series.moments(), "add count mean variance deviation skewness kurtosis min max merge")
fits(modules.sketch.distinct(6), "add count merge")
fits(modules.sketch.heavy(5), "add top count total")
keep(lunette.tunables { one = 1, two = "x" })
make_steps()
for _, kind in ipairs { "dns", "flow_start", "flow", "onset", "http", "tls", "anomaly", "ssh", "dhcp" } do
    lunette.on(kind, {}, make_steps)
end
lunette.on("packet", { bpf = "ip or ip6" }, make_steps)
lunette.every(1, make_steps)
lunette.after(2, make_steps)
lunette.on_end(make_steps)
lunette.stream { ports = { 80, 443, 9999, 22 }, client = function(r, s) while true do make_steps(r, s) r:u8() end end,
    server = function(r, s) make_steps(r, s) r:rest() end, closed = make_steps }
lunette.stream { name = "datagrams", transport = "udp", ports = { 53, 5353 }, client = function(r, s) make_steps(r, s) end,
    server = function(r, s) make_steps(r, s) r:skip(12) r:within(3, make_steps) end }
lunette.gather(function()
    lunette.receive(make_steps)
    lunette.receive_alerts(make_steps)
    lunette.every(1, make_steps)
end)
