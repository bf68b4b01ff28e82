/* IRC (RFC 1459, RFC 2812, IRCv3 for CAP and STARTTLS): who is there, under which name, in which channels.
 *
 * Messages are counted, never copied. An event is made when the server welcomes or refuses a client, for each
 * JOIN, and at the end. */
#include "protocol/protocols.h"

#include "protocol/text_line.h"

enum { NUMERIC_WELCOME = 1, NUMERIC_STARTTLS = 670, NICK_MOST = 64, PARAMS_MOST = 5 };

struct irc {
    struct text_reader reader;
    struct text_value nick, user, real_name, server;
    struct text_list channels;
    uint32_t sent, received;
    bool password, welcome, reported;
};

/* A message (RFC 2812 section 2.3.1): [@tags] [:prefix] command parameters */
struct message {
    struct slice prefix, command;
    struct slice params[PARAMS_MOST];
    uint32_t count;
};

static bool message_read(struct slice line, struct message *m) {
    *m = (struct message){0};
    if (line.length > 0 && line.at[0] == '@') word_take(&line); /* IRCv3 message tags */
    if (line.length > 0 && line.at[0] == ':') {
        m->prefix = word_take(&line);
        m->prefix.at++, m->prefix.length--;
    }
    m->command = word_take(&line);
    while (line.length > 0 && m->count < PARAMS_MOST) {
        if (line.at[0] == ':') {
            m->params[m->count++] = (struct slice){line.at + 1, line.length - 1};
            break;
        }
        m->params[m->count++] = word_take(&line);
    }
    return m->command.length > 0;
}

/* The three digits of a reply, 0 for a word. */
static uint16_t numeric(struct slice command) {
    uint64_t number = command.length == 3 ? number_take(&command) : 0;
    return command.length == 0 ? (uint16_t)number : 0;
}

/* ------------------------------------------------------------------ recognition */

static bool irc_port(uint16_t port) {
    return (port >= 6660 && port <= 6669) || port == 7000 || port == 194;
}

/* RFC 2812 section 2.3.1, and UTF-8, which servers allow by now. */
static bool nick_valid(struct slice nick) {
    if (nick.length == 0 || nick.length > NICK_MOST || nick.at[0] == '-') return false;
    for (uint32_t i = 0; i < nick.length; i++) {
        uint8_t b = nick.at[i];
        bool special = (b >= '[' && b <= '`') || (b >= '{' && b <= '}') || b == '-' || b >= 0x80;
        if (!special && !(b >= '0' && b <= '9') && !((b | 32) >= 'a' && (b | 32) <= 'z')) return false;
    }
    return true;
}

static enum recognised client_looks(const struct probe *probe) {
    bool whole;
    if (!is_letter(probe->data[0])) return RECOGNISED_NO;
    struct slice line = text_first_line(probe, &whole);
    static const char *const words[] = {"NICK", "USER", "CAP",     "PASS", "JOIN",
                                        "PING", "PONG", "PRIVMSG", NULL};
    struct slice rest = line, word = word_take(&rest);
    if (!word_among(word, words)) {
        if (whole) return RECOGNISED_NO;
        for (unsigned i = 0; words[i]; i++)
            if (line.length < strlen(words[i]) && memcmp(line.at, words[i], line.length) == 0)
                return RECOGNISED_MAYBE;
        return RECOGNISED_NO;
    }
    if (!whole) return line.length < 512 ? RECOGNISED_MAYBE : RECOGNISED_NO;
    struct message m;
    message_read(line, &m);
    if (word_is(word, "NICK") && m.count >= 1 && nick_valid(m.params[0])) return RECOGNISED_YES;
    if (word_is(word, "USER") && m.count == 4) return RECOGNISED_YES; /* FTP's and POP3's has one parameter */
    if (word_is(word, "CAP") && m.count >= 1)
        return word_is(m.params[0], "LS") || word_is(m.params[0], "REQ") || word_is(m.params[0], "END")
                   ? RECOGNISED_YES
                   : RECOGNISED_NO;
    if (word_is(word, "PASS") && m.count >= 1) {
        /* NICK or USER follow, in this segment or the next. */
        struct probe next = *probe;
        uint32_t used =
            (uint32_t)((const uint8_t *)memchr(probe->data, '\n', probe->length) - probe->data) + 1;
        next.data += used;
        next.length -= used;
        if (next.length == 0) return RECOGNISED_MAYBE;
        return word_begins((struct slice){next.data, next.length}, "PASS") ? RECOGNISED_NO
                                                                           : client_looks(&next);
    }
    if (!irc_port(probe->server_port)) return RECOGNISED_NO;
    return m.count >= 1 ? RECOGNISED_YES : RECOGNISED_NO;
}

