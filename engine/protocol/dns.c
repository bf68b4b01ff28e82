/* DNS over UDP and TCP (RFC 1035, RFC 7766), on whatever port it is found.
 *
 * A datagram is a message; a TCP stream is a row of messages, each behind its length. A small table in the
 * flow's state remembers when questions were asked, so that an answer can tell how long it took. Multicast
 * DNS, LLMNR and NetBIOS names look much alike but are other protocols with other rules: flows on their ports
 * are refused. */
#include "protocol/dns_message.h"
#include "base/seed.h"
#include "protocol/protocols.h"
#include "protocol/proxy_config.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PORT_DNS = 53, PORT_NETBIOS = 137, PORT_MDNS = 5353, PORT_LLMNR = 5355 };

/* Questions whose answer is still out. One socket of a stub resolver rarely has more than a few; when there
 * are more, the oldest is forgotten and its answer has no round trip time. */
enum { ASKED_MAX = 16 };

struct asked {
    uint64_t key; /* of id, type and name; 0: free */
    nanoseconds time;
};

struct dns_state {
    struct asked asked[ASKED_MAX];
    uint32_t next_asked;
    uint32_t message_length[2]; /* TCP: of the message that is coming, 0 while its length is awaited */
};

static bool other_protocols_port(uint16_t port) {
    return port == PORT_MDNS || port == PORT_LLMNR || port == PORT_NETBIOS;
}

static enum recognised recognise_message(const struct probe *probe, const struct dns_message *message) {
    bool usual_port = probe->client_port == PORT_DNS || probe->server_port == PORT_DNS;
    if (!usual_port && (other_protocols_port(probe->client_port) || other_protocols_port(probe->server_port)))
        return RECOGNISED_NO;
    return dns_message_recognise(message, usual_port);
}

static enum recognised dns_recognise(const struct probe *probe) {
    struct dns_message message = {probe->data, probe->length, probe->original};
    if (probe->transport == TRANSPORT_UDP) {
        enum recognised recognised = recognise_message(probe, &message);
        bool usual_port = probe->client_port == PORT_DNS || probe->server_port == PORT_DNS;
        /* A datagram that the capture cut within its question will not grow. */
        bool enough = usual_port && message.length >= DNS_HEADER_SIZE;
        return recognised == RECOGNISED_MAYBE && enough ? RECOGNISED_YES : recognised;
    }
    if (probe->length < 2) return RECOGNISED_MAYBE;
    message.bytes += 2;
    message.original = load_be16(probe->data);
    message.length = probe->length - 2;
    if (message.length > message.original) message.length = message.original;
    return recognise_message(probe, &message);
}

static uint64_t question_key(uint16_t id, const struct dns_question *question) {
    uint64_t seed = process_seed() ^ ((uint64_t)id << 16 | question->type);
    uint64_t key = XXH3_64bits_withSeed(question->name.text, question->name.length, seed);
    return key ? key : 1;
}

/* A question that is sent again keeps its first time: the user has waited since then. */
static void note_question(struct dns_state *state, uint64_t key, nanoseconds now) {
    for (uint32_t i = 0; i < ASKED_MAX; i++)
        if (state->asked[i].key == key) return;
    state->asked[state->next_asked] = (struct asked){key, now};
    state->next_asked = (state->next_asked + 1) % ASKED_MAX;
}

static double answer_time(struct dns_state *state, uint64_t key, nanoseconds now) {
    for (uint32_t i = 0; i < ASKED_MAX; i++) {
        if (state->asked[i].key != key) continue;
        nanoseconds waited = now - state->asked[i].time;
        state->asked[i].key = 0;
        return waited > 0 ? ns_to_seconds(waited) : 0;
    }
    return 0;
}

/* The client is who gets the packet that carries the answer. */
static const struct ip *learner_of(const struct conversation *c, enum direction direction) {
    return direction == TO_CLIENT && c->packet ? &c->packet->dst : NULL;
}

/* More than one question is allowed by the letter and asked by nobody: the first is told, the others are
 * passed over. */
static void skip_questions(struct dns_reading *reading) {
    struct dns_question unused;
    for (uint32_t i = 1; i < reading->header.questions; i++)
        if (dns_question_read(&reading->message, &reading->offset, &unused) != DNS_NAME_OK) return;
}

static void read_message(struct conversation *c, enum direction direction,
                         const struct dns_message *message) {
    struct dns_reading reading = {.message = *message, .offset = DNS_HEADER_SIZE};
    if (!dns_header_read(message, &reading.header)) {
        if (message->original < DNS_HEADER_SIZE) conversation_anomaly(c, "short_header");
        return;
    }
    struct dns_question question;
    if (reading.header.questions) {
        enum dns_name_status status = dns_question_read(message, &reading.offset, &question);
        bool cut_by_capture = status == DNS_NAME_SHORT && message->length < message->original;
        if (status != DNS_NAME_OK && !cut_by_capture) {
            conversation_anomaly(c, dns_name_anomaly(status));
            return;
        }
        if (status == DNS_NAME_OK) reading.question = &question;
    }
    if (reading.header.questions > 1) {
        conversation_anomaly(c, "several_questions");
        skip_questions(&reading);
    }
    if (reading.question) {
        struct dns_state *state = c->state;
        uint64_t key = question_key(reading.header.id, &question);
        if (reading.header.flags & DNS_RESPONSE) {
            reading.rtt = answer_time(state, key, c->time);
        } else {
            struct slice name = {(const uint8_t *)question.name.text, question.name.length};
            note_question(state, key, c->time);
            proxy_config_asked(c, name, question.type);
        }
    }
    dns_message_report(c, &reading, learner_of(c, direction));
}

static void dns_datagram(struct conversation *c, enum direction direction, struct slice payload,
                         uint32_t original) {
    read_message(c, direction, &(struct dns_message){payload.at, payload.length, original});
}

/* The length is taken as soon as it is there, so that the longest message, 65,535 bytes, fits what a stream
 * keeps. */
static int64_t dns_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct dns_state *state = c->state;
    uint32_t *awaited = &state->message_length[direction];
    uint32_t at = 0;
    for (;;) {
        if (*awaited == 0) {
            if (length - at < 2) return at;
            *awaited = load_be16(data + at);
            at += 2;
            if (*awaited == 0) conversation_anomaly(c, "short_header");
            continue;
        }
        if (length - at < *awaited) return at;
        read_message(c, direction, &(struct dns_message){data + at, *awaited, *awaited});
        at += *awaited;
        *awaited = 0;
    }
}

const struct protocol protocol_dns = {
    .name = "dns",
    .transports = TRANSPORT_TCP | TRANSPORT_UDP,
    .state_size = sizeof(struct dns_state),
    .recognise = dns_recognise,
    .stream = dns_stream,
    .datagram = dns_datagram,
};
