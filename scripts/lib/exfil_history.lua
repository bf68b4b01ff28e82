-- What is usual: sums by day, of the last fortnight that had any.
--
-- A record with the fields of DAILY holds today's sum and a ring of the days before. Days are UTC's. What is usual is said by the largest and by the
-- median and its spread (MAD, scaled to a standard deviation's size), for one day of holidays must not make the next Monday odd.

local series = require "lunette.series"

local history = {}

history.DAYS = 14
history.DAILY = { day = "u32", up = "f64", down = "f64", days = "u32", ring = "f32[14]" }

local DAY = 86400
local MAD_TO_DEVIATION = 1.4826

-- Closes the day if another has begun; true if it has.
function history.turn(record, now)
    local day = math.floor(now / DAY)
    if record.day == day then return false end
    if record.day ~= 0 and record.up > 0 then
        record:put("ring", record.days % history.DAYS, record.up)
        record.days = record.days + 1
    end
    record.day, record.up, record.down = day, 0, 0
    return true
end

-- The sum from which on a day is unlike those before: `times` the largest, and beyond six deviations above the median. Gives also the median. nil with less than
-- `least` days.
function history.limit(record, least, times)
    local count = math.min(record.days, history.DAYS)
    if count < least then return nil end
    local list, largest = {}, 0
    for i = 1, count do
        local up = record:at("ring", i - 1)
        list[i] = up
        if up > largest then largest = up end
    end
    local median = series.median(list)
    return math.max(times * largest, median + 6 * MAD_TO_DEVIATION * series.mad(list)), median
end

return history
