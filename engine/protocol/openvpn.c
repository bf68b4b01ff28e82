/* OpenVPN over UDP and TCP (openvpn.net, "Network protocol"; the wire format in draft-openvpn-wire-protocol).
 *
 * A packet begins with its opcode and key id; over TCP its length comes first. What opens a session is a hard
 * reset of the client with a session id of eight random bytes, and one of the server with its own, which
 * acknowledges the client's packet and repeats its session id. With tls-auth an HMAC and a packet id with a
 * time lie between, with tls-crypt all behind the HMAC is encrypted, so that nothing is repeated in clear:
 * there the packet ids, which begin with 1, and the two clocks must fit. A client that nobody answers is
 * likely; a scrambled one ("xormask", obfuscation proxies) has no form and is not recognised. Data alone has
 * none either, but for the peer id and packet id of P_DATA_V2, which are taken on port 1194 only. */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

#include <stdio.h>

enum opcode {
    HARD_RESET_CLIENT_V1 = 1,
    HARD_RESET_SERVER_V1 = 2,
    CONTROL_V1 = 4,
    HARD_RESET_CLIENT_V2 = 7,
    HARD_RESET_SERVER_V2 = 8,
    DATA_V2 = 9,
    HARD_RESET_CLIENT_V3 = 10,
    CONTROL_WKC_V1 = 11,
};

enum {
    OPENVPN_PORT = 1194,
    SESSION_ID = 8,
    HEADER = 1 + SESSION_ID,
    REPLAY_ID = 8, /* packet id and time */
    CRYPT_HMAC = 32,
    CRYPT_LEAST = HEADER + REPLAY_ID + CRYPT_HMAC + 5,
    RESET_MOST = 1500,
    CLOCKS_APART = 24 * 3600,
    DATA_WANTED = 6, /* of each side, where no session was seen to begin */
    DOUBT_MOST = 64,
};

enum wrapping { WRAP_NONE, WRAP_PLAIN, WRAP_AUTH, WRAP_CRYPT };

struct reset {
    enum wrapping wrapping;
    uint32_t hmac;         /* its length, of WRAP_AUTH */
    uint32_t time;         /* by the sender's clock, 0 of WRAP_PLAIN */
    const uint8_t *echoed; /* the peer's session id, NULL if it is not shown */
};

struct openvpn {
    bool opened; /* a client's reset was seen */
    bool reported;
    uint8_t client; /* direction that it took */
    uint8_t opcode, wrapping;
    uint32_t hmac, time;
    uint8_t session[SESSION_ID];
    uint16_t resets, seen;
    uint16_t data[2];
    uint32_t packet_id[2], peer_id[2];
};

static uint8_t opcode_of(const uint8_t *p) {
    return p[0] >> 3;
}

static bool is_client_reset(const uint8_t *p) {
    uint8_t opcode = opcode_of(p);
    return (p[0] & 7) == 0 && (opcode == HARD_RESET_CLIENT_V1 || opcode == HARD_RESET_CLIENT_V2 ||
                               opcode == HARD_RESET_CLIENT_V3);
}

static bool is_server_reset(const uint8_t *p) {
    return (p[0] & 7) == 0 && (opcode_of(p) == HARD_RESET_SERVER_V1 || opcode_of(p) == HARD_RESET_SERVER_V2);
}

/* A packet id of the session's beginning, and a time from 2001 to 2050. The upper half of the id may carry
 * flags of early negotiation. */
static bool replay_id_plausible(const uint8_t *p, uint32_t most) {
    uint32_t id = load_be16(p + 2), time = load_be32(p + 4);
    return id >= 1 && id <= most && p[0] < 16 && time > 0x3a000000 && time < 0x96000000;
}

/* Acknowledgements, the peer's session id if there are any, and the packet's number, which is 0, must fill
 * the rest exactly. */
static bool control_body(const uint8_t *p, uint32_t length, const uint8_t **echoed) {
    if (length < 5) return false;
    uint32_t acks = p[0], at = 1 + 4 * acks;
    *echoed = NULL;
    if (acks > 8) return false;
    if (acks > 0) {
        if (at + SESSION_ID > length) return false;
        *echoed = p + at;
        at += SESSION_ID;
    }
    return at + 4 == length && load_be32(p + at) == 0;
}

