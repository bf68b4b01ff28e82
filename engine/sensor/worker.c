/* See worker.h. The burst is decoded whole, thinned to what is this worker's, and handed to the flow room
 * whole: its prefetching lives on that. A fragment that completes a datagram ends the burst, since the
 * datagram's bytes are good only until the next fragment. */
#include "sensor/worker.h"

#include "base/log.h"
#include "base/text.h"
#include "capture/filter.h"
#include "decode/fragments.h"
#include "decode/tunnel.h"
#include "protocol/list.h"
#include "sensor/gather.h"
#include "sensor/minutes.h"
#include "sensor/recall.h"
#include "sensor/tally.h"

#include <stdlib.h>
#include <string.h>

enum { HOLE_SECONDS = 3600 };

/* What is inside tunnels stands behind the packet that brought it. A packet is begun only below PACKET_BURST.
 */
enum { BURST_PLACES = PACKET_BURST + TUNNELS_MOST };

struct burst {
    struct packet packets[BURST_PLACES];
    struct decoded decoded[BURST_PLACES];
    struct tunnel tunnels[BURST_PLACES];       /* of those that are inside one */
    const struct packet *frames[BURST_PLACES]; /* as they were captured */
    int count;
};

struct worker {
    const struct worker_options *options;
    struct filter *filter;
    struct fragments *fragments;
    struct batch *batch;
    struct flow_room *room;
    struct script_host *scripts;
    struct output_worker *output;
    struct worker_figures figures;
    struct capture_figures own; /* of the packets that are its own */
    struct minutes minutes;
    struct flow_counters counters; /* as of the last time that somebody asked */
    struct burst burst;
    nanoseconds clock; /* the latest time of a packet so far */
    bool started;
    bool alone;                /* whatever it is given is its own */
    struct endpoint *endpoint; /* host logs, or NULL */
    nanoseconds begun;         /* where the clock started */
    nanoseconds host_next;     /* when the next news from them is due; INT64_MAX: never */
};

/* ----------------------------------------------------- what the rooms below ask */

static bool around_is_local(void *context, const struct ip *address) {
    return home_has(((struct worker *)context)->options->home, address);
}

static const char *around_interface_name(void *context, uint8_t interface) {
    const struct worker_options *options = ((struct worker *)context)->options;
    return options->interface_name(options->context, interface);
}

static void sink_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    const struct worker *worker = context;
    if (kind == EVENT_flow && worker->options->on_flow)
        worker->options->on_flow(worker->options->context, event, batch);
    if (worker->options->on_event && worker->options->wanted[kind])
        worker->options->on_event(worker->options->context, kind, event, batch);
    if (worker->output) outputs_event(worker->output, kind, event, batch);
}

static bool sink_wants_custom(void *context, const char *name) {
    const struct worker *worker = context;
    if (worker->options->on_custom) return true;
    return worker->options->outputs && outputs_want_custom(worker->options->outputs, name);
}

static void sink_custom(void *context, struct custom_schema *schema, const void *event, const char *text) {
    const struct worker *worker = context;
    if (worker->options->on_custom) worker->options->on_custom(worker->options->context, schema, event, text);
    if (worker->output) outputs_custom(worker->output, schema, event, text);
}

/* An alert on a flow has its packets kept; one of a timer, its host's. */
bool worker_keep_packets(struct worker *worker, const struct alert *alert, char path[PATH_MAX]) {
    struct recall *recall = worker->options->recall;
    if (!recall) return false;
    recall_hold(recall);
    const char *made = recall_alert(recall, alert, alert->has_head ? alert->head.flow_id : 0);
    if (made) text_copy(path, PATH_MAX, made);
    recall_release(recall);
    return made != NULL;
}

static void sink_alert(void *context, const struct alert *alert) {
    struct worker *worker = context;
    struct alert with_packets = *alert;
    char path[PATH_MAX];
    if (worker_keep_packets(worker, alert, path)) with_packets.pcap = path;
    if (worker->output) outputs_alert(worker->output, &with_packets, worker->batch);
    if (worker->options->on_alert) worker->options->on_alert(worker->options->context, &with_packets);
}

