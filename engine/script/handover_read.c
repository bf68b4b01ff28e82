/* Reading what a detector remembers into one that was just loaded. Bytes from the disk are not trusted: what
 * makes no sense ends the reading, and the detector is thrown away. The form is told in handover_form.h. */
#include "script/handover.h"
#include "script/handover_form.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

struct field_plan {
    uint32_t from, to, bytes;
};

struct reading {
    struct detector *detector;
    struct plain_reader values;
    struct handover_figures *figures;
    bool trusted;
    uint8_t *taken; /* bits: slots that were seen */
    struct field_plan *plan;
    uint32_t plan_count;
    bool same_layout, field_lost;
    bool same_version;  /* of the state at hand */
    bool migrates;      /* of some state it is not */
    bool full;          /* more keys than there is memory for */
    const char *damage; /* what makes no sense */
    struct keys *keys;  /* of the state at hand, if it is wanted */
};

static bool damaged(struct reading *reading, const char *what) {
    if (!reading->damage) reading->damage = what;
    return false;
}

static bool read_timers(struct reading *reading, lua_State *lua) {
    struct cursor *in = &reading->values.in;
    uint32_t count = incoming_u32(in);
    if (count > 100000) return damaged(reading, "timers");
    lua_getfield(lua, 2, "timers");
    lua_getfield(lua, -1, "inherit");
    int inherit = lua_gettop(lua);
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        bool every = cursor_u8(in), done = cursor_u8(in);
        double seconds = incoming_f64(in), at = incoming_f64(in);
        if (in->failed || !isfinite(seconds) || !isfinite(at)) return damaged(reading, "timers");
        lua_pushvalue(lua, inherit);
        lua_pushboolean(lua, every);
        lua_pushnumber(lua, seconds);
        lua_pushnumber(lua, at);
        lua_pushboolean(lua, done);
        lua_call(lua, 4, 0);
    }
    lua_settop(lua, 2);
    return !in->failed || damaged(reading, "timers");
}

/* While one state is read, on the stack: as in writing; beside it what the body had set, and the keys that
 * the body before had. */
enum { BODY = VALUES + 1, EARLY, TARGETS };

/* Leaves at STATE the new detector's state of that name and kind, or nil. */
static void find_state(lua_State *lua, struct slice name, bool has_values) {
    lua_settop(lua, STATE);
    lua_getfield(lua, 2, "states");
    uint32_t count = (uint32_t)lua_objlen(lua, -1);
    for (uint32_t i = 1; i <= count; i++) {
        size_t length;
        lua_rawgeti(lua, -1, (int)i);
        lua_getfield(lua, -1, "name");
        const char *own = lua_tolstring(lua, -1, &length);
        lua_getfield(lua, -2, "values");
        bool same =
            length == name.length && memcmp(own, name.at, length) == 0 && !lua_isnil(lua, -1) == has_values;
        lua_pop(lua, 2);
        if (same) {
            lua_replace(lua, STATE);
            lua_settop(lua, STATE);
            return;
        }
        lua_pop(lua, 1);
    }
    lua_pushnil(lua);
    lua_replace(lua, STATE);
    lua_settop(lua, STATE);
}

/* Each slot once: as an entry's or as a free one. */
static bool take_slot(struct reading *reading, uint32_t slot, uint32_t high) {
    if (slot < 1 || slot > high || reading->taken[slot / 8] & 1 << slot % 8) return damaged(reading, "slots");
    reading->taken[slot / 8] |= (uint8_t)(1 << slot % 8);
    return true;
}

/* Pushes a key. */
static bool read_key(struct reading *reading, lua_State *lua) {
    if (!plain_read(&reading->values, lua, 0)) return damaged(reading, "a key");
    int type = lua_type(lua, -1);
    bool fine =
        type == LUA_TSTRING || (type == LUA_TNUMBER && lua_tonumber(lua, -1) == lua_tonumber(lua, -1));
    return fine || damaged(reading, "a key");
}

/* The place of the table that the body put under the key at the top of the stack, 0 if none. A script may
 * hold on to that table: so it is filled and not replaced; each once. */
