/* The keys of one named state (lunette.state, lunette.records): which key has which slot, when was it last
 * set, who gives way when all slots are taken.
 *
 * A slot is one line of the cache, the key's bytes included if there are few; slots lie in one run of pages
 * that is reserved for as many as there may be and paid for as far as it is used. A hash table beside them
 * leads from a key to its slot: buckets of a hash and a slot, probed one after the other. The hash is keyed
 * by a number of its own that nobody else knows, so that nobody can choose names which all fall into one
 * place; nothing but the order of buckets depends on it.
 *
 * Who gives way is decided by the second-chance clock (Corbató 1968): a hand goes round; an entry used since
 * the hand's last visit is spared once. No list is moved when an entry is used. Free slots are taken in the
 * reverse of the order in which they became free.
 *
 * A key is a text or a number; what lies in the slot is somebody else's (store.lua, records.lua). */
#ifndef LUNETTE_SCRIPT_KEYS_H
#define LUNETTE_SCRIPT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEYS_SLOTS = 1 << 24 }; /* the most that a state may have */

struct keys;

/* A key as it is asked for: borrowed bytes. A number's are its double, never a NaN, zero without a sign. */
struct key {
    const char *bytes;
    uint32_t length;
    bool is_number;
};
struct key key_of_number(const double *number); /* which it points to */

/* At most `max` slots; `ttl` in seconds, infinity: for ever. Bytes in use, without what is only reserved, are
 * added to `*used`, which outlives it and which others add to as well; what would need more than `limit`
 * there is refused. NULL without memory. */
struct keys *keys_new(uint32_t max, double ttl, size_t *used, size_t limit);
void keys_free(struct keys *keys);

/* The key's slot, from 1; 0 if it has none. Whatever its age. */
uint32_t keys_at(struct keys *keys, const struct key *key);
/* The same for what is in use at `now`. What is past its time is dropped: then the slot is told in `dropped`,
 * else 0. */
uint32_t keys_find(struct keys *keys, const struct key *key, double now, uint32_t *dropped);

enum keys_taken { KEYS_FOUND, KEYS_NEW, KEYS_NEW_FOR_OLD /* whose entry was dropped for it */, KEYS_FULL };
/* The key's slot, made if need be. KEYS_NEW_FOR_OLD: what was in that slot is gone; `evicted` if it was not
 * of age. KEYS_FULL: there is no memory for it; nothing was dropped that was not of age. */
enum keys_taken keys_take(struct keys *keys, const struct key *key, double now, uint32_t *slot,
                          bool *evicted);

void keys_drop(struct keys *keys, uint32_t slot);
/* Drops the entry that is to give way, of the slots up to `places`, one of which is in use; `of_age` if its
 * time was up. */
uint32_t keys_make_room(struct keys *keys, uint32_t places, double now, bool *of_age);

/* The next slot in use after `slot`, 0 if there is none; with its key, valid until the entry goes. `now`:
 * those that are past their time are passed over; minus infinity: none is. */
uint32_t keys_next(const struct keys *keys, uint32_t slot, double now);
struct key keys_key(const struct keys *keys, uint32_t slot);

/* What was set at 0 (there was no clock), or later than now, was set now. */
void keys_start(struct keys *keys, double clock);

/* For the hand-over. */
struct keys_figures {
    uint32_t count, high, hand; /* in use; the highest slot that ever was; of the clock */
    double evicted;
};
struct keys_figures keys_figures(const struct keys *keys);
double keys_set_at(const struct keys *keys, uint32_t slot);
bool keys_used(const struct keys *keys, uint32_t slot);
/* Free slots, as they will be taken: the first is the next. `slot` 0: the first. Returns 0 after the last. */
uint32_t keys_next_free(const struct keys *keys, uint32_t slot);
/* Empties it, and makes room for as many slots, be they more than there may be. False without memory. */
bool keys_clear(struct keys *keys, uint32_t slots);
/* Fills a slot, after keys_clear() and up to that many; false without memory. */
bool keys_put(struct keys *keys, uint32_t slot, const struct key *key, double set_at, bool used);
void keys_put_free(struct keys *keys, uint32_t slot); /* it will be taken before those put before it */
void keys_resume(struct keys *keys, uint32_t high, uint32_t hand, double evicted);
/* With at most `max` in use: those in slots beyond move below, one with each call, which tells from where to
 * where. False when all are there. */
bool keys_pack(struct keys *keys, uint32_t *from, uint32_t *to);

/* Buckets that look-ups went through since the beginning, and look-ups: for tests of what a look-up costs. */
void keys_effort(const struct keys *keys, uint64_t *probes, uint64_t *lookups);

#endif
