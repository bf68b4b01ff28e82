/* The chunk's environment is an empty table: every read and every assignment of a global goes through its
 * metatable, which knows the options, and debug information gives the line. */
#include "cli/config.h"

#include "endpoint/hosts.h"
#include "output/receiver.h"
#include "script/heap.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 1 << 20,
    MEMORY_MAX = 32 << 20,
    STEP = 10000, /* instructions between two looks */
    STEPS_MAX = 2000,
    MISTAKES_MAX = 12, /* told at once */
    MESSAGE_SIZE = 320,
};

struct mistake {
    uint32_t line; /* 0: of the file as a whole */
    char text[MESSAGE_SIZE];
};

struct config {
    const char *path;
    size_t folder; /* how much of the path is its folder, the slash included */
    char *source;
    size_t source_size;
    struct values *values; /* what the file says */
    uint32_t lines[OPTION_COUNT];
    struct mistake mistakes[MISTAKES_MAX];
    uint32_t mistake_count; /* of all, also those that are not kept */
    uint32_t steps;
    struct heap *heap;
    lua_State *lua;
};

/* ── mistakes ────────────────────────────────────────────────────── */

__attribute__((format(printf, 3, 4))) static void mistaken(struct config *config, uint32_t line,
                                                           const char *format, ...) {
    if (config->mistake_count++ >= MISTAKES_MAX) return;
    struct mistake *mistake = &config->mistakes[config->mistake_count - 1];
    mistake->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mistake->text, sizeof mistake->text, format, arguments);
    va_end(arguments);
}

