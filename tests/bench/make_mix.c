/* Makes captures to measure with: a mix of real ones, or flows without end from nothing.
 *
 *      make_mix --out FILE --bytes 1000000000 CAPTURE…       real traffic, repeated
 *      make_mix --out FILE --flows 100000 --packets 4000000  synthetic: a random flow for each packet
 *
 * The mix: 64 players each play one capture through, then take the next one. The packet with the earliest
 * time goes out first, so captures run side by side as hosts of one network do. At each repetition the
 * addresses of a capture are changed, the same way in both directions, so that its flows are new ones. Local
 * addresses stay local. A public address whose peer is local stays as it is: DNS answers, which are not
 * changed, then still name the servers that are called. Pauses longer than 5 s are cut to 5 s. Checksums are
 * not put right. The sources are held in memory, the output is not. */
#include "capture/capture.h"

#include "base/bytes.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAYERS = 64, LINK_ETHERNET = 1, SNAP = 65535, SYNTHETIC_BYTES = 96, ETHERNET_HEADER = 14 };
static const nanoseconds longest_pause = 5 * NS_PER_SECOND;
static const nanoseconds first_time = 1700000000LL * NS_PER_SECOND;

struct source_packet {
    uint32_t at, captured, original;
    nanoseconds gap; /* since the packet before */
};

struct source {
    uint8_t *bytes;
    size_t used, room;
    struct source_packet *packets;
    uint32_t count, packet_room;
};

struct player {
    const struct source *source;
    uint32_t next;
    nanoseconds time; /* of the next packet */
    uint32_t key;     /* what addresses are changed with */
};

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "make_mix: %s: %s\n", what, why);
    exit(1);
}

static void *grow(void *at, size_t bytes) {
    void *grown = realloc(at, bytes);
    if (!grown) fail("memory", "there is not enough");
    return grown;
}