static int target_of_key(lua_State *lua) {
    lua_pushvalue(lua, -1);
    lua_rawget(lua, BODY);
    if (!lua_istable(lua, -1)) {
        lua_pop(lua, 1);
        return 0;
    }
    lua_pushvalue(lua, -1);
    lua_rawget(lua, TARGETS);
    bool used = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    if (used || !plain_can_fill(lua)) {
        lua_pop(lua, 1);
        return 0;
    }
    lua_pushvalue(lua, -1);
    lua_pushboolean(lua, 1);
    lua_rawset(lua, TARGETS);
    return lua_gettop(lua);
}

static bool full(struct reading *reading) {
    reading->full = true;
    return damaged(reading, "too large");
}

/* The key at place `at` of the stack goes into a slot. */
static bool put_key(struct reading *reading, lua_State *lua, int at, uint32_t slot, double set_at,
                    bool used) {
    double number = lua_tonumber(lua, at) + 0.0;
    size_t length;
    struct key key = key_of_number(&number);
    if (lua_type(lua, at) == LUA_TSTRING) {
        const char *text = lua_tolstring(lua, at, &length);
        key = (struct key){.bytes = text, .length = (uint32_t)length};
    }
    if (keys_at(reading->keys, &key) != 0) return damaged(reading, "a key that is there twice");
    return keys_put(reading->keys, slot, &key, set_at, used) || full(reading);
}

/* Takes the key and what else the stack has beyond TARGETS away. Entries of a state that is no more are read
 * and forgotten, since tables in them may be met again. */
static bool read_entry(struct reading *reading, lua_State *lua, uint32_t high, bool has_values, bool wanted) {
    struct cursor *in = &reading->values.in;
    uint32_t slot = incoming_u32(in);
    double set_at = incoming_f64(in);
    bool used = cursor_u8(in);
    if (in->failed || !isfinite(set_at) || !take_slot(reading, slot, high))
        return damaged(reading, "an entry");
    if (!read_key(reading, lua)) return false;
    int key = lua_gettop(lua);
    int target = has_values && wanted && reading->same_version ? target_of_key(lua) : 0;
    if (has_values && !plain_read(&reading->values, lua, target)) return damaged(reading, "a value");
    if (wanted) {
        if (has_values) lua_rawseti(lua, VALUES, (int)slot);
        if (!put_key(reading, lua, key, slot, set_at, used)) return false;
    }
    lua_settop(lua, TARGETS);
    return true;
}

/* Slots that no entry has: first those of entries that could not be written, then those that were free, which
 * are taken from the end. */
static bool read_free(struct reading *reading, uint32_t high, uint32_t count, bool wanted) {
    struct cursor *in = &reading->values.in, listed = *in;
    for (uint32_t i = 0; i < count; i++)
        if (!take_slot(reading, incoming_u32(in), high)) return false;
    if (in->failed) return damaged(reading, "free slots");
    for (uint32_t slot = 1; slot <= high && wanted; slot++)
        if (!(reading->taken[slot / 8] & 1 << slot % 8)) keys_put_free(reading->keys, slot);
    for (uint32_t i = 0; i < count && wanted; i++) keys_put_free(reading->keys, incoming_u32(&listed));
    return true;
}

static uint32_t kind_bytes(struct slice kind) {
    if (slice_equals(kind, "u8") || slice_equals(kind, "bool")) return 1;
    if (slice_equals(kind, "u16")) return 2;
    if (slice_equals(kind, "u32") || slice_equals(kind, "f32")) return 4;
    return slice_equals(kind, "f64") || slice_equals(kind, "u64") || slice_equals(kind, "time") ? 8 : 0;
}

/* Looks for the new declaration's field of that name and type; false if there is none. */
static bool find_field(lua_State *lua, struct slice name, struct slice kind, uint32_t elements,
                       uint32_t *offset) {
    lua_getfield(lua, STATE, "fields");
    int fields = lua_gettop(lua);
    bool found = false;
    uint32_t count = (uint32_t)lua_objlen(lua, fields);
    for (uint32_t i = 1; i <= count && !found; i++) {
        lua_rawgeti(lua, fields, (int)i);
        int field = lua_gettop(lua);
        lua_getfield(lua, field, "name");
        lua_getfield(lua, field, "kind");
        found = slice_equals(name, lua_tostring(lua, -2)) && slice_equals(kind, lua_tostring(lua, -1)) &&
                (uint32_t)handover_number(lua, field, "elements") == elements;
        *offset = (uint32_t)handover_number(lua, field, "offset");
        lua_settop(lua, fields);
    }
    lua_pop(lua, 1);
    return found;
}

