/* QUIC connections that go on from another address or port (RFC 9000 section 9): NAT that forgot a mapping, a
 * client that changed its network.
 *
 * Parsers teach the connection ids that they saw in clear, in the handshake. A UDP packet that finds no flow
 * and looks like QUIC is asked for such an id; if it has one, its addresses become an alias of the flow. Both
 * tables are small and bounded: the oldest of a bucket gives way, which is counted.
 *
 * What cannot be followed: ids that the peers agree on later are encrypted (NEW_CONNECTION_ID), and who
 * migrates on purpose uses one of those; ids of fewer than 8 bytes say too little. And what would need
 * another worker is not followed either, so that results do not depend on how many there are: the host that
 * packets are dealt by must stay the same. Private to engine/flow. */
#ifndef LUNETTE_FLOW_REBIND_H
#define LUNETTE_FLOW_REBIND_H

#include "flow/entry.h"
#include "flow/protocol.h"

enum { REBIND_ID_LEAST = 8, REBIND_ID_MOST = 20 };

struct rebind;

/* Packets of the flow that go `direction` may carry the id from now on. */
void rebind_learn(struct flow_room *room, struct flow *flow, enum direction direction, struct slice id);

/* The flow that a packet of an unknown key belongs to, or NULL. `side` comes as the packet's side in `key`
 * and goes as its side in the flow. */
struct flow *rebind_find(struct flow_room *room, const struct flow_key *key, unsigned *side,
                         const struct decoded *decoded);

uint64_t rebind_memory(const struct flow_room *room);
void rebind_release(struct flow_room *room);

#endif