static uint64_t scramble(uint64_t x) { /* splitmix64's finish */
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

/* ------------------------------------------------------------------ output */

static void put_header(FILE *out) {
    const uint32_t words[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, SNAP, LINK_ETHERNET};
    fwrite(words, sizeof words, 1, out);
}

static uint64_t put_packet(FILE *out, nanoseconds time, const uint8_t *bytes, uint32_t captured,
                           uint32_t original) {
    const uint32_t head[] = {(uint32_t)(time / NS_PER_SECOND), (uint32_t)(time % NS_PER_SECOND / 1000),
                             captured, original};
    fwrite(head, sizeof head, 1, out);
    fwrite(bytes, captured, 1, out);
    return sizeof head + captured;
}

/* ----------------------------------------------------------------- sources */

static void source_take(struct source *source, const struct packet *packet, nanoseconds *before) {
    if (packet->link_type != LINK_ETHERNET || packet->captured < ETHERNET_HEADER || packet->captured > SNAP)
        return;
    if (source->used + packet->captured > source->room) {
        source->room = (source->room + packet->captured) * 2;
        source->bytes = grow(source->bytes, source->room);
    }
    if (source->count == source->packet_room) {
        source->packet_room = source->packet_room ? source->packet_room * 2 : 256;
        source->packets = grow(source->packets, source->packet_room * sizeof *source->packets);
    }
    nanoseconds gap = source->count ? packet->time - *before : 0;
    gap = gap < 0 ? 0 : gap > longest_pause ? longest_pause : gap;
    if (packet->time > *before) *before = packet->time;
    memcpy(source->bytes + source->used, packet->bytes, packet->captured);
    source->packets[source->count++] = (struct source_packet){
        .at = (uint32_t)source->used, .captured = packet->captured, .original = packet->original, .gap = gap};
    source->used += packet->captured;
}

static bool source_load(struct source *source, const char *path) {
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

/* --------------------------------------------------------------- addresses */

static bool v4_is_group(const uint8_t *a) {
    return a[0] >= 224 || a[0] == 0 || a[0] == 127;
}

static bool v4_is_local(const uint8_t *a) {
    return a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 169 && a[1] == 254) || (a[0] == 100 && (a[1] & 0xc0) == 64);
}

static bool v6_is_group(const uint8_t *a) {
    static const uint8_t zero[15];
    return a[0] == 0xff || memcmp(a, zero, 15) == 0; /* :: and ::1 */
}

static bool v6_is_local(const uint8_t *a) {
    return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

/* The last bytes are xored: whoever is in a block of /16 (IPv6: /96) stays in it. */
static void address_change(uint8_t *end, unsigned bytes, uint32_t key) {
    for (unsigned i = 1; i <= bytes; i++, key >>= 8) end[-(int)i] ^= (uint8_t)key;
}

static void addresses_change(uint8_t *ip, uint32_t length, uint32_t key) {
    bool v4 = length >= 20 && ip[0] >> 4 == 4, v6 = length >= 40 && ip[0] >> 4 == 6;
    if (!v4 && !v6) return;
    unsigned size = v4 ? 4 : 16, changed = v4 ? 2 : 4;
    uint8_t *src = ip + (v4 ? 12 : 8), *dst = src + size;
    bool (*is_group)(const uint8_t *) = v4 ? v4_is_group : v6_is_group;
    bool (*is_local)(const uint8_t *) = v4 ? v4_is_local : v6_is_local;
    bool both_public = !is_local(src) && !is_local(dst);
    if (!is_group(src) && (is_local(src) || both_public)) address_change(src + size, changed, key);
    if (!is_group(dst) && (is_local(dst) || both_public)) address_change(dst + size, changed, key);
}

static void frame_change(uint8_t *frame, uint32_t length, uint32_t key) {
    uint32_t at = 12;
    uint16_t type = load_be16(frame + at);
    while ((type == 0x8100 || type == 0x88a8) && at + 6 <= length) {
        at += 4;
        type = load_be16(frame + at);
    }
    if (type == 0x0800 || type == 0x86dd) addresses_change(frame + at + 2, length - at - 2, key);
}

/* --------------------------------------------------------------------- mix */

static void player_begin(struct player *player, const struct source *sources, uint32_t count, uint64_t number,
                         nanoseconds now) {
    uint32_t round = (uint32_t)(number / count);
    player->source = &sources[number % count];
    player->next = 0;
    player->time = now;
    player->key = round == 0 ? 0 : (uint32_t)scramble(number);
}

static void make_mix(FILE *out, uint64_t bytes, const struct source *sources, uint32_t count) {
    static uint8_t frame[SNAP];
    struct player players[PLAYERS];
    uint64_t number = 0, written = 0, packets = 0;
    for (; number < PLAYERS; number++)
        player_begin(&players[number], sources, count, number, first_time + (nanoseconds)number * 1000000);
    while (written < bytes && !ferror(out)) {
        struct player *first = &players[0];
        for (int i = 1; i < PLAYERS; i++)
            if (players[i].time < first->time) first = &players[i];
        const struct source_packet *packet = &first->source->packets[first->next];
        memcpy(frame, first->source->bytes + packet->at, packet->captured);
        frame_change(frame, packet->captured, first->key);
        written += put_packet(out, first->time, frame, packet->captured, packet->original);
        packets++;
        if (++first->next == first->source->count)
            player_begin(first, sources, count, number++, first->time);
        else
            first->time += first->source->packets[first->next].gap;
    }
    printf("%llu packets, %llu bytes, %llu captures played, of %u\n", (unsigned long long)packets,
           (unsigned long long)written, (unsigned long long)number, count);
}

/* --------------------------------------------------------------- synthetic */

static void put_be16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_be32(uint8_t *at, uint32_t value) {
    put_be16(at, (uint16_t)(value >> 16));
    put_be16(at + 2, (uint16_t)value);
}

/* What a synthetic flow remembers: TCP must count its bytes. */
struct endless {
    uint32_t sent[2];
    uint32_t packets;
};

/* Even flows are TCP (SYN, SYN-ACK, then data both ways), odd ones UDP. Clients are in 10/8, servers not. */
static void endless_frame(uint8_t *frame, struct endless *flow, uint32_t number, uint64_t chance) {
    bool tcp = number % 2 == 0;
    unsigned server = flow->packets == 0 ? 0 : flow->packets == 1 ? 1 : chance & 1;
    uint32_t payload = SYNTHETIC_BYTES - ETHERNET_HEADER - 20 - (tcp ? 20 : 8);
    uint8_t flags = flow->packets == 0 ? 2 : flow->packets == 1 ? 18 : 16;
    bool syn = tcp && flow->packets < 2;
    uint8_t *ip = frame + ETHERNET_HEADER, *l4 = ip + 20;
    for (uint32_t i = 0; i < SYNTHETIC_BYTES; i += 8, chance = scramble(chance))
        memcpy(frame + i, &chance, 8);
    put_be16(frame + 12, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)(SYNTHETIC_BYTES - ETHERNET_HEADER));
    ip[8] = 64;
    ip[9] = tcp ? 6 : 17;
    put_be32(ip + (server ? 16 : 12), 0x0a000000 + (number & 0xffffff));
    put_be32(ip + (server ? 12 : 16), 0x2d000000 + (uint32_t)(scramble(number) & 0xffff));
    put_be16(l4 + (server ? 2 : 0), (uint16_t)(32768 + number % 28000));
    put_be16(l4 + (server ? 0 : 2), 9443);
    if (tcp) {
        if (syn) put_be16(ip + 2, 40);
        put_be32(l4 + 4, flow->sent[server]);
        put_be32(l4 + 8, flow->packets ? flow->sent[!server] : 0);
        l4[12] = 0x50;
        l4[13] = flags;
        put_be16(l4 + 14, 4096);
        memset(l4 + 16, 0, 4);
    } else {
        put_be16(l4 + 4, (uint16_t)(8 + payload));
        memset(l4 + 6, 0, 2);
    }
    flow->sent[server] += syn ? 1 : payload;
    flow->packets++;
}

/* First every flow once, in order, so that all exist; then at random. Ten packets a microsecond: no pause is
 * long enough to mean anything. */
static void make_flows(FILE *out, uint32_t flows, uint64_t packets) {
    struct endless *table = calloc(flows, sizeof *table);
    uint8_t frame[SYNTHETIC_BYTES];
    if (!table) fail("memory", "there is not enough");
    for (uint64_t i = 0; i < packets && !ferror(out); i++) {
        uint64_t chance = scramble(i);
        uint32_t number = (uint32_t)(i < flows ? i : (chance >> 32) % flows);
        endless_frame(frame, &table[number], number, chance);
        put_packet(out, first_time + (nanoseconds)i * 100, frame, SYNTHETIC_BYTES, SYNTHETIC_BYTES);
    }
    free(table);
}

/* -------------------------------------------------------------------- main */

static uint64_t number_of(const char *text) {
    char *end;
    double value = strtod(text, &end); /* 1e9 is welcome */
    if (*end || !(value >= 1 && value < 1e15)) fail(text, "a number is expected");
    return (uint64_t)value;
}

static uint32_t load_all(struct source *sources, char **paths, int count) {
    uint32_t loaded = 0;
    for (int i = 0; i < count; i++)
        if (source_load(&sources[loaded], paths[i])) loaded++;
    return loaded;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"flows", required_argument, NULL, 'f'},
                                            {"packets", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    uint64_t bytes = 1000000000, flows = 0, packets = 4000000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'o') path = optarg;
        if (option == 'b') bytes = number_of(optarg);
        if (option == 'f') flows = number_of(optarg);
        if (option == 'p') packets = number_of(optarg);
        if (option == '?') return 2;
    }
    if (!path) fail("--out", "a file is expected");
    struct source *sources = calloc((size_t)argc, sizeof *sources);
    uint32_t count = sources && !flows ? load_all(sources, argv + optind, argc - optind) : 0;
    if (!flows && count == 0) fail("sources", "no capture with Ethernet packets was given");
    FILE *out = fopen(path, "wb");
    if (!out) fail(path, "cannot be written");
    setvbuf(out, NULL, _IOFBF, 1 << 20);
    put_header(out);
    if (flows)
        make_flows(out, (uint32_t)flows, packets);
    else
        make_mix(out, bytes, sources, count);
    if (ferror(out) | fclose(out)) fail(path, "cannot be written");
    for (int i = 0; i < argc && sources; i++) {
        free(sources[i].bytes);
        free(sources[i].packets);
    }
    free(sources);
    return 0;
}
