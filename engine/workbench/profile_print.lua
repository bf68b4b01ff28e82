-- The report of `lunette profile`: a table of handlers, the dearest first, what each detector holds, what the compiler could not
-- do; or all of that as JSON.
--
-- print(given): { seconds, top, json, detectors = list of { name, path, events, errors, last_error, memory, seconds, measuring, traces =
-- text of script/profile.h, handlers = list of { event, at, calls, seconds, bytes } } }.
local json, reasons = ...
local MOST_ABORTS = 10 -- places of a detector in the table

local function clean(text) return (tostring(text):gsub("%c", "?")) end

local function traces_of(detector)
    local chunk = detector.traces and load(detector.traces, "=traces", "t", {})
    local ok, traces = pcall(chunk or error)
    return ok and traces or { aborts = {}, interpreted = {} }
end

local function grouped(number)
    local text = ("%.0f"):format(number)
    local rest = #text % 3
    local with_commas = text:sub(1, rest) .. text:sub(rest + 1):gsub("(%d%d%d)", ",%1")
    return (with_commas:gsub("^,", ""))
end

local function time_text(seconds)
    if seconds < 1e-3 then return ("%.1f us"):format(seconds * 1e6) end
    if seconds < 1 then return ("%.1f ms"):format(seconds * 1e3) end
    return ("%.2f s"):format(seconds)
end

local function percent(part, whole) return whole > 0 and ("%.1f %%"):format(100 * part / whole) or "-" end

local function width(text) return select(2, text:gsub("[^\128-\191]", "")) end

-- Rows under a head; columns whose head begins with ">" are flush right.
local function add_table(lines, head, rows)
    local widths = {}
    for c, title in ipairs(head) do widths[c] = width((title:gsub("^>", ""))) end
    for _, row in ipairs(rows) do
        for c, cell in ipairs(row) do widths[c] = math.max(widths[c], width(cell)) end
    end
    local function add(row)
        local cells = {}
        for c, cell in ipairs(row) do
            local space = (" "):rep(widths[c] - width(cell))
            cells[c] = head[c]:sub(1, 1) == ">" and space .. cell or cell .. space
        end
        lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
    end
    local titles = {}
    for c, title in ipairs(head) do titles[c] = title:gsub("^>", "") end
    add(titles)
    for _, row in ipairs(rows) do add(row) end
end

