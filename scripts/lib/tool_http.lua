-- What a User-Agent says of who sends it, held against the host that it comes from.
--
-- Two questions. Is this a curl that Apple ships, and with the macOS of this host? And does the agent name a system that the host is
-- not: implants carry the agent of the Windows program that they were written beside (3CX's, RustBucket's, the defaults of Mythic
-- and Empire). Ranges of releases are written as in data/curl_versions.tsv and by mac_identity: "14.6 to 26.0", "10.15, 11", "13",
-- "10.15 or later".

local http = {}

-- "13.5" → 13.05, as a number to compare; a bare "13" is 13.0 at the low end and 13.99 at the high.
local function number(text, high)
    local major, minor = text:match("^%s*(%d+)%.?(%d*)")
    if not major then return nil end
    return tonumber(major) * 100 + (minor ~= "" and math.min(tonumber(minor), 99) or (high and 99 or 0))
end

local function ranges(text)
    local list = {}
    for part in text:gmatch("[^,]+") do
        local from, to = part:match("^(.-) to (.+)$")
        local low, high = number(from or part), number(to or part, true)
        if part:find("later", 1, true) then high = math.huge end
        if part:find("older", 1, true) or part:find("earlier", 1, true) then low = 0 end
        if low and high then list[#list + 1] = { low, high } end
    end
    return list
end

-- Do two such texts have a release in common? True if either tells nothing.
function http.may_agree(one, other)
    local a, b = ranges(one or ""), ranges(other or "")
    if #a == 0 or #b == 0 then return true end
    for _, x in ipairs(a) do
        for _, y in ipairs(b) do
            if x[1] <= y[2] and y[1] <= x[2] then return true end
        end
    end
    return false
end

-- A curl's agent: `shipped` maps versions to macOS releases, `mac` says that the host is known to be a Mac, `system` its release.
-- Gives words for the alert, the version, and whether it is odd.
function http.curl_origin(agent, shipped, mac, system)
    local version = agent:match("^curl/(%d+%.%d+%.%d+)")
    if not version then return "", nil, false end
    local macos = shipped[version]
    if not macos then
        if mac then return " (no macOS ships it: Homebrew, an application's own, or a forged agent)", version, true end
        return "", version, false
    end
    if mac and not http.may_agree(macos, system) then
        return (" (macOS %s ships it, this host has %s: brought along, or a forged agent)"):format(macos, system), version, true
    end
    return " (macOS " .. macos .. " ships it)", version, false
end

-- Is a Host field or a URL's host an address, however it is spelt? Besides 203.0.113.9 and [2001:db8::1] there are 203.0.113.9. and what inet_aton takes:
-- 3405803785, 0xcb007109, 0313.0.113.9. `is_address`: lunette.is_address.
function http.is_literal(host, is_address)
    host = host:gsub("^%[(.*)%]$", "%1"):gsub("%.$", ""):lower()
    if is_address(host) then return true end
    local last = host:match("[^.]+$")
    if not last or not (last:find("^%d+$") or last:find("^0x%x+$")) then return false end -- no top-level domain is a number
    local _, dots = host:gsub("%.", "")
    return dots <= 3 and not host:find("[^%x.x]")
end

-- The system that an agent names, if that is neither Apple's nor nobody's.
function http.foreign_system(agent)
    if agent:find("Windows NT", 1, true) or agent:find("MSIE ", 1, true) or agent:find("Trident/", 1, true) then return "Windows" end
    if agent:find("Mac", 1, true) or agent:find("iPhone", 1, true) or agent:find("Darwin", 1, true) then return nil end
    if agent:find("Android", 1, true) then return "Android" end
    if agent:find("X11; Linux", 1, true) or agent:find("X11; Ubuntu", 1, true) then return "Linux" end
end

-- Programs through which other systems talk from a Mac: their guests' agents are honest.
local GUESTS = { "prl_naptd", "prl_vm_app", "vmnet-natd", "vmware-vmx", "VirtualBoxVM", "VBoxHeadless", "com.apple.Virtua", "com.apple.Virtualization.VirtualMachine",
    "qemu-system", "com.docker.", "wine", "InternetSharing" }
function http.is_guest_of(program)
    for _, name in ipairs(GUESTS) do
        if program and program:sub(1, #name) == name then return true end
    end
    return false
end

return http
