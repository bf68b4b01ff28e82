/* HTTP/1.x (RFC 9110, RFC 9112) on whatever port it is found.
 *
 * Each direction is a small machine that takes lines until a head is complete, and then bytes that it only
 * counts. Lines are taken one by one, so a capture that is cut in the middle of a head still tells what came
 * before. Bodies are passed over in steps: the flow is told how much to skip, and does not come back before
 * that. The step is short, so that the count is nearly right where a flow breaks off, and leaves the last
 * byte, whose coming tells that the body is complete.
 *
 * Which direction asks is told by the bytes, not by the flow: in a capture that begins in the middle the flow
 * may have taken the server for the client. */
#include "protocol/http_state.h"
#include "protocol/protocols.h"

enum {
    LINE_MAX_BYTES = 32 * 1024,
    HEAD_MAX_BYTES = 64 * 1024,
    SKIP_STEP = 16 * 1024,
    HELD_MAX_BYTES = 16 * 1024
};

/* One call of stream(): what came, and how much of it is used. */
struct intake {
    struct conversation *c;
    struct http_side *side;
    enum http_role role;
    const uint8_t *data;
    uint32_t length, at;
};

enum step { STEP_ON, STEP_WAIT, STEP_OVER, STEP_HANDED };

static enum recognised http_recognise(const struct probe *probe) {
    enum recognised request = http_recognise_request(probe->data, probe->length);
    enum recognised status = http_recognise_status(probe->data, probe->length);
    if (request == RECOGNISED_YES || status == RECOGNISED_YES) return RECOGNISED_YES;
    return request == RECOGNISED_NO && status == RECOGNISED_NO ? RECOGNISED_NO : RECOGNISED_MAYBE;
}

static void count_body(const struct intake *in, uint64_t bytes) {
    struct http_transaction *t = in->side->transaction;
    if (!t) return;
    if (in->role == HTTP_REQUESTS)
        t->request_length += bytes;
    else
        t->length += bytes;
}

/* ------------------------------------------------------------------- lines */

/* Takes the next line without its end. `folds`: lines that begin with a blank continue the one before, so the
 * byte after the line end must be there to tell. */
static bool take_line(struct intake *in, bool folds, struct slice *line) {
    const uint8_t *start = in->data + in->at, *end = in->data + in->length;
    const uint8_t *from = start + in->side->scanned;
    for (;;) {
        const uint8_t *newline = from < end ? memchr(from, '\n', (size_t)(end - from)) : NULL;
        if (!newline) {
            in->side->scanned = (uint32_t)(end - start);
            return false;
        }
        bool empty = newline == start || (newline == start + 1 && *start == '\r');
        if (folds && !empty) {
            if (newline + 1 == end) {
                in->side->scanned = (uint32_t)(newline - start);
                return false;
            }
            if (newline[1] == ' ' || newline[1] == '\t') {
                from = newline + 1;
                continue;
            }
        }
        uint32_t used = (uint32_t)(newline + 1 - start);
        in->at += used;
        in->side->head_bytes += used;
        in->side->scanned = 0;
        *line = (struct slice){start, used - 1};
        if (line->length && start[line->length - 1] == '\r') line->length--;
        return true;
    }
}

/* No line yet: wait, unless it is longer than anybody's should be. */
static enum step await_line(const struct intake *in) {
    uint32_t left = in->length - in->at;
    if (left <= LINE_MAX_BYTES && in->side->head_bytes + left <= HEAD_MAX_BYTES) return STEP_WAIT;
    conversation_anomaly(in->c, "head_too_long");
    return STEP_OVER;
}

static enum step lose_sync(struct intake *in) {
    in->side->phase = HTTP_LOST;
    in->side->transaction = NULL;
    in->side->scanned = 0;
    in->at = in->length;
    return STEP_WAIT;
}

static enum step read_start(struct intake *in) {
    struct slice line;
    in->side->head_bytes = 0;
    if (!take_line(in, false, &line)) return await_line(in);
    if (line.length == 0) return STEP_ON; /* RFC 9112 section 2.2 */
    switch (http_message_start(in->c, in->role, line)) {
    case HTTP_GO_ON:
        return STEP_ON;
    case HTTP_HANDED:
    case HTTP_FINISH:
        return STEP_OVER;
    case HTTP_MALFORMED:
        break;
    }
    return lose_sync(in);
}

