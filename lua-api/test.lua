--- The module of test files: `local t = require "lunette.test"`. A file NAME_test.lua says what the detector NAME.lua must
--- find in traffic that the test makes up, and what it must leave alone. `lunette test` runs it.
local inside = ...
local options = inside.options

---@class lunette.test
local test = {}

--- Names the detectors under test, files beside this one. Without it NAME_test.lua tests NAME.lua. Holds for the cases
--- that follow; no other scripts of the folder are loaded.
---@param ... string
function test.detector(...)
    local names = { ... }
    if type(names[1]) == "table" then names = names[1] end
    names = options.read("t.detector", { names = names }, { names = { "texts" } }).names
    if #names == 0 then options.fail("t.detector: a file's name is expected") end
    inside.named = names
end

--- Declares a case. The function is called with `c`, which makes traffic and says what is expected; each case has
--- detectors, and a run of this file, of its own.
---@param name string
---@param body fun(c: lunette.test.Case)
function test.case(name, body)
    if type(name) ~= "string" or name == "" then
        options.fail("t.case: the case's name is expected first, got %s", options.describe(name))
    end
    if type(body) ~= "function" then options.fail("t.case: a function is expected second, got %s", options.describe(body)) end
    inside.cases[#inside.cases + 1] = { name = name, body = body, line = options.line(), detectors = inside.named }
end

--- A text in which the Lua pattern is found.
---@param pattern string
---@return lunette.test.Matcher
function test.like(pattern) return inside.judge.like(pattern) end

--- A text in which this one is found, as it stands.
---@param text string
---@return lunette.test.Matcher
function test.contains(text) return inside.judge.contains(text) end

--- A number not further away than the tolerance (one percent if it is left out).
---@param value number
---@param tolerance? number
---@return lunette.test.Matcher
function test.near(value, tolerance) return inside.judge.near(value, tolerance) end

---@class lunette.test.Matcher

---@class lunette.test.Case
---@field set fun(c: lunette.test.Case, tunables: table) sets tunables of the first detector; with a name before the table, of that one
---@field clock fun(c: lunette.test.Case, time?: string|number): number sets the clock, "2026-05-01 12:00:00" (UTC) or seconds; returns it
---@field wait fun(c: lunette.test.Case, seconds: number) moves the clock on
---@field times fun(c: lunette.test.Case, n: integer, seconds: number, turn: fun(i: integer), how?: { jitter?: number }) n turns, one each so many seconds
---@field meanwhile fun(c: lunette.test.Case, what: fun()) does something without the clock moving on
---@field home fun(c: lunette.test.Case, ...: string) the home networks, CIDR blocks
---@field host fun(c: lunette.test.Case, ip: string, how?: { ttl?: integer }): lunette.test.Host a machine that talks
---@field event fun(c: lunette.test.Case, kind: string, fields: table) an event of the schema, made without packets
---@field capture fun(c: lunette.test.Case, ...: string) plays a capture; the clock goes on from its end
---@field expect fun(c: lunette.test.Case, alert: table) one alert (or `times`) that has these fields
---@field expect_none fun(c: lunette.test.Case) no alert
---@field ignore fun(c: lunette.test.Case, alert: table) alerts that may be there
---@field report fun(c: lunette.test.Case, report: table) a report that has these

---@class lunette.test.Host
---@field ip string
---@field dns fun(host: lunette.test.Host, options: table)
---@field tls fun(host: lunette.test.Host, options: table)
---@field http fun(host: lunette.test.Host, options: table)
---@field tcp fun(host: lunette.test.Host, options: table)
---@field udp fun(host: lunette.test.Host, options: table)
---@field ping fun(host: lunette.test.Host, options: table)
---@field ntp fun(host: lunette.test.Host, options: table)
---@field ssh fun(host: lunette.test.Host, options: table)

return test
