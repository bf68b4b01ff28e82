-- Named state: bounded maps whose entries age.
--
-- `slots` is the bookkeeping that lunette.state and lunette.records share: which key has which slot, when was it last
-- set, who gives way when all slots are taken. That is decided by the second-chance clock (Corbató 1968): a hand goes round;
-- an entry used since the hand's last visit is spared once. No list is moved when an entry is used.
return function(inside)
    local feed = inside.feed
    local store = {}
    local names = {}
    local made_early = {} -- functions that give a clock to what was set before there was one

    function store.check(what, name, options)
        if type(name) ~= "string" or name == "" then error(what .. ": a name is expected first", 3) end
        if names[name] then error(what .. ": there is a state named '" .. name .. "' already", 3) end
        if type(options) ~= "table" then error(what .. ": a table { max = … } is expected after the name", 3) end
        local max, ttl = options.max, options.ttl
        if type(max) ~= "number" or max < 1 or max > 16777216 or max % 1 ~= 0 then
            error(what .. ": max must be a whole number from 1 to 16777216, got " .. tostring(max), 3)
        end
        if ttl ~= nil and (type(ttl) ~= "number" or not (ttl > 0)) then
            error(what .. ": ttl must be a number of seconds, got " .. tostring(ttl), 3)
        end
        names[name] = true
        return max, ttl or math.huge
    end

    local function check_key(key)
        local kind = type(key)
        if kind ~= "string" and kind ~= "number" or key ~= key then
            error("a key must be a string or a number, got " .. (key ~= key and "NaN" or kind), 4)
        end
    end

    -- `forget(slot)` is called when an entry goes.
    function store.slots(max, ttl, forget)
        local slot_of, keys, set_at, used, free = {}, {}, {}, {}, {}
        local count, high, hand, evicted = 0, 0, 0, 0
        local slots = {}

        local function drop(slot)
            slot_of[keys[slot]], keys[slot] = nil, nil
            free[#free + 1] = slot
            count = count - 1
            forget(slot)
        end

        -- A key's slot, or nil; an entry past its time is dropped on the way.
        function slots.find(key)
            local slot = slot_of[key]
            if not slot then return nil end
            if feed.now - set_at[slot] > ttl then
                drop(slot)
                return nil
            end
            used[slot] = true
            return slot
        end

        local function make_room()
            while true do
                hand = hand % max + 1
                if keys[hand] ~= nil then
                    if feed.now - set_at[hand] > ttl or not used[hand] then
                        if feed.now - set_at[hand] <= ttl then
                            evicted = evicted + 1
                            feed.evicted = feed.evicted + 1
                        end
                        drop(hand)
                        return
                    end
                    used[hand] = false
                end
            end
        end

        -- A key's slot, made if need be; the second result is true if it was.
        function slots.take(key)
            check_key(key)
            local slot = slots.find(key)
            if slot then
                set_at[slot] = feed.now
                return slot, false
            end
            if count >= max then make_room() end
            slot = table.remove(free)
            if not slot then
                high = high + 1
                slot = high
            end
            count = count + 1
            slot_of[key], keys[slot], set_at[slot], used[slot] = slot, key, feed.now, false
            return slot, true
        end

        function slots.delete(key)
            local slot = slot_of[key]
            if slot then drop(slot) end
        end

        function slots.count() return count end
        function slots.evicted() return evicted end

        if not inside.loaded then
            made_early[#made_early + 1] = function(clock)
                for slot = 1, high do set_at[slot] = clock end
            end
        end

        -- Iterates (slot, key) in the order of slots, skipping what is past its time.
        function slots.each()
            local slot = 0
            return function()
                while slot < high do
                    slot = slot + 1
                    if keys[slot] ~= nil and feed.now - set_at[slot] <= ttl then return slot, keys[slot] end
                end
            end
        end
        return slots
    end

    -- The first packet: what the script's body set is as old as that.
    function store.start(clock)
        for _, give_clock in ipairs(made_early) do give_clock(clock) end
    end

    function store.state(name, options)
        local max, ttl = store.check("lunette.state", name, options)
        local values = {}
        local slots = store.slots(max, ttl, function(slot) values[slot] = nil end)
        local state = {}
        function state:get(key)
            local slot = slots.find(key)
            if slot then return values[slot] end
        end
        function state:set(key, value)
            if value == nil then return slots.delete(key) end
            values[slots.take(key)] = value
        end
        function state:count() return slots.count() end
        function state:evicted() return slots.evicted() end
        function state:each()
            local next_slot = slots.each()
            return function()
                local slot, key = next_slot()
                if slot then return key, values[slot] end
            end
        end
        return state
    end
    return store
end
