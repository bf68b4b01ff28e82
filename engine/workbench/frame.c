/* See frame.h. Headers are written from the inside out: the transport's first, since the network's needs its
 * length. */
#include "workbench/frame.h"

enum {
    ETHERNET = 14,
    IPV4 = 20,
    IPV6 = 40,
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_LOCAL = 0x88b5
};
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58 };

static void store_be16(uint8_t *out, uint32_t value) {
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static void store_be32(uint8_t *out, uint32_t value) {
    store_be16(out, value >> 16);
    store_be16(out + 2, value & 0xffff);
}

/* The ones' complement sum of RFC 1071, to be folded at the end. */
static uint64_t sum_of(uint64_t sum, const uint8_t *bytes, size_t length) {
    for (; length > 1; bytes += 2, length -= 2) sum += load_be16(bytes);
    return length ? sum + ((uint64_t)*bytes << 8) : sum;
}

static uint16_t checksum_of(uint64_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* 02:00 and the IPv4 address; of an IPv6 address its last four bytes, in another block. Groups have the
 * addresses that go with them (RFC 1112, RFC 2464). */
static void hardware_address(uint8_t out[6], const struct ip *ip) {
    const uint8_t *v4 = ip->bytes + 12;
    bool is_v4 = ip_is_v4(ip);
    memcpy(out, is_v4 ? "\2\0" : "\2\6", 2);
    memcpy(out + 2, v4, 4);
    if (is_v4 && load_be32(v4) == 0xffffffff) memset(out, 0xff, 6);
    if (is_v4 && v4[0] >= 224 && v4[0] < 240) {
        memcpy(out, "\x01\x00\x5e", 3);
        out[3] = v4[1] & 0x7f;
    }
    if (!is_v4 && ip->bytes[0] == 0xff) memcpy(out, "\x33\x33", 2);
}

static uint32_t network_size(const struct frame_ends *ends) {
    return ip_is_v4(&ends->source) ? IPV4 : IPV6;
}

static void network_v4(uint8_t *out, const struct frame_ends *ends, uint8_t protocol, uint32_t length) {
    memset(out, 0, IPV4);
    out[0] = 0x45;
    store_be16(out + 2, IPV4 + length);
    store_be16(out + 4, ends->identification);
    out[6] = protocol == PROTOCOL_TCP ? 0x40 : 0; /* don't fragment */
    out[8] = ends->ttl;
    out[9] = protocol;
    memcpy(out + 12, ends->source.bytes + 12, 4);
    memcpy(out + 16, ends->target.bytes + 12, 4);
    store_be16(out + 10, checksum_of(sum_of(0, out, IPV4)));
}

static void network_v6(uint8_t *out, const struct frame_ends *ends, uint8_t protocol, uint32_t length) {
    memset(out, 0, 8);
    out[0] = 0x60;
    store_be16(out + 4, length);
    out[6] = protocol;
    out[7] = ends->ttl;
    memcpy(out + 8, ends->source.bytes, 16);
    memcpy(out + 24, ends->target.bytes, 16);
}

/* The sum over the pseudo-header: RFC 9293 section 3.1, RFC 8200 section 8.1. */
static uint64_t pseudo_header(const struct frame_ends *ends, uint8_t protocol, uint32_t length) {
    bool v4 = ip_is_v4(&ends->source);
    uint64_t sum = sum_of(0, ends->source.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
    return sum_of(sum, ends->target.bytes + (v4 ? 12 : 0), v4 ? 4 : 16) + protocol + length;
}

/* Where the transport's header goes, or NULL if `length` bytes of it and its payload do not fit. */
static uint8_t *transport_place(uint8_t *out, const struct frame_ends *ends, size_t length) {
    bool v4 = ip_is_v4(&ends->source);
    if (v4 != ip_is_v4(&ends->target) || length > (size_t)(v4 ? 65535 - IPV4 : 65535)) return NULL;
    return out + ETHERNET + network_size(ends);
}

static uint32_t frame_close(uint8_t *out, const struct frame_ends *ends, uint8_t protocol, uint32_t length) {
    bool v4 = ip_is_v4(&ends->source);
    hardware_address(out, &ends->target);
    hardware_address(out + 6, &ends->source);
    out[6] &= 0xfe; /* a group sends nothing */
    store_be16(out + 12, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (v4)
        network_v4(out + ETHERNET, ends, protocol, length);
    else
        network_v6(out + ETHERNET, ends, protocol, length);
    return ETHERNET + network_size(ends) + length;
}

static void put(uint8_t *out, struct slice bytes) {
    if (bytes.length) memcpy(out, bytes.at, bytes.length);
}

uint32_t frame_tcp(uint8_t *out, const struct frame_ends *ends, const struct frame_tcp *tcp,
                   struct slice payload) {
    uint32_t header = 20 + tcp->options.length, length = header + payload.length;
    if (tcp->options.length > 40 || tcp->options.length % 4) return 0;
    uint8_t *at = transport_place(out, ends, length);
    if (!at) return 0;
    store_be16(at, ends->source_port);
    store_be16(at + 2, ends->target_port);
    store_be32(at + 4, tcp->seq);
    store_be32(at + 8, tcp->ack);
    at[12] = (uint8_t)(header / 4 << 4);
    at[13] = tcp->flags;
    store_be16(at + 14, tcp->window);
    store_be32(at + 16, 0);
    put(at + 20, tcp->options);
    put(at + header, payload);
    store_be16(at + 16, checksum_of(sum_of(pseudo_header(ends, PROTOCOL_TCP, length), at, length)));
    return frame_close(out, ends, PROTOCOL_TCP, length);
}

uint32_t frame_udp(uint8_t *out, const struct frame_ends *ends, struct slice payload) {
    uint32_t length = 8 + payload.length;
    uint8_t *at = transport_place(out, ends, length);
    if (!at) return 0;
    store_be16(at, ends->source_port);
    store_be16(at + 2, ends->target_port);
    store_be16(at + 4, length);
    store_be16(at + 6, 0);
    put(at + 8, payload);
    uint16_t checksum = checksum_of(sum_of(pseudo_header(ends, PROTOCOL_UDP, length), at, length));
    store_be16(at + 6, checksum ? checksum : 0xffff); /* zero would say that there is none */
    return frame_close(out, ends, PROTOCOL_UDP, length);
}

uint32_t frame_icmp(uint8_t *out, const struct frame_ends *ends, uint8_t type, uint8_t code,
                    struct slice body) {
    uint32_t length = 4 + body.length;
    uint8_t *at = transport_place(out, ends, length);
    if (!at) return 0;
    uint8_t protocol = ip_is_v4(&ends->source) ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    at[0] = type;
    at[1] = code;
    store_be16(at + 2, 0);
    put(at + 4, body);
    uint64_t sum = protocol == PROTOCOL_ICMPV6 ? pseudo_header(ends, protocol, length) : 0;
    store_be16(at + 2, checksum_of(sum_of(sum, at, length)));
    return frame_close(out, ends, protocol, length);
}

uint32_t frame_tick(uint8_t *out) {
    memset(out, 0, 60);
    memset(out, 2, 12);
    store_be16(out + 12, ETHERTYPE_LOCAL);
    return 60;
}
