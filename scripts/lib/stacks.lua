-- Whose TLS stack is it? JA4 to the libraries and tools of data/stack_ja4.tsv, and a browser's name from a User-Agent.
--
-- A stack is JA4 without its first part: what that part tells (server name there or not, number of extensions, ALPN) changes from call to
-- call, the ciphers and the extensions with their signature algorithms change with the program.

local remember = require "remember"

local stacks = {}

-- "8daaf6152771_02713d6af862" of "t13d1516h2_8daaf6152771_02713d6af862"; nil if it has not JA4's form.
function stacks.of(ja4)
    if not ja4 or #ja4 ~= 36 then return nil end
    return ja4:sub(12, 36)
end

-- rows: stack_ja4.tsv. Gives find(ja4) → "Go (since 1.22)", "library" or "tool"; nil for all others.
function stacks.new(rows)
    local by_stack = {}
    for _, row in ipairs(rows) do by_stack[row.stack] = row end
    local row_of = remember(function(ja4)
        if #ja4 ~= 36 then return false end
        return by_stack[ja4:sub(12, 36)] or by_stack[ja4:sub(12, 23)] or false
    end, 2000)
    return function(ja4)
        local row = ja4 and row_of(ja4)
        if not row then return nil end
        return row.what, row.kind
    end
end

-- What a User-Agent calls itself: Chrome, Firefox, Safari, Edge, Opera; nil for what is no browser's, and for the parts of apps that show pages.
function stacks.browser(agent)
    if not agent or agent:sub(1, 12) ~= "Mozilla/5.0 " then return nil end
    if agent:find("Edg/", 1, true) then return "Edge" end
    if agent:find("OPR/", 1, true) then return "Opera" end
    if agent:find("Firefox/", 1, true) then return "Firefox" end
    if agent:find("Chrome/", 1, true) then return "Chrome" end
    if agent:find("Safari/", 1, true) and agent:find("Version/", 1, true) then return "Safari" end
    return nil
end

return stacks
