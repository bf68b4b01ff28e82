-- Names that there are not. A misspelt option, function or tunable would otherwise be nil, or do nothing at all, and the
-- author would look for the reason somewhere else: it is told where it is used, with the nearest name that there is.
return function(inside)
    local unknown = {}

    local function names_of(known)
        local names = {}
        for name in next, known do
            if type(name) == "string" then names[#names + 1] = name end
        end
        table.sort(names)
        return names
    end

    -- "; did you mean 'ttl'?", or "" if none of the keys of `known` is near.
    function unknown.hint(name, known)
        local near = inside.nearest(tostring(name), names_of(known))
        return near and "; did you mean '" .. near .. "'?" or ""
    end

    -- Raises an error if the table has an option that is no key of `known`; `level` as in the caller's own errors.
    function unknown.option(what, options, known, level)
        for name in next, options do
            if not known[name] then
                error(("%s: there is no '%s'%s"):format(what, tostring(name), unknown.hint(name, known)), level + 1)
            end
        end
    end

    -- A table of functions that tells who asks for one that it has not. What is there is found before, at no cost.
    function unknown.seal(what, functions)
        return setmetatable(functions, { __metatable = false, __index = function(_, name)
            error(("%s has no '%s'%s"):format(what, tostring(name), unknown.hint(name, functions)), 2)
        end })
    end

    -- The metatable of what lunette.tunables returns. Their names are the table's own keys, so that it is one for all,
    -- and the hand-over can know it (helpers.lua).
    unknown.tunables = { __index = function(tunables, name)
        if type(name) ~= "string" then return nil end
        local hint, names = unknown.hint(name, tunables), names_of(tunables)
        if hint == "" then hint = #names > 0 and ": there are " .. table.concat(names, ", ") or ": there are none" end
        error(("there is no tunable '%s'%s"):format(name, hint), 2)
    end }

    return unknown
end
