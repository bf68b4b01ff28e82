/* SSH: what the two sides say before the key exchange hides the rest (RFC 4253 sections 4.2 and 7.1): a line
 * that names the software, then a KEXINIT with the algorithms offered. One event tells of both sides. Each
 * direction is let go of as soon as its KEXINIT is in. */
#include "protocol/protocols.h"

#include "protocol/hassh.h"

#include <stdlib.h>

enum {
    SSH_PORT = 22,
    BANNER_MOST = 255,        /* RFC 4253 section 4.2, line end included */
    LINES_BEFORE_BANNER = 50, /* that a server may send */
    LINE_MOST = 1024,         /* of one of those */
    PROBE_LINES_MOST = 2048,  /* bytes before a banner that recognition looks through */
    PACKET_MOST = 35000,      /* RFC 4253 section 6.1 */
    PACKETS_BEFORE_KEXINIT = 8,
    SSH_MSG_DISCONNECT = 1,
    SSH_MSG_DEBUG = 4, /* and IGNORE, UNIMPLEMENTED: 2 to 4 may come at any time */
    SSH_MSG_KEXINIT = 20,
};

struct ssh_side {
    bool over; /* nothing more that we could read will come */
    bool has_banner;
    uint8_t lines;
    uint8_t packets;
    uint8_t banner_length;
    char banner[BANNER_MOST];
    char hassh[HASSH_LENGTH + 1];
};

struct ssh {
    struct ssh_side sides[2]; /* by enum direction: TO_SERVER is what the client says */
    struct slice kex;         /* owned copies of two of the client's lists */
    struct slice ciphers;
    nanoseconds time; /* of the first banner */
    bool reported;
};

/* ------------------------------------------------------------------ recognition */

/* "SSH-2.0-", "SSH-1.99-": as much of it as is there. */
static enum recognised banner_looks(const uint8_t *p, uint32_t n) {
    static const char mark[] = "SSH-";
    uint32_t compared = n < 4 ? n : 4;
    if (memcmp(p, mark, compared) != 0) return RECOGNISED_NO;
    if (n > 4 && p[4] != '1' && p[4] != '2') return RECOGNISED_NO;
    if (n > 5 && p[5] != '.') return RECOGNISED_NO;
    return n > 5 ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

/* A server may send other lines first. To wait for the banner behind them would mean to hold on to every text
 * protocol there is, so that is done on SSH's own port only; elsewhere it must have come with the lines. */
static enum recognised ssh_recognise(const struct probe *probe) {
    enum recognised first = banner_looks(probe->data, probe->length);
    if (first != RECOGNISED_NO || probe->direction == TO_SERVER) return first;
    uint32_t length = probe->length < PROBE_LINES_MOST ? probe->length : PROBE_LINES_MOST;
    const uint8_t *at = probe->data, *end = at + length;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        if (end - at > 5 && banner_looks(at, (uint32_t)(end - at)) == RECOGNISED_YES) return RECOGNISED_YES;
    }
    return probe->server_port == SSH_PORT && probe->length < PROBE_LINES_MOST ? RECOGNISED_MAYBE
                                                                              : RECOGNISED_NO;
}

/* ------------------------------------------------------------------ the event */

struct banner_parts {
    struct slice whole, version, software;
};

/* "SSH-protoversion-softwareversion SP comments" */
static struct banner_parts banner_split(const struct ssh_side *side) {
    const uint8_t *at = (const uint8_t *)side->banner;
    struct banner_parts parts = {.whole = {at, side->banner_length}};
    const uint8_t *end = at + side->banner_length;
    const uint8_t *version = at + strlen("SSH-");
    const uint8_t *dash = version < end ? memchr(version, '-', (size_t)(end - version)) : NULL;
    if (!dash) return parts;
    parts.version = (struct slice){version, (uint32_t)(dash - version)};
    const uint8_t *space = memchr(dash, ' ', (size_t)(end - dash));
    if (space) end = space;
    parts.software = (struct slice){dash + 1, (uint32_t)(end - dash - 1)};
    return parts;
}

static struct text_ref text_of(struct batch *batch, struct slice s) {
    return batch_text(batch, s.at, s.length);
}

static struct text_ref hash_of(struct batch *batch, const struct ssh_side *side) {
    return side->hassh[0] ? batch_string(batch, side->hassh) : (struct text_ref){0, 0};
}

static void ssh_report(struct conversation *c, struct ssh *s) {
    const struct ssh_side *client = &s->sides[TO_SERVER], *server = &s->sides[TO_CLIENT];
    if (s->reported) return;
    s->reported = true;
    if (!client->has_banner && !server->has_banner) return;
    struct event_ssh *event = conversation_event(c, EVENT_ssh);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_ssh_body *body = &event->body;
    event->head.time = s->time;
    if (client->has_banner) {
        struct banner_parts parts = banner_split(client);
        body->client_banner = text_of(batch, parts.whole);
        body->client_proto_version = text_of(batch, parts.version);
        body->client_software = text_of(batch, parts.software);
        body->hassh = hash_of(batch, client);
        body->client_kex = text_of(batch, s->kex);
        body->client_ciphers = text_of(batch, s->ciphers);
    }
    if (server->has_banner) {
        struct banner_parts parts = banner_split(server);
        body->server_banner = text_of(batch, parts.whole);
        body->server_proto_version = text_of(batch, parts.version);
        body->server_software = text_of(batch, parts.software);
        body->hassh_server = hash_of(batch, server);
    }
    batch_commit(batch);
}

