/* SOCKS (version 4 and its 4a by their memos; version 5 by RFC 1928, names and passwords by RFC 1929).
 *
 * Client and server take turns, but each side's messages tell by themselves what they are: they begin with a
 * version byte, and the client's come in a fixed order. So either side is read without the other, and clients
 * that do not wait are, too. When the server grants a connection, what follows is somebody else's: the stream
 * is handed over.
 *
 * A greeting of version 5 is three bytes or four, too little to be sure. The request behind it, or the port,
 * tells. Passwords are passed over, never kept. */
#include "protocol/protocols.h"
#include "protocol/socks_message.h"
#include "protocol/text_words.h"

#include <stdio.h>

enum { SOCKS_TEXT = 255, HELD_MOST = 16 * 1024 };
enum { METHOD_NONE = 0, METHOD_GSSAPI = 1, METHOD_PASSWORD = 2, METHOD_REFUSED = 0xff };

/* What comes next from a side. */
enum phase { PHASE_BEGIN, PHASE_MIDDLE, PHASE_OVER };

struct socks {
    uint8_t version;
    uint8_t phase[2];  /* by direction */
    uint8_t command;   /* 0: not seen */
    uint8_t answers;   /* of the server to the request */
    bool request_seen; /* whole */
    bool choice_seen, password, reported;
    uint8_t method; /* if choice_seen */
    uint8_t host_length, user_length, bound_length;
    uint16_t port, bound_port;
    const char *reply;
    char host[SOCKS_TEXT], user[SOCKS_TEXT];
    char bound[SOCKS_TEXT];
};

/* -------------------------------------------------------------- recognition */

static bool usual_port(const struct probe *probe) {
    return probe->server_port == 1080 || probe->server_port == 9050 || probe->server_port == 9150;
}

