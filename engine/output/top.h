/* The busiest keys of a stream, in bounded memory: a hash table with a heap that knows the least of its
 * entries.
 *
 * A new key that finds the table full takes the place of the least one and inherits its weight, so that a key
 * which is truly busy cannot be kept out (space-saving). Its figures start from zero. */
#ifndef LUNETTE_OUTPUT_TOP_H
#define LUNETTE_OUTPUT_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_KEY_SIZE = 256 };

struct top_entry {
    uint64_t weight; /* never less than the key's true weight */
    uint64_t flows, sent, received;
    uint32_t key_length;
    char key[TOP_KEY_SIZE]; /* terminated; longer keys are cut */
};

struct top;

/* NULL if memory is short. */
struct top *top_new(uint32_t capacity);
void top_free(struct top *top);

/* Returns the entry's number, by which top_at() gives it. One that gave way to a new key was set to zero. */
uint32_t top_add(struct top *top, const char *key, size_t length, uint64_t flows, uint64_t sent,
                 uint64_t received);

uint32_t top_count(const struct top *top);
uint64_t top_replaced(const struct top *top); /* entries that gave way */

/* The entries in no particular order. */
const struct top_entry *top_at(const struct top *top, uint32_t index);

/* The number of an entry that one of these functions gave. */
uint32_t top_number(const struct top *top, const struct top_entry *entry);

/* More bytes, else more flows, else the key that sorts first. */
bool top_is_busier(const struct top_entry *a, const struct top_entry *b);

/* The up to `max` entries with most bytes, most first. Returns how many. */
uint32_t top_busiest(const struct top *top, const struct top_entry **out, uint32_t max);

#endif
