-- Who talked to whom, how often and how much: the table that an analyst draws up by hand when a capture of a Mac is new to her.
--
-- Two books, both bounded and handed in by the detector. Accounts: one of 24 bytes per host and name, keyed "host name". Hosts: one per
-- host, with an array of connections and bytes by category, so that "software-update 44 MB in 26" costs no walk through the
-- accounts, and sums that still stand when accounts have given way.

local figures = require "figures"

local ledger = {}

local TITLES = { Apple = "Apple", known = "Known third parties", elsewhere = "Elsewhere" }
local GROUPS = { "Apple", "known", "elsewhere" }
local NUMBER_OF = { Apple = 0, known = 1, elsewhere = 2 }

ledger.ACCOUNT_FIELDS = { flows = "u32", category = "u8", up = "u64", down = "u64" }
function ledger.host_fields(categories)
    return { flows = ("u32[%d]"):format(categories), bytes = ("u64[%d]"):format(categories), up = "u64[3]", down = "u64[3]" }
end

-- A number that is another one if the list of categories is: counts by category are then no longer what they say.
function ledger.version(categories)
    local sum = #categories
    for i, category in ipairs(categories) do
        for position = 1, #category.name do sum = (sum * 31 + category.name:byte(position) + i) % 1000003 end
    end
    return sum + 1
end

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

local FEW = 64 -- hosts that are found without sorting all of them

local function by_group_and_bytes(a, b)
    if a.group ~= b.group then return a.group < b.group end
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.name < b.name
end

