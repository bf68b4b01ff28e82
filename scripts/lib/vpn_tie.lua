-- Is what goes through utun3 in clear the inside of this encrypted flow? By time and volume.
--
-- Each packet inside is one packet outside (or a part of a stream, if the tunnel is TCP), with a header: WireGuard's costs 32 bytes and fills up to 16,
-- ESP's and OpenVPN's 30 to 70. So the outer payload is the inner bytes and between 8 and 100 bytes for each packet, plus handshakes
-- and keep-alives. Two flows that have nothing to do with each other hardly ever agree so in both directions and begin in each other's life as well.

local tie = {}

local MOST = 500 -- connections kept of an interface
local LEAST_BYTES = 4000
local SLACK = 2 -- seconds

function tie.ring() return { n = 0 } end

function tie.add(ring, flow)
    ring[ring.n % MOST + 1] = { flow.start, flow.finish, flow.up, flow.down, flow.up_packets, flow.down_packets }
    ring.n = ring.n + 1
end

-- Bytes of a header for each packet, or nil if the outer bytes cannot be the inner ones.
local function header(outer, inner, packets)
    if packets == 0 then return nil end
    if outer < inner * 0.97 or outer > inner * 1.05 + packets * 100 + 4000 then return nil end
    return (outer - inner) / packets
end

-- ring: an interface's connections; flow: the encrypted one { up, down (payload), start, finish }. → { flows, up, down, header_up, header_down, delay,
-- confidence } or nil.
function tie.weigh(ring, flow)
    local count, up, down, up_packets, down_packets, outside, first = 0, 0, 0, 0, 0, 0, math.huge
    for i = 1, math.min(ring.n, MOST) do
        local own = ring[i]
        if own[1] >= flow.start - SLACK and own[2] <= flow.finish + SLACK then
            count, up, down = count + 1, up + own[3], down + own[4]
            up_packets, down_packets = up_packets + own[5], down_packets + own[6]
            first = math.min(first, own[1])
        elseif own[1] < flow.finish and own[2] > flow.start then
            outside = outside + own[3] + own[4]
        end
    end
    if count == 0 or up + down < LEAST_BYTES or outside > 0.1 * (up + down) then return nil end
    local header_up, header_down = header(flow.up, up, up_packets), header(flow.down, down, down_packets)
    if not header_up or not header_down then return nil end
    return { flows = count, up = up, down = down, header_up = math.floor(header_up + 0.5), header_down = math.floor(header_down + 0.5),
        delay = math.max(0, first - flow.start), confidence = up + down >= 50000 and 0.95 or 0.8 }
end

return tie
