/* Is a generated loop compiled? A detector's Lua state is asked from outside: once its script is loaded, a
 * listener for LuaJIT's trace events is put into it (a script itself cannot reach jit). A loop is compiled if
 * a trace that begins in it was finished and goes on in compiled code: round the loop, into another trace, or
 * back to the caller where runs of one kind are short. */
#ifndef LUNETTE_TESTS_JIT_WATCH_H
#define LUNETTE_TESTS_JIT_WATCH_H

#include <lauxlib.h>
#include <stdio.h>

/* To be run in the state. */
static const char jit_watch[] =
    "local jit, util = require 'jit', require 'jit.util'\n"
    "local finished, aborted, where = {}, {}, {}\n"
    "local has_names, vmdef = pcall(require, 'jit.vmdef')\n" /* the words for reasons, where installed */
    "jit_watch = { finished = finished, aborted = aborted }\n"
    "local function place(func)\n"
    "    local info = util.funcinfo(func)\n"
    "    return info.source and info.source:gsub('^[=@]', '') or 'C'\n"
    "end\n"
    /* Was it a handler's code that was being compiled? Timers are called from the loops, too. */
    "local function in_handler()\n"
    "    for level = 2, 60 do\n"
    "        local info = debug.getinfo(level, 'S')\n"
    "        if not info or info.source == '=timers.lua' then return false end\n"
    "        if info.source:find('^=loop over ') then return true end\n"
    "    end\n"
    "end\n"
    "jit.attach(function(what, trace, func, _, parent)\n"
    "    if what == 'abort' and has_names then\n"
    "        local reason = vmdef.traceerr[parent] or '?'\n" /* of an abort, the code stands there */
    "        aborted[reason] = (aborted[reason] or 0) + 1\n"
    "        if reason:find('return to lower frame', 1, true) and in_handler() then\n"
    "            reason = 'in a handler: return to lower frame'\n"
    "            aborted[reason] = (aborted[reason] or 0) + 1\n"
    "        end\n"
    "    end\n"
    "    if what == 'start' then\n"
    "        where[trace] = not parent and place(func) or nil\n" /* side traces have a parent */
    "    elseif what == 'stop' and where[trace] then\n"
    "        local kind = util.traceinfo(trace).linktype\n"
    "        if kind ~= 'interpreter' and kind ~= 'none' and kind ~= 'stitch' then\n"
    "            finished[where[trace]] = (finished[where[trace]] or 0) + 1\n"
    "        end\n"
    "    elseif what == 'flush' then\n" /* every trace is thrown away */
    "        for name in pairs(finished) do finished[name] = nil end\n"
    "    elseif what == 'abort' and where[trace] then\n"
    "        aborted[where[trace]] = (aborted[where[trace]] or 0) + 1\n"
    "    end\n"
    "end, 'trace')\n";

/* How often it was noted that a trace beginning in the chunk of that name was finished, or aborted. */
static inline int jit_noted_in(lua_State *lua, const char *what, const char *chunk) {
    lua_getglobal(lua, "jit_watch");
    lua_getfield(lua, -1, what);
    lua_getfield(lua, -1, chunk);
    int count = (int)lua_tointeger(lua, -1);
    lua_pop(lua, 3);
    return count;
}

/* The same of the loop over `kind`. */
static inline int jit_noted(lua_State *lua, const char *what, const char *kind) {
    char name[64];
    snprintf(name, sizeof name, "loop over %s", kind);
    return jit_noted_in(lua, what, name);
}

#endif
