/* See json_read.h. Values are counted before any is made: each but the first stands behind a comma or an
 * opening bracket. */
#include "audit/json_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_room(const char *bytes, size_t size) {
    size_t values = 1;
    bool quoted = false;
    for (size_t i = 0; i < size && values <= JSON_VALUES; i++) {
        char c = bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ',' || c == '[' || c == '{'))
            values++;
    }
    return values <= JSON_VALUES;
}

json_t *json_read(const char *bytes, size_t size, size_t flags, struct error *err) {
    json_error_t why;
    if (!has_room(bytes, size)) {
        error_set(err, "1: more than %d values", JSON_VALUES);
        return NULL;
    }
    json_t *value = json_loadb(bytes, size, flags, &why);
    if (!value) error_set(err, "%d: no JSON: %s", why.line, why.text);
    return value;
}

json_t *json_read_file(const char *path, size_t flags, struct error *err) {
    struct error why;
    json_t *value = NULL;
    FILE *file = fopen(path, "re");
    char *bytes = file ? malloc(JSON_FILE_MOST + 1) : NULL;
    size_t size = bytes ? fread(bytes, 1, JSON_FILE_MOST + 1, file) : 0;
    if (!file || (bytes && ferror(file)))
        error_set(err, "%s: %s", path, strerror(errno));
    else if (!bytes)
        error_set(err, "%s: out of memory", path);
    else if (size > JSON_FILE_MOST)
        error_set(err, "%s: larger than %d MiB", path, JSON_FILE_MOST >> 20);
    else if (!(value = json_read(bytes, size, flags, &why)))
        error_set(err, "%.400s:%.500s", path, why.text);
    if (file) fclose(file);
    free(bytes);
    return value;
}
