/* QUIC: the handshake's first packets, which anybody can decrypt.
 *
 * Initial packets of both sides are opened and their CRYPTO frames put together until both hellos are known.
 * What follows (Handshake, 0-RTT, 1-RTT packets) is for the peers alone; of it only connection ids are read.
 * Keys come from the destination id of the client's first Initial packet, or of the one after a Retry: so the
 * keys at hand are tried first, then those of the packet's own id. Whose keys fit also tells who the client
 * is, whatever the ports say. */
#include "protocol/protocols.h"

#include "protocol/encrypted_dns.h"
#include "protocol/quic_state.h"
#include "protocol/tls_record.h"

#include <stdlib.h>

enum {
    KEYS_MADE_MOST =
        4, /* of a datagram, whose packets all belong to one connection (RFC 9000 section 12.2) */
    DATAGRAMS_MOST = 64, /* then we have seen enough of a handshake that does not come to an end */
    CHLO_DATAGRAMS_MOST = 8,
    DRAFT_29 = (int)0xff00001d,
    INITIAL_ID_LEAST = 8, /* of the id that a client makes up: RFC 9000 section 7.2 */
    IDS_LARGEST = QUIC_ID_LARGEST,
};

/* Frames that an Initial packet may have: RFC 9000 section 12.4. */
enum frame {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_CRYPTO = 0x06,
    FRAME_CRYPTO_GOOGLE = 0x08, /* of T050 and T051; their other frames are not read */
    FRAME_CLOSE = 0x1c,
    FRAME_CLOSE_APPLICATION = 0x1d,
};

/* ------------------------------------------------------------------ recognition */

/* Google's public header up to Q043: flags (version and 8-byte id are there), the id, the version. */
static const struct quic_version *google_public(struct slice bytes) {
    const uint8_t *p = bytes.at;
    if (bytes.length < 13 || (p[0] & 0xc9) != 0x09) return NULL;
    const struct quic_version *version = quic_version_find(load_be32(p + 9));
    return version && version->family == QUIC_GOOGLE ? version : NULL;
}

/* Q044 to Q048: a long header whose ids share one byte of lengths. */
static const struct quic_version *google_long(struct slice bytes) {
    const uint8_t *p = bytes.at;
    if (bytes.length < 6 || !quic_header_is_long(p[0])) return NULL;
    const struct quic_version *version = quic_version_find(load_be32(p + 1));
    return version && version->family == QUIC_GOOGLE_LONG ? version : NULL;
}

static bool negotiation_plausible(const struct quic_packet *p) {
    if (p->rest.length == 0 || p->rest.length % 4 || p->dcid.length > IDS_LARGEST ||
        p->scid.length > IDS_LARGEST)
        return false;
    for (uint32_t at = 0; at < p->rest.length; at += 4) {
        const struct quic_version *version = quic_version_find(load_be32(p->rest.at + at));
        if (version && version->number > 1) return true; /* "1" alone is four bytes that mean little */
        if (version && p->dcid.length + p->scid.length >= INITIAL_ID_LEAST) return true;
    }
    return false;
}

static bool packet_plausible(const struct quic_packet *p, const struct probe *probe) {
    uint32_t before = p->whole.length - p->rest.length;
    switch (p->type) {
    case QUIC_NEGOTIATION:
        return negotiation_plausible(p);
    case QUIC_UNKNOWN:
        return false;
    case QUIC_RETRY:
        return p->token.length > 0 && p->scid.length > 0;
    case QUIC_INITIAL:
        /* Either the client's, of full size and to an id of its making, or the server's. */
        if (p->length < 4 + QUIC_TAG_BYTES || before + p->length > probe->original) return false;
        return probe->original >= QUIC_INITIAL_LEAST || (p->token.length == 0 && p->scid.length > 0);
    default:
        return p->length >= 4 + QUIC_TAG_BYTES && before + p->length <= probe->original &&
               p->dcid.length + p->scid.length >= INITIAL_ID_LEAST;
    }
}

