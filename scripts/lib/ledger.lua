-- Who talked to whom, how often and how much: the table that an analyst draws up by hand when a capture of a Mac is new to her.
--
-- Two books: totals per host and group, and an account per host, group and name. Both are bounded states handed in by the detector;
-- when accounts give way the totals still stand.

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
        for _, a in ipairs { account, book(totals, host .. " " .. group, host, group, TITLES[group]) } do
            a.flows, a.up, a.down = a.flows + 1, a.up + up, a.down + down
        end
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

    -- Rows for the two reports; of each host and group at most `most` names. Second result: how many were left out.
    function object.total_rows()
        local rows = {}
        for i, a in ipairs(sorted(totals)) do
            rows[i] = { a.host, a.name, a.flows, ledger.human(a.up), ledger.human(a.down) }
        end
        return rows
    end

    function object.name_rows(most)
        local rows, left, seen = {}, 0, {}
        for _, a in ipairs(sorted(accounts)) do
            local key = a.host .. a.group
            seen[key] = (seen[key] or 0) + 1
            if seen[key] <= most then
                rows[#rows + 1] = { a.host, TITLES[a.group], a.name, a.category or "", a.purpose or "", a.flows,
                    ledger.human(a.up), ledger.human(a.down) }
            else
                left = left + 1
            end
        end
        return rows, left
    end

    return object
end

return ledger
