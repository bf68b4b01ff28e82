-- The module that detectors get by require "lunette". What each function takes and gives is told in lua-api/README.md;
-- here they are only gathered, so that this file is the list of all there is. The comments with three dashes are for editors:
-- `lunette events --stubs` prints them (stubs.lua), and a function without one fails a test.
local inside = ...
local api, host, feed = inside.api, inside.host, inside.feed

---@class lunette
local lunette = {}

---@alias lunette.Severity "high"|"medium"|"low"|"info"
---@alias lunette.Key string|number

-- Declaring
---Says what the detector is. Once, when the script is loaded.
---@param declaration { title?: string, category?: string, attack?: string|string[] }
lunette.detector = inside.alerts.detector

---Defaults that `--set NAME.key=value` overrides; returns the values in force.
---@generic T: table
---@param defaults T
---@return T
lunette.tunables = inside.alerts.tunables

-- Events

---Bytes of an event; good only while its handler runs. Places count from 1.
---@class lunette.Slice
---@operator len: integer
---@field u8 fun(self: lunette.Slice, i: integer): integer? The byte, nil beyond the end
---@field u16be fun(self: lunette.Slice, i: integer): integer? Big-endian; nil beyond the end
---@field u32be fun(self: lunette.Slice, i: integer): integer? Big-endian; nil beyond the end
---@field find fun(self: lunette.Slice, text: string, from?: integer): integer? Where the text stands, no pattern
---@field starts fun(self: lunette.Slice, text: string): boolean
---@field tostring fun(self: lunette.Slice, from?: integer, to?: integer): string
---@field hex fun(self: lunette.Slice): string

---Runs the handler for each event of that kind; with a filter, for those that it lets through. When the script is loaded.
---@param kind lunette.EventKind
---@param filter table conditions, all of which must hold: field = value, a list of values, or a set
---@param handler fun(e: lunette.Event)
lunette.on = inside.dispatch.on

---Runs the handler when the capture is over.
---@param handler fun(now: number)
lunette.on_end = inside.dispatch.on_end

---@alias lunette.EventField "str"|"bool"|"ip"|"u8"|"u16"|"u32"|"u64"|"f64"|"time"|"list"

---Declares an event of the script's own: "command" in redis.lua is heard by others as "redis.command". When the script is loaded.
---@param name string
---@param fields table<string, lunette.EventField>
---@param doc? string one line on what it is
lunette.event = inside.events.declare

---Emits an event that the script declared, in a handler, a parser or a timer. False if it is lost: too many at once.
---@param name string without the script's own
---@param fields? table<string, any> by name; what is left out is absent, or zero
---@return boolean
lunette.emit = inside.events.emit

---What reads the bytes of one side, in order and without holes. Waits until there are enough. Numbers are unsigned.
---@class lunette.Reader
---@field need fun(self: lunette.Reader, n: integer) Waits until n bytes are there
---@field u8 fun(self: lunette.Reader): integer
---@field u16be fun(self: lunette.Reader): integer
---@field u16le fun(self: lunette.Reader): integer
---@field u24be fun(self: lunette.Reader): integer
---@field u24le fun(self: lunette.Reader): integer
---@field u32be fun(self: lunette.Reader): integer
---@field u32le fun(self: lunette.Reader): integer
---@field u64be fun(self: lunette.Reader): number Exact to 2^53
---@field u64le fun(self: lunette.Reader): number
---@field bytes fun(self: lunette.Reader, n: integer): string
---@field skip fun(self: lunette.Reader, n: integer)
---@field upto fun(self: lunette.Reader, text: string, limit?: integer): string What stands before the text, which is taken too
---@field line fun(self: lunette.Reader, limit?: integer): string Ends in a line feed; that and a carriage return before it are cut off
---@field peek fun(self: lunette.Reader, n: integer): string Bytes that are not taken
---@field rest fun(self: lunette.Reader): string Everything up to the end of the flow, of the datagram, or of what within gave
---@field within fun(self: lunette.Reader, n: integer, f: fun(r: lunette.Reader, ...): any, ...): boolean, any Lets f read the next n bytes and none behind them; false if it wanted more
---@field stop fun(self: lunette.Reader) Ends the parser, from within any function
---@field available fun(self: lunette.Reader): integer Bytes that are there: decide nothing by it
---@field position fun(self: lunette.Reader): integer Bytes taken so far

---The flow that a stream's functions are about.
---@class lunette.StreamFlow
---@field client_ip string
---@field client_port integer
---@field server_ip string
---@field server_port integer
---@field flow_id integer
---@field flow_slot integer
---@field midstream boolean The flow's beginning was not seen
---@field time number Packet time of the bytes at hand
---@field state table The script's own, for the flow

