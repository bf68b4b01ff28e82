-- What a detector says: its declaration, its tunables, alerts with a cooldown per key, reports.
local SEVERITIES = { high = 1, medium = 2, low = 3, info = 4 }
local TEXT_LIMIT = 4096      -- bytes of a text in an alert, of a string in its evidence
local EVIDENCE_LIMIT = 65536 -- bytes of the evidence as JSON
local TOPIC_LIMIT = 32       -- bytes of a fact's topic,
local FACT_LIMIT = 1024      -- of its text,
local DETAILS_LIMIT = 4096   -- of its details as JSON
local FIELDS = { title = 1, severity = 1, who = 1, where = 1, why = 1, next = 1, key = 1, cooldown = 1, score = 1,
    confidence = 1, attack = 1, category = 1, evidence = 1 }
local DETECTOR = { title = 1, category = 1, attack = 1 }
local REPORT = { title = 1, columns = 1, rows = 1, note = 1 }

return function(inside)
    local feed, host, settings = inside.feed, inside.host, inside.settings
    local alerts = {}
    local declared = { title = inside.name, category = "", attack = "" }
    local known = {} -- tunables the script declared

    -- At most TEXT_LIMIT bytes, and not the first half of a UTF-8 sequence.
    local function cut(value)
        if #value <= TEXT_LIMIT then return value end
        return (value:sub(1, TEXT_LIMIT):gsub("[\192-\255][\128-\191]*$", ""))
    end

    local function is_plain(value) return type(value) == "string" or type(value) == "number" end

    -- A text that a script gave: a string, a number or a list of them, cut at the limit. `what` names it in the message.
    local function text(what, value)
        if value == nil then return "" end
        if type(value) == "table" then
            for i = 1, #value do
                if not is_plain(value[i]) then error(("%s must be a list of strings, it has a %s"):format(what, type(value[i])), 3) end
            end
            value = table.concat(value, ", ")
        end
        if not is_plain(value) then error(("%s must be a string, got %s"):format(what, type(value)), 3) end
        return cut(tostring(value))
    end

    function alerts.detector(options)
        if type(options) ~= "table" then error("lunette.detector: a table is expected, got " .. type(options), 2) end
        inside.unknown.option("lunette.detector", options, DETECTOR, 2)
        declared.title = text("lunette.detector: title", options.title or inside.name)
        declared.category = text("lunette.detector: category", options.category)
        declared.attack = text("lunette.detector: attack", options.attack)
    end

    local function converted(key, default, given)
        if type(default) == "number" then return tonumber(given) end
        if type(default) == "boolean" then
            if given == "true" then return true elseif given == "false" then return false end
            return nil
        end
        if type(default) == "table" then
            local list = {}
            for item in given:gmatch("[^,]+") do
                local value = item
                if type(default[1]) == "number" then value = tonumber(item) end
                if value == nil then return nil end
                list[#list + 1] = value
            end
            return list
        end
        return given
    end

    -- What may be set instead of a default, for the message.
    local function expected(default)
        if type(default) == "boolean" then return "true or false is expected" end
        if type(default) == "table" then return "numbers are expected, with commas between them" end
        return "a " .. type(default) .. " is expected"
    end
    local function shown(default)
        if type(default) ~= "table" then return tostring(default) end
        local words = {}
        for i = 1, #default do words[i] = tostring(default[i]) end
        return table.concat(words, ",")
    end

    function alerts.tunables(defaults)
        if type(defaults) ~= "table" then error("lunette.tunables: a table is expected, got " .. type(defaults), 2) end
        local values = {}
        for key, default in pairs(defaults) do
            known[#known + 1] = key
            values[key] = default
            local given = settings[key]
            if given ~= nil then
                local value = converted(key, default, given)
                if value == nil then
                    error(("--set %s.%s: %s, got '%s' (the default is %s)"):format(inside.name, key, expected(default), given,
                        shown(default)), 0)
                end
                values[key] = value
            end
        end
        return setmetatable(values, inside.unknown.tunables)
    end

    -- After the script's body: what the user set must be something that it knows.
    function alerts.settings_used()
        for key in pairs(settings) do
            local found = false
            for _, name in ipairs(known) do found = found or name == key end
            if not found then
                table.sort(known)
                local near = inside.nearest(key, known)
                error(("--set %s.%s: there is no such tunable%s"):format(inside.name, key,
                    near and "; did you mean '" .. near .. "'?" or
                    #known > 0 and ": it has " .. table.concat(known, ", ") or ": it has none"), 0)
            end
        end
    end

    -- JSON of the evidence: flat, keys sorted. UTF-8 goes through as it is; in a string that is not UTF-8 (RFC 3629) each
    -- byte beyond ASCII is escaped by itself.
    local UTF8 = { "[\194-\223][\128-\191]", "\224[\160-\191][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]",
        "\237[\128-\159][\128-\191]", "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]",
        "\244[\128-\143][\128-\191][\128-\191]" }
    local function is_utf8(value)
        if not value:find("[\128-\255]") then return true end
        for _, sequence in ipairs(UTF8) do value = value:gsub(sequence, " ") end
        return not value:find("[\128-\255]")
    end
    local function quoted(value)
        value = cut(value)
        if not value:find('[%c"\\\127-\255]') then return '"' .. value .. '"' end -- nearly all
        local escaped = is_utf8(value) and '[%c"\\\127]' or '[%c"\\\127-\255]'
        return '"' .. value:gsub(escaped, function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
    end
    local function number(value)
        if value ~= value or value == math.huge or value == -math.huge then return "null" end
        if value % 1 == 0 and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
        return (math.abs(value) >= 1e6 and "%.3f" or "%.6g"):format(value)
    end
    local function json(value, level)
        local kind = type(value)
        if kind == "string" then return quoted(value) end
        if kind == "number" then return number(value) end
        if kind == "boolean" then return tostring(value) end
        if level > 3 then return '"…"' end
        local parts = {}
        if #value > 0 or next(value) == nil then
            for i, item in ipairs(value) do parts[i] = json(item, level + 1) end
            return "[" .. table.concat(parts, ",") .. "]"
        end
        local keys = {}
        for key in pairs(value) do if type(key) == "string" then keys[#keys + 1] = key end end
        table.sort(keys)
        for i, key in ipairs(keys) do parts[i] = quoted(key) .. ":" .. json(value[key], level + 1) end
        return "{" .. table.concat(parts, ",") .. "}"
    end

    -- The way to the first value that has no place in evidence, and its type; nil if all have one. It ends early where there are
    -- more values than can fit: of JSON each takes two bytes at least.
    local looked_at
    local function misfit(value, level)
        local kind = type(value)
        if kind == "string" or kind == "number" or kind == "boolean" then return nil end
        if kind ~= "table" then return "", kind end
        if level > 3 then return nil end
        for key, item in pairs(value) do
            looked_at = looked_at + 1
            if looked_at > EVIDENCE_LIMIT / 2 then return nil end -- it is refused for its size
            local wrong, what = misfit(item, level + 1)
            if wrong then return (type(key) == "number" and "[%s]" or ".%s"):format(tostring(key)) .. wrong, what end
        end
    end
    local function check_evidence(what, evidence)
        looked_at = 0
        local wrong, kind = misfit(evidence, 1)
        if wrong then
            error(("%s%s must be a string, a number, a boolean or a table of them, got %s"):format(what, wrong, kind), 3)
        end
        if looked_at > EVIDENCE_LIMIT / 2 then
            error(("%s has more values than fit into %d bytes of JSON"):format(what, EVIDENCE_LIMIT), 3)
        end
    end

    -- Cooldowns: key → { until, held back }.
    local cooling = inside.store.state("\0cooldowns", { max = 65536 })

    function alerts.alert(alert)
        if type(alert) ~= "table" then error("lunette.alert: a table is expected, got " .. type(alert), 2) end
        inside.unknown.option("lunette.alert", alert, FIELDS, 2)
        if not inside.loaded then error("lunette.alert: nothing has happened yet: call it in a handler", 2) end
        local severity = SEVERITIES[alert.severity or "medium"]
        if not severity then
            error("lunette.alert: severity must be high, medium, low or info, got " .. tostring(alert.severity), 2)
        end
        for _, field in ipairs { "score", "confidence", "cooldown" } do
            if alert[field] ~= nil and type(alert[field]) ~= "number" then
                error(("lunette.alert: %s must be a number, got %s"):format(field, type(alert[field])), 2)
            end
        end
        if alert.confidence and not (alert.confidence >= 0 and alert.confidence <= 1) then
            error(("lunette.alert: confidence must be from 0 to 1, got %g"):format(alert.confidence), 2)
        end
        if (alert.key == nil) ~= (alert.cooldown == nil) then
            error("lunette.alert: key and cooldown go together: " .. (alert.key == nil and "which key shall cool down?" or
                "for how many seconds shall the key cool down?"), 2)
        end
        if alert.evidence ~= nil and type(alert.evidence) ~= "table" then
            error("lunette.alert: evidence must be a table, got " .. type(alert.evidence), 2)
        end
        if #(alert.evidence or {}) > 0 then
            error("lunette.alert: evidence must have names: evidence = { name = value, … }", 2)
        end
        local repeats = 0
        if alert.key ~= nil then
            local key = tostring(alert.key)
            local entry = cooling:get(key)
            if entry and feed.now < entry.ends then
                entry.held = entry.held + 1
                return false
            end
            repeats = entry and entry.held or 0
            check_evidence("lunette.alert: evidence", alert.evidence or {})
            cooling:set(key, { ends = feed.now + alert.cooldown, held = 0 })
        end
        if alert.key == nil then check_evidence("lunette.alert: evidence", alert.evidence or {}) end
        local evidence = next(alert.evidence or {}) == nil and "{}" or json(alert.evidence, 1)
        if #evidence > EVIDENCE_LIMIT then
            error(("lunette.alert: the evidence is %d bytes as JSON, more than %d"):format(#evidence, EVIDENCE_LIMIT), 2)
        end
        host.alert(severity, alert.score, alert.confidence, repeats,
            text("lunette.alert: title", alert.title or declared.title),
            text("lunette.alert: category", alert.category or declared.category),
            text("lunette.alert: attack", alert.attack or declared.attack),
            text("lunette.alert: who", alert.who), text("lunette.alert: where", alert.where),
            text("lunette.alert: why", alert.why), text("lunette.alert: next", alert.next), evidence, alert.evidence)
        return true
    end

    function alerts.report(report)
        if not inside.loaded then error("lunette.report: nothing has happened yet: call it in on_end", 2) end
        if type(report) ~= "table" or type(report.columns) ~= "table" or type(report.rows) ~= "table" then
            error("lunette.report: a table with columns = {…} and rows = {…} is expected", 2)
        end
        inside.unknown.option("lunette.report", report, REPORT, 2)
        local columns, cells = {}, {}
        for i, column in ipairs(report.columns) do columns[i] = tostring(column) end
        for r, row in ipairs(report.rows) do
            if type(row) ~= "table" then
                error(("lunette.report: row %d must be a list of cells, got %s"):format(r, type(row)), 2)
            end
            for c = 1, #columns do
                local cell = row[c]
                if cell == nil then cell = "" end
                cells[#cells + 1] = tostring(cell)
            end
        end
        local message = host.report(text("lunette.report: title", report.title or declared.title),
            text("lunette.report: note", report.note), columns, cells)
        if message then error("lunette.report: " .. message, 2) end
    end

    function alerts.capture()
        local packets, bytes, cut_short, undecoded, dropped, interface_dropped = host.capture()
        if not packets then
            error("lunette.capture: call it in a timer or in on_end, of a worker's part of the script", 2)
        end
        return { packets = packets, bytes = bytes, cut = cut_short, undecoded = undecoded, dropped = dropped,
            interface_dropped = interface_dropped }
    end

    function alerts.fact(address, topic, value, details)
        if not inside.loaded then error("lunette.fact: nothing has happened yet: call it in a handler", 2) end
        if type(topic) ~= "string" or #topic > TOPIC_LIMIT or not topic:find("^%l[%l%d _-]*$") then
            error("lunette.fact: topic must be a short word in small letters, got " .. tostring(topic), 2)
        end
        if type(value) == "table" then
            for i = 1, #value do
                if not is_plain(value[i]) then
                    error(("lunette.fact: text must be a list of strings, it has a %s"):format(type(value[i])), 2)
                end
            end
            value = table.concat(value, "\n")
        end
        if details ~= nil and type(details) ~= "table" then
            error("lunette.fact: details must be a table, got " .. type(details), 2)
        end
        check_evidence("lunette.fact: details", details or {})
        local written = next(details or {}) == nil and "{}" or json(details, 1)
        if #written > DETAILS_LIMIT then
            error(("lunette.fact: the details are %d bytes as JSON, more than %d"):format(#written, DETAILS_LIMIT), 2)
        end
        local shown = text("lunette.fact: text", value)
        if #shown > FACT_LIMIT then shown = shown:sub(1, FACT_LIMIT):gsub("[\192-\255][\128-\191]*$", "") end
        if not host.fact(text("lunette.fact: host", address), topic, shown, written) then
            error("lunette.fact: host must be an address, got " .. tostring(address), 2)
        end
    end

    return alerts
end
