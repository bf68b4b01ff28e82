-- What kind of program is it, where does it live, and who started it: names and paths as questions and answers.
--
-- Three ways lead to a program's class (data/programs.tsv): its name, as the host log writes it in full or the kernel cuts it to 16
-- bytes; the app that it is a part of ("Slack Helper (Renderer)" is Slack's, whatever lies in Slack.app is Slack's); and the place
-- where it lies. A row with a path holds for a program of that name only there, so a "Safari" in /tmp is no browser: that it
-- calls itself so is told by `impostor`.
--
-- The lineage is read from `ancestry`, which every event of a flow has whose program a host log knows. Who stands behind a
-- tool is the first ancestor that is more than a shell, an interpreter or a launcher.

local lunette = require "lunette"

local programs = {}

local KERNEL_NAME = 16 -- bytes of a process' name that the kernel keeps (MAXCOMLEN, xnu bsd/sys/param.h)
local REMEMBERED = 2048

local GUI_CLASSES = { browser = true, office = true, mail = true, chat = true, editor = true, viewer = true, media = true }
local BEHIND_NOBODY = { shell = true, interpreter = true, launcher = true }
-- Window programs have helpers of these names; without the ending it is the program's own.
local HELPERS = { " Helper (Renderer)", " Helper (GPU)", " Helper (Plugin)" }
local HELPER_ENDINGS = { " Helper %(.*%)?$", " Helper$", " Helper %u%u%u?$", " Networking$", " Web Content$" }

-- ---------------------------------------------------------------- paths

-- One spelling for places that have two: the data volume, /private, the sealed parts of the system that are grafted on.
local function plain_path(path)
    if path:find("^/System/Volumes/Data/") then path = path:sub(21) end
    if path:find("^/private/") then path = path:sub(9) end
    local rest = path:match("^/System/Volumes/Preboot/Cryptexes/%w+(/.*)$") or path:match("^/System/Cryptexes/%w+(/.*)$")
    return rest or path
end

local PLACES = {
    { "^/tmp/", "temp" }, { "^/var/tmp/", "temp" }, { "^/var/folders/", "temp" }, { "^/Users/[^/]+/%.Trash/", "temp" },
    { "^/Volumes/", "volume" },
    { "^/System/", "system" }, { "^/usr/bin/", "system" }, { "^/usr/s?bin/", "system" }, { "^/usr/libexec/", "system" }, { "^/usr/lib/", "system" },
    { "^/usr/share/", "system" }, { "^/bin/", "system" }, { "^/sbin/", "system" }, { "^/Library/Apple/", "system" },
    { "^/Applications/", "applications" }, { "^/Users/[^/]+/Applications/", "applications" },
    { "^/Library/", "library" }, { "^/Users/[^/]+/Library/", "library" }, { "^/var/root/Library/", "library" },
    { "^/Users/", "user" }, { "^/var/root/", "user" },
}

-- Where a path lies: "temp" (an app that macOS runs from a shuffled place, as it does with downloads, is there too), "volume",
-- "system", "applications", "library", "user"; nil for other places (/opt, /usr/local) and for nil.
function programs.is_within(path)
    if not path then return nil end
    path = plain_path(path)
    for i = 1, #PLACES do
        if path:find(PLACES[i][1]) then return PLACES[i][2] end
    end
    return nil
end

-- May a user without rights have put it there?
function programs.is_user_writable(path)
    local place = programs.is_within(path)
    if place == "library" then return plain_path(path):find("^/Users/") ~= nil end
    if place == "applications" then return plain_path(path):find("^/Users/") ~= nil end
    return place == "temp" or place == "volume" or place == "user"
end

-- The outermost app that a path lies in: "Slack" for /Applications/Slack.app/Contents/…; nil outside of apps.
function programs.app(path)
    return path and path:match("/([^/]+)%.app/")
end

-- The last part of a path.
function programs.base(path)
    return path and path:match("([^/]+)/?$")
end

-- ---------------------------------------------------------------- the table

local rows_by_name, rows_by_cut, places = {}, {}, {}

-- "/System/|/Applications/Xcode*.app/" → what `fits` asks: a list of Lua patterns, made of `text` when it is asked for the
-- first time. Most rows of the table never are, and each detector's state has the whole table.
local function patterns_of(text)
    return text and text:find("[^|]") and { text = text } or nil
end

