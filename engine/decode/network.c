/* IPv4 and IPv6: addresses, the datagram's own length against the frame's, fragments, extension headers. */
#include "decode/layers.h"

enum {
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    NEXT_HOP_BY_HOP = 0,
    NEXT_ROUTING = 43,
    NEXT_FRAGMENT = 44,
    NEXT_AUTHENTICATION = 51,
    NEXT_DESTINATION = 60,
    EXTENSIONS_MOST = 16, /* more than any sane packet: a chain is walked by the receiver, at its cost */
};

/* Cuts the rest down to a datagram of `length` bytes, so that padding of the frame is no payload. One that
 * claims to be longer than its frame ends with the frame: a receiver drops it, and the sequence numbers
 * around such packets in real captures side with the frame. */
static struct rest datagram_of(struct rest r, uint32_t length, struct decoded *out, const char *protocol) {
    if (length > r.captured) out->truncated = true;
    if (length > r.wire) {
        note_anomaly(out, protocol, "length_beyond_frame");
        return r;
    }
    return (struct rest){r.at, r.captured < length ? r.captured : length, length};
}

/* A fragment but the first has no transport header: its data is all there is to say. */
static void later_fragment(uint8_t next, struct rest r, struct decoded *out) {
    out->kind = DECODED_TRANSPORT;
    out->proto = next;
    out->payload = out->ip_payload = r.at;
    out->payload_captured = out->ip_payload_captured = r.captured;
    out->payload_length = out->ip_payload_length = r.wire;
}

void decode_ipv4(struct rest r, struct decoded *out) {
    if (__builtin_expect(lacks_header(r, IPV4_HEADER, out, "ip"), 0)) return;
    const uint8_t *h = r.at;
    if (__builtin_expect(h[0] >> 4 != 4, 0)) {
        note_anomaly(out, "ip", "bad_version");
        return;
    }
    uint32_t header = (h[0] & 0x0fu) * 4, length = load_be16(h + 2);
    if (header < IPV4_HEADER || header > r.wire) {
        note_anomaly(out, "ip", "bad_header_length");
        return;
    }
    if (length == 0) length = r.wire; /* segmentation was left to the network card */
    if (length < header) {
        note_anomaly(out, "ip", "bad_total_length");
        return;
    }
    ip_from_v4(&out->src, h + 12);
    ip_from_v4(&out->dst, h + 16);
    out->dscp_ecn = h[1];
    out->ip_id = load_be16(h + 4);
    out->ttl = h[8];
    uint16_t fragment = load_be16(h + 6);
    out->dont_fragment = fragment & 0x4000;
    out->ip_reserved = fragment & 0x8000;
    out->ip_options_length = (uint16_t)(header - IPV4_HEADER);

    r = datagram_of(r, length, out, "ip");
    if (header > r.captured) { /* the capture ends among the options */
        out->kind = DECODED_TRANSPORT;
        out->proto = h[9];
        out->truncated = true;
        out->payload_length = out->ip_payload_length = r.wire - header;
        return;
    }
    r = rest_from(r, header);
    if (__builtin_expect((fragment & 0x3fff) == 0, 1)) {
        if (h[9] == NEXT_AUTHENTICATION)
            decode_ip_payload(h[9], r, out);
        else
            decode_transport(h[9], r, out);
        return;
    }
    out->fragment = true;
    out->more_fragments = fragment & 0x2000;
    out->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
    out->fragment_id = out->ip_id;
    out->fragment_protocol = h[9];
    if (out->fragment_offset == 0)
        decode_transport(h[9], r, out);
    else
        later_fragment(h[9], r, out);
}

