-- The API as annotations for the Lua language server. `lunette events --stubs` prints this after the classes of the events
-- and before lunette.on, whose overloads follow the schema. Nothing runs it; what functions do is told in README.md.

---@class lunette
local lunette = {}

---Bytes of an event; good only while its handler runs. Places count from 1.
---@class lunette.Slice
---@operator len: integer
local slice = {}
---@param i integer
---@return integer? byte nil beyond the end
function slice:u8(i) end
---@param i integer
---@return integer? number big-endian; nil beyond the end
function slice:u16be(i) end
---@param i integer
---@return integer? number big-endian; nil beyond the end
function slice:u32be(i) end
---@param text string found as it stands, no pattern
---@param from? integer
---@return integer? place
function slice:find(text, from) end
---@param text string
---@return boolean
function slice:starts(text) end
---@param from? integer
---@param to? integer
---@return string
function slice:tostring(from, to) end
---@return string
function slice:hex() end

---@alias lunette.Severity "high"|"medium"|"low"|"info"
---@alias lunette.Key string|number

---Said once, when the script is loaded.
---@param declaration { title?: string, category?: string, attack?: string|string[] }
function lunette.detector(declaration) end

---Defaults that `--set NAME.key=value` overrides; returns the values in force.
---@generic T: table
---@param defaults T
---@return T
function lunette.tunables(defaults) end

---@param handler fun(now: number) runs when the capture is over
function lunette.on_end(handler) end

---@param seconds number
---@param handler fun(now: number)
function lunette.every(seconds, handler) end

---@param seconds number
---@param handler fun(now: number)
function lunette.after(seconds, handler) end

---@return number seconds since 1970 by the packets' clock, 0 before the first packet
function lunette.now() end

---A bounded map from strings or numbers to any value.
---@class lunette.State
local state = {}
---@param key lunette.Key
---@return any value nil if there is none
function state:get(key) end
---@param key lunette.Key
---@param value any nil deletes
function state:set(key, value) end
---@return integer
function state:count() end
---@return integer entries that gave way
function state:evicted() end
---@return fun(): lunette.Key, any
function state:each() end

---@param name string
---@param options { max: integer, ttl?: number, keep?: boolean }
---@return lunette.State
function lunette.state(name, options) end

---Fields are read and written by their names, elements of arrays by at and put. Good until the next make.
---@class lunette.Record
---@field [string] number|boolean
local record = {}
---@param field string
---@param i integer from 0
---@return number|boolean
function record:at(field, i) end
---@param field string
---@param i integer from 0
---@param value number|boolean
function record:put(field, i, value) end

---A bounded map from strings or numbers to records of one shape, outside the garbage collector.
---@class lunette.Records
local records = {}
---@param key lunette.Key
---@return lunette.Record?
function records:get(key) end
---@param key lunette.Key
---@return lunette.Record record
---@return boolean new
function records:make(key) end
---@param key lunette.Key
function records:delete(key) end
---@return integer
function records:count() end
---@return integer entries that gave way
function records:evicted() end
---@return integer bytes of a record
function records:size() end
---@return fun(): lunette.Key, lunette.Record
function records:each() end

---@param name string
---@param options { max: integer, ttl?: number, keep?: boolean, fields: table<string, string> } a field is "u8", "u16", "u32", "u64", "f32", "f64", "time", "bool" or an array like "u16[80]"
---@return lunette.Records
function lunette.records(name, options) end

---Fields that each flow has, for as long as it lives.
---@class lunette.FlowState
local flow_state = {}
---The fields of the event's flow, zero (false) at first: good until the flow is over.
---@param e lunette.Event
---@return lunette.Record? fields nil if the event belongs to no flow
function flow_state:of(e) end
---@return integer bytes per flow
function flow_state:size() end

---@param fields table<string, string> as of lunette.records
---@return lunette.FlowState
function lunette.flow_state(fields) end

---@class lunette.Set
local set = {}
---@param value string|lunette.Event an event with the name of its field
---@param field? string
---@return boolean
function set:has(value, field) end
---@param value string|lunette.Event an event with the name of its field
---@param field? string
---@return integer? number the entry's place in the list
function set:find(value, field) end

lunette.set = {}
---Names with what is below them; "=name" that name alone, "-ending" whatever ends so.
---@param list string[]
---@return lunette.Set
function lunette.set.domains(list) end
---Addresses and CIDR blocks.
---@param list string[]
---@return lunette.Set
function lunette.set.prefixes(list) end
---@param list string[]
---@return lunette.Set
function lunette.set.strings(list) end

---@param file string in the folder data/ beside the script
---@return table<string, string>[] rows
function lunette.tsv(file) end
---@param file string in the folder data/ beside the script
---@return string[]
function lunette.lines(file) end

---@param name string
---@return string? domain eTLD+1; nil for a public suffix and for an address
function lunette.registrable(name) end
---@param name string
---@return string? suffix the public suffix; nil for an address
function lunette.suffix(name) end
---@param text any
---@return boolean
function lunette.is_address(text) end

---@class lunette.Alert
---@field title? string by default the detector's
---@field severity? lunette.Severity by default "medium"
---@field who? string
---@field where? string
---@field why? string
---@field next? string
---@field evidence? table figures, strings, and lists and tables of them
---@field key? any goes with cooldown
---@field cooldown? number seconds; goes with key
---@field score? number
---@field confidence? number 0 to 1
---@field attack? string|string[]
---@field category? string

---@param alert lunette.Alert
---@return boolean told false if the cooldown held it back
function lunette.alert(alert) end

---@param report { title?: string, columns: string[], rows: any[][], note?: string } ">name" sets a column flush right
function lunette.report(report) end

---@param text any a line on standard error
function lunette.log(text) end

