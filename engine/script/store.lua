-- Named state: bounded maps whose entries age.
--
-- `slots` is the bookkeeping that lunette.state and lunette.records share: which key has which slot, when was it last
-- set, who gives way when all slots are taken. That is done in C (script/keys.h), outside Lua's heap; so is the making of a
-- key from an event's fields (script/keyring.h), for which no string is made. Here remains what lies in the slots.
--
-- Named state outlives a reload of its script (and a restart): handover.c reads the keys and what is below, and fills that of
-- the same name in the new Lua state. Each is told of in a table of `kept`, made once, so that reading needs no memory. Slots
-- and the hand's place go along, so that whoever gives way afterwards is who would have. A state whose version is another
-- than the one that comes has its entries gone through by the script's migrate, once all states are filled.
local OPTIONS = { max = 1, ttl = 1, keep = 1, version = 1, migrate = 1 }

return function(inside)
    local ffi, api, views, band = inside.ffi, inside.api, inside.views, inside.bit.band
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

    -- What a key is made of cannot be one.
    local function bad_key(key, level)
        local kind = type(key)
        error("a key must be a string or a number, got " .. (key ~= key and "NaN" or kind), level)
    end
    local function no_memory()
        error("no place for another entry: the detector's memory is at its bound (--script-memory sets it)", 4)
    end

    -- Looks for a key: `act` says what for. It is one plain value, or parts: plain values first, then an event and names of
    -- its fields. Returns what api.key_text() does.
    local FIND, TAKE, PEEK = ffi.C.LUNETTE_KEY_FIND, ffi.C.LUNETTE_KEY_TAKE, ffi.C.LUNETTE_KEY_PEEK
    local SLOT, NEW, OLD = ffi.C.LUNETTE_KEY_SLOT, ffi.C.LUNETTE_KEY_NEW, ffi.C.LUNETTE_KEY_OLD
    local FULL, ABSENT = ffi.C.LUNETTE_KEY_FULL, ffi.C.LUNETTE_KEY_ABSENT

    local function fields_of_event(keyring, act, begun, event, a, b, c, d)
        local look_up = event[views.key]
        if not look_up then error("the parts of a key are strings, numbers, and names of fields after their event", 4) end
        return (look_up(event, keyring, act, begun, a, b, c, d))
    end
    local function part(keyring, begun, value)
        if type(value) == "number" and value == value then value = tostring(value) end
        if type(value) ~= "string" then bad_key(value, 5) end
        return api.key_part(keyring, begun, value, #value)
    end
    local function no_more(value)
        if value ~= nil then error("a key has four parts at most", 5) end
    end
    local function look(keyring, act, a, b, c, d, e, f)
        if type(a) == "cdata" then
            no_more(f)
            return (fields_of_event(keyring, act, 0, a, b, c, d, e))
        end
        if b == nil then
            if c ~= nil then bad_key(b, 4) end
            if type(a) == "string" then return api.key_text(keyring, act, a, #a) end
            if type(a) == "number" then return api.key_number(keyring, act, a) end
            return ABSENT
        end
        local begun = part(keyring, 0, a)
        if type(b) == "cdata" then
            no_more(f)
            return (fields_of_event(keyring, act, begun, b, c, d, e))
        end
        begun = part(keyring, begun, b)
        if type(c) == "cdata" then
            no_more(f)
            return (fields_of_event(keyring, act, begun, c, d, e))
        end
        if c ~= nil then
            begun = part(keyring, begun, c)
            if type(d) == "cdata" then
                no_more(f)
                return (fields_of_event(keyring, act, begun, d, e))
            end
            if d ~= nil then begun = part(keyring, begun, d) end
        elseif d ~= nil then
            bad_key(c, 4)
        end
        no_more(e)
        return api.key_fields(keyring, act, begun, nil, nil, 0, 0, 0, 0)
    end

    -- `content` is what lies in the slots: `forget(slot)` is called when an entry goes, `copy(slot)` gives what `put(slot,
    -- copy)` puts back, `move(from, to)` moves it; `migrate(key, version, own)` lets the script's function bring it to the
    -- version that is declared (`own`: what the body set under that key) and answers whether it stays, and if that failed, why.
    function store.slots(declared, content)
        local pointer, why_not = host.keyring_new(declared.max, declared.ttl)
        if not pointer then error(declared.what .. ": " .. why_not, 3) end
        local keyring = ffi.cast("struct lunette_keyring *", pointer)
        local at_hand = ffi.new("struct lunette_key")
        local slots = {}
        local forget = content.forget

        local function drop(slot)
            api.key_drop(keyring, slot)
            forget(slot)
        end

        -- A key's slot, or nil; an entry past its time is dropped on the way.
        function slots.find(a, b, c, d, e, f)
            local found = look(keyring, FIND, a, b, c, d, e, f)
            if found > 0 then
                if found <= SLOT then return found end
                forget(band(found, SLOT))
            end
            return nil
        end

        -- A key's slot, made if need be; the second result is true if it was.
        function slots.take(a, b, c, d, e, f)
            local taken = look(keyring, TAKE, a, b, c, d, e, f)
            if taken <= SLOT then
                if taken > 0 then return taken, false end
                if taken == FULL then no_memory() end
                if type(a) == "cdata" then error(("the event has no %s: it cannot be a key"):format(b), 3) end
                bad_key(a, 4)
            end
            local slot = band(taken, SLOT)
            if band(taken, OLD) ~= 0 then forget(slot) end
            return slot, true
        end

        function slots.delete(a, b, c, d, e, f)
            local slot = look(keyring, PEEK, a, b, c, d, e, f)
            if slot > 0 then drop(slot) end
        end

        -- Whatever its age.
        function slots.at(key)
            local slot = look(keyring, PEEK, key)
            return slot > 0 and slot or nil
        end
        function slots.count() return api.key_count(keyring) end
        function slots.evicted() return api.key_evicted(keyring) end

        local function next_entry(slot, aged)
            slot = api.key_next(keyring, slot, aged, at_hand)
            if slot == 0 then return nil end
            if at_hand.is_number ~= 0 then return slot, at_hand.number end
            return slot, ffi.string(at_hand.text, at_hand.length)
        end

        -- Iterates (slot, key) in the order of slots, skipping what is past its time.
        function slots.each()
            local slot, key = 0, nil
            return function()
                if not slot then return nil end
                slot, key = next_entry(slot, 0)
                return slot, key
            end
        end
        local function all() -- whatever its age
            local slot, key = 0, nil
            return function()
                slot, key = next_entry(slot, 1)
                return slot, key
            end
        end

        -- What the script's body set (at 0: there was no clock) is as old as the first packet; what was handed over is as old
        -- as it was, unless the clock has been set back since.
        starts[#starts + 1] = function(clock) api.key_start(keyring, clock) end

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
            keys = pointer, early = {}, name = declared.name, version = declared.version, reload_only = declared.reload_only,
        }
        -- While the hand-over goes on: key → content of what the body set, its keys in order, and what is in its tables.
        local body, body_keys, body_fields
        local waiting, waiting_early -- the version of what came, if it is another; the keys that the body before had set

        -- The script's body is done: what it set is known by that later on.
        function kept.loaded()
            for slot, key in all() do kept.early[key] = fields_of(content.copy(slot)) or true end
        end

        -- Makes room for what comes. Returns what the body had set.
        function kept.clear()
            body, body_keys, body_fields = {}, {}, {}
            for slot, key in all() do
                body[key], body_keys[#body_keys + 1] = content.copy(slot), key
                if type(body[key]) == "table" then
                    local fields = {}
                    for field, value in next, body[key] do fields[field] = value end
                    body_fields[key] = fields
                end
                drop(slot)
            end
            return body
        end

        -- More slots were in use than there may be now: some give way, the others move together. Returns how many went.
        local function shrink()
            local before, move = slots.count(), ffi.new("struct lunette_move")
            while slots.count() > declared.max do forget(api.key_shrink(keyring)) end
            while api.key_pack(keyring, move) ~= 0 do content.move(move.from, move.to) end
            return before - slots.count()
        end

        -- What the body set and the one before did not know is added.
        local function add_body(early)
            for _, key in ipairs(body_keys) do
                if slots.at(key) then
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

        -- The slots are filled. Returns how many of the entries had to go.
        function kept.resume(high, early, version)
            local lost = high > declared.max and shrink() or 0
            if version == declared.version then add_body(early) else waiting, waiting_early = version, early end
            return lost
        end

        -- Returns how many entries of those that were there are dropped.
        local function migrate_all(version)
            local entries, dropped, failures, first = {}, 0, 0, nil
            local where = declared.migrate and inside.debug.getinfo(declared.migrate, "S")
            where = where and where.short_src .. ":" .. where.linedefined
            feed.place = where and host.place(where) or 0 -- who it was, if it does not come back
            for _, key in all() do entries[#entries + 1] = key end
            for _, key in ipairs(entries) do
                local stays, why = false, nil
                if slots.at(key) and declared.migrate then stays, why = content.migrate(key, version, body[key]) end
                if why then failures, first = failures + 1, first or why end
                if not stays then
                    slots.delete(key)
                    dropped, waiting_early[key] = dropped + 1, nil
                end
            end
            if not declared.migrate and dropped > 0 then
                host.log(("%s: %d entries of version %d are dropped: it is of version %d and has no migrate"):format(
                    declared.what, dropped, version, declared.version))
            elseif first then
                host.log(("%s: migrate at %s failed for %d of %d entries, which are dropped; the first time: %s"):format(
                    declared.what, where, failures, #entries, first))
            end
            feed.place = 0
            return dropped
        end

        -- What came of another version is brought to this one. Returns how many entries are dropped.
        function kept.migrate()
            if not waiting then return 0 end
            local dropped = migrate_all(waiting)
            for i = #body_keys, 1, -1 do -- what is there has been filled by then
                if slots.at(body_keys[i]) then table.remove(body_keys, i) end
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
        function state:get(a, b, c, d, e, f)
            local slot = slots.find(a, b, c, d, e, f)
            if slot then return values[slot] end
        end
        -- The value comes last, whatever the key is made of.
        function state:set(...)
            local count = select("#", ...)
            local a, b, c, d, e, f = ...
            local value
            if count > 2 and b == nil or count > 3 and c == nil or count > 4 and d == nil or count > 5 and e == nil then
                error("a part of the key is nil", 2)
            end
            if count <= 2 then
                value, b = b, nil
            elseif count == 3 then
                value, c = c, nil
            elseif count == 4 then
                value, d = d, nil
            elseif count == 5 then
                value, e = e, nil
            else
                if count > 6 then error("a key has four parts at most", 2) end
                value, f = f, nil
            end
            if value == nil then return slots.delete(a, b, c, d, e) end
            values[slots.take(a, b, c, d, e)] = value
        end
        function state:delete(a, b, c, d, e, f) slots.delete(a, b, c, d, e, f) end
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
