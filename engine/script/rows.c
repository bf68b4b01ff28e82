/* See rows.h. */
#include "script/rows.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

enum { COLUMNS_MOST = 64 };

/* The next line with something in it; false at the end. */
static bool line_next(const char **at, const char *end, const char **line, const char **line_end) {
    while (*at < end) {
        const char *from = *at;
        while (*at < end && **at != '\n' && **at != '\r') (*at)++;
        *line = from;
        *line_end = *at;
        if (*at < end) (*at)++;
        size_t blank = strspn(from, " \t\v\f");
        if (from + blank < *line_end && from[blank] != '#') return true;
    }
    return false;
}

static const char *cell_end(const char *from, const char *end) {
    const char *tab = memchr(from, '\t', (size_t)(end - from));
    return tab ? tab : end;
}

void rows_push(lua_State *lua, const char *text, size_t size) {
    const char *at = text, *end = text + size, *line, *line_end;
    if (!line_next(&at, end, &line, &line_end)) {
        lua_pushnil(lua);
        return;
    }
    lua_newtable(lua);
    int rows = lua_gettop(lua), columns = 0;
    luaL_checkstack(lua, COLUMNS_MOST + 8, "too many columns");
    for (const char *cell = line; columns < COLUMNS_MOST; columns++) {
        const char *stop = cell_end(cell, line_end);
        lua_pushlstring(lua, cell, (size_t)(stop - cell));
        if (stop == line_end) {
            columns++;
            break;
        }
        cell = stop + 1;
    }
    for (int row = 1; line_next(&at, end, &line, &line_end); row++) {
        lua_createtable(lua, 0, columns);
        const char *cell = line;
        for (int column = 1; column <= columns; column++) {
            const char *stop = cell_end(cell, line_end);
            lua_pushvalue(lua, rows + column);
            lua_pushlstring(lua, cell, (size_t)(stop - cell));
            lua_rawset(lua, -3);
            if (stop == line_end) break;
            cell = stop + 1;
        }
        lua_rawseti(lua, rows, row);
    }
    lua_settop(lua, rows);
}
