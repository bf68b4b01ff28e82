-- Which tools a host was seen to use, for its card: "curl 8.7.1 (macOS 14.6 to 26.0) 3 times, ssh once to 1 place".
--
-- Of two hosts of the home network, one's packets may come to another worker than the other's. So the workers only send what they see, and the book is
-- kept where all is gathered. Bounded: so many tools a host, and of each tool so many destinations by name. Telling is left to a
-- timer, since a card need not change at every packet.

local book = {}

local MOST_TOOLS, MOST_PLACES = 24, 64
local MOST_IN_ALL = 128 -- places of one host: with 5000 hosts some 120 MB, if strangers take pains
local LONGEST = 120 -- bytes of a name: agents, banners and programs' names come from strangers

-- For the workers, a function that sends: a host used a tool; place is where to, or nil.
function book.sender(lunette)
    return function(host, label, place)
        lunette.send(host, { tool = label:sub(1, LONGEST), place = place and place:sub(1, LONGEST) })
    end
end

-- `map`: a state from addresses to entries.
function book.new(map)
    local self = {}

    function self.note(host, label, place)
        local entry = map:get(host)
        if not entry then
            entry = { tools = {}, order = {}, places = 0 }
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
        if place and tool.hosts < MOST_PLACES and (entry.places or 0) < MOST_IN_ALL and not tool.places[place] then
            tool.places[place], tool.hosts = true, tool.hosts + 1
            entry.places = (entry.places or 0) + 1
        end
        entry.is_news = true -- kept with the entry: the script may be loaded anew before it is told
    end

    -- Hands each host that changed and its lines to `tell`.
    function self.each_changed(tell)
        local hosts = {}
        for host, entry in map:each() do
            if entry.is_news then hosts[#hosts + 1] = host end
        end
        table.sort(hosts)
        for _, host in ipairs(hosts) do
            local entry = map:get(host)
            entry.is_news = nil
            tell(host, book.lines(entry))
        end
    end
    return self
end

local function places_text(n)
    if n == 0 then return "" end
    return n == 1 and " to 1 place" or (" to %d%s places"):format(n, n == MOST_PLACES and " or more" or "")
end

-- "curl by name", of which no more than its process is known, where "curl 8.7.1" or "ssh (OpenSSH_9.7)" tells the same calls.
local function is_told_better(entry, label)
    local name = label:match("^(%S+) by name$")
    if not name then return false end
    for _, other in ipairs(entry.order) do
        local more = other ~= label and other:sub(1, #name + 1) == name .. " " and other:sub(#name + 2)
        if more and more:find("^[%d(]") then return true end
    end
    return false
end

function book.lines(entry)
    local lines = {}
    for _, label in ipairs(entry.order) do
        local tool = entry.tools[label]
        if not is_told_better(entry, label) then
            lines[#lines + 1] = label .. " " .. (tool.times == 1 and "once" or tool.times .. " times") .. places_text(tool.hosts)
        end
    end
    return lines
end

return book
