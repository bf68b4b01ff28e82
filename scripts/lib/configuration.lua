-- What is configured on a Mac itself: the audit of its own files (`lunette audit ROOT --json`, given with --audit), as questions.
--
--   local configuration = require "configuration"
--   local mac = configuration.of(e.client_ip)
--   if configuration.resolver_given(e.client_ip, e.server_ip) == false then … end
--
-- Which audit is whose: the one that was given for the address; else the one that has a service with that address by hand; else the
-- one that has an interface with the hardware address to which DHCP gave the address; else, when there is one audit in all, that one, for every
-- host that may be a Mac and has not shown DHCP a built-in hardware address which is none of that Mac's. Nobody else has one, and then all of these say nil: unknown is never a contradiction.
--
-- The tables are this detector's own copy, shared by all who ask in it: read them, do not write into them.

local lunette = require "lunette"
local hosts = require "host_kind"

local configuration = {}

local REMEMBERED = 20000 -- addresses whose audit is known, or known to be none

-- Hardware addresses of hosts, as DHCP told them: address → "aa:bb:cc:dd:ee:ff".
local leases = lunette.state("configuration.leases", { max = REMEMBERED })

-- address → audit, or false. The only audit of all is one table, whoever asks.
local found, found_count = {}, 0
local only, only_read = nil, false

local function only_one()
    if not only_read then only, only_read = lunette.audit(), true end
    return only
end

local function look_up(address)
    local own = lunette.audit(address)
    if own then return own end
    local mac = leases:get(address)
    return mac and lunette.audit(mac) or nil
end

-- DHCP showed a hardware address that none of the audited Mac's interfaces has: it is another machine. One that is set by software (the second-lowest bit of the
-- first byte, IEEE 802: Private Wi-Fi Address, virtual machines) says nothing.
local function is_another(address, one)
    local mac = leases:get(address)
    if not mac or mac:find("^%x[2367abefABEF]") or type(one.interfaces) ~= "table" then return false end
    for i = 1, #one.interfaces do
        if one.interfaces[i].mac then return true end
    end
    return false
end

local function forget(address)
    if found[address] ~= nil then found[address], found_count = nil, found_count - 1 end
end

lunette.on("dhcp", { message = "ack" }, function(e)
    local mac, address = e.client_mac, e.assigned_ip
    if not mac or not address or leases:get(address) == mac then return end
    leases:set(address, mac)
    forget(address)
end)

-- The audit of the Mac with this address: the document that lua-api/README.md describes under lunette.audit. Or nil.
function configuration.of(address)
    if not address then return nil end
    local own = found[address]
    if own == nil then
        if found_count >= REMEMBERED then found, found_count = {}, 0 end
        own = look_up(address) or false
        found[address], found_count = own, found_count + 1
    end
    if own then return own end
    local one = only_one()
    return one and hosts.may_be_mac(address) and not is_another(address, one) and one or nil
end

local function holds(list, value)
    if type(list) ~= "table" then return false end
    for i = 1, #list do
        if list[i] == value then return true end
    end
    return false
end

local function each(list) return type(list) == "table" and list or {} end

-- Is this one of the resolvers that the Mac's own settings name? True or false; nil if no audit is known, or if the resolver of a plain
-- question comes from DHCP: then DHCP is to be asked. A resolver for some domains only, and the address of an encrypted one, are given.
function configuration.resolver_given(address, resolver)
    local mac = configuration.of(address)
    if not mac or not resolver then return nil end
    if holds(mac.resolvers, resolver) then return true end
    for _, entry in ipairs(each(mac.scoped)) do
        if holds(entry.resolvers, resolver) then return true end
    end
    for _, entry in ipairs(each(mac.encrypted_dns)) do
        if holds(entry.addresses, resolver) or entry.server == resolver then return true end
    end
    if #each(mac.resolvers) == 0 then return nil end
    return false
end

-- The host of "https://dns.example:443/q", of "dns.example:443" and of "dns.example".
local function host_of(text)
    if type(text) ~= "string" then return nil end
    local rest = text:match("^%a[%w+.-]*://([^/?#]*)") or text
    rest = rest:match("^.*@(.*)$") or rest
    return (rest:match("^%[(.-)%]") or rest:match("^([^:]*):%d+$") or rest):lower()
end

-- Do the Mac's settings name this encrypted resolver (its name, its address, or its URL)? nil if no audit is known.
function configuration.encrypted_dns_given(address, server)
    local mac = configuration.of(address)
    if not mac or not server then return nil end
    local wanted = host_of(server)
    for _, entry in ipairs(each(mac.encrypted_dns)) do
        if host_of(entry.server) == wanted or holds(entry.addresses, server) then return true end
    end
    return false
end

-- Is the place in a list of proxies? And does one of them leave the choice to a file or to the network?
local function is_listed(list, host, port)
    local given, automatic = false, false
    for _, proxy in ipairs(each(list)) do
        if proxy.kind == "pac" or proxy.kind == "wpad" then
            automatic = true
            given = given or host_of(proxy.url) == host
        elseif proxy.host and proxy.host:lower() == host and (not port or not proxy.port or proxy.port == port) then
            given = true
        end
    end
    return given, automatic
end

-- Is a proxy at this host (a name or an address) and port one that the Mac's settings, or a browser's own, name? True, also if its automatic configuration
-- comes from that host; false if they name other proxies or none; nil if no audit is known, or if a file of automatic configuration (PAC,
-- WPAD) decides, which an audit does not run.
function configuration.proxy_given(address, host, port)
    local mac = configuration.of(address)
    if not mac or not host then return nil end
    host = host:lower()
    local given, automatic = is_listed(mac.proxies, host, port)
    local of_browser, of_browser_automatic = is_listed(mac.browser_proxies, host, port)
    if given or of_browser then return true end
    if automatic or of_browser_automatic then return nil end
    return false
end

-- Kinds that are one on the wire: L2TP and "ipsec" begin with IKE as IKEv2 does. An app may speak anything.
local KINDS = { ike = "ipsec", ikev1 = "ipsec", ikev2 = "ipsec", ipsec = "ipsec", esp = "ipsec", l2tp = "ipsec", pptp = "pptp", ppp = "ppp" }

-- "wireguard" of com.wireguard.macos; of no particular kind, any app is.
local function is_named(vpn, class)
    if not class then return true end
    local text = (tostring(vpn.app or "") .. " " .. tostring(vpn.name or "")):lower()
    return text:find(class, 1, true) ~= nil
end

-- Is a VPN of this kind (ikev2, ipsec, l2tp, pptp, ppp, wireguard, openvpn …; nil: any) to this server (nil: any) configured? True or false;
-- nil if no audit is known, or if there is one of an app, or of the kind, whose server the settings do not tell.
function configuration.vpn_given(address, kind, server)
    local mac = configuration.of(address)
    if not mac then return nil end
    local unsure = false
    local class = kind and (KINDS[kind:lower()] or kind:lower())
    server = server and server:lower()
    for _, vpn in ipairs(each(mac.vpns)) do
        local own = KINDS[vpn.kind] or vpn.kind
        if vpn.enabled ~= false and (not class or own == "app" or own == class) then
            local place = host_of(vpn.server)
            if not server or place == server then
                if own ~= "app" or place or is_named(vpn, class) then return true end
                unsure = true
            elseif not place or not place:find("^[%d.]+$") and not place:find(":", 1, true) then
                unsure = true -- a name, of which the address on the wire may be one
            end
        end
    end
    if unsure then return nil end
    return false
end

return configuration
