/* WebSocket frames (RFC 6455 section 5), behind the HTTP exchange that agreed on them.
 *
 * Only headers are read: which kind of message, how long. Payloads are passed over masked as they are, but
 * for the two bytes that say why a side closes. It is never recognised by its frames, which look like
 * anything: a capture that lacks the exchange lacks the WebSocket. */
#include "protocol/websocket.h"

#include "protocol/http_head.h"
#include "protocol/protocols.h"

#include <stdlib.h>

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

/* What both events say; the order of `texts`. */
static const struct {
    enum http_text_field field;
    uint16_t limit;
} kept_texts[] = {
    {HTTP_TEXT_HOST, 255},
    {HTTP_TEXT_URL, 2048},
    {HTTP_TEXT_ORIGIN, 512},
    {HTTP_TEXT_USER_AGENT, 512},
    {HTTP_TEXT_WEBSOCKET_PROTOCOL, 256},
    {HTTP_TEXT_WEBSOCKET_EXTENSIONS, 256},
};
enum { TEXTS = sizeof kept_texts / sizeof kept_texts[0] };

struct websocket_side {
    uint32_t text, binary, control;
    uint64_t payload;
    bool closed;
};

struct websocket {
    struct websocket_side side[2]; /* 0: the client's */
    uint8_t client;                /* enum direction */
    bool begun;                    /* there is something to report */
    bool extended;                 /* extensions were agreed: reserved bits may be set */
    uint16_t close_code;
    char *text; /* owned: the texts, one behind the other */
    uint16_t has;
    struct http_span texts[TEXTS];
};

static void keep_texts(struct websocket *w, const struct http_transaction *t) {
    uint32_t size = 0;
    for (unsigned i = 0; i < TEXTS; i++) size += http_transaction_get(t, kept_texts[i].field).length;
    w->text = malloc(size ? size : 1);
    if (!w->text) return;
    uint16_t at = 0;
    for (unsigned i = 0; i < TEXTS; i++) {
        if (!http_transaction_has(t, kept_texts[i].field)) continue;
        struct slice value = http_transaction_get(t, kept_texts[i].field);
        uint16_t length = (uint16_t)(value.length < kept_texts[i].limit ? value.length : kept_texts[i].limit);
        if (length) memcpy(w->text + at, value.at, length);
        w->texts[i] = (struct http_span){at, length};
        w->has = (uint16_t)(w->has | 1u << i);
        at = (uint16_t)(at + length);
    }
}

static void report(struct conversation *c, const struct websocket *w, const char *state) {
    struct event_websocket *event = conversation_event(c, EVENT_websocket);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_websocket_body *body = &event->body;
    struct text_ref *const refs[TEXTS] = {&body->host,       &body->url,      &body->origin,
                                          &body->user_agent, &body->protocol, &body->extensions};
    for (unsigned i = 0; i < TEXTS; i++)
        if (w->text && w->has >> i & 1)
            *refs[i] = batch_text(batch, w->text + w->texts[i].at, w->texts[i].length);
    const struct websocket_side *client = &w->side[0], *server = &w->side[1];
    body->state = state;
    body->client_text = client->text;
    body->server_text = server->text;
    body->client_binary = client->binary;
    body->server_binary = server->binary;
    body->client_control = client->control;
    body->server_control = server->control;
    body->client_payload = client->payload;
    body->server_payload = server->payload;
    body->close_code = w->close_code;
    batch_commit(batch);
}

bool websocket_begin(struct conversation *c, const struct http_transaction *t, enum direction client) {
    struct websocket *w = conversation_hand_over_to(c, &protocol_websocket);
    if (!w) return false;
    w->begun = true;
    w->client = (uint8_t)client;
    w->extended = http_transaction_get(t, HTTP_TEXT_WEBSOCKET_EXTENSIONS).length > 0 || !t->wanted;
    keep_texts(w, t);
    report(c, w, "open");
    return true;
}

