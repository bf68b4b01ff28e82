/* A flow room with hand-made packets, for tests of engine/flow.
 *
 * A `struct world` has a room, a batch and a listener that writes every event down twice: as text, field by
 * field through the schema (to compare whole runs), and as structs by kind (to look at). Packets are `struct
 * decoded` made by udp(), tcp() and echo(); they are collected and given to the room in bursts of `burst`. */
#ifndef LUNETTE_TESTS_PACKETS_H
#define LUNETTE_TESTS_PACKETS_H

#include "event/batch.h"
#include "flow/flow.h"
#include "flow/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORLD_SEEN = 4096, WORLD_BURST = 256 };

#define SECONDS(s) ((nanoseconds)((s)*1e9))
static const nanoseconds world_epoch = 1700000000 * NS_PER_SECOND;

struct seen_flow {
    struct event_flow e;
    char server_name[256], community_id[32], client_head[65], server_head[65];
};
struct seen_onset {
    struct event_onset e;
    char server_name[256];
};

struct world {
    struct batch *batch;
    struct flow_room *room;
    bool wants[EVENT_KINDS];
    const struct protocol *protocols[4];
    char *text;
    size_t text_used, text_size;
    uint32_t flows, onsets, starts, anomalies;
    struct seen_flow *flow;
    struct seen_onset *onset;
    struct event_flow_start *start;
    struct event_anomaly *anomaly;
    char start_options[WORLD_SEEN][64];
    /* packets not given to the room yet */
    int burst, waiting;
    struct packet packets[WORLD_BURST];
    struct decoded decoded[WORLD_BURST];
};

static inline void world_say(struct world *w, const char *format, ...) {
    va_list arguments;
    if (w->text_size - w->text_used < 4096) {
        w->text_size = w->text_size * 2 + 8192;
        w->text = realloc(w->text, w->text_size);
        assert_non_null(w->text);
    }
    va_start(arguments, format);
    w->text_used += (size_t)vsnprintf(w->text + w->text_used, 4096, format, arguments);
    va_end(arguments);
}

static inline void world_say_field(struct world *w, const struct field *field, const uint8_t *event) {
    const uint8_t *at = event + field->offset;
    struct text_ref ref;
    uint64_t number = 0;
    double real;
    const char *word;
    struct ip ip;
    char address[IP_TEXT_SIZE];
    switch ((enum field_type)field->type) {
    case FIELD_f64:
        memcpy(&real, at, sizeof real);
        world_say(w, " %s=%.9f", field->name, real);
        break;
    case FIELD_ip:
        memcpy(&ip, at, sizeof ip);
        ip_format(&ip, address);
        world_say(w, " %s=%s", field->name, address);
        break;
    case FIELD_word:
        memcpy(&word, at, sizeof word);
        world_say(w, " %s=%s", field->name, word ? word : "-");
        break;
    case FIELD_str:
    case FIELD_bytes:
        memcpy(&ref, at, sizeof ref);
        world_say(w, " %s=", field->name);
        for (uint32_t i = 0; i < ref.length; i++) world_say(w, "%02x", (uint8_t)w->batch->text[ref.at + i]);
        break;
    case FIELD_list:
    case FIELD_u16s:
        break;
    default: /* little endian, as the machines that tests run on */
        memcpy(&number, at, field->size);
        world_say(w, " %s=%" PRIu64, field->name, number);
    }
}

static inline void world_copy(const struct world *w, struct text_ref ref, char *out, size_t size) {
    size_t length = ref.length < size - 1 ? ref.length : size - 1;
    memcpy(out, w->batch->text + ref.at, length);
    out[length] = '\0';
}

