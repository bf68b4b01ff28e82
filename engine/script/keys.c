/* See keys.h. */
#include "script/keys.h"

#include "base/pages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    NEAR = 44,    /* bytes of a key that lie in its slot */
    STEP = 64,    /* slots that are paid for at once: a page of them */
    BUCKETS = 16, /* to begin with */
};

enum { FREE, TEXT, NUMBER };

struct place {
    double set_at;
    uint32_t hash;
    uint32_t length; /* of the key; of a free slot: the one that is taken after it */
    uint8_t kind;
    bool used;
    uint8_t bytes[NEAR + 2]; /* a longer key: where its bytes are */
};
_Static_assert(sizeof(struct place) == 64, "a slot is a line of the cache");

struct bucket {
    uint32_t hash, slot; /* slot 0: empty */
};

struct keys {
    struct place *places; /* by slot; there is no slot 0 */
    struct bucket *buckets;
    uint32_t mask;
    uint32_t max, reserved; /* slots that there may be; that there is address space for */
    uint32_t paid;          /* places that may be touched, that of slot 0 included */
    uint32_t count, high, hand, next_free;
    double ttl, evicted;
    uint64_t seed;
    size_t *used, limit, own; /* `own`: its part of `*used` */
    uint64_t probes, lookups;
    /* While it is packed: the slots that are to be filled, how many, the next, and from where on. */
    uint32_t *low;
    uint32_t low_count, low_next, from;
};

struct key key_of_number(const double *number) {
    return (struct key){.bytes = (const char *)number, .length = sizeof *number, .is_number = true};
}

/* -------------------------------------------------------------- memory */

static bool may_use(const struct keys *keys, size_t bytes) {
    return *keys->used <= keys->limit && bytes <= keys->limit - *keys->used;
}

static void account(struct keys *keys, size_t more, size_t less) {
    *keys->used += more - less;
    keys->own += more - less;
}

static size_t pages_of(uint32_t slots) {
    return ((size_t)slots + 1) * sizeof(struct place);
}

static bool pay_for(struct keys *keys, uint32_t slot) {
    if (slot < keys->paid) return true;
    uint32_t paid = (slot / STEP + 1) * STEP;
    if (paid > keys->reserved + 1) paid = keys->reserved + 1;
    size_t bytes = (size_t)(paid - keys->paid) * sizeof(struct place);
    if (slot >= paid || !may_use(keys, bytes)) return false;
    account(keys, bytes, 0);
    keys->paid = paid;
    return true;
}

static bool is_near(uint32_t length) {
    return length <= NEAR;
}

static size_t far_size(uint32_t length) {
    return is_near(length) ? 0 : (size_t)length + 16; /* with what malloc adds */
}

static char *far_of(const struct place *place) {
    char *far;
    memcpy(&far, place->bytes, sizeof far);
    return far;
}

static const char *bytes_of(const struct place *place) {
    return is_near(place->length) ? (const char *)place->bytes : far_of(place);
}

/* ---------------------------------------------------------- the buckets */

static uint32_t hash_of(const struct keys *keys, const struct key *key) {
    return (uint32_t)XXH3_64bits_withSeed(key->bytes, key->length, keys->seed ^ key->is_number);
}

static bool is_key(const struct place *place, const struct key *key) {
    return place->length == key->length && place->kind == (key->is_number ? NUMBER : TEXT) &&
           memcmp(bytes_of(place), key->bytes, key->length) == 0;
}

static uint32_t look_up(struct keys *keys, const struct key *key, uint32_t hash) {
    uint32_t at = hash & keys->mask, first = at;
    const struct bucket *bucket = &keys->buckets[at];
    while (bucket->slot != 0 && !(bucket->hash == hash && is_key(&keys->places[bucket->slot], key))) {
        at++;
        bucket = &keys->buckets[at & keys->mask];
    }
    keys->lookups++;
    keys->probes += at - first + 1;
    return bucket->slot;
}

static void bucket_add(struct keys *keys, uint32_t hash, uint32_t slot) {
    uint32_t at = hash & keys->mask;
    while (keys->buckets[at].slot != 0) at = (at + 1) & keys->mask;
    keys->buckets[at] = (struct bucket){hash, slot};
}

/* Those behind it that would not be found across the gap move into it. */
static void bucket_remove(struct keys *keys, uint32_t hash, uint32_t slot) {
    uint32_t gap = hash & keys->mask;
    while (keys->buckets[gap].slot != slot) gap = (gap + 1) & keys->mask;
    for (uint32_t at = (gap + 1) & keys->mask; keys->buckets[at].slot != 0; at = (at + 1) & keys->mask) {
        uint32_t home = keys->buckets[at].hash & keys->mask;
        if (((at - home) & keys->mask) < ((at - gap) & keys->mask)) continue;
        keys->buckets[gap] = keys->buckets[at];
        gap = at;
    }
    keys->buckets[gap].slot = 0;
}

