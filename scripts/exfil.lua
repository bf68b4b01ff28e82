-- What leaves, against what used to leave.
--
-- Theft ends with an upload. One upload looks like another, encrypted and to a name nobody ever heard of like most; what differs is history. A Mac sends to the same
-- names day by day, and little: so this detector keeps what each host sends by day, in all and to each domain, and asks what is unlike it:
--
--   the amount    a day's sum to a domain far above all its days before; or a large one to a domain that this host had never called before. In all: more than ever.
--   the pieces    many uploads of one size, or small ones over many hours, to a name that is new: what is cut up so that no sum is large.
--   the place     a drop for files without an account, a paste. An upload right after a question for the host's own public address (stealers report it).
--   the form      an archive or a form with files by POST or PUT in clear, to an address, with headers that name a victim (lib/exfil_posts.lua).
--
-- History needs time: until a host was seen on `learn_days` days nothing is new, and only place and form speak. Points are added up, and services that people store and
-- talk with take some off, whose names are in data/cloud_services.tsv.
--
-- Left out: Apple's names (iCloud, backups, photographs), private addresses (Time Machine, a NAS, printers), UDP that is no QUIC (calls, VPNs), DNS (dns_tunnel), and programs for sync and
-- backup, where they are known. Uploads by curl and its kin, ssh and FTP are lolbin's as such; here they count by volume, and the alert says that it is the same.
--
-- False alarms: the first day of a new backup, of a new project's server, of a large attachment on a page never used before; telemetry of a new program (pieces). `allowed`
-- takes names and addresses. Misses: theft within the usual amount at a usual name (a sync folder, a mail provider); what leaves by VPN; a host's first days; several Macs behind one
-- address. ATT&CK: T1041 over the C2 channel, T1048 alternative protocol, T1567 web service (.002 storage, .003 paste), T1030 transfer size limits, T1020 automated, T1016.

local lunette = require "lunette"
local figures = require "figures"
local hosts = require "host_kind"
local programs = require "programs"
local history = require "exfil_history"
local posts = require "exfil_posts"
local cloud = require("cloud").load(lunette)

lunette.detector { title = "Upload unlike before", category = "Exfiltration", attack = "T1041, T1567" }

local tunables = lunette.tunables {
    low = 2, medium = 4, high = 6, -- points from which on an alert has that severity
    learn_days = 4,                -- a host's history says something after so many days with traffic …
    name_days = 3,                 -- … and a domain's own after so many
    large = 20000000,              -- bytes in a day to one domain that are looked at
    times = 4,                     -- unlike before is so many times the largest day
    host_large = 500000000,        -- bytes in a day to all that are looked at
    share = 0.8,                   -- an upload has this share of the bytes
    drop = 300000,                 -- bytes to a file drop …
    paste = 30000,                 -- … and to a paste
    after_lookup = 300,            -- seconds after the question for the own address in which an upload …
    lookup_upload = 100000,        -- … of so many bytes counts
    pieces = 30,                   -- uploads of one size in a day …
    pieces_sum = 3000000,          -- … with so many bytes in all
    drips = 100,                   -- small uploads in a day …
    drip_hours = 8,                -- … in so many of its hours
    post = 20000,                  -- bytes of a request in clear that are looked at
    allowed = "",                  -- names and addresses that may be sent to: "backup.example.com, 203.0.113.0/24"
    max_names = 100000,            -- (host, domain) kept; about 0.2 KiB each
    cooldown = 86400,
}
local allow = require("allowed").list(lunette, tunables.allowed)

local DAY = 86400
local WORTH = 1000 -- bytes sent from which on a name counts as called: a hello and a request
local PIECE = 10000 -- and from which on it may be an upload
local PEERS = 8 -- addresses without a name in a day from which on files are shared

local function with(fields, more)
    local all = {}
    for name, kind in pairs(fields) do all[name] = kind end
    for name, kind in pairs(more) do all[name] = kind end
    return all
end

-- A host's days (`bare`: addresses without a name that it uploaded to today), and a domain's of a host. Of today's uploads to it: how many, mean and spread of their sizes (Welford), hours of the day as bits; what was looked at.
local KEPT = 30 * DAY
local by_host = lunette.records("days", { max = 20000, ttl = KEPT, fields = with(history.DAILY, { first = "f64", due = "f64", bare = "u32" }) })
local by_name = lunette.records("names", { max = tunables.max_names, ttl = KEPT, fields = with(history.DAILY, {
    first = "f64", due = "f64", uploads = "u32", mean = "f64", spread = "f64", hours = "u32", due_uploads = "u32" }) })