/* ------------------------------------------------------------------ the two things that a side says */

/* SSH 1 has no KEXINIT: after the banner there is nothing for us. "1.99" is a server that can do both. */
static bool speaks_version_2(const struct ssh_side *side) {
    return side->banner_length > 8 &&
           (memcmp(side->banner, "SSH-2.", 6) == 0 || memcmp(side->banner, "SSH-1.99", 8) == 0);
}

static void on_banner(struct conversation *c, struct ssh *s, struct ssh_side *side, struct slice line) {
    if (line.length > BANNER_MOST) conversation_anomaly(c, "banner_too_long");
    side->has_banner = true;
    side->banner_length = (uint8_t)(line.length < BANNER_MOST ? line.length : BANNER_MOST);
    memcpy(side->banner, line.at, side->banner_length);
    if (s->time == 0) s->time = c->time;
    if (!speaks_version_2(side)) side->over = true;
}

/* Takes one line, if there is a whole one. Returns the bytes used; a line that is too long ends the side. */
static uint32_t read_line(struct conversation *c, struct ssh *s, struct ssh_side *side, const uint8_t *data,
                          uint32_t length) {
    const uint8_t *end = memchr(data, '\n', length < LINE_MOST ? length : LINE_MOST);
    if (!end) {
        if (length < LINE_MOST) return 0;
        conversation_anomaly(c, "no_banner");
        side->over = true;
        return 0;
    }
    uint32_t used = (uint32_t)(end - data) + 1;
    struct slice line = {data, used - 1};
    if (line.length > 0 && line.at[line.length - 1] == '\r') line.length--;
    bool from_server = side == &s->sides[TO_CLIENT];
    if (line.length >= 4 && memcmp(line.at, "SSH-", 4) == 0) {
        on_banner(c, s, side, line);
    } else if (!from_server || ++side->lines > LINES_BEFORE_BANNER) {
        conversation_anomaly(c, "no_banner");
        side->over = true;
    }
    return used;
}

static struct slice slice_copy(struct slice s) {
    uint8_t *copy = s.length > 0 ? malloc(s.length) : NULL;
    if (!copy) return (struct slice){NULL, 0};
    memcpy(copy, s.at, s.length);
    return (struct slice){copy, s.length};
}

static void on_kexinit(struct conversation *c, struct ssh *s, struct ssh_side *side, struct slice payload) {
    struct slice lists[KEXINIT_LISTS];
    bool client = side == &s->sides[TO_SERVER];
    side->over = true;
    if (!kexinit_parse(payload, lists)) {
        conversation_anomaly(c, "bad_kexinit");
        return;
    }
    hassh_of(lists, client, side->hassh);
    if (!client) return;
    s->kex = slice_copy(lists[KEXINIT_KEX]);
    s->ciphers = slice_copy(lists[KEXINIT_CIPHER_TO_SERVER]);
}

/* Takes one binary packet in clear (RFC 4253 section 6), if there is a whole one. Returns the bytes used. */
static uint32_t read_packet(struct conversation *c, struct ssh *s, struct ssh_side *side, const uint8_t *data,
                            uint32_t length) {
    if (length < 6) return 0;
    uint32_t size = load_be32(data); /* of what follows: padding length, payload, padding */
    uint32_t padding = data[4];
    uint8_t message = data[5];
    bool in_order = message == SSH_MSG_KEXINIT || (message >= SSH_MSG_DISCONNECT && message <= SSH_MSG_DEBUG);
    if (size > PACKET_MOST || size < padding + 2 || !in_order || ++side->packets > PACKETS_BEFORE_KEXINIT) {
        conversation_anomaly(c, "bad_packet");
        side->over = true;
        return 0;
    }
    if (length - 4 < size) {
        side->packets--; /* it will be looked at again */
        return 0;
    }
    if (message == SSH_MSG_DISCONNECT) side->over = true;
    if (message == SSH_MSG_KEXINIT) on_kexinit(c, s, side, (struct slice){data + 5, size - 1 - padding});
    return size + 4;
}

/* ------------------------------------------------------------------ protocol */

static int64_t ssh_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct ssh *s = c->state;
    struct ssh_side *side = &s->sides[direction];
    uint32_t used = 0;
    if (!conversation_wants(c, EVENT_ssh)) return STREAM_OVER;
    while (!side->over && used < length) {
        uint32_t step = side->has_banner ? read_packet(c, s, side, data + used, length - used)
                                         : read_line(c, s, side, data + used, length - used);
        if (step == 0) break;
        used += step;
    }
    if (s->sides[TO_SERVER].over && s->sides[TO_CLIENT].over) {
        ssh_report(c, s);
        return STREAM_OVER;
    }
    if (side->over) return STREAM_DONE;
    return used;
}

static bool ssh_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)missing;
    struct ssh *s = c->state;
    s->sides[direction].over = true;
    if (s->sides[!direction].over) ssh_report(c, s);
    return false;
}

static void ssh_end(struct conversation *c) {
    struct ssh *s = c->state;
    ssh_report(c, s);
    free((void *)s->kex.at);
    free((void *)s->ciphers.at);
    s->kex = s->ciphers = (struct slice){NULL, 0};
}

const struct protocol protocol_ssh = {
    .name = "ssh",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct ssh),
    .recognise = ssh_recognise,
    .stream = ssh_stream,
    .gap = ssh_gap,
    .end = ssh_end,
};
