/* "Did you mean": the nearest of a list of names to one that was mistyped. */
#ifndef LUNETTE_BASE_NEAREST_H
#define LUNETTE_BASE_NEAREST_H

#include <stddef.h>

/* The name with the least edit distance (insert, delete, replace), or NULL if none is near: at most a third
 * of the letters, or two, may differ. */
const char *nearest_name(const char *wrong, const char *const *names, size_t count);

#endif