/* ------------------------------------------------------------------- frames */

struct frame {
    uint8_t opcode;
    bool fin, masked, reserved;
    uint64_t length;
    uint32_t header; /* bytes, the masking key counted */
    const uint8_t *key;
};

/* Returns false if the header is not all here. */
static bool read_header(struct cursor c, struct frame *out) {
    const uint8_t *start = c.at;
    uint8_t first = cursor_u8(&c), second = cursor_u8(&c);
    out->opcode = first & 0x0f;
    out->fin = first & 0x80;
    out->reserved = first & 0x70;
    out->masked = second & 0x80;
    out->length = second & 0x7f;
    if (out->length == 126) {
        out->length = cursor_be16(&c);
    } else if (out->length == 127) {
        uint64_t high = cursor_be32(&c);
        out->length = high << 32 | cursor_be32(&c);
    }
    out->key = out->masked ? cursor_take(&c, 4) : NULL;
    out->header = (uint32_t)(c.at - start);
    return !c.failed;
}

/* What is against the RFC, and NULL if nothing is. `*fatal`: no way on. */
static const char *fault_of(const struct websocket *w, const struct frame *f, bool by_client, bool *fatal) {
    *fatal = f->length >> 62 || (f->opcode > OP_BINARY && f->opcode < OP_CLOSE) || f->opcode > OP_PONG;
    if (*fatal) return f->length >> 62 ? "bad_length" : "reserved_opcode";
    if (f->opcode >= OP_CLOSE && (!f->fin || f->length > 125)) return "bad_control_frame";
    if (f->masked != by_client) return by_client ? "unmasked_client_frame" : "masked_server_frame";
    return f->reserved && !w->extended ? "reserved_bits" : NULL;
}

static void count(struct websocket_side *side, const struct frame *f) {
    if (f->opcode == OP_TEXT) side->text++;
    if (f->opcode == OP_BINARY) side->binary++;
    if (f->opcode >= OP_CLOSE) side->control++;
    if (f->opcode == OP_CLOSE) side->closed = true;
    side->payload += f->length;
}

static void note_close(struct websocket *w, const struct frame *f, const uint8_t *payload) {
    if (w->close_code || f->length < 2) return;
    uint16_t code = load_be16(payload);
    w->close_code = f->key ? code ^ load_be16(f->key) : code;
}

static int64_t websocket_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                                uint32_t length) {
    struct websocket *w = c->state;
    bool by_client = direction == (enum direction)w->client;
    struct websocket_side *side = &w->side[!by_client];
    uint64_t at = 0;
    while (at < length && !side->closed) {
        struct frame f;
        bool fatal;
        const uint8_t *start = data + at;
        uint32_t here = length - (uint32_t)at;
        if (!read_header(cursor_over(start, here), &f)) return (int64_t)at;
        if (f.opcode == OP_CLOSE && f.length >= 2 && here < f.header + 2) return (int64_t)at;
        const char *fault = fault_of(w, &f, by_client, &fatal);
        if (fault) conversation_anomaly(c, fault);
        if (fatal) return STREAM_OVER;
        count(side, &f);
        if (f.opcode == OP_CLOSE) note_close(w, &f, start + f.header);
        at += f.header + f.length;
    }
    return side->closed ? STREAM_DONE : (int64_t)at;
}

/* Behind a hole nobody knows where a frame begins. */
static bool websocket_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)c;
    (void)direction;
    (void)missing;
    return false;
}

static enum recognised websocket_recognise(const struct probe *probe) {
    (void)probe;
    return RECOGNISED_NO;
}

static void websocket_end(struct conversation *c) {
    struct websocket *w = c->state;
    if (w->begun) report(c, w, "closed");
    free(w->text);
    w->text = NULL;
}

const struct protocol protocol_websocket = {
    .name = "websocket",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct websocket),
    .recognise = websocket_recognise,
    .stream = websocket_stream,
    .gap = websocket_gap,
    .end = websocket_end,
};
