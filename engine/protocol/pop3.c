/* POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034): who logs in, how, and whether TLS follows.
 *
 * Commands wait in a queue for their "+OK" or "-ERR", since clients may send many at once. Answers of several
 * lines, messages among them, are passed over. */
#include "protocol/protocols.h"

#include "protocol/sasl.h"
#include "protocol/text_line.h"

enum { PORT_POP3 = 110, LINE_PROBE = 256 };

enum command {
    COMMAND_NONE,
    COMMAND_OTHER,
    COMMAND_LINES, /* "+OK" is followed by lines up to a dot */
    COMMAND_LOGIN, /* PASS or APOP */
    COMMAND_AUTH,
    COMMAND_STLS,
};

struct pop3 {
    struct text_reader reader;
    struct text_queue queue;
    struct text_value banner, user, mechanism, status_text;
    const char *status;
    uint8_t auth_step;
    bool auth_open; /* the client's lines are SASL's */
    bool greeted, password, starttls, reported;
};

/* ------------------------------------------------------------------ recognition */

static const char *const commands[] = {"USER", "PASS", "APOP", "AUTH", "CAPA", "STLS", "STAT", "LIST", "UIDL",
                                       "RETR", "DELE", "TOP",  "NOOP", "RSET", "LAST", "UTF8", "QUIT", NULL};

