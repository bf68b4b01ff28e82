/* What a detector declares, told by itself when it was loaded with `inspect` (inventory.lua). */
#ifndef LUNETTE_SCRIPT_INVENTORY_H
#define LUNETTE_SCRIPT_INVENTORY_H

#include "script/detector.h"

#include <lua.h>

enum inventory { INVENTORY_DECLARED, INVENTORY_NAMES };

/* A Lua chunk that returns a table written out, all values quoted: what the detector declares (handlers,
 * timers, states, sets, events, streams, tunables, title), or the names that scripts may use ({ globals,
 * modules }, each text with a path a line). NULL if it cannot be had. The caller frees it. */
char *detector_inventory(struct detector *detector, enum inventory what);

/* What a function of the detector's trusted side, kept under `call`, gives: a text, or NULL. The caller frees
 * it. */
char *detector_written(struct detector *detector, int call, bool argument);

/* Pushes the names of what may be modules in the program: what inventory.lua is given, to ask require for
 * them. */
void inventory_push_modules(lua_State *lua);

#endif
