/* lunette.lua: a Lua file in which every option is a global.
 *
 *      interface = { "en0", "utun*" }
 *      set = { beacon = { score = 4 } }
 *      workers = tonumber(env("LUNETTE_WORKERS")) or 2
 *
 * It runs once, in a Lua state of its own that can do nothing but compute: string, table, math, the plain
 * base functions and env(NAME); no files, no modules, no compiler. Memory and the number of instructions are
 * bounded. What it assigned is read when it has ended, and each mistake is told with the line of the
 * assignment. Relative paths are relative to the file's folder. */
#ifndef LUNETTE_CLI_CONFIG_H
#define LUNETTE_CLI_CONFIG_H

#include "cli/values.h"

/* Puts what the file says where the command line has said nothing. -1, all mistakes in `err`, a line each,
 * and `values` as before. Options of the other command are checked as well and do no harm. */
int config_read(const char *path, struct values *values, struct error *err);

#endif
