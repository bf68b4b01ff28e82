/* IKE, versions 1 and 2 (RFC 2408, 7296), and ESP in UDP beside it (RFC 3948).
 *
 * A message begins with the cookies (SPIs) of both sides, the kind of its first payload, the version, the
 * exchange and its whole length. On port 4500 four zero bytes come first, where ESP has its SPI; a single
 * 0xff keeps the path through a NAT open. Exchanges that open a session show their payloads in clear: these
 * must follow one another to the last byte, which makes IKE known on any port; the others are taken on 500
 * and 4500. Sure is who has heard both sides with the same cookies, or, where the capture begins later, ESP
 * whose sequence numbers count up under one SPI.
 *
 * ESP and AH as IP protocols of their own (RFC 4303, 4302) end here as well: the protocol number says what
 * they are, SPI and sequence number say that it is true. AH that protects readable headers is not seen: the
 * decoder passes it, and what it protects is a flow as any other. */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

enum {
    PORT_IKE = 500,
    PORT_NAT_T = 4500,
    HEADER = 28,
    COOKIE = 8,
    PAYLOAD_HEADER = 4,
    PAYLOADS_MOST = 64,
    V1 = 0x10,
    V2 = 0x20,
    V1_SA = 1,
    V1_VENDOR = 13,
    V2_FIRST_PAYLOAD = 33,
    V2_LAST_PAYLOAD = 54,
    V2_ENCRYPTED = 46,
    V2_VENDOR = 43,
    V1_MAIN_MODE = 2,
    V1_AGGRESSIVE = 4,
    V2_SA_INIT = 34,
    FLAG_ENCRYPTED = 1, /* of version 1 */
    ESP_LEAST = 8 + 8,  /* SPI, sequence number, a tag or block */
    SPI_LEAST = 256,    /* RFC 4303 section 2.1: up to 255 are reserved */
    SEQUENCE_STEP = 256,
    COUNTED_WANTED = 3, /* packets in a row of one side */
    DOUBT_MOST = 64,
    VENDOR_KEPT = 32,
};

enum { PROTO_ESP = 50, PROTO_AH = 51 };

struct ike {
    bool reported, nat_t;
    uint8_t version, exchange;
    bool said[2]; /* an IKE message of that direction fitted */
    uint8_t initiator[COOKIE], responder[COOKIE];
    uint8_t vendor_length[VPN_VENDORS];
    uint8_t vendors[VPN_VENDORS][VENDOR_KEPT];
    uint8_t vendor_count;
    uint16_t seen;
    uint32_t spi[2], sequence[2]; /* of ESP or AH, by direction */
    uint16_t counted[2];          /* packets in a row that counted up */
};

static bool is_ike_port(const struct probe *probe, uint16_t port) {
    return probe->client_port == port || probe->server_port == port;
}

static bool exchange_known(uint8_t version, uint8_t exchange) {
    if (version == V2) return exchange >= V2_SA_INIT && exchange <= 44;
    return exchange == 1 || exchange == V1_MAIN_MODE || exchange == V1_AGGRESSIVE || exchange == 5 ||
           exchange == 6 || exchange == 32 || exchange == 33;
}

static bool cookie_set(const uint8_t *p) {
    return load_be64(p) != 0;
}

/* The header is one that IKE would send, in a datagram of that length. */
static bool header_valid(struct slice m, uint32_t original) {
    if (m.length < HEADER || original < HEADER) return false;
    const uint8_t *p = m.at;
    uint8_t version = p[17] & 0xf0, flags = p[19];
    if ((version != V1 && version != V2) || (p[17] & 15) > 2 || !exchange_known(version, p[18])) return false;
    if (version == V1 ? flags & 0xf8 : flags & 0xc7) return false;
    if (version == V2 && p[16] != 0 && (p[16] < V2_FIRST_PAYLOAD || p[16] > V2_LAST_PAYLOAD)) return false;
    return cookie_set(p) && load_be32(p + 24) == original;
}

