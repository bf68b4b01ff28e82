-- Does a name imitate one of Apple's?
--
-- The hard part is to leave the honest names alone: "apple" is also in snapple, pineapple, applebees and appleton, and is one
-- slip away from ample, apply and maple. So a label is cut at its hyphens, and Apple's word counts only where it fills a
-- piece, or where what is left of the piece is made of words that lure (id, login, verify …). Four kinds of imitation are
-- told apart:
--
--   nested       apple.com stands left of somebody else's domain:  appleid.apple.com.evil.example, www-apple-com.example
--   homoglyph    the word is there for the eye, not for the machine: аррle (Cyrillic), app1e, icIoud; found by folding
--                letters that look alike onto one and comparing with Apple's words folded likewise
--   keyword      Apple's word, spelt right, together with a lure: apple-id-verify, icloudlogin, secure-appleid
--   misspelling  a doubled, dropped or swapped letter (aplpe, iclooud) beside a lure. Other distances of one edit are words of
--                their own too often to mean anything.
--
-- Labels left of the domain are anybody's (login.apple.example.com is a company's "Sign in with Apple"), so there only letters or digits
-- that imitate count, and Apple's word with two lures or more (appleid-verify-account.example.com). Words that are Apple's in this
-- sense alone ("products": appstore, testflight) count less than its names.
--
-- A bare word (apple.example) or a bare word beside harmless ones (apple-pie, applemusicians) is no finding.
-- Folding letters that look alike, and punycode, is lunette.names' part.

local names = require "lunette.names"

local lookalike = {}

local function fold_ascii(text) return (names.fold(text)) end

-- Is the text made of lure words and digits alone? Gives the weight of the heaviest: 2 strong, 1 weak.
local function lure_weight(text, lures)
    local best = { [0] = 0 } -- best[i]: weight with which the first i letters can be made up
    for i = 1, #text do
        if text:sub(i, i):match("%d") and best[i - 1] then best[i] = best[i - 1] end
        for word, weight in pairs(lures) do
            local before = best[i - #word]
            if before and text:sub(i - #word + 1, i) == word then
                best[i] = math.max(best[i] or 0, before, weight)
            end
        end
    end
    return best[#text]
end

-- A letter doubled, a double one dropped, two neighbours swapped.
local function is_slip(piece, word)
    if #piece == #word + 1 then
        for i = 1, #word do
            if word:sub(1, i) .. word:sub(i) == piece then return true end
        end
    elseif #piece == #word - 1 then
        for i = 1, #word - 1 do
            if word:sub(i, i) == word:sub(i + 1, i + 1) and word:sub(1, i) .. word:sub(i + 2) == piece then return true end
        end
    elseif #piece == #word and piece ~= word then
        for i = 1, #word - 1 do
            if word:sub(1, i - 1) .. word:sub(i + 1, i + 1) .. word:sub(i, i) .. word:sub(i + 2) == piece then return true end
        end
    end
    return false
end

-- rules: brands (list of words), products (the same, weaker), domains (list of Apple's names that others nest), lures (word → weight).
-- Gives an object whose judge(name, registrable) tells.
function lookalike.new(rules)
    local brands, lures, domains = {}, {}, {}
    for i, word in ipairs(rules.brands) do brands[i] = { word = word, skeleton = fold_ascii(word) } end
    for _, word in ipairs(rules.products or {}) do
        brands[#brands + 1] = { word = word, skeleton = fold_ascii(word), product = true }
    end
    local is_product = {}
    for _, word in ipairs(rules.products or {}) do is_product[word] = true end
    for word, weight in pairs(rules.lures) do lures[fold_ascii(word)] = weight end
    for i, domain in ipairs(rules.domains) do
        domains[i] = { name = domain, word = domain:match("^[^.]+"), hyphened = domain:gsub("%.", "-") }
    end

    -- Apple's word in one piece of a label: the brand, whether it is spelt right, and the weight of the lure glued to it.
    local function find_brand(skeleton, raw)
        for _, brand in ipairs(brands) do
            local from, to = skeleton:find(brand.skeleton, 1, true)
            while from do
                local left, right = skeleton:sub(1, from - 1), skeleton:sub(to + 1)
                local a, b = lure_weight(left, lures), lure_weight(right, lures)
                if a and b then return brand.word, raw:sub(from, to) == brand.word, math.max(a, b), raw:sub(from, to) end
                from, to = skeleton:find(brand.skeleton, from + 1, true)
            end
        end
    end

    local function judge_label(label)
        local skeleton, raw, shown_text = names.fold(label)
        local brand, literal, glued, shown, slip
        for from, piece in skeleton:gmatch("()([^%-]+)") do
            local raw_piece = raw:sub(from, from + #piece - 1)
            local found, is_literal, weight, text = find_brand(piece, raw_piece)
            if found and not (brand and is_literal) then
                brand, literal, glued, shown = found, is_literal, weight, text
            elseif not found then
                for _, b in ipairs(brands) do
                    if is_slip(raw_piece, b.word) then slip = b.word end
                end
            end
        end
        if not brand and not slip then return nil end -- nearly all names end here
        local lure, strong = glued or 0, glued == 2 and 1 or 0
        for piece in skeleton:gmatch("[^%-]+") do
            local weight = lure_weight(piece, lures) or 0
            if weight == 2 then strong = strong + 1 end
            lure = math.max(lure, weight)
        end
        local product = is_product[brand or slip]
        if brand and not literal then
            local foreign = shown:find("?", 1, true) ~= nil
            return { kind = "homoglyph", brand = brand, foreign = foreign, digits = shown:find("%d") ~= nil, lure = lure,
                shown = shown_text, product = product, strong = strong }
        end
        if brand and lure > 0 then return { kind = "keyword", brand = brand, lure = lure, shown = label, product = product, strong = strong } end
        if slip and lure > 0 then return { kind = "misspelling", brand = slip, lure = lure, shown = label, product = product, strong = strong } end
    end

    local function judge_nesting(name, registrable)
        local main = registrable:match("^[^.]+")
        local left = "." .. name:sub(1, #name - #registrable) -- ".appleid.apple.com." or "."
        local head = left .. main .. "."
        for _, domain in ipairs(domains) do
            if head:find(domain.word, 1, true) then
                local from, to = head:find("." .. domain.name, 1, true)
                local dotted = from and head:sub(to + 1, to + 1):match("[.%-]")
                local hyphened = ("-" .. head:gsub("%.", "-.-") .. "-"):find("-" .. domain.hyphened .. "-", 1, true)
                if dotted or hyphened then return { kind = "nested", brand = domain.name, lure = 2, shown = name } end
            end
        end
    end

    local object = {}

    local function judge_left(name, registrable)
        for label in name:sub(1, #name - #registrable):gmatch("[^.]+") do
            local found = #label > 4 and judge_label(label)
            local imitates = found and found.kind == "homoglyph" and (found.foreign or found.digits)
            if imitates or (found and found.kind == "keyword" and found.strong >= 2) then
                found.left = true
                return found
            end
        end
    end

    -- What is wrong with the name: { kind, brand, lure = 0…2, strong = lures of weight 2, shown, foreign, digits, product, left = not in
    -- the domain itself }, or nil. `registrable` is its eTLD+1.
    function object.judge(name, registrable)
        if not registrable then return nil end
        return judge_nesting(name, registrable) or judge_label(registrable:match("^[^.]+")) or judge_left(name, registrable)
    end

    return object
end

return lookalike
