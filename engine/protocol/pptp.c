/* PPTP's control connection (RFC 2637 section 2): TCP, a length, a magic cookie, numbered messages. The first
 * two name host and vendor of either side. What it tunnels is GRE of its own version, decapsulated by the
 * decoder where it is in clear. */
#include "protocol/protocols.h"
#include "protocol/vpn.h"

enum {
    HEADER = 12,
    START_REQUEST = 1,
    START_REPLY = 2,
    MESSAGE_LAST = 15,
    START_LENGTH = 156,
    VENDOR_AT = 92,
    TEXT_SIZE = 64,
    MESSAGE_MOST = 512,
};
#define PPTP_COOKIE 0x1a2b3c4du

struct pptp {
    bool said[2];
    char vendor[TEXT_SIZE + 1]; /* of the server */
    bool reported;
};

static bool header_valid(const uint8_t *p) {
    uint16_t length = load_be16(p), message = load_be16(p + 8);
    return length >= HEADER && length <= MESSAGE_MOST && load_be16(p + 2) == 1 &&
           load_be32(p + 4) == PPTP_COOKIE && message >= START_REQUEST && message <= MESSAGE_LAST;
}

static enum recognised pptp_recognise(const struct probe *probe) {
    static const uint8_t cookie[] = {0, 1, 0x1a, 0x2b, 0x3c, 0x4d};
    for (uint32_t i = 2; i < probe->length && i < 8; i++)
        if (probe->data[i] != cookie[i - 2]) return RECOGNISED_NO;
    if (probe->length < HEADER) return RECOGNISED_MAYBE;
    return header_valid(probe->data) ? RECOGNISED_YES : RECOGNISED_NO;
}

static void report(struct conversation *c, struct pptp *pptp) {
    struct vpn_finding finding = {.kind = "pptp",
                                  .transport = "tcp",
                                  .phase = "handshake",
                                  .both_sides = pptp->said[0] && pptp->said[1]};
    finding.certain = finding.both_sides;
    vpn_evidence(&finding, "control messages with the magic cookie 1a2b3c4d, of %s%s%s",
                 finding.both_sides ? "both sides" : "one side",
                 pptp->vendor[0] ? "; the server's vendor is " : "", pptp->vendor);
    pptp->reported = true;
    vpn_report(c, &finding);
}

static void note_vendor(struct pptp *pptp, const uint8_t *p) {
    for (unsigned i = 0; i < TEXT_SIZE && p[i]; i++)
        pptp->vendor[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '.';
}

static int64_t pptp_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct pptp *pptp = c->state;
    uint32_t used = 0;
    while (length - used >= HEADER) {
        const uint8_t *p = data + used;
        if (!header_valid(p)) {
            conversation_anomaly(c, "bad_header");
            return STREAM_OVER;
        }
        uint32_t size = load_be16(p);
        if (length - used < size) break;
        pptp->said[direction] = true;
        if (load_be16(p + 8) == START_REPLY && size >= START_LENGTH) note_vendor(pptp, p + VENDOR_AT);
        if (pptp->said[0] && pptp->said[1]) {
            report(c, pptp);
            return STREAM_OVER;
        }
        used += size;
    }
    return used;
}

static void pptp_end(struct conversation *c) {
    struct pptp *pptp = c->state;
    if (!pptp->reported && (pptp->said[0] || pptp->said[1])) report(c, pptp);
}

const struct protocol protocol_pptp = {
    .name = "pptp",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct pptp),
    .recognise = pptp_recognise,
    .stream = pptp_stream,
    .end = pptp_end,
};
