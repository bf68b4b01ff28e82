-- Features of sequences, for tests: luajit tests/detectors/beat_driver.lua < sequences > features
--
-- In:  "sequence NAME", then lines "TIME OUT IN" (a check-in) or "TIME" (the client was seen), then "end".
-- Out: NAME n ca ta cw fano so si period automation, and per pair asked for by "score WITH_NAME CLIENTS AGE" its score.
--      A sequence with less than 4 check-ins gives "NAME n" alone.
package.path = "lua-api/?.lua;tests/detectors/?.lua;" .. package.path
local beat = require "beat"
local records = require "records"
local new_pair = records.define(beat.PAIR_FIELDS)
local new_clock = records.define(beat.CLOCK_FIELDS)

local name, pair, clock, context
for line in io.lines() do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    if words[1] == "sequence" then
        name, pair, clock, context = words[2], new_pair(), new_clock(), nil
    elseif words[1] == "score" then
        context = { tonumber(words[2]), tonumber(words[3]), tonumber(words[4]) }
    elseif words[1] == "end" then
        local f = beat.features(pair)
        if not f then
            print(name, pair.n)
        else
            local A = beat.automation(f)
            local row = { name, f.n }
            for _, v in ipairs { f.ca, f.ta, f.cw, f.fano, f.so, f.si, f.period, A } do row[#row + 1] = ("%.9g"):format(v) end
            if context then row[#row + 1] = ("%.9g"):format(beat.score(A, context[1], context[2], context[3])) end
            print(table.concat(row, "\t"))
        end
    elseif words[1] then
        local t = tonumber(words[1])
        local awake = beat.tick(clock, t)
        if words[2] then beat.update(pair, t, awake, tonumber(words[2]), tonumber(words[3])) end
    end
end
