-- One pair of hosts and its pings: what was seen, and whether it adds up to a tunnel.
--
-- A ping is dull: its data follows a layout (lib/ping_layout.lua), its sequence counts on, each reply repeats its request. A
-- tunnel breaks these one after the other. No test alone is proof (a strange ping, a broken router, a capture that lost
-- half), two together are worth a look, three or a packet inside the packet settle it. An entry has a fixed size.

local ping_layout = require "ping_layout"

local book = {}

local MOST_SIZES = 16

function book.new()
    return {
        requests = 0, replies = 0, foreign = 0, foreign_long = 0, sizes = 0, seen_sizes = {}, longest = 0, mismatch = 0, ipv4 = 0, ptunnel = 0,
        same_sequence = 0, in_second = 0,
    }
end

-- What the last data that was looked at says. A reply brings its request's data again, and many a ping the same each time.
local last = { hash = nil, length = 0, layout = "short", ipv4 = false, ptunnel = false }

local function look(echo)
    local payload = echo.payload
    local data = payload and payload:tostring() or ""
    last.hash, last.length = echo.hash, echo.length
    last.layout = ping_layout.of(data, echo.time)
    last.ipv4, last.ptunnel = ping_layout.holds_ipv4(data, echo.length), ping_layout.is_ptunnel(data)
end

-- Takes in one echo: request (bool), sequence, hash, time, payload (a slice, or nil), length (on the wire). Gives the data's layout.
function book.note(p, echo)
    if echo.hash ~= last.hash or echo.length ~= last.length then look(echo) end
    local layout = last.layout
    if echo.request then
        p.requests = p.requests + 1
        p.same_sequence = p.sequence == echo.sequence and p.same_sequence + 1 or 1
        p.sequence, p.hash = echo.sequence, echo.hash
        local second = math.floor(echo.time)
        p.in_second = p.second == second and p.in_second + 1 or 1
        p.second = second
    else
        p.replies = p.replies + 1
        if p.requests > 0 and echo.sequence == p.sequence and echo.hash ~= p.hash then p.mismatch = p.mismatch + 1 end
    end
    if layout == "unknown" then
        p.foreign = p.foreign + 1
        if echo.length > 64 then p.foreign_long = p.foreign_long + 1 end
        if p.sizes < MOST_SIZES and not p.seen_sizes[echo.length] then
            p.seen_sizes[echo.length], p.sizes = true, p.sizes + 1
        end
        p.longest = math.max(p.longest, echo.length)
    end
    if last.ipv4 then p.ipv4 = p.ipv4 + 1 end
    if last.ptunnel then p.ptunnel = p.ptunnel + 1 end
    return layout
end

-- Will any of the tests below say something? Asked for each echo, of which nearly all are dull.
function book.is_odd(p, limits)
    return p.foreign >= limits.ping_foreign or p.mismatch >= limits.ping_mismatch or p.same_sequence >= limits.ping_same_sequence or p.ipv4 >= 3
        or p.ptunnel > 0 or p.replies > 2 * p.requests + 5
end

-- limits: ping_foreign, ping_mismatch, ping_same_sequence. Gives a list of sentences and whether a carried packet was seen.
function book.tests(p, limits)
    local list = {}
    if p.ipv4 >= 3 then list[1] = p.ipv4 .. " IPv4 packets inside" end
    if p.ptunnel > 0 then list[#list + 1] = "ptunnel's magic number" end
    local carried = #list > 0
    if p.foreign >= limits.ping_foreign then list[#list + 1] = p.foreign .. " echoes whose data no ping makes" end
    if p.foreign_long >= limits.ping_foreign and p.sizes >= 3 then
        list[#list + 1] = p.sizes .. " different lengths, up to " .. p.longest
    end
    if p.mismatch >= limits.ping_mismatch then list[#list + 1] = p.mismatch .. " replies that differ from their request" end
    if p.same_sequence >= limits.ping_same_sequence then
        list[#list + 1] = p.same_sequence .. " requests in a row with one sequence number"
    end
    if p.requests > 0 and p.replies > 2 * p.requests + 5 then
        list[#list + 1] = ("%d replies to %d requests"):format(p.replies, p.requests)
    end
    return list, carried
end

return book