static int by_line(const void *a, const void *b) {
    const struct mistake *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

/* A line for each, as many as there is room for. */
static int tell_mistakes(struct config *config, struct error *err) {
    uint32_t kept = config->mistake_count < MISTAKES_MAX ? config->mistake_count : MISTAKES_MAX, told = 0;
    size_t used = 0, room = sizeof err->text - 40;
    qsort(config->mistakes, kept, sizeof config->mistakes[0], by_line);
    for (; told < kept; told++) {
        const struct mistake *m = &config->mistakes[told];
        char text[sizeof err->text], line[16] = "";
        if (m->line) snprintf(line, sizeof line, ":%u", m->line);
        size_t length =
            (size_t)snprintf(text, sizeof text, "%s%s%s: %s", told ? "\n" : "", config->path, line, m->text);
        if (used + length >= room && told > 0) break;
        used += (size_t)snprintf(err->text + used, sizeof err->text - used, "%s", text);
        if (used >= sizeof err->text) used = sizeof err->text - 1;
    }
    if (told < config->mistake_count)
        snprintf(err->text + used, sizeof err->text - used, "\nand %u more", config->mistake_count - told);
    return -1;
}

/* ── what the chunk may do ───────────────────────────────────────── */

static struct config *config_of(lua_State *lua) {
    return lua_touserdata(lua, lua_upvalueindex(1));
}

static uint32_t line_of_caller(lua_State *lua) {
    lua_Debug debug;
    bool known = lua_getstack(lua, 1, &debug) && lua_getinfo(lua, "l", &debug) && debug.currentline > 0;
    return known ? (uint32_t)debug.currentline : 0;
}

/* An assignment: noted with its line, looked at when the chunk has ended, for a table may grow until then. */
static int assign(lua_State *lua) {
    struct config *config = config_of(lua);
    uint32_t line = line_of_caller(lua);
    char name[OPTION_NAME_SIZE];
    if (lua_type(lua, 2) != LUA_TSTRING) return luaL_error(lua, "globals have names");
    const char *key = lua_tostring(lua, 2);
    enum option_id id = option_of_key(key);
    if (id != OPTION_COUNT && option_spec(id)->no_key) {
        mistaken(config, line, "%.64s: the command line alone has this option", key);
    } else if (id != OPTION_COUNT) {
        config->lines[id] = line;
        lua_settop(lua, 3);
        lua_rawset(lua, lua_upvalueindex(2));
    } else {
        const char *near = option_nearest_key(key, name);
        if (near)
            mistaken(config, line, "there is no option '%.64s', did you mean '%s'?", key, near);
        else
            mistaken(config, line, "there is no option '%.64s' (a variable of your own? write: local %.64s)",
                     key, key);
    }
    return 0;
}

/* A read: what was assigned before, else one of the functions. */
static int look_up(lua_State *lua) {
    lua_settop(lua, 2);
    lua_pushvalue(lua, 2);
    lua_rawget(lua, lua_upvalueindex(2));
    if (!lua_isnil(lua, -1)) return 1;
    lua_pushvalue(lua, 2);
    lua_rawget(lua, lua_upvalueindex(3));
    return 1;
}

static int env(lua_State *lua) {
    lua_pushstring(lua, getenv(luaL_checkstring(lua, 1)));
    return 1;
}

/* Compiled loops would not see it: the compiler is off. */
static void count_steps(lua_State *lua, lua_Debug *debug) {
    lua_getfield(lua, LUA_REGISTRYINDEX, "config");
    struct config *config = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    if (++config->steps <= STEPS_MAX) return;
    lua_getinfo(lua, "l", debug);
    lua_pushfstring(lua, "@:%d: it ran for %d million instructions and was stopped here: an endless loop?",
                    debug->currentline, STEPS_MAX * STEP / 1000000);
    lua_error(lua);
}

static void open_library(lua_State *lua, lua_CFunction open, const char *name) {
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

/* Leaves a table of the functions that the chunk may call. */
static void push_functions(lua_State *lua) {
    static const char *const allowed[] = {"assert", "error",    "ipairs", "next",     "pairs",
                                          "select", "tonumber", "type",   "tostring", "unpack",
                                          "string", "table",    "math",   NULL};
    open_library(lua, luaopen_base, "");
    open_library(lua, luaopen_string, LUA_STRLIBNAME);
    open_library(lua, luaopen_table, LUA_TABLIBNAME);
    open_library(lua, luaopen_math, LUA_MATHLIBNAME);
    lua_newtable(lua);
    for (size_t i = 0; allowed[i]; i++) {
        lua_getglobal(lua, allowed[i]);
        lua_setfield(lua, -2, allowed[i]);
    }
    lua_getfield(lua, -1, "string");
    lua_pushnil(lua);
    lua_setfield(lua, -2, "dump");
    lua_pop(lua, 1);
    lua_pushcfunction(lua, env);
    lua_setfield(lua, -2, "env");
}

/* With the table of what was assigned at `assigned`: leaves the chunk's environment. */
static void push_environment(lua_State *lua, struct config *config, int assigned) {
    lua_newtable(lua);
    lua_newtable(lua);
    lua_pushlightuserdata(lua, config);
    lua_pushvalue(lua, assigned);
    lua_pushcclosure(lua, assign, 2);
    lua_setfield(lua, -2, "__newindex");
    lua_pushlightuserdata(lua, config);
    lua_pushvalue(lua, assigned);
    push_functions(lua);
    lua_pushcclosure(lua, look_up, 3);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
}

/* ── what was assigned ───────────────────────────────────────────── */

static bool is_relative_path(enum option_path kind, const char *word, size_t *prefix) {
    static const char *const schemes[] = {"file:", "unix:", "syslog:unix:"};
    *prefix = 0;
    if (kind == NO_PATH || (kind == A_PATH && strcmp(word, "none") == 0)) return false;
    if (kind == A_HOST_LOG) {
        *prefix = (size_t)(hosts_path(word) - word);
        if (strcmp(word + *prefix, "-") == 0) return false;
    }
    if (kind == AN_OUTPUT) {
        if (strcmp(word, "-") == 0) return false;
        for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
            if (strncmp(word, schemes[i], strlen(schemes[i])) == 0) *prefix = strlen(schemes[i]);
        if (*prefix == 0 && !receiver_path(word)) return false; /* remote, or a mistake that is told later */
    }
    return word[*prefix] != '/' && word[*prefix] != '\0';
}

/* One string of an option's value, its path made relative to where the program runs. */
static int take_word(struct config *config, enum option_id id, const char *word, size_t length,
                     struct error *err) {
    const struct option_spec *spec = option_spec(id);
    size_t prefix;
    if (strlen(word) != length) return error_set(err, "there is a zero byte in it");
    if (!is_relative_path(spec->path, word, &prefix))
        return value_read(config->values, id, BY_CONFIG, word, err);
    char *whole = NULL;
    if (asprintf(&whole, "%.*s%.*s%s", (int)prefix, word, (int)config->folder, config->path, word + prefix) <
        0)
        return error_set(err, "out of memory");
    int outcome = value_read(config->values, id, BY_CONFIG, whole, err);
    free(whole);
    return outcome;
}

/* "a string", "{...}": what was found at the top of the stack instead. */
static void wrong_type(struct config *config, enum option_id id, const char *name) {
    char expected[160];
    lua_State *lua = config->lua;
    value_expected(option_spec(id), true, expected, sizeof expected);
    int type = lua_type(lua, -1);
    if (type == LUA_TNUMBER)
        mistaken(config, config->lines[id], "%s: expected %s, got %.14g", name, expected,
                 lua_tonumber(lua, -1));
    else if (type == LUA_TSTRING)
        mistaken(config, config->lines[id], "%s: expected %s, got the string '%.60s'", name, expected,
                 lua_tostring(lua, -1));
    else
        mistaken(config, config->lines[id], "%s: expected %s, got a %s", name, expected,
                 lua_typename(lua, type));
}

static void take_string(struct config *config, enum option_id id, const char *name) {
    struct error why = {.text = ""};
    size_t length;
    const char *word = lua_tolstring(config->lua, -1, &length);
    if (take_word(config, id, word, length, &why) < 0)
        mistaken(config, config->lines[id], "%s: %s", name, why.text);
}

/* A table with the keys 1 to n, and nothing else. */
static void take_list(struct config *config, enum option_id id, const char *name) {
    lua_State *lua = config->lua;
    size_t length = lua_objlen(lua, -1), keys = 0;
    struct value *value = &config->values->of[id];
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) keys++;
    if (keys != length) {
        mistaken(config, config->lines[id], "%s: expected a list without names in it: { \"...\", \"...\" }",
                 name);
        return;
    }
    value_clear(value);
    value->given = true;
    value->origin = BY_CONFIG;
    for (size_t i = 1; i <= length; i++) {
        char item[OPTION_NAME_SIZE + 24];
        snprintf(item, sizeof item, "%s[%zu]", name, i);
        lua_rawgeti(lua, -1, (int)i);
        struct error why = {.text = ""};
        size_t size;
        const char *word = lua_type(lua, -1) == LUA_TSTRING ? lua_tolstring(lua, -1, &size) : NULL;
        if (!word)
            mistaken(config, config->lines[id], "%s: expected a string, got a %s", item,
                     luaL_typename(lua, -1));
        else if (take_word(config, id, word, size, &why) < 0)
            mistaken(config, config->lines[id], "%s: %s", item, why.text);
        lua_pop(lua, 1);
    }
}

/* A tunable's value as text: a string, a number, true or false, or a list of these. -1 if it is none. */
static int tunable_text(lua_State *lua, struct buffer *b, bool in_list) {
    int type = lua_type(lua, -1);
    size_t length;
    if (type == LUA_TBOOLEAN) {
        buffer_string(b, lua_toboolean(lua, -1) ? "true" : "false");
    } else if (type == LUA_TNUMBER) {
        buffer_format(b, "%.15g", lua_tonumber(lua, -1));
    } else if (type == LUA_TSTRING) {
        const char *text = lua_tolstring(lua, -1, &length);
        if (strlen(text) != length) return -1;
        buffer_put(b, text, length);
    } else if (type == LUA_TTABLE && !in_list) {
        for (int i = 1, n = (int)lua_objlen(lua, -1); i <= n; i++) {
            if (i > 1) buffer_char(b, ',');
            lua_rawgeti(lua, -1, i);
            int outcome = tunable_text(lua, b, true);
            lua_pop(lua, 1);
            if (outcome < 0) return -1;
        }
    } else {
        return -1;
    }
    return 0;
}

/* The tunable whose name lies below its value on the stack. */
static void take_tunable(struct config *config, const char *detector, struct value *value) {
    lua_State *lua = config->lua;
    uint32_t line = config->lines[OPTION_SET];
    struct error why = {.text = ""};
    struct buffer b = {0};
    const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : NULL;
    if (!key || !*key || strchr(key, '=')) {
        mistaken(config, line, "set.%.64s: expected names and values: { score = 4 }", detector);
        return;
    }
    buffer_format(&b, "%s.%s=", detector, key);
    if (tunable_text(lua, &b, false) < 0)
        mistaken(config, line,
                 "set.%.64s.%.64s: expected a number, a string, true, false or a list of them, got a %s",
                 detector, key, luaL_typename(lua, -1));
    else {
        buffer_char(&b, '\0');
        if (b.failed || value_add_word(value, b.at, &why) < 0) mistaken(config, line, "set: out of memory");
    }
    buffer_free(&b);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lua's tables have no order: the settings are sorted, so that the same file gives the same ones. */
static void take_settings(struct config *config) {
    lua_State *lua = config->lua;
    struct value *value = &config->values->of[OPTION_SET];
    value_clear(value);
    value->given = true;
    value->origin = BY_CONFIG;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        const char *detector = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : NULL;
        if (!detector || !*detector || strpbrk(detector, ".=") || !lua_istable(lua, -1)) {
            mistaken(config, config->lines[OPTION_SET],
                     "set%s%.64s: expected a table for each detector: { beacon = { score = 4 } }",
                     detector ? "." : "", detector ? detector : "");
            continue;
        }
        for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) take_tunable(config, detector, value);
    }
    if (value->count) qsort(value->words, value->count, sizeof value->words[0], by_text);
}

