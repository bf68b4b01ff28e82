-- Datagrams: UDP exchanges, NTP (RFC 5905), echoes (RFC 792, RFC 4443).
return function(inside)
    local host, options, tcp = inside.host, inside.options, inside.tcp
    local u16, u32, char = tcp.u16, tcp.u32, string.char
    local datagrams = {}

    local function identification() return tcp.random_u32() % 65535 + 1 end

    -- Both sides' datagrams one after the other; the server's come a round trip after what was before.
    function datagrams.exchange(client, to, port, from, say, rtt)
        local at = inside.case.clock
        for _, turn in ipairs(say) do
            at = at + (turn.after or 0)
            if turn[1] == "client" then
                inside.told(at, host.udp(at, client.ip, to, from, port, client.ttl, identification(), turn[2]))
                at = at + tcp.STEP
            else
                at = at + rtt
                inside.told(at, host.udp(at, to, client.ip, port, from, 52, identification(), turn[2]))
                at = at + tcp.STEP
            end
        end
        inside.case.clock = at
    end

    function datagrams.udp(client, given)
        given = options.read("udp", given, { to = { "address", required = true }, port = { "u16", required = true },
            from = { "u16" }, say = { "table", required = true }, rtt = { "seconds", 0.02 } })
        local say = tcp.say("udp", given.say, "payload")
        datagrams.exchange(client, given.to, given.port, given.from or client:next_port(), say, given.rtt)
    end

    -- Client and server as a Mac's clock and a public server have them.
    function datagrams.ntp(client, given)
        given = options.read("ntp", given, { to = { "address", required = true }, rtt = { "seconds", 0.02 },
            stratum = { "u8", 1 }, reference = { "text", "GPSs" }, answer = { "flag", true }, from = { "u16" } })
        if #given.reference > 4 then options.fail("ntp: reference has at most 4 bytes") end
        local stamp = u32((math.floor(inside.case.clock) + 2208988800) % 2 ^ 32) .. host.random(4)
        local request = char(0x23) .. ("\0"):rep(47)
        local reply = char(0x24, given.stratum, 0, 0xec) .. u32(0) .. u32(0x30) ..
            (given.reference .. "\0\0\0\0"):sub(1, 4) .. stamp .. ("\0"):rep(8) .. stamp .. stamp
        local say = { { "client", request }, given.answer and { "server", reply } or nil }
        datagrams.exchange(client, given.to, 123, given.from or client:next_port(), say, given.rtt)
    end

    -- ping's data on a Mac: the time it was sent, then 8, 9, 10 … (56 bytes in all).
    local function usual_data(at)
        local bytes = {}
        for i = 8, 55 do bytes[#bytes + 1] = char(i) end
        return u32(math.floor(at) % 2 ^ 32) .. u32(math.floor(at % 1 * 1e6)) .. table.concat(bytes)
    end

    function datagrams.ping(client, given)
        given = options.read("ping", given, { to = { "address", required = true }, times = { "u16", 1 },
            every = { "seconds", 1 }, data = { "payload" }, reply = { "any", true }, rtt = { "seconds", 0.02 }, id = { "u16" } })
        if type(given.reply) ~= "boolean" and type(given.reply) ~= "string" then
            options.fail("ping: reply must be true, false or the bytes that come back, got %s", options.describe(given.reply))
        end
        local v6 = client.ip:find(":", 1, true) ~= nil
        local id, start, at = given.id or tcp.random_u32() % 65536, inside.case.clock, inside.case.clock
        for i = 0, given.times - 1 do
            at = start + i * given.every
            local data = given.data or usual_data(at)
            local head = u16(id) .. u16(i)
            inside.told(at, host.icmp(at, client.ip, given.to, client.ttl, identification(), v6 and 128 or 8, 0, head .. data))
            if given.reply then
                at = at + given.rtt
                inside.told(at, host.icmp(at, given.to, client.ip, 52, identification(), v6 and 129 or 0, 0,
                    head .. (given.reply == true and data or given.reply)))
            end
        end
        inside.case.clock = at + tcp.STEP
    end

    return datagrams
end
