/* What a packet costs up to and including its flow: bench_flow CAPTURE [MAX_FLOWS].
 *
 * The same file is worked through five times, each time with one stage more: reading, decoding, the flow
 * room without protocols, the flow room with all of them (nobody wants their events), and with a listener who
 * wants every event, so that what only records show is kept as well. Of the last three the second half of the
 * packets is told apart: in captures of make_mix --flows with ten packets a flow or more, each flow has had
 * about five by then, so it is the cost of a packet of a settled flow, without first touches of memory. */
#include "capture/capture.h"
#include "decode/decode.h"
#include "figure.h"
#include "flow/flow.h"
#include "protocol/list.h"

#include <stdlib.h>
#include <string.h>

struct work {
    bool decode;
    struct flow_room *room; /* NULL: stop before flows */
};

struct cost {
    double first_half, second_half; /* ns */
    uint64_t packets;
};

static uint64_t decoded_kinds[3]; /* keeps the decoding from being optimised away */

static _Noreturn void fail(const struct error *err) {
    fprintf(stderr, "bench_flow: %s\n", err->text);
    exit(1);
}

static void work_burst(const struct work *work, const struct packet *packets, int count) {
    static struct decoded decoded[PACKET_BURST];
    if (!work->decode) return;
    for (int i = 0; i < count; i++) {
        decode_packet(&packets[i], &decoded[i]);
        decoded_kinds[decoded[i].kind]++;
    }
    if (work->room) flow_room_burst(work->room, packets, decoded, count, NULL, NULL);
}

/* `half` is the number of packets after which the second half begins. */
static struct cost run(const char *path, const struct work *work, uint64_t half) {
    struct error err;
    struct packet packets[PACKET_BURST];
    struct capture *capture = capture_open(&path, 1, &err);
    if (!capture) fail(&err);
    struct cost cost = {0};
    double begun = cpu_now(), middle = 0;
    int n;
    while ((n = capture_next_burst(capture, packets)) > 0) {
        work_burst(work, packets, n);
        if (cost.packets < half && cost.packets + (unsigned)n >= half) middle = cpu_now();
        cost.packets += (unsigned)n;
    }
    double end = cpu_now();
    cost.first_half = middle ? middle - begun : 0;
    cost.second_half = end - (middle ? middle : begun);
    capture_close(capture);
    return cost;
}

static bool drop(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)context, (void)kind, (void)index, (void)event;
    return false;
}

static void run_flows(const char *path, const char *name, const struct protocol *const *protocols,
                      bool all_wanted, uint32_t max_flows, uint64_t packets) {
    struct error err;
    struct batch *batch = batch_new(256, &err); /* without a listener nobody wants any event */
    if (!batch) fail(&err);
    bool wants[EVENT_KINDS];
    memset(wants, true, sizeof wants);
    if (all_wanted) batch->listener = (struct batch_listener){.wants = wants, .offer = drop};
    struct flow_config config = flow_config_defaults();
    config.max_flows = max_flows;
    const struct flow_surroundings around = {.batch = batch, .protocols = protocols};
    struct work work = {.decode = true, .room = flow_room_new(&config, &around, &err)};
    if (!work.room) fail(&err);
    struct cost cost = run(path, &work, packets / 2);
    char label[64];
    snprintf(label, sizeof label, "%s, second half", name);
    figure(name, (cost.first_half + cost.second_half) / (double)packets);
    figure(label, cost.second_half / (double)(packets - packets / 2));
    flow_room_free(work.room);
    batch_free(batch);
}

int main(int argc, char **argv) {
    static const struct protocol *const none[] = {NULL};
    if (argc < 2) {
        fputs("usage: bench_flow CAPTURE [MAX_FLOWS]\n", stderr);
        return 2;
    }
    uint32_t max_flows = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : flow_config_defaults().max_flows;
    struct cost reading = run(argv[1], &(struct work){.decode = false}, 0);
    uint64_t packets = reading.packets;
    if (packets == 0) return 1;
    figure("reading", reading.second_half / (double)packets);
    struct cost decoding = run(argv[1], &(struct work){.decode = true}, 0);
    figure("reading + decoding", decoding.second_half / (double)packets);
    run_flows(argv[1], "reading + decoding + flows", none, false, max_flows, packets);
    run_flows(argv[1], "reading + decoding + flows + protocols", protocol_list, false, max_flows, packets);
    run_flows(argv[1], "reading + decoding + flows + events", protocol_list, true, max_flows, packets);
    return 0;
}
