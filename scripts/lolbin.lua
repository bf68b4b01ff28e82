-- curl, nc, ping, scp, ssh at work: living off the land, seen from the wire.
--
-- macOS brings these tools along, signed by Apple, so intruders use them: stealers post their zip with curl, droppers fetch
-- the next stage with it, a shell hangs on nc, files leave by scp, data hides in ping. Which program sent a packet is not
-- written on it, but each tool leaves a hand of its own:
--
--   curl   its User-Agent, whose version a macOS release ships or not (data/curl_versions.tsv), or its JA4
--          (data/tool_ja4.tsv); so do wget, Python and their kin (data/tool_agents.tsv). What makes it suspicious is what it
--          does: lib/http_marks.lua. A steady rhythm is the beacon detector's business.
--   nc     no protocol at all: shell prompts, typed lines or a file's magic bytes as the first bytes of a connection
--          (lib/raw_head.lua); connections that open and close without a byte on port after port (nc -z); datagrams that hold
--          one X (nc -u).
--   ping   the padding of its data tells which system's ping it is (lib/ping_layout.lua). Data no ping makes, replies that
--          differ from their request, one sequence number for all: a tunnel.
--   ssh    the client's banner and HASSH by release (data/hassh.tsv); scp and sftp are the sessions that run full segments
--          one way; a shell carried backwards (ssh -R) is typed by the server and echoed by the client.
--
-- Using a tool is no offence: that is "info", once per host, tool and destination in a day. Marks on top make it low, medium
-- or high, and the alert says each of them. Within the home networks nothing but a shell or
-- a tunnel is louder than "low".
--
-- False alarms: developers and administrators (scripts that post to APIs, installers piped to sh, rsync over ssh, ping -s),
-- home-made text protocols that look typed, port checks by monitoring, virtual machines whose pings are not a Mac's.
-- ATT&CK: T1105 ingress tool transfer, T1048 exfiltration over another protocol, T1059.004 Unix shell, T1095 non-application layer
-- protocol, T1572 tunnelling, T1046 service discovery, T1021.004 ssh.

local lunette = require "lunette"
local echo_book = require "echo_book"
local http_marks = require "http_marks"
local ping_layout = require "ping_layout"
local raw_head = require "raw_head"

lunette.detector { title = "Living off the land", category = "Execution", attack = "T1059.004" }

local tunables = lunette.tunables {
    cooldown = 86400,       -- the same host, tool and destination in the same strength alert once in this time
    large = 100000,         -- bytes of a request that make an upload
    tls_upload = 1000000,   -- bytes sent in a TLS flow of a known tool that make an upload
    long_query = 300,       -- characters
    typed_turns = 6,        -- a conversation changes sides so often …
    typed_pauses = 3,       -- … with so many pauses of a person
    scan_ports = 10,        -- ports of one server called without a byte …
    scan_window = 120,      -- … within these seconds
    ping_rate = 50,         -- requests in one second
    ping_foreign = 5,       -- echoes whose data no ping makes
    ping_mismatch = 3,      -- replies that differ from their request
    ping_same_sequence = 10, -- requests in a row with one sequence number
    ssh_bulk = 5000000,     -- bytes one way in an SSH session that make a transfer
    ssh_reverse = 30,       -- keystroke-like payloads from the server that make a shell carried backwards
}

local curl_versions, client_hassh, known_ssh, tool_of_ja4, ja4_list = {}, {}, {}, {}, {}
for _, row in ipairs(lunette.tsv("curl_versions.tsv")) do curl_versions[row.version] = row.macos end
for _, row in ipairs(lunette.tsv("hassh.tsv")) do
    if row.side == "client" then
        row.versions = {}
        for version in row.openssh:gmatch("[^,]+") do row.versions[version], known_ssh[version] = true, true end
        client_hassh[row.hassh] = row
    end
end
for i, row in ipairs(lunette.tsv("tool_ja4.tsv")) do
    tool_of_ja4[row.ja4], ja4_list[i] = row, row.ja4
end
local tool_agents = lunette.tsv("tool_agents.tsv")
local tool_ja4 = lunette.set.strings(ja4_list)