static enum recognised quic_recognise(const struct probe *probe) {
    struct slice bytes = {probe->data, probe->length};
    struct quic_packet packet;
    if (bytes.length < 7) return RECOGNISED_NO;
    if (!quic_header_is_long(bytes.at[0])) return google_public(bytes) ? RECOGNISED_YES : RECOGNISED_NO;
    if (google_long(bytes)) return RECOGNISED_YES;
    if (!quic_packet_read(bytes, &packet)) return RECOGNISED_NO;
    if (packet.version && !(bytes.at[0] & 0x40)) return RECOGNISED_NO;
    return packet_plausible(&packet, probe) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* ------------------------------------------------------------------ hellos */

static bool anybody_wants(const struct conversation *c) {
    return conversation_wants(c, EVENT_tls) || conversation_wants(c, EVENT_quic) ||
           conversation_wants(c, EVENT_flow) || conversation_wants(c, EVENT_onset);
}

static void on_client_hello(struct conversation *c, struct quic *q, struct slice body) {
    struct client_hello hello;
    if (!client_hello_parse(body, &hello)) conversation_anomaly(c, "bad_client_hello");
    if (hello.cut) conversation_anomaly(c, "list_too_long");
    q->hello = client_hello_keep(&hello);
    q->hello_time = c->time;
    if (!q->hello) return;
    if (q->hello->sni.length > 0) conversation_set_name(c, NAME_SNI, q->hello->sni);
    encrypted_dns_of_hello(c, q->hello, true);
    if (anybody_wants(c) && ja4_of(&hello, 'q', q->ja4))
        conversation_set_ja4(c, (struct slice){(const uint8_t *)q->ja4, JA4_LENGTH});
}

static void on_server_hello(struct conversation *c, struct quic *q, struct slice body) {
    struct server_hello hello;
    if (!server_hello_parse(body, &hello)) {
        conversation_anomaly(c, "bad_server_hello");
        return;
    }
    if (!q->has_server_hello) q->server_time = c->time;
    q->has_server_hello = true;
    q->awaits_second = hello.retry;
    server_hello_keep(&hello, q->hello, &q->said);
}

/* The message that the bytes begin with, header and all; empty if it is not whole. */
static struct slice whole_message(struct slice bytes) {
    if (bytes.length < TLS_HANDSHAKE_HEADER) return (struct slice){bytes.at, 0};
    uint32_t length = TLS_HANDSHAKE_HEADER + load_be24(bytes.at + 1);
    return (struct slice){bytes.at, length <= bytes.length ? length : 0};
}

static struct slice message_body(struct slice message) {
    return (struct slice){message.at + TLS_HANDSHAKE_HEADER, message.length - TLS_HANDSHAKE_HEADER};
}

static void read_client(struct conversation *c, struct quic *q, struct slice bytes) {
    struct slice message = whole_message(bytes);
    if (message.length == 0) return;
    if (message.at[0] == TLS_CLIENT_HELLO)
        on_client_hello(c, q, message_body(message));
    else
        conversation_anomaly(c, "no_client_hello");
}

/* A HelloRetryRequest is followed by the ServerHello proper. */
static void read_server(struct conversation *c, struct quic *q, struct slice bytes) {
    while (!q->has_server_hello || q->awaits_second) {
        if (q->server_used > bytes.length) return;
        struct slice left = {bytes.at + q->server_used, bytes.length - q->server_used};
        struct slice message = whole_message(left);
        if (message.length == 0) return;
        q->server_used += message.length;
        if (message.at[0] != TLS_SERVER_HELLO) return;
        on_server_hello(c, q, message_body(message));
    }
}

static void on_crypto(struct conversation *c, struct quic *q, unsigned side, uint64_t offset,
                      struct slice data) {
    bool done = side == TO_SERVER ? q->hello != NULL : q->has_server_hello && !q->awaits_second;
    if (done) return;
    struct quic_stream *stream = &q->streams[side];
    struct slice bytes = data;
    /* A client's hello that is whole in its first frame is read where it lies. */
    bool at_once = side == TO_SERVER && offset == 0 && stream->count == 0 && whole_message(data).length > 0;
    if (!at_once) {
        if (!quic_stream_add(stream, offset, data)) conversation_anomaly(c, "crypto_out_of_bounds");
        bytes = quic_stream_ready(stream);
    }
    if (side == TO_SERVER)
        read_client(c, q, bytes);
    else
        read_server(c, q, bytes);
}

/* ------------------------------------------------------------------ frames */

/* Passes over an ACK: RFC 9000 section 19.3. */
static void skip_ack(struct cursor *c, bool ecn) {
    quic_number(c);
    quic_number(c);
    uint64_t ranges = quic_number(c);
    quic_number(c);
    for (uint64_t i = 0; i < ranges && !c->failed; i++) {
        quic_number(c);
        quic_number(c);
    }
    for (unsigned i = 0; ecn && i < 3; i++) quic_number(c);
}

static void read_frames(struct conversation *c, struct quic *q, unsigned side, struct slice frames) {
    struct cursor at = cursor_over(frames.at, frames.length);
    bool google = q->version->family == QUIC_GOOGLE_TLS;
    while (cursor_left(&at) > 0 && !at.failed) {
        uint64_t type = quic_number(&at), offset, length;
        if (google && type == FRAME_CRYPTO_GOOGLE) type = FRAME_CRYPTO;
        if (google && type != FRAME_CRYPTO && type != FRAME_PADDING) return;
        switch (type) {
        case FRAME_PADDING:
            while (cursor_left(&at) > 0 && *at.at == FRAME_PADDING) at.at++;
            continue;
        case FRAME_PING:
            continue;
        case FRAME_ACK:
        case FRAME_ACK_ECN:
            skip_ack(&at, type == FRAME_ACK_ECN);
            continue;
        case FRAME_CRYPTO:
            offset = quic_number(&at);
            length = quic_number(&at);
            if (at.failed || length > cursor_left(&at)) {
                conversation_anomaly(c, "bad_frame");
                return;
            }
            on_crypto(c, q, side, offset, (struct slice){cursor_take(&at, (size_t)length), (uint32_t)length});
            continue;
        case FRAME_CLOSE:
        case FRAME_CLOSE_APPLICATION:
            return; /* nothing of use is behind it */
        default:
            conversation_anomaly(c, "bad_frame");
            return;
        }
    }
    if (at.failed) conversation_anomaly(c, "bad_frame");
}

static void on_chlo(struct conversation *c, struct quic *q, struct slice frames) {
    struct quic_chlo chlo;
    if (q->has_chlo || !quic_chlo_find(frames, &chlo)) return;
    q->has_chlo = true;
    if (chlo.sni.length > sizeof q->chlo_sni) chlo.sni.length = sizeof q->chlo_sni;
    if (chlo.agent.length > sizeof q->chlo_agent) chlo.agent.length = sizeof q->chlo_agent;
    q->chlo_sni_length = (uint8_t)chlo.sni.length;
    q->chlo_agent_length = (uint8_t)chlo.agent.length;
    for (uint32_t i = 0; i < chlo.sni.length; i++) {
        uint8_t byte = chlo.sni.at[i];
        q->chlo_sni[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    if (chlo.agent.length > 0) memcpy(q->chlo_agent, chlo.agent.at, chlo.agent.length);
    if (chlo.sni.length > 0)
        conversation_set_name(c, NAME_SNI, (struct slice){q->chlo_sni, q->chlo_sni_length});
}

/* ------------------------------------------------------------------ packets */

static void forget_connection(struct quic *q) {
    quic_stream_clear(&q->streams[TO_SERVER]);
    quic_stream_clear(&q->streams[TO_CLIENT]);
    free(q->hello);
    q->hello = NULL;
}

/* Another connection on the same ports, or the same one in another version. */
static void begin_anew(struct conversation *c, struct quic *q, const struct quic_packet *packet) {
    bool same = q->retry || q->negotiation || !q->hello;
    if (!same) {
        quic_report(c, q);
        forget_connection(q);
        memset(q, 0, sizeof *q);
        q->time = c->time;
        q->datagrams = 1;
    }
    q->number = packet->number;
    q->version = packet->version;
    if (same) return;
    q->dcid_length = (uint8_t)packet->dcid.length;
    q->scid_length = (uint8_t)packet->scid.length;
    q->has_initial = true;
}

static bool tried_in_vain(const struct quic *q, const struct quic_packet *packet) {
    struct slice id = packet->dcid;
    return q->has_failed && q->failed_number == packet->number && q->failed.length == id.length &&
           memcmp(q->failed.bytes, id.at, id.length) == 0;
}

static void note_in_vain(struct quic *q, const struct quic_packet *packet) {
    q->has_failed = true;
    q->failed_number = packet->number;
    q->failed.length = (uint8_t)packet->dcid.length;
    if (packet->dcid.length > 0) memcpy(q->failed.bytes, packet->dcid.at, packet->dcid.length);
}

/* Opens an Initial packet and tells whose it is. */
static struct slice open_initial(struct conversation *c, struct quic *q, enum direction direction,
                                 const struct quic_packet *packet, unsigned *side) {
    struct quic_crypt *crypt = c->shared;
    struct quic_keys keys[2];
    struct slice frames = {NULL, 0};
    if (!crypt || packet->rest.length < packet->length) return frames;
    if (q->has_keys && packet->version == q->version) {
        *side = direction == q->client_side ? TO_SERVER : TO_CLIENT;
        frames = quic_open(crypt, &q->keys[*side], packet);
        if (frames.at) return frames;
    }
    /* Not by the keys at hand: a first packet, or the first to the id that a Retry gave. */
    if (tried_in_vain(q, packet) || q->keys_made == KEYS_MADE_MOST) return frames;
    q->keys_made++;
    if (!quic_initial_keys(crypt, packet->version, packet->dcid, keys)) return frames;
    frames = quic_open(crypt, &keys[TO_SERVER], packet);
    if (!frames.at && quic_version_reserved(packet->number)) {
        if (!quic_initial_keys(crypt, quic_version_find(DRAFT_29), packet->dcid, keys)) return frames;
        frames = quic_open(crypt, &keys[TO_SERVER], packet);
    }
    if (!frames.at) {
        note_in_vain(q, packet);
        return frames;
    }
    if (q->has_keys) begin_anew(c, q, packet);
    *side = TO_SERVER;
    q->has_keys = true;
    q->client_side = (uint8_t)direction;
    memcpy(q->keys, keys, sizeof keys);
    quic_stream_clear(&q->streams[TO_SERVER]);
    quic_stream_clear(&q->streams[TO_CLIENT]);
    return frames;
}

static void on_initial(struct conversation *c, struct quic *q, enum direction direction,
                       const struct quic_packet *packet) {
    unsigned side = direction;
    if (packet->rest.length < packet->length) q->cut = true;
    struct slice frames = open_initial(c, q, direction, packet, &side);
    if (!frames.at) return;
    if (packet->version->family == QUIC_GOOGLE_SEAL) {
        if (side == TO_SERVER) on_chlo(c, q, frames);
        return;
    }
    read_frames(c, q, side, frames);
}

/* A packet's source id is what packets that go the other way are sent to. */
static void teach_ids(struct conversation *c, enum direction direction, const struct quic_packet *packet) {
    if (packet->version && (packet->type == QUIC_INITIAL || packet->type == QUIC_HANDSHAKE))
        conversation_connection_id(c, (enum direction) !direction, packet->scid);
}

/* What the header alone tells, before anything is decrypted. */
static void note_header(struct quic *q, enum direction direction, const struct quic_packet *packet) {
    unsigned side = !q->has_keys ? direction : direction == q->client_side ? TO_SERVER : TO_CLIENT;
    if (packet->type == QUIC_NEGOTIATION) {
        q->negotiation = true;
        return;
    }
    if (side == TO_CLIENT) {
        q->retry |= packet->type == QUIC_RETRY;
        q->has_server = true;
        q->server_scid_length = (uint8_t)packet->scid.length;
        if (!q->number) q->number = packet->number;
        if (!q->version) q->version = packet->version;
        return;
    }
    if (packet->type == QUIC_ZERO_RTT) q->zero_rtt = true;
    if (packet->type != QUIC_INITIAL && packet->type != QUIC_UNKNOWN) return;
    if (!q->has_initial) {
        q->token = packet->token.length > 0;
        q->dcid_length = (uint8_t)packet->dcid.length;
        q->scid_length = (uint8_t)packet->scid.length;
    }
    q->has_initial |= packet->type == QUIC_INITIAL;
    if (!q->has_keys) {
        q->number = packet->number;
        q->version = packet->version;
    }
}

static void google_datagram(struct conversation *c, struct quic *q, const struct quic_version *version,
                            struct slice payload) {
    bool public = version->family == QUIC_GOOGLE;
    q->number = version->number;
    q->version = version;
    if (!q->has_initial) {
        q->dcid_length = 8; /* Google's ids are; the client's own is never sent */
        q->has_initial = true;
    }
    uint32_t header = public ? 13 : 6;
    on_chlo(c, q, (struct slice){payload.at + header, payload.length - header});
    if (q->has_chlo || q->datagrams >= CHLO_DATAGRAMS_MOST) conversation_over(c);
}

/* ------------------------------------------------------------------ protocol */

static bool settled(const struct conversation *c, const struct quic *q) {
    if (q->datagrams >= DATAGRAMS_MOST) return true;
    if (q->has_chlo) return true;
    if (!q->hello || !q->has_server) return false;
    bool server_told = q->has_server_hello && !q->awaits_second;
    return server_told || !conversation_wants(c, EVENT_tls);
}

static void quic_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    struct quic *q = c->state;
    (void)original; /* a packet that was cut is told by its length */
    if (payload.length == 0) return;
    if (q->datagrams++ == 0) q->time = c->time;
    q->keys_made = 0;
    const struct quic_version *google =
        quic_header_is_long(payload.at[0]) ? google_long(payload) : google_public(payload);
    if (google) {
        google_datagram(c, q, google, payload);
        return;
    }
    struct slice left = payload;
    while (left.length > 0) {
        struct quic_packet packet;
        if (!quic_header_is_long(left.at[0])) {
            /* The handshake is behind both when 1-RTT packets come by themselves. */
            if (left.at == payload.at && q->hello) conversation_over(c);
            break;
        }
        if (!quic_packet_read(left, &packet)) break;
        note_header(q, direction, &packet);
        teach_ids(c, direction, &packet);
        if (packet.type == QUIC_INITIAL) on_initial(c, q, direction, &packet);
        left.at += packet.whole.length;
        left.length -= packet.whole.length;
    }
    if (settled(c, q)) conversation_over(c);
}

static void quic_end(struct conversation *c) {
    struct quic *q = c->state;
    quic_report(c, q);
    forget_connection(q);
}

static void *quic_share(void) {
    return quic_crypt_new();
}

static void quic_unshare(void *shared) {
    quic_crypt_free(shared);
}

const struct protocol protocol_quic = {
    .name = "quic",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct quic),
    .recognise = quic_recognise,
    .datagram = quic_datagram,
    .share = quic_share,
    .unshare = quic_unshare,
    .end = quic_end,
};
