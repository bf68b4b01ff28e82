/* See worker.h. The burst is decoded whole, thinned to what is this worker's, and handed to the flow room
 * whole: its prefetching lives on that. A fragment that completes a datagram ends the burst, since the
 * datagram's bytes are good only until the next fragment. */
#include "sensor/worker.h"

#include "base/log.h"
#include "capture/capture.h"
#include "capture/filter.h"
#include "decode/fragments.h"
#include "protocol/list.h"

#include <stdlib.h>
#include <string.h>

enum { TICK_PACKETS = 16384, HOLE_SECONDS = 3600 };

struct burst {
    struct packet packets[PACKET_BURST];
    struct decoded decoded[PACKET_BURST];
    int count;
};

struct worker {
    const struct worker_options *options;
    struct capture *capture;
    struct filter *filter;
    struct fragments *fragments;
    struct batch *batch;
    struct flow_room *room;
    struct script_host *scripts;
    struct output_worker *output;
    struct worker_figures figures;
    struct burst burst;
    uint64_t next_tick;
    nanoseconds clock; /* the latest time of a packet so far */
    bool started;
};

/* ----------------------------------------------------- what the rooms below ask */

static bool around_is_local(void *context, const struct ip *address) {
    return home_has(((struct worker *)context)->options->home, address);
}

static const char *around_interface_name(void *context, uint8_t interface) {
    return capture_interface_name(((struct worker *)context)->capture, interface);
}

static void sink_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    outputs_event(((struct worker *)context)->output, kind, event, batch);
}

static void sink_alert(void *context, const struct alert *alert) {
    struct worker *worker = context;
    outputs_alert(worker->output, alert, worker->batch);
}

static void sink_drained(void *context, nanoseconds clock) {
    outputs_advance(((struct worker *)context)->output, clock);
}

static void sink_report(void *context, const struct report *report) {
    outputs_report(((struct worker *)context)->output, report);
}

static void on_packet(void *context, struct flow *flow, const struct packet *packet,
                      const struct decoded *decoded, enum direction direction) {
    struct worker *worker = context;
    script_host_packet(worker->scripts, worker->room, flow, packet, decoded, direction);
}

/* ------------------------------------------------------------------- life */

static int worker_open(struct worker *worker, struct error *err) {
    const struct worker_options *options = worker->options;
    worker->capture = capture_open(options->captures, options->capture_count, err);
    if (!worker->capture) return -1;
    if (options->filter) {
        worker->filter = filter_new(options->filter, err);
        if (!worker->filter) return error_is_usage(err);
    }
    worker->fragments = fragments_new(options->fragment_memory, err);
    if (!worker->fragments) return -1;
    worker->batch = batch_new(options->batch_limit, err);
    if (!worker->batch) return -1;

    struct script_sink sink = {
        .context = worker,
        .on_event = sink_event,
        .on_alert = sink_alert,
        .on_report = sink_report,
        .on_drained = sink_drained,
    };
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        sink.record[kind] = outputs_want(options->outputs, (enum event_kind)kind);
    worker->scripts = script_host_new(&options->scripts, worker->batch, &sink, err);
    if (!worker->scripts) return -1;

    const struct flow_surroundings around = {
        .batch = worker->batch,
        .protocols = protocol_list,
        .is_local = around_is_local,
        .interface_name = around_interface_name,
        .context = worker,
    };
    worker->room = flow_room_new(&options->flow, &around, err);
    return worker->room ? 0 : -1;
}

struct worker *worker_new(const struct worker_options *options, struct error *err) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        error_set(err, "out of memory");
        return NULL;
    }
    worker->options = options;
    worker->output = outputs_worker(options->outputs, options->index);
    if (worker_open(worker, err) == 0) return worker;
    worker_free(worker);
    return NULL;
}

void worker_free(struct worker *worker) {
    if (!worker) return;
    if (worker->room) flow_room_free(worker->room);
    script_host_free(worker->scripts);
    batch_free(worker->batch);
    if (worker->fragments) fragments_free(worker->fragments);
    if (worker->filter) filter_free(worker->filter);
    if (worker->capture) capture_close(worker->capture);
    free(worker);
}

