-- Which web service is a name of? Dropbox, Telegram, GitHub, ngrok, a mining pool: the services of data/cloud_services.tsv.
--
--   local cloud = require("cloud").load(lunette)
--   cloud.of("content.dropboxapi.com")      → { service = "Dropbox", category = "storage", row = "content.dropboxapi.com",
--                                              apps = { Dropbox = true }, use = "api" }, or nil
--   cloud.set("tunnel", "tor2web")          → the names of these categories as a lunette.set.domains, for filters; no argument: of all
--   cloud.find(e, "server_name")            → as `of`, of an event's field, without making a string of it
--
-- The longest suffix wins: gist.githubusercontent.com is a paste, githubusercontent.com code. The few rows that are patterns
-- (`eth.*.com`) are asked last, and only by `of`: a set of names cannot hold them. What is returned is the table's own and is not to be changed.

local cloud = {}

local REMEMBERED = 4096

-- "eth.*.com" → a Lua pattern; * stands for anything within one part of a name.
local function pattern_of(text)
    return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", "[^.]*"):gsub("%?", "[^.]") .. "$"
end

local function words_of(text)
    local words = {}
    for word in (text or ""):gmatch("[^|]+") do words[word] = true end
    return words
end

function cloud.load(lunette)
    local exact, below, patterns = {}, {}, {}
    local names, by_number = {}, {} -- of `everything`, in the order of its entries
    local by_category = {}

    for _, line in ipairs(lunette.tsv("cloud_services.tsv")) do
        local found = { service = line.service, category = line.category, row = line.name, apps = words_of(line.apps),
            use = line.use ~= "" and line.use or nil }
        if line.name:find("[*?]") then
            patterns[#patterns + 1] = { pattern_of(line.name), found }
        else
            if line.name:sub(1, 1) == "=" then exact[line.name:sub(2)] = found else below[line.name] = found end
            names[#names + 1], by_number[#names + 1] = line.name, found
            local list = by_category[line.category] or {}
            list[#list + 1], by_category[line.category] = line.name, list
        end
    end

    local function search(name)
        if exact[name] then return exact[name] end
        local from = 1
        while from do
            local found = below[name:sub(from)]
            if found then return found end
            local dot = name:find(".", from, true)
            from = dot and dot + 1
        end
        for i = 1, #patterns do
            if name:find(patterns[i][1]) then return patterns[i][2] end
        end
        return false
    end

    local self = {}
    local remembered, count = {}, 0

    -- The service that a name belongs to, or nil. Names are in lower case, as events have them.
    function self.of(name)
        if not name then return nil end
        local found = remembered[name]
        if found == nil then
            found = search(name)
            if count >= REMEMBERED then remembered, count = {}, 0 end
            remembered[name], count = found, count + 1
        end
        return found or nil
    end

    local everything

    -- The names of some categories, as a set.
    function self.set(...)
        if select("#", ...) == 0 then
            everything = everything or lunette.set.domains(names)
            return everything
        end
        local list = {}
        for i = 1, select("#", ...) do
            local category = select(i, ...)
            local some = by_category[category]
            if not some then error("cloud_services.tsv has no category " .. tostring(category), 2) end
            for k = 1, #some do list[#list + 1] = some[k] end
        end
        return lunette.set.domains(list)
    end

    -- As `of`, but for the patterns; makes no string.
    function self.find(e, field)
        if not everything then self.set() end
        return by_number[everything:find(e, field) or 0]
    end

    return self
end

return cloud