/* The form of a hard reset of `length` bytes, all there. */
static struct reset reset_read(const uint8_t *p, uint32_t length, uint32_t most_id) {
    static const uint8_t hmacs[] = {20, 16, 32, 64, 48, 28};
    struct reset r = {.wrapping = WRAP_NONE};
    if (length < HEADER + 5) return r;
    if (control_body(p + HEADER, length - HEADER, &r.echoed)) {
        r.wrapping = WRAP_PLAIN;
        return r;
    }
    for (unsigned i = 0; i < sizeof hmacs; i++) {
        uint32_t at = HEADER + hmacs[i];
        if (at + REPLAY_ID + 5 > length || !replay_id_plausible(p + at, most_id)) continue;
        if (!control_body(p + at + REPLAY_ID, length - at - REPLAY_ID, &r.echoed)) continue;
        r.wrapping = WRAP_AUTH;
        r.hmac = hmacs[i];
        r.time = load_be32(p + at + 4);
        return r;
    }
    r.echoed = NULL;
    if (length >= CRYPT_LEAST && length <= RESET_MOST && replay_id_plausible(p + HEADER, most_id)) {
        r.wrapping = WRAP_CRYPT;
        r.time = load_be32(p + HEADER + 4);
    }
    return r;
}

static bool is_data_v2(const uint8_t *p, uint32_t length) {
    return length >= 1 + 3 + 4 + 16 && opcode_of(p) == DATA_V2;
}

/* The session id must look random: eight bytes, at least four different ones. */
static bool session_plausible(const uint8_t *id) {
    unsigned different = 0;
    for (unsigned i = 0; i < SESSION_ID; i++) {
        bool again = false;
        for (unsigned k = 0; k < i; k++) again = again || id[k] == id[i];
        different += !again;
    }
    return different >= 4;
}

static bool opens(const uint8_t *p, uint32_t length) {
    return length >= HEADER && is_client_reset(p) && session_plausible(p + 1) &&
           reset_read(p, length, 2).wrapping != WRAP_NONE;
}

static enum recognised openvpn_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    uint32_t n = probe->length;
    if (probe->transport == TRANSPORT_TCP) {
        if (n < 3) return probe->direction == TO_SERVER ? RECOGNISED_MAYBE : RECOGNISED_NO;
        uint32_t length = load_be16(p);
        if (probe->direction != TO_SERVER || length < HEADER + 5 || length > RESET_MOST ||
            !is_client_reset(p + 2))
            return RECOGNISED_NO;
        if (n < 2 + length) return RECOGNISED_MAYBE;
        return opens(p + 2, length) ? RECOGNISED_YES : RECOGNISED_NO;
    }
    if (n == 0 || n < probe->original) return RECOGNISED_NO;
    if (opens(p, n)) return RECOGNISED_YES;
    bool port = probe->client_port == OPENVPN_PORT || probe->server_port == OPENVPN_PORT;
    return port && is_data_v2(p, n) ? RECOGNISED_YES : RECOGNISED_NO;
}

static const char *mode_word(uint8_t wrapping) {
    static const char *const words[] = {NULL, "plain", "tls-auth", "tls-crypt"};
    return words[wrapping];
}

static const char *transport_word(const struct conversation *c) {
    return conversation_is_tcp(c) ? "tcp" : "udp";
}

static uint8_t number_of(uint8_t opcode) {
    return opcode == HARD_RESET_CLIENT_V1 ? 1 : opcode == HARD_RESET_CLIENT_V2 ? 2 : 3;
}

static void report_session(struct conversation *c, struct openvpn *o, bool echoed) {
    struct vpn_finding finding = {.kind = "openvpn",
                                  .transport = transport_word(c),
                                  .mode = mode_word(o->wrapping),
                                  .phase = "handshake",
                                  .certain = true,
                                  .both_sides = true};
    char wrapped[64] = "";
    if (o->wrapping == WRAP_AUTH) snprintf(wrapped, sizeof wrapped, " under an HMAC of %u bytes", o->hmac);
    if (echoed)
        vpn_evidence(&finding,
                     "P_CONTROL_HARD_RESET_CLIENT_V%u%s, answered by the server's reset, which repeats the "
                     "client's session id",
                     number_of(o->opcode), wrapped);
    else
        vpn_evidence(&finding,
                     "P_CONTROL_HARD_RESET_CLIENT_V%u, answered by the server's reset; both with packet id 1 "
                     "and clocks "
                     "that agree, the rest encrypted",
                     number_of(o->opcode));
    o->reported = true;
    conversation_confirm(c);
    vpn_report(c, &finding);
}

static void on_client_reset(struct openvpn *o, enum direction direction, const uint8_t *p, uint32_t length) {
    struct reset r = reset_read(p, length, 16);
    if (r.wrapping == WRAP_NONE) return;
    o->opened = true;
    o->client = (uint8_t)direction;
    o->opcode = opcode_of(p);
    o->wrapping = (uint8_t)r.wrapping;
    o->hmac = r.hmac;
    o->time = r.time;
    o->resets++;
    memcpy(o->session, p + 1, SESSION_ID);
}

