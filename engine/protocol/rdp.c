/* RDP's first exchange ([MS-RDPBCGR] sections 2.2.1.1 and 2.2.1.2, over TPKT of RFC 1006 and X.224).
 *
 * The client asks for a connection, with a cookie that often holds the user's name and a list of what
 * security it can do; the server chooses. When that is TLS (CredSSP runs inside TLS too) the stream is handed
 * over, so the certificate and the client's fingerprint are in a tls event of the same flow. */
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum {
    TPKT = 4,
    X224 = 7, /* length, code, destination, source, class */
    CONNECTION_REQUEST = 0xe0,
    CONNECTION_CONFIRM = 0xd0,
    NEGOTIATION = 8,
    NEGOTIATION_REQUEST = 1,
    NEGOTIATION_RESPONSE = 2,
    NEGOTIATION_FAILURE = 3,
    SIZE_MOST = 1024,
};

struct rdp {
    struct text_value cookie;
    uint32_t requested, selected, failure;
    bool asked, answered, failed, reported;
};

static const char *protocol_word(uint32_t selected) {
    switch (selected) {
    case 0:
        return "rdp";
    case 1:
        return "tls";
    case 2:
        return "credssp";
    case 4:
        return "rdstls";
    case 8:
        return "credssp_early_user_auth";
    case 16:
        return "rds_aad";
    default:
        return "other";
    }
}

/* What is negotiated: behind the cookie or the routing token, which end with a line's end, or first. Behind
 * it may be a correlation id. NULL if it is not there. */
static const uint8_t *find_negotiation(struct slice rest) {
    const uint8_t *line = rest.length ? memmem(rest.at, rest.length, "\r\n", 2) : NULL;
    uint32_t behind = line ? (uint32_t)(line - rest.at) + 2 : 0;
    for (uint32_t at = 0;; at = behind) {
        const uint8_t *p = rest.at + at;
        bool here = rest.length - at >= NEGOTIATION && p[0] >= NEGOTIATION_REQUEST &&
                    p[0] <= NEGOTIATION_FAILURE && load_le16(p + 2) == NEGOTIATION;
        if (here) return p;
        if (at == behind) return NULL;
    }
}

static enum recognised rdp_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    uint8_t wanted = probe->direction == TO_SERVER ? CONNECTION_REQUEST : CONNECTION_CONFIRM;
    if (p[0] != 3 || (probe->length > 1 && p[1] != 0)) return RECOGNISED_NO;
    if (probe->length < TPKT + X224) return RECOGNISED_MAYBE;
    uint32_t size = load_be16(p + 2);
    if (size < TPKT + X224 || size > SIZE_MOST || p[4] != size - TPKT - 1 || (p[5] & 0xf0) != wanted)
        return RECOGNISED_NO;
    if (probe->length < size) return RECOGNISED_MAYBE;
    /* X.224 carries other things too: it is RDP's by the cookie or by what is negotiated. */
    struct slice rest = {p + TPKT + X224, size - TPKT - X224};
    bool negotiates = find_negotiation(rest);
    bool usual = probe->server_port == 3389 && size == TPKT + X224;
    return negotiates || word_begins(rest, "Cookie: mstshash=") || usual ? RECOGNISED_YES : RECOGNISED_NO;
}

static void report(struct conversation *c, struct rdp *r) {
    if (r->reported || (!r->asked && !r->answered)) return;
    r->reported = true;
    struct event_rdp *event = conversation_event(c, EVENT_rdp);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_rdp_body *body = &event->body;
    body->cookie = text_value_ref(batch, &r->cookie);
    body->requested = r->requested;
    if (r->answered && !r->failed) body->selected = protocol_word(r->selected);
    body->failure = r->failed ? r->failure : 0;
    batch_commit(batch);
}

static void take_request(struct rdp *r, struct slice rest) {
    r->asked = true;
    if (word_begins(rest, "Cookie: ")) {
        const uint8_t *end = memchr(rest.at, '\r', rest.length);
        uint32_t length = end ? (uint32_t)(end - rest.at) : rest.length;
        struct slice cookie = {rest.at + 8, length - 8};
        if (word_begins(cookie, "mstshash=")) cookie = (struct slice){cookie.at + 9, cookie.length - 9};
        text_value_set(&r->cookie, cookie);
    }
    const uint8_t *wanted = find_negotiation(rest);
    if (wanted && wanted[0] == NEGOTIATION_REQUEST) r->requested = load_le32(wanted + 4);
}

static void take_confirm(struct rdp *r, struct slice rest) {
    r->answered = true;
    const uint8_t *said = find_negotiation(rest);
    if (!said) return; /* a server of old: plain RDP security */
    r->failed = said[0] == NEGOTIATION_FAILURE;
    if (r->failed)
        r->failure = load_le32(said + 4);
    else if (said[0] == NEGOTIATION_RESPONSE)
        r->selected = load_le32(said + 4);
}

static int64_t rdp_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct rdp *r = c->state;
    bool request = direction == TO_SERVER;
    if (request ? r->asked : r->answered) {
        /* Who goes on has been answered, though the capture does not hold it: in TLS, or in RDP's own. */
        if (length < 2) return 0;
        report(c, r);
        if (data[0] != 0x16 || data[1] != 3) return STREAM_OVER;
        conversation_hand_over(c);
        return 0;
    }
    if (length < TPKT + X224) return 0;
    uint32_t size = load_be16(data + 2);
    bool fits = data[0] == 3 && size >= TPKT + X224 && size <= SIZE_MOST &&
                (data[5] & 0xf0) == (request ? CONNECTION_REQUEST : CONNECTION_CONFIRM);
    if (!fits) {
        conversation_anomaly(c, "bad_message");
        return STREAM_OVER;
    }
    if (length < size) return 0;
    struct slice rest = {data + TPKT + X224, size - TPKT - X224};
    if (request) {
        take_request(r, rest);
        return size;
    }
    take_confirm(r, rest);
    report(c, r);
    if (r->failed || r->selected == 0) return STREAM_OVER;
    conversation_hand_over(c);
    return size;
}

static void rdp_end(struct conversation *c) {
    report(c, c->state);
}

const struct protocol protocol_rdp = {
    .name = "rdp",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct rdp),
    .recognise = rdp_recognise,
    .stream = rdp_stream,
    .end = rdp_end,
};
