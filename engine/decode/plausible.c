/* Guesses that must not go wrong: is this an IP datagram, an Ethernet frame? */
#include "decode/layers.h"

enum {
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    ETHERNET_HEADER = 14,
    ARP_OF_IPV4 = 28,
    TAGS_MOST = 4,
};

static bool looks_like_ipv4(struct rest r) {
    if (r.captured < IPV4_HEADER) return false;
    uint32_t header = (r.at[0] & 0x0fu) * 4, length = load_be16(r.at + 2);
    if (header < IPV4_HEADER || header > r.wire) return false;
    return length == 0 || (length >= header && length <= r.wire); /* 0: left to the network card */
}

static bool looks_like_ipv6(struct rest r) {
    return r.captured >= IPV6_HEADER && (uint32_t)load_be16(r.at + 4) + IPV6_HEADER <= r.wire;
}

bool looks_like_ip(struct rest r) {
    if (r.captured == 0) return false;
    if (r.at[0] >> 4 == 4) return looks_like_ipv4(r);
    return r.at[0] >> 4 == 6 && looks_like_ipv6(r);
}

/* RFC 1071 over the IPv4 header, which is all there. */
static bool sum_is_right(struct rest r) {
    uint32_t header = (r.at[0] & 0x0fu) * 4, sum = 0;
    if (header > r.captured) return false;
    for (uint32_t i = 0; i < header; i += 2) sum += load_be16(r.at + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* The EtherType behind all tags, with `r` moved to what it names; 0 if the frame ends before. */
static uint16_t frame_type(struct rest *r) {
    if (r->captured < ETHERNET_HEADER) return 0;
    uint16_t type = load_be16(r->at + 12);
    *r = rest_from(*r, ETHERNET_HEADER);
    for (int i = 0; i < TAGS_MOST && (type == 0x8100 || type == 0x88a8 || type == 0x9100); i++) {
        if (r->captured < 4) return 0;
        type = load_be16(r->at + 2);
        *r = rest_from(*r, 4);
    }
    return type;
}

bool looks_like_ethernet(struct rest r) {
    uint16_t type = frame_type(&r);
    if (type == 0x0800) return r.captured > 0 && r.at[0] >> 4 == 4 && looks_like_ipv4(r);
    if (type == 0x86dd) return r.captured > 0 && r.at[0] >> 4 == 6 && looks_like_ipv6(r);
    if (type == 0x0806) return r.wire >= ARP_OF_IPV4;
    return type >= 0x0600 || (type > 0 && type <= r.wire);
}

bool surely_ethernet(struct rest r) {
    struct rest inside = r;
    uint16_t type = frame_type(&inside);
    if (!looks_like_ethernet(r)) return false;
    if (type == 0x0806) return inside.captured >= 8 && load_be32(inside.at) == 0x00010800;
    return type == 0x86dd || (type == 0x0800 && sum_is_right(inside));
}

uint16_t mpls_payload(struct rest *r) {
    if (r->captured == 0) return LINK_UNKNOWN;
    unsigned first = r->at[0] >> 4;
    bool ip = first == 4 || first == 6;
    if (ip && looks_like_ip(*r)) return LINK_RAW;
    if (first == 0 && r->captured >= 4 && surely_ethernet(rest_from(*r, 4))) {
        *r = rest_from(*r, 4);
        return LINK_ETHERNET;
    }
    if (surely_ethernet(*r)) return LINK_ETHERNET;
    return ip ? LINK_RAW : LINK_UNKNOWN;
}
