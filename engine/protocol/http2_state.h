/* What the HTTP/2 parser knows of a flow: a side for what the client sends, a side for the server, and the
 * streams that are open.
 *
 *   http2.c           recognition, frames                http2_headers.c   header blocks into fields
 *   http2_streams.c   the streams, and when they are over: each becomes an event as HTTP/1 has them */
#ifndef LUNETTE_PROTOCOL_HTTP2_STATE_H
#define LUNETTE_PROTOCOL_HTTP2_STATE_H

#include "flow/protocol.h"
#include "protocol/http_transaction.h"

#include <nghttp2/nghttp2.h>

enum { HTTP2_CLIENT, HTTP2_SERVER };

struct http2_side {
    nghttp2_hd_inflater *inflater; /* owned; made with the first block */
    bool lost;                     /* the header table: no block can be read any more */
    bool begun;                    /* a frame was read */
    bool after_preface;            /* of the client: passed, or there is none to come */
    bool ends_stream;              /* the block that is being read does */
    uint32_t block_stream;         /* whose header block waits for its CONTINUATION, 0: none does */
    uint32_t block_frames;
};

struct http2 {
    struct http2_side side[2];
    struct http_transaction *first, *last; /* open streams, oldest first */
    uint32_t open;
    uint32_t latest[2]; /* highest number of a stream seen, by who opened it: even numbers are the server's */
    uint16_t next_depth;
    uint8_t client; /* enum direction */
    bool oriented;
};

/* http2_headers.c */

/* A header block, or the next part of one, of a stream; fields go to its transaction, NULL: to nobody, but
 * the table must be kept up. `last`: the block is complete. Returns what is wrong with it, or NULL. */
const char *http2_headers_read(struct conversation *c, unsigned sender, struct http_transaction *t,
                               bool is_request, struct slice block, bool last);
void http2_headers_free(struct http2_side *side);

/* http2_streams.c */

/* The open stream, or a new one if it may begin now; NULL: it is over, or there is no memory. */
struct http_transaction *http2_stream_of(struct conversation *c, uint32_t number);
struct http_transaction *http2_stream_find(const struct http2 *h, uint32_t number);

/* One side of it is over; with the other it becomes an event. */
void http2_stream_ended(struct conversation *c, struct http_transaction *t, unsigned sender);

/* It is over at once. */
void http2_stream_report(struct conversation *c, struct http_transaction *t);
void http2_stream_report_all(struct conversation *c);

#endif
