/* lunette.audit: what a Mac's own files say, as a table of Lua; and the way back, for tests that make one up.
 */
#ifndef LUNETTE_SCRIPT_CONFIGURATION_H
#define LUNETTE_SCRIPT_CONFIGURATION_H

#include <jansson.h>
#include <lua.h>

struct error;

/* Pushes objects and arrays as fresh tables; raises Lua's errors, of memory above all. Null pushes nil. */
void configuration_push(lua_State *lua, const json_t *value);

/* The plain table at that place of the stack: strings, numbers, booleans, tables of them. Allocates nothing
 * of Lua's. NULL and what is wrong. */
json_t *configuration_read(lua_State *lua, int index, struct error *err);

#endif