static void sink_handled(void *context, nanoseconds clock, struct bag *bag) {
    const struct worker_options *options = ((struct worker *)context)->options;
    if (options->gather) gather_take(options->gather, options->index, clock, bag);
}

static bool sink_is_heard(void *context) {
    const struct gather *gather = ((struct worker *)context)->options->gather;
    return gather && gather_hears(gather);
}

/* Whoever waits for others gives first what others may wait for. */
static void sink_drained(void *context, nanoseconds clock) {
    struct worker *worker = context;
    struct gather *gather = worker->options->gather;
    if (worker->output) outputs_advance(worker->output, clock);
    if (!gather || worker->options->live) return;
    if (gather_is_full(gather, worker->options->index)) {
        if (worker->output) outputs_flush(worker->output);
        if (worker->output) outputs_advance(worker->output, clock);
        gather_pause(gather, worker->options->index);
    }
    if (worker->output) outputs_relieve(worker->output, clock);
}

static void sink_report(void *context, const struct report *report) {
    struct worker *worker = context;
    if (worker->output) outputs_report(worker->output, report);
    if (worker->options->on_report) worker->options->on_report(worker->options->context, report);
}

static bool sink_capture(void *context, nanoseconds clock, struct capture_figures *out) {
    const struct worker *worker = context;
    *out = *minutes_at(&worker->minutes, clock, &worker->own);
    return true;
}

static void sink_fact(void *context, const struct fact *fact) {
    struct worker *worker = context;
    const struct worker_options *options = worker->options;
    struct fact told = *fact;
    told.second_hand = home_worker_of_host(&fact->host, options->workers) != options->index;
    if (worker->output) outputs_fact(worker->output, &told);
    if (options->on_fact) options->on_fact(options->context, &told);
}

static void on_packet(void *context, struct flow *flow, const struct packet *packet,
                      const struct decoded *decoded, enum direction direction) {
    struct worker *worker = context;
    struct recall *recall = worker->options->recall;
    if (recall) {
        recall_hold(recall);
        recall_packet(recall, worker->burst.frames[packet - worker->burst.packets], decoded, flow_id(flow));
        recall_release(recall);
    }
    if (script_host_wants_packets(worker->scripts))
        script_host_packet(worker->scripts, worker->room, flow, packet, decoded, direction);
}

/* ------------------------------------------------------------------- host logs */

/* Each worker knows all processes; their events are made by the one that has the host's packets. */
static bool owns_host(void *context, const struct ip *address) {
    const struct worker_options *options = ((struct worker *)context)->options;
    if (!address) return options->index == 0;
    return home_worker_of_host(address, options->workers) == options->index;
}

static int host_logs_open(struct worker *worker, struct error *err) {
    const struct worker_options *options = worker->options;
    worker->host_next = INT64_MAX;
    if (!options->host_logs || options->host_logs->count == 0) return 0;
    const struct endpoint_options endpoint = {
        .logs = *options->host_logs,
        .follow = options->follow_logs,
        .patient = options->await_logs,
        .quiet = options->index > 0,
        .words = options->words,
        .batch = worker->batch,
        .context = worker,
        .owns = owns_host,
    };
    worker->endpoint = endpoint_new(&endpoint, err);
    if (!worker->endpoint) return -1;
    if (!options->follow_logs) worker->host_next = endpoint_next(worker->endpoint);
    return 0;
}

/* ------------------------------------------------------------------- life */

/* --record may name events of scripts, which are known only now. One that is missing may be a failed
 * script's. */
static int check_custom(const struct script_host *scripts, const struct outputs *outputs, struct error *err) {
    const char *name;
    if (script_host_failed(scripts) > 0) return 0;
    for (size_t i = 0; (name = outputs_custom_name(outputs, i)); i++) {
        if (!strchr(name, '.') || script_host_declares(scripts, name)) continue;
        error_set(err, "--record %s: no script declares that event", name);
        return error_is_usage(err);
    }
    return 0;
}