static void note_vendor(struct ike *ike, struct slice id) {
    if (id.length > VENDOR_KEPT) id.length = VENDOR_KEPT;
    for (unsigned i = 0; i < ike->vendor_count; i++)
        if (ike->vendor_length[i] == id.length && memcmp(ike->vendors[i], id.at, id.length) == 0) return;
    if (ike->vendor_count == VPN_VENDORS) return;
    memcpy(ike->vendors[ike->vendor_count], id.at, id.length);
    ike->vendor_length[ike->vendor_count++] = (uint8_t)id.length;
}

/* Do payloads in clear follow one another to the end of the message? Vendor ids are noted in `ike` if given.
 */
static bool payloads_walk(struct slice m, struct ike *ike) {
    uint8_t version = m.at[17] & 0xf0, next = m.at[16];
    struct cursor c = cursor_over(m.at + HEADER, m.length - HEADER);
    for (int i = 0; next != 0 && i < PAYLOADS_MOST; i++) {
        if (version == V2 && (next == V2_ENCRYPTED || next == 53)) return i > 0;
        const uint8_t *h = cursor_take(&c, PAYLOAD_HEADER);
        if (!h) return false;
        uint32_t size = load_be16(h + 2);
        if (size < PAYLOAD_HEADER || (version == V1 && h[1] != 0)) return false;
        const uint8_t *body = cursor_take(&c, size - PAYLOAD_HEADER);
        if (!body) return false;
        bool vendor = next == (version == V1 ? V1_VENDOR : V2_VENDOR);
        if (vendor && ike) note_vendor(ike, (struct slice){body, size - PAYLOAD_HEADER});
        next = h[0];
    }
    return next == 0 && cursor_left(&c) == 0;
}

/* The first messages of a session. */
static bool opens(struct slice m) {
    uint8_t version = m.at[17] & 0xf0, exchange = m.at[18];
    if (version == V2) return exchange == V2_SA_INIT && m.at[16] != 0;
    bool in_clear = !(m.at[19] & FLAG_ENCRYPTED);
    return in_clear && m.at[16] == V1_SA && (exchange == V1_MAIN_MODE || exchange == V1_AGGRESSIVE);
}

/* Behind the four zero bytes of port 4500, or the whole; length 0 if it cannot be IKE. */
static struct slice message_of(struct slice payload, uint32_t *original, bool *marked) {
    *marked = payload.length >= 4 && load_be32(payload.at) == 0;
    if (!*marked) return payload;
    *original -= 4;
    return (struct slice){payload.at + 4, payload.length - 4};
}

static bool esp_plausible(struct slice p, uint32_t original) {
    return p.length >= 8 && original >= ESP_LEAST && load_be32(p.at) >= SPI_LEAST && load_be32(p.at + 4) != 0;
}

static enum recognised ike_recognise(const struct probe *probe) {
    struct slice payload = {probe->data, probe->length};
    uint32_t original = probe->original;
    bool marked;
    struct slice m = message_of(payload, &original, &marked);
    bool port = is_ike_port(probe, PORT_IKE) || is_ike_port(probe, PORT_NAT_T);
    if (header_valid(m, original)) {
        if (port) return RECOGNISED_YES;
        return m.length == original && opens(m) && payloads_walk(m, NULL) ? RECOGNISED_YES : RECOGNISED_NO;
    }
    if (!is_ike_port(probe, PORT_NAT_T) || marked) return RECOGNISED_NO;
    return esp_plausible(payload, original) ? RECOGNISED_YES : RECOGNISED_NO;
}

static const char *exchange_word(uint8_t version, uint8_t exchange) {
    if (version == V2) switch (exchange) {
        case V2_SA_INIT:
            return "IKE_SA_INIT";
        case 35:
            return "IKE_AUTH";
        case 36:
            return "CREATE_CHILD_SA";
        case 37:
            return "INFORMATIONAL";
        default:
            return "another exchange";
        }
    switch (exchange) {
    case V1_MAIN_MODE:
        return "main mode";
    case V1_AGGRESSIVE:
        return "aggressive mode";
    case 5:
        return "informational exchange";
    case 6:
        return "transaction exchange";
    case 32:
        return "quick mode";
    default:
        return "another exchange";
    }
}

