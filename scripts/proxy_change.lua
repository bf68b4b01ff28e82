-- Which proxies does a Mac use, since when, and who told it to?
--
-- A proxy sees all that is said in clear, may open TLS if its authority is trusted, and carries what a firewall would stop. A Mac uses one that its network
-- settings, a profile or a script (PAC, WPAD) names, or a program brings its own. Few networks still need one, so a proxy that appears is a strong sign. A
-- capture that begins with a proxy in use shows no change: it is told on the host's card, and only what is odd about the proxy counts.
--
--   in use      HTTP proxies (CONNECT; whole URLs in requests to the usual ports) and SOCKS, from `requests` granted ones on. Signs add up: the
--               host went direct before, for `learn_hours` and `learn_flows`; it had another proxy before; a public address; a neighbour or the Mac itself; an odd
--               port; the Mac's settings (`--audit`) name no such one; networksetup ran before; a script came from outside just before.
--   past it     the settings name a proxy, and the host goes direct.
--   target      CONNECT to ports that no web page has, most of all by bare address or a program that is no browser.
--   script      wpad.dat or a PAC file from outside the home networks, in clear: whoever answers leads all traffic. The name wpad that DNS places outside, as
--               when a network's domain ends in a name that others can register. Another script than before.
--   DHCP        a second server that names a script (option 252), or one that names another than before.
--   opened      one authority that nobody knows signs the certificates (up to TLS 1.2) of many unlike names: somebody opens TLS on the way.
--
-- Questions for wpad.<search domain> that are answered with "no such name" are Chrome's, and nothing odd. That networksetup was run, and curl -x, are lolbin's;
-- Apple's names with a strange certificate are apple_allowlist's; Shadowsocks and its like are vpn's, ssh -D is lolbin's.
--
-- False alarms: a company that brings in a proxy; cloud proxies whose script comes from outside (allow their names); developers' proxies; Tor Browser.
-- Misses: proxies that are called by TLS (https://proxy); whole URLs on ports that are none of a proxy's, and at port 80 those for one name only (that server may be
-- the very one); a proxy that was there from the first packet and looks
-- usual; a proxy that the settings name by a name is taken to be that one if its port is; certificates of TLS 1.3.
-- ATT&CK: T1090 proxy, T1557 adversary in the middle, T1557.003 DHCP spoofing, T1565.002 transmitted data manipulation, T1562 impair defenses, T1016 network
-- configuration discovery, T1571 non-standard port.

local lunette = require "lunette"
local address = require "lunette.address"
local allowed = require "allowed"
local certificates = require "certificates"
local configuration = require "configuration"
local dhcp_book = require "dhcp_book"
local hosts = require "host_kind"
local network_tools = require "network_tools"
local programs = require "programs"
local proxy_table = require "proxy_table"

lunette.detector { title = "Proxy that was not there before", category = "Command and Control", attack = "T1090" }

local tunables = lunette.tunables {
    allowed = "",       -- proxies and hosts of scripts that are fine: names, addresses, networks
    requests = 3,       -- granted requests from which on a proxy is judged, and again at thirty times as many
    learn_hours = 1,    -- "before" is something after so long …
    learn_flows = 20,   -- … and so many direct connections, or requests to another proxy
    ports = { "80", "81", "443", "808", "1080", "3128", "8000", "8008", "8080", "8081", "8088", "8118", "8123", "8443", "8888", "9050", "9090", "9150", "9400", "9443" },
    target_ports = { "443", "80", "8080", "8443", "5222", "5223", "2197", "993", "995", "465", "587", "853", "3478", "5349" }, -- that any proxy is asked for
    tool = 600,         -- seconds after networksetup in which a change is tied to it
    script = 600,       -- seconds after a script from outside in which a new proxy is its
    authority_names = 5, -- unlike domains with certificates of one unknown authority …
    authority_share = 0.8, -- … and its share of all certificates since
    low = 2, medium = 4, high = 6, -- points from which on an alert has that severity
    rows = 40,          -- of the report
    cooldown = 86400,
}

local DAY = 86400
local allow = allowed.list(lunette, tunables.allowed)
local judge = require("proxy_judge").new(tunables)
local authorities = certificates.new(lunette.tsv("certificate_issuers.tsv"))

