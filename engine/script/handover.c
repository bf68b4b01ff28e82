/* The form, in this machine's byte order:
 *
 *      timers      of the body, in order; how many others there were
 *      states      each: name, kind, length; slots in use, the hand; keys that the body set; the entries
 * (slot, age, used, key, and the value of a lunette.state); the free slots in the order in which they will be
 * taken; of lunette.records the fields and then the blocks as they lie in memory
 *
 * The tables that this reads and fills are told in store.lua, records.lua and timers.lua (`kept`). */
#include "script/handover.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { KIND_STATE = 1, KIND_RECORDS, FIELDS_MAX = 4096, SLOTS_MAX = 1 << 24, RECORD_MAX = 1 << 20 };

/* ----------------------------------------------------------------- writing */

struct writing {
    struct detector *detector;
    struct plain_writer values;
    struct outgoing *out;
    struct handover_figures *figures;
    bool by_reference; /* blocks of records are not copied: their places are told */
};

static double number_field(lua_State *lua, int table, const char *name) {
    lua_getfield(lua, table, name);
    double number = lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    return number;
}

static void text_field(struct outgoing *out, lua_State *lua, int table, const char *name) {
    size_t length;
    lua_getfield(lua, table, name);
    const char *text = lua_tolstring(lua, -1, &length);
    outgoing_text(out, text ? text : "", text ? length : 0);
    lua_pop(lua, 1);
}

static bool flag_field(lua_State *lua, int table, const char *name) {
    lua_getfield(lua, table, name);
    bool flag = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return flag;
}

/* `kept` is at place 2. */
static void write_timers(struct writing *writing, lua_State *lua) {
    struct outgoing *out = writing->out;
    lua_getfield(lua, 2, "timers");
    int timers = lua_gettop(lua);
    lua_getfield(lua, timers, "figures");
    lua_call(lua, 0, 2);
    bool started = lua_toboolean(lua, -2);
    writing->figures->timers_lost += (uint64_t)lua_tonumber(lua, -1);
    lua_getfield(lua, timers, "body");
    int body = lua_gettop(lua);
    uint32_t count = started ? (uint32_t)lua_objlen(lua, body) : 0;
    outgoing_u32(out, count);
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(lua, body, (int)i);
        int timer = lua_gettop(lua);
        outgoing_u8(out, flag_field(lua, timer, "every"));
        outgoing_u8(out, flag_field(lua, timer, "done"));
        outgoing_f64(out, number_field(lua, timer, "seconds"));
        outgoing_f64(out, number_field(lua, timer, "at"));
        lua_settop(lua, body);
    }
    lua_settop(lua, 2);
}

/* Places on the stack of the tables of a state. */
enum { STATE = 3, KEYS, SET_AT, USED, FREE, VALUES };

static void push_tables(lua_State *lua) {
    static const char *const names[] = {"keys", "set_at", "used", "free", "values"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) lua_getfield(lua, STATE, names[i]);
}

static void write_early_keys(struct writing *writing, lua_State *lua) {
    uint32_t count = 0;
    size_t at = writing->out->used;
    outgoing_u32(writing->out, 0);
    lua_getfield(lua, STATE, "early");
    int early = lua_gettop(lua);
    lua_pushnil(lua);
    while (lua_next(lua, early)) {
        lua_insert(lua, -2); /* the key first; both are plain */
        plain_write(&writing->values, lua);
        lua_insert(lua, -2);
        plain_write(&writing->values, lua);
        lua_pop(lua, 1);
        count++;
    }
    if (!writing->out->failed) memcpy(writing->out->bytes + at, &count, sizeof count);
    lua_settop(lua, early - 1);
}

/* The entry in a slot. False, and nothing written, if its value is not plain. */
static bool write_entry(struct writing *writing, lua_State *lua, uint32_t slot, bool has_value) {
    struct outgoing *out = writing->out;
    size_t used = out->used;
    lua_rawgeti(lua, SET_AT, (int)slot);
    lua_rawgeti(lua, USED, (int)slot);
    outgoing_u32(out, slot);
    outgoing_f64(out, lua_tonumber(lua, -2));
    outgoing_u8(out, lua_toboolean(lua, -1));
    lua_pop(lua, 2);
    bool plain = plain_write(&writing->values, lua); /* the key, which the caller pushed */
    if (plain && has_value) {
        lua_rawgeti(lua, VALUES, (int)slot);
        plain = plain_write(&writing->values, lua);
        lua_pop(lua, 1);
    }
    if (!plain) out->used = used;
    return plain;
}

