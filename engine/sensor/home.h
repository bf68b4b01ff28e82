/* The home networks: which addresses belong to the hosts that are watched, and which worker watches whom.
 *
 * Packets are dealt by local host, so that all one Mac says (its DNS answers and the connections that follow)
 * meets in one worker. If both ends are local, or neither, the side with the higher port counts as the
 * client: a query to the resolver in the same network belongs to the host that asked.
 *
 * The rule is spelled so that classic BPF can follow it (sensor/deal.h): an address is folded to 32 bits, and
 * those are multiplied and shifted. */
#ifndef LUNETTE_SENSOR_HOME_H
#define LUNETTE_SENSOR_HOME_H

#include "base/error.h"
#include "base/ip.h"
#include "decode/decode.h"

#include <stdbool.h>

struct home;

/* `networks`: comma separated CIDR blocks, or NULL for the private, shared, link-local, unique-local and
 * loopback ranges (RFC 1918, 6598, 3927, 4193, 4291). */
struct home *home_new(const char *networks, struct error *err);
void home_free(struct home *home);

bool home_has(const struct home *home, const struct ip *address);

/* Network `index` of the home networks; IPv4 blocks have 96 bits more than they are written with. False
 * beyond the last. */
bool home_network(const struct home *home, uint32_t index, struct ip *address, uint32_t *bits);

/* The deal's hash, Fibonacci hashing after Knuth: the upper half of folded * HOME_MULTIPLIER (modulo 2^32),
 * scaled to the number of workers. */
#define HOME_MULTIPLIER 0x9e3779b1u
enum { HOME_HASH_BITS = 16, HOME_WORKERS_MAX = 1 << HOME_HASH_BITS };

static inline uint32_t home_deal(uint32_t folded, uint32_t workers) {
    return ((folded * HOME_MULTIPLIER) >> (32 - HOME_HASH_BITS)) * workers >> HOME_HASH_BITS;
}

/* The worker, 0 to `workers` - 1, to which the packet belongs: the same for both directions of a flow. */
uint32_t home_worker_of(const struct home *home, const struct decoded *decoded, uint32_t workers);

/* The worker of the packets of the local host with that address. */
uint32_t home_worker_of_host(const struct ip *address, uint32_t workers);

#endif
