/* What the trusted Lua code asks of the engine: the table `host`.
 *
 * `host` functions are plain C functions with the detector as upvalue, for what happens seldom: subscribing,
 * building sets, reading data files, alerts. What compiled loops call is in lunette_api, reached through the
 * FFI.
 *
 * Whatever allocates in Lua may not come back (script/heap.h): nothing may be held meanwhile that the
 * detector does not know of. */
#include "script/profile.h"
#include "script/shipped.h"
#include "script/state.h"

#include "base/log.h"
#include "script/cdef.h"
#include "script/code.h"
#include "script/embedded.h"
#include "script/keyring.h"
#include "script/plain.h"
#include "script/rows.h"
#include "script/watchdog.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DATA_FILE_LIMIT = 32 * 1024 * 1024,
    BPF_LIMIT = 4096, /* characters: libpcap's compiler is recursive */
};

/* Pushes the message of a failure, nil if there was none: what the Lua side turns into an error with its own
 * place. */
static int push_outcome(lua_State *lua, int outcome, const struct error *err) {
    if (outcome == 0) return 0;
    lua_pushstring(lua, err->text);
    return 1;
}

/* Memory beside the Lua state may be asked for until the detector's bound is passed: what is asked for then
 * is refused, with a message. */
static int beside_heap_check(const struct detector *detector, struct error *err) {
    if (detector->beside_heap <= detector->options.memory_limit) return 0;
    return error_set(err, "not enough memory for sets and filters: the detector's bound is %zu MiB",
                     detector->options.memory_limit >> 20);
}

/* event("redis.command") → its number for this detector and what views.lua needs of it; or nil, what is
 * wrong, and a list of names that may have been meant. Loads redis.lua if need be. */
static int host_event(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *name = luaL_checkstring(lua, 1);
    struct error err = {.text = ""};
    const char *near[CUSTOM_KINDS];
    uint32_t near_count = 0;
    struct custom_kind *kind = NULL;
    if (detector->options.find_event)
        kind = detector->options.find_event(detector->options.context, name, near, &near_count, &err);
    else
        error_set(&err, "there are no other scripts here");
    uint32_t known = 0;
    while (kind && known < detector->known_count && detector->known[known] != kind) known++;
    if (kind && known == CUSTOM_KINDS) {
        error_set(&err, "a detector may hear %d events of other scripts at most", CUSTOM_KINDS);
        kind = NULL;
    }
    if (!kind) {
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        lua_newtable(lua);
        for (uint32_t i = 0; i < near_count; i++) {
            lua_pushstring(lua, near[i]);
            lua_rawseti(lua, -2, (int)i + 1);
        }
        return 3;
    }
    detector->known[known] = kind;
    if (known == detector->known_count) detector->known_count++;
    lua_pushinteger(lua, (lua_Integer)(EVENT_KINDS + known));
    custom_push(lua, kind, known);
    return 2;
}

/* declare(event, doc, names, types) → its number and what events.lua needs of it, or nil and what is wrong.
 * The Lua side has looked at names and types. */
static int host_declare(lua_State *lua) {
    static const char *const words[] = {"u8",   "u16", "u32", "u64",  "f64", "bool",
                                        "time", "ip",  "str", "list", NULL};
    static const uint8_t types[] = {FIELD_u8,   FIELD_u16,  FIELD_u32, FIELD_u64, FIELD_f64,
                                    FIELD_bool, FIELD_time, FIELD_ip,  FIELD_str, FIELD_list};
    struct detector *detector = detector_of(lua);
    const char *event = luaL_checkstring(lua, 1), *doc = luaL_checkstring(lua, 2), *names[CUSTOM_FIELDS];
    uint8_t chosen[CUSTOM_FIELDS];
    uint32_t count = (uint32_t)lua_objlen(lua, 3);
    if (count > CUSTOM_FIELDS) count = CUSTOM_FIELDS;
    for (uint32_t i = 0; i < count; i++) { /* the tables keep the strings */
        lua_rawgeti(lua, 3, (int)i + 1);
        names[i] = luaL_checkstring(lua, -1);
        lua_rawgeti(lua, 4, (int)i + 1);
        chosen[i] = types[luaL_checkoption(lua, -1, NULL, words)];
        lua_pop(lua, 2);
    }
    struct error err = {.text = ""};
    struct custom_kind *kind = NULL;
    if (beside_heap_check(detector, &err) == 0)
        kind = emitter_declare(detector, event, doc, count, names, chosen, &err);
    if (!kind) {
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        return 2;
    }
    uint32_t number = 0;
    while (detector->emitter->kinds[number] != kind) number++;
    lua_pushinteger(lua, (lua_Integer)number);
    custom_push(lua, kind, CUSTOM_KINDS + number);
    return 2;
}

