/* TLS: a handshake, as far as it is in clear, becomes one event.
 *
 * Both directions are read record by record (tls_record.h) until it is known that nothing more will come in
 * clear: TLS 1.3 hides everything behind the ServerHello, TLS 1.2 shows the certificate too unless an old
 * session is resumed. Then the event is made and the rest of the connection is not looked at. A capture may
 * hold one side only, or begin in the middle; each side is therefore asked by itself whether there is
 * something to wait for. */
#include "protocol/protocols.h"

#include "protocol/certificate_cache.h"
#include "protocol/encrypted_dns.h"
#include "protocol/ja4.h"
#include "protocol/tls_event.h"
#include "protocol/tls_record.h"
#include "protocol/vpn.h"

#include <stdlib.h>

enum {
    LEAF_KEPT_MOST = 16 * 1024,
    DOMAIN_NAME_MOST = 255,
    ALERT_FATAL = 2,
    ALERT_CLOSE_NOTIFY = 0,
};

struct tls {
    struct tls_reader readers[2]; /* by enum direction */
    bool side_over[2];            /* nothing that we could read will come from this side */
    bool client_known;            /* a hello has told who is who; until then the flow's client is */
    uint8_t client_side;          /* direction that the client's bytes take */

    bool has_client_hello;
    bool client_spoke;          /* the client sent data that it can only send after the ServerHello */
    struct client_hello *hello; /* owned; without has_client_hello: what the capture has of it */
    nanoseconds hello_time;
    char ja4[JA4_LENGTH + 1];

    bool has_server_hello;
    bool awaits_second; /* the server asked for another ClientHello */
    bool resumed;       /* seen by the order of messages; said.resumed is what the hello says */
    bool flight_done;   /* ServerHelloDone */
    bool has_certificate;
    uint8_t certificates;
    struct server_said said;
    nanoseconds server_time;
    struct slice leaf;  /* the server's certificate: in the message that is being read, or leaf_kept */
    uint8_t *leaf_kept; /* owned */

    uint16_t alert;
    bool broken_off; /* a fatal alert, or close_notify */
    bool reported;
};

/* ------------------------------------------------------------------ recognition */

static bool hello_type(uint8_t type) {
    return type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO;
}

/* The ClientHello of SSL 2 by which old clients offer newer versions too (RFC 5246 appendix E.2). It is not
 * read, but the server's answer to it may be TLS. */
static bool ssl2_hello(const uint8_t *p, uint32_t n) {
    return n >= 5 && (p[0] & 0x80) && p[2] == TLS_CLIENT_HELLO && p[3] == 3 && p[4] <= 4;
}

/* A handshake record that begins with a hello of at most 64 KiB and a version 3.x. As many of these bytes are
 * compared as the first record has. */
static enum recognised tls_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    uint32_t n = probe->length;
    if (probe->direction == TO_SERVER && ssl2_hello(p, n)) return RECOGNISED_MAYBE;
    if (n > 0 && p[0] != TLS_HANDSHAKE) return RECOGNISED_NO;
    if (n > 1 && p[1] != 3) return RECOGNISED_NO;
    if (n < TLS_RECORD_HEADER + 1) return RECOGNISED_MAYBE;
    uint32_t content = load_be16(p + 3);
    if (content == 0 || !tls_record_plausible(p) || !hello_type(p[5])) return RECOGNISED_NO;
    if (content > 1 && n > 6 && p[6] != 0) return RECOGNISED_NO;
    if (content > 4 && n > 9 && p[9] != 3) return RECOGNISED_NO;
    return content > 4 && n < 10 ? RECOGNISED_MAYBE : RECOGNISED_YES;
}

/* ------------------------------------------------------------------ the event */

static void tls_report(struct conversation *c, struct tls *t) {
    if (t->reported) return;
    t->reported = true;
    if (!t->hello && !t->has_server_hello) return;
    if (t->has_client_hello) vpn_in_tls(c, t->hello, t->leaf, c->shared);
    struct event_tls *event = conversation_event(c, EVENT_tls);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_tls_body *body = &event->body;
    event->head.time = t->hello ? t->hello_time : t->server_time;
    body->alert = t->alert;
    body->certificates = t->certificates;
    if (t->has_server_hello) tls_event_server(batch, body, &t->said);
    if (t->resumed) body->resumed = true;
    if (t->has_client_hello)
        tls_event_client(batch, body, t->hello, t->ja4);
    else if (t->hello)
        tls_event_part_of_client(batch, body, t->hello);
    if (t->hello) body->service = tls_service_word(t->hello, &event->head);
    bool sound = t->leaf.length == 0 || certificate_cache_describe(c->shared, t->leaf, batch, body);
    batch_commit(batch);
    if (!sound) conversation_anomaly(c, "bad_certificate");
}

/* ------------------------------------------------------------------ is there something to wait for? */

static bool server_done(const struct tls *t) {
    if (t->side_over[!t->client_side] || t->client_spoke) return true;
    if (!t->has_server_hello || t->awaits_second) return false;
    return tls_is_13(t->said.version) || t->said.resumed || t->resumed || t->has_certificate ||
           t->flight_done || t->readers[!t->client_side].opaque;
}

