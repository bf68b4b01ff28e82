-- From signs to a verdict: what kind of host is it, and how sure?
--
-- Each sign (data/identity_signs.tsv) says by how much it makes each kind of host likelier, in decibans. The weights of different slots are
-- added up, as for independent evidence (Bayes' rule with logarithms); signs of one slot have one cause, so of a slot only the strongest
-- weight for a kind and the strongest against it count. The sums, turned into shares that make one, are the confidence. What speaks for two
-- kinds alike splits the share between them: then the host is said to be of the family (apple, linux) and not more.
--
-- Everything here is a function of a host's signs alone; the detector keeps those.

local lunette = require "lunette"

local weigh = {}

local KINDS = { "mac", "iphone", "ipad", "appletv", "watch", "homepod", "vision", "windows", "linux", "android", "other" }
local GROUPS = { apple = { "mac", "iphone", "ipad", "appletv", "watch", "homepod", "vision" }, ios = { "iphone", "ipad", "vision" } }
local FAMILY = { windows = "windows", linux = "linux", android = "linux", other = "other" }
for _, kind in ipairs(GROUPS.apple) do FAMILY[kind] = "apple" end

-- How common the kinds are before anything is known, in decibans: a network has computers and phones, some tablets, few of the rest. It only
-- decides between kinds that a sign cannot tell apart.
local COMMON = { mac = 0, iphone = 0, ipad = -4, appletv = -8, watch = -10, homepod = -10, vision = -20, windows = 0, linux = 0,
    android = -2, other = -2 }

local ENOUGH = 0.6           -- share of one kind from which on it is said, else the family
local MOST = 0.99            -- nobody is surer than that
local SEVERAL = 0.55         -- several systems behind one address: whatever is said is true of one of them only

-- A system's own words: what a kernel or a service does by itself. Two of these, of different families, are two systems.
local OWN = { kernel = true, dhcp = true, bonjour = true, agent = true, process = true, ssh = true }
local OWN_WEIGHT = 20

weigh.SYSTEMS = { mac = "macOS", iphone = "iOS", ipad = "iPadOS", appletv = "tvOS", watch = "watchOS", homepod = "audioOS", vision = "visionOS",
    apple = "macOS or iOS", windows = "Windows", linux = "Linux", android = "Android", other = "" }

local function read_weights(text)
    local weights = {}
    for name, value in text:gmatch("(%a+)=(%-?%d+)") do
        for _, kind in ipairs(GROUPS[name] or { name }) do weights[kind] = weights[kind] or tonumber(value) end
    end
    return weights
end

-- The family that a sign speaks for, if for one alone.
local function family_of(weights)
    local best, family = 0, nil
    for _, kind in ipairs(KINDS) do
        if (weights[kind] or 0) > best then best, family = weights[kind], FAMILY[kind] end
    end
    return family, best
end

weigh.signs, weigh.number = {}, {}
for i, row in ipairs(lunette.tsv("identity_signs.tsv")) do
    local weights = read_weights(row.weights)
    local family, best = family_of(weights)
    weigh.signs[i] = { id = row.id, slot = row.slot, says = row.says, weights = weights, best = best,
        own = OWN[row.slot] and best >= OWN_WEIGHT and family ~= "other" and family or nil }
    weigh.number[row.id] = i
end
weigh.count = #weigh.signs

local function add_slot(slots, sign)
    local slot = slots[sign.slot]
    if not slot then
        slot = { up = {}, down = {} }
        slots[sign.slot] = slot
    end
    for kind, weight in pairs(sign.weights) do
        local way = weight > 0 and slot.up or slot.down
        if math.abs(weight) > math.abs(way[kind] or 0) then way[kind] = weight end
    end
end

local function shares(slots)
    local sums, most = {}, -math.huge
    for _, kind in ipairs(KINDS) do
        local sum = COMMON[kind]
        for _, slot in pairs(slots) do sum = sum + (slot.up[kind] or 0) + (slot.down[kind] or 0) end
        sums[kind], most = sum, math.max(most, sum)
    end
    local total = 0
    for _, kind in ipairs(KINDS) do
        sums[kind] = 10 ^ ((sums[kind] - most) / 10)
        total = total + sums[kind]
    end
    for _, kind in ipairs(KINDS) do sums[kind] = sums[kind] / total end
    return sums
end

-- The families whose own words were heard, in a fixed order; two or more are several systems.
local function families(seen)
    local found, list = {}, {}
    for i, sign in ipairs(weigh.signs) do
        if sign.own and seen(i) then found[sign.own] = true end
    end
    for _, family in ipairs { "apple", "windows", "linux" } do
        if found[family] then list[#list + 1] = family end
    end
    return list
end

-- seen(i) tells whether the host has sign number i. Returns kind, confidence, families; nil if nothing is known.
function weigh.verdict(seen)
    local slots, any = {}, false
    for i, sign in ipairs(weigh.signs) do
        if seen(i) then
            add_slot(slots, sign)
            any = true
        end
    end
    if not any then return nil end
    local share = shares(slots)
    local best, family_share = KINDS[1], { apple = 0, linux = 0 }
    for _, kind in ipairs(KINDS) do
        if share[kind] > share[best] then best = kind end
        local family = FAMILY[kind]
        if family_share[family] then family_share[family] = family_share[family] + share[kind] end
    end
    local kind, confidence = best, share[best]
    if confidence < ENOUGH and FAMILY[best] ~= best and family_share[FAMILY[best]] or best == "linux" then
        kind, confidence = FAMILY[best], math.max(confidence, family_share[FAMILY[best]])
    end
    local heard = families(seen)
    confidence = math.min(confidence, #heard > 1 and SEVERAL or MOST)
    return kind, confidence, heard
end

-- What the host's signs say, the weightiest first, each once.
function weigh.evidence(seen)
    local list, told, texts = {}, {}, {}
    for i, sign in ipairs(weigh.signs) do
        if seen(i) then list[#list + 1] = sign end
    end
    table.sort(list, function(a, b)
        if a.best ~= b.best then return a.best > b.best end
        return a.id < b.id
    end)
    for _, sign in ipairs(list) do
        if not told[sign.says] then
            told[sign.says] = true
            texts[#texts + 1] = sign.says
        end
    end
    return texts
end

return weigh
