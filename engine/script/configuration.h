/* A Mac's settings as a script wrote them down, for tests that make them up; the way to a script is
 * json_push.h. */
#ifndef LUNETTE_SCRIPT_CONFIGURATION_H
#define LUNETTE_SCRIPT_CONFIGURATION_H

#include <jansson.h>
#include <lua.h>

struct error;

/* The plain table at that place of the stack: strings, numbers, booleans, tables of them. Allocates nothing
 * of Lua's. NULL and what is wrong. */
json_t *configuration_read(lua_State *lua, int index, struct error *err);

#endif
