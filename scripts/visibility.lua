-- What could be seen, and what could not: a sensor that says nothing must say whether there was nothing.
--
-- Every judgement of the other detectors rests on what came to the sensor. Much does not: most bytes are encrypted; a tap may
-- have lost one direction, a port mirror its VLAN; the capture may begin in the middle, be cut off by its snap length or have
-- lost packets; and Macs have ways of their own out of sight: iCloud Private Relay takes Safari's names and addresses along,
-- a profile or an app moves DNS into TLS or QUIC, ECH hides the server's name. This counts all of it, for each local host and
-- in all, from the flows as they end:
--
--   one-sided, midstream, gaps, cut, dropped   what the engine says of each flow (`partial`)
--   encrypted    TLS, QUIC, SSH, DTLS, VPNs: flows, and their share of the bytes
--   hellos       QUIC whose hello could not be read, and why; TLS 1.3, whose certificates nobody sees
--   ECH          Chrome and others send the extension always, filled with noise where the server has no key (GREASE), and
--                nobody outside can tell the two apart. Only where the outer name is one that is used for nothing else
--                (`ech_names`) is it told as used; everywhere else as "offered or noise".
--   names        flows to the outside with a server name, and whether the host's own DNS was seen: a host whose names come
--                from TLS alone asks elsewhere
--   programs     flows whose program is known
--   clock        flows that began more than a second before what had been seen already: a clock that was set back, or files
--                in the wrong order
--
-- Workers add up what they saw and send it each hour and at the end to one place, so the report is the same for any number of
-- them. At the end comes the report; hourly and at the end each host's fact is told anew.
--
-- Alerts say when the sensor goes blind: packets dropped (low; medium where a tenth is lost), traffic of which one direction
-- is there (low if it was better before, info if it always was so), clear text that is cut off (info), a host whose DNS is not
-- seen any more (info where encrypted DNS, Private Relay or a VPN of its own explains it, else low).
--
-- Memory: 20,000 hosts at most; of one, some 0.8 KiB in its worker until the hour is over and 2.7 KiB where all are added up.
--
-- False alarms: networks with two ways out (asymmetric routing) are one-sided by nature; a Mac that sleeps through an hour
-- with its DNS in a cache asks nothing, hence the bounds below. What it misses: what never comes to the sensor at all, another
-- interface of the Mac or its phone's hotspot, cannot be counted. Bytes inside tunnels are counted inside and outside.
-- ATT&CK: none. Being blind is nobody's technique until somebody is found to have done it (T1562).

local lunette = require "lunette"
local figures = require "figures"

lunette.detector { title = "Visibility", category = "Visibility" }

local tunables = lunette.tunables {
    rows = 20,              -- hosts in the report, those with the most bytes
    drop_low = 0.01,        -- share of packets lost in an hour that is worth an alert,
    drop_medium = 0.1,      -- and one to get up for
    one_sided = 0.3,        -- share of TCP flows seen in one direction that is worth an alert
    one_sided_before = 0.1, -- … and below that it was well before
    one_sided_flows = 20,   -- TCP flows without which no share is judged
    cut_share = 0.2,        -- share of flows in clear that are cut off
    cut_flows = 10,
    dns_hours = 2,          -- hours in which a host asked, before it is missed
    dns_flows = 5,          -- its questions' flows in such an hour
    dns_silent_flows = 20,  -- flows to the outside in an hour without one
    cooldown = 86400,
    ech_names = { "cloudflare-ech.com", "cover.defo.ie", "public.tls-ech.dev" }, -- outer names that mean ECH
}

local HOUR, HOSTS, HOSTS_A_MINUTE = 3600, 20000, 1000
local NOBODY = "-" -- flows between hosts that are not ours: in the sums alone

-- What is counted: places in a list, so that sums are lists that can be sent and added.
local FLOWS, BYTES, TCP, ONE_SIDED, ONE_SIDED_TCP, MIDSTREAM, GAPS, GAP_BYTES, CUT, CUT_CLEAR, CLEAR, DROPPED = 1, 2, 3, 4, 5,
    6, 7, 8, 9, 10, 11, 12
