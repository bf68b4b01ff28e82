-- The modules that come with the engine and need more than a script may touch (lunette.names, .address, .series, .sketch):
-- they are loaded on this side, when a script asks for them, and the script gets the table of their functions.
--
-- The objects of series and sketch are plain tables inside, so that a hand-over can write them (plain.h), with a
-- metatable of their class. A script cannot make such an object: metatables of classes never leave the trusted side. What is
-- in an object it can change, as in any table of its own; so methods take nothing in it for granted but that it is
-- theirs, and no field of one is ever used to reach memory.
local MODULES = { names = true, address = true, series = true, sketch = true }
local OWNERS = { ring = "series", histogram = "series", moments = "series", distinct = "sketch", heavy = "sketch" }

return function(inside, internal)
    local metatable_of = inside.debug.getmetatable
    local loaded = {}
    local helpers = {}

    -- name → metatable and metatable → name, for the hand-over. A class that is asked for by name is loaded.
    local classes = setmetatable({}, { __index = function(classes, name)
        if not OWNERS[name] then return nil end
        helpers.module(OWNERS[name])
        return rawget(classes, name)
    end })
    inside.host.classes(classes)
    classes.tunables, classes[inside.unknown.tunables] = inside.unknown.tunables, "tunables"

    -- Gives the class's constructor (of a table of fields) and its check: raises an error unless it was handed an object of
    -- that class. `usage` says how methods are called.
    function helpers.class(name, methods, usage)
        local meta = { __index = methods, __metatable = false }
        classes[name], classes[meta] = meta, name
        local function make(fields) return setmetatable(fields, meta) end
        local function check(object)
            if type(object) ~= "table" or metatable_of(object) ~= meta then error("call it with a colon: " .. usage, 3) end
        end
        return make, check
    end

    -- Raises an error in the script's line unless value is a number, and a whole one, within the bounds. NaN is in none.
    function helpers.whole(what, value, least, most)
        if type(value) ~= "number" or not (value >= least and value <= most) or value % 1 ~= 0 then
            error(("%s: a whole number from %d to %d is expected, got %s"):format(what, least, most, tostring(value)), 3)
        end
    end
    function helpers.finite(what, value)
        if type(value) ~= "number" or not (value > -math.huge and value < math.huge) then
            error(("%s: a finite number is expected, got %s"):format(what, tostring(value)), 3)
        end
    end
    function helpers.text(what, value, most)
        if type(value) ~= "string" then error(("%s: a string is expected, got %s"):format(what, type(value)), 3) end
        if #value > most then error(("%s: a string of at most %d bytes is expected, got %d"):format(what, most, #value), 3) end
    end

    function helpers.is_module(name) return MODULES[name] end
    function helpers.module(name)
        if not loaded[name] then
            loaded[name] = inside.unknown.seal("lunette." .. name, internal(name .. ".lua", inside, internal))
        end
        return loaded[name]
    end
    return helpers
end
