/* The TLS messages of one side of a QUIC handshake, put together from CRYPTO frames (RFC 9000 section 19.6)
 * that come in any order, cut anywhere, some of them twice. */
#ifndef LUNETTE_PROTOCOL_QUIC_STREAM_H
#define LUNETTE_PROTOCOL_QUIC_STREAM_H

#include "base/bytes.h"

#include <stdbool.h>

enum {
    QUIC_STREAM_MOST = 16 * 1024, /* bytes from the beginning that are kept */
    QUIC_STREAM_PIECES = 64,      /* runs of bytes with holes between them */
};

struct quic_stream {
    uint8_t *bytes; /* owned; NULL until needed */
    uint32_t room;
    uint32_t count;
    struct quic_piece {
        uint32_t from, to;
    } pieces[QUIC_STREAM_PIECES]; /* in order, not touching */
};

/* Keeps a frame's bytes. Returns false if it is beyond the bounds, or there is no memory: it is as if it had
 * not come. */
bool quic_stream_add(struct quic_stream *stream, uint64_t offset, struct slice data);

/* What is there of the beginning, without a hole. */
struct slice quic_stream_ready(const struct quic_stream *stream);

void quic_stream_clear(struct quic_stream *stream);

#endif