local SEALED, SEALED_BYTES, VPN, VPN_BYTES, RELAY, RELAY_BYTES, HIDDEN_DNS, DNS, OUTSIDE, NAMED, BY_DNS, PROGRAM = 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24
local TLS, TLS13_BARE, ECH, ECH_USED, QUIC, QUIC_UNREAD, QUIC_CUT, LATE, LATEST, MISSING = 25, 26, 27, 28, 29, 30, 31, 32, 33, 34
local COUNTERS = 34

local encrypted, tunnels = {}, {}
for name in ("tls quic ssh dtls"):gmatch("%S+") do encrypted[name] = true end
for name in ("wireguard openvpn ike esp tailscale zerotier softether"):gmatch("%S+") do
    encrypted[name], tunnels[name] = true, true
end
local ech_names = lunette.set.strings(tunables.ech_names)

-- Written out, since a list that grows by one and one is dear, and each host has one.
local function zeroes()
    return { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
end

local function copy(of)
    local list = zeroes()
    for i = 1, COUNTERS do list[i] = of[i] or 0 end
    return list
end

local function add(to, from)
    local latest = math.max(to[LATEST], from[LATEST] or 0)
    for i = 1, COUNTERS do to[i] = to[i] + (from[i] or 0) end
    to[LATEST] = latest
end

-- ------------------------------------------------------------------ in each worker

local hosts = lunette.state("hosts", { max = HOSTS })
local marks = lunette.flow_state { vpn = "bool", dns = "bool" }
local told = { capture = nil } -- lunette.capture() as it was sent last
lunette.state("told", { max = 1 }):set("all", told)

-- Whose the event is: the client's if it is ours, else the server's.
local function counts_of(e)
    local host = e.client_local and e.client_ip or e.server_local and e.server_ip or NOBODY
    local counts = hosts:get(host)
    if not counts then
        counts = zeroes()
        hosts:set(host, counts)
    end
    return counts
end

local relay_names = lunette.set.domains { "=mask.icloud.com", "=mask-h2.icloud.com", "mask.apple-dns.net" }

-- Without a flow (or with more flows than there is memory for) there is nowhere to write it.
lunette.on("vpn", function(e)
    local mark = marks:of(e)
    if mark then mark.vpn = true end
end)
lunette.on("encrypted_dns", function(e)
    local mark = marks:of(e)
    if mark then mark.dns = true end
end)

-- Multicast and broadcast are nobody outside: Bonjour and DHCP ask no DNS first.
local groups = lunette.set.prefixes { "224.0.0.0/3", "ff00::/8" }

-- "midstream, one-sided" → what is in it. There are 32 such texts at most, so each is read once.
local parts_of = {}
local function read_partial(partial)
    local parts = {}
    for word in partial:gmatch("[%a-]+") do parts[word] = true end
    parts_of[partial] = parts
    return parts
end

local function count_partial(counts, e, clear)
    local partial = e.partial
    if not partial then return end
    local parts = parts_of[partial] or read_partial(partial)
    if parts["one-sided"] then
        counts[ONE_SIDED] = counts[ONE_SIDED] + 1
        if e.proto == "TCP" then counts[ONE_SIDED_TCP] = counts[ONE_SIDED_TCP] + 1 end
    end
    if parts.midstream then counts[MIDSTREAM] = counts[MIDSTREAM] + 1 end
    if parts.gaps then counts[GAPS] = counts[GAPS] + 1 end
    if e.gap_bytes > 0 then -- bytes that were cut off are among them
        counts[MISSING] = counts[MISSING] + 1
        counts[GAP_BYTES] = counts[GAP_BYTES] + e.gap_bytes
    end
    if parts.dropped then counts[DROPPED] = counts[DROPPED] + 1 end
    if parts.cut then
        counts[CUT] = counts[CUT] + 1
        if clear then counts[CUT_CLEAR] = counts[CUT_CLEAR] + 1 end
    end
end

lunette.on("flow", function(e)
    local counts = counts_of(e)
    local mark, protocol, source = marks:of(e), e.app_proto, e.name_source
    local bytes = e.client_bytes + e.server_bytes
    local tunnel = mark and mark.vpn or tunnels[protocol]
    local sealed = tunnel or encrypted[protocol]
    counts[FLOWS] = counts[FLOWS] + 1
    counts[BYTES] = counts[BYTES] + bytes
    if e.proto == "TCP" then counts[TCP] = counts[TCP] + 1 end
    if sealed then
        counts[SEALED] = counts[SEALED] + 1
        counts[SEALED_BYTES] = counts[SEALED_BYTES] + bytes
    else
        counts[CLEAR] = counts[CLEAR] + 1
    end
    if tunnel then
        counts[VPN] = counts[VPN] + 1
        counts[VPN_BYTES] = counts[VPN_BYTES] + bytes
    end
    if mark and mark.dns then counts[HIDDEN_DNS] = counts[HIDDEN_DNS] + 1 end
    if protocol == "dns" and e.client_local then counts[DNS] = counts[DNS] + 1 end
    if e.program then counts[PROGRAM] = counts[PROGRAM] + 1 end
    if source and relay_names:has(e, "server_name") then
        counts[RELAY] = counts[RELAY] + 1
        counts[RELAY_BYTES] = counts[RELAY_BYTES] + bytes
    end
    if e.client_local and not e.server_local and (e.proto == "TCP" or e.proto == "UDP") and protocol ~= "dns"
        and not groups:has(e, "server_ip") then
        counts[OUTSIDE] = counts[OUTSIDE] + 1
        if source then counts[NAMED] = counts[NAMED] + 1 end
        if source == "dns" then counts[BY_DNS] = counts[BY_DNS] + 1 end
    end
    count_partial(counts, e, not sealed)
end)

lunette.on("tls", { has_client_hello = true }, function(e)
    local counts = counts_of(e)
    counts[TLS] = counts[TLS] + 1
    if e.server_version == 0x304 then counts[TLS13_BARE] = counts[TLS13_BARE] + 1 end
    if not e.ech then return end
    counts[ECH] = counts[ECH] + 1
    if ech_names:has(e, "sni") then counts[ECH_USED] = counts[ECH_USED] + 1 end
end)

lunette.on("quic", function(e)
    local counts = counts_of(e)
    counts[QUIC] = counts[QUIC] + 1
    if e.decrypted then return end
    counts[QUIC_UNREAD] = counts[QUIC_UNREAD] + 1
    if e.why_not == "cut" then counts[QUIC_CUT] = counts[QUIC_CUT] + 1 end
end)

lunette.on("flow_start", function(e)
    local late = e.clock - e.time
    if late < 1 then return end -- nearly all
    local counts = counts_of(e)
    counts[LATE] = counts[LATE] + 1
    if late > counts[LATEST] then counts[LATEST] = late end
end)

local FIGURES = { "packets", "bytes", "cut", "undecoded", "dropped", "interface_dropped" }

-- What came since the last time; then all begins at zero again.
local function send_all()
    local now, since = lunette.capture(), {}
    for _, figure in ipairs(FIGURES) do since[figure] = now[figure] - (told.capture and told.capture[figure] or 0) end
    told.capture = now
    lunette.send("capture", since)
    local sent = {}
    for host, counts in hosts:each() do
        lunette.send(host, counts)
        sent[#sent + 1] = host
    end
    for _, host in ipairs(sent) do hosts:set(host, nil) end
end

lunette.every(HOUR, send_all)
lunette.on_end(send_all)

-- ------------------------------------------------------------- in one place for all

local function percent(part, whole)
    if whole == 0 then return "-" end
    local share = 100 * part / whole
    if share > 0 and share < 1 then return "< 1 %" end
    if share > 99 and share < 100 then return "> 99 %" end
    return ("%.0f %%"):format(share)
end

-- Where a host asks for names, as far as that shows.
local function dns_of(counts)
    local ways = {}
    if counts[DNS] > 0 then ways[#ways + 1] = "seen" end
    if counts[HIDDEN_DNS] > 0 then ways[#ways + 1] = "encrypted" end
    if counts[RELAY] > 0 then ways[#ways + 1] = "Private Relay" end
    if counts[VPN] > 0 then ways[#ways + 1] = "VPN" end
    if #ways > 0 then return table.concat(ways, ", ") end
    return counts[OUTSIDE] > 0 and "not seen" or "-"
end

-- 1,234,567, as the engine's own tables have it.
local function grouped(number)
    local text = ("%d"):format(number)
    return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function row_of(title, counts)
    local flows = counts[FLOWS]
    return { title, grouped(flows), percent(counts[SEALED_BYTES], counts[BYTES]), percent(counts[ONE_SIDED], flows),
        percent(counts[MIDSTREAM], flows), percent(counts[GAPS], flows), percent(counts[CUT], flows),
        percent(counts[QUIC_UNREAD], counts[QUIC]), percent(counts[RELAY_BYTES] + counts[VPN_BYTES], counts[BYTES]),
        percent(counts[NAMED], counts[OUTSIDE]), percent(counts[PROGRAM], flows), dns_of(counts) }
end

local PARTS = { { ONE_SIDED, " of flows one-sided" }, { MIDSTREAM, " of flows begun before the capture" }, { GAPS, " of flows with gaps" },
    { CUT, " of flows cut off" }, { DROPPED, " of flows with dropped packets" } }

-- For the card; nil of a host of which there is nothing to say: it called nobody outside, and all of it was seen.
local function sentence_of(counts)
    local quiet = counts[OUTSIDE] + counts[DNS] + counts[SEALED] + counts[PROGRAM] == 0
    if quiet and counts[ONE_SIDED] + counts[MIDSTREAM] + counts[GAPS] + counts[CUT] + counts[DROPPED] == 0 then return nil end
    local parts = { percent(counts[SEALED_BYTES], counts[BYTES]) .. " of bytes encrypted" }
    for i = 1, #PARTS do
        local place = PARTS[i][1]
        if counts[place] > 0 then parts[#parts + 1] = percent(counts[place], counts[FLOWS]) .. PARTS[i][2] end
    end
    local dns = dns_of(counts)
    if dns ~= "-" then parts[#parts + 1] = "DNS " .. (dns == "VPN" and "not seen but a VPN" or dns) end
    parts[#parts + 1] = counts[PROGRAM] > 0 and percent(counts[PROGRAM], counts[FLOWS]) .. " of flows with a program"
        or "no process names"
    return table.concat(parts, ", ")
end

lunette.gather(function()
    local seen = lunette.state("seen", { max = HOSTS }) -- host → { all = counts, hour = counts or nil, dns_hours = n }
    local sums = { all = zeroes(), hour = zeroes(), capture = {}, capture_hour = {} }
    lunette.state("sums", { max = 1 }):set("all", sums)
    for _, figure in ipairs(FIGURES) do sums.capture[figure], sums.capture_hour[figure] = 0, 0 end

    lunette.receive(function(key, counts)
        if key == "capture" then
            for _, figure in ipairs(FIGURES) do
                sums.capture[figure] = sums.capture[figure] + counts[figure]
                sums.capture_hour[figure] = sums.capture_hour[figure] + counts[figure]
            end
            sums.pending = true
            return
        end
        add(sums.all, counts)
        add(sums.hour, counts)
        if key == NOBODY then return end
        local host = seen:get(key)
        if not host then
            seen:set(key, { all = copy(counts), hour = counts, dns_hours = 0 })
            return
        end
        add(host.all, counts)
        if host.hour then add(host.hour, counts) else host.hour = counts end
    end)

    -- ------------------------------------------------------------- judging an hour

    local function judge_drops()
        local hour = sums.capture_hour
        local lost = hour.dropped + hour.interface_dropped
        local share = lost / math.max(1, lost + hour.packets)
        if share < tunables.drop_low then return end
        lunette.alert { title = "Packets are lost before they are seen", severity = share >= tunables.drop_medium and "medium" or "low",
            confidence = 1, score = math.min(10, 100 * share),
            why = ("%d of %d packets of the last hour were dropped, %d by the kernel and %d by the interface (%s)"):format(lost,
                lost + hour.packets, hour.dropped, hour.interface_dropped, percent(lost, lost + hour.packets)),
            evidence = { dropped = hour.dropped, interface_dropped = hour.interface_dropped, packets = hour.packets },
            next = "More workers, a larger capture buffer or a narrower filter (-f). What other detectors did not say in this hour proves nothing.",
            key = share >= tunables.drop_medium and "drops, many" or "drops", cooldown = tunables.cooldown }
    end

    -- Of the last hour against what was before; at the end, of all there was.
    local function judge_sides(ended)
        local hour, all = sums.hour, sums.all
        local tcp, sided = hour[TCP], hour[ONE_SIDED_TCP]
        local before_tcp, before_sided = all[TCP] - tcp, all[ONE_SIDED_TCP] - sided
        local before = before_sided / math.max(1, before_tcp)
        local sudden = tcp >= tunables.one_sided_flows and sided >= tunables.one_sided * tcp
            and before_tcp >= tunables.one_sided_flows and before < tunables.one_sided_before
        if ended and not sudden then tcp, sided = all[TCP], all[ONE_SIDED_TCP] end
        if not sudden and not (ended and tcp >= tunables.one_sided_flows and sided >= tunables.one_sided * tcp) then return end
        lunette.alert { title = "Traffic is seen in one direction only", severity = sudden and "low" or "info", confidence = sudden and 0.8 or 0.9,
            score = 10 * sided / tcp,
            why = ("%d of %d TCP flows show one side alone (%s)"):format(sided, tcp, percent(sided, tcp))
                .. (sudden and (", before that it was %d of %d"):format(before_sided, before_tcp) or ""),
            evidence = { one_sided = sided, tcp_flows = tcp, share_before = sudden and before or nil },
            next = "Mirror both directions of the port (SPAN: both; a tap: both legs). Is there a second way out of the network?",
            key = "sides", cooldown = tunables.cooldown }
    end

    local function judge_cut(counts)
        local share = counts[CUT_CLEAR] / math.max(1, counts[CLEAR])
        if counts[CUT_CLEAR] + counts[QUIC_CUT] < tunables.cut_flows then return end
        if share < tunables.cut_share and counts[QUIC_CUT] < tunables.cut_share * counts[QUIC] then return end
        lunette.alert { title = "What could be read is cut off", severity = "info", confidence = 1, score = 10 * math.min(1, share),
            why = ("%d of %d flows in clear and %d QUIC hellos are cut by the snap length"):format(counts[CUT_CLEAR], counts[CLEAR],
                counts[QUIC_CUT]),
            evidence = { cut = counts[CUT_CLEAR], clear = counts[CLEAR], quic = counts[QUIC_CUT] },
            next = "Capture whole packets: tcpdump -s 0; whoever wants headers alone should keep the first 2000 bytes for the hellos.",
            key = "cut", cooldown = tunables.cooldown }
    end

    -- The host asked hour after hour, and now it calls the outside without asking.
    local function judge_dns(address, host)
        local hour = host.hour
        if hour[DNS] >= tunables.dns_flows then host.dns_hours = host.dns_hours + 1 end
        if hour[DNS] > 0 or host.dns_hours < tunables.dns_hours or hour[OUTSIDE] < tunables.dns_silent_flows then return end
        local ways = dns_of(hour)
        local explained = ways ~= "not seen"
        lunette.alert { title = "A host's DNS is not seen any more", severity = explained and "info" or "low", confidence = explained and 0.8 or 0.6,
            score = explained and 2 or 4, who = address,
            why = ("asked by DNS in %d hours before, and not once in the last hour, with %d flows to the outside")
                :format(host.dns_hours, hour[OUTSIDE]) .. (explained and (": it goes by " .. ways) or ""),
            evidence = { hours_before = host.dns_hours, flows = hour[OUTSIDE], named = hour[NAMED], encrypted_dns = hour[HIDDEN_DNS],
                private_relay = hour[RELAY], vpn = hour[VPN] },
            next = explained and "Is that wanted here? Names of this host are seen only where TLS shows them."
                or "Look for a new resolver of its own: DNS over HTTPS to a name nobody lists, a tunnel, a second interface.",
            key = "dns " .. address, cooldown = tunables.cooldown }
        host.dns_hours = 0 -- it begins anew
    end

    -- Hosts of the hour that are still to be judged, too many for one timer: their addresses in order, and what is kept of them.
    local queue, waiting, next_in_queue = {}, {}, 1

    local function judge_host(address)
        local host = waiting[address]
        if not host.hour then return end
        judge_dns(address, host)
        host.hour = nil
        local all = host.all
        if all[OUTSIDE] == 0 then return end -- routers, printers: who calls nobody outside has no card for that
        local text = sentence_of(all)
        lunette.fact(address, "visibility", text, { flows = all[FLOWS], bytes = all[BYTES], encrypted_bytes = all[SEALED_BYTES],
            one_sided = all[ONE_SIDED], midstream = all[MIDSTREAM], gaps = all[GAPS], cut = all[CUT], dns = all[DNS],
            outside = all[OUTSIDE], named = all[NAMED], program = all[PROGRAM] })
    end

    local function judge_some(most)
        local last = math.min(#queue, next_in_queue + most - 1)
        for i = next_in_queue, last do judge_host(queue[i]) end
        next_in_queue = last + 1
        if next_in_queue > #queue then queue, waiting, next_in_queue = {}, {}, 1 end
    end

    local function judge(ended)
        sums.pending = false
        judge_drops()
        judge_sides(ended)
        judge_cut(ended and sums.all or sums.hour)
        queue, waiting, next_in_queue = {}, {}, 1
        for address, host in seen:each() do
            queue[#queue + 1], waiting[address] = address, host
        end
        table.sort(queue)
        sums.hour = zeroes()
        for _, figure in ipairs(FIGURES) do sums.capture_hour[figure] = 0 end
    end

    -- Messages of the hour come after this stage's own timers of that hour: it is judged a minute later.
    lunette.every(60, function()
        if sums.pending then judge(false) end
        judge_some(HOSTS_A_MINUTE)
    end)

    -- ------------------------------------------------------------------- the report

    local function count(list, number, words)
        if number > 0 then list[#list + 1] = grouped(number) .. " " .. words end
    end

    local function note_of()
        local all, capture, list = sums.all, sums.capture, {}
        count(list, capture.dropped + capture.interface_dropped, "packets dropped before they were seen")
        count(list, capture.cut, ("of %s packets cut short"):format(grouped(capture.packets)))
        count(list, capture.undecoded, "packets whose headers could not be read")
        count(list, all[ONE_SIDED_TCP], "TCP flows of which one direction is missing")
        count(list, all[MIDSTREAM], "TCP flows begun before the capture")
        count(list, all[MISSING], ("TCP flows lack %s bytes, those cut off among them"):format(grouped(all[GAP_BYTES])))
        count(list, all[TLS13_BARE], ("of %s TLS handshakes show no certificate (TLS 1.3)"):format(grouped(all[TLS])))
        count(list, all[ECH_USED], "hide the server's name (ECH)")
        count(list, all[ECH] - all[ECH_USED], "offer ECH, or noise in its place, which cannot be told apart")
        count(list, all[LATE], ("flows began when the clock had passed them, by up to %.0f s: a clock set back, or files in the wrong order")
            :format(all[LATEST]))
        return table.concat(list, "; ")
    end

    local function by_bytes(a, b)
        local x, y = a.all[BYTES], b.all[BYTES]
        return x > y or x == y and a.address < b.address
    end

    local function busiest_rows()
        local list, rows = {}, {}
        for address, host in seen:each() do list[#list + 1] = { address = address, all = host.all } end
        figures.foremost(list, tunables.rows, by_bytes)
        for i = 1, #list do rows[i] = row_of(list[i].address, list[i].all) end
        return rows
    end

    lunette.on_end(function()
        judge(true)
        judge_some(HOSTS)
        local rows = busiest_rows()
        if sums.all[FLOWS] == 0 then return end
        rows[#rows + 1] = row_of("all", sums.all)
        lunette.report { title = "What could be seen", rows = rows, note = note_of(),
            columns = { "host", ">flows", ">encrypted", ">one-sided", ">midstream", ">gaps", ">cut", ">QUIC unread", ">relay, VPN",
                ">named", ">program", "DNS" } }
    end)
end)
