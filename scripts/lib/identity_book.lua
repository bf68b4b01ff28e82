-- What was learnt of every host, and what that makes of it.
--
-- A host has a text whose bytes are the numbers of the signs that it has shown, in order (hosts that showed the same share the text); a record
-- with the range of Darwin versions that its system can be and what was last told of it; and texts (name, model, version), if it has some. The book is kept
-- twice: in each worker, of what the worker's own hosts said, and where all is gathered; `tell(ip, is_news, is_first_several)` is the one that differs.

local lunette = require "lunette"
local address = require "lunette.address"
local versions = require "identity_versions"
local weigh = require "identity_weigh"

local book = {}

local MOST_HOSTS, MOST_ADDRESSES = 20000, 8
local NOBODY = { ["0.0.0.0"] = true, ["::"] = true }
local KIND_LIST = { "mac", "iphone", "ipad", "appletv", "watch", "homepod", "vision", "apple", "windows", "linux", "android", "other" }
local KIND_NUMBER = {}
for i, kind in ipairs(KIND_LIST) do KIND_NUMBER[kind] = i end
local LONGEST = 64 -- bytes of a name that is kept; Bonjour's have 63
local TEXTS = { "model", "version", "os" }
local NOTHING = {}
local BYTE_OF = {}
for id, i in pairs(weigh.number) do BYTE_OF[id] = string.char(i) end

-- A text of sign numbers with one more of them, in its place.
local function with(list, byte)
    if list:find(byte, 1, true) then return list end
    for i = 1, #list do
        if list:sub(i, i) > byte then return list:sub(1, i - 1) .. byte .. list:sub(i) end
    end
    return list .. byte
end

