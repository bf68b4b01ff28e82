/* Plain Lua values as bytes, and back: strings, numbers, booleans, tables of them.
 *
 * Objects of the API's own classes (a ring of lunette.series) are tables with a metatable that the engine
 * knows by a name: they are written with the name, and read back as objects of that class.
 *
 * Tables keep what they share: a table that is met twice is written once, so that what pointed to the same
 * thing does so afterwards, cycles included. What is not plain (functions, views, tables with a metatable of
 * the script's, tables nested beyond PLAIN_DEPTH) is refused. Writing takes no memory of the Lua state. The
 * bytes are in this machine's order. Reading trusts none of them. */
#ifndef LUNETTE_SCRIPT_PLAIN_H
#define LUNETTE_SCRIPT_PLAIN_H

#include "base/bytes.h"

#include <lua.h>

enum { PLAIN_DEPTH = 60 };

/* Bytes that grow. Once memory was short `failed` stays set. */
struct outgoing {
    char *bytes;
    size_t used, room;
    bool failed;
};
void outgoing_bytes(struct outgoing *out, const void *bytes, size_t size);
void outgoing_u8(struct outgoing *out, uint8_t value);
void outgoing_u32(struct outgoing *out, uint32_t value);
void outgoing_f64(struct outgoing *out, double value);
void outgoing_text(struct outgoing *out, const char *text, size_t length);

/* Values that C makes: a table without items is its count of pairs, then key and value of each, sorted by key
 * where equal tables are to be equal bytes. */
void plain_put_table(struct outgoing *out, uint32_t pairs);
void plain_put_text(struct outgoing *out, const char *text, size_t length);
void plain_put_number(struct outgoing *out, double value);

struct plain_writer {
    struct outgoing *out;
    struct table_number {
        const void *table;
        uint32_t number; /* from 1; 0: taken back */
    } * numbers;         /* a hash table */
    uint32_t room, filled, count;
    const void **tables; /* by number */
    uint32_t table_room;
};

/* Writes the value at the top of the stack, which stays. False, and nothing written, if it is not plain. */
bool plain_write(struct plain_writer *writer, lua_State *lua);
void plain_writer_free(struct plain_writer *writer);

/* The same in a form that equal values share: the pairs of a table in the order of their keys' bytes. A table
 * that is met twice is written twice, one that is inside itself is refused; so is what takes more than `most`
 * bytes. */
bool plain_write_sorted(struct outgoing *out, lua_State *lua, size_t most);

struct plain_reader {
    struct cursor in;
    int seen; /* place of a Lua table: the tables that were read, by number. 0: they were written sorted */
    uint32_t count;
};

/* In the order in which outgoing_…() wrote. */
uint32_t incoming_u32(struct cursor *in);
double incoming_f64(struct cursor *in);
struct slice incoming_text(struct cursor *in);

/* Takes the table of classes from the top of the stack: name → metatable and metatable → name. Names that it
 * lacks are asked for with its metatable's __index. */
void plain_classes_keep(lua_State *lua);

/* Whether the table at the top of the stack may be filled by plain_read: it has no metatable, or a class's.
 */
bool plain_can_fill(lua_State *lua);

/* Pushes the next value. If it is a table, and `target` is the stack's place of one of the same class (0:
 * none), that is filled. False, and nothing pushed, if the bytes make no sense. Raises Lua's errors, of
 * memory above all. */
bool plain_read(struct plain_reader *reader, lua_State *lua, int target);

#endif
