/* See flow_area.h. */
#include "script/flow_area.h"

#include "base/pages.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 64 * 1024 }; /* bytes: growing is asked for that seldom */

/* Owned by one area, or by two in a reload, which may be let go of by different threads. */
struct flow_pages {
    void *base;
    size_t bytes;
    atomic_uint owners;
};

struct flow_area {
    struct lunette_flow_area shown;
    struct flow_pages *pages;
    uint32_t size, capacity; /* of an entry; entries, that of slot 0 included */
    char *signature;
};

static struct flow_pages *pages_new(size_t bytes) {
    struct flow_pages *pages = calloc(1, sizeof *pages);
    if (!pages) return NULL;
    pages->bytes = bytes;
    pages->base = pages_reserve(bytes, false);
    atomic_init(&pages->owners, 1);
    if (pages->base) return pages;
    free(pages);
    return NULL;
}

static void pages_leave(struct flow_pages *pages) {
    if (!pages || atomic_fetch_sub(&pages->owners, 1) > 1) return;
    pages_release(pages->base, pages->bytes);
    free(pages);
}

struct flow_area *flow_area_new(uint32_t size, const char *signature, size_t limit, struct error *err) {
    size_t capacity = limit / size < UINT32_MAX ? limit / size : UINT32_MAX;
    if (capacity < 2) capacity = 2;
    struct flow_area *area = calloc(1, sizeof *area);
    if (area) {
        area->size = size;
        area->capacity = (uint32_t)capacity;
        area->signature = strdup(signature);
        area->pages = pages_new(capacity * size);
    }
    if (area && area->signature && area->pages) {
        area->shown.entries = area->pages->base;
        return area;
    }
    flow_area_free(area);
    error_set(err, "cannot reserve %zu bytes of address space for it", capacity * size);
    return NULL;
}

void flow_area_free(struct flow_area *area) {
    if (!area) return;
    pages_leave(area->pages);
    free(area->signature);
    free(area);
}

struct lunette_flow_area *flow_area_shown(struct flow_area *area) {
    return &area->shown;
}

size_t flow_area_memory(const struct flow_area *area) {
    return area->shown.high ? ((size_t)area->shown.high + 1) * area->size : 0;
}

size_t flow_area_grow(struct flow_area *area, uint32_t slot, size_t room) {
    if (slot >= area->capacity) return 0;
    size_t before = flow_area_memory(area), most = (before + room) / area->size; /* entries */
    if (slot >= most) return 0;
    uint64_t high = (uint64_t)slot + STEP / area->size;
    if (high >= area->capacity) high = area->capacity - 1;
    if (high >= most) high = most - 1;
    area->shown.high = (uint32_t)high;
    return flow_area_memory(area) - before;
}

bool flow_area_succeed(struct flow_area *area, const struct flow_area *old) {
    if (area->size != old->size || strcmp(area->signature, old->signature) != 0) return false;
    atomic_fetch_add(&old->pages->owners, 1);
    pages_leave(area->pages);
    area->pages = old->pages;
    area->capacity = old->capacity;
    area->shown = old->shown;
    return true;
}
