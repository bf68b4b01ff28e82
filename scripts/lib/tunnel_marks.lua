-- Marks of known tools in the names that they ask for. A mark is what the tool's protocol writes into each name of a kind, so it stays
-- whatever domain and password are chosen; somebody who rebuilds the tool can take it away, and then the general rules are left.
--
--   iodine     doc/proto_00000502.txt of iodine: the version request is `v` and base32 of 00 00 05 0x with a counter (vaaaaka and four more),
--              the test of the way up begins with `zi` and one of four fixed texts, a ping is `p` and seven of base32, in questions of type NULL or PRIVATE
--   dnscat2    doc/protocol.md of dnscat2: all hexadecimal, dots left out; two bytes of packet id, a type (0 SYN, 1 MSG, 2 FIN, 3 the key exchange of
--              later versions, ff ping), two bytes of session that stay the same; before it `dnscat.` if there is no domain
--   dns2tcp    labels `=auth`, `=connect`, `=resource` (client/includes of dns2tcp); its data has no mark
--   cobalt     Cobalt Strike's DNS beacon with its default prefixes: `aaa.stage.`, `baa.stage.` … fetch the stage; `post.1…` sends; a counter and the beacon's id in
--              hexadecimal stand behind `api.`, `cdn.`, `www6.`, `www.`, `post.` (SigmaHQ rules/network/dns, net_dns_mal_cobaltstrike; ATT&CK S0154)
--   packed     a label that begins as a packed file does in base64, base32 or hexadecimal (gzip 1f8b08, zip 504b0304), 30 characters or longer
--
-- Names come in lower case, bytes that are no letters as \DDD. Nearly all have no mark, and patterns are what costs here (LuaJIT does not compile them): so each
-- is asked only if single bytes say that it may fit.

local marks = {}

local BASE32 = "[a-z0-5]"
local PING = "^p" .. BASE32:rep(7) .. "%."
local VERSION = "^vaaaaka" .. BASE32:rep(4) .. "%."
local IODINE_TESTS = { "aaahhh-drink-mal-ein-j", "a-la-fl\\", "aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz" }
local DNS2TCP = { "=auth.", "=connect.", "=resource." }
local PACKED = { h4si = "gzip in base64", d6fq = "gzip in base32", ["1f8b08"] = "gzip in hexadecimal", uesdb = "zip in base64", ["504b0304"] = "zip in hexadecimal" }
local PACKED_LEAST = 30
local COBALT = { api = true, cdn = true, www6 = true, www = true, post = true }

local CAT_TYPES = { ["00"] = true, ["01"] = true, ["02"] = true, ["03"] = true, ["ff"] = true }
local CAT_LEAST = 14 -- digits: FIN with an empty reason has six bytes, all others more

-- Are `count` bytes from `first` on all hexadecimal digits, or dots where these may be?
local function is_hex(name, first, count, dots)
    for i = first, first + count - 1 do
        local byte = name:byte(i)
        if not byte then return false end
        if not (byte >= 48 and byte <= 57 or byte >= 97 and byte <= 102 or dots and byte == 46) then return false end
    end
    return true
end

local function iodine(name)
    local head = name:byte(1)
    if head == 118 then return name:find(VERSION) and "handshake" or nil end -- v
    if head == 112 then return name:find(PING) and "ping" or nil end -- p
    if head ~= 122 or name:byte(2) ~= 105 then return nil end -- zi
    for i = 1, #IODINE_TESTS do
        if name:find(IODINE_TESTS[i], 1, true) then return "handshake" end
    end
end

local function dns2tcp(name)
    if not name:find("=", 1, true) then return nil end
    for i = 1, #DNS2TCP do
        if name:find(DNS2TCP[i], 1, true) then return DNS2TCP[i]:sub(2, -2) end
    end
end

-- Session and packet id in the hexadecimal digits at the head of a name, and what stands behind them.
local function dnscat(name)
    if name:byte(2) ~= 110 and not is_hex(name, 1, 8, true) then return nil end -- n, of dnscat; 14 digits and dots among them
    local digits, rest
    if name:sub(1, 7) == "dnscat." then
        digits, rest = name:sub(8):gsub("%.", ""), ""
        if digits:find("%X") then return nil end
    else
        local at = name:find("[^%x%.]")
        if not at then return nil end
        local behind = name:sub(1, at):match("^.*()%.") -- the digits end with the last label that is all of them
        if not behind then return nil end
        digits, rest = name:sub(1, behind - 1):gsub("%.", ""), name:sub(behind + 1)
    end
    if #digits < CAT_LEAST or #digits % 2 == 1 or not CAT_TYPES[digits:sub(5, 6)] then return nil end
    return tonumber(digits:sub(7, 10), 16), tonumber(digits:sub(1, 4), 16), rest
end

local function cobalt(name)
    local dot = name:find(".", 1, true)
    if not dot or dot < 4 or dot > 5 then return nil end
    if not is_hex(name, dot + 1, 2, true) and not (dot == 4 and name:byte(5) == 115) then return nil end -- s, of stage
    local stage, id = name:match("^(%l%l%l)%.stage%.(%x+)%.")
    if stage then return "stage", tonumber(id:sub(-8), 16), stage end
    local head, rest = name:match("^(%w+)%.(.+)$")
    if not head or not COBALT[head] then return nil end
    if head == "post" then -- post.140.09842910.19997cf2.: a count and data, the counter, the beacon's id; the domain is what is not hexadecimal
        local digits = rest:match("^([1-4]%x[%x%.]*)%.%w*[^%x%.]")
        local beacon = digits and digits:match("%.(%x%x%x%x%x%x+)$")
        if beacon then return "post", tonumber(beacon:sub(-8), 16) end
        return nil
    end
    local counter, beacon = rest:match("^(%x+)%.(%x+)%.")
    if counter and #counter >= 6 and #counter <= 10 and #beacon >= 6 and #beacon <= 8 and (counter .. beacon):find("%d") then
        return "order", tonumber(beacon, 16)
    end
end

local function packed(name)
    local dot = name:find(".", 1, true)
    if (dot or #name + 1) <= PACKED_LEAST then return nil end
    local label = name:match("^[^.]+")
    if not label or #label < PACKED_LEAST then return nil end
    return PACKED[label:sub(1, 4)] or PACKED[label:sub(1, 5)] or PACKED[label:sub(1, 6)] or PACKED[label:sub(1, 8)]
end

--- What the name shows, or nil: { iodine = "handshake"|"ping", dns2tcp = "auth"…, session = number, packet = number, cobalt = "stage"|"post"|"order", beacon = number,
--- packed = words, domain = the domain where it is none that can be registered }.
function marks.of(name)
    local found
    local io = iodine(name)
    if io then found = { iodine = io } end
    local d2t = dns2tcp(name)
    if d2t then found = found or {}; found.dns2tcp = d2t end
    local session, packet, rest = dnscat(name)
    if session then
        found = found or {}
        found.session, found.packet = session, packet
        if rest == "" then found.domain = "dnscat" end
    end
    local form, beacon = cobalt(name)
    if form then
        found = found or {}
        found.cobalt, found.beacon = form, beacon
    end
    local what = packed(name)
    if what then found = found or {}; found.packed = what end
    return found
end

return marks
