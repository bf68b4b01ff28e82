-- Versions of Apple's systems by Darwin's major version (data/darwin.tsv): macOS 11, iOS 14, tvOS 14 and watchOS 7 are all built on Darwin 20.
-- What a sign says of the release is a range of Darwin versions; ranges are cut with each other, and turned into a version when it is told.

local lunette = require "lunette"

local versions = {}

local COLUMN = { mac = "macos", iphone = "ios", ipad = "ios", vision = "ios", appletv = "tvos", homepod = "tvos", watch = "watchos" }
local SINCE_RENAMED = 26 -- Apple's systems have one number since then
local releases, first, last = {}, 99, 0
local darwin_of_macos = {}
for _, row in ipairs(lunette.tsv("darwin.tsv")) do
    local major = tonumber(row.darwin)
    releases[major], darwin_of_macos[row.macos] = row, major
    first, last = math.min(first, major), math.max(last, major)
end
versions.FIRST, versions.LAST = first, last

-- The Darwin version of macOS "10.13.6", "13.6" or "15.4", nil if there is none.
function versions.of_macos(text)
    local major, minor = text:match("^(%d+)[._]?(%d*)")
    if not major then return nil end
    return darwin_of_macos[major == "10" and major .. "." .. minor or major]
end

-- The Darwin version of iOS "13.3".
function versions.of_ios(text)
    local major = tonumber(text:match("^(%d+)"))
    if not major then return nil end
    if major >= SINCE_RENAMED then return major - 1 <= last and major - 1 or nil end
    for darwin = first, last do
        if releases[darwin] and tonumber(releases[darwin].ios) == major then return darwin end
    end
    return nil
end

-- "10.14.1 to 10.15.3", "12", "14.4 to 14.6, 15 if upgraded": from and to, as Darwin versions.
function versions.range_of_macos(text)
    local from, to
    for word in text:gmatch("%d+[%d.]*") do
        local darwin = versions.of_macos(word)
        if darwin then from, to = math.min(from or darwin, darwin), math.max(to or darwin, darwin) end
    end
    return from, to
end

local function release(darwin, column)
    local row = releases[darwin]
    return row and row[column] ~= "-" and row[column] or nil
end

-- The version as one says it of this kind of host: "11", "10.12 to 10.15", "14 or later". Empty if it says nothing.
function versions.text(kind, from, to)
    local column = COLUMN[kind]
    if not column or kind == "vision" then return "" end
    if from <= first and to >= last then return "" end
    while from <= to and not release(from, column) do from = from + 1 end
    while to >= from and not release(to, column) do to = to - 1 end
    if from > to then return "" end
    local oldest, newest = release(from, column), release(to, column)
    if from == to then return oldest end
    if to >= last then return oldest .. " or later" end
    if from <= first then return newest .. " or older" end
    return oldest .. " to " .. newest
end

-- Does the exact version that the host told (of an agent) lie in the range? Others are of another machine, or forged.
function versions.fits(kind, exact, from, to)
    local darwin = kind == "mac" and versions.of_macos(exact) or COLUMN[kind] == "ios" and versions.of_ios(exact)
    return not darwin or darwin >= from and darwin <= to
end

return versions
