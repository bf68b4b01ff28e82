/* QUIC's long headers: RFC 9000 section 17.2, and what no version may change of them: RFC 8999. */
#ifndef LUNETTE_PROTOCOL_QUIC_PACKET_H
#define LUNETTE_PROTOCOL_QUIC_PACKET_H

#include "base/bytes.h"
#include "protocol/quic_version.h"

enum { QUIC_ID_LARGEST = 20, QUIC_TAG_BYTES = 16, QUIC_INITIAL_LEAST = 1200 };

enum quic_type {
    QUIC_INITIAL,
    QUIC_ZERO_RTT,
    QUIC_HANDSHAKE,
    QUIC_RETRY,
    QUIC_NEGOTIATION, /* `rest` has the server's versions, 4 bytes each */
    QUIC_UNKNOWN,     /* a version that is not ours: ids and nothing more */
};

struct quic_packet {
    enum quic_type type;
    uint32_t number;                    /* of the version */
    const struct quic_version *version; /* NULL: unknown */
    struct slice dcid, scid;            /* destination and source connection id */
    struct slice token;                 /* Initial and Retry */
    struct slice rest;                  /* packet number and payload, or what there is of it */
    uint32_t length;                    /* what the header says of the length of `rest` */
    struct slice whole;                 /* the packet in its datagram */
};

static inline bool quic_header_is_long(uint8_t first) {
    return first & 0x80;
}

/* Reads the packet that the bytes begin with. Returns false if they are no long header that we understand.
 * Where the capture cut the packet, `rest` is shorter than `length`. */
bool quic_packet_read(struct slice bytes, struct quic_packet *out);

/* Variable-length integer (RFC 9000 section 16). */
uint64_t quic_number(struct cursor *c);

#endif