static bool client_done(const struct tls *t) {
    return t->has_client_hello || t->side_over[t->client_side];
}

static bool handshake_known(const struct tls *t) {
    return t->broken_off || (server_done(t) && client_done(t));
}

/* ------------------------------------------------------------------ messages */

static bool host_name_byte(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' ||
           byte == '_';
}

static void check_server_name(struct conversation *c, struct slice name) {
    if (name.length > DOMAIN_NAME_MOST) conversation_anomaly(c, "sni_too_long");
    for (uint32_t i = 0; i < name.length; i++)
        if (!host_name_byte(name.at[i])) {
            conversation_anomaly(c, "sni_bad_bytes");
            return;
        }
}

static void know_client(struct tls *t, enum direction client_side) {
    t->client_known = true;
    t->client_side = (uint8_t)client_side;
}

static void keep_hello(struct conversation *c, struct tls *t, const struct client_hello *hello) {
    free(t->hello);
    t->hello = client_hello_keep(hello);
    t->hello_time = c->time;
    if (t->hello && t->hello->sni.length > 0) conversation_set_name(c, NAME_SNI, t->hello->sni);
}

static void on_client_hello(struct conversation *c, struct tls *t, enum direction direction,
                            struct slice body) {
    if (t->has_client_hello) return; /* the second one, after HelloRetryRequest, repeats the first */
    struct client_hello hello;
    if (!client_hello_parse(body, &hello)) conversation_anomaly(c, "bad_client_hello");
    if (hello.cut) conversation_anomaly(c, "list_too_long");
    know_client(t, direction);
    keep_hello(c, t, &hello);
    if (!t->hello) return;
    t->has_client_hello = true;
    check_server_name(c, t->hello->sni);
    encrypted_dns_of_hello(c, t->hello, false);
    if (!conversation_wants(c, EVENT_tls) && !conversation_wants(c, EVENT_flow) &&
        !conversation_wants(c, EVENT_onset))
        return;
    if (ja4_of(&hello, 't', t->ja4))
        conversation_set_ja4(c, (struct slice){(const uint8_t *)t->ja4, JA4_LENGTH});
}

/* The beginning of a ClientHello whose end has not come yet, and may never: the capture may have cut its
 * packet. */
static void on_part_of_client_hello(struct conversation *c, struct tls *t, enum direction direction,
                                    struct slice body) {
    struct client_hello hello;
    if (t->hello || body.length == 0) return;
    client_hello_parse(body, &hello);
    if (hello.sni.length == 0) return;
    know_client(t, direction);
    keep_hello(c, t, &hello);
}

static void on_server_hello(struct conversation *c, struct tls *t, enum direction direction,
                            struct slice body) {
    struct server_hello hello;
    if (t->has_server_hello && !t->awaits_second) return;
    if (!server_hello_parse(body, &hello)) {
        conversation_anomaly(c, "bad_server_hello");
        t->side_over[direction] = true;
        return;
    }
    know_client(t, (enum direction) !direction);
    if (!t->has_server_hello) t->server_time = c->time;
    t->has_server_hello = true;
    t->awaits_second = hello.retry;
    server_hello_keep(&hello, t->has_client_hello ? t->hello : NULL, &t->said);
}

/* RFC 5246 section 7.4.2: a chain whose first certificate is the server's. */
static void on_certificate(struct conversation *c, struct tls *t, struct slice body) {
    struct cursor message = cursor_over(body.at, body.length);
    struct cursor chain = cursor_sub(&message, cursor_be24(&message));
    t->has_certificate = true;
    while (cursor_left(&chain) > 0) {
        uint32_t size = cursor_be24(&chain);
        const uint8_t *der = cursor_take(&chain, size);
        if (!der) break;
        if (t->certificates == 0) t->leaf = (struct slice){der, size};
        if (t->certificates < UINT8_MAX) t->certificates++;
    }
    if (message.failed || chain.failed) conversation_anomaly(c, "bad_certificate");
}

static void on_message(struct conversation *c, struct tls *t, enum direction direction,
                       const struct tls_item *item) {
    if (item->too_long) {
        conversation_anomaly(c, "handshake_too_long");
        t->side_over[direction] = true;
        return;
    }
    bool from_client = direction == t->client_side;
    if (item->type == TLS_CLIENT_HELLO && (!t->client_known || from_client)) {
        on_client_hello(c, t, direction, item->body);
    } else if (item->type == TLS_SERVER_HELLO && (!t->client_known || !from_client)) {
        on_server_hello(c, t, direction, item->body);
    } else if (item->type == TLS_CERTIFICATE && !from_client) {
        if (item->body.at) on_certificate(c, t, item->body);
    } else if (item->type == TLS_SERVER_HELLO_DONE && !from_client) {
        t->flight_done = true;
    } else if (from_client && !t->has_client_hello) {
        t->side_over[direction] = true; /* a later message: the hello has been missed */
    }
}

