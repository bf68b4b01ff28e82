-- Does a domain look drawn by a program? The label that was registered is judged, since that is what a domain generation algorithm makes; each
-- domain once, and remembered.
--
-- The method: how much better is the label explained by letters drawn one by one than by the letter pairs of names (lunette.names.random, a ratio of
-- likelihoods in bits)? That two such models told apart is what tells generated names is published often (Yadav et al. 2010; Raghuram, Miller and Kesidis 2014, who learn
-- from names that are honest alone, as our table does); it is chosen over entropy, which cannot tell short draws from words, over lists of forbidden pairs, which one
-- unlucky brand trips, and over learned classifiers, which nobody can check by hand; and bits of independent names may be added up, which is what a burst is
-- judged by. Measured (tests/detectors/test_dga.py): from 6 bits on, 95 % of draws of 12 letters or more and three quarters of those of 5 to 11; of registrable
-- domains in Apple's list 1 %, of cloud services 4 %, of the names in TLS of 618 captures 6 %. Names made of words or syllables are not found: 0 and 31 %.
--
-- Left out are endings where made-up names are handed out: private ones of the public suffix list (a CDN's or cloud's customers), unless they are dynamic
-- DNS, which DGAs use; those in data/dga_no_names.tsv; endings that are in no public registry (data/top_level_domains.txt), since a network's own are made up
-- and whatever is asked below them looks like a domain each; and punycode, whose letters are no letters.

local lunette = require "lunette"
local cloud = require("cloud").load(lunette)
local names = require "lunette.names"

local drawn_names = {}

local DRAWN = 6    -- bits
local LEAST = 5    -- letters; a shorter label is drawn too easily by an owner of taste
local MOST = 25    -- bits that one name may add, either way

-- Second levels of endings that are public: co.uk, com.au, ne.jp, gov.br.
local PUBLIC = {}
for word in ("ac asn co com con edu ed firm gen go gob gov gouv gv id in ind info int ltd me mil muni ne net nom or org plc pro res sch tm web biz"):gmatch("%S+") do
    PUBLIC[word] = true
end

local no_names, dynamic, top_level

local function load_lists()
    local list = {}
    for i, row in ipairs(lunette.tsv("dga_no_names.tsv")) do list[i] = row.ending end
    no_names, dynamic = lunette.set.domains(list), cloud.set("dynamic-dns")
    top_level = lunette.set.domains(lunette.lines("top_level_domains.txt"))
end
load_lists()

-- A customer of a service, and no domain that somebody registered.
local function is_handed_out(domain)
    local suffix = domain:match("^[^.]+%.(.+)$")
    if not suffix:find(".", 1, true) or dynamic:has(suffix) then return false end
    local second, top = suffix:match("^([^.]+)%.([^.]+)$")
    return not (second and #top == 2 and (PUBLIC[second] or #second <= 3))
end

local function hash(text)
    local sum = 2166136261
    for i = 1, #text do sum = (sum * 263 + text:byte(i)) % 4294967291 end
    return sum
end

local function look(domain)
    if not top_level:has(domain) or no_names:has(domain) or is_handed_out(domain) then return false end
    local label = domain:match("^[^.]+")
    if label:sub(1, 4) == "xn--" or label:find("[^%w%-]") then return false end
    local bits = #label < LEAST and 0 or math.max(-MOST, math.min(MOST, names.random(label)))
    return { domain = domain, label = label, bits = bits, drawn = bits >= DRAWN, length = #label, code = hash(domain) }
end

--- known: a lunette.state that may forget. of(name) → { domain, label, bits, drawn, length, code }, or nil where letters say nothing.
function drawn_names.new(known)
    local object = {}
    function object.of(name)
        local about = known:get(name)
        if about == nil then
            local domain = lunette.registrable(name)
            if domain and domain ~= name then about = known:get(domain) end -- many names of one domain: looked at once
            if about == nil then
                about = domain and look(domain) or false
                if domain then known:set(domain, about) end
            end
            known:set(name, about)
        end
        return about or nil
    end
    return object
end

return drawn_names
