-- Memory bombs of each kind: the state goes, nothing else does.

-- attempt: a list of strings
-- expect: memory
local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end

-- attempt: a string that doubles
-- expect: memory
local s = "x" while true do s = s .. s end

-- attempt: tables within tables
-- expect: memory
local t = {} while true do t = { t } end

-- attempt: a table with many keys
-- expect: memory
local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end

-- attempt: closures
-- expect: memory
local f = function() end while true do local g = f f = function() return g end end

-- attempt: 64 bit integers
-- expect: memory
local t = {} while true do t[#t + 1] = 1LL * #t end

-- attempt: within pcall
-- expect: memory
while true do pcall(function() local t = {} while true do t[#t + 1] = { #t } end end) end

-- attempt: within an error handler
-- expect: memory
xpcall(error, function() local t = {} while true do t[#t + 1] = { #t } end end)

-- attempt: within gsub's replacement
-- expect: memory
("x"):gsub("x", function() local t = {} while true do t[#t + 1] = { #t } end end)

-- attempt: within a comparison
-- expect: memory
table.sort({ 3, 1, 2 }, function() local t = {} while true do t[#t + 1] = { #t } end end)

-- attempt: within a metamethod that C calls
-- expect: memory
tostring(setmetatable({}, { __tostring = function() local t = {} while true do t[#t + 1] = { #t } end end }))

-- attempt: within an iterator
-- expect: memory
local t = {} for i in function() t[#t + 1] = { #t } return 1 end do end

-- attempt: named state with large values
-- expect: memory
local s = lunette.state("s", { max = 16777216 }) for i = 1, 2 ^ 24 do s:set(i, { i }) end

-- attempt: records by the million
-- expect: memory
local r = lunette.records("r", { max = 16777216, fields = { a = "f64[60000]" } }) for i = 1, 2 ^ 24 do r:make(i) end

-- attempt: declarations of records without end
-- expect: memory
for i = 1, 1e9 do lunette.records("r" .. i, { max = 1, fields = { a = "u8" } }) end

-- attempt: declarations of state without end
-- expect: memory
for i = 1, 1e9 do lunette.state("s" .. i, { max = 1 }) end

-- attempt: sets without end
-- expect: raises not enough memory
for i = 1, 1e9 do lunette.set.strings { ("x"):rep(1000) .. i } end

-- attempt: one set with many entries
-- expect: memory
local t = {} for i = 1, 1e7 do t[i] = "name" .. i .. ".example.org" end lunette.set.domains(t)

-- attempt: the concatenation of many
-- expect: memory
local t = {} for i = 1, 1e6 do t[i] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" end while true do t[#t + 1] = table.concat(t) end

-- attempt: upper, reverse and the like of a long string
-- expect: memory
local t = {} for i = 1, 100 do t[i] = (("x"):rep(1e6) .. i):upper():reverse() end

-- attempt: a stack that grows
-- expect: gives
local function f(n) if n > 0 then return (select("#", f(n - 1), n)) end return 0 end
fails("deep", f, 1e6)
