-- Which VPN provider's is a name (data/vpn_providers.tsv), and which one did a host ask for last?
--
-- A tunnel's server is mostly an address that its program was told, so nobody asked DNS for it. But the program asked its provider for the
-- list, or looked whether the tunnel is up, and that shows: who asked api.nordvpn.com and begins a tunnel within minutes has most likely
-- NordVPN. That is told as "likely"; the server's own name as what it is.

local names = {}

-- rows: of vpn_providers.tsv; hints: a state, host → { provider, word, name, time }.
function names.new(lunette, rows, hints, within)
    local list, by_provider = {}, {}
    for i, row in ipairs(rows) do
        list[i] = row.name
        by_provider[row.provider] = by_provider[row.provider] or row
    end
    local set = lunette.set.domains(list)
    local object = { set = set }

    function object.of(name) return name and rows[set:find(name) or 0] or nil end

    -- The row of an event's field, without making a string of the name.
    function object.row(e, field) return rows[set:find(e, field) or 0] end

    function object.note(host, row, name, time)
        local hint = hints:get(host)
        if hint and time < hint.time then return end
        hints:set(host, { provider = row.provider, word = row.word, name = name, time = time })
    end

    -- Of a server whose name was not asked for: the row and how that is known, by the organisation or the names in its certificate.
    function object.by_certificate(e)
        local holder = e.subject and e.subject:match("O ?= ?([^,/]+)")
        local row = holder and by_provider[holder]
        if row then return row, "by its certificate, of " .. holder end
        local others = e.subject_alt_names
        for i = 1, others and #others or 0 do
            row = object.of(others[i])
            if row then return row, "by its certificate, for " .. others[i] end
        end
    end

    -- provider, its word, how that is known; nil if it is not. `product` is what the engine read out of the protocol.
    function object.provider(host, name, product, time)
        local row = object.of(name)
        if row then return row.provider, row.word, "by its name " .. name end
        if product then
            for i = 1, #rows do
                if rows[i].provider == product then return product, rows[i].word, "by its protocol" end
            end
            return product, nil, "by its protocol"
        end
        local hint = hints:get(host)
        if hint and time - hint.time <= within and hint.time - time <= 2 then
            return hint.provider, hint.word, ("likely: the host asked for %s %.0f s before"):format(hint.name, math.max(0, time - hint.time))
        end
    end

    return object
end

return names
