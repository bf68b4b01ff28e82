-- What gui_app knows of the programs on each host, as lines for its card.
--
-- `history` is the detector's records, one for each host and program, under "address program". A record's `told` is the count of
-- connections that its last card knew: so hosts without news cost a comparison.

local lunette = require "lunette"

local card = {}

function card.size_text(bytes)
    if bytes >= 1e6 then return ("%.1f MB"):format(bytes / 1e6) end
    if bytes >= 1e3 then return ("%.1f kB"):format(bytes / 1e3) end
    return ("%d bytes"):format(bytes)
end

local function counted(n, word)
    return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

local function card_line(one)
    local parts = {}
    if one.flows > 0 then
        parts[1] = ("%s to %s, %s sent, %s received"):format(counted(one.flows, "connection"), counted(one.domains, "domain"), card.size_text(one.sent),
            card.size_text(one.received))
    end
    if one.by_tools > 0 then parts[#parts + 1] = counted(one.by_tools, "connection") .. " of tools that it ran" end
    return table.concat(parts, "; ")
end

local function by_flows(a, b)
    if a.flows ~= b.flows then return a.flows > b.flows end
    return a.app < b.app
end

-- Hosts of which something is new since the last time.
local function changed_hosts(history)
    local changed = {}
    for key, record in history:each() do
        local now = record.flows + record.by_tools
        if record.told ~= now then
            record.told = now
            changed[key:sub(1, key:find(" ", 1, true) - 1)] = {}
        end
    end
    return changed
end

-- Tells the facts of all hosts of which something is new: at most `most` lines each, the busiest programs first.
function card.tell(history, most)
    local changed = changed_hosts(history)
    if not next(changed) then return end
    for key, record in history:each() do
        local space = key:find(" ", 1, true)
        local list = changed[key:sub(1, space - 1)]
        if list then
            list[#list + 1] = { app = key:sub(space + 1), flows = record.flows, domains = record.domains, sent = record.sent, received = record.received,
                by_tools = record.by_tools }
        end
    end
    for host, list in pairs(changed) do
        table.sort(list, by_flows)
        local lines = {}
        for i = 1, math.min(#list, most) do lines[i] = list[i].app .. ": " .. card_line(list[i]) end
        if #list > most then lines[#lines + 1] = ("%d more"):format(#list - most) end
        lunette.fact(host, "gui apps", lines, { apps = #list })
    end
end

return card
