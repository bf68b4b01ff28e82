/* Lines, bodies and counted bytes of text protocols: see text_line.h. */
#include "protocol/text_line.h"

/* Is it the beginning of a TLS record of the handshake (RFC 8446 section 5.1)? */
static enum recognised tls_looks(const uint8_t *at, uint32_t length) {
    if (at[0] != 0x16) return RECOGNISED_NO;
    if (length < 2) return RECOGNISED_MAYBE;
    return at[1] == 3 ? RECOGNISED_YES : RECOGNISED_NO;
}

/* Passes over a body. `matched` counts how much of CR LF . CR LF the bytes up to here are; a body begins as
 * if CR LF had just been. Returns the bytes used. */
static uint32_t body_pass(struct text_reader *reader, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    static const uint8_t end[5] = {'\r', '\n', '.', '\r', '\n'};
    uint8_t matched = reader->matched[direction];
    uint32_t at = 0;
    while (at < length && matched < sizeof end) {
        if (matched == 0) {
            const uint8_t *cr = memchr(data + at, '\r', length - at);
            at = cr ? (uint32_t)(cr - data) : length;
            if (!cr) break;
        }
        if (data[at] == end[matched])
            matched++;
        else
            matched = data[at] == '\r' ? 1 : 0;
        at++;
    }
    reader->matched[direction] = matched;
    reader->in_body[direction] = matched < sizeof end;
    reader->body[direction] += at;
    return at;
}

void text_body_begin(struct text_reader *reader, enum direction direction) {
    reader->in_body[direction] = true;
    reader->matched[direction] = 2;
    reader->body[direction] = 0;
}

static uint32_t in_body(struct conversation *c, struct text_reader *reader,
                        const struct text_handler *handler, enum direction direction, const uint8_t *data,
                        uint32_t length) {
    uint32_t used = body_pass(reader, direction, data, length);
    if (reader->in_body[direction]) return used;
    uint64_t bytes = reader->body[direction];
    bytes = bytes > 3 ? bytes - 3 : 0; /* the dot and its line end */
    if (handler->on_body_end) handler->on_body_end(c, direction, bytes);
    return used;
}

/* One line and what it leads to. Returns what stream() is to return if that is the end of it, else -1 and
 * moves `used`. */
enum { GO_ON = -100 };
static int64_t one_line(struct conversation *c, struct text_reader *reader,
                        const struct text_handler *handler, enum direction direction, const uint8_t *data,
                        uint32_t length, uint32_t *used) {
    const uint8_t *at = data + *used;
    uint32_t left = length - *used;
    const uint8_t *newline = memchr(at, '\n', left < TEXT_LINE_MOST ? left : TEXT_LINE_MOST);
    if (!newline) {
        if (left < TEXT_LINE_MOST && !reader->torn[direction]) return *used;
        if (!reader->torn[direction]) conversation_anomaly(c, "line_too_long");
        reader->torn[direction] = true;
        *used += left < TEXT_LINE_MOST ? left : TEXT_LINE_MOST;
        return GO_ON;
    }
    struct slice line = {at, (uint32_t)(newline - at)};
    *used += line.length + 1;
    if (line.length > 0 && line.at[line.length - 1] == '\r') line.length--;
    if (reader->torn[direction]) {
        reader->torn[direction] = false;
        return GO_ON;
    }
    switch (handler->on_line(c, direction, line)) {
    case TEXT_NEXT:
        return GO_ON;
    case TEXT_DOTS:
        text_body_begin(reader, direction);
        return GO_ON;
    case TEXT_SKIP:
        if (reader->count[direction] > length - *used) {
            uint64_t most = (uint64_t)INT64_MAX - *used;
            return (int64_t)(*used + (reader->count[direction] < most ? reader->count[direction] : most));
        }
        *used += (uint32_t)reader->count[direction];
        return GO_ON;
    case TEXT_COUNTED:
        reader->counted[direction] = true;
        return GO_ON;
    case TEXT_HAND_OVER:
        conversation_hand_over(c);
        return *used;
    case TEXT_OVER:
        break;
    }
    return STREAM_OVER;
}

