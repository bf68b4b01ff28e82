/* SMTP (RFC 5321) and submission, up to the point where STARTTLS hides it.
 *
 * Commands wait in a queue for their replies, since clients may send many at once (RFC 2920). What is noted
 * of a mail is its envelope, its size and the reply that decided; the message itself is passed over. An event
 * is made for each mail, for each login that failed, and for a session that had neither. */
#include "protocol/protocols.h"

#include "protocol/sasl.h"
#include "protocol/text_line.h"

enum { PORT_SMTP = 25, PORT_SUBMISSION = 587 };

enum command {
    COMMAND_NONE,
    COMMAND_OTHER,
    COMMAND_STARTTLS,
    COMMAND_AUTH,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_BDAT,
    COMMAND_MESSAGE, /* no command: the message's end, which is answered too */
};

struct smtp {
    struct text_reader reader;
    struct text_queue queue;
    struct text_reply reply;
    struct text_value banner, helo, mechanism, user, mail_from, status_text;
    struct text_list recipients;
    uint64_t size;
    uint32_t refused;
    uint16_t status, auth_status, depth;
    uint8_t auth_step;
    bool auth_open; /* the client's lines are SASL's */
    bool password, starttls;
    bool mail;     /* a transaction is open */
    bool asked;    /* DATA was, and its answer did not come yet */
    bool reported; /* something was, since the last thing that was worth it */
};

/* ------------------------------------------------------------------ recognition */

static bool is_port(const struct probe *probe) {
    return probe->server_port == PORT_SMTP || probe->server_port == PORT_SUBMISSION;
}

static const char *const greetings[] = {"EHLO", "HELO", "LHLO", NULL};
static const char *const commands[] = {"MAIL", "RCPT", "DATA", "RSET",     "NOOP", "QUIT",
                                       "VRFY", "BDAT", "AUTH", "STARTTLS", NULL};

static bool could_become(struct slice word, const char *const *list) {
    for (; *list; list++)
        if (word_starts_as(word, *list) && word.length < strlen(*list) &&
            strncasecmp((const char *)word.at, *list, word.length) == 0)
            return true;
    return false;
}