static int worker_open(struct worker *worker, struct error *err) {
    const struct worker_options *options = worker->options;
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
        .wants_custom = sink_wants_custom,
        .on_custom = sink_custom,
        .on_alert = sink_alert,
        .on_report = sink_report,
        .on_fact = sink_fact,
        .on_drained = sink_drained,
        .on_capture = sink_capture,
        .on_handled = options->gather ? sink_handled : NULL,
        .is_heard = options->gather ? sink_is_heard : NULL,
    };
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        sink.record[kind] = (options->outputs && outputs_want(options->outputs, (enum event_kind)kind)) ||
                            (options->on_event && options->wanted[kind]) ||
                            (kind == EVENT_flow && options->on_flow);
    worker->scripts = script_host_new(&options->scripts, worker->batch, &sink, err);
    if (!worker->scripts) return -1;

    if (options->outputs && check_custom(worker->scripts, options->outputs, err) < 0) return -1;

    if (host_logs_open(worker, err) < 0) return -1;
    const struct flow_surroundings around = {
        .batch = worker->batch,
        .protocols = protocol_list,
        .is_local = around_is_local,
        .interface_name = around_interface_name,
        .context = worker,
        .words = options->words,
        .programs = worker->endpoint ? endpoint_programs(worker->endpoint) : NULL,
    };
    worker->room = flow_room_new(&options->flow, &around, err);
    if (!worker->room) return -1;
    script_host_listen(worker->scripts, worker->room);
    return 0;
}

struct worker *worker_new(const struct worker_options *options, struct error *err) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        error_set(err, "out of memory");
        return NULL;
    }
    worker->options = options;
    worker->alone = options->dealt || options->workers == 1;
    worker->output = options->outputs ? outputs_worker(options->outputs, options->index) : NULL;
    if (worker_open(worker, err) == 0) return worker;
    worker_free(worker);
    return NULL;
}

void worker_free(struct worker *worker) {
    if (!worker) return;
    if (worker->room) flow_room_free(worker->room);
    endpoint_free(worker->endpoint);
    script_host_free(worker->scripts);
    batch_free(worker->batch);
    if (worker->fragments) fragments_free(worker->fragments);
    if (worker->filter) filter_free(worker->filter);
    free(worker);
}

/* ------------------------------------------------------------------ packets */

static void burst_work(struct worker *worker) {
    struct burst *burst = &worker->burst;
    if (burst->count == 0) return;
    flow_room_burst(worker->room, burst->packets, burst->decoded, burst->count,
                    worker->options->recall || script_host_wants_packets(worker->scripts) ? on_packet : NULL,
                    worker);
    burst->count = 0;
}

static inline bool is_mine(const struct worker *worker, const struct decoded *decoded) {
    const struct worker_options *options = worker->options;
    return worker->alone || home_worker_of(options->home, decoded, options->workers) == options->index;
}

