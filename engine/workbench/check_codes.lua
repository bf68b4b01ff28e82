-- The codes of `lunette check`: luacheck's (https://luacheck.readthedocs.io, "List of warnings") with its words, and lunette's own,
-- which begin with L. In the words {name} and the like stand for what a finding is about.
--
-- { code, words, off = not told unless asked for, error = cannot run }
local codes = {
    { "011", "{text}", error = true },
    { "021", "{text}", error = true },
    { "022", "unpaired push directive", error = true },
    { "023", "unpaired pop directive", error = true },
    { "111", "setting non-standard global variable '{name}'" },
    { "112", "mutating non-standard global variable '{name}'" },
    { "113", "accessing undefined global variable '{name}'{elsewhere}" },
    { "121", "setting read-only global variable '{name}'" },
    { "122", "setting read-only field '{field}' of global '{name}'" },
    { "142", "setting undefined field '{field}' of global '{name}'" },
    { "143", "accessing undefined field '{field}' of global '{name}'{elsewhere}" },
    { "211", "unused {what} '{name}'" },
    { "212", "unused {argument}" },
    { "213", "unused loop variable '{name}'" },
    { "214", "used variable '{name}' with unused hint" },
    { "221", "variable '{name}' is never set" },
    { "231", "variable '{name}' is never accessed" },
    { "232", "argument '{name}' is never accessed" },
    { "233", "loop variable '{name}' is never accessed" },
    { "241", "variable '{name}' is mutated but never accessed" },
    { "311", "value assigned to variable '{name}' is {fate}" },
    { "312", "value of argument '{name}' is {fate}" },
    { "313", "value of loop variable '{name}' is {fate}" },
    { "314", "value assigned to field '{name}' is overwritten on line {by} before use" },
    { "321", "accessing uninitialized variable '{name}'" },
    { "331", "value assigned to variable '{name}' is mutated but never accessed" },
    { "341", "mutating uninitialized variable '{name}'" },
    { "411", "variable '{name}' was previously defined on line {before}" },
    { "412", "variable '{name}' was previously defined as an argument on line {before}" },
    { "413", "variable '{name}' was previously defined as a loop variable on line {before}" },
    { "421", "shadowing definition of variable '{name}' on line {before}" },
    { "422", "shadowing definition of argument '{name}' on line {before}" },
    { "423", "shadowing definition of loop variable '{name}' on line {before}" },
    { "431", "shadowing upvalue '{name}' on line {before}" },
    { "432", "shadowing upvalue argument '{name}' on line {before}" },
    { "433", "shadowing upvalue loop variable '{name}' on line {before}" },
    { "511", "unreachable code" },
    { "512", "loop is executed at most once" },
    { "521", "unused label '{name}'" },
    { "531", "right side of assignment has more values than left side expects" },
    { "532", "right side of assignment has less values than left side expects" },
    { "541", "empty do..end block" },
    { "542", "empty if branch" },
    { "571", "numeric for loop goes from #(expr) down to {name} but loop step is not negative" },
    { "581", "'not (x {name} y)' can be replaced by 'x {by} y' (if neither side is a table or NaN)" },
    { "582", "error prone negation: negation is executed before relational operator" },
    { "611", "line contains only whitespace", off = true },
    { "612", "line contains trailing whitespace", off = true },
    { "613", "trailing whitespace in a string", off = true },
    { "614", "trailing whitespace in a comment", off = true },
    { "621", "inconsistent indentation (SPACE followed by TAB)", off = true },
    { "631", "line is too long ({name} > {by})", off = true },

    { "L001", "there is no event '{name}'{near}" },
    { "L002", "{kind} events have no field '{name}'{near}" },
    { "L003", "a filter on '{name}': {kind} events have no such field{near}" },
    { "L004", "a filter on '{name}': it is a {type}, not a {given}" },
    { "L005", "there is no {name}{near}" },
    { "L006", "{call} has no '{name}'{near}" },
    { "L007", "there is no module '{name}'{near}" },
    { "L008", "{call}: {name} must be {wanted}, not '{given}'" },
    { "L010", "a filter on '{name}': it is never '{given}', but {words}" },
    { "L011", "state '{name}' is declared and never used" },
    { "L012", "{call} in a handler: it belongs into the file's body, which runs once" },
    { "L013", "state '{name}' is filled and never read" },
    { "L014", "tunable '{name}' is never read" },
    { "L015", "an alert without a title, in a file without lunette.detector { title = … }" },
    { "L016", "an alert with {name} and without {other}: they go together" },
    { "L017", "the event '{name}' is kept beyond its handler: copy out the fields you need" },
    { "L018", "{call} in lunette.gather: no events come there" },
    { "L019", "there is no tunable '{name}'{near}" },
    { "L021", "a function is made for each event: put it outside the handler", off = true, hint = true },
    { "L022", "{name}() in a handler walks a whole table for each event", off = true, hint = true },
    { "L023", "variable arguments in a handler are copied at each call", off = true, hint = true },
    { "L031", "{text}", error = true },
    { "L032", "the file is too large or too entangled to follow its values: codes 2 to 5 are incomplete" },
    { "L033", "this check failed ({text}): please report it" },
}

local by_code = {}
for _, entry in ipairs(codes) do by_code[entry[1]] = entry end

local function fate(more)
    return more.by and "overwritten on line " .. more.by .. " before use" or "unused"
end

local function words(code, more)
    local made = {
        near = more.near and "; did you mean '" .. more.near .. "'?" or "",
        elsewhere = more.elsewhere and " (not available to detectors)" or "",
        what = more.is_function and (more.recursive and "recursive function" or "function") or "variable",
        argument = more.name == "..." and "variable length argument" or "argument '" .. tostring(more.name) .. "'",
        fate = fate(more),
    }
    return (by_code[code][2]:gsub("{(%w+)}", function(word)
        local value = more[word]
        if made[word] and value == nil or word == "near" or word == "elsewhere" then value = made[word] end
        return (tostring(value):gsub("%c", "?"))
    end))
end

-- The list for people, one code a line.
local function reference()
    local lines = {}
    for _, entry in ipairs(codes) do
        local note = entry.hint and "  (with --hints)" or entry.off and "  (with --enable " .. entry[1] .. ")" or ""
        lines[#lines + 1] = ("%-5s %s%s\n"):format(entry[1], (entry[2]:gsub("{(%w+)}", { near = "", elsewhere = "" })), note)
    end
    return table.concat(lines)
end

return { by_code = by_code, words = words, reference = reference }
