/* See configuration.h. */
#include "script/configuration.h"

#include "base/error.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>

enum { DEPTH = 16, ITEMS_MOST = 100000 };

/* ── from Lua to JSON ────────────────────────────────────────────── */

struct reading {
    lua_State *lua;
    struct error *err;
    uint32_t items;
};

static json_t *read_value(struct reading *reading, int index, int depth);

/* Puts the value into its place. The value is gone afterwards, one way or the other. */
static bool put(struct reading *reading, json_t *into, const char *key, json_t *value) {
    if (!value) return false;
    int outcome = key ? json_object_set_new(into, key, value) : json_array_append_new(into, value);
    if (outcome < 0) error_set(reading->err, "a key that is no text (UTF-8), or no memory");
    return outcome == 0;
}

static bool read_list(struct reading *reading, int index, size_t count, json_t *into, int depth) {
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(reading->lua, index, (int)i);
        bool fine = put(reading, into, NULL, read_value(reading, lua_gettop(reading->lua), depth + 1));
        lua_pop(reading->lua, 1);
        if (!fine) return false;
    }
    return true;
}

static bool read_pairs(struct reading *reading, int index, json_t *into, int depth) {
    lua_State *lua = reading->lua;
    lua_pushnil(lua);
    while (lua_next(lua, index)) {
        bool named = lua_type(lua, -2) == LUA_TSTRING;
        if (!named) error_set(reading->err, "a key must be a name, got a %s", luaL_typename(lua, -2));
        if (!named ||
            !put(reading, into, lua_tostring(lua, -2), read_value(reading, lua_gettop(lua), depth + 1)))
            return false;
        lua_pop(lua, 1);
    }
    return true;
}

static json_t *read_table(struct reading *reading, int index, int depth) {
    lua_State *lua = reading->lua;
    size_t count = lua_objlen(lua, index);
    int top = lua_gettop(lua);
    if (depth >= DEPTH) {
        error_set(reading->err, "nested deeper than %d", DEPTH);
        return NULL;
    }
    json_t *into = count ? json_array() : json_object();
    bool fine = into && (count ? read_list(reading, index, count, into, depth)
                               : read_pairs(reading, index, into, depth));
    lua_settop(lua, top);
    if (fine) return into;
    if (!into) error_set(reading->err, "out of memory");
    json_decref(into);
    return NULL;
}

static json_t *read_number(struct reading *reading, double number) {
    if (isfinite(number) && number == floor(number) && fabs(number) < 9e15)
        return json_integer((json_int_t)number);
    if (isfinite(number)) return json_real(number);
    error_set(reading->err, "a number that is none (NaN or infinite)");
    return NULL;
}

static json_t *read_value(struct reading *reading, int index, int depth) {
    lua_State *lua = reading->lua;
    size_t length;
    const char *text;
    json_t *value;
    if (++reading->items > ITEMS_MOST) {
        error_set(reading->err, "more than %d values", ITEMS_MOST);
        return NULL;
    }
    switch (lua_type(lua, index)) {
    case LUA_TTABLE:
        return read_table(reading, index, depth);
    case LUA_TSTRING:
        text = lua_tolstring(lua, index, &length);
        value = json_stringn(text, length);
        if (!value) error_set(reading->err, "a text that is not UTF-8");
        return value;
    case LUA_TNUMBER:
        return read_number(reading, lua_tonumber(lua, index));
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(lua, index));
    default:
        error_set(reading->err, "a value must be a string, number, boolean or table, got a %s",
                  luaL_typename(lua, index));
        return NULL;
    }
}

json_t *configuration_read(lua_State *lua, int index, struct error *err) {
    struct reading reading = {.lua = lua, .err = err};
    luaL_checkstack(lua, 4 * DEPTH + 4,
                    "no room"); /* now: later it might not come back, and what is read so far be lost */
    return read_value(&reading, index, 0);
}
