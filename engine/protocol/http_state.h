/* What the HTTP parser knows of a flow: a side for requests, a side for responses, and the requests that
 * wait.
 *
 *   http.c            phases: lines, bodies, chunks; what a gap does        http_head.c         lines
 *   http_message.c    what a head means: framing, name, upgrade             http_transaction.c  one request's
 * record http_pending.c    the queue of requests that wait for their response */
#ifndef LUNETTE_PROTOCOL_HTTP_STATE_H
#define LUNETTE_PROTOCOL_HTTP_STATE_H

#include "flow/protocol.h"
#include "protocol/http_head.h"
#include "protocol/http_transaction.h"

enum http_role { HTTP_REQUESTS, HTTP_RESPONSES };

enum http_phase {
    HTTP_LOST,        /* framing is not known, as at first: wait for bytes that begin with a start line */
    HTTP_START,       /* a start line comes next */
    HTTP_HEADERS,     /* header lines, up to the empty one */
    HTTP_BODY,        /* `remaining` bytes */
    HTTP_CHUNK_SIZE,  /* a chunk's line */
    HTTP_CHUNK_DATA,  /* `remaining` bytes of a chunk */
    HTTP_CHUNK_END,   /* the line end behind a chunk's data */
    HTTP_TRAILER,     /* header lines behind the last chunk */
    HTTP_UNTIL_CLOSE, /* all that comes is body */
    HTTP_HELD,        /* behind a CONNECT: nothing is read before its response */
};

struct http_side {
    uint8_t phase; /* enum http_phase */
    bool interim;  /* a 1xx response that another one follows */
    bool chunked, coded, has_host, has_length, bad_length;
    uint16_t status;
    uint32_t head_bytes; /* of the head (or trailer) that is being read */
    uint32_t scanned;    /* bytes of the line that is awaited, seen to hold no end */
    uint32_t skipping;   /* bytes of a body that the flow was told to pass over */
    uint64_t length;     /* Content-Length */
    uint64_t remaining;
    struct http_transaction *transaction; /* whose message is being read; NULL: nobody's any more */
};

struct http_state {
    struct http_side side[2];              /* by role */
    struct http_transaction *first, *last; /* waiting requests, the response's own at the front */
    uint32_t waiting;
    uint32_t reported_early; /* requests that had to be reported before their response came */
    uint16_t next_depth;
    bool oriented;
    bool dns_told;             /* that the flow carries DNS was reported */
    uint8_t request_direction; /* enum direction */
};

/* http_pending.c */

/* A new transaction at the end of the queue. A full queue first reports its oldest. NULL: no memory. */
struct http_transaction *http_pending_add(struct conversation *c);

/* The transaction that a response which begins now belongs to. NULL: no memory. */
struct http_transaction *http_pending_answered(struct conversation *c);

/* Reports the oldest and forgets it; nothing if there is none. */
void http_pending_report_first(struct conversation *c);
void http_pending_report_all(struct conversation *c);

/* http_message.c */

enum http_outcome {
    HTTP_GO_ON,
    HTTP_MALFORMED, /* that was no start line */
    HTTP_FINISH,    /* stop reading the flow */
    HTTP_HANDED,    /* what follows is another protocol's: it was handed over */
};

/* A start line of the role. */
enum http_outcome http_message_start(struct conversation *c, enum http_role role, struct slice line);

/* A header line, folds and all. */
void http_message_header(struct conversation *c, enum http_role role, struct slice line);

/* The head is complete: sets the side's phase to what follows it. */
enum http_outcome http_message_head_done(struct conversation *c, enum http_role role);

/* A proxy has connected, or must have: what follows is whatever runs in the tunnel. */
void http_message_tunnel(struct conversation *c);

/* The body is complete. */
void http_message_done(struct conversation *c, enum http_role role);

#endif
