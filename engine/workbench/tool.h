/* Lua of the tools' own: trusted, in a state that no script is ever in. */
#ifndef LUNETTE_WORKBENCH_TOOL_H
#define LUNETTE_WORKBENCH_TOOL_H

#include "base/error.h"

#include <lua.h>

/* Runs `what` in a new state with all libraries; its one argument is `context` (light userdata). -1 and why
 * if it raises an error. */
int tool_run(lua_CFunction what, void *context, struct error *err);

/* Pushes the function that a Lua file in the program is. Raises an error if it is not there. */
void tool_push_part(lua_State *lua, const char *name);

/* A function for Lua: embedded(name) → the text of a file in the program. */
int tool_embedded(lua_State *lua);

#endif
