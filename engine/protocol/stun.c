/* STUN and TURN (RFC 8489, RFC 8656; the older RFC 3489 without a magic cookie), over UDP and TCP.
 *
 * A message begins with two zero bits, has a length that is a multiple of four, and since RFC 5389 a magic
 * cookie that nobody writes by chance. Without the cookie a message of binding must fit to the byte, with its
 * attributes or on port 3478. Microsoft's TURN ([MS-TURN]) has a cookie of its own as first attribute, pads
 * nothing, and calls the relay's address MAPPED-ADDRESS. On one socket with it go media, DTLS and TURN's
 * channel data, told apart by the first byte (RFC 7983). A DTLS handshake is read as DTLS alone would be
 * (dtls.h) and makes a `tls` event of this flow; the others are passed over. Over TCP each message may have
 * its length before it (RFC 4571, as ICE wants it: RFC 6544).
 *
 * Calls send many messages, and in ICE both sides ask. There is an event for each kind of success the first
 * time each side gives it in a flow (what the outside address is, what a relay gave), for each error, and one
 * at the end for a flow that was never answered. */
#include "protocol/certificate_cache.h"
#include "protocol/dtls.h"
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum {
    HEADER = 20,
    COOKIE = 0x2112a442,
    MICROSOFT_COOKIE = 0x72c64bc6,
    PORT_STUN = 3478,
    ADDRESS_V4 = 1,
    ADDRESS_V6 = 2,
    FRAME = 2,            /* RFC 4571 */
    LOOK_MOST = 16 * 1024 /* of a message over TCP: longer ones carry data, and tell nothing */
};
enum stun_class { CLASS_REQUEST, CLASS_INDICATION, CLASS_SUCCESS, CLASS_ERROR };

enum stun_method {
    METHOD_BINDING = 1,
    METHOD_SHARED_SECRET = 2,
    METHOD_ALLOCATE = 3,
    METHOD_REFRESH = 4,
    METHOD_SEND = 6,
    METHOD_DATA = 7,
    METHOD_CREATE_PERMISSION = 8,
    METHOD_CHANNEL_BIND = 9,
    METHOD_CONNECT = 10,
    METHOD_CONNECTION_BIND = 11,
    METHOD_CONNECTION_ATTEMPT = 12,
};

enum stun_attribute {
    ATTRIBUTE_MAPPED = 0x0001,
    ATTRIBUTE_USERNAME = 0x0006,
    ATTRIBUTE_ERROR = 0x0009,
    ATTRIBUTE_MICROSOFT = 0x000f,
    ATTRIBUTE_XOR_PEER = 0x0012,
    ATTRIBUTE_REALM = 0x0014,
    ATTRIBUTE_XOR_RELAYED = 0x0016,
    ATTRIBUTE_XOR_MAPPED = 0x0020,
    ATTRIBUTE_XOR_MAPPED_OLD = 0x8020, /* of drafts, still in use */
    ATTRIBUTE_SOFTWARE = 0x8022,
};

struct transport_address {
    struct ip ip;
    uint16_t port;
    bool known;
};

/* One side as it asks. */
struct asker {
    struct text_value user, software;
    struct transport_address peer;
    bool asked;
};

struct stun {
    struct asker asker[2]; /* by direction of the requests */
    struct text_value realm;
    uint32_t messages;
    uint16_t told[2]; /* successes by method, by direction of the answers */
    uint16_t method;  /* of the last request */
    bool told_any;
    struct dtls *dtls; /* owned: a handshake on the same socket, until it is told */
    bool dtls_told;
    bool cookie;  /* a message had it: those without are none */
    bool framed;  /* over TCP, by RFC 4571 */
    bool lost[2]; /* by direction: behind a gap, looking for a message */
};

/* What one message says. */
struct message {
    uint16_t method;
    uint8_t class;
    bool cookie;
    struct slice user, realm, software, reason;
    struct transport_address mapped, relayed, peer;
    uint16_t error;
};

/* ------------------------------------------------------------------- reading */

static uint16_t method_of(uint16_t type) {
    return (uint16_t)((type & 0x000f) | (type & 0x00e0) >> 1 | (type & 0x3e00) >> 2);
}

static uint8_t class_of(uint16_t type) {
    return (uint8_t)((type & 0x0010) >> 4 | (type & 0x0100) >> 7);
}

