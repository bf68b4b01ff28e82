/* A request and its response, as far as they were seen: kept from the request line until the event is made.
 */
#ifndef LUNETTE_PROTOCOL_HTTP_TRANSACTION_H
#define LUNETTE_PROTOCOL_HTTP_TRANSACTION_H

#include "flow/protocol.h"

enum { HTTP_HEADER_NAMES_MAX = 64 };

enum http_text_field {
    HTTP_TEXT_HOST,
    HTTP_TEXT_URL,
    HTTP_TEXT_USER_AGENT,
    HTTP_TEXT_CONTENT_TYPE,
    HTTP_TEXT_REFERER,
    HTTP_TEXT_METHOD,
    HTTP_TEXT_REDIRECT,
    HTTP_TEXT_REQUEST_CONTENT_TYPE,
    HTTP_TEXT_SERVER,
    HTTP_TEXT_COOKIE,
    HTTP_TEXT_UPGRADE,
    HTTP_TEXT_ORIGIN,
    HTTP_TEXT_WEBSOCKET_PROTOCOL,
    HTTP_TEXT_WEBSOCKET_EXTENSIONS,
    HTTP_TEXT_GRPC_STATUS,
    HTTP_TEXTS
};

/* A run of the transaction's own text. */
struct http_span {
    uint16_t at, length;
};

struct http_transaction {
    struct http_transaction *next;   /* asked after this one */
    nanoseconds time;                /* of the request, or of the response if that is all there is */
    uint64_t request_length, length; /* bytes of the bodies */
    uint16_t depth, status, host_port;
    uint32_t stream_id; /* of HTTP/2, else 0 */
    int8_t minor;       /* of the protocol's version; -1 unknown */
    bool is_head, is_connect;
    bool wanted;   /* somebody listens: keep the texts */
    bool ended[2]; /* of HTTP/2, by role: the message is over */
    bool silent;   /* was reported before: no event any more */
    uint16_t set;  /* bit per text field that is present */
    uint16_t name_count;
    uint16_t text_used, text_size, text_limit;
    char *text; /* owned */
    struct http_span texts[HTTP_TEXTS];
    struct http_span names[HTTP_HEADER_NAMES_MAX];
};

/* Is it worth keeping texts: does anybody listen to what is made of them? */
bool http_transaction_wanted(const struct conversation *c);

/* `text_limit`: bytes of text that it may hold at most. NULL: no memory. */
struct http_transaction *http_transaction_new(uint16_t text_limit);
void http_transaction_free(struct http_transaction *t);

/* Keeps a copy. The first value of a field stays, line folds become one blank, what is too long is cut off.
 */
void http_transaction_put(struct http_transaction *t, enum http_text_field field, struct slice value);
bool http_transaction_has(const struct http_transaction *t, enum http_text_field field);
struct slice http_transaction_get(const struct http_transaction *t, enum http_text_field field);

/* Keeps HOST[:PORT], and names the flow's server by it unless it is an address. `t` may be NULL. */
void http_transaction_set_host(struct conversation *c, struct http_transaction *t, struct slice text);

void http_transaction_add_name(struct http_transaction *t, struct slice name);

/* Makes the event, and what follows from it (protocol/proxy_config.h). */
void http_transaction_report(struct conversation *c, const struct http_transaction *t);

#endif
