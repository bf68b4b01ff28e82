-- Who the hosts are: which are Macs, which iPhones and iPads, which other systems, and how sure.
--
-- What is suspicious on a Mac is daily bread on Windows or Linux, so the detectors meant for Macs first ask here (lib/hosts.lua). Nobody
-- wears a name tag; but each system has habits of its own, from its first packets on:
--
--   SYN        order and padding of the TCP options are the kernel's. Macs and iPhones share one; the window's scale narrows the release
--   DHCP       the options asked for, in order: here Macs and iPhones differ; and the host's name
--   Bonjour    model and Darwin version (device-info), the services that only Apple's systems or only Macs announce
--   agents     CFNetwork and Darwin, trustd, CaptiveNetworkSupport, AppleCoreMedia; CryptoAPI and NCSI of Windows, package managers of
--              Linux; and what browsers say of themselves, which is worth less
--   habits     NTP questions of zeros, captive-portal pages, names that only one system's services ask for
--   SSH, TLS   the order of methods that Apple builds in, banners, the JA4 of the system's TLS
--   processes  a capture with Apple's process names, or a Mac's own log
--
-- Each sign has weights for the kinds of hosts, with reasons, in data/identity_signs.tsv; lib/identity_weigh.lua adds them up. Contradicting
-- signs lower the verdict, the same sign twice counts once, and signs with one cause (browser agents, say) count as one. A kernel's SYN alone
-- says "apple", not "mac".
--
-- Several systems behind one address (a NAT router, a proxy, a Mac with a virtual machine or a shared connection) are noticed when a kernel
-- or system service of another family is heard: then the verdict names the strongest, is never surer than 55 %, and an alert says so, once.
-- The addresses of one machine (IPv4 and IPv6 under one Bonjour name) share their signs.
--
-- Only hosts of the home networks get a verdict. A change makes an event `mac_identity.host` and the fact `identity`; at the end there
-- is a table of all.
--
-- False alarms of "several systems": gateways, addresses that a DHCP server gave to another machine while the capture did not see it.
-- Misses: a host that speaks through a proxy or NAT is that one's kernel; whoever forges all habits of a system is taken for it.

local lunette = require "lunette"
local address = require "lunette.address"
local signs = require "identity_signs"
local versions = require "identity_versions"
local weigh = require "identity_weigh"

lunette.detector { title = "Host identity", category = "Discovery" }

local tunables = lunette.tunables {
    change = 0.1,   -- confidence that must have changed to be told anew
    rows = 500,     -- hosts in the table at the end
}

lunette.event("host", { address = "str", kind = "str", system = "str", version = "str", model = "str", name = "str", confidence = "f64",
    evidence = "list", address_of = "str" }, "Who a local host is, whenever that changed")

local MOST_HOSTS, MOST_ADDRESSES = 20000, 8
local NOBODY = { ["0.0.0.0"] = true, ["::"] = true }

-- What is kept of every host: its signs and its range of Darwin versions. Texts only of those that have some.
local hosts = lunette.records("hosts", { max = MOST_HOSTS, fields = { seen = "u8[96]", from = "u8", to = "u8", rank = "u8", scale = "u8",
    several = "bool", kind = "u8", confidence = "f32", mac = "u64" } })
local words = lunette.state("words", { max = MOST_HOSTS })       -- address → { name, rank, model, version, os, machine }
local machines = lunette.state("machines", { max = MOST_HOSTS }) -- Bonjour host name → list of addresses
local leases = lunette.state("leases", { max = 5000, ttl = 600 }) -- hardware address → what its DHCP request said
local agents = lunette.state("agents", { max = 2000, keep = false }) -- agent → its signs, read once

local KIND_LIST = { "mac", "iphone", "ipad", "appletv", "watch", "homepod", "vision", "apple", "windows", "linux", "android", "other" }
local KIND_NUMBER = {}
for i, kind in ipairs(KIND_LIST) do KIND_NUMBER[kind] = i end
local WHAT = { mac = "Mac", iphone = "iPhone", ipad = "iPad", appletv = "Apple TV", watch = "Apple Watch", homepod = "HomePod", vision = "Vision",
    apple = "Apple device", windows = "Windows", linux = "Linux", android = "Android", other = "other device" }