static void take_flag(struct config *config, enum option_id id) {
    struct value *value = &config->values->of[id];
    value->number = lua_toboolean(config->lua, -1);
    value->given = true;
    value->origin = BY_CONFIG;
}

static void take_number(struct config *config, enum option_id id, const char *name) {
    struct error why = {.text = ""};
    struct value *value = &config->values->of[id];
    value->origin = BY_CONFIG;
    if (value_set_number(config->values, id, lua_tonumber(config->lua, -1), &why) < 0)
        mistaken(config, config->lines[id], "%s: %s", name, why.text);
}

/* The value at the top of the stack. */
static void take(struct config *config, enum option_id id, const char *name) {
    enum option_kind kind = option_spec(id)->kind;
    bool list = kind == KIND_LIST || kind == KIND_COMMAS,
         measured = kind == KIND_SIZE || kind == KIND_DURATION;
    switch (lua_type(config->lua, -1)) {
    case LUA_TNIL:
        return;
    case LUA_TBOOLEAN:
        if (kind == KIND_FLAG) return take_flag(config, id);
        break;
    case LUA_TNUMBER:
        if (kind == KIND_NUMBER || measured) return take_number(config, id, name);
        break;
    case LUA_TSTRING:
        if (kind == KIND_TEXT || kind == KIND_CHOICE || list || measured)
            return take_string(config, id, name);
        break;
    case LUA_TTABLE:
        if (list) return take_list(config, id, name);
        if (kind == KIND_SETTINGS) return take_settings(config);
        break;
    default:
        break;
    }
    wrong_type(config, id, name);
}

