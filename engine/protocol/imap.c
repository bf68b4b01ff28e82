/* IMAP (RFC 9051, RFC 3501): who logs in, how, and whether TLS follows.
 *
 * A command's tag tells which answer is its. Literals, in which messages travel, are passed over by their
 * count; only a user name that is sent as one is read. An event is made as soon as a login is answered, so
 * that a session that idles for hours is told of at its beginning. */
#include "protocol/protocols.h"

#include "protocol/sasl.h"
#include "protocol/text_line.h"

enum { PORT_IMAP = 143, TAG_MOST = 32, LINE_PROBE = 256 };

enum command { COMMAND_OTHER, COMMAND_LOGIN, COMMAND_AUTHENTICATE, COMMAND_STARTTLS };

struct imap {
    struct text_reader reader;
    struct text_value banner, capabilities, client, user, mechanism, status_text;
    const char *status;
    uint8_t command; /* the one that waits: enum command */
    uint8_t tag_length;
    char tag[TAG_MOST];
    uint8_t auth_step;
    bool auth_open;    /* the client's lines are SASL's */
    bool continues[2]; /* the next line goes on after a literal */
    bool want_user;    /* LOGIN's first argument comes as a literal */
    bool greeted, password, starttls, reported;
};

/* ------------------------------------------------------------------ recognition */

static const char *const commands[] = {"CAPABILITY", "LOGIN",  "AUTHENTICATE", "STARTTLS", "ID",     "NOOP",
                                       "LOGOUT",     "SELECT", "EXAMINE",      "LIST",     "LSUB",   "FETCH",
                                       "UID",        "IDLE",   "STATUS",       "ENABLE",   "SEARCH", "STORE",
                                       "EXPUNGE",    "CLOSE",  "NAMESPACE",    "APPEND",   NULL};

