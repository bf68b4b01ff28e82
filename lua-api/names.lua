-- lunette.names: domain names and what can be told from their letters. Names are taken as they stand on the wire: ASCII, with
-- or without the dot at the end, letters beyond ASCII as punycode ("xn--…") or UTF-8; capitals make no difference.
--
-- skeleton, lookalike and fold bring letters that look alike onto one ("а" of the Cyrillic alphabet, "à" and "a"; "0" and "o";
-- "1", "i" and "l"), as Unicode's UTS #39 does; the letters are those that pass for a plain one in the fonts of browsers,
-- picked by hand from the Latin, Cyrillic, Greek, Armenian and IPA blocks. Skeletons are for comparing, not for showing.
local inside, internal = ...
local helpers = inside.helpers
local punycode, bigrams = internal("punycode.lua"), internal("bigrams.lua")
local floor, min, log = math.floor, math.min, math.log
local check_text = helpers.text

local NAME_MOST = 1024 -- bytes; a DNS name has 255
local LETTERS_MOST = 255 -- of a brand
local PAIRS_MOST = 65536 -- of letters that are compared: the longest name of the wire with a word of 64
local BRANDS_MOST = 10000

---Domain names and what can be told from their letters.
---@class lunette.names
local names = {}

local function plain(what, name)
    check_text(what, name, NAME_MOST)
    name = name:lower()
    return name:byte(-1) == 46 and name:sub(1, -2) or name
end

---eTLD+1 by the public suffix list: "bbc.co.uk" of "www.bbc.co.uk".
---@param name string
---@return string? domain nil for a public suffix and for an address
function names.registrable(name)
    check_text("names.registrable", name, NAME_MOST)
    return inside.suffixes.registrable(name)
end

---The public suffix: "co.uk".
---@param name string
---@return string? suffix nil for an address
function names.suffix(name)
    check_text("names.suffix", name, NAME_MOST)
    return inside.suffixes.suffix(name)
end

