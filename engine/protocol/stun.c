/* STUN and TURN (RFC 8489, RFC 8656; the older RFC 3489 without a magic cookie), over UDP and TCP.
 *
 * A message begins with two zero bits, has a length that is a multiple of four, and since RFC 5389 a magic
 * cookie that nobody writes by chance. Without the cookie only port 3478 and a message that fits to the byte
 * are believed. On one socket with it go media, DTLS and TURN's channel data, told apart by the first byte
 * (RFC 7983). A DTLS handshake is read as DTLS alone would be (dtls.h) and makes a `tls` event of this flow;
 * the others are passed over.
 *
 * Calls send many messages. There is an event for each kind of success the first time it comes in a flow
 * (what the outside address is, what a relay gave), for each error, and one at the end for a flow that was
 * never answered. */
#include "protocol/certificate_cache.h"
#include "protocol/dtls.h"
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum { HEADER = 20, COOKIE = 0x2112a442, PORT_STUN = 3478, ADDRESS_V4 = 1, ADDRESS_V6 = 2 };
enum stun_class { CLASS_REQUEST, CLASS_INDICATION, CLASS_SUCCESS, CLASS_ERROR };

enum stun_method {
    METHOD_BINDING = 1,
    METHOD_ALLOCATE = 3,
    METHOD_REFRESH = 4,
    METHOD_SEND = 6,
    METHOD_DATA = 7,
    METHOD_CREATE_PERMISSION = 8,
    METHOD_CHANNEL_BIND = 9,
    METHOD_CONNECT = 10,
};

enum stun_attribute {
    ATTRIBUTE_MAPPED = 0x0001,
    ATTRIBUTE_USERNAME = 0x0006,
    ATTRIBUTE_ERROR = 0x0009,
    ATTRIBUTE_XOR_PEER = 0x0012,
    ATTRIBUTE_REALM = 0x0014,
    ATTRIBUTE_XOR_RELAYED = 0x0016,
    ATTRIBUTE_XOR_MAPPED = 0x0020,
    ATTRIBUTE_SOFTWARE = 0x8022,
};

struct transport_address {
    struct ip ip;
    uint16_t port;
    bool known;
};

