-- curl, nc, ping, scp, ssh at work: living off the land, seen from the wire and, where somebody tells, by process.
--
-- macOS brings these tools along, signed by Apple, so intruders use them: stealers post their zip with curl, droppers fetch
-- the next stage with it, a shell hangs on nc, files leave by scp, data hides in ping. There are two eyes.
--
-- The wire's. Which program sent a packet is not written on it, but each tool leaves a hand of its own:
--
--   curl   its User-Agent, whose version a macOS release ships or not (data/curl_versions.tsv), or its JA4
--          (data/tool_ja4.tsv); so do wget, Python and their kin (data/tool_agents.tsv). What makes it suspicious is what it
--          does: lib/http_marks.lua. A Windows program's agent from a Mac is an implant's, or a guest's: lib/tool_http.lua.
--   nc     no protocol at all: shell prompts, typed lines or a file's magic bytes as the first bytes of a connection
--          (lib/tool_raw.lua, lib/raw_head.lua); connections that open and close without a byte on port after port (nc -z);
--          datagrams that hold one X (nc -u).
--   ping   the padding of its data tells which system's ping it is (lib/ping_layout.lua). Data no ping makes, replies that
--          differ from their request, one sequence number for all: a tunnel.
--   ssh    the client's banner and HASSH by release (data/hassh.tsv); scp and sftp are the sessions that run full segments
--          one way; a shell carried backwards (ssh -R) is typed by the server and echoed by the client; other connections inside
--          (ssh -D, -L) come as bursts of requests without keystrokes (lib/tool_ssh.lua).
--
-- A shell is told at its first bytes, a transfer or a backward shell in ssh within the open session: such sessions last for days.
--
-- The process's: what a host log (--host-log) tells of programs that start, and the names in the capture. Who started the tool decides:
-- a terminal is a person, an Office program is a macro, launchd a job (lib/tool_process.lua, lib/programs.lua); the command line
-- says what for (lib/arguments.lua); a copy in /tmp or under another name hides. Where both eyes see the same, it is "high".
--
-- Using a tool is no offence: that is "info", once per host, tool and destination in a day. Marks on top make it low, medium
-- or high, and the alert says each of them. Within the home networks nothing but a shell or
-- a tunnel is louder than "low". Hosts that are known to be no Macs are passed over (lib/hosts.lua), but for shells, bare files and
-- tunnels, which are bad on any system.
--
-- False alarms: developers and administrators (scripts that post to APIs, installers piped to sh, rsync over ssh, ping -s), updaters
-- and management agents that call curl from launchd, editors that work on remote hosts over ssh, applications that bring scripts
-- along, home-made text protocols that look typed, port checks by monitoring, virtual machines whose packets are not a Mac's.
-- Misses: TLS of a curl that data/tool_ja4.tsv does not know, encrypted shells, anything inside ssh but its rhythm; without a host log
-- who ran it.
-- ATT&CK: T1105 ingress tool transfer, T1048 exfiltration over another protocol, T1059.004 Unix shell, T1095 non-application layer
-- protocol, T1572 tunnelling, T1046 service discovery, T1021.004 ssh, T1036 masquerading, T1204.002 malicious file, T1543.001 launch agent.

local lunette = require "lunette"
local echo_watch = require "echo_watch"
local hosts = require "hosts"
local http_marks = require "http_marks"
local process_eye = require "process_eye"
local raw_head = require "raw_head"
local shell_begin = require "shell_begin"
local tool_book = require "tool_book"
local tool_http = require "tool_http"
local tool_process = require "tool_process"
local tool_raw = require "tool_raw"
local tool_ssh = require "tool_ssh"

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
    ssh_answers = 15,       -- exchanges in an open session that the client answers at length: the same, as it begins to show
    ssh_bursts = 10,        -- bursts of requests in an SSH session that make it carry other connections
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

local echoes = lunette.state("echoes", { max = 5000, ttl = 3600 })               -- "client server" → what was seen of its pings
local probes = lunette.state("probes", { max = 5000, ttl = 3600 })               -- "client server" → empty connections
local ftp_pairs = lunette.state("ftp", { max = 2000, ttl = 3600 })               -- "client server" → "called", "talks": FTP control
local told = lunette.state("told", { max = 5000, ttl = 3600 })                   -- "host pid" → how loud its start was told, 0 to 3
local note_tool = tool_book.sender(lunette)
local session = lunette.flow_state { out = "u64", back = "u64", answers = "u32", bulk = "bool", reverse = "bool", home = "bool" }

