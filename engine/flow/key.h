/* What makes packets one flow: both addresses, both ports, protocol, VLAN and interface, in an order that
 * does not depend on who sends. The lower (address, port) is side 0, the higher side 1. */
#ifndef LUNETTE_FLOW_KEY_H
#define LUNETTE_FLOW_KEY_H

#include "capture/packet.h"
#include "decode/decode.h"

#include <stdint.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58, PROTO_SCTP = 132 };
enum { ICMP_ECHO_REPLY = 0, ICMP_ECHO_REQUEST = 8, ICMPV6_ECHO_REQUEST = 128, ICMPV6_ECHO_REPLY = 129 };

/* 40 bytes without padding: hashed and compared whole. Ports in host order. An ICMP echo has its id in
 * port[0] and 1 in port[1], so that request and reply meet and two programs that ping do not; all other ICMP
 * between two hosts is one flow. A `vlan` of 4096 and more is a tunnel's number, of which flow/tunnels.h
 * knows the VLAN inside. */
struct flow_key {
    struct ip address[2];
    uint16_t port[2];
    uint16_t vlan;
    uint8_t proto;
    uint8_t interface;
};
_Static_assert(sizeof(struct flow_key) == 40, "the key is hashed as bytes: no padding");

/* Fills the key and returns the side (0 or 1) that sent the packet. */
unsigned flow_key_of(const struct packet *packet, const struct decoded *decoded, struct flow_key *key);

uint64_t flow_key_hash(const struct flow_key *key, uint64_t seed);

static inline bool flow_key_equals(const struct flow_key *a, const struct flow_key *b) {
    uint64_t x[5], y[5];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

bool icmp_is_echo(const struct decoded *decoded);
bool icmp_is_echo_reply(const struct decoded *decoded);
static inline uint8_t icmp_request_of(uint8_t proto) {
    return proto == PROTO_ICMP ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST;
}

#endif