/* subscribe(kind) → number of the handler, nil if there are too many */
static int host_subscribe(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    int kind = (int)luaL_checkinteger(lua, 1);
    if (!detector_schema(detector, kind)) return 0;
    struct subscription **place = &detector->subscriptions[kind];
    if (!*place) *place = calloc(1, sizeof **place);
    struct subscription *subscription = *place;
    if (!subscription || subscription->count == DETECTOR_HANDLERS) return 0;
    subscription->unfiltered |= 1u << subscription->count;
    lua_pushinteger(lua, (lua_Integer)subscription->count++);
    return 1;
}

/* unsubscribe(kind): takes the last subscription back */
static int host_unsubscribe(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    int kind = (int)luaL_checkinteger(lua, 1);
    if (!detector_schema(detector, kind) || !detector->subscriptions[kind]) return 0;
    struct subscription *subscription = detector->subscriptions[kind];
    if (subscription->count == 0) return 0;
    uint32_t last = --subscription->count;
    if (subscription->conditions[last]) {
        detector->beside_heap -= conditions_memory(subscription->conditions[last]);
        conditions_free(subscription->conditions[last]);
    }
    subscription->conditions[last] = NULL;
    subscription->unfiltered &= ~(1u << last);
    return 0;
}

static struct conditions *conditions_of(struct detector *detector, int kind, int handler) {
    if (!detector_schema(detector, kind) || !detector->subscriptions[kind]) return NULL;
    struct subscription *subscription = detector->subscriptions[kind];
    if (handler < 0 || (uint32_t)handler >= subscription->count) return NULL;
    struct conditions **place = &subscription->conditions[handler];
    if (!*place && (*place = conditions_new(detector_schema(detector, kind))))
        detector->beside_heap += conditions_memory(*place);
    if (*place) subscription->unfiltered &= ~(1u << handler);
    return *place;
}

/* where(kind, handler, field, number | string | boolean | set) → nil or what is wrong */
static int host_where(lua_State *lua) {
    struct error err;
    struct detector *detector = detector_of(lua);
    struct conditions *conditions =
        conditions_of(detector, (int)luaL_checkinteger(lua, 1), (int)luaL_checkinteger(lua, 2));
    if (!conditions) return luaL_error(lua, "no such handler, or no memory for its filter");
    if (lua_type(lua, 3) != LUA_TSTRING) {
        lua_pushliteral(lua, "a filter is a table of field = value; a field's name is missing");
        return 1;
    }
    const char *field = lua_tostring(lua, 3);
    size_t length;
    switch (lua_type(lua, 4)) {
    case LUA_TNUMBER:
        return push_outcome(lua, conditions_add_number(conditions, field, lua_tonumber(lua, 4), &err), &err);
    case LUA_TBOOLEAN:
        return push_outcome(lua, conditions_add_number(conditions, field, lua_toboolean(lua, 4), &err), &err);
    case LUA_TSTRING: {
        const char *text = lua_tolstring(lua, 4, &length);
        if (beside_heap_check(detector, &err) < 0) return push_outcome(lua, -1, &err);
        size_t before = conditions_memory(conditions);
        int outcome = conditions_add_text(conditions, field, text, length, &err);
        detector->beside_heap += conditions_memory(conditions) - before;
        return push_outcome(lua, outcome, &err);
    }
    case LUA_TLIGHTUSERDATA:
        return push_outcome(lua, conditions_add_set(conditions, field, lua_touserdata(lua, 4), &err), &err);
    default:
        lua_pushfstring(lua, "the filter on '%s' is a %s: expected a number, string, boolean, list or set",
                        field, luaL_typename(lua, 4));
        return 1;
    }
}