local QUIETER = { high = "low", medium = "low", low = "low", info = "info" }

-- Bytes of an event as a string; none are nil.
local function text_of(bytes) return bytes and bytes:tostring() or "" end

-- Traffic that comes in from outside is somebody else's tool.
local function is_inbound(e) return e.server_local and not e.client_local end

-- ---------------------------------------------------------------- who is behind it

local eye = process_eye.new { told = told, cooldown = tunables.cooldown }

-- Raises the alert of a wire event. `severity` is the wire's own verdict; who is behind it is joined to that here.
local function say(e, tool, severity, alert)
    if not alert.any_host and not hosts.may_be_mac(e.client_ip) then return end
    local rank, standing = tool_process.ranks[severity], process_eye.behind(e)
    if standing then
        rank = tool_process.together(rank, standing)
        local at_start = told:get(e.client_ip .. " " .. process_eye.pid(e))
        if at_start and at_start >= 2 and at_start >= rank then
            rank = 0
            alert.why = "What it did on the wire, of the program told of when it started: " .. alert.why
        end
        alert.why = ("%s. Run by %s"):format(alert.why, standing.chain)
        alert.evidence.behind = standing.chain
        if rank >= 2 and standing.base >= 1 then alert.attack = alert.attack .. "," .. standing.attack end
    end
    alert.severity = tool_process.severities[rank]
    alert.score = tool_process.score(rank, alert.confidence, alert.weight)
    alert.who = alert.who or e.client_ip
    alert.where = alert.where or e.server_ip
    alert.evidence.tool, alert.evidence.server, alert.evidence.port = tool, e.server_ip, e.server_port
    alert.key = table.concat({ e.client_ip, tool, alert.where, alert.severity, alert.rule or "" }, " ")
    alert.rule, alert.any_host, alert.weight = nil, nil, nil
    alert.cooldown = tunables.cooldown
    lunette.alert(alert)
end

-- ---------------------------------------------------------------- the process's eye

lunette.on("process", { action = { "exec", "seen" } }, function(e)
    local addressed = e.client_ip ~= "::"
    if addressed and not hosts.may_be_mac(e.client_ip) then return end
    local host = addressed and e.client_ip or e.host or "?"
    process_eye.note(e, host)
    eye.say(e, host, nil, e.arguments, e.parent_path)
end)

-- ---------------------------------------------------------------- curl and kin

