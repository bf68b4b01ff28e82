-- Readers: what a stream's parser takes bytes from. A reader waits, in the middle of the parser, until the bytes that
-- it was asked for have come; the parser runs in a coroutine, and waiting is a yield (stream.lua resumes it).
--
-- Behind each reader is a `side`, which no script can reach: one direction of one flow. Its bytes lie where they came,
-- in the batch's text, as long as the parser keeps up; what it leaves over is copied to a buffer of the side's own, and
-- what comes next is put behind that. So bytes are copied only where a message was cut in two.
--
-- A side's bytes are those from `at` to `edge`; that is where they end (`length`), or where r:within put it.
--
-- Whether a request is granted, and what is given up for being too long, depends on the bytes alone and never on how
-- they were cut into segments: a request is held against the limit before it is held against what is there.
return function(inside)
    local ffi, api = inside.ffi, inside.api
    local yield, min = coroutine.yield, math.min
    local text_type = ffi.typeof("const char *")
    local buffer_type = ffi.typeof("uint8_t[?]")
    local KEEP = 4096 -- bytes of a buffer that is kept for the next time
    local readers, methods = {}, {}
    local sides = {} -- reader → side
    local running    -- the side whose parser is at work

    -- The trace compiler cannot follow a yield: it is told where not to look.
    local function pause(reason) yield(reason) end
    inside.jit.off(pause)

    local function mine(r)
        local side = sides[r]
        if side == nil or side ~= running then
            error("a reader is used by its own parser only, while that runs: r:u8(), with a colon", 3)
        end
        return side
    end

    -- Ends the parser from within.
    local function give_up(side, reason)
        side.reason = reason
        while true do pause(reason) end
    end

    local TOO_SHORT = {} -- the error of a function that reads beyond what r:within gave it

    local function wait(side, n)
        while side.edge - side.at < n do
            if side.fenced then error(TOO_SHORT, 0) end
            side.want = n
            pause()
        end
    end

    -- A number of bytes that a script asks for. Numbers may come from the wire: too many is no mistake of the script's.
    local function check(side, n)
        if type(n) ~= "number" or not (n >= 0) then
            if side.fenced and type(n) == "number" then error(TOO_SHORT, 0) end
            error("a number of bytes is expected, got " .. (type(n) == "number" and tostring(n) or type(n)), 3)
        end
        if n > side.limit then
            if side.fenced then error(TOO_SHORT, 0) end
            give_up(side, "limit")
        end
        if n % 1 ~= 0 then error(("a whole number of bytes is expected, got %g"):format(n), 3) end
    end

    function methods.need(r, n)
        local side = mine(r)
        check(side, n)
        wait(side, n)
        return true
    end

    -- Takes n bytes: where they begin.
    local function take(side, n)
        if side.edge - side.at < n then wait(side, n) end
        local at = side.at
        side.at = at + n
        return at
    end

    function methods.u8(r)
        local side = mine(r)
        local at = take(side, 1)
        return side.base[at]
    end
    function methods.u16be(r)
        local side = mine(r)
        local at = take(side, 2)
        local p = side.base
        return p[at] * 256 + p[at + 1]
    end
    function methods.u16le(r)
        local side = mine(r)
        local at = take(side, 2)
        local p = side.base
        return p[at] + p[at + 1] * 256
    end
    function methods.u24be(r)
        local side = mine(r)
        local at = take(side, 3)
        local p = side.base
        return (p[at] * 256 + p[at + 1]) * 256 + p[at + 2]
    end
    function methods.u24le(r)
        local side = mine(r)
        local at = take(side, 3)
        local p = side.base
        return p[at] + (p[at + 1] + p[at + 2] * 256) * 256
    end
    local function u32be(p, at) return ((p[at] * 256 + p[at + 1]) * 256 + p[at + 2]) * 256 + p[at + 3] end
    local function u32le(p, at) return p[at] + (p[at + 1] + (p[at + 2] + p[at + 3] * 256) * 256) * 256 end
    function methods.u32be(r)
        local side = mine(r)
        local at = take(side, 4)
        return u32be(side.base, at)
    end
    function methods.u32le(r)
        local side = mine(r)
        local at = take(side, 4)
        return u32le(side.base, at)
    end
    function methods.u64be(r)
        local side = mine(r)
        local at = take(side, 8)
        return u32be(side.base, at) * 4294967296 + u32be(side.base, at + 4)
    end
    function methods.u64le(r)
        local side = mine(r)
        local at = take(side, 8)
        return u32le(side.base, at) + u32le(side.base, at + 4) * 4294967296
    end

    function methods.bytes(r, n)
        local side = mine(r)
        check(side, n)
        local at = take(side, n)
        return ffi.string(side.base + at, n)
    end

    function methods.peek(r, n)
        local side = mine(r)
        check(side, n)
        wait(side, n)
        return ffi.string(side.base + side.at, n)
    end

    -- What is skipped need not wait anywhere, so there is no limit to it.
    function methods.skip(r, n)
        local side = mine(r)
        if type(n) ~= "number" or not (n >= 0) or n % 1 ~= 0 then
            if side.fenced and type(n) == "number" then error(TOO_SHORT, 0) end
            error("a whole number of bytes is expected, got " .. (type(n) == "number" and tostring(n) or type(n)), 2)
        end
        while n > 0 do
            wait(side, 1)
            local some = min(n, side.edge - side.at)
            side.at = side.at + some
            n = n - some
        end
    end

    local function upto(side, text, limit)
        local size, scanned = #text, 0
        while true do
            local here = side.edge - side.at
            local span = min(here, limit + size)
            if span - scanned >= size then
                local found = api.find(ffi.cast(text_type, side.base) + (side.at + scanned), span - scanned, text, size)
                if found >= 0 then
                    local at = take(side, scanned + found + size)
                    return ffi.string(side.base + at, scanned + found)
                end
                scanned = span - size + 1
            end
            if span == limit + size then give_up(side, "limit") end
            wait(side, here + 1)
        end
    end

    local function check_limit(side, limit)
        if limit == nil then return side.limit end
        if type(limit) ~= "number" or not (limit >= 0) then
            error("the limit is a number of bytes, got " .. (type(limit) == "number" and tostring(limit) or type(limit)), 3)
        end
        return min(math.floor(limit), side.limit)
    end

    function methods.upto(r, text, limit)
        local side = mine(r)
        if type(text) ~= "string" or #text == 0 or #text > 256 then
            error("r:upto: a string of 1 to 256 bytes is expected", 2)
        end
        return upto(side, text, check_limit(side, limit))
    end

    -- The limit is the line's, without what ends it.
    function methods.line(r, limit)
        local side = mine(r)
        limit = check_limit(side, limit)
        local line = upto(side, "\n", limit + 1)
        if line:byte(-1) == 13 then line = line:sub(1, -2) end
        if #line > limit then give_up(side, "limit") end
        return line
    end

    -- Everything up to the end of the stream.
    function methods.rest(r)
        local side = mine(r)
        while not side.over and not side.fenced do
            local here = side.edge - side.at
            if here > side.limit then give_up(side, "limit") end
            side.until_end, side.want = true, here + 1
            pause()
            side.until_end = false
        end
        local at = side.at
        side.at = side.edge
        return ffi.string(side.base + at, side.edge - at)
    end

    local function leave(side, finish, edge, fenced, ok, ...)
        side.at, side.edge, side.fenced = finish, edge, fenced
        if ok then return true, ... end
        if (...) ~= TOO_SHORT then error((...), 0) end
        return false
    end

    -- Lets a function read the next n bytes and none behind them; what it leaves over is skipped. So a length inside of a
    -- message cannot lead out of it. All of the bytes are there before it begins: nothing waits inside.
    function methods.within(r, n, f, ...)
        local side = mine(r)
        check(side, n)
        if type(f) ~= "function" then error("r:within: a function is expected after the number of bytes, got " .. type(f), 2) end
        wait(side, n)
        local edge, fenced = side.edge, side.fenced
        local finish = side.at + n
        side.edge, side.fenced = finish, true
        return leave(side, finish, edge, fenced, pcall(f, r, ...))
    end

    function methods.available(r)
        local side = mine(r)
        return side.edge - side.at
    end

    function methods.position(r)
        local side = mine(r)
        return side.origin + side.at
    end

    function methods.stop(r) give_up(mine(r), "stop") end

    local names = {}
    for name in pairs(methods) do names[#names + 1] = name end
    local meta = {
        __index = function(_, name)
            local method = methods[name]
            if method then return method end
            local near = inside.nearest(tostring(name), names)
            error(("a reader has no '%s'%s"):format(tostring(name), near and "; did you mean '" .. near .. "'?" or ""), 2)
        end,
        __newindex = function() error("a reader cannot be changed: keep your own values in s.state", 2) end,
        __tostring = function() return "reader" end,
        __metatable = false,
    }

    local nothing = ffi.new(buffer_type, 1)

    -- A side and its reader. `parser` is a script's function.
    function readers.new(parser, limit)
        local r = setmetatable({}, meta)
        local side = { r = r, parser = parser, limit = limit, want = 0, base = nothing, at = 0, length = 0, edge = 0, origin = 0,
            capacity = 0 }
        sides[r] = side
        return side
    end

    -- Nothing is read from it any more. Returns how many bytes less are held.
    function readers.drop(side)
        local held = side.capacity
        sides[side.r] = nil
        side.dead, side.co, side.buffer, side.capacity, side.base = true, nil, nil, 0, nothing
        return held
    end

    -- Makes `length` bytes at `data` the side's next ones. They stay where they are if nothing waits before them.
    local function put(side, data, length)
        local left = side.length - side.at
        if left == 0 then
            side.origin = side.origin + side.at
            side.base, side.at, side.length = data, 0, length
            return
        end
        -- What is left lies in the side's own buffer: readers.keep saw to that.
        if side.length + length > side.capacity then
            local buffer, at = side.buffer, side.at
            if left + length > side.capacity or at < left then
                side.capacity = math.max(1024, 2 * (left + length))
                side.buffer = ffi.new(buffer_type, side.capacity)
            end
            ffi.copy(side.buffer, buffer + at, left)
            side.origin, side.at, side.length = side.origin + at, 0, left
        end
        ffi.copy(side.buffer + side.length, data, length)
        side.base, side.length = side.buffer, side.length + length
    end

    -- The text that the bytes lie in will be gone: copies what is left.
    local function keep(side)
        local left = side.length - side.at
        if side.base == side.buffer then
            if left > 0 or side.capacity <= KEEP then return end
            side.buffer, side.capacity = nil, 0
        elseif left > 0 then
            if left > side.capacity then
                side.capacity = math.max(1024, 2 * left)
                side.buffer = ffi.new(buffer_type, side.capacity)
            end
            ffi.copy(side.buffer, side.base + side.at, left)
            side.origin, side.at, side.length = side.origin + side.at, 0, left
            side.base = side.buffer
            return
        end
        side.origin, side.at, side.length, side.base = side.origin + side.at, 0, 0, nothing
    end

    local resume, status, create = coroutine.resume, coroutine.status, coroutine.create

    local traceback = inside.dispatch.traceback
    local function body(parser, r, s) return xpcall(parser, traceback, r, s) end

    -- Lets the parser run. Returns true, or false and the error with its traceback. Afterwards side.dead says whether it
    -- came to its end, and side.reason whether it was given up ("limit", "stop").
    local function run(side, s)
        side.edge = side.length
        local co, alive, ok, message = side.co, nil, nil, nil
        running = side
        if co then
            alive, ok, message = resume(co)
        else
            co = create(body)
            side.co = co
            alive, ok, message = resume(co, side.parser, side.r, s)
        end
        running = nil
        if not alive then return false, tostring(ok) end
        if status(co) ~= "dead" then
            if side.reason == "limit" then side.place = inside.trace.waits_at(co) end
            return true
        end
        side.finished = true
        return ok, message
    end
    inside.jit.off(run)

    -- Gives bytes to the side's parser. Returns as run, and how many bytes more are held.
    function readers.feed(side, s, data, length)
        local held = side.capacity
        put(side, data, length)
        local ok, message = true, nil
        if side.length - side.at >= side.want then ok, message = run(side, s) end
        keep(side)
        return ok, message, side.capacity - held
    end

    -- The stream is over: for a parser that waits for just that.
    function readers.finish(side, s)
        side.over = true
        return run(side, s)
    end

    -- A datagram: the parser begins anew, and what it waits for never comes.
    function readers.datagram(side, s, data, length)
        side.base, side.at, side.length, side.origin, side.want = data, 0, length, 0, 0
        side.co, side.reason, side.finished, side.fenced, side.over = nil, nil, nil, nil, true
        local ok, message = run(side, s)
        side.base, side.at, side.length, side.co = nothing, 0, 0, nil
        return ok, message
    end

    return readers
end
