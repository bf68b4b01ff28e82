/* JSON of strangers: read only if it comes to no more values than memory has room for. An empty object is two
 * bytes of a file and two hundred of memory. */
#ifndef LUNETTE_AUDIT_JSON_READ_H
#define LUNETTE_AUDIT_JSON_READ_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

enum { JSON_VALUES = 1000000, JSON_FILE_MOST = 16 << 20 };

/* `flags` are jansson's. NULL, and why with its line. */
json_t *json_read(const char *bytes, size_t size, size_t flags, struct error *err);

/* The same of a file, which may be a pipe, with its name before what is wrong. */
json_t *json_read_file(const char *path, size_t flags, struct error *err);

#endif
