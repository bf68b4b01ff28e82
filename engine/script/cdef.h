/* The event structs as LuaJIT's ffi.cdef reads them, and the schema as a Lua table. */
#ifndef LUNETTE_SCRIPT_CDEF_H
#define LUNETTE_SCRIPT_CDEF_H

#include "event/schema.h"

#include <lua.h>

/* Pushes the declarations of all events as one string: struct lunette_head, and for each kind struct
 * lunette_body_KIND and struct lunette_event_KIND (a head followed by a body). */
void cdef_push_text(lua_State *L);

/* Pushes { [kind number] = { name=, size=, fields = { { name=, type=, offset=, number=, head= }, … } }, … }:
 * the head's fields first, then the kind's own. `number` is what lunette_api.set_find_field takes. */
void cdef_push_schema(lua_State *L);

/* Pushes the entry of that table for a schema which a script declared, and in it `cdef`, the declarations of
 * its structs, and `own`, what stands for KIND in their names. Fields are called "own_NAME" there, since a
 * name may be a word of C: each has a `member`. */
void cdef_push_kind(lua_State *L, const struct event_schema *schema, const char *own);

#endif
