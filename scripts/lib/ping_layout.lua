-- Which ping filled this echo request?
--
-- Every ping pads its data in its own way, and all of them in a way that is easy to say: a counter, the alphabet, one byte
-- again and again. Data that none of these rules explains was not made by a ping. Offsets below are from 0, as in the
-- sources:
--
--   bsd       macOS, BSD: seconds and microseconds as two 32-bit words in network order, then byte i is i (Apple network_cmds,
--   ping.c)
--   linux     iputils: 16 bytes of time in the host's order, then byte i is i
--   windows   abcdefghijklmnopqrstuvw, again and again
--   cisco     after 8 bytes: AB CD again and again
--   counter   byte i is i from the start (a ping without a timestamp, macOS ping6 with little data)
--   pattern   after at most 24 bytes of time: a period of 16 bytes or less (ping -p, busybox, fping, most routers)
--   short     fewer than 16 bytes: nothing can be said
--   unknown   none of these

local layout = {}

local NAMES = {
    bsd = "macOS or BSD", linux = "Linux", windows = "Windows", cisco = "Cisco IOS", counter = "a counter", pattern = "a repeated pattern",
    short = "too short to tell", unknown = "no ping's layout",
}
layout.names = NAMES

-- Is byte i equal to i from offset `from` on?
local function counts(data, from)
    for i = from, #data - 1 do
        if data:byte(i + 1) ~= i % 256 then return false end
    end
    return true
end

local function repeats(data, from, period)
    for i = from + period, #data - 1 do
        if data:byte(i + 1) ~= data:byte(i + 1 - period) then return false end
    end
    return true
end

local function word(data, offset)
    local a, b, c, d = data:byte(offset + 1, offset + 4)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local TIME_LENGTHS = { 0, 4, 8, 12, 16, 24 } -- that stand before a pattern

-- `data`: the first bytes of the echo's data as a string. `now`: the packet's time, seconds since 1970.
function layout.of(data, now)
    if #data < 16 then return "short" end
    if counts(data, 0) then return "counter" end
    if counts(data, 8) and word(data, 4) < 1000000 then
        -- A clock may be off by years; the microseconds and the counter carry the weight.
        return math.abs(word(data, 0) - now) < 20 * 365 * 86400 and "bsd" or "counter"
    end
    if #data > 20 and counts(data, 16) then return "linux" end
    if data:sub(1, 2) == "ab" then
        local letters = true
        for i = 0, #data - 1 do letters = letters and data:byte(i + 1) == 0x61 + i % 23 end
        if letters then return "windows" end
    end
    if data:sub(9, 12) == "\171\205\171\205" and repeats(data, 8, 2) then return "cisco" end
    for i = 1, #TIME_LENGTHS do
        local from = TIME_LENGTHS[i]
        if #data - from >= 16 then
            for period = 1, 16 do
                if #data - from >= period + 8 and repeats(data, from, period) then return "pattern" end
            end
        end
    end
    -- A counter that starts elsewhere.
    local steady = true
    for i = 25, #data - 1 do steady = steady and data:byte(i + 1) == (data:byte(i) + 1) % 256 end
    if steady and #data > 32 then return "counter" end
    return "unknown"
end

-- Does the data begin with an IPv4 header whose length is that of the data? (`length`: bytes on the wire)
function layout.holds_ipv4(data, length)
    if #data < 20 then return false end
    local first, total = data:byte(1), data:byte(3) * 256 + data:byte(4)
    return first >= 0x45 and first <= 0x4f and total >= 20 and total <= length and total + 8 >= length and data:byte(9) > 0
end

-- The magic of ptunnel.
function layout.is_ptunnel(data)
    return data:sub(1, 4) == "\213\032\008\128"
end

return layout
