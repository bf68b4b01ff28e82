-- Who signed a certificate, and whose names does it carry?
--
-- Up to TLS 1.2 the server's certificate is in clear. That of an Apple name comes from Apple's own CAs, or from one of the few public
-- ones that Apple buys from (data/certificate_issuers.tsv). Any other issuer is somebody who stands between: a company's gateway, a
-- security program, a developer's proxy, or a man in the middle. The first three do it to all names alike, so the same issuer is
-- then seen with others' names: that is how they are told from the last.

local certificates = {}

local NOBODY = {}
local REMEMBERED = 1000

-- The value of one attribute of a name as OpenSSL prints it: "CN=…, O=Apple Inc., C=US". \, stands for a comma in a value.
local function attribute(text, key)
    text = (", " .. text):gsub("\\,", "\0")
    local value = text:match(", " .. key .. "=([^,]*)")
    return value and (value:gsub("%z", ","))
end

function certificates.common_name(subject) return subject and attribute(subject, "CN") end

-- rows: certificate_issuers.tsv.
function certificates.new(rows)
    local object = {}

    local function find_row(issuer)
        local organisation, common = attribute(issuer, "O") or "", attribute(issuer, "CN") or ""
        local text = (organisation .. "\n" .. common):lower()
        for _, row in ipairs(rows) do
            if text:find(row.text, 1, true) and (row.kind ~= "apple" or (organisation:lower() == row.text and common:find("^Apple "))) then
                return row
            end
        end
        return NOBODY
    end

    -- Issuers are few: each is looked for once. Forgotten all at once when there are many, as somebody who makes them up has.
    local found, count = {}, 0

    -- kind (apple, used, public, product, debug) and who; nil for an issuer that is in no list.
    function object.issuer(issuer)
        local row = found[issuer]
        if not row then
            row = find_row(issuer)
            if count >= REMEMBERED then found, count = {}, 0 end
            found[issuer], count = row, count + 1
        end
        return row.kind, row.what
    end

    -- How one calls an issuer: its common name or organisation.
    function object.title(issuer) return attribute(issuer, "CN") or attribute(issuer, "O") or issuer end

    return object
end

-- Counts the names under which an issuer was seen, up to `most`: how many are they with this one? `known` is a lunette.state.
function certificates.count(known, key, name, most)
    local seen = known:get(key) or { count = 0, names = {} }
    if seen.count < most and not seen.names[name] then
        seen.names[name], seen.count = true, seen.count + 1
    end
    known:set(key, seen)
    return seen.count, seen.names
end

return certificates
