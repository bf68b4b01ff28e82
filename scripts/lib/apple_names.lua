-- Whose name is it? Apple's, a known third party's, or somebody else's: data/apple_domains.tsv as questions and answers.
--
-- Only a row that Apple owns makes a connection Apple's by its name. Alias zones and content networks ("shared") carry others
-- too; they count as Apple's only if the address is in Apple's own blocks as well.
--
-- What a connection is for is its category's number: `categories` lists them, each { group, name }, group one of "Apple", "known"
-- and "elsewhere". A number is what an account can keep without a string.

local names = {}

local function prefixes(set, list)
    local cidrs = {}
    for i, row in ipairs(list) do cidrs[i] = row.cidr end
    return set.prefixes(cidrs)
end

-- tables: rows of apple_domains.tsv, known_third_parties.tsv, apple_cidrs.tsv, cdn_cidrs.tsv; chains, if
-- known_link is asked for, of apple_chains.tsv. `set` is lunette.set.
function names.new(set, tables)
    local rows, entries, categories, number_of = {}, {}, {}, {}

    local function category(group, name)
        local key = group .. " " .. name
        if not number_of[key] then
            categories[#categories + 1] = { group = group, name = name }
            number_of[key] = #categories
        end
        return number_of[key]
    end
    local elsewhere, by_address = category("elsewhere", "elsewhere"), category("Apple", "by address")

    local function add(row)
        local ports, any = {}, false
        for port in (row.ports or ""):gmatch("%l+/%d+") do ports[port], any = true, true end
        -- A service on TLS over TCP may be on QUIC as well, and the other way round.
        if ports["tcp/443"] or ports["udp/443"] then ports["tcp/443"], ports["udp/443"] = true, true end
        local owner = row.owner or "third-party"
        local at_apple = category("Apple", row.category)
        rows[#rows + 1] = { name = row.name, match = row.match, category = row.category, purpose = row.purpose,
            owner = owner, ports = any and ports or nil, at_apple = at_apple,
            at_others = owner == "apple" and at_apple or category("known", row.category) }
        entries[#entries + 1] = row.match == "exact" and "=" .. row.name or row.name
    end
    for _, row in ipairs(tables.apple) do add(row) end
    for _, row in ipairs(tables.third_parties) do add(row) end

    local domains = set.domains(entries)
    local apple_blocks, cdn_blocks = prefixes(set, tables.blocks), prefixes(set, tables.networks)
    local zones = {}
    for i, row in ipairs(tables.chains or {}) do zones[i] = row.zone end
    local chain_zones = set.domains(zones)

    local object = { categories = categories }

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

    -- Content networks, and addresses that only translate others (NAT64, RFC 6052: an IPv4 address in the last 32 bits, behind a
    -- network's own prefix or the well-known one).
    function object.shared_address(address)
        if cdn_blocks:has(address) or address:sub(1, 9) == "64:ff9b::" then return true end
        local high, low = address:match("::(%x+):(%x+)$")
        if not high then return false end
        high, low = tonumber(high, 16), tonumber(low, 16)
        local inner = ("%d.%d.%d.%d"):format(math.floor(high / 256), high % 256, math.floor(low / 256), low % 256)
        return apple_blocks:has(inner) or cdn_blocks:has(inner)
    end

    -- The first name of a chain of CNAMEs that is Apple's or in a zone that Apple's chains pass, or nil.
    function object.known_link(chain)
        for _, name in ipairs(chain) do
            if chain_zones:has(name) or object.apple_row(name) then return name end
        end
    end

    -- Number of the category that a flow's connection belongs to, and its row. Makes no strings of the event's name and address.
    function object.classify(e)
        local number = domains:find(e, "server_name")
        if not number then return apple_blocks:has(e, "server_ip") and by_address or elsewhere end
        local row = rows[number]
        if row.owner ~= "apple" and apple_blocks:has(e, "server_ip") then return row.at_apple, row end
        return row.at_others, row
    end

    return object
end

-- The tables that come along. `lunette` is the API.
function names.load(lunette)
    return names.new(lunette.set, {
        apple = lunette.tsv("apple_domains.tsv"), third_parties = lunette.tsv("known_third_parties.tsv"),
        blocks = lunette.tsv("apple_cidrs.tsv"), networks = lunette.tsv("cdn_cidrs.tsv"), chains = lunette.tsv("apple_chains.tsv"),
    })
end

return names
