/* A detector is made: its Lua state, the trusted code in it, the script's body. See detector.h. */
#include "script/state.h"

#include "script/cdef.h"
#include "script/code.h"
#include "script/embedded.h"
#include "script/handover.h"
#include "script/keyring.h"
#include "script/inventory.h"
#include "script/message.h"
#include "script/profile.h"
#include "script/relay.h"
#include "script/watchdog.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    LOAD_STEPS = 300 * 1000 * 1000, /* of the interpreter: some seconds */
    LOAD_KILOBYTES = 24 * 1024,     /* that loading may take before the garbage collector looks */
};
_Static_assert((int)BATCH_EVENTS == (int)LUNETTE_BATCH, "the boundary header knows the batch");
_Static_assert((int)BATCH_TEXT_BYTES == (int)LUNETTE_TEXT, "the boundary header knows the text");

static void push_settings(lua_State *lua, const struct detector *detector) {
    lua_newtable(lua);
    for (size_t i = 0; i < detector->options.setting_count; i++) {
        const struct setting *setting = &detector->options.settings[i];
        if (strcmp(setting->detector, detector->name) != 0) continue;
        lua_pushstring(lua, setting->value);
        lua_setfield(lua, -2, setting->key);
    }
}

static void push_slots(lua_State *lua, const struct batch *batch) {
    lua_newtable(lua);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        lua_pushlightuserdata(lua, batch->slots[kind]);
        lua_rawseti(lua, -2, kind);
    }
}

/* What boot.lua gets as its one argument. */
static void push_given(lua_State *lua, struct detector *detector) {
    const struct embedded_file *header = embedded_find("lunette.h");
    lua_newtable(lua);
    bindings_push(lua, detector);
    lua_setfield(lua, -2, "host");
    lua_pushlstring(lua, header->text, header->size);
    lua_setfield(lua, -2, "header");
    cdef_push_head(lua);
    lua_setfield(lua, -2, "cdef");
    cdef_push_names(lua);
    lua_setfield(lua, -2, "kinds");
    lua_pushlightuserdata(lua, (void *)&lunette_api);
    lua_setfield(lua, -2, "api");
    lua_pushlightuserdata(lua, detector->feed);
    lua_setfield(lua, -2, "feed");
    push_slots(lua, detector->options.batch);
    lua_setfield(lua, -2, "slots");
    lua_pushstring(lua, detector->name);
    lua_setfield(lua, -2, "name");
    push_settings(lua, detector);
    lua_setfield(lua, -2, "settings");
    if (detector->mailbox) {
        lua_pushlightuserdata(lua, mail_of(detector));
        lua_setfield(lua, -2, "mail");
    }
    if (detector->options.inspect)
        inventory_push_modules(lua);
    else
        lua_pushnil(lua);
    lua_setfield(lua, -2, "inspect");
    lua_pushboolean(lua, detector->profile != NULL);
    lua_setfield(lua, -2, "profile");
}

static int take_call(lua_State *lua, const char *name) {
    lua_getfield(lua, -1, name);
    return luaL_ref(lua, LUA_REGISTRYINDEX);
}

/* Runs boot.lua and keeps the functions it returns. Called protected: errors go up to state_load. */
static int state_boot(lua_State *lua, struct detector *detector) {
    const struct embedded_file *boot = embedded_find("boot.lua");
    luaL_openlibs(lua);
    if (code_load(detector->options.code, lua, boot->text, boot->size, "=boot.lua") != 0)
        return lua_error(lua);
    push_given(lua, detector);
    lua_call(lua, 1, 1);
    detector->call_load = take_call(lua, "load");
    detector->call_run = take_call(lua, "run");
    detector->call_start = take_call(lua, "start");
    detector->call_finish = take_call(lua, "finish");
    detector->call_ask = take_call(lua, "ask");
    detector->call_inventory = take_call(lua, "inventory");
    detector->call_traces = take_call(lua, "traces");
    lua_getfield(lua, -1, "kept");
    handover_prepare(lua, detector);
    return 0;
}

