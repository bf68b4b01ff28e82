-- Works something out once for each text. Fingerprints, server names and agents are few and come again and again, so what is asked of them at
-- each event is looked up instead.
--
--   local stack_of = remember(function(ja4) return … end, 1000)
--
-- work(text) gives anything but nil. Of at most so many texts the answer is kept; then all are forgotten at once, so that strangers who make up
-- texts cost no memory.
return function(work, most)
    local known, count = {}, 0
    return function(text)
        local result = known[text]
        if result ~= nil then return result end
        result = work(text)
        if count >= most then known, count = {}, 0 end
        known[text], count = result, count + 1
        return result
    end
end
