/* What the Lua side of a test asks of the engine: the table `host`. Times are seconds since 1970, addresses
 * are text. A function that tells something returns nil, or a message that the Lua side raises at the
 * author's line.
 *
 * Whatever allocates in Lua may not come back (script/heap.h): what is held meanwhile hangs on the trial. */
#include "base/log.h"
#include "endpoint/hosts.h"
#include "script/configuration.h"
#include "script/embedded.h"
#include "script/watchdog.h"
#include "workbench/certificate.h"
#include "workbench/frame.h"
#include "workbench/trial_state.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { RANDOM_MOST = 64 << 20, CAPTURES_MOST = 64, LIST_MOST = 1024 };

static struct trial *trial_of(lua_State *lua) {
    return lua_touserdata(lua, lua_upvalueindex(1));
}

static nanoseconds time_at(lua_State *lua, int index) {
    return (nanoseconds)llround(luaL_checknumber(lua, index) * 1e9);
}

static struct slice slice_at(lua_State *lua, int index) {
    size_t length;
    const char *text = luaL_checklstring(lua, index, &length);
    return (struct slice){.at = (const uint8_t *)text, .length = (uint32_t)length};
}

static uint32_t u32_at(lua_State *lua, int index) {
    double number = luaL_checknumber(lua, index);
    return number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static int push_message(lua_State *lua, int outcome, const struct error *err) {
    if (outcome == 0) return 0;
    lua_pushstring(lua, err->text);
    return 1;
}

/* embedded(name) → text of a file in the binary, or nil */
static int host_embedded(lua_State *lua) {
    const struct embedded_file *file = embedded_find(luaL_checkstring(lua, 1));
    if (!file) return 0;
    lua_pushlstring(lua, file->text, file->size);
    return 1;
}

static int host_log(lua_State *lua) {
    log_line(LOG_WARNING, "test: %s", luaL_checkstring(lua, 1));
    return 0;
}

/* verdict("failure" | "error", line, text) */
static int host_verdict(lua_State *lua) {
    enum verdict verdict = strcmp(luaL_checkstring(lua, 1), "error") == 0 ? VERDICT_ERROR : VERDICT_FAILED;
    trial_fail(trial_of(lua), verdict, u32_at(lua, 2), luaL_checkstring(lua, 3));
    return 0;
}

/* tested(path): of a detector of some case */
static int host_tested(lua_State *lua) {
    struct trial_cases *cases = trial_of(lua)->collected;
    const char *path = luaL_checkstring(lua, 1);
    for (size_t i = 0; cases && i < cases->detector_count; i++)
        if (strcmp(cases->detectors[i], path) == 0) return 0;
    if (!cases || cases->detector_count == TRIAL_DETECTORS) return 0;
    char **grown = realloc(cases->detectors, (cases->detector_count + 1) * sizeof *grown);
    if (!grown) return luaL_error(lua, "out of memory");
    cases->detectors = grown;
    if ((grown[cases->detector_count] = strdup(path))) cases->detector_count++;
    return 0;
}

/* case(name, label, line) */
static int host_case(lua_State *lua) {
    struct trial_cases *cases = trial_of(lua)->collected;
    const char *name = luaL_checkstring(lua, 1), *label = luaL_checkstring(lua, 2);
    uint32_t line = u32_at(lua, 3);
    if (!cases) return 0;
    struct trial_case *grown = realloc(cases->list, (cases->count + 1) * sizeof *grown);
    if (!grown) return luaL_error(lua, "out of memory");
    cases->list = grown;
    struct trial_case *added = &grown[cases->count++];
    *added = (struct trial_case){.name = strdup(name), .label = strdup(label), .line = line};
    return added->name && added->label ? 0 : luaL_error(lua, "out of memory");
}

/* detector(path) */
static int host_detector(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    const char *path = luaL_checkstring(lua, 1);
    if (trial->detector_count == TRIAL_DETECTORS)
        return luaL_error(lua, "a case may have %d detectors", TRIAL_DETECTORS);
    char *copy = strdup(path);
    if (!copy) return luaL_error(lua, "out of memory");
    trial->detectors[trial->detector_count++] = copy;
    return 0;
}

/* setting(detector, key, value, line) */
static int host_setting(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    const char *detector = luaL_checkstring(lua, 1), *key = luaL_checkstring(lua, 2),
               *value = luaL_checkstring(lua, 3);
    uint32_t line = u32_at(lua, 4);
    if (trial->setting_count == TRIAL_SETTINGS)
        return luaL_error(lua, "a case may set %d tunables", TRIAL_SETTINGS);
    trial->setting_lines[trial->setting_count] = line;
    trial->settings[trial->setting_count++] =
        (struct setting){.detector = strdup(detector), .key = strdup(key), .value = strdup(value)};
    return 0;
}

/* configuration(address or nil, table) → a message if it is no audit */
static int host_configuration(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    const char *address = luaL_optstring(lua, 1, NULL);
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_settop(lua, 2);
    if (!trial->audits && !(trial->audits = audits_new(&err))) return push_message(lua, -1, &err);
    json_t *document = configuration_read(lua, 2, &err);
    if (!document) return push_message(lua, -1, &err);
    if (!json_object_get(document, "version")) json_object_set_new(document, "version", json_integer(1));
    return push_message(lua, audits_add(trial->audits, address, document, &err), &err);
}

/* home(networks) */
static int host_home(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    const char *home = luaL_checkstring(lua, 1);
    free(trial->home);
    trial->home = strdup(home);
    return 0;
}

/* finish(time): the case's function is over, and its clock stands there */
static int host_finish(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    trial->end = time_at(lua, 1);
    trial->told = true;
    return 0;
}

/* address(text) → its 4 or 16 bytes, nil if it is none */
static int host_address(lua_State *lua) {
    struct ip ip;
    if (lua_type(lua, 1) != LUA_TSTRING || ip_parse(lua_tostring(lua, 1), &ip) < 0) return 0;
    bool v4 = ip_is_v4(&ip);
    lua_pushlstring(lua, (const char *)ip.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
    return 1;
}

/* xorshift64* (Vigna 2016): the same bytes in each run of a case. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* random(n) → n bytes */
static int host_random(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    size_t count = u32_at(lua, 1);
    if (count > RANDOM_MOST) return luaL_error(lua, "more than %d MiB at once", RANDOM_MOST >> 20);
    uint8_t *bytes = lua_newuserdata(lua, count + 8);
    for (size_t i = 0; i < count; i += 8) {
        uint64_t next = random_next(&trial->random);
        memcpy(bytes + i, &next, 8);
    }
    lua_pushlstring(lua, (const char *)bytes, count);
    return 1;
}

/* ── packets ─────────────────────────────────────────────────────── */

static int ends_at(lua_State *lua, int source, int target, struct frame_ends *ends, struct error *err) {
    const char *from = luaL_checkstring(lua, source), *to = luaL_checkstring(lua, target);
    if (ip_parse(from, &ends->source) < 0) return error_set(err, "'%.60s' is no address", from);
    if (ip_parse(to, &ends->target) < 0) return error_set(err, "'%.60s' is no address", to);
    if (ip_is_v4(&ends->source) == ip_is_v4(&ends->target)) return 0;
    return error_set(err, "%s cannot talk to %s: one is IPv4, the other IPv6", from, to);
}

static int tell(struct trial *trial, nanoseconds time, uint32_t length, struct error *err) {
    if (length == 0) return error_set(err, "more bytes than a packet can carry (some 65,000)");
    return story_packet(trial->story, time, trial->frame, length, err);
}

/* tcp(time, source, target, source port, target port, ttl, id, seq, ack, flags, window, options, payload) */
static int host_tcp(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    struct frame_ends ends;
    nanoseconds time = time_at(lua, 1);
    if (ends_at(lua, 2, 3, &ends, &err) < 0) return push_message(lua, -1, &err);
    ends.source_port = (uint16_t)u32_at(lua, 4);
    ends.target_port = (uint16_t)u32_at(lua, 5);
    ends.ttl = (uint8_t)u32_at(lua, 6);
    ends.identification = (uint16_t)u32_at(lua, 7);
    const struct frame_tcp tcp = {.seq = u32_at(lua, 8),
                                  .ack = u32_at(lua, 9),
                                  .flags = (uint8_t)u32_at(lua, 10),
                                  .window = (uint16_t)u32_at(lua, 11),
                                  .options = slice_at(lua, 12)};
    return push_message(lua, tell(trial, time, frame_tcp(trial->frame, &ends, &tcp, slice_at(lua, 13)), &err),
                        &err);
}

/* udp(time, source, target, source port, target port, ttl, id, payload) */
static int host_udp(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    struct frame_ends ends;
    nanoseconds time = time_at(lua, 1);
    if (ends_at(lua, 2, 3, &ends, &err) < 0) return push_message(lua, -1, &err);
    ends.source_port = (uint16_t)u32_at(lua, 4);
    ends.target_port = (uint16_t)u32_at(lua, 5);
    ends.ttl = (uint8_t)u32_at(lua, 6);
    ends.identification = (uint16_t)u32_at(lua, 7);
    return push_message(lua, tell(trial, time, frame_udp(trial->frame, &ends, slice_at(lua, 8)), &err), &err);
}

/* icmp(time, source, target, ttl, id, type, code, body) */
static int host_icmp(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    struct frame_ends ends = {.source_port = 0};
    nanoseconds time = time_at(lua, 1);
    if (ends_at(lua, 2, 3, &ends, &err) < 0) return push_message(lua, -1, &err);
    ends.ttl = (uint8_t)u32_at(lua, 4);
    ends.identification = (uint16_t)u32_at(lua, 5);
    uint8_t type = (uint8_t)u32_at(lua, 6), code = (uint8_t)u32_at(lua, 7);
    return push_message(
        lua, tell(trial, time, frame_icmp(trial->frame, &ends, type, code, slice_at(lua, 8)), &err), &err);
}

/* certificate{ subject=, issuer=, names=, from=, to=, serial= } → DER */
static int host_certificate(lua_State *lua) {
    struct certificate_parts parts;
    const char *names[CERTIFICATE_NAMES];
    uint8_t der[CERTIFICATE_MOST];
    struct error err;
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    lua_getfield(lua, 1, "subject");
    lua_getfield(lua, 1, "issuer");
    lua_getfield(lua, 1, "from");
    lua_getfield(lua, 1, "to");
    lua_getfield(lua, 1, "serial");
    lua_getfield(lua, 1, "names");
    parts.subject = luaL_checkstring(lua, 2);
    parts.issuer = luaL_checkstring(lua, 3);
    parts.not_before = (time_t)luaL_checknumber(lua, 4);
    parts.not_after = (time_t)luaL_checknumber(lua, 5);
    parts.serial = u32_at(lua, 6);
    parts.names = names;
    parts.name_count = 0;
    luaL_checktype(lua, 7, LUA_TTABLE);
    luaL_checkstack(lua, CERTIFICATE_NAMES, "names");
    for (int i = 1; i <= (int)lua_objlen(lua, 7) && parts.name_count < CERTIFICATE_NAMES; i++) {
        lua_rawgeti(lua, 7, i);
        names[parts.name_count++] = luaL_checkstring(lua, -1);
    }
    uint32_t length = certificate_build(&parts, der, sizeof der, &err);
    if (length == 0) return luaL_error(lua, "certificate: %s", err.text);
    lua_pushlstring(lua, (const char *)der, length);
    return 1;
}

/* ── events ──────────────────────────────────────────────────────── */

static int set_list(lua_State *lua, struct made_event *event, const struct field *field, struct error *err) {
    struct slice texts[LIST_MOST];
    double numbers[LIST_MOST];
    size_t count = lua_objlen(lua, -1);
    if (field->type != FIELD_list && field->type != FIELD_u16s)
        return error_set(err, "'%s' must be %s, got a table", field->name, made_event_expects(field));
    if (count > LIST_MOST) return error_set(err, "'%s': a list may have %d entries", field->name, LIST_MOST);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(lua, -1, (int)i + 1);
        int type = lua_type(lua, -1);
        bool fits = type == (field->type == FIELD_list ? LUA_TSTRING : LUA_TNUMBER);
        if (fits && type == LUA_TSTRING) texts[i] = slice_at(lua, -1); /* the table keeps it alive */
        if (fits && type == LUA_TNUMBER) numbers[i] = lua_tonumber(lua, -1);
        lua_pop(lua, 1);
        if (!fits)
            return error_set(err, "'%s' must be %s, entry %zu is a %s", field->name,
                             made_event_expects(field), i + 1, lua_typename(lua, type));
    }
    return field->type == FIELD_list ? made_event_list(event, field, texts, count, err)
                                     : made_event_numbers(event, field, numbers, count, err);
}

static int set_field(lua_State *lua, struct trial *trial, const struct field *field, struct error *err) {
    size_t length;
    const char *text;
    switch (lua_type(lua, -1)) {
    case LUA_TNUMBER:
        return made_event_number(&trial->event, field, lua_tonumber(lua, -1), err);
    case LUA_TBOOLEAN:
        return made_event_flag(&trial->event, field, lua_toboolean(lua, -1), err);
    case LUA_TSTRING:
        text = lua_tolstring(lua, -1, &length);
        return made_event_text(&trial->event, field, text, length, &trial->words, err);
    case LUA_TTABLE:
        return set_list(lua, &trial->event, field, err);
    default:
        return error_set(err, "'%s' must be %s, got a %s", field->name, made_event_expects(field),
                         luaL_typename(lua, -1));
    }
}

static void add_names(lua_State *lua, const struct event_schema *schema, int *count) {
    for (uint32_t i = 0; i < schema->field_count; i++) {
        lua_pushstring(lua, schema->fields[i].name);
        lua_rawseti(lua, -2, ++*count);
    }
}

/* A message, what was wrong, and the names that there are: for the Lua side to find the nearest. */
static int unknown(lua_State *lua, const char *message, const char *wrong, enum event_kind kind) {
    int count = 0;
    lua_pushstring(lua, message);
    lua_pushstring(lua, wrong);
    lua_newtable(lua);
    if (kind != EVENT_head) {
        add_names(lua, event_schema_of(kind), &count);
        add_names(lua, event_schema_of(EVENT_head), &count);
        return 3;
    }
    for (int k = EVENT_head + 1; k < EVENT_KINDS; k++) {
        lua_pushstring(lua, event_schema_of((enum event_kind)k)->name);
        lua_rawseti(lua, -2, ++count);
    }
    return 3;
}

/* event(time, kind, fields) → nil; or a message; or a message, the name that is wrong, and those there are */
static int host_event(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    nanoseconds time = time_at(lua, 1);
    const char *name = luaL_checkstring(lua, 2);
    luaL_checktype(lua, 3, LUA_TTABLE);
    lua_settop(lua, 3);
    enum event_kind kind = event_kind_named(name);
    if (kind == EVENT_head)
        return unknown(lua, lua_pushfstring(lua, "there is no event '%s'", name), name, EVENT_head);
    made_event_free(&trial->event);
    if (made_event_begin(&trial->event, kind, &err) < 0) return push_message(lua, -1, &err);
    lua_pushnil(lua);
    while (lua_next(lua, 3)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
        const struct field *field = event_field_named(kind, key);
        if (!field) return unknown(lua, lua_pushfstring(lua, "%s has no field '%s'", name, key), key, kind);
        if (set_field(lua, trial, field, &err) < 0) return push_message(lua, -1, &err);
        lua_pop(lua, 1);
    }
    return push_message(lua, story_event(trial->story, time, &trial->event, &err), &err);
}

/* ── captures ────────────────────────────────────────────────────── */

/* capture(paths) → times of the first and the last packet (-1: there are none), or nil, nil and a message */
static int host_capture(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    const char *paths[CAPTURES_MOST];
    struct error err;
    struct stat status;
    nanoseconds first = -1, last = -1;
    size_t count = lua_objlen(lua, 1);
    int outcome = count <= CAPTURES_MOST ? 0 : error_set(&err, "at most %d files at once", CAPTURES_MOST);
    lua_settop(lua, 1);
    luaL_checkstack(lua, CAPTURES_MOST + 4, "paths");
    for (size_t i = 0; i < count && outcome == 0; i++) {
        lua_rawgeti(lua, 1, (int)i + 1);
        paths[i] = luaL_checkstring(lua, -1);
        if (stat(paths[i], &status) < 0)
            outcome = error_set(&err, "%s: %m", paths[i]);
        else if (!S_ISREG(status.st_mode))
            outcome = error_set(&err, "%s is no file", paths[i]);
    }
    if (outcome == 0) outcome = story_capture(trial->story, paths, count, &first, &last, &err);
    if (outcome < 0) {
        lua_pushnil(lua);
        lua_pushnil(lua);
        lua_pushstring(lua, err.text);
        return 3;
    }
    lua_pushnumber(lua, ns_to_seconds(first));
    lua_pushnumber(lua, last < 0 ? -1 : ns_to_seconds(last));
    return 2;
}

/* log_path(word) → what of "[ADDRESS,…=]FILE" is the file, or nil and a message */
static int host_log_path(lua_State *lua) {
    struct error err;
    const char *word = luaL_checkstring(lua, 1);
    if (hosts_check_log(word, &err) == 0) {
        lua_pushstring(lua, hosts_path(word));
        return 1;
    }
    lua_pushnil(lua);
    lua_pushstring(lua, err.text);
    return 2;
}

/* add_log(word) → a message if it cannot be: a host log of regular file, since it is played more than once */
static int host_add_log(lua_State *lua) {
    struct trial *trial = trial_of(lua);
    struct error err;
    struct stat status;
    const char *word = luaL_checkstring(lua, 1), *path = hosts_path(word);
    int outcome = 0;
    if (stat(path, &status) < 0)
        outcome = error_set(&err, "%s: %m", path);
    else if (!S_ISREG(status.st_mode))
        outcome = error_set(&err, "%s is no file", path);
    if (outcome == 0) outcome = story_host_log(trial->story, word, &err);
    return push_message(lua, outcome, &err);
}

void trial_host_push(lua_State *lua, struct trial *trial) {
    static const luaL_Reg functions[] = {
        {"embedded", host_embedded},
        {"log", host_log},
        {"verdict", host_verdict},
        {"case", host_case},
        {"tested", host_tested},
        {"detector", host_detector},
        {"setting", host_setting},
        {"home", host_home},
        {"configuration", host_configuration},
        {"finish", host_finish},
        {"address", host_address},
        {"random", host_random},
        {"tcp", host_tcp},
        {"udp", host_udp},
        {"icmp", host_icmp},
        {"event", host_event},
        {"capture", host_capture},
        {"log_path", host_log_path},
        {"add_log", host_add_log},
        {"certificate", host_certificate},
    };
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        lua_pushlightuserdata(lua, trial);
        lua_pushcclosure(lua, functions[i].func, 1);
        lua_pushcclosure(lua, watchdog_held_call, 1);
        lua_setfield(lua, -2, functions[i].name);
    }
}