-- change: by how much the confidence must differ from what was told to be told anew.
function book.new(change, tell)
    local object = {}
    local hosts = lunette.records("hosts", { max = MOST_HOSTS, fields = { from = "u8", to = "u8",
        rank = "u8", scale = "u8", several = "bool", kind = "u8", confidence = "f32", mac = "u64" } })
    local signs = lunette.state("signs", { max = MOST_HOSTS })       -- address → numbers of its signs, a byte each
    local words = lunette.state("words", { max = MOST_HOSTS })       -- address → { name, rank, model, version, os, machine, address_of }
    local machines = lunette.state("machines", { max = MOST_HOSTS }) -- Bonjour host name → list of addresses

    local function new_host(ip)
        local host, is_new = hosts:make(ip)
        if is_new then host.from, host.to = versions.FIRST, versions.LAST end
        return host
    end

    -- ------------------------------------------------------------ verdicts

    local function version_of(kind, host, said)
        if kind == "windows" or kind == "android" then return said.os or "" end
        local exact = said.version
        if exact and versions.fits(kind, exact, host.from, host.to) then return exact end
        return versions.text(kind, host.from, host.to)
    end

    local function others_of(ip, said)
        local all = said.machine and machines:get(said.machine)
        if not all then return NOTHING, said.address_of or "" end
        local list = {}
        for _, other in ipairs(all) do
            if other ~= ip then list[#list + 1] = other end
        end
        return list, all[1] ~= ip and all[1] or ""
    end

    -- What is known of the host now; nil if nothing is.
    local function verdict_of(ip, host)
        local judged = weigh.verdict(signs:get(ip) or "")
        if not judged then return nil end
        local said, kind = words:get(ip) or NOTHING, judged.kind
        local same_as, address_of = others_of(ip, said)
        return { kind = kind, system = weigh.SYSTEMS[kind], version = version_of(kind, host, said), confidence = judged.confidence,
            families = judged.families, evidence = judged.evidence, model = said.model, name = said.name, same_as = same_as,
            address_of = address_of }
    end

    -- Several systems are told once of a machine, not of each of its addresses.
    local function is_first_several(host, same_as)
        if host.several then return false end
        host.several = true
        local first = true
        for _, other in ipairs(same_as) do
            local record = hosts:get(other)
            if record then
                first = first and not record.several
                record.several = true
            end
        end
        return first
    end

    -- changed: the version or a text did, as others see it. Who is told asks for the verdict, if it is worth it.
    local function retell(ip, host, changed)
        local judged = weigh.verdict(signs:get(ip) or "")
        if not judged then return end
        local kind, confidence = KIND_NUMBER[judged.kind], judged.confidence
        local is_news = changed or host.kind ~= kind or math.abs(host.confidence - confidence) >= change
        if is_news then host.kind, host.confidence = kind, confidence end
        local several = #judged.families > 1 and is_first_several(host, (others_of(ip, words:get(ip) or NOTHING)))
        tell(ip, is_news, several)
    end

    -- ------------------------------------------------------------ learning

    -- Ranges that meet are cut with each other; of ranges that do not, the one of the higher rank stands (3: said outright, 2: agents and
    -- DHCP, 1: a SYN, a fingerprint), and of one rank both count.
    local function narrow(host, from, to, rank)
        from, to = math.max(from, versions.FIRST), math.min(to, versions.LAST)
        local low, high = math.max(host.from, from), math.min(host.to, to)
        if low > high then
            if rank < host.rank then return false end
            if rank > host.rank then low, high = from, to else low, high = math.min(host.from, from), math.max(host.to, to) end
        end
        local changed = low ~= host.from or high ~= host.to
        host.from, host.to, host.rank = low, high, math.max(host.rank, rank)
        return changed
    end

    -- Texts come from strangers: at most so many bytes, and not the first half of a UTF-8 sequence.
    local function cut(text)
        if #text <= LONGEST then return text end
        return (text:sub(1, LONGEST):gsub("[\192-\255][\128-\191]*$", ""))
    end

    -- A name of a better source replaces one of a worse: 3 Bonjour's service names, 2 host names.
    local function put_words(ip, found)
        local said, changed = words:get(ip) or {}, false
        for i = 1, #TEXTS do
            local key = TEXTS[i]
            local text = found[key] and cut(found[key])
            if text and said[key] ~= text then said[key], changed = text, true end
        end
        local name = found.name and cut(found.name)
        if name and said.name ~= name and (found.name_rank or 1) >= (said.rank or 0) then
            said.name, said.rank, changed = name, found.name_rank or 1, true
        end
        if changed then words:set(ip, said) end
        return changed
    end

    local function learn_one(ip, found, rank)
        local host, before, changed = new_host(ip), signs:get(ip) or "", false
        local now = before
        for i = 1, #found do now = with(now, BYTE_OF[found[i]]) end
        local news = now ~= before
        if news then signs:set(ip, now) end
        if found.from and narrow(host, found.from, found.to or found.from, rank) then changed = true end
        if put_words(ip, found) then changed = true end
        if news or changed then retell(ip, host, changed) end
        return news or changed
    end

    -- found: signs by their ids, and what lib/identity_signs.lua says along with them. It holds for all addresses of the machine. True if
    -- something of it was new.
    function object.learn(ip, found, rank)
        if not ip or NOBODY[ip] then return false end
        local said = words:get(ip)
        local all = said and said.machine and machines:get(said.machine)
        if not all then return learn_one(ip, found, rank) end
        local new = false
        for i = 1, #all do new = learn_one(all[i], found, rank) or new end
        return new
    end

    function object.knows(ip, sign)
        local list = signs:get(ip)
        return list ~= nil and list:find(BYTE_OF[sign], 1, true) ~= nil
    end

    -- Has the host shown this sign and, last, this window scale?
    function object.knows_scale(ip, sign, scale)
        local host = hosts:get(ip)
        if host and host.scale == scale and object.knows(ip, sign) then return true end
        new_host(ip).scale = scale
        return false
    end

    -- What another machine said under this address before is not this one's. mac: the hardware address as a number.
    function object.settle(ip, mac)
        if NOBODY[ip] or mac == 0 then return end
        local host = new_host(ip)
        if host.mac ~= 0 and host.mac ~= mac then
            hosts:delete(ip)
            signs:set(ip, nil)
            words:set(ip, nil)
            host = new_host(ip)
        end
        host.mac = mac
    end

    -- ------------------------------------------------------------ machines

    -- How much an address is worth as the one that a machine is known by: IPv4 before IPv6, others before link-local ones.
    local function order_of(ip) return address.version(ip) * 2 + (address.is_link_local(ip) and 1 or 0) end

    local function by_worth(a, b)
        local x, y = order_of(a), order_of(b)
        if x ~= y then return x < y end
        return a < b
    end

    -- The machine's addresses with these two; those of a namesake elsewhere, or of before it moved, are forgotten.
    local function members_with(name, ip, other)
        local all, known = machines:get(name) or {}, {}
        for _, a in ipairs(all) do known[a] = true end
        if not known[ip] and not known[other] then all, known = {}, {} end
        for _, a in ipairs { ip, other } do
            if not known[a] and #all < MOST_ADDRESSES then all[#all + 1], known[a] = a, true end
        end
        table.sort(all, by_worth)
        machines:set(name, all)
        return all
    end

    local function join_two(name, ip, other)
        local all = members_with(name, ip, other)
        local union, from, to, rank, texts = "", versions.FIRST, versions.LAST, 0, {}
        for _, a in ipairs(all) do
            local host, list = new_host(a), signs:get(a) or ""
            for i = 1, #list do union = with(union, list:sub(i, i)) end
            if host.rank > rank then from, to, rank = host.from, host.to, host.rank end
            local said = words:get(a) or {}
            for _, key in ipairs { "name", "rank", "model", "version", "os" } do texts[key] = texts[key] or said[key] end
        end
        for _, a in ipairs(all) do
            local host, said, changed = new_host(a), words:get(a) or {}, false
            if union ~= "" then signs:set(a, union) end
            if rank > host.rank then host.from, host.to, host.rank, changed = from, to, rank, true end
            for key, value in pairs(texts) do
                if said[key] == nil then said[key], changed = value, true end
            end
            said.machine = name
            words:set(a, said)
            retell(a, host, changed)
        end
    end

    -- Addresses that a machine gives as its own are one machine's; each has all signs of the others. Global ones count once they were heard.
    function object.join(machine, ip, addresses)
        for i = 1, #addresses do
            local other = addresses[i]
            local said = words:get(other)
            local is_ours = hosts:get(other) or not (address.is_global(other) or address.is_loopback(other))
            if other ~= ip and is_ours and not (said and said.machine == machine) then join_two(machine, ip, other) end
        end
    end

    -- The host gave these as its addresses, of which one may be better known than this one. For workers, which do not have the others.
    function object.note_addresses(ip, addresses)
        local best = ip
        for i = 1, #addresses do
            if by_worth(addresses[i], best) then best = addresses[i] end
        end
        local host, said = new_host(ip), words:get(ip) or {}
        if best == ip or said.address_of == best then return end
        said.address_of = best
        words:set(ip, said)
        retell(ip, host, true)
    end

    -- Tells once more what is known of a host.
    function object.again(ip)
        if hosts:get(ip) and weigh.verdict(signs:get(ip) or "") then tell(ip, true, false) end
    end

    -- All that was learnt of a host, as learn() takes it, and its rank; nil if nothing was.
    function object.learnt(ip)
        local host, list = hosts:get(ip), signs:get(ip)
        if not host or not list then return nil end
        local said = words:get(ip) or NOTHING
        local found = { from = host.from, to = host.to, name = said.name, name_rank = said.rank, model = said.model, version = said.version,
            os = said.os }
        for i = 1, #list do found[i] = weigh.signs[list:byte(i)].id end
        return found, host.rank
    end

    -- What is known of a host now, or nil.
    function object.verdict(ip)
        local host = hosts:get(ip)
        return host and verdict_of(ip, host)
    end

    -- The addresses of which something is known, in order.
    function object.addresses()
        local list = {}
        for ip in hosts:each() do
            if (signs:get(ip) or "") ~= "" then list[#list + 1] = ip end
        end
        table.sort(list)
        return list
    end

    return object
end

return book
