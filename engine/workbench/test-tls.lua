-- TLS as it looks from outside: hellos in clear (RFC 8446, RFC 5246), then records of random bytes of the sizes asked for.
return function(inside)
    local host, options, tcp = inside.host, inside.options, inside.tcp
    local u16, char, floor = tcp.u16, string.char, math.floor
    local GREASE = 0x0a0a -- a reserved value where the stack puts one (RFC 8701)

    -- Lists in the order in which the stack sends them: Apple's system stack of 2022 to 2024, and Go's crypto/tls.
    local STACKS = {
        mac = {
            ciphers = { GREASE, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a, 0xc009, 0xc014,
                0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a },
            extensions = { GREASE, 0, 23, 0xff01, 10, 11, 16, 5, 13, 18, 51, 45, 43, 27, GREASE, 21 },
            signatures = { 0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201 },
            versions = { GREASE, 0x0304, 0x0303, 0x0302, 0x0301 }, groups = { GREASE, 29, 23, 24, 25 },
            alpn = { "h2", "http/1.1" },
        },
        go = {
            ciphers = { 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x009d, 0x002f,
                0x0035, 0xc012, 0x000a, 0x1301, 0x1302, 0x1303 },
            extensions = { 0, 5, 10, 11, 13, 0xff01, 16, 18, 43, 51 },
            signatures = { 0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603, 0x0201, 0x0203 },
            versions = { 0x0304, 0x0303 }, groups = { 29, 23, 24, 25 }, alpn = {},
        },
    }
    local VERSIONS = { ["1.0"] = 0x0301, ["1.1"] = 0x0302, ["1.2"] = 0x0303, ["1.3"] = 0x0304 }

    local function vector(size, data)
        local length = #data
        if length >= 256 ^ size then options.fail("tls: a list of %d bytes is too long for the hello", length) end
        local head = ""
        for _ = 1, size do head, length = char(length % 256) .. head, floor(length / 256) end
        return head .. data
    end
    local function words(values)
        local bytes = {}
        for i, value in ipairs(values) do bytes[i] = u16(value) end
        return table.concat(bytes)
    end
    local function handshake(kind, body) return char(kind) .. vector(3, body) end
    local function record(kind, version, body)
        local parts = {}
        for at = 1, #body, 16384 do
            local part = body:sub(at, at + 16383)
            parts[#parts + 1] = char(kind) .. u16(version) .. vector(2, part)
        end
        return table.concat(parts)
    end

    -- `size` bytes of content as encrypted records. Version 1.3 adds a byte for the type and a tag of 16, 1.2 with AES-GCM
    -- a nonce of 8 and the tag.
    local function sealed(size, version)
        local parts, added = {}, version == "1.3" and 17 or 24
        while size > 0 do
            local part = math.min(size, 16384)
            parts[#parts + 1] = char(23) .. u16(0x0303) .. u16(part + added) .. host.random(part + added)
            size = size - part
        end
        return table.concat(parts)
    end

    local function extension(kind, given, stack)
        if kind == 0 then return given.sni and vector(2, "\0" .. vector(2, given.sni)) end
        if kind == 5 then return "\1\0\0\0\0" end
        if kind == 10 then return vector(2, words(stack.groups)) end
        if kind == 11 then return "\1\0" end
        if kind == 13 then return vector(2, words(stack.signatures)) end
        if kind == 16 then
            local names = {}
            for i, name in ipairs(given.alpn) do names[i] = vector(1, name) end
            return #names > 0 and vector(2, table.concat(names)) or nil
        end
        if kind == 27 then return "\2\0\1" end
        if kind == 43 then return vector(1, words(given.versions)) end
        if kind == 45 then return "\1\1" end
        if kind == 51 then
            local grease = stack.groups[1] == GREASE and u16(GREASE) .. vector(2, "\0") or ""
            return vector(2, grease .. u16(29) .. vector(2, host.random(32)))
        end
        return kind == 0xff01 and "\0" or ""
    end

    local ONLY_13 = { [43] = true, [45] = true, [51] = true }

    local function client_hello(given, stack, session)
        local head = u16(math.min(given.number, 0x0303)) .. host.random(32) .. vector(1, session) ..
            vector(2, words(given.ciphers)) .. "\1\0"
        local body = {}
        local length = 0
        for _, kind in ipairs(stack.extensions) do
            local content
            if kind == 21 then -- RFC 7685: the handshake message is brought to 512 bytes
                content = ("\0"):rep(math.max(512 - (4 + #head + 2 + length + 4), 0))
            elseif given.number == 0x0304 or not ONLY_13[kind] then
                content = extension(kind, given, stack)
            end
            if content then
                body[#body + 1] = u16(kind) .. vector(2, content)
                length = length + #body[#body]
            end
        end
        return record(22, 0x0301, handshake(1, head .. vector(2, table.concat(body))))
    end

    local function server_hello(given, session)
        local extensions = ""
        if given.number == 0x0304 then
            extensions = u16(51) .. vector(2, u16(29) .. vector(2, host.random(32))) .. u16(43) .. vector(2, u16(0x0304))
        else
            extensions = u16(0xff01) .. vector(2, "\0")
            if given.alpn[1] then extensions = extensions .. u16(16) .. vector(2, vector(2, vector(1, given.alpn[1]))) end
        end
        return handshake(2, u16(math.min(given.number, 0x0303)) .. host.random(32) .. vector(1, session) .. u16(given.cipher) ..
            "\0" .. vector(2, extensions))
    end

    local CHANGE = "\20\3\3\0\1\1"

    local function handshake_13(connection, given, stack)
        local session = host.random(32)
        connection:says("client", client_hello(given, stack, session))
        connection:says("server", record(22, 0x0303, server_hello(given, session)) .. CHANGE .. sealed(2600, "1.3"))
        connection:says("client", CHANGE .. sealed(52, "1.3"))
    end

    -- With ECDHE over X25519, as all of them do it; the key exchange is signed with bytes of no meaning.
    local function handshake_12(connection, given, stack)
        connection:says("client", client_hello(given, stack, ""))
        local version = math.min(given.number, 0x0303)
        local certificate = host.certificate(given.certificate)
        local exchange = "\3" .. u16(29) .. vector(1, host.random(32)) .. (version == 0x0303 and u16(0x0403) or "") ..
            vector(2, host.random(70))
        connection:says("server", record(22, version, server_hello(given, host.random(32))) ..
            record(22, version, handshake(11, vector(3, vector(3, certificate)))) ..
            record(22, version, handshake(12, exchange)) .. record(22, version, handshake(14, "")))
        local change, finished = "\20" .. u16(version) .. "\0\1\1", "\22" .. u16(version) .. vector(2, host.random(40))
        connection:says("client", record(22, version, handshake(16, vector(1, host.random(32)))) .. change .. finished)
        connection:says("server", change .. finished)
    end

    local CERTIFICATE = { subject = { "text" }, issuer = { "text" }, names = { "texts" }, from = { "any" }, to = { "any" },
        serial = { "u32", 4660 } }

    -- The certificate of the server: its names are the SNI's unless given; a year around the clock.
    local function certificate_of(given)
        local what = "tls: certificate"
        local asked = options.read(what, given.certificate or {}, CERTIFICATE)
        asked.subject = asked.subject or given.sni or given.to
        asked.issuer = asked.issuer or "Test CA"
        asked.names = asked.names or { given.sni }
        asked.from = inside.moment(what .. ": from", asked.from or inside.case.clock - 30 * 86400)
        asked.to = inside.moment(what .. ": to", asked.to or inside.case.clock + 335 * 86400)
        return asked
    end

    local function hello_options(given)
        local stack = STACKS[given.stack]
        given.number = VERSIONS[given.version]
        given.alpn = given.alpn or stack.alpn
        for _, list in ipairs { "ciphers", "versions" } do
            for _, value in ipairs(given[list] or {}) do
                if not (value >= 0 and value <= 65535 and value % 1 == 0) then
                    options.fail("tls: %s must be numbers from 0 to 65535, got %s", list, tostring(value))
                end
            end
        end
        given.ciphers = given.ciphers or stack.ciphers
        given.versions = given.versions or stack.versions
        given.cipher = given.cipher or (given.number == 0x0304 and 0x1301 or 0xc02f)
        return stack
    end

    local SPEC = tcp.spec {
        port = { "u16", 443 }, sni = { "text" }, alpn = { "texts" }, ciphers = { "numbers" }, versions = { "numbers" },
        cipher = { "u16" }, version = { options.word("1.3", "1.2", "1.1", "1.0"), "1.3" }, stack = { options.word("mac", "go"), "mac" },
        out = { "size" }, back = { "size" }, after = { "seconds", 0 }, say = { "table" }, certificate = { "table" },
        hello = { options.word("both", "client"), "both" },
    }

    return function(client, given)
        given = options.read("tls", given, SPEC)
        if given.say and (given.out or given.back) then
            options.fail("tls: say and out, back are two ways to tell the same: give one of them")
        end
        local stack = hello_options(given)
        given.certificate = certificate_of(given)
        local say = given.say and tcp.say("tls", given.say, "size")
            or { { "client", given.out or 0, after = 0 }, { "server", given.back or 0, after = given.after } }
        tcp.run(client, given, function(connection)
            if given.hello == "client" then
                connection:says("client", client_hello(given, stack, host.random(32)))
                return
            end
            if given.number == 0x0304 then handshake_13(connection, given, stack) else handshake_12(connection, given, stack) end
            for _, turn in ipairs(say) do connection:says(turn[1], sealed(turn[2], given.version), turn.after) end
        end)
    end
end
