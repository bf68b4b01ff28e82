-- A TCP connection that keeps its numbers right (RFC 9293). The recorder sits next to the client: what the client sends is
-- seen at once, what the server answers a round trip later. The client's SYN looks like a Mac's.
return function(inside)
    local host, options = inside.host, inside.options
    local bit = require "bit"
    local char, floor = string.char, math.floor
    local FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
    local STEP = 0.00003 -- what a machine needs to answer
    local GAP = 0.00012  -- between two full segments: about 100 Mbit/s
    local ACK_EVERY = 16 -- segments, so that no window is overrun

    local function u16(n) return char(floor(n / 256) % 256, n % 256) end
    local function u32(n) return u16(floor(n / 65536) % 65536) .. u16(n % 65536) end
    local function random_u32()
        local a, b, c, d = host.random(4):byte(1, 4)
        return ((a * 256 + b) * 256 + c) * 256 + d
    end

    local Connection = {}
    Connection.__index = Connection

    local function timestamps(value, echo) return char(8, 10) .. u32(value) .. u32(echo) end

    function Connection:send(from, flags, payload, tcp_options)
        local to = from.other
        local now = (from.base + floor(self.at * 1000)) % 2 ^ 32
        if tcp_options == "open" then
            tcp_options = char(2, 4) .. u16(from.mss + 12)
            if from.is_client then
                tcp_options = tcp_options .. char(1, 3, 3, 6, 1, 1) .. timestamps(now, 0) .. char(4, 2, 0, 0)
            else
                tcp_options = tcp_options .. char(4, 2) .. timestamps(now, from.echo) .. char(1, 3, 3, 9)
            end
        elseif not tcp_options then
            tcp_options = char(1, 1) .. timestamps(now, from.echo)
        end
        if not from.is_client then from.id = from.id % 65535 + 1 end
        inside.told(self.at, host.tcp(self.at, from.ip, to.ip, from.port, to.port, from.ttl, from.id, from.seq,
            bit.band(flags, ACK) ~= 0 and from.acked or 0, flags, from.window, tcp_options, payload or ""))
        from.stamp = now
        from.seq = (from.seq + #(payload or "") + (bit.band(flags, SYN + FIN) ~= 0 and 1 or 0)) % 2 ^ 32
    end

    -- `to` has taken in all that the other side sent so far.
    function Connection:heard(to)
        to.acked = to.other.seq
        to.echo = to.other.stamp or to.echo
    end

    function Connection:open(how)
        local client, server = self.client, self.server
        self:send(client, SYN, "", "open")
        if how == "silent" then
            for _, wait in ipairs { 1, 2 } do
                self.at, client.seq = self.at + wait, (client.seq - 1) % 2 ^ 32
                self:send(client, SYN, "", "open")
            end
            return
        end
        self.at = self.at + self.rtt
        self:heard(server)
        if how == "refused" then
            server.seq, server.window = 0, 0
            self:send(server, RST + ACK, "", "")
            return
        end
        self:send(server, SYN + ACK, "", "open")
        self.at = self.at + STEP
        self:heard(client)
        client.window = 2058 -- 131712 bytes, in units of 2^6
        self:send(client, ACK)
        server.window = 2048 -- 1 MiB, in units of 2^9
        self.at = self.at + STEP
    end

    -- One side says something, the other acknowledges it.
    function Connection:says(who, data, after)
        local from = who == "client" and self.client or self.server
        local to, mss = from.other, from.mss
        self.at = self.at + (after or 0)
        self:heard(from)
        local count = math.ceil(#data / mss)
        for i = 1, count do
            local piece = data:sub((i - 1) * mss + 1, i * mss)
            self:send(from, i == count and ACK + PSH or ACK, piece)
            if i < count then
                self.at = self.at + GAP
                if i % ACK_EVERY == 0 then
                    self:heard(to)
                    self:send(to, ACK)
                    self.at = self.at + STEP
                end
            end
        end
        if count == 0 then return end
        self.at = self.at + (from.is_client and self.rtt or STEP)
        self:heard(to)
        self:send(to, ACK)
        self.at = self.at + STEP
    end

    function Connection:close(how)
        if how == "none" then return end
        local first = how == "server" and self.server or self.client
        local second = first.other
        self:heard(first)
        if how == "rst" then
            self:send(first, RST + ACK, "", "")
            return
        end
        self:send(first, FIN + ACK)
        self.at = self.at + (first.is_client and self.rtt or STEP)
        self:heard(second)
        self:send(second, FIN + ACK)
        self.at = self.at + (second.is_client and self.rtt or STEP)
        self:heard(first)
        self:send(first, ACK)
    end

    local tcp = {}

    -- Options that all builders over TCP share.
    tcp.options = {
        to = { "address", required = true }, port = { "u16" }, from = { "u16" }, rtt = { "seconds", 0.02 },
        close = { options.word("fin", "server", "rst", "none"), "fin" },
        open = { options.word("yes", "refused", "silent"), "yes" },
    }
    function tcp.spec(own)
        for key, entry in pairs(tcp.options) do own[key] = own[key] or entry end
        return own
    end

    -- A connection of `client` (a host's own data) at the case's clock, not yet opened.
    function tcp.connection(client, given)
        local v6 = client.ip:find(":", 1, true) ~= nil
        local mss = v6 and 1428 or 1448 -- 1500 less the headers, timestamps included
        local connection = setmetatable({ at = inside.case.clock, rtt = given.rtt }, Connection)
        connection.client = { is_client = true, ip = client.ip, port = given.from or client:next_port(), ttl = client.ttl,
            id = 0, window = 65535, mss = mss, seq = random_u32(), acked = 0, echo = 0, base = random_u32() }
        connection.server = { ip = given.to, port = given.port, ttl = 52, id = random_u32() % 65535, window = 65160,
            mss = mss, seq = random_u32(), acked = 0, echo = 0, base = random_u32() }
        connection.client.other, connection.server.other = connection.server, connection.client
        return connection
    end

    -- { { "client", "bytes" or a number of them, after = seconds }, … } → a list of { who, data, after }. `kind` reads the
    -- second of the three.
    function tcp.say(what, given, kind)
        local say = {}
        for i, turn in ipairs(given or {}) do
            if type(turn) ~= "table" then
                options.fail('%s: say[%d] must be { "client" or "server", bytes }, got %s', what, i, options.describe(turn))
            end
            say[i] = options.read(("%s: say[%d]"):format(what, i), turn,
                { { options.word("client", "server"), required = true }, { kind, required = true }, after = { "seconds", 0 } })
        end
        return say
    end

    -- The whole of it: opens, lets both sides talk (`talk` is given the connection), closes, and moves the case's clock.
    function tcp.run(client, given, talk)
        local connection = tcp.connection(client, given)
        connection:open(given.open)
        if given.open == "yes" then
            talk(connection)
            connection:close(given.close)
        end
        inside.case.clock = connection.at
    end

    tcp.u16, tcp.u32, tcp.random_u32, tcp.STEP = u16, u32, random_u32, STEP
    return tcp
end