/* where_bpf(kind, handler, expression) → nil or what is wrong */
static int host_where_bpf(lua_State *lua) {
    struct error err;
    struct conditions *conditions =
        conditions_of(detector_of(lua), (int)luaL_checkinteger(lua, 1), (int)luaL_checkinteger(lua, 2));
    if (!conditions) return luaL_error(lua, "no such handler, or no memory for its filter");
    if (lua_type(lua, 3) != LUA_TSTRING) {
        lua_pushliteral(lua, "bpf must be a string, a pcap-filter(7) expression");
        return 1;
    }
    if (lua_objlen(lua, 3) > BPF_LIMIT) {
        lua_pushfstring(lua, "the bpf expression is longer than %d characters", BPF_LIMIT);
        return 1;
    }
    detector_of(lua)->packet_bpf = true;
    return push_outcome(lua, conditions_add_bpf(conditions, lua_tostring(lua, 3), &err), &err);
}

/* want_payload(): a packet handler asks for payloads */
static int host_want_payload(lua_State *lua) {
    detector_of(lua)->packet_payload = true;
    return 0;
}

/* set_new("domains" | "prefixes" | "strings") → light userdata, or nil and what is wrong */
static int host_set_new(lua_State *lua) {
    static const char *const kinds[] = {"domains", "prefixes", "strings", NULL};
    struct detector *detector = detector_of(lua);
    enum set_kind kind = (enum set_kind)luaL_checkoption(lua, 1, NULL, kinds);
    struct error err;
    if (beside_heap_check(detector, &err) < 0) {
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        return 2;
    }
    struct set **grown = realloc(detector->sets, (detector->set_count + 1) * sizeof *grown);
    if (!grown) return luaL_error(lua, "not enough memory");
    detector->sets = grown;
    struct set *set = set_new(kind);
    if (!set) return luaL_error(lua, "not enough memory");
    detector->sets[detector->set_count++] = set;
    detector->beside_heap += set_memory(set);
    lua_pushlightuserdata(lua, set);
    return 1;
}

/* set_add(set, text, value) → nil or what is wrong */
static int host_set_add(lua_State *lua) {
    struct error err;
    size_t length;
    const char *text = luaL_checklstring(lua, 2, &length);
    int32_t value = (int32_t)luaL_checkinteger(lua, 3);
    struct detector *detector = detector_of(lua);
    struct set *set = lua_touserdata(lua, 1);
    if (beside_heap_check(detector, &err) < 0) return push_outcome(lua, -1, &err);
    size_t before = set_memory(set);
    int outcome = set_add(set, text, length, value, &err);
    detector->beside_heap += set_memory(set) - before;
    return push_outcome(lua, outcome, &err);
}

/* flow_area_new(bytes, signature) → light userdata (struct lunette_flow_area), or nil and what is wrong */
static int host_flow_area_new(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    uint32_t size = (uint32_t)luaL_checkinteger(lua, 1);
    const char *signature = luaL_checkstring(lua, 2);
    struct error err;
    struct flow_area *area = NULL;
    if (detector->flow_area_count == DETECTOR_FLOW_AREAS)
        error_set(&err, "more than %d of them", DETECTOR_FLOW_AREAS);
    else
        area = flow_area_new(size, signature, detector->options.memory_limit, &err);
    if (!area) {
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        return 2;
    }
    detector->flow_areas[detector->flow_area_count++] = area;
    lua_pushlightuserdata(lua, flow_area_shown(area));
    return 1;
}

