/* See check.h. The Lua side does the reading and the writing; here it gets what it needs: the files, the
 * event schema, the names that scripts may use, and the annotated sources of the API. */
#include "workbench/check.h"

#include "script/cdef.h"
#include "script/embedded.h"
#include "workbench/check_files.h"
#include "workbench/check_load.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const struct check_options *options;
    struct check_files files;
    char *names;
    struct buffer *out;
    struct error *err;
    int problems;
};

/* ------------------------------------------------------------ for the Lua side */

static int give_embedded(lua_State *lua) {
    const struct embedded_file *file = embedded_find(luaL_checkstring(lua, 1));
    if (!file) return luaL_error(lua, "%s is not in the program", lua_tostring(lua, 1));
    lua_pushlstring(lua, file->text, file->size);
    return 1;
}

/* Pushes the function that a Lua file of the tool's own is. */
static void push_part(lua_State *lua, const char *name) {
    const struct embedded_file *file = embedded_find(name);
    if (!file) luaL_error(lua, "%s is not in the program", name);
    lua_pushfstring(lua, "=%s", name);
    if (luaL_loadbuffer(lua, file->text, file->size, lua_tostring(lua, -1)) != 0) lua_error(lua);
    lua_remove(lua, -2);
}

static void push_patterns(lua_State *lua, const char *const *patterns) {
    lua_newtable(lua);
    for (int i = 0; i < CHECK_PATTERNS && patterns[i]; i++) {
        lua_pushstring(lua, patterns[i]);
        lua_rawseti(lua, -2, i + 1);
    }
}

/* All Lua sources in the program: the API's annotations stand in some of them. */
static void push_sources(lua_State *lua) {
    int count = 0;
    lua_newtable(lua);
    for (const struct embedded_file *file = embedded_files; file->name; file++) {
        if (strncmp(file->name, "check", 5) == 0) continue;
        lua_pushlstring(lua, file->text, file->size);
        lua_rawseti(lua, -2, ++count);
    }
}

static void push_file(lua_State *lua, const struct check_file *file) {
    char name[256];
    check_file_name(file, name, sizeof name);
    lua_newtable(lua);
    lua_pushstring(lua, file->path);
    lua_setfield(lua, -2, "path");
    lua_pushstring(lua, name);
    lua_setfield(lua, -2, "name");
    lua_pushlstring(lua, file->text, file->size);
    lua_setfield(lua, -2, "text");
    if (file->why) {
        lua_pushstring(lua, file->why);
        lua_setfield(lua, -2, "why");
    }
    if (file->inventory) {
        lua_pushstring(lua, file->inventory);
        lua_setfield(lua, -2, "inventory");
    }
    lua_pushnumber(lua, (lua_Number)file->memory);
    lua_setfield(lua, -2, "memory");
}

static void push_files(lua_State *lua, const struct check_files *files) {
    lua_newtable(lua);
    for (size_t i = 0; i < files->count; i++) {
        push_file(lua, &files->list[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

/* What check.lua gets as its one argument. */
static void push_given(lua_State *lua, const struct check *check) {
    lua_newtable(lua);
    lua_pushcfunction(lua, give_embedded);
    lua_setfield(lua, -2, "embedded");
    cdef_push_schema(lua);
    lua_setfield(lua, -2, "schema");
    push_sources(lua);
    lua_setfield(lua, -2, "sources");
    lua_pushstring(lua, check->names ? check->names : "");
    lua_setfield(lua, -2, "names");
    push_patterns(lua, check->options->enable);
    lua_setfield(lua, -2, "enable");
    push_patterns(lua, check->options->ignore);
    lua_setfield(lua, -2, "ignore");
    lua_pushboolean(lua, check->options->hints);
    lua_setfield(lua, -2, "hints");
    lua_pushboolean(lua, check->options->quiet);
    lua_setfield(lua, -2, "quiet");
    lua_pushboolean(lua, check->options->json);
    lua_setfield(lua, -2, "json");
    push_files(lua, &check->files);
    lua_setfield(lua, -2, "files");
}

/* ------------------------------------------------------------ the run */

/* read() tells which files are detectors; they are loaded; report() has the last word. */
static int run(lua_State *lua) {
    struct check *check = lua_touserdata(lua, 1);
    luaL_openlibs(lua);
    push_part(lua, "check.lua");
    push_given(lua, check);
    lua_call(lua, 1, 1);
    lua_getfield(lua, -1, "read");
    lua_call(lua, 0, 1);
    for (size_t i = 0; i < check->files.count; i++) {
        lua_rawgeti(lua, -1, (int)i + 1);
        check->files.list[i].is_detector = lua_toboolean(lua, -1);
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    if (check->options->load && check_load(&check->files, check->err) < 0)
        return luaL_error(lua, "%s", check->err->text);
    lua_getfield(lua, -1, "report");
    push_files(lua, &check->files);
    lua_call(lua, 1, 2);
    size_t size;
    const char *text = lua_tolstring(lua, -2, &size);
    buffer_put(check->out, text, size);
    check->problems = (int)lua_tointeger(lua, -1);
    return 0;
}

static int list(lua_State *lua) {
    struct check *check = lua_touserdata(lua, 1);
    luaL_openlibs(lua);
    push_part(lua, "check_codes.lua");
    lua_call(lua, 0, 1);
    lua_getfield(lua, -1, "reference");
    lua_call(lua, 0, 1);
    buffer_string(check->out, lua_tostring(lua, -1));
    return 0;
}

static int in_lua(struct check *check, lua_CFunction what) {
    lua_State *lua = luaL_newstate();
    if (!lua) return error_set(check->err, "out of memory");
    int outcome = 0;
    if (lua_cpcall(lua, what, check) != 0) {
        const char *message = lua_tostring(lua, -1);
        outcome = error_set(check->err, "%s", message ? message : "an error that is no text");
    }
    lua_close(lua);
    return outcome;
}

int check_run(const struct check_options *options, struct buffer *out, struct error *err) {
    struct check check = {.options = options, .out = out, .err = err};
    if (check_files_find(&check.files, options, err) < 0) return -1;
    check.names = check_load_names(err);
    int outcome = check.names ? in_lua(&check, run) : -1;
    free(check.names);
    check_files_free(&check.files);
    return outcome < 0 ? -1 : check.problems;
}

int check_codes(struct buffer *out, struct error *err) {
    struct check check = {.out = out, .err = err};
    return in_lua(&check, list);
}
