/* One byte says what follows: a number's eight bytes, a string's length and text, a table's count of pairs
 * and the pairs, an object's class by name and then its table, or the number of a table that was written
 * before. See plain.h. */
#include "script/plain.h"

#include <stdlib.h>

enum { TAG_FALSE = 1, TAG_TRUE, TAG_NUMBER, TAG_STRING, TAG_TABLE, TAG_AGAIN, TAG_OBJECT };

/* Its address is the key of the table of classes in Lua's registry. */
static const char classes_key;

/* ------------------------------------------------------------------- bytes */

static bool outgoing_grow(struct outgoing *out, size_t size) {
    if (out->failed) return false;
    size_t room = out->room ? out->room : 4096;
    while (room < out->used + size) room *= 2;
    char *grown = realloc(out->bytes, room);
    if (!grown) {
        out->failed = true;
        return false;
    }
    out->bytes = grown;
    out->room = room;
    return true;
}

void outgoing_bytes(struct outgoing *out, const void *bytes, size_t size) {
    if (out->room - out->used < size && !outgoing_grow(out, size)) return;
    memcpy(out->bytes + out->used, bytes, size);
    out->used += size;
}

void outgoing_u8(struct outgoing *out, uint8_t value) {
    outgoing_bytes(out, &value, sizeof value);
}

void outgoing_u32(struct outgoing *out, uint32_t value) {
    outgoing_bytes(out, &value, sizeof value);
}

void outgoing_f64(struct outgoing *out, double value) {
    outgoing_bytes(out, &value, sizeof value);
}

void outgoing_text(struct outgoing *out, const char *text, size_t length) {
    outgoing_u32(out, (uint32_t)length);
    outgoing_bytes(out, text, length);
}

void plain_put_table(struct outgoing *out, uint32_t pairs) {
    outgoing_u8(out, TAG_TABLE);
    outgoing_u32(out, 0);
    outgoing_u32(out, pairs);
}

void plain_put_text(struct outgoing *out, const char *text, size_t length) {
    outgoing_u8(out, TAG_STRING);
    outgoing_text(out, text, length);
}

void plain_put_number(struct outgoing *out, double value) {
    outgoing_u8(out, TAG_NUMBER);
    outgoing_f64(out, value);
}

