-- What makes a request of a command-line tool look like more than somebody at a prompt?
--
-- Marks, each with a weight; their sum decides how loud the alert is. A stealer's upload collects most of them at once: POST,
-- multipart, to an address instead of a name, large out and next to nothing back. A developer's curl to an API has one.

local marks = {}

local RUNNABLE = {}
for ending in ("sh command scpt applescript dmg pkg mpkg zip tgz gz xz bz2 7z app dylib so bin py pl rb js jar"):gmatch("%S+") do
    RUNNABLE[ending] = true
end
local RUNNABLE_TYPES = {
    "octet-stream", "x-apple-diskimage", "zip", "gzip", "x-mach", "x-sh", "x-xar", "x-executable", "x-bzip2", "x-7z",
}

local function is_runnable_type(content_type)
    for _, part in ipairs(RUNNABLE_TYPES) do
        if content_type:find(part, 1, true) then return true end
    end
    return false
end

-- Adds a sentence; gives its weight. (A function made for each request could not be compiled.)
local function mark(list, points, text)
    list[#list + 1] = text
    return points
end

-- r: method, url, status, host_is_address, port, length, request_length, content_type, request_content_type (strings may be nil).
-- limits: large (bytes), long_query (characters). Gives a list of sentences and the sum of weights.
function marks.of(r, limits)
    local list, weight = {}, 0
    local method, url = r.method or "", r.url or ""
    local out_type, in_type = (r.request_content_type or ""):lower(), (r.content_type or ""):lower()
    local path, query = url:match("^([^?#]*)%??(.*)$")
    local last = path:gsub("^%l+://[^/]*", ""):match("[^/]*$")

    if method == "POST" or method == "PUT" then
        if r.request_length > 0 or method == "PUT" then weight = weight + mark(list, 1, method .. " of " .. r.request_length .. " bytes") end
        if out_type:find("multipart/form-data", 1, true) then weight = weight + mark(list, 1, "a form with files (multipart)") end
        if out_type:find("zip", 1, true) or out_type:find("octet-stream", 1, true) then weight = weight + mark(list, 1, "the body is " .. out_type) end
        if r.request_length >= limits.large and r.length < r.request_length / 10 then
            weight = weight + mark(list, 2, ("much out, little back (%d bytes for %d)"):format(r.length, r.request_length))
        end
    elseif method == "GET" and (r.status == 200 or r.status == 206) then
        local ending = last:match("%.(%w+)$")
        if ending and RUNNABLE[ending:lower()] then
            weight = weight + mark(list, 1, "fetches " .. last:sub(-40))
        elseif not ending and last ~= "" and (is_runnable_type(in_type) or in_type:find("^text/plain")) then
            weight = weight + mark(list, 1, "fetches " .. last:sub(-40) .. ", a file without a name's ending, as " .. in_type)
        elseif is_runnable_type(in_type) then
            weight = weight + mark(list, 1, "gets " .. in_type)
        end
    end
    if r.host_is_address then weight = weight + mark(list, 1, "asks an address, not a name") end
    if r.port ~= 80 and r.port ~= 443 and r.port ~= 8080 then weight = weight + mark(list, 1, "on port " .. r.port) end
    if #query >= limits.long_query then weight = weight + mark(list, 1, ("a query of %d characters"):format(#query)) end
    return list, weight
end

-- Weight to severity.
function marks.severity(weight)
    if weight >= 4 then return "high" end
    if weight >= 2 then return "medium" end
    return weight == 1 and "low" or "info"
end

return marks
