-- The judgement of proxy_change: how much speaks against a proxy, or against the script that names one? For the part that gathers, where leases, commands,
-- scripts and connections of one host meet.
--
-- Points are added up as resolver_change's are: that a proxy appeared weighs most, for few networks bring one in unannounced; where it is and what came
-- before it decide the rest. A proxy of which nothing is known but that it is in use has only its place and its port to be judged by.
local lunette = require "lunette"
local address = require "lunette.address"
local figures = require "figures"
local given_text = require("given").text
local louder = require "louder"

local judge = {}

local DAY = 86400
local KINDS = { http = "HTTP", socks4 = "SOCKS 4", socks5 = "SOCKS 5" }

local NEXT = {
    proxy = "Look at scutil --proxy and the profiles of the Mac, and at who listens at that address. Who set it, and what went through?",
    script = "Fetch the script and read it: where does it send what? Who serves it, and what made the Mac ask there?",
    dhcp = "Find the server by its hardware address. Which hosts took its lease?",
    authority = "Is it the company's gateway, a security program, a developer's proxy? Then add it to certificate_issuers.tsv. If nobody knows it: which host put it into its key chain, and when?",
}

-- The host of a URL, or nil.
local function host_of(url)
    local host = url:match("^%a[%w+.-]*://([^/?#]*)")
    if not host then return nil end
    host = host:match("^.*@(.*)$") or host
    return host:match("^%[(.-)%]") or host:match("^([^:]*)")
end

