/* WireGuard (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", section 5.4) and what is built on
 * it.
 *
 * Four messages, of 148, 92 and 64 bytes and of 32 and more in steps of 16: one byte of type, three of zero,
 * then indices that each side chose for itself. The answer to a handshake repeats the initiator's index; data
 * bears the receiver's index and a counter from 0. Each byte of that could be something else's, so a flow is
 * doubted until the two sides refer to one another: by an index that comes back, or, where the capture begins
 * within the tunnel, by data of both sides that keeps its index while its counter climbs.
 *
 * Relatives: TunnelBear lengthens the messages of the handshake but keeps the indices. Cloudflare WARP puts
 * an id into the reserved bytes, some clients also into the type's upper bits, and its indices do not come
 * back: there only data tells, on WARP's port. Tailscale sends its discovery messages beside WireGuard's on
 * the same ports; each begins with six bytes that say so (tailscale.com, disco/disco.go). */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

#include <stdio.h>

enum { INITIATION = 1, RESPONSE = 2, COOKIE = 3, DATA = 4 };
enum {
    INITIATION_LENGTH = 148,
    RESPONSE_LENGTH = 92,
    COOKIE_LENGTH = 64,
    DATA_LEAST = 32,
    MAC2_LENGTH = 16,
    WARP_PORT = 2408,
    WARP_BITS = 0xc0,
    DATA_WANTED = 3, /* of each side, where no handshake was seen */
    DOUBT_MOST = 64, /* datagrams after which a doubt is given up */
    DISCO_HEADER = 6 + 32 + 24,
};

static const uint8_t disco_magic[6] = {'T', 'S', 0xf0, 0x9f, 0x92, 0xac};

struct wireguard {
    bool initiated[2], warp;
    uint32_t index[2];    /* that a side chose, by the direction it sends in; of the latest handshake */
    uint32_t receiver[2]; /* of data sent in that direction */
    uint64_t counter[2];
    uint32_t initiation_length[2];
    uint16_t data[2]; /* data messages in a row that fit */
    uint8_t disco[2];
    uint16_t seen;
};

static uint8_t type_of(const uint8_t *p) {
    return p[0] & 0x3f;
}

static bool has_reserved(const uint8_t *p) {
    return p[1] || p[2] || p[3];
}

static bool all_zero(const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (bytes[i]) return false;
    return true;
}

/* The second MAC is zero unless the other side is under load. */
static bool mac2_zero(struct slice p, uint32_t original) {
    return p.length == original && all_zero(p.at + p.length - MAC2_LENGTH, MAC2_LENGTH);
}

/* Does the datagram have the form of a message? Returns its type, or 0. */
static uint8_t message_type(struct slice p, uint32_t original, bool warp_port) {
    if (p.length < 16 || original < DATA_LEAST) return 0;
    uint8_t type = type_of(p.at), bits = p.at[0] & 0xc0;
    if (bits && (bits != WARP_BITS || !warp_port)) return 0;
    if (type == INITIATION) {
        if (original == INITIATION_LENGTH && p.length == original)
            return (!has_reserved(p.at) && !bits) || warp_port || mac2_zero(p, original) ? type : 0;
        /* lengthened: TunnelBear's, WARP's */
        bool longer = original > INITIATION_LENGTH && original < 256;
        return longer && load_be32(p.at + 4) && (warp_port || !has_reserved(p.at)) ? type : 0;
    }
    if (has_reserved(p.at) && !warp_port) return 0;
    if (type == RESPONSE) return original >= RESPONSE_LENGTH && original < 1024 ? type : 0;
    if (type == COOKIE) return original == COOKIE_LENGTH ? type : 0;
    if (type != DATA || original % 16 != (bits ? original % 16 : 0)) return 0;
    /* no counter gets that far: a key is changed after two minutes */
    return load_be32(p.at + 4) && p.at[13] == 0 && p.at[14] == 0 && p.at[15] == 0 ? type : 0;
}

static bool is_disco(struct slice p, uint32_t original) {
    return original >= DISCO_HEADER && p.length >= sizeof disco_magic &&
           memcmp(p.at, disco_magic, sizeof disco_magic) == 0;
}

