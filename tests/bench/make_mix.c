/* Makes captures to measure with: a mix of real ones, or flows without end from nothing.
 *
 *      make_mix --out FILE --bytes 1000000000 CAPTURE…       real traffic, repeated
 *      make_mix --out FILE --hosts 100 CAPTURE…              the same, as an office of 100 hosts that come
 * again and again make_mix --out FILE --bulk 4 CAPTURE…                 one TLS or QUIC flow of each goes on
 * for 4 MB (mix_bulk.c) make_mix --out FILE --flows 100000 --packets 4000000  synthetic: a random flow for
 * each packet (mix_flows.c)
 *
 * The mix: 64 players each play one capture through, then take the next one. The packet with the earliest
 * time goes out first, so captures run side by side as hosts of one network do. At each repetition the
 * addresses of a capture are changed, so that its flows are new ones: mix_change.c says how. With --bulk only
 * captures are played that have such a flow. Checksums are not put right. The sources are held in memory, the
 * output is not. */
#include "mix_bulk.h"
#include "mix_change.h"
#include "mix_flows.h"
#include "mix_source.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAYERS = 64 };
static const nanoseconds bulk_pause = 12000; /* a full-size packet at 1 Gbit/s */

struct mix {
    const struct source *sources;
    uint32_t count, hosts; /* hosts 0: every play has addresses of its own */
    uint64_t bulk;         /* bytes */
};

struct player {
    const struct source *source;
    uint32_t next;
    nanoseconds time; /* of the next packet */
    uint32_t key;     /* what addresses are changed with */
    struct bulk bulk;
};

static void player_begin(struct player *player, const struct mix *mix, uint64_t number, nanoseconds now) {
    bool as_it_is = !mix->hosts && number < mix->count;
    *player = (struct player){.source = &mix->sources[number % mix->count],
                              .time = now,
                              .key = as_it_is ? 0 : (uint32_t)mix_scramble(number),
                              .bulk.bytes = mix->bulk};
}

static bool in_bulk(const struct player *player) {
    return player->bulk.sent < player->bulk.bytes && player->next > player->source->carrier.after;
}

static void player_change(const struct player *player, const struct mix *mix,
                          const struct source_packet *like, uint8_t *frame, uint32_t length) {
    if (mix->hosts)
        frame_change_to_office(frame, like, mix->hosts, player->key);
    else
        frame_change_addresses(frame, length, player->key);
}

/* Writes the player's next packet and sets the time of the one after it. False: that was the last. */
static bool player_step(struct player *player, const struct mix *mix, FILE *out, uint64_t *written) {
    static uint8_t frame[MIX_SNAP + 1];
    const struct source *source = player->source;
    const struct source_packet *packet = &source->packets[player->next];
    uint32_t length, original;
    if (in_bulk(player)) {
        length = original = bulk_frame(source, &player->bulk, frame, &packet);
    } else {
        memcpy(frame, source->bytes + packet->at, packet->captured);
        length = packet->captured;
        original = packet->original;
        if (player->bulk.sent) bulk_shift(source, &player->bulk, packet, frame);
        player->next++;
    }
    player_change(player, mix, packet, frame, length);
    *written += mix_put_packet(out, player->time, frame, length, original);
    if (in_bulk(player))
        player->time += bulk_pause;
    else if (player->next < source->count)
        player->time += source->packets[player->next].gap;
    return in_bulk(player) || player->next < source->count;
}

static void make_mix(FILE *out, uint64_t bytes, const struct mix *mix) {
    struct player players[PLAYERS];
    uint64_t number = 0, written = 0, packets = 0;
    for (; number < PLAYERS; number++)
        player_begin(&players[number], mix, number, mix_first_time + (nanoseconds)number * 1000000);
    while (written < bytes && !ferror(out)) {
        struct player *first = &players[0];
        for (int i = 1; i < PLAYERS; i++)
            if (players[i].time < first->time) first = &players[i];
        packets++;
        if (!player_step(first, mix, out, &written)) player_begin(first, mix, number++, first->time);
    }
    printf("%llu packets, %llu bytes, %llu captures played, of %u\n", (unsigned long long)packets,
           (unsigned long long)written, (unsigned long long)number, mix->count);
}

static double amount_of(const char *text, double least) {
    char *end;
    double value = strtod(text, &end); /* 1e9 is welcome */
    if (*end || !(value >= least && value < 1e15)) mix_fail(text, "a number is expected");
    return value;
}

static uint64_t number_of(const char *text) {
    return (uint64_t)amount_of(text, 1);
}

/* Loads what can be played; what is left out leaves no gap. */
static uint32_t load_all(struct source *sources, char **paths, int count, bool office, bool bulk) {
    uint32_t loaded = 0;
    for (int i = 0; i < count; i++) {
        struct source source = {0};
        bool wanted = source_load(&source, paths[i]);
        if (wanted && (office || bulk)) source_learn(&source);
        if (wanted && bulk) {
            source_find_carrier(&source);
            wanted = source.carrier.found;
        }
        if (wanted)
            sources[loaded++] = source;
        else
            source_free(&source);
    }
    return loaded;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"hosts", required_argument, NULL, 'h'},
                                            {"bulk", required_argument, NULL, 'B'},
                                            {"flows", required_argument, NULL, 'f'},
                                            {"packets", required_argument, NULL, 'p'},
                                            {"frame", required_argument, NULL, 's'},
                                            {"hello", no_argument, NULL, 'H'},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    struct mix mix = {0};
    struct endless_mix endless = {.packets = 4000000, .frame = ENDLESS_FRAME};
    uint64_t bytes = 1000000000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'o') path = optarg;
        if (option == 'b') bytes = number_of(optarg);
        if (option == 'h') mix.hosts = endless.hosts = (uint32_t)number_of(optarg);
        if (option == 'B') mix.bulk = bulk_whole((uint64_t)(amount_of(optarg, 0.001) * 1e6));
        if (option == 'f') endless.flows = (uint32_t)number_of(optarg);
        if (option == 'p') endless.packets = number_of(optarg);
        if (option == 's') endless.frame = (uint32_t)number_of(optarg);
        if (option == 'H') endless.hello = true;
        if (option == '?') return 2;
    }
    if (!path) mix_fail("--out", "a file is expected");
    if (mix.hosts > 60000) mix_fail("--hosts", "at most 60000");
    if (endless.frame < 60 || endless.frame > 1514) mix_fail("--frame", "60 to 1514");
    struct source *sources = calloc((size_t)argc, sizeof *sources);
    if (!sources) mix_fail("memory", "there is not enough");
    mix.sources = sources;
    if (!endless.flows) mix.count = load_all(sources, argv + optind, argc - optind, mix.hosts, mix.bulk);
    if (!endless.flows && mix.count == 0)
        mix_fail("sources",
                 "no capture with Ethernet packets (and with --bulk, a TLS or QUIC flow) was given");
    FILE *out = fopen(path, "wb");
    if (!out) mix_fail(path, "cannot be written");
    setvbuf(out, NULL, _IOFBF, 1 << 20);
    mix_put_header(out);
    if (endless.flows)
        make_flows(out, &endless);
    else
        make_mix(out, bytes, &mix);
    if (ferror(out) | fclose(out)) mix_fail(path, "cannot be written");
    for (uint32_t i = 0; i < mix.count; i++) source_free(&sources[i]);
    free(sources);
    return 0;
}
