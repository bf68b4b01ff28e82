-- A host that falls silent but for one connection. Who sends everything through a tunnel asks no names and calls nobody else: in front of the
-- physical interface there is one connection, with all the bytes. That holds for any tunnel, known or not.
--
-- Kept are, for each host, the connections that it began in each ten minutes of the last day, and the bytes of all that ended. At a long
-- connection's end its share of the bytes since it began is what counts, and how many others were begun beside it, once it stood for ten minutes.

local silence = {}

local BIN, BINS, DAY = 600, 144, 86400

silence.FIELDS = { first = "f64", last = "f64", tunnel = "f64", bytes = "u64", day = "u32", days = "u16", open = "u16", bin = "u32", bins = "u16[144]" }

-- Bins that nothing was counted in since the last time are empty.
local function advance(host, bin)
    local gap = bin - host.bin
    if gap > 0 then
        if gap > BINS then gap = BINS end
        for i = 0, gap - 1 do host:put("bins", (bin - i) % BINS, 0) end
        host.bin = bin
    end
end

function silence.new(hosts, tunables)
    local object = {}

    function object.begins(address, time)
        local host, is_new = hosts:make(address)
        local bin = math.floor(time / BIN)
        if is_new then host.first, host.bin = time, bin end
        if bin > host.bin then advance(host, bin) end
        if host.bin - bin < BINS then host:put("bins", bin % BINS, host:at("bins", bin % BINS) + 1) end
        local day = math.floor(time / DAY)
        if day > host.day then host.day, host.days = day, host.days + 1 end -- days on which it was seen since its last tunnel
        host.last = time
        return host
    end

    -- { own, all, before, during } if the flow that ended looks like a tunnel for everything, else nil. own: the flow's state.
    function object.judge(e, own, host)
        local bytes = e.client_bytes + e.server_bytes
        local other = host.bytes - own.other
        if bytes < tunables.quiet_share * (bytes + other) then return nil end
        local from, to = math.floor(e.start / BIN) + 2, math.floor(e.finish / BIN) - 1
        advance(host, math.max(host.bin, math.floor(e.finish / BIN)))
        local oldest = host.bin - BINS + 1
        if to - from < 1 or from - 4 < oldest then return nil end
        local during, before, busy = 0, 0, 0
        for bin = from, to do during = during + host:at("bins", bin % BINS) end
        during = during / (to - from + 1)
        for bin = math.max(oldest, math.floor(host.first / BIN)), from - 3 do -- the bin in which the flow began is a mixture
            local count = host:at("bins", bin % BINS)
            if count > 0 then before, busy = before + count, busy + 1 end
        end
        if busy < 3 then return nil end
        before = before / busy
        if before < 6 or during > tunables.quiet_starts * before then return nil end
        return { own = bytes, all = bytes + other, before = before, during = during }
    end

    return object
end

return silence