local macs = lunette.state("macs", { max = 20000 })                              -- address → true: its SYN is a Mac's or an iPhone's
local echoes = lunette.state("echoes", { max = 5000, ttl = 3600 })               -- "client server" → what was seen of its pings
local probes = lunette.state("probes", { max = 5000, ttl = 3600 })               -- "client server" → empty connections
local ftp_pairs = lunette.state("ftp", { max = 2000, ttl = 3600 })               -- "client server" → true: FTP control seen

local QUIETER = { high = "low", medium = "low", low = "low", info = "info" }

-- Bytes of an event as a string; none are nil.
local function text_of(bytes) return bytes and bytes:tostring() or "" end

-- Traffic that comes in from outside is somebody else's tool.
local function is_inbound(e) return e.server_local and not e.client_local end

local function say(e, tool, severity, alert)
    alert.severity = severity
    alert.who = alert.who or e.client_ip
    alert.where = alert.where or e.server_ip
    alert.evidence.tool, alert.evidence.server, alert.evidence.port = tool, e.server_ip, e.server_port
    alert.key = table.concat({ e.client_ip, tool, alert.where, severity, alert.rule or "" }, " ")
    alert.rule = nil
    alert.cooldown = tunables.cooldown
    lunette.alert(alert)
end

lunette.on("flow_start", { syn = true, window = 65535, tcp_options = "mss,nop,ws,nop,nop,ts,sok,eol+1" }, function(e)
    if e.ttl > 32 and e.ttl <= 64 then macs:set(e.client_ip, true) end
end)

-- ---------------------------------------------------------------- curl and kin

