-- The end of `lunette check`: findings and what detectors declare, as lines or as one JSON document.
--
-- print(given): given.files = list of { path, findings, inventory = text of inventory.h or nil, memory }, given.quiet, given.json.
-- Returns the text, and how many warnings and errors there are.

local json = ...

-- The text is literals only, and runs with nothing in reach.
local function inventory_of(file)
    if not file.inventory then return nil end
    local chunk = load(file.inventory, "=inventory", "t", {})
    local ok, inventory = pcall(chunk)
    return ok and inventory or nil
end

local function clean(text) return (tostring(text):gsub("%c", "?")) end

local function finding_line(path, finding)
    return ("%s:%d:%d: (%s%s) %s"):format(clean(path), finding.line, finding.column, finding.is_error and "E" or "W",
        finding.code, finding.message)
end

-- A row: what, the name of it, more, and where it stands.
local function rows_of(inventory)
    local rows = {}
    local function row(what, name, more, at) rows[#rows + 1] = { what, clean(name or ""), clean(more or ""), clean(at or "") } end
    for _, handler in ipairs(inventory.handlers) do
        row(handler.event == "end" and "on_end" or "on", handler.event ~= "end" and handler.event or "", handler.filter, handler.at)
    end
    for _, stream in ipairs(inventory.streams) do
        row("stream", stream.name, stream.transport .. (stream.ports and " " .. stream.ports or ""))
    end
    for _, event in ipairs(inventory.events) do row("event", event.name, event.fields) end
    for _, timer in ipairs(inventory.timers) do
        row(timer.every and "every" or "after", (timer.every or timer.after or "?") .. " s", nil, timer.at)
    end
    for _, state in ipairs(inventory.states) do
        local bounds = state.fields or ("at most " .. (state.max or "?") .. (state.ttl and ", kept " .. state.ttl .. " s" or ""))
        row(state.what, state.name, bounds)
    end
    for _, set in ipairs(inventory.sets) do row("set", set.what, set.size .. " entries", set.at) end
    return rows
end

-- Characters, as far as a column goes: bytes that go on a character do not count.
local function width(text) return select(2, text:gsub("[^\128-\191]", "")) end

local function describe(lines, file, inventory)
    lines[#lines + 1] = ("%s: detector %s%s, %.1f MiB"):format(clean(file.path), clean(file.name),
        inventory.title and " (" .. clean(inventory.title) .. ")" or "", file.memory / 1048576)
    local rows, widths = rows_of(inventory), { 0, 0, 0 }
    for _, row in ipairs(rows) do
        for c = 1, 3 do widths[c] = math.max(widths[c], math.min(width(row[c]), 90)) end
    end
    for _, row in ipairs(rows) do
        local cells = {}
        for c = 1, 3 do cells[c] = row[c] .. (" "):rep(widths[c] - width(row[c])) end
        cells[4] = row[4]
        lines[#lines + 1] = ("    " .. table.concat(cells, "  ")):gsub("%s+$", "")
    end
end

return function(given)
    local lines, warnings, errors = {}, 0, 0
    local out = { is_list = true }
    for _, file in ipairs(given.files) do
        local findings = { is_list = true }
        for i, finding in ipairs(file.findings) do
            if finding.is_error then errors = errors + 1 else warnings = warnings + 1 end
            lines[#lines + 1] = finding_line(file.path, finding)
            findings[i] = { line = finding.line, column = finding.column, code = finding.code, message = finding.message,
                severity = finding.is_error and "error" or "warning" }
        end
        local inventory = inventory_of(file)
        if inventory then
            for _, list in pairs(inventory) do
                if type(list) == "table" then list.is_list = true end
            end
            inventory.name, inventory.memory = file.name, file.memory
        end
        out[#out + 1] = { path = file.path, findings = findings, detector = inventory }
    end
    if given.json then
        return json({ files = out, warnings = warnings, errors = errors }) .. "\n", warnings, errors
    end
    for i, file in ipairs(given.files) do
        local inventory = not given.quiet and out[i].detector
        if inventory then describe(lines, file, inventory) end
    end
    local function counted(count, word) return ("%d %s%s"):format(count, word, count == 1 and "" or "s") end
    lines[#lines + 1] = ("Total: %s / %s in %s"):format(counted(warnings, "warning"), counted(errors, "error"),
        counted(#given.files, "file"))
    return table.concat(lines, "\n") .. "\n", warnings, errors
end