function judge.new(tunables)
    local object = {}

    local function severity_of(points)
        return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
    end

    function object.gather(dhcp_book, network_tools)
        local book = dhcp_book.new("pac")
        local tools = network_tools.memory(lunette.state("tools", { max = 5000, ttl = DAY }), tunables.tool)
        local scripts = lunette.state("scripts", { max = 20000, ttl = 90 * DAY })  -- host → { name, url, time, outside }
        local users = lunette.state("users", { max = 5000, ttl = 30 * DAY })       -- proxy → how many hosts
        local told = lunette.state("told", { max = 20000, ttl = tunables.cooldown })
        local cards = lunette.state("cards", { max = 20000, ttl = 90 * DAY })
        local receivers = {}

        local key_of = louder.keys(told)

        -- ------------------------------------------------------------ proxies in use

        -- What was before: words, points; nil if too little is known.
        local function before_of(one)
            local learnt = tunables.learn_hours * 3600
            if one.usual and one.usual_requests >= tunables.learn_flows and one.first - one.usual_first >= learnt then
                return ("%s, %s in %s"):format(one.usual, figures.count(one.usual_requests, "request"), figures.duration(one.usual_last - one.usual_first)), 2,
                    "another proxy was used before"
            end
            if one.direct >= tunables.learn_flows and one.first - one.direct_first >= learnt then
                return ("direct, %s in %s"):format(figures.count(one.direct, "connection"), figures.duration(one.first - one.direct_first)), 3, "the host went direct before"
            end
        end

        local function signs_of(one)
            local points, words, attack = 0, {}, "T1090"
            local function add(weight, text)
                points = points + weight
                words[#words + 1] = text
            end
            local before, weight, text = before_of(one)
            if before then add(weight, text) end
            if one.configured == false then add(3, "the Mac's settings name no such proxy") end
            if one.global then
                add(2, "its address is a public one")
            elseif one.loopback then
                add(1, "it is on the Mac itself")
            elseif one.near then
                add(1, "it is a neighbour")
            end
            if one.odd_port then add(1, ("port %d is none of a proxy's"):format(one.port)) end
            local tool = tools.before(one.host, "proxy", one.first, one.server)
            if tool then
                add(tool.developer and one.loopback and 1 or tool.exact and 3 or 2, ("%s after %s%s"):format(figures.duration(tool.ago), tool.by, tool.exact and " set it" or ""))
                attack = attack .. ",T1557,T1562"
            end
            local script = scripts:get(one.host)
            if script and script.outside and one.first - script.time < tunables.script and one.first >= script.time then
                add(2, ("%s after a script from %s"):format(figures.duration(one.first - script.time), script.name))
                attack = attack .. (tool and "" or ",T1557")
            end
            if script and script.given and not script.outside then add(-2, ("the script that is set, at %s, may name it"):format(script.name)) end
            local others = (users:get(one.proxy) or 1) - 1
            if others >= 3 then add(-2, figures.count(others, "other host") .. " use it as well") end
            if one.odd_port then attack = attack .. ",T1571" end
            return points, words, attack, before, tool
        end

        function receivers.use(one)
            if one.requests == tunables.requests then users:set(one.proxy, (users:get(one.proxy) or 0) + 1) end
            if one.allowed or one.configured or not one.judged then return end
            local points, words, attack, before, tool = signs_of(one)
            if points < tunables.low then return end
            local severity = severity_of(points)
            lunette.alert {
                title = one.configured == false and "Proxy against the Mac's settings" or before and "Proxy that was not there before" or "Odd proxy in use",
                severity = severity, score = math.min(points + 1, 10), confidence = math.min(0.3 + 0.1 * points, 0.9), who = one.host, where = one.proxy, attack = attack,
                why = ("%s%s uses the %s proxy %s, %s so far%s: %s"):format(one.program and one.program .. (one.ancestry and " < " .. one.ancestry or "") .. " of " or "",
                    one.mac and "this Mac" or one.host, KINDS[one.kind], one.proxy, figures.count(one.requests, "request"), before and "; before: " .. before or "",
                    table.concat(words, "; ")),
                evidence = { proxy = one.proxy, kind = one.kind, since = one.first, requests = one.requests, refused = one.refused, target = one.target, before = before,
                    direct_connections = one.direct, program = one.program, points = points, tool = tool and tool.by, seconds_after_tool = tool and figures.round(tool.ago),
                    configured = one.configured },
                next = NEXT.proxy, key = key_of(one.host .. " " .. one.proxy, severity), cooldown = tunables.cooldown,
            }
        end

        -- ------------------------------------------------------------ scripts

        local function tell_script(one, title, points, why, evidence, attack)
            local severity = severity_of(points)
            lunette.alert {
                title = title, severity = severity, score = math.min(points + 1, 10), confidence = 0.6, who = one.host, where = one.name, attack = attack or "T1557,T1565.002",
                why = why, evidence = evidence, next = NEXT.script, key = key_of(one.host .. " " .. title .. " " .. one.name, severity), cooldown = tunables.cooldown,
            }
        end

        function receivers.script(one)
            local url = one.name .. (one.url or "")
            local fetched = one.status >= 200 and one.status < 300
            local before = scripts:get(one.host)
            local given = one.configured or book.gave_url(("http://%s"):format(url))
            if fetched then
                scripts:set(one.host, { name = one.name, url = url, time = one.time, outside = one.outside, given = given, first = before and before.first or one.time })
            end
            if one.allowed or not one.judged then return end
            local evidence = { url = url, server = one.server, port = one.port, status = one.status, bytes = one.length, agent = one.agent, program = one.program,
                given = given or nil, before = before and before.url }
            local what = one.kind == "wpad_http" and "wpad.dat" or "a proxy script"
            local who = one.program and one.program .. (one.ancestry and " < " .. one.ancestry or "") .. " of " or ""
            local mac = one.mac and "this Mac" or one.host
            if one.outside then
                local points = not fetched and 2 or one.kind == "wpad_http" and 6 or 4
                if given then points = points - 2 end
                return tell_script(one, fetched and "Proxy script from outside, in clear" or "Proxy script asked for outside", points,
                    ("%s%s %s %s from %s (%s), in clear: who answers leads its traffic%s"):format(who, mac, fetched and "fetched" or "asked for", what, one.name, one.server,
                        given and "; it is the one that is set" or ""), evidence)
            end
            if fetched and before and before.url ~= url and not given and one.time - before.first > tunables.learn_hours * 3600 then
                tell_script(one, "Another proxy script than before", 2, ("%s%s fetched %s from %s, and before %s"):format(who, mac, what, url, before.url), evidence)
            end
        end

        function receivers.wpad(one)
            if one.allowed or not one.judged or not one.outside then return end
            tell_script(one, "The name wpad leads outside", one.collision and 5 or 4,
                ("%s says that %s is at %s%s"):format(one.resolver, one.name, one.addresses[1],
                    one.collision and ", a name that anybody can register below a public suffix" or ""),
                { name = one.name, addresses = one.addresses, resolver = one.resolver, collision = one.collision })
        end

        -- ------------------------------------------------------------ DHCP, tools

        function receivers.lease(reply)
            local found = book.add(reply)
            if not found or found.said == "" then return end
            local host = host_of(found.said)
            local outside = host ~= nil and address.is_global(host)
            local points = found.kind == "second" and (outside and 7 or 5) or outside and 4 or 2
            lunette.alert {
                title = found.kind == "second" and "A second DHCP server names a proxy script" or "DHCP names another proxy script than before",
                severity = severity_of(points), score = points, confidence = found.kind == "second" and 0.7 or 0.4, who = found.host, where = found.server,
                attack = "T1557.003,T1557",
                why = found.kind == "second"
                    and ("in %s %s names %s, and %s names %s: %s"):format(found.network, found.server, found.said, found.other,
                        found.other_said ~= "" and found.other_said or "none", found.how)
                    or ("%s named %s before, and now %s"):format(found.server, found.other_said ~= "" and found.other_said or "none", found.said),
                evidence = { server = found.server, script = found.said, other_server = found.other, other_script = found.other_said, network = found.network, how = found.how },
                next = NEXT.dhcp, key = "dhcp " .. found.kind .. " " .. found.network .. " " .. found.server, cooldown = tunables.cooldown,
            }
        end

        function receivers.tool(one)
            if one.kind == "proxy" or one.kind == "any" then tools.add(one.host, one.kind, one.values, one.by, one.time, one.developer) end
        end

        -- ------------------------------------------------------------ TLS that is opened

        function receivers.authority(one)
            local points = one.kind == "product" and 1 or one.kind == "debug" and 2 or one.proxy and 6 or 4
            lunette.alert {
                title = one.kind and "TLS is opened by a known product" or "One unknown authority signs for many names", severity = severity_of(points), score = points + 1,
                confidence = 0.6, who = one.host, where = one.proxy or one.issuer, attack = "T1557,T1565.002",
                why = ("%s, %s, signs for %s and others: %d %% of the certificates since it came%s"):format(one.issuer, one.what or "which no list has",
                    table.concat(one.names, ", ", 1, math.min(3, #one.names)), figures.percent(one.share, 1), one.proxy and "; by the proxy " .. one.proxy or ""),
                evidence = { issuer = one.issuer, product = one.what, names = one.names, share = figures.round(one.share), proxy = one.proxy }, next = NEXT.authority,
                key = one.host .. " authority " .. one.issuer, cooldown = tunables.cooldown,
            }
        end

        -- ------------------------------------------------------------ cards and report

        local function by_requests(a, b)
            if a.requests ~= b.requests then return a.requests > b.requests end
            return a.proxy < b.proxy
        end

        local function given_by(host, one)
            if one.allowed then return "allowed" end
            if one.configured then return "settings" end
            if one.configured == false then return "against the settings" end
            local script = scripts:get(host)
            if script then return "perhaps the script at " .. script.name end
            return "not known"
        end

        local function lines_of(card)
            local lines, rows, all = {}, {}, card.direct_bytes
            table.sort(card.rows, by_requests)
            for _, one in ipairs(card.rows) do all = all + one.bytes end
            for i, one in ipairs(card.rows) do
                local given, share = given_by(card.host, one), figures.percent(one.bytes, all) .. " %"
                local since = os.date("!%Y-%m-%d %H:%M", one.first)
                rows[i] = { card.host, one.proxy, KINDS[one.kind], since, tostring(one.requests), tostring(one.refused), figures.bytes(one.bytes), share, given }
                if i <= 4 then
                    lines[i] = ("%s (%s) since %s: %s, %s, %s of the bytes, %s"):format(one.proxy, KINDS[one.kind], since, figures.count(one.requests, "request"),
                        figures.bytes(one.bytes), share, given_text(given))
                end
            end
            local script = scripts:get(card.host)
            if script then lines[#lines + 1] = "script: " .. script.url end
            return lines, rows
        end

        function receivers.card(card)
            cards:set(card.host, card)
            local lines = lines_of(card)
            lunette.fact(card.host, "proxies", lines, { proxies = #card.rows, direct = card.direct })
        end

        lunette.receive(function(what, message) receivers[what](message) end)

        lunette.on_end(function()
            local list, rows, more = {}, {}, 0
            for _, card in cards:each() do list[#list + 1] = card end
            for host, script in scripts:each() do
                if not cards:get(host) then lunette.fact(host, "proxies", "script: " .. script.url) end
            end
            table.sort(list, function(a, b) return a.host < b.host end)
            for _, card in ipairs(list) do
                local _, own = lines_of(card)
                for _, row in ipairs(own) do
                    if #rows < tunables.rows then rows[#rows + 1] = row else more = more + 1 end
                end
            end
            if #rows == 0 then return end
            lunette.report { title = "Proxies by host", columns = { "host", "proxy", "kind", "since", ">requests", ">refused", ">bytes", ">share", "given by" }, rows = rows,
                note = more > 0 and figures.count(more, "row") .. " more" or nil }
        end)
    end

    return object
end

return judge