static const char *method_word(uint16_t method) {
    switch (method) {
    case METHOD_BINDING:
        return "binding";
    case METHOD_SHARED_SECRET:
        return "shared_secret";
    case METHOD_ALLOCATE:
        return "allocate";
    case METHOD_REFRESH:
        return "refresh";
    case METHOD_SEND:
        return "send";
    case METHOD_DATA:
        return "data";
    case METHOD_CREATE_PERMISSION:
        return "create_permission";
    case METHOD_CHANNEL_BIND:
        return "channel_bind";
    case METHOD_CONNECT:
        return "connect";
    case METHOD_CONNECTION_BIND:
        return "connection_bind";
    case METHOD_CONNECTION_ATTEMPT:
        return "connection_attempt";
    default:
        return "other";
    }
}

/* An address; of the XOR kind it is masked with the cookie and the transaction id behind it. */
static struct transport_address read_address(struct slice value, const uint8_t *mask) {
    struct transport_address out = {.known = false};
    uint32_t size = value.length >= 4 && value.at[1] == ADDRESS_V6 ? 16 : 4;
    if (value.length < 4 + size || value.at[1] < ADDRESS_V4 || value.at[1] > ADDRESS_V6) return out;
    uint8_t bytes[16];
    for (uint32_t i = 0; i < size; i++) bytes[i] = value.at[4 + i] ^ (mask ? mask[i] : 0);
    if (size == 4)
        ip_from_v4(&out.ip, bytes);
    else
        memcpy(out.ip.bytes, bytes, 16);
    out.port = (uint16_t)(load_be16(value.at + 2) ^ (mask ? load_be16(mask) : 0));
    out.known = true;
    return out;
}

static void read_attribute(struct message *m, uint16_t type, struct slice value, const uint8_t *mask) {
    switch (type) {
    case ATTRIBUTE_USERNAME:
        m->user = value;
        break;
    case ATTRIBUTE_REALM:
        m->realm = value;
        break;
    case ATTRIBUTE_SOFTWARE:
        m->software = value;
        break;
    case ATTRIBUTE_MAPPED:
        if (!m->mapped.known) m->mapped = read_address(value, NULL);
        break;
    case ATTRIBUTE_XOR_MAPPED:
    case ATTRIBUTE_XOR_MAPPED_OLD:
        m->mapped = read_address(value, mask);
        break;
    case ATTRIBUTE_XOR_RELAYED:
        m->relayed = read_address(value, mask);
        break;
    case ATTRIBUTE_XOR_PEER:
        m->peer = read_address(value, mask);
        break;
    case ATTRIBUTE_ERROR:
        if (value.length < 4) break;
        m->error = (uint16_t)((value.at[2] & 7) * 100 + value.at[3] % 100);
        m->reason = (struct slice){value.at + 4, value.length - 4};
        break;
    default:
        break;
    }
}

/* Is it a message of [MS-TURN]? `p` has `length` bytes. */
static bool is_microsoft(const uint8_t *p, uint32_t length) {
    return length >= HEADER + 8 && load_be32(p + HEADER) == ((uint32_t)ATTRIBUTE_MICROSOFT << 16 | 4) &&
           load_be32(p + HEADER + 4) == MICROSOFT_COOKIE;
}

/* Reads a whole message of which `c` holds header and attributes. False if an attribute leads out of it. */
static bool read_message(struct cursor *c, struct message *m) {
    *m = (struct message){0};
    bool microsoft = is_microsoft(c->at, (uint32_t)cursor_left(c));
    const uint8_t *head = cursor_take(c, HEADER);
    if (!head) return false;
    m->method = method_of(load_be16(head));
    m->class = class_of(load_be16(head));
    m->cookie = load_be32(head + 4) == COOKIE;
    while (cursor_left(c) >= 4) {
        uint16_t type = cursor_be16(c), length = cursor_be16(c);
        const uint8_t *value = cursor_take(c, length);
        if (!value) return false;
        size_t padding = microsoft ? 0 : -length & 3u;
        cursor_take(c, padding < cursor_left(c) ? padding : cursor_left(c));
        struct slice content = {value, length};
        if (microsoft && type == ATTRIBUTE_MAPPED)
            m->relayed = read_address(content, NULL);
        else
            read_attribute(m, type, content, head + 4);
    }
    return cursor_left(c) == 0;
}

/* ---------------------------------------------------------------- recognition */

/* `p` has `length` bytes, four at least. */
static bool header_fits(const uint8_t *p, uint32_t length) {
    return p[0] < 0x40 && ((p[3] & 3) == 0 || is_microsoft(p, length));
}

static bool has_cookie(const uint8_t *p) {
    return load_be32(p + 4) == COOKIE;
}

/* Does a message over TCP begin here? It may be in sight in part. */
static bool begins_message(const uint8_t *p, uint32_t length) {
    return length >= 8 && header_fits(p, length) && has_cookie(p);
}

