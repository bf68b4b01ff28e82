-- What is told of an error: the message, and how the script got there. Of the stack only the script's own lines are
-- shown (its file and those in lib/): what stands above and below them is ours, and says nothing to its author.
return function(inside)
    local getinfo = inside.debug.getinfo
    local LINES, LEVELS = 10, 60 -- of a deep stack its top: each level costs a walk from there
    local chunks = {}
    local trace = {}

    -- Functions of the chunk called `source` ("=name") are the script's.
    function trace.is_the_scripts(source) chunks[source] = true end
    function trace.is_of_script(source) return chunks[source] == true end

    local function function_name(info)
        if info.what == "main" then return "in the script's body" end
        if info.name and info.name:find("^h%d+$") then return "in a handler" end -- lunette's own name for it
        if info.name and info.namewhat ~= "" then return "in '" .. info.name .. "'" end
        return "in the function at line " .. info.linedefined
    end

    -- The script's lines on the stack above the caller, innermost first.
    local function script_lines()
        local lines, first = {}, nil
        for level = 3, LEVELS do
            local info = getinfo(level, "Sln")
            if not info then return lines, first end
            if chunks[info.source] and info.currentline > 0 then
                if #lines == LINES then break end
                local place = info.short_src .. ":" .. info.currentline
                first = first or place
                local line = "    " .. place .. ", " .. function_name(info)
                if lines[#lines] ~= line then lines[#lines + 1] = line end -- a function that calls itself
            end
        end
        lines[#lines + 1] = "    and so on"
        return lines, first
    end

    -- An error that our own code met stands at the script's line that led there.
    local function at_the_scripts_line(message, place)
        local source, rest = message:match("^([^\n:]-):%d+: (.*)$")
        if not source or chunks["=" .. source] or not place then return message end
        if not (source:find("^%[string ") or source:find("^loop over ") or source:find("^getter ") or
            source:find("^emit ") or source == "field" or
            source:find("^lunette/") or source:find("^[%w_]+%.lua$")) then
            return message
        end
        return place .. ": " .. rest
    end

    function trace.told(message)
        local lines, place = script_lines()
        return at_the_scripts_line(message, place) .. "\n" .. table.concat(lines, "\n")
    end

    -- The script's line at which a coroutine waits, nil if it has not begun.
    function trace.waits_at(co)
        for level = 0, LEVELS do
            local info = getinfo(co, level, "Sl")
            if not info then return nil end
            if chunks[info.source] and info.currentline > 0 then return info.short_src .. ":" .. info.currentline end
        end
    end

    return trace
end
