/* Whose machine code is it? A list of the places where Lua runs, for the watchdog's signal handler.
 *
 * Lua runs in LuaJIT's library and in what its compiler made, which are the only executable pages that belong
 * to no file. Both are read off the kernel's list of mappings (proc(5), /proc/PID/maps) by a thread that may
 * read files; the handler, which may not, looks an address up in the list. If LuaJIT is linked statically,
 * its code cannot be told from ours, and is not on the list. */
#ifndef LUNETTE_SCRIPT_CODE_MAP_H
#define LUNETTE_SCRIPT_CODE_MAP_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the list anew. One thread at a time. False where there is none (not Linux). */
bool code_map_read(void);

/* Async-signal-safe. False as well while the list is being written: ask again later. */
bool code_map_is_lua(uintptr_t address);

#endif
