/* Tunnels over UDP: VXLAN, GENEVE, GTP-U, Teredo, L2TP, MPLS. Each reader leaves the kind TUNNEL_NONE unless
 * header and content agree: these ports are used for other things too. */
#include "decode/tunnel_inside.h"

enum {
    GTP_ECHO_REQUEST = 1,
    GTP_ECHO_RESPONSE = 2,
    GTP_ERROR_INDICATION = 26,
    GTP_EXTENSION_HEADERS = 31,
    GTP_END_MARKER = 254,
    GTP_PDU = 255,
    GTP_EXTENSIONS_MOST = 8,
    L2TP_CONTROL = 0x8000,
    L2TP_LENGTH = 0x4000,
    L2TP_SEQUENCE = 0x0800,
    L2TP_OFFSET = 0x0200,
    L2TP_RESERVED = 0x34f0,
    L2TP_VERSION = 0x000f,
};

static bool found(uint16_t link_type, struct rest r, enum tunnel_kind kind, struct inside *out) {
    bool fits = link_type == LINK_RAW ? looks_like_ip(r) : looks_like_ethernet(r);
    if (!fits) return false;
    out->packet = r;
    out->link_type = link_type;
    out->kind = (uint8_t)kind;
    return true;
}

/* The next protocol of VXLAN-GPE and of NSH, which number them alike. */
static void by_next(uint8_t next, struct rest r, struct inside *out) {
    if (next == 1 || next == 2) found(LINK_RAW, r, TUNNEL_VXLAN, out);
    if (next == 3) found(LINK_ETHERNET, r, TUNNEL_VXLAN, out);
    if (next == 5) {
        inside_mpls(r, out);
        if (out->link_type != LINK_UNKNOWN) out->kind = TUNNEL_VXLAN;
    }
}

/* RFC 8300: length in words in the low bits of byte 1, next protocol in byte 3. */
static void nsh(struct rest r, struct inside *out) {
    if (r.captured < 8) return;
    uint32_t length = (r.at[1] & 0x3fu) * 4;
    if (r.at[0] >> 6 != 0 || length < 8 || length > r.captured) return;
    by_next(r.at[3], rest_from(r, length), out);
}

/* RFC 7348: flag I, a network number, and nothing but zeros. Group policy, which some switches set, has flag
 * G, two bits and a number where zeros were. GPE: flag P, and the next protocol in byte 3. */
static void vxlan(struct rest r, bool gpe, struct inside *out) {
    if (r.captured < 8 || !(r.at[0] & 0x08) || r.at[7] != 0) return;
    uint8_t flags = r.at[0], next = r.at[3];
    out->id = out->shared_id = load_be24(r.at + 4);
    bool policy = (flags & 0x80) != 0;
    struct rest inside = rest_from(r, 8);
    if (gpe && (flags & 0x04) && (flags & 0xc2) == 0 && r.at[1] == 0 && r.at[2] == 0) {
        if (next == 4)
            nsh(inside, out);
        else
            by_next(next, inside, out);
    } else if ((flags & 0x77) == 0 && (policy || (load_be24(r.at + 1) == 0))) {
        found(LINK_ETHERNET, inside, TUNNEL_VXLAN, out);
    }
}

/* RFC 8926 section 3.4 */
static void geneve(struct rest r, struct inside *out) {
    if (r.captured < 8 || r.at[0] >> 6 != 0 || (r.at[1] & 0x3f) != 0 || r.at[7] != 0) return;
    uint32_t header = 8 + (r.at[0] & 0x3fu) * 4;
    uint16_t type = load_be16(r.at + 2);
    out->id = out->shared_id = load_be24(r.at + 4);
    if (header > r.captured) return;
    r = rest_from(r, header);
    if (type == 0x6558) found(LINK_ETHERNET, r, TUNNEL_GENEVE, out);
    if (type == 0x0800 || type == 0x86dd) found(LINK_RAW, r, TUNNEL_GENEVE, out);
}

/* TS 29.281 section 5.1: version 1, protocol type 1, a spare zero. Which protocol a user's packet is, nothing
 * says. */
static void gtp(struct rest r, struct inside *out) {
    if (r.captured < 8 || (r.at[0] & 0xf8) != 0x30) return;
    uint8_t type = r.at[1], flags = r.at[0] & 0x07;
    uint32_t length = load_be16(r.at + 2), header = flags ? 12 : 8;
    if (length + 8 > r.wire && length != 0) return;
    if (type != GTP_PDU) {
        bool known = type == GTP_ECHO_REQUEST || type == GTP_ECHO_RESPONSE || type == GTP_ERROR_INDICATION ||
                     type == GTP_EXTENSION_HEADERS || type == GTP_END_MARKER;
        if (known && length + 8 == r.wire) out->kind = TUNNEL_GTP;
        return;
    }
    if (r.captured < header) return;
    uint8_t next = flags & 0x04 ? r.at[11] : 0;
    if (length) {
        r.wire = length + 8;
        if (r.captured > r.wire) r.captured = r.wire;
    }
    if (r.captured < header) return;
    r = rest_from(r, header);
    for (int i = 0; next != 0; i++) { /* extension headers: words, content, the next one's type */
        if (i == GTP_EXTENSIONS_MOST || r.captured < 4) return;
        uint32_t size = r.at[0] * 4u;
        if (size == 0 || size > r.captured) return;
        next = r.at[size - 1];
        r = rest_from(r, size);
    }
    if (!found(LINK_RAW, r, TUNNEL_GTP, out) && surely_ethernet(r)) found(LINK_ETHERNET, r, TUNNEL_GTP, out);
}

