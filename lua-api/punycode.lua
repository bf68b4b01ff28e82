-- Punycode (RFC 3492): "xn--e1awd7f" back to the letters a browser would show.
--
-- A name on the wire is ASCII; letters beyond it travel as "xn--" plus a label in which the plain letters stand in front of
-- the last hyphen and the others are packed behind it: each as the distance from the one before, in digits whose weight
-- depends on their place. decode() gives code points, or nil for what no encoder would write, so a caller can fold or count
-- them without guessing. A part of lunette.names, and nothing that scripts reach.

local punycode = {}

local BASE, T_MIN, T_MAX, SKEW, DAMP, FIRST = 36, 1, 26, 38, 700, 128
local MOST = 63 -- a DNS label has no more bytes, so no more letters either

local function digit(byte)
    if byte >= 0x61 and byte <= 0x7a then return byte - 0x61 end -- a…z
    if byte >= 0x41 and byte <= 0x5a then return byte - 0x41 end -- A…Z
    if byte >= 0x30 and byte <= 0x39 then return byte - 0x30 + 26 end -- 0…9
end

-- Section 6.1: how the thresholds follow the distances seen so far.
local function adapt(delta, count, first)
    delta = first and math.floor(delta / DAMP) or math.floor(delta / 2)
    delta = delta + math.floor(delta / count)
    local k = 0
    while delta > (BASE - T_MIN) * T_MAX / 2 do
        delta = math.floor(delta / (BASE - T_MIN))
        k = k + BASE
    end
    return k + math.floor((BASE - T_MIN + 1) * delta / (delta + SKEW))
end

-- Code points of the text behind "xn--", or nil if it is malformed.
function punycode.decode(text)
    if #text > MOST then return nil end
    local points, at = {}, 1
    local hyphen = text:match(".*()%-")
    if hyphen then
        for i = 1, hyphen - 1 do
            local byte = text:byte(i)
            if byte >= FIRST then return nil end
            points[i] = byte
        end
        at = hyphen + 1
    end

    local n, i, bias = FIRST, 0, 72
    while at <= #text do
        local before, weight, k = i, 1, BASE
        while true do
            local byte = text:byte(at)
            local d = byte and digit(byte)
            if not d then return nil end
            at = at + 1
            i = i + d * weight
            if i > 0x7fffffff then return nil end
            local t = k <= bias and T_MIN or (k >= bias + T_MAX and T_MAX or k - bias)
            if d < t then break end
            weight = weight * (BASE - t)
            k = k + BASE
        end
        local count = #points + 1
        bias = adapt(i - before, count, before == 0)
        n = n + math.floor(i / count)
        if n > 0x10ffff then return nil end
        i = i % count
        table.insert(points, i + 1, n)
        i = i + 1
    end
    return points
end

-- The text behind "xn--" for code points, digits in lower case; nil if there are too many.
function punycode.encode(points)
    if #points > MOST then return nil end
    local out = {}
    for i = 1, #points do
        if points[i] < FIRST then out[#out + 1] = string.char(points[i]) end
    end
    local done = #out
    local plain = done
    if plain > 0 then out[#out + 1] = "-" end

    local n, delta, bias = FIRST, 0, 72
    while done < #points do
        local least = math.huge
        for i = 1, #points do
            if points[i] >= n and points[i] < least then least = points[i] end
        end
        delta = delta + (least - n) * (done + 1)
        n = least
        for i = 1, #points do
            if points[i] < n then delta = delta + 1 end
            if points[i] == n then
                local q, k = delta, BASE
                while true do
                    local t = k <= bias and T_MIN or (k >= bias + T_MAX and T_MAX or k - bias)
                    if q < t then break end
                    local d = t + (q - t) % (BASE - t)
                    out[#out + 1] = string.char(d < 26 and d + 0x61 or d - 26 + 0x30)
                    q = math.floor((q - t) / (BASE - t))
                    k = k + BASE
                end
                out[#out + 1] = string.char(q < 26 and q + 0x61 or q - 26 + 0x30)
                bias = adapt(delta, done + 1, done == plain)
                delta, done = 0, done + 1
            end
        end
        delta, n = delta + 1, n + 1
    end
    return table.concat(out)
end

-- Code points of a label as it stands in a name: "xn--…" decoded, UTF-8 read, anything else byte by byte.
function punycode.points(label)
    if label:sub(1, 4):lower() == "xn--" then
        local points = punycode.decode(label:sub(5))
        if points then return points end
    end
    local points, at = {}, 1
    while at <= #label do
        local byte = label:byte(at)
        local more = byte >= 0xf0 and 3 or byte >= 0xe0 and 2 or byte >= 0xc2 and 1 or 0
        local point = more == 3 and byte % 8 or more == 2 and byte % 16 or more == 1 and byte % 32 or byte
        for i = 1, more do
            local next = label:byte(at + i)
            if not next or next < 0x80 or next > 0xbf then
                point, more = byte, 0
                break
            end
            point = point * 64 + next % 64
        end
        points[#points + 1] = point
        at = at + 1 + more
    end
    return points
end

-- UTF-8 text of code points, to show a reader what a browser would have shown.
function punycode.text(points)
    local out = {}
    for i, p in ipairs(points) do
        if p < 0x80 then
            out[i] = string.char(p)
        elseif p < 0x800 then
            out[i] = string.char(0xc0 + math.floor(p / 64), 0x80 + p % 64)
        elseif p < 0x10000 then
            out[i] = string.char(0xe0 + math.floor(p / 4096), 0x80 + math.floor(p / 64) % 64, 0x80 + p % 64)
        else
            out[i] = string.char(0xf0 + math.floor(p / 262144), 0x80 + math.floor(p / 4096) % 64,
                0x80 + math.floor(p / 64) % 64, 0x80 + p % 64)
        end
    end
    return table.concat(out)
end

return punycode
