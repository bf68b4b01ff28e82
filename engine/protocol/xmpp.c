/* XMPP (RFC 6120): who talks to which server, how it logs in, and whether TLS follows.
 *
 * A stream is one endless XML document. It is read tag by tag, without a tree: the names of a few tags and
 * the text behind some of them are all that is wanted, everything else is passed over. Once the server has
 * bound the client's address nothing more is of interest. */
#include "protocol/protocols.h"

#include "protocol/sasl.h"

enum { TAG_MOST = 8 * 1024, WANTED_MOST = 4 * 1024 };

/* What the text after a tag is. */
enum wanted { WANTED_NOTHING, WANTED_SASL, WANTED_USER, WANTED_JID };

struct xmpp {
    struct text_value to, from, server, mechanism, user, jid;
    const char *kind, *status;
    uint8_t wanted[2]; /* by direction: enum wanted */
    uint8_t sasl_step;
    bool hold; /* the client asked for TLS */
    bool heard[2];
    bool password, starttls, reported;
};

/* ------------------------------------------------------------------ recognition */

static bool xmpp_port(const struct probe *probe) {
    return probe->server_port == 5222 || probe->server_port == 5223 || probe->server_port == 5269;
}

static enum recognised begins(struct slice s, const char *text) {
    size_t n = strlen(text);
    if (s.length >= n) return memcmp(s.at, text, n) == 0 ? RECOGNISED_YES : RECOGNISED_NO;
    return memcmp(s.at, text, s.length) == 0 ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised xmpp_recognise(const struct probe *probe) {
    static const char *const strong[] = {"<stream:", "</stream:stream>", NULL};
    static const char *const weak[] = {"<iq ", "<message ", "<presence ", "<presence>", "<presence/", NULL};
    struct slice s = {probe->data, probe->length};
    enum recognised best = RECOGNISED_NO;
    if (begins(s, "<?xml") != RECOGNISED_NO) {
        const uint8_t *end = memchr(s.at, '>', s.length);
        if (!end) return s.length < 256 ? RECOGNISED_MAYBE : RECOGNISED_NO;
        s = (struct slice){end + 1, s.length - (uint32_t)(end + 1 - s.at)};
        while (s.length > 0 && strchr(" \t\r\n", s.at[0]) && s.at[0]) s.at++, s.length--;
        if (s.length == 0) return RECOGNISED_MAYBE;
    }
    for (unsigned i = 0; strong[i] && best != RECOGNISED_YES; i++)
        if (begins(s, strong[i]) > best) best = begins(s, strong[i]);
    for (unsigned i = 0; weak[i] && xmpp_port(probe) && best != RECOGNISED_YES; i++)
        if (begins(s, weak[i]) > best) best = begins(s, weak[i]);
    return best;
}

/* ------------------------------------------------------------------ the event */

static void report(struct conversation *c, struct xmpp *x) {
    x->reported = true;
    struct event_xmpp *event = conversation_event(c, EVENT_xmpp);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_xmpp_body *body = &event->body;
    body->kind = x->kind;
    body->to = text_value_ref(batch, &x->to);
    body->from = text_value_ref(batch, &x->from);
    body->server = text_value_ref(batch, &x->server);
    body->starttls = x->starttls;
    body->mechanism = text_value_ref(batch, &x->mechanism);
    body->user = text_value_ref(batch, &x->user);
    body->password = x->password;
    body->status = x->status;
    body->jid = text_value_ref(batch, &x->jid);
    batch_commit(batch);
}

/* ------------------------------------------------------------------ tags */

/* The name of a tag without its namespace prefix; a tag that ends another has a '/' before its. */
static struct slice tag_name(struct slice tag) {
    uint32_t n = 0;
    while (n < tag.length && !strchr(" \t\r\n/>", tag.at[n])) n++;
    struct slice name = {tag.at, n};
    const uint8_t *colon = memchr(name.at, ':', n);
    if (colon) name = (struct slice){colon + 1, n - (uint32_t)(colon + 1 - name.at)};
    return name;
}

/* The value of an attribute, empty if it has none of that name. Entities stay as they are. */
static struct slice attribute(struct slice tag, const char *name) {
    uint32_t n = (uint32_t)strlen(name);
    uint8_t quote = 0;
    for (uint32_t i = 1; i < tag.length; i++) {
        uint8_t byte = tag.at[i];
        if (quote) {
            if (byte == quote) quote = 0;
            continue;
        }
        if (byte == '"' || byte == '\'') {
            quote = byte;
            continue;
        }
        bool blank = strchr(" \t\r\n", tag.at[i - 1]) && tag.at[i - 1];
        if (!blank || tag.length - i < n + 3 || memcmp(tag.at + i, name, n) != 0) continue;
        const uint8_t *at = tag.at + i + n;
        if (at[0] != '=' || (at[1] != '"' && at[1] != '\'')) continue;
        uint32_t left = tag.length - i - n - 2;
        const uint8_t *end = memchr(at + 2, at[1], left);
        return end ? (struct slice){at + 2, (uint32_t)(end - at - 2)} : (struct slice){at, 0};
    }
    return (struct slice){tag.at, 0};
}

static void note(struct text_value *value, struct slice s, bool lower) {
    if (s.length == 0) return;
    text_value_set(value, s);
    if (lower) text_value_lower(value);
}

static void client_tag(struct xmpp *x, struct slice tag, struct slice name, bool empty) {
    if (slice_equals(name, "stream")) {
        struct slice space = attribute(tag, "xmlns");
        if (slice_equals(space, "jabber:client")) x->kind = "client";
        if (slice_equals(space, "jabber:server")) x->kind = "server";
        note(&x->to, attribute(tag, "to"), true);
        note(&x->from, attribute(tag, "from"), false);
    } else if (slice_equals(name, "starttls")) {
        x->hold = true;
    } else if (slice_equals(name, "auth") || slice_equals(name, "authenticate")) {
        note(&x->mechanism, attribute(tag, "mechanism"), false);
        text_value_upper(&x->mechanism);
        x->sasl_step = 0;
        x->status = NULL;
        x->password = sasl_sends_password(text_value_slice(&x->mechanism));
        if (!empty && slice_equals(name, "auth")) x->wanted[TO_SERVER] = WANTED_SASL;
    } else if ((slice_equals(name, "response") || slice_equals(name, "initial-response")) && !empty) {
        x->wanted[TO_SERVER] = WANTED_SASL;
    } else if (slice_equals(name, "query") && slice_equals(attribute(tag, "xmlns"), "jabber:iq:auth")) {
        note(&x->mechanism, attribute(tag, "xmlns"), false);
    } else if (slice_equals(text_value_slice(&x->mechanism), "jabber:iq:auth") && !empty) {
        if (slice_equals(name, "username")) x->wanted[TO_SERVER] = WANTED_USER;
        if (slice_equals(name, "password")) x->password = true;
    }
}

/* Returns true where the stream is TLS's from here on. */
static bool server_tag(struct conversation *c, struct xmpp *x, struct slice tag, struct slice name,
                       bool empty) {
    if (slice_equals(name, "stream")) {
        note(&x->server, attribute(tag, "from"), true);
    } else if (slice_equals(name, "proceed")) {
        x->starttls = true;
        x->reported = false;
        return true;
    } else if (slice_equals(name, "failure") && x->hold) {
        x->hold = false;
        conversation_wake(c); /* what the client said behind its request is XMPP's after all */
    } else if (slice_equals(name, "failure") || slice_equals(name, "success")) {
        bool success = slice_equals(name, "success");
        x->status = success ? "success" : "failure";
        if (success)
            x->reported = false; /* the address is still to come */
        else
            report(c, x);
    } else if (slice_equals(name, "jid") && !empty) {
        x->wanted[TO_CLIENT] = WANTED_JID;
    } else if (slice_equals(name, "message") || slice_equals(name, "presence") || slice_equals(name, "iq")) {
        /* In the middle of a stream: what the server hands out is addressed to the client. */
        struct slice to = attribute(tag, "to");
        if (!x->kind && to.length > 0 && memchr(to.at, '@', to.length)) text_value_set(&x->jid, to);
    }
    return false;
}

static void on_text(struct xmpp *x, enum direction direction, struct slice text) {
    uint8_t wanted = x->wanted[direction];
    x->wanted[direction] = WANTED_NOTHING;
    if (wanted == WANTED_USER) text_value_set(&x->user, text);
    if (wanted == WANTED_JID) text_value_set(&x->jid, text);
    if (wanted == WANTED_SASL && x->sasl_step < UINT8_MAX)
        sasl_note_user(&x->user, text_value_slice(&x->mechanism), x->sasl_step++, text);
}

/* ------------------------------------------------------------------ protocol */

/* The '>' that ends a tag; one within quotes does not. */
static const uint8_t *tag_end(const uint8_t *at, const uint8_t *end) {
    uint8_t quote = 0;
    for (; at < end; at++) {
        if (quote ? *at == quote : (*at == '"' || *at == '\''))
            quote = quote ? 0 : *at;
        else if (!quote && *at == '>')
            return at;
    }
    return NULL;
}

/* Takes one tag or the text before one. Returns the bytes used, 0 to wait for more; sets `over_to_tls`. */
static uint32_t take(struct conversation *c, struct xmpp *x, enum direction direction, const uint8_t *at,
                     uint32_t left, bool *over_to_tls) {
    if (at[0] != '<') {
        const uint8_t *next = memchr(at, '<', left);
        uint32_t length = next ? (uint32_t)(next - at) : left;
        if (x->wanted[direction] == WANTED_NOTHING) return length;
        if (!next && left < WANTED_MOST) return 0;
        if (next) on_text(x, direction, (struct slice){at, length});
        x->wanted[direction] = WANTED_NOTHING;
        return length;
    }
    x->wanted[direction] = WANTED_NOTHING;
    const uint8_t *end = tag_end(at, at + (left < TAG_MOST ? left : TAG_MOST));
    if (!end) {
        if (left < TAG_MOST) return 0;
        conversation_anomaly(c, "tag_too_long");
        return TAG_MOST; /* the rest of it passes for text */
    }
    struct slice tag = {at + 1, (uint32_t)(end - at - 1)};
    bool empty = tag.length > 0 && tag.at[tag.length - 1] == '/';
    struct slice name = tag_name(tag);
    if (direction == TO_SERVER) {
        client_tag(x, tag, name, empty);
        if (x->password || x->wanted[TO_SERVER] == WANTED_SASL) conversation_hide_head(c, TO_SERVER);
    } else {
        *over_to_tls = server_tag(c, x, tag, name, empty);
    }
    return (uint32_t)(end + 1 - at);
}

static int64_t xmpp_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct xmpp *x = c->state;
    uint32_t used = 0;
    x->heard[direction] = true;
    while (used < length) {
        const uint8_t *at = data + used;
        if (direction == TO_SERVER && x->hold && x->heard[TO_CLIENT]) return used;
        if (at[0] == 0x16 && length - used < 2) return used;
        bool over_to_tls = at[0] == 0x16 && at[1] == 3; /* no text may have these bytes */
        uint32_t step = over_to_tls ? 0 : take(c, x, direction, at, length - used, &over_to_tls);
        used += step;
        if (over_to_tls) {
            x->starttls = true;
            x->reported = false;
            conversation_hand_over(c);
            return used;
        }
        if (x->jid.length > 0) return STREAM_OVER;
        if (step == 0) break;
    }
    return used;
}

static bool xmpp_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    struct xmpp *x = c->state;
    (void)missing;
    x->wanted[direction] = WANTED_NOTHING;
    if (direction == TO_CLIENT) x->hold = false;
    return true;
}

static void xmpp_end(struct conversation *c) {
    struct xmpp *x = c->state;
    bool something = x->kind || x->to.length > 0 || x->server.length > 0 || x->mechanism.length > 0 ||
                     x->jid.length > 0 || x->starttls;
    if (!x->reported && something) report(c, x);
}

const struct protocol protocol_xmpp = {
    .name = "xmpp",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct xmpp),
    .recognise = xmpp_recognise,
    .stream = xmpp_stream,
    .gap = xmpp_gap,
    .end = xmpp_end,
};
