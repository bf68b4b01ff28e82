/* Who is the client of a flow, by the first packet that was seen of it.
 *
 * 1. Nobody answers from a multicast or broadcast address: it is the server's.
 * 2. TCP says so: a SYN comes from the client, a SYN-ACK goes to it. So does an ICMP echo.
 * 3. The port rule: the better known of two ports is the server's. A port below 1024 is better known than the
 * few above that services are known by, and those are better known than the rest.
 * 4. Else who was seen first is the client. */
#include "flow/room.h"

static bool is_multicast(const struct ip *a) {
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (!ip_is_v4(a)) return a->bytes[0] == 0xff;
    return (a->bytes[12] & 0xf0) == 0xe0 || memcmp(a->bytes + 12, broadcast, 4) == 0;
}

/* How well known a port is as a server's. */
static int port_rank(uint16_t port) {
    static const uint16_t services[] = {
        1080, 1194, 1433, 1521, 1723, 1883, 1900, 2049, 2195, 2196,  2197,  3128,  3268,  3283,
        3306, 3389, 3478, 3689, 4500, 5060, 5061, 5222, 5223, 5228,  5269,  5353,  5355,  5432,
        5672, 5900, 5985, 5986, 6379, 6443, 6667, 6697, 7000, 7680,  8000,  8008,  8009,  8080,
        8081, 8088, 8443, 8883, 8888, 9000, 9090, 9200, 9418, 11211, 27017, 32400, 51820,
    };
    if (port == 0) return 0;
    if (port < 1024) return 2;
    for (unsigned i = 0; i < sizeof services / sizeof *services; i++)
        if (services[i] == port) return 1;
    return 0;
}

bool roles_sender_is_client(const struct decoded *d) {
    if (is_multicast(&d->dst)) return true;
    if (is_multicast(&d->src)) return false;
    if (d->proto == PROTO_ICMP || d->proto == PROTO_ICMPV6) return !icmp_is_echo_reply(d);
    if (d->proto == PROTO_TCP && d->has_ports && (d->tcp_flags & TCP_SYN)) return !(d->tcp_flags & TCP_ACK);
    int source = port_rank(d->src_port), destination = port_rank(d->dst_port);
    return source <= destination;
}
