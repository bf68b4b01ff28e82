/* JSON as Lua's values: objects and arrays become fresh tables, null and NULL nil. */
#ifndef LUNETTE_SCRIPT_JSON_PUSH_H
#define LUNETTE_SCRIPT_JSON_PUSH_H

#include <jansson.h>
#include <lua.h>

/* Pushes one value. Raises Lua's error if it is nested deeper than its stack. */
void json_push(lua_State *lua, const json_t *value);

#endif