static char *file_read(const char *path, size_t *size, struct script_files *files, struct error *err) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0) {
        error_set(err, "%s: %m", path);
        if (file) fclose(file);
        if (files) script_files_note(files, path, NULL, NULL, 0);
        return NULL;
    }
    char *text = NULL;
    size_t used = 0, room = 0;
    for (;;) {
        if (used == room) {
            room = room ? room * 2 : 16384;
            char *grown = room <= 64 * 1024 * 1024 ? realloc(text, room) : NULL;
            if (!grown) break;
            text = grown;
        }
        size_t n = fread(text + used, 1, room - used, file);
        used += n;
        if (n == 0) break;
    }
    bool failed = ferror(file) || used == room;
    fclose(file);
    if (!failed) {
        if (files) script_files_note(files, path, &status, text, used);
        *size = used;
        return text;
    }
    error_set(err, "%s: cannot be read (a folder, or more than 64 MiB?)", path);
    free(text);
    return NULL;
}

/* The name for messages: the path, or its last part if it is long (Lua cuts chunk names at 60 characters). */
static const char *chunk_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return strlen(path) > 50 && slash ? slash + 1 : path;
}

/* No body of a script takes so many steps that is not lost in a loop. */
static void on_budget(lua_State *lua, lua_Debug *where) {
    void *heap;
    (void)where;
    lua_getallocf(lua, &heap);
    heap_give_up(heap);
}

/* Nearly all that loading allocates stays. Walking through it time and again, as the state grows from
 * nothing, was a fifth of what a start cost: so the collector's first look comes after LOAD_KILOBYTES, or a
 * quarter of what the detector may have. From then on it goes by its own rules. */
static void collect_late(lua_State *lua, size_t memory_limit) {
    size_t wait = memory_limit / 4 / 1024 < LOAD_KILOBYTES ? memory_limit / 4 / 1024 : LOAD_KILOBYTES;
    size_t percent = wait * 100 / ((size_t)lua_gc(lua, LUA_GCCOUNT, 0) + 1);
    if (percent < 200) return;
    int usual = lua_gc(lua, LUA_GCSETPAUSE, (int)percent);
    lua_gc(lua, LUA_GCRESTART, -1); /* the next round begins when there is that much more */
    lua_gc(lua, LUA_GCSETPAUSE, usual);
}

/* Boots the state and runs the script's body, all protected. It is interpreted, since no hook reaches a
 * compiled loop: a script that never ends while it is loaded would take the whole sensor with it. And what is
 * compiled for a loop that runs once is time lost. */
static int state_load(lua_State *lua) {
    struct detector *detector = lua_touserdata(lua, 1);
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    collect_late(lua, detector->options.memory_limit);
    if (state_boot(lua, detector) != 0) return lua_error(lua);
    lua_sethook(lua, on_budget, LUA_MASKCOUNT, LOAD_STEPS);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, detector->call_load);
    lua_pushlstring(lua, detector->source, detector->source_size);
    lua_pushfstring(lua, "=%s", chunk_name(detector->options.path));
    lua_call(lua, 2, 0);
    lua_sethook(lua, NULL, 0, 0);
    lua_gc(lua, LUA_GCRESTART, -1);
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    return 0;
}

