/* HTTP/2's streams: one request and its response each, kept from the first header block until both sides are
 * done.
 *
 * A peer may open as many as it likes; beyond the bound the oldest is reported as it is and forgotten.
 * Numbers only go up (RFC 9113 section 5.1.1), so a stream that is gone is told from one that is new. */
#include "protocol/http2_state.h"

enum { OPEN_MAX = 128, ROOMY_MAX = 8, ROOMY_TEXT = 16 * 1024, TIGHT_TEXT = 2 * 1024 };

struct http_transaction *http2_stream_find(const struct http2 *h, uint32_t number) {
    for (struct http_transaction *t = h->first; t; t = t->next)
        if (t->stream_id == number) return t;
    return NULL;
}

static void forget(struct http2 *h, struct http_transaction *t) {
    struct http_transaction **link = &h->first, *before = NULL;
    while (*link && *link != t) {
        before = *link;
        link = &before->next;
    }
    if (!*link) return;
    *link = t->next;
    if (h->last == t) h->last = before;
    h->open--;
    http_transaction_free(t);
}

void http2_stream_report(struct conversation *c, struct http_transaction *t) {
    http_transaction_report(c, t);
    forget(c->state, t);
}

void http2_stream_report_all(struct conversation *c) {
    struct http2 *h = c->state;
    while (h->first) http2_stream_report(c, h->first);
}

struct http_transaction *http2_stream_of(struct conversation *c, uint32_t number) {
    struct http2 *h = c->state;
    struct http_transaction *t = http2_stream_find(h, number);
    if (t) return t;
    uint32_t *latest = &h->latest[number % 2 == 0];
    if (number <= *latest) return NULL;
    *latest = number;
    if (h->open == OPEN_MAX) {
        conversation_anomaly(c, "too_many_streams");
        http2_stream_report(c, h->first);
    }
    t = http_transaction_new(h->open < ROOMY_MAX ? ROOMY_TEXT : TIGHT_TEXT);
    if (!t) return NULL;
    t->time = c->time;
    t->wanted = http_transaction_wanted(c);
    t->stream_id = number;
    t->depth = h->next_depth++;
    if (h->last)
        h->last->next = t;
    else
        h->first = t;
    h->last = t;
    h->open++;
    return t;
}

void http2_stream_ended(struct conversation *c, struct http_transaction *t, unsigned sender) {
    t->ended[sender] = true;
    if (t->ended[!sender]) http2_stream_report(c, t);
}