/* keyring_new(max, ttl) → light userdata (struct lunette_keyring), or nil and what is wrong */
static int host_keyring_new(lua_State *lua) {
    struct error err;
    struct lunette_keyring *keyring =
        keyring_new(detector_of(lua), (uint32_t)luaL_checknumber(lua, 1), luaL_checknumber(lua, 2), &err);
    if (!keyring) {
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        return 2;
    }
    lua_pushlightuserdata(lua, keyring);
    return 1;
}

/* A name of one file: letters, digits, '_', '-' and '.', not beginning with a dot. */
static bool is_plain_name(const char *name) {
    if (*name == '.' || *name == '\0') return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == '\0';
}

static bool is_link(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 || S_ISLNK(status.st_mode);
}

/* Links may lie in data/ and lib/, and be swapped there (as configuration systems do), but who hands out a
 * folder of scripts shall not reach other files by them. `inner` is the folder's folder that the file lies
 * in: mostly neither is a link, and nothing needs to be followed. */
static bool is_below(const char *path, const char *inner, const char *folder) {
    if (!is_link(inner) && !is_link(path)) return true;
    char whole_path[PATH_MAX], whole_folder[PATH_MAX];
    if (!realpath(path, whole_path) || !realpath(folder, whole_folder)) return false;
    size_t length = strlen(whole_folder);
    if (length == 1) return true; /* the root */
    return strncmp(whole_path, whole_folder, length) == 0 && whole_path[length] == '/';
}

/* Another time it may be there, or another. */
static int push_file_error(lua_State *lua, const struct detector *detector, const char *path,
                           const struct stat *status, const char *why) {
    if (detector->options.files) script_files_note(detector->options.files, path, status, "", 0);
    lua_pushnil(lua);
    lua_pushfstring(lua, "%s: %s", path, why);
    return 2;
}

/* read("data" | "lib", name) → text, or nil and what is wrong. A file that the script has not itself may be
 * one that comes along (shipped.h): of lib/, and of data/, where lib/ has its tables. */
