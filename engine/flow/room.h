/* The room's inside, shared by the files of engine/flow and by nobody else.
 *
 * room.c works on bursts: look-up, timeouts, the begin and end of flows. update.c is what a packet changes in
 * its flow, roles.c who is client and who server, tcp.c TCP's state, fresh bytes and round trip, onset.c the
 * exchanges. record.c fills flow_start, flow and every event's head; facts.c keeps names and first bytes;
 * programs.c knows who is at the ends; anomaly.c counts what is odd. talk.c recognises protocols and drives
 * parsers, stream.c puts TCP in order for them, from what chunks.c keeps. wiretap.c hands the same bytes to
 * scripts that asked for them. */
#ifndef LUNETTE_FLOW_ROOM_H
#define LUNETTE_FLOW_ROOM_H

#include "flow/chunks.h"
#include "flow/entry.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "flow/protocol.h"
#include "flow/slab.h"
#include "flow/table.h"
#include "flow/tunnels.h"
#include "flow/wheel.h"

enum { ROOM_PROTOCOLS = 64, ROOM_ANOMALIES = 128 };

/* Of the room's own, beside what flow_config sets. */
enum {
    ONSET_QUIET_SECONDS = 2, /* client payload after that much client silence begins an exchange */
    ONSET_OVER_SECONDS = 10, /* an exchange is over after that much silence */
    RECOGNISE_BYTES = 2048,  /* per direction, then nobody is asked any more */
    RECOGNISE_DATAGRAMS = 4, /* per side */
};

enum end_reason { END_FIN, END_RST, END_TIMEOUT, END_EVICTED, END_REUSED, END_OF_CAPTURE };

struct flow_room {
    struct flow_config config;
    struct flow_surroundings around;
    struct slab flows;
    struct table table;
    struct wheel ends;   /* flows by when they time out */
    struct wheel onsets; /* flows with an open exchange by when it is over */
    struct slab facts;
    struct slab stories;
    struct slab rare;
    struct slab programs; /* struct flow_programs */
    struct slab talks;
    struct chunks chunks;
    struct names *names;
    struct rebind *rebind; /* NULL until a connection id was learnt */
    struct tunnels tunnels;
    struct slab taps; /* struct wiretap */
    struct chunks tap_chunks;
    const struct stream_wish *wishes[FLOW_WISHES];
    uint64_t wish_since[FLOW_WISHES];   /* flows from this number on are the wish's */
    uint64_t wishes_open, wishes_gone;  /* by number: are in force; are not any more, and taps must be told */
    uint64_t tap_held;                  /* bytes kept for wishes that wait */
    struct slab states[ROOM_PROTOCOLS]; /* parsers' state, by protocol */
    const struct protocol *protocols[ROOM_PROTOCOLS];
    void *shared[ROOM_PROTOCOLS]; /* what their share() made */
    uint32_t protocol_count;
    uint64_t candidates[TRANSPORT_IP + 1]; /* by enum transport: protocols that read it */
    nanoseconds clock;
    bool lost; /* packets were lost before they came here; open then was what began before … */
    nanoseconds lost_at;
    const struct packet *packet; /* that is worked on */
    bool flows_told;             /* somebody wants flows' records: what only they show is kept */
    bool exchanges_told;         /* somebody wants onsets, or the number of them */
    uint64_t seed;
    uint64_t next_id;
    uint64_t held;    /* bytes of chunks and kept stream bytes: bounded by reassembly_total */
    uint64_t strings; /* bytes of names and fingerprints */
    struct flow_counters counters;
    struct anomaly_count anomalies[ROOM_ANOMALIES];
    uint32_t anomaly_count;
};

static inline struct flow *room_flow(const struct flow_room *room, uint32_t index) {
    return slab_at(&room->flows, index);
}
static inline uint32_t room_index(const struct flow_room *room, const struct flow *flow) {
    return (uint32_t)((size_t)((const uint8_t *)flow - room->flows.base) / sizeof *flow);
}

/* roles.c: does side `sender` of a new flow act as its client? */
bool roles_sender_is_client(const struct decoded *decoded);

/* update.c: `side` of the flow sent the packet. */
void flow_update(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *decoded,
                 nanoseconds time);

