/* Large runs of memory straight from the kernel: reserved at once, zero, and only paid for where touched. */
#ifndef LUNETTE_BASE_PAGES_H
#define LUNETTE_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* `huge` asks for 2 MB pages, which spares a table of random accesses most of its TLB misses. NULL: no
 * memory. */
void *pages_reserve(size_t bytes, bool huge);

/* Takes NULL as well. */
void pages_release(void *pages, size_t bytes);

#endif
