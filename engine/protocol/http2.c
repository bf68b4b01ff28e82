/* HTTP/2 in clear (RFC 9113): by the client's preface, or by an upgrade of HTTP/1.1 (h2c).
 *
 * Frames are read by their headers. Of DATA only lengths count, so payloads are passed over unseen; header
 * blocks are kept until their frame is whole. A hole within DATA does no harm. Any other loses the framing
 * and the header table, and the side is over; so a connection that the capture joins late is not read.
 *
 * A peer may not make us keep without end: frames of a block, fields of it, its table and the open streams
 * are bounded. */
#include "protocol/http2.h"

#include "protocol/http2_state.h"
#include "protocol/protocols.h"

enum { FRAME_HEADER = 9, BLOCK_FRAME_MOST = 32 * 1024, BLOCK_FRAMES_MOST = 64 };
enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
};
enum { FLAG_END_STREAM = 0x1, FLAG_END_HEADERS = 0x4, FLAG_PADDED = 0x8, FLAG_PRIORITY = 0x20 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE = sizeof preface - 1 };

struct frame {
    uint32_t length; /* of the payload */
    uint8_t type, flags;
    uint32_t stream;
};

static struct frame frame_at(const uint8_t *p) {
    return (struct frame){
        .length = load_be24(p), .type = p[3], .flags = p[4], .stream = load_be32(p + 5) & 0x7fffffff};
}

/* -------------------------------------------------------------- recognition */