static enum recognised client_looks(const struct probe *probe) {
    bool whole;
    if (probe->data[0] <= ' ' || probe->data[0] > '~') return RECOGNISED_NO;
    struct slice rest = text_first_line(probe, &whole), tag = word_take(&rest), word = word_take(&rest);
    if (!slice_printable(tag) || tag.length == 0 || tag.length > TAG_MOST) return RECOGNISED_NO;
    if (!whole) return word.length < 13 && probe->length < LINE_PROBE ? RECOGNISED_MAYBE : RECOGNISED_NO;
    if (!word_among(word, commands)) return RECOGNISED_NO;
    if (probe->other.length > 2 && memcmp(probe->other.at, "* ", 2) == 0) return RECOGNISED_YES;
    bool strong = word_is(word, "CAPABILITY") || word_is(word, "AUTHENTICATE") || word_is(word, "STARTTLS");
    if (probe->server_port == PORT_IMAP || (strong && probe->other.length == 0)) return RECOGNISED_YES;
    return probe->other.length <= 2 ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised server_looks(const struct probe *probe) {
    bool whole;
    if (probe->data[0] != '*' && probe->server_port != PORT_IMAP) return RECOGNISED_NO;
    struct slice line = text_first_line(probe, &whole), rest = line, tag = word_take(&rest),
                 word = word_take(&rest);
    static const char *const states[] = {"OK", "NO", "BAD", "BYE", "PREAUTH", NULL};
    if (!slice_printable(tag) || (line.at[0] == '*' && tag.length != 1)) return RECOGNISED_NO;
    if (!whole && rest.length == 0) return line.length < 16 ? RECOGNISED_MAYBE : RECOGNISED_NO;
    bool status = word_among(word, states);
    if (status && (slice_contains(line, "IMAP") || probe->server_port == PORT_IMAP)) return RECOGNISED_YES;
    if (status && line.at[0] == '*') return RECOGNISED_MAYBE;
    if (probe->server_port != PORT_IMAP || line.at[0] != '*') return RECOGNISED_NO;
    return word_is(word, "CAPABILITY") || word_is(rest, "EXISTS") || word_begins(rest, "FETCH ")
               ? RECOGNISED_YES
               : RECOGNISED_NO;
}

static enum recognised imap_recognise(const struct probe *probe) {
    return probe->direction == TO_SERVER ? client_looks(probe) : server_looks(probe);
}

/* ------------------------------------------------------------------ the event */

static void report(struct conversation *c, struct imap *s) {
    s->reported = true;
    struct event_imap *event = conversation_event(c, EVENT_imap);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_imap_body *body = &event->body;
    body->banner = text_value_ref(batch, &s->banner);
    body->capabilities = text_value_ref(batch, &s->capabilities);
    body->client = text_value_ref(batch, &s->client);
    body->starttls = s->starttls;
    body->mechanism = text_value_ref(batch, &s->mechanism);
    body->user = text_value_ref(batch, &s->user);
    body->password = s->password;
    body->status = s->status;
    body->status_text = text_value_ref(batch, &s->status_text);
    batch_commit(batch);
}

/* ------------------------------------------------------------------ literals */

/* Does the line end with {n}, {n+} (RFC 7888) or ~{n} (RFC 3516)? */
static bool ends_with_literal(struct slice line, uint64_t *bytes) {
    uint32_t at = line.length;
    if (at < 3 || line.at[at - 1] != '}') return false;
    at -= line.at[at - 2] == '+' || line.at[at - 2] == '-' ? 2 : 1;
    uint32_t end = at;
    while (at > 0 && line.at[at - 1] >= '0' && line.at[at - 1] <= '9') at--;
    if (at == end || at == 0 || line.at[at - 1] != '{') return false;
    struct slice digits = {line.at + at, end - at};
    *bytes = number_take(&digits);
    return true;
}

/* After a line: on with the next, or first past the literal that it ends with. */
static enum text_step line_done(struct imap *s, enum direction direction, struct slice line) {
    s->continues[direction] = ends_with_literal(line, &s->reader.count[direction]);
    if (!s->continues[direction]) return TEXT_NEXT;
    bool user = direction == TO_SERVER && s->want_user && s->reader.count[direction] <= TEXT_VALUE_MOST;
    if (direction == TO_SERVER && !user) s->want_user = false; /* the next literal is the password */
    return user ? TEXT_COUNTED : TEXT_SKIP;
}

static void imap_counted(struct conversation *c, enum direction direction, struct slice bytes) {
    struct imap *s = c->state;
    (void)direction;
    s->want_user = false;
    text_value_set(&s->user, bytes);
}

/* ------------------------------------------------------------------ what the client says */

/* LOGIN's user: an atom, or a string in quotes with \" and \\ in it (RFC 9051 section 4.3). */
static void note_login(struct imap *s, struct slice rest) {
    static const struct slice name = {(const uint8_t *)"LOGIN", 5};
    text_value_set(&s->mechanism, name);
    s->password = true;
    s->user.length = 0;
    s->want_user = rest.length > 0 && rest.at[0] == '{';
    if (s->want_user) return;
    if (rest.length == 0 || rest.at[0] != '"') {
        text_value_set(&s->user, word_take(&rest));
        return;
    }
    for (uint32_t i = 1; i < rest.length && rest.at[i] != '"' && s->user.length < TEXT_VALUE_MOST; i++) {
        if (rest.at[i] == '\\' && i + 1 < rest.length) i++;
        s->user.bytes[s->user.length++] = (char)rest.at[i];
    }
}

static void note_authenticate(struct imap *s, struct slice rest) {
    text_value_set(&s->mechanism, word_take(&rest));
    text_value_upper(&s->mechanism);
    s->user.length = 0;
    s->auth_open = true;
    s->auth_step = 0;
    s->password = sasl_sends_password(text_value_slice(&s->mechanism));
    if (rest.length > 0) sasl_note_user(&s->user, text_value_slice(&s->mechanism), s->auth_step++, rest);
}

static void client_command(struct imap *s, struct slice line) {
    struct slice rest = line, tag = word_take(&rest), word = word_take(&rest);
    uint8_t command = word_is(word, "LOGIN")          ? COMMAND_LOGIN
                      : word_is(word, "AUTHENTICATE") ? COMMAND_AUTHENTICATE
                      : word_is(word, "STARTTLS")     ? COMMAND_STARTTLS
                                                      : COMMAND_OTHER;
    if (word_is(word, "ID") && !word_is(rest, "NIL")) text_value_set(&s->client, rest);
    if (command == COMMAND_OTHER || tag.length > TAG_MOST) return;
    s->command = command;
    s->tag_length = (uint8_t)tag.length;
    memcpy(s->tag, tag.at, tag.length);
    s->status = NULL;
    s->status_text.length = 0;
    s->reported = false;
    if (command == COMMAND_LOGIN) note_login(s, rest);
    if (command == COMMAND_AUTHENTICATE) note_authenticate(s, rest);
    if (command == COMMAND_STARTTLS) s->reader.hold[TO_SERVER] = true;
}

static enum text_step client_line(struct imap *s, struct slice line) {
    if (s->auth_open) {
        if (s->auth_step < UINT8_MAX)
            sasl_note_user(&s->user, text_value_slice(&s->mechanism), s->auth_step++, line);
        return TEXT_NEXT;
    }
    if (!s->continues[TO_SERVER] && line.length > 0) client_command(s, line);
    return line_done(s, TO_SERVER, line);
}

/* ------------------------------------------------------------------ what the server says */

/* "CAPABILITY IMAP4rev1 …", on a line of its own or in brackets. */
static void note_capabilities(struct imap *s, struct slice text) {
    static const char mark[] = "CAPABILITY ";
    for (; text.length > sizeof mark - 1; text.at++, text.length--)
        if (word_begins(text, mark)) break;
    if (text.length <= sizeof mark - 1) return;
    text = (struct slice){text.at + sizeof mark - 1, text.length - (uint32_t)(sizeof mark - 1)};
    const uint8_t *end = memchr(text.at, ']', text.length);
    if (end) text.length = (uint32_t)(end - text.at);
    text_value_set(&s->capabilities, slice_trim(text));
}

static void untagged(struct imap *s, struct slice text) {
    struct slice rest = text, word = word_take(&rest);
    bool status = word_is(word, "OK") || word_is(word, "PREAUTH") || word_is(word, "BYE");
    if (status && !s->greeted && s->command == COMMAND_OTHER) text_value_set(&s->banner, text);
    s->greeted = true;
    if (word_is(word, "CAPABILITY") || (status && word_begins(rest, "[CAPABILITY ")))
        note_capabilities(s, text);
}

static enum text_step answered(struct conversation *c, struct imap *s, struct slice rest) {
    struct slice word = word_take(&rest);
    uint8_t command = s->command;
    bool ok = word_is(word, "OK");
    if (!ok && !word_is(word, "NO") && !word_is(word, "BAD")) return TEXT_NEXT;
    s->command = COMMAND_OTHER;
    s->auth_open = false;
    if (ok && word_begins(rest, "[CAPABILITY ")) note_capabilities(s, rest);
    if (command == COMMAND_STARTTLS) {
        s->reader.hold[TO_SERVER] = false;
        s->starttls = ok;
        return ok ? TEXT_HAND_OVER : TEXT_NEXT;
    }
    s->status = ok ? "ok" : word_is(word, "NO") ? "no" : "bad";
    text_value_set(&s->status_text, rest);
    report(c, s);
    return TEXT_NEXT;
}

static enum text_step server_line(struct conversation *c, struct imap *s, struct slice line) {
    if (!s->continues[TO_CLIENT]) {
        struct slice rest = line, tag = word_take(&rest);
        bool waited = s->command != COMMAND_OTHER && tag.length == s->tag_length &&
                      memcmp(tag.at, s->tag, tag.length) == 0;
        if (slice_equals(tag, "*")) untagged(s, rest);
        if (waited) return answered(c, s, rest);
    }
    return line_done(s, TO_CLIENT, line);
}

/* ------------------------------------------------------------------ protocol */

static enum text_step imap_line(struct conversation *c, enum direction direction, struct slice line) {
    struct imap *s = c->state;
    return direction == TO_SERVER ? client_line(s, line) : server_line(c, s, line);
}

static void imap_tls(struct conversation *c) {
    struct imap *s = c->state;
    s->starttls = true;
    s->reported = false;
}

static const struct text_handler handler = {
    .on_line = imap_line, .on_counted = imap_counted, .on_tls = imap_tls};

static int64_t imap_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct imap *s = c->state;
    return text_stream(c, &s->reader, &handler, direction, data, length);
}

static bool imap_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct imap *s = c->state;
    text_gap(&s->reader, direction, missing);
    s->auth_open = s->want_user = s->continues[direction] = false;
    return true;
}

static void imap_end(struct conversation *c) {
    struct imap *s = c->state;
    if (!s->reported) report(c, s);
}

const struct protocol protocol_imap = {
    .name = "imap",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct imap),
    .recognise = imap_recognise,
    .stream = imap_stream,
    .gap = imap_gap,
    .end = imap_end,
};