/* Room for one more, so that a quarter of the buckets stays empty. */
static bool buckets_reserve(struct keys *keys) {
    uint32_t room = keys->mask + 1;
    if ((uint64_t)(keys->count + 1) * 4 <= (uint64_t)room * 3) return true;
    size_t more = (size_t)room * sizeof *keys->buckets;
    if (!may_use(keys, more)) return false;
    struct bucket *old = keys->buckets, *grown = calloc((size_t)room * 2, sizeof *grown);
    if (!grown) return false;
    keys->buckets = grown;
    keys->mask = room * 2 - 1;
    for (uint32_t i = 0; i < room; i++)
        if (old[i].slot != 0) bucket_add(keys, old[i].hash, old[i].slot);
    free(old);
    account(keys, more, 0);
    return true;
}

/* ------------------------------------------------------------ the slots */

static void far_free_all(struct keys *keys) {
    for (uint32_t slot = 1; slot <= keys->high; slot++) {
        struct place *place = &keys->places[slot];
        if (place->kind != FREE && !is_near(place->length)) free(far_of(place));
    }
}

static void empty(struct keys *keys) {
    far_free_all(keys);
    pages_release(keys->places, pages_of(keys->reserved));
    free(keys->buckets);
    free(keys->low);
    account(keys, 0, keys->own);
    keys->places = NULL;
    keys->buckets = NULL;
    keys->low = NULL;
    keys->count = keys->high = keys->hand = keys->next_free = keys->paid = 0;
    keys->evicted = 0;
}

static bool furnish(struct keys *keys, uint32_t slots) {
    size_t most = keys->limit / sizeof(struct place);
    if (slots > most) slots = (uint32_t)most;
    keys->reserved = slots;
    keys->places = pages_reserve(pages_of(slots), false);
    keys->buckets = calloc(BUCKETS, sizeof *keys->buckets);
    keys->mask = BUCKETS - 1;
    if (!keys->places || !keys->buckets) return false;
    account(keys, BUCKETS * sizeof *keys->buckets + sizeof *keys, 0);
    return true;
}

struct keys *keys_new(uint32_t max, double ttl, size_t *used, size_t limit) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys) return NULL;
    if (getrandom(&keys->seed, sizeof keys->seed, 0) < 0) keys->seed = (uintptr_t)keys;
    keys->seed &= ~(uint64_t)1; /* numbers have that bit */
    keys->max = max;
    keys->ttl = ttl;
    keys->used = used;
    keys->limit = limit;
    if (furnish(keys, max)) return keys;
    keys_free(keys);
    return NULL;
}

void keys_free(struct keys *keys) {
    if (!keys) return;
    empty(keys);
    free(keys);
}

static bool is_over(const struct keys *keys, const struct place *place, double now) {
    return now - place->set_at > keys->ttl;
}

/* Fills a slot that is nobody's and paid for; there is a bucket to be had. `far`: memory for a long key. */
static void fill(struct keys *keys, uint32_t slot, const struct key *key, uint32_t hash, char *far) {
    struct place *place = &keys->places[slot];
    memcpy(far ? far : (char *)place->bytes, key->bytes, key->length);
    if (far) memcpy(place->bytes, &far, sizeof far);
    place->length = key->length;
    place->hash = hash;
    place->kind = key->is_number ? NUMBER : TEXT;
    place->used = false;
    account(keys, far_size(key->length), 0);
    bucket_add(keys, hash, slot);
    keys->count++;
}

void keys_drop(struct keys *keys, uint32_t slot) {
    struct place *place = &keys->places[slot];
    bucket_remove(keys, place->hash, slot);
    account(keys, 0, far_size(place->length));
    if (!is_near(place->length)) free(far_of(place));
    place->kind = FREE;
    place->length = keys->next_free;
    keys->next_free = slot;
    keys->count--;
}

uint32_t keys_at(struct keys *keys, const struct key *key) {
    return look_up(keys, key, hash_of(keys, key));
}

uint32_t keys_find(struct keys *keys, const struct key *key, double now, uint32_t *dropped) {
    uint32_t slot = keys_at(keys, key);
    *dropped = 0;
    if (slot == 0) return 0;
    if (is_over(keys, &keys->places[slot], now)) {
        keys_drop(keys, slot);
        *dropped = slot;
        return 0;
    }
    keys->places[slot].used = true;
    return slot;
}

uint32_t keys_make_room(struct keys *keys, uint32_t places, double now, bool *of_age) {
    while (true) {
        keys->hand = keys->hand % places + 1;
        struct place *place = &keys->places[keys->hand];
        if (place->kind == FREE) continue;
        *of_age = is_over(keys, place, now);
        if (*of_age || !place->used) {
            keys_drop(keys, keys->hand);
            return keys->hand;
        }
        place->used = false;
    }
}

