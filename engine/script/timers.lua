-- Timers on the clock of the packets. They wait in a binary heap ordered by (time, number), so that those due at the
-- same time run in the order in which they were set. `feed.due` tells the dispatch loops when to look here.
--
-- A periodic timer runs CATCH_UP times into a hole of the capture (or a jump of its clock), and then once at the hole's end:
-- else it might run for years. Only what the packets say decides that, never how late a batch is handled.
--
-- Timers that the script's body sets outlive a reload: the n-th `every` (or `after`) of the same seconds takes the place of
-- the n-th of before. Their functions are the new script's. What handlers set cannot be known again, and is lost.
local CATCH_UP = 1000

return function(inside)
    local feed = inside.feed
    local heap, numbered, origin = {}, 0, nil
    local clock = {}
    local body = {} -- what the script's body set, in order; the engine reads it (handover.c)
    local inherited -- by kind and seconds: a list of { at =, done = }

    local function before(a, b) return a.at < b.at or (a.at == b.at and a.number < b.number) end

    local function push(timer)
        local i = #heap + 1
        heap[i] = timer
        while i > 1 do
            local parent = math.floor(i / 2)
            if not before(heap[i], heap[parent]) then break end
            heap[i], heap[parent] = heap[parent], heap[i]
            i = parent
        end
        feed.due = heap[1].at
    end

    local function pop()
        local top, last = heap[1], table.remove(heap)
        if #heap > 0 then
            heap[1] = last
            local i = 1
            while true do
                local least = i
                for child = 2 * i, 2 * i + 1 do
                    if heap[child] and before(heap[child], heap[least]) then least = child end
                end
                if least == i then break end
                heap[i], heap[least] = heap[least], heap[i]
                i = least
            end
        end
        feed.due = heap[1] and heap[1].at or math.huge
        return top
    end

    local waiting = {} -- set before the first packet: their time is not known yet

    local function add(seconds, every, handler)
        if inside.gathering.skips() then return end
        if #heap + #waiting >= 100000 then error("more than 100000 timers", 3) end
        numbered = numbered + 1
        local timer = { at = seconds, number = numbered, seconds = seconds, every = every, handler = handler, done = false }
        if not inside.loaded then body[#body + 1] = timer end
        if origin then
            timer.at = feed.now + seconds
            push(timer)
        else
            waiting[#waiting + 1] = timer
        end
    end

    local function check(what, seconds, handler)
        if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 or (what == "every" and seconds < 0.001) then
            error("lunette." .. what .. ": seconds must be a positive number, got " .. tostring(seconds), 3)
        end
        if type(handler) ~= "function" then
            error("lunette." .. what .. ": a function is expected after the seconds, got " .. type(handler), 3)
        end
    end

    function clock.every(seconds, handler)
        check("every", seconds, handler)
        add(seconds, seconds, handler)
    end

    function clock.after(seconds, handler)
        check("after", seconds, handler)
        add(seconds, nil, handler)
    end

    local function kind_of(every, seconds) return (every and "every " or "after ") .. ("%.17g"):format(seconds) end

    -- The next time of a timer that may have been asleep since.
    local function resumed(timer, at, now)
        if at >= now then return at end
        if not timer.every then return now end
        return at + math.ceil((now - at) / timer.every) * timer.every
    end

    function clock.start(now)
        origin = now
        local nth = {}
        for _, timer in ipairs(waiting) do
            local kind = kind_of(timer.every, timer.seconds)
            nth[kind] = (nth[kind] or 0) + 1
            local old = inherited and inherited[kind] and inherited[kind][nth[kind]]
            if old and old.done then
                timer.done, timer.handler = true, nil
            else
                timer.at = old and resumed(timer, old.at, now) or now + timer.at
                push(timer)
            end
        end
        waiting, inherited = {}, nil
    end

    -- For the hand-over. A timer of before: at the start it is given to the timer of the body that stands in its place.
    clock.kept = { body = body }
    function clock.kept.inherit(every, seconds, at, done)
        local kind = kind_of(every, seconds)
        inherited = inherited or {}
        inherited[kind] = inherited[kind] or {}
        table.insert(inherited[kind], { at = at, done = done })
    end
    -- Is the clock running, and how many timers wait that handlers have set?
    function clock.kept.figures()
        local own = #heap + #waiting
        for i = 1, #body do
            if not body[i].done then own = own - 1 end
        end
        return origin ~= nil, own
    end

    -- When a periodic timer runs next.
    local function following(timer)
        local at, every = timer.at + timer.every, timer.every
        if at > feed.hole_from + CATCH_UP * every and at < feed.hole_to then
            at = at + math.floor((feed.hole_to - at) / every) * every
        end
        return at
    end

    -- Runs what is due up to and at `now`. `call` calls a handler and deals with its errors; true from it means: stop here.
    function clock.run(now, call)
        while feed.due <= now do
            local timer = pop()
            local at, handler = timer.at, timer.handler
            feed.now = at
            if timer.every then
                timer.at = following(timer)
                push(timer)
            else
                timer.done, timer.handler = true, nil
            end
            feed.in_timer, feed.turns = 1, feed.turns + 1
            local off = call(handler, at)
            feed.in_timer = 0
            if off or feed.pause ~= 0 then return true end
        end
    end

    feed.due = math.huge
    return clock
end
