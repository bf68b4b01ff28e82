/* Generic Routing Encapsulation, and what is built on it: PPTP, ERSPAN, WCCP's redirection, NVGRE. */
#include "decode/tunnel_inside.h"

enum {
    GRE_CHECKSUM = 0x8000,
    GRE_ROUTING = 0x4000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_ACKNOWLEDGE = 0x0080, /* version 1 only */
    GRE_VERSION = 0x0007,
    TYPE_ETHERNET = 0x6558,
    TYPE_PPP = 0x880b,
    TYPE_ERSPAN = 0x88be,
    TYPE_ERSPAN_3 = 0x22eb,
    TYPE_WCCP = 0x883e,
    TYPE_METADATA = 0x8909,
    SOURCE_ROUTES_MOST = 16,
};

/* Moves `r` on by `n` bytes, or to its end and returns false. */
static bool skip(struct rest *r, uint32_t n) {
    bool enough = r->captured >= n;
    *r = rest_from(*r, enough ? n : r->captured);
    return enough;
}

/* RFC 1701: source route entries of family, offset, length; the last one has neither family nor length. */
static bool skip_routes(struct rest *r) {
    for (int i = 0; i < SOURCE_ROUTES_MOST && r->captured >= 4; i++) {
        uint16_t family = load_be16(r->at);
        uint8_t length = r->at[3];
        if (!skip(r, 4u + length)) return false;
        if (family == 0 && length == 0) return true;
    }
    return false;
}

/* Type I has no header of its own and no sequence number, type II a header of 8 bytes, III one of 12 and
 * maybe 8 more. A session is ten bits. */
static void erspan(uint16_t type, bool sequence, struct rest r, struct inside *out) {
    out->kind = TUNNEL_ERSPAN;
    if (type == TYPE_ERSPAN && !sequence) {
        inside_ethertype(TYPE_ETHERNET, r, out);
        return;
    }
    if (r.captured < 8) return;
    unsigned version = r.at[0] >> 4;
    out->id = out->shared_id = load_be16(r.at + 2) & 0x03ff;
    if (type == TYPE_ERSPAN && version == 1) {
        inside_ethertype(TYPE_ETHERNET, rest_from(r, 8), out);
    } else if (type == TYPE_ERSPAN_3 && version == 2 && r.captured >= 12) {
        unsigned frame = r.at[10] >> 2 & 0x1f;
        bool more = r.at[11] & 1;
        skip(&r, more ? 20 : 12);
        if (frame == 0) inside_ethertype(TYPE_ETHERNET, r, out);
        if (frame == 2) inside_ethertype(0x0800, r, out);
    }
}

/* Version 2 of WCCP puts four bytes before the IP header, version 1 none. */
static void wccp(struct rest r, struct inside *out) {
    out->kind = TUNNEL_WCCP;
    if (!looks_like_ip(r) && !skip(&r, 4)) return;
    if (looks_like_ip(r)) inside_ethertype(0x0800, r, out);
}

/* Cisco's security group tag, as its routers put it into GRE: the EtherType of what follows, version and
 * length 1, then the tag. */
static void metadata(struct rest r, struct inside *out) {
    if (r.captured >= 8 && load_be16(r.at + 2) == 0x0101)
        inside_ethertype(load_be16(r.at), rest_from(r, 8), out);
}

static void gre_plain(uint16_t flags, struct rest r, struct decoded *outer, struct inside *out) {
    uint16_t type = load_be16(r.at + 2);
    bool whole = skip(&r, 4);
    if (flags & (GRE_CHECKSUM | GRE_ROUTING)) whole = skip(&r, 4) && whole;
    if (flags & GRE_KEY) {
        if (r.captured >= 4) out->id = out->shared_id = load_be32(r.at);
        whole = skip(&r, 4) && whole;
    }
    if (flags & GRE_SEQUENCE) whole = skip(&r, 4) && whole;
    if (flags & GRE_ROUTING) whole = skip_routes(&r) && whole;
    if (!whole) {
        if (outer->payload_captured == outer->payload_length) note_anomaly(outer, "tunnel", "short_header");
        return;
    }
    /* NVGRE's key is a network number and a byte of the flow's hash, which differs between directions. */
    if (type == TYPE_ETHERNET && (flags & (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)) == GRE_KEY)
        out->shared_id = out->id >> 8;
    if (type == TYPE_ERSPAN || type == TYPE_ERSPAN_3)
        erspan(type, flags & GRE_SEQUENCE, r, out);
    else if (type == TYPE_WCCP)
        wccp(r, out);
    else if (type == TYPE_METADATA)
        metadata(r, out);
    else
        inside_ethertype(type, r, out);
}

/* RFC 2637 section 4.1: the key is the payload's length and the receiver's call id. */
static void gre_pptp(uint16_t flags, struct rest r, struct inside *out) {
    if (load_be16(r.at + 2) != TYPE_PPP || !(flags & GRE_KEY) || r.captured < 8) return;
    uint32_t length = load_be16(r.at + 4);
    out->kind = TUNNEL_PPTP;
    if (!skip(&r, 8u + (flags & GRE_SEQUENCE ? 4 : 0) + (flags & GRE_ACKNOWLEDGE ? 4 : 0))) return;
    if (length < r.wire) r.wire = length;
    if (r.captured > r.wire) r.captured = r.wire;
    inside_ppp(r, out);
}

void tunnel_gre(struct rest r, struct decoded *outer, struct inside *out) {
    if (lacks_header(r, 4, outer, "tunnel")) return;
    uint16_t flags = load_be16(r.at);
    if ((flags & GRE_VERSION) == 1) {
        gre_pptp(flags, r, out);
    } else if ((flags & GRE_VERSION) == 0) {
        out->kind = TUNNEL_GRE;
        gre_plain(flags, r, outer, out);
    }
}
