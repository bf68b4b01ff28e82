-- From the feed to the handlers.
--
-- For each kind of event that the script handles, a loop is generated with its handlers written out one after the
-- other, so that LuaJIT compiles loop and handlers into one trace. Short runs go event by event through a function of the
-- same text: a loop that is left after a turn or two cannot be compiled, and LuaJIT, having tried some times, would never
-- try that loop again. A call into Lua handles one batch; it is C that goes from run to run (calls.c).
--
-- It is the run that is called protected, from C, and not each handler: a trace that begins inside of a handler (a loop of
-- the handler's own, a function that many call) cannot lead out through a pcall of Lua's, but it can return into the loop,
-- or to C. If a handler fails, its error is reported, the event's other handlers are called, and the run goes on behind that
-- event, unless it was one failure too many: then the detector is off at once, in the middle of the batch, so that nothing
-- depends on where a batch ends.
return function(inside)
    local feed, host, profile = inside.feed, inside.host, inside.profile
    local handlers, singles, loops, dispatch = {}, {}, {}, {}
    local at_end = {}

    -- The message handler of every protected call. It must not run code of the script's: an error that is a table may
    -- have a __tostring.
    function dispatch.traceback(message)
        if type(message) ~= "string" then message = "(error object is a " .. type(message) .. ")" end
        return inside.trace.told(message)
    end
    local traceback = dispatch.traceback

    -- Where a handler stands in the script, and the number under which the engine knows that place.
    local places = setmetatable({}, { __mode = "k" })
    local known_places = {}
    local function place_of(handler)
        if places[handler] then return places[handler] end
        local where = inside.debug.getinfo(handler, "S")
        local text = where.short_src .. ":" .. where.linedefined
        known_places[text] = known_places[text] or host.place(text) or 0
        places[handler] = known_places[text]
        return places[handler]
    end

    -- For kinds whose loop is not generated: stream.lua.
    function dispatch.set_loop(kind, single, loop) singles[kind], loops[kind] = single, loop end

    -- Reports a failure; true if the detector is switched off by it.
    local function failed(what, handler, message)
        local where = inside.debug.getinfo(handler, "S")
        return host.failed(what, where.short_src .. ":" .. where.linedefined, tostring(message))
    end

    -- Generates the loop for one kind. It returns true if the detector was switched off on the way.
    local function build(kind)
        local own = handlers[kind]
        local lines = {
            "local feed, view, timers, band, h, enter, leave, detector = ...",
        }
        for i = 1, #own do lines[#lines + 1] = ("local h%d = h[%d]"):format(i, i) end
        local function body()
            if inside.emits then lines[#lines + 1] = "    if n >= feed.stop then return true end" end
            lines[#lines + 1] = "    local clock = feed.clock[n]"
            lines[#lines + 1] = "    if clock >= feed.due then feed.running = 0 if timers(clock) then return true end end"
            lines[#lines + 1] = "    feed.now, feed.current = clock, n"
            lines[#lines + 1] = "    local mask = feed.mask[n]"
            for i = 1, #own do
                lines[#lines + 1] = ("    if band(mask, %d) ~= 0 then"):format(2 ^ (i - 1))
                lines[#lines + 1] = ("      feed.place, feed.running = %d, %d"):format(place_of(own[i]), i)
                if profile then
                    lines[#lines + 1] = ("      enter(detector, %d)"):format(profile.slot(inside.schema[kind].name, own[i]))
                end
                lines[#lines + 1] = ("      h%d(view(feed.view[n]))"):format(i)
                if profile then lines[#lines + 1] = "      leave(detector)" end
                lines[#lines + 1] = "      feed.streak = 0"
                lines[#lines + 1] = "    end"
            end
        end
        lines[#lines + 1] = "return function(n)"
        body()
        lines[#lines + 1] = "end, function(from, to)"
        lines[#lines + 1] = "  for n = from, to - 1 do"
        body()
        lines[#lines + 1] = "  end"
        lines[#lines + 1] = "end"
        local name = inside.schema[kind].name
        local chunk = assert(load(table.concat(lines, "\n"), "=loop over " .. name, "t"))
        singles[kind], loops[kind] = chunk(feed, inside.views.constructors[kind], dispatch.timers, inside.bit.band, own,
            profile and profile.enter, profile and profile.leave, profile and profile.detector)
    end

    -- A handler failed: reports it, and calls the event's handlers that come after it. True if the detector is off now.
    local function recover(message, kind)
        local n, first = feed.current, feed.running
        if first == 0 then error(message, 0) end -- it was no handler's error
        local own, name = handlers[kind], "handler for " .. inside.schema[kind].name
        if profile then profile.leave(profile.detector) end
        if failed(name, own[first], message) then return true end
        for i = first + 1, #own do
            if inside.bit.band(feed.mask[n], 2 ^ (i - 1)) ~= 0 then
                feed.place = place_of(own[i])
                if profile then profile.begin(inside.schema[kind].name, own[i]) end
                local why = host.call(traceback, own[i], inside.views.constructors[kind](feed.view[n]))
                if profile then profile.done() end
                if why == nil then feed.streak = 0 elseif failed(name, own[i], why) then return true end
            end
        end
    end
    inside.jit.off(recover)

    -- Calls a handler that is not an event's; true if the detector was switched off by it.
    local function call(what, handler, now)
        feed.place = place_of(handler)
        if profile then profile.begin(what, handler) end
        local message = host.call(traceback, handler, now)
        if profile then profile.done() end
        if message ~= nil then return failed(what, handler, message) end
        feed.streak = 0
    end
    dispatch.failed, dispatch.place_of = failed, place_of
    local function call_timer(handler, now) return call("timer", handler, now) end

    function dispatch.timers(now) return inside.clock.run(now, call_timer) end

    -- Adds the conditions of one field to a handler's filter.
    local function add_condition(kind, number, field, value)
        local is_list = type(value) == "table" and not inside.sets.pointer(value)
        local alternatives = is_list and value or { value }
        if #alternatives == 0 then return "the filter on '" .. tostring(field) .. "' is empty" end
        for i = 1, #alternatives do
            local alternative = alternatives[i]
            local message
            if field == "bpf" then message = host.where_bpf(kind, number, alternative)
            else message = host.where(kind, number, field, inside.sets.pointer(alternative) or alternative) end
            if message then return message end
        end
    end

    function dispatch.on(kind_name, filter, handler)
        -- What a handler subscribes would see or miss the rest of the batch, depending on the batch's size.
        if inside.loaded then error("lunette.on: subscribe when the script is loaded, not in a handler", 2) end
        local kind
        local names = {}
        for number, name in pairs(inside.kinds) do
            names[#names + 1] = name
            if name == kind_name then kind = number end
        end
        local why
        if not kind and type(kind_name) == "string" and kind_name:find(".", 1, true) then
            if inside.gathering.refuse("lunette.on") then return end -- there are no other scripts there
            kind, why = inside.events.find(kind_name)
            if not kind then error("lunette.on: " .. why, 2) end
        end
        if not kind then
            local near = inside.nearest(tostring(kind_name), names)
            error(("lunette.on: there is no event '%s'%s"):format(tostring(kind_name),
                near and "; did you mean '" .. near .. "'?" or " (see `lunette events`)"), 2)
        end
        if handler == nil then filter, handler = nil, filter end
        if type(handler) ~= "function" then
            error("lunette.on: a handler function is expected, got " .. type(handler), 2)
        end
        if filter ~= nil and type(filter) ~= "table" then
            error("lunette.on: the filter must be a table, got " .. type(filter), 2)
        end
        if kind_name == "stream" then error("lunette.on: streams are read by a parser: lunette.stream { … }", 2) end
        if inside.gathering.refuse("lunette.on") then return end
        local number = host.subscribe(kind)
        if not number then error("lunette.on: more than 31 handlers of " .. kind_name, 2) end
        handlers[kind] = handlers[kind] or {}
        handlers[kind][number + 1] = handler
        if profile then profile.slot(kind_name, handler) end -- told even if it is never called
        -- Payloads are copied for those who ask: a handler with a bpf filter does, or one that says `payload = true`.
        if kind_name == "packet" and filter and (filter.bpf ~= nil or filter.payload ~= nil) then
            inside.packet_payload = true
            host.want_payload()
        end
        for field, value in pairs(filter or {}) do
            local asks = kind_name == "packet" and field == "payload" and value == true
            local message = not asks and add_condition(kind, number, field, value) or nil
            if message and message:find("no such field", 1, true) then
                local fields = {}
                for i, known in ipairs(inside.schema[kind].fields) do fields[i] = known.name end
                local near = inside.nearest(tostring(field), fields)
                if near then message = message:gsub(" %(see .*", "") .. "; did you mean '" .. near .. "'?" end
            end
            if message then
                host.unsubscribe(kind) -- half a filter would let through what was not asked for
                handlers[kind][number + 1] = nil
                error("lunette.on: " .. message, 2)
            end
        end
    end

    function dispatch.on_end(handler)
        if inside.loaded then error("lunette.on_end: subscribe when the script is loaded, not in a handler", 2) end
        if type(handler) ~= "function" then error("lunette.on_end: a function is expected", 2) end
        if inside.gathering.skips() then return end
        at_end[#at_end + 1] = handler
    end

    -- One batch. Called by the engine.
    dispatch.run = host.batches(traceback, singles, loops, build, recover, dispatch.timers)

    function dispatch.finish(clock)
        feed.now, feed.in_timer = clock, 1
        for _, handler in ipairs(at_end) do
            if call("on_end function", handler, clock) then return end
        end
        feed.in_timer = 0
    end

    return dispatch
end
