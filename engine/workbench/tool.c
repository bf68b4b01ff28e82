/* See tool.h. */
#include "workbench/tool.h"

#include "script/embedded.h"

#include <lauxlib.h>
#include <lualib.h>

struct task {
    lua_CFunction what;
    void *context;
};

static int begin(lua_State *lua) {
    struct task *task = lua_touserdata(lua, 1);
    luaL_openlibs(lua);
    lua_settop(lua, 0);
    lua_pushcfunction(lua, task->what);
    lua_pushlightuserdata(lua, task->context);
    lua_call(lua, 1, 0);
    return 0;
}

int tool_run(lua_CFunction what, void *context, struct error *err) {
    struct task task = {.what = what, .context = context};
    lua_State *lua = luaL_newstate();
    if (!lua) return error_set(err, "out of memory");
    int outcome = 0;
    if (lua_cpcall(lua, begin, &task) != 0) {
        const char *message = lua_tostring(lua, -1);
        outcome = error_set(err, "%s", message ? message : "an error that is no text");
    }
    lua_close(lua);
    return outcome;
}

static const struct embedded_file *file_of(lua_State *lua, const char *name) {
    const struct embedded_file *file = embedded_find(name);
    if (!file) luaL_error(lua, "%s is not in the program", name);
    return file;
}

void tool_push_part(lua_State *lua, const char *name) {
    const struct embedded_file *file = file_of(lua, name);
    lua_pushfstring(lua, "=%s", name);
    if (luaL_loadbuffer(lua, file->text, file->size, lua_tostring(lua, -1)) != 0) lua_error(lua);
    lua_remove(lua, -2);
}

int tool_embedded(lua_State *lua) {
    const struct embedded_file *file = file_of(lua, luaL_checkstring(lua, 1));
    lua_pushlstring(lua, file->text, file->size);
    return 1;
}
