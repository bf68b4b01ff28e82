/* From a key's hash to the flow's index.
 *
 * A bucket is one cache line: eight 16-bit tags, compared at once, and the eight indices they belong to. What
 * does not fit into its bucket goes into the next one that has room, and each bucket that was passed on the
 * way counts it, so that a look-up knows where to stop and a removal can undo it. The table has twice the
 * slots that flows can need, so buckets seldom overflow. Flows are looked up in bursts: table_prefetch() for
 * all, then table_guess() and a prefetch of that flow for all, then table_find() for each. */
#ifndef LUNETTE_FLOW_TABLE_H
#define LUNETTE_FLOW_TABLE_H

#include "flow/key.h"
#include "flow/slab.h"

enum { BUCKET_SLOTS = 8 };

struct bucket {
    uint16_t tags[BUCKET_SLOTS]; /* 0: free */
    uint32_t index[BUCKET_SLOTS];
    uint32_t passed; /* entries that belong here or further up and lie further down */
    uint32_t unused[3];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is a cache line");

/* `items` (borrowed) is the slab the indices are of; its items begin with their struct flow_key. */
struct table {
    struct bucket *buckets;
    uint32_t mask;
    const struct slab *items;
};

int table_init(struct table *table, const struct slab *items, uint32_t max_items, struct error *err);
void table_release(struct table *table);
uint64_t table_memory(const struct table *table);

static inline void table_prefetch(const struct table *table, uint64_t hash) {
    __builtin_prefetch(&table->buckets[hash & table->mask], 1);
}

/* The first item of the bucket whose tag fits, or 0: a guess, good for prefetching. */
uint32_t table_guess(const struct table *table, uint64_t hash);

/* The index of the item with that key, or 0. */
uint32_t table_find(const struct table *table, uint64_t hash, const struct flow_key *key);

/* The key must not be in the table; there must be fewer than max_items in it. */
void table_insert(struct table *table, uint64_t hash, uint32_t index);
void table_remove(struct table *table, uint64_t hash, uint32_t index);

#endif
