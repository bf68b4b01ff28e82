/* A wiretap: the bytes of one flow for whoever asked for them, beside the protocol's own parser.
 *
 * Who asks is a wish (struct stream_wish, flow.h): server ports, or how a side begins. A flow that some wish
 * may concern has MARK_TAP; its first payload makes the tap, which is a talk of its own with its own
 * reassembly (stream.c), so that neither can change what the other is told. Its bytes become events of the
 * kind `stream`.
 *
 * As long as a wish waits for first bytes, what came so far is kept (WIRETAP_KEEP at most) and told when it
 * says yes. Private to talk.c, stream.c, wiretap.c, update.c and room.c. */
#ifndef LUNETTE_FLOW_WIRETAP_H
#define LUNETTE_FLOW_WIRETAP_H

#include "flow/talk.h"

enum {
    WIRETAP_KEEP = 16 * 1024,            /* bytes of both sides kept while a wish waits */
    WIRETAP_KEEP_ALL = 64 * 1024 * 1024, /* of all flows together */
    WIRETAP_PIECE = 64 * 1024,           /* bytes in one event at most */
};

struct wiretap {
    struct talk talk;   /* first: a talk with is_tap set is a wiretap's */
    uint64_t wishes;    /* these have said yes: bit n is room->wishes[n] */
    uint64_t asking;    /* these wait for more first bytes */
    uint64_t told;      /* these have been told something */
    uint64_t hushed[2]; /* by direction: these want no more of it */
    uint64_t position[2];
    uint8_t head[2][WISH_PREFIX]; /* first bytes by direction, while somebody asks */
    uint8_t head_length[2];
    bool head_broken[2]; /* a gap, or the end: no more of them will come */
    uint8_t *kept;       /* struct kept_run, its bytes, the next run … */
    uint32_t kept_length, kept_capacity;
};

static inline struct wiretap *wiretap_of_talk(struct talk *talk) {
    return (struct wiretap *)talk;
}

/* Does any wish concern a flow that begins now? */
bool wiretap_possible(const struct flow_room *room, const struct flow *flow);

/* Gives the packet's payload to the flow's tap, which is made if need be. For flows with MARK_TAP. */
void wiretap_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *decoded,
                    nanoseconds time);

/* For talk.c: bytes of a direction in order; bytes that will not come. */
void wiretap_feed(struct flow_room *room, struct wiretap *tap, enum direction direction, const uint8_t *data,
                  uint32_t length);
void wiretap_gap(struct flow_room *room, struct wiretap *tap, enum direction direction, uint64_t missing);

/* The flow is over: what waits is told, and the end. */
void wiretap_finish(struct flow_room *room, struct flow *flow);
void wiretap_discard(struct flow_room *room, struct flow *flow); /* frees without telling anybody */

/* Wishes that went away are taken out of all taps. Not while a packet is worked on. */
void wiretap_forget(struct flow_room *room);

uint64_t wiretap_memory(const struct flow_room *room);

#endif
