-- When did a host start: boot, wake or login?
--
-- A start begins when a host speaks after ten minutes of quiet, or is given an address anew; it is one if within ninety seconds two of the things
-- follow that macOS does when it comes up, or lifecycle says so, or a host log shows the programs that every login brings. A host that is
-- seen for the first time may have been up for long: only an address by DHCP or a log begins a start then.

local starts = {}

local DHCP, CAPTIVE, PUSH, CLOCK, MDNS, LIFECYCLE, LOGIN = 1, 2, 4, 8, 16, 32, 64
local WORDS = { { DHCP, "DHCP" }, { CAPTIVE, "captive probe" }, { PUSH, "push" }, { CLOCK, "clock" }, { MDNS, "mDNS probes" }, { LIFECYCLE, "lifecycle's verdict" },
    { LOGIN, "the host log: login" } }
local SURE = { [LIFECYCLE] = true, [LOGIN] = true }
local KEPT = 8 -- starts whose times are kept
local REJOIN = 120 -- seconds in which several signs of a start are one
local DAY = 86400
local MORNING = 5 * 3600 -- seconds of quiet that no night with its wakes has

local function holds(marks, bit) return math.floor(marks / bit) % 2 == 1 end

function starts.new(lunette, tunables)
    local hosts = lunette.records("starts", { max = 20000, ttl = 60 * DAY, fields = { first = "f64", last = "f64", begin = "f64", quiet = "f64", marks = "u8", starts = "u16",
        times = "f64[8]", how = "u8[8]" } })
    local open = lunette.state("open", { max = 10000 }) -- host → the start under way
    local own = { open = 0 }
    lunette.state("own", { max = 1 }):set("all", own)
    local soonest = 0 -- no start that is under way began earlier: until it can be over, the timer has nothing to do
    local object = {}

    function object.known(host) return hosts:get(host) end
    function object.open_count() return own.open end

    local function begin(host, time, quiet)
        local session = { begin = time, quiet = quiet, marks = 0, bits = 0, names = {}, count = 0 }
        if not open:get(host) then own.open = own.open + 1 end
        open:set(host, session)
        if time < soonest then soonest = time end
        return session
    end

    local function close(host, session, known)
        if session.closed then return end
        session.closed = true
        -- A Mac wakes a dozen times a night to ask Apple for news. A start in which no program had anything to say shows nothing about what starts with it,
        -- unless hours of quiet were before, or nobody knows what was (0): that is a morning, and silent ones are what a new name is new against.
        if session.confirmed and session.count == 0 and session.quiet > 0 and session.quiet < MORNING
            and not (holds(session.marks, LOGIN) or holds(session.marks, LIFECYCLE)) then
            session.confirmed = false
        end
        if session.confirmed then
            local place = known.starts % KEPT
            known.starts, known.begin, known.quiet, known.marks = known.starts + 1, session.begin, session.quiet, session.marks
            known:put("times", place, session.begin)
            known:put("how", place, session.marks)
        end
        session.how = object.how_text(session.marks)
        object.over(host, session, known)
    end

    -- A sign of life; a start begins if the host was quiet before.
    function object.life(host, time)
        local known, is_new = hosts:make(host)
        if is_new then
            known.first, known.last = time, time
            return
        end
        local gap = time - known.last
        if gap >= tunables.quiet then
            local before = open:get(host)
            if before then close(host, before, known) end
            begin(host, time, gap)
        end
        if gap > 0 then known.last = time end
    end

    -- The start to which a time belongs, if any.
    function object.at(host, time)
        local session = open:get(host)
        if session and time >= session.begin - 1 and time <= session.begin + tunables.window then return session end
    end

    -- desktop: which of the programs of a login it was. One alone may have been started anew; two are a login.
    local function mark(host, time, bit, joins, desktop)
        local known, is_new = hosts:make(host)
        if is_new then known.first = time end
        local session = open:get(host)
        if joins and (not session or time - session.begin > REJOIN) then
            if session then close(host, session, known) end
            session = begin(host, time, is_new and 0 or math.max(0, time - known.last))
        end
        if time > known.last then known.last = time end
        if not session or session.closed or time - session.begin > (SURE[bit] and tunables.window or tunables.within) or time < session.begin - 1 then return end
        if desktop and not session.desktop then session.desktop = desktop end
        if holds(session.marks, bit) or desktop and session.desktop == desktop then return end
        session.marks, session.bits = session.marks + bit, session.bits + 1
        if session.bits >= 2 or SURE[bit] then session.confirmed = true end
    end

    -- ------------------------------------------------------------ the marks

    lunette.on("flow_start", { client_local = true }, function(e) object.life(e.client_ip, e.time) end)

    local CAPTIVE_NAMES, PUSH_NAMES, CLOCK_NAMES = lunette.set.domains { "=captive.apple.com" },
        lunette.set.domains { "push.apple.com", "-courier.push.apple.com", "-courier2.push.apple.com" }, lunette.set.domains { "=time.apple.com", "=time-macos.apple.com" }
    lunette.on("dns", { type = "query", client_local = true, rrname = CAPTIVE_NAMES }, function(e) mark(e.client_ip, e.time, CAPTIVE) end)
    lunette.on("http", { client_local = true, host = CAPTIVE_NAMES }, function(e) mark(e.client_ip, e.time, CAPTIVE) end)
    lunette.on("dns", { type = "query", client_local = true, rrname = PUSH_NAMES }, function(e) mark(e.client_ip, e.time, PUSH) end)
    lunette.on("tls", { client_local = true, service = "apns" }, function(e) mark(e.client_ip, e.time, PUSH) end)
    lunette.on("dns", { type = "query", client_local = true, rrname = CLOCK_NAMES }, function(e) mark(e.client_ip, e.time, CLOCK) end)
    lunette.on("ntp", { client_local = true, server_local = false, to_server = true }, function(e) mark(e.client_ip, e.time, CLOCK) end)
    lunette.on("mdns", { client_local = true, probe = true }, function(e) mark(e.client_ip, e.time, MDNS) end)
    -- To the host itself: an answer by broadcast would come to the worker of the server. A renewal has the address already.
    lunette.on("dhcp", { message = "ack", version = 4 }, function(e)
        local address = e.assigned_ip
        if address and address == e.server_ip and not e.current_ip then mark(address, e.time, DHCP, true) end
    end)
    lunette.on("lifecycle.phase", { phase = { "boot", "first boot" } }, function(e)
        local session = open:get(e.address)
        if session and e.time - session.begin <= tunables.window then mark(e.address, e.time, LIFECYCLE) end
    end)
    -- loginwindow brings up the desktop: these three start at each login and hardly otherwise.
    lunette.on("process", { action = "exec", path = { "/System/Library/CoreServices/Finder.app/Contents/MacOS/Finder",
        "/System/Library/CoreServices/Dock.app/Contents/MacOS/Dock", "/System/Library/CoreServices/SystemUIServer.app/Contents/MacOS/SystemUIServer" } },
        function(e)
            if e.client_ip ~= "::" then mark(e.client_ip, e.time, LOGIN, true, e.path) end
        end)

    -- ------------------------------------------------------------ the end of a start

    local function settle(now)
        local list = {}
        soonest = math.huge
        for host, session in open:each() do
            local since = session.begin
            if now >= since + tunables.window + 30 then list[#list + 1] = host elseif since < soonest then soonest = since end
        end
        table.sort(list)
        for _, host in ipairs(list) do
            local session, known = open:get(host), hosts:make(host)
            close(host, session, known)
            open:set(host, nil)
        end
    end

    lunette.every(30, function(now)
        local count = open:count()
        if count == 0 then return end
        if now >= soonest + tunables.window + 30 then
            settle(now)
            count = open:count()
        end
        own.open = count
    end)
    function object.finish()
        settle(math.huge)
        own.open = open:count()
    end

    -- ------------------------------------------------------------ words

    function object.how_text(marks)
        local words = {}
        for i = 1, #WORDS do
            if holds(marks, WORDS[i][1]) then words[#words + 1] = WORDS[i][2] end
        end
        return #words > 0 and table.concat(words, ", ") or "nothing"
    end

    function object.time_text(time) return os.date("!%Y-%m-%d %H:%M:%S", math.floor(time)) end

    -- The last starts, oldest first: { "2026-05-04 08:02:11 by push, clock", … }.
    function object.recent(known)
        local list = {}
        for i = math.min(known.starts, KEPT), 1, -1 do
            local place = (known.starts - i) % KEPT
            list[#list + 1] = ("%s by %s"):format(object.time_text(known:at("times", place)), object.how_text(known:at("how", place)))
        end
        return list
    end

    return object
end

return starts