-- When a host asked for its own address, and how often before: menu-bar meters, VPN apps and dynamic DNS ask all day, and then the question says nothing.
local asked = lunette.records("asked", { max = 20000, ttl = 7 * DAY, fields = { last = "f64", times = "u32" } })
local ASKS_OFTEN, ONE_QUESTION = 4, 600 -- so many questions that lie so many seconds apart

local apples_names, apples_blocks
do
    local names, blocks = {}, {}
    for _, row in ipairs(lunette.tsv("apple_domains.tsv")) do
        if row.owner == "apple" then names[#names + 1] = row.match == "exact" and "=" .. row.name or row.name end
    end
    for i, row in ipairs(lunette.tsv("apple_cidrs.tsv")) do blocks[i] = row.cidr end
    apples_names, apples_blocks = lunette.set.domains(names), lunette.set.prefixes(blocks)
end
local near = lunette.set.prefixes { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
    "::1/128", "fc00::/7", "fe80::/10", "ff00::/8" }
-- Where people and their programs send much as a matter of course, and which is nobody's own: registries, mail, meetings, drawing boards, what reports to makers and owners.
local busy = lunette.set.domains { "docker.io", "docker.com", "ghcr.io", "quay.io", "npmjs.org", "pypi.org", "crates.io", "rubygems.org", "office.com", "office.net", "office365.com",
    "outlook.com", "skype.com", "teams.microsoft.com", "teams.live.com", "zoom.us", "webex.com", "whatsapp.net", "whatsapp.com", "signal.org", "adobe.com", "adobe.io", "figma.com", "loom.com",
    "canva.com", "miro.com", "atlassian.net", "atlassian.com", "salesforce.com", "force.com", "zendesk.com", "linkedin.com", "licdn.com", "facebook.com", "fbcdn.net", "instagram.com",
    "tiktok.com", "twitter.com", "x.com", "flickr.com", "smugmug.com", "soundcloud.com", "vimeo.com", "live-video.net", "twitch.tv", "idrive.com", "sentry.io", "datadoghq.com",
    "jamfcloud.com", "kandji.io", "iru.com", "cloudsink.net", "sentinelone.net", "mail.google.com", "clients6.google.com", "gvt2.com" }
local NO_UPLOADS = { dns = true, ntp = true, openvpn = true, wireguard = true, ike = true, stun = true, rtp = true, tor = true }
local tools = {}
for _, row in ipairs(lunette.tsv("tool_ja4.tsv")) do tools[row.ja4] = row.tool end

-- ---------------------------------------------------------------- small things

local function severity_of(points)
    return points >= tunables.high and "high" or points >= tunables.medium and "medium" or points >= tunables.low and "low" or "info"
end

local function bits(number)
    local count = 0
    while number > 0 do
        if number % 2 >= 1 then count = count + 1 end
        number = math.floor(number / 2)
    end
    return count
end

local function sender(e) return ("%s of %s"):format(e.program or "a program", hosts.is_mac(e.client_ip) and "this Mac" or "this host") end

-- Is it a program whose trade it is?
local function is_sync(e)
    local name = e.program
    if not name then return false end
    local known = programs.of(name, e.path)
    return known.class == "sync" and known.place ~= "temp" and known.place ~= "volume" or known.updater == true
end

-- The same bytes under another detector's title. Of onset events.
local function also_told(e)
    local tool = e.ja4 and tools[e.ja4] or (e.app_proto == "ssh" or e.app_proto == "ftp") and e.app_proto
    return tool and ("; it is %s's, of which lolbin tells"):format(tool) or ""
end

local NEXT = "Which program sent it (lsof -i, --host-log), what did it read before, who uses this name here? If it is a backup or a project's server, put the name into exfil.allowed."

local function tell(e, rule, title, points, where, attack, confidence, words, evidence)
    local severity = severity_of(points)
    if severity == "info" then return end
    evidence.points, evidence.program, evidence.path = points, e.program, e.path
    lunette.alert {
        title = title, severity = severity, score = math.min(points * 1.3, 10), confidence = confidence, attack = attack, who = e.client_ip, where = where,
        why = ("%s sent %s"):format(sender(e), words), evidence = evidence, next = NEXT,
        key = table.concat({ rule, e.client_ip, where, severity }, " "), cooldown = tunables.cooldown,
    }
end

-- Did the host ask for its own address shortly before, which it does not do all day?
local function asked_before(e)
    local lookup = asked:get(e.client_ip)
    if lookup and e.time >= lookup.last and e.time - lookup.last <= tunables.after_lookup and lookup.times < ASKS_OFTEN then return lookup end
end

-- Points that the place gives or takes, with words.
local function place(e, service, domain, words)
    local points = 0
    if service then
        local category = service.category
        if category == "file-drop" or category == "paste" then
            points = 2
            words[#words + 1] = service.service .. " takes it from anybody"
        elseif category == "storage" or category == "messaging" or category == "code" then
            points = -2
            words[#words + 1] = service.service .. ", which people use"
        end
    elseif busy:has(e, "server_name") then
        points = -2
        words[#words + 1] = "where many send much"
    elseif domain == e.server_ip then
        local host = by_host:get(e.client_ip)
        local peers = host and host.bare or 0
        if peers >= PEERS then
            points = -2
            words[#words + 1] = ("one of %d addresses without a name today, as where files are shared among peers"):format(peers)
        elseif not e.partial then
            points = 2
            words[#words + 1] = "to an address without a name"
        elseif e.partial:find("midstream", 1, true) then
            points = -2
            words[#words + 1] = "in a connection whose beginning, and so who opened it, was not seen"
        end
    end
    if e.program then
        local known = programs.of(e.program, e.path)
        if known.class == "browser" then
            points = points - 1
            words[#words + 1] = "by a browser"
        elseif (known.class == "interpreter" or known.class == "shell" or known.place == "temp" or known.place == "volume") and programs.is_user_run(e) == false then
            points = points + 2
            words[#words + 1] = known.place == "temp" and "by a program in a temporary folder" or "by a script that runs by itself"
        end
    end
    local lookup = asked_before(e)
    if lookup then
        points = points + 1
        words[#words + 1] = ("%s after it asked for its own public address"):format(figures.duration(e.time - lookup.last))
    end
    return points
end

-- ---------------------------------------------------------------- by day

local function learnt(host, now) return host.days >= tunables.learn_days and now - host.first >= tunables.learn_days * DAY end

-- Is the domain new (of today or yesterday) to a host that is known?
local function is_new(host, name, now) return learnt(host, now) and now - name.first < 2 * DAY and name.first - host.first >= tunables.learn_days * DAY end

-- How long it had not been called: no longer than names are kept.
local function absence(host, name) return figures.duration(math.min(name.first - host.first, KEPT)) end

local function judge_amount(e, host, name, domain, service, now)
    local up, down = name.up, name.down
    if up < tunables.share * (up + down) then return end
    local words = {}
    local title, points
    local limit, median = history.limit(name, tunables.name_days, tunables.times)
    if limit then
        if up < limit then return end
        title, points = "Upload far beyond its own history", 2
        words[1] = ("%s today to %s, to which %s a day is usual"):format(figures.bytes(up), domain, figures.bytes(median))
    elseif is_new(host, name, now) then
        title, points = "Large upload to a name never called before", 4
        words[1] = ("%s today to %s, which it had not called in %s before"):format(figures.bytes(up), domain, absence(host, name))
        if by_name:evicted() > 0 then -- max_names is too small for these hosts: it may be forgotten, not new
            points = points - 1
            words[2] = "or it was forgotten, since the table of names is full"
        end
    else
        return -- nothing is known of it
    end
    points = points + place(e, service, domain, words)
    local usual = history.limit(host, tunables.learn_days, tunables.times)
    if usual and host.up >= usual then
        points = points + 1
        words[#words + 1] = "more than it ever sent in a day"
    end
    tell(e, "amount", title, points, domain, service and service.category == "storage" and "T1567.002" or e.app_proto == "ssh" and "T1048.002" or "T1041", 0.4, table.concat(words, "; ") .. also_told(e), {
        sent_today = up, received_today = down, usual = median and figures.round(median, 0) or nil, days = name.days, host_days = host.days, service = service and service.service,
        sent_by_host_today = host.up })
end

local function judge_pieces(e, host, name, domain, service, now)
    local count, sum = name.uploads, name.uploads * name.mean
    local deviation = math.sqrt(name.spread / math.max(count - 1, 1)) / name.mean
    local even = count >= tunables.pieces and sum >= tunables.pieces_sum and deviation <= 0.1
    local hours = bits(name.hours)
    local drip = count >= tunables.drips and hours >= tunables.drip_hours and sum >= tunables.pieces_sum
    if not even and not drip or name.up < tunables.share * (name.up + name.down) then return end
    if service and (service.category == "storage" or service.category == "code") or name.days > 1 then return end -- chunks of a sync; or it does so each day
    local words = { even and ("%s today to %s in %d uploads of %s each, %d %% off"):format(figures.bytes(sum), domain, count, figures.bytes(name.mean), figures.round(deviation * 100, 0))
        or ("%s today to %s in %d uploads over %d hours"):format(figures.bytes(sum), domain, count, hours) }
    local points = even and 2 or 1
    if is_new(host, name, now) then
        points = points + 2
        words[#words + 1] = ("a name that it had not called in %s before"):format(absence(host, name))
    end
    points = points + place(e, service, domain, words)
    tell(e, "pieces", even and "Data carried out in pieces of one size" or "Small uploads all day to a new name", points, domain, "T1030,T1020", 0.4, table.concat(words, "; ") .. also_told(e), {
        uploads = count, mean = figures.round(name.mean, 0), deviation = figures.round(deviation), hours = hours, sent_today = name.up, received_today = name.down })
end

local function judge_host(e, host)
    local limit, median = history.limit(host, tunables.learn_days, tunables.times)
    if not limit or host.up < limit or host.up < tunables.share * (host.up + host.down) then return end
    tell(e, "host", "More sent than ever", 2, e.client_ip, "T1041", 0.3, ("%s today to all but Apple, where %s a day is usual in %d days"):format(figures.bytes(host.up),
        figures.bytes(median), math.min(host.days, history.DAYS)), { sent_today = host.up, received_today = host.down, usual = figures.round(median, 0), host_days = host.days })
end

-- ---------------------------------------------------------------- one exchange

-- What needs no history: the place, and the own address asked for before.
local function judge_exchange(e, name, domain, service, fresh)
    local sent, received = e.client_payload, e.server_payload
    if sent < tunables.share * (sent + received) then return end
    local category = service and service.category
    local words = { figures.bytes(sent) .. " to " .. (e.server_name or domain) }
    -- In pieces it is the day's sum, unless more came back: then pages were read.
    local sum = name.up >= tunables.share * (name.up + name.down) and name.up or sent
    if category == "file-drop" and sum >= tunables.drop or category == "paste" and sum >= tunables.paste then
        if sum > sent then words[1] = ("%s today to %s"):format(figures.bytes(sum), e.server_name or domain) end
        local points = 2 + place(e, service, domain, words)
        if next(service.apps) or service.service == "Imgur" or service.service == "ImgBB" or service.service == "Smash" then points = points - 2 end -- people send pictures and films by these
        return tell(e, "drop", category == "paste" and "Upload to a paste service" or "Upload to an anonymous file drop", points, e.server_name, category == "paste" and "T1567.003" or "T1567.002", 0.5,
            table.concat(words, "; ") .. also_told(e), { service = service.service, sent = sent, received = received, sent_today = name.up })
    end
    if sent < tunables.lookup_upload then return end
    local lookup = asked_before(e)
    if not lookup then return end
    local bare = not service and domain == e.server_ip and not e.partial
    if not (bare or fresh or service and service.use == "api") then return end
    local points = 3 + place(e, service and service.use ~= "api" and service or nil, domain, words)
    if fresh then points = points + 1 end
    tell(e, "lookup", "Upload right after asking for the own address", points, domain, "T1016,T1041", 0.5, table.concat(words, "; ") .. also_told(e), { sent = sent, received = received,
        seconds = figures.round(e.time - lookup.last, 0) })
end

-- An upload of the name's today: count, size, hour.
local function add_upload(name, sent, now)
    local count = name.uploads + 1
    local off = sent - name.mean
    name.uploads = count
    name.mean = name.mean + off / count
    name.spread = name.spread + off * (sent - name.mean)
    local hour = math.floor(now / 3600) % 24
    if math.floor(name.hours / 2 ^ hour) % 2 == 0 then name.hours = name.hours + 2 ^ hour end
end

-- The domain that a name's history is kept by; false of what is left out. What was found is kept, up to a bound, then forgotten all at once.
local domains, remembered = {}, 0
local REMEMBERED = 8192

local function domain_of(e, named)
    local domain = named and (lunette.registrable(named) or named) or e.server_ip
    if named and (apples_names:has(named) or allow.name(named)) or not named and (apples_blocks:has(domain) or near:has(domain) or allow.address(domain)) then
        domain = false
    end
    if remembered >= REMEMBERED then domains, remembered = {}, 0 end
    domains[named or e.server_ip], remembered = domain, remembered + 1
    return domain
end

-- Something is due: which rules speak?
local function judge(e, host, name, domain, is_upload, fresh, now)
    if near:has(e, "server_ip") or allow.address(e.server_ip) then return end -- names of the house, peers of a mesh VPN
    local named = e.server_name
    local sync = is_sync(e)
    local service = named and cloud.of(named)
    if name.up >= name.due then
        name.due = name.up * 2
        if not sync then judge_amount(e, host, name, domain, service, now) end
    end
    if name.uploads >= name.due_uploads and is_upload then
        name.due_uploads = name.uploads < tunables.drips and math.min(name.uploads * 2, tunables.drips) or name.uploads * 2
        if not sync then judge_pieces(e, host, name, domain, service, now) end
    end
    if host.up >= host.due then
        host.due = host.up * 2
        judge_host(e, host)
    end
    if is_upload and not sync then judge_exchange(e, name, domain, service, fresh and learnt(host, now)) end
end

-- An exchange that may be an upload: the host's sum, the name's pieces, and whether something is due.
local function add_exchange(e, name, domain, fresh, now, sent, received)
    local host, fresh_host = by_host:make(e.client_ip)
    if fresh_host then host.first, host.due = now, tunables.host_large end
    if history.turn(host, now) then host.due, host.bare = tunables.host_large, 0 end
    host.up, host.down = host.up + sent, host.down + received
    local is_upload = sent >= tunables.share * (sent + received)
    if is_upload then
        add_upload(name, sent, now)
        if name.uploads == 1 and domain == e.server_ip then host.bare = host.bare + 1 end
    end
    if name.up >= name.due or host.up >= host.due or is_upload and (sent >= tunables.paste or name.uploads >= name.due_uploads) then
        judge(e, host, name, domain, is_upload, fresh, now)
    end
end

lunette.on("onset", { client_local = true, server_local = false }, function(e)
    local sent = e.client_payload
    if sent < WORTH then return end
    local protocol = e.app_proto
    if protocol and NO_UPLOADS[protocol] or e.proto ~= "TCP" and protocol ~= "quic" then return end
    local named = e.server_name
    local domain = domains[named or e.server_ip]
    if domain == nil then domain = domain_of(e, named) end
    if not domain then return end

    local now, received = lunette.now(), e.server_payload
    local name, fresh = by_name:make(e.client_ip .. " " .. domain)
    if fresh then name.first = now end
    if history.turn(name, now) then
        name.due, name.due_uploads, name.uploads, name.mean, name.spread, name.hours = tunables.large, tunables.pieces, 0, 0, 0, 0
    end
    name.up, name.down = name.up + sent, name.down + received
    if sent >= PIECE or name.up >= name.due then add_exchange(e, name, domain, fresh, now, sent, received) end
end)

local LOOKUPS = cloud.set("ip-lookup")
local function note_asked(e)
    local record = asked:make(e.client_ip)
    if e.time - record.last >= ONE_QUESTION then record.times = record.times + 1 end
    record.last = e.time
end
lunette.on("dns", { client_local = true, type = "query", rrname = LOOKUPS }, note_asked)
lunette.on("tls", { client_local = true, server_local = false, sni = LOOKUPS }, note_asked)
lunette.on("http", { client_local = true, server_local = false, host = LOOKUPS }, note_asked)

-- ---------------------------------------------------------------- posts in clear

local agents = {}
for i, row in ipairs(lunette.tsv("tool_agents.tsv")) do agents[i] = row.begins end

local function is_tools(agent)
    for i = 1, #agents do
        if agent:sub(1, #agents[i]) == agents[i] then return true end
    end
    return false
end

lunette.on("http", { client_local = true, server_local = false, method = { "POST", "PUT" } }, function(e)
    local sent = e.request_length
    if sent < tunables.post or near:has(e, "server_ip") or apples_names:has(e, "host") then return end
    local host, agent = e.host, e.user_agent
    if agent and is_tools(agent) then return end -- lolbin's
    if allow.count > 0 and (allow.name(host) or allow.address(e.server_ip)) then return end
    local words, points = posts.of { url = e.url, host_is_address = not host or lunette.is_address(host), port = e.server_port, agent = agent, referer = e.referer,
        type = e.request_content_type, sent = sent, received = e.length, headers = e.request_headers }
    if not words or is_sync(e) then return end
    points = points - 1 -- something with files is ordinary: two marks make a lead
    tell(e, "post", "Files posted in clear", points, host or e.server_ip, "T1048.003,T1041", 0.5, ("%s by %s to %s: %s"):format(figures.bytes(sent), e.method, host or e.server_ip,
        table.concat(words, ", ")), { sent = sent, received = e.length, url = e.url and e.url:sub(1, 120), content_type = e.request_content_type, agent = agent })
end)
