/* Protected calls of the script's functions, and the walk over a batch's runs.
 *
 * Called from C, compiled code can return from wherever it began: a trace that starts inside of a function of
 * the script's cannot lead out through a pcall of Lua's. And the walk itself is C, since reading the feed
 * through the FFI is dear where Lua is interpreted, and a batch with twenty detectors has hundreds of runs of
 * one or two events.
 *
 * What is called here is the script's: the watchdog may strike, so these are not held as other functions are.
 */
#include "script/state.h"

#include <lauxlib.h>

/* From here on a run has a loop of its own; a loop that is left after a turn or two cannot be compiled, and
 * LuaJIT, having tried some times, would never try that loop again. */
enum { LONG_RUN = 8 };

enum outcome { WENT_WELL, STOP, FAILED }; /* FAILED: the message is on top of the stack */

/* The stack's first three slots: the message handler, then the function, then what it is. */
static enum outcome call_run(lua_State *lua, int function, uint32_t from, uint32_t to) {
    lua_pushvalue(lua, function);
    lua_pushinteger(lua, from);
    lua_pushinteger(lua, to);
    if (lua_pcall(lua, 2, 1, 1) != 0) return FAILED;
    bool stop = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return stop ? STOP : WENT_WELL;
}

static enum outcome call_each(lua_State *lua, int function, uint32_t from, uint32_t to) {
    for (uint32_t n = from; n < to; n++) {
        lua_pushvalue(lua, function);
        lua_pushinteger(lua, n);
        if (lua_pcall(lua, 1, 1, 1) != 0) return FAILED;
        bool stop = lua_toboolean(lua, -1);
        lua_pop(lua, 1);
        if (stop) return STOP;
    }
    return WENT_WELL;
}

/* call(traceback, f, …) → nothing; or what `traceback` made of the error */
static int host_call(lua_State *lua) {
    return lua_pcall(lua, lua_gettop(lua) - 2, 0, 1) != 0;
}

/* run(traceback, single, loop, from, to) → true if one of the calls returned true, else false; and what
 * `traceback` made of an error. A short run is single(n) for each, a long one loop(from, to). */
static int host_run(lua_State *lua) {
    uint32_t from = (uint32_t)lua_tointeger(lua, 4), to = (uint32_t)lua_tointeger(lua, 5);
    enum outcome outcome = to - from >= LONG_RUN ? call_run(lua, 3, from, to) : call_each(lua, 2, from, to);
    lua_pushboolean(lua, outcome == STOP);
    if (outcome != FAILED) return 1;
    lua_insert(lua, -2);
    return 2;
}

/* ----------------------------------------------------------------- one batch */

/* Upvalues of host_batch, and below the slots of the stack that the same things are in. */
enum { DETECTOR = 1, TRACEBACK, SINGLES, LOOPS, BUILD, RECOVER, TIMERS };
enum { AT_TRACEBACK = 1, AT_FUNCTION };

/* Puts the kind's function for one event, or that for a run, into its slot. */
static void choose(lua_State *lua, int functions, int kind) {
    lua_rawgeti(lua, lua_upvalueindex(functions), kind);
    if (lua_isnil(lua, -1)) {
        lua_pop(lua, 1);
        lua_pushvalue(lua, lua_upvalueindex(BUILD));
        lua_pushinteger(lua, kind);
        lua_call(lua, 1, 0);
        lua_rawgeti(lua, lua_upvalueindex(functions), kind);
    }
    lua_replace(lua, AT_FUNCTION);
}

/* A handler failed, and the message is on top. True: the detector is off now. */
static bool recover(lua_State *lua, int kind) {
    lua_pushvalue(lua, lua_upvalueindex(RECOVER));
    lua_insert(lua, -2);
    lua_pushinteger(lua, kind);
    lua_call(lua, 2, 1);
    bool off = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return off;
}

/* Handles the entries from `from` up to before `to`, all of that kind. True: the detector stops here. */
static bool handle_run(lua_State *lua, struct lunette_feed *feed, int kind, uint32_t from, uint32_t to) {
    while (from < to) {
        bool is_long = to - from >= LONG_RUN;
        choose(lua, is_long ? LOOPS : SINGLES, kind);
        feed->running = 0;
        enum outcome outcome =
            is_long ? call_run(lua, AT_FUNCTION, from, to) : call_each(lua, AT_FUNCTION, from, to);
        if (outcome != FAILED) return outcome == STOP;
        if (recover(lua, kind)) return true;
        from = feed->current + 1;
    }
    return false;
}

/* One batch: its runs, each by its kind's functions, then the timers that are due until its end. */
static int host_batch(lua_State *lua) {
    struct lunette_feed *feed = detector_of(lua)->feed;
    uint32_t from = feed->first;
    lua_settop(lua, 0);
    lua_pushvalue(lua, lua_upvalueindex(TRACEBACK));
    lua_pushnil(lua);
    for (uint32_t r = 0; r < feed->runs; r++) {
        uint32_t to = feed->run_end[r];
        if (to <= from) continue;
        if (handle_run(lua, feed, feed->run_kind[r], from, to)) return 0;
        from = to;
    }
    if (feed->stop <= from) return 0;
    if (feed->due <= feed->end_clock) {
        lua_pushvalue(lua, lua_upvalueindex(TIMERS));
        lua_pushnumber(lua, feed->end_clock);
        lua_call(lua, 1, 1);
        if (lua_toboolean(lua, -1)) return 0;
    }
    feed->now = feed->end_clock;
    return 0;
}

/* batches(traceback, singles, loops, build, recover, timers) → the function that handles a batch. singles and
 * loops: by kind, the functions as in `run`; build(kind) makes them; recover(message, kind) deals with a
 * failed handler and is true if the detector is off; timers(now) is true if nothing more shall run. */
static int host_batches(lua_State *lua) {
    lua_settop(lua, TIMERS - DETECTOR);
    lua_pushvalue(lua, lua_upvalueindex(DETECTOR));
    lua_insert(lua, 1);
    lua_pushcclosure(lua, host_batch, TIMERS);
    return 1;
}

void calls_bind(lua_State *lua, struct detector *detector) {
    lua_pushcfunction(lua, host_call);
    lua_setfield(lua, -2, "call");
    lua_pushcfunction(lua, host_run);
    lua_setfield(lua, -2, "run");
    lua_pushlightuserdata(lua, detector);
    lua_pushcclosure(lua, host_batches, 1);
    lua_setfield(lua, -2, "batches");
}
