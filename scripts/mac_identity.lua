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
local book = require "identity_book"
local signs = require "identity_signs"
local versions = require "identity_versions"

lunette.detector { title = "Host identity", category = "Discovery" }

local tunables = lunette.tunables {
    change = 0.1,   -- confidence that must have changed to be told anew
    rows = 500,     -- hosts in the table at the end
}

lunette.event("host", { address = "str", kind = "str", system = "str", version = "str", model = "str", name = "str", confidence = "f64",
    evidence = "list", address_of = "str" }, "Who a local host is, whenever that changed")

-- Packets are dealt to workers by the address of the local host. So a worker knows of its own hosts what these say themselves; what others
-- say of them (a DHCP request from 0.0.0.0, a server's banner in a neighbour's connection) may be heard in another worker. Verdicts as
-- events, which are heard in the worker alone, rest on a host's own words, and so are the same whatever the number of workers; the fact, the
-- alert and the table rest on all, which is sent to one place.
local is_gathering = false

local SIGNS_SHOWN = 5 -- on the card and in the table

local WHAT = { mac = "Mac", iphone = "iPhone", ipad = "iPad", appletv = "Apple TV", watch = "Apple Watch", homepod = "HomePod", vision = "Vision",
    apple = "Apple device", windows = "Windows", linux = "Linux", android = "Android", other = "other device" }
local FAMILIES = { apple = "Apple", windows = "Windows", linux = "Linux" }
local model_names = {}
for _, row in ipairs(lunette.tsv("mac_models.tsv")) do model_names[row.model] = row.name end

-- ---------------------------------------------------------------- telling

local function percent(share) return math.floor(share * 100 + 0.5) end

-- What it is, and its system: MacBookPro14,1 "Annas-Mac" and macOS 11.
local function names_of(v)
    local what, system = v.model or WHAT[v.kind], v.system ~= "" and v.version ~= "" and v.system .. " " .. v.version or v.system
    if v.kind == "windows" or v.kind == "linux" or v.kind == "android" then what, system = system, "" end
    return what .. (v.name and (' "%s"'):format(v.name) or ""), system
end