static enum recognised client_looks(const struct probe *probe) {
    bool whole;
    if (!is_letter(probe->data[0])) return RECOGNISED_NO;
    struct slice rest = text_first_line(probe, &whole);
    struct slice word = word_take(&rest);
    if (!whole && word.length == probe->length)
        return could_become(word, greetings) || word_among(word, greetings) || could_become(word, commands) ||
                       word_among(word, commands)
                   ? RECOGNISED_MAYBE
                   : RECOGNISED_NO;
    if (word_among(word, greetings)) {
        if (!slice_printable(rest)) return RECOGNISED_NO;
        if (!whole) return RECOGNISED_MAYBE;
        bool replies = probe->other.length > 0 &&
                       text_reply_looks(probe->other.at, probe->other.length) == RECOGNISED_YES;
        return replies || is_port(probe) ? RECOGNISED_YES : RECOGNISED_MAYBE;
    }
    if (word_is(word, "MAIL") && word_begins(rest, "FROM:")) return RECOGNISED_YES;
    if (word_is(word, "RCPT") && word_begins(rest, "TO:")) return RECOGNISED_YES;
    return is_port(probe) && whole && word_among(word, commands) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* "220 " is FTP's greeting as well: the word SMTP in it decides, or the port, or else the client. */
static enum recognised server_looks(const struct probe *probe) {
    enum recognised form = text_reply_looks(probe->data, probe->length);
    if (form != RECOGNISED_YES) return form;
    bool whole;
    struct slice line = text_first_line(probe, &whole);
    bool greeting = memcmp(line.at, "220", 3) == 0;
    if (greeting && slice_contains(line, "SMTP")) return RECOGNISED_YES;
    if (greeting && slice_contains(line, "FTP")) return RECOGNISED_NO;
    if (is_port(probe)) return whole ? RECOGNISED_YES : RECOGNISED_MAYBE;
    return greeting ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised smtp_recognise(const struct probe *probe) {
    return probe->direction == TO_SERVER ? client_looks(probe) : server_looks(probe);
}

/* ------------------------------------------------------------------ the event */

static void report(struct conversation *c, struct smtp *s) {
    s->reported = true;
    struct event_smtp *event = conversation_event(c, EVENT_smtp);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_smtp_body *body = &event->body;
    body->banner = text_value_ref(batch, &s->banner);
    body->helo = text_value_ref(batch, &s->helo);
    body->starttls = s->starttls;
    body->mechanism = text_value_ref(batch, &s->mechanism);
    body->user = text_value_ref(batch, &s->user);
    body->password = s->password;
    body->auth_status = s->auth_status;
    if (s->mail) {
        body->mail_from = batch_text(batch, s->mail_from.bytes, s->mail_from.length);
        body->rcpt_to = text_list_ref(batch, &s->recipients);
        body->recipients = s->recipients.total;
        body->refused = s->refused;
        body->size = s->size;
    }
    body->status = s->status;
    body->status_text = text_value_ref(batch, &s->status_text);
    body->depth = s->depth;
    batch_commit(batch);
}

/* The transaction is over, one way or another. */
static void mail_end(struct conversation *c, struct smtp *s) {
    if (!s->mail) return;
    report(c, s);
    s->mail = s->asked = false;
    s->depth++;
    s->mail_from.length = s->status_text.length = 0;
    s->recipients = (struct text_list){0};
    s->size = 0;
    s->refused = 0;
    s->status = 0;
}

/* ------------------------------------------------------------------ what the client says */

/* The path of "FROM:<path> parameters". Source routes (RFC 5321 appendix C) are left off. */
static struct slice path_of(struct slice rest, const char *mark) {
    uint32_t n = (uint32_t)strlen(mark);
    if (!word_begins(rest, mark)) return (struct slice){rest.at, 0};
    rest = slice_trim((struct slice){rest.at + n, rest.length - n});
    if (rest.length == 0 || rest.at[0] != '<') return word_take(&rest);
    const uint8_t *end = memchr(rest.at, '>', rest.length);
    struct slice path = {rest.at + 1, (end ? (uint32_t)(end - rest.at) : rest.length) - 1};
    const uint8_t *colon = path.length > 0 && path.at[0] == '@' ? memchr(path.at, ':', path.length) : NULL;
    if (colon) path = (struct slice){colon + 1, path.length - (uint32_t)(colon + 1 - path.at)};
    return path;
}

static void on_auth(struct smtp *s, struct slice rest) {
    s->auth_open = true;
    s->auth_step = 0;
    s->auth_status = 0;
    s->user.length = 0;
    text_value_set(&s->mechanism, word_take(&rest));
    text_value_upper(&s->mechanism);
    if (sasl_sends_password(text_value_slice(&s->mechanism))) s->password = true;
    if (rest.length > 0) sasl_note_user(&s->user, text_value_slice(&s->mechanism), s->auth_step++, rest);
    s->reported = false;
}

static enum text_step on_message(struct smtp *s, struct slice rest) {
    struct slice digits = word_take(&rest);
    s->reader.count[TO_SERVER] = number_take(&digits);
    s->size += s->reader.count[TO_SERVER];
    text_queue_push(&s->queue, word_is(rest, "LAST") ? COMMAND_MESSAGE : COMMAND_BDAT);
    return TEXT_SKIP;
}

static enum text_step client_line(struct conversation *c, struct smtp *s, struct slice line) {
    struct slice rest = line, word = word_take(&rest);
    if (s->auth_open && !(word_is(word, "MAIL") && rest.length > 0)) {
        if (s->auth_step < UINT8_MAX)
            sasl_note_user(&s->user, text_value_slice(&s->mechanism), s->auth_step++, word);
        return TEXT_NEXT;
    }
    s->auth_open = false;
    if (word_among(word, greetings)) {
        mail_end(c, s);
        text_value_set(&s->helo, rest);
    }
    if (word_is(word, "RSET") || word_is(word, "QUIT")) mail_end(c, s);
    if (word_is(word, "STARTTLS")) {
        s->reader.hold[TO_SERVER] = true;
        text_queue_push(&s->queue, COMMAND_STARTTLS);
    } else if (word_is(word, "AUTH")) {
        on_auth(s, rest);
        text_queue_push(&s->queue, COMMAND_AUTH);
    } else if (word_is(word, "MAIL")) {
        mail_end(c, s);
        s->mail = true;
        text_value_set(&s->mail_from, path_of(rest, "FROM:"));
        text_queue_push(&s->queue, COMMAND_MAIL);
    } else if (word_is(word, "RCPT")) {
        s->mail = true;
        text_list_add(&s->recipients, path_of(rest, "TO:"));
        text_queue_push(&s->queue, COMMAND_RCPT);
    } else if (word_is(word, "BDAT")) {
        return on_message(s, rest);
    } else if (word_is(word, "DATA")) {
        s->asked = true;
        text_queue_push(&s->queue, COMMAND_DATA);
    } else {
        text_queue_push(&s->queue, COMMAND_OTHER);
    }
    return TEXT_NEXT;
}

/* ------------------------------------------------------------------ what the server says */

static void note_status(struct smtp *s) {
    s->status = s->reply.code;
    text_value_set(&s->status_text, s->reply.text);
}

static void auth_answered(struct conversation *c, struct smtp *s) {
    s->auth_open = false;
    s->auth_status = s->reply.code;
    if (s->reply.code < 400) return;
    note_status(s);
    report(c, s);
    s->status = 0;
    s->status_text.length = 0;
}

static enum text_step server_line(struct conversation *c, struct smtp *s, struct slice line) {
    bool first = s->reply.open == 0 && s->banner.length == 0 && s->queue.count == 0;
    bool last = text_reply_read(&s->reply, line);
    if (first && s->reply.code == 220) text_value_set(&s->banner, s->reply.text);
    if (!last) return TEXT_NEXT;
    uint16_t code = s->reply.code;
    uint8_t command = text_queue_first(&s->queue);
    if (command == COMMAND_AUTH && code == 334) return TEXT_NEXT; /* it goes on */
    text_queue_pop(&s->queue);
    switch (command) {
    case COMMAND_STARTTLS:
        s->reader.hold[TO_SERVER] = false;
        if (code != 220) return TEXT_NEXT;
        s->starttls = true;
        s->reported = false;
        return TEXT_HAND_OVER;
    case COMMAND_AUTH:
        auth_answered(c, s);
        break;
    case COMMAND_RCPT:
        if (code >= 400) s->refused++;
        if (code >= 400) note_status(s);
        break;
    case COMMAND_MAIL:
    case COMMAND_BDAT:
        if (code >= 400) note_status(s);
        break;
    case COMMAND_DATA:
        if (code >= 400) note_status(s);
        if (code == 354 && s->asked) text_body_begin(&s->reader, TO_SERVER);
        s->asked = false;
        break;
    case COMMAND_MESSAGE:
        note_status(s);
        mail_end(c, s);
        break;
    default:
        if (command == COMMAND_NONE && s->queue.count == 0 && code >= 400) note_status(s);
        break;
    }
    return TEXT_NEXT;
}

/* ------------------------------------------------------------------ protocol */

static enum text_step smtp_line(struct conversation *c, enum direction direction, struct slice line) {
    struct smtp *s = c->state;
    return direction == TO_SERVER ? client_line(c, s, line) : server_line(c, s, line);
}

static void smtp_body_end(struct conversation *c, enum direction direction, uint64_t bytes) {
    struct smtp *s = c->state;
    (void)direction;
    s->size += bytes;
    text_queue_push(&s->queue, COMMAND_MESSAGE);
}

static void smtp_tls(struct conversation *c) {
    struct smtp *s = c->state;
    s->starttls = true;
    s->reported = false;
}

static const struct text_handler handler = {
    .on_line = smtp_line, .on_body_end = smtp_body_end, .on_tls = smtp_tls};

static int64_t smtp_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct smtp *s = c->state;
    /* DATA's answer is not here, but what it lets the client send is. */
    if (direction == TO_SERVER && s->asked) {
        s->asked = false;
        text_body_begin(&s->reader, TO_SERVER);
    }
    return text_stream(c, &s->reader, &handler, direction, data, length);
}

static bool smtp_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct smtp *s = c->state;
    text_gap(&s->reader, direction, missing);
    s->auth_open = false;
    s->queue.count = 0; /* which reply is whose, nobody knows now */
    s->reply.open = 0;
    return true;
}

static void smtp_end(struct conversation *c) {
    struct smtp *s = c->state;
    if (s->mail) {
        s->size += s->reader.in_body[TO_SERVER] ? s->reader.body[TO_SERVER] : 0;
        mail_end(c, s);
    }
    if (!s->reported && (s->banner.length > 0 || s->helo.length > 0)) report(c, s);
}

const struct protocol protocol_smtp = {
    .name = "smtp",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct smtp),
    .recognise = smtp_recognise,
    .stream = smtp_stream,
    .gap = smtp_gap,
    .end = smtp_end,
};
