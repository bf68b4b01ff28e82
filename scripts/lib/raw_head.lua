-- What do the first bytes of a connection say that speaks no protocol?
--
-- nc adds nothing of its own: what goes in at one end comes out at the other. So a shell behind nc shows its prompt, a file
-- shows its magic bytes, a typed line ends in a bare newline where every text protocol of the Internet ends it in CR LF. The
-- functions take the first bytes (at most 64) as strings.

local head = {}

-- Prompts of the shells macOS has had: bash 3.2, sh (the same bash), zsh.
local PROMPTS = {
    "^%s*bash%-%d[%d%.]*[%$#] ", "^%s*sh%-%d[%d%.]*[%$#] ", "^%s*zsh%-?%d?[%d%.]*[%%#] ", "^%s*[%w%-%.]+@[%w%-%.]+ [^\r\n]- ?[%%#%$] $",
    "^%s*[%w%-%.]+:[~/][~/%w%-_%.]* [%w%-_%.]+[%$#] ", "no job control in this shell", "job control turned off",
    "^The default interactive shell is now zsh",
    "^\27%[1m\27%[7m%%", -- zsh on a terminal: its mark for a line without an end, inverse, comes before the first prompt
}

-- First bytes by which a shell can be told before its flow is over: of a host that shows one, and of who types into it.
head.SHOWN = { "bash-3.2", "sh-3.2", "bash: no job", "zsh: ", "The default inte", "uid=", "\27[1m\27[7m%" }
head.TYPED = { "id\n", "whoami\n", "uname", "hostname\n", "pwd\n", "ls\n", "ls -", "w\n", "sw_vers", "ifconfig", "system_profiler", "cat /", "cd /", "cd ~", "ps a", "env\n" }

-- What people and scripts type first into a shell that is theirs.
local COMMANDS = {}
for word in ([[id whoami uname hostname ls pwd cat cd ps ifconfig w who df env export echo which sw_vers system_profiler osascript dscl
    security defaults launchctl networksetup curl python python3 perl ruby sudo unset history ioreg sysctl mdfind screencapture]]):gmatch("%S+") do
    COMMANDS[word] = true
end

local MAGIC = {
    { "\207\250\237\254", "Mach-O program", true }, { "\206\250\237\254", "Mach-O program", true },
    { "\202\254\186\190", "universal Mach-O program or Java class", true }, { "\127ELF", "ELF program", true },
    { "MZ\144\000\003", "Windows program", true }, { "xar!", "macOS installer package", true }, { "PK\003\004", "zip archive" },
    { "\031\139\008", "gzip archive" }, { "BZh9", "bzip2 archive" }, { "\2537zXZ\000", "xz archive" }, { "7z\188\175\039\028", "7-zip archive" },
    { "SQLite format 3\000", "SQLite database" }, { "bplist00", "property list" }, { "%PDF-", "PDF" }, { "\137PNG\r\n", "PNG picture" },
    { "-----BEGIN ", "PEM key or certificate" },
}

-- First bytes with which a prompt, a typed line or one of the files can begin: print, white space, ESC, and the magic ones.
local FIRST = {}
for byte = 0, 255 do FIRST[byte] = byte >= 32 and byte < 127 or byte >= 9 and byte <= 13 or byte == 27 end
for _, magic in ipairs(MAGIC) do FIRST[magic[1]:byte()] = true end

-- Is it worth looking closer at what one side sent first? Takes the slice itself, since most connections end here: text
-- has four bytes of text, a file its first byte, a stager's length a program after it.
function head.is_worth(slice)
    if not slice or #slice < 2 then return false end
    local a, b = slice:u8(1), slice:u8(2)
    if a >= 128 or a < 9 or a == 31 then
        if FIRST[a] then return true end
    elseif FIRST[a] and FIRST[b] and FIRST[slice:u8(3) or 32] and FIRST[slice:u8(4) or 32] then
        return true
    elseif a == 127 or a == 80 or a == 77 then
        return true
    end
    local fifth = slice:u8(5)
    return fifth == 77 or fifth == 207 or fifth == 127
end

-- Prompt at the head of what one side sent?
function head.prompt(text)
    for _, pattern in ipairs(PROMPTS) do
        if text:find(pattern) then return text:match("^%s*([^\r\n]*)") end
    end
end

-- First line is a shell command? Gives the line.
function head.command(text)
    local line, rest = text:match("^([^\r\n]+)(\r?\n?)")
    if not line or rest ~= "\n" or line:find("[^%g ]") then return nil end
    local word = line:match("^%s*([%w_]+)")
    if word and COMMANDS[word] and not line:find("^%s*[%w_]+[:=(,]") then return line end
    if line:find("^/%l+/") or line:find("^%./%g") then return line end
end

-- Answer to `id`.
function head.is_id_output(text)
    return text:find("uid=%d+%b()%s") ~= nil or text:find("^%s*uid=%d+") ~= nil
end

-- A file at the head of a raw stream: what it is, and whether it can run. `total`: bytes that side sent in all.
function head.file(text, total)
    if text:find("^#! ?/") then return "script (" .. text:match("^[^\r\n]+"):sub(1, 40) .. ")", true end
    for _, magic in ipairs(MAGIC) do
        local bytes = magic[1]
        if text:sub(1, #bytes) == bytes then return magic[2], magic[3] or false end
    end
    -- Stagers put the length in front, low byte first; a program follows.
    local a, b, c, d = text:byte(1, 4)
    if d and text:find("^MZ", 5) or d and text:find("^\207\250\237\254", 5) or d and text:find("^\127ELF", 5) then
        local length = a + b * 256 + c * 65536 + d * 16777216
        if length > 1000 and length < 2 ^ 26 and length + 4 >= (total or 0) then return "program behind its length, as stagers send it", true end
    end
end

-- Lines as a terminal sends them: printable, ended by a bare newline, no markup and no CR LF.
function head.is_typed(text)
    if #text < 2 or text:find("\r", 1, true) or not text:find("\n", 1, true) then return false end
    if text:find("[^%g%s\128-\255]") or text:find("^%s*[{<%[\"]") then return false end
    return true
end

return head
