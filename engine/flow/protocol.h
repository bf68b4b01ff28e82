/* What a protocol is to the engine: how to recognise it, and what to do with its bytes.
 *
 * Each file in engine/protocol/ fills one `struct protocol`; engine/protocol/list.c names them all. The flow
 * room calls them through this table and knows none of them.
 *
 * TCP. While a flow's protocol is unknown, its first bytes in each direction are shown to every protocol's
 * recogniser, again with more bytes each time, until one says YES or all say NO. From then on `stream` gets
 * the bytes of each direction in order, each once. It returns how many it has used: less than `length`   the
 * rest is kept and comes again, joined with what follows (at most STREAM_KEEP bytes) more than `length`   the
 * bytes beyond are skipped when they come, without being kept: a body, a record STREAM_DONE          nothing
 * more is wanted in this direction; buffering stops STREAM_OVER          nothing more is wanted in either
 * direction: the parser is ended and its state freed The bytes usually lie in the packet itself. They are
 * gone after the call. UDP and ICMP: `datagram` gets each payload.
 *
 * Parsers are never trusted with broken input by accident: read through base/bytes.h, report what is odd by
 * conversation_anomaly() and return STREAM_OVER when there is no way on. */
#ifndef LUNETTE_FLOW_PROTOCOL_H
#define LUNETTE_FLOW_PROTOCOL_H

#include "base/bytes.h"
#include "event/batch.h"
#include "flow/flow.h"
#include "flow/names.h"

#include <stdbool.h>
#include <stdint.h>

enum { STREAM_KEEP = 64 * 1024 };
#define STREAM_DONE (-1)
#define STREAM_OVER (-2)

enum recognised { RECOGNISED_NO, RECOGNISED_MAYBE, RECOGNISED_YES };

/* TRANSPORT_IP: IP payloads that are none of the others, as datagrams: ESP, AH, GRE that is no tunnel … */
enum transport {
    TRANSPORT_TCP = 1,
    TRANSPORT_UDP = 2,
    TRANSPORT_ICMP = 4,
    TRANSPORT_ICMPV6 = 8,
    TRANSPORT_IP = 16
};

/* The first bytes of a direction, as far as they have come. */
struct probe {
    const uint8_t *data;
    uint32_t length;    /* here */
    uint32_t original;  /* UDP: length on the wire, more than `length` if the capture cut it; else = length */
    struct slice other; /* TCP: what the other direction has said so far, nothing if length is 0 */
    enum direction direction;
    uint8_t transport;                 /* one of enum transport */
    uint16_t client_port, server_port; /* a hint where content is ambiguous, never a proof */
    uint8_t ip_proto;                  /* of TRANSPORT_IP */
    const char *carrier; /* name of the protocol that handed the stream over, NULL on a fresh flow */
};

/* A protocol's hold on a flow. */
struct conversation {
    struct flow *flow;
    struct flow_room *room;
    void *state;                  /* state_size zeroed bytes of the protocol's own */
    nanoseconds time;             /* time of the packet whose bytes are being read */
    const struct decoded *packet; /* headers of that packet; NULL in end() */
    void *shared;                 /* what the protocol's share() made for this worker */
};

struct protocol {
    const char *name;   /* EVE's app_proto: "tls", "dns" … */
    uint8_t transports; /* or of enum transport */
    uint32_t state_size;
    enum recognised (*recognise)(const struct probe *probe);
    int64_t (*stream)(struct conversation *c, enum direction direction, const uint8_t *data, uint32_t length);
    /* `missing` bytes of the direction are not in the capture. Returns false to stop the direction as by
     * STREAM_DONE; what was kept is lost either way. NULL: stop. */
    bool (*gap)(struct conversation *c, enum direction direction, uint64_t missing);
    void (*datagram)(struct conversation *c, enum direction direction, struct slice payload,
                     uint32_t original);
    /* Something that all conversations of a worker share, such as a cache: made with the room, freed with it.
     * Both may be NULL. */
    void *(*share)(void);
    void (*unshare)(void *shared);
    /* The flow is over, or the parser said STREAM_OVER, or both directions are done: report what is pending
     * and free what the state owns (not the state). May be NULL. */
    void (*end)(struct conversation *c);
};

/* Begins an event of this flow: batch_begin() with the head filled in, at the conversation's time. NULL:
 * nobody wants one. Finish it with batch_commit(conversation_batch(c)). */