static enum recognised begins_preface(const uint8_t *data, uint32_t length) {
    uint32_t common = length < PREFACE ? length : PREFACE;
    if (memcmp(data, preface, common) != 0) return RECOGNISED_NO;
    return common == PREFACE ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

/* A known parameter, or one that is there to be ignored (RFC 8701's values; section 6.5.2). */
static bool setting_plausible(uint16_t id) {
    return (id >= 1 && id <= 16) || (id & 0x0f0f) == 0x0a0a;
}

/* The server's first frame is SETTINGS, and what it holds is known. If it holds nothing, the next frame
 * tells. */
static enum recognised begins_settings(const uint8_t *data, uint32_t length) {
    static const uint8_t rest[] = {FRAME_SETTINGS, 0, 0, 0, 0, 0};
    if (data[0] != 0 || (length > 1 && data[1] != 0)) return RECOGNISED_NO;
    if (length > 3 && memcmp(data + 3, rest, length - 3 < sizeof rest ? length - 3 : sizeof rest) != 0)
        return RECOGNISED_NO;
    if (length < FRAME_HEADER) return RECOGNISED_MAYBE;
    uint32_t size = data[2];
    if (size % 6) return RECOGNISED_NO;
    for (uint32_t at = FRAME_HEADER; at + 2 <= length && at < FRAME_HEADER + size; at += 6)
        if (!setting_plausible(load_be16(data + at))) return RECOGNISED_NO;
    if (size > 0) return length >= FRAME_HEADER + size ? RECOGNISED_YES : RECOGNISED_MAYBE;
    if (length < 2 * FRAME_HEADER) return RECOGNISED_MAYBE;
    struct frame next = frame_at(data + FRAME_HEADER);
    bool known = next.type <= FRAME_CONTINUATION && next.length <= 16384;
    return known && load_be32(data + FRAME_HEADER + 5) >> 31 == 0 ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised http2_recognise(const struct probe *probe) {
    enum recognised client = begins_preface(probe->data, probe->length);
    if (client != RECOGNISED_NO || probe->direction == TO_SERVER) return client;
    return begins_settings(probe->data, probe->length);
}

/* ------------------------------------------------------------ header blocks */

/* Takes padding off (RFC 9113 section 6.1). Returns false if there is more of it than payload. */
static bool strip_padding(const struct frame *f, struct slice *payload) {
    if (!(f->flags & FLAG_PADDED)) return true;
    if (payload->length == 0 || payload->at[0] >= payload->length) return false;
    uint8_t padding = payload->at[0];
    payload->at++;
    payload->length -= padding + 1u;
    return true;
}

static void lose_headers(struct conversation *c, struct http2_side *side, const char *anomaly) {
    conversation_anomaly(c, anomaly);
    side->lost = true;
    http2_headers_free(side);
}

/* A part of a block: of stream `number`, that is the request of a promise too. */
static void read_block(struct conversation *c, unsigned sender, uint32_t number, bool is_request,
                       struct slice block, bool last) {
    struct http2 *h = c->state;
    struct http2_side *side = &h->side[sender];
    struct http_transaction *t = http2_stream_of(c, number);
    const char *fault = http2_headers_read(c, sender, t, is_request, block, last);
    if (fault) lose_headers(c, side, fault);
    side->block_stream = last ? 0 : number;
    if (!last || !t) return;
    bool interim = sender == HTTP2_SERVER && t->status > 0 && t->status < 200;
    if (side->ends_stream && !interim) http2_stream_ended(c, t, sender);
}

static void on_headers(struct conversation *c, unsigned sender, const struct frame *f, struct slice payload) {
    struct http2 *h = c->state;
    struct http2_side *side = &h->side[sender];
    uint32_t front = f->type == FRAME_PUSH_PROMISE ? 4 : f->flags & FLAG_PRIORITY ? 5 : 0;
    uint32_t number = f->stream;
    if (!strip_padding(f, &payload) || payload.length < front) {
        lose_headers(c, side, "bad_padding");
        return;
    }
    if (f->type == FRAME_PUSH_PROMISE) number = load_be32(payload.at) & 0x7fffffff;
    if (number == 0) {
        lose_headers(c, side, "bad_stream");
        return;
    }
    payload.at += front;
    payload.length -= front;
    side->ends_stream = f->type == FRAME_HEADERS && f->flags & FLAG_END_STREAM;
    side->block_frames = 1;
    bool is_request = sender == HTTP2_CLIENT || f->type == FRAME_PUSH_PROMISE;
    read_block(c, sender, number, is_request, payload, f->flags & FLAG_END_HEADERS);
}

/* Returns false if there is no end of them. */
static bool on_continuation(struct conversation *c, unsigned sender, const struct frame *f,
                            struct slice payload) {
    struct http2 *h = c->state;
    struct http2_side *side = &h->side[sender];
    if (side->block_stream != f->stream && !side->lost) {
        lose_headers(c, side, "broken_header_block");
        return true;
    }
    if (++side->block_frames > BLOCK_FRAMES_MOST) {
        conversation_anomaly(c, "endless_header_block");
        return false;
    }
    bool is_request = sender == HTTP2_CLIENT || f->stream % 2 == 0;
    read_block(c, sender, f->stream, is_request, payload, f->flags & FLAG_END_HEADERS);
    return true;
}

/* ------------------------------------------------------------------- frames */

/* The length of a DATA frame's data; its first byte is here if it is padded and not empty. */
static void on_data(struct conversation *c, unsigned sender, const struct frame *f, const uint8_t *payload) {
    struct http_transaction *t = http2_stream_find(c->state, f->stream);
    if (!t) return;
    uint32_t length = f->length;
    if (f->flags & FLAG_PADDED) {
        if (length == 0 || payload[0] >= length) {
            conversation_anomaly(c, "bad_padding");
            return;
        }
        length -= payload[0] + 1u;
    }
    if (sender == HTTP2_CLIENT)
        t->request_length += length;
    else
        t->length += length;
    if (f->flags & FLAG_END_STREAM) http2_stream_ended(c, t, sender);
}

/* How much of a frame's payload must be here before it can be read. */
static uint32_t wanted_of(const struct frame *f) {
    switch (f->type) {
    case FRAME_HEADERS:
    case FRAME_PUSH_PROMISE:
    case FRAME_CONTINUATION:
        return f->length;
    case FRAME_DATA:
        return f->flags & FLAG_PADDED && f->length > 0 ? 1 : 0;
    default:
        return 0;
    }
}

/* Returns false if there is no way on. */
static bool on_frame(struct conversation *c, unsigned sender, const struct frame *f, const uint8_t *payload) {
    struct http2 *h = c->state;
    struct http2_side *side = &h->side[sender];
    struct slice whole = {payload, f->length};
    if (side->block_stream && f->type != FRAME_CONTINUATION && !side->lost)
        lose_headers(c, side, "broken_header_block");
    switch (f->type) {
    case FRAME_DATA:
        on_data(c, sender, f, payload);
        return true;
    case FRAME_HEADERS:
    case FRAME_PUSH_PROMISE:
        on_headers(c, sender, f, whole);
        return true;
    case FRAME_CONTINUATION:
        return on_continuation(c, sender, f, whole);
    case FRAME_RST_STREAM: {
        struct http_transaction *t = http2_stream_find(h, f->stream);
        if (t) http2_stream_report(c, t);
        return true;
    }
    default: /* unknown types are to be ignored (section 4.1) */
        return true;
    }
}

/* A side's first frame is SETTINGS (section 3.4): else this is no HTTP/2. */
static bool first_frame_fits(const struct frame *f) {
    return f->type == FRAME_SETTINGS && f->stream == 0 && f->length % 6 == 0;
}

/* Who is the client? The preface tells; the flow may have got it wrong in a capture that began late. */
static void orient(struct http2 *h, enum direction direction, const uint8_t *data, uint32_t length) {
    bool asks = begins_preface(data, length) != RECOGNISED_NO;
    h->client = (uint8_t)(asks ? direction : !direction);
    h->oriented = true;
}

static int64_t http2_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                            uint32_t length) {
    struct http2 *h = c->state;
    if (!h->oriented) orient(h, direction, data, length);
    unsigned sender = direction == (enum direction)h->client ? HTTP2_CLIENT : HTTP2_SERVER;
    struct http2_side *side = &h->side[sender];
    uint64_t at = 0;
    if (sender == HTTP2_CLIENT && !side->after_preface) {
        enum recognised begins = begins_preface(data, length);
        if (begins == RECOGNISED_MAYBE) return 0;
        if (begins == RECOGNISED_NO) {
            conversation_anomaly(c, "no_preface");
            return STREAM_OVER;
        }
        side->after_preface = true;
        at = PREFACE;
    }
    while (at + FRAME_HEADER <= length) {
        struct frame f = frame_at(data + at);
        uint32_t wanted = wanted_of(&f);
        if (!side->begun && !first_frame_fits(&f)) {
            conversation_anomaly(c, "no_settings");
            return STREAM_OVER;
        }
        if (wanted > BLOCK_FRAME_MOST) {
            if (!side->lost) lose_headers(c, side, "header_block_too_long");
            wanted = 0;
        } else if (at + FRAME_HEADER + wanted > length) {
            return (int64_t)at;
        } else if (!on_frame(c, sender, &f, data + at + FRAME_HEADER)) {
            return STREAM_OVER;
        }
        side->begun = true;
        at += FRAME_HEADER + f.length;
    }
    return (int64_t)at;
}

static bool http2_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)c;
    (void)direction;
    (void)missing;
    return false;
}

