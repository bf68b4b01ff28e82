/* A flow as the room keeps it: three cache lines, of which a packet of a settled flow touches two.
 *
 * Line 0 has what both sides share, line 1 what the lower side of the key sent, line 2 the higher side; what
 * is needed when a flow begins, ends or makes an event fills them up. What only some flows have lies
 * elsewhere, so that a connection past its hello costs little more than its entry: struct flow_story (what
 * only flows' and exchanges' records show, kept while somebody wants these), struct flow_facts (names),
 * struct flow_rare, struct talk (a parser's state and the stream it reads). Private to engine/flow. */
#ifndef LUNETTE_FLOW_ENTRY_H
#define LUNETTE_FLOW_ENTRY_H

#include "flow/flow.h"
#include "flow/key.h"
#include "flow/names.h"

#include <stddef.h>

enum { FLOW_HEAD_BYTES = 64, SIDE_NONE = 2, FACTS_NAME_MAX = 255, FACTS_JA4_MAX = 63, FACTS_PROXY_MAX = 255 };

enum tcp_state {
    TCP_STATE_NONE, /* not TCP, or picked up in the middle and one-sided so far */
    TCP_STATE_SYN_SENT,
    TCP_STATE_SYN_RECV,
    TCP_STATE_ESTABLISHED,
    TCP_STATE_FIN_WAIT,
    TCP_STATE_CLOSED,
};

enum flow_mark {
    MARK_CLIENT_HIGH = 1 << 0,   /* the client is side 1 */
    MARK_TALK = 1 << 1,          /* somebody reads the payload: flow->talk */
    MARK_SILENT = 1 << 2,        /* nobody wants payload (any more) */
    MARK_HEAD_FULL_LOW = 1 << 3, /* first bytes of side 0 are kept; the next bit is for side 1 */
    MARK_HEAD_FULL_HIGH = 1 << 4,
    MARK_ONSET_OPEN = 1 << 5, /* an exchange is going on */
    MARK_MIDSTREAM = 1 << 6,  /* TCP whose SYN was not seen */
    MARK_RST = 1 << 7,        /* closed by RST */
    MARK_CLIENT_LOCAL = 1 << 8,
    MARK_SERVER_LOCAL = 1 << 9,
    MARK_BOTH_SIDES = 1 << 10, /* both sides have sent */
    MARK_PORTLESS = 1 << 11,   /* TCP or UDP whose ports could not be read: later fragments */
    MARK_RTT_CLEAN = 1 << 12,  /* the SYN was sent once: its answer tells the round trip (Karn's rule) */
    MARK_ONSETS = 1 << 13,     /* the first exchange has begun */
    MARK_TAP = 1 << 14,        /* a script asked for the payload, or may have: wiretap.h */
    MARK_TUNNELLED = 1 << 15,  /* it is inside a tunnel, and its facts say in which */
};

/* What went missing while the flow was open: partial.c. */
enum flow_missing {
    MISSING_CUT = 1 << 0,     /* payload was cut off by the snap length */
    MISSING_DROPPED = 1 << 1, /* the kernel dropped packets of it (droptap) */
};

struct flow_side {
    uint64_t packets;
    uint64_t bytes;
    uint64_t fresh;                /* payload bytes not seen before */
    nanoseconds last_payload;      /* of fresh bytes */
    uint32_t next_seq;             /* TCP: after the highest byte seen, FIN counted */
    uint32_t hole_start, hole_end; /* TCP: the part below next_seq that may still be missing */
    uint8_t tcp_flags;
    bool seq_known;
    bool leaves; /* what it sends leaves the capturing host; neither side: unknown */
    uint8_t unused;
};
_Static_assert(sizeof(struct flow_side) == 48, "a side and sixteen bytes more are a cache line");

struct flow {
    /* line 0: every packet */
    struct flow_key key;
    nanoseconds last; /* latest packet */
    uint32_t lag;     /* seconds the latest packet's time was behind the room's clock */
    uint8_t tcp_state;
    uint8_t payload_side; /* who sent the latest fresh payload, SIDE_NONE before any */
    uint16_t marks;
    uint32_t talk, story; /* in their slabs, 0: none */
    /* line 1: packets of the lower side */
    struct flow_side low;
    uint64_t id;
    nanoseconds start;
    /* line 2: packets of the higher side */
    struct flow_side high;
    uint32_t isn[2];              /* TCP: sequence number before the first byte of each side */
    uint32_t facts;               /* in its slab, 0: none */
    uint8_t icmp_type, icmp_code; /* of the first packet, as its client would send it */
    uint8_t protocol;             /* 1 + index in room->protocols, 0: unknown */
    uint8_t missing;              /* of enum flow_missing */
};
_Static_assert(sizeof(struct flow) == 192, "three cache lines");
_Static_assert(offsetof(struct flow, low) == 64 && offsetof(struct flow, high) == 128,
               "a side's packets touch line 0 and that side's line");

