/* Writing what a detector remembers. The form is told in handover_form.h. */
#include "script/handover.h"
#include "script/handover_form.h"

#include <lauxlib.h>

struct writing {
    struct detector *detector;
    struct plain_writer values;
    struct outgoing *out;
    struct handover_figures *figures;
    bool by_reference; /* blocks of records are not copied: their places are told */
};

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
        outgoing_f64(out, handover_number(lua, timer, "seconds"));
        outgoing_f64(out, handover_number(lua, timer, "at"));
        lua_settop(lua, body);
    }
    lua_settop(lua, 2);
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
    uint32_t size = (uint32_t)handover_number(lua, STATE, "size"),
             block = (uint32_t)handover_number(lua, STATE, "block");
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
        outgoing_u32(out, (uint32_t)handover_number(lua, field, "elements"));
        outgoing_u32(out, (uint32_t)handover_number(lua, field, "offset"));
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
    handover_push_tables(lua);
    bool has_values = !lua_isnil(lua, VALUES);
    text_field(out, lua, STATE, "name");
    uint32_t version = (uint32_t)handover_number(lua, STATE, "version");
    uint8_t kind = has_values ? KIND_STATE : KIND_RECORDS;
    outgoing_u8(out, version == 1 ? kind : kind | KIND_VERSIONED);
    if (version != 1) outgoing_u32(out, version);
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

int handover_write_all(lua_State *lua) {
    struct writing *writing = lua_touserdata(lua, 1);
    luaL_checkstack(lua, 40, "the stack");
    lua_rawgeti(lua, LUA_REGISTRYINDEX, writing->detector->call_kept);
    write_timers(writing, lua);
    lua_getfield(lua, 2, "states");
    uint32_t count = (uint32_t)lua_objlen(lua, -1), written = 0;
    size_t at = writing->out->used;
    outgoing_u32(writing->out, 0);
    for (uint32_t i = 1; i <= count; i++) {
        lua_getfield(lua, 2, "states");
        lua_rawgeti(lua, -1, (int)i);
        lua_replace(lua, STATE);
        lua_settop(lua, STATE);
        if (!writing->by_reference && flag_field(lua, STATE, "reload_only")) continue;
        write_state(writing, lua);
        written++;
    }
    if (!writing->out->failed) memcpy(writing->out->bytes + at, &written, sizeof written);
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
    int status = detector_enter_patiently(detector, 1);
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
