/* Small blocks come from one reservation, cut off its front and kept in a free list per size class; Lua
 * always says how large a block was, so blocks need no headers. Large ones are mappings of their own, which
 * grow by mremap(2) and go back to the system at once; they are linked so that they can be found when all is
 * thrown away. */
#include "script/heap.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Lua writes to all of a large block at once: pages that come one by one would cost it thrice as much. */
#ifdef MAP_POPULATE
enum { AT_ONCE = MAP_POPULATE };
#else
enum { AT_ONCE = 0 };
#endif

enum {
    GRAIN = 16,
    FINE_LIMIT = 1024, /* up to here classes are GRAIN apart */
    FINE_CLASSES = FINE_LIMIT / GRAIN,
    STEPS = 4,                      /* beyond, four to a doubling */
    LARGE = 64 * 1024,              /* from here on a block is a mapping */
    COARSE_CLASSES = 6 * STEPS + 1, /* 1 KiB to 64 KiB */
    PAGE = 4096,
};

struct free_block {
    struct free_block *next;
};

/* At the front of a large mapping; the block follows. */
struct large {
    struct large *next, *previous;
    size_t mapped;
    size_t padding;
};

struct heap {
    uint8_t *base;
    size_t limit; /* HEAP_SPARE more while that is allowed */
    size_t reserved;
    size_t cut;     /* bytes of the reservation handed out so far */
    size_t large;   /* bytes of large mappings */
    uint64_t taken; /* bytes asked for since the beginning */
    jmp_buf *escape;
    volatile sig_atomic_t late; /* the next that wants memory jumps */
    struct large *larges;
    struct free_block *free[FINE_CLASSES + COARSE_CLASSES];
};

