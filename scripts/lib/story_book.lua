-- The cases that are open: for each machine the findings of the last hours, at most 64 of them.
--
-- A machine is an address, or several that mac_identity calls one host. A finding goes into the machine's case if the one before it is no
-- older than the window, or if it has to do with a program, a server or an address of that case; after three days a case is closed, whatever comes.
-- Several alerts of one detector with one title about one server are one finding that is counted.
local attack = require "attack"
local weigh = require "story_weigh"

local book = {}

local MOST_LEADS, MOST_INFOS = 64, 12
local LISTS = 1000 -- of techniques that are remembered
local DAY = 86400

local function server_of(lunette, where)
    local host = where:match("^(.-):%d+$") or where
    if host:find(":", 1, true) and not lunette.is_address(host) then host = where end
    if lunette.is_address(host) then return nil, host end
    if not host:find(".", 1, true) or host:find(" ", 1, true) then return nil end
    return lunette.registrable(host) or host
end

--- options: hosts (cases at most), window (seconds), leads (of all cases).
function book.new(lunette, address, techniques, options)
    local object = {}
    local cases = lunette.state("cases", { max = options.hosts, ttl = 4 * DAY })
    local machines = lunette.state("machines", { max = 2 * options.hosts, ttl = 30 * DAY }) -- address → { of, name, phase }
    local total = lunette.state("total", { max = 1 }) -- leads in all cases, and those for which there was no room
    local sum = { leads = 0, dropped = 0 }
    total:set("all", sum)

    local function machine(ip)
        local known = machines:get(ip)
        if not known then
            known = { of = ip, name = "", phase = "" }
            machines:set(ip, known)
        end
        return known
    end

    -- The cases in which something was found since `changed` was asked: key → case.
    local touched = {}

    function object.touch(key, case)
        case.dirty = true
        touched[key] = case
    end

    function object.changed()
        local list = touched
        touched = {}
        return list
    end

    -- The same by a walk through all: after a restart nobody remembers.
    function object.dirty_cases()
        touched = {}
        local list = {}
        for key, case in cases:each() do
            if case.dirty then list[key] = case end
        end
        return list
    end

    function object.cases() return cases:each() end
    function object.dropped() return sum.dropped end
    function object.name(ip) local known = machines:get(ip) return known and known.name or "" end
    function object.phase(ip, phase) machine(ip).phase = phase end

    local function close(key, case)
        sum.leads = math.max(sum.leads - #case.leads, 0)
        cases:set(key, nil)
        touched[key] = nil
    end
    object.close = close

    local function insert(case, lead)
        case.numbers = case.numbers + 1
        lead.number = case.numbers
        case.leads[#case.leads + 1] = lead
    end

    -- Two addresses turn out to be one machine: their cases become one.
    local function merge(from, into)
        local one, other = cases:get(from), cases:get(into)
        if not one then return end
        cases:set(from, nil)
        touched[from] = nil
        if not other then
            one.host = into
            cases:set(into, one)
            if one.dirty then object.touch(into, one) end
            return
        end
        for _, lead in ipairs(one.leads) do
            if #other.leads < MOST_LEADS then
                insert(other, lead)
            else
                sum.leads = sum.leads - 1
                other.more = other.more + lead.count
            end
        end
        for ip in pairs(one.addresses) do other.addresses[ip] = true end
        other.first, other.last = math.min(one.first, other.first), math.max(one.last, other.last)
        other.more = other.more + one.more
        -- What was told of either is not told again for nothing.
        if one.told and not other.told then other.told, other.id = one.told, one.id end
        object.touch(into, other)
    end

    function object.identity(ip, name, address_of)
        local known = machine(ip)
        if name ~= "" then known.name = name end
        local of = address_of ~= "" and address_of or ip
        if known.of == of then return end
        known.of = of
        if of ~= ip then
            local first = machine(of)
            if first.name == "" then first.name = known.name end
            if first.phase == "" then first.phase = known.phase end
            merge(ip, of)
        end
    end

    -- Ids and tactics of an alert's list. Detectors have a few lists, so each is read once; findings share what was read.
    local read, read_count = {}, 0
    local function technique(text)
        text = text or ""
        local one = read[text]
        if not one then
            local ids = attack.ids(text)
            one = { ids, attack.tactics(techniques, ids) }
            if read_count >= LISTS then read, read_count = {}, 0 end
            read[text], read_count = one, read_count + 1
        end
        return one[1], one[2]
    end

    local function lead_of(a, ip)
        local evidence = a.evidence or {}
        local span = tonumber(evidence.span_s) or (type(evidence.since) == "number" and a.time - evidence.since)
        local server, outside = server_of(lunette, a.where)
        if not outside and not server and a.server_ip then outside = a.server_ip end
        if outside and not address.is_global(outside) then outside = nil end
        local program = a.program or (type(evidence.program) == "string" and evidence.program) or nil
        local path = a.path or (type(evidence.path) == "string" and evidence.path) or nil
        local ancestry = a.ancestry or (type(evidence.behind) == "string" and evidence.behind) or nil
        local lineage, tool = weigh.lineage(program, path, ancestry)
        local ids, tactics = technique(a.attack)
        return { time = a.time, since = span and span > 0 and span < 3 * DAY and a.time - span or a.time, count = 1, kind = a.detector .. "|" .. a.title,
            detector = a.detector, title = a.title:sub(1, 120), rank = weigh.RANK[a.severity] or weigh.LOW, confidence = a.confidence or 0.7,
            where = a.where:sub(1, 200), server = server, address = outside, program = program, path = path, ancestry = ancestry, lineage = lineage, tool = tool,
            files = weigh.files(evidence.arguments),
            tactics = tactics, ids = ids, why = a.why:sub(1, 300), next = a.next:sub(1, 300), host = ip,
            phase = machine(ip).phase ~= "" and machine(ip).phase or machine(machine(ip).of).phase }
    end

    -- Has the finding to do with what is in the case, whenever that was?
    local function belongs(case, lead)
        for _, other in ipairs(case.leads) do
            for _, file in ipairs(other.files) do
                if file == lead.path then return true end
            end
            if lead.server and lead.server == other.server then return true end
            if lead.address and lead.address == other.address then return true end
            for _, mine in ipairs(lead.lineage) do
                for _, theirs in ipairs(other.lineage) do
                    if mine == theirs then return true end
                end
            end
        end
        return false
    end

    -- The same once more: counted, and as bad and as sure as the worst of them.
    local function counted(case, lead)
        for _, other in ipairs(case.leads) do
            if other.kind == lead.kind and other.where == lead.where and (other.path or "") == (lead.path or "") then
                other.count, other.time = other.count + 1, math.max(other.time, lead.time)
                if lead.rank < other.rank then other.rank, other.confidence, other.why, other.next = lead.rank, lead.confidence, lead.why, lead.next end
                if lead.since < other.since then other.since = lead.since end
                return true
            end
        end
    end

    local function weakest(case, than)
        local worst
        for i, lead in ipairs(case.leads) do
            if lead.rank > than and (not worst or lead.rank >= case.leads[worst].rank) then worst = i end
        end
        return worst
    end

    -- Where a case is full, or all of them are, what weighs less gives way.
    local function has_room(case, lead)
        if lead.rank == weigh.INFO then
            local infos = 0
            for _, other in ipairs(case.leads) do infos = infos + (other.rank == weigh.INFO and 1 or 0) end
            if infos >= MOST_INFOS then return false end
        end
        if #case.leads < MOST_LEADS and (sum.leads < options.leads or #case.leads == 0) then return true end
        local worst = weakest(case, lead.rank)
        if not worst then return false end
        table.remove(case.leads, worst)
        sum.leads = sum.leads - 1
        case.more = case.more + 1
        return true
    end

    --- An alert of another detector. Calls retire(key, case) for a case that is over because of it.
    function object.hear(a, retire)
        local ip = a.who
        if not lunette.is_address(ip) then ip = a.client_ip end
        if not ip or not lunette.is_address(ip) then return end
        local key = machine(ip).of
        local lead = lead_of(a, ip)
        local case = cases:get(key)
        if case and (a.time - case.first > 3 * DAY or (a.time - case.last > options.window and not belongs(case, lead))) then
            retire(key, case)
            close(key, case)
            case = nil
        end
        if not case then
            case = { host = key, leads = {}, first = a.time, last = a.time, more = 0, numbers = 0, addresses = {} }
        end
        cases:set(key, case) -- which also says that it is in use
        case.addresses[ip] = true
        case.last = math.max(case.last, a.time)
        object.touch(key, case)
        if counted(case, lead) then return end
        if not has_room(case, lead) then
            case.more, sum.dropped = case.more + 1, sum.dropped + 1
            return
        end
        insert(case, lead)
        sum.leads = sum.leads + 1
    end

    return object
end

return book