local function set_of(list)
    local set, numbers = {}, {}
    for i = 1, #list do
        numbers[i] = tonumber(list[i]) or error(("proxy_change: '%s' is no port"):format(list[i]))
        set[numbers[i]] = true
    end
    return set, numbers
end
local usual_ports = set_of(tunables.ports)
local target_ports = set_of(tunables.target_ports)

local proxies = proxy_table.new(lunette.state("proxies", { max = 12000, ttl = 90 * DAY }))
local changed = lunette.state("changed", { max = 20000, ttl = DAY, keep = "reload" })
local targets = lunette.state("targets", { max = 20000, ttl = tunables.cooldown })        -- "client target" → true
local issuers = lunette.state("issuers", { max = 10000, ttl = DAY })                     -- "client issuer" → { count, names, certificates, before }
local signed = lunette.state("signed", { max = 20000, ttl = DAY })                       -- client → certificates seen
local origins = lunette.state("origins", { max = 10000, ttl = DAY })                     -- "client server" → the name in whole URLs; true: several
local asked_wpad = lunette.state("asked wpad", { max = 10000, ttl = 60, keep = "reload" }) -- client → time

-- ---------------------------------------------------------------- proxies in use

-- Do the settings name this proxy? One that they name by a name is told by its port.
local function given_by_settings(client, server, port)
    local given = configuration.proxy_given(client, server, port)
    if given ~= false then return given end
    local list = configuration.of(client).proxies
    for i = 1, #list do
        local host = list[i].host
        if host and list[i].port == port and not address.version(host) then
            if host ~= "localhost" or address.is_loopback(server) then return true end
        end
    end
    return false
end

-- The proxy for web pages that the settings name by itself, not by a script; nil if there is none.
local function proxy_that_is_set(client)
    local own = configuration.of(client)
    local list = own and own.proxies
    if not list then return nil end
    local found
    for i = 1, #list do
        local one = list[i]
        if one.kind == "pac" or one.kind == "wpad" then return nil end
        if one.host and one.host ~= "localhost" and not address.is_loopback(one.host) and (one.kind == "http" or one.kind == "https" or one.kind == "socks") then
            found = found or ("%s:%d"):format(one.host, one.port or 0)
        end
    end
    return found
end

local function send_use(e, one, own)
    local client, server, port = e.client_ip, e.server_ip, e.server_port
    local usual, before = proxies.usual(own, one)
    lunette.send("use", {
        host = client, proxy = one.label, server = server, port = port, kind = one.kind, requests = one.requests, refused = one.refused, first = one.first, last = e.time,
        direct = own.direct, direct_first = own.direct_first, usual = usual, usual_requests = before and before.requests, usual_first = before and before.first,
        usual_last = before and before.last, target = one.target, odd_port = not usual_ports[port], global = address.is_global(server),
        loopback = address.is_loopback(server), near = address.is_private(server) and address.network(client, address.version(client) == 4 and 24 or 64)
            == address.network(server, address.version(server) == 4 and 24 or 64), allowed = allow.address(server), configured = given_by_settings(client, server, port),
        judged = hosts.may_be_mac(client), mac = hosts.is_mac(client), program = e.program and programs.known_as(e.program, e.path), ancestry = e.ancestry,
    })
end

-- Of a request to a proxy: who is asked to be reached.
local CLASSES = { interpreter = 1, shell = 1, network = 1, office = 2, editor = 2, viewer = 2 }

local function look_at_target(e, kind, host, port)
    if port == 0 or target_ports[port] or not host then return end
    local key = e.client_ip .. " " .. host .. ":" .. port
    if targets:get(key) then return end
    targets:set(key, true)
    local literal = lunette.is_address(host)
    local class = e.program and programs.class(e.program, e.path)
    local points = (kind == "http" and 2 or 1) + (literal and 1 or 0) + (CLASSES[class or ""] or 0)
    if points < tunables.low or not hosts.may_be_mac(e.client_ip) or allow.host(host) then return end
    lunette.alert {
        title = "Proxy asked for an odd port", severity = points >= tunables.medium and "medium" or "low", score = points, confidence = 0.4, who = e.client_ip,
        where = host .. ":" .. port, attack = "T1090,T1571",
        why = ("%sasked the %s proxy %s:%d for port %d of %s%s"):format(e.program and e.program .. " " or "", kind == "http" and "HTTP" or "SOCKS", e.server_ip, e.server_port,
            port, host, literal and ", by address" or ""),
        evidence = { proxy = e.server_ip .. ":" .. e.server_port, target = host, port = port, by_address = literal, program = e.program, class = class, points = points },
        next = "What listens there? A proxy that lets any port through carries ssh, shells and VPNs as well as web pages.",
        key = ("%s target %s:%d %d"):format(e.client_ip, e.server_ip, e.server_port, points), cooldown = tunables.cooldown,
    }