void *conversation_event(struct conversation *c, enum event_kind kind);
struct batch *conversation_batch(const struct conversation *c);

/* Is it a stream? Parsers that read datagrams too are told. */
bool conversation_is_tcp(const struct conversation *c);

/* True if somebody listens to that kind: lets a parser skip costly work (fingerprints, lists). */
bool conversation_wants(const struct conversation *c, enum event_kind kind);

/* Names the flow's server. A better source replaces a worse one: sni, proxy, host, dns. At most 255 bytes are
 * kept.
 */
void conversation_set_name(struct conversation *c, enum name_source source, struct slice name);

/* The flow's server name as known by now; its length is 0 if it has none. Valid until the next set_name. */
struct slice conversation_name(const struct conversation *c);

/* The client's TLS stack, for flows' and onsets' records: at most 63 bytes. */
void conversation_set_ja4(struct conversation *c, struct slice ja4);

/* Counts an anomaly of this protocol; the first of its name in the flow becomes an event. `name` is static.
 */
void conversation_anomaly(struct conversation *c, const char *name);

/* Nothing more is wanted of the flow: what STREAM_OVER is to streams, for parsers of datagrams. The parser is
 * ended after this call of it, and the flow's further packets cost no more than counting. */
void conversation_over(struct conversation *c);

/* For parsers of datagrams that one datagram cannot convince. While a parser is in doubt the flow has no
 * app_proto; it may confirm later, or give up: then it is ended without end() (so what it doubts it keeps in
 * its state alone), the datagram at hand and the next ones are shown to all others, and never again to it. A
 * doubt that is left at the end of the flow is as good as giving up. */
void conversation_doubt(struct conversation *c);
void conversation_confirm(struct conversation *c);
bool conversation_doubted(const struct conversation *c);
void conversation_give_up(struct conversation *c);

/* The rest of the stream is another protocol's: STARTTLS was granted, a proxy has connected, a WebSocket
 * begun. To be called within stream(), by the parser that then returns how many of these bytes are still its
 * own (with more than `length`, or bytes of the other direction that it asked to be skipped, these still
 * are). That parser is ended (its end() runs); what follows, in both directions, what is kept of the other
 * included, goes to all recognisers as if the flow began there, with probe.carrier naming the parser. The
 * flow's app_proto_orig is the first one's name, its app_proto the last one's; if nobody recognises what
 * follows, its app_proto stays. A direction that was done begins again behind what has been seen of it. At
 * most four times in a flow; beyond that is an anomaly. */
void conversation_hand_over(struct conversation *c);

/* The same to a protocol that both sides have agreed on, which needs no recognising. Returns its state,
 * zeroed, to be filled with what it should know of how it began; it has one (state_size), and owns what is
 * put there as if it had put it there itself. NULL if the engine does not know it, has no room, or too many
 * have handed over: then nothing has happened. */
void *conversation_hand_over_to(struct conversation *c, const struct protocol *next);

/* What was left to be kept can be used now: after this call, `stream` is called once more with what is kept
 * of the other direction, then with what is kept of this one. For what one side says while the other's answer
 * decides what it means. Only to be called by who has used bytes, so that it comes to an end. */
void conversation_wake(struct conversation *c);

/* The flow passes a proxy, or asked to and was refused: `kind` is "http", "socks4" or "socks5", `target`
 * HOST:PORT as the client asked (an IPv6 address in brackets). Names the flow's server too (NAME_PROXY), an
 * address by what DNS told the client of it. Of several proxies the last counts. */
void conversation_set_proxy(struct conversation *c, const char *kind, struct slice target);

/* Port of the flow's server. */
uint16_t conversation_server_port(const struct conversation *c);

/* A connection id of QUIC: packets of this connection that go `direction` may carry it. Should they come from
 * elsewhere one day, they still belong to the flow (flow/rebind.h). */
void conversation_connection_id(struct conversation *c, enum direction direction, struct slice id);

/* A side's first bytes hold a secret, a password: the flow's record does not show them (client_head,
 * server_head).
 */
void conversation_hide_head(struct conversation *c, enum direction direction);

/* What the clients of this worker were told by DNS: see flow/names.h. */
struct names *conversation_names(const struct conversation *c);

#endif
