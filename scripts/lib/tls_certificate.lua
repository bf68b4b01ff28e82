-- What is odd about a server's certificate, as far as a handshake up to TLS 1.2 shows it.
--
-- Nothing here is proof: who runs a server of one's own signs it oneself, and forgets that it expires. Each oddity is a sign with points,
-- given to `add(sign, points, words)`. What a public CA must do (CA/Browser Forum, Baseline Requirements, section 7.1.2: a country and an organisation in the
-- issuer's name) tells its certificates from private ones without a list of all CAs. Dates are worth one point in all.

local lunette = require "lunette"
local figures = require "figures"
local remember = require "remember"

local certificate = {}

local DAY = 86400
local REMEMBERED, FEW = 2000, 200

-- rows: c2_certificates.tsv. Gives known(e) → row of the first that fits subject, issuer or serial; nil if none does.
function certificate.known(rows)
    local names, serials = {}, {}
    for _, row in ipairs(rows) do
        if row.field == "serial" then serials[row.text] = row else names[#names + 1] = row end
    end
    -- Attributes stand between commas: "O=Mythic" is not in "O=Mythical".
    local function find_row(subject, issuer)
        local text = ", " .. subject .. ", , " .. issuer .. ","
        for i = 1, #names do
            if text:find(", " .. names[i].text .. ",", 1, true) then return names[i] end
        end
        return false
    end
    -- Certificates come again and again: each pair of names is looked for once.
    local found, count = {}, 0 -- by subject, then by issuer
    return function(e)
        local subject, issuer = e.subject or "", e.issuer or ""
        local rows_of = found[subject]
        local row = rows_of and rows_of[issuer]
        if row == nil then
            row = find_row(subject, issuer)
            if count >= REMEMBERED then found, count, rows_of = {}, 0, nil end
            rows_of = rows_of or {}
            found[subject], rows_of[issuer], count = rows_of, row, count + 1
        end
        return row or serials[e.serial or ""]
    end
end

-- Does a name of a certificate (*.example.com) stand for the name that was called?
local function covers(pattern, name)
    pattern = pattern:lower()
    if pattern == name then return true end
    if pattern:sub(1, 2) ~= "*." then return false end
    local dot = name:find(".", 1, true)
    return dot ~= nil and name:sub(dot) == pattern:sub(2)
end

local common_name = remember(function(subject) return (", " .. subject):match(", CN=([^,]*)") or false end, REMEMBERED)

-- The other names of a certificate, which may be a hundred: read once of each.
local names_of, names_count = {}, 0
local function other_names(e)
    local fingerprint = e.fingerprint
    if not fingerprint then return e.subject_alt_names end
    local list = names_of[fingerprint]
    if not list then
        list = e.subject_alt_names or {}
        if names_count >= FEW then names_of, names_count = {}, 0 end
        names_of[fingerprint], names_count = list, names_count + 1
    end
    return list
end

local function is_for(e, name)
    local common = common_name(e.subject or "")
    if common and covers(common, name) then return true end
    local others = other_names(e)
    for i = 1, others and #others or 0 do
        if covers(others[i], name) then return true end
    end
    return false
end

-- options: fresh_days, long_days. e: a tls event with an issuer; name: what was called, nil if nothing was named.
function certificate.signs(e, name, options, add)
    if e.self_signed then
        add("self-signed", 2, "the certificate is signed by itself")
    elseif not (e.issuer:find(", O=", 1, true) or e.issuer:sub(1, 2) == "O=") then
        add("issuer", 1, "its issuer has no organisation, so it is no public CA")
    end
    if name and not lunette.is_address(name) and not is_for(e, name) then add("mismatch", 1, "the certificate is for another name") end
    local from, to, now = e.not_before, e.not_after, e.time
    if from == 0 or to == 0 then return end
    if to < now then
        add("expired", 1, ("it expired %s ago"):format(figures.duration(now - to)))
    elseif from > now then
        add("early", 1, ("it is not valid before %s from then"):format(figures.duration(from - now)))
    elseif to - from > options.long_days * DAY then
        add("long", 1, ("it is good for %d years"):format((to - from) / DAY / 365))
    end
end

-- Seconds since it was issued, if that is less than so many days; a sign only beside others, since good ones are renewed all the time.
function certificate.fresh(e, days)
    local from = e.not_before
    if from == 0 then return nil end
    local age = e.time - from
    return age >= 0 and age < days * DAY and age or nil
end

return certificate