static void on_alert(struct tls *t, uint16_t alert) {
    if (!t->alert) t->alert = alert;
    if (alert >> 8 == ALERT_FATAL || (alert & 0xff) == ALERT_CLOSE_NOTIFY) t->broken_off = true;
}

static void on_change_cipher_spec(struct tls *t, enum direction direction) {
    if (t->awaits_second) return; /* a dummy for middleboxes, RFC 8446 appendix D.4 */
    t->readers[direction].opaque = true;
    if (direction == t->client_side) {
        if (!t->has_client_hello) t->side_over[direction] = true;
        return;
    }
    if (!t->has_server_hello) t->side_over[direction] = true;
    /* Only in the short handshake does the server change ciphers without having said that it is done. */
    if (t->has_server_hello && !tls_is_13(t->said.version) && !t->has_certificate && !t->flight_done)
        t->resumed = true;
}

static void on_record(struct tls *t, enum direction direction, uint8_t type) {
    if (type == TLS_CHANGE_CIPHER_SPEC) {
        on_change_cipher_spec(t, direction);
    } else if (type == TLS_APPLICATION_DATA && direction != t->client_side) {
        t->side_over[direction] = true;
    } else if (type == TLS_APPLICATION_DATA) {
        if (!t->has_client_hello)
            t->side_over[direction] = true;
        else if (!t->hello->early_data)
            t->client_spoke = true;
    }
}

static bool wants_certificate(const struct conversation *c) {
    return conversation_wants(c, EVENT_tls) || conversation_wants(c, EVENT_vpn);
}

/* Bodies that are of use in this direction, as bits. */
static uint32_t wanted_messages(const struct conversation *c, const struct tls *t, enum direction direction) {
    uint32_t hellos = 1u << TLS_CLIENT_HELLO | 1u << TLS_SERVER_HELLO;
    bool server = t->client_known && direction != t->client_side;
    return hellos | (server && wants_certificate(c) ? 1u << TLS_CERTIFICATE : 0);
}

/* ------------------------------------------------------------------ protocol */

/* The certificate lies in bytes that are gone after the call. Who waits for the client's hello keeps it,
 * unless it is of a size that only somebody who wants to fill our memory would send. */
static void keep_leaf(struct tls *t) {
    if (t->leaf.length == 0 || t->leaf.at == t->leaf_kept) return;
    t->leaf_kept = t->leaf.length <= LEAF_KEPT_MOST ? malloc(t->leaf.length) : NULL;
    if (t->leaf_kept) memcpy(t->leaf_kept, t->leaf.at, t->leaf.length);
    t->leaf = (struct slice){t->leaf_kept, t->leaf_kept ? t->leaf.length : 0};
}

/* Works on items until there is no whole one, or all is known. Returns the bytes used. */
static uint32_t read_items(struct conversation *c, struct tls *t, enum direction direction,
                           const uint8_t *data, uint32_t length) {
    uint8_t scratch[TLS_HANDSHAKE_LARGEST];
    uint32_t used = 0;
    while (!t->reported && !t->side_over[direction]) {
        struct tls_item item = tls_reader_next(&t->readers[direction], data, length, &used,
                                               wanted_messages(c, t, direction), scratch);
        switch (item.kind) {
        case TLS_ITEM_NONE:
            if (item.type == TLS_CLIENT_HELLO) on_part_of_client_hello(c, t, direction, item.body);
            return used;
        case TLS_ITEM_BROKEN:
            conversation_anomaly(c, ssl2_hello(data + used, length - used) ? "ssl2_hello" : "bad_record");
            t->side_over[direction] = true;
            break;
        case TLS_ITEM_MESSAGE:
            on_message(c, t, direction, &item);
            break;
        case TLS_ITEM_ALERT:
            on_alert(t, item.alert);
            break;
        case TLS_ITEM_RECORD:
            on_record(t, direction, item.type);
            break;
        }
        if (handshake_known(t)) tls_report(c, t);
        if (!t->reported) keep_leaf(t);
    }
    return used;
}

static int64_t tls_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct tls *t = c->state;
    uint32_t used = read_items(c, t, direction, data, length);
    if (t->reported) return STREAM_OVER;
    if (t->has_client_hello && !wants_certificate(c)) return STREAM_OVER; /* the name was all */
    if (t->side_over[direction]) return STREAM_DONE;
    if (direction != t->client_side && server_done(t)) return STREAM_DONE;
    return used;
}

static bool tls_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)missing;
    struct tls *t = c->state;
    t->side_over[direction] = true;
    if (handshake_known(t)) tls_report(c, t);
    return false;
}

static void tls_end(struct conversation *c) {
    struct tls *t = c->state;
    tls_report(c, t);
    free(t->hello);
    free(t->leaf_kept);
    t->hello = NULL;
    t->leaf_kept = NULL;
}

static void *tls_share(void) {
    return certificate_cache_new();
}

static void tls_unshare(void *shared) {
    certificate_cache_free(shared);
}

const struct protocol protocol_tls = {
    .name = "tls",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct tls),
    .recognise = tls_recognise,
    .stream = tls_stream,
    .gap = tls_gap,
    .share = tls_share,
    .unshare = tls_unshare,
    .end = tls_end,
};