static void write_entries(struct writing *writing, lua_State *lua, uint32_t high, bool has_value) {
    struct outgoing *out = writing->out;
    size_t at = out->used;
    uint32_t count = 0;
    outgoing_u32(out, 0);
    for (uint32_t slot = 1; slot <= high; slot++) {
        lua_rawgeti(lua, KEYS, (int)slot);
        if (!lua_isnil(lua, -1) && write_entry(writing, lua, slot, has_value)) count++;
        lua_pop(lua, 1);
    }
    uint32_t free_slots = (uint32_t)lua_objlen(lua, FREE);
    writing->figures->written += count;
    writing->figures->lost += high - count - free_slots;
    if (!out->failed) memcpy(out->bytes + at, &count, sizeof count);
    outgoing_u32(out, free_slots);
    for (uint32_t i = 1; i <= free_slots; i++) {
        lua_rawgeti(lua, FREE, (int)i);
        outgoing_u32(out, (uint32_t)lua_tonumber(lua, -1));
        lua_pop(lua, 1);
    }
}

static void write_records(struct writing *writing, lua_State *lua, uint32_t high) {
    struct outgoing *out = writing->out;
    uint32_t size = (uint32_t)number_field(lua, STATE, "size"),
             block = (uint32_t)number_field(lua, STATE, "block");
    outgoing_u32(out, size);
    outgoing_u32(out, block);
    lua_getfield(lua, STATE, "fields");
    int fields = lua_gettop(lua);
    uint32_t count = (uint32_t)lua_objlen(lua, fields);
    outgoing_u32(out, count);
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(lua, fields, (int)i);
        int field = lua_gettop(lua);
        text_field(out, lua, field, "name");
        text_field(out, lua, field, "kind");
        outgoing_u32(out, (uint32_t)number_field(lua, field, "elements"));
        outgoing_u32(out, (uint32_t)number_field(lua, field, "offset"));
        lua_settop(lua, fields);
    }
    lua_getfield(lua, STATE, "addresses");
    int addresses = lua_gettop(lua);
    uint32_t blocks = high ? high / block + 1 : 0;
    outgoing_u32(out, blocks);
    for (uint32_t i = 1; i <= blocks; i++) {
        lua_rawgeti(lua, addresses, (int)i);
        const void *at = (const void *)(uintptr_t)lua_tonumber(lua, -1);
        if (writing->by_reference)
            outgoing_bytes(out, &at, sizeof at);
        else if (at)
            outgoing_bytes(out, at, (size_t)size * block);
        lua_pop(lua, 1);
    }
    lua_settop(lua, VALUES);
}

/* The state is at place STATE. */
static void write_state(struct writing *writing, lua_State *lua) {
    struct outgoing *out = writing->out;
    push_tables(lua);
    bool has_values = !lua_isnil(lua, VALUES);
    text_field(out, lua, STATE, "name");
    outgoing_u8(out, has_values ? KIND_STATE : KIND_RECORDS);
    lua_getfield(lua, STATE, "figures");
    lua_call(lua, 0, 4);
    uint32_t high = (uint32_t)lua_tonumber(lua, -3);
    outgoing_u32(out, high);
    outgoing_f64(out, lua_tonumber(lua, -2));
    outgoing_f64(out, lua_tonumber(lua, -1));
    lua_settop(lua, VALUES);
    write_early_keys(writing, lua);
    write_entries(writing, lua, high, has_values);
    if (!has_values) write_records(writing, lua, high);
    lua_settop(lua, STATE - 1);
}

static int write_all(lua_State *lua) {
    struct writing *writing = lua_touserdata(lua, 1);
    luaL_checkstack(lua, 40, "the stack");
    lua_rawgeti(lua, LUA_REGISTRYINDEX, writing->detector->call_kept);
    write_timers(writing, lua);
    lua_getfield(lua, 2, "states");
    uint32_t count = (uint32_t)lua_objlen(lua, -1);
    outgoing_u32(writing->out, count);
    for (uint32_t i = 1; i <= count; i++) {
        lua_getfield(lua, 2, "states");
        lua_rawgeti(lua, -1, (int)i);
        lua_replace(lua, STATE);
        lua_settop(lua, STATE);
        write_state(writing, lua);
    }
    return 0;
}

int handover_write(struct detector *detector, bool by_reference, struct outgoing *out,
                   struct handover_figures *figures, struct error *err) {
    if (!detector->lua) return error_set(err, "%s has no state any more", detector->name);
    struct writing writing = {.detector = detector,
                              .values = {.out = out},
                              .out = out,
                              .figures = figures,
                              .by_reference = by_reference};
    lua_rawgeti(detector->lua, LUA_REGISTRYINDEX, detector->call_write);
    lua_pushlightuserdata(detector->lua, &writing);
    heap_spare(detector->heap, true);
    int status = detector_enter(detector, 1);
    if (detector->heap) heap_spare(detector->heap, false);
    plain_writer_free(&writing.values);
    if (status > 0) {
        error_set(err, "%s: its state cannot be read: %s", detector->name, lua_tostring(detector->lua, -1));
        lua_pop(detector->lua, 1);
        return -1;
    }
    if (status < 0) return error_set(err, "%s: its state is lost", detector->name);
    return out->failed ? error_set(err, "out of memory for the state of %s", detector->name) : 0;
}