---@class lunette.Stream
---@field name? string By default the detector's
---@field ports? integer[] The server's
---@field starts? { client?: string|string[], server?: string|string[] } How the first bytes of a side begin
---@field transport? "tcp"|"udp" By default "tcp"
---@field limit? integer Bytes that may wait for a parser, for each side
---@field flows? integer Flows at once
---@field client? fun(r: lunette.Reader, s: lunette.StreamFlow)
---@field server? fun(r: lunette.Reader, s: lunette.StreamFlow)
---@field closed? fun(s: lunette.StreamFlow, reason: string) Reasons: end, gap, limit, error

---Parses a protocol of one's own: a function for what each side sends, run in a coroutine for each flow. When the script is
---loaded.
---@param stream lunette.Stream
lunette.stream = inside.stream

-- Gathering over workers

---Hands a value to the stage that gathers over all workers, in a worker's handler.
---@param key lunette.Key
---@param value any strings, numbers, booleans, tables of them
lunette.send = inside.gathering.send

---The body of the stage that gathers: one for all workers. When the script is loaded.
---@param body fun()
lunette.gather = inside.gathering.gather

---Inside lunette.gather: runs the handler for what workers sent, in the order of time.
---@param handler fun(key: lunette.Key, value: any, time: number)
lunette.receive = inside.gathering.receive

---An alert of another detector, as lunette.receive_alerts gives it. The texts of the first line are there always, "" if
---nothing was said; what is below `evidence` only if the alert was raised about an event.
---@class lunette.HeardAlert
---@field detector string
---@field title string
---@field severity lunette.Severity
---@field who string
---@field where string
---@field why string
---@field next string
---@field category string
---@field attack string ATT&CK ids, with commas between them
---@field time number
---@field score? number
---@field confidence? number
---@field evidence? table a copy; nil if it was too large
---@field client_ip? string
---@field server_ip? string
---@field server_port? number
---@field server_name? string if the event has it
---@field flow_id? number
---@field iface? string
---@field partial? string
---@field program? string
---@field path? string
---@field ancestry? string
---@field pid? number

---Inside lunette.gather: runs the handler for each alert of the other detectors, of all workers, in the order of time.
---@param handler fun(alert: lunette.HeardAlert)
lunette.receive_alerts = inside.gathering.receive_alerts

-- Time

---Runs the function each time so many seconds are over, by the packets' clock.
---@param seconds number
---@param handler fun(now: number)
lunette.every = inside.clock.every

---Runs the function once, when so many seconds are over, by the packets' clock.
---@param seconds number
---@param handler fun(now: number)
lunette.after = inside.clock.after

---The packets' clock, seconds since 1970; 0 before the first packet.
---@return number
function lunette.now() return feed.now end

-- State

---A part of a key: a string or a number, or an event, behind which names of its fields follow.
---@alias lunette.KeyPart lunette.Key|lunette.Event

---A bounded map from strings or numbers to any value. What was not used for long gives way. A key may be made of up to four parts:
---strings and numbers first, then an event and names of its fields.
---@class lunette.State
---@field get fun(self: lunette.State, key: lunette.KeyPart, ...: lunette.KeyPart): any The value, nil if there is none
---@field set fun(self: lunette.State, key: lunette.KeyPart, ...: any) The key, or its parts, and the value; nil deletes
---@field delete fun(self: lunette.State, key: lunette.KeyPart, ...: lunette.KeyPart)
---@field count fun(self: lunette.State): integer
---@field evicted fun(self: lunette.State): integer Entries that gave way
---@field each fun(self: lunette.State): fun(): lunette.Key, any

---Declares a state, which outlives reloads and restarts. When the script is loaded.
---@param name string
---@param options { max: integer, ttl?: number, keep?: boolean|"reload", version?: integer, migrate?: fun(value: any, version: integer, key: lunette.Key): any }
---@return lunette.State
lunette.state = inside.store.state

---Fields are read and written by their names, elements of arrays by at and put. Good until the next make.
---@class lunette.Record
---@field [string] number|boolean
---@field at fun(self: lunette.Record, field: string, i: integer): number|boolean The element, i from 0
---@field put fun(self: lunette.Record, field: string, i: integer, value: number|boolean)

---A bounded map from strings or numbers to records of one shape, outside the garbage collector. Keys are as in lunette.State.
---@class lunette.Records
---@field get fun(self: lunette.Records, key: lunette.KeyPart, ...: lunette.KeyPart): lunette.Record?
---@field make fun(self: lunette.Records, key: lunette.KeyPart, ...: lunette.KeyPart): lunette.Record, boolean The record, and whether it is new
---@field delete fun(self: lunette.Records, key: lunette.KeyPart, ...: lunette.KeyPart)
---@field count fun(self: lunette.Records): integer
---@field evicted fun(self: lunette.Records): integer Entries that gave way
---@field size fun(self: lunette.Records): integer Bytes of a record
---@field each fun(self: lunette.Records): fun(): lunette.Key, lunette.Record

---Declares records. A field is "u8", "u16", "u32", "u64", "f32", "f64", "time", "bool", or an array like "u16[80]".
---@param name string
---@param options { max: integer, ttl?: number, keep?: boolean|"reload", fields: table<string, string>, version?: integer, migrate?: fun(record: lunette.Record, version: integer, key: lunette.Key): boolean? }
---@return lunette.Records
lunette.records = inside.records

