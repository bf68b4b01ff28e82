/* Plays conversations of text protocols (and others whose sides take turns) through the flow room.
 *
 * What comes out must not depend on how the bytes were cut into segments, so each conversation is played
 * whole and in pieces. What follows a hand-over is taken by a protocol of the test's own, which keeps it. */
#ifndef LUNETTE_TESTS_DRIVE_TEXT_H
#define LUNETTE_TESTS_DRIVE_TEXT_H

#include "drive_protocol.h"

#include "protocol/protocols.h"

struct said {
    enum direction direction;
    const char *bytes;
    uint32_t length; /* 0: of a string */
};

/* Bytes that a hand-over gave to the next protocol, by direction. */
struct inner {
    char carrier[16];
    uint32_t length[2];
    uint8_t bytes[2][1024];
};
static struct inner inner;

static enum recognised inner_recognise(const struct probe *probe) {
    if (!probe->carrier) return RECOGNISED_NO;
    snprintf(inner.carrier, sizeof inner.carrier, "%s", probe->carrier);
    return RECOGNISED_YES;
}

static int64_t inner_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                            uint32_t length) {
    (void)c;
    for (uint32_t i = 0; i < length && inner.length[direction] < sizeof inner.bytes[0]; i++)
        inner.bytes[direction][inner.length[direction]++] = data[i];
    return length;
}

static const struct protocol protocol_inner = {
    .name = "inner", .transports = TRANSPORT_TCP, .recognise = inner_recognise, .stream = inner_stream};

static inline void drive_say(struct drive *d, const struct said *said, uint32_t cut) {
    uint32_t length = said->length ? said->length : (uint32_t)strlen(said->bytes);
    for (uint32_t at = 0; at < length;) {
        uint32_t piece = cut && cut < length - at ? cut : length - at;
        drive_send(d, said->direction, said->bytes + at, piece);
        at += piece;
    }
}

/* A connection with this conversation, to its end: the driver, with all events in its text. */
static inline struct drive *drive_play(const struct protocol *protocol, enum event_kind kind, uint16_t port,
                                       const struct said *said, uint32_t count, uint32_t cut) {
    struct drive *d = drive_new_of((const struct protocol *const[]){&protocol_inner, protocol, NULL}, kind);
    memset(&inner, 0, sizeof inner);
    d->server_port = port;
    drive_open(d);
    for (uint32_t i = 0; i < count; i++) drive_say(d, &said[i], cut);
    drive_close(d);
    return d;
}

/* The same, played in pieces of several sizes as well, which must change nothing. */
static inline struct drive *drive_talk(const struct protocol *protocol, enum event_kind kind, uint16_t port,
                                       const struct said *said, uint32_t count) {
    struct drive *d = drive_play(protocol, kind, port, said, count, 0);
    for (uint32_t cut = 1; cut < 8; cut += 3) {
        struct drive *other = drive_play(protocol, kind, port, said, count, cut);
        assert_string_equal(d->text, other->text);
        drive_free(other);
    }
    return d;
}

static inline uint32_t drive_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*seed >> 33);
}

/* The conversation with bytes changed, pieces of any size, and segments that are missing: nothing may be read
 * that is not there, which the sanitizers hold. */
static inline void drive_noise(const struct protocol *protocol, enum event_kind kind, uint16_t port,
                               const struct said *said, uint32_t count) {
    uint64_t seed = 11;
    for (int round = 0; round < 300; round++) {
        struct drive *d =
            drive_new_of((const struct protocol *const[]){&protocol_inner, protocol, NULL}, kind);
        d->server_port = port;
        drive_open(d);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t length = said[i].length ? said[i].length : (uint32_t)strlen(said[i].bytes);
            char *copy = malloc(length);
            assert_non_null(copy);
            memcpy(copy, said[i].bytes, length);
            if (drive_random(&seed) % 3 == 0) copy[drive_random(&seed) % length] = (char)drive_random(&seed);
            struct said changed = {said[i].direction, copy, length};
            if (drive_random(&seed) % 10 == 0)
                d->next_seq[said[i].direction] += length;
            else
                drive_say(d, &changed, drive_random(&seed) % 40);
            free(copy);
        }
        drive_close(d);
        drive_free(d);
    }
}

/* What the recogniser says to the first bytes of one side, the other silent. */
static inline enum recognised drive_ask(const struct protocol *protocol, enum direction direction,
                                        uint16_t port, const char *bytes) {
    struct probe probe = {.data = (const uint8_t *)bytes,
                          .length = (uint32_t)strlen(bytes),
                          .original = (uint32_t)strlen(bytes),
                          .direction = direction,
                          .transport = TRANSPORT_TCP,
                          .client_port = 50000,
                          .server_port = port};
    return protocol->recognise(&probe);
}

static inline void drive_expect_none(const struct drive *d, const char *text) {
    if (strstr(d->text, text)) fail_msg("%s is in:\n%s", text, d->text);
}

/* The flow's record, which shows the first bytes of both sides, has nothing of a secret either. */
static inline void drive_expect_hidden(const struct protocol *protocol, enum event_kind kind, uint16_t port,
                                       const struct said *said, uint32_t count, const char *secret) {
    for (uint32_t cut = 0; cut < 10; cut += 3) {
        struct drive *d =
            drive_new_of((const struct protocol *const[]){&protocol_inner, protocol, NULL}, kind);
        d->wants[EVENT_flow] = true;
        d->server_port = port;
        drive_open(d);
        for (uint32_t i = 0; i < count; i++) drive_say(d, &said[i], cut);
        drive_close(d);
        assert_int_equal(d->events[EVENT_flow], 1);
        drive_expect_none(d, secret);
        drive_free(d);
    }
}

/* Server Name and all aside: enough of a TLS record to begin with. */
#define DRIVE_HELLO "\x16\x03\x01\x02\x00\x01"

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

#endif