local function make_patterns(list)
    for one in list.text:gmatch("[^|]+") do
        local pattern = one:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
        pattern = pattern:gsub("^%*/", "^.*/"):gsub("([^%.])%*", "%1[^/]*")
        if pattern:sub(1, 1) ~= "^" then pattern = "^" .. pattern end
        if one:sub(-1) ~= "/" then pattern = pattern .. "$" end
        list[#list + 1] = pattern
    end
end

local function fits(patterns, path)
    if not patterns[1] then make_patterns(patterns) end
    for i = 1, #patterns do
        if path:find(patterns[i]) then return true end
    end
    return false
end

-- Rows that say the same are one table; what a program is called is the key that leads there.
local kinds, cut_names = {}, {}

local function row_with(line)
    local key = line.class .. "|" .. (line.traits or "") .. "|" .. (line.path or "")
    local row = kinds[key]
    if row then return row end
    row = { class = line.class, patterns = patterns_of(line.path) }
    for trait in (line.traits or ""):gmatch("%a+") do row[trait] = true end
    kinds[key] = row
    return row
end

-- What the kernel makes of a name: 16 bytes of it, which two programs may share.
local function add_cut(name, row, owner)
    local cut = name:sub(1, KERNEL_NAME)
    local before = rows_by_cut[cut]
    if before == nil then
        rows_by_cut[cut], cut_names[cut] = row, owner
    elseif cut_names[cut] ~= owner then
        cut_names[cut] = nil
        -- Two of one class: that is all it tells. Two of different ones: nothing is told.
        rows_by_cut[cut] = before and before.class == row.class and { class = row.class, apple = before.apple and row.apple,
            proxy = before.proxy and row.proxy, gui = before.gui and row.gui, patterns = before.patterns == row.patterns and row.patterns or nil }
    end
end

for _, line in ipairs(lunette.tsv("programs.tsv")) do
    local name, row = line.name, row_with(line)
    if name and name ~= "" then
        rows_by_name[name] = row
        if #name >= KERNEL_NAME then
            add_cut(name, row, name)
        elseif GUI_CLASSES[row.class] or row.gui then
            -- "Google Chrome He", "Slack Helper (Re"
            for i = 1, #HELPERS do add_cut(name .. HELPERS[i], row, name) end
        end
    else
        places[#places + 1] = row
    end
end
kinds = nil

local function holds(row, path)
    return row and (not path or not row.patterns or fits(row.patterns, path)) and row or nil
end

-- The program that a helper belongs to, by its name alone.
local function without_helper(name)
    for i = 1, #HELPER_ENDINGS do
        local start = name:find(HELPER_ENDINGS[i])
        if start and start > 1 then return name:sub(1, start - 1) end
    end
end

local function find_row(name, path)
    local row = name and holds(rows_by_name[name], path)
    if row then return row end
    local owner = name and without_helper(name)
    row = owner and holds(rows_by_name[owner], path)
    if row then return row end
    if path then
        local app, base = programs.app(path), programs.base(path)
        row = base ~= name and holds(rows_by_name[base], path) or app and holds(rows_by_name[app], path)
        if row then return row end
        for i = 1, #places do
            if fits(places[i].patterns, path) then return places[i] end
        end
    end
    return name and #name == KERNEL_NAME and holds(rows_by_cut[name] or nil, path) or nil
end

-- Programs are few and asked for often: what was found is kept, up to a bound, then forgotten all at once.
local remembered, remembered_count = {}, 0
local function row_of(name, path)
    local key = path and (name or "") .. "\0" .. path or name
    if not key then return nil end
    local row = remembered[key]
    if row ~= nil then return row or nil end
    row = find_row(name, path and plain_path(path))
    if remembered_count >= REMEMBERED then remembered, remembered_count = {}, 0 end
    remembered[key], remembered_count = row or false, remembered_count + 1
    return row
end

-- The class of a program, by its name (cut to 16 bytes or not) and its path (nil if unknown), or nil.
function programs.class(name, path)
    local row = row_of(name, path)
    return row and row.class
end

-- Has it one of the table's traits? programs.has("nsurlsessiond", nil, "proxy")
function programs.has(name, path, trait)
    local row = row_of(name, path)
    return row ~= nil and row[trait] == true
end

-- Is it a program with windows, or a helper of one? By class, else by lying in an app outside of the system.
function programs.is_gui(name, path)
    local row = row_of(name, path)
    if row and (GUI_CLASSES[row.class] or row.gui) then return true end
    if not path or not programs.app(path) or programs.is_within(path) == "system" then return false end
    return row == nil or (row.class ~= "shell" and row.class ~= "interpreter" and row.class ~= "network")
end

-- Does it call what a person opens? A browser; or WebKit's process for the network, which is Safari's and that of pages in apps.
function programs.is_browsing(name, path)
    if programs.class(name, path) == "browser" then return true end
    return name ~= nil and name:sub(1, KERNEL_NAME) == "com.apple.WebKit" and (not path or programs.is_within(path) == "system")
end

-- The name of the program that people know: the app's, else in full and without " Helper (…)". "Slack Helper (Re" → "Slack".
function programs.known_as(name, path)
    local app = programs.app(path)
    if app and programs.is_within(path) ~= "system" then return app end
    local full = name and without_helper(name)
    if full then return full end
    return name and #name == KERNEL_NAME and not rows_by_name[name] and cut_names[name] or name
end

local known, known_count = {}, 0

-- All of it in one table, which is kept: { class, gui, proxy, silent, updater, terminal, known_as, place, writable }. Not to be changed.
function programs.of(name, path)
    local key = path and (name or "") .. "\0" .. path or name or ""
    local all = known[key]
    if all then return all end
    local row = row_of(name, path) or {}
    all = { class = row.class, gui = programs.is_gui(name, path), proxy = row.proxy, silent = row.silent, updater = row.updater,
        terminal = row.terminal, known_as = programs.known_as(name, path), place = programs.is_within(path), writable = programs.is_user_writable(path) }
    if known_count >= REMEMBERED then known, known_count = {}, 0 end
    known[key], known_count = all, known_count + 1
    return all
end

-- Parts of macOS that lie in places of their own: simulators bring a whole system along, installers and updates another one.
local WHOLE_SYSTEMS = { "%.simruntime/", "^/Applications/Xcode[^/]*%.app/", "^/Library/Developer/", "^/Users/[^/]+/Library/Developer/",
    "^/Applications/Install macOS[^/]*%.app/", "^/var/MobileAsset/", "^/Library/Updates/", "^/Library/SystemMigration/" }
local OTHER_BUILDS = { "^/opt/", "^/usr/local/", "^/nix/", "^/Users/[^/]+/%.?[^/]*brew/" } -- Homebrew's smbd, ntpd, bash

local function is_elsewhere(row, path)
    if not path or path:sub(1, 1) ~= "/" or not row.patterns then return false end
    path = plain_path(path)
    if fits(row.patterns, path) or fits(WHOLE_SYSTEMS, path) then return false end
    return not (row.word and fits(OTHER_BUILDS, path))
end

-- A program that calls itself like one of Apple's, and is not: a sentence and how sure ("certain"; "likely" where the name is a
-- word that others use as well, or only one of signature and place speaks against it); nil if it is what it says, or nothing is known.
-- signing_id, platform: as in flow events, nil if unknown.
function programs.impostor(name, path, signing_id, platform)
    local row = name and (rows_by_name[name] or #name == KERNEL_NAME and rows_by_cut[name])
    if not row or not row.apple or platform == "yes" then return nil end
    local foreign = signing_id and signing_id ~= "" and signing_id:sub(1, 10) ~= "com.apple."
    local unsigned = platform == "no"
    local elsewhere = is_elsewhere(row, path)
    if row.word and not (elsewhere and programs.is_user_writable(path) and programs.is_within(path) ~= "applications") then return nil end
    if not foreign and not elsewhere then return nil end
    local told = elsewhere and "runs from " .. path or "lies where Apple's does"
    if foreign then told = told .. ", signed as " .. signing_id elseif unsigned then told = told .. ", no part of macOS" end
    return told, not row.word and (elsewhere and (foreign or unsigned or programs.is_user_writable(path))) and "certain" or "likely"
end

-- ---------------------------------------------------------------- lineage

-- Who started it, parent first: list of { name, class }, nil if unknown. `e` is an event (its ancestry is read), a text of that
-- form ("sh < Microsoft Word < launchd") or a list of names (flow's and process' `ancestors`).
function programs.lineage(e)
    local list = {}
    if type(e) == "table" and not e.ancestry then
        for i = 1, #e do list[i] = { name = e[i], class = programs.class(e[i]) } end
    else
        local text = e
        if type(e) ~= "string" then text = e.ancestry end
        if not text then return nil end
        local from = 1
        while from do
            local at, after = text:find(" < ", from, true)
            local name = text:sub(from, at and at - 1)
            if name ~= "" then list[#list + 1] = { name = name, class = programs.class(name) } end
            from = after and after + 1
        end
    end
    return list[1] and list or nil
end

-- Who is behind it: name and class of the first in the lineage that is no shell, interpreter or launcher; nil if nobody is or nothing is known.
function programs.who_runs(e)
    local lineage = programs.lineage(e)
    if not lineage then return nil end
    for i = 1, #lineage do
        local one = lineage[i]
        if not BEHIND_NOBODY[one.class or ""] then return one.name, one.class end
    end
    return nil
end

-- Did a person run it, at a terminal or over ssh? nil if the lineage is not known.
function programs.is_user_run(e)
    local lineage = programs.lineage(e)
    if not lineage then return nil end
    for i = 1, #lineage do
        local one = lineage[i]
        if one.class == "terminal" or programs.has(one.name, nil, "terminal") then return true end
    end
    return false
end

return programs
