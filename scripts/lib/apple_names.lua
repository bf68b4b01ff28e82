-- Whose name is it? Apple's, a known third party's, or somebody else's: data/apple_domains.tsv as questions and answers.
--
-- Only a row that Apple owns makes a connection Apple's by its name. Alias zones and content networks ("shared") carry others
-- too; they count as Apple's only if the address is in Apple's own blocks as well.

local names = {}

-- tables: rows of apple_domains.tsv, known_third_parties.tsv, apple_cidrs.tsv, cdn_cidrs.tsv. `set` is lunette.set.
function names.new(set, tables)
    local rows, entries = {}, {}
    local function add(row)
        local ports, any = {}, false
        for port in (row.ports or ""):gmatch("%l+/%d+") do ports[port], any = true, true end
        -- A service on TLS over TCP may be on QUIC as well, and the other way round.
        if ports["tcp/443"] or ports["udp/443"] then ports["tcp/443"], ports["udp/443"] = true, true end
        rows[#rows + 1] = { name = row.name, match = row.match, category = row.category, purpose = row.purpose,
            owner = row.owner or "third-party", ports = any and ports or nil }
        entries[#entries + 1] = row.match == "exact" and "=" .. row.name or row.name
    end
    for _, row in ipairs(tables.apple) do add(row) end
    for _, row in ipairs(tables.third_parties) do add(row) end

    local function prefixes(list)
        local cidrs = {}
        for i, row in ipairs(list) do cidrs[i] = row.cidr end
        return set.prefixes(cidrs)
    end
    local domains = set.domains(entries)
    local apple_blocks, cdn_blocks = prefixes(tables.blocks), prefixes(tables.networks)

    local object = {}

    -- The row of a name, or nil.
    function object.row(name)
        local number = name and domains:find(name)
        return number and rows[number]
    end

    -- The row of a name that Apple alone owns, or nil.
    function object.apple_row(name)
        local row = object.row(name)
        return row and row.owner == "apple" and row or nil
    end

    function object.apple_address(address) return apple_blocks:has(address) end

    -- Content networks, and addresses that only translate others (NAT64, RFC 6052).
    function object.shared_address(address) return cdn_blocks:has(address) or address:sub(1, 9) == "64:ff9b::" end

    -- Group, category, purpose of a connection.
    function object.classify(name, address)
        local row = object.row(name)
        if row and row.owner == "apple" then return "Apple", row.category, row.purpose end
        if apple_blocks:has(address) then
            return "Apple", row and row.category or "by address", row and row.purpose or "Address block that is Apple's alone"
        end
        if row then return "known", row.category, row.purpose end
        return "elsewhere"
    end

    return object
end

return names
