-- What DNS told each host: which addresses, for which Apple names, by which resolver, and whether its answers can be seen at all.
--
-- Lists of addresses are walked without a loop as far as answers usually go: LuaJIT compiles the first loop that it meets in a handler
-- by itself, and then cannot compile the way back out of it (see tests/unit/test_jit.c).

local memory = {}

memory.CLIENT_FIELDS = { v4 = "u32", v6 = "u32", first = "time", hidden = "time", others = "u32", most = "u32", usual_at = "time" }
memory.RESOLVER_FIELDS = { answers = "u32", apples = "u32" }

-- states: answers ("client address" → true), asked ("client family name" → the last name of its chain, or true), clients and resolvers (records with the fields above),
-- usual (client → the resolver that answers it most). Without resolvers and usual, who answers is not kept, and `apart` is not to be asked.
function memory.new(states)
    local answers, asked, clients, resolvers, usual = states.answers, states.asked, states.clients, states.resolvers, states.usual
    local object = {}

    local function learn_rest(prefix, list)
        for i = 9, #list do answers:set(prefix .. list[i], true) end
    end

    function object.learn(client, list)
        local count, prefix = #list, client .. " "
        answers:set(prefix .. list[1], true)
        if count == 1 then return end
        answers:set(prefix .. list[2], true)
        if count == 2 then return end
        answers:set(prefix .. list[3], true)
        if count == 3 then return end
        answers:set(prefix .. list[4], true)
        if count == 4 then return end
        answers:set(prefix .. list[5], true)
        if count == 5 then return end
        answers:set(prefix .. list[6], true)
        if count == 6 then return end
        answers:set(prefix .. list[7], true)
        if count == 7 then return end
        answers:set(prefix .. list[8], true)
        if count > 8 then learn_rest(prefix, list) end
    end

    -- Was the address given to the client?
    function object.gave(client, address) return answers:get(client .. " " .. address) end

    -- An answer with addresses came. family: "4" or "6". name: nil if it is not Apple's; end_of_chain: the last CNAME.
    function object.answered(client, resolver, family, name, end_of_chain, now)
        local own = clients:make(client)
        if family == "4" then own.v4 = own.v4 + 1 else own.v6 = own.v6 + 1 end
        if own.first == 0 then own.first = now end
        if name then asked:set(client .. " " .. family .. " " .. name, end_of_chain or true) else own.others = own.others + 1 end
        if not resolvers then return end
        local theirs = resolvers:make(client .. " " .. resolver)
        theirs.answers = theirs.answers + 1
        if name then theirs.apples = theirs.apples + 1 end
        if theirs.answers > own.most then
            own.most = theirs.answers
            usual:set(client, resolver)
        end
        if usual:get(client) == resolver then own.usual_at = now end
    end

    -- Encrypted DNS, or a relay that carries it: what is asked cannot be seen from now on.
    function object.hide(client, now) clients:make(client).hidden = now end
    function object.is_hidden(client, now, seconds)
        local own = clients:get(client)
        return own ~= nil and own.hidden > 0 and now - own.hidden < seconds
    end

    -- Answers of a family that the client got, and the time of the first of all; nil if there were none.
    function object.seen(client, family)
        local own = clients:get(client)
        if not own or own.first == 0 then return nil end
        return family == "6" and own.v6 or own.v4, own.first
    end

    function object.was_told(client, family, name) return asked:get(client .. " " .. family .. " " .. name) end

    -- Another resolver than the usual one, asked for Apple's names and nothing else? Gives how many answers, the usual one, its answers,
    -- and when it last answered; nil if it does not look so.
    function object.apart(client, resolver)
        local own, best = clients:get(client), usual:get(client)
        local theirs = resolvers:get(client .. " " .. resolver)
        if not own or not theirs or best == resolver or theirs.apples < theirs.answers then return nil end
        return theirs.answers, best, own.most, own.usual_at
    end

    return object
end

return memory
