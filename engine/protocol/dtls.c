/* DTLS 1.0 to 1.3 (RFC 4347, 6347, 9147): a handshake over datagrams becomes a `tls` event, as over TCP.
 *
 * Records bear an epoch and a number; what is in clear has epoch 0. A handshake message may be cut into
 * fragments, each with its place, and comes again when a datagram was lost; fragments that follow one another
 * are put together, what comes in another order waits for the repetition. A client sends its hello twice if
 * the server wants to see a cookie first: the second one counts. All is said once the server's flight is
 * over, it turns to encryption, or the flow ends.
 *
 * Versions count down: feff is DTLS 1.0, fefd 1.2, fefc 1.3. The number 0100 is older than the first RFC and
 * lives on with Cisco AnyConnect, whose data channel DTLS is: that is a vpn event too. */
#include "protocol/dtls.h"

#include "protocol/certificate_cache.h"
#include "protocol/ja4.h"
#include "protocol/protocols.h"
#include "protocol/tls_event.h"
#include "protocol/tls_hello.h"
#include "protocol/tls_record.h"
#include "protocol/vpn.h"

#include <stdlib.h>

enum {
    RECORD_HEADER = 13,
    MESSAGE_HEADER = 12,
    HELLO_VERIFY_REQUEST = 3,
    MESSAGE_MOST = 16 * 1024,
    RECORDS_MOST = 32,   /* of a datagram */
    DATAGRAMS_MOST = 64, /* looked at, then what is known is told */
    VERSION_CISCO = 0x0100,
};

/* A message that comes in fragments. */
struct pieces {
    uint8_t *bytes; /* owned */
    uint32_t length, have;
    uint16_t number;
    uint8_t type;
};

struct dtls {
    struct pieces pieces[2];    /* by direction */
    struct client_hello *hello; /* owned */
    struct server_said said;
    char ja4[JA4_LENGTH + 1];
    uint8_t *leaf; /* owned: the server's certificate */
    uint32_t leaf_length;
    uint8_t certificates;
    uint8_t client; /* direction that the client's bytes take */
    bool client_known, has_server_hello, reported, encrypted[2];
    uint16_t alert, version, datagrams;
    nanoseconds time;
};

static bool version_known(uint16_t version) {
    return version == 0xfeff || version == 0xfefd || version == 0xfefc || version == VERSION_CISCO;
}

/* A record in clear form at the beginning of `p`, of which `original` bytes were sent. */
static bool record_valid(struct slice p, uint32_t original) {
    if (p.length < RECORD_HEADER) return false;
    uint8_t type = p.at[0];
    uint32_t length = load_be16(p.at + 11);
    return type >= TLS_CHANGE_CIPHER_SPEC && type <= TLS_HEARTBEAT && version_known(load_be16(p.at + 1)) &&
           length > 0 && length <= TLS_RECORD_LARGEST && RECORD_HEADER + length <= original;
}

static bool message_valid(const uint8_t *h, uint32_t record) {
    uint32_t length = load_be24(h + 1), at = load_be24(h + 6), here = load_be24(h + 9);
    return length <= 1u << 17 && at + here <= length && MESSAGE_HEADER + here <= record;
}

bool dtls_begins(struct slice p, uint32_t original) {
    if (!record_valid(p, original) || p.at[0] != TLS_HANDSHAKE || load_be16(p.at + 3) != 0) return false;
    uint32_t length = load_be16(p.at + 11);
    if (p.length < RECORD_HEADER + MESSAGE_HEADER || length < MESSAGE_HEADER) return false;
    uint8_t type = p.at[RECORD_HEADER];
    bool begins = type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO || type == HELLO_VERIFY_REQUEST ||
                  type == TLS_CERTIFICATE;
    return begins && message_valid(p.at + RECORD_HEADER, length);
}

/* The first datagrams of a handshake; or, in the middle of a connection, records that fill it exactly. */
static enum recognised dtls_recognise(const struct probe *probe) {
    struct slice p = {probe->data, probe->length};
    if (!record_valid(p, probe->original)) return RECOGNISED_NO;
    uint16_t epoch = load_be16(p.at + 3);
    if (p.at[0] == TLS_HANDSHAKE && epoch == 0)
        return dtls_begins(p, probe->original) ? RECOGNISED_YES : RECOGNISED_NO;
    bool fills = false;
    for (uint32_t at = 0; record_valid((struct slice){p.at + at, p.length - at}, probe->original - at);) {
        at += RECORD_HEADER + load_be16(p.at + at + 11);
        fills = at == probe->original;
        if (at >= p.length) break;
    }
    /* 0100 is no mark to go by, nor is an alert on its own. */
    return fills && p.at[1] == 0xfe && p.at[0] != TLS_HEARTBEAT &&
                   (epoch > 0 || p.at[0] != TLS_APPLICATION_DATA) && epoch < 16
               ? RECOGNISED_YES
               : RECOGNISED_NO;
}