/* Which bytes of an old record go where in a new one. */
static bool read_layout(struct reading *reading, lua_State *lua, uint32_t size, bool wanted) {
    struct cursor *in = &reading->values.in;
    uint32_t count = incoming_u32(in), moved = 0;
    if (in->failed || count > FIELDS_MAX) return damaged(reading, "fields");
    free(reading->plan);
    reading->plan = calloc(count ? count : 1, sizeof *reading->plan);
    reading->plan_count = 0;
    reading->field_lost = false;
    if (!reading->plan) return damaged(reading, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        struct slice name = incoming_text(in), kind = incoming_text(in);
        uint32_t elements = incoming_u32(in), from = incoming_u32(in), to = 0;
        uint64_t bytes = (uint64_t)kind_bytes(kind) * (elements ? elements : 1);
        if (in->failed || bytes == 0 || from + bytes > size) return damaged(reading, "fields");
        if (!wanted) continue;
        if (!find_field(lua, name, kind, elements, &to)) {
            reading->field_lost = true;
            continue;
        }
        moved += to != from;
        reading->plan[reading->plan_count++] =
            (struct field_plan){.from = from, .to = to, .bytes = (uint32_t)bytes};
    }
    if (!wanted) return true;
    lua_getfield(lua, STATE, "fields");
    reading->same_layout = moved == 0 && reading->plan_count == count && lua_objlen(lua, -1) == count &&
                           (uint32_t)handover_number(lua, STATE, "size") == size;
    lua_pop(lua, 1);
    return true;
}

/* LuaJIT keeps pointers in what else would be a NaN: one from the disk must not pass for such. */
static void tame_floats(lua_State *lua, uint8_t *records, uint32_t count, uint32_t size) {
    lua_getfield(lua, STATE, "fields");
    uint32_t fields = (uint32_t)lua_objlen(lua, -1);
    for (uint32_t i = 1; i <= fields; i++) {
        lua_rawgeti(lua, -1, (int)i);
        int field = lua_gettop(lua);
        lua_getfield(lua, field, "kind");
        const char *kind = lua_tostring(lua, -1);
        bool narrow = strcmp(kind, "f32") == 0;
        bool wide = strcmp(kind, "f64") == 0 || strcmp(kind, "u64") == 0 || strcmp(kind, "time") == 0;
        uint32_t elements = (uint32_t)handover_number(lua, field, "elements"),
                 offset = (uint32_t)handover_number(lua, field, "offset");
        for (uint32_t n = 0; n < count && (wide || narrow); n++) {
            uint8_t *at = records + (size_t)n * size + offset;
            for (uint32_t e = 0; e < (elements ? elements : 1); e++, at += wide ? 8 : 4) {
                double value;
                float small;
                if (wide) memcpy(&value, at, sizeof value);
                if (narrow) memcpy(&small, at, sizeof small);
                if (wide && value != value) memset(at, 0, sizeof value);
                if (narrow && small != small) memset(at, 0, sizeof small);
            }
        }
        lua_settop(lua, field - 1);
    }
    lua_pop(lua, 1);
}

/* A block as it lies in the bytes, or, from this process, where it lies. */
static const uint8_t *take_block(struct reading *reading, size_t bytes) {
    if (!reading->trusted) return cursor_take(&reading->values.in, bytes);
    const uint8_t *block = NULL;
    const uint8_t *place = cursor_take(&reading->values.in, sizeof block);
    if (place) memcpy(&block, place, sizeof block);
    return block;
}

static bool read_block(struct reading *reading, lua_State *lua, int addresses, uint32_t number, uint32_t size,
                       uint32_t block) {
    const uint8_t *from = take_block(reading, (size_t)size * block);
    if (!from) return damaged(reading, "records");
    if (!addresses) return true;
    lua_rawgeti(lua, addresses, (int)number + 1);
    uint8_t *to = (void *)(uintptr_t)lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    uint32_t own_size = (uint32_t)handover_number(lua, STATE, "size");
    if (reading->same_layout)
        memcpy(to, from, (size_t)size * block);
    else
        for (uint32_t n = 0; n < block; n++)
            for (uint32_t f = 0; f < reading->plan_count; f++)
                memcpy(to + (size_t)n * own_size + reading->plan[f].to,
                       from + (size_t)n * size + reading->plan[f].from, reading->plan[f].bytes);
    if (!reading->trusted) tame_floats(lua, to, block, own_size);
    return true;
}

