/* What a head means: which body follows it (RFC 9112 section 6.3), who is asked, and whether HTTP ends here.
 *
 * Where lengths contradict each other, proxies and servers have been fooled (request smuggling), so that is
 * an anomaly; the parser then does what the RFC tells a server to do. */
#include "protocol/http2.h"
#include "protocol/http_state.h"
#include "protocol/websocket.h"

/* ------------------------------------------------------------- start lines */

static void begin_head(struct http_side *side, struct http_transaction *t) {
    side->phase = HTTP_HEADERS;
    side->interim = side->chunked = side->coded = false;
    side->has_host = side->has_length = side->bad_length = false;
    side->length = 0;
    side->status = 0;
    side->transaction = t;
}

static enum http_outcome start_request(struct conversation *c, struct http_side *side, struct slice line) {
    struct http_request_line request;
    if (!http_request_line(line, &request)) {
        conversation_anomaly(c, "malformed_request_line");
        return HTTP_MALFORMED;
    }
    struct http_transaction *t = http_pending_add(c);
    if (!t) return HTTP_FINISH;
    begin_head(side, t);
    t->minor = (int8_t)request.minor;
    t->is_head = slice_equals(request.method, "HEAD");
    t->is_connect = slice_equals(request.method, "CONNECT");
    t->wanted |= t->is_connect; /* its target is the flow's, too */
    http_transaction_put(t, HTTP_TEXT_METHOD, request.method);
    http_transaction_put(t, HTTP_TEXT_URL, request.target);
    /* The target's authority outdoes the Host header (RFC 9112 section 3.2.2). */
    struct slice authority = t->is_connect ? request.target : http_target_authority(request.target);
    if (authority.length) http_transaction_set_host(c, t, authority);
    return HTTP_GO_ON;
}

static enum http_outcome start_response(struct conversation *c, struct http_side *side, struct slice line) {
    struct http_status_line response;
    if (!http_status_line(line, &response)) {
        conversation_anomaly(c, "malformed_status_line");
        return HTTP_MALFORMED;
    }
    struct http_transaction *t = http_pending_answered(c);
    if (!t) return HTTP_FINISH;
    begin_head(side, t);
    side->status = response.status;
    side->interim = response.status < 200 && response.status != 101;
    if (side->interim) return HTTP_GO_ON;
    t->status = response.status;
    if (t->minor < 0) t->minor = (int8_t)response.minor;
    return HTTP_GO_ON;
}

enum http_outcome http_message_start(struct conversation *c, enum http_role role, struct slice line) {
    struct http_state *state = c->state;
    struct http_side *side = &state->side[role];
    return role == HTTP_REQUESTS ? start_request(c, side, line) : start_response(c, side, line);
}

/* ------------------------------------------------------------ header lines */

/* One length, or a list of lengths that must all be the same. */
static void content_length(struct conversation *c, struct http_side *side, struct slice value) {
    const uint8_t *end = value.at + value.length;
    while (value.at <= end) {
        const uint8_t *comma = value.at < end ? memchr(value.at, ',', (size_t)(end - value.at)) : NULL;
        const uint8_t *stop = comma ? comma : end;
        struct slice item = {value.at, (uint32_t)(stop - value.at)};
        while (item.length && (item.at[0] == ' ' || item.at[0] == '\t')) item.at++, item.length--;
        while (item.length && (item.at[item.length - 1] == ' ' || item.at[item.length - 1] == '\t'))
            item.length--;
        uint64_t length;
        if (!http_length(item, &length)) {
            conversation_anomaly(c, "malformed_length");
            side->bad_length = true;
            return;
        }
        if (side->has_length) conversation_anomaly(c, "ambiguous_length");
        if (!side->has_length) side->length = length;
        side->has_length = true;
        value.at = stop + 1;
    }
}