uint32_t incoming_u32(struct cursor *in) {
    uint32_t value = 0;
    const uint8_t *bytes = cursor_take(in, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

double incoming_f64(struct cursor *in) {
    double value = 0;
    const uint8_t *bytes = cursor_take(in, sizeof value);
    if (bytes) memcpy(&value, bytes, sizeof value);
    return value;
}

struct slice incoming_text(struct cursor *in) {
    uint32_t length = incoming_u32(in);
    const uint8_t *text = cursor_take(in, length);
    return (struct slice){.at = text, .length = text ? length : 0};
}

/* ----------------------------------------------------------------- classes */

void plain_classes_keep(lua_State *lua) {
    lua_pushlightuserdata(lua, (void *)&classes_key);
    lua_insert(lua, -2);
    lua_rawset(lua, LUA_REGISTRYINDEX);
}

/* Of the table at the top of the stack: pushes its metatable and the name of its class, or nil twice. True
 * unless it has a metatable that is no class's. */
static bool class_push(lua_State *lua) {
    if (!lua_getmetatable(lua, -1)) {
        lua_pushnil(lua);
        lua_pushnil(lua);
        return true;
    }
    lua_pushlightuserdata(lua, (void *)&classes_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    if (lua_istable(lua, -1)) {
        lua_pushvalue(lua, -2);
        lua_rawget(lua, -2);
        lua_replace(lua, -2);
    }
    return lua_type(lua, -1) == LUA_TSTRING;
}

bool plain_can_fill(lua_State *lua) {
    bool fine = class_push(lua);
    lua_pop(lua, 2);
    return fine;
}

/* ----------------------------------------------------------------- writing */

static struct table_number *number_of(const struct plain_writer *writer, const void *table) {
    uint32_t i = (uint32_t)(((uintptr_t)table >> 4) * 0x9e3779b97f4a7c15ull >> 32) & (writer->room - 1);
    while (writer->numbers[i].table && writer->numbers[i].table != table) i = (i + 1) & (writer->room - 1);
    return &writer->numbers[i];
}

static bool numbers_grow(struct plain_writer *writer) {
    struct plain_writer larger = *writer;
    larger.room = writer->room ? writer->room * 2 : 1024;
    larger.filled = 0;
    larger.numbers = calloc(larger.room, sizeof *larger.numbers);
    if (!larger.numbers) return false;
    for (uint32_t i = 0; i < writer->room; i++) {
        const struct table_number *old = &writer->numbers[i];
        if (!old->table || !old->number) continue;
        *number_of(&larger, old->table) = *old;
        larger.filled++;
    }
    free(writer->numbers);
    *writer = larger;
    return true;
}

/* Gives the table the next number. */
static bool number_take(struct plain_writer *writer, const void *table) {
    if (writer->count == writer->table_room) {
        uint32_t room = writer->table_room ? writer->table_room * 2 : 512;
        const void **grown = realloc(writer->tables, room * sizeof *grown);
        if (!grown) return false;
        writer->tables = grown;
        writer->table_room = room;
    }
    struct table_number *place = number_of(writer, table);
    if (!place->table) writer->filled++;
    writer->tables[writer->count++] = table;
    *place = (struct table_number){.table = table, .number = writer->count};
    return true;
}

static bool value_write(struct plain_writer *writer, lua_State *lua, int depth);

/* Says first of what class the table is, if it is an object. False if its metatable is no class's. */
static bool class_write(struct outgoing *out, lua_State *lua) {
    bool known = class_push(lua);
    if (known && !lua_isnil(lua, -1)) {
        size_t length;
        const char *name = lua_tolstring(lua, -1, &length);
        outgoing_u8(out, TAG_OBJECT);
        outgoing_text(out, name, length);
    }
    lua_pop(lua, 2);
    return known;
}

static bool table_write(struct plain_writer *writer, lua_State *lua, int depth) {
    const void *table = lua_topointer(lua, -1);
    struct outgoing *out = writer->out;
    /* Half full at most; numbers that were taken back fill a place until the next growth. */
    if (writer->filled * 2 >= writer->room && !numbers_grow(writer)) out->failed = true;
    if (out->failed) return false;
    uint32_t number = number_of(writer, table)->number;
    if (number) {
        outgoing_u8(out, TAG_AGAIN);
        outgoing_u32(out, number);
        return true;
    }
    if (depth == PLAIN_DEPTH || !lua_checkstack(lua, 4)) return false;
    if (!class_write(out, lua)) return false;
    if (!number_take(writer, table)) out->failed = true;
    outgoing_u8(out, TAG_TABLE);
    outgoing_u32(out, (uint32_t)lua_objlen(lua, -1));
    size_t at = out->used;
    uint32_t pairs = 0;
    outgoing_u32(out, 0);
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pushvalue(lua, -2);
        bool plain = value_write(writer, lua, depth + 1);
        lua_pop(lua, 1);
        if (!plain || !value_write(writer, lua, depth + 1)) {
            lua_pop(lua, 2);
            return false;
        }
        lua_pop(lua, 1);
        pairs++;
    }
    if (!out->failed) memcpy(out->bytes + at, &pairs, sizeof pairs);
    return true;
}

static bool value_write(struct plain_writer *writer, lua_State *lua, int depth) {
    size_t length;
    const char *text;
    switch (lua_type(lua, -1)) {
    case LUA_TBOOLEAN:
        outgoing_u8(writer->out, lua_toboolean(lua, -1) ? TAG_TRUE : TAG_FALSE);
        return true;
    case LUA_TNUMBER:
        outgoing_u8(writer->out, TAG_NUMBER);
        outgoing_f64(writer->out, lua_tonumber(lua, -1));
        return true;
    case LUA_TSTRING:
        text = lua_tolstring(lua, -1, &length);
        outgoing_u8(writer->out, TAG_STRING);
        outgoing_text(writer->out, text, length);
        return true;
    case LUA_TTABLE:
        return table_write(writer, lua, depth);
    default:
        return false;
    }
}

bool plain_write(struct plain_writer *writer, lua_State *lua) {
    size_t used = writer->out->used;
    uint32_t count = writer->count;
    if (value_write(writer, lua, 0)) return true;
    writer->out->used = used;
    while (writer->count > count) number_of(writer, writer->tables[--writer->count])->number = 0;
    return false;
}

void plain_writer_free(struct plain_writer *writer) {
    free(writer->numbers);
    free(writer->tables);
}

/* ---------------------------------------------------------- writing, sorted */

/* Where a pair begins in what was written, how long its key is and how long it is. */
struct pair {
    size_t at;
    const char *bytes; /* once all are written */
    uint32_t key, length;
};

struct pairs {
    struct pair *list, few[32];
    uint32_t count, room;
};

static bool pair_add(struct pairs *pairs, size_t at, size_t key_end, size_t end) {
    if (pairs->count == pairs->room) {
        struct pair *grown = pairs->list == pairs->few ? NULL : pairs->list;
        grown = realloc(grown, 2ul * pairs->room * sizeof *grown);
        if (!grown) return false;
        if (pairs->list == pairs->few) memcpy(grown, pairs->few, sizeof pairs->few);
        pairs->list = grown;
        pairs->room *= 2;
    }
    pairs->list[pairs->count++] =
        (struct pair){.at = at, .key = (uint32_t)(key_end - at), .length = (uint32_t)(end - at)};
    return true;
}

static int compare_pairs(const void *left, const void *right) {
    const struct pair *a = left, *b = right;
    int order = memcmp(a->bytes, b->bytes, a->key < b->key ? a->key : b->key);
    return order ? order : (a->key > b->key) - (a->key < b->key);
}

/* Puts the pairs, which lie one after the other from `begin`, into order. */
static void pairs_sort(struct outgoing *out, struct pairs *pairs, size_t begin) {
    size_t length = out->used - begin;
    if (out->failed || pairs->count < 2) return;
    char *copy = malloc(length);
    if (!copy) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < pairs->count; i++) pairs->list[i].bytes = out->bytes + pairs->list[i].at;
    qsort(pairs->list, pairs->count, sizeof *pairs->list, compare_pairs);
    char *to = copy;
    for (uint32_t i = 0; i < pairs->count; i++) {
        memcpy(to, out->bytes + pairs->list[i].at, pairs->list[i].length);
        to += pairs->list[i].length;
    }
    memcpy(out->bytes + begin, copy, length);
    free(copy);
}

static bool sorted_write(struct outgoing *out, lua_State *lua, size_t limit, int depth);

static bool pairs_write(struct outgoing *out, lua_State *lua, size_t limit, int depth, struct pairs *pairs) {
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        size_t at = out->used;
        lua_pushvalue(lua, -2);
        bool plain = lua_type(lua, -1) != LUA_TTABLE && sorted_write(out, lua, limit, depth + 1);
        lua_pop(lua, 1);
        size_t key_end = out->used;
        plain = plain && sorted_write(out, lua, limit, depth + 1);
        if (!plain || !pair_add(pairs, at, key_end, out->used)) {
            lua_pop(lua, 2);
            return false;
        }
        lua_pop(lua, 1);
    }
    return true;
}