/* ------------------------------------------------------------------ packets */

static void burst_work(struct worker *worker) {
    struct burst *burst = &worker->burst;
    if (burst->count == 0) return;
    flow_room_burst(worker->room, burst->packets, burst->decoded, burst->count,
                    script_host_wants_packets(worker->scripts) ? on_packet : NULL, worker);
    burst->count = 0;
}

static bool is_mine(const struct worker *worker, const struct decoded *decoded) {
    const struct worker_options *options = worker->options;
    return options->workers == 1 ||
           home_worker_of(options->home, decoded, options->workers) == options->index;
}

/* A fragment counts for its flow (the first one has ports); its payload waits for the rest. Returns true if
 * the burst must be worked on before the next fragment is looked at. */
static bool fragment_join(struct worker *worker, const struct packet *packet, struct decoded *decoded) {
    struct decoded whole;
    burst_work(worker);
    if (fragments_offer(worker->fragments, packet, decoded, &whole)) {
        *decoded = whole;
        worker->figures.datagrams_joined++;
        return true;
    }
    decoded->payload_captured = decoded->payload_length = decoded->wire_length = 0;
    if (!decoded->has_ports) decoded->kind = DECODED_NOTHING;
    return false;
}

static void count_packet(struct worker *worker, const struct packet *packet) {
    struct worker_figures *figures = &worker->figures;
    if (figures->packets == 0) figures->first = figures->last = packet->time;
    figures->packets++;
    figures->bytes += packet->original;
    if (packet->time < figures->first) figures->first = packet->time;
    if (packet->time > figures->last) figures->last = packet->time;
}

static void count_undecoded(struct worker *worker, const struct decoded *decoded) {
    if (decoded->kind == DECODED_ARP)
        worker->figures.arp++;
    else if (decoded->anomaly)
        worker->figures.undecoded++;
    else
        worker->figures.not_ip++;
}

/* Somebody else's packet stays in the burst as a tick of the clock: timeouts must not depend on who is whose.
 */
static void burst_add(struct worker *worker, const struct packet *packet, const struct decoded *decoded) {
    struct burst *burst = &worker->burst;
    struct decoded *place = &burst->decoded[burst->count];
    if (place != decoded) *place = *decoded;
    bool mine = decoded->kind == DECODED_TRANSPORT ? is_mine(worker, decoded) : worker->options->index == 0;
    if (!mine) {
        place->kind = DECODED_NOTHING;
        place->anomaly = NULL;
    }
    burst->packets[burst->count++] = *packet;
}

/* Clocks are kept between 1970 and 2106, as the flow room keeps them. */
static nanoseconds clock_of(nanoseconds time) {
    const nanoseconds latest = (nanoseconds)UINT32_MAX * NS_PER_SECOND;
    return time < 0 ? 0 : time > latest ? latest : time;
}

/* Scripts hear of a hole in the capture before anything behind it. Every worker sees the same holes. */
static void hole_note(struct worker *worker, nanoseconds time) {
    nanoseconds from = worker->clock, to = clock_of(time);
    if (to <= from) return;
    worker->clock = to;
    if (to - from < HOLE_SECONDS * NS_PER_SECOND) return;
    burst_work(worker);
    script_host_hole(worker->scripts, from, to);
}

static void packet_take(struct worker *worker, const struct packet *packet) {
    if (worker->filter && !filter_matches(worker->filter, packet)) {
        worker->figures.filtered++;
        return;
    }
    hole_note(worker, packet->time);
    count_packet(worker, packet);
    struct decoded *decoded = &worker->burst.decoded[worker->burst.count];
    decode_packet(packet, decoded);
    worker->figures.truncated += packet->captured < packet->original;
    if (decoded->kind != DECODED_TRANSPORT) count_undecoded(worker, decoded);
    if (decoded->kind != DECODED_TRANSPORT || !decoded->fragment) {
        burst_add(worker, packet, decoded);
        return;
    }
    struct decoded fragment = *decoded;
    bool joined = fragment_join(worker, packet, &fragment);
    burst_add(worker, packet, &fragment);
    if (joined) burst_work(worker);
}

