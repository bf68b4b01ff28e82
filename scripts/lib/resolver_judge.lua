-- The judgement of resolver_change: is a resolver given, by whom, and if not, how much speaks against it? For the part that gathers, where leases, commands
-- and questions of one host meet.
--
-- Points: what speaks against a resolver is added up, and the words for it make the alert's sentence. The weights are judgements: one thing alone is a lead
-- ("low"), two that fit together are for today, and a change that a command or the answers themselves prove is for now.
local lunette = require "lunette"
local address = require "lunette.address"
local figures = require "figures"
local given_text = require("given").text
local louder = require "louder"

local judge = {}

local ASKED_BY_HAND = { dig = true, nslookup = true, host = true, drill = true, delv = true, kdig = true, q = true }

local NEXT = {
    given = "Compare scutil --dns on the Mac with what DHCP gives. Who set it: a person, a profile, a program? Ask both resolvers for the same names.",
    some = "Which names go there, and what is in /etc/resolver and in scutil --dns? A company's VPN does that; data in names does as well: see dns_tunnel.",
    dhcp = "Find the server by its hardware address. Which hosts took its lease, and whom do they ask for names now?",
    encrypted = "Which program or profile brings this resolver? What a host asks there is not seen by anybody here.",
}

function judge.new(tunables)
    local object = {}

    local function severity_of(points)
        return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
    end

    -- Who gave it: a word for card and report, and true, false or nil (not known). `one` has allowed and configured.
    local function given_by(book, host, resolver, one)
        if one.allowed then return "allowed", true end
        if one.configured then return "settings", true end
        local how = book.gave(host, resolver)
        if one.configured == false and not (one.by_dhcp and (how == "lease" or how == "router")) then return "against the settings", false end
        if how == "lease" then return "DHCP", true end
        if how == "router" then return "the router", true end
        if how == "others" then return "DHCP, to others", true end
        if how == false then return "nobody", false end
        return "not known", nil
    end

    -- In the same network as the host: whoever can answer there is a neighbour.
    local function is_neighbour(lease, host, resolver)
        if not address.is_private(resolver) or address.version(host) ~= 4 or address.version(resolver) ~= 4 then return false end
        local bits = lease and lease.bits or tunables.neighbour_bits
        return address.network(host, bits) == address.network(resolver, bits)
    end

    function object.gather(dhcp_book, network_tools)
        local DAY = 86400
        local book = dhcp_book.new("resolvers")
        local tools = network_tools.memory(lunette.state("tools", { max = 5000, ttl = DAY }), tunables.tool)
        local tunnels = lunette.state("tunnels", { max = 20000, ttl = DAY })
        local serving = lunette.state("serving", { max = 5000, ttl = 30 * DAY })  -- resolver → how many hosts began with it
        local answering = lunette.state("answering", { max = 5000, ttl = 30 * DAY }) -- host of the home networks that answers others' questions → true
        local told = lunette.state("told", { max = 20000, ttl = tunables.cooldown })
        local cards = lunette.state("cards", { max = 20000, ttl = 30 * DAY })     -- host → the latest card message
        local secret = lunette.state("encrypted", { max = 20000, ttl = 30 * DAY }) -- host → list of encrypted resolvers
        local receivers = {}

        local key_of = louder.keys(told)

        local function has_tunnel(one)
            local seen = tunnels:get(one.host)
            return one.tunnel or seen ~= nil and math.abs(one.first - seen) < tunables.tunnel
        end

        -- ------------------------------------------------------------ plain DNS

        local function note_serving(one)
            if one.queries ~= 1 or one.usual then return end
            serving:set(one.resolver, (serving:get(one.resolver) or 0) + 1)
        end

        -- What was before: " instead of 192.168.1.1, which DHCP gave"; and the figure for evidence.
        local function before_text(one, lease)
            if lease and #lease.resolvers > 0 then return table.concat(lease.resolvers, ", ") .. " by DHCP" end
            if one.usual then
                return ("%s, asked %s in %s"):format(one.usual, figures.count(one.usual_queries, "time"),
                    figures.duration(math.max(one.usual_last - one.usual_first, 0)))
            end
            return nil
        end

        local function signs_of(one, known, lease)
            local points, words, attack = 0, {}, "T1557"
            local function add(weight, text)
                points = points + weight
                words[#words + 1] = text
            end
            if one.configured == false then
                add(3, one.set and "the Mac's settings name " .. one.set or "the Mac's settings name other resolvers")
            elseif known == false then
                add(2, "neither DHCP nor any list gave it")
            else
                add(1, "another one was asked before, and nothing is known of who gave this one")
            end
            local switched = one.share >= tunables.took_over and (one.usual ~= nil or known == false)
            -- A resolver in the house that is asked from the first packet on is one that somebody set by hand, most likely.
            if switched and (one.usual ~= nil or one.global) then add(1, "it took over all questions") end
            if one.global and not one.owner then
                add(1, "it is no well-known resolver")
            elseif is_neighbour(lease, one.host, one.resolver) then
                add(1, "it is a neighbour that is not the router")
            end
            if one.port ~= 53 then add(1, ("its port is %d"):format(one.port)) end
            local tool = tools.before(one.host, "dns", one.first, one.resolver)
            if tool then
                add(tool.exact and 3 or 2, ("%s after %s%s"):format(figures.duration(tool.ago), tool.by, tool.exact and " set it" or ""))
                attack = attack .. ",T1016"
            end
            if one.process and one.process ~= "mDNSResponder" and one.class ~= "network" and one.class ~= "vpn" then
                add(1, ("%s asks it, past mDNSResponder"):format(one.program or one.process))
            end
            if one.odd then
                add(one.odd.weight, one.odd.common and ("%d of %d domains are at %s by its answers"):format(one.odd.at_one, one.odd.domains, one.odd.common)
                    or ("%d of %d names have addresses there that are unlike those of another resolver"):format(one.odd.apart, one.odd.compared))
                attack = attack .. ",T1565.002"
            end
            local others = serving:get(one.resolver) or 0
            if others > 2 then add(-1, figures.count(others, "host") .. " here ask it as well") end
            if one.global and not one.owner then attack = attack .. ",T1584.002" end
            return points, words, attack, switched, tool
        end

        local function tell_use(one, known, lease)
            local points, words, attack, switched, tool = signs_of(one, known, lease)
            local some = not switched and one.domains <= tunables.some_domains
            if some and one.apples then return end
            -- A name is soon taken: nobody asks by hand a hundred times.
            local by_hand = one.queries < tunables.queries * 10 and (ASKED_BY_HAND[one.process or ""] or ASKED_BY_HAND[one.program or ""])
            local severity = severity_of(points)
            if has_tunnel(one) then
                severity = points >= tunables.high and "low" or "info" -- a tunnel explains much, but no command that set it, no lies
                words[#words + 1] = "a VPN is up, which may bring it"
            elseif by_hand then
                severity = "info"
                words[#words + 1] = ("%s asked"):format(one.program or one.process)
            end
            local before = before_text(one, lease)
            local title = one.configured == false and "Resolver against the Mac's settings" or some and "Some names are asked of another resolver"
                or known == false and "Resolver that nobody gave" or "Another resolver than before"
            local whose = one.owner and (" (%s)"):format(one.owner) or ""
            lunette.alert {
                title = title, severity = severity, score = math.min(points + 1, 10), confidence = math.min(0.3 + 0.1 * points, 0.9), who = one.host,
                where = one.resolver, attack = some and attack .. ",T1071.004" or attack,
                why = ("%s asked %s%s %s in %s, %d %% of all since then%s%s: %s"):format(one.mac and "this Mac" or one.host, one.resolver, whose,
                    figures.count(one.queries, "question"), figures.duration(one.last - one.first), figures.percent(one.share, 1),
                    before and "; before: " .. before or "", one.program and "; by " .. one.program .. (one.ancestry and " < " .. one.ancestry or "") or "",
                    table.concat(words, "; ")),
                evidence = { questions = one.queries, answered = one.answers, share = figures.round(one.share), since = one.first, before = before, owner = one.owner,
                    domains = one.domains, example = one.example, port = one.port, program = one.program, points = points, settings = one.set, lease = lease and lease.resolvers,
                    usual = one.usual, usual_asked = one.usual_last, tool = tool and tool.by, seconds_after_tool = tool and figures.round(tool.ago),
                    common_address = one.odd and one.odd.common, differs = one.odd and one.odd.example },
                next = some and NEXT.some or NEXT.given, key = key_of(("%s %s"):format(one.host, one.resolver), severity), cooldown = tunables.cooldown,
            }
        end

        -- The settings name an encrypted resolver for everything, and names are asked in clear all the same.
        local function tell_clear(one)
            lunette.alert {
                title = "DNS in clear though the settings encrypt it", severity = "low", score = 3, confidence = 0.4, who = one.host, where = one.resolver, attack = "T1562,T1557",
                why = ("the Mac's settings name %s for all its questions, but %s got %s in clear in %s"):format(one.encrypted, one.resolver,
                    figures.count(one.queries, "question"), figures.duration(one.last - one.first)),
                evidence = { questions = one.queries, resolver = one.resolver, set = one.encrypted, domains = one.domains, program = one.program }, next = NEXT.given,
                key = "clear " .. one.host, cooldown = tunables.cooldown,
            }
        end

        function receivers.use(one)
            note_serving(one)
            if one.queries < tunables.queries or not one.judged then return end
            local _, known = given_by(book, one.host, one.resolver, one)
            if one.encrypted and one.domains > tunables.some_domains and not has_tunnel(one) then tell_clear(one) end
            if known then return end
            if answering:get(one.host) then return end -- it is a resolver itself, and asks for others
            local lease = book.lease(one.host)
            if known == nil then
                if address.is_link_local(one.host) then return end -- the same in each network: nothing is known of which one this is
                local learnt = one.usual and one.usual_queries >= tunables.learn_queries and one.first - one.usual_first >= tunables.learn_hours * 3600
                if not learnt then return end
                if lease and lease.time > one.usual_last then return end -- another network: what was before is of no account
            end
            tell_use(one, known, lease)
        end

        function receivers.serves(one) answering:set(one.resolver, true) end

        -- ------------------------------------------------------------ DHCP

        function receivers.lease(reply)
            local found = book.add(reply)
            if not found then return end
            if found.kind == "second" then
                local outside = false
                for resolver in found.said:gmatch("[^, ]+") do outside = outside or address.is_global(resolver) end
                if found.said == "" then return end
                lunette.alert {
                    title = "A second DHCP server gives another resolver", severity = outside and "high" or "medium", score = outside and 8 or 6, confidence = 0.7,
                    who = found.host, where = found.server, attack = "T1557.003,T1557",
                    why = ("in %s %s gives %s as resolver, and %s gives %s: %s"):format(found.network, found.server, found.said, found.other,
                        found.other_said ~= "" and found.other_said or "none", found.how),
                    evidence = { server = found.server, resolvers = found.said, other_server = found.other, other_resolvers = found.other_said, router = found.router,
                        network = found.network, how = found.how },
                    next = NEXT.dhcp, key = "dhcp " .. found.network .. " " .. found.server, cooldown = tunables.cooldown,
                }
            elseif found.said ~= "" then
                lunette.alert {
                    title = "DHCP gives another resolver than before", severity = "info", score = 1, confidence = 0.3, who = found.host, where = found.server,
                    attack = "T1557.003",
                    why = ("%s gave %s before, and now %s"):format(found.server, found.other_said ~= "" and found.other_said or "none", found.said),
                    evidence = { server = found.server, before = found.other_said, now = found.said, network = found.network },
                    next = "Did whoever runs the network change that? A router with a changed resolver leads all its hosts elsewhere.",
                    key = "dhcp now " .. found.network .. " " .. found.server, cooldown = tunables.cooldown,
                }
            end
        end

        function receivers.tool(one)
            if one.kind == "dns" or one.kind == "any" then tools.add(one.host, one.kind, one.values, one.by, one.time) end
        end

        function receivers.vpn(one) tunnels:set(one.host, one.time) end

        -- ------------------------------------------------------------ encrypted DNS

        -- A program that spreads its questions over a list of resolvers, as dnscrypt-proxy does: said once.
        local function tell_many(one, list)
            if list.count > tunables.many + 1 then return end
            lunette.alert {
                title = "Many encrypted resolvers", severity = "low", score = 3, confidence = 0.5, who = one.host, where = one.resolver, attack = "T1071.004,T1572",
                why = ("%s calls more than %d resolvers over HTTPS, TLS or QUIC, the last one %s"):format(one.host, tunables.many, one.resolver),
                evidence = { resolvers = list.count, last = one.resolver, kind = one.kind, program = one.program }, next = NEXT.encrypted,
                key = "many " .. one.host, cooldown = tunables.cooldown,
            }
        end

        function receivers.encrypted(one)
            local list = secret:get(one.host) or { count = 0 }
            local again = false
            for i = 1, #list do again = again or list[i].resolver == one.resolver end
            if not again and one.provider ~= "Apple" then list.count = list.count + 1 end
            if not again and #list < 8 then list[#list + 1] = { resolver = one.resolver, kind = one.kind, time = one.time, program = one.program, given = one.configured } end
            secret:set(one.host, list)
            -- Apple's own is Private Relay's and the system's; whether it is Apple's is apple_allowlist's to see.
            if one.allowed or one.configured or one.provider == "Apple" or not one.judged or address.is_loopback(one.server) then return end
            if list.count > tunables.many then return tell_many(one, list) end
            local plain = book.gave(one.host, one.server)
            if plain and plain ~= "others" or one.upgrade and plain then return end -- the given resolver itself, in a better coat

            local points, words = 0, {}
            local function add(weight, text)
                points = points + weight
                words[#words + 1] = text
            end
            if one.configured == false then add(1, "the Mac's settings do not name it") end
            if one.program then
                add(one.points, one.class == "browser" and "browsers bring their own" or ("%s does not use the system's"):format(one.program))
            elseif one.kind ~= "doh" then
                add(1, "no program is known")
            end
            if one.literal then add(one.kind == "doh" and 2 or 1, "it is called by address, without a name") end
            if not one.provider and one.kind ~= "doh" then add(1, "it is no well-known resolver") end
            if one.kind == "doq" then add(1, "no part of macOS speaks it by itself") end
            local severity = one.class == "browser" and "info" or severity_of(points)
            if one.tunnel then severity = "info" end
            lunette.alert {
                title = "Encrypted DNS past the given resolver", severity = severity, score = math.min(points, 10), confidence = 0.4, who = one.host, where = one.resolver,
                attack = one.class == "browser" and "T1071.004" or "T1071.004,T1572",
                why = ("%s%s to %s%s%s%s"):format(one.words, one.program and " of " .. one.program .. (one.ancestry and " < " .. one.ancestry or "") or "", one.resolver,
                    one.provider and one.provider ~= one.resolver and " (" .. one.provider .. ")" or "", #words > 0 and ": " or "", table.concat(words, "; ")),
                evidence = { kind = one.kind, resolver = one.resolver, server = one.server, port = one.port, provider = one.provider, how = one.how, program = one.program,
                    class = one.class, points = points },
                next = NEXT.encrypted, key = key_of(("encrypted %s %s"):format(one.host, one.resolver), severity), cooldown = tunables.cooldown,
            }
        end

        -- ------------------------------------------------------------ cards and report

        local function by_queries(a, b)
            if a.queries ~= b.queries then return a.queries > b.queries end
            return a.resolver < b.resolver
        end

        local function lines_of(card)
            local lines, rows = {}, {}
            table.sort(card.rows, by_queries)
            for i, one in ipairs(card.rows) do
                local given = given_by(book, card.host, one.resolver, one)
                rows[i] = { card.host, one.resolver .. (one.owner and " (" .. one.owner .. ")" or ""), os.date("!%Y-%m-%d %H:%M", one.first), tostring(one.queries),
                    figures.percent(one.queries, card.queries) .. " %", tostring(one.answers), given }
                if i <= 4 then
                    lines[i] = ("%s%s: %s, %d %%, %s"):format(one.resolver, one.owner and " (" .. one.owner .. ")" or "",
                        figures.count(one.queries, "question"), figures.percent(one.queries, card.queries), given_text(given))
                end
            end
            if #card.rows > 4 then lines[#lines + 1] = ("%d more"):format(#card.rows - 4) end
            return lines, rows
        end

        local function secret_lines(host, lines, rows)
            for _, one in ipairs(secret:get(host) or {}) do
                if #lines < 8 then
                    lines[#lines + 1] = ("%s by %s%s"):format(one.resolver, one.kind == "doh" and "HTTPS" or one.kind == "dot" and "TLS" or "QUIC",
                        one.program and ", " .. one.program or "")
                end
                if rows then
                    rows[#rows + 1] = { host, one.resolver .. ", " .. one.kind, os.date("!%Y-%m-%d %H:%M", one.time), "", "", "",
                        one.given and "settings" or one.program or "not known" }
                end
            end
        end

        function receivers.card(card)
            cards:set(card.host, card)
            local lines = lines_of(card)
            secret_lines(card.host, lines)
            lunette.fact(card.host, "resolvers", lines, { questions = card.queries, resolvers = #card.rows })
        end

        lunette.receive(function(what, message) receivers[what](message) end)

        lunette.on_end(function()
            local list, rows, more = {}, {}, 0
            for _, card in cards:each() do list[#list + 1] = card end
            for host in secret:each() do
                if not cards:get(host) then
                    list[#list + 1] = { host = host, queries = 0, rows = {} }
                    local lines = {}
                    secret_lines(host, lines)
                    lunette.fact(host, "resolvers", lines)
                end
            end
            table.sort(list, function(a, b) return a.host < b.host end)
            for _, card in ipairs(list) do
                local _, own = lines_of(card)
                secret_lines(card.host, {}, own)
                for _, row in ipairs(own) do
                    if #rows < tunables.rows then rows[#rows + 1] = row else more = more + 1 end
                end
            end
            if #rows == 0 then return end
            lunette.report { title = "Resolvers", columns = { "host", "resolver", "since", ">questions", ">share", ">answers", "given by" }, rows = rows,
                note = more > 0 and figures.count(more, "row") .. " more" or nil }
        end)
    end

    return object
end

return judge
