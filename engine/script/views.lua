-- Views: how a script sees an event. A view is a cdata value that holds nothing but a number: the event's slot in
-- its kind's array, and above it the number of the batch. Reading `e.sni` runs a getter that was generated for that
-- field; it takes the slot through a mask, so that no script can reach beyond the array, and compares the batch's
-- number, so that a view which was kept cannot silently show somebody else's event.
--
-- What a compiled loop calls is never called in tail position, hence `return (f(x))`: LuaJIT takes many tail calls in one
-- trace for a loop of their own, and gives the trace up ("loop unroll limit reached").
return function(inside)
    local ffi, bit, api, feed, host = inside.ffi, inside.bit, inside.api, inside.feed, inside.host
    local band, rshift = bit.band, bit.rshift
    -- `find` and `key` are keys that only the trusted code has: under them a view gives functions that look fields up, in a
    -- set, and as the parts of a key in a state, without making a string of them.
    local views = { constructors = {}, find = {}, key = {} }

    -- Addresses as text. Hosts that spoke lately speak again: their texts are kept, one in each of KNOWN places, which an
    -- address finds by its own bits. Whoever shares a place takes it.
    local KNOWN = 1024
    local buffer = ffi.new("char[64]")
    local known, texts = ffi.new("uint8_t[?]", KNOWN * 16), {}
    for i = 1, KNOWN do texts[i] = false end
    local function address(bytes)
        local place = api.ip_place(known, KNOWN, bytes) -- in C: this many words at once are more than LuaJIT has registers for
        local text = place >= 0 and texts[place + 1]
        if text then return text end
        if place < 0 then place = -1 - place end
        text = ffi.string(buffer, api.ip_text(bytes, buffer))
        texts[place + 1] = text
        return text
    end

    -- In events that scripts declare, an address that was not given.
    local function address_if_any(bytes)
        local text = address(bytes)
        if text ~= "::" then return text end
    end

    -- There are few words, and each is one constant of the engine: their strings are kept by their place.
    local words = {}
    local function word(pointer)
        if pointer == nil then return nil end
        local key = tonumber(ffi.cast("intptr_t", pointer))
        local text = words[key]
        if not text then
            text = ffi.string(pointer)
            words[key] = text
        end
        return text
    end

    local function stale(level)
        error("this event is over: copy the fields you need while its handler runs", level)
    end

    -- Slices: a run of bytes in the batch's text. A script can take a method off a slice and call it with anything, so each
    -- makes sure of what it was handed; comparisons are turned so that NaN fails them.
    ffi.cdef "struct lunette_slice { const uint32_t at, length, generation; };"
    local slice_methods = {}
    local slice_type

    local function check(s)
        if not ffi.istype(slice_type, s) then error("a slice is expected: call its methods with a colon", 3) end
        if s.generation ~= feed.generation then stale(4) end
    end
    local function check_number(value)
        if type(value) ~= "number" then error("a place in a slice is a number, got " .. type(value), 3) end
    end
    local function check_text(value)
        if type(value) ~= "string" then error("a slice is searched for a string, got " .. type(value), 3) end
    end
    local function bytes_of(s) return ffi.cast("const uint8_t *", feed.text) + s.at end

    function slice_methods.u8(s, i)
        check(s)
        check_number(i)
        if not (i >= 1 and i <= s.length) then return nil end
        return bytes_of(s)[i - 1]
    end
    function slice_methods.u16be(s, i)
        check(s)
        check_number(i)
        if not (i >= 1 and i + 1 <= s.length) then return nil end
        local p = bytes_of(s) + (i - 1)
        return p[0] * 256 + p[1]
    end
    function slice_methods.u32be(s, i)
        check(s)
        check_number(i)
        if not (i >= 1 and i + 3 <= s.length) then return nil end
        local p = bytes_of(s) + (i - 1)
        return ((p[0] * 256 + p[1]) * 256 + p[2]) * 256 + p[3]
    end
    function slice_methods.find(s, text, from)
        check(s)
        check_text(text)
        from = from or 1
        check_number(from)
        from = math.floor(from)
        if not (from >= 1 and from <= s.length + 1) then return nil end
        local at = api.find(feed.text + s.at + (from - 1), s.length - (from - 1), text, #text)
        if at < 0 then return nil end
        return from + at
    end
    function slice_methods.starts(s, text)
        check(s)
        check_text(text)
        return #text <= s.length and api.find(feed.text + s.at, #text, text, #text) == 0
    end
    function slice_methods.tostring(s, from, to)
        check(s)
        from, to = from or 1, to or s.length
        check_number(from)
        check_number(to)
        if from < 1 then from = 1 end
        if to > s.length then to = s.length end
        if not (from <= to) then return "" end
        return ffi.string(bytes_of(s) + (from - 1), to - from + 1)
    end
    local HEX = {}
    for byte = 0, 255 do HEX[byte] = ("%02x"):format(byte) end
    function slice_methods.hex(s)
        check(s)
        local p, parts = bytes_of(s), {}
        for i = 1, s.length do parts[i] = HEX[p[i - 1]] end
        return table.concat(parts)
    end
    slice_type = ffi.metatype("struct lunette_slice", {
        __index = slice_methods,
        __len = function(s) return s.length end,
        __tostring = function(s)
            check(s)
            return ffi.string(bytes_of(s), s.length)
        end,
        __metatable = false,
    })

    -- The references of a list lie in the text themselves. A view that was kept for so many batches that their numbers have
    -- come round may find other bytes in their place: then they must not lead out of the text.
    local TEXT = ffi.C.LUNETTE_TEXT
    local function list(text, ref)
        local result = {}
        local items = ffi.cast("const struct lunette_ref *", text + ref.at)
        for i = 1, ref.length do
            local at, length = items[i - 1].at, items[i - 1].length
            result[i] = at <= TEXT and length <= TEXT - at and ffi.string(text + at, length) or ""
        end
        return result
    end
    local function u16s(ref)
        local result = {}
        local items = ffi.cast("const uint16_t *", feed.text + ref.at)
        for i = 1, ref.length do result[i] = items[i - 1] end
        return result
    end

    -- What stands between `return` and the end of a getter; `f` is the field's place.
    local expressions = {
        u8 = "f", u16 = "f", u32 = "f", f64 = "f",
        u64 = "tonumber(f)", time = "tonumber(f) / 1e9", bool = "f ~= 0",
        ip = "address(f)", word = "word(f)",
        str = "f.at ~= 0 and string_of(feed.text + f.at, f.length) or nil",
        bytes = "f.at ~= 0 and slice(f.at, f.length, feed.generation) or nil",
        list = "list(feed.text, f)", u16s = "u16s(f)",
    }

    -- `home` is where texts and the batch's number are: the feed, or the arena of another script's events; a view has the
    -- event's slot in its lower `bits`.
    -- The getters of a kind are one text, which is the same in all states: it is written and compiled in the first of them.
    local HEAD = [[
        local slots, feed, band, rshift, stale, address, word, string_of, slice, list, u16s, address_if_any = ...
        local tonumber = tonumber
        return {]]
    local GETTER = [[
            ["%s"] = function(view)
                local i = view.view
                if rshift(i, %d) ~= feed.generation then stale(4) end
                local f = slots[band(i, %d)].%s.%s
                return %s
            end,]]

    local function text_of_getters(kind, bits)
        local text = { HEAD }
        for _, field in ipairs(kind.fields) do
            text[#text + 1] = GETTER:format(field.name, bits, 2 ^ bits - 1, field.head and "head" or "body",
                field.member or field.name,
                not field.head and field.type == "ip" and "address_if_any(f)" or expressions[field.type])
        end
        text[#text + 1] = "}"
        return table.concat(text, "\n")
    end

    local function getters_of(kind, slots, home, bits)
        local chunk = not kind.own and host.getters(kind.name)
        if not chunk then
            views.check_offsets(kind)
            local text = text_of_getters(kind, bits)
            chunk = kind.own and assert(load(text, "=getter " .. kind.name, "t")) or host.getters(kind.name, text)
        end
        return chunk(slots, home, band, rshift, stale, address, word, ffi.string, slice_type, list, u16s, address_if_any)
    end

    -- Are the structs that LuaJIT made of the declarations the ones that the C compiler made?
    function views.check_offsets(kind)
        local own = kind.own or kind.name
        local event_name = "struct lunette_event_" .. own
        if ffi.sizeof(event_name) ~= kind.size then
            error("the engine and LuaJIT disagree on the size of " .. event_name)
        end
        for _, field in ipairs(kind.fields) do
            local offset = field.head and ffi.offsetof("struct lunette_head", field.name)
                or ffi.offsetof(event_name, "body") + ffi.offsetof("struct lunette_body_" .. own, field.member or field.name)
            if offset ~= field.offset then
                error("the engine and LuaJIT disagree on the offset of " .. kind.name .. "." .. field.name)
            end
        end
    end

    -- What can be a part of a key, and its number in enum field_type (event/schema.h).
    local PARTS = { u8 = 0, u16 = 1, u32 = 2, u64 = 3, f64 = 4, time = 6, ip = 7, word = 8, str = 9, ip_if_any = 13 }

    local function define(number, kind, home, bits)
        ffi.cdef(kind.cdef)
        local own = kind.own or kind.name
        local slots = ffi.cast("const struct lunette_event_" .. own .. " *", kind.slots or inside.slots[number])
        local getters = getters_of(kind, slots, home, bits) -- by field: how to read it
        local numbers, names = {}, {}
        local parts = {} -- by field: how api.key_fields() reads it
        for i, field in ipairs(kind.fields) do
            numbers[field.name], names[i] = field.number, field.name
            local kind_of_part = PARTS[not field.head and field.type == "ip" and "ip_if_any" or field.type]
            if kind_of_part then parts[field.name] = field.offset * 256 + kind_of_part + 1 end
        end
        local view_name = "struct lunette_view_" .. own
        ffi.cdef(view_name .. " { const uint32_t view; };")

        -- Packets come without payload unless a handler of this detector asked for it: what others asked for does not show.
        local unasked
        if kind.name == "packet" and not inside.packet_payload then
            unasked = function(level)
                error("a packet's payload: ask for it in the handler's filter, with bpf or payload = true", level)
            end
            getters.payload = function() unasked(4) end
        end

        local mask = 2 ^ bits - 1
        local function find(view, set, name)
            local i, field = view.view, numbers[name]
            if not field then views.no_field(kind.name, names, name, 5) end
            if rshift(i, bits) ~= home.generation then stale(5) end
            if unasked and name == "payload" then unasked(5) end
            return api.set_find_field(inside.detector, set, number, band(i, mask), field)
        end

        local function key(view, keyring, act, begun, a, b, c, d)
            local i = view.view
            local first, second, third, fourth = parts[a], 0, 0, 0
            if not first then views.no_part(kind.name, numbers, names, a, 6) end
            if b ~= nil then second = parts[b] or views.no_part(kind.name, numbers, names, b, 6) end
            if c ~= nil then third = parts[c] or views.no_part(kind.name, numbers, names, c, 6) end
            if d ~= nil then fourth = parts[d] or views.no_part(kind.name, numbers, names, d, 6) end
            if c ~= nil and b == nil or d ~= nil and c == nil then views.no_part(kind.name, numbers, names, nil, 6) end
            if rshift(i, bits) ~= home.generation then stale(7) end
            return api.key_fields(keyring, act, begun, slots + band(i, mask), home.text, first, second, third, fourth)
        end

        views.constructors[number] = ffi.metatype(view_name, {
            __index = function(view, name)
                local getter = getters[name]
                if getter then return (getter(view)) end
                if name == views.key then return key end
                if name == views.find then return find end
                views.no_field(kind.name, names, name, 3)
            end,
            __newindex = function(_, name)
                error("events are read-only: " .. kind.name .. "." .. tostring(name), 2)
            end,
            __tostring = function() return kind.name .. " event" end,
            __metatable = false,
        })
    end

    function views.no_field(kind, names, name, level)
        local near = inside.nearest(tostring(name), names)
        error(("%s events have no field '%s'%s"):format(kind, tostring(name),
            near and "; did you mean '" .. near .. "'?" or kind:find(".", 1, true) and " (it has " .. table.concat(names, ", ") .. ")"
            or " (see `lunette events " .. kind .. "`)"), level)
    end

    -- What was given in the place of a field's name, and cannot be a part of a key.
    function views.no_part(kind, numbers, names, name, level)
        if name == nil then error("a key is made of fields: their names are expected after the event", level) end
        if not numbers[name] and type(name) == "string" and inside.nearest(name, names) then views.no_field(kind, names, name, level + 1) end
        if not numbers[name] then
            error(("%s events have no field '%s'; a value of your own stands before the event in a key"):format(kind, tostring(name)), level)
        end
        error(("%s.%s is neither a text nor a number: it cannot be a part of a key"):format(kind, name), level)
    end

    inside.detector = ffi.cast("struct lunette_detector *", inside.host.detector)

    -- A kind's view is made when a handler first asks for it: a detector hears few of the kinds, and the getters of all of them are
    -- three thousand functions, which was most of what starting a detector cost.
    setmetatable(views.constructors, { __index = function(constructors, number)
        local kind = inside.schema[number]
        if not kind then return nil end
        define(number, kind, feed, 10)
        return rawget(constructors, number)
    end })

    -- An event that another script declared.
    function views.add(number, kind)
        define(number, kind, ffi.cast("const struct lunette_arena *", kind.arena), 13)
    end
    return views
end
