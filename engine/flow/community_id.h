/* Community ID v1: a name for a flow that other tools compute alike (github.com/corelight/community-id-spec).
 */
#ifndef LUNETTE_FLOW_COMMUNITY_ID_H
#define LUNETTE_FLOW_COMMUNITY_ID_H

#include "base/ip.h"

#include <stdint.h>

enum { COMMUNITY_ID_LENGTH = 30 }; /* "1:" and 28 characters of base64 */

/* Writes the id, terminated. Ports in host order; for ICMP and ICMPv6 `source_port` is the type and
 * `destination_port` the code of a packet from source to destination. `seed` is 0 unless a site agreed on
 * another. */
void community_id(uint16_t seed, uint8_t proto, const struct ip *source, uint16_t source_port,
                  const struct ip *destination, uint16_t destination_port, char out[COMMUNITY_ID_LENGTH + 1]);

#endif