end

local news = false -- was a proxy used since the cards were told?

local function used(e, kind, granted, host, port)
    local one, own = proxies.request(e.client_ip, e.server_ip, e.server_port, kind, e.time, granted)
    news = true
    if host then one.target = host end
    if granted and (one.requests == tunables.requests or one.requests == tunables.requests * 30) then send_use(e, one, own) end
    if granted then look_at_target(e, kind, host, port) end
end

lunette.on("http", { client_local = true, method = "CONNECT" }, function(e)
    local status = e.status
    local target = e.url or ""
    local host, port = target:match("^%[?([^%]]-)%]?:(%d+)$")
    used(e, "http", status >= 200 and status < 300, host or e.host, tonumber(port) or e.host_port)
end)

-- GET http://example.com/ HTTP/1.1: proxies are asked so, and some programs ask the very server that the URL names (RFC 9112, 3.2.2 lets them). That one has the
-- URL's address, or stands at port 80 and is asked for one name only.
local function is_origin(e)
    local host, server = e.host, e.server_ip
    if not host or host == server then return true end
    if e.server_port ~= 80 then return false end
    local key = e.client_ip .. " " .. server
    local before = origins:get(key)
    if not before then origins:set(key, host) end
    if before and before ~= host and before ~= true then origins:set(key, true) end
    return origins:get(key) ~= true
end

local _, proxy_ports = set_of(tunables.ports)
lunette.on("http", { client_local = true, server_port = proxy_ports }, function(e)
    local url = e.url
    if not url or url:find("http://", 1, true) ~= 1 or e.method == "CONNECT" then return end
    local status = e.status
    if status == 0 or is_origin(e) then return end
    used(e, "http", status ~= 400 and status ~= 403 and status ~= 405 and status ~= 407, e.host, 80)
    proxies.volume(e.client_ip, e.server_ip, e.server_port, e.length + e.request_length)
end)

lunette.on("socks", { client_local = true }, function(e)
    used(e, e.version == 4 and "socks4" or "socks5", e.reply == "succeeded", e.host, e.port)
end)

-- Volume: what went through (of whole URLs the bodies, above), and what went direct.
lunette.on("flow", { client_local = true, proxy = { "http", "socks4", "socks5" } }, function(e)
    proxies.volume(e.client_ip, e.server_ip, e.server_port, e.client_bytes + e.server_bytes)
end)

lunette.on("flow", { client_local = true, server_local = false, app_proto = { "tls", "http", "quic" } }, function(e)
    if e.proxy then return end
    local client = e.client_ip
    local own = proxies.direct(client, e.server_ip, e.server_port, e.client_bytes + e.server_bytes, e.start)
    if not own or own.direct ~= tunables.learn_flows or own.count > 0 then return end
    local set = proxy_that_is_set(client)
    if set then
        lunette.alert {
            title = "Traffic goes past the configured proxy", severity = "low", score = 3, confidence = 0.3, who = client, where = set, attack = "T1562",
            why = ("the Mac's settings name the proxy %s, but %d connections went direct and none through it"):format(set, own.direct),
            evidence = { set = set, direct_connections = own.direct, first = own.direct_first },
            next = "Exceptions of the settings, VPNs and programs that mind no settings do that. Is the proxy still switched on? See the audit's findings.",
            key = client .. " past " .. set, cooldown = tunables.cooldown,
        }
    end
end)

-- ---------------------------------------------------------------- scripts

-- The clock of the latest question for wpad by anybody: answers are looked at for a minute after it.
local last_wpad = -1e9