static inline bool world_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct world *w = context;
    (void)index;
    const struct event_schema *head = event_schema_of(EVENT_head), *own = event_schema_of(kind);
    world_say(w, "%s:", own->name);
    for (uint32_t i = 0; i < head->field_count; i++) world_say_field(w, &head->fields[i], event);
    for (uint32_t i = 0; i < own->field_count; i++) world_say_field(w, &own->fields[i], event);
    world_say(w, "\n");
    if (kind == EVENT_flow && w->flows < WORLD_SEEN) {
        struct seen_flow *s = &w->flow[w->flows++];
        memcpy(&s->e, event, sizeof s->e);
        world_copy(w, s->e.body.server_name, s->server_name, sizeof s->server_name);
        world_copy(w, s->e.body.community_id, s->community_id, sizeof s->community_id);
        world_copy(w, s->e.body.client_head, s->client_head, sizeof s->client_head);
        world_copy(w, s->e.body.server_head, s->server_head, sizeof s->server_head);
    } else if (kind == EVENT_onset && w->onsets < WORLD_SEEN) {
        struct seen_onset *s = &w->onset[w->onsets++];
        memcpy(&s->e, event, sizeof s->e);
        world_copy(w, s->e.body.server_name, s->server_name, sizeof s->server_name);
    } else if (kind == EVENT_flow_start && w->starts < WORLD_SEEN) {
        struct event_flow_start *s = &w->start[w->starts];
        memcpy(s, event, sizeof *s);
        world_copy(w, s->body.tcp_options, w->start_options[w->starts++], sizeof *w->start_options);
    } else if (kind == EVENT_anomaly && w->anomalies < WORLD_SEEN) {
        memcpy(&w->anomaly[w->anomalies++], event, sizeof *w->anomaly);
    }
    return true;
}

static inline void world_drink(void *context) {
    (void)context;
}

static inline bool world_is_local(void *context, const struct ip *address) {
    (void)context;
    return ip_is_v4(address) && address->bytes[12] == 10;
}

static inline const char *world_interface(void *context, uint8_t interface) {
    (void)context;
    return interface ? "en0" : "";
}

static inline struct world *world_new(const struct flow_config *config, uint32_t batch_limit, int burst,
                                      const struct protocol *protocol) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    struct error err = {.text = ""};
    w->flow = calloc(WORLD_SEEN, sizeof *w->flow);
    w->onset = calloc(WORLD_SEEN, sizeof *w->onset);
    w->start = calloc(WORLD_SEEN, sizeof *w->start);
    w->anomaly = calloc(WORLD_SEEN, sizeof *w->anomaly);
    w->burst = burst;
    w->protocols[0] = protocol;
    w->batch = batch_new(batch_limit, &err);
    assert_non_null(w->batch);
    w->wants[EVENT_flow] = w->wants[EVENT_onset] = w->wants[EVENT_flow_start] = w->wants[EVENT_anomaly] =
        true;
    w->batch->listener =
        (struct batch_listener){.context = w, .wants = w->wants, .offer = world_offer, .drink = world_drink};
    struct flow_surroundings around = {.batch = w->batch,
                                       .protocols = w->protocols,
                                       .is_local = world_is_local,
                                       .interface_name = world_interface,
                                       .context = w};
    struct flow_config usual = flow_config_defaults();
    if (!config) {
        usual.max_flows = 4096;
        usual.max_names = 256;
        config = &usual;
    }
    w->room = flow_room_new(config, &around, &err);
    if (!w->room) fail_msg("%s", err.text);
    return w;
}

static inline void world_flush(struct world *w) {
    if (w->waiting) flow_room_burst(w->room, w->packets, w->decoded, w->waiting, NULL, NULL);
    w->waiting = 0;
}

static inline void world_finish(struct world *w) {
    world_flush(w);
    flow_room_finish(w->room);
    batch_flush(w->batch);
}

static inline void world_free(struct world *w) {
    flow_room_free(w->room);
    batch_free(w->batch);
    free(w->flow);
    free(w->onset);
    free(w->start);
    free(w->anomaly);
    free(w->text);
    free(w);
}

/* Gives a packet to the room, at `at` seconds after the epoch of tests. Payloads must live until the burst is
 * flushed. */