static bool sorted_table_write(struct outgoing *out, lua_State *lua, size_t limit, int depth) {
    struct pairs pairs = {.list = pairs.few, .room = sizeof pairs.few / sizeof pairs.few[0]};
    if (depth == PLAIN_DEPTH || !lua_checkstack(lua, 4)) return false;
    if (!class_write(out, lua)) return false;
    outgoing_u8(out, TAG_TABLE);
    outgoing_u32(out, (uint32_t)lua_objlen(lua, -1));
    size_t at = out->used;
    outgoing_u32(out, 0);
    size_t begin = out->used;
    bool plain = pairs_write(out, lua, limit, depth, &pairs);
    if (plain) pairs_sort(out, &pairs, begin);
    if (plain && !out->failed) memcpy(out->bytes + at, &pairs.count, sizeof pairs.count);
    if (pairs.list != pairs.few) free(pairs.list);
    return plain;
}

static bool sorted_write(struct outgoing *out, lua_State *lua, size_t limit, int depth) {
    struct plain_writer scalar = {.out = out};
    bool plain = lua_type(lua, -1) == LUA_TTABLE ? sorted_table_write(out, lua, limit, depth)
                                                 : value_write(&scalar, lua, depth);
    return plain && !out->failed && out->used <= limit;
}

bool plain_write_sorted(struct outgoing *out, lua_State *lua, size_t most) {
    size_t used = out->used;
    if (sorted_write(out, lua, used + most, 0)) return true;
    out->used = used;
    return false;
}

/* ----------------------------------------------------------------- reading */

static bool value_read(struct plain_reader *reader, lua_State *lua, int target, int depth);