/* ----------------------------------------------------------------- reading */

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
    const char *damage; /* what makes no sense */
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

/* While one state is read, on the stack: the tables as in writing; beside them what the body had set, and the
 * keys that the body before had. */
enum { SLOT_OF = VALUES + 1, BODY, EARLY, TARGETS };

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
    bool has_meta = lua_getmetatable(lua, -1);
    lua_pop(lua, has_meta ? 1 : 0);
    if (used || has_meta) {
        lua_pop(lua, 1);
        return 0;
    }
    lua_pushvalue(lua, -1);
    lua_pushboolean(lua, 1);
    lua_rawset(lua, TARGETS);
    return lua_gettop(lua);
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
    int target = has_values && wanted ? target_of_key(lua) : 0;
    if (has_values && !plain_read(&reading->values, lua, target)) return damaged(reading, "a value");
    if (wanted) {
        lua_pushvalue(lua, key);
        lua_rawget(lua, SLOT_OF);
        if (!lua_isnil(lua, -1)) return damaged(reading, "a key that is there twice");
        lua_pop(lua, 1);
        if (has_values) lua_rawseti(lua, VALUES, (int)slot);
        lua_pushnumber(lua, set_at);
        lua_rawseti(lua, SET_AT, (int)slot);
        lua_pushboolean(lua, used);
        lua_rawseti(lua, USED, (int)slot);
        lua_pushvalue(lua, key);
        lua_rawseti(lua, KEYS, (int)slot);
        lua_pushvalue(lua, key);
        lua_pushinteger(lua, (lua_Integer)slot);
        lua_rawset(lua, SLOT_OF);
    }
    lua_settop(lua, TARGETS);
    return true;
}

/* Slots that no entry has: first those of entries that could not be written, then those that were free, which
 * are taken from the end. */
static bool read_free(struct reading *reading, lua_State *lua, uint32_t high, uint32_t count, bool wanted) {
    struct cursor *in = &reading->values.in, listed = *in;
    uint32_t next = 1;
    for (uint32_t i = 0; i < count; i++)
        if (!take_slot(reading, incoming_u32(in), high)) return false;
    if (in->failed) return damaged(reading, "free slots");
    for (uint32_t slot = 1; slot <= high && wanted; slot++) {
        if (reading->taken[slot / 8] & 1 << slot % 8) continue;
        lua_pushinteger(lua, (lua_Integer)slot);
        lua_rawseti(lua, FREE, (int)next++);
    }
    for (uint32_t i = 0; i < count && wanted; i++) {
        lua_pushinteger(lua, (lua_Integer)incoming_u32(&listed));
        lua_rawseti(lua, FREE, (int)next++);
    }
    return true;
}

