-- What was called in one phase of one host: a page for each name, bounded, and the rows of the report from it.
--
-- A page holds connections and payload each way. The diary's figures (42 MB of swscan.apple.com) are what came out of the connections, so
-- the report has a second figure beside the payload: the content, less what TLS adds. A handshake's part of the server (hello, two
-- certificates, signature) is taken for HANDSHAKE bytes, a record's frame is 22 bytes for 16 KiB (RFC 8446 section 5.2); the former is a
-- usual size and no measurement, so contents are good to some percent where connections are short.

local book = {}

local HANDSHAKE = 3600
local RECORD = 16384 / 16406

function book.human(bytes)
    if bytes < 1000 then return ("%.0f B"):format(bytes) end
    for _, unit in ipairs { "kB", "MB", "GB" } do
        bytes = bytes / 1000
        if bytes < 999.5 or unit == "GB" then return (bytes < 9.95 and "%.1f %s" or "%.0f %s"):format(bytes, unit) end
    end
end

function book.new() return { pages = {}, count = 0, left = 0, left_bytes = 0 } end

-- Enters one connection; returns the name's page, or nil where the book is full.
function book.enter(own, most, name, over, up, down)
    local page = own.pages[name]
    if not page then
        if own.count >= most then
            own.left, own.left_bytes = own.left + 1, own.left_bytes + up + down
            return nil
        end
        page = { flows = 0, up = 0, down = 0, content = 0, over = over }
        own.pages[name], own.count = page, own.count + 1
    end
    page.flows, page.up, page.down = page.flows + 1, page.up + up, page.down + down
    page.content = page.content + (over == "tls" and math.max(0, down - HANDSHAKE) * RECORD or down)
    return page
end

-- Sums over the names of one row of the profile: connections, content, received.
function book.sum(own, row_of, row)
    local flows, content, down = 0, 0, 0
    for name, page in pairs(own.pages) do
        if row_of(name) == row then flows, content, down = flows + page.flows, content + page.content, down + page.down end
    end
    return flows, content, down
end

-- The names, in the order of their bytes.
function book.names(own)
    local list = {}
    for name in pairs(own.pages) do list[#list + 1] = name end
    table.sort(list, function(a, b)
        local one, other = own.pages[a], own.pages[b]
        if one.up + one.down ~= other.up + other.down then return one.up + one.down > other.up + other.down end
        return a < b
    end)
    return list
end

return book
