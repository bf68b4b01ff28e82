/* Sets that scripts ask and filters use: is this name, address or string in the list, and as which entry?
 *
 * A set is built once when a script loads and read ever after, without locks, garbage or allocation.
 *
 *   domains   "apple.com" has itself and all below it, "=a.example" only itself; "-caldav.icloud.com" is a
 *             plain ending, its dash included. Letters' case does not matter.
 *   prefixes  addresses and CIDR blocks of both families
 *   strings   exact bytes
 *
 * A look-up answers with the number of the entry (the value it was added with): of the longest that matches.
 */
#ifndef LUNETTE_SCRIPT_SET_H
#define LUNETTE_SCRIPT_SET_H

#include "base/error.h"
#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum set_kind { SET_DOMAINS, SET_PREFIXES, SET_STRINGS };

struct set;

struct set *set_new(enum set_kind kind);
void set_free(struct set *set);
enum set_kind set_kind_of(const struct set *set);

/* Adds an entry; `value` ≥ 0. An entry that is there already keeps its first value. -1 and a reason if it
 * makes no sense. */
int set_add(struct set *set, const char *text, size_t length, int32_t value, struct error *err);

uint32_t set_count(const struct set *set);

/* Were both made of the same entries in the same order? */
bool set_is_like(const struct set *set, const struct set *other);

/* Block `index` of a set of prefixes, in the order in which they were added; IPv4 blocks have 96 bits more
 * than they are written with. False beyond the last. */
bool set_block(const struct set *set, uint32_t index, struct ip *address, uint32_t *bits);

/* Bytes in use. */
size_t set_memory(const struct set *set);

/* The entry's value, or -1. For prefixes the text of an address. */
int32_t set_find(const struct set *set, const char *text, size_t length);
int32_t set_find_ip(const struct set *set, const struct ip *address);

#endif