static bool read_records(struct reading *reading, lua_State *lua, uint32_t high, bool wanted) {
    struct cursor *in = &reading->values.in;
    uint32_t size = incoming_u32(in), block = incoming_u32(in);
    if (in->failed || size == 0 || size > RECORD_MAX) return damaged(reading, "records");
    if (wanted && block != (uint32_t)handover_number(lua, STATE, "block")) return damaged(reading, "records");
    if (!read_layout(reading, lua, size, wanted)) return false;
    uint32_t blocks = incoming_u32(in);
    if (in->failed || block == 0 || blocks != (high ? high / block + 1 : 0))
        return damaged(reading, "records");
    uint64_t bytes = reading->trusted ? sizeof(void *) : (uint64_t)size * block;
    if (blocks > 0 && bytes > cursor_left(in) / blocks) return damaged(reading, "records");
    int addresses = 0;
    if (wanted && blocks > 0) {
        lua_getfield(lua, STATE, "reserve");
        lua_pushinteger(lua, (lua_Integer)high);
        lua_call(lua, 1, 0);
        lua_getfield(lua, STATE, "addresses");
        addresses = lua_gettop(lua);
    }
    for (uint32_t i = 0; i < blocks; i++)
        if (!read_block(reading, lua, addresses, i, size, block)) return false;
    return true;
}

static bool read_early_keys(struct reading *reading, lua_State *lua) {
    uint32_t count = incoming_u32(&reading->values.in);
    if (count > cursor_left(&reading->values.in)) return damaged(reading, "keys");
    for (uint32_t i = 0; i < count; i++) {
        if (!read_key(reading, lua)) return false;
        if (!plain_read(&reading->values, lua, 0)) return damaged(reading, "keys");
        lua_rawset(lua, EARLY);
    }
    return true;
}

/* Puts keys and values in their places; what the body set is put aside. */
static bool open_state(struct reading *reading, lua_State *lua, uint32_t high, bool wanted) {
    if (!wanted) {
        lua_settop(lua, VALUES);
        lua_newtable(lua); /* BODY */
    } else {
        reading->keys = handover_push_tables(lua);
        lua_getfield(lua, STATE, "clear");
        lua_call(lua, 0, 1);
        if (!keys_clear(reading->keys, high)) return full(reading);
    }
    lua_newtable(lua); /* EARLY */
    lua_newtable(lua); /* TARGETS */
    return true;
}

static void resume_state(struct reading *reading, lua_State *lua, uint32_t count, uint32_t high, double hand,
                         double evicted, uint32_t version) {
    keys_resume(reading->keys, high, (uint32_t)hand, evicted);
    lua_getfield(lua, STATE, "resume");
    lua_pushinteger(lua, (lua_Integer)high);
    lua_pushvalue(lua, EARLY);
    lua_pushinteger(lua, (lua_Integer)version);
    lua_call(lua, 3, 1);
    uint32_t gone = (uint32_t)lua_tonumber(lua, -1);
    reading->figures->kept += count - gone;
    reading->figures->lost += reading->field_lost ? count : gone;
}

