-- The same finding is told again only when it got worse: the keys of alerts by which a cooldown holds back what is no louder than before.
--
--   local key_of = louder.keys(lunette.state("told", { max = 20000, ttl = tunables.cooldown }))
--   lunette.alert { …, key = key_of(host .. " " .. name, severity), cooldown = tunables.cooldown }
local louder = {}

louder.LEVEL = { info = 1, low = 2, medium = 3, high = 4 }

--- `told`: a state, from what was told to how loud; it forgets with the cooldown. Gives a function (what, severity) → the alert's key: that of the
--- loudest of its kind, or a new one if this is louder; and whether it is.
function louder.keys(told)
    return function(what, severity)
        local level = louder.LEVEL[severity]
        local before = told:get(what)
        if before and before >= level then return what .. " " .. before, false end
        told:set(what, level)
        return what .. " " .. level, true
    end
end

return louder
