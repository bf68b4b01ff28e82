-- Whose TLS stack is it: a browser's and the system's, a tool's, or that of one program alone?
--
--   local clients = require("tls_clients").watch(lunette, 40000)    -- listens to tls, and remembers so many stacks of hosts
--   clients.kind(address, ja4, now)      → "general", "special", "tool", "bare" or nil, and words for an alert
--
-- A browser's stack calls many domains within minutes, and so does the one that macOS lends to all programs (URLSession). A program that brings
-- its own (Go, Rust, Python, Node, an app with another library) shows a stack that calls one or two domains for hours. Neither needs a list of
-- fingerprints, which age. What a stack is called by is its transport, version and cipher list: the rest of JA4 changes from call to call.
--
--   general   called `MANY` domains, or is the system's own by data/identity_ja4.tsv
--   tool      is a tool's by data/tool_ja4.tsv: curl
--   bare      offers no ALPN: browsers, URLSession and curl do offer one
--   special   none of these, and called few domains in the half hour and more that it is known
--   nil       not known yet, or no TLS

local remember = require "remember"

local tls_clients = {}

local MANY, FEW = 8, 3
local SETTLED = 1800 -- seconds after which few domains mean something

-- "t13d4907h2_0d8feac7bc37_7395dae3b2f3" → "t13_0d8feac7bc37"; QUIC's "q13…" counts as TCP's, since it is one program.
local stack_of = remember(function(ja4) return #ja4 == 36 and ja4:sub(2, 3) .. ja4:sub(11, 23) end, 2000)
function tls_clients.stack(ja4) return ja4 and stack_of(ja4) or nil end

-- Does it offer no ALPN? "t13d190900_…"
function tls_clients.is_bare(ja4) return ja4 ~= nil and #ja4 == 36 and ja4:sub(9, 10) == "00" end

-- 32 bits of a text, never 0.
local function hash(text)
    local sum = 2166136261
    for i = 1, #text do sum = (sum * 263 + text:byte(i)) % 4294967291 end
    return sum == 0 and 1 or sum
end

function tls_clients.watch(lunette, most)
    local code_of = remember(function(name) return hash(lunette.registrable(name) or name) end, 2000)
    local tools, systems = {}, {}
    for _, row in ipairs(lunette.tsv("tool_ja4.tsv")) do tools[tls_clients.stack(row.ja4)] = row.tool end
    for _, row in ipairs(lunette.tsv("identity_ja4.tsv")) do
        if row.sign == "tls_apple" then systems[tls_clients.stack(row.ja4)] = true end
    end

    -- The key is "address stack". 56 bytes each with some 60 of the key: 5 MB when full.
    local stacks = lunette.records("stacks", { max = most, ttl = 14 * 86400, fields = { first = "f64", domains = "u8", name = "u32[8]" } })

    lunette.on("tls", { client_local = true, has_client_hello = true }, function(e)
        local name = e.sni
        local stack = name and tls_clients.stack(e.ja4)
        if not stack then return end
        local record, is_new = stacks:make(e.client_ip .. " " .. stack)
        if is_new then record.first = e.time end
        local count = record.domains
        if count >= MANY then return end
        local code = code_of(name)
        for i = 0, count - 1 do
            if record:at("name", i) == code then return end
        end
        record:put("name", count, code)
        record.domains = count + 1
    end)

    local self = {}

    function self.kind(address, ja4, now)
        local stack = tls_clients.stack(ja4)
        if not stack then return nil end
        local tool = tools[stack]
        if tool then return "tool", tool .. "'s TLS stack", tool end
        if systems[stack] then return "general" end
        local record = stacks:get(address .. " " .. stack)
        local domains = record and record.domains or 0
        if domains >= MANY then return "general" end
        if tls_clients.is_bare(ja4) then return "bare", "a TLS stack that offers no ALPN, unlike browsers and macOS itself" end
        if record and domains <= FEW and now - record.first >= SETTLED then
            return "special", domains <= 1 and "a TLS stack that calls nobody else" or ("a TLS stack that calls %d domains in all"):format(domains)
        end
        return nil
    end

    -- Called many domains: a browser, or what macOS lends to Safari and all others.
    function self.is_browsers(address, ja4)
        local stack = tls_clients.stack(ja4)
        local record = stack and not tools[stack] and stacks:get(address .. " " .. stack)
        return record ~= nil and record ~= false and record.domains >= MANY
    end

    return self
end

return tls_clients