/* tcp.c */
struct tcp_news {
    uint32_t fresh;    /* payload bytes not seen before */
    uint32_t repeated; /* payload bytes seen before; keep-alives have none */
};
bool tcp_begins_anew(const struct flow *flow, unsigned side, const struct decoded *decoded);
struct tcp_news tcp_update(struct flow_room *room, struct flow *flow, unsigned side,
                           const struct decoded *decoded, nanoseconds time);
const char *tcp_state_word(const struct flow *flow);
uint64_t tcp_missing_bytes(const struct flow *flow, unsigned side);

/* room.c: when the flow times out, as the room's clock counts. To be told to the wheel when it comes nearer.
 */
nanoseconds flow_deadline(const struct flow_room *room, const struct flow *flow);

/* onset.c */
void onset_packet(struct flow_room *room, struct flow *flow, unsigned side, nanoseconds time);
void onset_payload(struct flow_room *room, struct flow *flow, unsigned side, nanoseconds time);
nanoseconds onset_deadline(const struct flow_room *room, const struct flow *flow);
void onset_finish(struct flow_room *room, struct flow *flow);

/* facts.c: the flow's facts, made if it has none yet; NULL if there is no memory. */
struct flow_facts *flow_facts_of(struct flow_room *room, struct flow *flow);
static inline struct flow_facts *flow_facts_if(const struct flow_room *room, const struct flow *flow) {
    return flow->facts ? slab_at(&room->facts, flow->facts) : NULL;
}
/* The like of its story and of what few flows have. */
struct flow_story *flow_story_of(struct flow_room *room, struct flow *flow);
static inline struct flow_story *flow_story_if(const struct flow_room *room, const struct flow *flow) {
    return flow->story ? slab_at(&room->stories, flow->story) : NULL;
}
struct flow_rare *flow_rare_of(struct flow_room *room, struct flow *flow);
static inline struct flow_rare *flow_rare_if(const struct flow_room *room, const struct flow *flow) {
    const struct flow_facts *facts = flow_facts_if(room, flow);
    return facts && facts->rare ? slab_at(&room->rare, facts->rare) : NULL;
}
void facts_head(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *decoded);
void facts_hide_head(struct flow_room *room, struct flow *flow, unsigned side);
void facts_name(struct flow_room *room, struct flow *flow, enum name_source source, struct slice name);
void facts_ja4(struct flow_room *room, struct flow *flow, struct slice ja4);
void facts_proxy(struct flow_room *room, struct flow *flow, const char *kind, struct slice target);
void facts_tunnel(struct flow_room *room, struct flow *flow, const struct tunnel *tunnel);
void facts_carries(struct flow_room *room, struct flow *flow, const char *carries);
static inline const struct tunnel *flow_tunnel(const struct flow_room *room, const struct flow *flow) {
    if (!(flow->marks & MARK_TUNNELLED)) return NULL;
    const struct flow_rare *rare = flow_rare_if(room, flow);
    return rare ? rare->tunnel : NULL;
}
void facts_release(struct flow_room *room, struct flow *flow);
const char *name_source_word(const struct flow_facts *facts);

/* record.c */
void record_flow_start(struct flow_room *room, struct flow *flow, const struct decoded *decoded);
void record_flow(struct flow_room *room, const struct flow *flow, const char *reason);
const char *flow_app_proto(const struct flow_room *room, const struct flow *flow);
const char *flow_proto_word(uint8_t proto);
const char *flow_state_word(const struct flow *flow);

/* partial.c: what is missing of the flow so far, as events' heads say it; NULL if nothing is. */
const char *flow_partial(const struct flow_room *room, const struct flow *flow);
bool flow_is_one_sided(const struct flow *flow);

/* anomaly.c: all strings static; `flow` may be NULL. */
void anomaly_note(struct flow_room *room, struct flow *flow, nanoseconds time, const char *layer,
                  const char *protocol, const char *name);

/* talk.c: gives the packet's payload to whom it concerns. Flows with MARK_SILENT need not be brought here. */
void talk_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *decoded,
                 nanoseconds time);
void talk_finish(struct flow_room *room,
                 struct flow *flow); /* the flow is over: what waits is delivered, the parser ended */
void talk_discard(struct flow_room *room, struct flow *flow);    /* frees without calling anybody */
bool talk_possible(const struct flow_room *room, uint8_t proto); /* does any protocol read it? */
int talk_init(struct flow_room *room, struct error *err);
void talk_release(struct flow_room *room);
uint64_t talk_memory(const struct flow_room *room);

#endif
