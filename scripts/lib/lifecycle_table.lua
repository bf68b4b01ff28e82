-- The rows of lifecycle's table at the end: of an early phase each name and what is missing, held against the profile; of the others sums.

local book = require "lifecycle_book"

local phase_table = {}

-- with: profile, judge(name, phase, address), lumps (names of the sums), sent_mb, rows: as in lifecycle.lua.
function phase_table.new(with)
    local object = {}

    local function verdict_of(row, own, phase, page)
        local flows, _, down = book.sum(own, function(name) return with.profile.find(phase, name) end, row)
        if row.high > 0 and (flows > row.high or down > row.bytes_high) then return "too much" end
        if page and page.up > with.sent_mb * 1e6 then return "too much" end
        if (row.need == "must" or row.need == "key") and flows < row.low then return "too little" end
        if row.need == "against" then return "not of this phase" end
        return "as expected"
    end

    local SAYS = { apple = "Apple's, not in the profile", known = "known third party", enrolment = "device management", new = "new" }

    function object.phase(rows, address, session, step)
        local phase, own = step.phase, step.book or session.book
        local listed = 0
        for _, name in ipairs(book.names(own)) do
            local page = own.pages[name]
            local row = with.profile.find(phase, name)
            local kind, category = with.judge(name, phase, page.server)
            local verdict = row and verdict_of(row, own, phase, page) or SAYS[kind]
            if listed < with.rows or verdict == "new" or verdict == "too much" then
                rows[#rows + 1] = { address, phase, name, row and row.mark or category, page.flows, book.human(page.up), book.human(page.down),
                    book.human(page.content), row and row.expected or "", verdict }
                listed = listed + 1
            end
        end
        local _, _, missing = with.profile.marks(phase, session)
        for _, row in ipairs(missing) do
            local flows = book.sum(own, function(name) return with.profile.find(phase, name) end, row)
            if flows == 0 then
                local first = row.names[1] and row.names[1]:gsub("^=", "") or row.mark
                rows[#rows + 1] = { address, phase, first, row.mark, session.n[row.number] or 0, "", "", "", row.expected,
                    (session.n[row.number] or 0) > 0 and "open, or too little" or "missing" }
            end
        end
        return own.left
    end

    function object.sums(rows, address, phase, record)
        if not record then return end
        for i, name in ipairs(with.lumps) do
            local flows = record:at("flows", i - 1)
            if flows > 0 then
                rows[#rows + 1] = { address, phase, name, "sum", flows, book.human(record:at("up", i - 1)), book.human(record:at("down", i - 1)), "", "", "" }
            end
        end
    end

    return object
end

return phase_table