static int host_read(lua_State *lua) {
    static const char *const folders[] = {"data", "lib", NULL};
    struct detector *detector = detector_of(lua);
    const char *folder = folders[luaL_checkoption(lua, 1, NULL, folders)];
    const char *name = luaL_checkstring(lua, 2);
    lua_settop(lua, 2);
    if (!is_plain_name(name) || strlen(name) != lua_objlen(lua, 2)) {
        lua_pushnil(lua);
        lua_pushfstring(lua, "'%s' is no plain file name (files lie in %s/ beside the script)", name, folder);
        return 2;
    }
    const char *path = lua_pushfstring(lua, "%s/%s/%s", detector->directory, folder, name);
    const char *home = detector->directory;
    struct stat status;
    int failure = stat(path, &status) < 0 ? errno : 0;
    char shipped[PATH_MAX];
    if (failure == ENOENT && script_shipped_folder(shipped, sizeof shipped)) {
        const char *other = lua_pushfstring(lua, "%s/%s/%s", shipped, folder, name);
        if (stat(other, &status) == 0) {
            if (detector->options.files) script_files_note(detector->options.files, path, NULL, "", 0);
            path = other, home = shipped, failure = 0;
        }
    }
    if (failure) return push_file_error(lua, detector, path, NULL, strerror(failure));
    if (!S_ISREG(status.st_mode)) return push_file_error(lua, detector, path, NULL, "no regular file");
    if (!is_below(path, lua_pushfstring(lua, "%s/%s", home, folder), home))
        return push_file_error(lua, detector, path, NULL, "a link that leads out of the script's folder");
    if (status.st_size > DATA_FILE_LIMIT)
        return push_file_error(lua, detector, path, &status, "larger than 32 MiB");
    char *text = lua_newuserdata(lua, (size_t)status.st_size + 1);
    FILE *file = fopen(path, "rb");
    if (!file) return push_file_error(lua, detector, path, &status, strerror(errno));
    size_t length = fread(text, 1, (size_t)status.st_size, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return push_file_error(lua, detector, path, &status, "it cannot be read");
    if (detector->options.files) script_files_note(detector->options.files, path, &status, text, length);
    lua_pushlstring(lua, text, length);
    return 1;
}

/* code(text, chunk[, environment]) → the function that it is, or nil and the compiler's complaint */
static int host_code(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    size_t size;
    const char *text = luaL_checklstring(lua, 1, &size);
    const char *chunk = luaL_checkstring(lua, 2);
    bool inside = lua_istable(lua, 3);
    if (code_load(detector->options.code, lua, text, size, chunk) != 0) {
        lua_pushnil(lua);
        lua_insert(lua, -2);
        return 2;
    }
    if (inside) {
        lua_pushvalue(lua, 3);
        lua_setfenv(lua, -2);
    }
    return 1;
}

/* rows(text) → lunette.tsv's rows, or nil if there are not even column names */
static int host_rows(lua_State *lua) {
    size_t size;
    const char *text = luaL_checklstring(lua, 1, &size);
    rows_push(lua, text, size);
    return 1;
}

/* embedded(name) → text of a file in the binary, or nil */
static int host_embedded(lua_State *lua) {
    const struct embedded_file *file = embedded_find(luaL_checkstring(lua, 1));
    if (!file) return 0;
    lua_pushlstring(lua, file->text, file->size);
    return 1;
}

/* internal(name) → a file of the engine's own as a function */
static int host_internal(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *name = luaL_checkstring(lua, 1);
    const char *chunk = lua_pushfstring(lua, "=%s", name);
    if (code_made(detector->options.code, lua, name, chunk)) return 1;
    const struct embedded_file *file = embedded_find(name);
    if (!file) return luaL_error(lua, "the engine has no file '%s'", name);
    if (luaL_loadbufferx(lua, file->text, file->size, chunk, "t") != 0) return lua_error(lua);
    code_keep(detector->options.code, lua, name);
    return 1;
}

/* getters(kind) → the function that was kept for the kind, nil if none was;
 * getters(kind, text) → the function that the text is, kept for the next state */
static int host_getters(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *kind = luaL_checkstring(lua, 1);
    lua_settop(lua, 2);
    const char *chunk = lua_pushfstring(lua, "=getter %s", kind), *name = chunk + 1;
    if (lua_isnoneornil(lua, 2)) return code_made(detector->options.code, lua, name, chunk);
    size_t size;
    const char *text = luaL_checklstring(lua, 2, &size);
    if (luaL_loadbufferx(lua, text, size, chunk, "t") != 0) return lua_error(lua);
    code_keep(detector->options.code, lua, name);
    return 1;
}

/* kind(number) → what views.lua needs of an event of the engine's; nil if there is none */
static int host_kind(lua_State *lua) {
    lua_Integer kind = luaL_checkinteger(lua, 1);
    if (kind <= EVENT_head || kind >= EVENT_KINDS) return 0;
    cdef_push_kind(lua, event_schema_of((enum event_kind)kind), NULL);
    return 1;
}

/* place("file:line") → a number for feed.place */
static int host_place(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *place = luaL_checkstring(lua, 1);
    uint32_t count = atomic_load_explicit(&detector->place_count, memory_order_relaxed);
    if (!detector->places) detector->places = calloc(DETECTOR_PLACES, sizeof *detector->places);
    if (!detector->places || count == DETECTOR_PLACES) return 0;
    detector->places[count] = strdup(place);
    if (!detector->places[count]) return 0;
    atomic_store_explicit(&detector->place_count, count + 1, memory_order_release);
    lua_pushinteger(lua, (lua_Integer)count + 1);
    return 1;
}

static int host_log(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    if (detector->options.quiet || detector->hushed || detector->log_lines > DETECTOR_LOG_LINES) return 0;
    detector->log_lines++;
    const char *text = luaL_checkstring(lua, 1);
    if (detector->log_lines > DETECTOR_LOG_LINES)
        log_line(LOG_WARNING, "detector %s: %d lines logged, no more are shown", detector->name,
                 DETECTOR_LOG_LINES);
    else
        log_line(LOG_WARNING, "%s: %s", detector->name, text);
    return 0;
}

/* failed(what, where, message) → is the detector off now? */
static int host_failed(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    detector_failed(detector, luaL_checkstring(lua, 1), luaL_checkstring(lua, 2), luaL_checkstring(lua, 3));
    lua_pushboolean(lua, detector->off);
    return 1;
}

/* parser_ended(reason, message or nil) */
static int host_parser_ended(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *reason = luaL_checkstring(lua, 1), *message = lua_tostring(lua, 2);
    enum parser_end end = reason[0] == 'g' ? PARSER_GAP : reason[0] == 'l' ? PARSER_LIMIT : PARSER_ERROR;
    detector->parsers_ended[end]++;
    if (message && !detector->options.quiet)
        log_line(LOG_WARNING, "detector %s: %s (told once, counted from now on)", detector->name, message);
    return 0;
}

/* question() → what a console's state is asked, and the line that goes with it */
static int host_question(lua_State *lua) {
    const struct detector *detector = detector_of(lua);
    lua_pushstring(lua, detector->question);
    lua_pushstring(lua, detector->line);
    return 2;
}

/* answer(what, text) */
static int host_answer(lua_State *lua) {
    const struct detector *detector = detector_of(lua);
    detector->options.on_answer(detector->options.context, luaL_checkstring(lua, 1),
                                luaL_checkstring(lua, 2));
    return 0;
}

void bindings_add(lua_State *lua, struct detector *detector, const char *name, lua_CFunction function) {
    lua_pushlightuserdata(lua, detector);
    lua_pushcclosure(lua, function, 1);
    lua_pushcclosure(lua, watchdog_held_call, 1);
    lua_setfield(lua, -2, name);
}

/* classes(table): what the hand-over knows objects by, see plain.h. */
static int host_classes(lua_State *lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    plain_classes_keep(lua);
    return 0;
}

/* profile_slot(what, "file:line") → a number for profile_enter */
static int host_profile_slot(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *what = luaL_checkstring(lua, 1), *place = luaL_checkstring(lua, 2);
    lua_pushinteger(lua, detector->profile ? (lua_Integer)profile_slot(detector->profile, what, place) : 0);
    return 1;
}

void bindings_push(lua_State *lua, struct detector *detector) {
    static const luaL_Reg functions[] = {
        {"event", host_event},
        {"declare", host_declare},
        {"subscribe", host_subscribe},
        {"unsubscribe", host_unsubscribe},
        {"where", host_where},
        {"where_bpf", host_where_bpf},
        {"want_payload", host_want_payload},
        {"set_new", host_set_new},
        {"set_add", host_set_add},
        {"flow_area_new", host_flow_area_new},
        {"keyring_new", host_keyring_new},
        {"read", host_read},
        {"embedded", host_embedded},
        {"code", host_code},
        {"rows", host_rows},
        {"internal", host_internal},
        {"getters", host_getters},
        {"kind", host_kind},
        {"log", host_log},
        {"failed", host_failed},
        {"parser_ended", host_parser_ended},
        {"place", host_place},
        {"profile_slot", host_profile_slot},
        {"alert", host_alert},
        {"report", host_report},
        {"fact", host_fact},
        {"capture", host_capture},
        {"audit", host_audit},
        {"classes", host_classes},
        {"stream", host_stream},
        {"hush", host_hush},
    };
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        bindings_add(lua, detector, functions[i].name, functions[i].func);
    }
    if (detector->options.on_answer) {
        bindings_add(lua, detector, "question", host_question);
        bindings_add(lua, detector, "answer", host_answer);
    }
    calls_bind(lua, detector);
    lua_pushlightuserdata(lua, detector);
    lua_setfield(lua, -2, "detector");
    mail_bind(lua, detector);
    lua_pushnumber(lua, (lua_Number)detector->options.memory_limit);
    lua_setfield(lua, -2, "memory_limit");
}
