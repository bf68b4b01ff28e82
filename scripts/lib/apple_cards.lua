-- What the ledger says of each host, as facts for its card: by purpose, and by name for those who are neither Apple's nor known.
--
-- Every ten minutes a round begins over the hosts of which something changed: a thousand a minute, since a sensor must not stand still for
-- all of ten thousand. (What a card says is read seldom, and costs some tables for each host.) Names of strangers are found by a walk through
-- all accounts: when there are many of these, the card has sums until the end. What is still to be told outlives a reload.

local lunette = require "lunette"
local ledger = require "ledger"

local MANY_ACCOUNTS = 5000 -- from here on no walks before the end
local MOST_ACCOUNTS = 50000 -- … and from here on none at all: their names, listed, would be more than the detector may hold
local MOST_HOSTS = 20000   -- of which changes are noted in one round
local AT_ONCE = 1000       -- hosts told of in one turn
local ROUND = 600          -- seconds from the beginning of a round to the next
local LINE = 8             -- entries of a fact's line …
local DETAILS = 12         -- … and of its details

local function details_of(list)
    local out = {}
    for i = 1, math.min(DETAILS, #list) do
        out[i] = { name = list[i].name:sub(1, 80), connections = list[i].flows, bytes = list[i].bytes }
    end
    return { entries = out, count = #list }
end

local function tell(host, topic, list)
    if #list > 0 then lunette.fact(host, topic, ledger.line(list, LINE), details_of(list)) end
end

-- book: a ledger; relay: private_relay; accounts: the ledger's records; every: seconds from turn to turn. Gives touch(host), turn(now) for a
-- timer, and finish() for the end.
return function(book, relay, accounts, every)
    local object = {}
    local changed = lunette.state("cards", { max = MOST_HOSTS, keep = "reload" })   -- hosts of which the card must say something else
    local unnamed = lunette.state("unnamed", { max = MOST_HOSTS, keep = "reload" }) -- hosts with strangers whose names are to be told
    local waiting, at = {}, 1     -- those of the round that is told now, and the next one of them

    function object.touch(host)
        if not changed:get(host) and changed:count() < MOST_HOSTS then changed:set(host, true) end
    end

    local function tell_host(host)
        changed:set(host, nil)
        tell(host, "apple", book.purposes(host, "Apple"))
        tell(host, "third parties", book.purposes(host, "known"))
        local strangers = book.purposes(host, "elsewhere")[1]
        if strangers and accounts:count() > MANY_ACCOUNTS then
            lunette.fact(host, "elsewhere", ("%s in %d connections, to many"):format(ledger.human(strangers.bytes), strangers.flows))
        elseif strangers then
            unnamed:set(host, true)
        end
        local _, bytes = book.sum(host)
        local text, details = relay.fact(host, bytes)
        if text then lunette.fact(host, "private relay", text, details) end
    end

    local function tell_names(wanted)
        for host, list in pairs(book.names(wanted, "elsewhere")) do tell(host, "elsewhere", list) end
    end

    local function take_unnamed()
        local hosts = {}
        for host in unnamed:each() do hosts[host] = true end
        for host in pairs(hosts) do unnamed:set(host, nil) end
        return hosts
    end

    local function tell_next(count)
        local last = math.min(#waiting, at + count - 1)
        for i = at, last do tell_host(waiting[i]) end
        at = last + 1
    end

    local function begin_round()
        waiting, at = {}, 1
        for host in changed:each() do waiting[#waiting + 1] = host end
        table.sort(waiting)
    end

    -- Once a minute: the next hosts of a round, or of a new one.
    -- Rounds begin by the clock and not by what this worker saw, or a card's time would depend on the number of workers.
    function object.turn(now)
        if at > #waiting then
            if math.floor(now / ROUND) == math.floor((now - every) / ROUND) or changed:count() == 0 then return end
            begin_round()
        end
        tell_next(AT_ONCE)
        if at > #waiting and accounts:count() <= MANY_ACCOUNTS then tell_names(take_unnamed()) end
    end

    -- The end: all that was not told, and the names of all strangers, unless a flood made more of these than can be listed.
    function object.finish()
        tell_next(#waiting)
        begin_round()
        tell_next(#waiting)
        if accounts:count() > MOST_ACCOUNTS then return end
        tell_names(accounts:count() > MANY_ACCOUNTS and book.hosts() or take_unnamed())
    end

    return object
end
