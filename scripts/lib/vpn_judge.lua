-- How loud is a tunnel? One point for being there (info), and more for each thing that is odd with it, each named in the alert.
--
-- Points are judgements: 2 are low, 3 medium, 6 high. What weighs most is what the operator said, then the program behind it.

local lunette = require "lunette"
local programs = require "programs"

local judge = {}

local TITLES = { wireguard = "WireGuard", openvpn = "OpenVPN", ipsec = "IPsec", tailscale = "Tailscale", zerotier = "ZeroTier", softether = "SoftEther VPN",
    anyconnect = "AnyConnect", sstp = "SSTP", pptp = "PPTP", l2tp = "L2TP", tor = "Tor", ["https proxy"] = "HTTPS proxy", tls = "TLS" }
function judge.title(kind) return TITLES[kind] or kind end

-- Ports of services that every firewall lets out (Sliver's WireGuard sits on 53 by default), and of others that a tunnel is not.
local LET_OUT = { [53] = "DNS", [67] = "DHCP", [68] = "DHCP", [69] = "TFTP", [123] = "NTP", [161] = "SNMP", [5353] = "mDNS" }
local OTHERS = { [80] = "HTTP", [443] = "HTTPS", [22] = "SSH", [25] = "mail", [465] = "mail", [587] = "mail", [993] = "mail", [995] = "mail",
    [3478] = "STUN", [5060] = "SIP", [8080] = "HTTP" }
-- Kinds for which HTTPS' port is their own, or that have no port.
local AT_HOME = { anyconnect = true, sstp = true, tor = true, ["https proxy"] = true, tls = true, softether = true, ipsec = true, tailscale = true, pptp = true }
local DOCUMENTS = { editor = "a program for documents", viewer = "a viewer of documents", office = "an Office program", mail = "a mail program" }

local function severity_of(points)
    if points >= 6 then return "high" end
    if points >= 3 then return "medium" end
    return points >= 2 and "low" or "info"
end
judge.severity_of = severity_of

-- Bits set in a byte.
local BITS = {}
for byte = 0, 255 do
    local count, rest = 0, byte
    while rest > 0 do count, rest = count + rest % 2, math.floor(rest / 2) end
    BITS[byte] = count
end

local function is_even(slice)
    if not slice or #slice < 32 then return false end
    local bits, printable, run, longest, first = 0, 0, 0, 0, 0
    for i = 1, #slice do
        local byte = slice:u8(i)
        bits = bits + BITS[byte]
        if byte >= 32 and byte < 127 then
            printable, run = printable + 1, run + 1
            if run > longest then longest = run end
            if i == run then first = run end
        else
            run = 0
        end
    end
    local mean = bits / #slice
    return mean > 3.4 and mean < 4.6 and printable <= #slice / 2 and first < 6 and longest <= 20
end

-- Are both sides' first bytes as random as encryption's? The rule that a censor was found to use, turned round: Wu et al., "How the Great Firewall of
-- China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023: 3.4 to 4.6 bits set in a byte, not six printable bytes in front, not
-- half of all, no more than 20 in a row. 443 is left to tls_odd, which says that it is no TLS.
function judge.is_random(e)
    if e.proto ~= "TCP" or e.midstream or e.server_port == 443 or e.client_printable > 0.5 or e.server_printable > 0.5 then return false end
    return is_even(e.client_head) and is_even(e.server_head)
end

function judge.new(tunables, allow, configuration)
    local object = { title = judge.title, severity_of = severity_of }

    -- Has anybody said which tunnels the host may use?
    function object.is_stated(host)
        return allow.count > 0 or configuration.of(host) ~= nil
    end

    -- The operator named this interface, or a VPN of the Mac's settings has it. nil if one of them may have it: macOS numbers utun as they come, and only
    -- some settings say which one it was.
    function object.is_given_interface(host, iface)
        if allow.word(iface) then return true end
        local mac, unsure = configuration.of(host), false
        for _, vpn in ipairs(mac and mac.vpns or {}) do
            if vpn.enabled ~= false then
                if vpn.interface == iface then return true end
                unsure = unsure or not vpn.interface
            end
        end
        if unsure then return nil end
        return false
    end

    local function is_allowed(host, tunnel)
        if allow.word(tunnel.kind) or tunnel.word and allow.word(tunnel.word) then return true, true end
        if allow.address(tunnel.server) or tunnel.name and allow.name(tunnel.name) then return true, true end
        local given = configuration.vpn_given(host, tunnel.kind, tunnel.name or tunnel.server)
        if given == nil and tunnel.name then given = configuration.vpn_given(host, tunnel.kind, tunnel.server) end
        if given then return true, true end
        return false, allow.count > 0 or given == false
    end

    local function add(finding, points, sign, words)
        finding.points = finding.points + points
        finding.signs[#finding.signs + 1] = sign
        finding.words[#finding.words + 1] = words
    end

    -- tunnel: { kind, provider, word, how, server, name, port, product }; e: the event; known: what is kept of the host, or nil.
    function object.tunnel(tunnel, e, known)
        local finding = { points = 1, signs = {}, words = {} }
        finding.allowed, finding.stated = is_allowed(e.client_ip, tunnel)
        if finding.allowed then return finding end
        if finding.stated then add(finding, 3, "not allowed", "it is none of those that are allowed here") end
        if tunnel.kind == "tor" then add(finding, 1, "tor", "it hides whom the host talks to") end
        local port = tunnel.port
        if not AT_HOME[tunnel.kind] and tunnel.product ~= "Cloudflare WARP" then
            if LET_OUT[port] then
                add(finding, 2, "port", ("port %d is that of %s, which is let out everywhere"):format(port, LET_OUT[port]))
            elseif OTHERS[port] then
                add(finding, 1, "port", ("port %d is that of %s"):format(port, OTHERS[port]))
            end
        end
        if known and known.days > tunables.fresh_days and known.open == 0 then
            -- The first one ever is for today. A known provider's is mostly a journey or a purchase, and who had one before has it again: leads.
            local first = known.tunnel == 0
            finding.new = first
            add(finding, first and not tunnel.provider and 2 or finding.points < 2 and 1 or 0, "new",
                first and ("the host was seen on %d days and had none"):format(known.days) or ("the host had none for %d days"):format(known.days))
        end
        local path = e.path
        if e.program then
            local lie = programs.impostor(e.program, path)
            local place = path and programs.is_within(path)
            if lie then
                add(finding, 5, "program", "the program has the name of one of Apple's, and " .. lie)
            elseif place == "temp" or place == "volume" or path and (path:find("/Downloads/", 1, true) or path:find("/Users/Shared/", 1, true)) then
                add(finding, 5, "program", "its program runs from " .. path)
            end
            local behind, class = programs.who_runs(e)
            if behind and DOCUMENTS[class or ""] then add(finding, 5, "parent", ("%s, %s, is behind it"):format(behind, DOCUMENTS[class])) end
        end
        return finding
    end

    local NEXT = {
        stated = "Ask the person. If nobody knows of it: who made the interface (ifconfig, systemextensionsctl list, profiles list), since when, and what went through?",
        port = "A tunnel on such a port wants to get past a firewall. Which program holds the socket (lsof -i)? Sliver's WireGuard sits on UDP 53.",
        plain = "Nothing, if the person may use one. Say which are allowed (--set vpn.allowed=…), and all others will be louder.",
    }

    function object.tell(tunnel, e, finding, is_mac)
        local title = finding.stated and "Tunnel that nobody allowed" or finding.new and "New tunnel on this host" or nil
        local where = tunnel.name or tunnel.server
        local label = judge.title(tunnel.kind)
        local text = tunnel.provider and tunnel.provider ~= label and ("%s (%s)"):format(label, tunnel.provider) or label
        local severity = severity_of(finding.points)
        local attack = tunnel.kind == "tor" and "T1090.003" or tunnel.kind == "https proxy" and "T1090" or "T1572"
        for i = 1, #finding.signs do
            if finding.signs[i] == "port" then attack = attack .. ",T1571" end
        end
        -- Providers and meshes change servers; a bare tunnel is known by its server.
        local which = tunnel.provider or (tunnel.kind == "wireguard" or tunnel.kind == "openvpn") and where or ""
        lunette.alert {
            title = title, severity = severity, score = math.min(10, finding.points + 1), attack = attack,
            confidence = tunnel.confidence == "likely" and 0.5 or 0.9, who = e.client_ip, where = where,
            why = ("%s%s: %s to %s%s%s%s%s"):format(e.program and e.program .. " of " or "", is_mac and "this Mac" or "this host", text, where,
                tunnel.port > 0 and " port " .. tunnel.port or "",
                tunnel.how and "; provider " .. tunnel.how or "", #finding.words > 0 and "; " or "", table.concat(finding.words, "; ")),
            evidence = { kind = tunnel.kind, provider = tunnel.provider, provider_how = tunnel.how, port = tunnel.port, mode = tunnel.mode,
                betrayed_by = tunnel.evidence, program = e.program, path = e.path, ancestry = e.ancestry, interface = e.iface, signs = finding.signs,
                points = finding.points },
            next = finding.signs[1] == "port" and NEXT.port or finding.points >= 3 and NEXT.stated or NEXT.plain,
            key = ("%s %s %s %s"):format(e.client_ip, tunnel.kind, which, severity), cooldown = tunables.cooldown,
        }
    end

    -- Tunnels by which others come in. Meshes of equals begin from either side.
    local MESH = { tailscale = true, zerotier = true, wireguard = true, tor = true }
    function object.from_outside(e)
        local tunnel = { kind = e.kind, server = e.client_ip, port = e.server_port }
        local may = is_allowed(e.server_ip, tunnel)
        if may then return end
        lunette.alert {
            title = "Tunnel from outside to this host", severity = MESH[e.kind] and "info" or "low", score = MESH[e.kind] and 2 or 3, confidence = 0.5,
            attack = "T1133", category = "Initial Access", who = e.server_ip, where = e.client_ip,
            why = ("%s from %s was answered on port %d"):format(judge.title(e.kind), e.client_ip, e.server_port),
            evidence = { kind = e.kind, mode = e.mode, port = e.server_port, betrayed_by = e.evidence },
            next = "Is this host meant to let people in by a VPN? If not: what listens there, and who opened the way in the router?",
            key = ("in %s %s"):format(e.server_ip, e.kind), cooldown = tunables.cooldown,
        }
    end

    return object
end

return judge
