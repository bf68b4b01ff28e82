-- Per-flow state: fields that each flow has, as long as it lives.
--
-- Each declaration is one array in C memory (flow_area.h), with a place for every slot of the flow table; an event tells
-- its flow's slot. A place is tagged with the number of the flow that it was last given to. Slots are used again, but events
-- come in order, and a flow's last one before the first of whoever gets its slot: so a tag that is another's means that
-- this flow is new here, and its place is zeroed. Nothing is looked up, nothing is made, nothing has to be deleted.
--
-- A view holds tag and slot, and no more: they were checked when it was made, and the array never gets smaller. One that is
-- used after its flow's place went to another raises an error.
local SIZE_LIMIT = 4096 -- bytes a flow

return function(inside)
    local ffi, api, host, layout = inside.ffi, inside.api, inside.host, inside.layout
    local cast, fill, type, error = ffi.cast, ffi.fill, type, error -- locals: compiled code need not look them up
    local made = 0

    -- A slot that the array has no place for yet.
    local function grow(area, slot, size)
        if slot < 4294967296 and api.flow_area_grow(inside.detector, area, slot) == 0 then return end
        error(("flow_state: no place for flow %.0f of those open at once, at %d bytes each: the detector's memory is at its bound (--script-memory sets it)")
            :format(slot, size), 4)
    end

    return function(fields)
        if inside.loaded then error("lunette.flow_state: declare it when the script is loaded, not in a handler", 2) end
        fields = layout.parse("lunette.flow_state", "{ name = \"u32\", … }", fields)
        made = made + 1
        local struct = "struct lunette_flow_state_" .. made
        ffi.cdef(struct .. " { double flow; " .. layout.members(fields) .. " };")
        ffi.cdef(struct .. "_view { const double _flow, _slot; };")
        local size = ffi.sizeof(struct)
        if size > SIZE_LIMIT then
            error(("lunette.flow_state: %d bytes a flow, at most %d are possible"):format(size, SIZE_LIMIT), 2)
        end
        local pointer, why = host.flow_area_new(size, layout.signature(fields))
        if not pointer then error("lunette.flow_state: " .. why, 2) end
        local area = ffi.cast("struct lunette_flow_area *", pointer)
        local entries_type = ffi.typeof(struct .. " *")
        cast(entries_type, area.entries)[0].flow = -1 -- slot 0 is nobody's

        local view_type
        local function stale() error("the flow of this state is over, and its place is another's: get it again with :of(e)", 5) end
        local function place(view)
            local entry = cast(entries_type, area.entries) + view._slot
            if entry.flow ~= view._flow then stale() end
            return entry
        end
        view_type = ffi.metatype(struct .. "_view", layout.metatable(fields, "lunette.flow_state's fields", "state of a flow", place,
            function(view) return ffi.istype(view_type, view) end))

        -- The flow is new here, or not at all one.
        local function begin(slot, flow)
            if type(slot) ~= "number" or type(flow) ~= "number" then error("flow_state: an event or a stream is expected", 3) end
            if not (slot >= 1 and flow > 0) then return nil end
            -- A view that the body made would outlast the hand-over, which may bring a smaller array.
            if not inside.loaded then error("flow_state: nothing has happened yet: call :of(e) in a handler", 3) end
            if not (slot <= area.high) then grow(area, slot, size) end
            local entry = cast(entries_type, area.entries) + slot
            if entry.flow ~= flow then
                fill(entry, size)
                entry.flow = flow
            end
            return view_type(flow, slot)
        end

        -- `e`: an event, or whatever tells flow_slot and flow_id as one does. A script may make up what it likes: it can
        -- reach no more than this array.
        local state = {}
        function state:of(e)
            local kind = type(e)
            if kind ~= "cdata" and kind ~= "table" then
                error("flow_state: an event is expected, got " .. kind .. ": call it as state:of(e), with a colon", 2)
            end
            local slot, flow = e.flow_slot, e.flow_id
            if type(slot) == "number" and slot >= 0 and slot <= area.high
                and (cast(entries_type, area.entries) + slot).flow == flow then
                return view_type(flow, slot)
            end
            return (begin(slot, flow))
        end
        function state:size() return size end
        return state
    end
end
