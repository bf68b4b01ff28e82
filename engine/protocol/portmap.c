/* Asking a router for open ports: NAT-PMP (RFC 6886) and PCP (RFC 6887), which share port 5351.
 *
 * The first byte is the version, 0 or 2, the second the operation, with its top bit set in responses. A
 * client may fall back from PCP to NAT-PMP within one flow, so each datagram is told by its own version.
 * Responses of NAT-PMP that come unasked go to port 5350. */
#include "protocol/protocols.h"

enum {
    PORT_CLIENTS = 5350,
    PORT_ROUTER = 5351,
    VERSION_NATPMP = 0,
    VERSION_PCP = 2,
    RESPONSE = 0x80,
    NATPMP_REQUEST = 12,
    NATPMP_RESPONSE = 16,
    NATPMP_ADDRESS = 12,
    NATPMP_ERROR = 8,
    PCP_HEADER = 24,
    PCP_MAP = 36,
    PCP_PEER = 56,
    PCP_MOST = 1100,
    PCP_THIRD_PARTY = 1,
};

enum { PMP_ADDRESS = 0, PMP_UDP = 1, PMP_TCP = 2 };
enum { PCP_OP_ANNOUNCE = 0, PCP_OP_MAP = 1, PCP_OP_PEER = 2 };
enum { TRANSPORT_NUMBER_TCP = 6, TRANSPORT_NUMBER_UDP = 17 };

static uint8_t operation(const uint8_t *p) {
    return p[1] & 0x7f;
}

/* RFC 6886 prints the answer to an unknown version with operation 0; its erratum 3618 makes that 128. */
static bool is_response(const uint8_t *p, uint32_t length) {
    return p[1] & RESPONSE || (p[0] == VERSION_NATPMP && p[1] == 0 && length == NATPMP_ERROR);
}

/* A response that says what went wrong may end behind the epoch (RFC 6886 section 3.5). */
static bool natpmp_valid(const uint8_t *p, uint32_t length) {
    uint8_t op = operation(p);
    if (is_response(p, length)) {
        if (length == NATPMP_ERROR || op > PMP_TCP)
            return length >= NATPMP_ERROR && length <= NATPMP_RESPONSE;
        return length == (op == PMP_ADDRESS ? (uint32_t)NATPMP_ADDRESS : (uint32_t)NATPMP_RESPONSE);
    }
    return op <= PMP_TCP && length == (op == PMP_ADDRESS ? 2u : (uint32_t)NATPMP_REQUEST);
}

static bool pcp_valid(const uint8_t *p, uint32_t length) {
    if (length < PCP_HEADER || length > PCP_MOST || length % 4) return false;
    uint8_t op = operation(p);
    if (op == PCP_OP_MAP) return length >= PCP_HEADER + PCP_MAP;
    return op == PCP_OP_PEER ? length >= PCP_HEADER + PCP_PEER : op == PCP_OP_ANNOUNCE;
}

static bool valid(const uint8_t *p, uint32_t length) {
    if (length < 2) return false;
    return p[0] == VERSION_PCP ? pcp_valid(p, length) : p[0] == VERSION_NATPMP && natpmp_valid(p, length);
}

