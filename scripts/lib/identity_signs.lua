-- Reading signs: what a User-Agent, a model, a host name or an ssh handshake says of the system. Pure functions from text to findings:
-- { sign, … } with from and to (Darwin versions), version (as told), model, os (version of a system that is not Apple's) where they are said.
--
-- Safari and Chrome say "Intel Mac OS X 10_15_7" on every later Mac, Apple silicon included, so that version means "10.15 or later". iPads
-- say Macintosh since iPadOS 13. What is written by programs can be written by anybody; the weights know.

local lunette = require "lunette"
local versions = require "identity_versions"

local signs = {}

local FROZEN = { ["10.15.7"] = true, ["10.15"] = true }
local WINDOWS = { ["10.0"] = "10 or 11", ["6.3"] = "8.1", ["6.2"] = "8", ["6.1"] = "7", ["6.0"] = "Vista", ["5.2"] = "XP x64 or Server 2003",
    ["5.1"] = "XP", ["5.0"] = "2000" }
local TRUSTD = { ["1.0"] = { 16, 17 }, ["2.0"] = { 18, 20 }, ["2.1"] = { 21, 22 }, ["3.0"] = { 23, 99 } }

local function exact_macos(found, text)
    local version = text:gsub("_", ".")
    if FROZEN[version] then
        found.from, found.to = 19, 99
        return
    end
    local darwin = versions.of_macos(version)
    if darwin then found.from, found.to, found.version = darwin, darwin, version end
end

local function exact_ios(found, text)
    local version = text:gsub("_", ".")
    local darwin = versions.of_ios(version)
    if darwin then found.from, found.to, found.version = darwin, darwin, version end
end

-- Agents of systems' own services, by how they begin.
local SYSTEM_AGENTS = {
    { "Microsoft-CryptoAPI/", "agent_windows_system" }, { "Microsoft NCSI", "agent_windows_system" }, { "Microsoft BITS/", "agent_windows_system" },
    { "Windows-Update-Agent", "agent_windows_system" }, { "Microsoft-Delivery-Optimization", "agent_windows_system" },
    { "MICROSOFT_DEVICE_METADATA", "agent_windows_system" }, { "Microsoft-WNS/", "agent_windows_system" },
    { "Debian APT", "agent_linux_system" }, { "libdnf", "agent_linux_system" }, { "PackageKit", "agent_linux_system" },
    { "NetworkManager/", "agent_linux_system" }, { "urlgrabber/", "agent_linux_system" }, { "pacman/", "agent_linux_system" },
    { "Dalvik/", "agent_android_system" }, { "AndroidDownloadManager/", "agent_android_system" }, { "CaptiveNetworkSupport", "agent_captive" },
}

local APPLE_DEVICES = {
    { "(Macintosh", "agent_mac_system" }, { "(iPhone", "agent_iphone_system" }, { "(iPad", "agent_ipad_system" },
    { "(iPod", "agent_ios_system" }, { "(Apple TV", "agent_tv_system" }, { "(HomePod", "agent_homepod_system" }, { "(Apple Watch", "agent_watch_system" },
}

local function has(text, part) return text:find(part, 1, true) ~= nil end

local function read_system_agent(agent, found)
    for _, row in ipairs(SYSTEM_AGENTS) do
        if agent:sub(1, #row[1]) == row[1] then
            found[#found + 1] = row[2]
            return true
        end
    end
    local trustd = agent:match("com%.apple%.trustd/(%d+%.%d+)")
    if trustd then
        found[#found + 1] = "agent_trustd"
        local range = TRUSTD[trustd]
        if range then found.from, found.to = range[1], range[2] end
        return true
    end
    if not has(agent, "AppleCoreMedia/") then return false end
    for _, row in ipairs(APPLE_DEVICES) do
        if has(agent, row[1]) then
            found[#found + 1] = row[2]
            local macos, ios = agent:match("Mac OS X (%d+[%d_.]*)"), agent:match("CPU [%a ]*OS (%d+[%d_.]*)")
            if row[2] == "agent_mac_system" and macos then exact_macos(found, macos) elseif ios then exact_ios(found, ios) end
            return true
        end
    end
    return false
end

local function read_darwin_agent(agent, found)
    local major = tonumber(agent:match("Darwin/(%d+)%.") or "")
    if major and has(agent, "CFNetwork/") then
        found[#found + 1] = "agent_cfnetwork"
        if has(agent, "(x86_64)") then found[#found + 1] = "agent_darwin_intel" end
    else
        major = tonumber(agent:match("[%( -]darwin(%d+)%.%d") or "")
        if not major then return false end
        found[#found + 1] = "agent_darwin_tool"
    end
    if major >= versions.FIRST and major <= versions.LAST then found.from, found.to, found.darwin = major, major, major end
    local model = agent:match("model/(%a+%d+,%d+)") or agent:match("hwp/(%a+%d+,%d+)")
    if model then found.model = model end
    return true
end

local function read_browser_agent(agent, found)
    if has(agent, "Windows NT ") then
        found[#found + 1] = "browser_windows"
        found.os = WINDOWS[agent:match("Windows NT (%d+%.%d+)") or ""]
    elseif has(agent, "(Macintosh") then
        found[#found + 1] = "browser_mac"
        local version = agent:match("Mac OS X (%d+[%d_.]*%d)")
        if version then exact_macos(found, version) end
    elseif has(agent, "(iPhone") then
        found[#found + 1] = "browser_iphone"
        local version = agent:match("OS (%d+[%d_.]*)")
        if version then exact_ios(found, version) end
    elseif has(agent, "(iPad") then
        found[#found + 1] = "browser_ipad"
        local version = agent:match("OS (%d+[%d_.]*)")
        if version then exact_ios(found, version) end
    elseif has(agent, "Android") and not has(agent, "compatible;") then
        found[#found + 1] = "browser_android"
        found.os = agent:match("Android (%d+[%d.]*)")
    elseif has(agent, "X11; ") and has(agent, "Linux") then
        found[#found + 1] = "browser_linux"
    end
end

function signs.of_agent(agent)
    local found = {}
    if read_system_agent(agent, found) or read_darwin_agent(agent, found) then return found end
    if agent:sub(1, 8) == "Mozilla/" or agent:sub(1, 6) == "Opera/" then read_browser_agent(agent, found) end
    return found
end

-- Chrome's agents in SSDP searches: "Google Chrome/83.0.4103.34 Mac OS X".
function signs.of_ssdp_agent(agent)
    if not agent:find("^[%a ]*Chrom[ei][%a]*/") and not agent:find("^Microsoft Edge/") then return nil end
    if has(agent, " Mac OS X") then return "ssdp_mac" end
    if has(agent, " Windows") then return "ssdp_windows" end
    return has(agent, " Linux") and "ssdp_linux" or nil
end

-- Models as hosts announce them: hardware identifiers such as MacBookPro14,1.
local MODELS = {
    { "^iMac", "mac" }, { "^MacBook", "mac" }, { "^Macmini%d", "mac" }, { "^MacPro%d", "mac" }, { "^Mac%d+,", "mac" }, { "^VirtualMac%d", "mac" },
    { "^iPhone%d", "iphone" }, { "^iPod%d", "iphone" }, { "^iPad%d", "ipad" }, { "^AppleTV%d", "appletv" }, { "^Watch%d", "watch" },
    { "^AudioAccessory%d", "homepod" }, { "^RealityDevice%d", "vision" },
}

-- The sign and whether it is one of Apple's identifiers. Board names (J105aAP), which newer systems announce, say nothing here.
function signs.of_model(model)
    for _, row in ipairs(MODELS) do
        if model:find(row[1]) and model:find("%d,%d+$") then return "model_" .. row[2], true end
    end
    if model:find("^%u%d+%a*AP$") or model:find("^0,%d") then return nil, false end
    if model:find("^Mac") or model:find("^RackMac") or model:find("^Xserve") or model:find("^TimeCapsule") or model:find("^AirPort") then return nil, false end
    return "model_other", false
end

local NAMES = {
    { "imac", "name_mac" }, { "macbook", "name_mac" }, { "mac%-?mini", "name_mac" }, { "mac%-?pro", "name_mac" }, { "mac%-?studio", "name_mac" }, { "mbp%d*$", "name_mac" },
    { "iphone", "name_iphone" }, { "ipad", "name_ipad" }, { "apple%-?tv", "name_tv" }, { "apple%-?watch", "name_watch" }, { "homepod", "name_homepod" },
    { "^desktop%-%w%w%w%w%w%w%w$", "name_windows" }, { "^laptop%-%w%w%w%w%w%w%w%w?$", "name_windows" }, { "^win%-%w+$", "name_windows" },
    { "^android%-", "name_android" }, { "^galaxy%-", "name_android" }, { "^pixel%-", "name_android" },
}

function signs.of_hostname(name)
    local lower = name:lower():gsub("%s", "-")
    for _, row in ipairs(NAMES) do
        if lower:find(row[1]) then return row[2] end
    end
    return nil
end

local SERVICES = {
    ["_companion-link._tcp"] = "services_apple", ["_airdrop._tcp"] = "services_apple", ["_apple-mobdev2._tcp"] = "services_ios",
    ["_rfb._tcp"] = "services_mac", ["_net-assistant._udp"] = "services_mac", ["_eppc._tcp"] = "services_mac", ["_afpovertcp._tcp"] = "services_mac",
    ["_googlecast._tcp"] = "services_cast", ["_printer._tcp"] = "services_other", ["_ipp._tcp"] = "services_other",
    ["_pdl-datastream._tcp"] = "services_other", ["_hap._tcp"] = "services_other", ["_sonos._tcp"] = "services_other",
    ["_spotify-connect._tcp"] = "services_other", ["_amzn-wplay._tcp"] = "services_other",
}
function signs.of_service(service) return SERVICES[service] end

local BY_HASSH = {}
for _, row in ipairs(lunette.tsv("hassh.tsv")) do
    local from, to = versions.range_of_macos(row.macos)
    local apple = row.seen == "source" and (row.openssh == "9.8" or row.openssh == "9.9" or row.openssh == "10.0")
    local words = {}
    for word in row.openssh:gmatch("[^,]+") do words[word] = true end
    BY_HASSH[row.side .. row.hassh] = { from = from, to = to, apple = apple, versions = words }
end

-- side: "client" or "server". The banner's software is OpenSSH_9.8 on a Mac, without p1 and without what a distribution adds.
function signs.of_ssh(side, banner, hassh)
    local row = BY_HASSH[side .. (hassh or "")]
    if row and row.apple then return side == "client" and "ssh_apple" or "sshd_apple", row.from, row.to end
    if has(banner, "for_Windows") then return "ssh_windows" end
    if has(banner, "Ubuntu") or has(banner, "Debian") or has(banner, "Raspbian") then return "ssh_linux" end
    local version = banner:match("OpenSSH_(%d+%.%d+)$")
    if row and version and row.versions[version] then return side == "client" and "ssh_stock" or "sshd_stock", row.from, row.to end
    return banner:find("OpenSSH_%d+%.%d+p%d") and "ssh_portable" or nil
end

return signs