/* ── the file ────────────────────────────────────────────────────── */

/* Protected: runs the chunk, then reads what it assigned. What Lua itself finds wrong is raised. */
static int run(lua_State *lua) {
    struct config *config = lua_touserdata(lua, 1);
    lua_pushlightuserdata(lua, config);
    lua_setfield(lua, LUA_REGISTRYINDEX, "config");
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_newtable(lua);
    int assigned = lua_gettop(lua);
    if (luaL_loadbufferx(lua, config->source, config->source_size, "=@", "t") != 0) return lua_error(lua);
    push_environment(lua, config, assigned);
    lua_setfenv(lua, -2);
    lua_sethook(lua, count_steps, LUA_MASKCOUNT, STEP);
    lua_call(lua, 0, 0);
    lua_sethook(lua, NULL, 0, 0);
    for (int id = 0; id < OPTION_COUNT; id++) {
        char name[OPTION_NAME_SIZE];
        lua_getfield(lua, assigned, option_key((enum option_id)id, name));
        take(config, (enum option_id)id, name);
        config->values->of[id].line = config->lines[id];
        lua_pop(lua, 1);
    }
    return 0;
}

/* "@:7: …" is what Lua says of the chunk, which is called "@": its own names it cuts. */
static void lua_mistake(struct config *config, const char *said) {
    char *end = NULL;
    long line = said && strncmp(said, "@:", 2) == 0 ? strtol(said + 2, &end, 10) : 0;
    if (line > 0 && strncmp(end, ": ", 2) == 0)
        mistaken(config, (uint32_t)line, "%s", end + 2);
    else
        mistaken(config, 0, "%s", said ? said : "it raised an error that is no string");
}

