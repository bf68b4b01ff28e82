-- What lolbin says of ping: whose ping it is, a flood, a tunnel in it. lib/echo_book.lua counts, lib/ping_layout.lua knows the systems' pings.

local echo_book = require "echo_book"
local hosts = require "host_kind"
local ping_layout = require "ping_layout"

local echo_watch = {}

-- echoes: a state, "client server" → what was seen of its pings; tunables: lolbin's; say(e, tool, severity, alert); note(host, label, place). Gives a
-- function for `icmp_echo` events.
function echo_watch.new(with)
    local function check_tunnel(e, p)
        if not echo_book.is_odd(p, with.tunables) then return end
        local tests, carried = echo_book.tests(p, with.tunables)
        if not carried and #tests < 2 then return end
        with.say(e, "ping", (carried or #tests >= 3) and "high" or "medium", {
            title = "Tunnel in ping", confidence = carried and 0.95 or math.min(0.3 + 0.2 * #tests, 0.9), attack = "T1095,T1572", rule = "tunnel",
            any_host = true, weight = #tests, why = table.concat(tests, "; "),
            evidence = { foreign = p.foreign, longest = p.longest, lengths = p.sizes, mismatches = p.mismatch, ipv4 = p.ipv4,
                requests = p.requests, replies = p.replies, tests = tests },
            next = "What else does the host do with the other side? Read the data of a few echoes.",
        })
    end

    local function check_request(e, p, layout)
        if p.in_second == with.tunables.ping_rate then
            with.say(e, "ping", "low", {
                title = "Flood of pings", confidence = 0.7, attack = "T1498", rule = "flood",
                why = ("%d echo requests within one second"):format(p.in_second), evidence = { in_second = p.in_second },
                next = "Somebody tests a line (ping -f wants root), or a program does. Who runs ping on that host?",
            })
        end
        if layout == p.layout or layout == "unknown" or layout == "short" then return end
        p.layout = layout
        with.note(e.client_ip, "ping", e.server_ip)
        local odd = hosts.is_mac(e.client_ip) and (layout == "linux" or layout == "windows" or layout == "cisco")
        with.say(e, "ping", odd and "low" or "info", {
            title = odd and "A Mac that pings like another system" or "ping at work", confidence = 0.7, attack = "T1018", rule = "use",
            why = ("%d bytes laid out as %s"):format(e.payload_length, ping_layout.names[layout]) ..
                (odd and ", yet this host's SYNs are a Mac's: a virtual machine, a container, or a tool of its own" or ""),
            evidence = { layout = layout, bytes = e.payload_length, sequence = e.sequence, ttl = e.ttl },
            next = odd and "Is there a virtual machine or a container on it? Else: which program sends these?"
                or "Nothing odd so far; a tunnel in ping would be told by itself.",
        })
    end

    local echo = {} -- scratch
    return function(e)
        local key = e.client_ip .. " " .. e.server_ip
        local p = with.echoes:get(key)
        if not p then
            p = echo_book.new()
            with.echoes:set(key, p)
        end
        echo.request, echo.sequence, echo.hash, echo.time, echo.length = e.request, e.sequence, e.payload_hash, e.time, e.payload_length
        echo.payload = e.payload
        local layout = echo_book.note(p, echo)
        if e.request then check_request(e, p, layout) end
        check_tunnel(e, p)
    end
end

return echo_watch
