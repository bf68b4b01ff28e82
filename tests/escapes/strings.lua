-- Strings that are too long, patterns that are too clever, and C functions handed something else.

-- attempt: string.rep beyond all bounds
-- expect: gives
for _, n in ipairs { 1e9, 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e300, math.huge } do fails("rep " .. n, string.rep, "xy", n) end
fails("separator", string.rep, "x", 1e6, ("y"):rep(1e6))

-- attempt: string.rep of nothing, for ever
-- expect: gives 0
return #(""):rep(2 ^ 53) + #("x"):rep(-1) + #("x"):rep(0/0)

-- attempt: widths and precisions of string.format
-- expect: gives
for _, format in ipairs { "%1000d", "%99999999d", "%.1000f", "%.99999999f", "%*d", "%100000s", "%-2147483648d", "%llllld", "%n", "%", "%\0", "%5" } do
    fails(format, string.format, format, 1)
end

-- attempt: string.format of more than it is given
-- expect: raises bad argument
return string.format(("%s"):rep(1e5))

-- attempt: string.format('%s') of a long string, often
-- expect: memory
local t, s = {}, ("x"):rep(1e6)
for i = 1, 1e5 do t[i] = string.format("%s%d", s, i) end

-- attempt: string.format('%q') of all bytes
-- expect: gives true
local all = {}
for i = 0, 255 do all[#all + 1] = string.char(i) end
return #string.format("%q", table.concat(all):rep(100)) > 25600

-- attempt: string.format of a number that is none
-- expect: gives
for _, format in ipairs { "%d", "%c", "%x", "%5.2f", "%a", "%i", "%u" } do
    for _, value in ipairs { 0/0, math.huge, -math.huge, 2 ^ 80 } do pcall(string.format, format, value) end
    fails(format, string.format, format, "x")
    fails(format, string.format, format, {})
end

-- attempt: table.concat over holes and beyond the end
-- expect: gives
fails("holes", table.concat, {}, "x", 1, 1e9)
fails("beyond", table.concat, { 1 }, "x", -2 ^ 31, 2 ^ 31 - 1)
fails("nan", table.concat, { 1 }, "x", 0/0, 5)
fails("tables", table.concat, { {} })

-- attempt: table.concat to more than there is memory
-- expect: memory
local t = {}
for i = 1, 1e5 do t[i] = ("x"):rep(1000) end
return table.concat(t, ("y"):rep(1000))

-- attempt: table.insert and table.remove at places that are none
-- expect: gives
local t = { 1, 2, 3 }
for _, at in ipairs { 0/0, math.huge, -math.huge, 2 ^ 53, -2 ^ 53, 2 ^ 31, -2 ^ 31 } do pcall(table.remove, t, at) end
fails("nothing", table.insert)
fails("many", table.insert, t, 1, 2, 3)

-- attempt: table.insert far beyond the end
-- expect: gives
local t = {}
for _, at in ipairs { 2 ^ 30, 2 ^ 31, 1e9 } do t[at] = 1 table.insert(t, "x") end

-- attempt: table.insert far before the beginning, which moves all between
-- expect: stopped
table.insert({}, -2 ^ 31 + 1, "x")

-- attempt: a sparse table with a huge array
-- expect: gives
local t = {}
for i = 0, 50 do t[2 ^ i] = i end
for i = 0, 50 do t[-2 ^ i] = i end

-- attempt: unpack of more than fits on the stack
-- expect: gives
for _, n in ipairs { 1e6, 1e8, 2 ^ 31 - 1 } do fails("unpack " .. n, unpack, {}, 1, n) end
fails("all", unpack, {}, -2 ^ 31, 2 ^ 31 - 1)
for _, n in ipairs { 2 ^ 32, 2 ^ 53, 0/0, math.huge, -math.huge } do pcall(unpack, {}, 1, n) pcall(unpack, {}, n, 1) end

-- attempt: string.char and string.byte by the million
-- expect: gives
fails("bytes", string.byte, ("x"):rep(1e6), 1, -1)
fails("char", string.char, 256)
fails("char", string.char, -1)
fails("char", string.char, 0/0)

-- attempt: select at places that are none
-- expect: gives
fails("zero", select, 0, 1)
fails("far", select, -2 ^ 31, 1)
fails("nan", select, "x", 1)

-- attempt: malformed patterns
-- expect: gives
for _, pattern in ipairs { "[", "[^", "[a", "%", "(", "(()", "%b", "%bx", "%f", "%1", "(%1)", ("(a)"):rep(33), "[%", "[a-", "(.-)%2" } do
    fails(pattern, string.find, ("a"):rep(50), pattern)
end

-- attempt: a pattern that nests deep
-- expect: raises pattern too complex
string.find(("a"):rep(1e6), ("a?"):rep(1e4))

-- attempt: %b of brackets that are not closed
-- expect: stopped
string.find(("("):rep(2e6), "%b()")

-- attempt: a pattern that tries all ways
-- expect: stopped
string.find(("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40) .. "b")

-- attempt: a pattern over a long text, quadratic and worse
-- expect: stopped
string.find(("a"):rep(300000), ".-.-.-b")

-- attempt: gsub whose replacement is gsub
-- expect: raises nested too deep
local f
f = function(s) return (s:gsub(".", f)) end
return f("abc")

-- attempt: gsub whose replacement is a table that is gsub
-- expect: raises nested too deep
local t = {}
setmetatable(t, { __index = function(_, k) return (("abc"):gsub(".", t)) end })
return (("abc"):gsub(".", t))

-- attempt: gsub with a replacement that is none
-- expect: gives
fails("table", string.gsub, "x", "x", function() return {} end)
fails("nothing", string.gsub, "x", "x")
fails("capture", string.gsub, "x", "x", "%9")

-- attempt: tonumber in bases that are none
-- expect: gives
for _, base in ipairs { 1, 37, -1, 0, 0/0, math.huge } do fails("base " .. base, tonumber, "1", base) end
pcall(tonumber, ("1"):rep(1e6), 36) pcall(tonumber, "0x" .. ("f"):rep(1e6)) pcall(tonumber, "1e" .. ("9"):rep(1e6))

-- attempt: sorting by an order that is none
-- expect: gives
local t = {}
for i = 1, 1000 do t[i] = i % 7 end
pcall(table.sort, t, function() return true end)
pcall(table.sort, t, function(a, b) return a <= b end)
pcall(table.sort, t, function() t[#t + 1] = 1 return #t % 2 == 0 end)
pcall(table.sort, t, function() for k in pairs(t) do t[k] = nil end return true end)