/* ":irc.example.org NOTICE * :…", ":irc.example.org 001 nick :…", "NOTICE AUTH :…" */
static enum recognised server_looks(const struct probe *probe) {
    bool whole, prefixed = probe->data[0] == ':';
    if (!prefixed && !memchr("NEP", probe->data[0], 3)) return RECOGNISED_NO;
    struct slice line = text_first_line(probe, &whole), word;
    if (!whole) return line.length < 512 && slice_printable(line) ? RECOGNISED_MAYBE : RECOGNISED_NO;
    struct message m;
    message_read(line, &m);
    word = m.command;
    if (prefixed && m.prefix.length > 0 && m.count >= 1) {
        if (word_is(word, "NOTICE") || word_is(word, "CAP") || numeric(word) > 0) return RECOGNISED_YES;
        static const char *const others[] = {"PRIVMSG", "JOIN", "PART", "MODE", "QUIT", "PONG", NULL};
        return irc_port(probe->server_port) && word_among(word, others) ? RECOGNISED_YES : RECOGNISED_NO;
    }
    if (word_is(word, "NOTICE") && m.count == 2 &&
        (word_is(m.params[0], "AUTH") || word_is(m.params[0], "*")))
        return RECOGNISED_YES;
    bool odd = word_is(word, "ERROR") || word_is(word, "PING");
    return odd && m.count >= 1 && irc_port(probe->server_port) ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised irc_recognise(const struct probe *probe) {
    return probe->direction == TO_SERVER ? client_looks(probe) : server_looks(probe);
}

/* ------------------------------------------------------------------ the event */

static void report(struct conversation *c, struct irc *s, const char *type, uint16_t status,
                   const struct text_list *channels) {
    s->reported = true;
    struct event_irc *event = conversation_event(c, EVENT_irc);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_irc_body *body = &event->body;
    body->type = type;
    body->nick = text_value_ref(batch, &s->nick);
    body->user = text_value_ref(batch, &s->user);
    body->real_name = text_value_ref(batch, &s->real_name);
    body->server = text_value_ref(batch, &s->server);
    body->password = s->password;
    body->status = status;
    if (channels) body->channels = text_list_ref(batch, channels);
    if (strcmp(type, "end") == 0) {
        body->sent = s->sent;
        body->received = s->received;
    }
    batch_commit(batch);
}

/* ------------------------------------------------------------------ lines */

static bool is_message(struct slice command) {
    return word_is(command, "PRIVMSG") || word_is(command, "NOTICE");
}

/* "#a,#b keys": the keys are secrets. */
static void on_join(struct conversation *c, struct irc *s, struct slice names) {
    struct text_list list = {0};
    while (names.length > 0) {
        const uint8_t *comma = memchr(names.at, ',', names.length);
        struct slice name = {names.at, comma ? (uint32_t)(comma - names.at) : names.length};
        if (name.length > 0 && !slice_equals(name, "0")) { /* JOIN 0 leaves all */
            text_list_add(&list, name);
            if (!text_list_has(&s->channels, name)) text_list_add(&s->channels, name);
        }
        uint32_t used = comma ? name.length + 1 : name.length;
        names = (struct slice){names.at + used, names.length - used};
    }
    if (list.count > 0) report(c, s, "join", 0, &list);
}

static enum text_step client_line(struct conversation *c, struct irc *s, const struct message *m) {
    if (is_message(m->command)) s->sent++;
    if (word_is(m->command, "PASS")) s->password = true;
    if (m->count == 0) {
        if (word_is(m->command, "STARTTLS")) s->reader.hold[TO_SERVER] = true;
        return TEXT_NEXT;
    }
    if (word_is(m->command, "NICK")) text_value_set(&s->nick, m->params[0]);
    if (word_is(m->command, "USER")) {
        text_value_set(&s->user, m->params[0]);
        if (m->count >= 4) text_value_set(&s->real_name, m->params[3]);
    }
    if (word_is(m->command, "JOIN")) on_join(c, s, m->params[0]);
    return TEXT_NEXT;
}

/* Numerics that mean that the client will not be let in, or not under this name (RFC 2812 section 5.2). */
static bool refuses(uint16_t status) {
    return (status >= 431 && status <= 437) || (status >= 463 && status <= 466) || status == 904;
}

static enum text_step server_line(struct conversation *c, struct irc *s, const struct message *m) {
    uint16_t status = numeric(m->command);
    if (s->welcome && is_message(m->command)) s->received++;
    if (status > 0) text_value_set(&s->server, m->prefix);
    if (s->reader.hold[TO_SERVER] && status > 0) {
        s->reader.hold[TO_SERVER] = false;
        if (status == NUMERIC_STARTTLS) {
            report(c, s, "starttls", 0, NULL);
            return TEXT_HAND_OVER;
        }
    }
    if (status == NUMERIC_WELCOME) {
        s->welcome = true;
        if (m->count > 0) text_value_set(&s->nick, m->params[0]);
        report(c, s, "welcome", 0, NULL);
    } else if (!s->welcome && refuses(status)) {
        report(c, s, "refused", status, NULL);
    }
    return TEXT_NEXT;
}

static enum text_step irc_line(struct conversation *c, enum direction direction, struct slice line) {
    struct irc *s = c->state;
    struct message m;
    if (!message_read(line, &m)) return TEXT_NEXT;
    return direction == TO_SERVER ? client_line(c, s, &m) : server_line(c, s, &m);
}

/* ------------------------------------------------------------------ protocol */

static void irc_tls(struct conversation *c) {
    report(c, c->state, "starttls", 0, NULL);
}

static const struct text_handler handler = {.on_line = irc_line, .on_tls = irc_tls};

static int64_t irc_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct irc *s = c->state;
    return text_stream(c, &s->reader, &handler, direction, data, length);
}

static bool irc_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct irc *s = c->state;
    text_gap(&s->reader, direction, missing);
    return true;
}

static void irc_end(struct conversation *c) {
    struct irc *s = c->state;
    if (s->welcome || s->channels.count > 0 || s->sent > 0 || !s->reported)
        report(c, s, "end", 0, &s->channels);
}

const struct protocol protocol_irc = {
    .name = "irc",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct irc),
    .recognise = irc_recognise,
    .stream = irc_stream,
    .gap = irc_gap,
    .end = irc_end,
};