static uint32_t kind_bytes(struct slice kind) {
    if (slice_equals(kind, "u8")) return 1;
    if (slice_equals(kind, "u16")) return 2;
    if (slice_equals(kind, "u32") || slice_equals(kind, "f32")) return 4;
    return slice_equals(kind, "f64") ? 8 : 0;
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
                (uint32_t)number_field(lua, field, "elements") == elements;
        *offset = (uint32_t)number_field(lua, field, "offset");
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
                           (uint32_t)number_field(lua, STATE, "size") == size;
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
        bool wide = strcmp(lua_tostring(lua, -1), "f64") == 0,
             narrow = strcmp(lua_tostring(lua, -1), "f32") == 0;
        uint32_t elements = (uint32_t)number_field(lua, field, "elements"),
                 offset = (uint32_t)number_field(lua, field, "offset");
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
    uint32_t own_size = (uint32_t)number_field(lua, STATE, "size");
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
    if (wanted && block != (uint32_t)number_field(lua, STATE, "block")) return damaged(reading, "records");
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

/* Puts the tables in their places; what the body set is put aside. */
static void open_state(lua_State *lua, bool wanted) {
    if (!wanted) {
        lua_settop(lua, SLOT_OF);
        lua_newtable(lua); /* BODY */
    } else {
        push_tables(lua);
        lua_getfield(lua, STATE, "slot_of");
        lua_getfield(lua, STATE, "clear");
        lua_call(lua, 0, 1);
    }
    lua_newtable(lua); /* EARLY */
    lua_newtable(lua); /* TARGETS */
}

static void resume_state(struct reading *reading, lua_State *lua, uint32_t count, uint32_t high, double hand,
                         double evicted) {
    lua_getfield(lua, STATE, "resume");
    lua_pushinteger(lua, (lua_Integer)count);
    lua_pushinteger(lua, (lua_Integer)high);
    lua_pushnumber(lua, hand);
    lua_pushnumber(lua, evicted);
    lua_pushvalue(lua, EARLY);
    lua_call(lua, 5, 1);
    uint32_t gone = (uint32_t)lua_tonumber(lua, -1);
    reading->figures->kept += count - gone;
    reading->figures->lost += reading->field_lost ? count : gone;
}

static bool read_state(struct reading *reading, lua_State *lua) {
    struct cursor *in = &reading->values.in;
    struct slice name = incoming_text(in);
    uint8_t kind = cursor_u8(in);
    uint32_t high = incoming_u32(in);
    double hand = incoming_f64(in), evicted = incoming_f64(in);
    /* A slot takes four bytes at least. */
    if (in->failed || (kind != KIND_STATE && kind != KIND_RECORDS) || high > SLOTS_MAX ||
        high > cursor_left(in) / 4 || !(hand >= 0 && hand <= SLOTS_MAX) ||
        !(evicted >= 0 && isfinite(evicted)))
        return damaged(reading, "a state's head");
    bool has_values = kind == KIND_STATE;
    find_state(lua, name, has_values);
    bool wanted = !lua_isnil(lua, STATE);
    open_state(lua, wanted);
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
    if (free_slots > high - count || !read_free(reading, lua, high, free_slots, wanted))
        return damaged(reading, "free slots");
    if (!has_values && !read_records(reading, lua, high, wanted)) return false;
    if (wanted)
        resume_state(reading, lua, count, high, floor(hand), evicted);
    else
        reading->figures->lost += count;
    lua_settop(lua, 2);
    return true;
}

static int read_all(lua_State *lua) {
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

int handover_read(struct detector *detector, const void *bytes, size_t size, bool trusted,
                  struct handover_figures *figures, struct error *err) {
    struct reading reading = {.detector = detector,
                              .values = {.in = cursor_over(bytes, size)},
                              .figures = figures,
                              .trusted = trusted};
    lua_State *lua = detector->lua;
    if (!lua) return error_set(err, "%s is switched off", detector->name);
    lua_gc(lua, LUA_GCSTOP, 0); /* nothing of what comes is garbage */
    lua_rawgeti(lua, LUA_REGISTRYINDEX, detector->call_read);
    lua_pushlightuserdata(lua, &reading);
    int status = detector_enter(detector, 1);
    free(reading.taken);
    free(reading.plan);
    if (status < 0)
        return error_set(err, "%s cannot take the state over: not enough memory, its bound is %zu MiB",
                         detector->path, detector->options.memory_limit >> 20);
    lua_gc(lua, LUA_GCRESTART, -1);
    if (status > 0) {
        error_set(err, "%s cannot take the state over: %s", detector->path, lua_tostring(lua, -1));
        lua_pop(lua, 1);
        return -1;
    }
    if (reading.damage) return error_set(err, "state of %s is damaged: %s", detector->name, reading.damage);
    return 0;
}

void handover_prepare(lua_State *lua, struct detector *detector) {
    detector->call_kept = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, write_all);
    detector->call_write = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, read_all);
    detector->call_read = luaL_ref(lua, LUA_REGISTRYINDEX);
}

/* ------------------------------------------------------------------- frame */

struct frame {
    char magic[8];
    uint32_t version, order;
    uint64_t length, checksum;
};

static const struct frame FRAME = {.magic = "lunette", .version = 1, .order = 0x01020304};

void handover_open(struct outgoing *out) {
    outgoing_bytes(out, &FRAME, sizeof FRAME);
}

void handover_seal(struct outgoing *out) {
    if (out->failed) return;
    struct frame frame = FRAME;
    frame.length = out->used - sizeof frame;
    frame.checksum = XXH3_64bits(out->bytes + sizeof frame, frame.length);
    memcpy(out->bytes, &frame, sizeof frame);
}

int handover_unseal(const void *bytes, size_t size, struct slice *inside, struct error *err) {
    struct frame frame;
    if (size < sizeof frame || size > UINT32_MAX)
        return error_set(err, "saved state of %zu bytes: cut off", size);
    memcpy(&frame, bytes, sizeof frame);
    if (memcmp(frame.magic, FRAME.magic, sizeof frame.magic) != 0)
        return error_set(err, "no saved state of lunette's");
    if (frame.order != FRAME.order) return error_set(err, "saved on a machine of the other byte order");
    if (frame.version != FRAME.version)
        return error_set(err, "saved state of version %u, this lunette knows %u", frame.version,
                         FRAME.version);
    if (frame.length != size - sizeof frame) return error_set(err, "saved state is cut off");
    inside->at = (const uint8_t *)bytes + sizeof frame;
    inside->length = (uint32_t)frame.length;
    if (XXH3_64bits(inside->at, inside->length) != frame.checksum)
        return error_set(err, "saved state is damaged: its checksum is another");
    return 0;
}
