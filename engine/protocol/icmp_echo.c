/* Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443 section 4).
 *
 * What makes an echo is in the ICMP header, which the decoder has read already; the payload is the data that
 * a ping fills with a pattern and a tunnel with its freight. The hash tells whether a reply gives back what
 * was sent. */
#include "protocol/protocols.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PROTO_ICMP = 1, PROTO_ICMPV6 = 58 };
enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, ECHO_REQUEST_V6 = 128, ECHO_REPLY_V6 = 129 };
enum { SHOWN_MAX = 64 };

static bool is_request(const struct decoded *packet) {
    return packet->proto == PROTO_ICMP ? packet->icmp_type == ECHO_REQUEST
                                       : packet->icmp_type == ECHO_REQUEST_V6;
}

static bool is_reply(const struct decoded *packet) {
    return packet->proto == PROTO_ICMP ? packet->icmp_type == ECHO_REPLY : packet->icmp_type == ECHO_REPLY_V6;
}

/* The data of an echo may be anything; which ICMP messages are echoes is seen with each packet. */
static enum recognised icmp_echo_recognise(const struct probe *probe) {
    (void)probe;
    return RECOGNISED_YES;
}

static void icmp_echo_datagram(struct conversation *c, enum direction direction, struct slice payload,
                               uint32_t original) {
    (void)direction;
    const struct decoded *packet = c->packet;
    if (!packet || !packet->has_ports || (!is_request(packet) && !is_reply(packet))) return;
    struct event_icmp_echo *event = conversation_event(c, EVENT_icmp_echo);
    if (!event) return;
    event->body.request = is_request(packet);
    event->body.id = packet->icmp_id;
    event->body.sequence = packet->icmp_sequence;
    event->body.ttl = packet->ttl;
    event->body.payload_length = original;
    event->body.payload_hash = XXH3_64bits(payload.at, payload.length);
    uint32_t shown = payload.length < SHOWN_MAX ? payload.length : SHOWN_MAX;
    event->body.payload = batch_text(conversation_batch(c), payload.at, shown);
    batch_commit(conversation_batch(c));
}

const struct protocol protocol_icmp_echo = {
    .name = "icmp_echo",
    .transports = TRANSPORT_ICMP | TRANSPORT_ICMPV6,
    .recognise = icmp_echo_recognise,
    .datagram = icmp_echo_datagram,
};