static inline void world_packet(struct world *w, double at, const struct decoded *d) {
    w->packets[w->waiting] = (struct packet){.time = world_epoch + SECONDS(at)};
    w->decoded[w->waiting++] = *d;
    if (w->waiting == w->burst) world_flush(w);
}

static inline struct ip world_ip(const char *text) {
    struct ip ip;
    assert_int_equal(ip_parse(text, &ip), 0);
    return ip;
}

static inline struct decoded transport(uint8_t proto, const char *src, uint16_t sport, const char *dst,
                                       uint16_t dport, const void *payload, uint32_t length) {
    return (struct decoded){.kind = DECODED_TRANSPORT,
                            .proto = proto,
                            .ttl = 64,
                            .has_ports = true,
                            .src = world_ip(src),
                            .dst = world_ip(dst),
                            .src_port = sport,
                            .dst_port = dport,
                            .payload = payload,
                            .payload_captured = length,
                            .payload_length = length,
                            .wire_length = length + 54};
}

static inline struct decoded udp(const char *src, uint16_t sport, const char *dst, uint16_t dport,
                                 const char *payload) {
    return transport(17, src, sport, dst, dport, payload, (uint32_t)strlen(payload));
}

static inline struct decoded tcp(const char *src, uint16_t sport, const char *dst, uint16_t dport,
                                 uint8_t flags, uint32_t seq, uint32_t ack, const void *payload,
                                 uint32_t length) {
    struct decoded d = transport(6, src, sport, dst, dport, payload, length);
    d.tcp_flags = flags;
    d.tcp_seq = seq;
    d.tcp_ack = ack;
    d.tcp_window = 65535;
    return d;
}

static inline struct decoded echo(const char *src, const char *dst, bool request, uint16_t id,
                                  uint16_t sequence) {
    struct decoded d = transport(1, src, 0, dst, 0, "pingdata", 8);
    d.icmp_type = request ? 8 : 0;
    d.icmp_id = id;
    d.icmp_sequence = sequence;
    return d;
}

/* One TCP connection between 10.0.0.1 and 93.184.216.34, sequence numbers kept. */
struct connection {
    struct world *w;
    uint16_t client_port, server_port;
    uint32_t client_seq, server_seq;
};

static inline struct connection connection_of(struct world *w, uint16_t port) {
    return (struct connection){
        .w = w, .client_port = port, .server_port = 443, .client_seq = 1000, .server_seq = 500000};
}

static inline void from_client(struct connection *c, double at, uint8_t flags, const char *payload) {
    uint32_t length = (uint32_t)strlen(payload);
    struct decoded d = tcp("10.0.0.1", c->client_port, "93.184.216.34", c->server_port, flags, c->client_seq,
                           c->server_seq, payload, length);
    world_packet(c->w, at, &d);
    c->client_seq += length + ((flags & (TCP_SYN | TCP_FIN)) != 0);
}

static inline void from_server(struct connection *c, double at, uint8_t flags, const char *payload) {
    uint32_t length = (uint32_t)strlen(payload);
    struct decoded d = tcp("93.184.216.34", c->server_port, "10.0.0.1", c->client_port, flags, c->server_seq,
                           c->client_seq, payload, length);
    world_packet(c->w, at, &d);
    c->server_seq += length + ((flags & (TCP_SYN | TCP_FIN)) != 0);
}

static inline void handshake(struct connection *c, double at) {
    from_client(c, at, TCP_SYN, "");
    from_server(c, at + 0.02, TCP_SYN | TCP_ACK, "");
    from_client(c, at + 0.03, TCP_ACK, "");
}

/* A small generator with a seed, the same on all machines (xorshift64*, Vigna 2016). */
static inline uint32_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 2685821657736338717ULL >> 32);
}
static inline uint32_t random_below(uint64_t *state, uint32_t limit) {
    return random_next(state) % limit;
}

#endif