static void report_ike(struct conversation *c, struct ike *ike) {
    struct vpn_finding finding = {.kind = "ipsec",
                                  .transport = "udp",
                                  .mode = "ike",
                                  .phase = "handshake",
                                  .both_sides = ike->said[0] && ike->said[1],
                                  .version = ike->version == V2 ? "IKEv2" : "IKEv1",
                                  .initiator = {ike->initiator, COOKIE},
                                  .vendor_count = ike->vendor_count};
    finding.certain = finding.both_sides;
    if (cookie_set(ike->responder)) finding.responder = (struct slice){ike->responder, COOKIE};
    for (unsigned i = 0; i < ike->vendor_count; i++)
        finding.vendors[i] = (struct slice){ike->vendors[i], ike->vendor_length[i]};
    vpn_evidence(&finding, "%s, %s%s: %s", finding.version, exchange_word(ike->version, ike->exchange),
                 ike->nat_t ? ", behind the non-ESP marker of NAT traversal" : "",
                 finding.both_sides ? "messages of both sides with the same cookies, their lengths as said"
                                    : "messages of one side alone, their lengths as said");
    ike->reported = true;
    conversation_confirm(c);
    vpn_report(c, &finding);
}

static void report_counted(struct conversation *c, struct ike *ike, const char *mode) {
    bool in_ip = strcmp(mode, "esp-in-udp") != 0;
    struct vpn_finding finding = {.kind = "ipsec",
                                  .transport = in_ip ? "ip" : "udp",
                                  .mode = mode,
                                  .phase = "data",
                                  .both_sides = ike->spi[0] && ike->spi[1]};
    enum direction most = ike->counted[TO_SERVER] >= ike->counted[TO_CLIENT] ? TO_SERVER : TO_CLIENT;
    finding.certain = ike->counted[most] > 1;
    if (ike->counted[most] > 1)
        vpn_evidence(&finding, "%s%s, SPI %08x towards the %s, sequence numbers counting up to %u",
                     in_ip ? "IP protocol " : "UDP port 4500", in_ip ? (mode[0] == 'a' ? "51" : "50") : "",
                     ike->spi[most], most == TO_SERVER ? "server" : "client", ike->sequence[most]);
    else
        vpn_evidence(&finding, "%s%s, SPI %08x, sequence number %u", in_ip ? "IP protocol " : "UDP port 4500",
                     in_ip ? (mode[0] == 'a' ? "51" : "50") : "", ike->spi[most], ike->sequence[most]);
    ike->reported = true;
    conversation_confirm(c);
    vpn_report(c, &finding);
}

/* Notes SPI and sequence number. */
static void count(struct ike *ike, enum direction direction, uint32_t spi, uint32_t sequence) {
    bool follows = ike->counted[direction] && spi == ike->spi[direction] &&
                   sequence > ike->sequence[direction] &&
                   sequence - ike->sequence[direction] <= SEQUENCE_STEP;
    if (ike->counted[direction] && spi == ike->spi[direction] && sequence <= ike->sequence[direction] &&
        ike->sequence[direction] - sequence <= SEQUENCE_STEP)
        return; /* overtaken on its way, or twice */
    ike->counted[direction] = (uint16_t)(follows ? ike->counted[direction] + 1 : 1);
    ike->spi[direction] = spi;
    ike->sequence[direction] = sequence;
}

static void on_message(struct conversation *c, struct ike *ike, enum direction direction, struct slice m) {
    const uint8_t *p = m.at;
    uint8_t version = p[17] & 0xf0;
    bool same = ike->version == version && memcmp(ike->initiator, p, COOKIE) == 0;
    if (!same) {
        ike->version = version;
        ike->said[0] = ike->said[1] = false;
        memcpy(ike->initiator, p, COOKIE);
        memset(ike->responder, 0, COOKIE);
        ike->vendor_count = 0;
        ike->exchange = p[18];
    }
    if (cookie_set(p + COOKIE)) memcpy(ike->responder, p + COOKIE, COOKIE);
    ike->said[direction] = true;
    if (opens(m)) payloads_walk(m, ike);
    if (ike->said[0] && ike->said[1]) report_ike(c, ike);
}