/* ------------------------------------------------------------------ the events */

static void report_anyconnect(struct conversation *c, const struct dtls *d) {
    if (d->version != VERSION_CISCO) return;
    struct vpn_finding finding = {.kind = "anyconnect",
                                  .product = "Cisco AnyConnect",
                                  .transport = "dtls",
                                  .phase = "handshake",
                                  .both_sides = d->hello && d->has_server_hello};
    vpn_evidence(
        &finding,
        "DTLS of version 0100, from before its first RFC: what Cisco AnyConnect and OpenConnect speak%s",
        d->hello && d->hello->session_id.length == 32 ? "; it takes up a session of 32 bytes that TLS gave it"
                                                      : "");
    vpn_report(c, &finding);
}

static void report(struct conversation *c, struct dtls *d) {
    if (d->reported) return;
    d->reported = true;
    if (!d->hello && !d->has_server_hello) return;
    report_anyconnect(c, d);
    struct event_tls *event = conversation_event(c, EVENT_tls);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_tls_body *body = &event->body;
    event->head.time = d->time;
    body->certificates = d->certificates;
    body->alert = d->alert;
    if (d->has_server_hello) tls_event_server(batch, body, &d->said);
    if (d->hello) tls_event_client(batch, body, d->hello, d->ja4);
    bool sound = !d->leaf ||
                 certificate_cache_describe(c->shared, (struct slice){d->leaf, d->leaf_length}, batch, body);
    batch_commit(batch);
    if (!sound) conversation_anomaly(c, "bad_certificate");
}

/* ------------------------------------------------------------------ messages */

static bool anybody_wants_ja4(const struct conversation *c) {
    return conversation_wants(c, EVENT_tls) || conversation_wants(c, EVENT_flow) ||
           conversation_wants(c, EVENT_onset);
}

/* A ClientHello has the cookie between session id and ciphers. Without it, it is one of TLS. */
static void on_client_hello(struct conversation *c, struct dtls *d, enum direction direction,
                            struct slice body) {
    uint8_t plain[MESSAGE_MOST];
    struct cursor at = cursor_over(body.at, body.length);
    cursor_take(&at, 2 + 32);
    cursor_take(&at, cursor_u8(&at));
    const uint8_t *cookie = at.at;
    cursor_take(&at, cursor_u8(&at));
    if (at.failed || body.length > sizeof plain) {
        conversation_anomaly(c, "bad_client_hello");
        return;
    }
    uint32_t before = (uint32_t)(cookie - body.at), behind = (uint32_t)cursor_left(&at);
    memcpy(plain, body.at, before);
    memcpy(plain + before, at.at, behind);
    struct client_hello hello;
    if (!client_hello_parse((struct slice){plain, before + behind}, &hello))
        conversation_anomaly(c, "bad_client_hello");
    free(d->hello);
    d->hello = client_hello_keep(&hello);
    if (!d->hello) return;
    if (!d->client_known) d->time = c->time;
    d->client_known = true;
    d->client = (uint8_t)direction;
    if (!d->has_server_hello) d->version = hello.legacy_version;
    if (d->hello->sni.length > 0) conversation_set_name(c, NAME_SNI, d->hello->sni);
    if (anybody_wants_ja4(c) && ja4_of(&hello, 'd', d->ja4))
        conversation_set_ja4(c, (struct slice){(const uint8_t *)d->ja4, JA4_LENGTH});
}

static void on_server_hello(struct conversation *c, struct dtls *d, enum direction direction,
                            struct slice body) {
    struct server_hello hello;
    if (!server_hello_parse(body, &hello)) {
        conversation_anomaly(c, "bad_server_hello");
        return;
    }
    if (!d->client_known) d->time = c->time;
    d->client_known = true;
    d->client = (uint8_t)!direction;
    d->has_server_hello = true;
    d->version = hello.legacy_version;
    server_hello_keep(&hello, d->hello, &d->said);
}

static void on_certificate(struct dtls *d, struct slice body) {
    struct cursor message = cursor_over(body.at, body.length);
    struct cursor chain = cursor_sub(&message, cursor_be24(&message));
    while (cursor_left(&chain) > 0 && d->certificates < UINT8_MAX) {
        uint32_t size = cursor_be24(&chain);
        const uint8_t *der = cursor_take(&chain, size);
        if (!der) return;
        if (d->certificates++ > 0 || size == 0) continue;
        d->leaf = malloc(size);
        if (!d->leaf) return;
        memcpy(d->leaf, der, size);
        d->leaf_length = size;
    }
}

