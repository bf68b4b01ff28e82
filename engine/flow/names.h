/* Which name did this client last get for that address?
 *
 * A DNS answer teaches (client, address) → name. A flow to the address by that client is then called by that
 * name until TLS or HTTP tell better. The table is bounded: a fixed number of entries in small buckets, where
 * the oldest of a bucket gives way. It is the name the client asked for, not the last of a CNAME chain. */
#ifndef LUNETTE_FLOW_NAMES_H
#define LUNETTE_FLOW_NAMES_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/time.h"

enum name_source { NAME_NONE, NAME_DNS, NAME_HOST, NAME_PROXY, NAME_SNI };

struct names;

/* `capacity` is a number of entries; memory is capacity × about 320 bytes, reserved and touched as it fills.
 */
struct names *names_new(uint32_t capacity, struct error *err);
void names_free(struct names *names);

void names_learn(struct names *names, const struct ip *client, const struct ip *address, struct slice name,
                 nanoseconds now);

/* The name, or an empty slice. Valid until the next names_learn(). `age` (may be NULL) gets the time since it
 * was learnt. */
struct slice names_find(const struct names *names, const struct ip *client, const struct ip *address,
                        nanoseconds now, nanoseconds *age);

/* Entries that gave way to newer ones. */
uint64_t names_evicted(const struct names *names);

#endif
