/* A slab: items of one size in one reservation, named by a 32-bit index.
 *
 * The kernel pays for pages as they are first touched, items that were given back are used again first, so
 * the slab's memory is its high-water mark. Index 0 is never handed out and means "none". */
#ifndef LUNETTE_FLOW_SLAB_H
#define LUNETTE_FLOW_SLAB_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct slab {
    uint8_t *base;
    uint32_t size;     /* of an item, at least 4 */
    uint32_t capacity; /* items that may be out at once */
    uint32_t top;      /* highest index ever handed out */
    uint32_t free;     /* first of the list of those given back; an item's first 4 bytes hold the next */
    uint32_t live;     /* out now */
};

/* `huge`: for slabs that are read at random by the million. */
int slab_init(struct slab *slab, uint32_t size, uint32_t capacity, bool huge, struct error *err);
void slab_release(struct slab *slab);

/* A zeroed item's index, or 0 if all are out. */
uint32_t slab_take(struct slab *slab);
void slab_give(struct slab *slab, uint32_t index);

static inline void *slab_at(const struct slab *slab, uint32_t index) {
    return slab->base + (uint64_t)index * slab->size;
}

/* Bytes touched so far. */
static inline uint64_t slab_memory(const struct slab *slab) {
    return (uint64_t)slab->top * slab->size;
}

#endif
