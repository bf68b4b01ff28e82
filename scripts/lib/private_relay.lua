-- iCloud Private Relay: since when, how much, and what it hides.
--
-- A Mac that uses it sends Safari's connections, its DNS questions and the plain HTTP of programs through two relays: the first is
-- mask.icloud.com over QUIC, or mask-h2.icloud.com over TCP where UDP is blocked. Whom the second one calls is known to nobody on
-- this side, and nothing here guesses it. A network switches the relay off by a resolver that says there is no such name
-- (developer.apple.com/support/prepare-your-network-for-icloud-private-relay).

local relay = {}

relay.FIELDS = { flows = "u32", begun = "u32", api = "u32", quic = "bool", tcp = "bool", up = "u64", down = "u64", first = "time",
    last = "time" }
relay.HIDES = "hides Safari's sites, DNS questions, and the plain HTTP of programs"

-- hosts: lunette.records with FIELDS; refused: lunette.state, host → { resolver, answer, name, time }.
function relay.new(hosts, refused)
    local object = {}

    local function seen(own, is_quic, time)
        if is_quic then own.quic = true else own.tcp = true end
        if own.first == 0 or time < own.first then own.first = time end
        if time > own.last then own.last = time end
    end

    -- A connection to a relay began: it may stay open for hours.
    function object.begin(client, is_quic, time)
        local own = hosts:make(client)
        own.begun = own.begun + 1
        seen(own, is_quic, time)
    end

    -- A connection to one of its names is over. `is_api`: the name that gives tokens and settings, which is no relay yet.
    function object.add(client, is_api, is_quic, up, down, start, finish)
        local own = hosts:make(client)
        if is_api then
            own.api = own.api + 1
            return
        end
        own.flows, own.up, own.down = own.flows + 1, own.up + up, own.down + down
        seen(own, is_quic, start)
        seen(own, is_quic, finish)
    end

    -- A resolver said that there is no such name.
    function object.refuse(client, resolver, answer, name, time)
        refused:set(client, { resolver = resolver, answer = answer, name = name, time = time })
    end

    local function over(own)
        if own.quic and own.tcp then return "QUIC and HTTP/2 over TCP" end
        return own.quic and "QUIC" or "HTTP/2 over TCP"
    end

    local function connections(own) return math.max(own.flows, own.begun) end

    local function share(own, bytes)
        local used = own.up + own.down
        return used > 0 and math.floor(100 * used / math.max(bytes or 0, used) + 0.5) or 0
    end

    -- What there is to say of a host: text and details for its card; nil if it never came near the relay. `bytes`: all of the host's.
    function object.fact(client, bytes)
        local own, off = hosts:get(client), refused:get(client)
        if own and connections(own) > 0 then
            return ("since %s: %d connection%s over %s, %d %% of the bytes; %s"):format(
                os.date("!%Y-%m-%d %H:%M", own.first), connections(own), connections(own) == 1 and "" or "s", over(own), share(own, bytes), relay.HIDES),
                { connections = connections(own), sent = own.up, received = own.down, share = share(own, bytes), since = own.first,
                    last = own.last, over = over(own) }
        end
        if off then
            return ("switched off by the network: %s answers %s for %s"):format(off.resolver, off.answer, off.name),
                { resolver = off.resolver, answer = off.answer, name = off.name, time = off.time }
        end
        if own and own.api > 0 then return "not used: only its settings were fetched", { api = own.api } end
    end

    -- Rows of the report: host, since, connections, over, sent, received, share of the host's bytes. sum(host) → flows, bytes.
    function object.rows(human, sum)
        local rows = {}
        for client, own in hosts:each() do
            if connections(own) > 0 then
                local _, bytes = sum(client)
                rows[#rows + 1] = { client, os.date("!%Y-%m-%d %H:%M:%S", own.first), connections(own), over(own), human(own.up),
                    human(own.down), ("%d %%"):format(share(own, bytes)) }
            end
        end
        table.sort(rows, function(a, b) return a[1] < b[1] end)
        return rows
    end

    return object
end

return relay
