/* See check.h. The Lua side does the reading and the writing; here it gets what it needs: the files, the
 * event schema, the names that scripts may use, and the annotated sources of the API. */
#include "workbench/check.h"

#include "script/cdef.h"
#include "script/embedded.h"
#include "workbench/check_files.h"
#include "workbench/check_load.h"
#include "workbench/tool.h"

#include <lauxlib.h>
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
    lua_pushboolean(lua, file->beside);
    lua_setfield(lua, -2, "beside");
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
    lua_pushcfunction(lua, tool_embedded);
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
    tool_push_part(lua, "check.lua");
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
    tool_push_part(lua, "check_codes.lua");
    lua_call(lua, 0, 1);
    lua_getfield(lua, -1, "reference");
    lua_call(lua, 0, 1);
    buffer_string(check->out, lua_tostring(lua, -1));
    return 0;
}

int check_run(const struct check_options *options, struct buffer *out, struct error *err) {
    struct check check = {.options = options, .out = out, .err = err};
    if (check_files_find(&check.files, options, err) < 0) return -1;
    check.names = check_load_names(err);
    int outcome = check.names ? tool_run(run, &check, err) : -1;
    free(check.names);
    check_files_free(&check.files);
    return outcome < 0 ? -1 : check.problems;
}

int check_codes(struct buffer *out, struct error *err) {
    struct check check = {.out = out, .err = err};
    return tool_run(list, &check, err);
}
