-- Which TLS stacks of a host call a service, since when and until when: is one of them a newcomer beside the service's own program?
--
-- One record for each host and service, with the six stacks that called it last. An app that was updated may have another stack from one hour to the next: then the old
-- one is gone. An implant comes beside it, and the app goes on.

local cloud_stacks = {}

local DAY = 86400
local MOST = 6
local STAYS = 3600     -- seconds after the newcomer's first call in which the elder calls on
local REPLACED = 14 * DAY -- a stack that called no more for so long is no matter

-- 32 bits of the cipher list's hash in a stack's name ("t13_0d8feac7bc37", tls_clients).
local function code_of(stack) return tonumber(stack:sub(5, 12), 16) end

-- most: hosts times services; 0.2 KiB each.
function cloud_stacks.new(lunette, most)
    local known = lunette.records("service_stacks", { max = most, ttl = 30 * DAY,
        fields = { count = "u8", stack = "u32[6]", first = "f64[6]", last = "f64[6]", pages = "u8[6]" } })
    local self = {}

    local function key_of(address, service) return address .. "\t" .. service.service end

    local function index_of(record, code)
        for i = 0, record.count - 1 do
            if record:at("stack", i) == code then return i end
        end
    end

    -- Where a new one goes: a free place, else that of the one silent for the longest time.
    local function place_in(record)
        local count = record.count
        if count < MOST then
            record.count = count + 1
            return count
        end
        local oldest = 0
        for i = 1, MOST - 1 do
            if record:at("last", i) < record:at("last", oldest) then oldest = i end
        end
        return oldest
    end

    function self.note(address, service, stack, time)
        local code = stack and code_of(stack)
        if not code then return end
        local record = known:make(key_of(address, service))
        local i = index_of(record, code)
        if not i then
            i = place_in(record)
            record:put("stack", i, code)
            record:put("first", i, time)
            record:put("pages", i, 0)
        end
        record:put("last", i, time)
        if service.use ~= "api" then record:put("pages", i, 1) end
    end

    -- Has another stack called the service for `seconds` before this one came, and still does?
    function self.is_newcomer(address, service, stack, seconds)
        local record = known:get(key_of(address, service))
        local own = record and index_of(record, code_of(stack) or 0)
        if not own then return false end
        local came, is_beside = record:at("first", own), false
        for i = 0, record.count - 1 do
            if i ~= own and came - record:at("first", i) >= seconds then
                local last = record:at("last", i)
                if last >= came + STAYS then is_beside = true elseif came - last < REPLACED then return false end
            end
        end
        return is_beside
    end

    -- Does this stack call other names of the service than those that only programs call, as the service's own app does?
    function self.is_apps(address, service, stack)
        local record = known:get(key_of(address, service))
        local own = record and index_of(record, code_of(stack) or 0)
        return own ~= nil and own ~= false and record:at("pages", own) == 1
    end

    return self
end

return cloud_stacks