static void host_header(struct conversation *c, struct http_side *side, struct slice value) {
    struct http_transaction *t = side->transaction;
    bool first = !side->has_host;
    side->has_host = true;
    if (!first) conversation_anomaly(c, "duplicate_host");
    bool target_has_it = t && http_transaction_has(t, HTTP_TEXT_HOST);
    if (first && !target_has_it) http_transaction_set_host(c, t, value);
}

static void keep_request_header(struct http_transaction *t, const struct http_header *header) {
    http_transaction_add_name(t, header->name);
    switch (header->id) {
    case HTTP_USER_AGENT:
        http_transaction_put(t, HTTP_TEXT_USER_AGENT, header->value);
        break;
    case HTTP_REFERER:
        http_transaction_put(t, HTTP_TEXT_REFERER, header->value);
        break;
    case HTTP_COOKIE:
        http_transaction_put(t, HTTP_TEXT_COOKIE, header->value);
        break;
    case HTTP_CONTENT_TYPE:
        http_transaction_put(t, HTTP_TEXT_REQUEST_CONTENT_TYPE, header->value);
        break;
    case HTTP_ORIGIN:
        http_transaction_put(t, HTTP_TEXT_ORIGIN, header->value);
        break;
    default:
        break;
    }
}

static void keep_response_header(struct http_transaction *t, const struct http_header *header) {
    switch (header->id) {
    case HTTP_CONTENT_TYPE:
        http_transaction_put(t, HTTP_TEXT_CONTENT_TYPE, header->value);
        break;
    case HTTP_SERVER:
        http_transaction_put(t, HTTP_TEXT_SERVER, header->value);
        break;
    case HTTP_LOCATION:
        if (t->status >= 300 && t->status < 400) http_transaction_put(t, HTTP_TEXT_REDIRECT, header->value);
        break;
    case HTTP_UPGRADE:
        if (t->status == 101) http_transaction_put(t, HTTP_TEXT_UPGRADE, header->value);
        break;
    case HTTP_WEBSOCKET_PROTOCOL:
        if (t->status == 101) http_transaction_put(t, HTTP_TEXT_WEBSOCKET_PROTOCOL, header->value);
        break;
    case HTTP_WEBSOCKET_EXTENSIONS:
        if (t->status == 101) http_transaction_put(t, HTTP_TEXT_WEBSOCKET_EXTENSIONS, header->value);
        break;
    default:
        break;
    }
}

void http_message_header(struct conversation *c, enum http_role role, struct slice line) {
    struct http_state *state = c->state;
    struct http_side *side = &state->side[role];
    struct http_header header;
    if (!http_header_line(line, &header)) {
        conversation_anomaly(c, "malformed_header");
        return;
    }
    if (header.blank_before_colon) conversation_anomaly(c, "blank_before_colon");
    if (memchr(line.at, '\n', line.length)) conversation_anomaly(c, "folded_header");
    if (side->interim) return;

    if (header.id == HTTP_CONTENT_LENGTH) content_length(c, side, header.value);
    if (header.id == HTTP_TRANSFER_ENCODING && !http_word_is(header.value, "identity")) {
        side->coded = true;
        side->chunked = http_ends_chunked(header.value);
    }
    if (role == HTTP_REQUESTS && header.id == HTTP_HOST) host_header(c, side, header.value);
    if (role == HTTP_REQUESTS && header.id == HTTP_AUTHORIZATION)
        conversation_hide_head(c, (enum direction)state->request_direction);
    struct http_transaction *t = side->transaction;
    if (!t) return;
    if (role == HTTP_REQUESTS)
        keep_request_header(t, &header);
    else
        keep_response_header(t, &header);
}

/* ----------------------------------------------------------- after the head */

static void expect_body(struct http_side *side) {
    side->phase = HTTP_BODY;
    side->remaining = side->length;
}

