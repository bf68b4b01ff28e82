-- Who stands behind a tool, and how odd is that?
--
-- curl below Terminal is a person at work. curl below Microsoft Word is a macro, below Installer a script of the package, below
-- launchd a job that somebody planted or an updater made. So the verdict begins with who started the tool, past shells and
-- interpreters, and rises with what the command line says (lib/arguments.lua), and with where the program lies and what it is
-- called: a tool of the system has its place, and a copy of it elsewhere, or under another name, hides from rules like these.
--
-- Pure functions over plain tables. Classes are those of lib/programs.lua.

local process = {}

-- The tools, and what they are to us: "moves" carries data by itself, "looks" mostly asks, "runs" is worth a word only for what
-- its command line says.
local TOOLS = {
    curl = "moves", wget = "moves", nscurl = "moves", nc = "moves", ncat = "moves", netcat = "moves", ssh = "moves", scp = "moves",
    sftp = "moves", rsync = "moves", openrsync = "moves", tftp = "moves", telnet = "moves", ftp = "moves", snmptrap = "moves",
    ping = "looks", ping6 = "looks", dig = "looks", host = "looks", nslookup = "looks", networksetup = "looks",
    python = "runs", osascript = "runs", perl = "runs", ruby = "runs", node = "runs", php = "runs",
    sh = "runs", bash = "runs", zsh = "runs", dash = "runs", ksh = "runs",
}
process.tools = TOOLS

-- Which tool a program is: its name without a version. Second result: the name that its signature gives it, where Apple signed
-- it as a tool and it is called otherwise.
function process.tool_of(name, signing_id)
    local tool = name
    if tool and not TOOLS[tool] then
        tool = tool:lower():match("^(%l+)[%d%.]*$")
        tool = tool and TOOLS[tool] and tool or nil
    end
    local signed = signing_id and signing_id:match("^com%.apple%.([%w_]+)$")
    signed = signed and (TOOLS[signed] and signed or signed:match("^(python)%d*$"))
    if signed and tool ~= signed and not (signed == "sh" or TOOLS[signed] == "runs" and tool) then return signed, signed end
    return tool
end

local SYSTEM = { "^/usr/bin/", "^/bin/", "^/sbin/", "^/usr/sbin/", "^/usr/libexec/", "^/System/" }
local OWN = { "^/opt/", "^/usr/local/", "^/nix/", "^/Library/Developer/", "^/Library/Frameworks/", "/%.pyenv/", "/%.rbenv/", "/%.nvm/", "/homebrew/",
    "^/Applications/", "/miniconda", "/anaconda", "/venv/", "/%.venv/" }

local function begins(path, list)
    for _, pattern in ipairs(list) do
        if path:find(pattern) then return true end
    end
    return false
end

-- Is the program where such a tool belongs? Gives a mark, or nil. `renamed`: its name by the signature.
function process.place(name, path, renamed, is_hiding)
    if renamed then
        return { text = ("Apple signed it as %s, it is called %s"):format(renamed, path or name), weight = 4, attack = "T1036.003" }
    end
    if not path or begins(path, SYSTEM) then return nil end
    if is_hiding then return { text = "it lies in " .. path:gsub("[^/]*$", ""), weight = 3, attack = "T1036.005" } end
    if begins(path, OWN) then return nil end
    return { text = "not the system's: " .. path, weight = 1, attack = "T1036.005" }
end

-- By class: severity without marks, sum of marks that makes it medium, and high. 0 info, 1 low, 2 medium, 3 high.
local BY_CLASS = {
    office = { 2, 0, 1, "an Office program", "T1204.002" }, mail = { 2, 0, 1, "a mail program", "T1204.002" },
    viewer = { 2, 0, 1, "a document viewer", "T1204.002" }, chat = { 2, 0, 1, "a chat program", "T1204.002" },
    browser = { 2, 0, 1, "a browser", "T1204.002" }, media = { 2, 0, 1, "a media player", "T1204.002" },
    installer = { 2, 0, 3, "an installer", "T1546.016" }, gui = { 2, 0, 3, "an application", "T1204.002" },
    hidden = { 2, 0, 2, "a program in a hiding place", "T1204.002" },
    editor = { 1, 2, 4, "an editor", "T1059.004" }, launched = { 1, 2, 4, "launchd", "T1543.001" },
    admin = { 1, 3, 5, "a scheduler or management agent", "T1053.003" }, developer = { 0, 5, 8, "a developer's tool", "T1059.004" },
    system = { 0, 4, 6, "the system", "T1059.004" }, store = { 0, 3, 5, "the App Store", "T1059.004" }, vpn = { 0, 4, 6, "a VPN program", "T1059.004" },
    sync = { 0, 4, 6, "a syncing program", "T1059.004" }, security = { 0, 4, 6, "a security program", "T1059.004" },
    unknown = { 1, 3, 5, "a program", "T1059.004" }, terminal = { 0, 99, 99, "a terminal", "T1059.004" },
    nobody = { 0, 3, 5, "nobody known", "T1059.004" },
}

local THROUGH = { shell = true, interpreter = true, launcher = true, network = true }

-- Who is behind it. `lineage`: { { name =, class = }, … } parent first; `user_run`: as programs.is_user_run says; `is_gui`: is the
-- one behind it a GUI program; `hides`: does it lie where anybody may write. Gives { name, kind, words, attack, base }.
function process.standing(lineage, user_run, is_gui, hides)
    local kind, name = "nobody", nil
    for _, one in ipairs(lineage) do
        if not THROUGH[one.class] then
            name, kind = one.name, one.class and BY_CLASS[one.class] and one.class or "unknown"
            break
        end
    end
    if not name and #lineage > 0 then kind, name = "launched", lineage[#lineage].name end
    if kind == "unknown" and name and is_gui and is_gui(name) then kind = "gui" end
    if kind == "unknown" and hides then kind = "hidden" end
    if user_run then kind = "terminal" end
    local row = BY_CLASS[kind]
    return { name = name, kind = kind, words = row[4], attack = row[5], base = row[1] }
end

-- Severity as a number: `standing` as above, `weight` the sum of marks, `manner` of the tool.
function process.rank(standing, weight, manner)
    local row = BY_CLASS[standing.kind]
    local rank = weight >= row[3] and 3 or weight >= row[2] and 2 or row[1]
    if row[2] == 0 and rank == 2 then rank = row[1] end
    -- ping, dig and their like below a program are diagnosis until their words say otherwise.
    if manner == "looks" and weight < 2 then rank = math.min(rank, 1) end
    return rank
end

-- The two eyes together: what the wire says of a request or flow (0 to 3), and who runs the tool that made it.
function process.together(rank, standing)
    if standing.kind == "terminal" or standing.kind == "nobody" then return rank end
    if standing.base >= 2 then return rank >= 1 and 3 or 1 end
    if standing.base == 1 and rank >= 1 then return math.min(rank + 1, 3) end
    return rank
end

-- "sh < Microsoft Word < launchd"
function process.chain(lineage)
    local names = {}
    for i, one in ipairs(lineage) do names[i] = one.name end
    return table.concat(names, " < ")
end

process.severities = { [0] = "info", "low", "medium", "high" }
process.ranks = { info = 0, low = 1, medium = 2, high = 3 }

-- Score of 0 to 10 that orders alerts: the severity's band, then how sure and how many marks.
local BANDS = { [0] = 0, 2.5, 5, 7.5 }
function process.score(rank, confidence, weight)
    return math.floor((BANDS[rank] + 1.4 * (confidence or 0.5) + math.min(weight or 0, 6) / 6) * 10 + 0.5) / 10
end

return process
