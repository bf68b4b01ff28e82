-- What lifecycle's cards say of a phase: "9 of 9 marks; missing: activation (albert.apple.com); new: none".

local book = require "lifecycle_book"

local telling = {}

-- profile: lib/lifecycle_profile.lua; judge(name, phase, address) gives "mark", "apple", …, "new"; early: the phases in which strangers are told.
function telling.new(profile, judge, EARLY)
    local object = {}

    -- The day is said where it is not that of `beside`.
    function object.clock_of(time, beside)
        local same_day = beside and math.floor(time / 86400) == math.floor(beside / 86400)
        return os.date(same_day and "!%H:%M:%S" or "!%Y-%m-%d %H:%M:%S", math.floor(time))
    end

    local function list_of(words, most)
        if #words > most then return table.concat(words, ", ", 1, most) .. (" and %d more"):format(#words - most) end
        return table.concat(words, ", ")
    end

    -- Of a phase that has marks: how many are there, of how many, the missing ones, the strangers' names.
    function object.account_of(session, phase)
        local there, wanted, rows = profile.marks(phase, session)
        local missing, strangers = {}, {}
        for i, row in ipairs(rows) do missing[i] = row.mark .. (row.names[1] and " (" .. row.names[1]:gsub("^=", "") .. ")" or "") end
        if EARLY[phase] then
            for _, stranger in ipairs(session.strangers) do
                if judge(stranger.name, phase, stranger.server) == "new" then strangers[#strangers + 1] = stranger.name end
            end
        end
        return there, wanted, list_of(missing, 6), list_of(strangers, 6)
    end

    -- One line of it.
    function object.summary_of(session, phase)
        local there, wanted, missing, strangers = object.account_of(session, phase)
        local text = ("%d of %d marks"):format(there, wanted)
        if missing ~= "" then text = text .. "; missing: " .. missing end
        if EARLY[phase] then text = text .. "; new: " .. (strangers ~= "" and strangers or "none") end
        if EARLY[phase] and session.vendor then text = text .. "; managed by " .. session.vendor end
        return text
    end

    -- "update catalogue 18 connections, 42 MB": the rows that carry an install's weight.
    function object.figures_of(own)
        local words = {}
        for _, row in ipairs(profile.phases.install.rows) do
            if row.bytes_low > 0 then
                local flows, content = book.sum(own, function(name) return profile.find("install", name) end, row)
                if flows > 0 then words[#words + 1] = ("%s %d connection%s, %s"):format(row.mark, flows, flows == 1 and "" or "s", book.human(content)) end
            end
        end
        return table.concat(words, "; ")
    end

    return object
end

return telling
