/* `lunette check`: reads scripts for mistakes (check.lua and its parts, in a Lua state of the tool's own: the
 * scripts are parsed there, never run), then loads those that are detectors as a run would, and tells what
 * they declare. */
#ifndef LUNETTE_WORKBENCH_CHECK_H
#define LUNETTE_WORKBENCH_CHECK_H

#include "base/error.h"
#include "output/buffer.h"

#include <stdbool.h>
#include <stdint.h>

enum { CHECK_PATTERNS = 64 };

struct check_options {
    const char *const *paths; /* files, and folders with all that is below them */
    size_t path_count;
    bool tests; /* *_test.lua in folders as well */
    bool load;  /* load the detectors */
    bool hints; /* what is slow in handlers */
    bool quiet; /* findings alone */
    bool json;
    const char *enable[CHECK_PATTERNS],
        *ignore[CHECK_PATTERNS]; /* codes, as patterns of luacheck's; NULL ends */
};

/* Appends the report. How many findings there were, or -1 and why: a path that is not there, no memory. */
int check_run(const struct check_options *options, struct buffer *out, struct error *err);

/* Appends the list of codes. */
int check_codes(struct buffer *out, struct error *err);

#endif