static enum step read_header(struct intake *in) {
    struct slice line;
    if (!take_line(in, true, &line)) return await_line(in);
    if (in->side->head_bytes > HEAD_MAX_BYTES) {
        conversation_anomaly(in->c, "head_too_long");
        return STEP_OVER;
    }
    if (line.length) {
        http_message_header(in->c, in->role, line);
        return STEP_ON;
    }
    enum http_outcome outcome = http_message_head_done(in->c, in->role);
    if (outcome == HTTP_HANDED) return STEP_HANDED;
    return outcome == HTTP_GO_ON ? STEP_ON : STEP_OVER;
}

/* ------------------------------------------------------------------ bodies */

/* Counts what is here of the `remaining` bytes. True when they are all through. */
static bool read_measured(struct intake *in) {
    uint64_t left = in->length - in->at;
    uint64_t taken = left < in->side->remaining ? left : in->side->remaining;
    count_body(in, taken);
    in->side->remaining -= taken;
    in->at += (uint32_t)taken;
    return in->side->remaining == 0;
}

static enum step read_body(struct intake *in) {
    if (!read_measured(in)) return STEP_WAIT;
    http_message_done(in->c, in->role);
    return STEP_ON;
}

/* The framing inside a body is wrong: what was seen of the message is told, and a new start awaited. */
static enum step give_up_body(struct intake *in, const char *anomaly) {
    conversation_anomaly(in->c, anomaly);
    if (in->role == HTTP_RESPONSES) http_message_done(in->c, in->role);
    return lose_sync(in);
}

static enum step read_chunk_size(struct intake *in) {
    struct slice line;
    in->side->head_bytes = 0;
    if (!take_line(in, false, &line)) return await_line(in);
    uint64_t size;
    if (!http_chunk_size(line, &size)) return give_up_body(in, "malformed_chunk_size");
    in->side->head_bytes = 0;
    in->side->remaining = size;
    in->side->phase = size ? HTTP_CHUNK_DATA : HTTP_TRAILER;
    return STEP_ON;
}

static enum step read_chunk_data(struct intake *in) {
    if (!read_measured(in)) return STEP_WAIT;
    in->side->phase = HTTP_CHUNK_END;
    return STEP_ON;
}

static enum step read_chunk_end(struct intake *in) {
    uint32_t left = in->length - in->at;
    const uint8_t *p = in->data + in->at;
    if (left == 0 || (p[0] == '\r' && left == 1)) return STEP_WAIT;
    uint32_t end = p[0] == '\n' ? 1 : p[0] == '\r' && p[1] == '\n' ? 2 : 0;
    if (end == 0) return give_up_body(in, "malformed_chunk_end");
    in->at += end;
    in->side->phase = HTTP_CHUNK_SIZE;
    return STEP_ON;
}

static enum step read_trailer(struct intake *in) {
    struct slice line;
    if (!take_line(in, false, &line)) return await_line(in);
    if (in->side->head_bytes > HEAD_MAX_BYTES) return give_up_body(in, "head_too_long");
    if (line.length == 0) http_message_done(in->c, in->role);
    return STEP_ON;
}

static enum step read_until_close(struct intake *in) {
    count_body(in, in->length - in->at);
    in->at = in->length;
    return STEP_WAIT;
}

/* Nobody sends that much before a proxy's answer: it was given, but not captured. */
static enum step read_held(const struct intake *in) {
    if (in->length - in->at <= HELD_MAX_BYTES) return STEP_WAIT;
    http_message_tunnel(in->c);
    return STEP_HANDED;
}

/* ------------------------------------------------------------------- stream */

/* A start line at the beginning of what came ends the search; anything else is passed over. */
static enum step find_start(struct intake *in) {
    const uint8_t *data = in->data + in->at;
    uint32_t length = in->length - in->at;
    enum recognised start = in->role == HTTP_REQUESTS ? http_recognise_request(data, length)
                                                      : http_recognise_status(data, length);
    if (start == RECOGNISED_MAYBE && length < LINE_MAX_BYTES) return STEP_WAIT;
    if (start != RECOGNISED_YES) return lose_sync(in);
    in->side->phase = HTTP_START;
    return STEP_ON;
}

