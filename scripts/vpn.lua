-- Tunnels: which encrypted ones does a host use, who allowed them, and what goes through?
--
-- A VPN is ordinary on a Mac: at work, abroad, in a browser. The same tunnel takes a company's files past all that looks at names, and gives an
-- intruder a network inside (Sliver speaks WireGuard on DNS's port). So this detector says first of all what there is, plainly and softly: protocol,
-- server, provider where the facts allow, bytes each way, and how much of the host's traffic that is. It grows louder where somebody has said which
-- tunnels are allowed (tunable `allowed`, or the audit of that Mac) and this one is none of them, and where a second thing is odd with it.
--
--   tunnel by its protocol   what the engine's `vpn` event knows: WireGuard, OpenVPN, IPsec, Tailscale, ZeroTier, SoftEther, AnyConnect, Tor …
--   by its server's name     proxies and relays that look like any HTTPS (data/vpn_providers.tsv); or its certificate, where the hello names nobody
--   on the Mac itself        captures that name their interfaces (PKTAP, pcapng) show utunN, ipsecN, pppN: programs' traffic there is the sign, not
--                            that there is one. macOS has utun0 and more of its own, for Continuity, Private Relay's and iPhones' sake, with nothing
--                            but link-local chatter; a development iPhone's is all unique local IPv6. Neither counts.
--   the same bytes twice     in clear on utun3, encrypted on en0: tied by time and volume, packet by packet as an encrypted header costs
--   what no protocol tells   a host that falls silent but for one connection (a tunnel takes all the rest); connections whose bytes are random from the
--                            first one on, several to one server (Shadowsocks, obfs4, VMess), or behind a SOCKS proxy on the host itself
--
-- What makes false alarms. People's own VPNs where the operator named a list without them; guests. Large backups through the company's tunnel that the list
-- lacks. "All in one connection": a host that copies something all night and has nothing else to say, which Macs hardly ever have. Random bytes:
-- games, file sharing (many servers are passed over), protocols of one maker.
-- What it misses. Scrambled tunnels that make one long connection beside other traffic, begin anew each half hour, or put letters before their bytes; tunnels in ordinary TLS or QUIC to a name that no list has; a tunnel
-- that comes up with the capture's own Mac asleep. Tunnels in DNS are dns_tunnel's, in ping and ssh lolbin's, plain proxies proxy_change's.
--
-- ATT&CK: T1572 protocol tunneling; T1090, T1090.003 (Tor, multi-hop); T1133 for tunnels from outside; T1048 for uploads through one; T1571 ports.

local lunette = require "lunette"
local allowed = require "allowed"
local configuration = require "configuration"
local figures = require "figures"
local hosts = require "host_kind"
local vpn_book = require "vpn_book"
local vpn_judge = require "vpn_judge"
local vpn_names = require "vpn_names"
local vpn_silence = require "vpn_silence"

lunette.detector { title = "VPN or tunnel in use", category = "Command and Control", attack = "T1572" }
local tunables = lunette.tunables {
    allowed = "",          -- tunnels that may be: kinds (wireguard), providers (nordvpn), servers' names, addresses, networks, interfaces (utun3); empty: nobody said
    fresh_days = 7,        -- a host that was seen on more days than that without a tunnel: then one is news
    hint = 600,            -- seconds for which a provider's name asked for explains a tunnel
    upload_mb = 100,       -- sent through one tunnel in a day …
    upload_times = 3,      -- … and so many times more than came back: an upload
    quiet_minutes = 30,    -- shortest single connection that may be a tunnel for everything
    quiet_share = 0.97,    -- of the host's bytes in that time
    quiet_starts = 0.1,    -- connections begun beside it, of those that the host begins at other times
    quiet_mb = 5,          -- and so much went through it
    random_flows = 4,      -- connections of random bytes to one server within an hour
    random_servers = 6,    -- more servers than that in an hour: file sharing, not a tunnel
    interface_flows = 3,   -- connections of programs through an interface before it is told of
    cooldown = 86400,      -- seconds between alerts about the same
    rows = 40,             -- of the report
}

local DAY = 86400
local providers = lunette.tsv("vpn_providers.tsv")
local WORDS = { "wireguard", "openvpn", "ipsec", "tailscale", "zerotier", "anyconnect", "sstp", "pptp", "l2tp", "softether", "tor" } -- the event's kinds
for _, row in ipairs(providers) do WORDS[#WORDS + 1] = row.word end
local allow = allowed.list(lunette, tunables.allowed, WORDS)

local hints = lunette.state("hints", { max = 10000, ttl = DAY })
local known_hosts = lunette.records("callers", { max = 20000, ttl = 30 * DAY, fields = vpn_silence.FIELDS })
local names = vpn_names.new(lunette, providers, hints, tunables.hint)
local silence = vpn_silence.new(known_hosts, tunables)
local judge = vpn_judge.new(tunables, allow, configuration)
local flows = lunette.flow_state { tunnel = "bool", other = "u64" } -- other: bytes of the host's flows that had ended when it began

local function interfaces(patterns)
    local list = {}
    for _, pattern in ipairs(patterns) do
        for number = 0, 31 do list[#list + 1] = pattern .. number end
    end
    return lunette.set.strings(list)
end
local tunnel_interfaces, real_interfaces = interfaces { "utun", "ipsec", "ppp", "tun", "tap" }, interfaces { "en" }
-- Link-local, multicast, loopback, and the unique local IPv6 that a Mac's own utun interfaces talk to an iPhone with.
local nowhere = lunette.set.prefixes { "224.0.0.0/3", "127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "fe80::/10", "ff00::/8", "fc00::/7", "::1/128" }

-- ---------------------------------------------------------------- tunnels by protocol

-- Days while a tunnel stands are not days without one, however long ago it began.
local function stands(host)
    local known = known_hosts:make(host)
    known.open = known.open + 1
end

local function is_over(known, finish)
    local day = math.floor(finish / DAY)
    if known.open > 0 then known.open = known.open - 1 end
    known.tunnel, known.days, known.day = math.max(known.tunnel, finish), 0, math.max(known.day, day)
end

-- A tunnel that a local host opened. What it is, who is behind it, who allowed it.
local function opened(e)
    local host, server = e.client_ip, e.server_ip
    local provider, word, how = names.provider(host, e.name, e.product, e.time)
    local tunnel = { kind = e.kind, provider = provider, word = word, how = how, server = server, name = e.name, port = e.server_port,
        mode = e.mode, product = e.product, confidence = e.confidence, evidence = e.evidence }
    local finding = judge.tunnel(tunnel, e, known_hosts:get(host))
    lunette.send("tunnel", { host = host, kind = e.kind, provider = provider, how = how, server = server, name = e.name, port = e.server_port,
        time = e.time, iface = e.iface, allowed = finding.allowed, stated = finding.stated })
    local known = known_hosts:make(host)
    known.tunnel, known.days, known.day = math.max(known.tunnel, e.time), 0, math.max(known.day, math.floor(e.time / DAY))
    if not finding.allowed then judge.tell(tunnel, e, finding, hosts.is_mac(host)) end
end

lunette.on("vpn", { client_local = true }, function(e)
    if nowhere:has(e, "server_ip") and not e.server_local then return end
    local own = flows:of(e)
    local is_new = not own or not own.tunnel
    if own then own.tunnel = true end
    if e.server_local then return end -- within the house: counted by nobody, since it leads nowhere else
    opened(e)
    if own and is_new then stands(e.client_ip) end
end)

lunette.on("vpn", { client_local = false, server_local = true }, function(e)
    if e.both_sides then judge.from_outside(e) end
end)

-- Names of providers: a hint for the tunnel that comes, and for proxies in HTTPS the tunnel itself.
lunette.on("dns", { type = "query", client_local = true, rrname = names.set }, function(e)
    names.note(e.client_ip, names.row(e, "rrname"), e.rrname, e.time)
end)

local function in_tls(e, kind, provider, word, how)
    local own = flows:of(e)
    if not own or own.tunnel or e.server_local then return end
    own.tunnel = true
    local tunnel = { kind = kind, provider = provider, word = word, how = how, server = e.server_ip, name = e.sni, port = e.server_port }
    local finding = judge.tunnel(tunnel, e)
    stands(e.client_ip)
    lunette.send("tunnel", { host = e.client_ip, kind = kind, provider = provider, how = how, server = e.server_ip, name = e.sni, port = e.server_port,
        time = e.time, iface = e.iface, allowed = finding.allowed, stated = finding.stated })
    if not finding.allowed then judge.tell(tunnel, e, finding, hosts.is_mac(e.client_ip)) end
end

lunette.on("tls", { client_local = true, sni = names.set }, function(e)
    local row = names.row(e, "sni")
    names.note(e.client_ip, row, e.sni, e.time)
    if row.use ~= "proxy" and row.use ~= "server" then return end
    in_tls(e, row.use == "proxy" and "https proxy" or "tls", row.provider, row.word, "by its name " .. e.sni)
end)

-- A hello that names nobody, and a certificate that does.
lunette.on("tls", { client_local = true, server_local = false, has_server_hello = true }, function(e)
    if e.sni then return end
    local row, how = names.by_certificate(e)
    if row then in_tls(e, row.use == "proxy" and "https proxy" or "tls", row.provider, row.word, how) end
end)

-- What the operator names is a tunnel also where it looks like any HTTPS (GlobalProtect, Fortinet, SSTP): else what goes through it would be one that nobody allowed.
local function is_named(e) in_tls(e, "tls", nil, nil, "by the list of those allowed") end
if allow.count > 0 then
    lunette.on("tls", { client_local = true, sni = allow.domains }, is_named)
    lunette.on("tls", { client_local = true, server_ip = allow.prefixes }, is_named)
end

-- ---------------------------------------------------------------- volume, and what no protocol tells

lunette.on("flow_start", { client_local = true, server_local = false }, function(e)
    if nowhere:has(e, "server_ip") then return end
    local host = silence.begins(e.client_ip, e.time)
    local own = flows:of(e)
    if own then own.other = host.bytes end
end)

local apples = lunette.set.domains { "icloud.com", "icloud-content.com", "apple.com", "cdn-apple.com", "mzstatic.com", "aaplimg.com" }

local function told_silence(e, own, host)
    local told = silence.judge(e, own, host)
    if not told or not hosts.may_be_mac(e.client_ip) then return end
    local where = e.server_name or e.server_ip
    -- Private Relay, a night of iCloud's photographs, a new macOS: they take all, and tell whose they are.
    if apples:has(where) or allow.host(where) or allow.address(e.server_ip) or configuration.vpn_given(e.client_ip, nil, where) then return end
    lunette.alert {
        title = "All traffic of the host in one connection", severity = "low", score = 3, confidence = 0.4, attack = "T1572",
        who = e.client_ip, where = where,
        why = ("for %s nearly all went over one %s connection to %s port %d: %s of %s, and %.1f other connections in ten minutes instead of %.0f; so looks a host "
            .. "whose traffic a tunnel took over"):format(figures.duration(e.age), e.app_proto or e.proto, where, e.server_port,
            figures.bytes(told.own), figures.bytes(told.all), told.during, told.before),
        evidence = { seconds = figures.round(e.age, 0), protocol = e.app_proto or e.proto, sent = e.client_payload, received = e.server_payload,
            share = figures.round(told.own / told.all, 3), starts_before = figures.round(told.before, 1), starts_during = figures.round(told.during, 1) },
        next = "Ask whose server it is, and look on the Mac for an interface utunN with a default route (netstat -rn) and who made it (ifconfig, systemextensionsctl list).",
        key = "silence " .. e.client_ip .. " " .. where, cooldown = tunables.cooldown,
    }
end

lunette.on("flow", { client_local = true, server_local = false }, function(e)
    local bytes = e.client_bytes + e.server_bytes
    local own, host = flows:of(e), known_hosts:get(e.client_ip)
    if host then
        if own and own.tunnel then
            is_over(host, e.finish)
            lunette.send("over", { host = e.client_ip, server = e.server_ip, name = e.server_name, port = e.server_port, protocol = e.app_proto, proto = e.proto,
                up = e.client_payload, down = e.server_payload, up_packets = e.client_packets, down_packets = e.server_packets, start = e.start, finish = e.finish,
                bytes = bytes, other = host.bytes - own.other, iface = e.iface, program = e.program, path = e.path })
        elseif e.age >= tunables.quiet_minutes * 60 and bytes >= tunables.quiet_mb * 1e6 and not e.midstream and own then
            told_silence(e, own, host)
        end
        host.bytes = host.bytes + bytes
    end
    if not e.app_proto and e.first_speaker == "client" and e.client_entropy >= 5.2 and e.server_entropy >= 4.4 and vpn_judge.is_random(e)
        and not allow.address(e.server_ip) and not allow.name(e.server_name) then
        lunette.send("random", { host = e.client_ip, server = e.server_ip, name = e.server_name, port = e.server_port, start = e.start, bytes = bytes,
            sent = e.client_payload, received = e.server_payload, program = e.program })
    end
end)

-- Within the host itself: a local proxy that leads into a tunnel, and its far end where both ends are on one machine.
local loopback = lunette.set.prefixes { "127.0.0.0/8", "::1/128" }
lunette.on("socks", { client_ip = loopback, server_ip = loopback }, function(e) lunette.send("socks", { time = e.time, port = e.server_port }) end)
lunette.on("flow", { client_ip = loopback, server_ip = loopback }, function(e)
    if e.app_proto or e.first_speaker ~= "client" or e.client_entropy < 5.2 or e.server_entropy < 4.4 or not vpn_judge.is_random(e) then return end
    lunette.send("random", { host = e.client_ip, server = e.server_ip, port = e.server_port, start = e.start, bytes = e.client_bytes + e.server_bytes,
        sent = e.client_payload, received = e.server_payload, program = e.program, loopback = true })
end)

-- ---------------------------------------------------------------- interfaces of tunnels

lunette.on("flow", { iface = tunnel_interfaces }, function(e)
    if nowhere:has(e, "server_ip") or nowhere:has(e, "client_ip") then return end
    lunette.send("inner", { iface = e.iface, client = e.client_ip, server = e.server_ip, name = e.server_name or e.server_ip, program = e.program,
        up = e.client_bytes, down = e.server_bytes, up_packets = e.client_packets, down_packets = e.server_packets, start = e.start, finish = e.finish,
        talk = e.client_payload > 0 and e.server_payload > 0 })
end)

local bases = lunette.state("bases", { max = 1000, keep = false })
lunette.on("flow", { client_local = true, server_local = false, iface = real_interfaces }, function(e)
    local host = e.client_ip
    if bases:get(host) or nowhere:has(e, "server_ip") then return end
    bases:set(host, true)
    lunette.send("base", { host = host, time = e.start, stated = judge.is_stated(host) })
end)

lunette.gather(function() vpn_book.gather(lunette, tunables, judge) end)
