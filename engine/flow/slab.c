/* See slab.h. */
#include "flow/slab.h"

#include "base/pages.h"

#include <string.h>

static size_t slab_bytes(const struct slab *slab) {
    return ((size_t)slab->capacity + 1) * slab->size;
}

int slab_init(struct slab *slab, uint32_t size, uint32_t capacity, bool huge, struct error *err) {
    *slab = (struct slab){.size = size, .capacity = capacity};
    slab->base = pages_reserve(slab_bytes(slab), huge);
    if (slab->base) return 0;
    return error_set(err, "cannot reserve %zu bytes of address space: lower the limits on flows or memory",
                     slab_bytes(slab));
}

void slab_release(struct slab *slab) {
    pages_release(slab->base, slab_bytes(slab));
    slab->base = NULL;
}

uint32_t slab_take(struct slab *slab) {
    uint32_t index = slab->free;
    if (index == 0) {
        if (slab->top == slab->capacity) return 0;
        index = ++slab->top;
        slab->live++;
        return index; /* fresh pages are zero */
    }
    void *item = slab_at(slab, index);
    memcpy(&slab->free, item, sizeof slab->free);
    memset(item, 0, slab->size);
    slab->live++;
    return index;
}

void slab_give(struct slab *slab, uint32_t index) {
    memcpy(slab_at(slab, index), &slab->free, sizeof slab->free);
    slab->free = index;
    slab->live--;
}
