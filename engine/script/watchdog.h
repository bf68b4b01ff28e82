/* The watchdog: gets a thread out of Lua that does not come back by itself.
 *
 * One thread of the process looks at all threads that are inside Lua, by their CPU clocks. Who has been in
 * there for longer than allowed gets a signal, whose handler runs in that thread and
 *
 *      first    sets a hook, which the interpreter obeys at its next instruction, and a mark that the
 * allocator obeys (heap_hurry()); soon     asks where the signal struck. Compiled loops and LuaJIT's C
 * functions (string.find) obey no hook; if it struck in these (code_map.h), in none of the engine's functions
 * that Lua called, the handler jumps out of Lua altogether. If it struck in libc or in the engine, somebody
 * may hold a lock or be half way through: it is tried again a millisecond later.
 *
 * Both ways end where heap_escape_to() points to, with HEAP_LATE. After that nothing of the Lua state may be
 * used: its heap is thrown away as a whole. What LuaJIT keeps outside that heap is lost: the machine code
 * that was compiled for the state, some hundred KiB. luaJIT_setmode() in the handler is no way out: it
 * crashes when compiled code is running.
 *
 * Where the kernel does not say where code lies (macOS), and where LuaJIT is linked statically, the first way
 * alone is open, or the second for compiled loops only; then the supervisor remains. */
#ifndef LUNETTE_SCRIPT_WATCHDOG_H
#define LUNETTE_SCRIPT_WATCHDOG_H

#include "base/time.h"
#include "script/heap.h"

#include <lua.h>
#include <stdbool.h>

/* One entry into Lua; lies on the stack of who enters. */
struct watch {
    lua_State *lua;
    struct heap *heap;
    nanoseconds limit; /* of CPU time; 0: not watched */
    struct watch *outer;
    bool held;
};

/* Before and after Lua has control, in the thread that enters; also after a jump out of it. Entries may lie
 * within each other; of those the innermost is watched. */
void watchdog_enter(struct watch *watch);
void watchdog_leave(struct watch *watch);

/* CPU time that the last entry of this thread which was given up had taken, as far as it was seen. */
nanoseconds watchdog_taken(void);

/* Called by the engine's functions that Lua calls through the FFI: jumps if this entry is over its limit. Not
 * where anything is held. */
void watchdog_obey(void);

/* The engine works on behalf of Lua, from now on or no more: no jump now. Returns what it was before. */
bool watchdog_hold(bool on);

/* A lua_CFunction that calls the function which is its first upvalue, held: until it is over the watchdog
 * keeps its hands off, whether it returns or raises an error. So that function may not call a script's. */
int watchdog_held_call(lua_State *lua);

#endif
