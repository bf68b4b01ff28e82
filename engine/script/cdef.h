/* The event structs as LuaJIT's ffi.cdef reads them, and the schema as a Lua table. */
#ifndef LUNETTE_SCRIPT_CDEF_H
#define LUNETTE_SCRIPT_CDEF_H

#include <lua.h>

/* Pushes the declarations of all events as one string: struct lunette_head, and for each kind struct
 * lunette_body_KIND and struct lunette_event_KIND (a head followed by a body). */
void cdef_push_text(lua_State *L);

/* Pushes { [kind number] = { name=, size=, fields = { { name=, type=, offset=, number=, head= }, … } }, … }:
 * the head's fields first, then the kind's own. `number` is what lunette_api.set_find_field takes. */
void cdef_push_schema(lua_State *L);

#endif