local function tool_of_agent(agent)
    for _, row in ipairs(tool_agents) do
        if agent:sub(1, #row.begins) == row.begins then return row end
    end
end

local function marks_of(e, host)
    return http_marks.of({
        method = e.method, url = e.url, status = e.status, length = e.length, request_length = e.request_length,
        content_type = e.content_type, request_content_type = e.request_content_type, port = not e.server_local and e.server_port or 80,
        host_is_address = tool_http.is_literal(host, lunette.is_address) and not e.server_local,
    }, tunables)
end

local function http_evidence(e, host, marks)
    local agent = e.user_agent or ""
    return { agent = agent:sub(1, 200), method = e.method, url = (e.url or ""):sub(1, 200), host = host, sent = e.request_length, received = e.length,
        status = e.status, marks = marks }
end

local function http_sentence(e, marks)
    return ("%s %s%s"):format(e.method or "?", (e.url or ""):sub(1, 80), #marks > 0 and "; " .. table.concat(marks, ", ") or "")
end

-- A Mac that calls itself something else. Guests of the Mac (virtual machines behind its address) do so with right.
local function check_foreign_agent(e, agent)
    local system = tool_http.foreign_system(agent)
    if not system or not hosts.is_mac(e.client_ip) or tool_http.is_guest_of(e.program) then return end
    local host = e.host or e.server_ip
    local marks, weight = marks_of(e, host)
    local windows = system == "Windows"
    local severity = windows and (weight >= 2 and "high" or "medium") or weight >= 2 and "medium" or "low"
    if e.server_local then severity = QUIETER[severity] end
    say(e, "agent", severity, {
        title = "A Mac that calls itself another system", where = host, confidence = windows and 0.6 or 0.4, attack = "T1036,T1071.001", rule = system,
        weight = weight, why = ("This host is a Mac by its packets, its agent says %s: %s; %s"):format(system, agent:sub(1, 100), http_sentence(e, marks)),
        evidence = http_evidence(e, host, marks),
        next = "Is there a virtual machine or a Windows program (Wine, CrossOver) on it? Else: which process sends this agent?",
    })
end

lunette.on("http", function(e)
    local agent = e.user_agent
    if not agent or is_inbound(e) then return end
    local row = tool_of_agent(agent)
    if not row then return check_foreign_agent(e, agent) end
    local host = e.host or e.server_ip
    local list, weight = marks_of(e, host)
    local mac, about = hosts.is_mac(e.client_ip), hosts.of(e.client_ip)
    local origin, version, odd = tool_http.curl_origin(agent, curl_versions, mac, about and about.version)
    if odd and weight > 0 then list[#list + 1], weight = "a curl that this macOS does not bring", weight + 1 end
    local severity = http_marks.severity(weight)
    if e.server_local then severity = QUIETER[severity] end
    local ships = version and hosts.may_be_mac(e.client_ip) and curl_versions[version]
    note_tool(e.client_ip, (version and row.tool .. " " .. version or row.tool) .. (ships and " (macOS " .. ships .. ")" or ""), host)
    local evidence = http_evidence(e, host, list)
    evidence.version = version
    say(e, row.tool, severity, {
        title = weight > 0 and row.tool .. ": a request with marks of abuse" or row.tool .. " at work", where = host,
        confidence = 0.8, attack = e.method == "GET" and "T1105" or "T1048.003", weight = weight,
        why = agent:sub(1, 80) .. origin .. ": " .. http_sentence(e, list), evidence = evidence,
        next = weight > 0 and "Which process ran it? A terminal as its parent is a person; a LaunchAgent or an application is not."
            or "Nothing odd so far. A host log (--host-log) would tell who ran it.",
    })
end)

lunette.on("tls", { ja4 = tool_ja4 }, function(e)
    if is_inbound(e) then return end
    local row = tool_of_ja4[e.ja4]
    local nameless = (e.sni or "") == "" and not e.server_local
    local about = hosts.is_mac(e.client_ip) and hosts.of(e.client_ip)
    local odd = about and not tool_http.may_agree(row.macos, about.version)
    note_tool(e.client_ip, row.tool .. " over TLS", e.sni or e.server_ip)
    say(e, row.tool, nameless and "low" or "info", {
        title = row.tool .. " over TLS at work", where = e.sni ~= "" and e.sni or nil, confidence = 0.7, attack = "T1105",
        why = ("The handshake is that of %s (macOS %s)%s%s"):format(row.note, row.macos, odd and ", this host has " .. about.version or "",
            nameless and "; it asks an address, not a name" or ""),
        evidence = { ja4 = e.ja4, sni = e.sni, macos = row.macos },
        next = nameless and "What answers at that address? Look at its certificate, and at who ran the tool."
            or "Nothing odd so far. A host log (--host-log) would tell who ran it.",
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

local function say_raw(e, finding, figures, evidence, from_client, from_server)
    evidence.first_out, evidence.first_in = from_client:gsub("[^%g ]", "."), from_server:gsub("[^%g ]", ".")
    note_tool(e.client_ip, "bare " .. (e.proto or "TCP") .. " as of nc", e.server_ip)
    say(e, "nc", finding.severity, {
        title = finding.title, confidence = finding.confidence, attack = finding.is_shell and "T1059.004,T1095" or "T1095,T1105",
        rule = finding.title, where = e.server_ip .. ":" .. e.server_port, any_host = true,
        why = ("No protocol on %s port %d, as nc leaves it: %s%s"):format(e.proto or "TCP", e.server_port, finding.why, figures),
        evidence = evidence, next = "Which process holds the socket, and who started it?",
    })
end

local function is_printer(port) return port == 9100 or port == 515 end

local function check_raw(e)
    if e.midstream or e.gap_bytes > 0 or is_printer(e.server_port) then return end
    if not raw_head.is_worth(e.client_head) and not raw_head.is_worth(e.server_head) then return end
    local from_client, from_server = text_of(e.client_head), text_of(e.server_head)
    local finding = tool_raw.finding({
        server_port = e.server_port, server_local = e.server_local, answered = e.client_payload > 0, proto = e.proto, turns = e.turns,
        client_payload = e.client_payload, server_payload = e.server_payload, client_pauses = e.client_pauses, server_pauses = e.server_pauses,
        client_full = e.client_full, server_full = e.server_full,
    }, from_client, from_server, tunables)
    if not finding then return end
    local pair = e.client_ip .. " " .. e.server_ip
    -- FTP's data connections carry bare files; a shell is nobody's data.
    if not finding.is_shell and (ftp_pairs:get(pair) or ftp_pairs:get(e.server_ip .. " " .. e.client_ip)) then return end
    if not finding.is_shell and e.server_local and e.client_local then finding.severity = QUIETER[finding.severity] end
    say_raw(e, finding, ("; %d bytes out, %d in, %d turns, %.0f s"):format(e.client_payload, e.server_payload, e.turns, e.age),
        { sent = e.client_payload, received = e.server_payload, turns = e.turns, seconds = math.floor(e.age) }, from_client, from_server)
end

-- At its first bytes (lib/shell_begin.lua); what is told here is held back when the flow ends.
lunette.on("flow_start", { proto = "TCP", server_local = true }, function(e)
    local own = session:of(e)
    if own then own.home = true end
end)

shell_begin.watch(function(s, from_client, from_server)
    if is_printer(s.server_port) then return end
    local own = session:of(s)
    local home = own and own.home or false
    local finding = tool_raw.shell({ server_port = s.server_port, server_local = home, answered = from_client ~= "" }, from_client, from_server)
    if not finding then return end
    local e = { client_ip = s.client_ip, server_ip = s.server_ip, server_port = s.server_port, proto = "TCP", pid = 0 }
    say_raw(e, finding, "; the connection is open", { open = true }, from_client, from_server)
end)

-- Empty connections: nc -z closes politely; what is refused or never answered belongs to the same walk.
local function check_probe(e)
    local key = e.client_ip .. " " .. e.server_ip
    if ftp_pairs:get(key) == "talks" then return end -- passive FTP: an empty folder, or a firewall before the data ports
    local before = probes:get(key)
    local walk, done = tool_raw.walk(before, e.server_port, e.start, e.state ~= "new" and e.reason == "fin", tunables)
    if walk ~= before then probes:set(key, walk) end
    if not done then return end
    say(e, walk.open > 0 and "nc" or "scanner", e.server_local and "low" or "medium", {
        title = "Port after port without a byte", confidence = 0.6, attack = "T1046", rule = "scan",
        why = ("%d ports of %s within %d s, no payload; %s"):format(walk.n, e.server_ip, tunables.scan_window,
            walk.open > 0 and walk.open .. " opened and closed politely, as nc -z does" or "none opened and closed politely: a port scanner rather than nc"),
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
        next = "Was it a check of a name server or a game? Look for the same to other ports and hosts.",
    })
end

-- ---------------------------------------------------------------- dig, tftp, ftp, telnet

-- Only where the capture names programs: on the wire dig's questions are as anybody's.
lunette.on("dns", { type = "query", program = { "dig", "host", "nslookup" }, rrtype = { "TXT", "NULL" } }, function(e)
    note_tool(e.client_ip, e.program, e.server_ip)
    say(e, e.program, "low", {
        title = e.program .. " asks for text", where = e.rrname, confidence = 0.5, attack = "T1071.004", rule = "text",
        why = ("%s asks %s for %s of %s"):format(e.program, e.server_ip, e.rrtype, e.rrname), evidence = { type = e.rrtype, name = e.rrname },
        next = "Records of mail (SPF, DKIM, DMARC) are looked up by hand. Was the answer handed to a shell?",
    })
end)


local function check_tftp(e)
    if is_inbound(e) then return end
    local way, name = tool_raw.tftp(text_of(e.client_head))
    if not way then return end
    note_tool(e.client_ip, "tftp", e.server_ip)
    say(e, "tftp", e.server_local and "info" or way == "write" and "medium" or "low", {
        title = way == "write" and "File sent by tftp" or "File fetched by tftp", confidence = 0.8, rule = way,
        attack = way == "write" and "T1048.003" or "T1105", why = ("%s of %s, no login, in clear"):format(way, name),
        evidence = { file = name }, next = "Network equipment boots and saves by tftp; a Mac seldom does. Which file is it?",
    })
end

lunette.on("ftp", { command = { "STOR", "APPE", "STOU" } }, function(e)
    if is_inbound(e) then return end
    note_tool(e.client_ip, "ftp", e.server_ip)
    say(e, "ftp", e.server_local and "info" or "low", {
        title = "File sent by FTP", confidence = 0.8, attack = "T1048.003", rule = "send",
        why = ("%s %s as %s, in clear"):format(e.command, (e.argument or "?"):sub(1, 80), e.user or "nobody named"),
        evidence = { file = e.argument, user = e.user, status = e.status }, next = "macOS has no ftp of its own since 10.13: which program is it?",
    })
end)

local function check_telnet(e)
    if is_inbound(e) or e.server_payload == 0 then return end
    note_tool(e.client_ip, "telnet", e.server_ip)
    say(e, "telnet", "info", {
        title = "telnet at work", confidence = 0.8, attack = "T1021", rule = "use",
        why = ("%d bytes out, %d in, %.0f s, in clear"):format(e.client_payload, e.server_payload, e.age),
        evidence = { sent = e.client_payload, received = e.server_payload, seconds = math.floor(e.age) },
        next = "macOS has no telnet of its own since 10.13: which program is it? What was typed, passwords too, is in the packets.",
    })
end

-- ---------------------------------------------------------------- ssh, scp

lunette.on("ssh", function(e)
    local software = e.client_software
    if not software or is_inbound(e) then return end
    local identity, macos = tool_ssh.identity(software, e.hassh, client_hassh, known_ssh)
    local marks, mac = {}, hosts.is_mac(e.client_ip)
    if e.server_port ~= 22 then marks[#marks + 1] = "on port " .. e.server_port end
    if mac and not software:find("^OpenSSH") then marks[#marks + 1] = "a client that is no OpenSSH" end
    local severity = #marks >= 2 and "medium" or #marks == 1 and "low" or "info"
    if e.server_local then severity = QUIETER[severity] end
    note_tool(e.client_ip, "ssh (" .. software .. ")", e.server_ip)
    say(e, "ssh", severity, {
        title = "ssh at work", confidence = mac and 0.9 or 0.6, attack = "T1021.004", weight = #marks,
        why = ("%s: %s%s"):format(software, identity, #marks > 0 and "; " .. table.concat(marks, ", ") or ""),
        evidence = { client = e.client_banner, server_banner = e.server_banner, hassh = e.hassh, macos = macos, marks = marks },
        next = #marks > 0 and "Which program is it, and whose server? An ssh of Apple's is OpenSSH, and servers at work use port 22."
            or "Is this server one the host is known to log in to?",
    })
end)

local COPIERS = { scp = true, sftp = true, rsync = true, openrsync = true }

local function say_files(e, way, up, down, figures, evidence)
    local copier = COPIERS[e.program or ""] and e.program or "scp"
    local code_host = tool_ssh.is_code_host(e.server_name)
    evidence.sent, evidence.received = up, down
    note_tool(e.client_ip, "ssh: files " .. (way == "up" and "out" or "in"), e.server_ip)
    say(e, copier, way == "up" and not e.server_local and not code_host and "medium" or "low", {
        title = way == "up" and "Files leave by ssh (scp, sftp, rsync)" or "Files come by ssh (scp, sftp, rsync)", confidence = 0.8,
        attack = way == "up" and "T1048.002" or "T1105", rule = way, where = e.server_name,
        why = ("%d bytes out, %d in, %s%s"):format(up, down, figures, code_host and "; git does so with this code host" or ""), evidence = evidence,
        next = "Is this server one the host is known to copy to?",
    })
end

local function say_reverse(e, severity, confidence, why, evidence)
    say(e, "ssh", e.server_local and "low" or severity, {
        title = "Shell carried backwards through ssh (ssh -R)", confidence = confidence, attack = "T1572,T1021.004", rule = "reverse", any_host = true,
        why = why, evidence = evidence, next = "Look for ssh -R or -w among the host's processes and LaunchAgents.",
    })
end

local function check_ssh_flow(e)
    if is_inbound(e) then return end
    local up, down = e.client_payload, e.server_payload
    local way = tool_ssh.way(up, down, tunables.ssh_bulk)
    if way then
        local full, of = way == "up" and e.client_full or e.server_full, way == "up" and "out" or "in"
        say_files(e, way, up, down, ("%d full segments %s, in %.0f s"):format(full, of, e.age), { full_segments = full, seconds = math.floor(e.age) })
    end
    if tool_ssh.is_reverse(e, tunables.ssh_reverse) then
        say_reverse(e, "high", 0.7, ("the server begins: %d pauses end with its payload, %d with the client's; %d small payloads from it, %d turns"):format(
            e.server_pauses, e.client_pauses, e.server_small, e.turns), {
            server_pauses = e.server_pauses, client_pauses = e.client_pauses, server_small = e.server_small, client_small = e.client_small,
            turns = e.turns, seconds = math.floor(e.age) })
    elseif tool_ssh.is_forwarding(e, tunables.ssh_bursts) then
        say(e, "ssh", "low", {
            title = "Other connections inside ssh (ssh -D, -L)", confidence = 0.4, attack = "T1572,T1090", rule = "forward",
            why = ("%d bursts in %.0f s: %d bytes out with %d small payloads, %d in with %d full segments: requests and answers, no typing"):format(
                e.onsets, e.age, up, e.client_small, down, e.server_full),
            evidence = { bursts = e.onsets, sent = up, received = down, client_small = e.client_small, server_full = e.server_full, turns = e.turns,
                seconds = math.floor(e.age) },
            next = "An editor that works on a remote host does the same. Else look for ssh -D or -L: whose traffic leaves there?",
        })
    end
end

-- The same of a session that is still open, exchange by exchange. What is told here is held back when the flow ends.
lunette.on("onset", { app_proto = "ssh" }, function(e)
    local own = session:of(e)
    if not own or is_inbound(e) then return end
    own.out, own.back = own.out + e.client_payload, own.back + e.server_payload
    local way = not own.bulk and tool_ssh.way(own.out, own.back, tunables.ssh_bulk)
    if way then
        own.bulk = true
        say_files(e, way, own.out, own.back, "so far", { open = true })
    end
    if e.kind ~= "burst" or not tool_ssh.is_answer(e.client_payload, e.server_payload) then return end
    own.answers = own.answers + 1
    if own.answers < tunables.ssh_answers or own.reverse or own.bulk then return end
    own.reverse = true
    say_reverse(e, "medium", 0.5, ("an open session in which the client answered %d times more than it was sent, as a shell does that the server types into")
        :format(own.answers), { answers = own.answers, sent = own.out, received = own.back, open = true })
end)

-- ---------------------------------------------------------------- flows

lunette.on("flow_start", { proto = "TCP", server_port = 21 }, function(e)
    local key = e.client_ip .. " " .. e.server_ip
    if not ftp_pairs:get(key) then ftp_pairs:set(key, "called") end
end)

-- Whoever walks over ports calls 21 as well: only a session in which commands are answered explains empty connections.
lunette.on("ftp", function(e) ftp_pairs:set(e.client_ip .. " " .. e.server_ip, "talks") end)

lunette.on("flow", { proto = { "TCP", "UDP" } }, function(e)
    local protocol = e.app_proto
    if e.program and tool_process.tools[e.program] and not is_inbound(e) then eye.flow(e) end
    if protocol == "ssh" then return check_ssh_flow(e) end
    if protocol == "tls" and tool_ja4:has(e, "ja4") then return check_tls_upload(e) end
    if e.server_port == 69 and e.proto == "UDP" then return check_tftp(e) end
    if e.server_port == 23 and e.proto == "TCP" and (not protocol or protocol == "telnet") then check_telnet(e) end
    if protocol then return end
    if e.client_payload + e.server_payload > 0 then
        if e.proto == "UDP" then check_udp_probe(e) end
        check_raw(e)
    elseif e.proto == "TCP" and not e.midstream and not is_inbound(e) then
        check_probe(e)
    end
end)

-- ---------------------------------------------------------------- ping

local watch_echo = echo_watch.new { echoes = echoes, tunables = tunables, say = say, note = note_tool }

lunette.on("icmp_echo", function(e)
    if not is_inbound(e) then watch_echo(e) end
end)

-- ---------------------------------------------------------------- the card

lunette.gather(function()
    local used = tool_book.new(lunette.state("tools", { max = 5000 })) -- host → its tools
    lunette.receive(function(host, use) used.note(host, use.tool, use.place) end)

    local function tell_cards()
        used.each_changed(function(host, lines) lunette.fact(host, "tools", lines) end)
    end
    lunette.every(3600, tell_cards)
    lunette.on_end(tell_cards)
end)
