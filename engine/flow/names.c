/* See names.h. A bucket has eight tags; the entries they belong to lie at the same place in a second array,
 * which is touched only where names are. */
#include "flow/names.h"

#include "base/pages.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <sys/random.h>

enum { NAMES_WAYS = 8, NAME_BYTES = 255 };

struct names_entry {
    struct ip client, address;
    nanoseconds learnt;
    uint8_t length;
    uint8_t name[NAME_BYTES];
};

struct names {
    uint16_t (*tags)[NAMES_WAYS]; /* 0: free */
    struct names_entry *entries;
    uint32_t buckets;
    uint64_t seed;
    uint64_t evicted;
};

static size_t tags_bytes(const struct names *names) {
    return names->buckets * sizeof *names->tags;
}
static size_t entries_bytes(const struct names *names) {
    return (size_t)names->buckets * NAMES_WAYS * sizeof *names->entries;
}

struct names *names_new(uint32_t capacity, struct error *err) {
    struct names *names = calloc(1, sizeof *names);
    if (names) {
        names->buckets = capacity / NAMES_WAYS + (capacity % NAMES_WAYS != 0);
        if (names->buckets == 0) names->buckets = 1;
        if (getrandom(&names->seed, sizeof names->seed, 0) < 0) names->seed = (uintptr_t)names;
        names->tags = pages_reserve(tags_bytes(names), true);
        names->entries = pages_reserve(entries_bytes(names), false);
        if (names->tags && names->entries) return names;
    }
    names_free(names);
    error_set(err, "cannot reserve a table for %u names: lower the limit on names", capacity);
    return NULL;
}

void names_free(struct names *names) {
    if (!names) return;
    pages_release(names->tags, tags_bytes(names));
    pages_release(names->entries, entries_bytes(names));
    free(names);
}

struct place {
    uint32_t bucket;
    uint16_t tag;
};

static struct place place_of(const struct names *names, const struct ip *client, const struct ip *address) {
    struct ip both[2] = {*client, *address};
    uint64_t hash = XXH3_64bits_withSeed(both, sizeof both, names->seed);
    uint16_t tag = (uint16_t)(hash & 0xffff);
    return (struct place){.bucket = (uint32_t)((hash >> 32) * names->buckets >> 32), .tag = tag ? tag : 1};
}

static struct names_entry *entry_at(const struct names *names, uint32_t bucket, unsigned way) {
    return &names->entries[(size_t)bucket * NAMES_WAYS + way];
}

static struct names_entry *find(const struct names *names, struct place place, const struct ip *client,
                                const struct ip *address) {
    const uint16_t *tags = names->tags[place.bucket];
    for (unsigned way = 0; way < NAMES_WAYS; way++) {
        if (tags[way] != place.tag) continue;
        struct names_entry *entry = entry_at(names, place.bucket, way);
        if (ip_equals(&entry->client, client) && ip_equals(&entry->address, address)) return entry;
    }
    return NULL;
}

/* A free place in the bucket, else the one that was learnt first. */
static struct names_entry *make_room(struct names *names, struct place place) {
    uint16_t *tags = names->tags[place.bucket];
    unsigned chosen = 0;
    for (unsigned way = 0; way < NAMES_WAYS; way++) {
        if (tags[way] == 0) {
            chosen = way;
            break;
        }
        if (entry_at(names, place.bucket, way)->learnt < entry_at(names, place.bucket, chosen)->learnt)
            chosen = way;
    }
    names->evicted += tags[chosen] != 0;
    tags[chosen] = place.tag;
    return entry_at(names, place.bucket, chosen);
}

void names_learn(struct names *names, const struct ip *client, const struct ip *address, struct slice name,
                 nanoseconds now) {
    if (name.length == 0) return;
    struct place place = place_of(names, client, address);
    struct names_entry *entry = find(names, place, client, address);
    if (!entry) entry = make_room(names, place);
    entry->client = *client;
    entry->address = *address;
    entry->learnt = now;
    entry->length = (uint8_t)(name.length < NAME_BYTES ? name.length : NAME_BYTES);
    memcpy(entry->name, name.at, entry->length);
}

struct slice names_find(const struct names *names, const struct ip *client, const struct ip *address,
                        nanoseconds now, nanoseconds *age) {
    const struct names_entry *entry = find(names, place_of(names, client, address), client, address);
    if (!entry) return (struct slice){NULL, 0};
    if (age) *age = now > entry->learnt ? now - entry->learnt : 0;
    return (struct slice){entry->name, entry->length};
}

uint64_t names_evicted(const struct names *names) {
    return names->evicted;
}
