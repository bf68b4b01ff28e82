-- The rules about DNS answers for Apple's names: an address that does not fit, and a resolver that is asked for them alone.

local lunette = require "lunette"
local address_of = require "lunette.address"

local function family(address) return address:find(":", 1, true) and "6" or "4" end

-- context: names (apple_names), dns (dns_memory), portals (a state: "client address" → true), misfit(e, name, what), may_be_mac(address),
-- apart, dns_answers, dns_hidden and cooldown (tunables). Gives answer(e, name, row, list) and resolver(e, name), for dns events.
return function(context)
    local names, dns, portals, misfit = context.names, context.dns, context.portals, context.misfit
    local object = {}

    local function is_private(address) return address_of.is_private(address) or address_of.is_link_local(address) end

    -- An answer for an Apple name whose first address is neither Apple's nor a content network's.
    function object.answer(e, name, row, list)
        for _, address in ipairs(list) do
            if names.apple_address(address) or names.shared_address(address) then return end
        end
        if is_private(list[1]) then
            local portal = row.category == "connectivity-check" and name ~= "www.apple.com"
            if portal then portals:set(e.client_ip .. " " .. list[1], true) end
            if not portal and portals:get(e.client_ip .. " " .. list[1]) then return end
            return misfit(e, name, {
                rule = "private", severity = portal and "info" or "low", confidence = 0.5, attack = "T1557", score = portal and 0 or 3,
                title = portal and "Captive portal answers for Apple" or "Apple name at a private address",
                why = ("%s gives %s for %s"):format(e.server_ip, list[1], name),
                evidence = { over = "DNS", addresses = list, category = row.category },
                next = portal and "A network that wants a login answers so until it has one. Does it go on afterwards?"
                    or "A blocking resolver, a captive portal or a lab does that. If none is meant to be there: who runs the resolver?",
            })
        end
        local chain = e.cname
        if chain and names.known_link(chain) then return end
        local own_row = row.category ~= "apple-any"
        misfit(e, name, {
            rule = "answer", severity = own_row and "medium" or "low", confidence = own_row and 0.6 or 0.4, attack = "T1557,T1565.002",
            title = "DNS answer for an Apple name that does not fit",
            why = ("%s gives %s for %s: in none of Apple's blocks, in no content network that we know, and no chain of names leads there"):format(
                e.server_ip, list[1], name),
            evidence = { addresses = list, chain = chain and #chain > 0 and chain or nil, ttl = e.ttl, resolver = e.server_ip, category = row.category },
            next = "Ask another resolver for the name. Who runs this one: DHCP, a profile, or somebody who changed the settings?",
        })
    end

    function object.resolver(e, name)
        local count, usual, all, last = dns.apart(e.client_ip, e.server_ip)
        if dns.is_hidden(e.client_ip, lunette.now(), context.dns_hidden) then return end -- most of what is asked is not seen
        if not count or count < context.apart or all < context.dns_answers or lunette.now() - last > 300 then return end
        if family(usual) ~= family(e.server_ip) or not context.may_be_mac(e.client_ip) then return end
        lunette.alert {
            severity = "low", confidence = 0.5, attack = "T1557,T1565.002", score = 4,
            title = "Apple's names are asked of another resolver", who = e.client_ip, where = e.server_ip,
            why = ("%d answers for Apple's names and no others came from %s; %s answered all else, %d times"):format(count, e.server_ip, usual, all),
            evidence = { name = name, answers = count, usual = usual, usual_answers = all },
            next = "Look into /etc/resolver and at scutil --dns: what sends a domain to a resolver of its own? Compare the answers.",
            key = e.client_ip .. " apart " .. e.server_ip, cooldown = context.cooldown,
        }
    end

    return object
end