static void http2_end(struct conversation *c) {
    struct http2 *h = c->state;
    http2_stream_report_all(c);
    http2_headers_free(&h->side[HTTP2_CLIENT]);
    http2_headers_free(&h->side[HTTP2_SERVER]);
}

bool http2_begin(struct conversation *c, const struct http_transaction *t, enum direction client) {
    static const enum http_text_field taken[] = {
        HTTP_TEXT_HOST,   HTTP_TEXT_URL,    HTTP_TEXT_USER_AGENT,          HTTP_TEXT_REFERER,
        HTTP_TEXT_METHOD, HTTP_TEXT_COOKIE, HTTP_TEXT_REQUEST_CONTENT_TYPE};
    struct http2 *h = conversation_hand_over_to(c, &protocol_http2);
    if (!h) return false;
    h->client = (uint8_t)client;
    h->oriented = true;
    h->latest[0] = 1;
    struct http_transaction *first = http_transaction_new(16 * 1024);
    if (!first) return true;
    first->time = t->time;
    first->wanted = t->wanted;
    first->host_port = t->host_port;
    first->request_length = t->request_length;
    first->stream_id = 1;
    first->ended[HTTP2_CLIENT] = true;
    for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (http_transaction_has(t, taken[i]))
            http_transaction_put(first, taken[i], http_transaction_get(t, taken[i]));
    h->first = h->last = first;
    h->open = 1;
    h->next_depth = 1;
    return true;
}

const struct protocol protocol_http2 = {
    .name = "http2",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct http2),
    .recognise = http2_recognise,
    .stream = http2_stream,
    .gap = http2_gap,
    .end = http2_end,
};
