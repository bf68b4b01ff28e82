/* What both halves of the hand-over (handover_write.c, handover_read.c) hang on, and the frame for the disk.
 */
#include "script/handover.h"
#include "script/handover_form.h"
#include "script/keyring.h"

#include <lauxlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

double handover_number(lua_State *lua, int table, const char *name) {
    lua_getfield(lua, table, name);
    double number = lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    return number;
}

struct keys *handover_push_tables(lua_State *lua) {
    lua_getfield(lua, STATE, "keys");
    lua_getfield(lua, STATE, "values");
    return keyring_keys(lua_touserdata(lua, KEYS));
}

void handover_prepare(lua_State *lua, struct detector *detector) {
    detector->call_kept = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, handover_write_all);
    detector->call_write = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, handover_read_all);
    detector->call_read = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(lua, handover_migrate_all);
    detector->call_migrate = luaL_ref(lua, LUA_REGISTRYINDEX);
}

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
