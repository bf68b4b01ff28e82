-- Records: state of fixed shape outside the garbage collector. The script declares fields; here they become a C struct,
-- kept in blocks of BLOCK that are made as they are needed. A record that a script holds is a view like an event's: a
-- slot number and the slot's turn (how often it was given away), so that a record kept too long raises an error.
local BLOCK = 256
local SIZE_LIMIT = 1048576 -- bytes of a record: a block of them must be a size that LuaJIT can make
local C_TYPES = { u8 = "uint8_t", u16 = "uint16_t", u32 = "uint32_t", f32 = "float", f64 = "double" }
local LIMITS = { u8 = 2 ^ 8, u16 = 2 ^ 16, u32 = 2 ^ 32 }

return function(inside)
    local ffi, bit, store = inside.ffi, inside.bit, inside.store
    local band, rshift = bit.band, bit.rshift
    local made = 0

    -- `next` and not `pairs`, which some builds of LuaJIT let a metatable answer: a name must not come twice.
    local function parse_fields(fields)
        if type(fields) ~= "table" or next(fields) == nil then
            error("lunette.records: fields = { name = \"u32\", … } is expected", 3)
        end
        local parsed = {}
        for name, declared in next, fields do
            if type(name) ~= "string" or #name > 100 or not name:match("^%a[%w_]*$") or name == "at" or name == "put" then
                error("lunette.records: '" .. tostring(name) .. "' cannot be a field's name", 3)
            end
            local kind, elements
            if type(declared) == "string" then
                kind = declared:match("^(%w+)$")
                if not kind then kind, elements = declared:match("^(%w+)%[(%d+)%]$") end
            end
            if not C_TYPES[kind or ""] then
                error("lunette.records: field '" .. name .. "': expected u8, u16, u32, f32, f64 or an array like u16[80], got '" ..
                    tostring(declared) .. "'", 3)
            end
            elements = elements and tonumber(elements)
            if elements and (elements < 1 or elements > 65536) then
                error("lunette.records: field '" .. name .. "': 1 to 65536 elements", 3)
            end
            parsed[#parsed + 1] = { name = name, kind = kind, elements = elements }
        end
        -- Wide types first, so that no space is lost; then by name, so that the layout is always the same.
        table.sort(parsed, function(a, b)
            local size_a, size_b = ffi.sizeof(C_TYPES[a.kind]), ffi.sizeof(C_TYPES[b.kind])
            if size_a ~= size_b then return size_a > size_b end
            return a.name < b.name
        end)
        return parsed
    end

    -- A value that does not fit is held at the type's limits: counters stop rather than start again.
    local function fitting(kind, target, value)
        if not LIMITS[kind] then return ("%s = %s"):format(target, value) end
        return ("%s = %s < 0 and 0 or %s > %d and %d or %s"):format(target, value, value, LIMITS[kind] - 1,
            LIMITS[kind] - 1, value)
    end

    return function(name, options)
        local max, ttl, keep = store.check("lunette.records", name, options)
        local fields = parse_fields(options.fields)
        made = made + 1
        local struct = "struct lunette_record_" .. made
        local lines = {}
        for i, field in ipairs(fields) do
            lines[i] = C_TYPES[field.kind] .. " f_" .. field.name ..
                (field.elements and "[" .. field.elements .. "]" or "") .. ";"
        end
        -- The view's own members cannot have the name of a field: those begin with a letter.
        ffi.cdef(struct .. " { " .. table.concat(lines, " ") .. " uint32_t turn; };")
        ffi.cdef(struct .. "_view { const uint32_t _slot, _turn; };")
        local block_type = ffi.typeof(struct .. "[?]")
        local size = ffi.sizeof(struct)
        if size > SIZE_LIMIT then
            error(("lunette.records: a record of %d bytes is larger than %d"):format(size, SIZE_LIMIT), 2)
        end
        local blocks, addresses = {}, {} -- addresses[block + 1]: for the hand-over

        local function stale() error("this record was given away: get it again by its key", 4) end
        local function place(view)
            local slot = view._slot
            local record = blocks[rshift(slot, 8)][band(slot, 255)]
            if record.turn ~= view._turn then stale() end
            return record
        end

        local readers, writers, lengths, at, put = {}, {}, {}, {}, {}
        for _, field in ipairs(fields) do
            local target = "place(view).f_" .. field.name
            if field.elements then
                lengths[field.name] = field.elements
                at[field.name] = load(([[local place = ... return function(view, i) return %s[i] end]]):format(target))(place)
                put[field.name] = load(([[local place = ... return function(view, i, value) %s end]]):format(
                    fitting(field.kind, target .. "[i]", "value")))(place)
            else
                readers[field.name] = load(([[local place = ... return function(view) return %s end]]):format(target))(place)
                writers[field.name] = load(([[local place = ... return function(view, value) %s end]]):format(
                    fitting(field.kind, target, "value")))(place)
            end
        end
        local all = {}
        for _, field in ipairs(fields) do all[#all + 1] = field.name end

        local function no_field(field, level)
            if lengths[field] then
                error(("records '%s': '%s' is an array: r:at(\"%s\", i), r:put(\"%s\", i, v)"):format(name, field, field, field), level)
            end
            local near = inside.nearest(tostring(field), all)
            error(("records '%s' have no such field '%s'%s"):format(name, tostring(field),
                near and "; did you mean '" .. near .. "'?" or ""), level)
        end
        local view_type
        local function check_index(view, field, i)
            if not ffi.istype(view_type, view) then error("a record is expected: call r:at and r:put with a colon", 3) end
            local length = lengths[field]
            if not length then no_field(field, 4) end
            if type(i) ~= "number" or not (i >= 0 and i < length) then
                error(("%s[%s]: the index goes from 0 to %d"):format(field, tostring(i), length - 1), 3)
            end
        end
        local function check_value(field, value)
            if type(value) ~= "number" then error(("%s is a number, got %s"):format(field, type(value)), 3) end
        end
        local methods = {
            at = function(view, field, i)
                check_index(view, field, i)
                return at[field](view, i)
            end,
            put = function(view, field, i, value)
                check_index(view, field, i)
                check_value(field, value)
                return put[field](view, i, value)
            end,
        }
        view_type = ffi.metatype(struct .. "_view", {
            __index = function(view, field)
                local reader = readers[field]
                if reader then return reader(view) end
                return methods[field] or no_field(field, 3)
            end,
            __newindex = function(view, field, value)
                local writer = writers[field]
                if not writer then no_field(field, 3) end
                check_value(field, value)
                return writer(view, value)
            end,
            __tostring = function() return "record of '" .. name .. "'" end,
            __metatable = false,
        })

        local function record_at(slot) return blocks[rshift(slot, 8)][band(slot, 255)] end
        local function make_block(block)
            local made_block = block_type(BLOCK)
            blocks[block], addresses[block + 1] = made_block, tonumber(ffi.cast("intptr_t", made_block))
        end
        local slots, kept = store.slots(max, ttl, {
            forget = function(slot)
                local record = record_at(slot)
                record.turn = band(record.turn + 1, 0x7fffffff)
            end,
            copy = function(slot) return ffi.string(record_at(slot), size) end,
            put = function(slot, bytes)
                if not blocks[rshift(slot, 8)] then make_block(rshift(slot, 8)) end
                ffi.copy(record_at(slot), bytes, size)
            end,
            move = function(from, to) ffi.copy(record_at(to), record_at(from), size) end,
        })
        -- The hand-over copies whole blocks if the layout is the same, else field by field.
        kept.fields, kept.size, kept.block, kept.addresses = {}, size, BLOCK, addresses
        for i, field in ipairs(fields) do
            kept.fields[i] = { name = field.name, kind = field.kind, elements = field.elements or 0,
                offset = ffi.offsetof(struct, "f_" .. field.name) }
        end
        function kept.reserve(high)
            for block = 0, rshift(high, 8) do
                if not blocks[block] then make_block(block) end
            end
        end
        if keep then store.keep(name, kept) end

        local records = {}
        function records:get(key)
            local slot = slots.find(key)
            if slot then return view_type(slot, record_at(slot).turn) end
        end
        function records:make(key)
            local slot, new = slots.take(key)
            local block = rshift(slot, 8)
            if not blocks[block] then make_block(block) end
            local record = record_at(slot)
            local turn = record.turn
            if new then
                ffi.fill(record, size)
                record.turn = turn
            end
            return view_type(slot, turn), new
        end
        function records:delete(key) slots.delete(key) end
        function records:count() return slots.count() end
        function records:evicted() return slots.evicted() end
        function records:size() return size end
        function records:each()
            local next_slot = slots.each()
            return function()
                local slot, key = next_slot()
                if slot then return key, view_type(slot, record_at(slot).turn) end
            end
        end
        return records
    end
end
