-- A request in clear that carries something out: which marks does it have?
--
--   local words, points = posts.of { method=, host_is_address=, port=, url=, agent=, referer=, type=, sent=, received=, headers= }
--
-- The stealers of the Mac (AMOS and its heirs) pack what they found and send the zip by plain HTTP, POST, multipart, to an address or a name of yesterday, with headers
-- that name the victim and who bought the stealer. A person's browser posts forms as well, with a Referer and an agent that says so; that takes points off.

local posts = {}

local ARCHIVES = { "zip", "gzip", "x-tar", "x-7z", "x-rar", "x-bzip", "x-xz", "octet-stream" }
local ENDINGS = { zip = true, gz = true, tgz = true, tar = true, ["7z"] = true, rar = true, bz2 = true, xz = true, dmg = true, sqlite = true, db = true, kdbx = true, keychain = true }
local VICTIMS = { buildid = true, user = true, uuid = true, hwid = true, cl = true, username = true, ["x-bid"] = true } -- headers that no browser sends

local function is_archive(text)
    for i = 1, #ARCHIVES do
        if text:find(ARCHIVES[i], 1, true) then return true end
    end
    return false
end

function posts.of(r)
    local words, points = {}, 0
    local function add(more, text)
        points = points + more
        words[#words + 1] = text
    end
    local kind = (r.type or ""):lower():match("^[^;]*")
    local file = (r.url or ""):match("^[^?]*/([^/?]*)") or ""
    if is_archive(kind) then
        add(2, "the body is " .. kind)
    elseif kind:find("multipart/form-data", 1, true) then
        add(1, "a form with files (multipart)")
    end
    local ending = file:match("%.(%w+)$")
    if ending and ENDINGS[ending:lower()] then add(1, "the name is " .. file:sub(-40)) end
    if points == 0 then return nil end
    if r.host_is_address then add(2, "to an address, not a name") end
    if r.sent >= 1e6 then add(1, "large") end
    if r.received * 10 < r.sent and r.sent >= 1e5 then add(1, "next to nothing came back") end
    if r.port ~= 80 and r.port ~= 8080 and r.port ~= 443 then add(1, "on port " .. r.port) end
    for i = 1, #(r.headers or {}) do
        local header = r.headers[i]:lower()
        if VICTIMS[header] then
            add(2, "with a header " .. r.headers[i]:sub(1, 30))
            break
        end
    end
    local agent = r.agent
    if not agent then
        add(1, "without an agent")
    elseif agent:find("^Mozilla/") and r.referer then
        add(-2, "from a page in a browser")
    end
    return words, points
end

return posts
