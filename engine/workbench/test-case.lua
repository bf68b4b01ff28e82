-- A case: `c` of t.case("…", function(c) … end). It has a clock, hosts that talk, and what is expected of the detectors.
-- Nothing runs while it is told: the packets are put together here, played when the function has come to its end, and
-- then judged.
return function(inside)
    local host, options = inside.host, inside.options
    local fail, describe = options.fail, options.describe
    local case = {
        clock = 1777636800, -- 2026-05-01 12:00:00
        floor = 0,          -- nothing may be told of before it: a capture ended there
        first = math.huge,  -- the earliest and the latest of what was told
        last = 0,
        settings = {}, expectations = {}, ignored = {}, reports = {}, facts = {},
    }
    inside.case = case
    local c = {}  -- what the author has in hand: a proxy for `methods`
    local methods = {}

    -- ── time ────────────────────────────────────────────────────────

    -- Days from 1970-01-01 to a day of the Gregorian calendar, counted in years that begin in March.
    local function days(year, month, day)
        if month <= 2 then year, month = year - 1, month + 12 end
        return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) +
            math.floor((153 * (month - 3) + 2) / 5) + day - 719469
    end

    -- A time that an author gave: seconds since 1970, or "2026-05-01 12:00:00" in UTC (seconds may be left out, or have a
    -- fraction).
    function inside.moment(what, value)
        if type(value) == "string" then
            local y, m, d, hour, minute, rest = value:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)[ T](%d%d):(%d%d)(.*)$")
            local second = rest == "" and "0" or rest and rest:match("^:(%d%d%.?%d*)Z?$")
            if second and tonumber(m) >= 1 and tonumber(m) <= 12 and tonumber(d) >= 1 and tonumber(d) <= 31 and tonumber(hour) <= 23
                and tonumber(minute) <= 59 and tonumber(second) < 61 then
                value = days(tonumber(y), tonumber(m), tonumber(d)) * 86400 + hour * 3600 + minute * 60 + second
            end
        end
        if type(value) ~= "number" or not (value >= 0 and value < 2 ^ 32) then
            fail('%s: a time such as "2026-05-01 12:00:00" (UTC) or seconds since 1970 is expected, got %s', what, describe(value))
        end
        return value
    end

    -- Something was told of at a time; `message` says what was wrong with it.
    function inside.told(at, message)
        if message then fail("%s", message) end
        if at < case.floor then
            fail("the capture before this ends at %s, and this would be earlier", os.date("!%Y-%m-%d %H:%M:%S", case.floor))
        end
        if at < case.first then case.first = at end
        if at > case.last then case.last = at end
    end

    function methods.clock(_, value)
        if value ~= nil then case.clock = inside.moment("c:clock", value) end
        return case.clock
    end

    function methods.wait(_, seconds)
        if type(seconds) ~= "number" or not (seconds >= 0 and seconds < 1e9) then
            fail("c:wait: seconds, 0 or more, are expected, got %s (c:clock sets the clock back)", describe(seconds))
        end
        case.clock = case.clock + seconds
    end

    -- A number from 0 to 1, the same in each run.
    local function random()
        local a, b, d = host.random(3):byte(1, 3)
        return ((a * 256 + b) * 256 + d) / 2 ^ 24
    end

    function methods.times(_, count, seconds, turn, how)
        if type(count) ~= "number" or not (count >= 0 and count <= 1e6) or count % 1 ~= 0 then
            fail("c:times: a whole number is expected first, got %s", describe(count))
        end
        if type(seconds) ~= "number" or not (seconds >= 0 and seconds < 1e9) then
            fail("c:times: the seconds between two turns are expected second, got %s", describe(seconds))
        end
        if type(turn) ~= "function" then fail("c:times: a function is expected third, got %s", describe(turn)) end
        how = options.read("c:times", how or {}, { jitter = { "any", 0 } })
        if type(how.jitter) ~= "number" or not (how.jitter >= 0 and how.jitter <= 1) then
            fail("c:times: jitter is a share of the seconds, 0 to 1, got %s", describe(how.jitter))
        end
        local start, latest = case.clock, case.clock
        for i = 1, count do
            case.clock = start
            turn(i)
            latest = math.max(latest, case.clock)
            start = start + seconds * (1 + how.jitter * (2 * random() - 1))
        end
        case.clock = math.max(start, latest)
    end

    function methods.meanwhile(_, what)
        if type(what) ~= "function" then fail("c:meanwhile: a function is expected, got %s", describe(what)) end
        local now = case.clock
        what()
        case.clock = now
    end

    -- ── what is set ─────────────────────────────────────────────────

    local function setting(key, value)
        local kind = type(value)
        if kind == "number" then return ("%.17g"):format(value) end
        if kind == "string" or kind == "boolean" then return tostring(value) end
        if kind == "table" then
            local words = {}
            for i = 1, #value do words[i] = setting(key, value[i]) end
            return table.concat(words, ",")
        end
        return fail("c:set: %s must be a number, string, boolean or a list of them, got %s", key, describe(value))
    end

    function methods.set(_, detector, values)
        if values == nil then detector, values = inside.detectors[1], detector end
        if type(detector) ~= "string" then fail("c:set: which detector's? Name one with t.detector") end
        if type(values) ~= "table" then fail("c:set: a table of tunables is expected, got %s", describe(values)) end
        local name = detector:match("([^/]*)$"):gsub("%.lua$", "")
        for key, value in pairs(values) do
            local line = options.line()
            case.settings[#case.settings + 1] = { name, tostring(key), setting(tostring(key), value), line }
        end
    end

    function methods.configuration(_, address, configuration)
        if configuration == nil then address, configuration = nil, address end
        if address ~= nil and type(address) ~= "string" then
            fail("c:configuration: an address is expected first, or nil, got %s", describe(address))
        end
        if type(configuration) ~= "table" then
            fail("c:configuration: a table such as lunette.audit gives is expected, got %s", describe(configuration))
        end
        local message = host.configuration(address, configuration)
        if message then fail("c:configuration: %s", message) end
    end

    function methods.home(_, ...)
        local networks = options.read("c:home", { networks = { ... } }, { networks = { "texts" } }).networks
        case.home = table.concat(networks, ",")
    end

    -- ── who talks ───────────────────────────────────────────────────

    local own = setmetatable({}, { __mode = "k" }) -- of each host that was handed out
    local host_methods = {}
    for name, builder in pairs { dns = inside.dns, tls = inside.tls, http = inside.clear.http, tcp = inside.clear.tcp,
        ssh = inside.clear.ssh, udp = inside.udp.udp, ntp = inside.udp.ntp, ping = inside.udp.ping } do
        host_methods[name] = function(self, given)
            if not own[self] then fail("%s: call it with a colon, on what c:host gave", name) end
            return builder(own[self], given)
        end
    end

    local function next_port(data)
        data.port = data.port % 16384 + 1
        return 49151 + data.port
    end

    -- A thing whose fields are only these methods.
    local function sealed(thing, what, list)
        return setmetatable(thing, {
            __index = function(_, key)
                local found = list[key]
                if found then return found end
                local names = {}
                for name in pairs(list) do names[#names + 1] = name end
                fail("%s: there is no '%s'%s", what, tostring(key), options.instead(key, names))
            end,
            __newindex = function() fail("%s: nothing can be set here", what) end,
            __metatable = false,
        })
    end

    function methods.host(_, ip, how)
        if type(ip) ~= "string" or not host.address(ip) then
            fail("c:host: an address such as 192.168.1.20 is expected, got %s", describe(ip))
        end
        how = options.read("c:host", how or {}, { ttl = { "u8", 64 } })
        local list = { ip = ip }
        for name, method in pairs(host_methods) do list[name] = method end
        local handle = sealed({}, "a host", list)
        own[handle] = { ip = ip, ttl = how.ttl, port = 0, next_port = next_port }
        return handle
    end

    -- ── events and captures ─────────────────────────────────────────

    function methods.event(_, kind, fields)
        if type(kind) ~= "string" then fail("c:event: an event's name is expected, got %s", describe(kind)) end
        if type(fields) ~= "table" then fail("c:event: a table of fields is expected, got %s", describe(fields)) end
        local message, wrong, names = host.event(case.clock, kind, fields)
        if message and names then message = message .. options.instead(wrong, names) end
        inside.told(case.clock, message and "c:event: " .. message)
    end

    -- Logs are the whole case's: a Mac's programs do not change from one capture to the next.
    local function host_logs(given)
        for key in pairs(given) do
            if key ~= "host_log" then fail("c:capture: there is no option '%s'; host_log is one", tostring(key)) end
        end
        local words = given.host_log
        if type(words) == "string" then words = { words } end
        if type(words) ~= "table" then fail("c:capture: host_log is a file's name, or a list of them, not %s", describe(words)) end
        for _, word in ipairs(words) do
            if type(word) ~= "string" then fail("c:capture: host_log: a file's name is expected, got %s", describe(word)) end
            local path, message = host.log_path(word)
            message = message or host.add_log(word:sub(1, #word - #path) .. inside.beside(path))
            if message then fail("c:capture: host_log: %s", message) end
        end
    end

    function methods.capture(_, ...)
        local names = { ... }
        local last_given = names[#names]
        if type(last_given) == "table" and (#names > 1 or last_given.host_log ~= nil) then
            names[#names] = nil
            host_logs(last_given)
        end
        if type(names[1]) == "table" then names = names[1] end
        for i, name in ipairs(names) do
            if type(name) ~= "string" then fail("c:capture: a file's name is expected, got %s", describe(name)) end
            names[i] = inside.beside(name)
        end
        if #names == 0 then fail("c:capture: a file's name is expected") end
        local first, last, message = host.capture(names)
        if message then fail("c:capture: %s", message) end
        if last < 0 then return end
        if case.last > first then
            fail("c:capture: it begins at %s, before the end of what was told so far (%s): name it first",
                os.date("!%Y-%m-%d %H:%M:%S", first), os.date("!%Y-%m-%d %H:%M:%S", case.last))
        end
        case.clock, case.floor, case.last = last, last, last
        case.first = math.min(case.first, first)
    end

    -- ── what is expected ────────────────────────────────────────────

    local function noted(what, given, spec)
        local wanted = options.read(what, given, spec)
        return { wanted = wanted, line = options.line() }
    end

    function methods.expect(_, given)
        if case.none then fail("c:expect: c:expect_none was said already") end
        local expectation = noted("c:expect", given, inside.judge.ALERT)
        expectation.times = expectation.wanted.times or 1
        expectation.wanted.times = nil
        case.expectations[#case.expectations + 1] = expectation
    end

    function methods.expect_none()
        if #case.expectations > 0 then fail("c:expect_none: c:expect was said already") end
        case.none = options.line()
    end

    function methods.ignore(_, given)
        local ignored = noted("c:ignore", given, inside.judge.ALERT)
        if ignored.wanted.times then fail("c:ignore: times means nothing here") end
        case.ignored[#case.ignored + 1] = ignored
    end

    function methods.report(_, given)
        case.reports[#case.reports + 1] = noted("c:report", given, inside.judge.REPORT)
    end

    function methods.fact(_, given)
        case.facts[#case.facts + 1] = noted("c:fact", given, inside.judge.FACT)
    end

    sealed(c, "c", methods)
    for name, method in pairs(methods) do
        methods[name] = function(self, ...)
            if self ~= c then fail("c.%s: call it with a colon: c:%s(…)", name, name) end
            return method(self, ...)
        end
    end
    case.handle = c
    return case
end