static bool is_teredo(const uint8_t *address) {
    return load_be32(address) == 0x20010000;
}

/* RFC 4380 section 5.1.1: an authentication, an origin indication, both or none, then IPv6. Trailers (RFC
 * 6081) may follow. */
static void teredo(struct rest r, struct inside *out) {
    if (r.captured >= 4 && load_be16(r.at) == 0x0001) {
        uint32_t length = 4u + r.at[2] + r.at[3] + 9;
        if (length > r.captured) return;
        r = rest_from(r, length);
    }
    if (r.captured >= 8 && load_be16(r.at) == 0x0000) r = rest_from(r, 8);
    if (r.captured < 40 || r.at[0] >> 4 != 6) return;
    bool link_local = r.at[8] == 0xfe && (r.at[9] & 0xc0) == 0x80;
    if (!link_local && !is_teredo(r.at + 8) && !is_teredo(r.at + 24)) return;
    out->any_way = !link_local;
    found(LINK_RAW, r, TUNNEL_TEREDO, out);
}

/* RFC 3931: behind the session's number come a cookie of 0, 4 or 8 bytes and maybe a word of the sublayer, as
 * both ends agreed where we were not: so an Ethernet frame must be sure. */
static void l2tp_session(struct rest r, struct inside *out) {
    for (uint32_t at = 0; at <= 12 && at < r.captured; at += 4) {
        struct rest frame = rest_from(r, at);
        if (!surely_ethernet(frame)) continue;
        found(LINK_ETHERNET, frame, TUNNEL_L2TP, out);
        return;
    }
}

/* RFC 2661 section 3.1; version 3 over UDP, RFC 3931 section 4.1.2. */
static void l2tp(struct rest r, struct inside *out) {
    if (r.captured < 8) return;
    uint16_t flags = load_be16(r.at), version = flags & L2TP_VERSION;
    if ((flags & L2TP_RESERVED) || (version != 2 && version != 3)) return;
    if (flags & L2TP_CONTROL) {
        bool formed = (flags & (L2TP_LENGTH | L2TP_SEQUENCE | L2TP_OFFSET)) == (L2TP_LENGTH | L2TP_SEQUENCE);
        uint32_t length = load_be16(r.at + 2);
        if (formed && length >= 12 && length <= r.wire) out->kind = TUNNEL_L2TP;
        return;
    }
    if (version == 3) {
        if (flags == 3 && load_be16(r.at + 2) == 0 && load_be32(r.at + 4) != 0)
            l2tp_session(rest_from(r, 8), out);
        return;
    }
    uint32_t header = 6, at = 2;
    if (flags & L2TP_LENGTH) {
        uint32_t length = load_be16(r.at + 2);
        if (length > r.wire) return;
        r.wire = length;
        if (r.captured > length) r.captured = length;
        header += 2;
        at += 2;
    }
    if (flags & L2TP_SEQUENCE) header += 4;
    if (flags & L2TP_OFFSET) {
        if (r.captured < header + 2) return;
        header += 2u + load_be16(r.at + header);
    }
    if (r.captured < header || r.captured < at + 4 || load_be32(r.at + at) == 0) return;
    struct inside inside = *out;
    if (!inside_ppp(rest_from(r, header), &inside)) return;
    *out = inside;
    out->kind = TUNNEL_L2TP;
}

void tunnel_l2tp_over_ip(struct rest r, struct inside *out) {
    if (r.captured < 8) return;
    if (load_be32(r.at) != 0) {
        l2tp_session(rest_from(r, 4), out);
    } else if ((load_be16(r.at + 4) & 0xc80f) == 0xc803) {
        out->kind = TUNNEL_L2TP;
    }
}

/* RFC 7510 */
static void mpls(struct rest r, struct inside *out) {
    inside_mpls(r, out);
    bool ip = out->link_type == LINK_RAW && looks_like_ip(out->packet);
    if (ip || out->link_type == LINK_ETHERNET)
        out->kind = TUNNEL_MPLS;
    else
        out->link_type = LINK_UNKNOWN;
}

static void by_port(uint16_t port, struct rest r, struct inside *out) {
    switch (port) {
    case 1701:
        l2tp(r, out);
        break;
    case 2152:
        gtp(r, out);
        break;
    case 3544:
        teredo(r, out);
        break;
    case 4789:
    case 8472:
        vxlan(r, false, out);
        break;
    case 4790:
        vxlan(r, true, out);
        break;
    case 6081:
        geneve(r, out);
        break;
    case 6635:
        mpls(r, out);
        break;
    default:
        break;
    }
}

void tunnel_udp(struct rest r, const struct decoded *outer, struct inside *out) {
    by_port(outer->dst_port, r, out);
    if (out->kind == TUNNEL_NONE && outer->src_port != outer->dst_port) {
        *out = (struct inside){.link_type = LINK_UNKNOWN};
        by_port(outer->src_port, r, out);
    }
}
