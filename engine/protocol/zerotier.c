/* ZeroTier (ZeroTierOne, node/Packet.hpp) and SoftEther's NAT traversal: tunnels of UDP with little to show.
 *
 * A ZeroTier packet has an id of 8 random bytes, then the addresses, of 5 bytes each, of who it is for and of
 * who sends it, flags, 8 bytes of MAC. On its port 9993 such a packet is believed once the other side's bear
 * the same two addresses the other way round.
 *
 * A SoftEther client or server that wants to be reached behind a NAT sends a single A, again and again, and
 * is told as what it appears: IP=192.0.2.1,PORT=51381. */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

enum {
    ZEROTIER_PORT = 9993,
    ZEROTIER_HEADER = 28,
    ADDRESS = 5,
    DESTINATION_AT = 8,
    SOURCE_AT = 13,
    FLAGS_AT = 18,
    DOUBT_MOST = 64,
    APPEARANCE_MOST = 32,
};

struct zerotier {
    bool said[2], reported;
    uint16_t seen;
    uint8_t source[2][ADDRESS], destination[2][ADDRESS];
};

/* An address is not zero and does not begin with ff, which marks fragments. */
static bool address_valid(const uint8_t *p) {
    return p[0] != 0xff && (load_be32(p) | p[4]) != 0;
}

static bool packet_valid(struct slice p, uint32_t original) {
    if (original < ZEROTIER_HEADER || p.length < ZEROTIER_HEADER) return false;
    if (!address_valid(p.at + DESTINATION_AT) || !address_valid(p.at + SOURCE_AT)) return false;
    if (memcmp(p.at + DESTINATION_AT, p.at + SOURCE_AT, ADDRESS) == 0) return false;
    return (p.at[FLAGS_AT] >> 3 & 7) <= 3; /* ciphers that there are */
}

static enum recognised zerotier_recognise(const struct probe *probe) {
    if (probe->client_port != ZEROTIER_PORT && probe->server_port != ZEROTIER_PORT) return RECOGNISED_NO;
    struct slice p = {probe->data, probe->length};
    return packet_valid(p, probe->original) ? RECOGNISED_YES : RECOGNISED_NO;
}

static void zerotier_datagram(struct conversation *c, enum direction direction, struct slice payload,
                              uint32_t original) {
    struct zerotier *z = c->state;
    if (z->seen++ == 0) conversation_doubt(c);
    if (z->seen > DOUBT_MOST) {
        conversation_give_up(c);
        return;
    }
    if (!packet_valid(payload, original)) return; /* a fragment, a probe of the path */
    memcpy(z->destination[direction], payload.at + DESTINATION_AT, ADDRESS);
    memcpy(z->source[direction], payload.at + SOURCE_AT, ADDRESS);
    z->said[direction] = true;
    if (!z->said[!direction] || memcmp(z->source[direction], z->destination[!direction], ADDRESS) != 0 ||
        memcmp(z->destination[direction], z->source[!direction], ADDRESS) != 0)
        return;
    struct vpn_finding finding = {
        .kind = "zerotier", .transport = "udp", .phase = "handshake", .certain = true, .both_sides = true};
    const uint8_t *a = z->source[TO_SERVER], *b = z->source[TO_CLIENT];
    vpn_evidence(&finding,
                 "packets on port 9993 whose addresses %02x%02x%02x%02x%02x and %02x%02x%02x%02x%02x answer "
                 "one another",
                 a[0], a[1], a[2], a[3], a[4], b[0], b[1], b[2], b[3], b[4]);
    conversation_confirm(c);
    vpn_report(c, &finding);
    conversation_over(c);
}

/* ------------------------------------------------------------------ SoftEther */

static bool digits(const uint8_t **at, const uint8_t *end, unsigned most) {
    unsigned count = 0;
    while (*at < end && **at >= '0' && **at <= '9' && count <= most) {
        (*at)++;
        count++;
    }
    return count > 0 && count <= most;
}

static bool is_appearance(struct slice p) {
    const uint8_t *at = p.at + 3, *end = p.at + p.length;
    if (p.length > APPEARANCE_MOST || p.length < 3 || memcmp(p.at, "IP=", 3) != 0) return false;
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0 && (at == end || *at++ != '.')) return false;
        if (!digits(&at, end, 3)) return false;
    }
    if (end - at < 6 || memcmp(at, ",PORT=", 6) != 0) return false;
    at += 6;
    return digits(&at, end, 5) && at == end;
}

static enum recognised softether_recognise(const struct probe *probe) {
    struct slice p = {probe->data, probe->length};
    return is_appearance(p) ? RECOGNISED_YES : RECOGNISED_NO;
}

static void softether_datagram(struct conversation *c, enum direction direction, struct slice payload,
                               uint32_t original) {
    struct zerotier *z = c->state;
    if (is_appearance(payload)) z->said[direction] = true;
    if (!z->said[!direction] || original != 1 || payload.length != 1 || payload.at[0] != 'A') return;
    struct vpn_finding finding = {.kind = "softether",
                                  .product = "SoftEther VPN",
                                  .transport = "udp",
                                  .phase = "handshake",
                                  .certain = true,
                                  .both_sides = true};
    vpn_evidence(&finding, "NAT traversal: a single A, answered by IP=…,PORT=…");
    vpn_report(c, &finding);
    conversation_over(c);
}

const struct protocol protocol_zerotier = {
    .name = "zerotier",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct zerotier),
    .recognise = zerotier_recognise,
    .datagram = zerotier_datagram,
};

const struct protocol protocol_softether = {
    .name = "softether",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct zerotier),
    .recognise = softether_recognise,
    .datagram = softether_datagram,
};
