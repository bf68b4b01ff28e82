-- The module that detectors get by require "lunette". What each function takes and gives is told in lua-api/README.md;
-- here they are only gathered, so that this file is the list of all there is.
local inside = ...
local api, host, feed = inside.api, inside.host, inside.feed
local lunette = {}

-- Declaring
lunette.detector = inside.alerts.detector
lunette.tunables = inside.alerts.tunables

-- Events
lunette.on = inside.dispatch.on
lunette.on_end = inside.dispatch.on_end
lunette.stream = inside.stream

-- Gathering over workers
lunette.send = inside.gathering.send
lunette.gather = inside.gathering.gather
lunette.receive = inside.gathering.receive

-- Time
lunette.every = inside.clock.every
lunette.after = inside.clock.after
function lunette.now() return feed.now end

-- State
lunette.state = inside.store.state
lunette.records = inside.records
lunette.flow_state = inside.flow_state

-- Sets and data
lunette.set = inside.sets.make
lunette.tsv = inside.sets.tsv
lunette.lines = inside.sets.lines

-- Names and addresses. A name is lower case and without the dot at its end for the public suffix list.
local function name_of(what, value)
    if type(value) ~= "string" then error("lunette." .. what .. ": a string is expected, got " .. type(value), 3) end
    value = value:lower()
    return value:byte(-1) == 46 and value:sub(1, -2) or value
end

function lunette.registrable(name)
    name = name_of("registrable", name)
    local at = api.registrable(name, #name)
    return at >= 0 and name:sub(at + 1) or nil
end

function lunette.suffix(name)
    name = name_of("suffix", name)
    local at = api.public_suffix(name, #name)
    return at >= 0 and name:sub(at + 1) or nil
end

inside.suffixes = { registrable = lunette.registrable, suffix = lunette.suffix } -- for lunette.names

function lunette.is_address(value)
    return type(value) == "string" and api.is_address(value, #value) ~= 0
end

-- Alerts and reports
lunette.alert = inside.alerts.alert
lunette.report = inside.alerts.report
function lunette.log(text) host.log(tostring(text)) end

return lunette