/* What belongs to no flow is counted by one worker: by whoever it is dealt to, or by the first. */
static bool is_for_one(const struct worker *worker) {
    return worker->options->dealt || worker->options->index == 0;
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

/* What this worker alone answers for: what was dealt to it. */
static void count_own(struct worker *worker, const struct packet *packet, const struct decoded *decoded) {
    bool whole = decoded->kind == DECODED_TRANSPORT;
    if (whole ? !is_mine(worker, decoded) : !is_for_one(worker)) return;
    worker->own.packets++;
    worker->own.bytes += packet->original;
    worker->own.cut += packet->captured < packet->original;
    worker->own.undecoded += !whole && decoded->kind != DECODED_ARP && decoded->anomaly;
}

static void minute_begins(struct worker *worker, nanoseconds clock) {
    if (minutes_full(&worker->minutes, clock)) {
        burst_work(worker);
        script_host_tick(worker->scripts);
        minutes_forget(&worker->minutes);
    }
    minutes_note(&worker->minutes, clock, &worker->own);
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
static void burst_add(struct worker *worker, const struct packet *frame, const struct packet *packet,
                      const struct decoded *decoded) {
    struct burst *burst = &worker->burst;
    struct decoded *place = &burst->decoded[burst->count];
    if (place != decoded) *place = *decoded;
    if (__builtin_expect(decoded->tunnel != NULL, 0)) {
        burst->tunnels[burst->count] = *decoded->tunnel;
        place->tunnel = &burst->tunnels[burst->count];
    }
    bool mine = decoded->kind == DECODED_TRANSPORT ? is_mine(worker, decoded) : is_for_one(worker);
    if (!mine) {
        place->kind = DECODED_NOTHING;
        place->anomaly = NULL;
    }
    burst->frames[burst->count] = frame;
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
    if (__builtin_expect(to >= worker->minutes.due, 0)) minute_begins(worker, to);
    if (to - from < HOLE_SECONDS * NS_PER_SECOND) return;
    burst_work(worker);
    script_host_hole(worker->scripts, from, to);
    if (worker->options->gather) gather_hole(worker->options->gather, worker->options->index, from, to);
}

/* A fragment, or a packet that may have another one inside: that is added behind it, and so on. Fragments are
 * joined at each level. */
static void packet_unwrap(struct worker *worker, const struct packet *frame, struct decoded decoded) {
    struct packet packet = *frame, inside;
    struct tunnel tunnel, around;
    bool joined = false, more = true;
    while (more) {
        /* macOS looks for the owner of a later fragment by ports that are not there: flow/programs.h. */
        if (decoded.fragment_offset > 0 && packet.direction != PACKET_OUT) packet.origin = NULL;
        if (decoded.kind == DECODED_TRANSPORT && decoded.fragment)
            joined = fragment_join(worker, &packet, &decoded) || joined;
        more = tunnel_possible(&decoded) && tunnel_open(&packet, &decoded, &inside, &tunnel);
        burst_add(worker, frame, &packet, &decoded);
        if (!more) break;
        around = tunnel;
        packet = inside;
        tunnel_decode(&packet, &around, &decoded);
    }
    if (joined) burst_work(worker);
}

/* What hosts tell of the time before this packet comes before it: the flow room's clock goes there first, so
 * that timeouts keep their place. Clocks never run ahead of the packets. */
static void host_play(struct worker *worker, nanoseconds until) {
    burst_work(worker);
    while (worker->host_next <= until) {
        nanoseconds time = clock_of(worker->host_next);
        flow_room_advance(worker->room, time > worker->begun ? time : worker->begun);
        endpoint_play(worker->endpoint);
        worker->host_next = endpoint_next(worker->endpoint);
    }
}

static void packet_take(struct worker *worker, const struct packet *packet) {
    if (worker->filter && !filter_matches(worker->filter, packet)) {
        worker->figures.filtered++;
        return;
    }
    hole_note(worker, packet->time);
    if (packet->time >= worker->host_next) host_play(worker, packet->time);
    count_packet(worker, packet);
    if (__builtin_expect(worker->burst.count >= PACKET_BURST, 0)) burst_work(worker);
    struct decoded *decoded = &worker->burst.decoded[worker->burst.count];
    decode_packet(packet, decoded);
    worker->figures.truncated += packet->captured < packet->original;
    if (decoded->kind != DECODED_TRANSPORT) count_undecoded(worker, decoded);
    count_own(worker, packet, decoded);
    bool plain = decoded->kind != DECODED_TRANSPORT || (!decoded->fragment && !tunnel_possible(decoded));
    if (__builtin_expect(plain, 1))
        burst_add(worker, packet, packet, decoded);
    else
        packet_unwrap(worker, packet, *decoded);
}

static void worker_start(struct worker *worker, nanoseconds first) {
    worker->started = true;
    worker->clock = worker->begun = clock_of(first);
    minutes_note(&worker->minutes, worker->clock, &worker->own);
    script_host_start(worker->scripts, worker->clock);
    if (worker->options->gather) gather_start(worker->options->gather, worker->options->index, worker->clock);
}

void worker_packets(struct worker *worker, const struct packet *packets, int count) {
    if (count == 0) return;
    if (!worker->started) worker_start(worker, packets[0].time);
    for (int i = 0; i < count; i++) packet_take(worker, &packets[i]);
    burst_work(worker);
}

void worker_event(struct worker *worker, const struct made_event *event, nanoseconds time) {
    struct worker_figures *figures = &worker->figures;
    time = clock_of(time);
    if (!worker->started) {
        worker_start(worker, time);
        figures->first = figures->last = time;
    }
    hole_note(worker, time);
    if (time >= worker->host_next) host_play(worker, time);
    if (time < figures->first) figures->first = time;
    if (time > figures->last) figures->last = time;
    flow_room_advance(worker->room, worker->clock);
    made_event_commit(event, worker->batch, time, worker->options->home);
}

bool worker_follow(struct worker *worker, nanoseconds now) {
    enum { AT_ONCE = 1 << 20 };
    if (!worker->endpoint) return false;
    if (!worker->started) worker_start(worker, now);
    flow_room_advance(worker->room, worker->begun);
    return endpoint_follow(worker->endpoint, AT_ONCE);
}

void worker_play_rest(struct worker *worker) {
    if (worker->host_next == INT64_MAX) return;
    if (!worker->started) worker_start(worker, worker->host_next);
    burst_work(worker);
    flow_room_advance(worker->room, worker->begun);
    for (; worker->host_next != INT64_MAX; worker->host_next = endpoint_next(worker->endpoint))
        endpoint_play(worker->endpoint);
}

const struct endpoint *worker_endpoint(const struct worker *worker) {
    return worker->endpoint;
}

void worker_tick(struct worker *worker) {
    if (worker->started) script_host_tick(worker->scripts);
}

void worker_lost(struct worker *worker, uint64_t dropped, uint64_t interface_dropped) {
    struct capture_figures *own = &worker->own;
    if (dropped > own->dropped || interface_dropped > own->interface_dropped) flow_room_lost(worker->room);
    own->dropped = dropped;
    own->interface_dropped = interface_dropped;
}

void worker_advance(struct worker *worker, nanoseconds now, bool start) {
    if (!worker->started && start) worker_start(worker, now);
    if (!worker->started) return;
    now = clock_of(now);
    if (now > worker->clock) worker->clock = now;
    flow_room_advance(worker->room, worker->clock);
    script_host_tick(worker->scripts);
}

static void summary_fill(struct worker *worker) {
    struct summary *summary = outputs_worker_summary(worker->output);
    struct anomaly_count anomalies[SUMMARY_ANOMALIES];
    uint32_t count = flow_room_anomalies(worker->room, anomalies, SUMMARY_ANOMALIES);
    summary_add_counters(summary, worker_flow_counters(worker));
    summary_add_anomalies(summary, anomalies, count);
    summary->cut_text += worker->batch->text_cut;
    tally_detectors(worker->scripts, summary);
}

void worker_finish(struct worker *worker) {
    flow_room_finish(worker->room);
    script_host_finish(worker->scripts, worker->batch->clock);
    if (worker->output) {
        summary_fill(worker);
        outputs_at_end(worker->output);
    }
    if (worker->options->gather)
        gather_finish(worker->options->gather, worker->options->index, worker->batch->clock);
}

const struct worker_figures *worker_figures(struct worker *worker) {
    worker->figures.events = worker->batch->next_seq - 1;
    return &worker->figures;
}

bool worker_started(const struct worker *worker) {
    return worker->started;
}

nanoseconds worker_clock(const struct worker *worker) {
    return worker->clock;
}

struct flow_room *worker_room(struct worker *worker) {
    return worker->room;
}

struct script_host *worker_scripts(struct worker *worker) {
    return worker->scripts;
}

struct batch *worker_batch(struct worker *worker) {
    return worker->batch;
}

struct output_worker *worker_output(struct worker *worker) {
    return worker->output;
}

const struct flow_counters *worker_flow_counters(struct worker *worker) {
    struct flow_counters *counters = &worker->counters;
    *counters = *flow_room_counters(worker->room);
    counters->fragments = 0;
    if (!is_for_one(worker)) return counters; /* each worker joins all there are, and one counts them */
    const struct fragments_counters *fragments = fragments_counters(worker->fragments);
    counters->fragments = fragments->timed_out + fragments->evicted + fragments->refused + fragments->waiting;
    counters->fragments_joined = fragments->datagrams;
    counters->fragment_overlaps = fragments->overlaps;
    return counters;
}

uint32_t worker_detectors_failed(const struct worker *worker) {
    return tally_failed(worker->scripts);
}
