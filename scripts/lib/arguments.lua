-- What do the words of a command line mean?
--
-- The same curl fetches a changelog and posts a stolen zip; its arguments say which. For each tool there is a reader that walks
-- over the words (options in clusters, their values, what is left over) and gives marks: a sentence, a weight, the ATT&CK id.
-- Weight 1 is common among honest people, 2 wants a reason, 4 and more is what intruders do and few others. The sum is for
-- lib/tool_process.lua to judge, together with who started the tool.
--
-- Words come as a list (eslogger, osquery's Endpoint Security table) or as one joined text (Santa, osquery's audit table); a
-- joined text is cut at white space, quotes kept together as far as they can be told.

local tool_http = require "tool_http"

local arguments = {}

local MOST_WORDS = 256

-- Words of a command line: a list of them, a list with one joined text, or the text itself.
function arguments.words(given)
    local text = given
    if type(given) == "table" then
        if #given ~= 1 then return given end
        text = given[1]
    end
    if not text then return {} end
    local words, at = {}, 1
    while #words < MOST_WORDS do
        at = text:find("%S", at)
        if not at then break end
        local quote, last = text:sub(at, at), nil
        if quote == "'" or quote == '"' then last = text:find(quote, at + 1, true) end
        if last then
            words[#words + 1] = text:sub(at + 1, last - 1)
        else
            last = (text:find("%s", at) or #text + 1) - 1
            words[#words + 1] = text:sub(at, last)
        end
        at = last + 1
    end
    return words
end

-- Options as getopt reads them. `valued`: short letters that take a value; `long`: long options that take one (the rest are
-- switches); `single`: long options begin with one dash. Gives options { name = value or true } and the words left over.
local function read(words, valued, long, single)
    local options, rest, i = {}, {}, 2
    while i <= #words do
        local word = words[i]
        local name, value = word:match("^%-%-?([%w%-]+)=(.*)$")
        if word == "--" then
            for k = i + 1, #words do rest[#rest + 1] = words[k] end
            break
        elseif word:sub(1, 2) == "--" or single and word:find("^%-%a") then
            name = name or word:match("^%-%-?(.+)$")
            if not value and long[name] then i, value = i + 1, words[i + 1] end
            options[name] = value or true
        elseif word:find("^%-%w") then
            local k = 2
            while k <= #word do
                local letter = word:sub(k, k)
                if valued:find(letter, 1, true) then
                    value = word:sub(k + 1)
                    if value == "" then i, value = i + 1, words[i + 1] end
                    options[letter] = value or true
                    break
                end
                options[letter] = true
                k = k + 1
            end
        else
            rest[#rest + 1] = word
        end
        i = i + 1
    end
    return options, rest
end

local function set(text)
    local all = {}
    for word in text:gmatch("%S+") do all[word] = true end
    return all
end

local function is_plain_literal(host)
    return host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or host:find("^%x*:%x*:[%x:%.]*$") ~= nil
end

-- However it is spelt (3405803785); a number that could be a port is none.
local function is_literal(host)
    return tool_http.is_literal(host, is_plain_literal) and (tonumber(host) or math.huge) > 65535
end

local function host_of(url)
    local authority = url:match("^%a[%w+.-]*://([^/?#]*)") or url:match("^([^/?#]*)")
    authority = authority:match("@(.*)$") or authority
    return authority:match("^(%[[^%]]*%])") or authority:match("^([^:]*)") or ""
end

local HOME = { ["127.0.0.1"] = true, localhost = true, ["::1"] = true, ["[::1]"] = true }

local function is_private(host)
    return HOME[host] or host:find("^10%.") or host:find("^192%.168%.") or host:find("^172%.1[6-9]%.") or host:find("^172%.2%d%.")
        or host:find("^172%.3[01]%.") or host:find("^169%.254%.") or host:find("^fe80:") or host:find("^f[cd]%x%x:")
end

-- Folders that anybody may write to, names that begin with a dot.
function arguments.is_hiding_place(path)
    if type(path) ~= "string" then return false end
    return path:find("^/private/tmp/") or path:find("^/tmp/") or path:find("^/private/var/tmp/") or path:find("^/var/tmp/")
        or path:find("^/Users/Shared/") or path:find("/var/folders/", 1, true) or path:find("/%.[^/%.][^/]*$") or path:find("^%.[^/%.][^/]*$")
end

local RUNS_AT_LOGIN = { "/LaunchAgents/", "/LaunchDaemons/", "/StartupItems/", "/.zshrc", "/.zshenv", "/.zprofile", "/.bash_profile", "/cron" }
local RUNNABLE = set "sh command scpt applescript dmg pkg mpkg zip tgz gz xz bz2 7z dylib so bin py pl rb js jar"

-- ---------------------------------------------------------------- marks common to several tools

local function fetched_to(add, path)
    if type(path) ~= "string" then return end
    for _, part in ipairs(RUNS_AT_LOGIN) do
        if path:find(part, 1, true) then return add(4, "writes to " .. path .. ", which starts by itself", "T1543.001") end
    end
    if arguments.is_hiding_place(path) then add(2, "writes to " .. path, "T1105") end
end

local function asked(add, url)
    local host = host_of(url)
    if is_literal(host) and not is_private(host) then add(2, "asks the bare address " .. host, "T1105") end
    local last = url:gsub("[?#].*$", ""):match("[^/]*$")
    local ending = last and last:match("%.(%w+)$")
    if ending and url:find("/[^/]") and RUNNABLE[ending:lower()] then add(1, "fetches " .. last:sub(-40), "T1105") end
end

local ARCHIVES = set "zip tgz gz xz bz2 7z tar rar dmg keychain-db sqlite db"

local function sent(add, option, value)
    if type(value) ~= "string" then return end
    local file = value:match("[@<]([^;,]+)") or (option == "-T" and value)
    if not file then return end
    local ending = (file:match("%.([%w%-]+)$") or ""):lower()
    add(ARCHIVES[ending] and 3 or 2, ("sends the file %s (%s)"):format(file:sub(-60), option), "T1048.003")
end

-- ---------------------------------------------------------------- the tools

local readers = {}

local CURL_LONG = set [[form data data-binary data-raw data-urlencode upload-file output request proxy socks5 socks5-hostname socks4 socks4a
    user-agent header connect-to resolve cookie cookie-jar max-time retry retry-delay user interface referer json url config output-dir
    cacert cert key limit-rate connect-timeout dns-servers doh-url]]

function readers.curl(words, add)
    local options, rest = read(words, "AbcCdDeEFhHKmoPQrtTuUwxXyYz", CURL_LONG)
    sent(add, "-F", options.F or options.form)
    sent(add, "-T", options.T or options["upload-file"])
    sent(add, "-d", options.d or options.data or options["data-binary"])
    if options.x or options.proxy or options.socks5 or options["socks5-hostname"] or options.socks4 or options.socks4a then
        add(2, "through the proxy " .. tostring(options.x or options.proxy or options.socks5 or options["socks5-hostname"] or options.socks4
            or options.socks4a), "T1090")
    end
    if options.k or options.insecure then add(1, "takes any certificate (-k)", "T1105") end
    local agent = options.A or options["user-agent"]
    if type(agent) == "string" and agent:find("Mozilla", 1, true) then add(2, "calls itself a browser (-A)", "T1036") end
    if options["doh-url"] then add(2, "resolves over HTTPS by " .. tostring(options["doh-url"]), "T1071.004") end
    fetched_to(add, options.o or options.output)
    if type(options.url) == "string" then rest[#rest + 1] = options.url end
    for i = 1, math.min(#rest, 4) do asked(add, rest[i]) end
end

local WGET_LONG = set "output-document post-file body-file post-data user-agent directory-prefix execute tries timeout header"

function readers.wget(words, add)
    local options, rest = read(words, "oOaeitTUPwQ", WGET_LONG)
    local file = options["post-file"] or options["body-file"]
    if type(file) == "string" then sent(add, "--post-file", "@" .. file) end
    if options["no-check-certificate"] then add(1, "takes any certificate", "T1105") end
    fetched_to(add, options.O or options["output-document"] or options.P)
    for i = 1, math.min(#rest, 4) do asked(add, rest[i]) end
end

function readers.nscurl(words, add)
    add(1, "what nscurl fetches has no quarantine mark", "T1553.001")
    for i = 2, #words do
        if words[i] == "-o" or words[i] == "-dl" or words[i] == "--output" then fetched_to(add, words[i + 1]) end
        if words[i]:find("://", 1, true) then asked(add, words[i]) end
    end
end

-- Apple's nc has no -e; its -c means line ends. Other netcats run a program by either.
function readers.nc(words, add)
    local options, rest = read(words, "eIipsTwXxGLKo", {})
    if options.e then add(5, "runs " .. tostring(options.e) .. " behind the connection (-e)", "T1059.004") end
    for _, word in ipairs(rest) do
        if options.c and word:find("sh$") then add(5, "runs " .. word .. " behind the connection (-c)", "T1059.004") end
    end
    if options.l then add(2, "waits for a caller (-l)", "T1571") end
    if options.z then add(2, "tries ports (-z)", "T1046") end
    if options.x then add(2, "through the proxy " .. tostring(options.x), "T1090") end
    if rest[1] and is_literal(rest[1]) and not is_private(rest[1]) then add(2, "calls the bare address " .. rest[1], "T1095") end
end

function readers.ping(words, add)
    local options = read(words, "ACcDGghIiKkLlMmPpSsTtWz", { apple = true })
    if options.p then add(3, "carries a pattern of its own (-p " .. tostring(options.p):sub(1, 40) .. ")", "T1048.003") end
    if options.f then add(2, "floods (-f)", "T1498") end
    local size = tonumber(options.s)
    if size and size > 1000 then add(1, ("%d bytes a ping (-s)"):format(size), "T1095") end
end

local function ssh_options(words, add)
    for i = 2, #words do
        local word = words[i]
        local value = word == "-o" and words[i + 1] or word:match("^%-o(.+)$")
        value = value and value:lower():gsub("%s*=%s*", " ")
        if value and value:find("^stricthostkeychecking no") then add(1, "asks no questions about the server's key", "T1021.004") end
        if value and value:find("^userknownhostsfile /dev/null") then add(1, "forgets the server's key", "T1070") end
        if value and value:find("^proxycommand") then add(1, "goes through a command (ProxyCommand)", "T1090") end
        if value and value:find("^permitlocalcommand yes") then add(3, "runs a local command", "T1059.004") end
    end
end

local SSH_VALUED = "BbcDEeFIiJLlmOoPpQRSWw"

function readers.ssh(words, add)
    local options = read(words, SSH_VALUED, {})
    if options.R then add(4, "opens a way back into this host (-R " .. tostring(options.R) .. ")", "T1572") end
    if options.D then add(4, "makes the server a proxy (-D " .. tostring(options.D) .. ")", "T1572,T1090") end
    if options.w then add(5, "carries a network interface (-w " .. tostring(options.w) .. ")", "T1572") end
    if options.L then add(2, "forwards a port (-L " .. tostring(options.L) .. ")", "T1572") end
    if options.W then add(1, "passes a connection on (-W " .. tostring(options.W) .. ")", "T1090") end
    if options.N or options.f then add(1, "no command, in the background (-N, -f)", "T1572") end
    if options.p and options.p ~= "22" then add(1, "port " .. tostring(options.p), "T1571") end
    if arguments.is_hiding_place(options.i) and not options.i:find("/.ssh/", 1, true) then
        add(2, "with the key " .. options.i, "T1552.004")
    end
    ssh_options(words, add)
end

local function is_remote(word) return word:find("^[^/]+:") ~= nil end

local function copies(words, add, valued, long)
    local _, rest = read(words, valued, long)
    ssh_options(words, add)
    local last = rest[#rest]
    if #rest < 2 then return end
    if is_remote(last) and not is_remote(rest[1]) then
        add(2, ("copies %s out to %s"):format(rest[1]:sub(-40), last:sub(1, 60)), "T1048.002")
    elseif is_remote(rest[1]) then
        add(1, "copies in from " .. rest[1]:sub(1, 60), "T1105")
        fetched_to(add, last)
    end
end

function readers.scp(words, add) copies(words, add, "cDFiJloPSX", {}) end

function readers.rsync(words, add)
    copies(words, add, "efBTM", set "rsh exclude include exclude-from include-from files-from bwlimit password-file port timeout log-file")
end

function readers.sftp(words, add)
    local options, rest = read(words, "BbcDFiJloPRSsX", {})
    ssh_options(words, add)
    if options.b then add(2, "runs a batch (-b " .. tostring(options.b) .. ")", "T1048.002") end
    if rest[1] and rest[1]:find(":", 1, true) then add(1, "fetches " .. rest[1]:sub(1, 60), "T1105") end
end

function readers.telnet(_, add) add(1, "everything in clear", "T1021") end

function readers.tftp(_, add) add(2, "files without a login", "T1105") end

function readers.ftp(words, add)
    local options = read(words, "NoPqrsTu", {})
    if options.u then add(2, "sends files (-u)", "T1048.003") end
    if options.o then fetched_to(add, options.o) end
end

function readers.snmptrap(_, add) add(3, "data in traps", "T1048.003") end

-- dig, host and nslookup: TXT brings commands, another resolver passes the filter.
function readers.dig(words, add)
    for i = 2, #words do
        local word = words[i]
        local upper = word:upper()
        if upper == "TXT" or upper == "NULL" or upper == "-TYPE=TXT" or upper == "-Q=TXT" or upper == "-TTXT" then
            add(2, "asks for " .. upper:gsub("^%-%w-=?", ""), "T1071.004")
        elseif upper == "AXFR" then
            add(2, "asks for a whole zone", "T1590.002")
        end
        local resolver = word:match("^@(.+)$")
        if resolver and not is_private(resolver) then add(2, "asks the resolver " .. resolver, "T1071.004") end
    end
end

local NETWORKSETUP = {
    setwebproxy = "sets a web proxy", setsecurewebproxy = "sets a web proxy", setsocksfirewallproxy = "sets a SOCKS proxy",
    setautoproxyurl = "sets a proxy script", setproxyautodiscovery = "lets the network name the proxy", setdnsservers = "sets the resolvers",
    setsearchdomains = "sets the search domains", setwebproxystate = "switches a web proxy", setsecurewebproxystate = "switches a web proxy",
    setsocksfirewallproxystate = "switches a SOCKS proxy", setautoproxystate = "switches a proxy script",
}

function readers.networksetup(words, add)
    local verb = words[2] and words[2]:lower():match("^%-(%l+)$")
    local what = verb and NETWORKSETUP[verb]
    if not what or words[4] == "off" or words[4] and words[4]:lower() == "empty" then return end
    add(4, what .. ": " .. table.concat(words, " ", 3, math.min(#words, 6)):sub(1, 80), "T1090,T1557")
end

-- ---------------------------------------------------------------- code in an argument

-- Patterns over what is handed to an interpreter: pattern (lower case text), weight, sentence, id.
local SHELL_CODE = {
    { "/dev/tcp/", 5, "opens a connection as a file (/dev/tcp)", "T1059.004" },
    { "curl[^|;]*|%s*[%w/]*sh%f[%W]", 3, "pipes what curl fetches to a shell", "T1059.004,T1105" },
    { "wget[^|;]*|%s*[%w/]*sh%f[%W]", 3, "pipes what wget fetches to a shell", "T1059.004,T1105" },
    { "curl[^|;]*|%s*[%w/]*python", 3, "pipes what curl fetches to Python", "T1059.006,T1105" },
    { "curl[^|;]*|%s*[%w/]*osascript", 3, "pipes what curl fetches to osascript", "T1059.002,T1105" },
    { "mkfifo[^\n]*%f[%w]nc%f[%W]", 5, "a shell behind nc by a named pipe", "T1059.004" },
    { "%f[%w]nc%f[%W][^|;]*%s%-e%s", 5, "a shell behind nc", "T1059.004" },
    { "base64%s+%-%-?[dD]%a*[^;]*|%s*[%w/]*sh%f[%W]", 3, "unpacks text and runs it", "T1140" },
    { "%f[%w]dig%f[%W][^|]*txt[^|]*|", 4, "runs what a TXT record says", "T1071.004" },
    { "xattr%s+%-%a*[dc]%a*[^;]*quarantine", 2, "takes the quarantine mark off", "T1553.001" },
    { "chmod[^;&]+/tmp/", 2, "makes a file in /tmp runnable", "T1222.002" },
    { "openssl%s+s_client", 3, "a connection by openssl", "T1573" },
}

local SCRIPT_CODE = {
    { "do shell script", 3, "runs shell commands (do shell script)", "T1059.002,T1059.004" },
    { "with administrator privileges", 2, "asks to be administrator", "T1548.004" },
    { "hidden answer", 4, "asks for a password in a dialog", "T1056.002" },
    { "system events[^\n]*login item", 3, "adds a login item", "T1547.015" },
    { "%f[%w]curl%f[%W]", 2, "calls curl", "T1105" },
    { "eval%(", 1, "evaluates text", "T1059.007" },
}

local PROGRAM_CODE = {
    { "%f[%w]socket%f[%W]", 4, "opens sockets", "T1059.006,T1095" }, { "pty%.spawn", 3, "gives a shell a terminal", "T1059.004" },
    { "os%.dup2", 3, "ties a shell to a connection", "T1059.004" }, { "tcpsocket", 4, "opens sockets", "T1059,T1095" },
    { "fsockopen", 4, "opens sockets", "T1059,T1095" }, { "net%.connect", 4, "opens sockets", "T1059.007,T1095" },
    { "net%.socket", 4, "opens sockets", "T1059.007,T1095" }, { "io::socket", 4, "opens sockets", "T1059,T1095" },
    { "urllib", 2, "fetches by urllib", "T1105" }, { "requests%.", 2, "talks HTTP", "T1105" }, { "http%.client", 2, "talks HTTP", "T1105" },
    { "base64", 2, "unpacks text", "T1140" }, { "exec%s*%(", 1, "runs text", "T1059" }, { "child_process", 2, "starts programs", "T1059.007" },
}

local function look_for(list, text, add)
    text = text:lower()
    for _, row in ipairs(list) do
        if text:find(row[1]) then add(row[2], row[3], row[4]) end
    end
end

-- The value behind one of the options, or all words behind it (a joined text lost its quotes).
local function code(words, pattern)
    for i = 2, #words do
        if words[i]:find(pattern) then return table.concat(words, " ", i + 1) end
    end
end

function readers.sh(words, add)
    local text = code(words, "^%-%l*c$")
    if text then look_for(SHELL_CODE, text, add) end
end

function readers.osascript(words, add)
    local text = code(words, "^%-e$")
    if text then look_for(SCRIPT_CODE, text, add) end
    if words[2] and arguments.is_hiding_place(words[2]) then add(2, "runs " .. words[2], "T1059.002") end
end

function readers.python(words, add)
    local text = code(words, "^%-[ceEr]$")
    if text then look_for(PROGRAM_CODE, text, add) end
    for i = 2, #words - 1 do
        if words[i] == "-m" and (words[i + 1] == "http.server" or words[i + 1] == "SimpleHTTPServer") then
            add(2, "serves a folder by HTTP", "T1048.003")
        end
    end
    if words[2] and arguments.is_hiding_place(words[2]) then add(2, "runs " .. words[2], "T1059.006") end
end

-- Readers under the names that share them.
for name, reader in pairs {
    ncat = "nc", netcat = "nc", ping6 = "ping", host = "dig", nslookup = "dig", bash = "sh", zsh = "sh", dash = "sh", ksh = "sh",
    perl = "python", ruby = "python", node = "python", php = "python", openrsync = "rsync",
} do
    readers[name] = readers[reader]
end

-- Does somebody read this tool's words?
function arguments.knows(tool) return readers[tool] ~= nil end

-- Marks of a command line: a list of { text, weight, attack }, and the sum of weights.
function arguments.judge(tool, given)
    local marks, weight = {}, 0
    local reader = readers[tool]
    local words = arguments.words(given)
    if not reader or #words == 0 then return marks, weight end
    reader(words, function(points, text, attack)
        marks[#marks + 1] = { text = text, weight = points, attack = attack }
        weight = weight + points
    end)
    return marks, weight
end

-- Whom a command line is for, as far as a glance tells: the host of a URL, or what stands behind user@.
function arguments.target(given)
    local words = arguments.words(given)
    for i = 2, #words do
        local host = words[i]:find("://", 1, true) and host_of(words[i]:match("%a[%w+.-]*://[^%s'\"]*") or "") or words[i]:match("^[%w._-]+@([%w._-]+)")
        if host and host ~= "" then return host end
    end
end

return arguments