---The labels from left to right, in lower case.
---@param name string
---@return string[]
function names.labels(name)
    local list = {}
    for label in plain("names.labels", name):gmatch("[^.]+") do list[#list + 1] = label end
    return list
end

---Is it the domain, or a name below it? below("a.example.com", "example.com"); notexample.com is not.
---@param name string
---@param domain string
---@return boolean
function names.below(name, domain)
    name, domain = plain("names.below", name), plain("names.below", domain)
    if domain == "" then return true end
    if #name <= #domain then return name == domain end
    return name:sub(-#domain) == domain and name:byte(-#domain - 1) == 46
end

---How even its characters are spread, in bits per character (Shannon 1948): 0 for "aaaa", 3 for eight different ones. Short
---texts cannot have much; names.random knows more.
---@param text string
---@return number
function names.entropy(text)
    check_text("names.entropy", text, 65536)
    local counts, n = {}, #text
    for i = 1, n do
        local byte = text:byte(i)
        counts[byte] = (counts[byte] or 0) + 1
    end
    local bits = 0
    for byte = 0, 255 do
        local count = counts[byte]
        if count then bits = bits - count / n * log(count / n, 2) end
    end
    return bits
end

-- Damerau and Levenshtein's distance between two lists, with transpositions between which others may happen (Lowrance and Wagner
-- 1975), so that it is a metric.
local function edits(a, b)
    local last_row, rows = {}, {}
    local most = #a + #b
    for i = -1, #a do
        rows[i] = {}
        rows[i][-1] = most
        rows[i][0] = i >= 0 and i or most
    end
    for j = 0, #b do rows[-1][j], rows[0][j] = most, j end
    for i = 1, #a do
        local last_match = 0
        for j = 1, #b do
            local row, column = last_row[b[j]] or 0, last_match
            local cost = 1
            if a[i] == b[j] then cost, last_match = 0, j end
            rows[i][j] = min(rows[i - 1][j - 1] + cost, rows[i][j - 1] + 1, rows[i - 1][j] + 1,
                rows[row - 1][column - 1] + (i - row - 1) + 1 + (j - column - 1))
        end
        last_row[a[i]] = i
    end
    return rows[#a][#b]
end

---How many letters must be put in, left out, replaced, or swapped with their neighbour to make b of a (Damerau 1964,
---Levenshtein 1966). The letters of a times those of b are at most 65536: any name of the wire fits with a word of 64.
---@param a string at most 1024 bytes
---@param b string
---@return integer
function names.distance(a, b)
    check_text("names.distance", a, NAME_MOST)
    check_text("names.distance", b, NAME_MOST)
    local one, other = punycode.points(a), punycode.points(b)
    if #one * #other > PAIRS_MOST then
        error(("names.distance: %d letters times %d, more than %d"):format(#one, #other, PAIRS_MOST), 2)
    end
    return edits(one, other)
end

-- Letters that pass for a plain one, by code point. Cyrillic, Greek, IPA, Roman numerals, Latin with marks.
local FOLDS = {
    a = "а ɑ α à á â ã ä å ā ă ą ǎ ạ ả ấ ầ ẩ ẫ ậ ắ ằ ẳ ẵ ặ ȧ", b = "ь Ь ƅ ḃ ḅ", c = "с ϲ ⅽ ç ć ĉ ċ č ƈ", d = "ԁ ⅾ ɗ ď đ ḍ",
    e = "е ё є ε ҽ è é ê ë ē ĕ ė ę ě ẹ ẻ ẽ ế ề ể ễ ệ", f = "ƒ ḟ", g = "ɡ ğ ġ ģ ǵ", h = "һ ĥ ħ ḥ", j = "ј ĵ", k = "к κ ķ ḳ",
    l = "ӏ і ı ι ɩ ⅼ ⅰ ǀ ł ĺ ļ ľ ŀ ḷ ḻ ì í î ï ĩ ī ĭ į ǐ ị ỉ ї", m = "м ⅿ ṃ ṁ", n = "п ո ñ ń ņ ň ṇ ṅ",
    o = "о ο σ օ ò ó ô õ ö ø ō ŏ ő ọ ỏ ố ồ ổ ỗ ộ ơ ớ ờ ở ỡ ợ", p = "р ρ ƿ ṗ ҏ", q = "ԛ", r = "г ŕ ŗ ř ṛ", s = "ѕ ś ŝ ş š ș ṣ",
    t = "т τ ţ ť ț ṭ", u = "υ ս ù ú û ü ũ ū ŭ ů ű ų ụ ủ ư", v = "ν ѵ ⅴ", w = "ԝ ω ŵ ẁ ẃ ẅ", x = "х χ ⅹ", y = "у γ ý ÿ ŷ",
    z = "ź ż ž ẓ",
}
-- Within ASCII. i and l fall together: a capital I passes for l, and names lose their capitals on the way.
local ASCII_FOLDS = { ["0"] = "o", ["1"] = "l", ["3"] = "e", ["5"] = "s", ["i"] = "l", ["|"] = "l" }

local fold_of = {}
for letter, others in pairs(FOLDS) do
    for other in others:gmatch("%S+") do fold_of[punycode.points(other)[1]] = letter end
end

-- The plain letter that a code point passes for, itself folded; nil if it passes for none.
local function fold_point(point)
    if point >= 0xff41 and point <= 0xff5a then point = point - 0xff41 + 0x61 end -- full-width letters
    local letter = point < 128 and string.char(point):lower() or fold_of[point]
    return letter and (ASCII_FOLDS[letter] or letter)
end

---Folds one label, for rules of one's own: three strings, the first two with one character for each letter.
---@param label string
---@return string skeleton letters that look alike folded onto one; ? for what looks like no plain letter
---@return string letters the plain letters as they are, in lower case; ? for others
---@return string text as a browser would show it
function names.fold(label)
    check_text("names.fold", label, NAME_MOST)
    local points = punycode.points(label)
    local skeleton, letters = {}, {}
    for i, point in ipairs(points) do
        skeleton[i] = fold_point(point) or "?"
        letters[i] = point < 128 and string.char(point):lower() or "?"
    end
    return table.concat(skeleton), table.concat(letters), punycode.text(points)
end

---The name with letters that look alike folded onto one: two names are confusable if their skeletons are equal. Punycode is
---decoded; letters that look like no plain one stay.
---@param name string
---@return string
function names.skeleton(name)
    local labels = {}
    for label in plain("names.skeleton", name):gmatch("[^.]+") do
        local points, folded = punycode.points(label), {}
        for i, point in ipairs(points) do folded[i] = fold_point(point) or punycode.text { point } end
        labels[#labels + 1] = table.concat(folded)
    end
    return table.concat(labels, ".")
end

-- The label that tells names apart: the first of the registrable domain, or what is given if there is none.
local function main_label(name)
    return (inside.suffixes.registrable(name) or name):match("^[^.]+") or ""
end

-- How many slips still mean a word: short words have neighbours that are words of their own.
local function slips(length) return length >= 10 and 2 or length >= 5 and 1 or 0 end

---Does the name imitate one of the brands? The label before the public suffix, whole and cut at its hyphens, is compared with
---each by its skeleton. A name that spells the brand right, or lies below a brand that is a domain, is none.
---@param name string
---@param brands string[] words ("apple") or domains ("apple.com")
---@return string? brand the nearest, as the list has it; nil if there is none
---@return integer? distance 0: letters that look alike; 1, or 2 for brands of ten letters or more: so many slips
function names.lookalike(name, brands)
    name = plain("names.lookalike", name)
    if type(brands) ~= "table" then error("names.lookalike: a list of brands is expected, got " .. type(brands), 2) end
    local label = main_label(name)
    if #label > 63 then return nil end
    local candidates = { label }
    if label:sub(1, 4) == "xn--" then
        local _, _, text = names.fold(label)
        label = text
        candidates[1] = label
    end
    if label:find("-", 1, true) then
        for piece in label:gmatch("[^%-]+") do candidates[#candidates + 1] = piece end
    end
    local folded = {}
    for i, candidate in ipairs(candidates) do folded[i] = punycode.points((names.fold(candidate))) end

    local best, best_distance
    for i = 1, BRANDS_MOST do
        local brand = brands[i]
        if brand == nil then break end
        check_text("names.lookalike: a brand", brand, LETTERS_MOST)
        local word = plain("names.lookalike", brand)
        local is_domain = word:find(".", 1, true)
        if is_domain and names.below(name, word) then return nil end
        if is_domain then word = main_label(word) end
        local skeleton = punycode.points((names.fold(word)))
        local allowed = slips(#skeleton)
        for n, candidate in ipairs(candidates) do
            local apart = #folded[n] - #skeleton
            if candidate == word then
                if n == 1 then return nil end
            elseif apart <= allowed and -apart <= allowed then
                local distance = edits(folded[n], skeleton)
                if distance <= allowed and (not best or distance < best_distance) then best, best_distance = brand, distance end
            end
        end
    end
    return best, best_distance
end

---The name with its punycode labels decoded (RFC 3492), as a browser might show it. A label that is no proper encoding (RFC
---5891, section 5.4: what it decodes to is encoded otherwise) stays as it is.
---@param name string
---@return string
function names.unicode(name)
    local labels = {}
    for label in (plain("names.unicode", name) .. "."):gmatch("([^.]*)%.") do
        local points = label:sub(1, 4) == "xn--" and punycode.decode(label:sub(5))
        if points and punycode.encode(points) == label:sub(5) and label:byte(-1) ~= 45 then label = punycode.text(points) end
        labels[#labels + 1] = label
    end
    return table.concat(labels, ".")
end

-- The signs of bigrams.lua: a to z are 1 to 26, any digit 27, the edge of a word 28.
local DIGIT, EDGE = 27, 28
local sign_of, surprise = {}, {}
for byte = 97, 122 do sign_of[byte] = byte - 96 end
for byte = 48, 57 do sign_of[byte] = DIGIT end
for from = 1, EDGE do
    local letter = from == DIGIT and "0" or from == EDGE and "." or string.char(96 + from)
    local row = bigrams[letter]
    for to = 1, EDGE do
        local code = row:byte(to)
        surprise[from * 32 + to] = (code - (code > 92 and 36 or 35)) / 8 + (to == DIGIT and log(10, 2) or 0)
    end
end

---Does it look drawn at random? The score compares two ways to have come by the text, in bits: by letters following each other
---as they do in names, or by drawing each from the letters, the letters and digits, or the hexadecimal digits, whichever fits
---best. Below 0 it looks like a name; 10 says that a draw explains it a thousand times better. Short texts never score high.
---@param text string a label or a name; what is no letter or digit parts words
---@return number bits
function names.random(text)
    check_text("names.random", text, NAME_MOST)
    text = text:lower()
    local bits, before, letters, digits, beyond_f = 0, EDGE, 0, 0, false
    for i = 1, #text + 1 do
        local byte = i <= #text and text:byte(i) or 0
        local sign = sign_of[byte] or EDGE
        if sign ~= EDGE or before ~= EDGE then
            bits = bits + surprise[before * 32 + sign]
            if sign == DIGIT then
                digits = digits + 1
            elseif sign ~= EDGE then
                letters = letters + 1
                beyond_f = beyond_f or byte > 102
            end
        end
        before = sign
    end
    if letters + digits == 0 then return 0 end
    local choices = digits == 0 and 26 or beyond_f and 36 or 16
    return bits - (letters + digits) * log(choices, 2) - log(3, 2)
end

return names
