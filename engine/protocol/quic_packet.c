/* See quic_packet.h. */
#include "protocol/quic_packet.h"

uint64_t quic_number(struct cursor *c) {
    if (cursor_left(c) == 0) {
        c->failed = true;
        return 0;
    }
    unsigned size = 1u << (c->at[0] >> 6);
    const uint8_t *p = cursor_take(c, size);
    if (!p) return 0;
    uint64_t value = p[0] & 0x3f;
    for (unsigned i = 1; i < size; i++) value = value << 8 | p[i];
    return value;
}

static struct slice take(struct cursor *c, uint64_t length) {
    if (length > cursor_left(c)) {
        c->failed = true;
        return (struct slice){c->end, 0};
    }
    return (struct slice){cursor_take(c, (size_t)length), (uint32_t)length};
}

static struct slice all(struct cursor *c) {
    return take(c, cursor_left(c));
}

static enum quic_type type_of(uint8_t first, const struct quic_version *version) {
    static const uint8_t second[] = {QUIC_RETRY, QUIC_INITIAL, QUIC_ZERO_RTT, QUIC_HANDSHAKE};
    uint8_t bits = first >> 4 & 3;
    return version->second ? (enum quic_type)second[bits] : (enum quic_type)bits;
}

/* Token and length are in the header only where the packet number follows. */
static bool read_rest(struct cursor *c, struct quic_packet *p) {
    if (p->type == QUIC_RETRY) {
        if (cursor_left(c) < QUIC_TAG_BYTES) return false;
        p->token = take(c, cursor_left(c) - QUIC_TAG_BYTES);
        p->rest = all(c);
        p->length = p->rest.length;
        return true;
    }
    if (p->type == QUIC_INITIAL) p->token = take(c, quic_number(c));
    uint64_t length = quic_number(c);
    if (c->failed || length > UINT16_MAX) return false;
    p->length = (uint32_t)length;
    size_t here = cursor_left(c);
    p->rest = take(c, length < here ? length : here);
    return true;
}

bool quic_packet_read(struct slice bytes, struct quic_packet *out) {
    memset(out, 0, sizeof *out);
    struct cursor c = cursor_over(bytes.at, bytes.length);
    uint8_t first = cursor_u8(&c);
    out->number = cursor_be32(&c);
    if (c.failed || !quic_header_is_long(first)) return false;
    out->version = quic_version_find(out->number);
    if (out->version && out->version->family > QUIC_GOOGLE_SEAL) return false;
    out->dcid = take(&c, cursor_u8(&c));
    out->scid = take(&c, cursor_u8(&c));
    if (c.failed) return false;
    if (!out->version) {
        out->type = out->number == 0 ? QUIC_NEGOTIATION : QUIC_UNKNOWN;
        out->rest = all(&c);
        out->length = out->rest.length;
    } else {
        /* The fixed bit is not asked for: peers may agree to leave it to chance (RFC 9287). */
        if (out->dcid.length > QUIC_ID_LARGEST || out->scid.length > QUIC_ID_LARGEST) return false;
        out->type = type_of(first, out->version);
        if (!read_rest(&c, out)) return false;
    }
    out->whole = (struct slice){bytes.at, (uint32_t)(c.at - bytes.at)};
    return true;
}