static bool begins_frame(const uint8_t *p, uint32_t length) {
    return length >= FRAME + 8 && begins_message(p + FRAME, length - FRAME) &&
           load_be16(p) == HEADER + load_be16(p + FRAME + 2);
}

static enum recognised recognise_stream(const struct probe *probe) {
    const uint8_t *p = probe->data;
    if (begins_message(p, probe->length)) return RECOGNISED_YES;
    if (probe->length >= FRAME + 8) return begins_frame(p, probe->length) ? RECOGNISED_YES : RECOGNISED_NO;
    return p[0] < 0x40 ? RECOGNISED_MAYBE : RECOGNISED_NO;
}

static enum recognised stun_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    if (probe->transport == TRANSPORT_TCP) return recognise_stream(probe);
    if (probe->length < HEADER || !header_fits(p, probe->length)) return RECOGNISED_NO;
    if (HEADER + (uint32_t)load_be16(p + 2) != probe->original) return RECOGNISED_NO;
    if (has_cookie(p)) return RECOGNISED_YES;
    bool usual = probe->server_port == PORT_STUN || probe->client_port == PORT_STUN;
    uint16_t method = method_of(load_be16(p));
    struct message m;
    struct cursor c = cursor_over(p, probe->length);
    bool known = (usual || probe->length > HEADER) && p[0] <= 1 &&
                 (method == METHOD_BINDING || method == METHOD_SHARED_SECRET);
    return known && read_message(&c, &m) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* --------------------------------------------------------------------- events */

static void fill_address(struct ip *ip, uint16_t *port, const struct transport_address *from) {
    if (!from->known) return;
    *ip = from->ip;
    *port = from->port;
}

/* `asked` is the direction of the requests; `m` is NULL at the end of a flow that nobody answered. */
static void report(struct conversation *c, struct stun *s, enum direction asked, const struct message *m) {
    s->told_any = true;
    struct event_stun *event = conversation_event(c, EVENT_stun);
    if (!event) return;
    const struct asker *asker = &s->asker[asked];
    struct batch *batch = conversation_batch(c);
    struct event_stun_body *body = &event->body;
    body->method = method_word(m ? m->method : s->method);
    body->result = !m ? NULL : m->class == CLASS_SUCCESS ? "success" : "error";
    body->server_asked = asked == TO_CLIENT;
    body->user = text_value_ref(batch, &asker->user);
    body->realm = text_value_ref(batch, &s->realm);
    body->client_software = text_value_ref(batch, &asker->software);
    body->messages = s->messages;
    fill_address(&body->peer_ip, &body->peer_port, &asker->peer);
    if (m) {
        body->server_software = text_or_none(batch, m->software);
        body->error = m->error;
        body->reason = text_or_none(batch, m->reason);
        fill_address(&body->mapped_ip, &body->mapped_port, &m->mapped);
        fill_address(&body->relayed_ip, &body->relayed_port, &m->relayed);
    }
    batch_commit(batch);
}

static void take_request(struct stun *s, enum direction direction, const struct message *m) {
    struct asker *asker = &s->asker[direction];
    s->method = m->method;
    asker->asked = true;
    if (m->user.length) text_value_set(&asker->user, m->user);
    if (m->software.length) text_value_set(&asker->software, m->software);
    if (m->peer.known) asker->peer = m->peer;
}

static void take_message(struct conversation *c, enum direction direction, const struct message *m) {
    struct stun *s = c->state;
    s->messages++;
    s->cookie |= m->cookie;
    if (m->realm.length) text_value_set(&s->realm, m->realm);
    if (m->class == CLASS_REQUEST || m->class == CLASS_INDICATION) {
        take_request(s, direction, m);
    } else if (m->class == CLASS_ERROR) {
        report(c, s, !direction, m);
    } else {
        uint16_t bit = (uint16_t)(1u << (m->method & 15));
        if (!(s->told[direction] & bit)) report(c, s, !direction, m);
        s->told[direction] |= bit;
    }
}

/* RFC 7983: a first byte of 20 to 63 is DTLS's. */
static bool is_dtls(struct slice payload) {
    return payload.length > 0 && payload.at[0] >= 20 && payload.at[0] <= 63;
}

static void beside(struct conversation *c, struct stun *s, enum direction direction, struct slice payload,
                   uint32_t original) {
    if (s->dtls_told) return;
    if (!s->dtls && dtls_begins(payload, original)) s->dtls = dtls_new();
    if (!s->dtls || !dtls_read(c, s->dtls, direction, payload, original)) return;
    dtls_free(s->dtls);
    s->dtls = NULL;
    s->dtls_told = true;
}