struct stun {
    struct text_value user, realm, client_software;
    struct transport_address peer;
    uint32_t messages;
    uint16_t told;   /* successes by method */
    uint16_t method; /* of the last request */
    bool told_any;
    struct dtls *dtls; /* owned: a handshake on the same socket, until it is told */
    bool dtls_told;
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

/* Reads a whole message of which `c` holds header and attributes. False if an attribute leads out of it. */
static bool read_message(struct cursor *c, struct message *m) {
    *m = (struct message){0};
    const uint8_t *head = cursor_take(c, HEADER);
    if (!head) return false;
    m->method = method_of(load_be16(head));
    m->class = class_of(load_be16(head));
    m->cookie = load_be32(head + 4) == COOKIE;
    while (cursor_left(c) >= 4) {
        uint16_t type = cursor_be16(c), length = cursor_be16(c);
        const uint8_t *value = cursor_take(c, length);
        if (!value) return false;
        size_t padding = -length & 3u;
        cursor_take(c, padding < cursor_left(c) ? padding : cursor_left(c));
        read_attribute(m, type, (struct slice){value, length}, head + 4);
    }
    return true;
}

/* ---------------------------------------------------------------- recognition */

static bool header_fits(const uint8_t *p) {
    return p[0] < 0x40 && (p[3] & 3) == 0;
}

static enum recognised stun_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    bool tcp = probe->transport == TRANSPORT_TCP;
    if (probe->length > 0 && p[0] >= 0x40) return RECOGNISED_NO;
    if (probe->length < HEADER)
        return tcp && (probe->length < 4 || header_fits(p)) ? RECOGNISED_MAYBE : RECOGNISED_NO;
    if (!header_fits(p)) return RECOGNISED_NO;
    uint32_t size = HEADER + load_be16(p + 2);
    if (tcp ? size > 4096 : size != probe->original) return RECOGNISED_NO;
    if (load_be32(p + 4) == COOKIE) return RECOGNISED_YES;
    bool old = probe->server_port == PORT_STUN || probe->client_port == PORT_STUN;
    struct message m;
    struct cursor c = cursor_over(p, size < probe->length ? size : probe->length);
    bool known = !tcp && old && (load_be16(p) & 0xfe0f) == METHOD_BINDING;
    return known && read_message(&c, &m) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* --------------------------------------------------------------------- events */

static void fill_address(struct ip *ip, uint16_t *port, const struct transport_address *from) {
    if (!from->known) return;
    *ip = from->ip;
    *port = from->port;
}

/* `m` is NULL at the end of a flow that nobody answered. */
static void report(struct conversation *c, struct stun *s, const struct message *m) {
    s->told_any = true;
    struct event_stun *event = conversation_event(c, EVENT_stun);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_stun_body *body = &event->body;
    body->method = method_word(m ? m->method : s->method);
    body->result = !m ? NULL : m->class == CLASS_SUCCESS ? "success" : "error";
    body->user = text_value_ref(batch, &s->user);
    body->realm = text_value_ref(batch, &s->realm);
    body->client_software = text_value_ref(batch, &s->client_software);
    body->messages = s->messages;
    fill_address(&body->peer_ip, &body->peer_port, &s->peer);
    if (m) {
        body->server_software = text_or_none(batch, m->software);
        body->error = m->error;
        body->reason = text_or_none(batch, m->reason);
        fill_address(&body->mapped_ip, &body->mapped_port, &m->mapped);
        fill_address(&body->relayed_ip, &body->relayed_port, &m->relayed);
    }
    batch_commit(batch);
}

static void take_request(struct stun *s, const struct message *m) {
    s->method = m->method;
    if (m->user.length) text_value_set(&s->user, m->user);
    if (m->realm.length) text_value_set(&s->realm, m->realm);
    if (m->software.length) text_value_set(&s->client_software, m->software);
    if (m->peer.known) s->peer = m->peer;
}

static void take_message(struct conversation *c, const struct message *m) {
    struct stun *s = c->state;
    s->messages++;
    if (m->realm.length) text_value_set(&s->realm, m->realm);
    if (m->class == CLASS_REQUEST || m->class == CLASS_INDICATION) {
        take_request(s, m);
    } else if (m->class == CLASS_ERROR) {
        report(c, s, m);
    } else {
        uint16_t bit = (uint16_t)(1u << (m->method & 15));
        if (!(s->told & bit)) report(c, s, m);
        s->told |= bit;
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
    if (is_dtls(payload)) beside(c, c->state, direction, payload, original);
    if (payload.length < HEADER || !header_fits(payload.at)) return;      /* media, DTLS, channel data */
    if (HEADER + (uint32_t)load_be16(payload.at + 2) != original) return; /* somebody else's on this socket */
    struct message m;
    struct cursor rest = cursor_over(payload.at, payload.length);
    if (read_message(&rest, &m))
        take_message(c, &m);
    else if (payload.length == original)
        conversation_anomaly(c, "bad_attribute");
}

/* Over TCP messages follow one another, with channel data between them: a number from 0x4000 on, a length,
 * and padding to four bytes (RFC 8656 section 12.5). */
static int64_t stun_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    (void)direction;
    uint32_t used = 0;
    while (length - used >= 4) {
        const uint8_t *p = data + used;
        uint32_t left = length - used, size = load_be16(p + 2);
        if (p[0] >= 0x40 && p[0] < 0x80) {
            used += 4 + ((size + 3) & ~3u);
            if (used >= length) return used;
            continue;
        }
        if (!header_fits(p)) {
            conversation_anomaly(c, "bad_message");
            return STREAM_OVER;
        }
        size += HEADER;
        if (left < size) break;
        struct message m;
        struct cursor rest = cursor_over(p, size);
        if (!read_message(&rest, &m)) {
            conversation_anomaly(c, "bad_attribute");
            return STREAM_OVER;
        }
        take_message(c, &m);
        used += size;
    }
    return used;
}

static void stun_end(struct conversation *c) {
    struct stun *s = c->state;
    if (s->dtls) dtls_finish(c, s->dtls);
    dtls_free(s->dtls);
    s->dtls = NULL;
    if (!s->told_any) report(c, s, NULL);
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
    .datagram = stun_datagram,
    .share = stun_share,
    .unshare = stun_unshare,
    .end = stun_end,
};
