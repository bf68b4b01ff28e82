-- Compares what detectors said with what a case expects: these alerts and no others. What is wrong is told so that the
-- author need not look anywhere else: the expectation field by field beside the nearest alert, and every alert that nobody
-- expected, written as the expectation that would take it.
return function(inside)
    local options = inside.options
    local judge = {}

    -- ── values ──────────────────────────────────────────────────────

    local matchers = setmetatable({}, { __mode = "k" }) -- what t.like, t.contains and t.near returned
    local function matcher(given)
        local handle = setmetatable({}, { __metatable = false, __tostring = function() return given.shown end })
        matchers[handle] = given
        return handle
    end

    function judge.like(pattern)
        if type(pattern) ~= "string" then options.fail("t.like: a Lua pattern is expected, got %s", options.describe(pattern)) end
        local ok, message = pcall(string.find, "", pattern)
        if not ok then options.fail("t.like: %s", (message:gsub("^.-:%d+: ", ""))) end
        return matcher { shown = ("t.like %q"):format(pattern), test = function(got)
            return (type(got) == "string" or type(got) == "number") and tostring(got):find(pattern) ~= nil
        end }
    end

    function judge.contains(text)
        if type(text) ~= "string" then options.fail("t.contains: a string is expected, got %s", options.describe(text)) end
        return matcher { shown = ("t.contains %q"):format(text), test = function(got)
            return type(got) == "string" and got:find(text, 1, true) ~= nil
        end }
    end

    function judge.near(value, tolerance)
        if type(value) ~= "number" then options.fail("t.near: a number is expected, got %s", options.describe(value)) end
        if tolerance ~= nil and not (type(tolerance) == "number" and tolerance >= 0) then
            options.fail("t.near: the tolerance must be a number, 0 or more, got %s", options.describe(tolerance))
        end
        tolerance = tolerance or math.abs(value) * 0.01
        return matcher { shown = ("t.near(%.14g, %.14g)"):format(value, tolerance), test = function(got)
            got = tonumber(got)
            return got ~= nil and math.abs(got - value) <= tolerance
        end }
    end

    -- Evidence goes through JSON, where a number that is not whole keeps six digits, and three decimals from a million on: so
    -- two numbers are the same if they differ by no more than the rounding of that. Whole numbers are exact.
    local function same_number(wanted, got)
        if type(got) ~= "number" then return false end
        if wanted == got then return true end
        if wanted % 1 == 0 and got % 1 == 0 then return false end
        local size = math.abs(wanted)
        local unit = size >= 1e6 and 0.001 or 10 ^ (math.floor(math.log10(size)) - 5)
        return math.abs(wanted - got) <= 0.51 * unit
    end

    -- A table that is expected must be there with what it has; there may be more, but not in a list.
    local function matches(wanted, got)
        if matchers[wanted] then return matchers[wanted].test(got) end
        if type(wanted) == "number" then return same_number(wanted, got) end
        if type(wanted) ~= "table" then return wanted == got end
        if type(got) ~= "table" or (#wanted > 0 and #wanted ~= #got) then return false end
        for key, value in pairs(wanted) do
            if not matches(value, got[key]) then return false end
        end
        return true
    end

    local function shown(value, depth)
        if matchers[value] then return matchers[value].shown end
        if type(value) == "string" then
            return '"' .. value:gsub('[%c"\\\127]', function(c)
                return c == '"' and '\\"' or c == "\\" and "\\\\" or c == "\n" and "\\n" or ("\\%03d"):format(c:byte())
            end) .. '"'
        end
        if type(value) == "number" then return ("%.14g"):format(value) end
        if type(value) ~= "table" then return tostring(value) end
        if (depth or 0) > 3 then return "{ … }" end
        local parts, keys = {}, {}
        for i = 1, #value do parts[i] = shown(value[i], (depth or 0) + 1) end
        for key in pairs(value) do
            if not (type(key) == "number" and key >= 1 and key <= #value) then keys[#keys + 1] = key end
        end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, key in ipairs(keys) do
            local plain = type(key) == "string" and key:match("^[%a_][%w_]*$") or "[" .. shown(key, 3) .. "]"
            parts[#parts + 1] = plain .. " = " .. shown(value[key], (depth or 0) + 1)
        end
        return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
    end

    local function moment_text(time) return os.date("!%Y-%m-%d %H:%M:%S", time) end
    local function moment_shown(time) return ("%.14g (%s)"):format(time, moment_text(time)) end

    -- ── what an expectation may say ─────────────────────────────────

    local function text(what, key, value)
        if type(value) == "string" or matchers[value] then return value end
        return options.fail("%s: %s must be a string, t.like or t.contains, got %s", what, key, options.describe(value))
    end
    local function number(what, key, value)
        if type(value) == "number" or matchers[value] then return value end
        return options.fail("%s: %s must be a number or t.near, got %s", what, key, options.describe(value))
    end
    -- A time in words says a second, unless it has a fraction; else it is meant to the millisecond.
    local function moment(what, key, value)
        if matchers[value] then return value end
        local time = inside.moment(what .. ": " .. key, value)
        local tolerance = type(value) == "string" and not value:find(".", 1, true) and 1 or 0.001
        return matcher { shown = moment_shown(time), test = function(got)
            return type(got) == "number" and math.abs(got - time) <= tolerance + 1e-6 -- of seconds since 1970 a double has that
        end }
    end
    judge.ALERT = {
        title = { text }, who = { text }, where = { text }, why = { text }, next = { text }, detector = { text },
        category = { text }, attack = { text }, score = { number }, confidence = { number }, repeats = { number },
        time = { moment }, severity = { options.word("high", "medium", "low", "info") }, evidence = { "table" }, times = { "u16" },
    }
    -- What a fact says: one string, lines with \n between them, or a list of lines.
    local function lines_of(what, key, value)
        if type(value) == "table" and not matchers[value] then
            for _, line in ipairs(value) do
                if type(line) ~= "string" then options.fail("%s: %s must be a list of strings, it has %s", what, key, options.describe(line)) end
            end
            return table.concat(value, "\n")
        end
        return text(what, key, value)
    end
    judge.FACT = { host = { text }, topic = { text }, text = { lines_of }, detector = { text }, details = { "table" } }
    judge.REPORT = { title = { text }, detector = { text }, note = { text }, columns = { "table" }, rows = { "table" } }

    local ORDER = { "detector", "title", "severity", "who", "where", "why", "next", "category", "attack", "score", "confidence",
        "repeats", "time", "note", "columns", "host", "topic", "text", "details" }

    -- An expectation as a list of { name, wanted, got }, what there is of evidence one by one.
    local function fields_of(wanted, finding)
        local fields = {}
        for _, name in ipairs(ORDER) do
            if wanted[name] ~= nil then fields[#fields + 1] = { name, wanted[name], finding and finding[name] } end
        end
        local keys = {}
        for key in pairs(wanted.evidence or {}) do keys[#keys + 1] = key end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, key in ipairs(keys) do
            fields[#fields + 1] = { "evidence." .. tostring(key), wanted.evidence[key], finding and (finding.evidence or {})[key] }
        end
        for i, row in ipairs(wanted.rows or {}) do
            fields[#fields + 1] = { ("rows[%d]"):format(i), row, finding and finding.rows[i] }
        end
        return fields
    end

    local function value_text(name, value)
        if name == "time" and type(value) == "number" then return moment_shown(value) end
        return shown(value)
    end

    -- The fields of an expectation, those marked in which a finding differs from it.
    local function compared(wanted, finding, same)
        local lines, differing = {}, 0
        for _, field in ipairs(fields_of(wanted, finding)) do
            local name, want, got = field[1], field[2], field[3]
            if not finding or same(want, got) then
                lines[#lines + 1] = ("      %-12s %s"):format(name, value_text(name, finding and got or want))
            else
                differing = differing + 1
                lines[#lines + 1] = ("    ≠ %-12s expected %s"):format(name, value_text(name, want))
                lines[#lines + 1] = ("      %-12s got      %s"):format("", value_text(name, got))
            end
        end
        return lines, differing
    end

    local function nearest(wanted, findings, same)
        local best, best_lines, least
        for _, finding in ipairs(findings) do
            local lines, differing = compared(wanted, finding, same)
            if not least or differing < least then best, best_lines, least = finding, lines, differing end
        end
        return best, best_lines, least
    end

    -- ── alerts ──────────────────────────────────────────────────────

    -- Which alert is taken by which expectation: as many as can be (augmenting paths, Kuhn 1955). An expectation of three
    -- has three places.
    local function dealt(expectations, alerts)
        local fits = {}
        for e, expectation in ipairs(expectations) do
            fits[e] = {}
            for a, alert in ipairs(alerts) do
                if matches(expectation.wanted, alert) then fits[e][#fits[e] + 1] = a end
            end
        end
        local owner = {} -- of each alert: its expectation
        local function place(e, visited)
            for _, a in ipairs(fits[e]) do
                if not owner[a] then
                    owner[a] = e
                    return true
                end
            end
            for _, a in ipairs(fits[e]) do
                if not visited[a] then
                    visited[a] = true
                    if owner[a] ~= e and place(owner[a], visited) then
                        owner[a] = e
                        return true
                    end
                end
            end
            return false
        end
        local came = {}
        for e, expectation in ipairs(expectations) do
            came[e] = 0
            while came[e] < expectation.times and place(e, {}) do came[e] = came[e] + 1 end
        end
        return owner, came
    end

    -- An alert as the expectation that takes it.
    local function as_expectation(alert)
        local parts = {}
        for _, name in ipairs { "title", "severity", "who", "where" } do
            if alert[name] ~= "" then parts[#parts + 1] = name .. " = " .. shown(alert[name]) end
        end
        if next(alert.evidence or {}) then parts[#parts + 1] = "evidence = " .. shown(alert.evidence) end
        return "c:expect { " .. table.concat(parts, ", ") .. " }"
    end

    local SHOWN_MOST = 10

    local function unexpected(alerts)
        local lines = { ("%d alert%s that nobody expected%s:"):format(#alerts, #alerts == 1 and "" or "s",
            #alerts > SHOWN_MOST and (", the first " .. SHOWN_MOST) or "") }
        for i = 1, math.min(#alerts, SHOWN_MOST) do
            local alert = alerts[i]
            lines[#lines + 1] = ("    by %s at %s"):format(alert.detector, moment_text(alert.time))
            if alert.why ~= "" then lines[#lines + 1] = "      why: " .. alert.why end
            lines[#lines + 1] = "      " .. as_expectation(alert)
        end
        return table.concat(lines, "\n")
    end

    local function count_of(n) return n == 1 and "once" or n == 2 and "twice" or n .. " times" end

    local function missing(expectation, came, free, taken)
        local lines
        local wanted = expectation.wanted
        if came > 0 then
            lines = { ("expected %s, came %s:"):format(count_of(expectation.times), count_of(came)) }
            for _, line in ipairs((compared(wanted, nil, matches))) do lines[#lines + 1] = line end
            return table.concat(lines, "\n")
        end
        local best, compared_lines, differing = nearest(wanted, free, matches)
        if not best then best, compared_lines, differing = nearest(wanted, taken, matches) end
        if not best then
            lines = { "expected this alert; there was none at all:" }
            compared_lines = compared(wanted, nil, matches)
        elseif differing == 0 then
            lines = { "expected this alert once more; another expectation took the only one:" }
        else
            lines = { ("expected this alert; the nearest is by %s at %s and differs:"):format(best.detector, moment_text(best.time)) }
        end
        for _, line in ipairs(compared_lines) do lines[#lines + 1] = line end
        return table.concat(lines, "\n")
    end

    local function is_ignored(case, alert)
        for _, ignored in ipairs(case.ignored) do
            if matches(ignored.wanted, alert) then return true end
        end
        return false
    end

    -- ── reports ─────────────────────────────────────────────────────

    local function same_cell(wanted, got)
        if matchers[wanted] then return matchers[wanted].test(got) end
        return tostring(wanted) == got
    end
    local function same_row(wanted, got)
        if type(wanted) ~= "table" then return wanted == got end
        if type(got) ~= "table" or #wanted ~= #got then return false end
        for i = 1, #wanted do if not same_cell(wanted[i], got[i]) then return false end end
        return true
    end
    local function same_in_report(wanted, got)
        if matchers[wanted] then return matchers[wanted].test(got) end
        return same_row(wanted, got)
    end

    local function report_fits(wanted, report)
        if wanted.rows and #wanted.rows ~= #report.rows then return false end
        for _, field in ipairs(fields_of(wanted, report)) do
            if not same_in_report(field[2], field[3]) then return false end
        end
        return true
    end

    local function missing_report(wanted, reports)
        for _, report in ipairs(reports) do if report_fits(wanted, report) then return nil end end
        local best, lines = nearest(wanted, reports, same_in_report)
        local head = "expected this report; there was none at all:"
        if best then
            head = ("expected this report; the nearest is by %s, %s, and differs:"):format(best.detector, shown(best.title))
            if wanted.rows and #wanted.rows ~= #best.rows then
                lines[#lines + 1] = ("    ≠ %-12s expected %d, got %d:"):format("rows", #wanted.rows, #best.rows)
                for i = 1, math.min(#best.rows, SHOWN_MOST) do lines[#lines + 1] = "        " .. shown(best.rows[i]) end
            end
        else
            lines = compared(wanted, nil, same_in_report)
        end
        return head .. "\n" .. table.concat(lines, "\n")
    end

    -- ── facts ───────────────────────────────────────────────────────

    -- One of the same host and topic is nearer than any other.
    local function missing_fact(wanted, facts)
        local near = {}
        for _, fact in ipairs(facts) do
            if matches(wanted, fact) then return nil end
            if matches({ host = wanted.host, topic = wanted.topic }, fact) then near[#near + 1] = fact end
        end
        local best, lines = nearest(wanted, near[1] and near or facts, matches)
        local head = "expected this fact; none at all was told, or stood at the end:"
        if best then
            head = ("expected this fact; the nearest at the end is by %s, of %s, and differs:"):format(best.detector, best.host)
        else
            lines = compared(wanted, nil, matches)
        end
        return head .. "\n" .. table.concat(lines, "\n")
    end

    -- ── the verdict ─────────────────────────────────────────────────

    -- A list of { line, text }, empty if all is as expected.
    function judge.verdict(case, found)
        local failures, free, taken, left = {}, {}, {}, {}
        local owner, came = dealt(case.expectations, found.alerts)
        for a, alert in ipairs(found.alerts) do
            if owner[a] then
                taken[#taken + 1] = alert
            else
                free[#free + 1] = alert
                if not is_ignored(case, alert) then left[#left + 1] = alert end
            end
        end
        for e, expectation in ipairs(case.expectations) do
            if came[e] < expectation.times then
                failures[#failures + 1] = { expectation.line, missing(expectation, came[e], free, taken) }
            end
        end
        for _, expectation in ipairs(case.reports) do
            local message = missing_report(expectation.wanted, found.reports)
            if message then failures[#failures + 1] = { expectation.line, message } end
        end
        for _, expectation in ipairs(case.facts) do
            local message = missing_fact(expectation.wanted, found.facts)
            if message then failures[#failures + 1] = { expectation.line, message } end
        end
        if #left > 0 then failures[#failures + 1] = { case.none or case.line, unexpected(left) } end
        return failures
    end

    return judge
end
