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
---@field set fun(c: lunette.test.Case, tunables: table)|fun(c: lunette.test.Case, detector: string, tunables: table) sets tunables, of the first detector or of the one that is named
---@field clock fun(c: lunette.test.Case, time?: string|number): number sets the clock, "2026-05-01 12:00:00" (UTC) or seconds; returns it
---@field wait fun(c: lunette.test.Case, seconds: number) moves the clock on
---@field times fun(c: lunette.test.Case, n: integer, seconds: number, turn: fun(i: integer), how?: { jitter?: number }) n turns, one each so many seconds; jitter is a share of them, 0 to 1
---@field meanwhile fun(c: lunette.test.Case, what: fun()) what is done in it begins now, and the clock comes back
---@field home fun(c: lunette.test.Case, ...: string) the home networks, CIDR blocks
---@field configuration fun(c: lunette.test.Case, address: string?, audit: table) what lunette.audit tells of the Mac with this address; without one, of the only Mac there is
---@field host fun(c: lunette.test.Case, ip: string, how?: { ttl?: integer }): lunette.test.Host a machine that talks
---@field event fun(c: lunette.test.Case, kind: string, fields: table) an event of the schema, made without packets
---@field capture fun(c: lunette.test.Case, ...: string|{host_log: string|string[]}) plays a capture, or several merged; host_log names the Mac's own logs, as --host-log does; the clock goes on from its end
---@field expect fun(c: lunette.test.Case, alert: lunette.test.Alert) one alert (or `times`) that has these fields
---@field expect_none fun(c: lunette.test.Case) no alert
---@field ignore fun(c: lunette.test.Case, alert: lunette.test.Alert) alerts like this one may be there
---@field report fun(c: lunette.test.Case, report: lunette.test.Report) a report that has these
---@field fact fun(c: lunette.test.Case, fact: lunette.test.Fact) a fact that has these, as it stands at the end; others may be there

---@alias lunette.test.Text string|lunette.test.Matcher
---@alias lunette.test.Number number|lunette.test.Matcher

---@class lunette.test.Alert
---@field title? lunette.test.Text
---@field severity? "high"|"medium"|"low"|"info"
---@field who? lunette.test.Text
---@field where? lunette.test.Text
---@field why? lunette.test.Text
---@field next? lunette.test.Text
---@field category? lunette.test.Text
---@field attack? lunette.test.Text
---@field detector? lunette.test.Text
---@field score? lunette.test.Number
---@field confidence? lunette.test.Number
---@field repeats? lunette.test.Number
---@field time? string|lunette.test.Number
---@field evidence? table those that are named must be there; there may be more
---@field times? integer how often it comes, 1 if it is left out

---@class lunette.test.Report
---@field title? lunette.test.Text
---@field detector? lunette.test.Text
---@field note? lunette.test.Text
---@field columns? string[]
---@field rows? table[] all of them, in order

---@class lunette.test.Fact
---@field host? lunette.test.Text
---@field topic? lunette.test.Text
---@field text? lunette.test.Text|string[] lines, with \n between them
---@field detector? lunette.test.Text
---@field details? table those that are named must be there; there may be more

---@class lunette.test.Host
---@field ip string
---@field dns fun(host: lunette.test.Host, options: lunette.test.Dns) a question and its answer
---@field tls fun(host: lunette.test.Host, options: lunette.test.Tls) a connection with handshake and application data
---@field http fun(host: lunette.test.Host, options: lunette.test.Http) a request and its response
---@field tcp fun(host: lunette.test.Host, options: lunette.test.Tcp) a connection that carries bytes of one's own
---@field udp fun(host: lunette.test.Host, options: lunette.test.Udp) datagrams
---@field ping fun(host: lunette.test.Host, options: lunette.test.Ping) echo requests and replies
---@field ntp fun(host: lunette.test.Host, options: lunette.test.Ntp) a request to a clock, and its reply
---@field ssh fun(host: lunette.test.Host, options: lunette.test.Ssh) both banners and KEXINITs, then bytes

--- Bytes: a string, or how many of no meaning.
---@alias lunette.test.Bytes string|integer

---@class lunette.test.Turn
---@field [1] "client"|"server"
---@field [2] lunette.test.Bytes
---@field after? number seconds before it

---@class lunette.test.Dns
---@field name string
---@field type? string|integer "A", "TXT", 65 …; by default what is given below
---@field a? string|string[]
---@field aaaa? string|string[]
---@field cname? string|string[] the chain of aliases, before the rest
---@field txt? string|string[]
---@field mx? string|string[] "10 mail.example.com"
---@field ns? string|string[]
---@field ptr? string|string[]
---@field srv? string|string[] "priority weight port target"
---@field rcode? string "NOERROR", "NXDOMAIN" …
---@field ttl? integer
---@field server? string by default the first address of the host's network
---@field port? integer
---@field from? integer
---@field rtt? number
---@field answer? boolean false: there is none
---@field id? integer
---@field over? "udp"|"tcp"

---@class lunette.test.Connection
---@field to string
---@field port? integer
---@field from? integer the client's port; by default the next
---@field rtt? number seconds, 0.02 by default
---@field open? "yes"|"refused"|"silent"
---@field close? "fin"|"server"|"rst"|"none"

---@class lunette.test.Tcp: lunette.test.Connection
---@field port integer
---@field say? lunette.test.Turn[]

---@class lunette.test.Tls: lunette.test.Connection
---@field sni? string
---@field version? "1.3"|"1.2"|"1.1"|"1.0"
---@field alpn? string|string[]
---@field stack? "mac"|"go" whose ClientHello
---@field ciphers? integer[] offered
---@field versions? integer[] supported_versions
---@field cipher? integer agreed
---@field out? lunette.test.Bytes application data the client sends, then
---@field back? lunette.test.Bytes the server
---@field after? number seconds the server takes for it
---@field say? lunette.test.Turn[] instead of out and back
---@field certificate? { subject?: string, issuer?: string, names?: string[], from?: string|number, to?: string|number, serial?: integer } of 1.2 and before
---@field hello? "both"|"client" the client's only: nobody answers

---@class lunette.test.Http: lunette.test.Connection
---@field host? string
---@field method? string
---@field path? string
---@field agent? string
---@field type? string Content-Type of the request
---@field headers? table a list of { name, value }, or from names to values
---@field body? lunette.test.Bytes
---@field status? integer
---@field reason? string
---@field response? lunette.test.Bytes its body
---@field response_type? string
---@field response_headers? table
---@field answer? boolean false: there is none
---@field after? number seconds the server takes

---@class lunette.test.Udp
---@field to string
---@field port integer
---@field from? integer
---@field say lunette.test.Turn[]
---@field rtt? number

---@class lunette.test.Ping
---@field to string
---@field times? integer
---@field every? number
---@field data? lunette.test.Bytes by default what a Mac's ping sends
---@field reply? boolean|string false: there is none; a string: that instead of the echo
---@field id? integer
---@field rtt? number

---@class lunette.test.Ntp
---@field to string
---@field stratum? integer
---@field reference? string
---@field answer? boolean
---@field from? integer
---@field rtt? number

---@class lunette.test.Ssh: lunette.test.Connection
---@field client? string its banner
---@field server? string
---@field out? lunette.test.Bytes
---@field back? lunette.test.Bytes
---@field after? number
---@field say? lunette.test.Turn[]

return test
