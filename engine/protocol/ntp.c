/* NTP (RFC 5905), versions 1 to 4.
 *
 * On port 123 a message is what has the right version, mode and size; control (RFC 9327) and private
 * messages, which are shorter, are taken there too, since monitoring queries are what reflection attacks are
 * made of. On other ports only plain client and server messages count, and each of their fields must be one
 * that a clock would send. */
#include "protocol/protocols.h"

enum { NTP_PORT = 123, NTP_HEADER = 48, NTP_CONTROL_HEADER = 12, NTP_PRIVATE_HEADER = 8 };

enum ntp_mode {
    NTP_RESERVED,
    NTP_ACTIVE,
    NTP_PASSIVE,
    NTP_CLIENT,
    NTP_SERVER,
    NTP_BROADCAST,
    NTP_CONTROL,
    NTP_PRIVATE
};

/* Seconds from 1900 to 1970. */
#define NTP_UNIX_EPOCH 2208988800LL

static uint8_t version_of(const uint8_t *p) {
    return p[0] >> 3 & 7;
}
static uint8_t mode_of(const uint8_t *p) {
    return p[0] & 7;
}

static uint32_t least_size(uint8_t mode) {
    if (mode == NTP_CONTROL) return NTP_CONTROL_HEADER;
    return mode == NTP_PRIVATE ? NTP_PRIVATE_HEADER : NTP_HEADER;
}

static bool zero(const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (bytes[i]) return false;
    return true;
}

static bool header_valid(const uint8_t *p, uint32_t original) {
    uint8_t mode = mode_of(p), version = version_of(p);
    if (version < 1 || version > 4 || mode == NTP_RESERVED) return false;
    return original >= least_size(mode);
}

/* A delay or dispersion that is worth sending: below 16 s (RFC 5905, MAXDISP). Seconds are the upper 16 bits.
 */
static bool short_time_plausible(const uint8_t *p) {
    return load_be16(p) < 16;
}

/* Zero, or a time from 1968 on: later stamps have the top bit set until 2036, and nobody's clock is there
 * yet. */
static bool stamp_plausible(const uint8_t *p) {
    return p[0] & 0x80 || zero(p, 8);
}

static bool fields_plausible(const uint8_t *p) {
    uint8_t stratum = p[1];
    int8_t poll = (int8_t)p[2], precision = (int8_t)p[3];
    if (stratum > 16 || poll < 0 || poll > 17 || precision < -32 || precision > 0) return false;
    if (!short_time_plausible(p + 4) || !short_time_plausible(p + 8)) return false;
    /* A client may send a random transmit stamp, a server may not. */
    if (mode_of(p) == NTP_CLIENT) return stratum == 0 || stamp_plausible(p + 40);
    return stamp_plausible(p + 16) && stamp_plausible(p + 32) && stamp_plausible(p + 40) && !zero(p + 40, 8);
}

static enum recognised ntp_recognise(const struct probe *probe) {
    if (probe->length < 1 || !header_valid(probe->data, probe->original)) return RECOGNISED_NO;
    if (probe->client_port == NTP_PORT || probe->server_port == NTP_PORT) return RECOGNISED_YES;

    uint8_t mode = mode_of(probe->data);
    if (mode != NTP_CLIENT && mode != NTP_SERVER) return RECOGNISED_NO;
    if (version_of(probe->data) < 3 || probe->length < NTP_HEADER) return RECOGNISED_NO;
    /* Behind the header: nothing, a key id and digest (RFC 5905, figure 8), or extensions of whole words. */
    if (probe->original % 4) return RECOGNISED_NO;
    return fields_plausible(probe->data) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* Stamps whose top bit is clear belong to the era that begins in 2036 (RFC 4330 section 3). */
static nanoseconds stamp_time(const uint8_t *p) {
    if (zero(p, 8)) return 0;
    int64_t seconds = load_be32(p);
    if (!(p[0] & 0x80)) seconds += 1LL << 32;
    int64_t fraction = (int64_t)(((uint64_t)load_be32(p + 4) * NS_PER_SECOND) >> 32);
    return (seconds - NTP_UNIX_EPOCH) * NS_PER_SECOND + fraction;
}

static bool printable(const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (bytes[i] < 0x20 || bytes[i] > 0x7e) return false;
    return true;
}

/* Four letters from a reference clock or a kiss of death, else the address of the server's own server. */
static struct text_ref reference_id(struct batch *batch, const uint8_t *p, uint8_t stratum) {
    if (zero(p, 4)) return (struct text_ref){0};
    uint32_t letters = 4;
    while (letters && p[letters - 1] == 0) letters--;
    if (stratum <= 1 && printable(p, letters)) return batch_text(batch, p, letters);
    struct ip address;
    char text[IP_TEXT_SIZE];
    ip_from_v4(&address, p);
    return batch_text(batch, text, (size_t)ip_format(&address, text));
}

static void report(struct conversation *c, enum direction direction, struct slice payload,
                   uint32_t original) {
    struct event_ntp *event = conversation_event(c, EVENT_ntp);
    if (!event) return;
    const uint8_t *p = payload.at;
    event->body.to_server = direction == TO_SERVER;
    event->body.version = version_of(p);
    event->body.mode = mode_of(p);
    if (event->body.mode < NTP_CONTROL) {
        event->body.leap = p[0] >> 6;
        if (payload.length >= 2) event->body.stratum = p[1];
        if (payload.length >= 16)
            event->body.reference_id = reference_id(conversation_batch(c), p + 12, event->body.stratum);
        if (payload.length >= NTP_HEADER) event->body.transmit = stamp_time(p + 40);
        bool whole = payload.length == original && original >= NTP_HEADER;
        event->body.all_zero = event->body.mode == NTP_CLIENT && whole && zero(p + 1, payload.length - 1);
    }
    batch_commit(conversation_batch(c));
}

static void ntp_datagram(struct conversation *c, enum direction direction, struct slice payload,
                         uint32_t original) {
    if (payload.length == 0) return;
    if (!header_valid(payload.at, original)) {
        bool sized = original >= least_size(mode_of(payload.at));
        conversation_anomaly(c, sized ? "bad_version_or_mode" : "short_message");
        return;
    }
    report(c, direction, payload, original);
}

const struct protocol protocol_ntp = {
    .name = "ntp",
    .transports = TRANSPORT_UDP,
    .recognise = ntp_recognise,
    .datagram = ntp_datagram,
};
