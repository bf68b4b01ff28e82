-- "Did you mean": the nearest of a list of names by edit distance (insert, delete, replace, swap of neighbours;
-- Damerau 1964), or if none is near one that begins so; nil if there is none either.
local function distance(a, b)
    local rows = { [0] = {} }
    for j = 0, #b do rows[0][j] = j end
    for i = 1, #a do
        rows[i] = { [0] = i }
        for j = 1, #b do
            local cost = a:byte(i) == b:byte(j) and 0 or 1
            local best = math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                best = math.min(best, rows[i - 2][j - 2] + 1)
            end
            rows[i][j] = best
        end
    end
    return rows[#a][#b]
end

return function(name, names)
    if #name > 64 then return nil end
    local best, best_distance = nil, math.max(1, math.floor(#name / 3)) + 1
    for _, candidate in ipairs(names) do
        local d = distance(name, candidate)
        if d < best_distance then best, best_distance = candidate, d end
    end
    if best or #name < 3 then return best end
    for _, candidate in ipairs(names) do -- one that goes on where this one ends: the shortest
        if candidate:sub(1, #name) == name and (not best or #candidate < #best or #candidate == #best and candidate < best) then
            best = candidate
        end
    end
    return best
end
