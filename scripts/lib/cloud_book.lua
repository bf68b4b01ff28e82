-- Which web services a host used, with bytes up and down, as lines for its card.
--
-- One record for each host and service, under "address service". What changed since it was told last is found by the count of flows.

local figures = require "figures"

local cloud_book = {}

-- What is on every page and says nothing of the host's owner.
local LEFT_OUT = { ["cloud-platform"] = true, other = true, shortener = true }

local function by_bytes(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.service < b.service
end

function cloud_book.new(lunette, most)
    -- Some 90 bytes each with its key: 5 MB when full.
    local used = lunette.records("used", { max = 60000, ttl = 30 * 86400, fields = { flows = "u32", told = "u32", up = "f64", down = "f64" } })
    local self = {}
    local is_news = true -- after a reload nobody knows what was not yet told

    function self.note(e, service)
        if LEFT_OUT[service.category] then return end
        is_news = true
        local record = used:make(e.client_ip .. " " .. service.service)
        record.flows = record.flows + 1
        record.up, record.down = record.up + e.client_payload, record.down + e.server_payload
    end

    function self.tell()
        if not is_news then return end
        is_news = false
        local changed = {}
        for key, record in used:each() do
            if record.told ~= record.flows then
                record.told = record.flows
                changed[key:match("^%S+")] = {}
            end
        end
        if not next(changed) then return end
        for key, record in used:each() do
            local host, service = key:match("^(%S+) (.*)$")
            local list = changed[host]
            if list then list[#list + 1] = { service = service, bytes = record.up + record.down, up = record.up, down = record.down, flows = record.flows } end
        end
        for host, list in pairs(changed) do
            table.sort(list, by_bytes)
            local lines = {}
            for i = 1, math.min(#list, most) do
                lines[i] = ("%s: %s up, %s down in %s"):format(list[i].service, figures.bytes(list[i].up), figures.bytes(list[i].down), figures.count(list[i].flows, "connection"))
            end
            if #list > most then lines[#lines + 1] = ("%d more"):format(#list - most) end
            lunette.fact(host, "cloud", lines, { services = #list })
        end
    end

    return self
end

return cloud_book