static void worker_start(struct worker *worker, nanoseconds first) {
    worker->started = true;
    worker->clock = clock_of(first);
    script_host_start(worker->scripts, worker->clock);
}

/* Between bursts: now and then let scripts and records catch up, so that others need not wait for this
 * worker. */
static void worker_tick(struct worker *worker) {
    if (worker->figures.packets < worker->next_tick) return;
    worker->next_tick = worker->figures.packets + TICK_PACKETS;
    script_host_tick(worker->scripts);
    if (worker->options->index > 0) return;
    uint64_t done, total;
    capture_progress(worker->capture, &done, &total);
    outputs_progress(worker->options->outputs, done, total, worker->figures.packets);
}

static void summary_fill(struct worker *worker) {
    struct summary *summary = outputs_worker_summary(worker->output);
    struct anomaly_count anomalies[SUMMARY_ANOMALIES];
    uint32_t count = flow_room_anomalies(worker->room, anomalies, SUMMARY_ANOMALIES);
    summary_add_counters(summary, flow_room_counters(worker->room));
    summary_add_anomalies(summary, anomalies, count);
    const struct fragments_counters *fragments = fragments_counters(worker->fragments);
    summary->flow.fragments =
        fragments->timed_out + fragments->evicted + fragments->refused + fragments->waiting;
    summary->cut_text += worker->batch->text_cut;
    for (uint32_t i = 0; i < script_host_failed(worker->scripts); i++) {
        const char *path = script_host_failed_path(worker->scripts, i), *slash = strrchr(path, '/');
        struct detector_summary *entry = summary_detector(summary, slash ? slash + 1 : path);
        if (entry) entry->left_out = true;
    }
    for (uint32_t i = 0; i < script_host_count(worker->scripts); i++) {
        struct detector_status status;
        script_host_status(worker->scripts, i, &status);
        struct detector_summary *entry = summary_detector(summary, status.name);
        if (!entry) continue;
        entry->events += status.events;
        entry->errors += status.errors;
        if (!status.off) continue;
        entry->off = true;
        memcpy(entry->reason, status.last_error, sizeof entry->reason);
    }
}

/* A signal asked for the end, or nobody takes the output any more. */
static bool is_stopped(const struct worker *worker) {
    return atomic_load_explicit(worker->options->stop, memory_order_relaxed) ||
           outputs_failed(worker->options->outputs);
}

void worker_run(struct worker *worker) {
    struct packet packets[PACKET_BURST];
    int n;
    while ((n = capture_next_burst(worker->capture, packets)) > 0) {
        if (!worker->started) worker_start(worker, packets[0].time);
        for (int i = 0; i < n; i++) packet_take(worker, &packets[i]);
        burst_work(worker);
        worker_tick(worker);
        if (is_stopped(worker)) break;
    }
    worker->figures.interrupted = is_stopped(worker);
    worker->figures.damaged = capture_damaged(worker->capture);
    flow_room_finish(worker->room);
    script_host_finish(worker->scripts, worker->batch->clock);
    summary_fill(worker);
    outputs_at_end(worker->output);
}

const struct worker_figures *worker_figures(const struct worker *worker) {
    return &worker->figures;
}

const char *worker_capture_warning(struct worker *worker, size_t index) {
    return capture_warning(worker->capture, index);
}

const struct flow_counters *worker_flow_counters(struct worker *worker) {
    return flow_room_counters(worker->room);
}

uint32_t worker_detectors_failed(const struct worker *worker) {
    uint32_t failed = script_host_failed(worker->scripts);
    for (uint32_t i = 0; i < script_host_count(worker->scripts); i++) {
        struct detector_status status;
        script_host_status(worker->scripts, i, &status);
        failed += status.errors > 0;
    }
    return failed;
}