local function tool_of_agent(agent)
    for _, row in ipairs(tool_agents) do
        if agent:sub(1, #row.begins) == row.begins then return row end
    end
end

local function curl_origin(agent, client)
    local version = agent:match("^curl/(%d+%.%d+%.%d+)")
    if not version then return "", nil end
    local macos = curl_versions[version]
    if macos then return " (macOS " .. macos .. " ships it)", version end
    if macs:get(client) then return " (no macOS ships it: Homebrew, an application's own, or a forged agent)", version end
    return "", version
end

lunette.on("http", function(e)
    local agent = e.user_agent
    local row = agent and tool_of_agent(agent)
    if not row or is_inbound(e) then return end
    local host = e.host or e.server_ip
    local list, weight = http_marks.of({
        method = e.method, url = e.url, status = e.status, length = e.length, request_length = e.request_length,
        content_type = e.content_type, request_content_type = e.request_content_type, port = not e.server_local and e.server_port or 80,
        host_is_address = lunette.is_address(host) and not e.server_local,
    }, tunables)
    local severity = http_marks.severity(weight)
    if e.server_local then severity = QUIETER[severity] end
    local origin, version = curl_origin(agent, e.client_ip)
    say(e, row.tool, severity, {
        title = weight > 0 and row.tool .. ": a request with marks of abuse" or row.tool .. " at work", where = host,
        confidence = 0.8, attack = e.method == "GET" and "T1105" or "T1048.003",
        why = ("%s%s: %s%s"):format(agent:sub(1, 80), origin, (e.method or "?") .. " " .. (e.url or ""):sub(1, 80),
            #list > 0 and "; " .. table.concat(list, ", ") or ""),
        evidence = { agent = agent:sub(1, 200), version = version, method = e.method, url = (e.url or ""):sub(1, 200), host = host,
            sent = e.request_length, received = e.length, status = e.status, marks = list },
        next = weight > 0 and "Which process ran it? A terminal as its parent is a person; a LaunchAgent or an application is not." or nil,
    })
end)

lunette.on("tls", { ja4 = tool_ja4 }, function(e)
    if is_inbound(e) then return end
    local row = tool_of_ja4[e.ja4]
    local nameless = (e.sni or "") == "" and not e.server_local
    say(e, row.tool, nameless and "low" or "info", {
        title = row.tool .. " over TLS at work", where = e.sni ~= "" and e.sni or nil, confidence = 0.7, attack = "T1105",
        why = ("The handshake is that of %s (macOS %s)%s"):format(row.note, row.macos, nameless and "; it asks an address, not a name" or ""),
        evidence = { ja4 = e.ja4, sni = e.sni, macos = row.macos },
    })
end)

local function check_tls_upload(e)
    if e.client_payload < tunables.tls_upload or e.client_payload < 5 * e.server_payload or is_inbound(e) then return end
    local row = tool_of_ja4[e.ja4]
    say(e, row.tool, e.server_local and "low" or "medium", {
        title = row.tool .. " uploads over TLS", where = e.server_name, confidence = 0.6, attack = "T1048.002", rule = "upload",
        why = ("%d bytes sent and %d received by %s"):format(e.client_payload, e.server_payload, row.note),
        evidence = { ja4 = e.ja4, sent = e.client_payload, received = e.server_payload, seconds = math.floor(e.age) },
        next = "What left? Look for archives made on the host just before.",
    })
end

-- ---------------------------------------------------------------- nc

local function raw_finding(e, from_client, from_server)
    local prompt = raw_head.prompt(from_client)
    if prompt then
        return "high", 0.9, "Shell carried out of the host", "the client shows a shell's prompt to the server: " .. prompt, true
    end
    local command = raw_head.command(from_server)
    if raw_head.is_id_output(from_client) or (command and e.client_payload > 0) then
        return "high", 0.8, "Shell carried out of the host",
            "the server types commands" .. (command and " (" .. command .. ")" or "") .. " and the client answers", true
    end
    prompt = e.server_port ~= 23 and raw_head.prompt(from_server)
    if prompt or raw_head.is_id_output(from_server) then
        return e.server_local and "high" or "medium", 0.8, "Shell that listens on a port",
            "the server shows a shell without any protocol: " .. (prompt or from_server:match("[^\r\n]*")), true
    end
    local got
    local sent, runs = raw_head.file(from_client, e.client_payload)
    if not sent then got, runs = raw_head.file(from_server, e.server_payload) end
    if sent or got then
        return (runs or sent) and "medium" or "low", 0.6, sent and "File sent without a protocol" or "File fetched without a protocol",
            "the stream begins with its bytes: " .. (sent or got)
    end
    if e.proto == "TCP" and e.turns >= tunables.typed_turns and e.client_pauses + e.server_pauses >= tunables.typed_pauses and
        e.client_full + e.server_full == 0 and raw_head.is_typed(from_client) and raw_head.is_typed(from_server) then
        return "low", 0.4, "Conversation in bare lines", "both sides send lines that end in a bare newline, at the pace of a person"
    end
end

local function check_raw(e)
    if e.midstream or e.gap_bytes > 0 or e.server_port == 9100 or e.server_port == 515 then return end
    if not raw_head.is_worth(e.client_head) and not raw_head.is_worth(e.server_head) then return end
    local from_client, from_server = text_of(e.client_head), text_of(e.server_head)
    local severity, confidence, title, why, is_shell = raw_finding(e, from_client, from_server)
    if not severity then return end
    local pair = e.client_ip .. " " .. e.server_ip
    -- FTP's data connections carry bare files; a shell is nobody's data.
    if not is_shell and (ftp_pairs:get(pair) or ftp_pairs:get(e.server_ip .. " " .. e.client_ip)) then return end
    if not is_shell and e.server_local and e.client_local then severity = QUIETER[severity] end
    say(e, "nc", severity, {
        title = title, confidence = confidence, attack = is_shell and "T1059.004,T1095" or "T1095,T1105", rule = title,
        where = e.server_ip .. ":" .. e.server_port,
        why = ("No protocol on %s port %d, as nc leaves it: %s; %d bytes out, %d in, %d turns, %.0f s"):format(e.proto, e.server_port, why,
            e.client_payload, e.server_payload, e.turns, e.age),
        evidence = { sent = e.client_payload, received = e.server_payload, turns = e.turns, seconds = math.floor(e.age),
            first_out = from_client:gsub("[^%g ]", "."), first_in = from_server:gsub("[^%g ]", ".") },
        next = "Which process holds the socket, and who started it?",
    })
end

-- Empty connections: nc -z closes politely; what is refused or never answered belongs to the same walk.
local function check_probe(e)
    local key = e.client_ip .. " " .. e.server_ip
    local walk = probes:get(key)
    if not walk or math.abs(e.start - walk.first) > tunables.scan_window then
        walk = { first = e.start, ports = {}, n = 0, open = 0 }
        probes:set(key, walk)
    end
    if walk.ports[e.server_port] or walk.n > tunables.scan_ports then return end
    walk.ports[e.server_port], walk.n = true, walk.n + 1
    if e.state ~= "new" and e.reason == "fin" then walk.open = walk.open + 1 end
    if walk.n ~= tunables.scan_ports then return end
    say(e, walk.open > 0 and "nc" or "scanner", e.server_local and "low" or "medium", {
        title = "Port after port without a byte", confidence = 0.6, attack = "T1046", rule = "scan",
        why = ("%d ports of %s within %d s, no payload; %s"):format(walk.n, e.server_ip, tunables.scan_window,
            walk.open > 0 and walk.open .. " opened and closed politely, as nc -z does" or "none opened: a port scanner rather than nc"),
        evidence = { ports = walk.n, open = walk.open },
        next = "Did other servers get the same? Monitoring checks few ports again and again; a walk goes on.",
    })
end

local function check_udp_probe(e)
    if e.client_payload > 10 or e.client_packets == 0 or e.client_payload ~= e.client_packets then return end
    if text_of(e.client_head):find("[^X]") then return end
    say(e, "nc", "low", {
        title = "UDP probe of nc", confidence = 0.7, attack = "T1046", rule = "udp",
        why = ("%d datagrams of one X to port %d, as nc -u sends to see whether a port is open"):format(e.client_packets, e.server_port),
        evidence = { datagrams = e.client_packets, answered = e.server_packets > 0 },
    })
end

-- ---------------------------------------------------------------- ssh, scp

local function ssh_identity(software, hassh)
    if not software:find("^OpenSSH") then return "not the ssh of macOS" end
    local version = software:match("^OpenSSH_(%d+%.%d+)$")
    if not version then return "a portable OpenSSH: another system's, or Homebrew's" end
    local row = hassh and client_hassh[hassh]
    if row and row.versions[version] then return "the ssh of macOS " .. row.macos .. " by banner and HASSH", row.macos end
    if not known_ssh[version] then return "a banner as Apple (or Red Hat) writes it, of a version this table does not know" end
    return "a banner as Apple (or Red Hat) writes it, but not the key exchange list of macOS with that version: an own configuration, "
        .. "another system, or a forged banner"
end

lunette.on("ssh", function(e)
    local software = e.client_software
    if not software or is_inbound(e) then return end
    local identity, macos = ssh_identity(software, e.hassh)
    local marks = {}
    if e.server_port ~= 22 then marks[#marks + 1] = "on port " .. e.server_port end
    if not software:find("^OpenSSH") then marks[#marks + 1] = "a client that is no OpenSSH" end
    local severity = #marks >= 2 and "medium" or #marks == 1 and "low" or "info"
    if e.server_local then severity = QUIETER[severity] end
    say(e, "ssh", severity, {
        title = "ssh at work", confidence = 0.9, attack = "T1021.004",
        why = ("%s: %s%s"):format(software, identity, #marks > 0 and "; " .. table.concat(marks, ", ") or ""),
        evidence = { client = e.client_banner, server_banner = e.server_banner, hassh = e.hassh, macos = macos, marks = marks },
    })
end)

local function check_ssh_flow(e)
    if is_inbound(e) then return end
    local up, down = e.client_payload, e.server_payload
    local way = up >= tunables.ssh_bulk and up > 10 * down and "up" or down >= tunables.ssh_bulk and down > 10 * up and "down"
    if way then
        local full, of = way == "up" and e.client_full or e.server_full, way == "up" and "out" or "in"
        say(e, "scp", way == "up" and not e.server_local and "medium" or "low", {
            title = way == "up" and "Files leave by ssh (scp, sftp, rsync)" or "Files come by ssh (scp, sftp, rsync)", confidence = 0.8,
            attack = way == "up" and "T1048.002" or "T1105", rule = way, where = e.server_name,
            why = ("%d bytes out, %d in, %d full segments %s, in %.0f s"):format(up, down, full, of, e.age),
            evidence = { sent = up, received = down, full_segments = full, seconds = math.floor(e.age) },
            next = "Is this server one the host is known to copy to?",
        })
    end
    -- Typed by the server, echoed by the client. A keep-alive of the server looks alike, but comes more slowly than typing.
    if e.server_small >= tunables.ssh_reverse and e.server_pauses >= tunables.ssh_reverse / 2 and e.server_pauses >= 3 * e.client_pauses and
        e.turns >= 1.5 * e.server_pauses and e.age < 10 * e.server_pauses then
        say(e, "ssh", e.server_local and "low" or "high", {
            title = "Shell carried backwards through ssh (ssh -R)", confidence = 0.7, attack = "T1572,T1021.004", rule = "reverse",
            why = ("the server begins: %d pauses end with its payload, %d with the client's; %d small payloads from it, %d turns"):format(
                e.server_pauses, e.client_pauses, e.server_small, e.turns),
            evidence = { server_pauses = e.server_pauses, client_pauses = e.client_pauses, server_small = e.server_small,
                client_small = e.client_small, turns = e.turns, seconds = math.floor(e.age) },
            next = "Look for ssh -R or -w among the host's processes and LaunchAgents.",
        })
    end
end

lunette.on("flow_start", { proto = "TCP", server_port = 21 }, function(e)
    ftp_pairs:set(e.client_ip .. " " .. e.server_ip, true)
end)

lunette.on("flow", { proto = { "TCP", "UDP" } }, function(e)
    local protocol = e.app_proto
    if protocol == "ssh" then return check_ssh_flow(e) end
    if protocol == "tls" and tool_ja4:has(e, "ja4") then return check_tls_upload(e) end
    if protocol then return end
    if e.client_payload + e.server_payload > 0 then
        if e.proto == "UDP" then check_udp_probe(e) end
        check_raw(e)
    elseif e.proto == "TCP" and not e.midstream and not is_inbound(e) then
        check_probe(e)
    end
end)

-- ---------------------------------------------------------------- ping

local function check_tunnel(e, p)
    local tests, carried = echo_book.tests(p, tunables)
    if not carried and #tests < 2 then return end
    say(e, "ping", (carried or #tests >= 3) and "high" or "medium", {
        title = "Tunnel in ping", confidence = carried and 0.95 or math.min(0.3 + 0.2 * #tests, 0.9), attack = "T1095,T1572", rule = "tunnel",
        why = table.concat(tests, "; "),
        evidence = { foreign = p.foreign, longest = p.longest, lengths = p.sizes, mismatches = p.mismatch, ipv4 = p.ipv4,
            requests = p.requests, replies = p.replies, tests = tests },
        next = "What else does the host do with the other side? Read the data of a few echoes.",
    })
end

local function check_request(e, p, layout)
    if p.in_second == tunables.ping_rate then
        say(e, "ping", "low", {
            title = "Flood of pings", confidence = 0.7, attack = "T1498", rule = "flood",
            why = ("%d echo requests within one second"):format(p.in_second), evidence = { in_second = p.in_second },
        })
    end
    if layout == p.layout or layout == "unknown" or layout == "short" then return end
    p.layout = layout
    local odd = macs:get(e.client_ip) and (layout == "linux" or layout == "windows" or layout == "cisco")
    say(e, "ping", odd and "low" or "info", {
        title = odd and "A Mac that pings like another system" or "ping at work", confidence = 0.7, attack = "T1018", rule = "use",
        why = ("%d bytes laid out as %s"):format(e.payload_length, ping_layout.names[layout]) ..
            (odd and ", yet this host's SYNs are a Mac's: a virtual machine, a container, or a tool of its own" or ""),
        evidence = { layout = layout, bytes = e.payload_length, sequence = e.sequence, ttl = e.ttl },
    })
end

lunette.on("icmp_echo", function(e)
    if is_inbound(e) then return end
    local key = e.client_ip .. " " .. e.server_ip
    local p = echoes:get(key)
    if not p then
        p = echo_book.new()
        echoes:set(key, p)
    end
    local layout = echo_book.note(p, {
        request = e.request, sequence = e.sequence, hash = e.payload_hash, time = e.time, data = text_of(e.payload), length = e.payload_length,
    })
    if e.request then check_request(e, p, layout) end
    check_tunnel(e, p)
end)
