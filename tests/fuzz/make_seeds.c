/* make_seeds OUT CAPTURE...: inputs for the fuzz targets, out of real captures.
 *
 * OUT/packets gets the first packets of each capture, OUT/PROTOCOL the conversations that were recognised as
 * such, in the form of records.h; each input a file named by what is in it. Captures that cannot be read are
 * passed over. */
#include "fuzz/records.h"

#include "base/pages.h"
#include "capture/capture.h"
#include "decode/decode.h"
#include "flow/flow.h"
#include "protocol/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SEED_MOST = 12 * 1024, RECORD_MOST = 1600, TALKS_MOST = 4096, PACKET_SEED_MOST = 24 * 1024 };

/* A conversation under way, by the number of its flow. */
struct talk {
    uint64_t flow;
    uint8_t *bytes;
    size_t length;
};

struct maker {
    const char *out;
    struct batch *batch;
    struct talk talks[TALKS_MOST];
    bool wants[EVENT_KINDS];
};

static void seed_write(const char *out, const char *folder, const uint8_t *bytes, size_t length) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", out, folder);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return;
    snprintf(path, sizeof path, "%s/%s/%016llx", out, folder, (unsigned long long)XXH3_64bits(bytes, length));
    FILE *file = fopen(path, "wb");
    if (!file) return;
    fwrite(bytes, 1, length, file);
    fclose(file);
}

static void record_append(uint8_t **bytes, size_t *length, uint8_t marks, const uint8_t *from,
                          uint32_t count) {
    if (!*bytes || count > UINT16_MAX) return;
    uint8_t *at = *bytes + *length;
    at[0] = marks;
    at[1] = (uint8_t)count;
    at[2] = (uint8_t)(count >> 8);
    if (count) memcpy(at + 3, from, count);
    *length += 3 + count;
}

static void on_packet(void *context, struct flow *flow, const struct packet *packet,
                      const struct decoded *decoded, enum direction direction) {
    (void)packet;
    struct maker *maker = context;
    uint64_t id = flow_id(flow);
    struct talk *talk = &maker->talks[id % TALKS_MOST];
    uint32_t count = decoded->payload_captured < RECORD_MOST ? decoded->payload_captured : RECORD_MOST;
    if (count == 0 || (talk->bytes && talk->flow != id)) return;
    if (!talk->bytes) {
        *talk = (struct talk){.flow = id, .bytes = malloc(SEED_MOST), .length = 2};
        if (!talk->bytes) return;
        talk->bytes[0] = decoded->proto == 17; /* of a parser for TCP and UDP */
        talk->bytes[1] = 0;
    }
    if (talk->length + 3 + count > SEED_MOST) return;
    record_append(&talk->bytes, &talk->length, direction == TO_CLIENT ? RECORD_TO_CLIENT : 0,
                  decoded->payload, count);
}

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)index;
    if (kind != EVENT_flow) return true;
    struct maker *maker = context;
    const struct event_flow *flow = event;
    struct talk *talk = &maker->talks[flow->head.flow_id % TALKS_MOST];
    if (!talk->bytes || talk->flow != flow->head.flow_id) return true;
    const char *name = flow->body.app_proto_orig ? flow->body.app_proto_orig : flow->body.app_proto;
    if (name) seed_write(maker->out, name, talk->bytes, talk->length);
    free(talk->bytes);
    *talk = (struct talk){0};
    return true;
}

static void drink(void *context) {
    (void)context;
}

static bool no_local(void *context, const struct ip *address) {
    (void)context;
    (void)address;
    return false;
}

static uint8_t link_choice(uint16_t link_type) {
    static const uint16_t link_types[] = {1, 1, 1, 101, 0, 9, 12, 50, 51, 104, 108, 113, 138, 228, 229, 276};
    for (uint8_t i = 0; i < sizeof link_types / sizeof *link_types; i++)
        if (link_types[i] == link_type) return i;
    return 0;
}

static void capture_work(struct maker *maker, struct capture *capture) {
    struct error err = {0};
    struct flow_config config = flow_config_defaults();
    config.max_flows = 65536;
    struct flow_surroundings around = {
        .batch = maker->batch, .protocols = protocol_list, .is_local = no_local, .context = maker};
    struct flow_room *room = flow_room_new(&config, &around, &err);
    uint8_t *seed = malloc(PACKET_SEED_MOST);
    size_t length = 0;
    struct packet burst[PACKET_BURST];
    struct decoded decoded[PACKET_BURST];
    int count;
    while (room && seed && (count = capture_next_burst(capture, burst)) > 0) {
        for (int i = 0; i < count; i++) {
            uint32_t bytes = burst[i].captured < RECORD_MOST ? burst[i].captured : RECORD_MOST;
            decode_packet(&burst[i], &decoded[i]);
            if (length == 0) seed[length++] = link_choice(burst[i].link_type);
            if (length + 3 + bytes <= PACKET_SEED_MOST)
                record_append(&seed, &length, 0, burst[i].bytes, bytes);
        }
        flow_room_burst(room, burst, decoded, count, on_packet, maker);
    }
    if (seed && length > 1) seed_write(maker->out, "packets", seed, length);
    if (room) flow_room_finish(room);
    batch_flush(maker->batch);
    if (room) flow_room_free(room);
    for (unsigned i = 0; i < TALKS_MOST; i++) free(maker->talks[i].bytes);
    memset(maker->talks, 0, sizeof maker->talks);
    free(seed);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: make_seeds OUT CAPTURE...\n");
        return 2;
    }
    struct error err = {0};
    struct maker *maker = calloc(1, sizeof *maker);
    if (!maker || !(maker->batch = batch_new(BATCH_EVENTS, &err))) return 1;
    maker->out = arguments[1];
    maker->wants[EVENT_flow] = true;
    maker->batch->listener =
        (struct batch_listener){.context = maker, .wants = maker->wants, .offer = offer, .drink = drink};
    if (mkdir(maker->out, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "%s: %s\n", maker->out, strerror(errno));
        return 1;
    }
    for (int i = 2; i < count; i++) {
        const char *path = arguments[i];
        struct capture *capture = capture_open(&path, 1, &err);
        if (!capture) continue;
        capture_work(maker, capture);
        capture_close(capture);
    }
    batch_free(maker->batch);
    free(maker);
    return 0;
}
