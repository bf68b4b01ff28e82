/* See table.h. */
#include "flow/table.h"

#include "base/pages.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static uint16_t tag_of(uint64_t hash) {
    uint16_t tag = (uint16_t)(hash >> 48);
    return tag ? tag : 1;
}

/* Bit i is set if tag i of the bucket is `tag`. */
static uint32_t tags_equal(const struct bucket *bucket, uint16_t tag) {
#ifdef __SSE2__
    __m128i tags = _mm_loadu_si128((const __m128i *)(const void *)bucket->tags);
    __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) found |= (uint32_t)(bucket->tags[i] == tag) << i;
    return found;
#endif
}

int table_init(struct table *table, const struct slab *items, uint32_t max_items, struct error *err) {
    uint32_t buckets = 1;
    while (buckets < (max_items + BUCKET_SLOTS / 2 - 1) / (BUCKET_SLOTS / 2)) buckets *= 2;
    table->mask = buckets - 1;
    table->items = items;
    table->buckets = pages_reserve(table_memory(table), true);
    return table->buckets
               ? 0
               : error_set(err, "cannot reserve a table for %u flows: lower the limit on flows", max_items);
}

uint64_t table_memory(const struct table *table) {
    return ((uint64_t)table->mask + 1) * sizeof(struct bucket);
}

void table_release(struct table *table) {
    pages_release(table->buckets, table_memory(table));
    table->buckets = NULL;
}

uint32_t table_guess(const struct table *table, uint64_t hash) {
    const struct bucket *bucket = &table->buckets[hash & table->mask];
    uint32_t found = tags_equal(bucket, tag_of(hash));
    return found ? bucket->index[__builtin_ctz(found)] : 0;
}

uint32_t table_find(const struct table *table, uint64_t hash, const struct flow_key *key) {
    uint16_t tag = tag_of(hash);
    for (uint64_t at = hash;; at++) {
        const struct bucket *bucket = &table->buckets[at & table->mask];
        for (uint32_t found = tags_equal(bucket, tag); found; found &= found - 1) {
            uint32_t index = bucket->index[__builtin_ctz(found)];
            if (flow_key_equals(slab_at(table->items, index), key)) return index;
        }
        if (bucket->passed == 0) return 0;
    }
}

void table_insert(struct table *table, uint64_t hash, uint32_t index) {
    for (uint64_t at = hash;; at++) {
        struct bucket *bucket = &table->buckets[at & table->mask];
        uint32_t free = tags_equal(bucket, 0);
        if (free) {
            unsigned slot = (unsigned)__builtin_ctz(free);
            bucket->tags[slot] = tag_of(hash);
            bucket->index[slot] = index;
            return;
        }
        bucket->passed++;
    }
}

void table_remove(struct table *table, uint64_t hash, uint32_t index) {
    uint16_t tag = tag_of(hash);
    for (uint64_t at = hash;; at++) {
        struct bucket *bucket = &table->buckets[at & table->mask];
        for (uint32_t found = tags_equal(bucket, tag); found; found &= found - 1) {
            unsigned slot = (unsigned)__builtin_ctz(found);
            if (bucket->index[slot] != index) continue;
            bucket->tags[slot] = 0;
            return;
        }
        bucket->passed--;
    }
}
