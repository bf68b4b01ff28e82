/* Compiled code, kept for the next Lua state.
 *
 * Each detector has a Lua state of its own, in each worker and where messages are gathered, and all of them
 * load the same twenty files of the engine and many of the same libraries. Compiling them was most of what a
 * state's start cost. So each text is compiled once: the first state writes down the bytecode, with its lines
 * and names, the next ones read it. Only what was compiled here is ever read back: a script cannot hand in
 * bytecode.
 *
 * Shared by workers and what gathers: thread safe. Bounded: what finds no room is compiled anew each time. */
#ifndef LUNETTE_SCRIPT_CODE_H
#define LUNETTE_SCRIPT_CODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct code_store;

struct code_store *code_store_new(void); /* NULL without memory */
struct code_store *code_store_share(struct code_store *store);
void code_store_free(struct code_store *store); /* the last one who shares it takes it away */

/* Pushes the function that `text` is, or the compiler's complaint: 0, or LUA_ERRSYNTAX or LUA_ERRMEM, as
 * luaL_loadbuffer does. `chunk` is its name in messages ("=lib/hosts.lua"). `store` may be NULL. */
int code_load(struct code_store *store, lua_State *lua, const char *text, size_t size, const char *chunk);

/* The engine's own code, known by name alone, since nobody but the engine gives such names: pushes what was
 * kept under `name` and says true. `code_keep` keeps the function on top of the stack. Names here have no "="
 * or "@" at their front, as those of chunks have. */
bool code_made(struct code_store *store, lua_State *lua, const char *name, const char *chunk);
void code_keep(struct code_store *store, lua_State *lua, const char *name);

#endif