void decode_ipv6(struct rest r, struct decoded *out) {
    if (__builtin_expect(lacks_header(r, IPV6_HEADER, out, "ipv6"), 0)) return;
    const uint8_t *h = r.at;
    if (__builtin_expect(h[0] >> 4 != 6, 0)) {
        note_anomaly(out, "ipv6", "bad_version");
        return;
    }
    memcpy(out->src.bytes, h + 8, 16);
    memcpy(out->dst.bytes, h + 24, 16);
    out->dscp_ecn = (uint8_t)(load_be16(h) >> 4);
    out->flow_label = load_be32(h) & 0xfffff;
    out->ttl = h[7];
    uint32_t length = load_be16(h + 4);
    uint8_t next = h[6];
    r = rest_from(r, IPV6_HEADER);
    /* 0: a jumbogram (RFC 2675), or segmentation was left to the network card. */
    if (length == 0 && next != 59) length = r.wire;
    decode_ip_payload(next, datagram_of(r, length, out, "ipv6"), out);
}

void decode_ip(struct rest r, struct decoded *out) {
    if (lacks_header(r, 1, out, "ip")) return;
    if (r.at[0] >> 4 == 6)
        decode_ipv6(r, out);
    else
        decode_ipv4(r, out);
}

/* RFC 8200 section 4.5. A fragment that is the whole datagram is none (RFC 6946). */
static void note_fragment(const uint8_t *h, struct decoded *out) {
    uint16_t field = load_be16(h + 2);
    if ((field & 0xfff9) == 0) return;
    out->fragment = true;
    out->more_fragments = field & 1;
    out->fragment_offset = field & 0xfff8;
    out->fragment_id = load_be32(h + 4);
    out->fragment_protocol = h[0];
}

/* The chain of extension headers cannot be followed to its end: we know of the datagram, not of its
 * transport. */
static void broken_chain(uint8_t next, struct rest r, struct decoded *out) {
    later_fragment(next, r, out);
    out->payload_captured = 0;
}

static bool is_extension(uint8_t next) {
    return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT ||
           next == NEXT_DESTINATION || next == NEXT_AUTHENTICATION;
}

/* Length of the extension header at r.at, of which 8 bytes are there. */
static uint32_t extension_length(uint8_t kind, struct rest r) {
    if (kind == NEXT_FRAGMENT) return 8;
    if (kind == NEXT_AUTHENTICATION) return (r.at[1] + 2u) * 4; /* RFC 4302 section 2.2 */
    return (r.at[1] + 1u) * 8;
}

/* What a fragment contributes to its datagram begins right behind the fragment header, with what may be more
 * extension headers. */
static void set_fragment_data(struct rest data, struct decoded *out) {
    out->ip_payload = data.at;
    out->ip_payload_captured = data.captured;
    out->ip_payload_length = data.wire;
}

void decode_ip_payload(uint8_t next, struct rest r, struct decoded *out) {
    struct rest fragment = {0};
    int walked = 0;
    const char *protocol = ip_is_v4(&out->src) ? "ip" : "ipv6"; /* IPv4 may carry an authentication header */
    for (; is_extension(next) && walked < EXTENSIONS_MOST; walked++) {
        if (lacks_header(r, 8, out, protocol)) break;
        uint32_t length = extension_length(next, r);
        if (lacks_header(r, length, out, protocol)) break;
        out->ip_options_length = (uint16_t)(out->ip_options_length + length);
        if (next == NEXT_FRAGMENT) {
            if (fragment.at) {
                note_anomaly(out, protocol, "nested_fragments");
                break;
            }
            note_fragment(r.at, out);
            fragment = rest_from(r, length);
        }
        next = r.at[0];
        r = rest_from(r, length);
        if (fragment.at && out->fragment && out->fragment_offset > 0) {
            later_fragment(next, r, out);
            return;
        }
    }
    if (walked == EXTENSIONS_MOST && is_extension(next))
        note_anomaly(out, protocol, "too_many_extension_headers");
    if (is_extension(next))
        broken_chain(next, r, out);
    else
        decode_transport(next, r, out);
    if (fragment.at && out->fragment) set_fragment_data(fragment, out);
}
