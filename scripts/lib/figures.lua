-- Figures in words, for the texts of alerts, facts and reports: the same quantity reads the same wherever it is told.
local figures = {}

local MINUTE, HOUR, DAY = 60, 3600, 86400

--- Seconds as a person says them: "40 s", "12 min", "5.5 h", "3.0 days".
function figures.duration(seconds)
    if seconds < 2 then return ("%.1f s"):format(seconds) end
    if seconds < 2 * MINUTE then return ("%.0f s"):format(seconds) end
    if seconds < 2 * HOUR then return ("%.0f min"):format(seconds / MINUTE) end
    if seconds < 2 * DAY then return ("%.1f h"):format(seconds / HOUR) end
    return ("%.1f days"):format(seconds / DAY)
end

local UNITS = { "bytes", "kB", "MB", "GB", "TB" }

--- Bytes in decimal units, as the alerts and tables have them: "812 bytes", "4.2 kB", "42 MB".
function figures.bytes(count)
    local unit = 1
    while count >= 999.5 and unit < #UNITS do
        count, unit = count / 1000, unit + 1
    end
    local form = (unit == 1 or count >= 9.95) and "%.0f %s" or "%.1f %s"
    return form:format(count, UNITS[unit])
end

--- A share of a whole in whole percent; 0 of nothing.
function figures.percent(part, whole)
    return whole > 0 and math.floor(part / whole * 100 + 0.5) or 0
end

--- Rounds to so many decimals (2 unless given), for evidence.
function figures.round(value, decimals)
    local unit = 10 ^ (decimals or 2)
    return math.floor(value * unit + 0.5) / unit
end

--- "1 name", "5 names": the plural adds an s unless it is given.
function figures.count(number, one, many)
    return ("%d %s"):format(number, number == 1 and one or many or one .. "s")
end

--- Leaves the first `most` of a list, in order, and throws the rest away: for tables that show some rows of very many. To sort all of
--- them would be work for nothing.
function figures.foremost(list, most, is_before)
    local count = 0
    for i = 1, #list do
        local one = list[i]
        if count < most or is_before(one, list[count]) then
            if count < most then count = count + 1 end
            local at = count
            while at > 1 and is_before(one, list[at - 1]) do
                list[at] = list[at - 1]
                at = at - 1
            end
            list[at] = one
        end
    end
    for i = #list, count + 1, -1 do list[i] = nil end
end

return figures