-- The strongest signs; all of them are in the record.
local function evidence_line(v)
    local more = #v.evidence - SIGNS_SHOWN
    return (#v.families > 1 and "several systems behind one address: " or "")
        .. table.concat(v.evidence, "; ", 1, math.min(#v.evidence, SIGNS_SHOWN)) .. (more > 0 and ("; %d more signs"):format(more) or "")
end

local function tell_fact(ip, v)
    local what, system = names_of(v)
    lunette.fact(ip, "identity", { ("%s%s (%d %% sure)"):format(what, system ~= "" and ", " .. system or "", percent(v.confidence)), evidence_line(v) },
        { kind = v.kind, system = v.system, version = v.version, model = v.model, model_name = model_names[v.model or ""], name = v.name,
            confidence = v.confidence, evidence = v.evidence, same_as = #v.same_as > 0 and v.same_as or nil,
            several = #v.families > 1 or nil })
end

local function warn_of_several(ip, v)
    local named = {}
    for i, family in ipairs(v.families) do named[i] = FAMILIES[family] end
    lunette.alert {
        title = "One address, several systems", severity = "info", confidence = 0.7, score = 2, who = ip,
        why = ("systems of %s speak from this address: %s"):format(table.concat(named, " and "), table.concat(v.evidence, "; ")),
        evidence = { systems = named, signs = v.evidence },
        next = "A virtual machine, a shared connection, a NAT or a proxy explains it; else somebody took the address over. Which hardware "
            .. "addresses has it?",
    }
end

local untold, untold_count = {}, 0 -- addresses whose card says something else by now

local known
known = book.new(tunables.change, function(ip, is_news, is_first_several)
    if is_gathering then
        if is_first_several then warn_of_several(ip, known.verdict(ip)) end
        if not untold[ip] then untold[ip], untold_count = true, untold_count + 1 end
        return
    end
    if not is_news then return end
    local v = known.verdict(ip)
    lunette.emit("host", { address = ip, kind = v.kind, system = v.system, version = v.version, model = v.model, name = v.name,
        confidence = v.confidence, evidence = v.evidence, address_of = v.address_of })
end)

-- Whose packets these are in the deal: the local side, and of two local ones that with the higher port.
local function own_words(e, ip)
    if ip ~= e.client_ip then return not e.client_local and e.server_local end
    return not e.server_local or e.client_port > e.server_port
end

-- What is known outlives a restart of the sensor (--state), its cards do not, and neither does what a newer listener has heard: of a host that
-- was known before this script was loaded, the verdict is told again when it shows up. Workers and gathering part save their states one
-- after the other, so a sign on its way between them may be lost to the second: all that the worker knows is sent along.
local AGAIN = true -- what is sent of a host of which nothing was known, as of nearly all
local greeted = lunette.state("greeted", { max = 20000, keep = false })

local function greet(ip)
    if greeted:get(ip) then return end
    greeted:set(ip, true)
    known.again(ip)
    local found, rank = known.learnt(ip)
    if found then lunette.send(ip, { found = found, rank = rank, again = true }) else lunette.send(ip, AGAIN) end
end

-- found: signs by their ids, and what lib/identity_signs.lua says along with them.
local function learn(e, ip, found, rank)
    greet(ip)
    if own_words(e, ip) and not known.learn(ip, found, rank or 1) then return end
    lunette.send(ip, { found = found, rank = rank or 1 })
end

-- ---------------------------------------------------------------- SYN

-- A SYN says one of few things, as a text: the sign, and where it tells versions the window scale ("syn_apple 6"). That is what is sent of it,
-- and read once.
local SCALES = { [1] = { 9, 11 }, [3] = { 9, 11 }, [4] = { 12, 16 }, [5] = { 13, 18 }, [6] = { 18, 99 }, [7] = { 18, 99 }, [2] = { 9, 13 } }
local syns = {}
local function read_syn(text)
    local found = syns[text]
    if not found then
        local sign, scale = text:match("^(%S+) ?(%d*)$")
        local range = SCALES[tonumber(scale)]
        found = { sign, from = range and range[1], to = range and range[2] }
        syns[text] = found
    end
    return found
end

local function learn_syn(e, ip, text)
    greet(ip)
    if own_words(e, ip) and not known.learn(ip, read_syn(text), 1) then return end
    lunette.send(ip, text)
end

local SYN_OF_OS = { ["macOS/iOS"] = "syn_apple", macOS = "syn_mac_old", iOS = "syn_ios" }

lunette.on("flow_start", { syn = true, client_local = true, os = { "macOS/iOS", "macOS", "iOS" } }, function(e)
    local ip, scale = e.client_ip, e.wscale
    local sign = e.ecn_setup and e.os == "macOS/iOS" and "syn_apple_ecn" or SYN_OF_OS[e.os]
    if known.knows_scale(ip, sign, scale) then return greet(ip) end
    learn_syn(e, ip, SCALES[scale] and sign .. " " .. scale or sign)
end)

lunette.on("flow_start", { syn = true, client_local = true, os = "Windows" }, function(e)
    local ip = e.client_ip
    if known.knows(ip, "syn_windows") then return greet(ip) end
    local release = e.os_detail and e.os_detail:match("^Windows (.+)")
    if release then learn(e, ip, { "syn_windows", os = release }) else learn_syn(e, ip, "syn_windows") end
end)

lunette.on("flow_start", { syn = true, client_local = true, os = "Linux" }, function(e)
    local ip = e.client_ip
    local sign = e.window == 65535 and "syn_linux_phone" or "syn_linux"
    if known.knows(ip, sign) then return greet(ip) end
    learn_syn(e, ip, sign)
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

-- Of DHCP all is told where it is gathered, since request and answer may come to different workers; of a renewal, which the host sends itself,
-- its worker knows too.
local function tell_lease(e, ip, found, mac)
    if not ip or address.is_global(ip) then return end
    lunette.send(ip, { found = found, rank = 2, mac = mac })
    if ip == e.client_ip and own_words(e, ip) then known.learn(ip, found, 2) end
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
    if e.client_mac then lunette.send(e.client_mac, { lease = found }) end
    if e.message == "discover" or e.message == "solicit" then return end
    tell_lease(e, e.current_ip or e.requested_ip, found, number_of(e.client_mac))
end)

lunette.on("dhcp", { type = "reply", message = { "offer", "ack", "reply" } }, function(e)
    local ip, mac = e.assigned_ip, e.client_mac
    if ip and mac and not address.is_global(ip) then lunette.send(ip, { leased_to = mac }) end
end)

-- ---------------------------------------------------------------- Bonjour

local announcements = lunette.state("announcements", { max = 20000, keep = false }) -- sender → what it said its addresses are

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

lunette.on("mdns", { type = "answer", protocol = "mdns", goodbye = false }, function(e)
    local addresses = e.addresses
    local ip, is_local = sender_of(e, addresses)
    if not is_local then return end
    local found, rank = announced(e)
    local name = host_name(e.names)
    if name and not found.name then found.name, found.name_rank = name:match("^([^.]+)"), 2 end
    if found.name then found[#found + 1] = signs.of_hostname(found.name) end
    if #found > 0 or found.name then learn(e, ip, found, rank) end
    if not name then return end
    local machine = ("%s %d %s"):format(name, e.vlan, e.iface or "")
    local said = machine .. " " .. table.concat(addresses, " ")
    if announcements:get(ip) == said then return end
    announcements:set(ip, said)
    known.note_addresses(ip, addresses)
    lunette.send(ip, { machine = machine, addresses = addresses })
end)

-- ---------------------------------------------------------------- agents, hotspot pages

local agents = lunette.state("agents", { max = 2000, keep = false }) -- agent → its signs, read once

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
    if page then learn(e, e.client_ip, { page }) end
    if not agent then return end
    local found = read_agent(agent)
    if found[1] then learn(e, e.client_ip, found, found.darwin and 3 or 2) end
end)

lunette.on("ssdp", { type = "search", client_local = true }, function(e)
    local sign = e.user_agent and signs.of_ssdp_agent(e.user_agent)
    if sign then learn(e, e.client_ip, { sign }) end
end)

-- ---------------------------------------------------------------- time, names, TLS, SSH, Screen Sharing

lunette.on("ntp", { to_server = true, all_zero = true, version = 4, client_local = true }, function(e)
    learn(e, e.client_ip, { "ntp_zero" })
end)

local name_list, sign_of_name = {}, {}
for i, row in ipairs(lunette.tsv("identity_names.tsv")) do name_list[i], sign_of_name[i] = row.name, row.sign end
local telling_names = lunette.set.domains(name_list)

lunette.on("dns", { type = "query", client_local = true, rrname = telling_names }, function(e)
    local sign = sign_of_name[telling_names:find(e, "rrname")]
    if sign and not known.knows(e.client_ip, sign) then learn(e, e.client_ip, { sign }) end
end)

local ja4_list, row_of_ja4 = {}, {}
for i, row in ipairs(lunette.tsv("identity_ja4.tsv")) do ja4_list[i], row_of_ja4[row.ja4] = row.ja4, row end
local system_ja4 = lunette.set.strings(ja4_list)

lunette.on("tls", { client_local = true, ja4 = system_ja4 }, function(e)
    local row = row_of_ja4[e.ja4]
    local from = tonumber(row.darwin_from)
    learn(e, e.client_ip, { row.sign, from = from > 0 and from or nil, to = from > 0 and tonumber(row.darwin_to) or nil }, 1)
end)

lunette.on("ssh", { client_local = true }, function(e)
    local sign, from, to = signs.of_ssh("client", e.client_banner or "", e.hassh)
    if sign then learn(e, e.client_ip, { sign, from = from, to = to }, 1) end
end)

lunette.on("ssh", { server_local = true }, function(e)
    local sign, from, to = signs.of_ssh("server", e.server_banner or "", e.hassh_server)
    if sign then learn(e, e.server_ip, { sign, from = from, to = to }, 1) end
end)

lunette.on("rfb", { server_local = true, apple = true }, function(e) learn(e, e.server_ip, { "screen_sharing" }) end)

-- ---------------------------------------------------------------- processes

local MAC_PROGRAMS = { "Finder", "WindowServer", "loginwindow", "Dock", "softwareupdated", "softwareupdate_", "Safari", "Google Chrome", "Google Chrome H",
    "Microsoft Word", "Terminal", "iTerm2", "Mail", "App Store", "CalendarAgent", "osascript", "launchservicesd", "SystemUIServer", "Slack", "zoom.us",
    "mds", "Dropbox", "Xcode", "firefox", "brew", "netbiosd", "storeassetd", "storedownloadd", "Music", "TV", "Photos" }
local IOS_PROGRAMS = { "SpringBoard", "MobileSafari", "backboardd", "MobileMail", "CommCenter", "itunesstored" }
local mac_programs, ios_programs = lunette.set.strings(MAC_PROGRAMS), lunette.set.strings(IOS_PROGRAMS)

-- A capture tells the direction only where Apple's kernel named processes.
lunette.on("flow_start", { direction = "out", client_local = true, process = mac_programs }, function(e)
    if not known.knows(e.client_ip, "process_mac") then learn(e, e.client_ip, { "process_apple", "process_mac" }) end
end)
lunette.on("flow_start", { direction = "out", client_local = true, process = ios_programs }, function(e)
    if not known.knows(e.client_ip, "process_ios") then learn(e, e.client_ip, { "process_apple", "process_ios" }) end
end)
lunette.on("flow_start", { direction = "out", client_local = true }, function(e)
    if e.process and not known.knows(e.client_ip, "process_apple") then learn(e, e.client_ip, { "process_apple" }) end
end)

lunette.on("process", { source = { "eslogger", "santa", "log" } }, function(e)
    if not known.knows(e.client_ip, "process_log") then learn(e, e.client_ip, { "process_log" }) end
end)

-- ---------------------------------------------------------------- all together

local MOST_TOLD = 1000 -- cards a minute: a new host says something new with each of its first packets, and a card is read seldom

local function tell_cards(most)
    local list = {}
    for ip in pairs(untold) do list[#list + 1] = ip end
    table.sort(list)
    for i = 1, math.min(#list, most) do
        local ip = list[i]
        local v = known.verdict(ip)
        if v then tell_fact(ip, v) end
        untold[ip] = nil
    end
    untold_count = #list - math.min(#list, most)
end

local function report()
    local rows = {}
    local addresses = known.addresses()
    if #addresses == 0 then return end
    for i = 1, math.min(#addresses, tunables.rows) do
        local ip = addresses[i]
        local v = known.verdict(ip)
        local what, system = names_of(v)
        rows[i] = { ip, what, system, ("%d %%"):format(percent(v.confidence)), evidence_line(v) }
    end
    local left = #addresses - tunables.rows
    lunette.report { title = "Who the hosts are", columns = { "host", "what", "system", ">sure", "evidence" }, rows = rows,
        note = left > 0 and ("%d hosts more"):format(left) or nil }
end

lunette.gather(function()
    is_gathering = true
    local leases = lunette.state("leases", { max = 5000, ttl = 3600 }) -- hardware address → what its request said

    lunette.receive(function(key, said)
        if said == AGAIN then return known.again(key) end
        if type(said) == "string" then return known.learn(key, read_syn(said), 1) end
        if said.lease then return leases:set(key, said.lease) end
        local found, mac = said.found, said.mac
        if said.leased_to then found, mac = leases:get(said.leased_to), number_of(said.leased_to) end
        if mac then known.settle(key, mac) end
        if found then known.learn(key, found, said.rank or 2) end
        if said.again then known.again(key) end
        if said.machine then known.join(said.machine, key, said.addresses) end
    end)
    lunette.every(60, function()
        if untold_count > 0 then tell_cards(MOST_TOLD) end
    end)
    lunette.on_end(function()
        tell_cards(math.huge)
        report()
    end)
end)
