-- The values of fields that have few, to tell a filter that never holds: one line a field, "*" for those of every event. Only
-- fields whose list is closed are here; tests/workbench/test_check_words.py holds it against the engine's sources, the
-- documentation of the fields, and what the samples' records have.
local words = {
    ["*.proto"] = "TCP UDP ICMP IPv6-ICMP IP",
    ["*.direction"] = "out in",
    ["*.tunnel"] = "gre pptp erspan wccp ipip 4in6 6in4 6in6 teredo vxlan geneve gtp l2tp mpls pppoe",
    ["onset.kind"] = "start burst",
    ["onset.name_source"] = "sni proxy host dns",
    ["flow.name_source"] = "sni proxy host dns",
    ["flow.proxy"] = "http socks4 socks5",
    ["flow.platform"] = "yes no",
    ["flow.state"] = "new established closed",
    ["flow.reason"] = "fin rst timeout evicted end_of_capture reused",
    ["flow.first_speaker"] = "client server",
    ["flow.tcp_state"] = "syn_sent syn_recv established fin_wait closed none",
    ["dns.type"] = "query answer",
    ["socks.command"] = "connect bind udp_associate",
    ["websocket.state"] = "open closed",
    ["proxy_config.kind"] = "pac wpad_http wpad_dns",
    ["encrypted_dns.kind"] = "dot doh doq",
    ["vpn.kind"] = "wireguard openvpn ipsec tailscale zerotier anyconnect sstp pptp l2tp softether tor",
    ["vpn.transport"] = "udp tcp tls dtls http ip",
    ["vpn.mode"] = "plain tls-auth tls-crypt ike esp ah esp-in-udp disco derp",
    ["vpn.phase"] = "handshake data",
    ["vpn.confidence"] = "certain likely",
    ["dhcp.type"] = "request reply",
    ["mdns.type"] = "query answer",
    ["mdns.protocol"] = "mdns llmnr nbns",
    ["ssdp.type"] = "search notify response",
    ["portmap.type"] = "request response",
    ["process.action"] = "exec fork exit seen",
    ["process.platform"] = "yes no",
    ["process.source"] = "eslogger osquery santa log",
}

-- The values of a field as a set and as words to tell; nil if any may come.
return function(kind, field)
    local line = words[kind .. "." .. field] or words["*." .. field]
    if not line then return nil end
    local values, list = {}, {}
    for word in line:gmatch("%S+") do
        values[word] = true
        list[#list + 1] = word
    end
    return values, table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list]
end
