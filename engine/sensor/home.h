/* The home networks: which addresses belong to the hosts that are watched, and which worker watches whom.
 *
 * Packets are dealt by local host, so that all one Mac says (its DNS answers and the connections that follow)
 * meets in one worker. If both ends are local, or neither, the side with the higher port counts as the
 * client: a query to the resolver in the same network belongs to the host that asked. */
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

/* The worker, 0 to `workers` - 1, to which the packet belongs: the same for both directions of a flow. */
uint32_t home_worker_of(const struct home *home, const struct decoded *decoded, uint32_t workers);

#endif
