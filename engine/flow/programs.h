/* Which program a flow is of: what its packets say of the processes at its ends, and what is known of these
 * beyond the capture.
 *
 * The kernel's attribution is missing or wrong at times (xnu bsd/net/pktap.c), so it is not just copied:
 * - pid 0 without a name is nobody: ARP, resets and ICMP of the kernel's own, forwarded packets.
 * - Of an incoming IP fragment but the first, ports were read where there are none: it is passed over.
 * - An outgoing packet names its socket's owner by the packet's own mark, an incoming one by a search among
 *   sockets. If the two differ, the outgoing one is right.
 * - It names the last user of a socket, not its maker. A flow keeps whom it began with, but what launchd
 *   listens for belongs to whoever takes it over.
 * - mDNSResponder asks for many programs through one socket: the effective process is the latest that a
 *   packet of the flow named.
 *
 * Of a flow within one host, packets are seen twice: leaving, with the sender's process, and arriving, with
 * the receiver's. So both ends become known. */
#ifndef LUNETTE_FLOW_PROGRAMS_H
#define LUNETTE_FLOW_PROGRAMS_H

#include "base/words.h"
#include "flow/program.h"
#include "flow/room.h"

/* The process at one end. Names and paths are words. */
struct flow_party {
    const char *name, *path;
    const char *effective_name, *effective_path;
    int32_t pid, effective_pid; /* -1 unknown */
    uint8_t trust;              /* enum party_trust */
    bool has_uuid, has_effective_uuid, has_effective;
    uint8_t uuid[16], effective_uuid[16];
};

enum party_trust { TRUST_NOBODY, TRUST_LOG, TRUST_INCOMING, TRUST_OUTGOING };

/* Only for flows of which somebody is known, or may be. */
struct flow_programs {
    struct flow_party party[2]; /* by side */
    struct program told;        /* of the program that the flow is for */
    const char *ancestry;       /* its ancestors in one word, or NULL */
    uint32_t service_class;     /* SO_TC_* of the latest packet that says, ORIGIN_NO_CLASS if none did */
    uint32_t kernel_flow;       /* the kernel's own number of the flow, 0 if it was not told */
    uint32_t drops;             /* packets that the kernel dropped (droptap) */
    uint32_t drop_reason;       /* of the latest */
    const char *drop_function;  /* a word, or NULL */
    nanoseconds ask_next;
    uint8_t asked;     /* times since there was something new to ask for */
    bool known;        /* `told` is filled in */
    bool contradicted; /* at the latest question the log told another program than the kernel */
};

/* A packet that `side` sent. Cheap enough to be called for each packet that has an origin. */
void programs_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct packet *packet,
                     const struct decoded *decoded);

/* What the kernel says of a packet beside its process: once for each packet that has an origin. */
void programs_marks(struct flow_room *room, struct flow *flow, const struct packet_origin *origin);

/* The flow ends: the last time to ask. */
void programs_finish(struct flow_room *room, struct flow *flow);

void programs_fill_head(const struct flow_room *room, const struct flow *flow, struct event_head_body *head);
void programs_fill_record(const struct flow_room *room, const struct flow *flow,
                          struct event_flow_body *body);

/* The name of the flow's program, NULL if it is not known. */
const char *programs_name(const struct flow_room *room, const struct flow *flow);

#endif
