/* See key.h. The hash is XXH3 with a seed of the process: nobody outside can aim packets at one bucket. */
#include "flow/key.h"

#include "base/bytes.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static int address_compare(const struct ip *a, const struct ip *b) {
    uint64_t x = load_be64(a->bytes), y = load_be64(b->bytes);
    if (x == y) {
        x = load_be64(a->bytes + 8);
        y = load_be64(b->bytes + 8);
    }
    return x < y ? -1 : x > y;
}

static bool is_icmp(uint8_t proto) {
    return proto == PROTO_ICMP || proto == PROTO_ICMPV6;
}

bool icmp_is_echo_reply(const struct decoded *d) {
    return d->has_ports && ((d->proto == PROTO_ICMP && d->icmp_type == ICMP_ECHO_REPLY) ||
                            (d->proto == PROTO_ICMPV6 && d->icmp_type == ICMPV6_ECHO_REPLY));
}

bool icmp_is_echo(const struct decoded *d) {
    return icmp_is_echo_reply(d) ||
           (d->has_ports && ((d->proto == PROTO_ICMP && d->icmp_type == ICMP_ECHO_REQUEST) ||
                             (d->proto == PROTO_ICMPV6 && d->icmp_type == ICMPV6_ECHO_REQUEST)));
}

unsigned flow_key_of(const struct packet *packet, const struct decoded *d, struct flow_key *key) {
    int order = address_compare(&d->src, &d->dst);
    bool icmp = is_icmp(d->proto);
    if (order == 0) {
        if (icmp)
            order = icmp_is_echo_reply(d) ? 1 : -1;
        else
            order = d->src_port <= d->dst_port ? -1 : 1;
    }
    unsigned sender = order > 0;
    key->address[sender] = d->src;
    key->address[!sender] = d->dst;
    if (!icmp) {
        key->port[sender] = d->src_port;
        key->port[!sender] = d->dst_port;
    } else {
        bool echo = icmp_is_echo(d);
        key->port[0] = echo ? d->icmp_id : 0;
        key->port[1] = echo;
    }
    key->vlan = d->vlan;
    key->proto = d->proto;
    key->interface = packet->interface;
    return sender;
}

uint64_t flow_key_hash(const struct flow_key *key, uint64_t seed) {
    return XXH3_64bits_withSeed(key, sizeof *key, seed);
}
