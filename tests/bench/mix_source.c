/* Captures in memory: the packets of Ethernet captures with the pauses between them. Pauses longer than 5 s
 * are cut to 5 s. */
#include "mix_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nanoseconds longest_pause = 5 * NS_PER_SECOND;

_Noreturn void mix_fail(const char *what, const char *why) {
    fprintf(stderr, "make_mix: %s: %s\n", what, why);
    exit(1);
}

void *mix_grow(void *at, size_t bytes) {
    void *grown = realloc(at, bytes);
    if (!grown) mix_fail("memory", "there is not enough");
    return grown;
}

uint64_t mix_scramble(uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static void source_take(struct source *source, const struct packet *packet, nanoseconds *before) {
    if (packet->link_type != MIX_ETHERNET || packet->captured < MIX_ETHERNET_HEADER ||
        packet->captured > MIX_SNAP)
        return;
    if (source->used + packet->captured > source->room) {
        source->room = (source->room + packet->captured) * 2;
        source->bytes = mix_grow(source->bytes, source->room);
    }
    if (source->count == source->packet_room) {
        source->packet_room = source->packet_room ? source->packet_room * 2 : 256;
        source->packets = mix_grow(source->packets, source->packet_room * sizeof *source->packets);
    }
    nanoseconds gap = source->count ? packet->time - *before : 0;
    gap = gap < 0 ? 0 : gap > longest_pause ? longest_pause : gap;
    if (packet->time > *before) *before = packet->time;
    memcpy(source->bytes + source->used, packet->bytes, packet->captured);
    source->packets[source->count++] = (struct source_packet){.at = (uint32_t)source->used,
                                                              .captured = packet->captured,
                                                              .original = packet->original,
                                                              .gap = gap,
                                                              .flow = MIX_NO_FLOW};
    source->used += packet->captured;
}

bool source_load(struct source *source, const char *path) {
    struct error err;
    struct capture *capture = capture_open(&path, 1, &err);
    if (!capture) return false;
    struct packet burst[PACKET_BURST];
    nanoseconds before = INT64_MIN;
    int n;
    while ((n = capture_next_burst(capture, burst)) > 0)
        for (int i = 0; i < n; i++) source_take(source, &burst[i], &before);
    capture_close(capture);
    return source->count > 0;
}

void source_free(struct source *source) {
    free(source->bytes);
    free(source->packets);
}

bool v4_is_group(const uint8_t *a) {
    return a[0] >= 224 || a[0] == 0 || a[0] == 127;
}

bool v4_is_local(const uint8_t *a) {
    return a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 169 && a[1] == 254) || (a[0] == 100 && (a[1] & 0xc0) == 64);
}

bool v6_is_group(const uint8_t *a) {
    static const uint8_t zero[15];
    return a[0] == 0xff || memcmp(a, zero, 15) == 0; /* :: and ::1 */
}

bool v6_is_local(const uint8_t *a) {
    return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}
