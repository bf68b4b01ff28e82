-- The Lua side of `lunette console`: lines that a person types, evaluated beside an event.
--
-- The prompt's globals lie over a detector's environment, so that what works here works in a detector; `e` is the view of
-- the event at hand. The engine asks by a word and a line of text (`host.question`), and gets text back (`host.answer`).
return function(inside, environment)
    local host, schema, views = inside.host, inside.schema, inside.views
    inside.packet_payload = true -- all that is there may be looked at
    local nearest = inside.nearest
    local MOST = 40 -- entries of a table that are shown
    local world = setmetatable({}, { __index = environment, __metatable = false })
    world.lunette = environment.require("lunette")
    local current -- the schema of the event at hand, nil if there is none
    local handlers = {}

    -- ------------------------------------------------------------ showing values

    local function quoted(text)
        text = text:gsub('[%c"\\\127-\255]', function(c)
            if c == "\n" then return "\\n" elseif c == "\t" then return "\\t" elseif c == "\r" then return "\\r"
            elseif c == '"' or c == "\\" then return "\\" .. c end
            return c:byte() < 128 and ("\\%03d"):format(c:byte()) or c
        end)
        return '"' .. text .. '"'
    end

    local show

    local function key_of(key)
        if type(key) == "string" and key:match("^[%a_][%w_]*$") then return key end
        return "[" .. show(key, 2) .. "]"
    end

    local function show_table(value, depth)
        if next(value) == nil then return "{}" end
        if depth >= 3 then return "{…}" end
        local parts, length, shown = {}, #value, 0
        for i = 1, math.min(length, MOST) do parts[i], shown = show(value[i], depth + 1), shown + 1 end
        local keys = {}
        for key in next, value do
            if not (type(key) == "number" and key % 1 == 0 and key >= 1 and key <= length) then keys[#keys + 1] = key end
        end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, key in ipairs(keys) do
            if shown == MOST then break end
            shown = shown + 1
            parts[shown] = key_of(key) .. " = " .. show(rawget(value, key), depth + 1)
        end
        if shown < length + #keys then parts[#parts + 1] = ("… %d more"):format(length + #keys - shown) end
        return "{ " .. table.concat(parts, ", ") .. " }"
    end

    local function is_slice(value) return type(value) == "cdata" and inside.ffi.istype("struct lunette_slice", value) end

    function show(value, depth)
        local kind = type(value)
        if kind == "string" then return quoted(value) end
        if kind == "table" then return show_table(value, depth) end
        if is_slice(value) then return ("%d bytes: %s"):format(#value, quoted(value:tostring(1, 64))) end
        if kind == "number" and value % 1 == 0 and math.abs(value) < 2 ^ 53 then return ("%d"):format(value) end
        return tostring(value)
    end

    -- What a field reads as, or nil if there is nothing in it.
    local function field_text(view, field)
        local value = view[field.name]
        if value == nil or value == "" then return nil end
        if type(value) == "table" and next(value) == nil then return nil end
        if field.type == "time" then
            return value > 0 and os.date("!%Y-%m-%d %H:%M:%S", math.floor(value)) .. (".%03d"):format(value % 1 * 1000) or nil
        end
        return show(value, 1)
    end

    local function show_view(view)
        local lines = {}
        for _, field in ipairs(current.fields) do
            local text = field_text(view, field)
            if text then lines[#lines + 1] = ("  %-22s %s"):format(field.name, text) end
        end
        return table.concat(lines, "\n")
    end

    -- ------------------------------------------------------------- evaluating

    local function compile(line)
        local chunk = load("return " .. line, "=prompt", "t", world)
        if chunk then return chunk, true end
        local statement, message = load(line, "=prompt", "t", world)
        return statement, false, message
    end

    local NO_EVENT = "there is no event at hand: next"
    local function own_words(message)
        local words = tostring(message):gsub("^prompt:1: ", ""):gsub("\n.*", "")
        if not current and words:find("global 'e'", 1, true) then words = words .. "; " .. NO_EVENT end
        return words
    end

    local function say_results(...)
        local count = select("#", ...)
        if count == 0 then return end
        local parts = {}
        for i = 1, count do
            local value = select(i, ...)
            parts[i] = rawequal(value, world.e) and value ~= nil and show_view(value) or show(value, 1)
        end
        host.answer("text", table.concat(parts, "\n"))
    end

    local function report(ok, ...)
        if ok then return true, say_results(...) end
        host.answer("error", own_words((...)))
        return false
    end

    local function evaluate(line)
        if not current and line:match("^%s*e%s*$") then return host.answer("text", NO_EVENT) end
        local chunk, is_expression, message = compile(line)
        if not chunk then return host.answer("error", own_words(message)) end
        local done = report(pcall(chunk))
        -- What defines something is said again after a restart.
        if done and (not is_expression or line:match("^on%s*[%(\"]") or line:match("^off%s*%(")) then
            host.answer("keep", line)
        end
    end

    -- ------------------------------------------------- handlers tried as events pass

    local function holds(view, field, wanted)
        local value = view[field]
        if type(wanted) ~= "table" then return value == wanted end
        if type(wanted.has) == "function" then return value ~= nil and wanted:has(value) end
        for _, alternative in ipairs(wanted) do
            if value == alternative then return true end
        end
        return false
    end

    -- A line that was no good Lua, after the words of all commands: is its first word one of them, mistyped?
    local function mistyped(text)
        local list, line = text:match("^(.-)\n(.*)$")
        local word, rest = line:match("^%s*:?(%l+)(.*)$")
        if not word or #word < 3 or rest:match("^%S") or world[word] ~= nil then return end
        local words = {}
        for command in list:gmatch("%l+") do words[#words + 1] = command end
        local near = nearest(word, words)
        if near then host.answer("error", ("did you mean the command '%s'?"):format(near)) end
    end

    local function kind_named(name)
        local names = {}
        for number, known in pairs(inside.kinds) do
            if known == name then return schema[number] end
            names[#names + 1] = known
        end
        local near = nearest(tostring(name), names)
        error(("there is no event '%s'%s"):format(tostring(name), near and "; did you mean '" .. near .. "'?" or ""), 3)
    end

    function world.on(name, filter, handler)
        if handler == nil then filter, handler = nil, filter end
        local kind = kind_named(name)
        if type(handler) ~= "function" then error("a handler function is expected, got " .. type(handler), 2) end
        if filter ~= nil and type(filter) ~= "table" then error("the filter must be a table, got " .. type(filter), 2) end
        handlers[#handlers + 1] = { kind = kind, filter = filter, handler = handler }
    end
    function world.off() handlers = {} end

    local function wanted_by(entry, view)
        for field, wanted in next, entry.filter or {} do
            if not holds(view, field, wanted) then return false end
        end
        return true
    end

    local function pass()
        for _, entry in ipairs(handlers) do
            if entry.kind == current then
                local ok, message = pcall(wanted_by, entry, world.e)
                if ok and message then ok, message = pcall(entry.handler, world.e) end
                if not ok then host.answer("error", own_words(message)) end
            end
        end
    end

    -- -------------------------------------------------------------- conditions

    local fields = {} -- of all kinds of events
    for number in pairs(inside.kinds) do
        for _, field in ipairs(schema[number].fields) do
            if not fields[field.name] then
                fields[#fields + 1] = field.name
                fields[field.name] = true
            end
        end
    end

    local function no_field(form, name)
        local near = nearest(name, fields)
        return form:format(name) .. (near and "; did you mean '" .. near .. "'?" or "")
    end

    -- A field e.NAME of the text that no kind of event has.
    local function unknown_field(text)
        local bare = text:gsub("\\.", ""):gsub("([\"']).-%1", "''"):gsub("%[(=*)%[.-%]%1%]", "''")
        for before, name in (" " .. bare):gmatch("(.)%f[%w_]e%s*%.%s*([%a_][%w_]*)") do
            if before ~= "." and not fields[name] then return name end
        end
    end

    -- The last one: its line, its function, whether it could be told of any event, or which field all lacked.
    local condition = {}

    -- Asked when `until` was typed: can that be true of anything?
    local function prepare(line)
        local chunk, message = load("return " .. line, "=prompt", "t", world)
        if not chunk then return host.answer("stop", own_words(message)) end
        local unknown = unknown_field(line)
        if unknown then return host.answer("stop", no_field("no event has a field '%s'", unknown)) end
        condition = { line = line, chunk = chunk }
    end

    local function check(line)
        if condition.line ~= line then prepare(line) end
        if condition.line ~= line then return end
        local ok, result = pcall(condition.chunk)
        condition.told = condition.told or ok
        if ok then
            if result then host.answer("holds", "") end
            return
        end
        -- A field that this kind of event lacks is simply not so; any other mistake ends the search.
        condition.lacked = own_words(result):match("events have no field '([^']*)'")
        if not condition.lacked then host.answer("stop", own_words(result)) end
    end

    -- Asked at the end: was there any event of which it could be told?
    local function unmet(line)
        if condition.line ~= line or condition.told or not condition.lacked then return end
        host.answer("error", no_field("until: no event had a field '%s'", condition.lacked))
    end

    -- ------------------------------------------------------------------- summary

    local TOLD, LONG = 4, 120 -- fields of a kind's own in a summary; bytes of what is said at most
    local function cut(text, most)
        if #text <= most then return text end
        while most > 0 and text:byte(most + 1) >= 0x80 and text:byte(most + 1) < 0xc0 do most = most - 1 end
        return text:sub(1, most) .. "…"
    end

    local function listed(list, most)
        local text = table.concat(list, ", ", 1, math.min(#list, most))
        return #list > most and ("%s and %d more"):format(text, #list - most) or text
    end

    -- The words that there are, one blank between them.
    local function said(...)
        local words = {}
        for i = 1, select("#", ...) do
            local word = select(i, ...)
            if word and word ~= "" then words[#words + 1] = tostring(word) end
        end
        return table.concat(words, " ")
    end

    -- What matters most in an event, of kinds whose first fields do not say it.
    local essence = {}
    function essence.process(e)
        local who = said(e.action, e.path or e.program, e.pid > 0 and ("(%d)"):format(e.pid))
        if e.action == "exit" then
            local signal = e.exit_signal > 0
            return said(who, signal and "by signal" or "with", signal and e.exit_signal or e.exit_status)
        end
        return said(who, cut(table.concat(e.arguments, " "), LONG), e.parent and "< " .. e.parent)
    end
    function essence.vpn(e)
        return said(e.kind, e.mode or e.version, e.product and ("(%s)"):format(e.product), (e.phase or "seen") .. ",",
            (e.confidence or "") .. ":", cut(e.evidence or "", LONG))
    end
    function essence.dhcp(e)
        local address = e.assigned_ip or e.requested_ip or e.current_ip
        return said(e.message or e.type, address, e.client_mac and "for " .. e.client_mac, e.hostname or e.fqdn, e.vendor_class,
            e.os and ("(%s)"):format(e.os_detail or e.os), e.status)
    end
    function essence.mdns(e)
        local protocol = e.protocol ~= "mdns" and e.protocol or nil
        if e.type == "query" then
            local probes = e.probe and "probes for" or #e.browsed > 0 and "looks for" or "asks for"
            return said(protocol, probes, listed(#e.browsed > 0 and not e.probe and e.browsed or e.questions, TOLD))
        end
        local offers = {}
        for i, service in ipairs(e.services) do offers[i] = said(e.instances[i], service, e.hosts[i] ~= "" and "at " .. e.hosts[i]) end
        return said(protocol, e.goodbye and "takes back" or "tells", listed(#offers > 0 and offers or e.names, 3),
            #e.addresses > 0 and "= " .. listed(e.addresses, TOLD), e.model and ("(%s)"):format(e.model))
    end
    function essence.quic(e)
        local version = e.version or e.version_number > 0 and ("0x%08x"):format(e.version_number)
        return said(version and "version " .. version, e.sni, #e.alpns > 0 and ("[%s]"):format(listed(e.alpns, TOLD)), e.user_agent,
            e.retry and "retry", e.zero_rtt and "0-RTT", not e.decrypted and said("not read:", e.why_not))
    end
    function essence.smtp(e)
        local login = e.mechanism and said("login", e.user, "by " .. e.mechanism, e.password and "with a password in clear",
            e.auth_status > 0 and ("(%d)"):format(e.auth_status))
        local mail = e.mail_from and said("mail from", ("<%s>"):format(e.mail_from), "to", listed(e.rcpt_to, 3),
            e.status > 0 and ("(%d)"):format(e.status))
        local seen = said(login and mail and login .. ";" or login, mail, e.starttls and "STARTTLS")
        return seen ~= "" and seen or said(e.helo, e.banner)
    end

    local function first_texts(view)
        local words = {}
        for _, field in ipairs(current.fields) do
            if not field.head and #words < TOLD and (field.type == "str" or field.type == "word") then
                local value = view[field.name]
                if value and value ~= "" then words[#words + 1] = value:sub(1, 60) end
            end
        end
        return table.concat(words, " ")
    end

    local function end_point(ip, port)
        if port == 0 then return ip end
        return (ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(ip, port)
    end

    -- Who with whom; of what happens within a host the host, or nothing if it is not known.
    local function parties(view)
        if view.server_ip ~= "::" then
            return end_point(view.client_ip, view.client_port) .. " → " .. end_point(view.server_ip, view.server_port)
        end
        return view.client_ip ~= "::" and view.client_ip or nil
    end

    local function summary()
        local view = world.e
        local tell = essence[current.name] or first_texts
        local ends, time = parties(view), view.time
        host.answer("text", ("%s.%03d  %-10s %s%s"):format(os.date("!%H:%M:%S", math.floor(time)), time % 1 * 1000, current.name,
            ends and ends .. "  " or "", tell(view):gsub("%c", " ")))
    end

    -- ---------------------------------------------------------------- completion

    local function names_in(value)
        local names = {}
        if value == world.e and current then
            for _, field in ipairs(current.fields) do names[#names + 1] = field.name end
        elseif type(value) == "table" then
            for name in next, value do names[#names + 1] = name end
            if value == world then
                for name in next, environment do names[#names + 1] = name end
            end
        elseif type(value) == "string" then
            for name in next, environment.string do names[#names + 1] = name end
        end
        return names
    end

    -- "lunette.set.do" → the table lunette.set, "lunette.set.", "do"
    local function owner_of(word)
        local path, separator, last = word:match("^(.*)([%.:])([%w_]*)$")
        if not path then return world, "", word end
        local value = world
        for name in path:gmatch("[%w_]+") do
            if type(value) ~= "table" then return nil end
            if value == world then value = world[name] else value = rawget(value, name) end -- unknown names raise errors
        end
        return value, path .. separator, last
    end

    local function complete(line)
        local word = line:match("[%w_%.:]*$")
        local found = {}
        if line:match("^:?next%s") then
            for _, name in pairs(inside.kinds) do
                if name:sub(1, #word) == word then found[#found + 1] = name end
            end
        else
            local owner, before, last = owner_of(word)
            for _, name in ipairs(owner ~= nil and names_in(owner) or {}) do
                if type(name) == "string" and name:sub(1, #last) == last then found[#found + 1] = before .. name end
            end
        end
        table.sort(found)
        host.answer("text", table.concat(found, "\n"))
    end

    local answers = { evaluate = evaluate, mistyped = mistyped, pass = pass, prepare = prepare, check = check, unmet = unmet,
        summary = summary, complete = complete }

    -- One question about one event; kind 0: there is none at hand.
    return function(kind, view)
        local what, line = host.question()
        current = schema[kind]
        world.e = current and views.constructors[kind](view) or nil
        answers[what](line)
        current = nil
        world.e = nil
    end
end
