-- Why LuaJIT gave up a trace, in words for the author of a script: what it means, and whether there is something to do.
-- The reasons are LuaJIT's own (lj_traceerr.h), found by how they begin; the first that fits counts.
local NORMAL = "no need to care"
local MEANINGS = {
    { "JIT compilation disabled for function", "it met a call that lunette keeps out of compiled code, as lunette.alert is; " .. NORMAL },
    { "NYI: return to lower frame", "it began inside a function and came to its end; it begins anew at the caller; " .. NORMAL },
    { "inner loop in root trace", "a loop with another inside: the inner one is compiled first; " .. NORMAL },
    { "leaving loop in root trace", "the loop ended while it was watched, after few turns; it begins anew; " .. NORMAL },
    { "loop unroll limit reached", "a short loop inside what was compiled; it gets compiled by itself; " .. NORMAL },
    { "call unroll limit reached", "a function that calls itself, or many calls in each other; care if it runs for each event" },
    { "down-recursion, restarting", "a function that calls itself returns; it begins anew there; " .. NORMAL },
    { "bad argument type", "a built-in function got a value that it does not take compiled, often nil; care if it runs for each event" },
    { "NYI: bytecode FNEW", "a function is made here, each time the line runs: make it once, in the file's body" },
    { "NYI: bytecode UCLO", "a loop makes functions that hold its variables: make the function once, in the file's body" },
    { "NYI: bytecode", "a step of Lua that it never compiles (varargs, pairs in an odd form, ...); care if it runs for each event" },
    { "NYI: unsupported variant of FastFunc", "this built-in function is never compiled when called so; care if it runs for each event" },
    { "NYI: FastFunc", "this built-in function is never compiled; care if it runs for each event" },
    { "persistent type instability", "a variable changes its type from turn to turn, say nil and a number; begin with 0 or \"\" instead of nil" },
    { "store with nil or NaN key", "a table is written at nil or at 0/0: that raises an error; see to the key" },
    { "error thrown or hook called during recording", "an error was raised meanwhile; see to the errors first" },
    { "blacklisted", "it met what was given up for good (see below); mend that, and this goes with it" },
    { "trace too long", "too much in one turn or handler; care if it runs for each event: split it in functions, fewer cases" },
    { "trace too deep", "calls too deep in each other; care if it runs for each event" },
    { "too many snapshots", "too many branches in one turn or handler; care if it runs for each event" },
    { "guard would always fail", "a case that cannot come twice; it begins anew; " .. NORMAL },
    { "looping index lookup", "a table looks its fields up in itself; see to __index" },
    { "NYI: mixed sparse/dense table", "a table with a list and names in it is made here; care if it runs for each event" },
    { "failed to allocate mcode memory", "no room for compiled code near by; " .. NORMAL .. " if it is rare" },
    { "hit mcode limit", "one piece of room for compiled code is full; it goes on in another; " .. NORMAL },
    { "retry recording", "it begins anew; " .. NORMAL },
}

return function(reason)
    for _, entry in ipairs(MEANINGS) do
        if reason:sub(1, #entry[1]) == entry[1] then return entry[2] end
    end
    return "a limit of LuaJIT's; care if it comes often, at a line that runs for each event"
end