lunette.on("proxy_config", { client_local = true }, function(e)
    local kind, client = e.kind, e.client_ip
    if kind == "wpad_dns" then
        last_wpad = lunette.now()
        asked_wpad:set(client, last_wpad)
        return
    end
    local host, server = e.host, e.server_ip
    if host then host = host:match("^%[(.-)%]") or host:gsub(":%d+$", "") end
    lunette.send("script", {
        host = client, kind = kind, name = host or server, url = e.url, server = server, port = e.server_port, status = e.status, length = e.length, agent = e.user_agent,
        outside = not e.server_local and address.is_global(server), allowed = allow.address(server) or allow.name(host),
        configured = configuration.proxy_given(client, host or server) == true, judged = hosts.may_be_mac(client), mac = hosts.is_mac(client), program = e.program,
        ancestry = e.ancestry, time = e.time,
    })
end)

lunette.on("dns", { type = "answer", client_local = true, qtype = { 1, 28 } }, function(e)
    if lunette.now() - last_wpad > 60 or e.answer_count == 0 then return end
    local client, name = e.client_ip, e.rrname
    if not name or not asked_wpad:get(client) or (name ~= "wpad" and name:find("wpad.", 1, true) ~= 1) then return end
    local list = e.qtype == 1 and e.a or e.aaaa
    if #list == 0 then return end
    lunette.send("wpad", {
        host = client, name = name, addresses = list, resolver = e.server_ip, outside = address.is_global(list[1]), collision = lunette.registrable(name) == name,
        allowed = allow.address(list[1]) or allow.name(name), judged = hosts.may_be_mac(client),
    })
end)

-- ---------------------------------------------------------------- what explains a change

-- Did a program for developers (Proxyman, Charles) run it? By its name, so it only takes weight from a proxy on the Mac itself.
local function is_developers(ancestry)
    for name in (ancestry or ""):gmatch("[^<]+") do
        name = name:match("^%s*(.-)%s*$")
        if programs.class(name) == "developer" then return true end
    end
    return false
end

lunette.on("dhcp", { type = "reply" }, function(e)
    local note = dhcp_book.note(e)
    if note then lunette.send("lease", note) end
end)

lunette.on("process", { action = "exec", path = network_tools.PATHS }, function(e)
    local kind, values = network_tools.change(e.arguments)
    if kind then
        lunette.send("tool", { host = e.client_ip, kind = kind, values = values, time = e.time, developer = is_developers(e.ancestry),
            by = (e.program or "networksetup") .. (e.ancestry and " < " .. e.ancestry or "") })
    end
end)

-- ---------------------------------------------------------------- TLS that is opened

lunette.on("tls", { client_local = true, quic = false, self_signed = false, server_version = { 0x0301, 0x0302, 0x0303 } }, function(e)
    local issuer, name = e.issuer, e.sni
    if not issuer or not name then return end
    local client = e.client_ip
    local total = (signed:get(client) or 0) + 1
    signed:set(client, total)
    local kind, what = authorities.issuer(issuer)
    if kind == "apple" or kind == "used" or kind == "public" then return end
    local domain = lunette.registrable(name)
    if not domain or not hosts.may_be_mac(client) then return end
    local key = client .. " " .. issuer
    local count, seen = certificates.count(issuers, key, domain, tunables.authority_names)
    local record = issuers:get(key)
    record.certificates, record.before = (record.certificates or 0) + 1, record.before or total - 1
    if count < tunables.authority_names or record.told then return end
    local share = record.certificates / (total - record.before)
    if share < tunables.authority_share then return end
    record.told = true
    local names = {}
    for one in pairs(seen) do names[#names + 1] = one end
    table.sort(names)
    lunette.send("authority", { host = client, issuer = authorities.title(issuer), kind = kind, what = what, names = names, share = share,
        proxy = proxies.label(client, e.server_ip, e.server_port), time = e.time })
end)

-- ---------------------------------------------------------------- cards

local function send_cards()
    if not news then return end
    news = false
    for host, own in proxies.each() do
        if own.count > 0 and changed:get(host) ~= own.turns then
            changed:set(host, own.turns)
            local rows = {}
            for i = 1, own.count do
                local one = own.list[own.order[i]]
                rows[i] = { proxy = one.label, kind = one.kind, first = one.first, requests = one.requests, refused = one.refused, bytes = one.bytes,
                    configured = given_by_settings(host, one.server, one.port), allowed = allow.address(one.server) }
            end
            lunette.send("card", { host = host, direct = own.direct, direct_bytes = own.direct_bytes, rows = rows })
        end
    end
end

lunette.every(3600, send_cards)
lunette.on_end(send_cards)

-- ---------------------------------------------------------------- all hosts together

lunette.gather(function() judge.gather(dhcp_book, network_tools) end)
