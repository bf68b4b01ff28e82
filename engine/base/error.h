/* One sentence for the user, filled in by whoever failed and printed by whoever gives up.
 *
 * A function that can fail takes `struct error *` last, returns -1 (or NULL) and leaves here what was
 * expected, what was found and what to do. Nobody prints on the way up. */
#ifndef LUNETTE_BASE_ERROR_H
#define LUNETTE_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct error {
    char text[1024];
    bool usage; /* the user asked for something that makes no sense (exit code 2), nothing failed */
};

/* Fills `err` (which may be NULL) and returns -1, so that a failing function can `return error_set(…)`. */
__attribute__((format(printf, 2, 3))) static inline int error_set(struct error *err, const char *format,
                                                                  ...) {
    if (!err) return -1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    err->usage = false;
    return -1;
}

/* Marks the error at hand as one of use, and returns -1. */
static inline int error_is_usage(struct error *err) {
    if (err) err->usage = true;
    return -1;
}

#endif