static void ike_datagram(struct conversation *c, enum direction direction, struct slice payload,
                         uint32_t original) {
    struct ike *ike = c->state;
    bool marked;
    if (ike->seen++ == 0) conversation_doubt(c);
    if (original <= 4) return; /* keeps a NAT's path open */
    struct slice m = message_of(payload, &original, &marked);
    bool nat_t = c->packet->src_port == PORT_NAT_T || c->packet->dst_port == PORT_NAT_T;
    if (header_valid(m, original)) {
        ike->nat_t = marked;
        on_message(c, ike, direction, m);
    } else if (nat_t && !marked && esp_plausible(payload, original)) {
        count(ike, direction, load_be32(payload.at), load_be32(payload.at + 4));
        if (ike->counted[direction] >= COUNTED_WANTED) report_counted(c, ike, "esp-in-udp");
    } else if (!ike->said[0] && !ike->said[1]) {
        conversation_give_up(c);
        return;
    }
    if (ike->reported || ike->seen >= DOUBT_MOST) conversation_over(c);
}

static void ike_end(struct conversation *c) {
    struct ike *ike = c->state;
    if (ike->reported) return;
    if (ike->said[0] || ike->said[1])
        report_ike(c, ike);
    else if (ike->counted[0] > 1 || ike->counted[1] > 1)
        report_counted(c, ike, "esp-in-udp");
}

/* ------------------------------------------------------------------ IP protocols 50 and 51 */

static enum recognised esp_recognise(const struct probe *probe) {
    if (probe->ip_proto != PROTO_ESP || probe->length < 8) return RECOGNISED_NO;
    return load_be32(probe->data) >= SPI_LEAST ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised ah_recognise(const struct probe *probe) {
    if (probe->ip_proto != PROTO_AH || probe->length < 12) return RECOGNISED_NO;
    return load_be32(probe->data + 4) >= SPI_LEAST && load_be16(probe->data + 2) == 0 ? RECOGNISED_YES
                                                                                      : RECOGNISED_NO;
}

static void counted_datagram(struct conversation *c, enum direction direction, struct slice payload,
                             uint32_t at, const char *mode) {
    struct ike *ike = c->state;
    if (payload.length < at + 8) return;
    count(ike, direction, load_be32(payload.at + at), load_be32(payload.at + at + 4));
    if (ike->counted[direction] < COUNTED_WANTED) return;
    report_counted(c, ike, mode);
    conversation_over(c);
}

static void esp_datagram(struct conversation *c, enum direction direction, struct slice payload,
                         uint32_t original) {
    (void)original;
    counted_datagram(c, direction, payload, 0, "esp");
}

static void ah_datagram(struct conversation *c, enum direction direction, struct slice payload,
                        uint32_t original) {
    (void)original;
    counted_datagram(c, direction, payload, 4, "ah");
}

static void esp_end(struct conversation *c) {
    struct ike *ike = c->state;
    if (!ike->reported && (ike->counted[0] || ike->counted[1])) report_counted(c, ike, "esp");
}

static void ah_end(struct conversation *c) {
    struct ike *ike = c->state;
    if (!ike->reported && (ike->counted[0] || ike->counted[1])) report_counted(c, ike, "ah");
}

const struct protocol protocol_ike = {
    .name = "ike",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct ike),
    .recognise = ike_recognise,
    .datagram = ike_datagram,
    .end = ike_end,
};

const struct protocol protocol_esp = {
    .name = "esp",
    .transports = TRANSPORT_IP,
    .state_size = sizeof(struct ike),
    .recognise = esp_recognise,
    .datagram = esp_datagram,
    .end = esp_end,
};

const struct protocol protocol_ah = {
    .name = "ah",
    .transports = TRANSPORT_IP,
    .state_size = sizeof(struct ike),
    .recognise = ah_recognise,
    .datagram = ah_datagram,
    .end = ah_end,
};
