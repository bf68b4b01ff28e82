/* Requests that wait for their response, in the order in which they were sent: responses come in the same
 * order (RFC 9112 section 9.3.2).
 *
 * Where only the client's side was captured the queue fills and never empties. When it is full, the oldest
 * request is reported as it is; should its response come after all, it is read for its length and not
 * reported. */
#include "protocol/encrypted_dns.h"
#include "protocol/http_state.h"

/* Bytes of text: much for the first few, little for those who pipeline without end. At most 4 × 16 + 60 × 2
 * KiB a flow. */
enum { WAITING_MAX = 64, ROOMY_MAX = 4, ROOMY_TEXT = 16 * 1024, TIGHT_TEXT = 2 * 1024 };

static void forget_first(struct http_state *state) {
    struct http_transaction *t = state->first;
    state->first = t->next;
    if (!state->first) state->last = NULL;
    state->waiting--;
    for (int role = 0; role < 2; role++)
        if (state->side[role].transaction == t) state->side[role].transaction = NULL;
    http_transaction_free(t);
}

static bool carries_dns(struct conversation *c, const struct http_transaction *t) {
    struct encrypted_dns_request request = {
        .host = http_transaction_get(t, HTTP_TEXT_HOST),
        .target = http_transaction_get(t, HTTP_TEXT_URL),
        .request_type = http_transaction_get(t, HTTP_TEXT_REQUEST_CONTENT_TYPE),
        .response_type = http_transaction_get(t, HTTP_TEXT_CONTENT_TYPE),
    };
    return encrypted_dns_of_http(c, &request);
}

void http_pending_report_first(struct conversation *c) {
    struct http_state *state = c->state;
    if (!state->first) return;
    http_transaction_report(c, state->first);
    if (!state->dns_told && conversation_wants(c, EVENT_encrypted_dns))
        state->dns_told = carries_dns(c, state->first);
    forget_first(state);
}

void http_pending_report_all(struct conversation *c) {
    struct http_state *state = c->state;
    while (state->first) http_pending_report_first(c);
}

static struct http_transaction *new_transaction(struct conversation *c) {
    struct http_state *state = c->state;
    struct http_transaction *t = http_transaction_new(state->waiting < ROOMY_MAX ? ROOMY_TEXT : TIGHT_TEXT);
    if (!t) return NULL;
    t->time = c->time;
    t->wanted = http_transaction_wanted(c);
    return t;
}

struct http_transaction *http_pending_add(struct conversation *c) {
    struct http_state *state = c->state;
    if (state->waiting == WAITING_MAX) {
        bool being_answered = state->first == state->side[HTTP_RESPONSES].transaction;
        http_pending_report_first(c);
        if (!being_answered) state->reported_early++;
    }
    struct http_transaction *t = new_transaction(c);
    if (!t) return NULL;
    t->depth = state->next_depth++;
    if (state->last)
        state->last->next = t;
    else
        state->first = t;
    state->last = t;
    state->waiting++;
    return t;
}

struct http_transaction *http_pending_answered(struct conversation *c) {
    struct http_state *state = c->state;
    if (state->first && (state->first->silent || state->reported_early == 0)) return state->first;
    if (!state->first) return http_pending_add(c);

    /* The answer to a request that was reported: a silent transaction takes its place at the front. */
    struct http_transaction *t = new_transaction(c);
    if (!t) return NULL;
    state->reported_early--;
    t->silent = true;
    t->next = state->first;
    state->first = t;
    state->waiting++;
    return t;
}
