/* Flows: who talks to whom, and how it goes.
 *
 * A flow is a bidirectional 5-tuple (plus VLAN and interface). The room (`struct flow_room`) of a worker owns
 * its flows, their table, timeouts, TCP reassembly and name table; it feeds payload to protocols
 * (flow/protocol.h) and makes the events flow_start, onset, flow and anomaly. */
#ifndef LUNETTE_FLOW_FLOW_H
#define LUNETTE_FLOW_FLOW_H

#include "base/error.h"
#include "base/ip.h"
#include "base/time.h"
#include "capture/packet.h"
#include "decode/decode.h"
#include "decode/tunnel.h"
#include "event/batch.h"

#include <stdbool.h>
#include <stdint.h>

enum direction { TO_SERVER, TO_CLIENT };

struct program_source;
struct protocol;
struct words;
struct flow;
struct flow_room;

/* Everything that grows with traffic, and its bound. flow_config_defaults() fills in what is usual. */
struct flow_config {
    uint32_t max_flows;           /* flows at once; the one nearest to its timeout gives way */
    uint32_t max_names;           /* entries of the DNS name table */
    uint64_t reassembly_total;    /* bytes kept for all TCP streams of the worker */
    uint32_t reassembly_per_flow; /* bytes kept for one flow, both directions */
    nanoseconds timeout_tcp_new;  /* no handshake yet */
    nanoseconds timeout_tcp_established;
    nanoseconds timeout_tcp_closed;      /* after FIN both ways, or RST */
    nanoseconds timeout_udp_new;         /* one side only */
    nanoseconds timeout_udp_established; /* both sides */
    nanoseconds timeout_other;           /* ICMP and the rest */
};
struct flow_config flow_config_defaults(void);

/* What the room needs from outside; all borrowed. */
struct flow_surroundings {
    struct batch *batch;
    const struct protocol *const *protocols;                         /* NULL-terminated */
    bool (*is_local)(void *context, const struct ip *address);       /* in the home networks? */
    const char *(*interface_name)(void *context, uint8_t interface); /* "" if unnamed */
    void *context;
    struct words *words;                   /* keeps programs' names; NULL: no flow has a program */
    const struct program_source *programs; /* NULL: nobody knows more of them than the capture */
};

/* Counters that only grow. */
struct flow_counters {
    uint64_t packets, bytes; /* all that were decoded to a transport; what is inside tunnels not again */
    uint64_t flows;          /* made */
    uint64_t flows_tcp, flows_udp, flows_icmp, flows_other;
    uint64_t ended_fin, ended_rst, ended_timeout, ended_evicted, ended_reused, ended_capture;
    uint64_t midstream;
    uint64_t reassembly_dropped; /* bytes let go of because a bound was reached */
    uint64_t gaps, gap_bytes;    /* in streams that a parser read or might have */
    uint64_t retransmits, overlaps;
    uint64_t rebinds;                 /* times a QUIC connection went on from another address or port */
    uint64_t rebind_evicted;          /* connection ids and aliases that gave way to newer ones */
    uint64_t names_evicted;           /* names learnt from DNS that gave way to newer ones */
    uint64_t fragments;               /* IP fragments not put together */
    uint64_t fragments_joined;        /* datagrams put together: the worker's, as the next one */
    uint64_t fragment_overlaps;       /* fragments that overlapped others with other bytes or bounds */
    uint64_t tunnelled[TUNNEL_KINDS]; /* packets of flows inside tunnels, by the innermost's kind */
    uint64_t tunnels_refused;         /* packets inside tunnels beyond those that are told apart */
    uint64_t programs_asked;          /* flows that ended, and for whose program host logs were asked */
    uint64_t programs_joined;         /* … and found it there */
    uint64_t programs_contradicted;   /* … or found another program than the kernel names under that pid */
    uint64_t programs_unnamed; /* … of which the capture names no process: only a socket could join */
    uint32_t active, active_peak;
    uint64_t memory; /* bytes held now */
};

struct flow_room *flow_room_new(const struct flow_config *config, const struct flow_surroundings *around,
                                struct error *err);

typedef void flow_packet_handler(void *context, struct flow *flow, const struct packet *packet,
                                 const struct decoded *decoded, enum direction direction);