static enum recognised wireguard_recognise(const struct probe *probe) {
    struct slice p = {probe->data, probe->length};
    bool warp = probe->client_port == WARP_PORT || probe->server_port == WARP_PORT;
    return message_type(p, probe->original, warp) ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised tailscale_recognise(const struct probe *probe) {
    struct slice p = {probe->data, probe->length};
    return is_disco(p, probe->original) ? RECOGNISED_YES : RECOGNISED_NO;
}

static void report(struct conversation *c, struct vpn_finding *finding) {
    finding->transport = "udp";
    conversation_confirm(c);
    vpn_report(c, finding);
    conversation_over(c);
}

/* ------------------------------------------------------------------ WireGuard */

static void report_answered(struct conversation *c, const struct wireguard *w, enum direction initiator,
                            uint8_t type, uint32_t original) {
    uint32_t sent = w->initiation_length[initiator];
    bool longer = sent != INITIATION_LENGTH || (type == RESPONSE && original != RESPONSE_LENGTH);
    struct vpn_finding finding = {.kind = "wireguard",
                                  .phase = "handshake",
                                  .product = w->warp ? "Cloudflare WARP" : NULL,
                                  .certain = true,
                                  .both_sides = true};
    vpn_evidence(
        &finding,
        "handshake initiation of %u bytes, type 1, answered by a %s of %u bytes, type %u, that repeats "
        "its index %08x%s",
        sent, type == RESPONSE ? "response" : "cookie reply", original, type, w->index[initiator],
        longer ? "; WireGuard's own have 148 and 92 bytes: a variant such as TunnelBear's" : "");
    report(c, &finding);
}

static void report_data(struct conversation *c, const struct wireguard *w) {
    struct vpn_finding finding = {.kind = "wireguard",
                                  .phase = "data",
                                  .product = w->warp ? "Cloudflare WARP" : NULL,
                                  .certain = !w->warp,
                                  .both_sides = true};
    vpn_evidence(&finding,
                 "data messages, type 4, of both sides: to the server for receiver %08x, counter at %llu, to "
                 "the client "
                 "for %08x, counter at %llu%s",
                 w->receiver[TO_SERVER], (unsigned long long)w->counter[TO_SERVER], w->receiver[TO_CLIENT],
                 (unsigned long long)w->counter[TO_CLIENT],
                 w->warp ? "; reserved bytes are set and the port is 2408, as with Cloudflare WARP" : "");
    report(c, &finding);
}

static void on_data(struct conversation *c, struct wireguard *w, enum direction direction, const uint8_t *p) {
    uint32_t receiver = load_le32(p + 4);
    uint64_t counter = load_le64(p + 8);
    bool follows = w->data[direction] && receiver == w->receiver[direction] &&
                   counter > w->counter[direction] && counter - w->counter[direction] < 4096;
    w->data[direction] = (uint16_t)(follows ? w->data[direction] + 1 : 1);
    w->receiver[direction] = receiver;
    w->counter[direction] = counter;
    bool known =
        w->index[!direction] && receiver == w->index[!direction]; /* the peer chose it in a handshake */
    bool both = w->data[TO_SERVER] >= DATA_WANTED && w->data[TO_CLIENT] >= DATA_WANTED;
    if (both || (known && w->data[!direction] >= 1)) report_data(c, w);
}

static void wireguard_datagram(struct conversation *c, enum direction direction, struct slice payload,
                               uint32_t original) {
    struct wireguard *w = c->state;
    if (w->seen++ == 0) {
        conversation_doubt(c);
        w->warp = c->packet->src_port == WARP_PORT || c->packet->dst_port == WARP_PORT;
    }
    if (is_disco(payload, original)) return; /* Tailscale: its WireGuard is told all the same */
    uint8_t type = message_type(payload, original, w->warp);
    bool chatter = payload.length == 0 || original < 16; /* keep-alives of relatives */
    if ((!type && !chatter) || w->seen > DOUBT_MOST) {
        conversation_give_up(c);
        return;
    }
    const uint8_t *p = payload.at;
    if (type == INITIATION) {
        w->initiated[direction] = true;
        w->index[direction] = load_le32(p + 4);
        w->initiation_length[direction] = original;
    } else if (type == RESPONSE) {
        w->index[direction] = load_le32(p + 4);
        if (w->initiated[!direction] && load_le32(p + 8) == w->index[!direction])
            report_answered(c, w, !direction, type, original);
    } else if (type == COOKIE) {
        if (w->initiated[!direction] && load_le32(p + 4) == w->index[!direction])
            report_answered(c, w, !direction, type, original);
    } else if (type == DATA) {
        on_data(c, w, direction, p);
    }
}

/* Nobody answered: an initiation of the right size is told of as likely. */
static void wireguard_end(struct conversation *c) {
    struct wireguard *w = c->state;
    if (!conversation_doubted(c)) return;
    for (unsigned i = 0; i < 2; i++) {
        if (!w->initiated[i] || w->initiation_length[i] != INITIATION_LENGTH || w->data[0] || w->data[1])
            continue;
        struct vpn_finding finding = {.kind = "wireguard", .phase = "handshake"};
        vpn_evidence(&finding, "handshake initiation of 148 bytes, type 1, that got no answer that fits");
        finding.transport = "udp";
        conversation_confirm(c);
        vpn_report(c, &finding);
        return;
    }
}

/* ------------------------------------------------------------------ Tailscale */

static void report_disco(struct conversation *c, const struct wireguard *w) {
    struct vpn_finding finding = {.kind = "tailscale", .mode = "disco", .phase = "handshake"};
    finding.both_sides = w->disco[0] && w->disco[1];
    finding.certain = finding.both_sides;
    vpn_evidence(&finding,
                 "discovery messages, %u of the client and %u of the server, each with Tailscale's magic "
                 "54 53 f0 9f 92 ac, a key and a nonce",
                 w->disco[TO_SERVER], w->disco[TO_CLIENT]);
    report(c, &finding);
}

static void tailscale_datagram(struct conversation *c, enum direction direction, struct slice payload,
                               uint32_t original) {
    struct wireguard *w = c->state;
    if (!is_disco(payload, original)) return;
    if (w->disco[direction] < UINT8_MAX) w->disco[direction]++;
    if (w->disco[0] && w->disco[1]) report_disco(c, w);
}

static void tailscale_end(struct conversation *c) {
    struct wireguard *w = c->state;
    if (!(w->disco[0] && w->disco[1])) report_disco(c, w);
}

const struct protocol protocol_wireguard = {
    .name = "wireguard",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct wireguard),
    .recognise = wireguard_recognise,
    .datagram = wireguard_datagram,
    .end = wireguard_end,
};

const struct protocol protocol_tailscale = {
    .name = "tailscale",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct wireguard),
    .recognise = tailscale_recognise,
    .datagram = tailscale_datagram,
    .end = tailscale_end,
};