static enum recognised recognise_client_5(const struct probe *probe) {
    struct cursor c = cursor_over(probe->data, probe->length);
    bool plausible = false;
    enum socks_reading greeting = socks_read_greeting(&c, &plausible);
    if (greeting == READ_SHORT) return probe->length > 12 ? RECOGNISED_NO : RECOGNISED_MAYBE;
    if (greeting == READ_BROKEN || !plausible) return RECOGNISED_NO;
    if (cursor_left(&c) == 0) return usual_port(probe) ? RECOGNISED_YES : RECOGNISED_MAYBE;
    struct socks_request request;
    struct socks_login login;
    enum socks_reading next = c.at[0] == VERSION_5 ? socks_read_request_5(&c, &request)
                                                   : socks_read_login(&c, &login); /* each must fit */
    if (next == READ_BROKEN) return RECOGNISED_NO;
    return next == READ_WHOLE ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

static enum recognised recognise_client_4(const struct probe *probe) {
    struct cursor c = cursor_over(probe->data, probe->length);
    struct socks_request request;
    enum socks_reading answer = socks_read_request_4(&c, &request);
    if (answer == READ_SHORT) return RECOGNISED_MAYBE;
    bool nowhere = request.target.port == 0 ||
                   (probe->length >= 5 && probe->data[4] == 0 && request.target.name.length == 0);
    if (answer == READ_BROKEN || nowhere) return RECOGNISED_NO;
    bool alone = cursor_left(&c) == 0; /* the client waits for the answer */
    return alone || request.target.name.length || usual_port(probe) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* Choice of method, maybe the word on the login, reply. Before the reply it may still be anything. */
static enum recognised recognise_server_5(const struct probe *probe) {
    struct cursor c = cursor_over(probe->data, probe->length);
    cursor_u8(&c);
    uint8_t method = cursor_u8(&c);
    if (c.failed) return RECOGNISED_MAYBE;
    if (method > 9 && method < 0x80) return RECOGNISED_NO;
    if (cursor_left(&c) > 0 && method == METHOD_PASSWORD) {
        if (cursor_u8(&c) != VERSION_PASSWORD) return RECOGNISED_NO;
        cursor_u8(&c);
    }
    if (c.failed || cursor_left(&c) == 0) return RECOGNISED_MAYBE;
    const uint8_t *p = cursor_take(&c, cursor_left(&c) < 3 ? cursor_left(&c) : 3);
    if (p[0] != VERSION_5) return RECOGNISED_NO;
    if (c.at - p < 3) return RECOGNISED_MAYBE;
    if (p[1] > 8 || p[2] != 0) return RECOGNISED_NO;
    struct socks_endpoint bound;
    enum socks_reading rest = socks_read_endpoint(&c, &bound);
    if (rest == READ_BROKEN) return RECOGNISED_NO;
    return rest == READ_WHOLE ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

static enum recognised socks_recognise(const struct probe *probe) {
    uint8_t first = probe->data[0];
    if (probe->direction == TO_SERVER) {
        if (first == VERSION_5) return recognise_client_5(probe);
        return first == VERSION_4 ? recognise_client_4(probe) : RECOGNISED_NO;
    }
    if (first == VERSION_5) return recognise_server_5(probe);
    /* Version 4's answer is too little to tell; it does not speak against the client's request. */
    if (first != 0 || probe->length > 8) return RECOGNISED_NO;
    return probe->length < 2 || (probe->data[1] >= 90 && probe->data[1] <= 93) ? RECOGNISED_MAYBE
                                                                               : RECOGNISED_NO;
}

/* -------------------------------------------------------------------- events */

static const char *command_word(uint8_t command) {
    static const char *const words[] = {NULL, "connect", "bind", "udp_associate"};
    return command <= COMMAND_UDP ? words[command] : NULL;
}

static const char *method_word(uint8_t method) {
    switch (method) {
    case METHOD_NONE:
        return "none";
    case METHOD_GSSAPI:
        return "gssapi";
    case METHOD_PASSWORD:
        return "password";
    case METHOD_REFUSED:
        return "not_acceptable";
    default:
        return "other";
    }
}

static const char *reply_word(uint8_t version, uint8_t code) {
    static const char *const five[] = {
        "succeeded",           "general_failure",       "not_allowed",
        "network_unreachable", "host_unreachable",      "connection_refused",
        "ttl_expired",         "command_not_supported", "address_type_not_supported"};
    static const char *const four[] = {"succeeded", "rejected", "no_identd", "user_mismatch"};
    if (version == VERSION_5) return code <= 8 ? five[code] : "other";
    return code >= 90 && code <= 93 ? four[code - 90] : "other";
}

/* What the proxy was asked for counts, granted or not. */
static void note_proxy(struct conversation *c) {
    const struct socks *s = c->state;
    char target[SOCKS_TEXT + 16];
    uint32_t length = 0;
    if (s->command == COMMAND_UDP) return; /* that flow carries nothing; what does is UDP */
    if (s->request_seen) {
        bool six = memchr(s->host, ':', s->host_length) != NULL;
        length = (uint32_t)snprintf(target, sizeof target, six ? "[%.*s]:%u" : "%.*s:%u", s->host_length,
                                    s->host, s->port);
    }
    conversation_set_proxy(c, s->version == VERSION_4 ? "socks4" : "socks5",
                           (struct slice){(const uint8_t *)target, length});
}

static void report(struct conversation *c) {
    struct socks *s = c->state;
    if (s->reported || s->version == 0) return;
    s->reported = true;
    note_proxy(c);
    struct event_socks *event = conversation_event(c, EVENT_socks);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_socks_body *body = &event->body;
    body->version = s->version;
    body->command = command_word(s->command);
    body->host = text_or_none(batch, (struct slice){(const uint8_t *)s->host, s->host_length});
    body->port = s->port;
    body->user = text_or_none(batch, (struct slice){(const uint8_t *)s->user, s->user_length});
    if (s->choice_seen) body->method = method_word(s->method);
    body->password = s->password;
    body->reply = s->reply;
    body->bound = text_or_none(batch, (struct slice){(const uint8_t *)s->bound, s->bound_length});
    body->bound_port = s->bound_port;
    batch_commit(batch);
}

/* -------------------------------------------------------------------- state */

static uint8_t keep_text(char *to, struct slice text) {
    uint32_t length = text.length < SOCKS_TEXT ? text.length : SOCKS_TEXT;
    if (length) memcpy(to, text.at, length);
    return (uint8_t)length;
}

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static uint8_t keep_endpoint(char *to, const struct socks_endpoint *endpoint) {
    if (endpoint->name.length) {
        uint8_t length = keep_text(to, endpoint->name);
        for (uint8_t i = 0; i < length; i++) to[i] = (char)lower((uint8_t)to[i]);
        return length;
    }
    char text[IP_TEXT_SIZE];
    int length = ip_format(&endpoint->address, text);
    memcpy(to, text, (size_t)length);
    return (uint8_t)length;
}

static void keep_request(struct socks *s, const struct socks_request *request) {
    s->command = request->command;
    s->host_length = keep_endpoint(s->host, &request->target);
    s->port = request->target.port;
    if (request->user.length) s->user_length = keep_text(s->user, request->user);
    s->request_seen = true;
}

/* The rest belongs to whom the client asked for. */
static void pass_on(struct conversation *c) {
    report(c);
    conversation_hand_over(c);
}

/* A message that cannot be: whoever recognised it was wrong, or somebody plays. */
static int64_t give_up(struct conversation *c, const char *anomaly) {
    conversation_anomaly(c, anomaly);
    return STREAM_OVER;
}

/* -------------------------------------------------------------------- client */

/* One message of the client. */
static enum socks_reading client_message(struct conversation *conversation, struct cursor *c) {
    struct socks *s = conversation->state;
    struct socks_request request;
    struct socks_login login;
    enum socks_reading answer;
    bool plausible;
    if (s->phase[TO_SERVER] == PHASE_BEGIN && s->version == 0) s->version = c->at[0];
    if (s->version == VERSION_4) {
        answer = socks_read_request_4(c, &request);
        if (answer == READ_WHOLE) keep_request(s, &request);
        if (answer == READ_WHOLE) s->phase[TO_SERVER] = PHASE_OVER;
        return answer;
    }
    if (s->phase[TO_SERVER] == PHASE_BEGIN) {
        answer = socks_read_greeting(c, &plausible);
        if (answer == READ_WHOLE) s->phase[TO_SERVER] = PHASE_MIDDLE;
        return answer;
    }
    if (c->at[0] == VERSION_PASSWORD) {
        answer = socks_read_login(c, &login);
        if (answer != READ_WHOLE) return answer;
        s->user_length = keep_text(s->user, login.user);
        s->password |= login.password;
        conversation_hide_head(conversation, TO_SERVER);
        return READ_WHOLE;
    }
    answer = socks_read_request_5(c, &request);
    if (answer == READ_WHOLE) keep_request(s, &request);
    if (answer == READ_WHOLE) s->phase[TO_SERVER] = PHASE_OVER;
    return answer;
}

static int64_t client_stream(struct conversation *c, const uint8_t *data, uint32_t length) {
    struct socks *s = c->state;
    struct cursor cursor = cursor_over(data, length);
    while (cursor_left(&cursor) > 0 && s->phase[TO_SERVER] != PHASE_OVER) {
        const uint8_t *start = cursor.at;
        enum socks_reading answer = client_message(c, &cursor);
        if (answer == READ_SHORT) return start - data;
        if (answer == READ_WHOLE) continue;
        /* GSSAPI and what nobody knows: their messages are not read, so neither is what they protect. */
        if (s->choice_seen && s->method != METHOD_NONE && s->method != METHOD_PASSWORD) return STREAM_OVER;
        return give_up(c, "malformed_request");
    }
    uint32_t rest = (uint32_t)cursor_left(&cursor);
    /* Behind its request the client waits, unless it is in a hurry. It would not do so behind two answers:
     * then they are not in the capture. */
    bool unanswered = s->version == VERSION_5 && !s->choice_seen && rest > 0;
    if (s->phase[TO_SERVER] == PHASE_OVER && s->command == COMMAND_CONNECT &&
        (unanswered || rest > HELD_MOST))
        pass_on(c);
    return length - rest;
}

/* -------------------------------------------------------------------- server */

/* The answer to the request, or its second one: BIND has one when the proxy listens and one when somebody
 * came. */
static bool answered(struct conversation *c, uint8_t code, uint8_t granted,
                     const struct socks_endpoint *bound) {
    struct socks *s = c->state;
    s->reply = reply_word(s->version, code);
    if (s->answers == 0) {
        s->bound_length = keep_endpoint(s->bound, bound);
        s->bound_port = bound->port;
    }
    s->answers++;
    report(c);
    if (code != granted || s->command == COMMAND_UDP) return false;
    if (s->command == COMMAND_BIND && s->answers < 2) return true;
    pass_on(c);
    return true;
}

/* Reads one message. `*go_on` is false when nothing more is worth reading. */
static enum socks_reading server_message_5(struct conversation *c, struct cursor *cursor, bool *go_on) {
    struct socks *s = c->state;
    if (s->phase[TO_CLIENT] == PHASE_BEGIN) {
        uint8_t version = cursor_u8(cursor), method = cursor_u8(cursor);
        if (cursor->failed) return READ_SHORT;
        if (version != VERSION_5) return READ_BROKEN;
        s->choice_seen = true;
        s->method = method;
        s->phase[TO_CLIENT] = PHASE_MIDDLE;
        if (method == METHOD_REFUSED) {
            s->reply = "no_acceptable_method";
            report(c);
            *go_on = false;
        }
        return READ_WHOLE;
    }
    if (s->method == METHOD_PASSWORD && cursor->at[0] == VERSION_PASSWORD) {
        cursor_u8(cursor);
        uint8_t status = cursor_u8(cursor);
        if (cursor->failed) return READ_SHORT;
        if (status != 0) {
            s->reply = "authentication_failed";
            report(c);
            *go_on = false;
        }
        return READ_WHOLE;
    }
    struct socks_endpoint bound;
    const uint8_t *p = cursor_take(cursor, 3);
    if (!p) return READ_SHORT;
    if (p[0] != VERSION_5 || p[2] != 0) return READ_BROKEN;
    enum socks_reading answer = socks_read_endpoint(cursor, &bound);
    if (answer == READ_WHOLE) *go_on = answered(c, p[1], 0, &bound);
    return answer;
}

static enum socks_reading server_message_4(struct conversation *c, struct cursor *cursor, bool *go_on) {
    const uint8_t *p = cursor_take(cursor, 8);
    if (!p) return READ_SHORT;
    if (p[0] != 0) return READ_BROKEN;
    struct socks_endpoint bound = {.port = load_be16(p + 2)};
    ip_from_v4(&bound.address, p + 4);
    *go_on = answered(c, p[1], 90, &bound);
    return READ_WHOLE;
}

static bool handed(const struct socks *s) {
    return s->reported && s->reply && strcmp(s->reply, "succeeded") == 0 && s->command != COMMAND_UDP &&
           (s->command != COMMAND_BIND || s->answers >= 2);
}

static int64_t server_stream(struct conversation *c, const uint8_t *data, uint32_t length) {
    struct socks *s = c->state;
    struct cursor cursor = cursor_over(data, length);
    if (s->version == 0) s->version = data[0] == VERSION_5 ? VERSION_5 : VERSION_4;
    while (cursor_left(&cursor) > 0) {
        const uint8_t *start = cursor.at;
        bool go_on = true;
        enum socks_reading answer = s->version == VERSION_5 ? server_message_5(c, &cursor, &go_on)
                                                            : server_message_4(c, &cursor, &go_on);
        if (answer == READ_SHORT) return start - data;
        if (answer == READ_BROKEN) {
            if (s->choice_seen && s->method != METHOD_NONE && s->method != METHOD_PASSWORD)
                return STREAM_OVER;
            return give_up(c, "malformed_reply");
        }
        if (!go_on) return STREAM_OVER;
        if (handed(s)) break;
    }
    return length - (int64_t)cursor_left(&cursor);
}

static int64_t socks_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                            uint32_t length) {
    return direction == TO_SERVER ? client_stream(c, data, length) : server_stream(c, data, length);
}

/* The answer is lost, but the client goes on: it was granted. What else is lost cannot be made up for. */
static bool socks_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct socks *s = c->state;
    (void)missing;
    if (direction == TO_CLIENT && s->phase[TO_SERVER] == PHASE_OVER && s->command == COMMAND_CONNECT)
        pass_on(c);
    return false;
}

static void socks_end(struct conversation *c) {
    report(c);
}

const struct protocol protocol_socks = {
    .name = "socks",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct socks),
    .recognise = socks_recognise,
    .stream = socks_stream,
    .gap = socks_gap,
    .end = socks_end,
};