enum keys_taken keys_take(struct keys *keys, const struct key *key, double now, uint32_t *slot,
                          bool *evicted) {
    uint32_t hash = hash_of(keys, key), old = look_up(keys, key, hash);
    *evicted = false;
    *slot = old;
    if (old != 0 && !is_over(keys, &keys->places[old], now)) {
        keys->places[old].used = true;
        keys->places[old].set_at = now;
        return KEYS_FOUND;
    }
    bool grows = old == 0 && keys->count < keys->max && keys->next_free == 0;
    if (grows && !pay_for(keys, keys->high + 1)) return KEYS_FULL;
    if (!buckets_reserve(keys) || !may_use(keys, far_size(key->length))) return KEYS_FULL;
    char *far = is_near(key->length) ? NULL : malloc(key->length);
    if (!far && !is_near(key->length)) return KEYS_FULL;
    if (old != 0) {
        keys_drop(keys, old);
    } else if (keys->count >= keys->max) {
        bool of_age;
        keys_make_room(keys, keys->max, now, &of_age);
        *evicted = !of_age;
        old = keys->hand;
    }
    if (*evicted) keys->evicted++;
    *slot = keys->next_free ? keys->next_free : ++keys->high;
    if (keys->next_free) keys->next_free = keys->places[*slot].length;
    fill(keys, *slot, key, hash, far);
    keys->places[*slot].set_at = now;
    return old != 0 ? KEYS_NEW_FOR_OLD : KEYS_NEW;
}

uint32_t keys_next(const struct keys *keys, uint32_t slot, double now) {
    while (slot < keys->high) {
        const struct place *place = &keys->places[++slot];
        if (place->kind != FREE && !is_over(keys, place, now)) return slot;
    }
    return 0;
}

struct key keys_key(const struct keys *keys, uint32_t slot) {
    const struct place *place = &keys->places[slot];
    return (struct key){bytes_of(place), place->length, place->kind == NUMBER};
}

void keys_start(struct keys *keys, double clock) {
    for (uint32_t slot = 1; slot <= keys->high; slot++) {
        struct place *place = &keys->places[slot];
        if (place->set_at == 0 || place->set_at > clock) place->set_at = clock;
    }
}

/* -------------------------------------------------------- the hand-over */

struct keys_figures keys_figures(const struct keys *keys) {
    return (struct keys_figures){keys->count, keys->high, keys->hand, keys->evicted};
}

double keys_set_at(const struct keys *keys, uint32_t slot) {
    return keys->places[slot].set_at;
}

bool keys_used(const struct keys *keys, uint32_t slot) {
    return keys->places[slot].used;
}

uint32_t keys_next_free(const struct keys *keys, uint32_t slot) {
    return slot == 0 ? keys->next_free : keys->places[slot].length;
}

bool keys_clear(struct keys *keys, uint32_t slots) {
    empty(keys);
    return furnish(keys, slots > keys->max ? slots : keys->max) && slots <= keys->reserved &&
           pay_for(keys, slots);
}

bool keys_put(struct keys *keys, uint32_t slot, const struct key *key, double set_at, bool used) {
    if (!buckets_reserve(keys) || !may_use(keys, far_size(key->length))) return false;
    char *far = is_near(key->length) ? NULL : malloc(key->length);
    if (!far && !is_near(key->length)) return false;
    fill(keys, slot, key, hash_of(keys, key), far);
    keys->places[slot].set_at = set_at;
    keys->places[slot].used = used;
    if (slot > keys->high) keys->high = slot;
    return true;
}

void keys_put_free(struct keys *keys, uint32_t slot) {
    keys->places[slot].length = keys->next_free;
    keys->next_free = slot;
    if (slot > keys->high) keys->high = slot;
}

void keys_resume(struct keys *keys, uint32_t high, uint32_t hand, double evicted) {
    keys->high = high;
    keys->hand = hand;
    keys->evicted = evicted;
}

/* Free slots that stay, those that were free for the longest first. */
static bool pack_begin(struct keys *keys) {
    uint32_t count = 0;
    for (uint32_t slot = keys->next_free; slot != 0; slot = keys->places[slot].length)
        count += slot <= keys->max;
    keys->low = calloc(count + 1, sizeof *keys->low);
    if (!keys->low) return false;
    keys->low_count = count;
    for (uint32_t slot = keys->next_free; slot != 0; slot = keys->places[slot].length)
        if (slot <= keys->max) keys->low[--count] = slot;
    keys->low_next = 0;
    keys->from = keys->max + 1;
    keys->next_free = 0;
    return true;
}

static void pack_end(struct keys *keys) {
    for (uint32_t i = keys->low_count; i > keys->low_next; i--) keys_put_free(keys, keys->low[i - 1]);
    keys->high = keys->max;
    keys->hand %= keys->max;
    free(keys->low);
    keys->low = NULL;
}

bool keys_pack(struct keys *keys, uint32_t *from, uint32_t *to) {
    if (!keys->low && (keys->high <= keys->max || !pack_begin(keys))) return false;
    while (keys->from <= keys->high && keys->places[keys->from].kind == FREE) keys->from++;
    if (keys->from > keys->high || keys->low_next == keys->low_count) {
        pack_end(keys);
        return false;
    }
    *from = keys->from;
    *to = keys->low[keys->low_next++];
    struct place *place = &keys->places[*from];
    bucket_remove(keys, place->hash, *from);
    bucket_add(keys, place->hash, *to);
    keys->places[*to] = *place;
    place->kind = FREE;
    return true;
}

void keys_effort(const struct keys *keys, uint64_t *probes, uint64_t *lookups) {
    *probes = keys->probes;
    *lookups = keys->lookups;
}
