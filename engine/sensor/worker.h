/* One worker: the whole path of a packet in one thread, from decoding to scripts and records.
 *
 *      packets ─ filter ─ decode ─ fragments ─ tunnels ─ "mine?" ─ flows ─ protocols ─ batch ─ detectors
 *              ─ outputs
 *
 * Nothing of it is shared with other workers but the outputs and read-only tables. Where packets come from is
 * the caller's business: replay reads captures (sensor/replay.h), the live loop taps interfaces or plays a
 * capture at its own pace (sensor/station.h). */
#ifndef LUNETTE_SENSOR_WORKER_H
#define LUNETTE_SENSOR_WORKER_H

#include "base/error.h"
#include "capture/packet.h"
#include "endpoint/endpoint.h"
#include "flow/flow.h"
#include "output/output.h"
#include "script/host.h"
#include "sensor/home.h"
#include "sensor/made_event.h"

#include <limits.h>
#include <stdbool.h>

struct gather;
struct recall;
struct worker;

struct worker_options {
    const char *filter;       /* pcap-filter(7), or NULL */
    uint32_t batch_limit;     /* events, 1 to BATCH_EVENTS */
    uint64_t fragment_memory; /* bytes for fragments waiting for the rest */
    struct flow_config flow;
    struct words *words; /* keeps programs' names for as long as alerts may be looked at; NULL: none are */
    const struct endpoint_logs *host_logs; /* NULL or none: the capture alone tells of programs */
    bool follow_logs;                      /* they grow, and are read by worker_follow() */
    bool await_logs;                       /* … and need not be there yet */
    struct script_options scripts;
    const struct home *home;
    struct outputs *outputs; /* NULL: there are none, only the callbacks below */
    uint32_t index, workers;
    bool live;             /* it never waits for others */
    bool dealt;            /* it is given its own packets only; else it skips what is other workers' */
    struct recall *recall; /* rolling capture, or NULL */
    struct gather
        *gather; /* what its detectors send goes there; NULL: nowhere. May become NULL until it starts */
    void *context;
    const char *(*interface_name)(void *context, uint8_t interface);
    /* Of every flow that ended and every alert, for whoever shows them. May be NULL. */
    void (*on_flow)(void *context, const struct event_flow *flow, const struct batch *batch);
    void (*on_alert)(void *context, const struct alert *alert);
    /* Of events of the kinds in `wanted` ([EVENT_KINDS]), of reports and of facts. May be NULL. */
    const bool *wanted;
    void (*on_event)(void *context, enum event_kind kind, const void *event, const struct batch *batch);
    void (*on_report)(void *context, const struct report *report);
    void (*on_fact)(void *context, const struct fact *fact);
    /* Of events that scripts emit: `text` is what their references point into. May be NULL. */
    void (*on_custom)(void *context, struct custom_schema *schema, const void *event, const char *text);
};

/* What a worker met. If it is given all packets, every worker's figures of the capture are the same. */
struct worker_figures {
    uint64_t packets, bytes; /* after the filter */
    nanoseconds first, last;
    uint64_t filtered; /* packets that the filter refused */
    uint64_t truncated, not_ip, undecoded, arp;
    uint64_t datagrams_joined; /* from fragments */
    uint64_t events;           /* that somebody wanted */
};

/* `options` is borrowed for the worker's life. */
struct worker *worker_new(const struct worker_options *options, struct error *err);

/* Works on a burst of at most PACKET_BURST packets. */
void worker_packets(struct worker *worker, const struct packet *packets, int count);

/* An event that no packet of this worker caused, at its time: the clock goes there first. */
void worker_event(struct worker *worker, const struct made_event *event, nanoseconds time);

/* Between bursts: lets scripts handle what there is and moves the outputs on, so that others need not wait
 * for this worker. */
void worker_tick(struct worker *worker);

/* Packets that the kernel and the interface dropped before they came to this worker, since the start. If
 * there are more than before, the flows that are open now may lack some: their events say so. */
void worker_lost(struct worker *worker, uint64_t dropped, uint64_t interface_dropped);

/* There will be no packet older than `now`: timeouts and timers up to there are run. Live only; the clock
 * starts with the first packet, or here if `start` says so (another worker has seen one). */
void worker_advance(struct worker *worker, nanoseconds now, bool start);

/* Has the clock started, and where is it? */
bool worker_started(const struct worker *worker);
nanoseconds worker_clock(const struct worker *worker);

/* Followed host logs: reads what has come, and lets it happen. The clock starts at `now` if it has to. True
 * if there may be more at once. */
bool worker_follow(struct worker *worker, nanoseconds now);

/* The capture has been read to its end: what host logs tell of the time after it happens now, under the
 * capture's last clock. Before worker_finish(); not if the run was broken off. */
void worker_play_rest(struct worker *worker);

/* What host logs told; NULL if there are none. */
const struct endpoint *worker_endpoint(const struct worker *worker);

/* No more packets: ends flows, lets detectors say their last, fills in the summary. */
void worker_finish(struct worker *worker);

const struct worker_figures *worker_figures(struct worker *worker);
const struct flow_counters *worker_flow_counters(struct worker *worker);
struct flow_room *worker_room(struct worker *worker);
struct script_host *worker_scripts(struct worker *worker);
struct batch *worker_batch(struct worker *worker);
struct output_worker *worker_output(struct worker *worker);

/* Has the packets around an alert on one of the worker's flows kept; any thread. False if there is no rolling
 * capture, or no file: else its path is in `path`. */
bool worker_keep_packets(struct worker *worker, const struct alert *alert, char path[PATH_MAX]);

/* Detectors that failed to load or were switched off. */
uint32_t worker_detectors_failed(const struct worker *worker);

void worker_free(struct worker *worker);

#endif
