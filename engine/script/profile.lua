-- What a profile needs from inside a detector's state: numbers for its handlers, and an ear at the compiler.
--
-- LuaJIT tells when it begins a trace, finishes one, or gives one up (an abort). After some aborts at one place it gives
-- that place up for good and marks its bytecode; those marks are looked for at the end. Each abort is told at the line of the
-- script that was being compiled, be it that the reason lies in something the engine's own Lua did for it. So is garbage
-- collection: an object that is found dead in each collection counts them.
local inside = ...
local jit, debug, host = inside.jit, inside.debug, inside.host
local util = require "jit.util"
local has_names, vmdef = pcall(require, "jit.vmdef")
local MOST = 1000 -- places that are remembered

local profile = { enter = inside.api.profile_enter, leave = inside.api.profile_leave,
    detector = inside.ffi.cast("struct lunette_detector *", host.detector) }

-- A number under which a handler's calls are counted; the same for the same function and event.
local slots = {}
local known = setmetatable({}, { __mode = "k" }) -- function → what → number
function profile.slot(what, handler)
    local of = known[handler]
    if not of then
        of = {}
        known[handler] = of
    end
    if not of[what] then
        local where = debug.getinfo(handler, "S")
        local place = where.short_src .. ":" .. where.linedefined
        local key = what .. " " .. place
        slots[key] = slots[key] or host.profile_slot(what, place)
        of[what] = slots[key]
    end
    return of[what]
end

-- Around a call that no loop was generated for.
function profile.begin(what, handler) profile.enter(profile.detector, profile.slot(what, handler)) end
function profile.done() profile.leave(profile.detector) end

-- ---------------------------------------------------------------- aborts

local function opcode_name(code) return vmdef.bcnames:sub(code * 6 + 1, code * 6 + 6):gsub("%s+$", "") end

local function function_name(func)
    local info = util.funcinfo(func)
    if info.ffid and vmdef.ffnames[info.ffid] then return vmdef.ffnames[info.ffid] end
    return info.loc or "a function of the engine's"
end

local function reason_of(code, info)
    if not has_names or type(code) ~= "number" or not vmdef.traceerr[code] then return "error " .. tostring(code) end
    local form = vmdef.traceerr[code]
    if type(info) == "function" then info = function_name(info) end
    if form:find("bytecode") and type(info) == "number" then
        form, info = form:gsub("%%d", "%%s"), opcode_name(info)
    end
    local ok, text = pcall(string.format, form, info)
    return ok and text or form
end

-- The first line of the script's on the stack, counted from the callback's caller.
local function script_line()
    for level = 3, 40 do
        local info = debug.getinfo(level, "Sl")
        if not info then return nil end
        if inside.trace.is_of_script(info.source) and info.currentline > 0 then
            return info.short_src .. ":" .. info.currentline
        end
    end
end

-- Is that lunette's code, and no line of the script's?
local function is_own(source) return not inside.trace.is_of_script(source) end

local aborts, by_key, seen = {}, {}, setmetatable({}, { __mode = "k" })

local function note_abort(func, pc, code, info)
    local where = util.funcinfo(func, pc)
    local line = script_line()
    local own = not line and is_own(where.source)
    local at = line or where.loc or "?"
    local reason = reason_of(code, info)
    local key = at .. " " .. reason
    local abort = by_key[key]
    if not abort then
        if #aborts >= MOST then return end
        abort = { at = at, reason = reason, times = 0, own = own }
        aborts[#aborts + 1], by_key[key] = abort, abort
    end
    abort.times = abort.times + 1
end

local function on_trace(what, _, func, pc, code, info)
    if func then seen[func] = true end
    if what == "abort" then pcall(note_abort, func, pc, code, info) end
end
jit.off(on_trace, true)
jit.off(note_abort, true)
jit.off(script_line, true)
jit.attach(on_trace, "trace")

-- ---------------------------------------------------------------- what stays interpreted

local MARKS = { ILOOP = "loop", IFORL = "loop", IITERL = "loop", IFUNCF = "function", IFUNCV = "function" }

local function look_at(func, found, done)
    if done[func] or not pcall(util.funcinfo, func) then return end
    done[func] = true
    local info = util.funcinfo(func)
    if not info.bytecodes then return end
    for pc = 0, info.bytecodes do
        local code = util.funcbc(func, pc)
        local what = code and MARKS[opcode_name(inside.bit.band(code, 0xff))]
        if what and #found < MOST then
            local source = (info.source or "?"):gsub("^[=@]", "")
            local line = what == "loop" and util.funcinfo(func, pc).currentline or info.linedefined
            found[#found + 1] = { at = source .. ":" .. tostring(line), what = what, own = is_own(info.source) }
        end
    end
    for k = -1, -(info.gcconsts or 0), -1 do
        local constant = util.funck(func, k)
        if type(constant) == "proto" then look_at(constant, found, done) end
    end
end

local function interpreted()
    local found, done = {}, {}
    if has_names then
        for func in next, seen do look_at(func, found, done) end
    end
    return found
end

-- ---------------------------------------------------------------- collections

local collections = -1 -- the first is this file's own
local function watch_collections()
    collections = collections + 1
    local sentinel = newproxy(true)
    debug.getmetatable(sentinel).__gc = watch_collections
end
watch_collections()

function profile.traces()
    jit.attach(on_trace)
    return { aborts = aborts, interpreted = interpreted(), collections = collections }
end

return profile
