-- DNS messages (RFC 1035): a question and its answer.
return function(inside)
    local host, options, tcp = inside.host, inside.options, inside.tcp
    local u16, u32, char = tcp.u16, tcp.u32, string.char
    local fail = options.fail

    local TYPES = { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33, SVCB = 64, HTTPS = 65,
        ANY = 255, NULL = 10, HINFO = 13, NAPTR = 35, DS = 43, DNSKEY = 48 }
    local RCODES = { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5 }

    local function names_of(list)
        local names = {}
        for name in pairs(list) do names[#names + 1] = name end
        return names
    end

    local function name_bytes(name)
        local bytes = {}
        if name:sub(-1) == "." then name = name:sub(1, -2) end
        for label in (name == "" and "" or name .. "."):gmatch("([^.]*)%.") do
            if #label == 0 or #label > 63 then
                fail("dns: a label has 1 to 63 bytes: '%s' has one of %d", name, #label)
            end
            bytes[#bytes + 1] = char(#label) .. label
        end
        local whole = table.concat(bytes) .. "\0"
        if #whole > 255 then fail("dns: a name has at most 255 bytes, '%s' takes %d", name, #whole) end
        return whole
    end

    local function address(value, length, kind)
        local bytes = host.address(value)
        if not bytes or #bytes ~= length then fail("dns: '%s' is no %s address", value, kind) end
        return bytes
    end

    local function numbers_and_name(value, count, form)
        local words = {}
        for word in value:gmatch("%S+") do words[#words + 1] = word end
        local bytes = {}
        for i = 1, count do
            local number = tonumber(words[i])
            if not number or number < 0 or number > 65535 then fail("dns: '%s' must be '%s'", value, form) end
            bytes[i] = u16(number)
        end
        if #words ~= count + 1 then fail("dns: '%s' must be '%s'", value, form) end
        return table.concat(bytes) .. name_bytes(words[count + 1])
    end

    -- Data of a record, by the option's name.
    local DATA = {
        a = function(value) return address(value, 4, "IPv4") end,
        aaaa = function(value) return address(value, 16, "IPv6") end,
        ns = name_bytes, ptr = name_bytes, cname = name_bytes,
        mx = function(value) return numbers_and_name(value, 1, "preference name") end,
        srv = function(value) return numbers_and_name(value, 3, "priority weight port target") end,
        txt = function(value)
            local parts = {}
            for at = 1, math.max(#value, 1), 255 do
                local part = value:sub(at, at + 254)
                parts[#parts + 1] = char(#part) .. part
            end
            return table.concat(parts)
        end,
    }
    local GIVEN = { "a", "aaaa", "txt", "mx", "ns", "ptr", "srv" }

    local function record(owner, kind, ttl, data)
        if #data > 65535 then fail("dns: a record of %d bytes", #data) end
        return owner .. u16(TYPES[kind]) .. u16(1) .. u32(ttl) .. u16(#data) .. data
    end

    -- The answer section for one type: the chain of aliases, then what it leads to.
    local function records(given, key)
        local list, owner = {}, "\192\12" -- a pointer to the question's name
        for _, alias in ipairs(given.cname or {}) do
            local target = name_bytes(alias)
            list[#list + 1] = record(owner, "CNAME", given.ttl, target)
            owner = target
        end
        for _, value in ipairs(key and given[key] or {}) do
            list[#list + 1] = record(owner, key:upper(), given.ttl, DATA[key](value))
        end
        return list
    end

    local function message(id, flags, question, answers)
        return u16(id) .. u16(flags) .. u16(1) .. u16(#answers) .. u16(0) .. u16(0) .. question .. table.concat(answers)
    end

    local SPEC = {
        name = { "text", required = true }, type = { "any" }, cname = { "texts" }, ttl = { "u32", 300 },
        rcode = { "text", "NOERROR" }, server = { "address" }, port = { "u16", 53 }, from = { "u16" },
        rtt = { "seconds", 0.02 }, answer = { "flag", true }, id = { "u16" }, over = { options.word("udp", "tcp"), "udp" },
    }
    for _, key in ipairs(GIVEN) do SPEC[key] = { "texts" } end

    local function type_number(kind)
        if type(kind) == "number" and kind >= 0 and kind <= 65535 then return kind end
        return TYPES[kind] or fail("dns: there is no record type %s%s", options.describe(kind),
            options.instead(kind, names_of(TYPES)))
    end

    local function exchange(client, given, kind, key)
        local id = given.id or tcp.random_u32() % 65536
        local question = name_bytes(given.name) .. u16(type_number(kind)) .. u16(1)
        local query = message(id, 0x0100, question, {})
        local rcode = RCODES[given.rcode] or
            fail("dns: there is no rcode '%s'%s", given.rcode, options.instead(given.rcode, names_of(RCODES)))
        local answer = given.answer and message(id, 0x8180 + rcode, question, records(given, key))
        if given.over == "tcp" then
            tcp.run(client, { to = given.server, port = given.port, from = given.from, rtt = given.rtt, close = "fin", open = "yes" },
                function(connection)
                    connection:says("client", u16(#query) .. query)
                    if answer then connection:says("server", u16(#answer) .. answer) end
                end)
            return
        end
        local port = given.from or client:next_port()
        local say = { { "client", query }, answer and { "server", answer } or nil }
        inside.udp.exchange(client, given.server, given.port, port, say, given.rtt)
    end

    -- The network's first address, as home routers have it.
    local function usual_server(ip)
        return ip:find(":", 1, true) and (ip:match("^(.-::)") or ip:match("^(%x*:%x*:%x*:%x*:)") .. ":") .. "1"
            or ip:gsub("%d+$", "1")
    end

    return function(client, given)
        given = options.read("dns", given, SPEC)
        given.server = given.server or usual_server(client.ip)
        local asked = {}
        for _, key in ipairs(GIVEN) do if given[key] then asked[#asked + 1] = key end end
        if given.type ~= nil then
            local key = type(given.type) == "string" and given.type:lower()
            exchange(client, given, given.type, DATA[key] and key ~= "cname" and key or nil)
            return
        end
        if #asked == 0 then exchange(client, given, given.cname and "CNAME" or "A", nil) end
        for _, key in ipairs(asked) do exchange(client, given, key:upper(), key) end
    end
end