static enum recognised recognise_version(const struct probe *probe, uint8_t version) {
    bool router = probe->client_port == PORT_ROUTER || probe->server_port == PORT_ROUTER;
    bool clients = probe->client_port == PORT_CLIENTS || probe->server_port == PORT_CLIENTS;
    if (!router && !clients) return RECOGNISED_NO;
    if (probe->length < 2 || probe->data[0] != version) return RECOGNISED_NO;
    return valid(probe->data, probe->original) ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised natpmp_recognise(const struct probe *probe) {
    return recognise_version(probe, VERSION_NATPMP);
}

static enum recognised pcp_recognise(const struct probe *probe) {
    return recognise_version(probe, VERSION_PCP);
}

/* RFC 6886 section 3.5. */
static const char *natpmp_result(uint16_t code) {
    static const char *const words[] = {"success",         "unsupported_version", "not_authorized",
                                        "network_failure", "no_resources",        "unsupported_opcode"};
    return code < sizeof words / sizeof words[0] ? words[code] : "other";
}

/* RFC 6887 section 7.4. */
static const char *pcp_result(uint8_t code) {
    static const char *const words[] = {"success",
                                        "unsupported_version",
                                        "not_authorized",
                                        "malformed_request",
                                        "unsupported_opcode",
                                        "unsupported_option",
                                        "malformed_option",
                                        "network_failure",
                                        "no_resources",
                                        "unsupported_protocol",
                                        "user_exceeded_quota",
                                        "cannot_provide_external",
                                        "address_mismatch",
                                        "excessive_remote_peers"};
    return code < sizeof words / sizeof words[0] ? words[code] : "other";
}

static const char *transport_word(uint8_t protocol) {
    if (protocol == TRANSPORT_NUMBER_TCP) return "tcp";
    if (protocol == TRANSPORT_NUMBER_UDP) return "udp";
    return protocol == 0 ? "all" : "other";
}

static void read_natpmp(struct event_portmap_body *body, const uint8_t *p, uint32_t length, bool response) {
    uint8_t op = operation(p);
    body->protocol = "nat-pmp";
    body->op = op == PMP_ADDRESS ? "external_address" : op <= PMP_TCP ? "map" : "other";
    if (op == PMP_UDP || op == PMP_TCP) body->transport = op == PMP_TCP ? "tcp" : "udp";
    if (response && length >= NATPMP_ERROR) {
        body->result_code = load_be16(p + 2);
        body->result = natpmp_result(body->result_code);
        body->epoch = load_be32(p + 4);
    }
    if (op == PMP_ADDRESS) {
        if (response && length >= NATPMP_ADDRESS && load_be32(p + 8)) ip_from_v4(&body->external_ip, p + 8);
        return;
    }
    uint32_t at = response ? 8 : 4;
    if (op > PMP_TCP || length < at + 8) return;
    body->internal_port = load_be16(p + at);
    body->external_port = load_be16(p + at + 2);
    body->lifetime = load_be32(p + at + 4);
    body->delete = !response && body->lifetime == 0;
}

/* An address of PCP: all zeros of either family are none (RFC 6887 section 5). */
static void pcp_address(struct ip *to, const uint8_t *p) {
    struct ip address;
    memcpy(address.bytes, p, sizeof address.bytes);
    if (ip_is_v4(&address) && load_be32(p + 12) == 0) return;
    *to = address;
}

/* Code, a reserved byte, length, data padded to four bytes (RFC 6887 section 7.3). */
static void pcp_options(struct event_portmap_body *body, const uint8_t *p, uint32_t length) {
    struct cursor c = cursor_over(p, length);
    while (cursor_left(&c) >= 4) {
        uint8_t code = cursor_u8(&c);
        cursor_u8(&c);
        uint16_t size = cursor_be16(&c);
        const uint8_t *data = cursor_take(&c, (size + 3u) & ~3u);
        if (!data) return;
        if (code == PCP_THIRD_PARTY && size == 16) pcp_address(&body->third_party, data);
    }
}

static void read_pcp(struct event_portmap_body *body, const uint8_t *p, uint32_t length, bool response) {
    uint8_t op = operation(p);
    body->protocol = "pcp";
    body->op = op == PCP_OP_MAP ? "map" : op == PCP_OP_PEER ? "peer" : op ? "other" : "announce";
    if (length < PCP_HEADER) return;
    body->lifetime = load_be32(p + 4);
    if (response) {
        body->result_code = p[3];
        body->result = pcp_result(p[3]);
        body->epoch = load_be32(p + 8);
    } else {
        pcp_address(&body->internal_ip, p + 8);
    }
    uint32_t size = op == PCP_OP_MAP ? PCP_MAP : op == PCP_OP_PEER ? PCP_PEER : 0;
    if (length < PCP_HEADER + size) return;
    const uint8_t *m = p + PCP_HEADER; /* a nonce of 12 bytes first */
    if (size) {
        body->transport = transport_word(m[12]);
        body->internal_port = load_be16(m + 16);
        body->external_port = load_be16(m + 18);
        pcp_address(&body->external_ip, m + 20);
        body->delete = op == PCP_OP_MAP && !response && body->lifetime == 0;
    }
    if (op == PCP_OP_PEER) {
        body->remote_port = load_be16(m + 36);
        pcp_address(&body->remote_ip, m + 40);
    }
    pcp_options(body, m + size, length - PCP_HEADER - size);
}

static void portmap_datagram(struct conversation *c, enum direction direction, struct slice payload,
                             uint32_t original) {
    (void)direction;
    if (payload.length < 2) return;
    if (!valid(payload.at, original)) {
        bool known = payload.at[0] == VERSION_NATPMP || payload.at[0] == VERSION_PCP;
        conversation_anomaly(c, known ? "bad_length_or_opcode" : "bad_version");
        return;
    }
    struct event_portmap *event = conversation_event(c, EVENT_portmap);
    if (!event) return;
    bool response = is_response(payload.at, original);
    event->body.type = response ? "response" : "request";
    if (payload.at[0] == VERSION_PCP)
        read_pcp(&event->body, payload.at, payload.length, response);
    else
        read_natpmp(&event->body, payload.at, payload.length, response);
    batch_commit(conversation_batch(c));
}

const struct protocol protocol_natpmp = {
    .name = "natpmp",
    .transports = TRANSPORT_UDP,
    .recognise = natpmp_recognise,
    .datagram = portmap_datagram,
};

const struct protocol protocol_pcp = {
    .name = "pcp",
    .transports = TRANSPORT_UDP,
    .recognise = pcp_recognise,
    .datagram = portmap_datagram,
};
