-- What of a host's starts is told, where all hosts are known: a name that others call as well is hardly somebody's implant.

local figures = require "figures"
local series = require "lunette.series"

local book = {}

local DAY = 86400
local FEW_HOSTS = 8 -- callers kept of a name

-- The median; 0 of nothing.
function book.middle(list) return #list > 0 and series.median(list) or 0 end

function book.gather(lunette, tunables)
    local callers = lunette.state("callers", { max = 60000, ttl = 60 * DAY }) -- name → { hosts, more }
    local fleet = lunette.state("fleet", { max = 20000, ttl = 60 * DAY })

    local function others_of(name, host)
        local entry = callers:get(name)
        local count = entry and entry.more or 0
        for _, other in ipairs(entry and entry.hosts or {}) do
            if other ~= host then count = count + 1 end
        end
        return count
    end

    local function learn(name, host)
        fleet:set(host, true)
        local entry = callers:get(name) or { hosts = {}, more = 0 }
        for _, other in ipairs(entry.hosts) do
            if other == host then return end
        end
        if #entry.hosts < FEW_HOSTS then entry.hosts[#entry.hosts + 1] = host else entry.more = entry.more + 1 end
        callers:set(name, entry)
    end

    local NEXT = {
        new = "Look on the Mac at ~/Library/LaunchAgents, /Library/LaunchAgents and the login items (sfltool dumpbtm) for what came since the last start, and who put it there.",
        repeats = "Something starts with the login. Compare ~/Library/LaunchAgents, /Library/LaunchAgents and the login items (sfltool dumpbtm) with what the owner knows.",
    }

    local function judge(name, news)
        local points, words, signs = news.points, news.words, news.signs
        local others, hosts = others_of(name, news.host), fleet:count()
        -- What was there from the beginning may be the owner's: the table has it, and it takes signs to say more.
        if news.kind == "new" or news.first_start > tunables.learn then points = points + 2 end
        if hosts >= tunables.fleet then
            if others == 0 then
                words[#words + 1], signs[#signs + 1] = ("none of %d other hosts calls it"):format(hosts - 1), "rare"
                if news.kind == "repeats" then points = points + 1 end
            elseif others >= 2 then
                return -- a service of the house, or a program that many have
            end
        end
        if points < 2 then return end
        -- Everybody has a menu-bar program that nobody else has: without a second oddity it is a lead. And a new name alone is most days a page that somebody opened.
        local severity = points >= 6 and "high" or points >= 3 and news.points > 0 and "medium" or "low"
        if news.kind == "new" and points == 2 and not news.program and #signs == 0 then severity = "info" end
        local is_lead = news.kind == "new" and points < 3
        local program = news.program and (news.program .. (news.ancestry and " < " .. news.ancestry or "") .. " ") or news.is_mac and "This Mac " or "The host "
        local host = news.is_mac and "this Mac" or "this host"
        local what
        if news.kind == "new" then
            what = ("%scalled %s (%s, port %d) %s after a start, for the first time in %d starts of %s"):format(program, name, news.protocol, news.port,
                figures.duration(news.delay), news.starts, host)
        else
            what = ("%scalled %s (%s, port %d) in %d of %d starts of %s since it was first seen, about %s after each, and %s at other times"):format(program, name,
                news.protocol, news.port, news.in_starts, news.since, host, figures.duration(book.middle(news.delays)), figures.count(news.outside, "time"))
        end
        lunette.alert {
            title = news.kind == "new" and "New name right after login" or "Called at each login and hardly otherwise", severity = severity,
            score = math.min(points + 1, 10), confidence = hosts >= tunables.fleet and 0.5 or 0.3,
            attack = news.kind == "new" and "T1547.015,T1543.001" or "T1543.001,T1547.015,T1037", who = news.host, where = name,
            why = what .. (#words > 0 and ": " .. table.concat(words, "; ") or ""),
            evidence = { since = math.floor(news.begin + news.delay), starts = news.when, start_known_by = news.how, quiet_before = figures.round(news.quiet, 0), delay = figures.round(news.delay, 1),
                delays = series.spark(news.delays), delay_median = figures.round(book.middle(news.delays), 1),
                delay_spread = figures.round(#news.delays > 1 and series.mad(news.delays) or 0, 1), in_starts = news.in_starts, of_starts = news.since,
                at_other_times = news.outside, starts_seen = news.starts, other_hosts = others, fleet = hosts, program = news.program, path = news.path, signs = signs },
            next = NEXT[news.kind],
            -- A new name with nothing else to it may be a page that somebody opened: one a day is enough.
            key = ("%s %s %s"):format(news.kind, news.host, is_lead and "" or name),
            cooldown = is_lead and DAY or tunables.cooldown,
        }
    end

    -- A text is the host that calls the name, and no more; a table is news of it.
    lunette.receive(function(name, news)
        if type(news) == "string" then return learn(name, news) end
        learn(name, news.host)
        judge(name, news)
    end)
end

return book
