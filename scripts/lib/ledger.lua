-- Who talked to whom, how often and how much: the table that an analyst draws up by hand when a capture of a Mac is new to her.
--
-- Two books: totals per host and group, and an account per host, group and name. Both are bounded states handed in by the
-- detector; when accounts give way the totals still stand.

local ledger = {}

local TITLES = { Apple = "Apple", known = "Known third parties", elsewhere = "Elsewhere" }

-- "42 MB", the way one says it.
function ledger.human(bytes)
    if bytes < 1000 then return ("%d B"):format(bytes) end
    for _, unit in ipairs { "kB", "MB", "GB" } do
        bytes = bytes / 1000
        if bytes < 1000 or unit == "GB" then return (bytes < 10 and "%.1f %s" or "%.0f %s"):format(bytes, unit) end
    end
end

-- The first clause of a purpose, for a narrow column.
function ledger.brief(text)
    local clause = (text:match("^[^;,(:]+") or ""):match("^(.-)%s*$")
    return #clause <= 48 and clause or clause:sub(1, 47):match("^(.*) ") or clause:sub(1, 48)
end

local function by_host_and_bytes(a, b)
    if a.host ~= b.host then return a.host < b.host end
    if a.rank ~= b.rank then return a.rank < b.rank end
    if a.up + a.down ~= b.up + b.down then return a.up + a.down > b.up + b.down end
    return a.name < b.name
end

function ledger.new(accounts, totals)
    local object = {}

    local function book(state, key, host, group, name)
        local account = state:get(key)
        if not account then
            account = { host = host, group = group, name = name, flows = 0, up = 0, down = 0 }
            state:set(key, account)
        end
        return account
    end

    -- Adds one connection. `up` is what the host sent.
    function object.add(host, group, name, category, purpose, up, down)
        local account = book(accounts, host .. " " .. group .. " " .. name, host, group, name)
        account.category, account.purpose = category, purpose
        account.flows, account.up, account.down = account.flows + 1, account.up + up, account.down + down
        local total = book(totals, host .. " " .. group, host, group, TITLES[group])
        total.flows, total.up, total.down = total.flows + 1, total.up + up, total.down + down
    end

    local function sorted(state)
        local list, rank = {}, { Apple = 1, known = 2, elsewhere = 3 }
        for _, account in state:each() do
            account.rank = rank[account.group]
            list[#list + 1] = account
        end
        table.sort(list, by_host_and_bytes)
        return list
    end

    -- One row per host and group.
    function object.total_rows()
        local rows = {}
        for i, a in ipairs(sorted(totals)) do
            rows[i] = { a.host, a.name, a.flows, ledger.human(a.up), ledger.human(a.down) }
        end
        return rows
    end

    -- A list of { host, rows, left }: for each host its names, of each group at most `most`; `left` were left out. The hosts with the most
    -- bytes, at most `hosts` of them; second result: how many hosts there are.
    function object.by_host(hosts, most)
        local list, of, count = {}, {}, {}
        for _, a in ipairs(sorted(accounts)) do
            local entry = of[a.host]
            if not entry then
                entry = { host = a.host, rows = {}, left = 0, bytes = 0 }
                of[a.host], list[#list + 1] = entry, entry
            end
            entry.bytes = entry.bytes + a.up + a.down
            local key = a.host .. a.group
            count[key] = (count[key] or 0) + 1
            if count[key] <= most then
                entry.rows[#entry.rows + 1] = { a.name, a.category or TITLES[a.group]:lower(), ledger.brief(a.purpose or ""), a.flows,
                    ledger.human(a.up), ledger.human(a.down) }
            else
                entry.left = entry.left + 1
            end
        end
        table.sort(list, function(a, b)
            if a.bytes ~= b.bytes then return a.bytes > b.bytes end
            return a.host < b.host
        end)
        local shown = {}
        for i = 1, math.min(hosts, #list) do shown[i] = list[i] end
        return shown, #list
    end

    return object
end

return ledger