static void stun_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    const struct stun *s = c->state;
    if (is_dtls(payload)) beside(c, c->state, direction, payload, original);
    if (payload.length < HEADER || !header_fits(payload.at, payload.length))
        return;                                                           /* media, DTLS, channel data */
    if (HEADER + (uint32_t)load_be16(payload.at + 2) != original) return; /* somebody else's on this socket */
    if (s->cookie && !has_cookie(payload.at)) return;
    struct message m;
    struct cursor rest = cursor_over(payload.at, payload.length);
    bool whole = read_message(&rest, &m);
    if (whole || payload.length < original)
        take_message(c, direction, &m);
    else
        conversation_anomaly(c, "bad_attribute");
}

/* How many bytes the message, the channel data or the framed something that begins here has; 0 if nothing of
 * the kind does. Channel data (RFC 8656 section 12.5) has a number from 0x4000 on, a length, and padding to
 * four bytes. */
static uint32_t piece_size(const struct stun *s, const uint8_t *p) {
    if (s->framed) return FRAME + (uint32_t)load_be16(p);
    uint32_t size = load_be16(p + 2);
    if (p[0] >= 0x40 && p[0] < 0x80) return 4 + ((size + 3) & ~3u);
    return p[0] < 0x40 ? HEADER + size : 0;
}

enum next { NEXT_PIECE, NEXT_OTHER, NEXT_NOTHING };

/* Whose what follows is. */
static enum next take_piece(struct conversation *c, enum direction direction, struct slice piece) {
    struct stun *s = c->state;
    if (s->framed) { /* media between the messages */
        piece = (struct slice){piece.at + FRAME, piece.length - FRAME};
        if (piece.length < HEADER || !begins_message(piece.at, piece.length)) return NEXT_PIECE;
    }
    if (piece.at[0] >= 0x40) return NEXT_PIECE;
    struct message m;
    struct cursor rest = cursor_over(piece.at, piece.length);
    if (!has_cookie(piece.at) || !read_message(&rest, &m)) {
        conversation_anomaly(c, "bad_message");
        return NEXT_NOTHING;
    }
    take_message(c, direction, &m);
    /* RFC 6062: what follows are the peer's bytes, whatever these are. */
    if (m.method != METHOD_CONNECTION_BIND || m.class != CLASS_SUCCESS) return NEXT_PIECE;
    conversation_hand_over(c);
    return NEXT_OTHER;
}

/* Over TCP messages follow one another, with channel data between them. */
static int64_t stun_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct stun *s = c->state;
    uint32_t used = 0;
    if (s->messages == 0 && begins_frame(data, length)) s->framed = true;
    if (s->lost[direction]) { /* messages begin with a segment, mostly */
        bool found = s->framed ? begins_frame(data, length) : begins_message(data, length);
        if (!found) return length;
        s->lost[direction] = false;
    }
    while (length - used >= 4) {
        uint32_t left = length - used, size = piece_size(s, data + used);
        if (size == 0) {
            conversation_anomaly(c, "bad_message");
            return STREAM_OVER;
        }
        bool data_only = !s->framed && data[used] >= 0x40;
        if (size > LOOK_MOST || (data_only && left < size)) return (int64_t)used + size;
        if (left < size) break;
        enum next next = take_piece(c, direction, (struct slice){data + used, size});
        if (next == NEXT_NOTHING) return STREAM_OVER;
        used += size;
        if (next == NEXT_OTHER) break;
    }
    return used;
}

static bool stun_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)missing;
    struct stun *s = c->state;
    s->lost[direction] = true;
    return true;
}

static void stun_end(struct conversation *c) {
    struct stun *s = c->state;
    if (s->dtls) dtls_finish(c, s->dtls);
    dtls_free(s->dtls);
    s->dtls = NULL;
    /* Whom nobody answered: the client, or in captures of one side its server. */
    bool up = s->asker[TO_SERVER].asked || !s->asker[TO_CLIENT].asked;
    if (!s->told_any) report(c, s, up ? TO_SERVER : TO_CLIENT, NULL);
}

static void *stun_share(void) {
    return certificate_cache_new();
}

static void stun_unshare(void *shared) {
    certificate_cache_free(shared);
}

const struct protocol protocol_stun = {
    .name = "stun",
    .transports = TRANSPORT_UDP | TRANSPORT_TCP,
    .state_size = sizeof(struct stun),
    .recognise = stun_recognise,
    .stream = stun_stream,
    .gap = stun_gap,
    .datagram = stun_datagram,
    .share = stun_share,
    .unshare = stun_unshare,
    .end = stun_end,
};