/* What only the records of flows and of exchanges show: made with the first payload, or exchange, while
 * somebody wants these. Line 0 is touched by each payload, the first bytes only while they come. */
struct flow_story {
    nanoseconds onset;      /* when the exchange began */
    uint64_t onset_base[2]; /* sides' `fresh` when it did */
    uint32_t onsets;
    uint32_t turns;                        /* times the other side took over sending */
    uint32_t pauses[2], small[2], full[2]; /* by side */
    nanoseconds rtt;
    uint8_t head[2][FLOW_HEAD_BYTES]; /* line 1 and 2: first bytes by side */
    uint64_t repeated[2];             /* payload bytes by side that had been seen before */
    uint64_t cut;                     /* fresh TCP bytes cut off by the snap length */
    uint32_t retransmits;
    uint8_t head_length[2];
    uint8_t first_speaker; /* 1 + the side that sent the first payload */
    uint8_t unused;
};
_Static_assert(offsetof(struct flow_story, head) == 64, "what each payload counts is one line");
_Static_assert(sizeof(struct flow_story) == 224, "a story");

/* What a name or a fingerprint costs, and the way to what few flows have. */
struct flow_facts {
    char *name, *ja4;  /* owned, not terminated */
    uint32_t tap;      /* in its slab, 0: none */
    uint32_t programs; /* the like: flow/programs.h */
    uint32_t rare;     /* the like: struct flow_rare */
    uint8_t name_length, ja4_length;
    uint8_t name_source; /* enum name_source */
    uint8_t carrier;     /* the first protocol of a stream that was handed over, as flow.protocol */
};
_Static_assert(sizeof(struct flow_facts) == 32, "half a cache line");

struct flow_rare {
    uint64_t anomalies[2]; /* set of room->anomalies whose event was made */
    uint64_t given_up;     /* set of room->protocols that took the flow and gave it up */
    struct tunnel *tunnel; /* owned: what the first packet came in. NULL outside tunnels */
    const char *carries;   /* static: the tunnel whose outer flow this is, NULL if it is none */
    char *proxy_target;    /* owned, not terminated */
    const char *proxy;     /* static, NULL: passes none */
    struct ip rebound_ip;  /* where one side is now */
    uint32_t rebinds;      /* times the flow went on elsewhere: rebind.h */
    uint16_t rebound_port;
    uint8_t proxy_target_length;
};

static inline const struct flow_side *flow_side(const struct flow *flow, unsigned number) {
    return number ? &flow->high : &flow->low;
}
static inline struct flow_side *flow_side_write(struct flow *flow, unsigned number) {
    return number ? &flow->high : &flow->low;
}

/* When fresh payload came last, from either side; 0 before any. */
static inline nanoseconds flow_last_payload(const struct flow *flow) {
    return flow->low.last_payload > flow->high.last_payload ? flow->low.last_payload
                                                            : flow->high.last_payload;
}

static inline unsigned flow_client(const struct flow *flow) {
    return (flow->marks & MARK_CLIENT_HIGH) != 0;
}
static inline unsigned flow_server(const struct flow *flow) {
    return !flow_client(flow);
}

/* Which way a packet goes that `side` sent, and who sends that way. */
static inline enum direction flow_direction(const struct flow *flow, unsigned side) {
    return side == flow_client(flow) ? TO_SERVER : TO_CLIENT;
}
static inline unsigned flow_sender(const struct flow *flow, enum direction direction) {
    return direction == TO_SERVER ? flow_client(flow) : flow_server(flow);
}

static inline bool flow_is_tcp(const struct flow *flow) {
    return flow->key.proto == PROTO_TCP && !(flow->marks & MARK_PORTLESS);
}

/* An IP protocol of which the engine reads no header: ESP, GRE … */
static inline bool flow_is_other(const struct flow *flow) {
    return flow->key.proto != PROTO_TCP && flow->key.proto != PROTO_UDP && flow->key.proto != PROTO_ICMP &&
           flow->key.proto != PROTO_ICMPV6;
}

static inline bool flow_is_icmp(const struct flow *flow) {
    return flow->key.proto == PROTO_ICMP || flow->key.proto == PROTO_ICMPV6;
}

#endif
