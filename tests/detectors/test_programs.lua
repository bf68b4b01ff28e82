-- scripts/lib/programs.lua under plain luajit:  luajit tests/detectors/test_programs.lua scripts
local scripts = arg[1] or "scripts"
package.path = scripts .. "/lib/?.lua;" .. package.path

-- lunette.tsv as the engine has it: the first line that is no comment names the columns.
local function read_table(file)
    local rows, names = {}, nil
    for line in io.lines(scripts .. "/data/" .. file) do
        if line:sub(1, 1) ~= "#" and line ~= "" then
            local cells = {}
            for cell in (line .. "\t"):gmatch("([^\t]*)\t") do cells[#cells + 1] = cell end
            if not names then
                names = cells
            else
                local row = {}
                for i, name in ipairs(names) do row[name] = cells[i] end
                rows[#rows + 1] = row
            end
        end
    end
    return rows
end
package.preload["lunette"] = function() return { tsv = read_table } end

local programs = require "programs"

local failures = 0
local function check(what, got, expected)
    if got == expected then return end
    failures = failures + 1
    io.stderr:write(("%s: got %s, expected %s\n"):format(what, tostring(got), tostring(expected)))
end

-- ---------------------------------------------------------------- the table
local CLASSES = {}
for class in ("terminal shell browser office mail chat editor viewer media installer store system launcher developer admin interpreter network vpn sync security"):gmatch("%a+") do
    CLASSES[class] = true
end
local TRAITS = {}
for trait in ("apple silent word proxy updater gui terminal"):gmatch("%a+") do TRAITS[trait] = true end
local seen = {}
for _, row in ipairs(read_table("programs.tsv")) do
    check("class of " .. row.name .. row.path, CLASSES[row.class], true)
    for trait in row.traits:gmatch("%S+") do check("trait " .. trait .. " of " .. row.name, TRAITS[trait], true) end
    check("a name or a place", row.name ~= "" or row.path ~= "", true)
    if row.name ~= "" then
        check(row.name .. " stands once", seen[row.name], nil)
        seen[row.name] = true
    end
end

-- ---------------------------------------------------------------- classes, by both eyes
for _, case in ipairs {
    { "Safari", nil, "browser" }, { "Google Chrome", nil, "browser" }, { "Google Chrome He", nil, "browser" }, { "Google Chrome Helper (Renderer)", nil, "browser" },
    { "Microsoft Edge H", nil, "browser" }, { "Brave Browser He", nil, "browser" }, { "firefox", nil, "browser" },
    { "Slack Helper (Re", nil, "chat" }, { "Slack Helper (Renderer)", nil, "chat" }, { "Microsoft Teams ", nil, "chat" }, { "Discord Helper (", nil, "chat" },
    { "Code Helper", nil, "developer" }, { "Code Helper (Plu", nil, "developer" }, { "Electron", "/Applications/Visual Studio Code.app/Contents/MacOS/Electron", "developer" },
    { "Electron", nil, nil }, { "Microsoft Word", nil, "office" }, { "Microsoft PowerP", nil, "office" }, { "Terminal", nil, "terminal" }, { "iTerm2", nil, "terminal" },
    { "stable", "/Applications/Warp.app/Contents/MacOS/stable", "terminal" }, { "tmux", nil, "terminal" }, { "launchd", nil, "launcher" }, { "xpcproxy", nil, "launcher" },
    { "zsh", "/bin/zsh", "shell" }, { "bash", "/opt/homebrew/bin/bash", "shell" }, { "osascript", nil, "interpreter" }, { "python3", nil, "interpreter" },
    { "Python", "/Library/Frameworks/Python.framework/Versions/3.12/Resources/Python.app/Contents/MacOS/Python", "interpreter" },
    { "curl", "/usr/bin/curl", "network" }, { "curl", "/private/tmp/curl", "network" }, { "nscurl", nil, "network" }, { "scutil", nil, "network" },
    { "Installer", nil, "installer" }, { "installd", nil, "installer" }, { "package_script_s", nil, "installer" }, { "brew", nil, "installer" },
    { "Autoupdate", "/Applications/A.app/Contents/Frameworks/Sparkle.framework/Versions/B/Autoupdate", "installer" }, { "GoogleSoftwareUp", nil, "installer" },
    { "jamf", nil, "admin" }, { "osqueryd", nil, "admin" }, { "cron", nil, "admin" }, { "sshd-session", nil, "admin" }, { "santad", nil, "security" },
    { "mDNSResponder", nil, "system" }, { "com.apple.WebKit", nil, "system" }, { "com.apple.WebKit.Networking", nil, "system" }, { "softwareupdated", nil, "system" },
    { "some-new-daemon", "/usr/libexec/some-new-daemon", "system" }, { "some-new-daemon", nil, nil }, { "rg", "/opt/homebrew/bin/rg", "developer" },
    { "git", nil, "developer" }, { "Safari", "/private/tmp/Safari", nil }, { nil, nil, nil }, { "", nil, nil },
    { "tool", "/Applications/BBEdit.app/Contents/Helpers/tool", "editor" },
} do
    check(("class of %s at %s"):format(tostring(case[1]), tostring(case[2])), programs.class(case[1], case[2]), case[3])
end

-- ---------------------------------------------------------------- places
for path, place in pairs {
    ["/Applications/Slack.app/Contents/MacOS/Slack"] = "applications", ["/Users/anna/Applications/A.app/Contents/MacOS/A"] = "applications",
    ["/Users/anna/Downloads/a"] = "user", ["/Users/Shared/a"] = "user", ["/System/Volumes/Data/Users/anna/a"] = "user",
    ["/private/tmp/a"] = "temp", ["/tmp/a"] = "temp", ["/private/var/folders/zz/x/T/AppTranslocation/1/d/Z.app/Contents/MacOS/Z"] = "temp",
    ["/Volumes/Setup/a"] = "volume", ["/usr/bin/curl"] = "system", ["/usr/sbin/scutil"] = "system", ["/System/Library/CoreServices/Finder.app/Contents/MacOS/Finder"] = "system",
    ["/Library/Apple/System/Library/a"] = "system", ["/Library/LaunchDaemons/a"] = "library", ["/Users/anna/Library/Application Support/a"] = "library",
    ["/opt/homebrew/bin/a"] = "nil", ["curl"] = "nil",
} do
    check("place of " .. path, tostring(programs.is_within(path)), place)
end
check("place of nothing", programs.is_within(nil), nil)
check("writable", programs.is_user_writable("/Users/anna/Library/Application Support/a"), true)
check("not writable", programs.is_user_writable("/Library/Application Support/a"), false)

check("a terminal has windows", programs.is_gui("Terminal"), true)
check("tmux has none", programs.is_gui("tmux"), false)
check("an app without a row", programs.is_gui("Foo", "/Applications/Foo.app/Contents/MacOS/Foo"), true)
check("Python.app is no app", programs.is_gui("Python", "/Library/Frameworks/Python.framework/Versions/3.12/Resources/Python.app/Contents/MacOS/Python"), false)
check("a daemon", programs.is_gui("trustd", "/usr/libexec/trustd"), false)
check("a cut helper's app", programs.known_as("Slack Helper (Re"), "Slack")
check("a path's app", programs.known_as("Slack Helper (GPU)", "/Applications/Slack.app/Contents/Frameworks/Slack Helper (GPU).app/Contents/MacOS/Slack Helper (GPU)"), "Slack")
check("a cut name", programs.known_as("Microsoft PowerP"), "Microsoft PowerPoint")

-- ---------------------------------------------------------------- impostors
local function sure(...) return (select(2, programs.impostor(...))) end
check("Safari in /tmp", sure("Safari", "/private/tmp/Safari"), "certain")
check("Safari at home", sure("Safari", "/System/Cryptexes/App/System/Applications/Safari.app/Contents/MacOS/Safari"), nil)
check("part of macOS", sure("Safari", "/anywhere/Safari", "com.apple.Safari", "yes"), nil)
check("in its place, but signed by others", sure("Safari", "/Applications/Safari.app/Contents/MacOS/Safari", "org.other"), "likely")
check("a word as a name", sure("Notes", "/Applications/Notes.app/Contents/MacOS/Notes", "org.other", "no"), nil)
check("a word as a name, from a download", sure("Notes", "/Users/anna/Downloads/Notes", "", "no"), "likely")
check("Homebrew's", sure("smbd", "/opt/homebrew/sbin/smbd", "smbd", "no"), nil)
check("a simulator's", sure("trustd", "/Library/Developer/CoreSimulator/Profiles/Runtimes/iOS.simruntime/Contents/Resources/RuntimeRoot/usr/libexec/trustd"), nil)
check("nothing known", sure("Safari"), nil)
check("others' programs", sure("Slack", "/private/tmp/Slack"), nil)

-- ---------------------------------------------------------------- lineage
local function lineage(text)
    local list = {}
    for i, one in ipairs(programs.lineage(text) or {}) do list[i] = one.name .. ":" .. tostring(one.class) end
    return table.concat(list, " ")
end
check("lineage of an event", lineage { ancestry = "sh < launchd" }, "sh:shell launchd:launcher")
check("lineage of a text", lineage "sh < Microsoft Word < launchd", "sh:shell Microsoft Word:office launchd:launcher")
check("lineage of a list", lineage { "sh", "odd tool" }, "sh:shell odd tool:nil")
check("no lineage", programs.lineage(""), nil)
for text, behind in pairs {
    ["sh < Microsoft Word < launchd"] = "Microsoft Word office", ["zsh < login < Terminal < launchd"] = "Terminal terminal",
    ["bash < python3 < launchd"] = "nil nil", ["sudo < zsh < sshd < sshd < launchd"] = "sshd admin", ["helper < launchd"] = "helper nil",
} do
    local name, class = programs.who_runs(text)
    check("who runs " .. text, tostring(name) .. " " .. tostring(class), behind)
end
for text, by_user in pairs {
    ["zsh < login < Terminal < launchd"] = true, ["zsh < tmux < launchd"] = true, ["bash < sshd-session < sshd < launchd"] = true,
    ["zsh < Code Helper (Plugin) < Electron < launchd"] = true, ["sh < Microsoft Word < launchd"] = false, ["launchd"] = false,
} do
    check("run by a person: " .. text, programs.is_user_run(text), by_user)
end

os.exit(failures == 0 and 0 or 1)
