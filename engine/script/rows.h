/* Tables in text, as lunette.tsv gives them to a script. */
#ifndef LUNETTE_SCRIPT_ROWS_H
#define LUNETTE_SCRIPT_ROWS_H

#include <lua.h>
#include <stddef.h>

/* Pushes a list of tables from column to cell: the first line names the columns, cells are divided by tabs.
 * Lines end in LF, CR or both; empty ones and those that begin with # are left out. Cells beyond the named
 * columns are dropped, those that a short line lacks are absent. Pushes nil if there is no line at all.
 * Raises Lua's errors of memory. */
void rows_push(lua_State *lua, const char *text, size_t size);

#endif
