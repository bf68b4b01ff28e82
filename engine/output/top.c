/* Open addressing over the entries' numbers (linear probing, deletion by shifting back), and a binary heap of
 * the same numbers with the least weight on top. Nothing is allocated after top_new(). */
#include "output/top.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct slot {
    uint32_t hash;
    uint32_t entry; /* number + 1; 0 is free */
};

struct top {
    struct top_entry *entries;
    uint32_t *heap;     /* entries' numbers */
    uint32_t *place;    /* entry's place in the heap */
    uint32_t *hash;     /* entry's hash */
    struct slot *slots; /* mask + 1 of them, at least twice the capacity */
    uint32_t mask;
    uint32_t count, capacity;
    uint64_t seed; /* keys come from the traffic: nobody outside can aim them at one slot */
    uint64_t replaced;
};

struct top *top_new(uint32_t capacity) {
    struct top *top = calloc(1, sizeof *top);
    if (!top) return NULL;
    uint32_t slots = 16;
    while (slots < capacity * 2) slots *= 2;
    top->capacity = capacity;
    top->mask = slots - 1;
    if (getrandom(&top->seed, sizeof top->seed, GRND_NONBLOCK) < 0) top->seed = (uintptr_t)top;
    top->entries = calloc(capacity, sizeof *top->entries);
    top->heap = calloc(capacity, sizeof *top->heap);
    top->place = calloc(capacity, sizeof *top->place);
    top->hash = calloc(capacity, sizeof *top->hash);
    top->slots = calloc(slots, sizeof *top->slots);
    if (top->entries && top->heap && top->place && top->hash && top->slots) return top;
    top_free(top);
    return NULL;
}

void top_free(struct top *top) {
    if (!top) return;
    free(top->entries);
    free(top->heap);
    free(top->place);
    free(top->hash);
    free(top->slots);
    free(top);
}

static void put_in_heap(struct top *top, uint32_t at, uint32_t entry) {
    top->heap[at] = entry;
    top->place[entry] = at;
}

static uint64_t weight_at(const struct top *top, uint32_t at) {
    return top->entries[top->heap[at]].weight;
}

static void sift_up(struct top *top, uint32_t at) {
    uint32_t entry = top->heap[at];
    while (at > 0 && top->entries[entry].weight < weight_at(top, (at - 1) / 2)) {
        put_in_heap(top, at, top->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put_in_heap(top, at, entry);
}

static void sift_down(struct top *top, uint32_t at) {
    uint32_t entry = top->heap[at];
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= top->count) break;
        if (child + 1 < top->count && weight_at(top, child + 1) < weight_at(top, child)) child++;
        if (top->entries[entry].weight <= weight_at(top, child)) break;
        put_in_heap(top, at, top->heap[child]);
        at = child;
    }
    put_in_heap(top, at, entry);
}

/* The slot that has the key, or the free one where it belongs. */
static uint32_t find(const struct top *top, uint32_t hash, const char *key, uint32_t length) {
    uint32_t at = hash & top->mask;
    for (; top->slots[at].entry; at = (at + 1) & top->mask) {
        if (top->slots[at].hash != hash) continue;
        const struct top_entry *e = &top->entries[top->slots[at].entry - 1];
        if (e->key_length == length && memcmp(e->key, key, length) == 0) break;
    }
    return at;
}

/* Frees a slot and moves those back that had to step over it. */
static void free_slot(struct top *top, uint32_t hole) {
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & top->mask;
        if (!top->slots[at].entry) break;
        uint32_t home = top->slots[at].hash & top->mask;
        if (((at - home) & top->mask) < ((at - hole) & top->mask)) continue;
        top->slots[hole] = top->slots[at];
        hole = at;
    }
    top->slots[hole] = (struct slot){0};
}

/* An entry for a new key: a fresh one, or that of the least. */
static uint32_t take_entry(struct top *top) {
    if (top->count < top->capacity) {
        uint32_t entry = top->count++;
        put_in_heap(top, entry, entry);
        return entry;
    }
    uint32_t entry = top->heap[0];
    struct top_entry *e = &top->entries[entry];
    free_slot(top, find(top, top->hash[entry], e->key, e->key_length));
    e->flows = e->sent = e->received = 0;
    top->replaced++;
    return entry;
}

uint32_t top_add(struct top *top, const char *key, size_t length, uint64_t flows, uint64_t sent,
                 uint64_t received) {
    uint32_t used = length < TOP_KEY_SIZE ? (uint32_t)length : TOP_KEY_SIZE - 1;
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(key, used, top->seed);
    uint32_t at = find(top, hash, key, used);
    uint32_t entry;
    if (top->slots[at].entry) {
        entry = top->slots[at].entry - 1;
    } else {
        entry = take_entry(top);
        struct top_entry *e = &top->entries[entry];
        memcpy(e->key, key, used);
        e->key[used] = '\0';
        e->key_length = used;
        top->hash[entry] = hash;
        top->slots[find(top, hash, key, used)] = (struct slot){.hash = hash, .entry = entry + 1};
    }
    struct top_entry *e = &top->entries[entry];
    e->flows += flows;
    e->sent += sent;
    e->received += received;
    e->weight += sent + received;
    sift_up(top, top->place[entry]);
    sift_down(top, top->place[entry]);
    return entry;
}

uint32_t top_count(const struct top *top) {
    return top->count;
}

uint32_t top_number(const struct top *top, const struct top_entry *entry) {
    return (uint32_t)(entry - top->entries);
}

uint64_t top_replaced(const struct top *top) {
    return top->replaced;
}

const struct top_entry *top_at(const struct top *top, uint32_t index) {
    return &top->entries[index];
}

bool top_is_busier(const struct top_entry *a, const struct top_entry *b) {
    uint64_t left = a->sent + a->received, right = b->sent + b->received;
    if (left != right) return left > right;
    if (a->flows != b->flows) return a->flows > b->flows;
    return strcmp(a->key, b->key) < 0;
}

uint32_t top_busiest(const struct top *top, const struct top_entry **out, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < top->count; i++) {
        const struct top_entry *e = &top->entries[i];
        if (count == max && !top_is_busier(e, out[count - 1])) continue;
        uint32_t at = count < max ? count++ : max - 1;
        for (; at > 0 && top_is_busier(e, out[at - 1]); at--) out[at] = out[at - 1];
        out[at] = e;
    }
    return count;
}