static void request_head_done(struct conversation *c, struct http_side *side) {
    if (side->transaction && side->transaction->is_connect) {
        side->phase = HTTP_HELD;
        return;
    }
    if (side->chunked) {
        side->phase = HTTP_CHUNK_SIZE;
        return;
    }
    if (side->coded) conversation_anomaly(c, "unknown_coding");
    if (side->has_length && !side->coded && !side->bad_length && side->length) {
        expect_body(side);
        return;
    }
    http_message_done(c, HTTP_REQUESTS);
}

/* A proxy was asked for something; `t` may be NULL. */
static void note_proxy(struct conversation *c, const struct http_transaction *t) {
    if (t && t->is_connect) conversation_set_proxy(c, "http", http_transaction_get(t, HTTP_TEXT_URL));
}

void http_message_tunnel(struct conversation *c) {
    const struct http_state *state = c->state;
    note_proxy(c, state->last); /* nothing is read behind a CONNECT */
    conversation_hand_over(c);
}

/* The two protocols that begin with what HTTP knows of them are given it; the others are recognised. */
static void upgrade(struct conversation *c, const struct http_transaction *t) {
    const struct http_state *state = c->state;
    enum direction client = (enum direction)state->request_direction;
    struct slice protocol = http_transaction_get(t, HTTP_TEXT_UPGRADE);
    bool taken = false;
    if (http_word_is(protocol, "websocket")) taken = websocket_begin(c, t, client);
    if (http_word_is(protocol, "h2c")) taken = http2_begin(c, t, client);
    if (!taken) conversation_hand_over(c);
}

/* What follows a tunnel's or another protocol's beginning is not HTTP. */
static bool leaves_http(struct conversation *c, const struct http_side *side) {
    struct http_transaction *t = side->transaction;
    if (!t) return false;
    if (side->status == 101) {
        http_transaction_put(t, HTTP_TEXT_UPGRADE, (struct slice){(const uint8_t *)"", 0});
        upgrade(c, t);
        return true;
    }
    if (!t->is_connect) return false;
    if (side->status < 200 || side->status > 299) {
        note_proxy(c, t); /* refused, but asked for */
        return false;
    }
    http_transaction_put(t, HTTP_TEXT_UPGRADE, (struct slice){(const uint8_t *)"CONNECT", 7});
    http_message_tunnel(c);
    return true;
}

static enum http_outcome response_head_done(struct conversation *c, struct http_side *side) {
    struct http_state *state = c->state;
    if (side->interim) {
        side->phase = HTTP_START;
        return HTTP_GO_ON;
    }
    if (leaves_http(c, side)) {
        http_message_done(c, HTTP_RESPONSES);
        return HTTP_HANDED;
    }
    struct http_transaction *t = side->transaction;
    if (t && t->is_connect) state->side[HTTP_REQUESTS].phase = HTTP_START;

    bool bodiless = (t && t->is_head) || side->status == 204 || side->status == 304;
    bool measured = side->has_length && !side->coded && !side->bad_length;
    if (bodiless || (measured && side->length == 0))
        http_message_done(c, HTTP_RESPONSES);
    else if (side->chunked)
        side->phase = HTTP_CHUNK_SIZE;
    else if (measured)
        expect_body(side);
    else
        side->phase = HTTP_UNTIL_CLOSE;
    return HTTP_GO_ON;
}

enum http_outcome http_message_head_done(struct conversation *c, enum http_role role) {
    struct http_state *state = c->state;
    struct http_side *side = &state->side[role];
    if (side->coded && side->has_length) conversation_anomaly(c, "ambiguous_length");
    if (role == HTTP_RESPONSES) return response_head_done(c, side);
    request_head_done(c, side);
    return HTTP_GO_ON;
}

void http_message_done(struct conversation *c, enum http_role role) {
    struct http_state *state = c->state;
    struct http_side *side = &state->side[role];
    bool reported = side->transaction && side->transaction == state->first;
    side->phase = HTTP_START;
    side->transaction = NULL;
    if (role == HTTP_RESPONSES && reported) http_pending_report_first(c);
}
