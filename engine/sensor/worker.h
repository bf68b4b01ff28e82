/* One worker: the whole path of a packet in one thread, from the capture to scripts and records.
 *
 *      capture ─ filter ─ decode ─ fragments ─ "mine?" ─ flows ─ protocols ─ batch ─ detectors ─ outputs
 *
 * Nothing of it is shared with other workers but the outputs and read-only tables. With several workers each
 * reads the whole capture and skips what belongs to other local hosts than its own (sensor/home.h). */
#ifndef LUNETTE_SENSOR_WORKER_H
#define LUNETTE_SENSOR_WORKER_H

#include "base/error.h"
#include "flow/flow.h"
#include "output/output.h"
#include "script/host.h"
#include "sensor/home.h"

#include <stdatomic.h>
#include <stdbool.h>

struct worker;

struct worker_options {
    const char *const *captures; /* files, "-" for standard input */
    size_t capture_count;
    const char *filter;       /* pcap-filter(7), or NULL */
    uint32_t batch_limit;     /* events, 1 to BATCH_EVENTS */
    uint64_t fragment_memory; /* bytes for fragments waiting for the rest */
    struct flow_config flow;
    struct script_options scripts;
    const struct home *home;
    struct outputs *outputs;
    uint32_t index, workers;
    const atomic_bool *stop; /* set by a signal: end early, in good order */
};

/* What a worker met; of the capture's own figures every worker sees the same. */
struct worker_figures {
    uint64_t packets, bytes; /* in the capture, after the filter */
    nanoseconds first, last;
    uint64_t filtered; /* packets that the filter refused */
    uint64_t truncated, not_ip, undecoded, arp;
    uint64_t datagrams_joined; /* from fragments */
    uint64_t damaged;          /* files that ended before their time */
    bool interrupted;          /* told to stop, or nobody takes the output any more */
};

/* `options` is borrowed for the worker's life. */
struct worker *worker_new(const struct worker_options *options, struct error *err);

/* Reads the capture to its end. Uses its own output worker. */
void worker_run(struct worker *worker);

const struct worker_figures *worker_figures(const struct worker *worker);
const char *worker_capture_warning(struct worker *worker, size_t index);
const struct flow_counters *worker_flow_counters(struct worker *worker);

/* Detectors that failed to load or were switched off. */
uint32_t worker_detectors_failed(const struct worker *worker);

void worker_free(struct worker *worker);

#endif
