/* The last packets, in one block of memory: what rolling capture looks back into.
 *
 * Entries (a head and the packet's bytes) lie one behind the other; a new one takes the place of the oldest.
 * Each head tells how far back the one before lies whose flow id falls into the same bucket, so a flow's
 * packets are found by walking back, not by looking at every entry. An entry is never cut in two: what is
 * left of the block when the next does not fit is padding.
 *
 * Packets of a host are rarer asked for (alerts of timers have no flow) and found by a walk over all heads.
 */
#ifndef LUNETTE_SENSOR_RECALL_RING_H
#define LUNETTE_SENSOR_RECALL_RING_H

#include "base/ip.h"
#include "capture/packet.h"

#include <stdbool.h>
#include <stddef.h>

struct ring_entry {
    uint32_t size;     /* of all of it, a multiple of 8 */
    uint32_t captured; /* RING_PADDING: no packet, and only these two fields are there */
    uint32_t original;
    uint32_t back; /* to the previous entry of the bucket, in units of 8 bytes; 0: none */
    nanoseconds time;
    uint64_t flow_id;
    struct ip src, dst;
    uint16_t link_type;
    uint8_t interface, direction;
    uint32_t link;   /* of ring_find(): where the next one found lies, plus 1, in units of 8 bytes; 0: none */
    uint8_t bytes[]; /* the packet's; before them its origin, if it has one */
};

enum { RING_SMALLEST = 64 * 1024 };
#define RING_PADDING UINT32_MAX
#define RING_LARGEST ((uint64_t)16 << 30)

struct recall_ring {
    uint8_t *bytes; /* capacity of them, then the buckets: one reservation */
    uint64_t *buckets;
    uint64_t capacity;
    uint32_t bucket_mask;
    uint64_t head_at, tail_at; /* offsets: where the next entry goes, where the oldest is */
    uint64_t head,
        tail; /* the same, counted on from the beginning and never reset; `head` - `tail` are in use */
    uint64_t newest_gone; /* the highest flow id of a packet that left the ring, 0 before any did */
    bool gone;            /* some packet has left the ring */
    uint64_t too_large;   /* packets that were not taken: more than half the ring */
};

/* Reserves `bytes` (bounded by RING_SMALLEST and RING_LARGEST) and some for the buckets. -1: no memory. */
int ring_open(struct recall_ring *ring, uint64_t bytes);
void ring_close(struct recall_ring *ring);

void ring_add(struct recall_ring *ring, const struct packet *packet, const struct ip *src,
              const struct ip *dst, uint64_t flow_id);

struct ring_wish {
    uint64_t flow_id; /* 0: packets from and to `who` */
    struct ip who;
    nanoseconds time;   /* of the alert */
    nanoseconds before; /* how far back from it, or from the last packet at that time if that is longer ago */
    nanoseconds after;  /* how far ahead: what came before the alert was told */
    uint64_t bytes;     /* most, a packet counted with `overhead`; the newest are taken */
    uint32_t overhead;
};

struct ring_found {
    const struct ring_entry *first; /* oldest; then ring_next() */
    uint32_t count;
    uint64_t too_old, no_room; /* packets in the ring that were left out */
    bool begin_gone;           /* earlier packets had left the ring: exact for a flow, likely for a host */
    nanoseconds oldest;        /* time of the oldest packet in the ring, of whatever flow; 0 if it is empty */
};

/* Valid until the next ring_add() or ring_find(). */
struct ring_found ring_find(struct recall_ring *ring, const struct ring_wish *wish);
const struct ring_entry *ring_next(const struct recall_ring *ring, const struct ring_entry *entry);

/* The entry as a packet whose bytes and origin are in the ring; processes are the capture's or tap's, which
 * must outlive it. */
struct packet ring_packet(const struct ring_entry *entry);

#endif
