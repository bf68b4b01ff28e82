-- The trusted side of a test file's Lua state: a test is written by somebody as unknown as a detector's author, so it lives
-- in the same environment without doors. Returns what the engine calls, once each and in this order:
--
--   load(path)      runs the file's body, which declares cases
--   run(number)     runs the function of one case: it tells packets and events to the engine
--   judge(found)    compares what the detectors said with what the case expects
local given = ...
local host = given.host

local function internal(name, ...) return assert(load(host.embedded(name), "=" .. name, "t"))(...) end
local environment = internal("environment.lua")()

local folder = given.path:match("^(.*)/[^/]*$") or "."
local inside = {
    host = host, debug = debug, chunk = given.chunk, source = "=" .. given.chunk, nearest = internal("nearest.lua"),
    cases = {}, detectors = {},
}

-- A file that a test names: beside the test, unless its path begins at the root.
function inside.beside(name, other_folder)
    if name:sub(1, 1) == "/" then return name end
    return (other_folder or folder) .. "/" .. name
end
function inside.detector_path(name) return inside.beside(name, given.scripts) end

inside.options = internal("test-options.lua")(inside)
inside.judge = internal("test-judge.lua")(inside)
inside.tcp = internal("test-tcp.lua")(inside)
inside.udp = internal("test-datagrams.lua")(inside)
inside.dns = internal("test-dns.lua")(inside)
inside.tls = internal("test-tls.lua")(inside)
inside.clear = internal("test-clear.lua")(inside)
internal("test-case.lua")(inside)
local test = internal("unknown.lua")(inside).seal("lunette.test", internal("test.lua", inside))

environment.print = function(...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    host.log(table.concat(words, " "))
end
environment.require = function(name)
    if name == "lunette.test" then return test end
    error("require: a test has lunette.test, and nothing else", 2)
end

-- The usual detector of NAME_test.lua.
local function usual_detector()
    local name = given.path:match("([^/]*)$"):match("^(.+)_test%.lua$")
    return name and { name .. ".lua" }
end

-- Runs a function of the author's; what it raises is told with its line.
local function guarded(what, ...)
    local failed_line
    local ok, message = xpcall(what, function(message)
        failed_line = inside.options.line()
        if type(message) ~= "string" then message = "(error object is a " .. type(message) .. ")" end
        return message
    end, ...)
    if ok then return true end
    local own, rest = message:match("^" .. given.chunk:gsub("%p", "%%%0") .. ":(%d+): (.*)$")
    host.verdict("error", tonumber(own) or failed_line or 0, rest or message)
    return false
end

local calls = {}

function calls.load(path)
    local file, why = io.open(path, "rb")
    local source
    if file then
        source, why = file:read("*a")
        file:close()
    end
    if not source then
        host.verdict("error", 0, "the test file cannot be read: " .. tostring(why))
        return
    end
    local body, message = load(source, inside.source, "t", environment)
    if not body then
        local line, rest = message:match("^.-:(%d+): (.*)$")
        host.verdict("error", tonumber(line) or 0, rest or message)
        return
    end
    if not guarded(body) then return end
    local label = path:match("([^/]*)$"):gsub("%.lua$", ""):gsub("_test$", "")
    for _, case in ipairs(inside.cases) do
        local detectors = case.detectors or usual_detector()
        if not detectors then
            host.verdict("error", case.line, "which detector is tested? Say t.detector \"NAME.lua\", or call the file NAME_test.lua")
            return
        end
        case.detectors = detectors
        for _, name in ipairs(detectors) do host.tested(inside.detector_path(name)) end
        host.case(case.name, label, case.line)
    end
end

function calls.run(number)
    local entry, case = inside.cases[number], inside.case
    case.line = entry.line
    inside.detectors = entry.detectors
    for _, name in ipairs(entry.detectors) do host.detector(inside.detector_path(name)) end
    if not guarded(entry.body, case.handle) then return end
    for _, setting in ipairs(case.settings) do host.setting(setting[1], setting[2], setting[3], setting[4]) end
    if case.home then host.home(case.home) end
    host.finish(math.max(case.clock, case.last))
end

function calls.judge(found)
    local failures = inside.judge.verdict(inside.case, found)
    for _, failure in ipairs(failures) do host.verdict("failure", failure[1], failure[2]) end
end

return calls
