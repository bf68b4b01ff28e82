/* libFuzzer target: IP fragments against a picture of their reassembly.
 *
 * An input is fragments of four IPv4 datagrams, four bytes each: which datagram and version of its bytes,
 * whether more follow, where, how long. The picture remembers the fragments that count and asks all of them,
 * the first to come first, for each byte; the engine must say that a datagram is whole at the same fragment,
 * with the same bytes. */
#include "base/bytes.h"
#include "decode/fragments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATAGRAMS = 4,
    PIECES = 512,
    OP = 4,
    PROTOCOL = 253 /* for experiments, RFC 3692: nothing is read in it */
};

struct piece {
    uint32_t at, length;
    unsigned version;
    bool last;
};

struct picture {
    struct piece pieces[PIECES];
    unsigned count;
};

static struct picture pictures[DATAGRAMS];
static uint8_t frame[20 + 4096];

static uint8_t byte_of(unsigned datagram, uint32_t at, unsigned version) {
    return (uint8_t)(at * 31 + (at >> 8) + version * 101 + datagram * 7);
}

static const struct piece *first_with(const struct picture *p, uint32_t at) {
    for (unsigned i = 0; i < p->count; i++)
        if (at >= p->pieces[i].at && at - p->pieces[i].at < p->pieces[i].length) return &p->pieces[i];
    return NULL;
}

/* 0: not known. */
static uint32_t length_of(const struct picture *p) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->pieces[i].last) return p->pieces[i].at + p->pieces[i].length;
    return 0;
}

/* Adds what may be a part of it; returns whether all of it is there. */
static bool picture_add(struct picture *p, struct piece piece) {
    uint32_t length = length_of(p), end = piece.at + piece.length;
    if (piece.length == 0 || end > 65535 || (!piece.last && piece.length % 8 != 0)) return false;
    if (length && (end > length || (piece.last && end != length))) return false;
    for (unsigned i = 0; i < p->count; i++)
        if (piece.last && p->pieces[i].at + p->pieces[i].length > end) return false;
    p->pieces[p->count++] = piece;
    length = length_of(p);
    for (uint32_t at = 0; at < length;) {
        const struct piece *here = first_with(p, at);
        if (!here) return false;
        at = here->at + here->length;
    }
    return length > 0;
}

static void compare(unsigned datagram, const struct decoded *whole) {
    struct picture *p = &pictures[datagram];
    if (whole->ip_payload_length != length_of(p) || whole->ip_payload_captured != length_of(p)) abort();
    for (uint32_t at = 0; at < whole->ip_payload_length; at++)
        if (whole->ip_payload[at] != byte_of(datagram, at, first_with(p, at)->version)) abort();
    p->count = 0;
}

static void send(struct fragments *fragments, unsigned datagram, const struct piece *piece,
                 nanoseconds time) {
    uint32_t total = 20 + piece->length;
    memset(frame, 0, 20);
    frame[0] = 0x45;
    frame[2] = (uint8_t)(total >> 8);
    frame[3] = (uint8_t)total;
    frame[5] = (uint8_t)datagram;
    frame[6] = (uint8_t)((piece->last ? 0 : 0x20) | piece->at >> 11);
    frame[7] = (uint8_t)(piece->at >> 3);
    frame[8] = 64;
    frame[9] = PROTOCOL;
    frame[12] = frame[16] = 10;
    frame[19] = 1;
    uint8_t *bytes = malloc(total);
    if (!bytes) abort();
    memcpy(bytes, frame, 20);
    for (uint32_t i = 0; i < piece->length; i++)
        bytes[20 + i] = byte_of(datagram, piece->at + i, piece->version);
    struct packet packet = {
        .bytes = bytes, .captured = total, .original = total, .time = time, .link_type = 101};
    struct decoded decoded, whole;
    decode_packet(&packet, &decoded);
    bool said = fragments_offer(fragments, &packet, &decoded, &whole);
    bool is_fragment = piece->at > 0 || !piece->last;
    bool expected = is_fragment && decoded.fragment && picture_add(&pictures[datagram], *piece);
    if (said != expected) {
        fprintf(stderr, "datagram %u at %u: said %d, expected %d\n", datagram, piece->at, said, expected);
        abort();
    }
    if (said) compare(datagram, &whole);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {0};
    struct fragments *fragments = fragments_new(8 << 20, &err);
    if (!fragments) abort();
    for (unsigned i = 0; i < DATAGRAMS; i++) pictures[i].count = 0;
    struct cursor rest = cursor_over(data, size);
    for (unsigned sent = 0; sent < PIECES && cursor_left(&rest) >= OP; sent++) {
        const uint8_t *b = cursor_take(&rest, OP);
        struct piece piece = {
            .version = b[0] >> 2 & 3, .last = b[0] & 16, .at = (load_le16(b + 1) & 0x1fffu) * 8};
        if (b[0] & 32) piece.at %= 512;
        piece.length = piece.last ? b[3] : b[3] * 8u;
        send(fragments, b[0] & 3, &piece, 1700000000 * NS_PER_SECOND + sent);
    }
    fragments_free(fragments);
    return 0;
}
