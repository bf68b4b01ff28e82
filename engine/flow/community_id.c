/* See community_id.h. SHA-1 over seed, both addresses, protocol, a zero byte and both ports, the lower
 * (address, port) first. An ICMP type that has a counterpart stands for the port of its sender and the
 * counterpart for the other's; a type without one is a one-way flow that keeps its order, with the code as
 * second port. */
#include "flow/community_id.h"

#include "base/digest.h"
#include "flow/key.h"

#include <openssl/evp.h>

#include <stdbool.h>

struct counterpart {
    uint8_t type, other;
};

/* The type's counterpart, or -1. */
static int icmp_counterpart(uint8_t proto, uint16_t type) {
    /* echo, router discovery, timestamp, information, address mask (RFC 792, 950, 1256) */
    static const struct counterpart v4[] = {{0, 8},   {8, 0},   {9, 10},  {10, 9},  {13, 14},
                                            {14, 13}, {15, 16}, {16, 15}, {17, 18}, {18, 17}};
    /* echo, listener discovery, router and neighbour discovery, node information, home agents (RFC 4443,
     * 2710, 4861, 4620, 6275) */
    static const struct counterpart v6[] = {{128, 129}, {129, 128}, {130, 131}, {131, 130},
                                            {133, 134}, {134, 133}, {135, 136}, {136, 135},
                                            {139, 140}, {140, 139}, {144, 145}, {145, 144}};
    const struct counterpart *pairs = proto == PROTO_ICMP ? v4 : v6;
    unsigned count = proto == PROTO_ICMP ? sizeof v4 / sizeof *v4 : sizeof v6 / sizeof *v6;
    for (unsigned i = 0; i < count; i++)
        if (pairs[i].type == type) return pairs[i].other;
    return -1;
}

static uint8_t *put_be16(uint8_t *out, uint16_t value) {
    *out++ = (uint8_t)(value >> 8);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_address(uint8_t *out, const struct ip *address) {
    unsigned skip = ip_is_v4(address) ? 12 : 0;
    memcpy(out, address->bytes + skip, 16 - skip);
    return out + 16 - skip;
}

static bool proto_has_ports(uint8_t proto) {
    return proto == PROTO_ICMP || proto == PROTO_ICMPV6 || proto == PROTO_TCP || proto == PROTO_UDP ||
           proto == PROTO_SCTP;
}

void community_id(uint16_t seed, uint8_t proto, const struct ip *source, uint16_t source_port,
                  const struct ip *destination, uint16_t destination_port,
                  char out[COMMUNITY_ID_LENGTH + 1]) {
    bool one_way = false;
    if (proto == PROTO_ICMP || proto == PROTO_ICMPV6) {
        int other = icmp_counterpart(proto, source_port);
        one_way = other < 0;
        if (!one_way) destination_port = (uint16_t)other;
    }
    int order = memcmp(source, destination, sizeof *source);
    if (!one_way && (order > 0 || (order == 0 && source_port > destination_port))) {
        const struct ip *address = source;
        source = destination;
        destination = address;
        uint16_t port = source_port;
        source_port = destination_port;
        destination_port = port;
    }
    uint8_t text[2 + 16 + 16 + 2 + 4];
    uint8_t *end = put_be16(text, seed);
    end = put_address(end, source);
    end = put_address(end, destination);
    *end++ = proto;
    *end++ = 0;
    if (proto_has_ports(proto)) {
        end = put_be16(end, source_port);
        end = put_be16(end, destination_port);
    }
    uint8_t digest[DIGEST_MAX_BYTES];
    size_t length = digest_bytes(DIGEST_SHA1, text, (size_t)(end - text), digest);
    out[0] = '1';
    out[1] = ':';
    EVP_EncodeBlock((unsigned char *)out + 2, digest, (int)length);
}