local function by_bytes(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.name < b.name
end

-- The host and the name of an account's key.
local function split(key)
    local at = key:find(" ", 1, true)
    return key:sub(1, at - 1), key:sub(at + 1)
end

-- accounts and hosts are lunette.records with the fields above; categories as in apple_names; purpose_of(name) tells what a name is for.
function ledger.new(accounts, hosts, categories, purpose_of)
    local object, group_of = {}, {}
    for i, category in ipairs(categories) do group_of[i] = NUMBER_OF[category.group] end

    -- Adds one connection. `up` is what the host sent.
    function object.add(host, name, category, up, down)
        local account = accounts:make(host .. " " .. name)
        account.category = category
        account.flows, account.up, account.down = account.flows + 1, account.up + up, account.down + down
        local group, total = group_of[category], hosts:make(host)
        total:put("flows", category - 1, total:at("flows", category - 1) + 1)
        total:put("bytes", category - 1, total:at("bytes", category - 1) + up + down)
        total:put("up", group, total:at("up", group) + up)
        total:put("down", group, total:at("down", group) + down)
    end

    local by_group = { [0] = 0, 0, 0 } -- connections, of the host looked at last
    local function count_flows(total)
        by_group[0], by_group[1], by_group[2] = 0, 0, 0
        for i = 1, #categories do
            local group = group_of[i]
            by_group[group] = by_group[group] + total:at("flows", i - 1)
        end
    end

    local function bytes_of(total)
        local bytes = 0
        for group = 0, 2 do bytes = bytes + total:at("up", group) + total:at("down", group) end
        return bytes
    end

    -- Connections and bytes of a host in all, or nil.
    function object.sum(host)
        local total = hosts:get(host)
        if not total then return nil end
        count_flows(total)
        return by_group[0] + by_group[1] + by_group[2], bytes_of(total)
    end

    -- The hosts with the most bytes, at most so many, in that order; second result: how many there are.
    function object.busiest(most)
        local list = {}
        for host, total in hosts:each() do list[#list + 1] = { name = host, bytes = bytes_of(total) } end
        local count = #list
        if most <= FEW then
            figures.foremost(list, most, by_bytes)
        else
            table.sort(list, by_bytes)
            for i = count, most + 1, -1 do list[i] = nil end
        end
        for i, entry in ipairs(list) do list[i] = entry.name end
        return list, count
    end

    -- One row per host and group, of at most so many hosts, those with the most bytes; second result: how many hosts there are.
    function object.total_rows(most)
        local rows, order, count = {}, object.busiest(most)
        table.sort(order)
        for _, host in ipairs(order) do
            local total = hosts:get(host)
            count_flows(total)
            for group = 0, 2 do
                if by_group[group] > 0 then
                    rows[#rows + 1] = { host, TITLES[GROUPS[group + 1]], by_group[group], ledger.human(total:at("up", group)),
                        ledger.human(total:at("down", group)) }
                end
            end
        end
        return rows, count
    end

    -- What a host's connections of one group were for: a list of { name, flows, bytes }, most bytes first.
    function object.purposes(host, group)
        local list, total, number = {}, hosts:get(host), NUMBER_OF[group]
        if not total or total:at("up", number) + total:at("down", number) == 0 then return list end
        for i = 1, #categories do
            local flows = total:at("flows", i - 1)
            if flows > 0 and group_of[i] == number then
                list[#list + 1] = { name = categories[i].name, flows = flows, bytes = total:at("bytes", i - 1) }
            end
        end
        table.sort(list, by_bytes)
        return list
    end

    -- All hosts: host → true.
    function object.hosts()
        local all = {}
        for host in hosts:each() do all[host] = true end
        return all
    end

    -- The names of one group, for the hosts in `wanted` (host → true): host → list of { name, flows, bytes }, most bytes first. Walks
    -- all accounts.
    function object.names(wanted, group)
        local lists, number = {}, NUMBER_OF[group]
        for key, account in accounts:each() do
            if group_of[account.category] == number then
                local host, name = split(key)
                if wanted[host] then
                    local list = lists[host] or {}
                    lists[host] = list
                    list[#list + 1] = { name = name, flows = account.flows, bytes = account.up + account.down }
                end
            end
        end
        for _, list in pairs(lists) do table.sort(list, by_bytes) end
        return lists
    end

    -- Leaves of a host's accounts, of each group, those with the most bytes. Who calls a hundred thousand servers must not need as many tables.
    local function keep_foremost(entry, most)
        local all, kept, taken = entry.accounts, {}, { [0] = 0, 0, 0 }
        table.sort(all, by_group_and_bytes)
        for _, a in ipairs(all) do
            if taken[a.group] < most then
                taken[a.group] = taken[a.group] + 1
                kept[#kept + 1] = a
            else
                entry.left = entry.left + 1
            end
        end
        entry.accounts = kept
    end

    -- A list of { host, rows, left }: for each host its names, of each group at most `most`; `left` were left out. The hosts with the most
    -- bytes, at most `hosts` of them; second result: how many hosts there are. Walks all accounts.
    function object.by_host(shown_hosts, most)
        local order, count = object.busiest(shown_hosts)
        local list, of = {}, {}
        for i, host in ipairs(order) do
            list[i] = { host = host, rows = {}, left = 0, accounts = {} }
            of[host] = list[i]
        end
        for key, account in accounts:each() do
            local host, name = split(key)
            local entry = of[host]
            if entry then
                entry.accounts[#entry.accounts + 1] = { name = name, group = group_of[account.category] or 2, category = categories[account.category],
                    flows = account.flows, up = account.up, down = account.down, bytes = account.up + account.down }
                if #entry.accounts >= 8 * most + 1000 then keep_foremost(entry, most) end
            end
        end
        for _, entry in ipairs(list) do
            table.sort(entry.accounts, by_group_and_bytes)
            local shown = { [0] = 0, 0, 0 }
            for _, a in ipairs(entry.accounts) do
                shown[a.group] = shown[a.group] + 1
                if shown[a.group] <= most then
                    entry.rows[#entry.rows + 1] = { a.name, a.category and a.category.name or "elsewhere",
                        ledger.brief(purpose_of(a.name, a.category) or ""), a.flows, ledger.human(a.up), ledger.human(a.down) }
                else
                    entry.left = entry.left + 1
                end
            end
            entry.accounts = nil
        end
        return list, count
    end

    return object
end

-- "software-update 44 MB in 26 connections, maps 25 MB in 206, … 3 more": the first `most` of a list of { name, flows, bytes }.
function ledger.line(list, most)
    local parts = {}
    for i = 1, math.min(most, #list) do
        local name = list[i].name:gsub("^third%-party:", "")
        local unit = i > 1 and "" or list[i].flows == 1 and " connection" or " connections"
        parts[i] = ("%s %s in %d%s"):format(name, ledger.human(list[i].bytes), list[i].flows, unit)
    end
    if #list > most then parts[#parts + 1] = ("%d more"):format(#list - most) end
    return table.concat(parts, ", ")
end

return ledger
