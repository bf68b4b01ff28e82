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

local FAMILIES = { "apple", "windows", "linux" }

-- The families whose own words were heard, in a fixed order; two or more are several systems.
local function families_of(list)
    local found, families = {}, {}
    for _, sign in ipairs(list) do
        if sign.own then found[sign.own] = true end
    end
    for _, family in ipairs(FAMILIES) do
        if found[family] then families[#families + 1] = family end
    end
    return families
end

local function kind_of(share)
    local best, family_share = KINDS[1], { apple = 0, linux = 0 }
    for _, kind in ipairs(KINDS) do
        if share[kind] > share[best] then best = kind end
        local family = FAMILY[kind]
        if family_share[family] then family_share[family] = family_share[family] + share[kind] end
    end
    local family = FAMILY[best]
    if family_share[family] and (share[best] < ENOUGH or best == family) then return family, math.max(share[best], family_share[family]) end
    return best, share[best]
end

local function by_weight(a, b)
    if a.best ~= b.best then return a.best > b.best end
    return a.id < b.id
end

-- What the signs say, the weightiest first, each text once.
local function evidence_of(list)
    table.sort(list, by_weight)
    local told, texts = {}, {}
    for _, sign in ipairs(list) do
        if not told[sign.says] then
            told[sign.says] = true
            texts[#texts + 1] = sign.says
        end
    end
    return texts
end

-- Hosts have few sets of signs among them: each is judged once.
local MOST_JUDGED = 2000
local judged, judged_count = {}, 0

-- signs: their numbers, a byte each, rising. Returns { kind, confidence, families, evidence }, shared: do not change it. nil if there are none.
function weigh.verdict(signs)
    if signs == "" then return nil end
    local verdict = judged[signs]
    if verdict then return verdict end
    local list, slots = {}, {}
    for i = 1, #signs do
        list[i] = weigh.signs[signs:byte(i)]
        add_slot(slots, list[i])
    end
    local kind, confidence = kind_of(shares(slots))
    local families = families_of(list)
    verdict = { kind = kind, confidence = math.min(confidence, #families > 1 and SEVERAL or MOST), families = families,
        evidence = evidence_of(list) }
    if judged_count >= MOST_JUDGED then judged, judged_count = {}, 0 end
    judged[signs], judged_count = verdict, judged_count + 1
    return verdict
end

return weigh
