-- lunette.stream: parsers in Lua. Each declaration has sessions, one for a flow, made when the flow's first bytes come; a
-- session has a reader for each direction that has a parser (reader.lua).
--
-- `stream` events come in the feed like all others, so parsers run in capture order with the detector's handlers. The loop
-- over them is not generated and not compiled, since the compiler cannot follow coroutines; what parsers do inside is
-- compiled as any Lua is.
--
-- A session ends when both its parsers are at their end, when one raised an error, or with the flow. When there are
-- too many, or too much waits in them, the oldest is given up and counted as evicted.
local FLOWS = 10000          -- sessions of a declaration, unless it says otherwise
local SESSION = 6144         -- bytes that one takes, about, beside those that wait: two coroutines and some tables
local LIMIT = 65536          -- bytes that may wait in a direction, unless it says otherwise
local OPTIONS = { name = 1, ports = 1, starts = 1, transport = 1, limit = 1, flows = 1, client = 1, server = 1, closed = 1 }

return function(inside)
    local ffi, feed, host, dispatch, readers = inside.ffi, inside.feed, inside.host, inside.dispatch, inside.readers
    local band = inside.bit.band
    local traceback, profile = dispatch.traceback, inside.profile
    local declared = {} -- by number of the handler + 1

    local kind
    for number, name in pairs(inside.kinds) do
        if name == "stream" then kind = number end
    end
    local events, view -- once a stream is declared
    local function prepare()
        view = inside.views.constructors[kind]
        events = ffi.cast("const struct lunette_event_stream *", inside.slots[kind])
    end

    local function complain(level, text, ...) error("lunette.stream: " .. text:format(...), level + 1) end

    -- --------------------------------------------------------- what a script sees of the flow

    local S_FIELDS = { "client_ip", "client_port", "server_ip", "server_port", "flow_id", "flow_slot", "time", "midstream",
        "state" }
    local s_meta = {
        __index = function(_, name)
            local near = inside.nearest(tostring(name), S_FIELDS)
            error(("a stream has no '%s'%s"):format(tostring(name), near and "; did you mean '" .. near .. "'?" or
                ": keep your own values in s.state"), 2)
        end,
        __newindex = function(_, name)
            error(("a stream has no '%s': keep your own values in s.state"):format(tostring(name)), 2)
        end,
        __tostring = function() return "stream" end,
        __metatable = false,
    }

    local function describe(e, midstream)
        return setmetatable({ client_ip = e.client_ip, client_port = e.client_port, server_ip = e.server_ip,
            server_port = e.server_port, flow_id = e.flow_id, flow_slot = e.flow_slot, time = e.time,
            midstream = midstream, state = {} }, s_meta)
    end

    -- -------------------------------------------------------------------------- sessions

    -- Sessions of a declaration are in a ring by age: d.newest and d.oldest stand in for its ends.
    local function unlink(d, session)
        session.older.newer, session.newer.older = session.newer, session.older
        d.sessions[session.id] = nil
        d.count, d.held = d.count - 1, d.held - SESSION
        if session.client then d.held = d.held - readers.drop(session.client) end
        if session.server then d.held = d.held - readers.drop(session.server) end
    end

    local function hush(d, session, to_server) host.hush(d.number, session.tap, session.id, to_server) end

    local function evict(d)
        local session = d.ring.newer -- the oldest
        hush(d, session, true)
        hush(d, session, false)
        unlink(d, session)
        feed.evicted = feed.evicted + 1
    end

    local function begin(d, n, event, id)
        if d.count >= d.flows then evict(d) end
        local session = { id = id, tap = event.body.tap, s = describe(view(feed.view[n]), event.body.midstream ~= 0) }
        local s = session.s -- which the script may change
        session.from, session.from_port, session.to, session.to_port = s.client_ip, s.client_port, s.server_ip, s.server_port
        if d.client then session.client = readers.new(d.client, d.limit) else hush(d, session, true) end
        if d.server then session.server = readers.new(d.server, d.limit) else hush(d, session, false) end
        local ring = d.ring
        session.older, session.newer = ring.older, ring
        ring.older.newer, ring.older = session, session
        d.sessions[id] = session
        d.count, d.held = d.count + 1, d.held + SESSION
        return session
    end

    local function side_text(ip, port) return (ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(ip, port) end

    -- A parser was ended before it was done: that is counted, and told the first time, as handlers' errors are.
    local told = {}
    local function tell(d, session, side, reason)
        local text
        if reason ~= "error" and not told[reason] then
            told[reason] = true
            local place = reason == "limit" and side.place or side.co and inside.trace.waits_at(side.co)
            if not place then
                local where = inside.debug.getinfo(side.parser, "S")
                place = where.short_src .. ":" .. where.linedefined
            end
            local client, server = side_text(session.from, session.from_port), side_text(session.to, session.to_port)
            if side == session.server then client, server = server, client end -- it parses what the server sends
            text = ("the stream %s of %s > %s was ended: %s, at %s"):format(d.name, client, server, reason, place)
        end
        host.parser_ended(reason, text)
    end

    local failed = dispatch.failed -- reports an error of a script's function; true if the detector is off now

    -- Nothing of the flow will be parsed any more. True if the detector is off now.
    local function close(d, session, reason)
        unlink(d, session)
        if not d.closed then return end
        feed.place = d.closed_place
        if profile then profile.begin("stream " .. d.name .. ", closed", d.closed) end
        local ok, message = xpcall(d.closed, traceback, session.s, session.reason or reason)
        if profile then profile.done() end
        if not ok then return failed("closed of stream " .. d.name, d.closed, message) end
        feed.streak = 0
    end

    -- One direction is over, for that reason if it is none of the script's own wish. True if the detector is off now.
    local function finish_side(d, session, side, to_server, reason)
        if reason ~= "stop" then tell(d, session, side, reason) end
        d.held = d.held - readers.drop(side)
        if reason ~= "stop" and not session.reason then session.reason = reason end
        hush(d, session, to_server)
        if (not session.client or session.client.dead) and (not session.server or session.server.dead) then
            return close(d, session, "end")
        end
    end

    -- After a parser ran. True if the detector is off now.
    local function settle(d, session, side, to_server, ok, message)
        if not ok then
            if failed("parser of stream " .. d.name, side.parser, message) then return true end
            hush(d, session, true)
            hush(d, session, false)
            session.reason = "error"
            tell(d, session, side, "error")
            return close(d, session, "error")
        end
        feed.streak = 0
        if d.udp then
            if side.reason == "limit" then tell(d, session, side, "limit") end
            return
        end
        if side.reason or side.finished then
            return finish_side(d, session, side, to_server, side.reason or "stop")
        end
    end

    local function over(d, session)
        for i = 1, 2 do
            local side = i == 1 and session.client or i == 2 and session.server
            if side and not side.dead and side.until_end and not d.udp then
                feed.place = i == 1 and d.client_place or d.server_place
                if profile then profile.begin("stream " .. d.name, side.parser) end
                local ok, message = readers.finish(side, session.s)
                if profile then profile.done() end
                if settle(d, session, side, i == 1, ok, message) then return true end
                if not d.sessions[session.id] then return end
            end
        end
        return close(d, session, "end")
    end

    local function take(d, n)
        local event = events[band(feed.view[n], 1023)]
        local body, id = event.body, tonumber(event.head.flow_id)
        local session = d.sessions[id]
        if not session then
            if body.first == 0 then return end
            session = begin(d, n, event, id)
        end
        rawset(session.s, "time", tonumber(event.head.time) / 1e9) -- the script may have thrown it out
        if body.last ~= 0 then return over(d, session) end
        local to_server = body.to_server ~= 0
        local side
        if to_server then side = session.client else side = session.server end
        if not side or side.dead then return end
        if body.data.at == 0 then return finish_side(d, session, side, to_server, "gap") end
        feed.place = to_server and d.client_place or d.server_place
        local data, length = ffi.cast("const uint8_t *", feed.text) + body.data.at, body.data.length
        local ok, message, more
        if profile then profile.begin("stream " .. d.name, side.parser) end
        if d.udp then
            ok, message = readers.datagram(side, session.s, data, length)
        else
            ok, message, more = readers.feed(side, session.s, data, length)
            d.held = d.held + more
        end
        if profile then profile.done() end
        if settle(d, session, side, to_server, ok, message) then return true end
        while d.held > d.hold and d.count > 0 do evict(d) end
    end

    -- -------------------------------------------------------------------------- dispatch

    local function single(n)
        if n >= feed.stop then return true end
        local clock = feed.clock[n]
        if clock >= feed.due and dispatch.timers(clock) then return true end
        feed.now, feed.current = clock, n
        local mask = feed.mask[n]
        for i = 1, #declared do
            if band(mask, 2 ^ (i - 1)) ~= 0 and take(declared[i], n) then return true end
        end
    end
    local function loop(from, to)
        for n = from, to - 1 do
            if single(n) then return true end
        end
    end
    inside.jit.off(single)
    inside.jit.off(loop)
    inside.jit.off(take)

    -- -------------------------------------------------------------------------- declaring

    local function ports_of(value)
        if value == nil then return {} end
        if type(value) == "number" then value = { value } end
        if type(value) ~= "table" then complain(3, "ports must be a list of port numbers, got %s", type(value)) end
        local list = {}
        for i = 1, #value do
            local port = value[i]
            if type(port) ~= "number" or not (port >= 1 and port <= 65535) or port % 1 ~= 0 then
                complain(3, "a port is a whole number from 1 to 65535, got %s", tostring(port))
            end
            list[i] = port
        end
        if #list > 64 then complain(3, "at most 64 ports, got %d", #list) end
        return list
    end

    local function starts_of(starts, side)
        local value = starts[side]
        if value == nil then return {} end
        if type(value) == "string" then value = { value } end
        if type(value) ~= "table" then complain(3, "starts.%s must be a string or a list of strings, got %s", side, type(value)) end
        local list = {}
        for i = 1, #value do
            local text = value[i]
            if type(text) ~= "string" or #text < 1 or #text > 64 then
                complain(3, "starts.%s: a string of 1 to 64 bytes is expected, got %s", side,
                    type(text) == "string" and #text .. " bytes" or type(text))
            end
            list[i] = text
        end
        if #list > 16 then complain(3, "at most 16 strings in starts.%s, got %d", side, #list) end
        return list
    end

    local function number_of(options, name, default, least, most)
        local value = options[name]
        if value == nil then return default end
        if type(value) ~= "number" or not (value >= least and value <= most) or value % 1 ~= 0 then
            complain(3, "%s must be a whole number from %d to %d, got %s", name, least, most, tostring(value))
        end
        return value
    end

    local function function_of(options, name)
        local value = options[name]
        if value ~= nil and type(value) ~= "function" then complain(3, "%s must be a function, got %s", name, type(value)) end
        return value
    end

    return function(options)
        if inside.loaded then complain(2, "declare it when the script is loaded, not in a handler") end
        if type(options) ~= "table" then complain(2, "a table is expected, got %s", type(options)) end
        inside.unknown.option("lunette.stream", options, OPTIONS, 2)
        local transport = options.transport or "tcp"
        if transport ~= "tcp" and transport ~= "udp" then
            complain(2, "transport must be \"tcp\" or \"udp\", got %s", tostring(transport))
        end
        local starts = options.starts or {}
        if type(starts) ~= "table" then complain(2, "starts must be { client = …, server = … }, got %s", type(starts)) end
        for side in pairs(starts) do
            if side ~= "client" and side ~= "server" then complain(2, "starts has client and server, and no '%s'", tostring(side)) end
        end
        if options.name ~= nil and type(options.name) ~= "string" then complain(2, "name must be a string") end
        local d = { name = options.name or inside.name, udp = transport == "udp", sessions = {}, count = 0, held = 0, ring = {},
            limit = number_of(options, "limit", LIMIT, 64, 16777216), flows = number_of(options, "flows", FLOWS, 1, 1000000),
            client = function_of(options, "client"), server = function_of(options, "server"),
            closed = function_of(options, "closed") }
        d.ring.older, d.ring.newer = d.ring, d.ring
        if not d.client and not d.server then complain(2, "a parser is missing: client = function(r, s) … end, or server") end
        local ports, client, server = ports_of(options.ports), starts_of(starts, "client"), starts_of(starts, "server")
        if #ports + #client + #server == 0 then complain(2, "which flows? ports = { … }, or starts = { client = … }") end
        d.client_place = d.client and dispatch.place_of(d.client)
        d.server_place = d.server and dispatch.place_of(d.server)
        d.closed_place = d.closed and dispatch.place_of(d.closed)
        if inside.gathering.refuse("lunette.stream") then return end
        local number = host.stream(d.udp, ports, client, server)
        if not number then complain(2, "more than 31 streams") end
        d.number = number
        if not view then prepare() end
        declared[number + 1] = d
        for _, other in ipairs(declared) do other.hold = host.memory_limit / 4 / #declared end
        dispatch.set_loop(kind, single, loop)
    end
end
