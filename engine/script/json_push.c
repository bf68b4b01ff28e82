/* See json_push.h. */
#include "script/json_push.h"

#include <lauxlib.h>

static void push_object(lua_State *lua, json_t *object) {
    const char *key;
    json_t *item;
    lua_createtable(lua, 0, (int)json_object_size(object));
    json_object_foreach(object, key, item) {
        json_push(lua, item);
        lua_setfield(lua, -2, key);
    }
}

static void push_array(lua_State *lua, const json_t *array) {
    lua_createtable(lua, (int)json_array_size(array), 0);
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_push(lua, json_array_get(array, i));
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

void json_push(lua_State *lua, const json_t *value) {
    luaL_checkstack(lua, 4, "nested too deep");
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        push_object(lua, (json_t *)value);
        return;
    case JSON_ARRAY:
        push_array(lua, value);
        return;
    case JSON_STRING:
        lua_pushlstring(lua, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        lua_pushnumber(lua, json_number_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(lua, json_is_true(value));
        return;
    default:
        lua_pushnil(lua);
    }
}
