/* See inventory.h. */
#include "script/inventory.h"

#include "script/embedded.h"
#include "script/state.h"

#include <stdlib.h>

void inventory_push_modules(lua_State *lua) {
    int count = 0;
    lua_newtable(lua);
    lua_pushliteral(lua, "lunette");
    lua_rawseti(lua, -2, ++count);
    for (const struct embedded_file *file = embedded_files; file->name; file++) {
        size_t length = strlen(file->name);
        bool is_lua = length > 4 && strcmp(file->name + length - 4, ".lua") == 0;
        if (!is_lua || strcmp(file->name, "lunette.lua") == 0) continue;
        lua_pushliteral(lua, "lunette.");
        lua_pushlstring(lua, file->name, length - 4);
        lua_concat(lua, 2);
        lua_rawseti(lua, -2, ++count);
    }
}

static char *text_of(struct detector *detector, int call, bool argument) {
    lua_State *lua = detector->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call);
    lua_pushboolean(lua, argument);
    bool told = lua_pcall(lua, 1, 1, 0) == 0 && lua_type(lua, -1) == LUA_TSTRING;
    char *text = told ? strdup(lua_tostring(lua, -1)) : NULL;
    lua_pop(lua, 1);
    return text;
}

char *detector_written(struct detector *detector, int call, bool argument) {
    jmp_buf escape;
    if (!detector->lua) return NULL;
    if (setjmp(escape) != 0) return NULL; /* no memory left in its bound: nobody enters the state again */
    heap_escape_to(detector->heap, &escape);
    char *text = text_of(detector, call, argument);
    heap_escape_to(detector->heap, NULL);
    return text;
}

char *detector_inventory(struct detector *detector, enum inventory what) {
    if (!detector->options.inspect) return NULL;
    return detector_written(detector, detector->call_inventory, what == INVENTORY_NAMES);
}