static bool read_state(struct reading *reading, lua_State *lua) {
    struct cursor *in = &reading->values.in;
    struct slice name = incoming_text(in);
    uint8_t kind = cursor_u8(in);
    uint32_t version = kind & KIND_VERSIONED ? incoming_u32(in) : 1;
    kind &= (uint8_t)~KIND_VERSIONED;
    uint32_t high = incoming_u32(in);
    double hand = incoming_f64(in), evicted = incoming_f64(in);
    /* A slot takes four bytes at least. */
    if (in->failed || (kind != KIND_STATE && kind != KIND_RECORDS) || high > SLOTS_MAX ||
        version > INT32_MAX || high > cursor_left(in) / 4 || !(hand >= 0 && hand <= SLOTS_MAX) ||
        !(evicted >= 0 && isfinite(evicted)))
        return damaged(reading, "a state's head");
    bool has_values = kind == KIND_STATE;
    find_state(lua, name, has_values);
    bool wanted = !lua_isnil(lua, STATE);
    reading->same_version = wanted && (uint32_t)handover_number(lua, STATE, "version") == version;
    reading->migrates |= wanted && !reading->same_version;
    if (!open_state(reading, lua, high, wanted)) return false;
    free(reading->taken);
    reading->taken = calloc(high / 8 + 1, 1);
    reading->field_lost = false;
    if (!reading->taken) return damaged(reading, "out of memory");
    if (!read_early_keys(reading, lua)) return false;
    uint32_t count = incoming_u32(in);
    if (count > high) return damaged(reading, "entries");
    for (uint32_t i = 0; i < count; i++)
        if (!read_entry(reading, lua, high, has_values, wanted)) return false;
    uint32_t free_slots = incoming_u32(in);
    if (free_slots > high - count || !read_free(reading, high, free_slots, wanted))
        return damaged(reading, "free slots");
    if (!has_values && !read_records(reading, lua, high, wanted)) return false;
    if (wanted)
        resume_state(reading, lua, count, high, floor(hand), evicted, version);
    else
        reading->figures->lost += count;
    lua_settop(lua, 2);
    return true;
}

int handover_read_all(lua_State *lua) {
    struct reading *reading = lua_touserdata(lua, 1);
    struct cursor *in = &reading->values.in;
    luaL_checkstack(lua, 40, "the stack");
    lua_newtable(lua);
    lua_replace(lua, 1);
    reading->values.seen = 1;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, reading->detector->call_kept);
    if (!read_timers(reading, lua)) return 0;
    uint32_t states = incoming_u32(in);
    for (uint32_t i = 0; i < states; i++)
        if (!read_state(reading, lua)) return 0;
    if (in->failed || cursor_left(in) > 0) damaged(reading, "its end");
    return 0;
}

/* What came of another version is brought to the script's: by its own functions, all states being filled. */
int handover_migrate_all(lua_State *lua) {
    const struct reading *reading = lua_touserdata(lua, 1);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, reading->detector->call_kept);
    lua_getfield(lua, -1, "migrate");
    lua_call(lua, 0, 1);
    uint64_t dropped = (uint64_t)lua_tonumber(lua, -1), kept = reading->figures->kept;
    reading->figures->kept -= dropped < kept ? dropped : kept;
    reading->figures->lost += dropped;
    return 0;
}

/* Enters by `call`, with the reading. 0, or -1 and why: then nothing of the detector is to be used. */
static int reading_enter(struct reading *reading, int call, struct error *err) {
    struct detector *detector = reading->detector;
    lua_State *lua = detector->lua;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call);
    lua_pushlightuserdata(lua, reading);
    int status = detector_enter_patiently(detector, 1);
    if (status == 0) return 0;
    if (status < 0 && detector->quarantined)
        return error_set(err, "%s cannot take the state over: %s", detector->path, detector->last_error);
    if (status < 0)
        return error_set(err, "%s cannot take the state over: not enough memory, its bound is %zu MiB",
                         detector->path, detector->options.memory_limit >> 20);
    error_set(err, "%s cannot take the state over: %s", detector->path, lua_tostring(lua, -1));
    lua_pop(lua, 1);
    return -1;
}

int handover_read(struct detector *detector, const void *bytes, size_t size, bool trusted,
                  struct handover_figures *figures, struct error *err) {
    struct reading reading = {.detector = detector,
                              .values = {.in = cursor_over(bytes, size)},
                              .figures = figures,
                              .trusted = trusted};
    if (!detector->lua) return error_set(err, "%s is switched off", detector->name);
    lua_gc(detector->lua, LUA_GCSTOP, 0); /* nothing of what comes is garbage */
    int outcome = reading_enter(&reading, detector->call_read, err);
    free(reading.taken);
    free(reading.plan);
    if (detector->lua) lua_gc(detector->lua, LUA_GCRESTART, -1);
    if (outcome < 0) return -1;
    if (reading.full)
        return error_set(err, "%s cannot take the state over: not enough memory, its bound is %zu MiB",
                         detector->path, detector->options.memory_limit >> 20);
    if (reading.damage) return error_set(err, "state of %s is damaged: %s", detector->name, reading.damage);
    return reading.migrates ? reading_enter(&reading, detector->call_migrate, err) : 0;
}
