/* Numbers for tunnels, so that a flow key of 40 bytes tells flows inside different ones apart.
 *
 * A tunnel (by the identity that decode/tunnel.h gives it) and a VLAN inside it have a number that no VLAN
 * can have, which stands in the key where the VLAN id stands. A number is kept while flows have it, and then
 * until it is the one longest without flows when a new tunnel needs one. TUNNELS_TOLD_APART may have flows at
 * once: of those beyond, all of one kind share a number, and their packets are counted. */
#ifndef LUNETTE_FLOW_TUNNELS_H
#define LUNETTE_FLOW_TUNNELS_H

#include "decode/tunnel.h"

#include <stddef.h>
#include <stdint.h>

enum { TUNNELS_TOLD_APART = 16384 };

struct tunnel_number {
    uint64_t identity;
    uint64_t burst; /* the last one that had a packet of it: keys of that burst hold its number */
    uint32_t flows;
    uint16_t vlan;
    uint16_t chain;        /* next in the hash chain; places count from 1, 0 is none */
    uint16_t older, newer; /* among those without flows */
};

/* Zeroed to begin with, but for a random seed; memory is taken when the first tunnel comes. */
struct tunnels {
    struct tunnel_number *numbers;
    uint16_t *chains;
    uint16_t used, oldest, newest;
    uint64_t burst; /* to be counted up before each burst */
    uint64_t refused;
    uint64_t seed;
};

/* The number of the packet's tunnel, to be used as `vlan` in keys of this burst. */
uint16_t tunnels_number(struct tunnels *tunnels, const struct tunnel *tunnel, uint16_t vlan);

/* A flow with that `vlan` in its key begins; ends. Real VLANs are none of ours. */
void tunnels_enter(struct tunnels *tunnels, uint16_t number);
void tunnels_leave(struct tunnels *tunnels, uint16_t number);

/* The VLAN id that the key's `vlan` stands for. */
uint16_t tunnels_vlan(const struct tunnels *tunnels, uint16_t number);

size_t tunnels_memory(const struct tunnels *tunnels);
void tunnels_release(struct tunnels *tunnels);

#endif
