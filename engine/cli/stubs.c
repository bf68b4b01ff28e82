/* A Lua state of our own runs lua-api/stubs.lua once; nothing of it stays. */
#include "cli/stubs.h"

#include "script/embedded.h"

#include <lauxlib.h>
#include <lualib.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

struct lua_type lua_type_of(enum field_type type) {
    switch (type) {
    case FIELD_u8:
    case FIELD_u16:
    case FIELD_u32:
    case FIELD_u64:
        return (struct lua_type){"number", "integer", "integer|integer[]"};
    case FIELD_f64:
        return (struct lua_type){"number", "number", "number|number[]"};
    case FIELD_bool:
        return (struct lua_type){"boolean", "boolean", "boolean"};
    case FIELD_time:
        return (struct lua_type){"seconds", "number", "number|number[]"};
    case FIELD_ip:
        return (struct lua_type){"string", "string", "string|string[]|lunette.Set"};
    case FIELD_word:
    case FIELD_str:
        return (struct lua_type){"string?", "string?", "string|string[]|lunette.Set"};
    case FIELD_bytes:
        return (struct lua_type){"slice?", "lunette.Slice?", "string|string[]|lunette.Set"};
    case FIELD_list:
        return (struct lua_type){"strings", "string[]", NULL};
    case FIELD_u16s:
        return (struct lua_type){"numbers", "integer[]", NULL};
    default:
        return (struct lua_type){"?", "any", NULL};
    }
}

static int push_source(lua_State *lua) {
    const struct embedded_file *file = embedded_find(luaL_checkstring(lua, 1));
    if (!file) return 0;
    lua_pushlstring(lua, file->text, file->size);
    return 1;
}

static void set_text(lua_State *lua, const char *key, const char *text) {
    if (!text) return;
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, key);
}

static void push_event(lua_State *lua, const struct event_schema *schema) {
    lua_newtable(lua);
    set_text(lua, "name", schema->name);
    set_text(lua, "doc", schema->doc);
    lua_newtable(lua);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        struct lua_type type = lua_type_of(field->type);
        lua_newtable(lua);
        set_text(lua, "name", field->name);
        set_text(lua, "doc", field->doc);
        set_text(lua, "lua", type.annotation);
        set_text(lua, "filter", type.filter);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "fields");
}

/* Leaves the table of modules on the stack. */
static int modules_push(lua_State *lua, const bool *chosen, struct error *err) {
    const struct embedded_file *maker = embedded_find("stubs.lua");
    luaL_openlibs(lua);
    if (luaL_loadbuffer(lua, maker->text, maker->size, "=stubs.lua") == 0) {
        lua_pushcfunction(lua, push_source);
        lua_newtable(lua);
        int count = 0;
        for (int kind = 0; kind < EVENT_KINDS; kind++) {
            if (event_is_hidden((enum event_kind)kind)) continue;
            if (kind != EVENT_head && chosen && !chosen[kind]) continue;
            push_event(lua, event_schema_of((enum event_kind)kind));
            lua_rawseti(lua, -2, ++count);
        }
        if (lua_pcall(lua, 2, 1, 0) == 0) return 0;
    }
    return error_set(err, "%s", lua_tostring(lua, -1));
}

int stubs_print(struct buffer *out, const bool chosen[EVENT_KINDS], struct error *err) {
    lua_State *lua = luaL_newstate();
    if (!lua) return error_set(err, "out of memory");
    int outcome = modules_push(lua, chosen, err);
    if (outcome == 0) {
        size_t length;
        lua_getfield(lua, -1, "lunette");
        const char *text = lua_tolstring(lua, -1, &length);
        buffer_put(out, text, length);
    }
    lua_close(lua);
    return outcome;
}

static int make_folder(const char *path, struct error *err) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return 0;
    return error_set(err, "%s: %m", path);
}

/* "lunette.names" is lunette/names.lua. */
static int write_module(const char *folder, const char *module, const char *text, size_t length,
                        struct error *err) {
    char path[4096];
    int used = snprintf(path, sizeof path, "%s/%s.lua", folder, module);
    if (used < 0 || (size_t)used >= sizeof path) return error_set(err, "%s: the path is too long", folder);
    char *dot = strchr(path + strlen(folder), '.');
    if (dot && strcmp(dot, ".lua") != 0) *dot = '/';
    FILE *file = fopen(path, "w");
    if (!file) return error_set(err, "%s: %m", path);
    bool written = fwrite(text, 1, length, file) == length;
    if (fclose(file) != 0 || !written) return error_set(err, "%s: %m", path);
    return 0;
}

int stubs_write(const char *folder, struct error *err) {
    char inner[4096];
    int used = snprintf(inner, sizeof inner, "%s/lunette", folder);
    if (used < 0 || (size_t)used >= sizeof inner) return error_set(err, "%s: the path is too long", folder);
    if (make_folder(folder, err) < 0 || make_folder(inner, err) < 0) return -1;
    lua_State *lua = luaL_newstate();
    if (!lua) return error_set(err, "out of memory");
    int outcome = modules_push(lua, NULL, err);
    if (outcome == 0) {
        lua_pushnil(lua);
        while (outcome == 0 && lua_next(lua, -2)) {
            size_t length;
            const char *text = lua_tolstring(lua, -1, &length);
            outcome = write_module(folder, lua_tostring(lua, -2), text, length, err);
            lua_pop(lua, 1);
        }
    }
    lua_close(lua);
    return outcome;
}
