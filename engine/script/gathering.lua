-- Gathering over workers: lunette.send in the workers' states, lunette.gather and lunette.receive in the one that gathers.
--
-- A script with lunette.gather is loaded once more, into one state for all workers. There the body runs as everywhere, but
-- what it subscribes to and its timers are left out (`skips`); then the function that it gave to lunette.gather runs, and
-- is part of the body. In a worker's state that function is never called.
--
-- Messages go from here through the FFI into the worker's bag (mail.c), so that a handler that sends stays compiled; only
-- tables take the dearer way through a C function. At the other end they come as an array of structs, and are handled in a
-- loop like events are (dispatch.lua). Alerts of other scripts come the same way to who asked for them (overhear.h).
local NOTHING, NUMBER, TEXT, BOOLEAN, TABLE = 0, 1, 2, 3, 4
local TOO_LARGE = 1

return function(inside, mail_pointer)
    local ffi, api, feed, host = inside.ffi, inside.api, inside.feed, inside.host
    local me = ffi.cast("struct lunette_detector *", host.detector)
    local mail = mail_pointer and ffi.cast("struct lunette_mail *", mail_pointer)
    local text = ffi.string
    local gathering = {}
    local part          -- the function given to lunette.gather
    local inside_part   -- while it runs
    local receiver, alert_receiver

    -- In the state that gathers, what the body alone asks for is left out.
    function gathering.skips() return mail ~= nil and not inside_part and not inside.loaded end

    -- The same for what has no meaning there at all.
    function gathering.refuse(what)
        if inside_part then
            error(what .. ": no events come where messages are gathered: ask for them in the file's body", 3)
        end
        return mail ~= nil
    end

    -- ---------------------------------------------------------------- sending

    local function refuse_to_send()
        if mail and (inside_part or inside.loaded) then
            error("lunette.send: this is where messages are gathered; they are sent by handlers of events", 3)
        end
        if not inside.loaded then error("lunette.send: nothing has happened yet: call it in a handler", 3) end
        error("lunette.send: nobody receives it: the script has no lunette.gather", 3)
    end
    local function refuse_key(key)
        error("lunette.send: the key must be a string or a number, got " .. (key ~= key and "NaN" or type(key)), 3)
    end
    local function refuse_value(kind)
        error("lunette.send: the value must be a string, a number, a boolean or a table of them, got " .. kind, 3)
    end
    local function too_large() error("lunette.send: key and value take more than 64 KiB", 3) end

    local function send_table(key, value)
        local outcome = host.send_table(key, value)
        if not outcome then
            error("lunette.send: the table is larger than 64 KiB, or has something in it that is no string, number, " ..
                "boolean or table of them, or itself", 3)
        end
        return outcome
    end

    -- Can anything be sent at all?
    local ready = false

    function gathering.send(key, value)
        if not ready or not inside.loaded then refuse_to_send() end
        local key_text, key_length, key_number = nil, 0, 0
        local kind = type(key)
        if kind == "string" then key_text, key_length = key, #key
        elseif kind == "number" and key == key then key_number = key
        else refuse_key(key) end
        kind = type(value)
        local outcome
        if kind == "string" then outcome = api.send(me, key_text, key_length, key_number, TEXT, value, #value, 0)
        elseif kind == "number" then outcome = api.send(me, key_text, key_length, key_number, NUMBER, nil, 0, value)
        elseif kind == "nil" then outcome = api.send(me, key_text, key_length, key_number, NOTHING, nil, 0, 0)
        elseif kind == "boolean" then outcome = api.send(me, key_text, key_length, key_number, BOOLEAN, nil, 0, value and 1 or 0)
        elseif kind == "table" then outcome = send_table(key, value)
        else refuse_value(kind) end
        if outcome == TOO_LARGE then too_large() end
    end

    -- -------------------------------------------------------------- declaring

    function gathering.gather(body)
        if inside.loaded then error("lunette.gather: call it when the script is loaded, not in a handler", 2) end
        if type(body) ~= "function" then error("lunette.gather: a function is expected, got " .. type(body), 2) end
        if part then error("lunette.gather: a script has one part that gathers, and this is the second", 2) end
        part = body
        if not mail then
            ready = true
            host.gathers()
        end
    end

    function gathering.receive(handler)
        if not inside_part then
            error("lunette.receive: call it in the function that is given to lunette.gather", 2)
        end
        if type(handler) ~= "function" then error("lunette.receive: a function is expected, got " .. type(handler), 2) end
        if receiver then error("lunette.receive: one function receives, and this is the second", 2) end
        receiver = handler
    end

    function gathering.receive_alerts(handler)
        if not inside_part then
            error("lunette.receive_alerts: call it in the function that is given to lunette.gather", 2)
        end
        if type(handler) ~= "function" then
            error("lunette.receive_alerts: a function is expected, got " .. type(handler), 2)
        end
        if alert_receiver then error("lunette.receive_alerts: one function receives, and this is the second", 2) end
        alert_receiver = handler
        host.hears()
    end

    -- The file's body is done.
    function gathering.load()
        if not (mail and part) then return end
        host.gather_begins()
        inside_part = true
        part()
        inside_part = false
    end

    -- -------------------------------------------------------------- receiving

    local single, loop, recover

    local function value_of(message, i)
        local kind = message.value_kind
        if kind == TEXT then return text(message.value, message.value_length) end
        if kind == NUMBER then return message.value_number end
        if kind == BOOLEAN then return message.value_number ~= 0 end
        if kind == TABLE then return (host.mail_value(i)) end
    end

    -- Made when the first message comes: by then all that they need is there. As in dispatch.lua, it is the run that is
    -- called protected.
    local function build()
        local h1, h2, dispatch, profile = receiver, alert_receiver, inside.dispatch, inside.profile
        local timers = dispatch.timers
        local place, place_of_alerts = h1 and dispatch.place_of(h1), h2 and dispatch.place_of(h2)
        local slot = profile and h1 and profile.slot("receive", h1)
        local slot_of_alerts = profile and h2 and profile.slot("receive_alerts", h2)
        local function hear(i)
            if not h2 then return end
            feed.place = place_of_alerts
            local alert = host.mail_value(i)
            feed.running = 2
            if profile then profile.enter(profile.detector, slot_of_alerts) end
            h2(alert)
            if profile then profile.leave(profile.detector) end
            feed.streak = 0
        end
        function single(i)
            local message = mail.messages[i]
            local time = message.time
            if time >= feed.due then
                feed.running = 0
                if timers(time) then return true end
            end
            feed.now, mail.current, feed.running = time, i, 0
            if message.is_alert ~= 0 then
                hear(i)
                return false
            end
            if not h1 then return false end
            feed.place = place
            local key
            if message.key_kind == TEXT then key = text(message.key, message.key_length) else key = message.key_number end
            local value = value_of(message, i)
            feed.running = 1
            if profile then profile.enter(profile.detector, slot) end
            h1(key, value, time)
            if profile then profile.leave(profile.detector) end
            feed.streak = 0
            return false
        end
        function loop(from, to)
            for i = from, to - 1 do
                if single(i) then return true end
            end
        end
        function recover(message)
            local running = feed.running
            if running == 0 then error(message, 0) end -- it was neither's error
            if profile then profile.leave(profile.detector) end
            if running == 2 then return dispatch.failed("receive_alerts function", h2, message) end
            return dispatch.failed("receive function", h1, message)
        end
    end

    -- What came. Called by the engine.
    function gathering.run()
        local count, dispatch = mail.count, inside.dispatch
        if count > 0 and (receiver or alert_receiver) then
            if not loop then build() end
            local from = 0
            while from < count do
                feed.running = 0
                local stop, message = host.run(dispatch.traceback, single, loop, from, count)
                if stop or message ~= nil and recover(message) then return end
                from = message ~= nil and mail.current + 1 or count
            end
        end
        if feed.due <= feed.end_clock and dispatch.timers(feed.end_clock) then return end
        feed.now = feed.end_clock
    end
    inside.jit.off(gathering.run)

    return gathering
end