/* "+OK" is Redis' too, whose clients speak first; they do not begin with one of our words. */
static enum recognised client_looks(const struct probe *probe) {
    bool whole;
    if (!is_letter(probe->data[0])) return RECOGNISED_NO;
    struct slice rest = text_first_line(probe, &whole);
    struct slice word = word_take(&rest);
    bool short_text = word.length <= 4 && probe->length < LINE_PROBE && slice_printable(word);
    if (!whole) return short_text ? RECOGNISED_MAYBE : RECOGNISED_NO;
    if (!word_among(word, commands)) return RECOGNISED_NO;
    if (probe->other.length >= 3 && memcmp(probe->other.at, "+OK", 3) == 0) return RECOGNISED_YES;
    if (probe->server_port == PORT_POP3) return RECOGNISED_YES;
    return probe->other.length < 3 ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised server_looks(const struct probe *probe) {
    static const char ok[] = "+OK", err[] = "-ERR";
    uint32_t n = probe->length;
    bool is_ok = memcmp(probe->data, ok, n < 3 ? n : 3) == 0;
    bool is_err = memcmp(probe->data, err, n < 4 ? n : 4) == 0;
    if (!is_ok && !is_err) return RECOGNISED_NO;
    if (n < 4) return RECOGNISED_MAYBE;
    if (is_ok && probe->data[3] != ' ' && probe->data[3] != '\r' && probe->data[3] != '\n')
        return RECOGNISED_NO;
    if (probe->server_port == PORT_POP3) return RECOGNISED_YES;
    bool whole;
    struct slice line = text_first_line(probe, &whole);
    return is_ok && slice_contains(line, "POP3") ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

static enum recognised pop3_recognise(const struct probe *probe) {
    return probe->direction == TO_SERVER ? client_looks(probe) : server_looks(probe);
}

/* ------------------------------------------------------------------ the event */

static void report(struct conversation *c, struct pop3 *p) {
    p->reported = true;
    struct event_pop3 *event = conversation_event(c, EVENT_pop3);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_pop3_body *body = &event->body;
    body->banner = text_value_ref(batch, &p->banner);
    body->starttls = p->starttls;
    body->mechanism = text_value_ref(batch, &p->mechanism);
    body->user = text_value_ref(batch, &p->user);
    body->password = p->password;
    body->status = p->status;
    body->status_text = text_value_ref(batch, &p->status_text);
    batch_commit(batch);
}

/* ------------------------------------------------------------------ lines */

static void set_mechanism(struct pop3 *p, const char *name) {
    text_value_set(&p->mechanism, (struct slice){(const uint8_t *)name, (uint32_t)strlen(name)});
}

static uint8_t on_auth(struct pop3 *p, struct slice rest) {
    if (rest.length == 0) return COMMAND_LINES; /* asks which mechanisms there are */
    text_value_set(&p->mechanism, word_take(&rest));
    text_value_upper(&p->mechanism);
    p->auth_open = true;
    p->auth_step = 0;
    p->password = sasl_sends_password(text_value_slice(&p->mechanism));
    if (rest.length > 0) sasl_note_user(&p->user, text_value_slice(&p->mechanism), p->auth_step++, rest);
    return COMMAND_AUTH;
}

static uint8_t command_of(struct pop3 *p, struct slice word, struct slice rest) {
    static const char *const lines[] = {"RETR", "TOP", "CAPA", NULL}, *const all[] = {"LIST", "UIDL", NULL};
    if (word_is(word, "USER")) {
        text_value_set(&p->user, rest);
        set_mechanism(p, "USER");
    } else if (word_is(word, "PASS")) {
        p->password = true;
        return COMMAND_LOGIN;
    } else if (word_is(word, "APOP")) {
        text_value_set(&p->user, word_take(&rest));
        set_mechanism(p, "APOP");
        return COMMAND_LOGIN;
    } else if (word_is(word, "AUTH")) {
        return on_auth(p, rest);
    } else if (word_is(word, "STLS")) {
        p->reader.hold[TO_SERVER] = true;
        return COMMAND_STLS;
    }
    return word_among(word, lines) || (word_among(word, all) && rest.length == 0) ? COMMAND_LINES
                                                                                  : COMMAND_OTHER;
}

static enum text_step client_line(struct pop3 *p, struct slice line) {
    struct slice rest = line, word = word_take(&rest);
    if (p->auth_open) {
        if (p->auth_step < UINT8_MAX)
            sasl_note_user(&p->user, text_value_slice(&p->mechanism), p->auth_step++, word);
        return TEXT_NEXT;
    }
    text_queue_push(&p->queue, command_of(p, word, rest));
    return TEXT_NEXT;
}

static void login_answered(struct conversation *c, struct pop3 *p, bool ok, struct slice text) {
    p->auth_open = false;
    p->status = ok ? "ok" : "err";
    text_value_set(&p->status_text, text);
    report(c, p);
}

static enum text_step server_line(struct conversation *c, struct pop3 *p, struct slice line) {
    struct slice rest = line, word = word_take(&rest);
    bool ok = word_is(word, "+OK"), err = word_is(word, "-ERR");
    if (!ok && !err) return TEXT_NEXT; /* SASL's challenge, or a line out of place */
    if (!p->greeted && p->queue.count == 0) {
        p->greeted = true;
        text_value_set(&p->banner, rest);
        return TEXT_NEXT;
    }
    uint8_t command = text_queue_first(&p->queue);
    text_queue_pop(&p->queue);
    if (command == COMMAND_LINES && ok) return TEXT_DOTS;
    if (command == COMMAND_LOGIN || command == COMMAND_AUTH) login_answered(c, p, ok, rest);
    if (command != COMMAND_STLS) return TEXT_NEXT;
    p->reader.hold[TO_SERVER] = false;
    if (!ok) return TEXT_NEXT;
    p->starttls = true;
    p->reported = false;
    return TEXT_HAND_OVER;
}

static enum text_step pop3_line(struct conversation *c, enum direction direction, struct slice line) {
    struct pop3 *p = c->state;
    return direction == TO_SERVER ? client_line(p, line) : server_line(c, p, line);
}

/* ------------------------------------------------------------------ protocol */

static void pop3_tls(struct conversation *c) {
    struct pop3 *p = c->state;
    p->starttls = true;
    p->reported = false;
}

static const struct text_handler handler = {.on_line = pop3_line, .on_tls = pop3_tls};

static int64_t pop3_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct pop3 *p = c->state;
    return text_stream(c, &p->reader, &handler, direction, data, length);
}

static bool pop3_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct pop3 *p = c->state;
    text_gap(&p->reader, direction, missing);
    p->auth_open = false;
    p->queue.count = 0; /* which answer is whose, nobody knows now */
    return true;
}

static void pop3_end(struct conversation *c) {
    struct pop3 *p = c->state;
    bool something = p->banner.length > 0 || p->user.length > 0 || p->mechanism.length > 0 || p->starttls;
    if (!p->reported && (p->greeted || something)) report(c, p);
}

const struct protocol protocol_pop3 = {
    .name = "pop3",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct pop3),
    .recognise = pop3_recognise,
    .stream = pop3_stream,
    .gap = pop3_gap,
    .end = pop3_end,
};