static int script_load(struct detector *detector, struct error *err) {
    struct watch watch = {.heap = detector->heap, .limit = DETECTOR_PATIENCE * detector->options.time_limit};
    jmp_buf escape;
    int given_up = setjmp(escape);
    if (given_up) {
        watchdog_leave(&watch);
        heap_free(detector->heap);
        detector->heap = NULL;
        detector->lua = NULL;
        if (given_up == HEAP_LATE)
            return error_set(
                err, "%s: does not come to its end while it is loaded (an endless loop outside any handler?)",
                detector->options.path);
        return error_set(
            err, "%s: not enough memory while it was loaded: its bound is %zu MiB (--script-memory sets it)",
            detector->options.path, detector->options.memory_limit >> 20);
    }
    heap_escape_to(detector->heap, &escape);
    watchdog_enter(&watch);
    watch.lua = detector->lua = lua_newstate(heap_allocate, detector->heap);
    int status = detector->lua ? lua_cpcall(detector->lua, state_load, detector) : LUA_ERRMEM;
    watchdog_leave(&watch);
    bool told = status && detector->lua && lua_type(detector->lua, -1) == LUA_TSTRING;
    heap_escape_to(detector->heap, NULL);
    if (status == 0) return 0;
    if (told) return error_set(err, "%s", lua_tostring(detector->lua, -1));
    return error_set(err, "%s: raised an error that is no string", detector->options.path);
}

void detector_name_of(const char *path, char *out, size_t size) {
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".lua") == 0) length -= 4;
    snprintf(out, size, "%.*s", (int)length, base);
}

static void name_from_path(struct detector *detector, const char *path) {
    const char *slash = strrchr(path, '/');
    detector_name_of(path, detector->name, sizeof detector->name);
    detector->directory = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

struct detector *detector_load(const struct detector_options *options, struct error *err) {
    struct detector *detector = calloc(1, sizeof *detector);
    if (!detector) return NULL;
    detector->options = *options;
    detector->emitter = options->emitter;
    detector->options.path = detector->path = strdup(options->path);
    name_from_path(detector, options->path);
    void *feed =
        mmap(NULL, sizeof *detector->feed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    detector->feed = feed == MAP_FAILED ? NULL : feed;
    detector->heap = heap_new(options->memory_limit);
    if (options->profile) detector->profile = profile_new();
    detector->source = options->text ? strdup(options->text)
                                     : file_read(options->path, &detector->source_size, options->files, err);
    if (options->text) detector->source_size = strlen(options->text);
    int outcome = -1;
    detector->name_digest = message_name_digest(detector->name);
    if (!detector->path || !detector->directory || !detector->feed || !detector->heap)
        error_set(err, "%s: out of memory", options->path);
    else if (detector->source && mail_open(detector, err) == 0) {
        detector->feed->text = options->batch->text;
        detector->feed->due = INFINITY;
        detector->feed->stop = UINT32_MAX;
        outcome = script_load(detector, err);
    }
    free(detector->source);
    detector->source = NULL;
    detector->options.settings = NULL;
    detector->options.setting_count = 0;
    if (outcome == 0) {
        if (detector->emitter) detector->emitter->detector = detector;
        return detector;
    }
    if (detector->emitter == options->emitter) detector->emitter = NULL; /* whose it was */
    detector_free(detector);
    return NULL;
}

void detector_part(struct detector *detector) {
    detector->parting = true;
}

void detector_free(struct detector *detector) {
    if (!detector) return;
    /* Gives back what is not on the heap, machine code, and walks through all that is on it to do so. */
    if (detector->lua && !detector->parting) lua_close(detector->lua);
    heap_free(detector->heap);
    profile_free(detector->profile);
    for (uint32_t i = 0; i < detector->place_count; i++) free(detector->places[i]);
    free(detector->places);
    for (int kind = 0; kind < EVENT_KINDS + CUSTOM_KINDS; kind++) {
        struct subscription *subscription = detector->subscriptions[kind];
        for (uint32_t h = 0; subscription && h < subscription->count; h++)
            conditions_free(subscription->conditions[h]);
        free(subscription);
    }
    detector_streams_free(detector);
    for (uint32_t i = 0; i < detector->set_count; i++) set_free(detector->sets[i]);
    for (uint32_t i = 0; i < detector->flow_area_count; i++) flow_area_free(detector->flow_areas[i]);
    keyrings_free(detector);
    free(detector->sets);
    emitter_free(detector->emitter);
    part_free(detector->part);
    if (detector->feed) munmap(detector->feed, sizeof *detector->feed);
    mail_close(detector);
    free(detector->path);
    free(detector->directory);
    free(detector);
}
