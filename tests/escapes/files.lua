-- Files: what lies in data/ and lib/ beside the script may be read, nothing else.

-- attempt: data files that are there
-- expect: gives one two
return table.concat(lunette.lines("list.txt"), " ")

-- attempt: a link within the folder
-- expect: gives one two
return table.concat(lunette.lines("inner.txt"), " ")

-- attempt: a link out of the folder
-- expect: raises leads out of the script's folder
return lunette.lines("link.txt")

-- attempt: a module by a link out of the folder
-- expect: raises leads out of the script's folder
return require "link"

-- attempt: paths out of data/
-- expect: gives
for _, name in ipairs { "../secret.txt", "../../secret.txt", "/etc/passwd", "..", ".", "", "./list.txt", "below/list.txt", "below/../../secret.txt",
    "..\\secret.txt", "list.txt/", "list.txt\0", "../secret.txt\0list.txt", "list.txt\0../secret.txt", "~/x", "$HOME", "%2e%2e/secret.txt",
    ".hidden", "list.txt\n", ("a/"):rep(3000), ("x"):rep(1e5), "/proc/self/mem", "/dev/zero", "file:///etc/passwd" } do
    fails(name, lunette.lines, name)
    fails(name, lunette.tsv, name)
end

-- attempt: a pipe, which would wait for ever
-- expect: raises no regular file
return lunette.lines("pipe.txt")

-- attempt: a folder
-- expect: raises no regular file
return lunette.lines("below")

-- attempt: a file name that is no string
-- expect: gives
for _, name in ipairs { {}, 1, true, print, setmetatable({}, { __tostring = function() return "list.txt" end }) } do
    if name ~= 1 then fails("name", lunette.lines, name) end
end

-- attempt: paths out of lib/
-- expect: gives
for _, name in ipairs { "../attempt", "..", "../../secret", "/tmp/x", "helper.lua", "./helper", "lib/helper", "below.helper", "helper\0", "helper\0../x",
    "a b", "", "héllo", ".helper", "-", "lunette/beat", "lunette..beat", "lunette.beat.x", "lunette.../boot", "LUNETTE" } do
    fails(name, require, name)
end

-- attempt: compiled code in lib/
-- expect: raises
return require "bytecode"

-- attempt: a module of its own, which is kept and shared with nobody
-- expect: gives true
local one, two = require "helper", require "helper"
one.kept.x = 1
return two.kept.x == 1 and one == two

-- attempt: what a module of its own sees as globals
-- expect: gives nil nil
local theirs = require "upvalue"
return type(theirs) == "table" and tostring(theirs.io) .. " " .. tostring(theirs.debug)

-- attempt: a module of its own that never ends
-- expect: stopped
require "loops"

-- attempt: the API's modules, spoilt for the engine
-- expect: gives
local beat = require "lunette.beat"
for name in pairs(beat) do beat[name] = function() return {} end end
for name in pairs(lunette) do lunette[name] = nil end