---Fields that each flow has, for as long as it lives.
---@class lunette.FlowState
---@field of fun(self: lunette.FlowState, e: lunette.Event|lunette.StreamFlow): lunette.Record? Zero (false) at first; nil if the event belongs to no flow
---@field size fun(self: lunette.FlowState): integer Bytes of a flow

---Declares fields that each flow has, of the types of lunette.records. When the script is loaded.
---@param fields table<string, string>
---@return lunette.FlowState
lunette.flow_state = inside.flow_state

-- Sets and data

---@class lunette.Set
---@field size integer Entries of the list it was made of
---@field has fun(self: lunette.Set, value: string|lunette.Event|nil, field?: string): boolean A string, or an event and the name of its field
---@field find fun(self: lunette.Set, value: string|lunette.Event|nil, field?: string): integer? The entry's place in the list

lunette.set = {}

---Names with what is below them; "=name" that name alone, "-ending" whatever ends so.
---@param list string[]
---@return lunette.Set
lunette.set.domains = inside.sets.make.domains

---Addresses and CIDR blocks.
---@param list string[]
---@return lunette.Set
lunette.set.prefixes = inside.sets.make.prefixes

---Strings as they are.
---@param list string[]
---@return lunette.Set
lunette.set.strings = inside.sets.make.strings

---Reads a tab-separated table with a header line from the folder data/ beside the script.
---@param file string
---@return table<string, string>[] rows
lunette.tsv = inside.sets.tsv

---Reads the lines of a file in the folder data/ beside the script; # begins a comment.
---@param file string
---@return string[]
lunette.lines = inside.sets.lines

-- Names and addresses. A name is lower case and without the dot at its end for the public suffix list.
local function name_of(what, value)
    if type(value) ~= "string" then error("lunette." .. what .. ": a string is expected, got " .. type(value), 3) end
    value = value:lower()
    return value:byte(-1) == 46 and value:sub(1, -2) or value
end

---eTLD+1 by the public suffix list; nil for a public suffix and for an address.
---@param name string
---@return string? domain
function lunette.registrable(name)
    name = name_of("registrable", name)
    local at = api.registrable(name, #name)
    return at >= 0 and name:sub(at + 1) or nil
end

---The public suffix; nil for an address.
---@param name string
---@return string? suffix
function lunette.suffix(name)
    name = name_of("suffix", name)
    local at = api.public_suffix(name, #name)
    return at >= 0 and name:sub(at + 1) or nil
end

inside.suffixes = { registrable = lunette.registrable, suffix = lunette.suffix } -- for lunette.names

---Is it the text of an IPv4 or IPv6 address?
---@param value any
---@return boolean
function lunette.is_address(value)
    return type(value) == "string" and api.is_address(value, #value) ~= 0
end

-- Alerts and reports

---@class lunette.Alert
---@field title? string By default the detector's
---@field severity? lunette.Severity By default "medium"
---@field who? string
---@field where? string
---@field why? string
---@field next? string
---@field evidence? table Figures, strings, and lists and tables of them
---@field key? any Goes with cooldown
---@field cooldown? number Seconds; goes with key
---@field score? number
---@field confidence? number 0 to 1
---@field attack? string|string[]
---@field category? string

---Raises an alert.
---@param alert lunette.Alert
---@return boolean told false if the cooldown held it back
lunette.alert = inside.alerts.alert

---A table for the summary; ">name" sets a column flush right.
---@param report { title?: string, columns: string[], rows: any[][], note?: string }
lunette.report = inside.alerts.report

---What the detector knows of a host, for the host's card: who it is, which phase it is in. It takes the place of what
---was told before of the same host and topic.
---@param host string address
---@param topic string up to 32 small letters, digits, spaces, _ and -
---@param text string|string[]|nil a line or several, 1024 bytes in all; nil takes it back
---@param details? table<string, any> what the record has beside the text, as evidence; 4 KiB as JSON
lunette.fact = inside.alerts.fact

---What this worker was given, and what could not be seen: in timers as it was at the last whole minute, in on_end all of
---it. The workers' sums are the capture's. Not in handlers, nor where messages are gathered.
---@return { packets: number, bytes: number, cut: number, undecoded: number, dropped: number, interface_dropped: number }
function lunette.capture() return inside.alerts.capture() end

---What a Mac's own files say (`lunette audit ROOT --json`, given with --audit): a fresh table, which is dear: keep it. Of the host with
---this address (IP, or hardware), nil if none was given for it; without an address the only audit of all, if nobody said whose it is.
---@param address? string
---@return table?
function lunette.audit(address)
    if address ~= nil and type(address) ~= "string" then
        error("lunette.audit: an address is expected, got " .. type(address), 2)
    end
    return host.audit(address)
end

---A line on standard error, at most 100 a detector.
---@param text any
function lunette.log(text) host.log(tostring(text)) end

return lunette