/* Returns whether the server's reset answers the client's. */
static bool on_server_reset(struct conversation *c, struct openvpn *o, const uint8_t *p, uint32_t length) {
    struct reset r = reset_read(p, length, 16);
    if (r.wrapping != (enum wrapping)o->wrapping) return false;
    if (r.echoed) {
        if (memcmp(r.echoed, o->session, SESSION_ID) != 0) return false;
    } else {
        int64_t apart = (int64_t)r.time - o->time;
        if (r.wrapping != WRAP_CRYPT || apart > CLOCKS_APART || apart < -CLOCKS_APART) return false;
    }
    report_session(c, o, r.echoed != NULL);
    return true;
}

/* Data alone: the same peer id, packet ids that climb without a hole worth speaking of. */
static bool on_data(struct conversation *c, struct openvpn *o, enum direction direction, const uint8_t *p) {
    uint32_t peer = load_be24(p + 1), id = load_be32(p + 4);
    bool follows = o->data[direction] && peer == o->peer_id[direction] && id > o->packet_id[direction] &&
                   id - o->packet_id[direction] < 64;
    o->data[direction] = (uint16_t)(follows ? o->data[direction] + 1 : 1);
    o->peer_id[direction] = peer;
    o->packet_id[direction] = id;
    if (o->data[0] < DATA_WANTED || o->data[1] < DATA_WANTED) return false;
    struct vpn_finding finding = {
        .kind = "openvpn", .transport = transport_word(c), .phase = "data", .both_sides = true};
    vpn_evidence(&finding,
                 "P_DATA_V2 of both sides on port 1194: peer ids %u and %u, packet ids climbing to %u and %u",
                 o->peer_id[TO_SERVER], o->peer_id[TO_CLIENT], o->packet_id[TO_SERVER],
                 o->packet_id[TO_CLIENT]);
    o->reported = true;
    conversation_confirm(c);
    vpn_report(c, &finding);
    return true;
}

/* A packet. Returns true when all is said. */
static bool on_packet(struct conversation *c, struct openvpn *o, enum direction direction, const uint8_t *p,
                      uint32_t length) {
    if (length >= HEADER + 5 && is_client_reset(p) && (!o->opened || direction == o->client))
        on_client_reset(o, direction, p, length);
    else if (o->opened && direction != o->client && length >= HEADER + 5 && is_server_reset(p))
        return on_server_reset(c, o, p, length);
    else if (!o->opened && !conversation_is_tcp(c) && is_data_v2(p, length))
        return on_data(c, o, direction, p);
    return false;
}

static void openvpn_datagram(struct conversation *c, enum direction direction, struct slice payload,
                             uint32_t original) {
    struct openvpn *o = c->state;
    if (o->seen++ == 0) conversation_doubt(c);
    if (payload.length < original || payload.length == 0) return;
    uint8_t opcode = opcode_of(payload.at);
    if (opcode == 0 || opcode > CONTROL_WKC_V1 || o->seen > DOUBT_MOST)
        conversation_give_up(c);
    else if (on_packet(c, o, direction, payload.at, payload.length))
        conversation_over(c);
}

static int64_t openvpn_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                              uint32_t length) {
    struct openvpn *o = c->state;
    uint32_t used = 0;
    while (length - used >= 2) {
        uint32_t packet = load_be16(data + used);
        if (packet == 0 || o->seen > DOUBT_MOST) return STREAM_OVER;
        if (length - used < 2 + packet) break;
        o->seen++;
        if (on_packet(c, o, direction, data + used + 2, packet)) return STREAM_OVER;
        used += 2 + packet;
    }
    return used;
}

/* Nobody answered, or in a way that we do not understand. */
static void openvpn_end(struct conversation *c) {
    struct openvpn *o = c->state;
    if (!o->opened || o->reported) return;
    struct vpn_finding finding = {.kind = "openvpn",
                                  .transport = transport_word(c),
                                  .mode = mode_word(o->wrapping),
                                  .phase = "handshake"};
    vpn_evidence(&finding,
                 "P_CONTROL_HARD_RESET_CLIENT_V%u %s, sent %s, without an answer that was understood",
                 number_of(o->opcode), o->wrapping == WRAP_PLAIN ? "without HMAC" : finding.mode,
                 o->resets > 1 ? "again and again" : "once");
    conversation_confirm(c);
    vpn_report(c, &finding);
}

const struct protocol protocol_openvpn = {
    .name = "openvpn",
    .transports = TRANSPORT_TCP | TRANSPORT_UDP,
    .state_size = sizeof(struct openvpn),
    .recognise = openvpn_recognise,
    .stream = openvpn_stream,
    .datagram = openvpn_datagram,
    .end = openvpn_end,
};
