-- Conversations over TCP that anybody can read: bytes of the author's own, HTTP/1.1 (RFC 9112), the beginning of SSH
-- (RFC 4253).
return function(inside)
    local host, options, tcp = inside.host, inside.options, inside.tcp
    local clear = {}

    local function say_all(say)
        return function(connection)
            for _, turn in ipairs(say) do connection:says(turn[1], turn[2], turn.after) end
        end
    end

    local TCP = tcp.spec { say = { "table" }, port = { "u16", required = true } }
    function clear.tcp(client, given)
        given = options.read("tcp", given, TCP)
        tcp.run(client, given, say_all(tcp.say("tcp", given.say, "payload")))
    end

    -- ── HTTP ────────────────────────────────────────────────────────

    -- Headers are a list of { name, value } in the order in which they go, or a table from names to values, which go sorted.
    local function headers_of(what, given)
        local list = {}
        for i, pair in ipairs(given) do
            if type(pair) ~= "table" or type(pair[1]) ~= "string" then
                options.fail('%s[%d] must be { "Name", "value" }, got %s', what, i, options.describe(pair))
            end
            list[i] = { pair[1], tostring(pair[2]) }
        end
        local names = {}
        for name in pairs(given) do if type(name) == "string" then names[#names + 1] = name end end
        table.sort(names)
        for _, name in ipairs(names) do list[#list + 1] = { name, tostring(given[name]) } end
        return list
    end

    local function has(list, wanted)
        for _, pair in ipairs(list) do if pair[1]:lower() == wanted then return true end end
        return false
    end

    local function message(first, list, usual, body)
        local lines = { first }
        for _, pair in ipairs(usual) do
            if pair[2] and not has(list, pair[1]:lower()) then lines[#lines + 1] = pair[1] .. ": " .. pair[2] end
        end
        for _, pair in ipairs(list) do lines[#lines + 1] = pair[1] .. ": " .. pair[2] end
        return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
    end

    local REASONS = { [200] = "OK", [201] = "Created", [204] = "No Content", [301] = "Moved Permanently", [302] = "Found",
        [304] = "Not Modified", [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
        [500] = "Internal Server Error", [503] = "Service Unavailable" }

    local HTTP = tcp.spec {
        port = { "u16", 80 }, host = { "text" }, method = { "text", "GET" }, path = { "text", "/" }, headers = { "table", {} },
        agent = { "text" }, type = { "text" }, body = { "payload" }, status = { "u16", 200 }, reason = { "text" },
        response = { "payload" }, response_headers = { "table", {} }, response_type = { "text" }, answer = { "flag", true },
        after = { "seconds", 0 },
    }

    local function request(given)
        local where = given.host or (given.to:find(":", 1, true) and "[" .. given.to .. "]" or given.to) ..
            (given.port ~= 80 and ":" .. given.port or "")
        return message(("%s %s HTTP/1.1"):format(given.method, given.path), headers_of("http: headers", given.headers), {
            { "Host", where }, { "User-Agent", given.agent }, { "Accept", "*/*" },
            { "Content-Type", given.type }, { "Content-Length", given.body and tostring(#given.body) },
        }, given.body or "")
    end

    local function response(given)
        local bodiless = given.method == "HEAD" or given.status == 204 or given.status == 304 or given.status < 200
        return message(("HTTP/1.1 %d %s"):format(given.status, given.reason or REASONS[given.status] or "Unknown"),
            headers_of("http: response_headers", given.response_headers), {
                { "Server", "nginx" }, { "Content-Type", given.response_type },
                { "Content-Length", not (bodiless and not given.response) and tostring(#(given.response or "")) },
            }, bodiless and "" or given.response or "")
    end

    function clear.http(client, given)
        given = options.read("http", given, HTTP)
        if given.status < 100 or given.status > 999 then
            options.fail("http: status must be from 100 to 999, got %d", given.status)
        end
        tcp.run(client, given, function(connection)
            connection:says("client", request(given))
            if given.answer then connection:says("server", response(given), given.after) end
        end)
    end

    -- ── SSH ─────────────────────────────────────────────────────────

    local function text(value) return tcp.u32(#value) .. value end

    -- SSH_MSG_KEXINIT as OpenSSH sends it, in its packet (RFC 4253 sections 6 and 7.1).
    local function kexinit()
        local ciphers = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com"
        local macs = "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-256"
        local compression = "none,zlib@openssh.com"
        local lists = { "curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256", "ssh-ed25519,rsa-sha2-512,rsa-sha2-256",
            ciphers, ciphers, macs, macs, compression, compression, "", "" }
        for i, list in ipairs(lists) do lists[i] = text(list) end
        local payload = "\20" .. host.random(16) .. table.concat(lists) .. "\0" .. tcp.u32(0)
        local padding = 8 - (5 + #payload) % 8
        if padding < 4 then padding = padding + 8 end
        return tcp.u32(1 + #payload + padding) .. string.char(padding) .. payload .. ("\0"):rep(padding)
    end

    local SSH = tcp.spec {
        port = { "u16", 22 }, client = { "text", "SSH-2.0-OpenSSH_9.7" }, server = { "text", "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13" },
        out = { "size", 0 }, back = { "size", 0 }, after = { "seconds", 0 }, say = { "table" },
    }

    function clear.ssh(client, given)
        given = options.read("ssh", given, SSH)
        local say = tcp.say("ssh", given.say, "size")
        if not given.say then say = { { "client", given.out }, { "server", given.back, after = given.after } } end
        tcp.run(client, given, function(connection)
            connection:says("client", given.client .. "\r\n")
            connection:says("server", given.server .. "\r\n" .. kexinit())
            connection:says("client", kexinit())
            for _, turn in ipairs(say) do connection:says(turn[1], host.random(turn[2]), turn.after) end
        end)
    end

    return clear
end