/* Works on a burst of decoded packets in order: hash all, prefetch all, then update one by one. `packets[i]`
 * belongs to `decoded[i]`; those not DECODED_TRANSPORT only move the clock and have their anomalies counted.
 * Sets batch->clock, runs timeouts and makes events on the way. `on_packet` (may be NULL) is called for each
 * packet right after its flow was updated, before the next one: for packet events. */
void flow_room_burst(struct flow_room *room, const struct packet *packets, const struct decoded *decoded,
                     int count, flow_packet_handler *on_packet, void *context);

/* Moves the room's clock on and runs the timeouts that this makes due, each at its own time: for packets that
 * were left to other workers, and for idle live captures. A time in the past does nothing. */
void flow_room_advance(struct flow_room *room, nanoseconds now);

/* Live: packets were lost, as the kernel or the interface counts them, since this was called last. Flows that
 * are open now may lack some. */
void flow_room_lost(struct flow_room *room);

/* The capture is over: ends all flows in the order in which they began. Without it, flow_room_free() drops
 * flows without a word, and what parsers own beside their state is lost. */
void flow_room_finish(struct flow_room *room);

/* Valid until the room is freed; `memory` is as of this call. */
const struct flow_counters *flow_room_counters(struct flow_room *room);

/* Anomalies counted so far, as (layer, protocol, name, count), most frequent first. Returns how many were
 * written. */
struct anomaly_count {
    const char *layer, *protocol, *name;
    uint64_t count;
};
uint32_t flow_room_anomalies(const struct flow_room *room, struct anomaly_count *out, uint32_t max);

void flow_room_free(struct flow_room *room);

/* Somebody wants the payload of flows: of those to one of these server ports, and of those of which a side
 * begins with one of these texts. TCP comes in order and each byte once, as events of the kind `stream`; of
 * UDP each datagram is one. */
enum { FLOW_WISHES = 64, WISH_PORTS = 64, WISH_STARTS = 16, WISH_PREFIX = 64 };
struct stream_start {
    uint8_t length; /* 1 to WISH_PREFIX */
    uint8_t bytes[WISH_PREFIX];
};
struct stream_wish {
    uint8_t proto; /* PROTO_TCP or PROTO_UDP */
    uint32_t port_count;
    uint16_t ports[WISH_PORTS];
    uint32_t start_count[2]; /* by enum direction */
    struct stream_start starts[2][WISH_STARTS];
};

/* Wish number `number`, below FLOW_WISHES: bit of the events' `wishes`. It is borrowed until it is taken
 * back, with NULL. Concerns flows that begin from now on: whoever listened under that number before gets
 * nothing any more. Taken back at any time; given between bursts. */
void flow_room_listen(struct flow_room *room, unsigned number, const struct stream_wish *wish);

/* The wish wants no more of that direction of a flow: `tap` and `flow_id` as a stream event of it has them.
 * At any time. */
void flow_room_hush(struct flow_room *room, uint32_t tap, uint64_t flow_id, unsigned number,
                    enum direction direction);

/* The flow's number: flow_id of its events. Counts up from 1 in the order in which the room's flows begin. */
uint64_t flow_id(const struct flow *flow);

/* A flow that is open now, for people to look at. Strings are valid during the visit only. */
struct flow_view {
    uint64_t id;
    struct ip client_ip, server_ip;
    uint16_t client_port, server_port;
    const char *proto;     /* "TCP" … */
    const char *app_proto; /* or NULL */
    const char *state;     /* new, established or closed */
    const char *tcp_state; /* or NULL */
    const char *interface; /* "" if unnamed */
    const char *program;   /* or NULL */
    const char *name;      /* the server's, not terminated */
    uint32_t name_length;  /* 0: unknown */
    nanoseconds start, last;
    uint64_t packets_to_server, packets_to_client, bytes_to_server, bytes_to_client;
};

/* Shows all open flows in no particular order, until `visit` returns false. Not from within a burst. */
void flow_room_visit(const struct flow_room *room, bool (*visit)(void *context, const struct flow_view *flow),
                     void *context);

/* Fills the common fields of an event from a flow. */
void flow_fill_head(const struct flow_room *room, const struct flow *flow, nanoseconds time,
                    struct event_head_body *head);

#endif