local model_names = {}
for _, row in ipairs(lunette.tsv("mac_models.tsv")) do model_names[row.model] = row.name end

-- ---------------------------------------------------------------- telling

local function version_of(kind, host, said)
    if said and said.os and (kind == "windows" or kind == "android") then return said.os end
    local exact = said and said.version
    if exact and versions.fits(kind, exact, host.from, host.to) then return exact end
    return versions.text(kind, host.from, host.to)
end

local function others_of(ip, said)
    local list, all = {}, said and said.machine and machines:get(said.machine)
    for _, other in ipairs(all or {}) do
        if other ~= ip then list[#list + 1] = other end
    end
    return list, all and all[1] ~= ip and all[1] or ""
end

local FAMILIES = { apple = "Apple", windows = "Windows", linux = "Linux" }

local function warn_of_several(ip, host, families, evidence)
    if host.several then return end
    host.several = true
    local named = {}
    for i, family in ipairs(families) do named[i] = FAMILIES[family] end
    lunette.alert {
        title = "One address, several systems", severity = "info", confidence = 0.7, score = 2, who = ip,
        why = ("systems of %s speak from this address: %s"):format(table.concat(named, " and "), table.concat(evidence, "; ")),
        evidence = { systems = named, signs = evidence },
        next = "A virtual machine, a shared connection, a NAT or a proxy explains it; else somebody took the address over. Which hardware "
            .. "addresses has it?",
    }
end

local function told_by(ip, host)
    local function seen(i) return host:at("seen", i) == 1 end
    local kind, confidence, families = weigh.verdict(seen)
    if not kind then return nil end
    local said = words:get(ip)
    local version = version_of(kind, host, said)
    return { kind = kind, confidence = confidence, families = families, evidence = weigh.evidence(seen), version = version, said = said or {},
        system = weigh.SYSTEMS[kind] }
end

local function first_line(v)
    local system = v.system ~= "" and v.system .. (v.version ~= "" and " " .. v.version or "") or ""
    local what = v.said.model or WHAT[v.kind]
    if system:sub(1, #what) == what then what, system = system, "" end
    return what .. (v.said.name and (' "%s"'):format(v.said.name) or "") .. (system ~= "" and ", " .. system or "")
        .. (" (%d %% sure)"):format(math.floor(v.confidence * 100 + 0.5))
end

local function tell_fact(ip, v, same_as)
    local line = table.concat(v.evidence, "; ")
    if #v.families > 1 then line = "several systems behind one address: " .. line end
    lunette.fact(ip, "identity", { first_line(v), line }, { kind = v.kind, system = v.system, version = v.version, model = v.said.model,
        model_name = model_names[v.said.model or ""], name = v.said.name, confidence = v.confidence, evidence = v.evidence,
        same_as = #same_as > 0 and same_as or nil, several = #v.families > 1 or nil })
end

-- changed: the version or a text did. The fact has the evidence as well, so it is told whenever something was learnt.
local function tell(ip, host, changed)
    local v = told_by(ip, host)
    if not v then return end
    if #v.families > 1 then warn_of_several(ip, host, v.families, v.evidence) end
    local same_as, address_of = others_of(ip, v.said)
    tell_fact(ip, v, same_as)
    if not changed and host.kind == KIND_NUMBER[v.kind] and math.abs(host.confidence - v.confidence) < tunables.change then return end
    host.kind, host.confidence = KIND_NUMBER[v.kind], v.confidence
    lunette.emit("host", { address = ip, kind = v.kind, system = v.system, version = v.version, model = v.said.model, name = v.said.name,
        confidence = v.confidence, evidence = v.evidence, address_of = address_of })
end

-- ---------------------------------------------------------------- learning

local function new_host(ip)
    local host, is_new = hosts:make(ip)
    if is_new then host.from, host.to = versions.FIRST, versions.LAST end
    return host
end

-- Ranges of the same rank that meet are cut with each other; of ranges that do not, the one of the higher rank stands (3: said outright,
-- 2: agents and tables of releases, 1: a SYN), and of one rank both count.
local function narrow(host, from, to, rank)
    from, to = math.max(from, versions.FIRST), math.min(to, versions.LAST)
    local low, high = math.max(host.from, from), math.min(host.to, to)
    if low > high then
        if rank < host.rank then return false end
        if rank > host.rank then low, high = from, to else low, high = math.min(host.from, from), math.max(host.to, to) end
    end
    local changed = low ~= host.from or high ~= host.to
    host.from, host.to, host.rank = low, high, math.max(host.rank, rank)
    return changed
end

-- Texts: a better source replaces a worse one. Names: 3 Bonjour, 2 DHCP, 1 others.
local TEXTS = { "model", "version", "os" }
local function put_words(ip, found)
    local said, changed = words:get(ip) or {}, false
    for i = 1, #TEXTS do
        local key = TEXTS[i]
        if found[key] and said[key] ~= found[key] then said[key], changed = found[key], true end
    end
    if found.name and said.name ~= found.name and (found.name_rank or 1) >= (said.rank or 0) then
        said.name, said.rank, changed = found.name, found.name_rank or 1, true
    end
    if changed then words:set(ip, said) end
    return changed
end

local function learn_one(ip, found, rank)
    local host, news, changed = new_host(ip), false, false
    for i = 1, #found do
        local n = weigh.number[found[i]]
        if host:at("seen", n) == 0 then
            host:put("seen", n, 1)
            news = true
        end
    end
    if found.from and narrow(host, found.from, found.to or found.from, rank) then changed = true end
    if put_words(ip, found) then changed = true end
    if news or changed then tell(ip, host, changed) end
end

-- found: signs by their ids, and what lib/identity_signs.lua says along with them. It holds for all addresses of the machine.
local function learn(ip, found, rank)
    if not ip or NOBODY[ip] then return end
    local said = words:get(ip)
    local all = said and said.machine and machines:get(said.machine)
    if not all then return learn_one(ip, found, rank or 1) end
    for i = 1, #all do learn_one(all[i], found, rank or 1) end
end

local function knows(ip, number)
    local host = hosts:get(ip)
    return host and host:at("seen", number) == 1
end

-- How much an address is worth as the one that a machine is known by: IPv4 before IPv6, others before link-local ones.
local function order_of(ip) return address.version(ip) * 2 + (address.is_link_local(ip) and 1 or 0) end

local function by_worth(a, b)
    local x, y = order_of(a), order_of(b)
    if x ~= y then return x < y end
    return a < b
end

-- The machine's addresses with these two; those of a namesake elsewhere, or of before it moved, are forgotten.
local function members_with(name, ip, other)
    local all, known = machines:get(name) or {}, {}
    for _, a in ipairs(all) do known[a] = true end
    if not known[ip] and not known[other] then all, known = {}, {} end
    for _, a in ipairs { ip, other } do
        if not known[a] and #all < MOST_ADDRESSES then all[#all + 1], known[a] = a, true end
    end
    table.sort(all, by_worth)
    machines:set(name, all)
    return all
end

-- One address more of a machine: each has all signs of the other.
local function join(name, ip, other)
    local all = members_with(name, ip, other)
    local union, from, to, rank, texts = {}, versions.FIRST, versions.LAST, 0, {}
    for _, a in ipairs(all) do
        local host = new_host(a)
        for i = 1, weigh.count do
            if host:at("seen", i) == 1 then union[i] = true end
        end
        if host.rank > rank then from, to, rank = host.from, host.to, host.rank end
        for key, value in pairs(words:get(a) or {}) do texts[key] = texts[key] or value end
    end
    texts.machine = name
    for _, a in ipairs(all) do
        local host, said, changed = new_host(a), words:get(a) or {}, false
        for i in pairs(union) do host:put("seen", i, 1) end
        if rank > host.rank then host.from, host.to, host.rank, changed = from, to, rank, true end
        for key, value in pairs(texts) do
            if said[key] == nil then said[key], changed = value, true end
        end
        said.machine = name
        words:set(a, said)
        tell(a, host, changed)
    end
end

-- ---------------------------------------------------------------- SYN

local SCALES = { [1] = { 9, 11 }, [3] = { 9, 11 }, [4] = { 12, 16 }, [5] = { 13, 18 }, [6] = { 18, 99 }, [7] = { 18, 99 }, [2] = { 9, 13 } }
local SYN_OF_OS = { ["macOS/iOS"] = "syn_apple", macOS = "syn_mac_old", iOS = "syn_ios" }

lunette.on("flow_start", { syn = true, client_local = true, os = { "macOS/iOS", "macOS", "iOS" } }, function(e)
    local ip, scale = e.client_ip, e.wscale
    local sign = e.ecn_setup and e.os == "macOS/iOS" and "syn_apple_ecn" or SYN_OF_OS[e.os]
    local host = hosts:get(ip)
    if host and host.scale == scale and host:at("seen", weigh.number[sign]) == 1 then return end
    new_host(ip).scale = scale
    local range = SCALES[scale]
    learn(ip, { sign, from = range and range[1], to = range and range[2] }, 1)
end)

local WINDOWS_SYN = weigh.number.syn_windows
lunette.on("flow_start", { syn = true, client_local = true, os = "Windows" }, function(e)
    local ip = e.client_ip
    if knows(ip, WINDOWS_SYN) then return end
    learn(ip, { "syn_windows", os = e.os_detail and e.os_detail:match("^Windows (.+)") })
end)

lunette.on("flow_start", { syn = true, client_local = true, os = "Linux" }, function(e)
    local ip = e.client_ip
    local sign = e.window == 65535 and "syn_linux_phone" or "syn_linux"
    if not knows(ip, weigh.number[sign]) then learn(ip, { sign }) end
end)

-- ---------------------------------------------------------------- DHCP

local DHCP_OF_OS = { macOS = "dhcp_macos", iOS = "dhcp_ios", Windows = "dhcp_windows", Android = "dhcp_android", Linux = "dhcp_linux" }

local function dhcp_range(os, detail)
    if os == "macOS" then
        if detail:find("or older") then return 9, 15 end
        local from, to = versions.range_of_macos(detail)
        return from, detail:find("or later") and 99 or to
    end
    if detail:find("13 or older") then return 9, 19 end
    return 20, 99
end

-- The hardware address as a number, 0 if there is none.
local function number_of(mac) return mac and tonumber((mac:gsub(":", "")), 16) or 0 end

-- What another machine said under this address before is not this one's.
local function settle(ip, mac)
    local host = new_host(ip)
    if host.mac ~= 0 and mac ~= 0 and host.mac ~= mac then
        hosts:delete(ip)
        words:set(ip, nil)
        host = new_host(ip)
    end
    if mac ~= 0 then host.mac = mac end
end

local function dhcp_learn(ip, found, mac)
    if not ip or NOBODY[ip] or address.is_global(ip) then return end
    settle(ip, mac)
    learn(ip, found, 2)
end

lunette.on("dhcp", { type = "request" }, function(e)
    local found, sign = {}, DHCP_OF_OS[e.os or ""]
    if not sign and (e.vendor_class or ""):find("^dhcpcd") then sign = "dhcp_linux" end
    if sign then found[1] = sign end
    if (e.os == "macOS" or e.os == "iOS") and e.os_detail then found.from, found.to = dhcp_range(e.os, e.os_detail) end
    local name = e.hostname or e.fqdn and e.fqdn:match("^[^.]+")
    if name and name ~= "" then
        found.name, found.name_rank = name, 2
        found[#found + 1] = signs.of_hostname(name)
    end
    if #found == 0 and not found.name then return end
    local mac = number_of(e.client_mac)
    if e.client_mac then leases:set(e.client_mac, found) end
    if e.message == "discover" or e.message == "solicit" then return end
    dhcp_learn(e.current_ip or e.requested_ip, found, mac)
end)

lunette.on("dhcp", { type = "reply", message = { "ack", "reply" } }, function(e)
    local found = e.client_mac and leases:get(e.client_mac)
    if found then dhcp_learn(e.assigned_ip, found, number_of(e.client_mac)) end
end)

-- ---------------------------------------------------------------- Bonjour

local GROUPS = { ["224.0.0.251"] = true, ["ff02::fb"] = true }

-- The one host name that a message is about; nil if there are several, as a sleep proxy's has.
local function host_name(names)
    local found
    for i = 1, #names do
        local name = names[i]:lower()
        if name:find("^[^.]+%.local$") then
            if found and found ~= name then return nil end
            found = name
        end
    end
    return found
end

local function announced(e)
    local found, rank = {}, 1
    local model = e.model
    if model then
        local sign, identifier = signs.of_model(model)
        found[1] = sign
        if identifier then found.model = model end
    end
    if e.osxvers > 0 then
        found[#found + 1] = "osxvers"
        if e.osxvers >= versions.FIRST and e.osxvers <= versions.LAST then found.from, found.to, rank = e.osxvers, e.osxvers, 3 end
    end
    local services, instances = e.services, e.instances
    for i = 1, #services do
        if instances[i] ~= "" then
            found[#found + 1] = signs.of_service(services[i])
            if services[i] == "_device-info._tcp" then found.name, found.name_rank = instances[i], 3 end
        end
    end
    return found, rank
end

-- Who sent it. Of an answer to one host alone either side may be the client: the sender is the one whose address it gives.
local function sender_of(e, addresses)
    if GROUPS[e.server_ip] then return e.client_ip, e.client_local end
    for i = 1, #addresses do
        if addresses[i] == e.client_ip then return e.client_ip, e.client_local end
        if addresses[i] == e.server_ip then return e.server_ip, e.server_local end
    end
    return nil, false
end

local function is_ours(ip) return hosts:get(ip) or not (address.is_global(ip) or address.is_loopback(ip)) end

lunette.on("mdns", { type = "answer", protocol = "mdns", goodbye = false }, function(e)
    local addresses = e.addresses
    local ip, is_local = sender_of(e, addresses)
    if not is_local then return end
    local found, rank = announced(e)
    local name = host_name(e.names)
    if name and not found.name then found.name, found.name_rank = name:match("^([^.]+)"), 2 end
    if found.name then found[#found + 1] = signs.of_hostname(found.name) end
    if #found > 0 or found.name then learn(ip, found, rank) end
    if not name then return end
    local machine = ("%s %d %s"):format(name, e.vlan, e.iface or "")
    for i = 1, #addresses do
        local other = addresses[i]
        local said = words:get(other)
        if other ~= ip and not (said and said.machine == machine) and is_ours(other) then join(machine, ip, other) end
    end
end)

-- ---------------------------------------------------------------- agents, hotspot pages

local PAGES = { ["/hotspot-detect.html"] = "captive_apple", ["/connecttest.txt"] = "captive_windows", ["/ncsi.txt"] = "captive_windows",
    ["/generate_204"] = "captive_android", ["/gen_204"] = "captive_android", ["/check_network_status.txt"] = "captive_linux",
    ["/static/hotspot.txt"] = "captive_linux" }

local function read_agent(agent)
    local found = agents:get(agent)
    if not found then
        found = signs.of_agent(agent)
        agents:set(agent, found)
    end
    return found
end

lunette.on("http", { client_local = true }, function(e)
    local agent, page = e.user_agent, PAGES[e.url or ""]
    if page then learn(e.client_ip, { page }) end
    if not agent then return end
    local found = read_agent(agent)
    if found[1] then learn(e.client_ip, found, found.darwin and 3 or 2) end
end)

lunette.on("ssdp", { type = "search", client_local = true }, function(e)
    local sign = e.user_agent and signs.of_ssdp_agent(e.user_agent)
    if sign then learn(e.client_ip, { sign }) end
end)

-- ---------------------------------------------------------------- time, names, TLS, SSH, Screen Sharing

lunette.on("ntp", { to_server = true, all_zero = true, version = 4, client_local = true }, function(e)
    learn(e.client_ip, { "ntp_zero" })
end)

local name_list, sign_of_name = {}, {}
for i, row in ipairs(lunette.tsv("identity_names.tsv")) do name_list[i], sign_of_name[i] = row.name, row.sign end
local telling_names = lunette.set.domains(name_list)

lunette.on("dns", { type = "query", client_local = true, rrname = telling_names }, function(e)
    local sign = sign_of_name[telling_names:find(e, "rrname")]
    if sign and not knows(e.client_ip, weigh.number[sign]) then learn(e.client_ip, { sign }) end
end)

local ja4_list, row_of_ja4 = {}, {}
for i, row in ipairs(lunette.tsv("identity_ja4.tsv")) do ja4_list[i], row_of_ja4[row.ja4] = row.ja4, row end
local system_ja4 = lunette.set.strings(ja4_list)

lunette.on("tls", { client_local = true, ja4 = system_ja4 }, function(e)
    local row = row_of_ja4[e.ja4]
    local from = tonumber(row.darwin_from)
    learn(e.client_ip, { row.sign, from = from > 0 and from or nil, to = from > 0 and tonumber(row.darwin_to) or nil }, 1)
end)

lunette.on("ssh", { client_local = true }, function(e)
    local sign, from, to = signs.of_ssh("client", e.client_banner or "", e.hassh)
    if sign then learn(e.client_ip, { sign, from = from, to = to }, 1) end
end)

lunette.on("ssh", { server_local = true }, function(e)
    local sign, from, to = signs.of_ssh("server", e.server_banner or "", e.hassh_server)
    if sign then learn(e.server_ip, { sign, from = from, to = to }, 1) end
end)

lunette.on("rfb", { server_local = true, apple = true }, function(e) learn(e.server_ip, { "screen_sharing" }) end)

-- ---------------------------------------------------------------- processes

local MAC_PROGRAMS = { "Finder", "WindowServer", "loginwindow", "Dock", "softwareupdated", "softwareupdate_", "Safari", "Google Chrome", "Google Chrome H",
    "Microsoft Word", "Terminal", "iTerm2", "Mail", "App Store", "CalendarAgent", "osascript", "launchservicesd", "SystemUIServer", "Slack", "zoom.us",
    "mds", "Dropbox", "Xcode", "firefox", "brew", "netbiosd", "storeassetd", "storedownloadd", "Music", "TV", "Photos" }
local IOS_PROGRAMS = { "SpringBoard", "MobileSafari", "backboardd", "MobileMail", "CommCenter", "itunesstored" }
local mac_programs, ios_programs = lunette.set.strings(MAC_PROGRAMS), lunette.set.strings(IOS_PROGRAMS)

-- A capture tells the direction only where Apple's kernel named processes.
lunette.on("flow_start", { direction = "out", client_local = true, process = mac_programs }, function(e)
    if not knows(e.client_ip, weigh.number.process_mac) then learn(e.client_ip, { "process_apple", "process_mac" }) end
end)
lunette.on("flow_start", { direction = "out", client_local = true, process = ios_programs }, function(e)
    if not knows(e.client_ip, weigh.number.process_ios) then learn(e.client_ip, { "process_apple", "process_ios" }) end
end)
lunette.on("flow_start", { direction = "out", client_local = true }, function(e)
    if e.process and not knows(e.client_ip, weigh.number.process_apple) then learn(e.client_ip, { "process_apple" }) end
end)

lunette.on("process", { source = { "eslogger", "santa", "log" } }, function(e)
    if not knows(e.client_ip, weigh.number.process_log) then learn(e.client_ip, { "process_log" }) end
end)

-- ---------------------------------------------------------------- the table

lunette.on_end(function()
    local rows, count = {}, 0
    for ip, host in hosts:each() do
        local v = told_by(ip, host)
        if v then
            count = count + 1
            rows[count] = { ip, (v.said.model or WHAT[v.kind]) .. (v.said.name and (' "%s"'):format(v.said.name) or ""),
                v.system .. (v.version ~= "" and " " .. v.version or ""), ("%d %%"):format(math.floor(v.confidence * 100 + 0.5)),
                (#v.families > 1 and "several systems: " or "") .. table.concat(v.evidence, "; ") }
        end
    end
    if count == 0 then return end
    table.sort(rows, function(a, b) return a[1] < b[1] end)
    local left = math.max(0, count - tunables.rows)
    for i = count, tunables.rows + 1, -1 do rows[i] = nil end
    lunette.report { title = "Who the hosts are", columns = { "host", "what", "system", ">sure", "evidence" }, rows = rows,
        note = left > 0 and ("%d hosts more"):format(left) or nil }
end)