struct heap *heap_new(size_t limit) {
    struct heap *heap = calloc(1, sizeof *heap);
    if (!heap) return NULL;
    heap->limit = limit;
    heap->reserved = limit + HEAP_SPARE;
    heap->base = mmap(NULL, heap->reserved, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (heap->base != MAP_FAILED) return heap;
    free(heap);
    return NULL;
}

void heap_free(struct heap *heap) {
    if (!heap) return;
    for (struct large *large = heap->larges, *next; large; large = next) {
        next = large->next;
        munmap(large, large->mapped);
    }
    munmap(heap->base, heap->reserved);
    free(heap);
}

size_t heap_used(const struct heap *heap) {
    return heap->cut + heap->large;
}

uint64_t heap_taken(const struct heap *heap) {
    return heap->taken;
}

void heap_spare(struct heap *heap, bool allowed) {
    heap->limit = allowed ? heap->reserved : heap->reserved - HEAP_SPARE;
}

void heap_escape_to(struct heap *heap, jmp_buf *escape) {
    heap->escape = escape;
}

static void *over_the_bound(struct heap *heap) {
    if (heap->escape) longjmp(*heap->escape, HEAP_FULL);
    return NULL;
}

/* The class of a small size, and the size that its blocks have. */
static unsigned class_of(size_t size, size_t *block) {
    if (size <= FINE_LIMIT) {
        unsigned class = (unsigned)((size + GRAIN - 1) / GRAIN);
        *block = (size_t) class * GRAIN;
        return class - 1;
    }
    unsigned doubling = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^doubling < size <= 2^(doubling + 1) */
    size_t step = ((size_t)1 << doubling) / STEPS;
    size_t steps = (size - ((size_t)1 << doubling) + step - 1) / step;
    *block = ((size_t)1 << doubling) + steps * step;
    return FINE_CLASSES + (doubling - 10) * STEPS + (unsigned)steps - 1;
}

static void *small_take(struct heap *heap, size_t size) {
    size_t block;
    unsigned class = class_of(size, &block);
    struct free_block *reused = heap->free[class];
    if (reused) {
        heap->free[class] = reused->next;
        return reused;
    }
    if (heap_used(heap) + block > heap->limit) return over_the_bound(heap);
    void *cut = heap->base + heap->cut;
    heap->cut += block;
    return cut;
}

static void small_give(struct heap *heap, void *at, size_t size) {
    size_t block;
    struct free_block **list = &heap->free[class_of(size, &block)];
    struct free_block *freed = at;
    freed->next = *list;
    *list = freed;
}

static size_t mapping_of(size_t size) {
    return (size + sizeof(struct large) + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static void large_link(struct heap *heap, struct large *large) {
    large->previous = NULL;
    large->next = heap->larges;
    if (large->next) large->next->previous = large;
    heap->larges = large;
    heap->large += large->mapped;
}

static void large_unlink(struct heap *heap, struct large *large) {
    if (large->previous)
        large->previous->next = large->next;
    else
        heap->larges = large->next;
    if (large->next) large->next->previous = large->previous;
    heap->large -= large->mapped;
}

static void *large_take(struct heap *heap, size_t size) {
    if (size > heap->limit || heap_used(heap) + mapping_of(size) > heap->limit) return over_the_bound(heap);
    size_t mapped = mapping_of(size);
    struct large *large =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | AT_ONCE, -1, 0);
    if (large == MAP_FAILED) return over_the_bound(heap);
    large->mapped = mapped;
    large_link(heap, large);
    return large + 1;
}

static void large_give(struct heap *heap, void *at) {
    struct large *large = (struct large *)at - 1;
    large_unlink(heap, large);
    munmap(large, large->mapped);
}

static void *block_take(struct heap *heap, size_t size) {
    if (heap->late) heap_give_up(heap);
    return size > LARGE ? large_take(heap, size) : small_take(heap, size);
}

static void block_give(struct heap *heap, void *at, size_t size) {
    if (size > LARGE)
        large_give(heap, at);
    else
        small_give(heap, at, size);
}

#ifdef MREMAP_MAYMOVE
/* Grows or shrinks a large block in place or by moving its pages. */
static void *large_resize(struct heap *heap, void *at, size_t size) {
    struct large *large = (struct large *)at - 1;
    size_t mapped = mapping_of(size);
    if (mapped == large->mapped) return at;
    if (size > heap->limit || heap_used(heap) - large->mapped + mapped > heap->limit)
        return over_the_bound(heap);
    large_unlink(heap, large);
    struct large *moved = mremap(large, large->mapped, mapped, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
        large_link(heap, large);
        return over_the_bound(heap);
    }
    moved->mapped = mapped;
    large_link(heap, moved);
    return moved + 1;
}
#endif

static bool same_block(size_t old_size, size_t new_size) {
    size_t old_block, new_block;
    if (old_size > LARGE || new_size > LARGE) return false;
    class_of(old_size, &old_block);
    class_of(new_size, &new_block);
    return old_block == new_block;
}

void *heap_allocate(void *context, void *old, size_t old_size, size_t new_size) {
    struct heap *heap = context;
    heap->taken += new_size > old_size || !old ? new_size - (old ? old_size : 0) : 0;
    if (!old || old_size == 0) return new_size ? block_take(heap, new_size) : NULL;
    if (new_size == 0) {
        block_give(heap, old, old_size);
        return NULL;
    }
    if (same_block(old_size, new_size)) return old;
#ifdef MREMAP_MAYMOVE
    if (old_size > LARGE && new_size > LARGE) return large_resize(heap, old, new_size);
#endif
    void *moved = block_take(heap, new_size);
    if (!moved) return NULL;
    memcpy(moved, old, old_size < new_size ? old_size : new_size);
    block_give(heap, old, old_size);
    return moved;
}

void heap_refuse(struct heap *heap) {
    over_the_bound(heap);
}

void heap_hurry(struct heap *heap, bool on) {
    heap->late = on;
}

void heap_give_up(struct heap *heap) {
    if (heap->escape) longjmp(*heap->escape, HEAP_LATE);
}