static enum step take_step(struct intake *in) {
    switch (in->side->phase) {
    case HTTP_START:
        return read_start(in);
    case HTTP_HEADERS:
        return read_header(in);
    case HTTP_BODY:
        return read_body(in);
    case HTTP_CHUNK_SIZE:
        return read_chunk_size(in);
    case HTTP_CHUNK_DATA:
        return read_chunk_data(in);
    case HTTP_CHUNK_END:
        return read_chunk_end(in);
    case HTTP_TRAILER:
        return read_trailer(in);
    case HTTP_UNTIL_CLOSE:
        return read_until_close(in);
    case HTTP_HELD:
        return read_held(in);
    case HTTP_LOST:
        return find_start(in);
    }
    return STEP_OVER;
}

/* The bytes that the flow was told to pass over have gone by. */
static void settle_skip(struct intake *in) {
    count_body(in, in->side->skipping);
    in->side->remaining -= in->side->skipping;
    in->side->skipping = 0;
}

/* How many bytes beyond these need not be shown. */
static uint32_t skippable(const struct http_side *side) {
    if (side->phase != HTTP_BODY && side->phase != HTTP_CHUNK_DATA) return 0;
    if (side->remaining <= 1) return 0;
    return side->remaining - 1 < SKIP_STEP ? (uint32_t)(side->remaining - 1) : SKIP_STEP;
}

/* Who asks? Bytes that tell nothing are of a body that began before the capture. */
static enum step orient(struct http_state *state, enum direction direction, const uint8_t *data,
                        uint32_t length) {
    if (state->oriented) return STEP_ON;
    enum recognised request = http_recognise_request(data, length);
    enum recognised response = http_recognise_status(data, length);
    if (request == RECOGNISED_NO && response == RECOGNISED_NO) return STEP_OVER;
    if (request != RECOGNISED_YES && response != RECOGNISED_YES) return STEP_WAIT;
    bool usual = (response == RECOGNISED_YES) == (direction == TO_CLIENT);
    state->request_direction = (uint8_t)(usual ? TO_SERVER : TO_CLIENT);
    state->oriented = true;
    return STEP_ON;
}

static struct intake intake_of(struct conversation *c, enum direction direction, const uint8_t *data,
                               uint32_t length) {
    struct http_state *state = c->state;
    enum http_role role =
        direction == (enum direction)state->request_direction ? HTTP_REQUESTS : HTTP_RESPONSES;
    return (struct intake){.c = c, .side = &state->side[role], .role = role, .data = data, .length = length};
}

static int64_t http_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    enum step step = orient(c->state, direction, data, length);
    if (step == STEP_WAIT) return length < LINE_MAX_BYTES ? 0 : length;
    if (step == STEP_OVER) return length;
    struct intake in = intake_of(c, direction, data, length);
    settle_skip(&in);
    while (in.at < in.length) {
        step = take_step(&in);
        if (step == STEP_OVER) return STREAM_OVER;
        if (step == STEP_HANDED) return in.at;
        if (step == STEP_WAIT) break;
    }
    if (in.at < in.length) return in.at;
    in.side->skipping = skippable(in.side);
    return (int64_t)in.length + in.side->skipping;
}

/* A hole within a body of known length does no harm. Any other loses the framing: of responses, so that those
 * that are awaited cannot be told apart any more, and are reported as they are. */
static bool http_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct http_state *state = c->state;
    if (!state->oriented) return true;
    struct intake in = intake_of(c, direction, NULL, 0);
    settle_skip(&in);
    struct http_side *side = in.side;
    switch (side->phase) {
    case HTTP_HELD:
        return true;
    case HTTP_UNTIL_CLOSE:
        count_body(&in, missing);
        return true;
    case HTTP_BODY:
    case HTTP_CHUNK_DATA:
        if (missing > side->remaining) break;
        count_body(&in, missing);
        side->remaining -= missing;
        if (side->remaining) return true;
        if (side->phase == HTTP_BODY)
            http_message_done(c, in.role);
        else
            side->phase = HTTP_CHUNK_END;
        return true;
    default:
        break;
    }
    if (in.role == HTTP_RESPONSES && state->side[HTTP_REQUESTS].phase == HTTP_HELD && !side->transaction) {
        http_message_tunnel(c); /* the answer to a CONNECT is lost */
        return true;
    }
    if (in.role == HTTP_RESPONSES) http_pending_report_all(c);
    lose_sync(&in);
    return true;
}

static void http_end(struct conversation *c) {
    http_pending_report_all(c);
}

const struct protocol protocol_http = {
    .name = "http",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct http_state),
    .recognise = http_recognise,
    .stream = http_stream,
    .gap = http_gap,
    .end = http_end,
};