-- A place without the folder of its detector.
local function short(at, detector)
    local folder = detector.path:match("^(.*/)") or ""
    return clean(at:sub(1, #folder) == folder and at:sub(#folder + 1) or at)
end

-- A detector has two parts if it gathers.
local function title(detector) return clean(detector.name) .. (detector.stage == "gather" and " (gathers)" or "") end

local function by_time(a, b)
    if a.seconds ~= b.seconds then return a.seconds > b.seconds end
    if a.at ~= b.at then return a.at < b.at end
    return a.event < b.event
end

-- Figures that follow from others, and lists in order.
local function complete(given)
    local sums = { scripts = 0, handlers = 0, measuring = 0, calls = 0 }
    for _, detector in ipairs(given.detectors) do
        local traces = traces_of(detector)
        detector.traces = nil
        detector.aborts, detector.interpreted = traces.aborts, traces.interpreted
        detector.collections = traces.collections
        table.sort(detector.aborts, function(a, b)
            if a.times ~= b.times then return a.times > b.times end
            return a.at .. a.reason < b.at .. b.reason
        end)
        table.sort(detector.interpreted, function(a, b) return a.at .. a.what < b.at .. b.what end)
        local own = 0
        for _, handler in ipairs(detector.handlers) do
            own, sums.calls = own + handler.seconds, sums.calls + handler.calls
        end
        -- The readings are no work of the detector's.
        detector.seconds = math.max(detector.seconds - detector.measuring, own)
        detector.dispatch_seconds = detector.seconds - own
        sums.scripts, sums.handlers = sums.scripts + detector.seconds, sums.handlers + own
        sums.measuring = sums.measuring + detector.measuring
    end
    sums.engine = math.max(given.seconds - sums.scripts - sums.measuring, 0)
    return sums
end

local function as_json(given, sums)
    local out = { seconds = given.seconds, engine_seconds = sums.engine, script_seconds = sums.scripts,
        measuring_seconds = sums.measuring, detectors = given.detectors }
    given.detectors.is_list = true
    for _, detector in ipairs(given.detectors) do
        table.sort(detector.handlers, by_time)
        for _, handler in ipairs(detector.handlers) do
            handler.share = sums.scripts > 0 and handler.seconds / sums.scripts or 0
        end
        if detector.errors == 0 then detector.last_error = nil end
        detector.handlers.is_list, detector.aborts.is_list, detector.interpreted.is_list = true, true, true
    end
    return json(out) .. "\n"
end

local function add_handlers(lines, given, sums)
    local all, rows = {}, {}
    for _, detector in ipairs(given.detectors) do
        for _, handler in ipairs(detector.handlers) do
            handler.detector = detector
            all[#all + 1] = handler
        end
    end
    table.sort(all, by_time)
    local shown = given.top > 0 and math.min(given.top, #all) or #all
    for i = 1, shown do
        local handler = all[i]
        local once = math.max(handler.calls, 1)
        rows[i] = { title(handler.detector), short(handler.at, handler.detector), clean(handler.event), grouped(handler.calls), time_text(handler.seconds),
            percent(handler.seconds, sums.scripts), grouped(handler.seconds / once * 1e9), grouped(handler.bytes),
            grouped(handler.bytes / once) }
    end
    add_table(lines, { "detector", "handler", "event", ">calls", ">time", ">share", ">ns/call", ">bytes", ">bytes/call" }, rows)
    if shown < #all then lines[#lines + 1] = ("and %d more handlers"):format(#all - shown) end
end

local function add_detectors(lines, given)
    local rows = {}
    for i, detector in ipairs(given.detectors) do
        local aborts = 0
        for _, abort in ipairs(detector.aborts) do aborts = aborts + abort.times end
        rows[i] = { title(detector), grouped(detector.events), time_text(detector.seconds), time_text(detector.dispatch_seconds),
            ("%.1f MiB"):format(detector.memory / 1048576), detector.collections and grouped(detector.collections) or "-",
            grouped(aborts), grouped(detector.errors) }
    end
    add_table(lines, { "detector", ">events", ">time", ">its dispatch", ">memory", ">collections", ">aborts", ">errors" }, rows)
    for _, detector in ipairs(given.detectors) do
        if detector.errors > 0 then lines[#lines + 1] = ("%s: %s"):format(clean(detector.name), clean(detector.last_error)) end
    end
end

-- What to call the place of a row: a line of the script's, or lunette's own code, whose lines tell an author nothing.
local function place_of(row, detector)
    if not row.own then return short(row.at, detector) end
    local loop = row.at:match("^loop over ([%w_.]+):%d+$")
    return loop and "(lunette's own loop over " .. loop .. ")" or "(lunette's own code)"
end

-- Rows of the same place for the same reason in one.
local function folded(list, detector, reason)
    local rows, by_key = {}, {}
    for _, row in ipairs(list) do
        local place = place_of(row, detector)
        local key = place .. " " .. row[reason]
        if not by_key[key] then
            by_key[key] = { place = place, reason = row[reason], times = 0 }
            rows[#rows + 1] = by_key[key]
        end
        by_key[key].times = by_key[key].times + (row.times or 1)
    end
    table.sort(rows, function(a, b)
        if a.times ~= b.times then return a.times > b.times end
        return a.place .. a.reason < b.place .. b.reason
    end)
    return rows
end

-- A line for each reason that occurs.
local function add_reasons(lines, occurring)
    local list, widest = {}, 0
    for reason in pairs(occurring) do
        list[#list + 1] = reason
        widest = math.max(widest, width(reason))
    end
    table.sort(list)
    lines[#lines + 1] = ""
    lines[#lines + 1] = "What that means for a script:"
    for _, reason in ipairs(list) do
        lines[#lines + 1] = ("  %s%s  %s"):format(clean(reason), (" "):rep(widest - width(reason)), reasons(reason))
    end
end

local function add_traces(lines, given)
    local aborts, interpreted, occurring = {}, {}, {}
    for _, detector in ipairs(given.detectors) do
        local rows = folded(detector.aborts, detector, "reason")
        for i, abort in ipairs(rows) do
            if i > MOST_ABORTS then
                aborts[#aborts + 1] = { title(detector), "...", "", ("%d more places (--json has them)"):format(#rows - MOST_ABORTS) }
                break
            end
            aborts[#aborts + 1] = { title(detector), abort.place, grouped(abort.times), clean(abort.reason) }
            occurring[abort.reason] = true
        end
        for _, row in ipairs(folded(detector.interpreted, detector, "what")) do
            interpreted[#interpreted + 1] = { title(detector), row.place, clean(row.reason) }
        end
    end
    lines[#lines + 1] = ""
    if #aborts == 0 then
        lines[#lines + 1] = "No trace was aborted."
    else
        lines[#lines + 1] = "Aborted traces: what LuaJIT was compiling there was given up. It tries again some times, another way."
        add_table(lines, { "detector", "line", ">times", "reason" }, aborts)
        add_reasons(lines, occurring)
    end
    if #interpreted > 0 then
        lines[#lines + 1] = ""
        lines[#lines + 1] = "Left to the interpreter for good, 40 to 100 times slower:"
        add_table(lines, { "detector", "line", "what" }, interpreted)
    end
end

return function(given)
    local sums = complete(given)
    if given.json then return as_json(given, sums) end
    local lines = {
        ("%s in all: the engine (capture, decoding, flows, protocols, filters) %s, %s; detectors %s, %s"):format(
            time_text(given.seconds), time_text(sums.engine), percent(sums.engine, given.seconds), time_text(sums.scripts),
            percent(sums.scripts, given.seconds)),
        ("Measuring took about %s beside that (%.0f ns a call); it is taken off below. Shares are of the detectors' time, LuaJIT's compiling included."):format(
            time_text(sums.measuring), sums.calls > 0 and sums.measuring / sums.calls * 1e9 or 0),
        "",
    }
    add_handlers(lines, given, sums)
    lines[#lines + 1] = ""
    add_detectors(lines, given)
    add_traces(lines, given)
    return table.concat(lines, "\n") .. "\n"
end
