/* The API as annotations for lua-language-server: lua-api/stubs.lua makes them from the event schema and the
 * comments in the API's own sources. */
#ifndef LUNETTE_CLI_STUBS_H
#define LUNETTE_CLI_STUBS_H

#include "base/error.h"
#include "event/schema.h"
#include "output/buffer.h"

#include <stdbool.h>

/* What a script sees for a field of that type: `lua` in words, `annotation` for lua-language-server, `filter`
 * for what lunette.on's filter takes (NULL: nothing). */
struct lua_type {
    const char *lua;
    const char *annotation;
    const char *filter;
};
struct lua_type lua_type_of(enum field_type type);

/* Appends the text of the module "lunette". `chosen`: the kinds of events that are in it. */
int stubs_print(struct buffer *out, const bool chosen[EVENT_KINDS], struct error *err);

/* Writes a file for each module to the folder, which is made if need be: lunette.lua, lunette/names.lua … */
int stubs_write(const char *folder, struct error *err);

#endif
