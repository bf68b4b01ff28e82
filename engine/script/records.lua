-- Records: state of fixed shape outside the garbage collector. The script declares fields; here they become a C struct,
-- kept in blocks of BLOCK that are made as they are needed. A record that a script holds is a view like an event's: a
-- slot number and the slot's turn (how often it was given away), so that a record kept too long raises an error.
local BLOCK = 256
local OPTIONS = { max = 1, ttl = 1, keep = 1, version = 1, migrate = 1, fields = 1 }
local SIZE_LIMIT = 1048576 -- bytes of a record: a block of them must be a size that LuaJIT can make

return function(inside)
    local ffi, bit, store, layout = inside.ffi, inside.bit, inside.store, inside.layout
    local band, rshift = bit.band, bit.rshift
    local made = 0

    return function(name, options)
        local declared = store.check("lunette.records", name, options, OPTIONS)
        local fields = layout.parse("lunette.records", "fields = { name = \"u32\", … }", options.fields)
        made = made + 1
        local struct = "struct lunette_record_" .. made
        ffi.cdef(struct .. " { " .. layout.members(fields) .. " uint32_t turn; };")
        ffi.cdef(struct .. "_view { const uint32_t _slot, _turn; };")
        local block_type = ffi.typeof(struct .. "[?]")
        local size = ffi.sizeof(struct)
        if size > SIZE_LIMIT then
            error(("lunette.records: a record of %d bytes is larger than %d"):format(size, SIZE_LIMIT), 2)
        end
        local blocks, addresses = {}, {} -- addresses[block + 1]: for the hand-over

        local function stale() error("this record was given away: get it again by its key", 5) end
        local function place(view)
            local slot = view._slot
            local record = blocks[rshift(slot, 8)][band(slot, 255)]
            if record.turn ~= view._turn then stale() end
            return record
        end

        local view_type
        view_type = ffi.metatype(struct .. "_view", layout.metatable(fields, "records '" .. name .. "'", "record of '" .. name .. "'", place,
            function(view) return ffi.istype(view_type, view) end))

        local function record_at(slot) return blocks[rshift(slot, 8)][band(slot, 255)] end
        local function make_block(block)
            local made_block = block_type(BLOCK)
            blocks[block], addresses[block + 1] = made_block, tonumber(ffi.cast("intptr_t", made_block))
        end
        local slots, kept
        slots, kept = store.slots(declared, {
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
            migrate = function(key, version)
                local slot = slots.at(key)
                local ok, answer = pcall(declared.migrate, view_type(slot, record_at(slot).turn), version, key)
                if not ok then return false, store.reason(answer) end
                return answer ~= false
            end,
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
        if declared.keep then store.keep(kept) end

        local records = {}
        function records:get(a, b, c, d, e, f)
            local slot = slots.find(a, b, c, d, e, f)
            if slot then return view_type(slot, record_at(slot).turn) end
        end
        function records:make(a, b, c, d, e, f)
            local slot, new = slots.take(a, b, c, d, e, f)
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
        function records:delete(a, b, c, d, e, f) slots.delete(a, b, c, d, e, f) end
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