static void run_bounded(struct config *config) {
    jmp_buf escape;
    if (setjmp(escape) != 0) {
        config->lua = NULL; /* given up as it is, with its heap */
        mistaken(config, 0, "it took more than %d MiB of memory and was stopped", MEMORY_MAX >> 20);
        return;
    }
    heap_escape_to(config->heap, &escape);
    config->lua = lua_newstate(heap_allocate, config->heap);
    int status = config->lua ? lua_cpcall(config->lua, run, config) : LUA_ERRMEM;
    bool text = status && config->lua && lua_type(config->lua, -1) == LUA_TSTRING;
    if (status) lua_mistake(config, text ? lua_tostring(config->lua, -1) : NULL);
    heap_escape_to(config->heap, NULL);
}

static int read_source(struct config *config, struct error *err) {
    FILE *file = fopen(config->path, "re");
    if (!file) return error_set(err, "%s: %s", config->path, strerror(errno));
    config->source = malloc(FILE_MAX + 1);
    config->source_size = config->source ? fread(config->source, 1, FILE_MAX + 1, file) : 0;
    bool failed = ferror(file);
    int why = failed ? errno : 0;
    fclose(file);
    if (!config->source) return error_set(err, "out of memory");
    if (failed) return error_set(err, "%s: %s", config->path, strerror(why));
    if (config->source_size > FILE_MAX)
        return error_set(err, "%s: more than 1 MiB is no configuration", config->path);
    return 0;
}

/* Moves over what the command line has not said. */
static void merge(struct values *values, struct values *said) {
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct value *to = &values->of[id], *from = &said->of[id];
        if (from->origin != BY_CONFIG || to->origin == BY_COMMAND_LINE) continue;
        value_clear(to);
        *to = *from;
        *from = (struct value){.origin = BY_DEFAULT};
    }
}

static int config_run(struct config *config, struct error *err) {
    if (read_source(config, err) < 0) return -1;
    config->heap = heap_new(MEMORY_MAX);
    config->values = values_new(FOR_LIVE);
    if (!config->heap || !config->values) return error_set(err, "out of memory");
    run_bounded(config);
    return config->mistake_count ? tell_mistakes(config, err) : 0;
}

int config_read(const char *path, struct values *values, struct error *err) {
    const char *slash = strrchr(path, '/');
    struct config *config = calloc(1, sizeof *config);
    if (!config) return error_set(err, "out of memory");
    config->path = path;
    config->folder = slash ? (size_t)(slash + 1 - path) : 0;
    int outcome = config_run(config, err);
    if (outcome == 0) merge(values, config->values);
    if (config->lua) lua_close(config->lua);
    heap_free(config->heap);
    values_free(config->values);
    free(config->source);
    free(config);
    return outcome;
}
