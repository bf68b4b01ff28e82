/* Writing what a detector remembers. The form is told in handover_form.h. */
#include "script/handover.h"
#include "script/handover_form.h"

#include <lauxlib.h>
#include <math.h>

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

static void write_key(struct outgoing *out, const struct key *key) {
    double number;
    if (!key->is_number) {
        plain_put_text(out, key->bytes, key->length);
        return;
    }
    memcpy(&number, key->bytes, sizeof number);
    plain_put_number(out, number);
}

/* The entry in a slot. False, and nothing written, if its value is not plain. */
static bool write_entry(struct writing *writing, lua_State *lua, const struct keys *keys, uint32_t slot,
                        bool has_value) {
    struct outgoing *out = writing->out;
    size_t used = out->used;
    struct key key = keys_key(keys, slot);
    outgoing_u32(out, slot);
    outgoing_f64(out, keys_set_at(keys, slot));
    outgoing_u8(out, keys_used(keys, slot));
    write_key(out, &key);
    if (!has_value) return true;
    lua_rawgeti(lua, VALUES, (int)slot);
    bool plain = plain_write(&writing->values, lua);
    lua_pop(lua, 1);
    if (!plain) out->used = used;
    return plain;
}

/* In the order in which they became free. */
static void write_free(struct outgoing *out, const struct keys *keys, uint32_t count) {
    outgoing_u32(out, count);
    for (uint32_t i = 0; i < count; i++) outgoing_u32(out, 0);
    if (out->failed) return;
    char *at = out->bytes + out->used;
    for (uint32_t slot = keys_next_free(keys, 0); slot != 0; slot = keys_next_free(keys, slot)) {
        at -= sizeof slot;
        memcpy(at, &slot, sizeof slot);
    }
}

static void write_entries(struct writing *writing, lua_State *lua, const struct keys *keys, bool has_value) {
    struct outgoing *out = writing->out;
    struct keys_figures figures = keys_figures(keys);
    size_t at = out->used;
    uint32_t count = 0;
    outgoing_u32(out, 0);
    for (uint32_t slot = keys_next(keys, 0, -INFINITY); slot != 0; slot = keys_next(keys, slot, -INFINITY))
        count += write_entry(writing, lua, keys, slot, has_value);
    writing->figures->written += count;
    writing->figures->lost += figures.count - count;
    if (!out->failed) memcpy(out->bytes + at, &count, sizeof count);
    write_free(out, keys, figures.high - figures.count);
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
    const struct keys *keys = handover_push_tables(lua);
    struct keys_figures figures = keys_figures(keys);
    bool has_values = !lua_isnil(lua, VALUES);
    text_field(out, lua, STATE, "name");
    uint32_t version = (uint32_t)handover_number(lua, STATE, "version");
    uint8_t kind = has_values ? KIND_STATE : KIND_RECORDS;
    outgoing_u8(out, version == 1 ? kind : kind | KIND_VERSIONED);
    if (version != 1) outgoing_u32(out, version);
    outgoing_u32(out, figures.high);
    outgoing_f64(out, figures.hand);
    outgoing_f64(out, figures.evicted);
    write_early_keys(writing, lua);
    write_entries(writing, lua, keys, has_values);
    if (!has_values) write_records(writing, lua, figures.high);
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
