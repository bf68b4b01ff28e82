/* The event structs as LuaJIT's ffi.cdef reads them, and the schema as a Lua table. */
#ifndef LUNETTE_SCRIPT_CDEF_H
#define LUNETTE_SCRIPT_CDEF_H

#include "event/schema.h"

#include <lua.h>

/* Pushes the declaration of struct lunette_head. */
void cdef_push_head(lua_State *L);

/* Pushes { [kind number] = name, … } of the engine's events. */
void cdef_push_names(lua_State *L);

/* Pushes { name=, size=, fields = { { name=, type=, offset=, number=, head= }, … }, cdef= } for a kind: the
 * head's fields first, then the kind's own. `number` is what lunette_api.set_find_field takes; `cdef` are the
 * declarations of struct lunette_body_KIND and struct lunette_event_KIND (a head followed by a body). They
 * are made for the kinds that a script asks for: all of them were a tenth of what starting it cost.
 *
 * For an event that a script declared, `own` stands for KIND there. Its fields are called "own_NAME", since a
 * name may be a word of C: each has a `member`. NULL for the engine's events. */
void cdef_push_kind(lua_State *L, const struct event_schema *schema, const char *own);

/* Pushes { [kind number] = what cdef_push_kind pushes, without `cdef`, … } of all the engine's events. */
void cdef_push_schema(lua_State *L);

#endif
