-- Which tools a host was seen to use, for its card: "curl 8.7.1 (macOS 14.6 to 26.0) 3 times, ssh to 1 host".
--
-- Bounded: so many tools a host, and of each tool so many destinations by name. Telling is left to a timer, since a card need not
-- change at every packet.

local book = {}

local MOST_TOOLS, MOST_PLACES = 24, 64

-- `map`: a state from addresses to entries.
function book.new(map)
    local self, changed = {}, {}

    function self.note(host, label, place)
        local entry = map:get(host)
        if not entry then
            entry = { tools = {}, order = {} }
            map:set(host, entry)
        end
        local tool = entry.tools[label]
        if not tool then
            if #entry.order >= MOST_TOOLS then return end
            tool = { times = 0, places = {}, hosts = 0 }
            entry.tools[label] = tool
            entry.order[#entry.order + 1] = label
        end
        tool.times = tool.times + 1
        if place and tool.hosts < MOST_PLACES and not tool.places[place] then
            tool.places[place], tool.hosts = true, tool.hosts + 1
        end
        changed[host] = true
    end

    -- Hands each host that changed and its lines to `tell`.
    function self.each_changed(tell)
        local hosts = {}
        for host in pairs(changed) do hosts[#hosts + 1] = host end
        table.sort(hosts)
        changed = {}
        for _, host in ipairs(hosts) do
            local entry = map:get(host)
            if entry then tell(host, book.lines(entry)) end
        end
    end
    return self
end

local function count(n, one, many) return n == 1 and "1 " .. one or n .. " " .. many end

function book.lines(entry)
    local lines = {}
    for i, label in ipairs(entry.order) do
        local tool = entry.tools[label]
        lines[i] = label .. " " .. (tool.times == 1 and "once" or tool.times .. " times")
            .. (tool.hosts > 0 and " to " .. count(tool.hosts, "place", "places") or "")
    end
    return lines
end

return book
