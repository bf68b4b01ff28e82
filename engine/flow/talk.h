/* A flow that somebody reads: the parser's hold on it and, for TCP, both directions' streams. Lives from the
 * first payload until nobody wants more. Private to talk.c, stream.c, conversation.c and wiretap.c. */
#ifndef LUNETTE_FLOW_TALK_H
#define LUNETTE_FLOW_TALK_H

#include "flow/room.h"

enum { TALK_RUNS = 16, TALK_LAYERS = 4 /* protocols that may hand a stream over, one after the other */ };

/* One direction of a TCP stream. */
struct half {
    uint32_t next;  /* sequence number of the first byte not delivered yet */
    uint32_t acked; /* the highest acknowledgement of the other side */
    uint32_t fin;   /* sequence number after the last byte */
    bool known;     /* `next` is */
    bool has_ack, has_fin;
    bool done;       /* nothing more is wanted */
    uint32_t chunks; /* what came before its turn: first of a list in room->chunks */
    uint64_t skip;   /* bytes to come that the parser does not want to see */
    uint8_t *kept;   /* delivered, but not used yet */
    uint32_t kept_length;
    uint32_t kept_capacity;
};

/* Kept bytes of one direction that came in a row, while nobody knows the protocol. */
struct run {
    uint32_t length;
    uint32_t direction;
};

struct talk {
    struct conversation conversation; /* first: a conversation's address is its talk's */
    const struct protocol *protocol;  /* NULL: not recognised yet */
    uint64_t candidates;              /* protocols that have not said no */
    struct half half[2];              /* by direction */
    uint32_t blocks;                  /* chunks of both directions */
    uint32_t state;                   /* in the protocol's slab */
    uint32_t next_state;              /* in the next one's */
    struct run runs[TALK_RUNS];
    uint8_t run_count;
    uint8_t next;   /* to whom the stream is handed over, as flow.protocol; 0: to whoever recognises it */
    uint8_t layers; /* times the stream was handed over */
    bool over;      /* to be closed once the packet is done with */
    bool is_tap;    /* it is no parser's, but a struct wiretap (wiretap.h) */
    bool handed;    /* the parser has just handed the stream over */
    bool doubted;   /* datagrams: the parser is not sure yet that the flow is its own */
    bool given_up;  /* datagrams: it is not */
    bool woken;     /* what is kept is wanted now */
};

static inline struct talk *talk_of(const struct flow_room *room, const struct flow *flow) {
    return slab_at(&room->talks, flow->talk);
}

/* Where its early bytes wait: taps have a store of their own, so that they take nothing from parsers. */
static inline struct chunks *talk_chunks(struct flow_room *room, const struct talk *talk) {
    return talk->is_tap ? &room->tap_chunks : &room->chunks;
}

/* talk.c: bytes of a direction, in order and each once. */
void talk_feed(struct flow_room *room, struct talk *talk, enum direction direction, const uint8_t *data,
               uint32_t length);

/* talk.c: the next `missing` bytes of a direction will not come. */
void talk_gap(struct flow_room *room, struct talk *talk, enum direction direction, uint64_t missing);

/* talk.c: conversation_hand_over_to(), see there. */
void *talk_appoint(struct flow_room *room, struct talk *talk, const struct protocol *next);

/* talk.c: nothing more is wanted in a direction. */
void talk_stop(struct flow_room *room, struct talk *talk, enum direction direction);

/* stream.c: a TCP packet that is no RST. */
void stream_segment(struct flow_room *room, struct talk *talk, enum direction direction,
                    const struct decoded *decoded);

/* stream.c: delivers all that waits, gaps and all. */
void stream_flush(struct flow_room *room, struct talk *talk);

#endif