int64_t text_stream(struct conversation *c, struct text_reader *reader, const struct text_handler *handler,
                    enum direction direction, const uint8_t *data, uint32_t length) {
    uint32_t used = 0;
    /* All these protocols begin with a login, often within the bytes that a flow's record would show. */
    if (direction == TO_SERVER && !reader->heard[TO_SERVER]) conversation_hide_head(c, TO_SERVER);
    reader->heard[direction] = true;
    while (used < length) {
        const uint8_t *at = data + used;
        uint32_t left = length - used;
        if (reader->in_body[direction]) {
            used += in_body(c, reader, handler, direction, at, left);
            continue;
        }
        if (reader->counted[direction]) {
            if (left < reader->count[direction]) return used;
            reader->counted[direction] = false;
            handler->on_counted(c, direction, (struct slice){at, (uint32_t)reader->count[direction]});
            used += (uint32_t)reader->count[direction];
            continue;
        }
        /* On hold: the other side's answer decides, unless it never says anything. */
        if (reader->hold[direction] && reader->heard[!direction]) return used;
        enum recognised tls =
            handler->on_tls && !reader->torn[direction] ? tls_looks(at, left) : RECOGNISED_NO;
        if (tls == RECOGNISED_MAYBE) return used;
        if (tls == RECOGNISED_YES) {
            handler->on_tls(c);
            conversation_hand_over(c);
            return used;
        }
        bool held = reader->hold[!direction];
        int64_t answer = one_line(c, reader, handler, direction, data, length, &used);
        if (answer != GO_ON) return answer;
        if (!held || reader->hold[!direction]) continue;
        conversation_wake(c); /* TLS was refused: the other side's next lines come before our next ones */
        return used;
    }
    return used;
}

void text_gap(struct text_reader *reader, enum direction direction, uint64_t missing) {
    reader->hold[!direction] = false; /* the answer may have been among it */
    if (reader->in_body[direction]) {
        reader->body[direction] += missing;
        reader->matched[direction] = 0;
    } else {
        reader->counted[direction] = false;
        reader->torn[direction] = true;
    }
}

/* ------------------------------------------------------------------ replies */

bool text_reply_read(struct text_reply *reply, struct slice line) {
    reply->text = (struct slice){line.at, 0}; /* what it borrowed from an earlier line is gone */
    bool numbered = line.length >= 3 && is_digit(line.at[0]) && is_digit(line.at[1]) && is_digit(line.at[2]);
    uint16_t code =
        numbered ? (uint16_t)((line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + line.at[2] - '0') : 0;
    bool more = line.length > 3 && line.at[3] == '-';
    if (reply->open && (more || code != reply->open)) return false; /* FTP's inner lines are free text */
    if (!numbered || (line.length > 3 && line.at[3] != ' ' && !more)) return false;
    reply->code = code;
    reply->text = line.length > 4 ? (struct slice){line.at + 4, line.length - 4} : (struct slice){line.at, 0};
    reply->open = more ? code : 0;
    return !more;
}

enum recognised text_reply_looks(const uint8_t *data, uint32_t length) {
    if (data[0] < '1' || data[0] > '5') return RECOGNISED_NO;
    if (length > 1 && (data[1] < '0' || data[1] > '5')) return RECOGNISED_NO;
    if (length > 2 && !is_digit(data[2])) return RECOGNISED_NO;
    if (length > 3 && data[3] != ' ' && data[3] != '-' && data[3] != '\r') return RECOGNISED_NO;
    return length > 3 ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

struct slice text_first_line(const struct probe *probe, bool *whole) {
    const uint8_t *newline = memchr(probe->data, '\n', probe->length);
    struct slice line = {probe->data, newline ? (uint32_t)(newline - probe->data) : probe->length};
    if (line.length > 0 && line.at[line.length - 1] == '\r') line.length--;
    *whole = newline != NULL;
    return line;
}

/* ------------------------------------------------------------------ waiting commands */

void text_queue_push(struct text_queue *queue, uint8_t kind) {
    if (queue->count == TEXT_QUEUE_MOST) text_queue_pop(queue);
    queue->kinds[(queue->at + queue->count++) % TEXT_QUEUE_MOST] = kind;
}

uint8_t text_queue_first(const struct text_queue *queue) {
    return queue->count > 0 ? queue->kinds[queue->at] : 0;
}

void text_queue_pop(struct text_queue *queue) {
    if (queue->count == 0) return;
    queue->at = (uint8_t)((queue->at + 1) % TEXT_QUEUE_MOST);
    queue->count--;
}
