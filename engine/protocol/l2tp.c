/* L2TP's control connection, version 2 (RFC 2661 section 3.1): on UDP 1701, usually inside IPsec and then out
 * of sight. Bits that are set, the length and the first attribute, which names the message, make it known;
 * data messages are the decoder's, which looks into them. */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

enum {
    L2TP_PORT = 1701,
    CONTROL_HEADER = 12,
    AVP_HEADER = 8,
    CONTROL_BITS = 0xc8, /* type, length, sequence */
    VERSION = 2,
    MESSAGE_LAST = 16,
};

struct l2tp {
    bool said[2];
    bool reported;
    uint16_t message[2];
};

/* The kind of a control message, 0 of an empty one (an acknowledgement), -1 if it is none. */
static int message_of(struct slice p, uint32_t original) {
    if (p.length < CONTROL_HEADER || (p.at[0] & 0xcb) != CONTROL_BITS || (p.at[1] & 0x0f) != VERSION)
        return -1;
    if (load_be16(p.at + 2) != original) return -1;
    if (original == CONTROL_HEADER) return 0;
    if (p.length < CONTROL_HEADER + AVP_HEADER) return -1;
    const uint8_t *avp = p.at + CONTROL_HEADER;
    if ((load_be16(avp) & 0x03ff) != AVP_HEADER || load_be32(avp + 2) != 0) return -1;
    uint16_t message = load_be16(avp + 6);
    return message >= 1 && message <= MESSAGE_LAST ? message : -1;
}

static enum recognised l2tp_recognise(const struct probe *probe) {
    if (probe->client_port != L2TP_PORT && probe->server_port != L2TP_PORT) return RECOGNISED_NO;
    struct slice p = {probe->data, probe->length};
    return message_of(p, probe->original) >= 0 ? RECOGNISED_YES : RECOGNISED_NO;
}

static void report(struct conversation *c, struct l2tp *l2tp) {
    struct vpn_finding finding = {.kind = "l2tp",
                                  .transport = "udp",
                                  .phase = "handshake",
                                  .both_sides = l2tp->said[0] && l2tp->said[1]};
    finding.certain = finding.both_sides;
    vpn_evidence(&finding,
                 "control messages of L2TP version 2 on port 1701, of %s, the last of kind %u and %u",
                 finding.both_sides ? "both sides" : "one side", l2tp->message[0], l2tp->message[1]);
    l2tp->reported = true;
    vpn_report(c, &finding);
}

static void l2tp_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    struct l2tp *l2tp = c->state;
    int message = message_of(payload, original);
    if (message < 0) return;
    l2tp->said[direction] = true;
    if (message > 0) l2tp->message[direction] = (uint16_t)message;
    if (!l2tp->said[0] || !l2tp->said[1]) return;
    report(c, l2tp);
    conversation_over(c);
}

static void l2tp_end(struct conversation *c) {
    struct l2tp *l2tp = c->state;
    if (!l2tp->reported) report(c, l2tp);
}

const struct protocol protocol_l2tp = {
    .name = "l2tp",
    .transports = TRANSPORT_UDP,
    .state_size = sizeof(struct l2tp),
    .recognise = l2tp_recognise,
    .datagram = l2tp_datagram,
    .end = l2tp_end,
};
