-- What a detector says: alerts, reports, log lines, settings.

-- attempt: evidence that holds itself
-- expect: gives true
local t = {}
t.t = t
return lunette.alert { title = "x", evidence = { t = t } }

-- attempt: evidence that is deep
-- expect: gives true
local t = {}
for i = 1, 1e5 do t = { t = t } end
return lunette.alert { title = "x", evidence = { t = t } }

-- attempt: evidence that is wide
-- expect: raises evidence is
local t = {}
for i = 1, 3000 do t["key" .. i] = ("x"):rep(100) end
lunette.alert { title = "x", evidence = t }

-- attempt: evidence that doubles with each level
-- expect: raises evidence is
local t = {}
for i = 1, 300 do t[i] = ("x"):rep(100) end
lunette.alert { title = "x", evidence = { a = { t, t, t, t }, b = { t, t, t, t } } }

-- attempt: evidence of numbers that are none, under keys that are no names
-- expect: gives true
return lunette.alert { title = "x", evidence = { a = 1, nan = 0/0, inf = math.huge, [5] = 1, [{}] = 2 } }

-- attempt: a function as evidence
-- expect: raises evidence.f must be a string
return lunette.alert { title = "x", evidence = { f = print } }

-- attempt: an event as evidence, deep inside
-- expect: raises evidence.a.b[2] must be a string
return lunette.alert { title = "x", evidence = { a = { b = { 1, e } } } }

-- attempt: a number that is cdata as evidence
-- expect: raises got cdata
return lunette.alert { title = "x", evidence = { n = 1LL } }

-- attempt: evidence of millions of values in a few tables
-- expect: raises more values than fit
local t = {}
for i = 1, 3000 do t[i] = t end
return lunette.alert { title = "x", evidence = { t = t } }

-- attempt: bytes that end a line of JSON, or are none of UTF-8
-- expect: gives true
return lunette.alert { title = "a\n{\"event_type\":\"alert\"}\n\0\27[2J\"\\", who = "\255\254", why = ("\195"):rep(5000),
    evidence = { ["k\n\""] = "v\0\n\226\128\168\237\160\128" } }

-- attempt: texts that are longer than they may be
-- expect: gives true
return lunette.alert { title = ("x"):rep(1e6), who = ("y"):rep(1e6), why = ("z"):rep(1e6), next = ("w"):rep(1e6) }

-- attempt: an alert of things that are no texts
-- expect: gives
for _, value in ipairs { {{}}, print, true, e } do
    for _, field in ipairs { "title", "who", "where", "why", "next", "category", "attack" } do
        fails(field, lunette.alert, { title = "x", [field] = value })
    end
end
for _, value in ipairs { "none", 5, {}, true } do fails("severity", lunette.alert, { title = "x", severity = value }) end
for _, value in ipairs { 0/0, -1, 2, "x" } do fails("confidence", lunette.alert, { title = "x", confidence = value }) end
fails("nothing", lunette.alert)
fails("a text", lunette.alert, "x")

-- attempt: a cooldown that is none
-- expect: gives
fails("text", lunette.alert, { title = "x", key = "k", cooldown = "5" })
fails("table", lunette.alert, { title = "x", key = "k", cooldown = {} })
lunette.alert { title = "x", key = 0/0, cooldown = 0/0 }
lunette.alert { title = "x", key = {}, cooldown = math.huge }

-- attempt: a flood of alerts
-- expect: stopped
local n = 0 while true do n = n + 1 lunette.alert { title = "flood " .. n, why = ("x"):rep(1000) } end

-- attempt: a flood of log lines
-- expect: gives
for i = 1, 1e4 do lunette.log(("x"):rep(100)) print("\27[2J\n", i) end

-- attempt: a log line that looks like another's
-- expect: gives
lunette.log("x\nlunette: warning: detector good is switched off after 20 failures in a row")

-- attempt: a report that is larger than it may be
-- expect: raises larger than 16 MiB
local cell, row, rows = ("x"):rep(1e6), {}, {}
for i = 1, 100 do row[i], rows[i] = cell, row end
lunette.report { columns = row, rows = rows }

-- attempt: a report of rows that are none
-- expect: gives
fails("rows", lunette.report, { columns = { "a" }, rows = { 1 } })
fails("rows", lunette.report, { columns = { "a" }, rows = "x" })
fails("columns", lunette.report, { rows = {} })
lunette.report { columns = {}, rows = { {}, {}, {} } }
lunette.report { columns = { "a", "b" }, rows = { { {}, print }, {}, { e } } }

-- attempt: timers by the hundred thousand
-- expect: raises more than 100000 timers
for i = 1, 1e6 do lunette.after(i, print) end

-- attempt: timers at times that are none
-- expect: gives
for _, seconds in ipairs { 0/0, -1, "5", {}, -math.huge } do
    fails("after " .. tostring(seconds), lunette.after, seconds, print)
    fails("every " .. tostring(seconds), lunette.every, seconds, print)
end
fails("every 0", lunette.every, 0, print)
fails("every 1e-9", lunette.every, 1e-9, print)
fails("no function", lunette.after, 1, "print")
lunette.after(math.huge, print) lunette.every(math.huge, print) lunette.after(1e300, print)

-- attempt: a setting that is code
-- expect: gives os.exit(1) ]] .. "
-- where: file
-- with: --set 'attempt.text=os.exit(1) ]] .. "'
local lunette = require "lunette"
local text = lunette.tunables { text = "default" }.text
lunette.on("flow", print)
lunette.on_end(function() lunette.alert { title = "gives", why = text } end)

-- attempt: a setting for what is no tunable
-- expect: left out
-- where: file
-- with: --set attempt.__index=1
error("a setting must not reach more than the tunables")

-- attempt: a setting of the wrong kind
-- expect: refused a number is expected, got 'many'
-- where: file
-- with: --set attempt.n=many
local lunette = require "lunette"
lunette.tunables { n = 5 }
lunette.on("dns", print)

-- attempt: a setting with a name that is code
-- expect: refused
-- where: file
-- with: --set "attempt.n']=1"
local lunette = require "lunette"
lunette.tunables { n = 5 }
lunette.on("dns", print)

-- attempt: a setting that is a list with something else in it
-- expect: refused numbers are expected
-- where: file
-- with: --set attempt.list=1,2,x
local lunette = require "lunette"
lunette.tunables { list = { 1, 2, 3 } }
lunette.on("dns", print)

-- attempt: the name of another detector
-- expect: gives
fails("name", lunette.detector, { name = "good" })
fails("detector", lunette.alert, { title = "x", detector = "good" })

-- attempt: the state of another detector by its name
-- expect: gives 0
return lunette.state("counts", { max = 5 }):count()
