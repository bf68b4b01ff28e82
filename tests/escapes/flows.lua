-- Per-flow state: memory outside of the Lua state, found by numbers that a script could make up.

-- attempt: flows made up: numbers of slots and flows that are none
-- expect: gives
-- where: inside
-- (flow_state is declared by the body only: see the next)
fails("declared in a handler", lunette.flow_state, { n = "u32" })

-- attempt: state of flows that are made up
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local state = lunette.flow_state { n = "u32", h = "u16[8]", t = "time", ok = "bool" }
local done
lunette.on("dns", function(e)
    if done then return end
    done = true
    local why = "fine"
    local odd = { 0/0, math.huge, -math.huge, -1, 0, 0.5, 1.5, 2 ^ 31, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 53, 1e300 }
    for _, slot in ipairs(odd) do
        for _, flow in ipairs(odd) do
            local ok, s = pcall(state.of, state, { flow_slot = slot, flow_id = flow })
            if ok and s then
                s.n = 7
                if s.n ~= 7 or s:at("h", 7) ~= 0 then why = "wrong" end
                s.n = 0
            end
        end
    end
    for _, fake in ipairs { 1, "x", true, print, 1LL, {}, { flow_slot = "1", flow_id = 1 }, { flow_slot = {}, flow_id = {} },
        { flow_slot = 1LL, flow_id = 1LL }, setmetatable({}, { __index = function() return 1LL end }) } do
        local ok, s = pcall(state.of, state, fake)
        if ok and s then why = "took " .. tostring(fake) end
    end
    local s = state:of(e)
    for _, i in ipairs { -1, 8, 0/0, math.huge, 2 ^ 32, "0", {}, 0LL } do
        if pcall(s.at, s, "h", i) or pcall(s.put, s, "h", i, 1) then why = "index " .. tostring(i) end
    end
    for _, value in ipairs { {}, "1", e, print, 1LL } do
        if pcall(function() s.n = value end) or pcall(s.put, s, "h", 0, value) then why = "value" end
    end
    for _, name in ipairs { "_flow", "_slot", "flow", "entries", "__index", "", 1 } do
        if pcall(function() s[name] = 1 end) then why = "wrote " .. name end
    end
    if pcall(s.at, e, "h", 0) or pcall(s.at, { _flow = 1, _slot = 1 }, "h", 0) then why = "self" end
    lunette.alert { title = "gives", why = why }
end)

-- attempt: state of a flow, kept until its place is another's
-- expect: gives
-- where: file
local lunette = require "lunette"
local state = lunette.flow_state { n = "u32" }
local kept, was = {}, {}
local wrong = {}
lunette.on("flow", function(e)
    local s = state:of(e)
    if s then kept[#kept + 1], was[#was + 1] = s, #kept s.n = #kept end
end)
lunette.on_end(function()
    for i, s in ipairs(kept) do
        local ok, n = pcall(function() return s.n end)
        if ok and n ~= i then wrong[#wrong + 1] = i end
    end
    lunette.alert { title = "gives", why = table.concat(wrong, " ") }
end)

-- attempt: state of a flow in the body, before there is one
-- expect: left out nothing has happened yet
-- where: file
local lunette = require "lunette"
local state = lunette.flow_state { n = "u32" }
state:of { flow_slot = 5000, flow_id = 5 }.n = 1

-- attempt: declarations of per-flow state that are C, too large or too many
-- expect: left out all were refused
-- where: file
local lunette = require "lunette"
for _, fields in ipairs { { ["a; } x; struct y {"] = "u8" }, { a = "u8; int x" }, { a = "u8[65536]", b = "u8[65536]" }, { a = "void*" }, {}, { [1] = "u8" },
    { _flow = "u8" }, { at = "u8" } } do
    if pcall(lunette.flow_state, fields) then error("took one") end
end
for i = 1, 1e4 do if not pcall(lunette.flow_state, { n = "u8[4000]" }) then error("all were refused") end end

-- attempt: per-flow state for flows without number
-- expect: gives fine
-- where: file
local lunette = require "lunette"
local state = lunette.flow_state { h = "u8[4000]" }
local done
lunette.on("dns", function(e)
    if done then return end
    done = true
    local why = "endless"
    for i = 1, 1e7 do
        if not pcall(state.of, state, { flow_slot = i, flow_id = i }) then why = "fine" break end
    end
    lunette.alert { title = "gives", why = why }
end)
