/* How the layers of decoding hand a packet on, from link.c to network.c to transport.c. Private to this room.
 */
#ifndef LUNETTE_DECODE_LAYERS_H
#define LUNETTE_DECODE_LAYERS_H

#include "base/bytes.h"
#include "decode/decode.h"

/* The packet from some layer's first byte on. */
struct rest {
    const uint8_t *at;
    uint32_t captured;
    uint32_t
        wire; /* bytes that were on the wire, as far as the outer layers know; never less than captured */
};

/* Requires n <= captured. */
static inline struct rest rest_from(struct rest r, uint32_t n) {
    return (struct rest){r.at + n, r.captured - n, r.wire - n};
}

/* Notes the first oddity of a packet. Both names are static. */
static inline void note_anomaly(struct decoded *out, const char *protocol, const char *name) {
    if (out->anomaly) return;
    out->anomaly = name;
    out->anomaly_protocol = protocol;
}

/* A header that needs `n` bytes is not all there. It is an oddity unless the capture, not the sender, cut it.
 */
static inline bool lacks_header(struct rest r, uint32_t n, struct decoded *out, const char *protocol) {
    if (r.captured >= n) return false;
    if (r.wire < n)
        note_anomaly(out, protocol, "short_header");
    else
        out->truncated = true;
    return true;
}

/* LINKTYPE_ numbers that come up in more than one file. */
enum { LINK_ETHERNET = 1, LINK_RAW = 101 };

/* Could this be an IP datagram, an Ethernet frame? For where a wrong guess would be believed: all lengths
 * must fit what is around them. A sure frame carries IP or ARP, its IPv4 header with the right sum. */
bool looks_like_ip(struct rest r);
bool looks_like_ethernet(struct rest r);
bool surely_ethernet(struct rest r);

/* Behind RFC 3032's last label nothing says what follows. IP by its first four bits; else an Ethernet
 * pseudowire with a control word or without (RFC 4448), if that is sure. Moves `r` to it and returns its
 * link type, or LINK_UNKNOWN. */
#define LINK_UNKNOWN UINT16_MAX
uint16_t mpls_payload(struct rest *r);

void decode_link(uint16_t link_type, struct rest r, struct decoded *out);

/* IPv4 or IPv6, by the version in the first byte. */
void decode_ip(struct rest r, struct decoded *out);
void decode_ipv4(struct rest r, struct decoded *out);
void decode_ipv6(struct rest r, struct decoded *out);

/* The payload of an IP datagram (or of one put together from fragments) that begins with header `next`: walks
 * extension headers, then reads the transport. r.wire is what the IP header says. */
void decode_ip_payload(uint8_t next, struct rest r, struct decoded *out);

/* Notes the IP payload and reads the transport header in it. */
void decode_transport(uint8_t proto, struct rest r, struct decoded *out);

#endif