static void on_message(struct conversation *c, struct dtls *d, enum direction direction, uint8_t type,
                       struct slice body) {
    bool from_client = d->client_known && direction == d->client;
    bool from_server = d->client_known && !from_client;
    if (type == TLS_CLIENT_HELLO && !from_server && !d->has_server_hello)
        on_client_hello(c, d, direction, body);
    else if (type == TLS_SERVER_HELLO && !from_client)
        on_server_hello(c, d, direction, body);
    else if (type == TLS_CERTIFICATE && from_server && d->has_server_hello && !d->certificates)
        on_certificate(d, body);
    else if (type == TLS_SERVER_HELLO_DONE && from_server && d->has_server_hello)
        report(c, d);
}

static void pieces_clear(struct pieces *p) {
    free(p->bytes);
    memset(p, 0, sizeof *p);
}

static void on_fragment(struct conversation *c, struct dtls *d, enum direction direction, const uint8_t *h) {
    uint32_t length = load_be24(h + 1), at = load_be24(h + 6), here = load_be24(h + 9);
    uint16_t number = load_be16(h + 4);
    struct pieces *p = &d->pieces[direction];
    if (at == 0 && here == length) {
        on_message(c, d, direction, h[0], (struct slice){h + MESSAGE_HEADER, here});
        return;
    }
    if (at == 0) {
        pieces_clear(p);
        if (length > MESSAGE_MOST) {
            conversation_anomaly(c, "handshake_too_long");
            return;
        }
        *p = (struct pieces){.bytes = malloc(length), .length = length, .number = number, .type = h[0]};
    }
    if (!p->bytes || p->number != number || p->length != length || at != p->have) return;
    memcpy(p->bytes + at, h + MESSAGE_HEADER, here);
    p->have += here;
    if (p->have < p->length) return;
    on_message(c, d, direction, p->type, (struct slice){p->bytes, p->length});
    pieces_clear(p);
}

static void read_handshake(struct conversation *c, struct dtls *d, enum direction direction,
                           struct slice content) {
    uint32_t at = 0;
    while (content.length - at >= MESSAGE_HEADER && !d->reported) {
        const uint8_t *h = content.at + at;
        if (!message_valid(h, content.length - at)) return;
        on_fragment(c, d, direction, h);
        at += MESSAGE_HEADER + load_be24(h + 9);
    }
}

static void on_record(struct conversation *c, struct dtls *d, enum direction direction, const uint8_t *p,
                      struct slice content) {
    uint8_t type = p[0];
    if (load_be16(p + 3) > 0 || type == TLS_CHANGE_CIPHER_SPEC || type == TLS_APPLICATION_DATA) {
        d->encrypted[direction] = true;
        if (d->has_server_hello || d->encrypted[!direction]) report(c, d);
    } else if (type == TLS_HANDSHAKE) {
        read_handshake(c, d, direction, content);
    } else if (type == TLS_ALERT && content.length == 2) {
        if (!d->alert) d->alert = load_be16(content.at);
    }
}

bool dtls_read(struct conversation *c, struct dtls *d, enum direction direction, struct slice payload,
               uint32_t original) {
    uint32_t at = 0;
    for (int i = 0; i < RECORDS_MOST && !d->reported; i++) {
        struct slice rest = {payload.at + at, payload.length - at};
        if (!record_valid(rest, original - at)) {
            /* DTLS 1.3 shortens the headers of what it encrypts */
            if (i == 0 && d->has_server_hello && rest.length > 0 && (rest.at[0] & 0xe0) == 0x20) report(c, d);
            break;
        }
        uint32_t length = load_be16(rest.at + 11), left = rest.length - RECORD_HEADER;
        on_record(c, d, direction, rest.at,
                  (struct slice){rest.at + RECORD_HEADER, length < left ? length : left});
        if (length >= left) break;
        at += RECORD_HEADER + length;
    }
    if (++d->datagrams >= DATAGRAMS_MOST) report(c, d);
    return d->reported;
}

static void release(struct dtls *d) {
    pieces_clear(&d->pieces[0]);
    pieces_clear(&d->pieces[1]);
    free(d->hello);
    free(d->leaf);
    d->hello = NULL;
    d->leaf = NULL;
}

/* ------------------------------------------------------------------ beside another protocol */

struct dtls *dtls_new(void) {
    return calloc(1, sizeof(struct dtls));
}

void dtls_finish(struct conversation *c, struct dtls *d) {
    report(c, d);
}

void dtls_free(struct dtls *d) {
    if (!d) return;
    release(d);
    free(d);
}

/* ------------------------------------------------------------------ protocol */

static void dtls_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    if (dtls_read(c, c->state, direction, payload, original)) conversation_over(c);
}

static void dtls_end(struct conversation *c) {
    report(c, c->state);
    release(c->state);
}

static void *dtls_share(void) {
    return certificate_cache_new();
}

static void dtls_unshare(void *shared) {
    certificate_cache_free(shared);
}

const struct protocol protocol_dtls = {
    .name = "dtls",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct dtls),
    .recognise = dtls_recognise,
    .datagram = dtls_datagram,
    .share = dtls_share,
    .unshare = dtls_unshare,
    .end = dtls_end,
};
