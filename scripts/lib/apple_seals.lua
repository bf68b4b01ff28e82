-- The rules about certificates: an Apple name's that Apple's issuers did not sign, and one that carries Apple's name elsewhere.
-- lib/certificates.lua says who signed; here is what follows from it.

local lunette = require "lunette"
local certificates = require "certificates"

-- context: names (apple_names), issuers (rows of certificate_issuers.tsv), signed (a state: "client issuer" → names that a private issuer
-- was seen with), misfit(e, name, what), check_lookalike(e, name, seen_in), opened and cooldown (tunables). Gives check(e, name, row): name and
-- row are nil where the client named nobody, row is nil where the name is not Apple's; e is a tls event with an issuer.
return function(context)
    local names, signed, misfit, check_lookalike = context.names, context.signed, context.misfit, context.check_lookalike
    local issuers = certificates.new(context.issuers)

    -- Somebody opens TLS on the way: said once for each host and issuer.
    local function say_opened(e, name, who, severity, evidence)
        evidence.issuer, evidence.name = e.issuer, name
        lunette.alert {
            severity = severity, confidence = 0.7, attack = "T1557", score = severity == "medium" and 4 or 2,
            title = "TLS is opened on the way", who = e.client_ip, where = issuers.title(e.issuer),
            why = ("The certificate of %s is signed by %s%s"):format(name, who, evidence.names and
                (", and so are those of %d names or more that this host calls"):format(#evidence.names) or ""),
            evidence = evidence,
            next = "A company's gateway or a security program does that, and Apple asks that its names be left out. Is it meant to be there?",
            key = e.client_ip .. " opened " .. issuers.title(e.issuer), cooldown = context.cooldown,
        }
    end

    local function issuer_misfit(e, name, severity, why)
        misfit(e, name, {
            rule = "issuer", severity = severity, confidence = severity == "medium" and 0.7 or 0.4, attack = "T1557,T1036.005",
            title = "Certificate that does not fit an Apple name", why = why,
            evidence = { issuer = e.issuer, subject = e.subject, self_signed = e.self_signed or nil, fingerprint = e.fingerprint,
                version = e.version, program = e.program },
            next = "Did the client go on after the handshake (bytes sent)? Who owns the address, and is the issuer in the Mac's keychain?",
        })
    end

    -- Names of which a certificate speaks: its common name, and the first others if it has few. One with many belongs to a content network.
    local function apple_name_in(e)
        local common = certificates.common_name(e.subject)
        if common and names.apple_row((common:gsub("^%*%.", ""))) then return common end
        local others = e.subject_alt_names
        if not others or #others > 12 then return nil, common end
        for _, name in ipairs(others) do
            if names.apple_row((name:gsub("^%*%.", ""))) then return name end
        end
        return nil, common
    end

    local function check_certificate(e, name, row)
        local kind, who = issuers.issuer(e.issuer)
        local count, seen
        local is_private = kind == nil or (kind == "apple" and e.self_signed) -- nobody's CA that we know
        if is_private then
            count, seen = certificates.count(signed, e.client_ip .. " " .. e.issuer, name or e.server_ip, context.opened)
        end
        if row then
            if (kind == "apple" or kind == "used") and not e.self_signed then return end
            if kind == "product" or kind == "debug" then
                return say_opened(e, name, who, kind == "debug" and "medium" or "low", { product = who })
            end
            if count and count >= context.opened then
                local list = {}
                for other in pairs(seen) do list[#list + 1] = other end
                table.sort(list)
                return say_opened(e, name, issuers.title(e.issuer), "low", { names = list })
            end
            if kind == "public" then
                return issuer_misfit(e, name, "low", ("The certificate of %s is signed by %s, which is not known to sign for Apple"):format(name, who))
            end
            return issuer_misfit(e, name, "medium", ("The certificate of %s is signed by %s, of whom we know nothing"):format(name,
                e.self_signed and "itself" or issuers.title(e.issuer)))
        end
        if e.server_local or names.apple_address(e.server_ip) then return end
        if (kind == "apple" or kind == "used") and not e.self_signed then return end
        local carried, common = apple_name_in(e)
        if carried then
            return misfit(e, name or e.server_ip, {
                rule = "carried", severity = "medium", confidence = 0.7, attack = "T1036.005,T1587.003",
                title = "Certificate with Apple's name on another's server",
                why = ("%s shows a certificate of %s, signed by %s; the client asked for %s"):format(e.server_ip, carried,
                    e.self_signed and "itself" or issuers.title(e.issuer), name or "no name"),
                evidence = { carries = carried, issuer = e.issuer, subject = e.subject, self_signed = e.self_signed or nil,
                    fingerprint = e.fingerprint, ja4 = e.ja4 },
                next = "Somebody made it to pass for Apple: what was sent there, and which program called?",
            })
        end
        if common and not name and common:find("^[%w%-.]+%.%a[%w%-]+$") then check_lookalike(e, common:lower(), "certificate") end
    end

    return check_certificate
end