/* Pushes the metatable of the class whose name comes, nil and false if there is none. */
static bool class_read(struct plain_reader *reader, lua_State *lua) {
    struct slice name = incoming_text(&reader->in);
    if (reader->in.failed) return false;
    lua_pushlightuserdata(lua, (void *)&classes_key);
    lua_rawget(lua, LUA_REGISTRYINDEX);
    if (lua_istable(lua, -1)) {
        lua_pushlstring(lua, (const char *)name.at, name.length);
        lua_gettable(lua, -2);
        lua_replace(lua, -2);
    }
    if (lua_istable(lua, -1)) return true;
    lua_pop(lua, 1);
    return false;
}

/* Whether the table at `target` has the metatable at `class` (0: none). */
static bool same_class(lua_State *lua, int target, int class) {
    bool has = lua_getmetatable(lua, target);
    if (!has) return class == 0;
    bool same = class && lua_rawequal(lua, -1, class);
    lua_pop(lua, 1);
    return same;
}

/* The table that is to be filled, empty. */
static void table_push(lua_State *lua, int target, uint32_t items, uint32_t pairs) {
    if (!target) {
        lua_createtable(lua, (int)items, (int)(pairs - items));
        return;
    }
    lua_pushvalue(lua, target);
    lua_pushnil(lua);
    while (lua_next(lua, -2)) {
        lua_pop(lua, 1);
        lua_pushvalue(lua, -1);
        lua_pushnil(lua);
        lua_rawset(lua, -4);
    }
}

/* `class`: the stack's place of a metatable, or 0. */
static bool table_read(struct plain_reader *reader, lua_State *lua, int target, int depth, int class) {
    uint32_t items = incoming_u32(&reader->in), pairs = incoming_u32(&reader->in);
    /* A pair is two bytes at least. */
    if (reader->in.failed || pairs > cursor_left(&reader->in) / 2 || depth > PLAIN_DEPTH) return false;
    if (items > pairs) items = pairs;
    if (pairs > INT32_MAX || !lua_checkstack(lua, 8)) return false;
    if (target && !same_class(lua, target, class)) target = 0;
    table_push(lua, target, items, pairs);
    if (class && !target) {
        lua_pushvalue(lua, class);
        lua_setmetatable(lua, -2);
    }
    if (reader->seen) {
        lua_pushvalue(lua, -1);
        lua_rawseti(lua, reader->seen, (int)++reader->count);
    }
    for (uint32_t i = 0; i < pairs; i++) {
        if (!value_read(reader, lua, 0, depth + 1)) {
            lua_pop(lua, 1);
            return false;
        }
        bool is_nan = lua_type(lua, -1) == LUA_TNUMBER && lua_tonumber(lua, -1) != lua_tonumber(lua, -1);
        if (is_nan || !value_read(reader, lua, 0, depth + 1)) {
            lua_pop(lua, 2);
            return false;
        }
        lua_rawset(lua, -3);
    }
    return true;
}

static bool value_read(struct plain_reader *reader, lua_State *lua, int target, int depth) {
    struct slice text;
    double number;
    uint8_t tag = cursor_u8(&reader->in);
    switch (tag) {
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(lua, tag == TAG_TRUE);
        return true;
    case TAG_NUMBER:
        number = incoming_f64(&reader->in);
        if (reader->in.failed) return false;
        lua_pushnumber(lua, number); /* which makes every NaN the same */
        return true;
    case TAG_STRING:
        text = incoming_text(&reader->in);
        if (reader->in.failed) return false;
        lua_pushlstring(lua, (const char *)text.at, text.length);
        return true;
    case TAG_TABLE:
        return table_read(reader, lua, target, depth, 0);
    case TAG_OBJECT: {
        if (!lua_checkstack(lua, 4) || !class_read(reader, lua)) return false;
        int class = lua_gettop(lua);
        bool fine = cursor_u8(&reader->in) == TAG_TABLE && table_read(reader, lua, target, depth, class);
        lua_remove(lua, class);
        return fine;
    }
    case TAG_AGAIN: {
        uint32_t table = incoming_u32(&reader->in);
        if (reader->in.failed || table == 0 || table > reader->count) return false;
        lua_rawgeti(lua, reader->seen, (int)table);
        return true;
    }
    default:
        return false;
    }
}

bool plain_read(struct plain_reader *reader, lua_State *lua, int target) {
    return value_read(reader, lua, target, 0);
}
