/* The form of what a detector remembers, in this machine's byte order; shared by handover_write.c and
 * handover_read.c alone.
 *
 *      timers      of the body, in order; how many others there were
 *      states      each: name, kind, its version if that is not 1; slots in use, the hand; keys that the body
 * set; the entries
 * (slot, age, used, key, and the value of a lunette.state); the free slots in the order in which they will be
 * taken; of lunette.records the fields and then the blocks as they lie in memory
 *
 * What is read and filled is told in store.lua, records.lua and timers.lua (`kept`); keys are in keys.h. */
#ifndef LUNETTE_SCRIPT_HANDOVER_FORM_H
#define LUNETTE_SCRIPT_HANDOVER_FORM_H

#include "script/keys.h"

#include <lua.h>

enum { KIND_STATE = 1, KIND_RECORDS, KIND_VERSIONED = 0x80 /* or-ed: a version follows */ };
enum { FIELDS_MAX = 4096, SLOTS_MAX = KEYS_SLOTS, RECORD_MAX = 1 << 20 };

/* Places on Lua's stack of a state, its keys and its values (nil: none), while it is written or read. */
enum { STATE = 3, KEYS, VALUES };

/* A number of the table at `table`; pushes nothing. */
double handover_number(lua_State *lua, int table, const char *name);

/* Keys and values of the state at STATE, onto their places. */
struct keys *handover_push_tables(lua_State *lua);

/* What Lua enters by; the argument is the half's own struct. */
int handover_write_all(lua_State *lua);
int handover_read_all(lua_State *lua);
int handover_migrate_all(lua_State *lua);

#endif
