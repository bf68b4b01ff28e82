-- What beacon.lua tells of a pair: its rhythm in words and bars, and the figures of an alert.
local figures = require "figures"
local series = require "lunette.series"

local duration, round = figures.duration, figures.round
local story = {}

--- Bars of a pair: check-ins over time, intervals from the shortest to the longest. Each "" if there is nothing to draw.
function story.bars(beat, pair, clock)
    local counts, length = beat.line(pair)
    local line = #counts > 1 and ("%s %s each"):format(series.spark(counts), duration(length)) or ""
    local intervals, shortest, longest = beat.intervals(pair, clock)
    local drawn = ""
    if #intervals == 1 then
        drawn = ("all about %s"):format(duration(shortest))
    elseif #intervals > 1 then
        drawn = ("%s %s %s"):format(duration(shortest), series.spark(intervals), duration(longest))
    end
    return line, drawn
end

--- Why a timer: the strongest reasons in words.
function story.rhythm(f)
    local words = {}
    if f.tim >= 0.3 then
        words[1] = ("about every %s (%.0f %% of the intervals, typically %.0f %% off)"):format(duration(f.period), f.crowd * 100,
            f.jitter * 100)
    end
    if f.fano > 0.8 then
        words[#words + 1] = "spread more evenly than chance"
    elseif f.fano >= 0.5 then
        words[#words + 1] = "spread out, not in bursts as people's are"
    end
    if not f.dns and f.so + f.si > 1.4 then words[#words + 1] = "of the same sizes" end
    if f.awake < 0.9 * f.span then
        words[#words + 1] = ("the client seen awake for %.0f %% of the time"):format(f.awake / f.span * 100)
    end
    return table.concat(words, ", ")
end

--- Who asked, if that is known: "curl (child of sh) made ", else "".
function story.actor(f)
    if not f.program then return "" end
    local parent = f.ancestry and f.ancestry:match("^(.-) < ") or f.ancestry
    return f.program .. (parent and parent ~= "" and (" (child of %s)"):format(parent) or "") .. " made "
end

function story.evidence(f, standing)
    local known = f.tim > 0
    return {
        check_ins = f.n, flows = not f.dns and f.flows or nil, bursts_in_flows = not f.dns and f.bursts or nil,
        address_queries = f.dns and f.flows or nil, other_queries = f.dns and f.bursts or nil,
        span_s = round(f.span, 0), awake_share = round(f.span > 0 and math.min(1, f.awake / f.span) or 1),
        period_s = known and round(f.period, 1) or nil, jitter = known and round(f.jitter) or nil,
        clock = known and f.clock or nil, intervals_at_period = round(f.crowd),
        timing = round(f.tim), evenness = round(f.fano),
        size_out = not f.dns and round(f.so) or nil, size_in = not f.dns and round(f.si) or nil,
        automation = round(f.A), clients_with_name = standing.with_name, clients = standing.clients,
        name_age_days = round(standing.age), tls_stack = f.stack, server_port = f.port,
        over_time = f.line ~= "" and f.line or nil, intervals = f.drawn ~= "" and f.drawn or nil,
        program = f.program, ancestry = f.ancestry,
    }
end

return story
