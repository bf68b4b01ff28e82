-- Named state: bounded maps whose entries age.
--
-- `slots` is the bookkeeping that lunette.state and lunette.records share: which key has which slot, when was it last
-- set, who gives way when all slots are taken. That is decided by the second-chance clock (Corbató 1968): a hand goes round;
-- an entry used since the hand's last visit is spared once. No list is moved when an entry is used.
--
-- Named state outlives a reload of its script (and a restart): handover.c reads the tables below, and fills those of the
-- same name in the new Lua state. Each is told of in a table of `kept`, made once, so that reading needs no memory. Slots
-- and the hand's place go along, so that whoever gives way afterwards is who would have. A state whose version is another
-- than the one that comes has its entries gone through by the script's migrate, once all states are filled.
local OPTIONS = { max = 1, ttl = 1, keep = 1, version = 1, migrate = 1 }

return function(inside)
    local feed, host, getmetatable = inside.feed, inside.host, inside.debug.getmetatable
    local store = { kept = {} }
    local names = {}
    local starts = {} -- functions that give a clock to what was set before there was one

    function store.check(what, name, options, known)
        if type(name) ~= "string" or name == "" then error(what .. ": a name is expected first", 3) end
        if #name > 255 then error(what .. ": the name is longer than 255 characters", 3) end
        if names[name] then error(what .. ": there is a state named '" .. name .. "' already", 3) end
        if type(options) ~= "table" then error(what .. ": a table { max = … } is expected after the name", 3) end
        inside.unknown.option(what, options, known, 3)
        local max, ttl, keep = options.max, options.ttl, options.keep
        if type(max) ~= "number" or max < 1 or max > 16777216 or max % 1 ~= 0 then
            error(what .. ": max must be a whole number from 1 to 16777216, got " .. tostring(max), 3)
        end
        if ttl ~= nil and (type(ttl) ~= "number" or not (ttl > 0)) then
            error(what .. ": ttl must be a number of seconds, got " .. tostring(ttl), 3)
        end
        if keep ~= nil and type(keep) ~= "boolean" and keep ~= "reload" then
            error(what .. ": keep must be true, false or \"reload\", got " .. tostring(keep), 3)
        end
        local version, migrate = options.version, options.migrate
        if version ~= nil and (type(version) ~= "number" or not (version >= 1 and version < 2 ^ 31) or version % 1 ~= 0) then
            error(what .. ": version must be a whole number from 1, got " .. tostring(version), 3)
        end
        if migrate ~= nil and type(migrate) ~= "function" then
            error(what .. ": migrate must be a function, got " .. type(migrate), 3)
        end
        names[name] = true
        return {
            name = name, max = max, ttl = ttl or math.huge, keep = keep ~= false,
            -- What the engine asks of a state that is kept, beside its tables.
            version = version or 1, migrate = migrate, reload_only = keep == "reload",
            what = ("%s '%s'"):format(what, name),
        }
    end

    local function check_key(key)
        local kind = type(key)
        if kind ~= "string" and kind ~= "number" or key ~= key then
            error("a key must be a string or a number, got " .. (key ~= key and "NaN" or kind), 4)
        end
    end

    -- `content` is what lies in the slots: `forget(slot)` is called when an entry goes, `copy(slot)` gives what `put(slot,
    -- copy)` puts back, `move(from, to)` moves it; `migrate(key, version, own)` lets the script's function bring it to the
    -- version that is declared (`own`: what the body set under that key) and answers whether it stays, and if that failed, why.
    function store.slots(declared, content)
        local max, ttl = declared.max, declared.ttl
        local slot_of, keys, set_at, used, free = {}, {}, {}, {}, {}
        local count, high, hand, evicted = 0, 0, 0, 0
        local slots = {}
        local forget = content.forget

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

        -- The hand goes round until somebody gave way; true if not of age.
        local function make_room(places)
            while true do
                hand = hand % places + 1
                if keys[hand] ~= nil then
                    local over = feed.now - set_at[hand] > ttl
                    if over or not used[hand] then
                        drop(hand)
                        return not over
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
            if count >= max and make_room(max) then
                evicted = evicted + 1
                feed.evicted = feed.evicted + 1
            end
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

        function slots.at(key) return slot_of[key] end -- whatever its age
        function slots.count() return count end
        function slots.evicted() return evicted end

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

        -- What the script's body set (at 0: there was no clock) is as old as the first packet; what was handed over is as old
        -- as it was, unless the clock has been set back since.
        starts[#starts + 1] = function(clock)
            for slot = 1, high do
                if keys[slot] ~= nil and (set_at[slot] == 0 or set_at[slot] > clock) then set_at[slot] = clock end
            end
        end

        -- ------------------------------------------------------ the hand-over

        -- Of a table its fields, for what was added to it by a later version of the script.
        local function fields_of(value)
            if type(value) ~= "table" then return nil end
            local fields = {}
            for field in next, value do
                if type(field) == "string" or type(field) == "number" then fields[field] = true end
            end
            return fields
        end

        local kept = {
            slot_of = slot_of, keys = keys, set_at = set_at, used = used, free = free, early = {},
            name = declared.name, version = declared.version, reload_only = declared.reload_only,
        }
        -- While the hand-over goes on: key → content of what the body set, its keys in order, and what is in its tables.
        local body, body_keys, body_fields
        local waiting, waiting_early -- the version of what came, if it is another; the keys that the body before had set

        function kept.figures() return count, high, hand, evicted end

        -- The script's body is done: what it set is known by that later on.
        function kept.loaded()
            for slot = 1, high do
                if keys[slot] ~= nil then kept.early[keys[slot]] = fields_of(content.copy(slot)) or true end
            end
        end

        -- Makes room for what comes. Returns what the body had set.
        function kept.clear()
            body, body_keys, body_fields = {}, {}, {}
            for slot = 1, high do
                local key = keys[slot]
                if key ~= nil then
                    body[key], body_keys[#body_keys + 1] = content.copy(slot), key
                    if type(body[key]) == "table" then
                        local fields = {}
                        for field, value in next, body[key] do fields[field] = value end
                        body_fields[key] = fields
                    end
                    drop(slot)
                end
            end
            for i = #free, 1, -1 do free[i] = nil end
            count, high, hand, evicted = 0, 0, 0, 0
            return body
        end

        -- More slots were in use than there may be now: some give way, the others move together. Returns how many went.
        local function shrink()
            local before = count
            while count > max do make_room(high) end
            local low = {}
            for i = 1, #free do
                if free[i] <= max then low[#low + 1] = free[i] end
                free[i] = nil
            end
            local next_low = 1
            for slot = max + 1, high do
                local key = keys[slot]
                if key ~= nil then
                    local to = low[next_low]
                    next_low = next_low + 1
                    slot_of[key], keys[to], set_at[to], used[to] = to, key, set_at[slot], used[slot]
                    content.move(slot, to)
                    keys[slot] = nil
                end
                set_at[slot], used[slot] = nil, nil
            end
            for i = #low, next_low, -1 do free[#free + 1] = low[i] end
            high, hand = max, hand % max
            return before - count
        end

        -- What the body set and the one before did not know is added.
        local function add_body(early)
            for _, key in ipairs(body_keys) do
                if slot_of[key] ~= nil then
                    -- The table was filled; what this version of the script has in it and the one before had not is added.
                    local known, target = early[key], body[key]
                    for field, value in next, body_fields[key] or {} do
                        local was_there = type(known) == "table" and known[field]
                        if target[field] == nil and not was_there then target[field] = value end
                    end
                elseif not early[key] then
                    content.put(slots.take(key), body[key])
                end
            end
            body, body_keys, body_fields = nil, nil, nil
        end

        -- The tables are filled. Returns how many of the entries had to go.
        function kept.resume(new_count, new_high, new_hand, new_evicted, early, version)
            count, high, hand, evicted = new_count, new_high, new_hand, new_evicted
            local lost = high > max and shrink() or 0
            if version == declared.version then add_body(early) else waiting, waiting_early = version, early end
            return lost
        end

        -- Returns how many entries of those that were there are dropped.
        local function migrate_all(version)
            local all, dropped, failures, first = {}, 0, 0, nil
            local where = declared.migrate and inside.debug.getinfo(declared.migrate, "S")
            where = where and where.short_src .. ":" .. where.linedefined
            feed.place = where and host.place(where) or 0 -- who it was, if it does not come back
            for slot = 1, high do
                if keys[slot] ~= nil then all[#all + 1] = keys[slot] end
            end
            for _, key in ipairs(all) do
                local stays, why = false, nil
                if slot_of[key] and declared.migrate then stays, why = content.migrate(key, version, body[key]) end
                if why then failures, first = failures + 1, first or why end
                if not stays then
                    if slot_of[key] then drop(slot_of[key]) end
                    dropped, waiting_early[key] = dropped + 1, nil
                end
            end
            if not declared.migrate and dropped > 0 then
                host.log(("%s: %d entries of version %d are dropped: it is of version %d and has no migrate"):format(
                    declared.what, dropped, version, declared.version))
            elseif first then
                host.log(("%s: migrate at %s failed for %d of %d entries, which are dropped; the first time: %s"):format(
                    declared.what, where, failures, #all, first))
            end
            feed.place = 0
            return dropped
        end

        -- What came of another version is brought to this one. Returns how many entries are dropped.
        function kept.migrate()
            if not waiting then return 0 end
            local dropped = migrate_all(waiting)
            for i = #body_keys, 1, -1 do -- what is there has been filled by then
                if slot_of[body_keys[i]] ~= nil then table.remove(body_keys, i) end
            end
            add_body(waiting_early)
            waiting, waiting_early = nil, nil
            return dropped
        end

        return slots, kept
    end

    -- Makes the state known to the hand-over under its name.
    function store.keep(kept) store.kept[#store.kept + 1] = kept end

    -- All states are filled. Returns how many entries migrate dropped.
    function store.migrate()
        local dropped = 0
        for _, kept in ipairs(store.kept) do dropped = dropped + kept.migrate() end
        return dropped
    end

    -- Why a function of the script's failed, as text; no code of the script's is run for it.
    function store.reason(message)
        return type(message) == "string" and message or "(error object is a " .. type(message) .. ")"
    end

    -- A script may hold on to the table that its body set: that is filled, if the value is such a table as well.
    local function filled(own, value)
        if type(own) ~= "table" or type(value) ~= "table" or own == value then return value end
        if getmetatable(own) ~= getmetatable(value) then return value end
        for field in next, own do own[field] = nil end
        for field, content in next, value do own[field] = content end
        return own
    end

    -- The script's body is done.
    function store.loaded()
        for _, kept in ipairs(store.kept) do kept.loaded() end
    end

    -- The first packet, or the first after a reload.
    function store.start(clock)
        for _, start in ipairs(starts) do start(clock) end
        starts = {}
    end

    function store.state(name, options)
        local declared = store.check("lunette.state", name, options, OPTIONS)
        local values = {}
        local slots, kept
        slots, kept = store.slots(declared, {
            forget = function(slot) values[slot] = nil end,
            copy = function(slot) return values[slot] end,
            put = function(slot, value) values[slot] = value end,
            move = function(from, to) values[from], values[to] = nil, values[from] end,
            migrate = function(key, version, own)
                local ok, value = pcall(declared.migrate, values[slots.at(key)], version, key)
                if not ok then return false, store.reason(value) end
                local slot = slots.at(key)
                if value == nil or not slot then return false end
                values[slot] = filled(own, value)
                return true
            end,
        })
        kept.values = values
        if declared.keep then store.keep(kept) end
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
